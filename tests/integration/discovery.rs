//! Targets that a server of targets names, and what is told of one that fails.

use testkit::{Exporter, Reply, poll_until};

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
        assert_eq!(value(&server, name), Some(expected), "{name}");
    }
    servers.reply(Reply::Status(500));
    failing(1);
    exporter.reply(Reply::Page("found 5\n".to_owned()));
    wait_for_value(&server, "found", 5.0);
    servers.reply(Reply::Json("[]".to_owned()));
    failing(0);
    poll_until("the target to go", || vector(&server, "found").is_empty().then_some(()));
}
