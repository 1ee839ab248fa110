//! What is told again after which answer, receiver by receiver.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use model::{Clock, SystemClock};
use serde_json::json;
use testkit::Web;

use crate::notifications::alert;
use crate::sides::sides;

const CODES: [u16; 17] = [200, 201, 202, 204, 400, 401, 403, 404, 408, 410, 413, 422, 429, 500, 502, 503, 504];

/// The keys of receivers with the settings of one that is told at `URL`.
const KINDS: [(&str, &str, &str); 9] = [
    ("webhook", "webhook_configs", "{url: URL}"),
    ("slack", "slack_configs", "{api_url: URL, channel: c}"),
    ("bot", "slack_configs", "{app_url: URL, app_token: t, channel: c}"),
    ("discord", "discord_configs", "{webhook_url: URL}"),
    ("telegram", "telegram_configs", "{api_url: URL, bot_token: '1:t', chat_id: 1}"),
    ("pager", "pagerduty_configs", "{routing_key: k, url: URL}"),
    ("genie", "opsgenie_configs", "{api_key: k, api_url: URL}"),
    ("teams", "msteams_configs", "{webhook_url: URL}"),
    ("teamsv2", "msteamsv2_configs", "{webhook_url: URL}"),
];

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers of success that may be none.
const ANSWERS: [(&str, &str, &str); 14] = [
    ("slack", TEXT, "ok"),
    ("slack", TEXT, "ok\n"),
    ("slack", TEXT, ""),
    ("slack", TEXT, "no_service"),
    ("slack", TEXT, "{\"ok\":false}"),
    ("slack", JSON, "{\"ok\":true}"),
    ("bot", JSON, "{\"ok\":false,\"error\":\"channel_not_found\"}"),
    ("bot", JSON, "{\"ok\":false,\"error\":\"ratelimited\"}"),
    ("bot", JSON, "{\"ok\":false,\"error\":\"internal_error\"}"),
    ("bot", JSON, "{"),
    ("bot", JSON, "{}"),
    ("telegram", JSON, "{\"ok\":false,\"error_code\":400,\"description\":\"bad\"}"),
    ("telegram", JSON, "{"),
    ("discord", JSON, "{\"code\":1}"),
];

/// All receivers are one, since those of one receiver are told at once.
fn config(address: &str) -> String {
    let mut text = "route: {receiver: all, group_wait: 0s, group_interval: 5m}\nreceivers:\n- name: all\n".to_owned();
    let mut of_key: BTreeMap<&str, String> = BTreeMap::new();
    for (kind, key, settings) in KINDS {
        let answers = ANSWERS.iter().enumerate().filter(|(_, answer)| answer.0 == kind).map(|(i, _)| format!("a{i}"));
        for answer in CODES.iter().map(u16::to_string).chain(answers) {
            let settings = settings.replace("URL", &format!("'http://{address}/{kind}/{answer}'"));
            let _ = writeln!(of_key.entry(key).or_default(), "  - {settings}");
        }
    }
    for (key, list) in of_key {
        let _ = write!(text, "  {key}:\n{list}");
    }
    text
}

/// Answers with the code or the text that a path names.
fn web() -> Web {
    Web::start(None, |asked| {
        let mut parts = asked.uri.path().split('/').skip(1);
        let (kind, answer) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if let Some(place) = answer.strip_prefix('a') {
            let (_, content_type, body) = ANSWERS[place.parse::<usize>().unwrap()];
            return (200, vec![("content-type", content_type.to_owned())], body.into());
        }
        let code: u16 = answer.parse().unwrap();
        let (content_type, body) = match kind {
            "telegram" if code < 300 => (
                JSON,
                "{\"ok\":true,\"result\":{\"message_id\":1,\"date\":1,\"chat\":{\"id\":1,\"type\":\"private\"}}}"
                    .to_owned(),
            ),
            "telegram" => (JSON, format!("{{\"ok\":false,\"error_code\":{code},\"description\":\"no\"}}")),
            "bot" => (JSON, "{\"ok\":true}".to_owned()),
            _ => (TEXT, "ok".to_owned()),
        };
        let body = if code == 204 { Vec::new() } else { body.into_bytes() };
        (code, vec![("content-type", content_type.to_owned())], body)
    })
    .unwrap()
}

/// How often each receiver was told.
fn told(web: &Web) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for asked in web.requests() {
        let path: Vec<&str> = asked.uri.path().split('/').skip(1).take(2).collect();
        *told.entry(path.join(" ")).or_default() += 1;
    }
    told
}

/// Whether a side has told all, and told again what every one tells again so often that any other had its second turn.
fn is_settled(told: &BTreeMap<String, usize>) -> bool {
    let of_all = KINDS.len() * CODES.len() + ANSWERS.len();
    let again = KINDS.iter().all(|(kind, ..)| told.get(&format!("{kind} 503")).is_some_and(|count| *count > 3));
    told.len() == of_all && again
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_again_after_the_answers_after_which_alertmanager_does() {
    let webs = [web(), web()];
    let next = Cell::new(0);
    let Some(sides) = sides(|_| config(&webs[next.replace(1)].address())).await else { return };
    let now = SystemClock.now();
    let alerts = json!([alert(&[("alertname", "A")], now, 3_600_000)]);
    for side in &sides {
        side.post("/alerts", &alerts);
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while webs.iter().any(|web| !is_settled(&told(web))) {
        assert!(Instant::now() < deadline, "{:?}", webs.each_ref().map(told));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = |web: &Web| -> BTreeMap<String, bool> {
        let name = |key: String| match key.split_once(" a") {
            Some((kind, place)) => format!("{kind} {}", ANSWERS[place.parse::<usize>().unwrap()].2),
            None => key,
        };
        told(web).into_iter().map(|(key, count)| (name(key), count > 1)).collect()
    };
    let [peer, own] = webs.each_ref().map(again);
    let different: Vec<String> = peer
        .iter()
        .filter(|(key, again)| own.get(*key) != Some(again))
        .map(|(key, again)| format!("{key:?}: Alertmanager {} again", if *again { "tells" } else { "does not tell" }))
        .collect();
    println!("{} answers, {} of them told again", peer.len(), peer.values().filter(|again| **again).count());
    assert!(different.is_empty(), "{}", different.join("\n"));
}
