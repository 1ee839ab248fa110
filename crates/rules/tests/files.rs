//! Rule files: what loads, and every complaint with its place.

use std::path::{Path, PathBuf};

use rules::{Group, RuleKind, decode, load};

fn check(text: &str, expected: &[&str]) {
    let report = yaml::Report::default();
    decode("r.yml", text, &report);
    let got: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    assert_eq!(got, expected, "{text}");
}

fn rule(body: &str) -> String {
    format!("groups:\n- name: a\n  rules:\n  - {body}\n")
}

#[test]
fn says_everything_at_once() {
    check("", &[]);
    check("groups:\n- name: a\n", &[]);
    check("groups:\n- {name: a, limit: -1}\n", &[]);
    check(
        "groups:\n- name: a\n---\n}\n",
        &["r.yml:3:1: warning: only the first YAML document of a file is read; keep one document a file"],
    );
    check(
        "groups:\n- name: \"\"\n- name: a\n  interval: 15\n- name: a\n  interva: 1m\n",
        &[
            "r.yml:2:3: error: Groupname must not be empty (at groups[0])",
            "r.yml:4:13: error: not a valid duration string: \"15\" (at groups[1].interval); write a number and a unit, such as 15s, 5m or 1h30m",
            "r.yml:6:3: error: unknown key \"interva\" (at groups[2].interva); did you mean \"interval\"?",
            "r.yml:5:3: error: groupname: \"a\" is repeated in the same file (at groups[2])",
        ],
    );
    let one = |body: &str, expected: &str| check(&rule(body), &[expected]);
    one(
        "{record: x, alert: y, expr: up}",
        "r.yml:4:5: error: group \"a\", rule 1, \"y\": only one of 'record' and 'alert' must be set (at groups[0].rules[0]); make two rules of it",
    );
    one(
        "{expr: up}",
        "r.yml:4:5: error: group \"a\", rule 1, \"\": one of 'record' or 'alert' must be set (at groups[0].rules[0])",
    );
    one(
        "{alert: z}",
        "r.yml:4:5: error: group \"a\", rule 1, \"z\": field 'expr' must be set in rule (at groups[0].rules[0])",
    );
    one(
        "{alert: z, expr: sum(}",
        "r.yml:4:22: error: group \"a\", rule 1, \"z\": could not parse expression: 1:5: parse error: unclosed left parenthesis (at groups[0].rules[0].expr)",
    );
    one(
        "{record: \"a{b}\", expr: up}",
        "r.yml:4:14: error: group \"a\", rule 1, \"a{b}\": braces present in the recording rule name; should it be in expr?: a{b} (at groups[0].rules[0].record)",
    );
    one(
        "{record: r, expr: up, for: 1m}",
        "r.yml:4:32: error: group \"a\", rule 1, \"r\": invalid field 'for' in recording rule (at groups[0].rules[0].for); remove it, or write 'alert' for 'record'",
    );
    one(
        "{alert: t, expr: up, labels: {__name__: x}}",
        "r.yml:4:45: error: group \"a\": invalid label name: __name__ (at groups[0].rules[0].labels.__name__)",
    );
    one(
        "{alert: t, expr: up, annotations: {c: \"{{ nofunc 1 }}\"}}",
        "r.yml:4:43: error: group \"a\", rule 1, \"t\": annotation \"c\": template: __alert_t:1: function \"nofunc\" not defined (at groups[0].rules[0].annotations.c)",
    );
}

#[test]
fn takes_what_prometheus_takes() {
    check(
        "groups:\n- name: a\n  limit: 2\n  query_offset: 1m\n  labels: {a: b}\n  rules:\n  - alert: \"\"\n    record: z\n    expr: 1\n    for:\n    annotations: {}\n    labels: {a: 1, b: true, c: }\n",
        &[],
    );
    check(
        "groups:\n- name: a\n  rules:\n  - {record: x, expr: up}\n  - {record: x, expr: down}\n",
        &[
            "r.yml: warning: group \"a\": a rule \"x\" with the same labels stands in this file already; two rules that write the same series may contradict each other",
        ],
    );
    check(
        "groups:\n- name: a\n  type: vlogs\n",
        &[
            "r.yml:3:9: error: group type \"vlogs\" is not PromQL (at groups[0].type); skep evaluates PromQL rules only; LogsQL and Graphite rules belong to vmalert",
        ],
    );
}

/// The folder of real files beside the workspace, if this checkout has one.
fn fixtures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/rules");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: {} is not here, real rule files are not tried", folder.display());
    None
}

#[test]
fn loads_real_files() {
    let Some(folder) = fixtures() else { return };
    let report = yaml::Report::default();
    let groups = load(&["*.yml".to_owned()], &folder, &report);
    assert_eq!(report.into_problems(), []);
    // The counts are promtool's.
    assert_eq!(groups.iter().map(|group| group.rules.len()).sum::<usize>(), 2 + 31 + 35 + 37);
    let own: Vec<&Group> = groups.iter().filter(|group| group.name == "cilium-lb-alerts").collect();
    let rule = &own[0].rules[1];
    assert_eq!(
        (rule.name.as_str(), rule.query.as_str()),
        ("TooManyActiveConnections", "sum(cilium_lb_active_connections) > 10000")
    );
    let RuleKind::Alerting { hold, .. } = rule.kind else { panic!("it alerts") };
    assert_eq!(hold.as_secs(), 60);
}

#[test]
fn names_files_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.yml"), b"\xff").unwrap();
    let report = yaml::Report::default();
    let patterns = ["*.yml".to_owned(), "bad.yml".to_owned(), "none*.yml".to_owned(), "none.yml".to_owned()];
    assert_eq!(load(&patterns, folder.path(), &report), []);
    let problems: Vec<String> = report.into_problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].ends_with("bad.yml: error: is not UTF-8 text; is this a configuration file?"), "{problems:?}");
    assert!(problems[1].contains("warning: \"none.yml\" does not point to an existing file"), "{problems:?}");
}
