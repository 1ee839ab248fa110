//! Unit tests of rules beside the real promtool: the same files, the same complaints.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use rules::unittest::{Settings, run};

const RULES: &str = r#"
groups:
- name: down
  labels: {team: infra}
  rules:
  - alert: InstanceDown
    expr: up == 0
    for: 5m
    labels: {severity: page, empty: "{{ if false }}x{{ end }}"}
    annotations:
      summary: "Instance {{ $labels.instance }} down in {{ $externalLabels.site }} at {{ $value | humanize }}"
      nothing: "{{ with $labels.none }}x{{ end }}"
      seen: '{{ range query "up" | sortByLabel "instance" }}{{ .Labels.instance }}={{ .Value }} {{ end }}{{ $externalURL }}'
  - record: job:up:sum
    expr: sum by (job) (up)
- name: use
  rules:
  - record: job:up:twice
    expr: job:up:sum * 2
  - alert: Kept
    expr: job:up:sum < 2
    keep_firing_for: 3m
  - alert: Limited
    expr: up
"#;

/// Series of all tests.
const SERIES: &str = r#"
  input_series:
  - series: 'up{job="a", instance="i1"}'
    values: '1 1 0x10 _ _ 1 stale'
  - series: 'up{job="a", instance="i2"}'
    values: '1 1+0x3 0 1x20'
  - series: 'rising{le="+Inf"}'
    values: '1+2x30'
"#;

/// What skep and promtool say of a test file with this body behind `rule_files`, with and without `--diff`.
fn check(body: &str) {
    check_with(RULES, body, &[], &Settings::default());
    check_with(RULES, body, &["--diff"], &Settings { diff: true, ..Settings::default() });
}

