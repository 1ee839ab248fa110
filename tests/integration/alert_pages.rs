//! What pages of alerts write, and what outlives the process: rules, silences, history; the built-in rules.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;
use testkit::{Exporter, Reply, Server, Web, poll_until};

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
    let fired =
        |server: &Server| page(server, "/alerts/history?q=always&state=firing").matches(">Always</a></strong>").count();
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

/// A server with these rules and this `alertmanager.yml`.
fn serve(folder: &Path, rules: &str, alertmanager: &str) -> Server {
    let notifications = folder.join("alertmanager.yml");
    fs::write(folder.join("rules.yml"), rules).unwrap();
    fs::write(&notifications, alertmanager).unwrap();
    builder(folder, &format!("{ALONE}rule_files: [rules.yml]\n"))
        .arg("--alertmanager-config")
        .arg(&notifications)
        .start()
        .unwrap()
}

/// At every hour it is a whole day of quiet hours; what they keep back is told when they are gone.
#[test]
fn quiet_hours_keep_back_what_is_not_urgent() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Exporter::start(Reply::Page(String::new())).unwrap();
    let alertmanager = format!(
        "route: {{receiver: r, group_by: [alertname], group_wait: 3s, group_interval: 1s}}\n\
         receivers: [{{name: r, webhook_configs: [{{url: 'http://{}/'}}]}}]\n",
        hook.target()
    );
    let rules = "groups:\n- name: g\n  interval: 1s\n  rules:\n  \
        - {alert: Urgent, expr: vector(1), labels: {severity: critical}}\n  \
        - {alert: Mild, expr: vector(1), labels: {severity: warning}}\n  \
        - {alert: Beat, expr: vector(1), labels: {severity: none}}\n";
    let server = serve(folder.path(), rules, &alertmanager);
    let own = server.url().to_owned();
    let days = ["mo", "tu", "we", "th", "fr", "sa", "su"].map(|day| ("day", day));
    let whole =
        [("from", "00:00"), ("to", "00:00"), ("zone", "Europe/Berlin"), ("heard", "critical"), ("comment", "<i>")];
    let fields: Vec<(&str, &str)> = days.into_iter().chain(whole).collect();
    assert_eq!(submit(&server, "/alerts/quiet", &fields, "http://evil.example").0, 403);
    let (status, body) = submit(&server, "/alerts/quiet", &whole, &own);
    assert!(status == 422 && body.contains("Choose at least one day"), "{status} {body}");
    assert_eq!(submit(&server, "/alerts/quiet", &fields, &own).0, 200);
    let list = page(&server, "/alerts/silences");
    assert!(list.contains("quiet now") && list.contains("&#60;i&#62;") && !list.contains("<i>\n"), "{list}");

    let names = |hook: &Exporter| {
        let told = hook.bodies().iter().filter_map(|body| serde_json::from_str::<Value>(body).ok()).collect::<Vec<_>>();
        let names = told.iter().map(|told| told["commonLabels"]["alertname"].as_str().unwrap_or_default().to_owned());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    poll_until("what is urgent", || names(&hook).is_superset(&["Beat".into(), "Urgent".into()].into()).then_some(()));
    poll_until("the reason", || page(&server, "/alerts?q=Mild&state=muted").contains("quiet hours, ").then_some(()));
    let groups = json(&server.get("/api/v2/alerts/groups").unwrap()).to_string();
    assert!(groups.contains("\"mutedBy\":[\"quiet hours\"]"), "{groups}");
    assert!(!names(&hook).contains("Mild"), "{:?}", hook.bodies());
    server.kill().unwrap();

    // They outlive a kill, and end when somebody removes them.
    let server = serve(folder.path(), rules, &alertmanager);
    let own = server.url().to_owned();
    let list = page(&server, "/alerts/silences");
    let id = list.split("alerts/quiet?id=").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    assert!(page(&server, &format!("/alerts/quiet?id={id}")).contains("value=\"Europe/Berlin\""));
    assert_eq!(submit(&server, "/alerts/quiet/remove", &[("id", &id)], "http://evil.example").0, 403);
    assert_eq!(submit(&server, "/alerts/quiet/remove", &[("id", &id)], &own).0, 200);
    assert_eq!(submit(&server, "/alerts/quiet/remove", &[("id", &id)], &own).0, 422);
    assert_eq!(server.get(&format!("/alerts/quiet?id={id}")).unwrap().status, 404);
    poll_until("what they kept back", || names(&hook).contains("Mild").then_some(()));
}

