//! The same rule file beside the real Prometheus, second by second: the same evaluation times, series and alerts.
//!
//! What rules give follows from the time of their evaluation alone, so that both see the same.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{Alert, AlertSink, Clock, Labels, SystemClock, Timestamp};
use promql::{Engine, EngineOptions, QueryLimits, Value};
use rules::{Manager, Options};
use serde_json::Value as Json;
use testkit::{Exporter, Prometheus, Reply};

const RULES: &str = r#"
groups:
- name: plain
  interval: 1s
  labels: {team: infra, tier: group}
  rules:
  - {record: beat, expr: vector(time())}
  - alert: Wave
    expr: label_replace(vector(time() % 6), "n", "x", "", "") > 2
    for: 2s
    labels: {severity: '{{ if gt $value 9.0 }}critical{{ else }}warning{{ end }}', gone: '{{ if false }}x{{ end }}', tier: rule}
    annotations:
      summary: '{{ $labels.n }} at {{ $value | printf "%.1f" }} of {{ $externalLabels.site }} {{ $externalURL }}'
      now: '{{ query "vector(time())" | first | value | printf "%.3f" }}'
      empty: '{{ with query "absent(beat)" }}x{{ end }}'
      broken: '{{ query "sum(" }}'
  - alert: Kept
    expr: vector(time() % 6) > 4
    keep_firing_for: 2s
  - alert: Quick
    expr: vector(time() % 6) < 1
- name: late
  interval: 1s
  query_offset: 2s
  limit: 2
  rules:
  - {record: beat:late, expr: beat, labels: {a: b}}
  - alert: Late
    expr: beat % 6 > 3
    for: 1s
    annotations: {now: '{{ query "vector(time())" | first | value | printf "%.3f" }} {{ $value }}'}
  - alert: Many
    expr: label_replace(vector(time() % 6) > 3, "a", "1", "", "") or label_replace(vector(1), "a", "2", "", "") or vector(2)
"#;

/// Long enough for every alert to come and go once on both sides before anything is compared, then once more.
const SECONDS: u64 = 17;
const SECONDS_COMPARED: i64 = 8;

/// What both have written: series by labels, each with its samples' times and values.
type Written = BTreeMap<String, BTreeMap<Timestamp, String>>;

/// An alert as it was sent.
type Sent = BTreeSet<(String, String, Timestamp, Timestamp, String)>;

#[derive(Default)]
struct Sink(Mutex<Vec<Alert>>);

impl AlertSink for Sink {
    fn send(&self, alerts: Vec<Alert>) {
        self.0.lock().unwrap().extend(alerts);
    }
}

const QUERY: &str = "{__name__=~\"ALERTS|ALERTS_FOR_STATE|beat.*\"}[1m]";

fn labels(object: &Json) -> Labels {
    Labels::of_texts(object.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap())))
}

fn peer_written(peer: &Prometheus) -> Written {
    let encoded: String = QUERY.bytes().map(|b| format!("%{b:02X}")).collect();
    let answer: Json = serde_json::from_str(&peer.get(&format!("/api/v1/query?query={encoded}")).unwrap()).unwrap();
    let series = answer["data"]["result"].as_array().unwrap().iter().map(|series| {
        let samples = series["values"].as_array().unwrap().iter().map(|pair| {
            let time = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
            (time, pair[1].as_str().unwrap().parse::<f64>().unwrap().to_string())
        });
        (labels(&series["metric"]).to_string(), samples.collect())
    });
    series.collect()
}

fn own_written(store: &tsdb::Db) -> Written {
    let engine = Engine::new(EngineOptions::default());
    let answer = engine.instant(store, QUERY, SystemClock.now(), &QueryLimits::default()).unwrap();
    let Value::Matrix(series) = answer.value else { return Written::new() };
    let samples = |samples: &model::Samples| samples.iter().map(|s| (s.timestamp, s.value.to_string())).collect();
    series.iter().map(|series| (series.labels.to_string(), samples(&series.samples))).collect()
}

fn peer_sent(receiver: &Exporter) -> Sent {
    let time = |value: &Json| {
        value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_nanosecond().div_euclid(1_000_000)
    };
    let mut sent = Sent::new();
    for body in receiver.bodies() {
        for alert in serde_json::from_str::<Json>(&body).unwrap().as_array().unwrap() {
            let annotations = labels(alert.get("annotations").unwrap_or(&Json::Object(serde_json::Map::new())));
            let (start, end) = (time(&alert["startsAt"]) as i64, time(&alert["endsAt"]) as i64);
            let url = alert["generatorURL"].as_str().unwrap().to_owned();
            sent.insert((labels(&alert["labels"]).to_string(), annotations.to_string(), start, end, url));
        }
    }
    sent
}

