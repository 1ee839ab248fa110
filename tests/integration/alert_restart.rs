//! What of alerts a kill leaves: notifications are neither lost nor told twice without need, waits go on as Prometheus' do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use model::{Clock, SystemClock, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::{Exporter, Prometheus, Reply, Server, ServerBuilder, Web, poll_until};

use crate::{ALONE, builder, job};

/// How often the process is killed.
const KILLS: usize = 20;

const FIRE: &str = "groups: [{name: fire, interval: 1s, rules: [{alert: Fire, expr: fire > 0, annotations: {summary: 'fire {{ $labels.i }}'}}]}]\n";

/// What the receiver heard: which alert in which life of the process.
#[derive(Default)]
struct Heard {
    told: Mutex<Vec<(usize, usize)>>,
    /// The process, if it is to be killed before it gets the answer.
    victim: AtomicU32,
}

impl Heard {
    fn count(&self, alert: usize) -> usize {
        self.told.lock().unwrap().iter().filter(|told| told.0 == alert).count()
    }
}

/// A receiver that kills who tells it something, where it was told to.
fn receiver(heard: &Arc<Heard>, life: &Arc<AtomicU32>) -> Web {
    let (heard, life) = (heard.clone(), life.clone());
    let answer = move |asked: &testkit::Asked| {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let alert = body["groupLabels"]["i"].as_str().unwrap().parse().unwrap();
        heard.told.lock().unwrap().push((alert, life.load(Ordering::SeqCst) as usize));
        if let Some(pid) = Pid::from_raw(heard.victim.swap(0, Ordering::SeqCst).cast_signed()) {
            let _ = kill_process(pid, Signal::KILL);
        }
        (200, Vec::new(), Vec::new())
    };
    Web::start(None, answer).unwrap()
}

/// Whether the rule has it.
fn fires(server: &Server, alert: usize) -> bool {
    let alerts = crate::json(&server.get("/api/v1/alerts").unwrap());
    let alerts = alerts["data"]["alerts"].as_array().cloned().unwrap_or_default();
    let name = alert.to_string();
    alerts.iter().any(|a| a["labels"]["i"] == *name && a["state"] == "firing")
}

/// Between an alert and its notification, between the notification and its answer, between the answer and what is kept of
/// it, and at any moment: each alert is told, once in each life at most, and a kill repeats at most one notification.
#[test]
fn twenty_kills_lose_no_notification() {
    let folder = tempfile::tempdir().unwrap();
    let (heard, life) = (Arc::new(Heard::default()), Arc::new(AtomicU32::new(0)));
    let web = receiver(&heard, &life);
    let exporter = Exporter::start(Reply::Page(String::new())).unwrap();
    fs::write(folder.path().join("rules.yml"), FIRE).unwrap();
    let alertmanager = folder.path().join("alertmanager.yml");
    let route =
        "route: {receiver: hook, group_by: [alertname, i], group_wait: 1s, group_interval: 1s, repeat_interval: 1d}\n";
    let hook = format!("receivers: [{{name: hook, webhook_configs: [{{url: 'http://{}/'}}]}}]\n", web.address());
    fs::write(&alertmanager, format!("{route}{hook}")).unwrap();
    let config = format!("{ALONE}rule_files: [rules.yml]\nscrape_configs:\n{}", job("fire", &exporter.target()));
    let start = || builder(folder.path(), &config).arg("--alertmanager-config").arg(&alertmanager).start().unwrap();

    let mut server = start();
    let mut page = String::new();
    for alert in 0..KILLS {
        page += &format!("fire{{i=\"{alert}\"}} 1\n");
        if alert % 4 == 1 {
            heard.victim.store(server.pid(), Ordering::SeqCst);
        }
        exporter.reply(Reply::Page(page.clone()));
        match alert % 4 {
            0 => poll_until("the alert to fire", || fires(&server, alert).then_some(())),
            3 => thread::sleep(Duration::from_millis(600 + alert as u64 * 7919 % 1900)),
            _ => poll_until("a notification", || (heard.count(alert) > 0).then_some(())),
        }
        server.kill().unwrap();
        // No later life is the one that was to be killed.
        heard.victim.store(0, Ordering::SeqCst);
        life.fetch_add(1, Ordering::SeqCst);
        server = start();
        poll_until("a notification of each alert", || (heard.count(alert) > 0).then_some(()));
    }
    // One more, so that what would be told again was.
    exporter.reply(Reply::Page(page + &format!("fire{{i=\"{KILLS}\"}} 1\n")));
    poll_until("the last notification", || (heard.count(KILLS) > 0).then_some(()));

    let mut of_life: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for told in heard.told.lock().unwrap().iter() {
        *of_life.entry(*told).or_default() += 1;
    }
    assert!(of_life.values().all(|count| *count == 1), "{of_life:?}");
    let again = of_life.len() - (KILLS + 1);
    println!("{KILLS} kills: {} alerts told, {again} of them once more", KILLS + 1);
    assert!(again <= KILLS, "{of_life:?}");
}

