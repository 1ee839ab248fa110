//! What a configuration means, and what is said about a bad one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use scrape::Config;
use yaml::{Place, Report};

fn decode(text: &str) -> (Config, Vec<yaml::Problem>) {
    let report = Report::default();
    let config = match yaml::parse("f.yml", text) {
        Err(problem) => {
            report.push(*problem);
            Config::default()
        }
        Ok(node) => Place::root(&node, "f.yml", &report).section().map_or_else(Config::default, |root| {
            let config = Config::decode(&root);
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
         - job_name: a\n  kubernetes_sd_configs: [~]\n  relabel_configs: [{action: hashmod, target_label: x}]\n-\n",
        &[
            "f.yml:1:26: error: global scrape timeout greater than scrape interval (at global.scrape_timeout); lower it, or raise scrape_interval",
            "f.yml:5:31: error: \"http://h/\" is not a valid hostname (at scrape_configs[0].static_configs[0].targets[0]); write host:port; scheme and path have keys of their own, scheme and metrics_path",
            "f.yml:4:3: error: unknown key \"scrape_timout\" (at scrape_configs[0].scrape_timout); did you mean \"scrape_timeout\"?",
            "f.yml:7:27: error: empty or null section in kubernetes_sd_configs (at scrape_configs[1].kubernetes_sd_configs[0]); fill it in, or remove it",
            "f.yml:8:21: error: relabel configuration for hashmod requires non-zero modulus (at scrape_configs[1].relabel_configs[0]); add modulus",
            "f.yml:6:3: error: found multiple scrape configs with job name \"a\" (at scrape_configs[1]); the first one is in f.yml line 3",
            "f.yml:9:2: error: empty or null scrape config section (at scrape_configs[2]); give it a job_name, or remove it",
        ],
    );
}

#[test]
fn what_skep_does_not_have_is_named() {
    let text = "global: {always_scrape_classic_histograms: true, query_log_file: q}\n\
                scrape_configs:\n- job_name: a\n  consul_sd_configs:\n  - server: h:8500\n  static_configs: [{targets: ['']}]\n";
    check(
        text,
        &[
            "f.yml:1:66: warning: valid, but this version of skep writes no such file (at global.query_log_file); the log has what fails",
            "f.yml:1:44: warning: native histograms are not built in this version of skep; classic ones are kept as they are (at global.always_scrape_classic_histograms)",
            "f.yml:5:5: warning: skep has no discovery for consul_sd_configs: nothing that it would find is collected (at scrape_configs[0].consul_sd_configs[0]); write the targets to a file that file_sd_configs reads, or serve them to http_sd_configs",
            "f.yml:6:31: warning: job \"a\": target \"\" is not scraped: no address (at scrape_configs[0].static_configs[0].targets[0])",
        ],
    );
    let skipped = decode(text).0.skipped;
    let told: Vec<_> = skipped.iter().map(|skipped| (&*skipped.job, &*skipped.key, &*skipped.place)).collect();
    assert_eq!(told, [("a", "consul_sd_configs", "f.yml:5")]);
}

#[test]
fn variables_that_are_not_there_are_named_where_they_stand() {
    check(
        "global:\n  external_labels:\n    a: b\n    c: x${NO_SUCH_VARIABLE}$$\n",
        &[
            "f.yml:4:8: warning: the environment has no variable NO_SUCH_VARIABLE, the label goes without it (at global.external_labels.c)",
        ],
    );
    check(
        "global: {external_labels: {'': b, a: []}}\n",
        &[
            "f.yml:1:28: error: \"\" is not a valid label name (at global.external_labels.)",
            "f.yml:1:38: error: expected text, found a list (at global.external_labels.a)",
        ],
    );
}
