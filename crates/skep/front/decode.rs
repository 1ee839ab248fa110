//! The file of `--web.config.file`.

use std::collections::BTreeMap;
use std::path::Path;

use axum::http::{HeaderName, HeaderValue};
use yaml::{Place, Report, Section, Shape};

use super::login::Users;
use super::{WebConfig, tls};

/// Headers that may be configured.
const HEADERS: [&str; 5] = [
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
    "Content-Security-Policy",
];

pub(super) fn load(path: &Path, report: &Report) -> WebConfig {
    let name = path.display().to_string();
    let mut config = WebConfig { files: vec![path.to_owned()], ..WebConfig::default() };
    let Some(text) = yaml::read(path, report) else { return config };
    let Some(node) = yaml::parse_first(&name, &text, report) else { return config };
    let Some(root) = Place::root(&node, &name, report).section() else { return config };
    config.tls = root
        .get("tls_server_config")
        .filter(|place| !place.node().is_null())
        .and_then(|place| tls::decode(&place, &mut config.files));
    if let Some(section) = root.section("http_server_config") {
        section.judge(&[("http2", Shape::Flag)]);
        config.headers = headers(&section);
        section.finish();
    }
    config.users = Users::new(root.get("basic_auth_users").map(|place| users(&place)).unwrap_or_default());
    root.finish();
    config
}

fn headers(section: &Section<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, value) in section.get("headers").map(|place| place.entries()).unwrap_or_default() {
        let word = name.node().as_text().unwrap_or_default();
        if !HEADERS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            name.error(format!("HTTP header {word:?} can not be configured"), format!("one of {}", HEADERS.join(", ")));
            continue;
        }
        let text = value.string().unwrap_or_default();
        match (HeaderName::from_bytes(word.as_bytes()), HeaderValue::from_str(&text)) {
            (Ok(name), Ok(text)) if !text.is_empty() => headers.push((name, text)),
            (Ok(_), Ok(_)) => {}
            _ => value.error("not a value that a header may have", ""),
        }
    }
    headers
}

fn users(place: &Place<'_>) -> BTreeMap<String, String> {
    let mut users = BTreeMap::new();
    for (name, hash) in place.entries() {
        let user = name.node().as_text().unwrap_or_default().to_owned();
        let text = hash.string().unwrap_or_default();
        // The hash is a secret, too, and is not repeated.
        if text.parse::<bcrypt::HashParts>().is_err() {
            hash.error("not a hash of bcrypt", "htpasswd -nBC 10 \"\" | tr -d ':\\n' makes one");
        }
        users.insert(user, text);
    }
    users
}
