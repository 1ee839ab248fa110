//! A script of many minutes: alerts fire, end, come again, inhibit each other and are silenced at random, through a tree of
//! routes with every kind of grouping and hours. Receivers must hear the same at the same looks.
//!
//! Everything is sent at multiples of a step of the wall clock, and alerts end then, while both look at their groups in the
//! middle of a step: what they hear follows from the script alone. It is cut into episodes, each with groups of its own,
//! after which all groups have ended; an episode in which the machine was too busy to keep these times shows nothing and
//! is played again, as is one that differs: a real difference is there each time. A few alerts fire through all episodes,
//! and drift.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::notifications::{alert, hook, post_all, time};
use crate::sides::{Side, sides};

/// Milliseconds between two steps; a minute is a multiple.
const STEP: i64 = 3000;

/// The groups' wait: both look at them in the middle of a step.
const WAIT: i64 = STEP / 2;

/// What lies between the look and the arrival, or between a step and the end of its requests, at most.
const LATE_MAX: i64 = 1200;

/// Steps of an episode, then those in which all groups end: the longest group interval and one more.
const STEPS: u64 = 10;
const STEPS_TO_END: u64 = 3;

/// Episodes of the long form, a quarter of an hour, and how often one is played when the machine is busy.
const EPISODES_MAX: u64 = 23;
const PLAYED_MAX: u64 = 3;

/// Distinct alerts of an episode.
const ALERTS: u64 = 40;

/// Notifications of one side by receiver and group, each with its step.
type Heard = BTreeMap<String, Vec<(i64, Value)>>;

#[tokio::test(flavor = "multi_thread")]
async fn hears_the_same_through_a_long_script() {
    let Some(sides) = sides(config).await else { return };
    let began = SystemClock.now();
    let hour = began + 3_600_000;
    let steady: Value =
        (0..3).map(|i| alert(&[("alertname", "Steady"), ("i", &i.to_string())], began, hour - began)).collect();
    post_all(&sides, "/alerts", &steady);
    let episodes = testkit::soak_factor().min(EPISODES_MAX);
    let (mut compared, mut different, mut busy) = ([0, 0], Vec::new(), 0);
    for episode in 0..episodes {
        // What follows from the script alone comes again when it is played again; what a busy machine does, does not.
        let mut unlike: Vec<String> = Vec::new();
        for played in 0..PLAYED_MAX {
            let name = format!("{episode}.{played}");
            let heard = match play(&sides, episode + 1, &name).await {
                Ok(heard) => heard,
                Err(reason) => {
                    busy += 1;
                    println!("episode {name} shows nothing: {reason}");
                    continue;
                }
            };
            let found = differences(&heard);
            if found.is_empty() {
                compared[0] += heard[0].values().map(Vec::len).sum::<usize>();
                compared[1] += heard[0].len();
                unlike.clear();
                break;
            }
            println!("episode {name} differs:\n{}", found.join("\n"));
            if !unlike.is_empty() {
                different.append(&mut unlike);
                break;
            }
            unlike = found;
        }
    }
    let seconds = (SystemClock.now() - began) / 1000;
    println!(
        "{seconds} s, {episodes} episodes, {busy} of them played in vain: {} notifications in {} groups, {} groups differ",
        compared[0],
        compared[1],
        different.len()
    );
    assert!(different.is_empty(), "{}", different.join("\n"));
    if compared[0] == 0 {
        println!("SKIPPED: this machine is too busy to keep the script's times");
    }
    let told = sides.each_ref().map(|side| of(side, 0, |body| body["groupLabels"]["alertname"] == "Steady"));
    let [peer, own] = told.map(|heard| heard.into_values().flatten().map(|(_, body)| body).collect::<Vec<_>>());
    // What drifts may have been told once more on one side.
    let common = peer.len().min(own.len());
    assert!(common > 0 && peer.len().abs_diff(own.len()) <= 1, "{} {}", peer.len(), own.len());
    assert_eq!(peer[..common], own[..common]);
}

