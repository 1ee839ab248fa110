//! Dashboards in and out of the real program: by HTTP, by `skep dashboards`, from a folder, over kills and backups.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use testkit::{Server, poll_until};

use crate::{ALONE, SKEP, builder, start};

/// Dashboards that people use, when they are there.
const FIXTURES: &str = "../shared/fixtures/grafana";

fn board(uid: &str, title: &str) -> Vec<u8> {
    format!("{{\n  \"uid\": \"{uid}\",  \"title\": \"{title}\",\n  \"panels\": []\n}}\n").into_bytes()
}

fn post(server: &Server, path: &str, body: &[u8]) -> (u16, Value) {
    let answer = server.post(path, &[("content-type", "application/json")], body).unwrap();
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body)))
}

fn get(server: &Server, path: &str) -> Value {
    serde_json::from_str(&server.get(path).unwrap().body).unwrap_or_default()
}

/// Titles of all that is not part of skep.
fn titles(server: &Server) -> Vec<String> {
    let list = get(server, "/ui/dashboards");
    let own = list["dashboards"].as_array().into_iter().flatten().filter(|board| board["origin"] != "built in");
    own.map(|board| board["title"].as_str().unwrap_or_default().to_owned()).collect()
}

fn skep(server: &Server, args: &[&str]) -> Output {
    Command::new(SKEP).arg("dashboards").args(args).args(["--url", server.url()]).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURES);
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What was acknowledged is there after a kill, byte for byte; versions, marks and the home dashboard, too.
#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), ALONE);
    for round in 1..=5 {
        let body = board("a", &format!("Round {round}"));
        let (status, answer) = post(&server, "/ui/dashboards?folder=net&overwrite=true", &body);
        assert_eq!((status, &answer["version"]), (200, &json!(round)), "{answer}");
        for (path, form) in [("favourite", "on=1"), ("home", "on=1")] {
            let path = format!("/dashboards/about/a/{path}");
            let answer = server.post(&path, &[("content-type", "application/x-www-form-urlencoded")], form.as_bytes());
            assert!(answer.unwrap().status < 400, "{path}");
        }
        server.kill().unwrap();
        server = builder(folder.path(), ALONE).start().unwrap();
        assert_eq!(server.get("/dashboards/about/a/json").unwrap().body.as_bytes(), body);
        let listed = get(&server, "/ui/dashboards?q=round");
        let listed = &listed["dashboards"][0];
        assert!(listed["favourite"] == true && listed["home"] == true && listed["folder"] == "net", "{listed}");
    }
    let old = server.get("/dashboards/about/a/json?version=2").unwrap().body;
    assert_eq!(old.as_bytes(), board("a", "Round 2"));
    assert!(!server.errors().contains("panic"), "{}", server.errors());
}

#[test]
fn bad_dashboards_are_named_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let check = |body: &[u8], status: u16, words: &str| {
        let (is, answer) = post(&server, "/ui/dashboards", body);
        assert!(is == status && answer["message"].as_str().unwrap_or_default().contains(words), "{is} {answer}");
    };
    check(b"{\n  \"title\": oops\n}", 400, "Line 2, column 12: expected value");
    check(b"{\"a\": 1}", 400, "neither panels nor rows");
    check(b"{\"title\": \"\xff\", \"panels\": []}", 400, "Byte 11 is not UTF-8");
    check(&board("a/b", "x"), 400, "The uid \"a/b\" is no name");
    check(&board("skep-itself", "x"), 409, "is part of skep");
    assert_eq!(post(&server, "/ui/dashboards", &board("a", "One")).0, 200);
    check(&board("a", "Two"), 412, "The uid a is taken by \"One\"");
    let page = server.get("/dashboards/about/none").unwrap();
    assert!(page.status == 404 && page.body.contains("There is no dashboard none"), "{}", page.status);
}

/// Pages of other sites write nothing, whatever they send.
#[test]
fn other_sites_write_no_dashboards() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    post(&server, "/ui/dashboards", &board("a", "One"));
    let paths = [
        "/ui/dashboards",
        "/api/dashboards/db",
        "/dashboards/import",
        "/dashboards/about/a/delete",
        "/dashboards/about/a/restore",
        "/dashboards/about/a/move",
        "/dashboards/about/a/favourite",
        "/dashboards/about/a/home",
    ];
    for path in paths {
        for header in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")] {
            let answer = server.post(path, &[header], &board("b", "Evil")).unwrap();
            assert_eq!(answer.status, 403, "{path} {header:?}: {}", answer.body);
        }
    }
    assert_eq!(titles(&server), ["One"]);
}