fn check_with(rules: &str, body: &str, arguments: &[&str], settings: &Settings) {
    let Some(promtool) = testkit::peer("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let path = folder.path().join("test.yml");
    fs::write(&path, format!("rule_files: [rules.yml]\n{body}")).unwrap();
    let peer = Command::new(promtool).args(["test", "rules"]).args(arguments).arg(&path).output().unwrap();
    let peer_says = String::from_utf8(peer.stderr).unwrap();
    let outcome = run(&path, settings, |_| true);
    assert_eq!(outcome.warnings, Vec::<String>::new(), "{body}");
    let mut own = String::new();
    for (i, failure) in outcome.failures.iter().enumerate() {
        own.push_str(if i == 0 { "  FAILED:\n" } else { "" });
        own.push_str(failure);
        own.push('\n');
    }
    assert_eq!(own, peer_says, "{body}");
    assert_eq!(peer.status.code(), Some(i32::from(!outcome.failures.is_empty())), "{body}");
    let success =
        if outcome.failures.is_empty() { "  SUCCESS\n\n".to_owned() } else { "\n".repeat(outcome.failures.len() + 1) };
    let peer_says = String::from_utf8(peer.stdout).unwrap();
    assert_eq!(without_times(&format!("{}{success}", outcome.debug)), without_times(&peer_says), "{body}");
}

/// A test takes another time each time.
fn without_times(text: &str) -> String {
    text.lines()
        .map(|line| line.split_once("finished, took").map_or(line, |(before, _)| before))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn differences_and_dumps_as_promtool() {
    let rules = "groups:\n- name: g\n  rules:\n  - {alert: Hot, expr: temp > 30, labels: {s: p}, annotations: {s: \"q\\\"v\", t: \"x\\ny\", w: \"ü &<>'\"}}\n  - {record: 't:max', expr: max(temp)}\n";
    let tests = |alerts: &str| {
        format!(
            "tests:\n- interval: 1m\n  input_series: [{{series: 'temp{{job=\"a\"}}', values: '40 1 -Inf 3e300 _ stale 40x9'}}, {{series: 'temp{{job=\"b\"}}', values: '50.5x5'}}]\n  alert_rule_test: [{{eval_time: 2m, alertname: Hot, exp_alerts: [{alerts}]}}]\n- {{name: two, alert_rule_test: [{{eval_time: 1h5m, alertname: Hot, exp_alerts: []}}]}}\n"
        )
    };
    let strange = rules.replace("- name: g\n", "- name: g\n  extra: 1\n");
    for alerts in [
        "",
        "{}",
        "{exp_labels: {job: b, s: p}}",
        "{exp_labels: {job: b, s: q}, exp_annotations: {s: 'q\"u', v: 'ü \\ <'}}",
        "{exp_labels: {job: b, s: p}}, {exp_labels: {job: c}, exp_annotations: {x: y}}, {}",
    ] {
        let tests = tests(alerts);
        check_with(rules, &tests, &["--diff"], &Settings { diff: true, ..Settings::default() });
        check_with(rules, &tests, &["--debug"], &Settings { debug: true, ..Settings::default() });
        let lenient = Settings { ignore_unknown_fields: true, ..Settings::default() };
        check_with(&strange, &tests, &["--ignore-unknown-fields"], &lenient);
    }
}

/// Without an order promtool evaluates groups in any.
fn group(tests: &str) -> String {
    format!("group_eval_order: [down, use]\n{}", unordered(tests))
}

fn unordered(tests: &str) -> String {
    format!(
        "tests:\n- interval: 1m\n  name: one\n  external_labels: {{site: home}}\n  external_url: http://p:9/x\n{SERIES}{tests}"
    )
}

#[test]
fn alerts_as_promtool() {
    let expected = |time: &str, name: &str, alerts: &str| {
        check(&group(&format!(
            "  alert_rule_test:\n  - eval_time: {time}\n    alertname: {name}\n    exp_alerts: {alerts}\n"
        )));
    };
    expected("3m", "InstanceDown", "[]");
    expected("8m", "InstanceDown", "[]");
    expected("8m30s", "InstanceDown", "[{exp_labels: {severity: page, team: infra, job: a, instance: i1}}]");
    expected(
        "8m",
        "InstanceDown",
        "[{exp_labels: {severity: page, team: infra, job: a, instance: i1}, exp_annotations: {nothing: '', seen: 'i1=0 i2=1 http://p:9/x', summary: 'Instance i1 down in home at 0'}}]",
    );
    expected(
        "8m",
        "InstanceDown",
        "[{exp_labels: {severity: page}}, {exp_labels: {a: b}, exp_annotations: {c: 'd\"e'}}]",
    );
    for minute in 0..25 {
        expected(&format!("{minute}m"), "Kept", "[]");
        expected(&format!("{minute}m"), "Limited", "[]");
    }
    expected("5m", "Nothing", "[]");
    expected("5m", "Nothing", "");
}

#[test]
fn expressions_as_promtool() {
    let expected = |expr: &str, time: &str, samples: &str| {
        check(&group(&format!(
            "  promql_expr_test:\n  - expr: '{expr}'\n    eval_time: {time}\n    exp_samples: {samples}\n"
        )));
    };
    expected("job:up:sum", "4m", "[{labels: 'job:up:sum{job=\"a\"}', value: 1}]");
    expected("job:up:sum", "5m", "[{labels: 'job:up:sum{job=\"a\"}', value: 1}]");
    expected("job:up:twice", "5m", "[]");
    expected("up", "3m", "[]");
    expected("up", "20m", "[]");
    expected("ALERTS", "9m", "[]");
    expected("ALERTS_FOR_STATE", "9m", "[]");
    expected("rate(rising[5m])", "10m", "[{labels: '{le=\"+Inf\"}', value: 0.03333333333333333}]");
    expected("rate(rising[5m])", "10m", "[{labels: '{le=\"+Inf\"}', value: 0.033}]");
    expected("avg_over_time(rising[5m:])", "7m30s", "[]");
    expected("1", "1m", "[{labels: '{}', value: 1}]");
    expected("1 / 0", "1m", "[]");
    expected("vector(0) / 0", "1m", "[{labels: '{}', value: .nan}]");
    expected("vector(-0.00000012345)", "1m", "[]");
    expected("sum(", "1m", "[]");
    expected("up[5m]", "1m", "[]");
    expected("up", "1m", "[{labels: 'up{', value: 1}]");
    expected("timestamp(up)", "4m30s", "[]");
    expected("up", "4m30s", "[]");
    expected("absent(nothing)", "0s", "");
}

#[test]
fn groups_and_steps_as_promtool() {
    check("tests: []\n");
    check("evaluation_interval: 30s\ngroup_eval_order: [use, down]\ntests: []\n");
    let exprs = "  promql_expr_test:\n  - {expr: job:up:twice, eval_time: 5m}\n  - {expr: ALERTS, eval_time: 12m}\n";
    check(&group(exprs));
    check(&format!("evaluation_interval: 30s\n{}", group(exprs)));
    check(&format!("evaluation_interval: 7m\n{}", group(exprs)));
    check(&format!("group_eval_order: [use, down]\n{}", unordered(exprs)));
    check(&format!("{}- interval: 30s\n{SERIES}{exprs}", group(exprs)));
    check(&group("  alert_rule_test: [{eval_time: 1m}]\n"));
}

/// What promtool refuses is refused, in skep's words.
#[test]
fn refuses_what_is_no_test() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |text: &str, expected: &str| {
        let path = folder.path().join("bad.yml");
        fs::write(&path, text).unwrap();
        let failures = run(&path, &Settings::default(), |_| true).failures;
        assert!(failures.iter().any(|failure| failure.contains(expected)), "{text}: {failures:?}");
        if let Some(promtool) = testkit::peer("promtool") {
            let peer = Command::new(promtool).args(["test", "rules"]).arg(&path).output().unwrap();
            assert_eq!(peer.status.code(), Some(1), "{text}");
        }
    };
    refuse("x: y\n", "unknown key \"x\"");
    refuse(
        "tests: [{input_series: [{series: 'up{', values: '1'}], promql_expr_test: [{expr: up, eval_time: 1m}]}]\n",
        "not closed",
    );
    refuse(
        "tests: [{input_series: [{series: up, values: '1 a'}], promql_expr_test: [{expr: up, eval_time: 1m}]}]\n",
        "bad value \"a\"",
    );
    refuse("tests: [{promql_expr_test: [{expr: up, eval_time: x}]}]\n", "not a valid duration");
    refuse("group_eval_order: [a, a]\ntests: []\n", "group name repeated in evaluation order: a");
    fs::write(folder.path().join("r.yml"), "groups: [{name: a, rules: [{record: x, expr: 'sum('}]}]").unwrap();
    refuse("rule_files: [r.yml]\ntests: [{name: x}]\n", "unclosed left parenthesis");
}

#[test]
fn runs_the_groups_that_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.yml");
    let group = |name: &str| format!("- name: {name}\n  promql_expr_test: [{{expr: '1', eval_time: 1m}}]\n");
    fs::write(&path, format!("tests:\n{}{}", group("a"), group("b"))).unwrap();
    assert_eq!(run(&path, &Settings::default(), |_| true).failures.len(), 2);
    assert_eq!(run(&path, &Settings::default(), |name| name == "a").failures.len(), 1);
    assert_eq!(run(&path, &Settings::default(), |name| name == "c").failures.len(), 0);
}