/// The groups of which both did not hear the same.
fn differences([peer, own]: &[Heard; 2]) -> Vec<String> {
    let keys: BTreeSet<&String> = peer.keys().chain(own.keys()).collect();
    let unlike = keys.into_iter().filter(|key| peer.get(*key) != own.get(*key));
    unlike.map(|key| format!("{key}\n{}", side_by_side(peer.get(key), own.get(key)))).collect()
}

/// Minutes of the hour in which `odd` is quiet.
fn odd_minutes() -> String {
    let day = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let odd = (0..720).map(|i| format!("{{start_time: '{}', end_time: '{}'}}", day(2 * i + 1), day(2 * i + 2)));
    odd.collect::<Vec<_>>().join(", ")
}

fn config(address: &str) -> String {
    let plain = ["each", "zone", "closed", "minutes", "steady"].map(|name| hook(address, name, "")).concat();
    format!(
        "route:
  receiver: all
  group_by: [alertname, episode]
  group_wait: {WAIT}ms
  group_interval: {STEP}ms
  repeat_interval: {repeat}ms
  routes:
  - {{matchers: [alertname=Steady], receiver: steady, repeat_interval: 31s, group_by: [alertname]}}
  - {{matchers: [team=\"x\"], receiver: each, group_by: ['...'], continue: true}}
  - {{matchers: ['team=~\"x|y\"', 'zone!=\"z3\"'], receiver: quiet, repeat_interval: 15s, group_interval: {twice}ms, continue: true}}
  - {{matchers: [team=y], receiver: zone, group_by: [zone, episode], mute_time_intervals: [never], active_time_intervals: [always]}}
  - matchers: [team=z]
    receiver: closed
    mute_time_intervals: [always]
    routes: [{{matchers: ['zone=~\"z[01]\"'], receiver: minutes, mute_time_intervals: [odd]}}]
inhibit_rules:
- {{source_matchers: [s=critical], target_matchers: [s=warning], equal: [zone, episode]}}
time_intervals:
- {{name: always, time_intervals: [{{years: ['2000:2100']}}]}}
- {{name: never, time_intervals: [{{years: ['1999']}}]}}
- {{name: odd, time_intervals: [{{times: [{odd}]}}]}}
receivers:
{}{}{plain}",
        hook(address, "all", ", max_alerts: 2"),
        hook(address, "quiet", ", send_resolved: false"),
        repeat = 7 * STEP / 2,
        twice = 2 * STEP,
        odd = odd_minutes(),
    )
}

/// Waits for a time of the wall clock.
async fn until(at: Timestamp) {
    let left = u64::try_from(at - SystemClock.now()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left)).await;
}

/// Plays an episode, and gives what both sides heard of it; an error if the machine was too busy.
async fn play(sides: &[Side; 2], seed: u64, name: &str) -> Result<[Heard; 2], String> {
    let mut random = Random(seed);
    let mut silences: Vec<[Value; 2]> = Vec::new();
    let base = (SystemClock.now() / STEP + 2) * STEP;
    for step in 0..STEPS {
        let now = base + i64::try_from(step).unwrap() * STEP;
        until(now).await;
        let drawn: BTreeMap<u64, i64> = (0..random.below(7)).map(|_| random.alert()).collect();
        if !drawn.is_empty() {
            let alerts: Value = drawn.into_iter().map(|(i, steps)| numbered(i, name, now, steps)).collect();
            post_all(sides, "/alerts", &alerts);
        }
        if random.below(4) == 0 {
            let zone = format!("z{}", random.below(4));
            let matchers = json!([{ "name": "zone", "value": zone, "isRegex": false }, { "name": "episode", "value": name, "isRegex": false }]);
            let ids = post_all(
                sides,
                "/silences",
                &json!({ "matchers": matchers, "startsAt": time(now - 1000), "endsAt": time(now + 4 * STEP), "createdBy": "me", "comment": "why" }),
            );
            silences.push(ids.map(|answer| answer["silenceID"].clone()));
        }
        if random.below(6) == 0
            && let Some(ids) = silences.pop()
        {
            for (side, id) in sides.iter().zip(ids) {
                side.request("DELETE", &format!("/silence/{}", id.as_str().unwrap()), "");
            }
        }
        in_time(SystemClock.now() - now, "requests")?;
    }
    let last = base + i64::try_from(STEPS).unwrap() * STEP;
    until(last).await;
    let ended: Value = (0..ALERTS).map(|i| numbered(i, name, last, 0)).collect();
    post_all(sides, "/alerts", &ended);
    in_time(SystemClock.now() - last, "the last request")?;
    until(last + i64::try_from(STEPS_TO_END).unwrap() * STEP).await;
    let is_of = |body: &Value| body["groupLabels"]["episode"] == name;
    let heard = sides.each_ref().map(|side| of(side, base, is_of));
    for side in sides {
        for (at, _) in side.hook.heard().iter().filter(|(at, body)| *at >= base && is_of(body)) {
            in_time((at - base - WAIT).rem_euclid(STEP), "a notification")?;
        }
    }
    Ok(heard)
}

fn in_time(late: i64, what: &str) -> Result<(), String> {
    if late <= LATE_MAX { Ok(()) } else { Err(format!("{what} came {late} ms late")) }
}

/// What a side heard of some groups, with the step in which it heard it.
fn of(side: &Side, base: Timestamp, wanted: impl Fn(&Value) -> bool) -> Heard {
    let mut groups = Heard::new();
    for (at, body) in side.hook.heard().into_iter().filter(|(_, body)| wanted(body)) {
        let key = format!("{} {}", body["receiver"].as_str().unwrap(), body["groupKey"].as_str().unwrap());
        groups.entry(key).or_default().push(((at - base).div_euclid(STEP), body));
    }
    groups
}

/// The notifications of a group in short, side by side.
fn side_by_side(peer: Option<&Vec<(i64, Value)>>, own: Option<&Vec<(i64, Value)>>) -> String {
    let short = |(step, body): &(i64, Value)| {
        let alert = |alert: &Value| {
            let text = |key: &str| alert[key].as_str().unwrap_or_default().to_owned();
            format!("{}:{} {} {}", alert["labels"]["i"], text("status"), &text("startsAt")[17..], &text("endsAt")[17..])
        };
        let alerts: Vec<String> = body["alerts"].as_array().unwrap().iter().map(alert).collect();
        format!("    {step} {} {} [{}]", body["notification_reason"], body["truncatedAlerts"], alerts.join(", "))
    };
    let all = |heard: Option<&Vec<(i64, Value)>>| heard.into_iter().flatten().map(short).collect::<Vec<_>>().join("\n");
    format!("  peer\n{}\n  own\n{}", all(peer), all(own))
}

/// An alert of an episode that begins now and ends so many steps later.
fn numbered(i: u64, episode: &str, now: Timestamp, steps: i64) -> Value {
    let (team, zone) = (["w", "x", "y", "z"][(i % 4) as usize], format!("z{}", i / 4 % 4));
    let severity = if i.is_multiple_of(5) { "critical" } else { "warning" };
    let (name, i) = (format!("A{}", i % 7), i.to_string());
    let labels =
        [("alertname", &*name), ("episode", episode), ("team", team), ("zone", &zone), ("s", severity), ("i", &i)];
    // So short a time ago that it has the whole of the group's wait before it.
    let ago = WAIT / 10;
    alert(&labels, now - ago, steps * STEP + ago)
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// One that fires for some steps, or ends now.
    fn alert(&mut self) -> (u64, i64) {
        (self.below(ALERTS), [0, 2, 7, 20][self.below(4) as usize])
    }
}
