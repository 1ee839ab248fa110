//! The same requests: the same answers, but for times and ids.

use serde_json::{Value, json};

use crate::sides::{Side, sides, start_own};

const CONFIG: &str = "route: {receiver: a, group_by: [alertname], group_wait: 0s, routes: [{receiver: b, matchers: [x=\"1\"], continue: true}, {receiver: c, matchers: [x=\"1\"]}]}
receivers: [{name: a},{name: b},{name: c}]
inhibit_rules: [{source_matchers: [s=crit], target_matchers: [s=warn], equal: [e]}]
";

/// Times and ids differ; what a time looks like does not.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let shape =
                    |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
                let value = match (key.as_str(), value) {
                    ("startsAt" | "endsAt" | "updatedAt", Value::String(text)) => Value::from(shape(text)),
                    ("id" | "silenceID", Value::String(text)) => Value::from(text.len()),
                    ("silencedBy", Value::Array(ids)) => Value::from(ids.len()),
                    (_, value) => normal(value),
                };
                (key.clone(), value)
            })
            .collect(),
        Value::Array(values) => values.iter().map(normal).collect(),
        value => value.clone(),
    }
}

/// Both answers; they must be the same.
fn check(sides: &[Side; 2], method: &str, path: &str, body: &str) -> [Value; 2] {
    let answers = sides.each_ref().map(|side| {
        let (status, text) = side.request(method, path, body);
        (status, serde_json::from_str::<Value>(&text).unwrap_or(Value::from(text)))
    });
    let [peer, own] = &answers;
    assert_eq!((own.0, normal(&own.1)), (peer.0, normal(&peer.1)), "{method} {path} {body}");
    answers.map(|(_, value)| value)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_as_alertmanager() {
    let Some(sides) = sides(|_| CONFIG.to_owned()).await else { return };
    let get = |path: &str| check(&sides, "GET", path, "");
    let post = |path: &str, body: Value| check(&sides, "POST", path, &body.to_string());
    get("/alerts");
    get("/alerts/groups");
    get("/silences");
    get("/receivers");

    let alerts = json!([
        { "labels": { "alertname": "A", "x": "1", "s": "warn", "e": "1", "empty": "" }, "annotations": { "q": "1", "empty": "" } },
        { "labels": { "alertname": "B", "s": "crit", "e": "1" }, "generatorURL": "http://p/graph" },
        { "labels": { "alertname": "C", "y": "2" }, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2096-01-01T00:00:00.5Z" },
        { "labels": { "alertname": "D" }, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T00:00:01Z" },
    ]);
    post("/alerts", alerts);
    let silence = |value: &str| {
        json!({ "matchers": [{ "name": "y", "value": value, "isRegex": false, "isEqual": true }],
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2096-01-01T00:00:00Z", "createdBy": "me", "comment": "why" })
    };
    let ids = post("/silences", silence("2")).map(|answer| answer["silenceID"].as_str().unwrap().to_owned());
    // Alertmanager's groups see an alert a moment after it was taken.
    for side in &sides {
        testkit::poll_until("four groups", || {
            let groups: Value = serde_json::from_str(&side.request("GET", "/alerts/groups", "").1).unwrap();
            (groups.as_array().unwrap().len() >= 4).then_some(())
        });
    }
    for query in [
        "",
        "?active=false",
        "?silenced=false",
        "?inhibited=false",
        "?silenced=false&inhibited=false&active=true",
        "?receiver=b",
        "?receiver=b|c",
        "?receiver=.",
        "?receiver=(",
        "?filter=x%3D%221%22",
        "?filter=x%3D1&filter=s%3Dcrit",
        "?filter=y%3D",
        "?filter=%7By%21%3D2%7D",
        "?filter=a%7Bb",
        "?filter=alertname%3D~%22A%7CB%22",
        "?unprocessed=false",
    ] {
        get(&format!("/alerts{query}"));
        get(&format!("/alerts/groups{query}"));
    }
    get("/alerts/groups?muted=false");
    get("/silences?filter=y%3D2");
    get("/silences?filter=y%3D3");
    for (side, id) in sides.iter().zip(&ids) {
        assert_eq!(side.request("GET", &format!("/silence/{id}"), "").0, 200);
        let changed = json!({ "id": id, "matchers": [{ "name": "y", "value": "3", "isRegex": false }],
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2096-01-01T00:00:00Z", "createdBy": "me", "comment": "why" });
        side.post("/silences", &changed);
    }
    // Another matcher: the old one is over, a new one there.
    get("/silences");
    for (side, id) in sides.iter().zip(&ids) {
        println!("expired twice: {:?}", side.request("DELETE", &format!("/silence/{id}"), ""));
    }
    check(&sides, "DELETE", "/silence/00000000-0000-4000-8000-000000000000", "");
    get("/silence/00000000-0000-4000-8000-000000000000");
    get("/silence/x");
    post(
        "/silences",
        json!({ "id": "00000000-0000-4000-8000-000000000000", "matchers": [{ "name": "y", "value": "3", "isRegex": false }],
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2096-01-01T00:00:00Z", "createdBy": "me", "comment": "why" }),
    );
    post("/silences", json!({}));
    post(
        "/silences",
        json!({ "matchers": [], "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2096-01-01T00:00:00Z", "createdBy": "", "comment": "" }),
    );
    let with = |key: &str, value: Value| {
        let mut silence = silence("2");
        silence[key] = value;
        silence
    };
    post("/silences", with("endsAt", "2026-01-02T00:00:00Z".into()));
    post("/silences", with("endsAt", "2025-01-02T00:00:00Z".into()));
    post("/silences", with("matchers", json!([{ "name": "y", "value": "" , "isRegex": false }])));
    post("/alerts", json!([]));
    post("/alerts", json!([{ "labels": {} }]));
    post(
        "/alerts",
        json!([{ "labels": { "": "x" } }, { "labels": { "a": "x" }, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2025-01-01T00:00:00Z" }]),
    );
    post("/alerts", json!([{ "labels": { "alertname": "E" } }, { "labels": {} }]));
}

/// What Alertmanager holds without a limit has one here.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_what_is_too_large() {
    let side = start_own(|_| CONFIG.to_owned()).await;
    let alerts =
        json!([{ "labels": { "alertname": "A", "huge": "x".repeat(70_000) } }, { "labels": { "alertname": "B" } }]);
    let (status, answer) = side.request("POST", "/alerts", &alerts.to_string());
    assert_eq!((status, answer.contains("alert 0 is too large")), (400, true), "{answer}");
    testkit::poll_until("the other alert", || side.request("GET", "/alerts", "").1.contains("\"B\"").then_some(()));
    assert!(!side.request("GET", "/alerts", "").1.contains("huge"));
    let silence = json!({ "matchers": [{ "name": "a", "value": "x".repeat(70_000), "isRegex": false }], "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2096-01-01T00:00:00Z", "createdBy": "", "comment": "" });
    let (status, answer) = side.request("POST", "/silences", &silence.to_string());
    assert_eq!((status, answer.contains("the silence is too large")), (400, true), "{answer}");
}
