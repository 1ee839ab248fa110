//! What pages of alerts write, and what outlives the process: rules, silences, history; the built-in rules.

use std::fs;

use serde_json::Value;
use testkit::{Exporter, Reply, Server, poll_until};

use crate::{ALONE, builder, json, start};

const RULES: &str = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - {alert: Always, expr: vector(1), labels: {severity: critical}}\n";

fn page(server: &Server, path: &str) -> String {
    let response = server.get(path).unwrap();
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    response.body
}

/// Sends a form as a browser does from a page of `origin`, and follows where it leads.
fn submit(server: &Server, path: &str, fields: &[(&str, &str)], origin: &str) -> (u16, String) {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", origin)];
    let response = server.post(path, &headers, body.as_bytes()).unwrap();
    (response.status, response.body)
}

/// The names of all rules, by file.
fn rules(server: &Server) -> Vec<(String, String)> {
    let groups = json(&server.get("/api/v1/rules").unwrap())["data"]["groups"].clone();
    let groups = groups.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |group: &Value| {
        let rules = group["rules"].as_array().cloned().unwrap_or_default();
        rules.iter().map(|rule| (text(&group["file"]), text(&rule["name"]))).collect::<Vec<_>>()
    };
    groups.iter().flat_map(of).collect()
}

#[test]
fn an_alert_made_in_a_form_tells_its_receiver_and_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (default, chosen) =
        (Exporter::start(Reply::Page(String::new())).unwrap(), Exporter::start(Reply::Page(String::new())).unwrap());
    let receiver =
        |name: &str, to: &Exporter| format!("{{name: {name}, webhook_configs: [{{url: 'http://{}/'}}]}}", to.target());
    let alertmanager = folder.path().join("alertmanager.yml");
    let text = format!(
        "route: {{receiver: default, group_wait: 0s, group_interval: 1s}}\nreceivers: [{}, {}]\n",
        receiver("default", &default),
        receiver("chosen", &chosen)
    );
    fs::write(&alertmanager, text).unwrap();
    let start = || builder(folder.path(), ALONE).arg("--alertmanager-config").arg(&alertmanager).start().unwrap();

    let server = start();
    let own = server.url().to_owned();
    let fields = [
        ("expr", "vector(3)"),
        ("op", ">"),
        ("threshold", "2"),
        ("for", "0s"),
        ("name", "Three"),
        ("receiver", "chosen"),
    ];
    // A page of another site makes no rule, and a mistake is told with its field.
    assert_eq!(submit(&server, "/alerts/edit", &fields, "http://evil.example").0, 403);
    let (status, body) = submit(&server, "/alerts/edit", &[("expr", "sum("), ("op", ""), ("name", "Bad")], &own);
    assert!(status == 422 && body.contains("parse error"), "{status} {body}");
    assert_eq!(submit(&server, "/alerts/edit", &fields, &own).0, 200);
    server.kill().unwrap();

    let server = start();
    let own = server.url().to_owned();
    assert!(rules(&server).iter().any(|(file, name)| file.ends_with("rules/own.yml") && name == "Three"));
    let told = poll_until("the notification", || {
        chosen.bodies().iter().find_map(|body| serde_json::from_str::<Value>(body).ok())
    });
    assert_eq!(told["commonLabels"]["alertname"], "Three");
    assert!(default.bodies().is_empty(), "{:?}", default.bodies());
    assert_eq!(submit(&server, "/alerts/edit/delete", &[("name", "Three")], "http://evil.example").0, 403);
    assert_eq!(submit(&server, "/alerts/edit/delete", &[("name", "Three")], &own).0, 200);
    assert_eq!(rules(&server), []);
    assert_eq!(submit(&server, "/alerts/edit/delete", &[("name", "Three")], &own).0, 422);
}

