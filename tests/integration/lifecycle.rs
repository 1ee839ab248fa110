//! Start, reload, stop, and one owner a data folder.

use std::fs;

use model::Clock;
use testkit::{Authority, Exporter, Reply, ServerBuilder, WriteRequest, poll_until};

use crate::{ALONE, SKEP, builder, job, json, start, value, vector, wait_for_value};

#[test]
fn with_nothing_configured_it_collects_the_machine_and_itself() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerBuilder::new(SKEP, folder.path()).start().unwrap();
    poll_until("the host's memory", || {
        (!vector(&server, "node_memory_MemTotal_bytes{job=\"node\"}").is_empty()).then_some(())
    });
    poll_until("its own metrics", || (!vector(&server, "skep_build_info").is_empty()).then_some(()));
    let metrics = server.get("/metrics").unwrap();
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("# TYPE skep_build_info gauge"), "{}", metrics.body);
    assert_eq!(server.get("/-/healthy").unwrap().status, 200);
    assert_eq!(server.get("/-/ready").unwrap().status, 200);
    for page in ["/", "/query", "/targets", "/alerts"] {
        let response = server.get(page).unwrap();
        assert_eq!(response.status, 200, "{page}: {}", response.body);
        assert!(response.body.contains("<!doctype html>") || response.body.contains("<!DOCTYPE html>"), "{page}");
    }
    assert!(server.stop().unwrap().success(), "SIGTERM is a clean end");
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let (code, said) = builder(folder.path(), ALONE).run().unwrap();
    assert_eq!(code, Some(1), "{said}");
    let data = folder.path().join("data");
    assert!(said.contains(&data.display().to_string()), "names the folder: {said}");
    assert!(said.contains(&server.pid().to_string()), "names the owner: {said}");
}

#[test]
fn data_and_configuration_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(Reply::Page("kept 42\n".to_owned())).unwrap();
    let config = format!("{ALONE}scrape_configs:\n{}", job("kept", &exporter.target()));
    let server = start(folder.path(), &config);
    wait_for_value(&server, "kept", 42.0);
    assert!(server.stop().unwrap().success());
    let server = start(folder.path(), ALONE);
    wait_for_value(&server, "max_over_time(kept[1h])", 42.0);
}

#[test]
fn reload_takes_a_good_file_and_leaves_a_bad_one() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(Reply::Page("late 7\n".to_owned())).unwrap();
    let server = builder(folder.path(), ALONE).arg("--web.enable-lifecycle").start().unwrap();
    let file = folder.path().join("skep.yml");

    fs::write(&file, "scrape_configs: nonsense\n").unwrap();
    let refused = server.post("/-/reload", &[], b"").unwrap();
    assert_eq!(refused.status, 500, "{}", refused.body);
    assert!(refused.body.contains("skep.yml:1:17: error: expected a list"), "{}", refused.body);

    fs::write(&file, format!("{ALONE}scrape_configs:\n{}", job("late", &exporter.target()))).unwrap();
    server.signal("HUP").unwrap();
    wait_for_value(&server, "late", 7.0);
}

#[test]
fn lifecycle_endpoints_are_closed_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    for path in ["/-/reload", "/-/quit"] {
        let response = server.post(path, &[], b"").unwrap();
        assert_eq!(response.status, 403, "{path}: {}", response.body);
        assert!(response.body.contains("--web.enable-lifecycle"), "{}", response.body);
    }
}

#[test]
fn a_page_of_another_site_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let server = builder(folder.path(), ALONE).arg("--web.enable-lifecycle").start().unwrap();
    for headers in [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        for path in ["/-/quit", "/-/reload", "/api/v1/write"] {
            let response = server.post(path, &[headers], b"").unwrap();
            assert_eq!(response.status, 403, "{path} {headers:?}: {}", response.body);
        }
    }
    assert_eq!(json(&server.get("/api/v1/query?query=1").unwrap())["status"], "success");
}

/// Reading a mapped file that lost its disk ends the process with a signal; what is read can only fail.
#[test]
fn no_file_of_the_data_folder_is_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let now = model::SystemClock.now();
    let samples: Vec<(i64, f64)> = (0..1000).map(|i| (now - 2 * 86_400_000 + i * 15_000, i as f64)).collect();
    // A history is known by its pace from one request to the next.
    for some in samples.chunks(500) {
        let request = WriteRequest::default().series(&[("__name__", "written")], some);
        let response = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body()).unwrap();
        assert_eq!(response.status, 204, "{}", response.body);
    }
    poll_until("a history to be sealed", || {
        let metrics = server.get("/metrics").unwrap().body;
        metrics.lines().any(|line| line.starts_with("skep_tsdb_blocks ") && !line.ends_with(" 0")).then_some(())
    });
    assert_eq!(value(&server, "sum(count_over_time(written[3d]))"), Some(1000.0));
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    let data = folder.path().join("data").display().to_string();
    assert!(!maps.contains(&data), "{maps}");
}