#[test]
fn a_folder_of_dashboards_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("boards");
    fs::create_dir_all(files.join("net")).unwrap();
    fs::write(files.join("net/a.json"), board("a", "From a file")).unwrap();
    fs::write(files.join("bad.json"), "{\n  \"title\": oops\n}").unwrap();
    let config = format!("{ALONE}dashboards: {{path: boards}}\n");
    let mut server = builder(folder.path(), &config).arg("--config.auto-reload-interval=1s").start().unwrap();
    assert_eq!(titles(&server), ["From a file"], "read before the first request");
    let page = server.get("/dashboards").unwrap().body;
    assert!(page.contains("bad.json:2:12") && page.contains("expected value"), "{page}");
    let metrics = server.get("/metrics").unwrap().body;
    assert!(metrics.contains("skep_dashboard_files_bad 1\n"), "{metrics}");
    assert!(metrics.contains("skep_dashboards{origin=\"file\"} 1\n"), "{metrics}");
    assert_eq!(post(&server, "/ui/dashboards?overwrite=true", &board("a", "Mine")).0, 409);

    fs::write(files.join("net/a.json"), board("a", "Changed")).unwrap();
    fs::write(files.join("bad.json"), board("b", "Good now")).unwrap();
    poll_until("the files are read again", || (titles(&server) == ["Good now", "Changed"]).then_some(()));
    fs::remove_file(files.join("net/a.json")).unwrap();
    poll_until("the file's dashboard goes with it", || (titles(&server) == ["Good now"]).then_some(()));
    server = {
        drop(server);
        start(folder.path(), &config)
    };
    assert_eq!(titles(&server), ["Good now"]);
}

/// Grafana's API as tools use it: save, read, save again with the version that was read, find, delete.
#[test]
fn tools_for_grafana_work() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let save = |dashboard: Value, overwrite: bool| {
        let body = json!({"dashboard": dashboard, "folderUid": "net", "message": "by a tool", "overwrite": overwrite});
        post(&server, "/api/dashboards/db", body.to_string().as_bytes())
    };
    let (status, answer) = save(json!({"uid": "g", "title": "By a Tool!", "panels": []}), false);
    assert_eq!((status, &answer["status"], &answer["version"]), (200, &json!("success"), &json!(1)), "{answer}");
    assert_eq!(answer["url"], "/d/g/by-a-tool");
    let mut read = get(&server, "/api/dashboards/uid/g");
    assert_eq!(read["meta"]["folderTitle"], "net");
    read["dashboard"]["title"] = json!("Again");
    assert_eq!(save(read["dashboard"].clone(), false).1["version"], 2);
    let (status, answer) = save(read["dashboard"].clone(), false);
    assert_eq!((status, &answer["version"]), (200, &json!(2)), "the same once more changes nothing");
    read["dashboard"]["title"] = json!("Too late");
    let (status, answer) = save(read["dashboard"].clone(), false);
    assert_eq!((status, &answer["status"]), (412, &json!("version-mismatch")), "{answer}");
    assert_eq!(save(read["dashboard"].clone(), true).1["version"], 3);
    let found = get(&server, "/api/search?query=late");
    assert_eq!((&found[0]["uid"], &found[0]["type"]), (&json!("g"), &json!("dash-db")), "{found}");
    assert_eq!(server.get("/api/dashboards/uid/none").unwrap().status, 404);
}

/// The fixtures go in by `skep dashboards import`, each with its report, and come out as they were.
#[test]
fn fixtures_come_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let files = fixtures();
    let mut args = vec!["import", "--folder", "From Grafana"];
    args.extend(files.iter().map(|file| file.to_str().unwrap()));
    let none = skep(&server, &["import"]);
    assert!(none.status.code() == Some(2) && said(&none).contains("name a FILE"), "{}", said(&none));
    if files.is_empty() {
        return;
    }
    let output = skep(&server, &args);
    println!("{}", said(&output));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches(": created ").count(), files.len(), "{}", said(&output));
    assert!(said(&output).contains("4 not carried\n  panel 62 "), "{}", said(&output));
    let listed = said(&skep(&server, &["list", "hubble", "grafana"]));
    assert_eq!(listed.lines().count(), 3, "{listed}");

    let out = folder.path().join("out");
    let output = skep(&server, &["export", "--to", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let written: Vec<PathBuf> = fs::read_dir(out.join("From Grafana")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(written.len(), files.len());
    for file in written {
        let body = fs::read(&file).unwrap();
        assert!(files.iter().any(|fixture| fs::read(fixture).unwrap() == body), "{} changed", file.display());
    }
    let unknown = skep(&server, &["export", "nobody"]);
    assert!(
        unknown.status.code() == Some(1) && said(&unknown).contains("nobody: there is no such"),
        "{}",
        said(&unknown)
    );
    for file in &files {
        let uid = serde_json::from_slice::<Value>(&fs::read(file).unwrap()).unwrap()["uid"].clone();
        let page = server.get(&format!("/dashboards/about/{}", uid.as_str().unwrap())).unwrap();
        assert!(page.status == 200 && page.body.contains("not carried") | page.body.contains("Everything is carried"));
    }
}

#[test]
fn a_backup_has_the_dashboards() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    post(&server, "/ui/dashboards", &board("a", "One"));
    post(&server, "/ui/dashboards?overwrite=true", &board("a", "Two"));
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let run = |args: &[&str]| Command::new(SKEP).args(args).output().unwrap();
    let output = run(&["backup", "--data-dir", data.to_str().unwrap(), backup.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    drop(server);
    fs::remove_dir_all(&data).unwrap();
    let output = run(&["restore", backup.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let server = builder(folder.path(), ALONE).start().unwrap();
    assert_eq!(titles(&server), ["Two"]);
    assert_eq!(server.get("/dashboards/about/a/json?version=1").unwrap().body.as_bytes(), board("a", "One"));
}