/// Rules that begin to hold at the same second of both.
fn rules(from: Timestamp) -> String {
    let rule = |name: &str, wait: &str| {
        format!("  - {{alert: {name}, expr: vector(time()) > {}, for: {wait}}}\n", from / 1000)
    };
    let rules =
        [("Fired", "5s"), ("Long", "5m"), ("Close", "12s"), ("Short", "2s")].map(|(name, wait)| rule(name, wait));
    let labelled = format!(
        "  - {{alert: Labelled, expr: 'label_replace(vector(time()) > {}, \"n\", \"x\", \"\", \"\")', for: 5m, labels: {{size: '{{{{ if gt $value 1.0 }}}}big{{{{ end }}}}'}}}}\n",
        from / 1000
    );
    let kept = format!(
        "  - {{alert: Kept, expr: vector(time()) > {} < {}, keep_firing_for: 1h}}\n",
        from / 1000,
        from / 1000 + 4
    );
    format!("groups:\n- name: waits\n  interval: 1s\n  rules:\n{}{labelled}{kept}", rules.concat())
}

/// How long skep and Prometheus are up before the alerts begin, and pending before the kill.
const LEAD: i64 = 6000;
const PENDING: i64 = 9500;

/// `activeAt` and state of each alert.
type Alerts = BTreeMap<String, (Timestamp, String)>;

fn alerts(answer: &str) -> Alerts {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let alerts = answer["data"]["alerts"].as_array().unwrap().iter().map(|alert| {
        let at: jiff::Timestamp = alert["activeAt"].as_str().unwrap().parse().unwrap();
        let name = alert["labels"]["alertname"].as_str().unwrap().to_owned();
        (name, (at.as_millisecond(), alert["state"].as_str().unwrap().to_owned()))
    });
    alerts.collect()
}

/// Asks for the time of the last evaluation that was written, which is that of the outage.
const LAST: &str = "/api/v1/query?query=timestamp(ALERTS_FOR_STATE%7Balertname=%22Long%22%7D)";

fn last(answer: &str) -> Value {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["data"]["result"][0]["value"][1].clone()
}

fn sleep_until(at: Timestamp) {
    thread::sleep(Duration::from_millis(u64::try_from(at - SystemClock.now()).unwrap_or(0)));
}