/// A file that changes is taken over by itself; a bad one is told on every page and as a metric, and the one before runs on.
#[test]
fn changed_files_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(Reply::Page("watched 5\n".to_owned())).unwrap();
    let server = builder(folder.path(), ALONE).arg("--config.auto-reload-interval=50ms").start().unwrap();
    let file = folder.path().join("skep.yml");
    let jobs = format!("{ALONE}scrape_config_files: ['jobs-*.yml']\n");
    fs::write(folder.path().join("jobs-a.yml"), format!("scrape_configs:\n{}", job("watched", &exporter.target())))
        .unwrap();
    fs::write(&file, &jobs).unwrap();
    wait_for_value(&server, "watched", 5.0);

    let good = "prometheus_config_last_reload_successful";
    fs::write(folder.path().join("jobs-b.yml"), "scrape_configs: [{job_nam: b}]\n").unwrap();
    poll_until("the bad file to be refused", || {
        server.get("/metrics").unwrap().body.contains(&format!("\n{good} 0\n")).then_some(())
    });
    let page = server.get("/targets").unwrap().body;
    assert!(
        page.contains("The changed configuration is not in force")
            && page.contains("jobs-b.yml:1:19: error: unknown key"),
        "{page}"
    );
    exporter.reply(Reply::Page("watched 6\n".to_owned()));
    wait_for_value(&server, "watched", 6.0);

    fs::remove_file(folder.path().join("jobs-b.yml")).unwrap();
    poll_until("the good files to be taken over", || {
        server.get("/metrics").unwrap().body.contains(&format!("\n{good} 1\n")).then_some(())
    });
    assert!(!server.get("/targets").unwrap().body.contains("is not in force"));
}

/// What no section of the file reads at the start only is in force after a reload; what is, is told with its place.
#[test]
fn a_reload_reaches_every_room() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Exporter::start(Reply::Page("{}".to_owned())).unwrap();
    let file = folder.path().join("skep.yml");
    let federated = "/federate?match%5B%5D=evaluated";
    let server = builder(folder.path(), ALONE).arg("--web.enable-lifecycle").start().unwrap();
    let said = || json(&server.get("/api/v1/status/runtimeinfo").unwrap())["data"]["storageRetention"].clone();
    let reload = |text: &str| {
        fs::write(&file, text).unwrap();
        let answer = server.post("/-/reload", &[], b"").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    let rules = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - {alert: fires, expr: vector(1)}\n  \
                 - {record: evaluated, expr: vector(3)}\n";
    fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let receiver = format!("receivers: [{{name: r, webhook_configs: [{{url: 'http://{}/'}}]}}]\n", taken.target());
    let route = "route: {receiver: r, group_wait: 0s}\n";
    fs::write(folder.path().join("am.yml"), format!("{route}{receiver}")).unwrap();
    let whole = "global: {external_labels: {box: b1}, evaluation_interval: 7s}\nrule_files: [rules.yml]\n\
                 probes: {enabled: false}\ncilium: {enabled: false}\nhost: {enabled: true}\n\
                 storage: {tsdb: {retention: {time: 3d, size: 1GB}}, sync_interval: 1s, memory_budget: 48MB}\n\
                 notifications: {config_file: am.yml}\n";
    reload(whole);
    wait_for_value(&server, "count(node_memory_MemTotal_bytes)", 1.0);
    wait_for_value(&server, "evaluated", 3.0);
    assert!(server.get(federated).unwrap().body.contains("evaluated{box=\"b1\""));
    assert_eq!(said(), "3d or 1.0GiB");
    let waits =
        "skep.yml:6:87: warning: this changed, and is read at the start only (at storage.memory_budget); restart";
    assert!(server.errors().contains(waits), "{}", server.errors());
    // Steps of a subquery that names none lie at multiples of the interval.
    wait_for_value(&server, "count_over_time(vector(1)[420s:])", 60.0);
    poll_until("the alert to be told", || (taken.requests() > 0).then_some(()));

    reload(ALONE);
    poll_until("the machine to go", || vector(&server, "node_memory_MemTotal_bytes").is_empty().then_some(()));
    wait_for_value(&server, "count_over_time(vector(1)[420s:])", 7.0);
    let page = server.get("/targets").unwrap().body;
    assert!(!page.contains("in-process:"), "{page}");
    assert_eq!(server.get("/-/ready").unwrap().status, 200);
}

