//! The same alerts at the same times: the receivers must hear the same.

use std::time::{Duration, Instant};

use model::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::sides::{Side, compare, sides};

pub(crate) fn hook(address: &str, name: &str, extra: &str) -> String {
    format!("- name: {name}\n  webhook_configs: [{{url: 'http://{address}/{name}'{extra}}}]\n")
}

pub(crate) fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap().to_string()
}

/// An alert that began at `start` and ends so much later.
pub(crate) fn alert(labels: &[(&str, &str)], start: i64, ends_in: i64) -> Value {
    let map: serde_json::Map<String, Value> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    json!({ "labels": map, "annotations": { "summary": "1 < 2 & \"3\"", "n": labels[labels.len() - 1].1, "empty": "" },
        "startsAt": time(start), "endsAt": time(start + ends_in), "generatorURL": "http://p/graph?g0.expr=up&g0.tab=1" })
}

const HOUR: i64 = 3_600_000;

async fn until(began: Instant, second: u64) {
    tokio::time::sleep_until((began + Duration::from_secs(second)).into()).await;
}

pub(crate) fn post_all(sides: &[Side; 2], path: &str, body: &Value) -> [Value; 2] {
    sides.each_ref().map(|side| side.post(path, body))
}

#[tokio::test(flavor = "multi_thread")]
async fn hears_what_alertmanagers_receivers_hear() {
    let config = |address: &str| {
        format!(
            "route:\n  receiver: all\n  group_by: [alertname]\n  group_wait: 1s\n  group_interval: 2s\n  repeat_interval: 5s\n  routes:\n  \
             - {{matchers: [team=\"x\"], receiver: each, group_by: ['...'], continue: true}}\n  - {{matchers: ['team=~\"x|y\"'], receiver: quiet}}\n\
             receivers:\n{}{}{}",
            hook(address, "all", ", max_alerts: 2"),
            hook(address, "each", ""),
            hook(address, "quiet", ", send_resolved: false")
        )
    };
    let Some(sides) = sides(config).await else { return };
    let start = SystemClock.now();
    let alert = |labels: &[(&str, &str)], ends_in| alert(labels, start, ends_in);
    let (a, b) = ([("alertname", "A"), ("instance", "i1")], [("alertname", "A"), ("instance", "i0")]);
    let (c, d) = ([("alertname", "A"), ("job", "z")], [("alertname", "T"), ("team", "x")]);
    let e = [("alertname", "T"), ("team", "y")];
    // What is sent at which second. Both look at their groups at odd ones.
    let script: [(u64, Vec<Value>); 4] = [
        (0, vec![alert(&a, HOUR), alert(&b, HOUR), alert(&d, HOUR)]),
        (2, vec![alert(&c, HOUR), alert(&e, HOUR)]),
        (4, vec![alert(&b, 3900), alert(&d, 3900)]),
        (12, vec![alert(&a, 11900), alert(&c, 11900), alert(&e, 11900)]),
    ];
    let began = Instant::now();
    for (second, alerts) in script {
        until(began, second).await;
        post_all(&sides, "/alerts", &Value::from(alerts));
    }
    // The group of the quiet receiver ends unheard.
    compare(&sides, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_quiet_of_what_alertmanager_keeps_quiet_of() {
    let config = |address: &str| {
        let receivers = ["all", "night", "day", "never", "twice"].map(|name| hook(address, name, "")).concat();
        format!(
            "route:\n  receiver: all\n  group_by: [alertname]\n  group_wait: 1s\n  group_interval: 2s\n  repeat_interval: 5s\n  routes:\n  \
             - {{matchers: [team=night], receiver: night, mute_time_intervals: [never, always]}}\n  \
             - {{matchers: [team=day], receiver: day, active_time_intervals: [never, always], mute_time_intervals: [never]}}\n  \
             - {{matchers: [team=never], receiver: never, active_time_intervals: [never]}}\n  \
             - {{match_re: {{team: tw.*}}, receiver: twice, group_by: [team, zone]}}\n\
             inhibit_rules:\n- {{source_matchers: [s=critical], target_matchers: [s=warning], equal: [alertname, instance]}}\n\
             - {{source_match: {{s: both}}, target_match_re: {{s: bo.*}}, equal: [zone]}}\n\
             time_intervals:\n- {{name: always, time_intervals: [{{years: ['2000:2100']}}]}}\n\
             - {{name: never, time_intervals: [{{years: ['1999']}}, {{months: [january], days_of_month: ['31'], times: [{{start_time: '00:00', end_time: '00:01'}}], years: ['2001']}}]}}\n\
             receivers:\n{receivers}"
        )
    };
    let Some(sides) = sides(config).await else { return };
    let start = SystemClock.now();
    let alert = |labels: &[(&str, &str)], ends_in| alert(labels, start, ends_in);
    let silence = |name: &str, pattern: &str, ends_in: i64| {
        json!({ "matchers": [{ "name": name, "value": pattern, "isRegex": true }], "startsAt": time(start - 1000),
            "endsAt": time(SystemClock.now() + ends_in), "createdBy": "me", "comment": "why" })
    };
    let named = |name: &'static str, rest: &[(&'static str, &'static str)]| [&[("alertname", name)], rest].concat();
    let critical = named("A", &[("instance", "i1"), ("s", "critical")]);
    let (warning, other) =
        (named("A", &[("instance", "i1"), ("s", "warning")]), named("A", &[("instance", "i2"), ("s", "warning")]));
    let timed = ["night", "day", "never"].map(|team| named("T", &[("team", team)]));
    let silenced = named("S", &[("q", "1")]);
    let twins = [named("B", &[("team", "two"), ("s", "both")]), named("C", &[("team", "two"), ("s", "both")])];
    let inhibited = named("D", &[("team", "two"), ("s", "both-not")]);

    let began = Instant::now();
    let ids = post_all(&sides, "/silences", &silence("q", "1|2", HOUR));
    let firing =
        |list: &[&Vec<(&str, &str)>], ends_in| -> Value { list.iter().map(|labels| alert(labels, ends_in)).collect() };
    post_all(&sides, "/alerts", &firing(&[&critical, &twins[0]], HOUR));
    let rest = [&warning, &other, &timed[0], &timed[1], &timed[2], &silenced, &twins[1], &inhibited];
    post_all(&sides, "/alerts", &firing(&rest, HOUR));
    until(began, 4).await;
    post_all(&sides, "/alerts", &firing(&[&critical], 3900));
    until(began, 6).await;
    for (side, id) in sides.iter().zip(&ids) {
        let id = id["silenceID"].as_str().unwrap();
        assert_eq!(side.request("DELETE", &format!("/silence/{id}"), "").0, 200);
    }
    until(began, 8).await;
    post_all(&sides, "/silences", &silence("instance", "i2", HOUR));
    until(began, 12).await;
    let all = [&warning, &other, &timed[0], &timed[1], &timed[2], &silenced, &twins[0], &twins[1], &inhibited];
    post_all(&sides, "/alerts", &firing(&all, 11900));
    compare(&sides, 4).await;
}
