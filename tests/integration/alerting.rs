//! Rules fire, their series are there, and the webhook hears of it: firing, then resolved.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::{Exporter, Reply, poll_until};

use crate::{ALONE, builder, job, json, start, wait_for_value};

const RULES: &str = r#"
groups:
- name: test
  interval: 1s
  rules:
  - record: job:temperature:max
    expr: max by (job) (temperature)
  - alert: TooHot
    expr: job:temperature:max > 30
    for: 1s
    labels: {severity: warning}
    annotations: {summary: "{{ $labels.job }} is at {{ $value }}"}
"#;

#[test]
fn an_alert_fires_is_sent_and_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let sensor = Exporter::start(Reply::Page("temperature 42.5\n".to_owned())).unwrap();
    let receiver = Exporter::start(Reply::Page(String::new())).unwrap();
    fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    let alertmanager = folder.path().join("alertmanager.yml");
    let route = "route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 1s}\n";
    let hook = format!("receivers: [{{name: hook, webhook_configs: [{{url: 'http://{}/'}}]}}]\n", receiver.target());
    fs::write(&alertmanager, format!("{route}{hook}")).unwrap();
    let config = format!("{ALONE}rule_files: [rules.yml]\nscrape_configs:\n{}", job("oven", &sensor.target()));
    let server = builder(folder.path(), &config).arg("--alertmanager-config").arg(&alertmanager).start().unwrap();

    wait_for_value(&server, "job:temperature:max", 42.5);
    wait_for_value(&server, "ALERTS{alertname=\"TooHot\",alertstate=\"firing\",severity=\"warning\"}", 1.0);
    let alerts = json(&server.get("/api/v1/alerts").unwrap());
    assert_eq!(alerts["data"]["alerts"][0]["annotations"]["summary"], "oven is at 42.5", "{alerts}");

    let firing = notification(&receiver, "firing");
    assert_eq!(firing["version"], "4");
    assert_eq!(firing["receiver"], "hook");
    assert_eq!(firing["alerts"][0]["labels"]["alertname"], "TooHot");
    assert_eq!(firing["groupLabels"]["alertname"], "TooHot");

    sensor.reply(Reply::Page("temperature 20\n".to_owned()));
    let resolved = notification(&receiver, "resolved");
    assert_eq!(resolved["alerts"][0]["status"], "resolved");
}

fn notification(receiver: &Exporter, status: &str) -> Value {
    poll_until(&format!("a notification that is {status}"), || {
        let bodies = receiver.bodies();
        bodies.iter().filter_map(|body| serde_json::from_str::<Value>(body).ok()).find(|body| body["status"] == status)
    })
}

/// The user's own rule file, byte for byte.
#[test]
fn the_example_rules_load() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/rules/cilium-lb-alerts.yml");
    if !rules.exists() {
        eprintln!("skipped: {} is not there", rules.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rules = rules.canonicalize().unwrap();
    let server = start(folder.path(), &format!("{ALONE}rule_files: ['{}']\n", rules.display()));
    let answer = json(&server.get("/api/v1/rules").unwrap());
    let names: Vec<&str> = answer["data"]["groups"][0]["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["name"].as_str())
        .collect();
    assert_eq!(names, ["HighLoadBalancingDrops", "TooManyActiveConnections"]);
}