/// Users are asked for everywhere, headers are on every answer, and a changed file is in force after a reload.
#[test]
fn strangers_are_kept_out_by_a_web_config() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web.yml");
    let write = |password: &str| {
        let hash = bcrypt::hash(password, 4).unwrap();
        let headers = "http_server_config: {headers: {X-Frame-Options: deny}}";
        fs::write(&web, format!("basic_auth_users: {{me: '{hash}'}}\n{headers}\n")).unwrap();
    };
    write("secret");
    let server = builder(folder.path(), ALONE).arg("--web.config.file").arg(&web).start().unwrap();
    // `me:secret` and `me:other`.
    let ask = |credentials: &str| {
        let header = format!("Basic {credentials}");
        server.post("/api/v1/query?query=1", &[("Authorization", &header)], b"").unwrap().status
    };
    let (secret, other) = ("bWU6c2VjcmV0", "bWU6b3RoZXI=");
    for path in ["/", "/metrics", "/-/healthy", "/api/v1/query?query=1", "/assets/none"] {
        let refused = server.get(path).unwrap();
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic")), "{path}");
        assert_eq!(refused.header("x-frame-options"), Some("deny"), "{path}");
    }
    let write_request = WriteRequest::default().series(&[("__name__", "a")], &[(1, 1.0)]);
    let refused = server.post("/api/v1/write", &WriteRequest::HEADERS, &write_request.body()).unwrap();
    assert_eq!(refused.status, 401, "{}", refused.body);
    assert_eq!((ask(secret), ask(other)), (200, 401));
    write("other");
    server.signal("HUP").unwrap();
    poll_until("the new password to count", || (ask(other) == 200).then_some(()));
    assert_eq!(ask(secret), 401);
    fs::write(&web, "basic_auth_users: {me: plain}\n").unwrap();
    let (code, said) = builder(&folder.path().join("."), ALONE).arg("--web.config.file").arg(&web).run().unwrap();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("web.yml:1:24: error: not a hash of bcrypt"), "{said}");
}

/// One skep scrapes another over TLS: with the authority's certificate, and a client's where the server asks for one.
#[test]
fn pages_are_served_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let authority = Authority::new().unwrap();
    let (own, client) = (authority.sign(&["localhost"]).unwrap(), authority.sign(&["client"]).unwrap());
    file("ca.pem", &authority.pem());
    for (name, identity) in [("own", &own), ("client", &client)] {
        file(&format!("{name}.pem"), &identity.cert);
        file(&format!("{name}.key"), &identity.key);
    }
    file(
        "web.yml",
        "tls_server_config:\n  cert_file: own.pem\n  key_file: own.key\n  client_ca_file: ca.pem\n  \
         client_auth_type: RequireAndVerifyClientCert\n",
    );
    let web = folder.path().join("web.yml");
    let served = builder(folder.path(), ALONE).arg("--web.config.file").arg(web).start().unwrap();
    let target = served.url().strip_prefix("https://127.0.0.1:").unwrap();
    let job = |name: &str, tls: &str| {
        format!(
            "- job_name: {name}\n  scheme: https\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  tls_config: {{{tls}}}\n  \
             static_configs: [{{targets: ['localhost:{target}']}}]\n"
        )
    };
    let jobs = [
        job("good", "ca_file: ca.pem, cert_file: client.pem, key_file: client.key"),
        job("stranger", "ca_file: ca.pem"),
        job("distrusting", "cert_file: client.pem, key_file: client.key"),
    ];
    let second = folder.path().join("second");
    fs::create_dir(&second).unwrap();
    for name in ["ca.pem", "client.pem", "client.key"] {
        fs::copy(folder.path().join(name), second.join(name)).unwrap();
    }
    let server = start(&second, &format!("{ALONE}scrape_configs:\n{}", jobs.concat()));
    wait_for_value(&server, "up{job=\"good\"}", 1.0);
    wait_for_value(&server, "up{job=\"stranger\"}", 0.0);
    wait_for_value(&server, "up{job=\"distrusting\"}", 0.0);
}
