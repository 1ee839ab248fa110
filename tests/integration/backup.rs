//! `skep backup`, `skep restore` and `skep tsdb`, beside a server that writes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Exporter, Reply, WriteRequest};

use crate::{ALONE, SKEP, builder, job, start, value, wait_for_value};

fn skep(args: &[&str]) -> Output {
    Command::new(SKEP).args(args).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_server_that_runs_is_backed_up_looked_at_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let exporter = Exporter::start(Reply::Page("kept 7\n".to_owned())).unwrap();
    let jobs = format!("{ALONE}scrape_configs:\n{}", job("page", &exporter.target()));
    let server = start(folder.path(), &jobs);
    wait_for_value(&server, "kept", 7.0);
    let now = value(&server, "vector(time())").unwrap();
    let samples: Vec<(i64, f64)> = (0..100).map(|i| ((now * 1000.0) as i64 - i * 1000, i as f64)).collect();
    let request = WriteRequest::default().series(&[("__name__", "sent"), ("job", "sender")], &samples);
    let answer = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body()).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.body);

    let (data, backup, restored) = (path("data"), path("backup"), path("restored"));
    let output = skep(&["backup", "--data-dir", text(&data), text(&backup)]);
    assert!(output.status.success(), "{}", said(&output));
    for folder in [&data, &backup] {
        let output = skep(&["tsdb", "verify", text(folder)]);
        assert!(output.status.success() && said(&output).contains("no damage"), "{}", said(&output));
        let output = skep(&["tsdb", "inspect", "--json", text(folder)]);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(json["log"][0]["records"].as_u64().unwrap() > 0, "{json}");
        assert_eq!(json["backup"].is_number(), folder == &backup);
        assert!(skep(&["tsdb", "analyze", text(folder)]).status.success());
    }
    let again = skep(&["backup", "--data-dir", text(&data), text(&backup)]);
    assert!(again.status.code() == Some(1) && said(&again).contains("is there already"), "{}", said(&again));

    let output = skep(&["restore", text(&backup), "--data-dir", text(&restored)]);
    assert!(output.status.success(), "{}", said(&output));
    drop(server);
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&restored, &data).unwrap();
    let server = builder(folder.path(), ALONE).start().unwrap();
    assert_eq!(value(&server, "count_over_time(sent[10m])"), Some(100.0));
    assert!(value(&server, "count_over_time(kept[10m])").is_some());
}

#[test]
fn usage_is_told() {
    let check = |args: &[&str], code: i32, words: &str| {
        let output = skep(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{args:?}: {}", said(&output));
    };
    check(&["backup"], 2, "name the folder");
    check(&["restore", "x"], 2, "--data-dir");
    check(&["tsdb"], 2, "inspect, verify or analyze");
    check(&["tsdb", "verify"], 2, "name the FOLDER");
    check(&["tsdb", "verify", "/no/such/folder"], 1, "no data folder");
    check(&["tsdb", "inspect", "/tmp", "--frob", "1"], 2, "no flag --frob");
    check(&["tsdb", "verify", "/tmp", "--limit", "1"], 2, "no flag --limit");
    check(&["tsdb", "analyze", "/tmp", "--limit", "x"], 2, "--limit: \"x\" is no number");
    check(&["backup", "/tmp/x", "--data-dir", ""], 2, "--data-dir: the path is empty");
    check(&["import", "--data-dir=", "-"], 2, "--data-dir: the path is empty");
    check(&["import", "--nan", "maybe", "-"], 2, "--nan");
    check(&["import", "--help"], 0, "promtool tsdb dump-openmetrics");
    check(&["--help"], 0, "skep tsdb verify FOLDER");
}