/// What both have before a kill and some time after it; `None` if this machine was too busy for both to evaluate at the
/// same times.
fn attempt(program: &Path, arguments: &[&str]) -> Option<[[Alerts; 2]; 2]> {
    let folder = tempfile::tempdir().unwrap();
    let from = (SystemClock.now() + LEAD) / 1000 * 1000;
    let file = folder.path().join("rules.yml");
    fs::write(&file, rules(from)).unwrap();
    let beside = tempfile::tempdir().unwrap();
    let config = format!("rule_files: ['{}']\n", file.display());
    let start = || {
        let own = arguments.iter().fold(builder(folder.path(), &format!("{ALONE}{config}")), ServerBuilder::arg);
        (Prometheus::start(program, beside.path(), &config, arguments).unwrap(), own.start().unwrap())
    };
    let both = |(peer, own): &(Prometheus, Server)| {
        [alerts(&peer.get("/api/v1/alerts").unwrap()), alerts(&own.get("/api/v1/alerts").unwrap().body)]
    };
    let running = start();
    sleep_until(from + 2500);
    let first = both(&running);
    let began = first[0].get("Long")?.0;
    // Between two evaluations, the last of which both have done.
    sleep_until(began + PENDING);
    let before = both(&running);
    let written = [running.0.get(LAST).unwrap(), running.1.get(LAST).unwrap().body].map(|answer| last(&answer));
    let (peer, own) = running;
    own.kill().unwrap();
    drop(peer);
    if before[0] != before[1] || written[0] != written[1] || SystemClock.now() > began + PENDING + 400 {
        println!("not the same before the kill: {before:?} {written:?}");
        return None;
    }
    sleep_until(began + PENDING + 2000);
    let running = start();
    // What fired begins anew and fires again once its wait came back, or passed again.
    let after = poll_until("what fired to fire again", || {
        let after = both(&running);
        after.iter().all(|alerts| alerts.get("Fired").is_some_and(|alert| alert.1 == "firing")).then_some(after)
    });
    Some([before, after])
}

fn attempts(arguments: &[&str]) -> Option<[[Alerts; 2]; 2]> {
    let program = testkit::peer("prometheus")?;
    let found = (0..3).find_map(|_| attempt(&program, arguments));
    if found.is_none() {
        println!("SKIPPED: this machine is too busy for both to evaluate at the same times");
    }
    found
}

/// Names and states; that of `Close` and `Short` depends on when the restart was done.
fn states(alerts: &Alerts) -> Vec<String> {
    let settled = |name: &str| name != "Close" && name != "Short";
    alerts.iter().map(|(name, (_, state))| format!("{name} {}", if settled(name) { state } else { "" })).collect()
}

/// What began, was pending when the process was killed, and when it was restored follow from `activeAt` afterwards.
#[test]
fn waits_go_on_after_a_kill_as_prometheus_lets_them() {
    let Some([before, [peer, own]]) = attempts(&["--rules.alert.for-grace-period=4s"]) else { return };
    println!("before {:?}\npeer {peer:?}\nown {own:?}", before[0]);
    assert_eq!(states(&own), states(&peer));
    let at = |alerts: &Alerts, name: &str| alerts[name].0;
    // Not counted from the time of the outage on, in whole seconds.
    assert_eq!(at(&own, "Fired"), at(&peer, "Fired"));
    assert_eq!(at(&peer, "Fired"), before[0]["Fired"].0 / 1000 * 1000);
    // All are moved by the same time, which is that of the restart: it differs between the two.
    let close = |side: &Alerts| at(side, "Long") - at(side, "Close");
    assert!((close(&own) - close(&peer)).abs() <= 1, "{} {}", close(&own), close(&peer));
    // Prometheus looks for the template itself among the labels of what it wrote, and does not find it.
    assert_eq!((at(&own, "Labelled"), at(&peer, "Labelled")), (at(&own, "Long"), at(&peer, "Short")));
    for side in [&own, &peer] {
        assert!(at(side, "Long") > before[0]["Long"].0, "moved by the outage");
        assert!(at(side, "Short") > before[0]["Short"].0 + PENDING, "begins anew");
    }
}

#[test]
fn waits_begin_anew_after_a_long_outage() {
    let arguments = ["--rules.alert.for-grace-period=4s", "--rules.alert.for-outage-tolerance=1s"];
    let Some([before, [peer, own]]) = attempts(&arguments) else { return };
    println!("before {:?}\npeer {peer:?}\nown {own:?}", before[0]);
    assert_eq!(states(&own), states(&peer));
    for side in [&own, &peer] {
        assert!(side.values().all(|(at, _)| *at > before[0]["Long"].0 + PENDING), "{side:?}");
    }
}
