//! What a configuration means, and that it is judged as `promtool check config` judges it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use scrape::Config;
use yaml::{Place, Report, Severity};

/// Keys of the root that other rooms decode.
const OTHER_ROOMS: [&str; 9] = [
    "alerting",
    "otlp",
    "remote_read",
    "remote_write",
    "rule_files",
    "runtime",
    "scrape_config_files",
    "storage",
    "tracing",
];

fn decode(text: &str) -> (Config, Vec<yaml::Problem>) {
    let report = Report::default();
    let config = match yaml::parse("f.yml", text) {
        Err(problem) => {
            report.push(*problem);
            Config::default()
        }
        Ok(node) => Place::root(&node, "f.yml", &report).section().map_or_else(Config::default, |root| {
            let config = Config::decode(&root);
            OTHER_ROOMS.iter().for_each(|key| drop(root.get(key)));
            root.finish();
            config
        }),
    };
    (config, report.into_problems())
}

fn check(text: &str, expected: &[&str]) {
    let got: Vec<String> = decode(text).1.iter().map(ToString::to_string).collect();
    assert_eq!(got, expected, "{text}");
}

#[test]
fn defaults_and_inheritance() {
    let (config, problems) = decode(
        "global:\n  scrape_interval: 15s\n  external_labels: {monitor: x, n: 5}\n  sample_limit: 10\n  body_size_limit: 1MB\n\
         scrape_configs:\n- job_name: a\n  static_configs:\n  - targets: ['h:1', 'h:2']\n    labels: {x: y}\n\
         - job_name: b\n  scrape_interval: 5s\n  sample_limit: 20\n  params: {module: [m]}\n  authorization: {credentials: s3cret}\n",
    );
    assert_eq!(problems, []);
    let [a, b] = &config.jobs[..] else { panic!() };
    assert_eq!((a.interval.as_secs(), a.timeout.as_secs()), (15, 10));
    assert_eq!((b.interval.as_secs(), b.timeout.as_secs()), (5, 5));
    assert_eq!((a.limits.samples, b.limits.samples, b.limits.body_size_bytes), (Some(10), Some(20), Some(1 << 20)));
    assert_eq!(config.global.external_labels.to_string(), r#"{monitor="x", n="5"}"#);
    assert_eq!(a.static_targets[1].to_string(), r#"{__address__="h:2", x="y"}"#);
    assert_eq!(b.params, [("module".to_owned(), vec!["m".to_owned()])]);
    assert!(!format!("{b:?}").contains("s3cret"));
    let (empty, _) = decode(
        "scrape_configs: [{job_name: a, metrics_path: , honor_timestamps: , relabel_configs: [{target_label: x, regex: }]}]",
    );
    let job = &empty.jobs[0];
    assert_eq!((job.metrics_path.as_str(), job.honor_timestamps), ("", false));
    assert!(!job.relabel[0].pattern.is_match("x") && job.relabel[0].pattern.is_match(""));
    let (defaults, _) = decode("");
    assert_eq!((defaults.global.scrape_interval.as_secs(), defaults.global.scrape_timeout.as_secs()), (60, 10));
}

#[test]
fn everything_wrong_is_said_at_once() {
    check(
        "global: {scrape_timeout: 2m}\nscrape_configs:\n- job_name: a\n  scrape_timout: 5s\n  static_configs: [{targets: ['http://h/']}]\n\
         - job_name: a\n  kubernetes_sd_configs: []\n  relabel_configs: [{action: hashmod, target_label: x}]\n-\n",
        &[
            "f.yml:1:26: error: global scrape timeout greater than scrape interval (at global.scrape_timeout); lower it, or raise scrape_interval",
            "f.yml:5:31: error: \"http://h/\" is not a valid hostname (at scrape_configs[0].static_configs[0].targets[0]); write host:port; scheme and path have keys of their own, scheme and metrics_path",
            "f.yml:4:3: error: unknown key \"scrape_timout\" (at scrape_configs[0].scrape_timout); did you mean \"scrape_timeout\"?",
            "f.yml:8:21: error: relabel configuration for hashmod requires non-zero modulus (at scrape_configs[1].relabel_configs[0]); add modulus",
            "f.yml:7:26: warning: valid, but without effect in this version of skep (at scrape_configs[1].kubernetes_sd_configs)",
            "f.yml:6:3: error: found multiple scrape configs with job name \"a\" (at scrape_configs[1]); the first one is at line 3",
            "f.yml:9:2: error: empty or null scrape config section (at scrape_configs[2]); give it a job_name, or remove it",
        ],
    );
}

/// One job, whose further keys are the case; the peer's verdicts are those of Prometheus 3.5.
const JUDGED: [(&str, bool); 45] = [
    ("relabel_configs: [{action: , target_label: x}]", false),
    ("relabel_configs: [{target_label: x, regex: , replacement: , separator: }]", true),
    ("metrics_path:\n  scheme:\n  scrape_interval:\n  honor_labels:", true),
    ("scheme: ftp", true),
    ("static_configs: [{targets: ['http://x/y']}]", false),
    ("static_configs: [{targets: ['']}]", false),
    ("static_configs: [null]", false),
    ("static_configs: [{targets: [x], labels: {'__x': y, 'a-b': c, d: }}]", true),
    ("scrape_interval: 0s", true),
    ("scrape_timeout: 0s", true),
    ("scrape_interval: 5s", true),
    ("scrape_interval: 5s\n  scrape_timeout: 6s", false),
    ("sample_limit: -1", false),
    ("body_size_limit: 0", true),
    ("body_size_limit: 1.5MB", true),
    ("body_size_limit: 10", false),
    ("body_size_limit: 10MiB", true),
    ("body_size_limit: 10mb", false),
    ("body_size_limit: 1MB5KB", true),
    ("relabel_configs: [null]", false),
    ("relabel_configs: [{}]", false),
    ("relabel_configs: [{action: REPLACE, target_label: x}]", true),
    ("relabel_configs: [{action: foo}]", false),
    ("relabel_configs: [{target_label: 'a-$1'}]", true),
    ("relabel_configs: [{action: keep}]", true),
    ("relabel_configs: [{action: keep, source_labels: [x], regex: }]", true),
    ("relabel_configs: [{action: lowercase, target_label: x, replacement: y}]", false),
    ("relabel_configs: [{action: labelmap, replacement: '-'}]", true),
    ("relabel_configs: [{action: labeldrop, source_labels: []}]", false),
    ("relabel_configs: [{target_label: x, action: hashmod}]", false),
    ("relabel_configs: [{target_label: x, regex: '('}]", false),
    ("relabel_configs: [{target_label: x, regex: 5}]", true),
    ("relabel_configs: [{target_label: x, source_labels: ['']}]", false),
    ("relabel_configs: [{target_label: x, source_labels: a}]", false),
    ("scrape_protocols: [Foo]", false),
    ("scrape_protocols: [PrometheusProto, PrometheusProto]", false),
    ("scrape_protocols: []", false),
    ("fallback_scrape_protocol: x", false),
    ("basic_auth: {username: x}\n  authorization: {credentials: y}", false),
    ("authorization: {}", true),
    ("authorization: {type: Basic, credentials: y}", false),
    ("basic_auth: {username: x, username_file: y}", false),
    ("bearer_token: x\n  bearer_token_file: y", false),
    ("metric_name_escaping_scheme: foo", false),
    ("params: {x: y}", false),
];

#[test]
fn judges_as_prometheus_does() {
    for (keys, good) in JUDGED {
        let (_, problems) = decode(&format!("scrape_configs:\n- job_name: a\n  {keys}\n"));
        let errors: Vec<_> = problems.iter().filter(|p| p.severity == Severity::Error).collect();
        assert_eq!(errors.is_empty(), good, "{keys}: {errors:?}");
    }
}

/// Files, by the beginning of their names, that are judged by other rooms, by discoveries that are not built, or
/// differently by the two releases of Prometheus that the files and the peer are of.
const JUDGED_ELSEWHERE: [&str; 14] = [
    "azure_",
    "empty_alert_",
    "empty_rr_",
    "global_",
    "kubernetes_",
    "labelmap",
    "lightsail_",
    "local_",
    "marathon_",
    "otlp_",
    "outscale_",
    "puppetdb_",
    "remote_",
    "rules",
];

#[test]
fn judges_real_files_as_promtool_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/config");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return eprintln!("SKIPPED: {} is absent", folder.display());
    };
    let Some(promtool) = testkit::peer("promtool") else { return };
    let mut differing = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let output = Command::new(&promtool).args(["check", "config", "--syntax-only"]).arg(&path).output().unwrap();
        let (_, problems) = decode(&std::fs::read_to_string(&path).unwrap());
        let errors: Vec<_> = problems.iter().filter(|p| p.severity == Severity::Error).collect();
        if errors.is_empty() != output.status.success() && !JUDGED_ELSEWHERE.iter().any(|start| name.starts_with(start))
        {
            let verdict = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
            differing.push(format!("{name}: ours {errors:?}, promtool: {verdict}"));
        }
    }
    differing.sort();
    for line in differing {
        println!("{line}");
    }
}
