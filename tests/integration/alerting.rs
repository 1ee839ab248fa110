//! Rules fire, their series are there, and the webhook hears of it: firing, then resolved.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::{Exporter, Prometheus, Reply, Web, poll_until};

use crate::{ALONE, SKEP, builder, job, json, start, wait_for_value};

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

/// A silence that was acknowledged holds after the process was killed, and the silenced alert is told to nobody.
#[test]
fn a_silence_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Exporter::start(Reply::Page(String::new())).unwrap();
    let alertmanager = folder.path().join("alertmanager.yml");
    let route = "route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s}\n";
    let hook = format!("receivers: [{{name: hook, webhook_configs: [{{url: 'http://{}/'}}]}}]\n", receiver.target());
    fs::write(&alertmanager, format!("{route}{hook}")).unwrap();
    let start = || builder(folder.path(), ALONE).arg("--alertmanager-config").arg(&alertmanager).start().unwrap();
    let as_json = [("Content-Type", "application/json")];

    let server = start();
    let silence = r#"{"matchers": [{"name": "alertname", "value": "Quiet", "isRegex": false}], "createdBy": "me", "comment": "why",
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2096-01-01T00:00:00Z"}"#;
    let id = json(&server.post("/api/v2/silences", &as_json, silence.as_bytes()).unwrap())["silenceID"].clone();
    assert_eq!(id.as_str().map(str::len), Some(36));
    server.kill().unwrap();

    let server = start();
    let silences = json(&server.get("/api/v2/silences").unwrap());
    assert_eq!((&silences[0]["id"], &silences[0]["status"]["state"]), (&id, &Value::from("active")));
    let alerts = r#"[{"labels": {"alertname": "Quiet"}}, {"labels": {"alertname": "Loud"}}]"#;
    assert_eq!(server.post("/api/v2/alerts", &as_json, alerts.as_bytes()).unwrap().status, 200);
    assert_eq!(notification(&receiver, "firing")["groupLabels"]["alertname"], "Loud");
    let quiet = json(&server.get("/api/v2/alerts?filter=alertname%3DQuiet").unwrap());
    assert_eq!((&quiet[0]["status"]["silencedBy"][0], &quiet[0]["status"]["state"]), (&id, &Value::from("suppressed")));
    assert!(receiver.bodies().iter().all(|body| !body.contains("Quiet")));
    // Another page of the browser must not silence anything.
    let foreign = [as_json[0], ("Origin", "http://evil.example")];
    assert_eq!(server.post("/api/v2/silences", &foreign, silence.as_bytes()).unwrap().status, 403);
}

#[test]
fn without_an_alertmanager_yml_there_is_no_api_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let answer = server.get("/api/v2/alerts").unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("--alertmanager-config"), "{}", answer.body);
}

#[test]
fn unit_tests_of_rules_have_promtools_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    let run = |name: &str, expected: &str, arguments: &[&str]| {
        let file = folder.path().join(name);
        let test = format!(
            "rule_files: [rules.yml]\ntests:\n- name: one\n  input_series: [{{series: 'temperature{{job=\"a\"}}', values: '40x5'}}]\n  promql_expr_test: [{{expr: 'job:temperature:max', eval_time: 2m, exp_samples: [{{labels: 'job:temperature:max{{job=\"a\"}}', value: {expected}}}]}}]\n"
        );
        fs::write(&file, test).unwrap();
        let output = Command::new(SKEP).args(["test", "rules"]).args(arguments).arg(&file).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(run("good.yml", "40", &[]), (Some(0), "  SUCCESS\n\n".to_owned(), String::new()));
    let (code, _, errors) = run("bad.yml", "41", &[]);
    assert_eq!(code, Some(1));
    assert!(errors.starts_with("  FAILED:\n    expr: \"job:temperature:max\", time: 2m,\n"), "{errors}");
    assert_eq!(run("bad.yml", "41", &["--run", "^two$"]).0, Some(0));
    assert_eq!(run("bad.yml", "41", &["--run", "("]).0, Some(2));
    assert_eq!(run("bad.yml", "41", &["--run", "two", "--run", "one"]).0, Some(1));
}

/// The results as XML, byte for byte as promtool writes them but for the time.
#[test]
fn unit_tests_of_rules_are_told_as_junit() {
    let Some(promtool) = testkit::peer("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    let test = |name: &str, value: u32| {
        format!(
            "- name: {name}\n  input_series: [{{series: 'temperature{{job=\"a\"}}', values: '40x5'}}]\n  promql_expr_test: [{{expr: 'job:temperature:max', eval_time: 2m, exp_samples: [{{labels: 'job:temperature:max{{job=\"a\"}}', value: {value}}}]}}]\n"
        )
    };
    let file = folder.path().join("test.yml");
    let text = format!("rule_files: [rules.yml]\ntests:\n{}{}{}", test("good", 40), test("bad", 41), test("''", 40));
    fs::write(&file, text).unwrap();
    let result = |program: &Path, arguments: &[&str]| {
        let xml = folder.path().join("results.xml");
        let status = Command::new(program).args(arguments).arg("--junit").arg(&xml).arg(&file).output().unwrap().status;
        let text = fs::read_to_string(&xml).unwrap();
        let (before, after) = text.split_once("timestamp=\"").unwrap();
        (status.code(), format!("{before}{}", after.split_once('"').unwrap().1))
    };
    assert_eq!(result(Path::new(SKEP), &["test", "rules"]), result(&promtool, &["test", "rules"]));
}

