//! Targets that a server of targets names, and what is told of one that fails.

use std::fs;

use testkit::{Exporter, Prometheus, Reply, poll_until};

use crate::{ALONE, builder, value, vector, wait_for_value};

/// What was found stays while its server fails, which a metric tells; what the server no longer names goes.
#[test]
fn targets_come_from_a_server_of_targets() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(Reply::Page("found 4\n".to_owned())).unwrap();
    let named = format!("[{{\"targets\": [\"{}\"], \"labels\": {{\"rack\": \"r1\"}}}}]", exporter.target());
    let servers = Exporter::start(Reply::Json(named)).unwrap();
    let job = format!(
        "- job_name: rack\n  scrape_interval: 1s\n  scrape_timeout: 500ms\n  sample_limit: 9\n  http_sd_configs:\n  \
         - {{url: 'http://{}/', refresh_interval: 1s}}\n",
        servers.target()
    );
    let config = format!("{ALONE}scrape_configs:\n{job}");
    let plain = crate::job("plain", &exporter.target()) + "  extra_scrape_metrics: false\n";
    let config = config + &plain;
    let server = builder(folder.path(), &config).arg("--enable-feature=extra-scrape-metrics").start().unwrap();
    let failing = |count| {
        poll_until(&format!("{count} discoveries to fail"), || {
            let line = format!("\nskep_sd_failing{{job=\"rack\"}} {count}\n");
            server.get("/metrics").unwrap().body.contains(&line).then_some(())
        });
    };
    wait_for_value(&server, "found{job=\"rack\",rack=\"r1\"}", 4.0);
    failing(0);
    for (name, expected) in
        [("scrape_timeout_seconds", 0.5), ("scrape_sample_limit", 9.0), ("scrape_body_size_bytes", 8.0)]
    {
        assert_eq!(value(&server, &format!("{name}{{job=\"rack\"}}")), Some(expected), "{name}");
    }
    wait_for_value(&server, "up{job=\"plain\"}", 1.0);
    assert!(vector(&server, "scrape_sample_limit{job=\"plain\"}").is_empty(), "the job's own word counts");
    servers.reply(Reply::Status(500));
    failing(1);
    exporter.reply(Reply::Page("found 5\n".to_owned()));
    wait_for_value(&server, "found{job=\"rack\"}", 5.0);
    servers.reply(Reply::Json("[]".to_owned()));
    failing(0);
    poll_until("the target to go", || vector(&server, "found{job=\"rack\"}").is_empty().then_some(()));
}

/// Rules that watch a Prometheus find the same numbers under the same names.
#[test]
fn discoveries_are_watched_by_the_names_that_prometheus_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("good.yml"), "- targets: [a, b]\n- targets: [c]\n").unwrap();
    fs::write(path("bad.json"), "[").unwrap();
    let job = |name: &str, rest: &str| format!("- job_name: {name}\n  scrape_interval: 1s\n  {rest}\n");
    let files = format!("files: ['{0}/*.yml', '{0}/*.json']", folder.path().display());
    let jobs = [
        job("files", &format!("file_sd_configs: [{{{files}, refresh_interval: 1s}}]")),
        job("nobody", "http_sd_configs: [{url: 'http://127.0.0.1:1/', refresh_interval: 1s}]"),
        job("named", "static_configs: [{targets: [d, e]}]"),
    ];
    // The configuration and data of the servers lie elsewhere, so that no file of theirs looks like one of targets.
    let (own, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = format!("scrape_configs:\n{}", jobs.concat());
    let server = builder(own.path(), &format!("{ALONE}{config}")).start().unwrap();
    let peer =
        testkit::peer("prometheus").map(|program| Prometheus::start(&program, others.path(), &config, &[]).unwrap());
    let page = |program: &str| match program {
        "skep" => Some(server.get("/metrics").unwrap().body),
        _ => peer.as_ref().map(|peer| peer.get("/metrics").unwrap()),
    };
    let changed = fs::metadata(path("good.yml")).unwrap().modified().unwrap();
    let changed = changed.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as f64;
    let count = |job: &str| format!("prometheus_sd_discovered_targets{{config=\"{job}\",name=\"scrape\"}}");
    let mtime = |name: &str| format!("prometheus_sd_file_mtime_seconds{{filename=\"{}\"}}", path(name).display());
    let exactly = [
        (count("files"), 3.0),
        (count("nobody"), 0.0),
        (count("named"), 2.0),
        (mtime("good.yml"), changed),
        ("prometheus_sd_failed_configs{name=\"scrape\"}".to_owned(), 0.0),
    ];
    let at_least = [
        "prometheus_sd_file_read_errors_total",
        "prometheus_sd_http_failures_total",
        "prometheus_sd_refresh_failures_total{mechanism=\"http\"}",
    ];
    for program in ["skep", "Prometheus"] {
        poll_until(&format!("the numbers of discoveries of {program}"), || {
            let Some(page) = page(program) else { return Some(()) };
            let is = |series: &str| page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
            let right = exactly.iter().all(|(series, expected)| is(series) == Some(*expected));
            let counted = at_least.iter().all(|series| is(series).is_some_and(|count| count >= 1.0));
            (right && counted && is(&mtime("bad.json")).is_none()).then_some(())
        });
    }
}
