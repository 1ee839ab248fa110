//! The manager as the program uses it: tasks, reloads, what it tells.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::status::{AlertState, Health, RuleGroupStatus, Rules};
use model::{Alert, AlertSink, Appendable, Clock, Collector, Durability, Families, Labels, Sample, SystemClock};
use promql::{Engine, EngineOptions};
use rules::{Group, Manager, Options, decode};

#[derive(Default)]
struct Sent(Mutex<Vec<Alert>>);

impl AlertSink for Sent {
    fn send(&self, alerts: Vec<Alert>) {
        self.0.lock().unwrap().extend(alerts);
    }
}

fn groups(text: &str) -> Vec<Group> {
    let report = yaml::Report::default();
    let groups = decode("r.yml", text, &report);
    assert_eq!(report.into_problems(), []);
    groups
}

async fn until(manager: &Manager, fits: impl Fn(&[RuleGroupStatus]) -> bool) -> Vec<RuleGroupStatus> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let groups = manager.groups();
        if fits(&groups) {
            return groups;
        }
        assert!(Instant::now() < deadline, "{groups:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evaluates_reloads_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let options = tsdb::Options { path: folder.path().to_owned(), ..tsdb::Options::default() };
    let store = Arc::new(tsdb::Db::open(options).unwrap());
    let mut appender = store.appender();
    let labels = Labels::from_pairs([("__name__", "cilium_lb_active_connections")]);
    appender.append(&labels, Sample { timestamp: SystemClock.now(), value: 20_000.0 }).unwrap();
    appender.commit(Durability::Kernel).unwrap();

    let sent = Arc::new(Sent::default());
    let engine = Arc::new(Engine::new(EngineOptions::default()));
    let manager = Manager::new(engine, store.clone(), store, Arc::new(SystemClock), sent.clone(), Options::default());
    let rules = "groups:\n- name: g\n  interval: 100ms\n  rules:\n  - alert: Many\n    expr: sum(cilium_lb_active_connections) > 10000\n    for: 200ms\n- name: h\n  interval: 100ms\n  rules:\n  - {record: broken, expr: 'vector(1) * on(a) group_left() nothing or label_replace(vector(1), \"x\", \"$1\", \"y\", \"(\")'}\n";
    manager.apply(groups("groups: []\n")).await;
    manager.apply(groups(rules.split("- name: h").next().unwrap())).await;
    let firing = |groups: &[RuleGroupStatus]| {
        let alerting = groups.first().and_then(|g| g.rules.first()).and_then(|r| r.alerting.as_ref());
        alerting.is_some_and(|a| a.alerts.iter().any(|alert| alert.state == AlertState::Firing))
    };
    let told = until(&manager, firing).await;
    assert_eq!((told[0].rules[0].health, told[0].rules[0].last_error.as_str()), (Health::Good, ""));
    assert_eq!(sent.0.lock().unwrap()[0].labels.to_string(), r#"{alertname="Many"}"#);

    // A group beside it leaves the alert alone; its error stands at its rule.
    manager.apply(groups(rules)).await;
    let told = until(&manager, |groups| groups.len() == 2 && groups[1].rules[0].health == Health::Bad).await;
    assert!(firing(&told));
    assert!(told[1].rules[0].last_error.contains("regular expression"), "{}", told[1].rules[0].last_error);

    let mut families = Families::default();
    manager.collect(&mut families).unwrap();
    let evaluations = families.iter().find(|f| f.name == "skep_rule_group_iterations_total").unwrap();
    assert!(evaluations.points[0].value > 1.0);
    assert_eq!(evaluations.points[0].labels[0].1, "r.yml;g");

    manager.apply(Vec::new()).await;
    assert!(manager.groups().is_empty());
    manager.stop().await;
}

/// Whatever the clock does, evaluation goes on at its new time.
#[tokio::test(flavor = "multi_thread")]
async fn clock_jumps_stop_no_group() {
    const HOUR: i64 = 3_600_000;
    let folder = tempfile::tempdir().unwrap();
    let options = tsdb::Options { path: folder.path().to_owned(), ..tsdb::Options::default() };
    let store = Arc::new(tsdb::Db::open(options).unwrap());
    let start = SystemClock.now();
    let clock = Arc::new(testkit::TestClock::new(start));
    let engine = Arc::new(Engine::new(EngineOptions::default()));
    let sink = Arc::new(Sent::default());
    let manager = Manager::new(engine, store.clone(), store, clock.clone(), sink.clone(), Options::default());
    manager
        .apply(groups("groups:\n- name: g\n  interval: 100ms\n  rules:\n  - {alert: Up, expr: vector(1), for: 10m}\n"))
        .await;
    let last = |groups: &[RuleGroupStatus]| groups[0].last_evaluation.unwrap_or(0);
    let state = |groups: &[RuleGroupStatus]| groups[0].rules[0].alerting.as_ref().map(|a| a.alerts[0].state);
    for (now, expected) in
        [(start + 1000, AlertState::Pending), (start + HOUR, AlertState::Firing), (start + 2000, AlertState::Firing)]
    {
        clock.set(now);
        let told = until(&manager, |groups| {
            // It goes on, if slowly.
            clock.set(clock.now() + 1);
            (now - 100..now + HOUR / 2).contains(&last(groups))
        })
        .await;
        assert_eq!(state(&told), Some(expected), "{}", now - start);
    }
    // An hour in one step is one evaluation, and the slots between are missed ones.
    let mut families = Families::default();
    manager.collect(&mut families).unwrap();
    let value = |name: &str| families.iter().find(|f| f.name == name).unwrap().points[0].value;
    let (done, missed) = (value("skep_rule_group_iterations_total"), value("skep_rule_group_iterations_missed_total"));
    assert!(done < 10_000.0 && missed > 35_900.0, "{done} {missed}");
    manager.stop().await;
}