fn own_sent(sink: &Sink) -> Sent {
    let alerts = sink.0.lock().unwrap();
    let sent = alerts.iter().map(|alert| {
        let (labels, annotations) = (alert.labels.to_string(), alert.annotations.to_string());
        (labels, annotations, alert.starts_at, alert.ends_at, alert.generator_url.clone())
    });
    sent.collect()
}

/// Whether both evaluated in every second of the window. On a busy machine either may miss one.
fn is_whole(written: &Written, from: Timestamp, to: Timestamp) -> bool {
    let beats = |name: &str| written.get(name).map_or(0, |samples| samples.range(from..to).count());
    let count = usize::try_from((to - from) / 1000).unwrap();
    beats(r#"{__name__="beat", team="infra", tier="group"}"#) >= count
        && beats(r#"{__name__="beat:late", a="b", team="infra", tier="group"}"#) >= count
}

fn cut(written: &Written, from: Timestamp, to: Timestamp) -> Written {
    let cut = written.iter().map(|(labels, samples)| {
        (
            labels.clone(),
            samples.range(from..to).map(|(time, value)| (*time, value.clone())).collect::<BTreeMap<_, _>>(),
        )
    });
    cut.filter(|(_, samples)| !samples.is_empty()).collect()
}

async fn attempt(program: &Path) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, RULES).unwrap();
    let receiver = Exporter::start(Reply::Status(200)).unwrap();
    let config = format!(
        "global: {{external_labels: {{site: home, tier: far}}}}\nrule_files: ['{}']\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}\n",
        file.display(),
        receiver.target()
    );
    let external_url = "http://skep.example:9090";
    let peer =
        Prometheus::start(program, folder.path(), &config, &[&format!("--web.external-url={external_url}")]).unwrap();
    let options = tsdb::Options { path: folder.path().join("own"), ..tsdb::Options::default() };
    let store = Arc::new(tsdb::Db::open(options).unwrap());
    let sink = Arc::new(Sink::default());
    let manager = Manager::new(
        Arc::new(Engine::new(EngineOptions::default())),
        store.clone(),
        store.clone(),
        Arc::new(SystemClock),
        sink.clone(),
        Options {
            external_labels: Labels::from_pairs([("site", "home"), ("tier", "far")]).into(),
            external_url: external_url.to_owned(),
            ..Options::default()
        },
    );
    let report = yaml::Report::default();
    manager.apply(rules::load_file(&file, &report)).await;
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    // A late evaluation and a late sending belong to the past all the same.
    let to = SystemClock.now() - 2000;
    let from = to - SECONDS_COMPARED * 1000;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let (theirs, ours) = (peer_written(&peer), own_written(&store));
    if !is_whole(&theirs, from, to - 3000) || !is_whole(&ours, from, to - 3000) {
        return false;
    }
    let (theirs, ours) = (cut(&theirs, from, to - 3000), cut(&ours, from, to - 3000));
    println!("{} series, {} samples", theirs.len(), theirs.values().map(BTreeMap::len).sum::<usize>());
    assert!(theirs.len() > 8, "{theirs:#?}");
    assert_eq!(ours, theirs);

    // Alerts that began or ended in the window.
    let within = |sent: Sent| -> Sent {
        let recent = |time: Timestamp| (from..to).contains(&time);
        sent.into_iter().filter(|(_, _, start, end, _)| recent(*start) || recent(*end)).collect()
    };
    let (theirs, ours) = (within(peer_sent(&receiver)), within(own_sent(&sink)));
    println!("{} alerts sent", theirs.len());
    assert!(theirs.len() > 4, "{theirs:#?}");
    assert_eq!(ours, theirs);
    manager.stop().await;
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn evaluates_as_prometheus() {
    let Some(program) = testkit::peer("prometheus") else { return };
    for _ in 0..3 {
        if attempt(&program).await {
            return;
        }
        println!("an evaluation was missed on this busy machine; once more");
    }
    println!("SKIPPED: this machine is too busy to evaluate every second");
}
