//! `/api/v1/admin/tsdb/*`: samples deleted and copied over HTTP.

use std::process::Command;

use testkit::{Response, Server, WriteRequest};

use crate::{ALONE, SKEP, builder, json, value};

const NOW_SAMPLES: i64 = 50;

fn post(server: &Server, path: &str) -> Response {
    server.post(path, &[], b"").unwrap()
}

fn check(server: &Server, path: &str, status: u16, body: &str) {
    let answer = post(server, path);
    assert!(answer.status == status && answer.body.contains(body), "{path}: {answer:?}");
}

/// Two series of a sample a second up to now; the time of the newest.
fn fill(server: &Server) -> i64 {
    let now = value(server, "vector(time())").unwrap() as i64;
    let samples: Vec<(i64, f64)> = (0..NOW_SAMPLES).map(|i| ((now - i) * 1000, i as f64)).collect();
    let mut request = WriteRequest::default();
    for name in ["gone", "kept"] {
        request = request.series(&[("__name__", name), ("job", "sender")], &samples);
    }
    let answer = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body()).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.body);
    now
}

#[test]
fn the_administration_is_closed_unless_it_is_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = builder(folder.path(), ALONE).start().unwrap();
    let closed = r#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#;
    for route in ["snapshot", "delete_series?match[]=up", "clean_tombstones"] {
        check(&server, &format!("/api/v1/admin/tsdb/{route}"), 500, closed);
    }
    let page = "http://127.0.0.1.evil.example";
    let answer = server.post("/api/v1/admin/tsdb/snapshot", &[("Origin", page)], b"").unwrap();
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(!folder.path().join("data/snapshots").exists());
}

#[test]
fn series_are_deleted_and_snapshots_restored() {
    let folder = tempfile::tempdir().unwrap();
    let server = builder(folder.path(), ALONE).arg("--web.enable-admin-api").start().unwrap();
    let now = fill(&server);
    let count = |server: &Server, name: &str| value(server, &format!("count_over_time({name}[10m])"));

    let taken = post(&server, "/api/v1/admin/tsdb/snapshot");
    assert_eq!(taken.status, 200, "{taken:?}");
    let name = json(&taken)["data"]["name"].as_str().unwrap().to_owned();
    let (time, random) = name.split_once('-').unwrap();
    assert!(time.len() == 16 && time.ends_with('Z') && random.len() == 16, "{name}");
    let sealed = post(&server, "/api/v1/admin/tsdb/snapshot?skip_head=true");
    let sealed = json(&sealed)["data"]["name"].as_str().unwrap().to_owned();

    check(&server, &format!("/api/v1/admin/tsdb/delete_series?match[]=gone&start={}&end={now}", now - 9), 204, "");
    assert_eq!(count(&server, "gone"), Some((NOW_SAMPLES - 10) as f64));
    check(&server, "/api/v1/admin/tsdb/delete_series?match[]=gone&match[]=%7Bjob=%22nobody%22%7D", 204, "");
    assert_eq!(count(&server, "gone"), None);
    check(&server, "/api/v1/admin/tsdb/clean_tombstones", 204, "");
    assert_eq!(count(&server, "kept"), Some(NOW_SAMPLES as f64));
    let metrics = server.get("/metrics").unwrap().body;
    assert!(metrics.contains("\nskep_snapshots 2\n"), "{metrics}");
    drop(server);

    let data = folder.path().join("data");
    for (name, expected) in [(&name, Some(NOW_SAMPLES as f64)), (&sealed, None)] {
        let snapshot = data.join("snapshots").join(name);
        let restored = tempfile::tempdir().unwrap();
        let mut restore = Command::new(SKEP);
        restore.arg("restore").arg(&snapshot).arg("--data-dir").arg(restored.path().join("data"));
        let output = restore.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let server = builder(restored.path(), ALONE).start().unwrap();
        assert_eq!(count(&server, "gone"), expected, "{name}");
    }
}