/// Two Alertmanagers, one of them out of a file, with labels that are changed on the way.
const ELSEWHERE: &str = "  alert_relabel_configs:
  - {source_labels: [drop], regex: 'yes', action: drop}
  - {action: labeldrop, regex: internal}
  alertmanagers:
  - path_prefix: /pre/
    basic_auth: {username: u, password: p}
    static_configs: [{targets: [STATIC]}]
    alert_relabel_configs: [{target_label: seen_by, replacement: first}]
  - file_sd_configs: [{files: [am.json]}]
    relabel_configs:
    - {source_labels: [__meta_path], target_label: __alerts_path__}
    - {source_labels: [keep], regex: 'yes', action: keep}
";

const FIRING: &str = "groups:
- name: test
  interval: 1s
  rules:
  - {alert: Told, expr: vector(1) > 0, labels: {internal: x, severity: page}, annotations: {summary: 'a <b>'}}
  - {alert: Untold, expr: vector(1) > 0, labels: {drop: 'yes'}}
";

/// Files and arguments for a server that sends to this one.
fn elsewhere(folder: &Path, web: &Web) -> String {
    let targets = serde_json::json!([{ "targets": [web.address()], "labels": { "__meta_path": "/else", "keep": "yes" } },
        { "targets": ["127.0.0.1:1"], "labels": { "keep": "no" } }]);
    fs::write(folder.join("am.json"), targets.to_string()).unwrap();
    fs::write(folder.join("rules.yml"), FIRING).unwrap();
    let alerting = ELSEWHERE.replace("STATIC", &format!("'{}'", web.address()));
    format!("global: {{external_labels: {{site: home}}}}\nrule_files: [rules.yml]\nalerting:\n{alerting}")
}

/// What each address heard first, without what differs between servers: times and the server's own URL.
fn heard(web: &Web) -> Vec<String> {
    let first = |path: &str| {
        poll_until(path, || {
            let asked = web.requests().into_iter().find(|asked| asked.uri.path() == path)?;
            let mut alerts: Value = serde_json::from_str(&asked.body).unwrap();
            for alert in alerts.as_array_mut().unwrap() {
                let ends = alert["endsAt"].as_str().unwrap().to_owned();
                assert!(ends.len() == 24 && *ends > *alert["startsAt"].as_str().unwrap(), "{alert}");
                for key in ["startsAt", "endsAt"] {
                    alert[key] = Value::Null;
                }
                let url = alert["generatorURL"].as_str().unwrap();
                alert["generatorURL"] = url[url.find("/graph").unwrap()..].into();
            }
            Some(format!("{} {} {} {alerts}", asked.method, path, asked.header("authorization")))
        })
    };
    vec![first("/pre/api/v2/alerts"), first("/else")]
}

#[test]
fn alertmanagers_elsewhere_hear_what_prometheus_tells() {
    let web = || Web::start(None, |_| (200, Vec::new(), Vec::new())).unwrap();
    let (folder, own) = (tempfile::tempdir().unwrap(), web());
    let config = format!("{ALONE}{}", elsewhere(folder.path(), &own));
    let server = builder(folder.path(), &config).start().unwrap();
    let got = heard(&own);
    let alert = |labels: &str| {
        format!(
            r#"[{{"annotations":{{"summary":"a <b>"}},"endsAt":null,"generatorURL":"/graph?g0.expr=vector%281%29+%3E+0&g0.tab=1","labels":{labels},"startsAt":null}}]"#
        )
    };
    let first = alert(r#"{"alertname":"Told","seen_by":"first","severity":"page","site":"home"}"#);
    let second = alert(r#"{"alertname":"Told","severity":"page","site":"home"}"#);
    assert_eq!(got, [format!("POST /pre/api/v2/alerts Basic dTpw {first}"), format!("POST /else  {second}")]);

    let urls = |answer: &Value| {
        let active = answer["data"]["activeAlertmanagers"].as_array().cloned().unwrap_or_default();
        let mut urls: Vec<String> = active.iter().filter_map(|am| am["url"].as_str().map(str::to_owned)).collect();
        urls.sort();
        urls
    };
    let expected = [format!("http://{}/else", own.address()), format!("http://{}/pre/api/v2/alerts", own.address())];
    assert_eq!(urls(&json(&server.get("/api/v1/alertmanagers").unwrap())), expected);
    let metrics = server.get("/metrics").unwrap().body;
    assert!(metrics.contains("prometheus_notifications_alertmanagers_discovered 2\n"), "{metrics}");
    let sent = format!("prometheus_notifications_sent_total{{alertmanager=\"http://{}/else\"}}", own.address());
    assert!(metrics.contains(&sent), "{metrics}");
    assert!(metrics.contains("prometheus_notifications_dropped_total 0\n"), "{metrics}");
    server.stop().unwrap();

    let Some(prometheus) = testkit::peer("prometheus") else { return };
    let (folder, peer) = (tempfile::tempdir().unwrap(), web());
    let config = elsewhere(folder.path(), &peer);
    // What it tells before its discoveries found anybody is lost, so that it has to say it again soon.
    let again = ["--rules.alert.resend-delay=1s"];
    let _prometheus = Prometheus::start(&prometheus, folder.path(), &config, &again).unwrap();
    // What changes alerts for one Alertmanager changes them for the others, too, in Prometheus 3.5.
    let without = |heard: &[String]| heard.join("\n").replace(r#""seen_by":"first","#, "");
    assert_eq!(without(&got), without(&heard(&peer)));
}
