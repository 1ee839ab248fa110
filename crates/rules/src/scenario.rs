//! Whole stories over a real store with a set clock: what the alerts are after each minute.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::status::AlertState;
use model::{
    Alert, AlertSink, Clock, Durability, Hints, Labels, METRIC_NAME, Matcher, Sample, Samples, Selection, Timestamp,
    is_stale,
};
use promql::{Cancel, Engine, EngineOptions};

use crate::context::Context;
use crate::group::Running;
use crate::{Options, decode};

const START: Timestamp = 1_700_000_000_000;
const MINUTE: i64 = 60_000;

type Pairs<'a> = &'a [(&'a str, &'a str)];

#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Sent(Mutex<Vec<Alert>>);

impl AlertSink for Sent {
    fn send(&self, alerts: Vec<Alert>) {
        self.0.lock().unwrap().extend(alerts);
    }
}

struct Scene {
    _folder: tempfile::TempDir,
    context: Context,
    sent: Arc<Sent>,
    group: Running,
    minute: i64,
}

fn groups(rules: &str) -> Vec<crate::Group> {
    let report = yaml::Report::default();
    let groups = decode("rules.yml", rules, &report);
    assert!(!report.has_errors(), "{:?}", report.problems());
    groups
}

fn open(path: &std::path::Path) -> tsdb::Db {
    let options = tsdb::Options { path: path.to_owned(), retention_time: None, ..tsdb::Options::default() };
    tsdb::Db::open(options).unwrap()
}

impl Scene {
    fn new(rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(open(folder.path()));
        let sent = Arc::new(Sent::default());
        let context = Context {
            engine: Arc::new(Engine::new(EngineOptions::default())),
            queryable: store.clone(),
            appendable: store,
            clock: Arc::new(SetClock(AtomicI64::new(START))),
            sink: sent.clone(),
            options: Options {
                external_labels: Labels::from_pairs([("site", "home")]).into(),
                external_url: "http://skep:9090".to_owned(),
                ..Options::default()
            },
        };
        let group = Running::new(groups(rules).remove(0), &context, true);
        Self { _folder: folder, context, sent, group, minute: 0 }
    }