/// Each receiver is wrong in its own way; each says how on the page of notifications, and the good one hears of everything.
#[test]
fn receivers_that_misbehave_are_told_of_and_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let good = Exporter::start(Reply::Page(String::new())).unwrap();
    // Nobody accepts, so that what is asked is never read.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let answers = |path: &str| match path {
        "/large" => (500, Vec::new(), vec![b'x'; 10 << 20]),
        "/loop" => (307, vec![("location", "/loop".to_owned())], Vec::new()),
        "/slack" => (200, Vec::new(), b"ok".to_vec()),
        _ => (400, Vec::new(), b"no such hook <b>".to_vec()),
    };
    let web = Web::start(None, move |asked| answers(asked.uri.path())).unwrap();
    fs::write(folder.path().join("loop.tmpl"), "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}").unwrap();
    let (at, good_at, hangs_at) = (web.address(), good.target(), hangs.local_addr().unwrap());
    let alertmanager = format!(
        "templates: [loop.tmpl]\n\
         route: {{receiver: all, group_by: [alertname], group_wait: 0s, group_interval: 1s}}\n\
         receivers:\n- name: all\n  webhook_configs:\n  - url: http://{hangs_at}/hang\n    timeout: 1s\n  - url: http://{at}/large\n  \
         - url: http://{at}/loop\n  - url: http://{at}/refused\n  - url: http://{good_at}/good\n  \
         slack_configs:\n  - {{api_url: 'http://{at}/slack', text: '{{{{ template \"a\" . }}}}'}}\n  \
         - {{api_url: 'http://{at}/slack', text: '{{{{ .Nothing }}}}'}}\n"
    );
    let huge = "x".repeat(200_000);
    let rules = format!(
        "groups:\n- name: g\n  interval: 1s\n  rules:\n  \
         - {{alert: Fine, expr: vector(1)}}\n  \
         - {{alert: Broken, expr: vector(1), annotations: {{summary: '{{{{ query \"sum(\" }}}}'}}}}\n  \
         - {{alert: Loop, expr: vector(1), annotations: {{summary: '{{{{ define \"a\" }}}}{{{{ template \"a\" }}}}{{{{ end }}}}{{{{ template \"a\" }}}}'}}}}\n  \
         - {{alert: Huge, expr: vector(1), labels: {{big: {huge}}}}}\n"
    );
    let server = serve(folder.path(), &rules, &alertmanager);
    let own = server.url().to_owned();
    poll_until("the good receiver", || {
        let told = good.bodies().concat();
        ["Fine", "Broken", "Loop", "Huge"]
            .iter()
            .all(|name| told.contains(&format!("\"alertname\":\"{name}\"")))
            .then_some(())
    });
    let check = |way: &str, reason: &str| {
        let path =
            format!("/alerts/notifications?q={}", form_urlencoded::byte_serialize(way.as_bytes()).collect::<String>());
        poll_until(&format!("{way}: {reason}"), || page(&server, &path).contains(reason).then_some(()));
    };
    check("webhook[0] fine", "no answer within 1s");
    check("webhook[1] fine", "unexpected status code 500");
    check("webhook[2] fine", "redirect");
    check("webhook[3] fine", "unexpected status code 400: no such hook &#60;b&#62;");
    check("webhook[4] fine", "taken");
    check("slack[0] fine", "taken in part");
    check("slack[1] fine", "sent, but a template failed");
    // A page is a page, whatever receivers answer.
    let attempts = page(&server, "/alerts/notifications");
    assert!(attempts.len() < 1 << 20, "{} bytes", attempts.len());
    // The button tells the same, at once.
    assert_eq!(submit(&server, "/alerts/receivers/test", &[("receiver", "all")], "http://evil.example").0, 403);
    assert_eq!(submit(&server, "/alerts/receivers/test", &[("receiver", "nobody")], &own).0, 404);
    let before = good.bodies().len();
    let (status, body) = submit(&server, "/alerts/receivers/test", &[("receiver", "all")], &own);
    assert_eq!(status, 200);
    for text in [
        "did not take the test: no answer within 1s",
        "did not take the test: unexpected status code 400",
        "took the test",
    ] {
        assert!(body.contains(text), "{text}: {body}");
    }
    assert!(good.bodies()[before..].iter().any(|told| told.contains("SkepTest")), "{:?}", good.bodies().len());
    // Every alert has its page, by the number that stands in notifications.
    let fine = good.bodies().iter().find_map(|told| {
        let told: Value = serde_json::from_str(told).ok()?;
        let is_fine = told["commonLabels"]["alertname"] == "Fine";
        is_fine.then(|| told["alerts"][0]["fingerprint"].as_str().unwrap_or_default().to_owned())
    });
    let fine = fine.unwrap();
    let alert = page(&server, &format!("/alerts/alert/{fine}"));
    assert!(
        alert.contains("Who was told") && alert.contains("webhook[4]") && alert.contains("What happened"),
        "{alert}"
    );
    let silence = page(&server, &format!("/alerts/silence?alert={fine}"));
    assert!(silence.contains("alertname=&#34;Fine&#34;"), "{silence}");
    for nonsense in ["0", "xyz", "ffffffffffffffffff"] {
        assert_eq!(server.get(&format!("/alerts/alert/{nonsense}")).unwrap().status, 404, "{nonsense}");
    }
}