#[test]
fn a_silence_made_in_a_form_is_listed_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let alertmanager = folder.path().join("alertmanager.yml");
    fs::write(&alertmanager, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
    let server = builder(folder.path(), ALONE).arg("--alertmanager-config").arg(&alertmanager).start().unwrap();
    let own = server.url().to_owned();
    let fields =
        [("matchers", "alertname=\"A\"\r\nhost!~\"b.*\""), ("duration", "1h"), ("author", "me"), ("comment", "<b>")];
    assert_eq!(submit(&server, "/alerts/silence", &fields, "http://evil.example").0, 403);
    assert_eq!(submit(&server, "/alerts/silence", &[("matchers", "a=~\".*\""), ("duration", "1h")], &own).0, 422);
    assert_eq!(submit(&server, "/alerts/silence", &[("matchers", "a=b"), ("duration", "soon")], &own).0, 422);
    assert_eq!(submit(&server, "/alerts/silence", &fields, &own).0, 200);
    let silences = json(&server.get("/api/v2/silences").unwrap());
    assert_eq!(silences[0]["matchers"][1]["name"], "host");
    assert_eq!(
        (&silences[0]["matchers"][1]["isRegex"], &silences[0]["matchers"][1]["isEqual"]),
        (&true.into(), &false.into())
    );
    let list = page(&server, "/alerts/silences");
    assert!(list.contains("&#60;b&#62;") && !list.contains("<b>\n"), "{list}");
    let id = silences[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(submit(&server, "/alerts/silence/expire", &[("id", &id)], "http://evil.example").0, 403);
    assert_eq!(submit(&server, "/alerts/silence/expire", &[("id", &id)], &own).0, 200);
    assert_eq!(json(&server.get("/api/v2/silences").unwrap())[0]["status"]["state"], "expired");
    assert_eq!(submit(&server, "/alerts/silence/expire", &[("id", "?")], &own).0, 422);
}

/// A change that a page has shown is there after a kill, and a restart tells nothing anew.
#[test]
fn the_history_outlives_a_kill_and_tells_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    let config = format!("{ALONE}rule_files: [rules.yml]\n");
    let fired = |server: &Server| {
        page(server, "/alerts/history?q=always&state=firing").matches("<strong>Always</strong>").count()
    };
    let server = start(folder.path(), &config);
    poll_until("the alert fires", || (fired(&server) == 1).then_some(()));
    server.kill().unwrap();
    for _ in 0..2 {
        let server = start(folder.path(), &config);
        assert_eq!(fired(&server), 1, "before the first evaluation");
        poll_until("the rule runs again", || {
            let groups = json(&server.get("/api/v1/rules").unwrap());
            (groups["data"]["groups"][0]["rules"][0]["state"] == "firing").then_some(())
        });
        assert_eq!(fired(&server), 1);
        server.kill().unwrap();
    }
    // The rule is gone: its alert has ended when the files are read again.
    fs::write(folder.path().join("rules.yml"), "groups: []\n").unwrap();
    let server = start(folder.path(), &config);
    assert_eq!(fired(&server), 1);
}

#[test]
fn built_in_rules_are_there_and_switched() {
    let folder = tempfile::tempdir().unwrap();
    let count = |config: &str| {
        let server = start(folder.path(), config);
        let rules = rules(&server);
        let built_in = rules.iter().filter(|(file, _)| file.starts_with("built-in/"));
        let names: Vec<&str> = built_in.map(|(_, name)| name.as_str()).collect();
        assert_eq!(server.get("/alerts/runbook/StoreReadOnly").unwrap().status, 200);
        assert_eq!(server.get("/alerts/runbook/Nothing").unwrap().status, 404);
        (names.len(), names.contains(&"StoreReadOnly"), names.contains(&"DeadMansSwitch"))
    };
    assert_eq!(count(ALONE), (0, false, false));
    let (all, read_only, deadman) = count(&format!("{ALONE}builtin_rules: {{enabled: true}}\n"));
    assert!(all > 80 && read_only && !deadman, "{all}");
    let off = "builtin_rules: {deadman: true, cilium: false, disabled: [StoreReadOnly]}\n";
    let (fewer, read_only, deadman) = count(&format!("{ALONE}{off}"));
    assert!(fewer < all && !read_only && deadman, "{fewer}");
}