    /// Writes samples of the current minute; `None` is a minute without a sample, which ends the series.
    fn feed(&self, samples: &[(Pairs<'_>, Option<f64>)]) {
        let mut appender = self.context.appendable.appender();
        for (labels, value) in samples {
            let value = value.unwrap_or(model::stale_nan());
            let sample = Sample { timestamp: self.now(), value };
            appender.append(&Labels::from_pairs(labels.iter().copied()), sample).unwrap();
        }
        appender.commit(Durability::Kernel).unwrap();
    }

    fn now(&self) -> Timestamp {
        START + self.minute * MINUTE
    }

    /// Evaluates and goes on to the next minute.
    fn evaluate(&mut self) {
        self.group.evaluate(&self.context, self.now(), &Cancel::default());
        self.minute += 1;
    }

    /// The alerts of the first rule: state and value.
    fn states(&self) -> String {
        let rule = self.group.status().rules.remove(0);
        let alerts = rule.alerting.map(|alerting| alerting.alerts).unwrap_or_default();
        let shown = alerts.iter().map(|alert| {
            let state = match alert.state {
                AlertState::Inactive => "inactive",
                AlertState::Pending => "pending",
                AlertState::Firing => "firing",
            };
            format!("{state} {}", alert.value)
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// The samples of a metric, by labels; a staleness marker is `stale`.
    fn series(&self, metric: &str) -> Vec<String> {
        let matchers = [Matcher::equal(METRIC_NAME, metric)];
        let (min_time, max_time) = (START, START + 10_000 * MINUTE);
        let selection = Selection { matchers: &matchers, min_time, max_time, hints: Hints::default() };
        let set = self.context.queryable.select(&selection).unwrap();
        let mut lines: Vec<String> = set
            .series
            .iter()
            .map(|series| {
                let mut samples = Samples::default();
                series.read(&mut samples).unwrap();
                let shown: Vec<String> = samples
                    .iter()
                    .map(|sample| {
                        let minute = (sample.timestamp - START) / MINUTE;
                        if is_stale(sample.value) {
                            format!("{minute}:stale")
                        } else {
                            format!("{minute}:{}", sample.value)
                        }
                    })
                    .collect();
                format!("{} {}", series.labels().without_name(), shown.join(" "))
            })
            .collect();
        lines.sort();
        lines
    }

    fn last_error(&self) -> String {
        self.group.status().rules[0].last_error.clone()
    }
}

const CONNECTIONS: Pairs<'_> = &[("__name__", "cilium_lb_active_connections"), ("node", "a")];

/// The rule of the user's file, the first of its group so that the scene looks at it.
fn connections(extra: &str) -> String {
    format!(
        "groups:\n- name: g\n  rules:\n  - alert: TooManyActiveConnections\n    expr: sum(cilium_lb_active_connections) > 10000\n    for: 1m\n{extra}    \
         labels: {{severity: warning}}\n    annotations: {{summary: \"on {{{{ $labels.instance }}}}: {{{{ $value }}}}\"}}\n"
    )
}

/// What the first rule's alerts are after each minute, given the metric's value in it.
fn check(rules: &str, story: &[(f64, &str)]) -> Scene {
    let mut scene = Scene::new(rules);
    for (minute, (value, expected)) in story.iter().enumerate() {
        scene.feed(&[(CONNECTIONS, Some(*value))]);
        scene.evaluate();
        assert_eq!(scene.states(), *expected, "minute {minute}: {}", scene.last_error());
    }
    scene
}

#[test]
fn an_alert_is_pending_fires_and_ends() {
    let scene = check(
        &connections(""),
        &[
            (5.0, ""),
            (10001.0, "pending 10001"),
            (10002.0, "firing 10002"),
            (10003.0, "firing 10003"),
            (1.0, ""),
            (2.0, ""),
        ],
    );
    assert_eq!(
        scene.series("ALERTS"),
        [
            r#"{alertname="TooManyActiveConnections", alertstate="firing", severity="warning"} 2:1 3:1 4:stale"#,
            r#"{alertname="TooManyActiveConnections", alertstate="pending", severity="warning"} 1:1 2:stale"#,
        ]
    );
    let since = (START + MINUTE) / 1000;
    assert_eq!(
        scene.series("ALERTS_FOR_STATE"),
        [format!(
            r#"{{alertname="TooManyActiveConnections", severity="warning"}} 1:{since} 2:{since} 3:{since} 4:stale"#
        )]
    );
    let sent = scene.sent.0.lock().unwrap();
    // Firing at minute 2; at minute 3 the resend delay is not over by more than nothing; the end at 4.
    let times: Vec<(i64, i64)> =
        sent.iter().map(|a| ((a.starts_at - START) / MINUTE, (a.ends_at - START) / MINUTE)).collect();
    assert_eq!(times, [(2, 6), (2, 4)]);
    assert_eq!(
        sent[0].labels.to_string(),
        r#"{alertname="TooManyActiveConnections", severity="warning", site="home"}"#
    );
    assert_eq!(sent[0].annotations.get("summary"), Some("on : 10002"));
    assert_eq!(
        sent[0].generator_url,
        "http://skep:9090/graph?g0.expr=sum%28cilium_lb_active_connections%29+%3E+10000&g0.tab=1"
    );
}

#[test]
fn a_pause_begins_the_wait_anew() {
    check(
        &connections(""),
        &[(10001.0, "pending 10001"), (1.0, ""), (10001.0, "pending 10001"), (10001.0, "firing 10001")],
    );
}

#[test]
fn keep_firing_for_bridges_gaps() {
    check(
        &connections("    keep_firing_for: 2m\n"),
        &[
            (10001.0, "pending 10001"),
            (10001.0, "firing 10001"),
            (1.0, "firing 10001"),
            (1.0, "firing 10001"),
            (10005.0, "firing 10005"),
            (1.0, "firing 10005"),
            (1.0, "firing 10005"),
            (1.0, ""),
        ],
    );
}

#[test]
fn resolved_alerts_are_sent_for_a_quarter_of_an_hour() {
    let mut story = vec![(10001.0, "pending 10001"), (10001.0, "firing 10001")];
    story.extend([(1.0, ""); 25]);
    let scene = check(&connections(""), &story);
    let sent = scene.sent.0.lock().unwrap();
    let ended: Vec<&Alert> = sent.iter().filter(|alert| alert.ends_at == START + 2 * MINUTE).collect();
    // At minute 2 and then at every second one, because the delay must be exceeded, until 15 minutes after the end.
    assert_eq!(ended.len(), 8);
}

#[test]
fn recording_rules_write_and_end_series() {
    let mut scene = Scene::new(
        "groups:\n- name: g\n  query_offset: 1m\n  labels: {team: net}\n  rules:\n  - record: node:up\n    expr: up * 2\n    labels: {job: \"\"}\n  - record: one\n    expr: 1\n",
    );
    let up = |node: &'static str| [("__name__", "up"), ("node", node), ("job", "x")];
    let (a, b) = (up("a"), up("b"));
    for step in 0..4 {
        let second = if step < 2 { Some(2.0) } else { None };
        scene.feed(&[(&a, Some(f64::from(step))), (&b, second)]);
        scene.evaluate();
    }
    assert_eq!(
        scene.series("node:up"),
        [r#"{node="a", team="net"} 0:0 1:2 2:4"#, r#"{node="b", team="net"} 0:4 1:4 2:stale"#]
    );
    assert_eq!(scene.series("one"), [r#"{team="net"} 0:1 1:1 2:1"#]);
}

#[test]
fn says_what_is_wrong_as_prometheus() {
    let rule = |body: &str| format!("groups:\n- name: g\n  limit: 1\n  rules:\n  - {body}\n");
    let fails = |body: &str, expected: &str| {
        let mut scene = Scene::new(&rule(body));
        let (a, b) = ([("__name__", "up"), ("n", "a")], [("__name__", "up"), ("n", "b")]);
        scene.feed(&[(&a, Some(1.0)), (&b, Some(1.0))]);
        scene.evaluate();
        assert_eq!(scene.last_error(), expected, "{body}");
    };
    fails(
        "{alert: A, expr: up, labels: {n: same}}",
        "vector contains metrics with the same labelset after applying alert labels",
    );
    fails(
        "{record: r, expr: up, labels: {n: same}}",
        "vector contains metrics with the same labelset after applying rule labels",
    );
    fails("{alert: A, expr: up}", "exceeded limit of 1 with 2 alerts");
    fails("{record: r, expr: up}", "exceeded limit of 1 with 2 series");
    fails("{record: r, expr: '\"text\"'}", "rule result is not a vector or scalar");
}

#[test]
fn broken_templates_stand_in_the_text() {
    let mut scene = Scene::new(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: vector(1)\n    annotations: {a: '{{ query \"(\" }}', b: 'fine {{ query \"vector(7)\" | first | value }}'}\n",
    );
    scene.evaluate();
    let alert = scene.group.status().rules.remove(0).alerting.unwrap().alerts.remove(0);
    let text = alert.annotations.get("a").unwrap().to_owned();
    assert!(
        text.starts_with("<error expanding template: error executing template __alert_A: template: __alert_A:1:"),
        "{text}"
    );
    assert!(text.contains("error calling query: 1:2: parse error: "), "{text}");
    assert_eq!(alert.annotations.get("b"), Some("fine 7"));
}

#[test]
fn the_wait_is_restored_after_a_restart() {
    let rules = connections("").replace("for: 1m", "for: 30m");
    let mut scene = Scene::new(&rules);
    for _ in 0..10 {
        scene.feed(&[(CONNECTIONS, Some(20000.0))]);
        scene.evaluate();
    }
    // Away for 20 minutes.
    scene.minute += 20;
    scene.group = Running::new(groups(&rules).remove(0), &scene.context, false);
    scene.feed(&[(CONNECTIONS, Some(20000.0))]);
    scene.evaluate();
    scene.feed(&[(CONNECTIONS, Some(20000.0))]);
    let now = scene.now();
    scene.evaluate();
    // Nothing is written before the state is back.
    assert_eq!(scene.series("ALERTS")[0].split(' ').next_back(), Some("9:1"));
    scene.group.restore(&scene.context, now);
    let alert = scene.group.status().rules.remove(0).alerting.unwrap().alerts.remove(0);
    // Nine minutes were spent pending before, the outage counts as nothing.
    assert_eq!((now - alert.active_at) / MINUTE, 9);
    for _ in 0..21 {
        scene.feed(&[(CONNECTIONS, Some(20000.0))]);
        scene.evaluate();
    }
    assert_eq!(scene.states(), "firing 20000");
}

#[test]
fn a_reload_keeps_alerts_and_ends_what_is_gone() {
    let both = connections("") + "  - record: old\n    expr: 1\n";
    let mut scene = Scene::new(&both);
    for _ in 0..2 {
        scene.feed(&[(CONNECTIONS, Some(20000.0))]);
        scene.evaluate();
    }
    assert_eq!(scene.states(), "firing 20000");
    let changed = connections("").replace("> 10000", "> 9000");
    let mut next = Running::new(groups(&changed).remove(0), &scene.context, true);
    next.adopt(&mut scene.group, &scene.context);
    scene.group = next;
    scene.feed(&[(CONNECTIONS, Some(20000.0))]);
    scene.evaluate();
    assert_eq!(scene.states(), "firing 20000");
    assert_eq!(scene.series("old"), ["{} 0:1 1:1 2:stale"]);
}

/// What several threads write is what one writes.
#[test]
fn rules_at_once_give_what_they_give_in_order() {
    let mut rules = "groups:\n- name: g\n  rules:\n".to_owned();
    for i in 0..20 {
        rules.push_str(&format!("  - {{record: 'a{i}', expr: 'm * {i}'}}\n  - {{record: 'b{i}', expr: 'a{i} + 1'}}\n"));
        rules
            .push_str(&format!("  - {{record: 'c{i}', expr: 'b{i} + m'}}\n  - {{alert: 'd{i}', expr: 'c{i} > 30'}}\n"));
    }
    let mut scenes = [Scene::new(&rules), Scene::new(&rules)];
    for minute in 1..4 {
        for (scene, at_once) in scenes.iter_mut().zip([false, true]) {
            scene.feed(&[(&[("__name__", "m")], Some(f64::from(minute)))]);
            if at_once {
                scene.group.take_long();
            }
            scene.evaluate();
        }
    }
    let written = |scene: &Scene| {
        let names = (0..20).flat_map(|i| ["a", "b", "c"].map(|letter| format!("{letter}{i}")));
        names.chain(["ALERTS".to_owned()]).map(|name| scene.series(&name)).collect::<Vec<_>>()
    };
    assert_eq!(written(&scenes[0]), written(&scenes[1]));
    assert_eq!(scenes[1].series("c19"), [" 0:21 1:41 2:61"].map(|samples| format!("{{}}{samples}")));
    assert_eq!(scenes[1].group.tally.evaluations, 3 * 80);
    assert_eq!(scenes[1].group.tally.last_samples, scenes[0].group.tally.last_samples);
}

/// A backtest gives the episodes that evaluating minute by minute gives, whatever comes and goes.
#[test]
fn a_backtest_is_what_would_have_been() {
    const ALIGNED: Timestamp = START - START % MINUTE + MINUTE;
    const MINUTES: i64 = 400;
    for (hold, keep) in [(0, 0), (3, 0), (0, 2), (2, 4)] {
        let extra = format!("    keep_firing_for: {keep}m\n");
        let rules = connections(&extra)
            .replace("sum(cilium_lb_active_connections) > 10000", "cilium_lb_active_connections > 0");
        let mut scene = Scene::new(&rules.replace("for: 1m", &format!("for: {hold}m")));
        let mut random = 88_172_645_463_325_252u64 + hold;
        let mut expected: Vec<(Timestamp, Option<Timestamp>)> = Vec::new();
        for minute in 0..MINUTES {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Long and short stretches of both.
            let value = f64::from(u8::from(random % 7 < if minute / 50 % 2 == 0 { 5 } else { 2 }));
            let at = ALIGNED + minute * MINUTE;
            let mut appender = scene.context.appendable.appender();
            appender.append(&Labels::from_pairs(CONNECTIONS.iter().copied()), Sample { timestamp: at, value }).unwrap();
            appender.commit(Durability::Kernel).unwrap();
            scene.group.evaluate(&scene.context, at, &Cancel::default());
            let fires = scene.states().contains("firing");
            match expected.last_mut().filter(|(_, end)| end.is_none()) {
                None if fires => expected.push((at, None)),
                Some((_, end)) if !fires => *end = Some(at),
                _ => {}
            }
        }
        let trial = model::status::Trial {
            expr: "cilium_lb_active_connections > 0".to_owned(),
            hold: Duration::from_secs(60 * hold),
            keep_firing: Duration::from_secs(60 * keep),
            interval: Duration::from_secs(60),
            from: ALIGNED - MINUTE + 1,
            to: ALIGNED + (MINUTES - 1) * MINUTE,
        };
        let found = crate::backtest::run(&scene.context.engine, &*scene.context.queryable, &trial).unwrap();
        let got: Vec<_> = found.episodes.iter().map(|episode| (episode.fired_at, episode.ended_at)).collect();
        assert_eq!(got, expected, "for {hold}m, kept {keep}m");
        assert!(expected.len() > 3 && found.steps == MINUTES.unsigned_abs(), "{} {}", expected.len(), found.steps);
    }
}

#[test]
fn a_backtest_says_what_it_cannot_do() {
    let scene = Scene::new(&connections(""));
    let check = |expr: &str, days: i64, interval: u64, expected: &str| {
        let trial = model::status::Trial {
            expr: expr.to_owned(),
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            interval: Duration::from_secs(interval),
            from: START - days * 24 * 60 * MINUTE,
            to: START,
        };
        let got =
            crate::backtest::run(&scene.context.engine, &*scene.context.queryable, &trial).map(|b| b.fired.to_string());
        let got = got.unwrap_or_else(|error| error);
        assert!(got.starts_with(expected), "{got}");
    };
    check("vector(1)", 1, 60, "1");
    check("1", 1, 60, "1");
    check("absent(up)", 1, 60, "1");
    check("up ==", 1, 60, "1:6: parse error");
    check("vector(1)", 90, 15, "518400 evaluations are too many");
    check("vector(1)", 1, 0, "the interval must be longer than nothing");
    check("\"text\"", 1, 60, "invalid expression type \"string\"");
}

/// The history tells each change once, also over a reload and a rule that goes.
#[test]
fn the_history_tells_changes() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = catalog::Bounds { age: Duration::from_secs(86400), bytes: 1 << 20 };
    let journal = Arc::new(catalog::Journal::open(folder.path(), bounds).unwrap());
    let history = Arc::new(crate::History::open(journal, 0).unwrap());
    let mut scene = Scene::new(&connections(""));
    scene.context.options.history = Some(history.clone());
    for value in [1.0, 20_000.0, 20_000.0, 20_000.0, 1.0, 20_000.0, 1.0, 20_000.0] {
        scene.feed(&[(CONNECTIONS, Some(value))]);
        scene.evaluate();
    }
    let mut next = Running::new(groups("groups: [{name: g, rules: []}]").remove(0), &scene.context, true);
    next.adopt(&mut scene.group, &scene.context);
    let wanted = model::status::HistoryQuery { to: i64::MAX, limit: 100, ..Default::default() };
    let mut page = history.page(&wanted).unwrap().changes;
    page.reverse();
    let told: Vec<_> = page.iter().map(|c| format!("{} {:?}", (c.at - START) / MINUTE, c.state)).collect();
    let expected = ["1 Pending", "2 Firing", "4 Inactive", "5 Pending", "6 Inactive", "7 Pending", "0 Inactive"];
    assert_eq!(told, expected);
    assert_eq!(page[1].summary, "on : 20000");
    assert_eq!(page[1].rule.2, "TooManyActiveConnections");
}
