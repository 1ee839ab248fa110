//! The keys that say how a scrape proves who it is. At most one kind may be given.

use std::path::Path;

use client::config::{Auth, Authorization, BasicAuth, Secret, Source};
use yaml::{Place, Section};

use super::global::given;

/// Kinds that exclude each other; bearer tokens are the older spelling of `authorization`.
const KINDS: [&str; 5] = ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"];

pub(super) fn decode(section: &Section<'_>) -> Auth {
    let kinds: Vec<Place<'_>> = KINDS.iter().filter_map(|key| section.get(key).filter(given)).collect();
    if let Some(second) = kinds.get(1) {
        second.error(
            "at most one of basic_auth, authorization, oauth2, bearer_token & bearer_token_file must be configured",
            "keep one of them",
        );
    }
    let bearer = |credentials| Auth::Authorization(Authorization { kind: "Bearer".to_owned(), credentials });
    let key = |name| section.get(name).filter(given);
    if let Some(place) = key("basic_auth") {
        return basic(&place);
    }
    if let Some(place) = key("authorization") {
        return authorization(&place);
    }
    match secret(section, "bearer_token", "bearer_token_file") {
        None => Auth::None,
        Some(credentials) => bearer(credentials),
    }
}

fn basic(place: &Place<'_>) -> Auth {
    let Some(section) = place.section() else { return Auth::None };
    at_most_one(&section, &["username", "username_file", "username_ref"]);
    at_most_one(&section, &["password", "password_file", "password_ref"]);
    let auth = Auth::Basic(BasicAuth {
        username: secret(&section, "username", "username_file").unwrap_or_default(),
        password: secret(&section, "password", "password_file").unwrap_or_default(),
    });
    section.not_built(&["username_ref", "password_ref"]);
    section.finish();
    auth
}

fn authorization(place: &Place<'_>) -> Auth {
    let Some(section) = place.section() else { return Auth::None };
    at_most_one(&section, &["credentials", "credentials_file", "credentials_ref"]);
    let scheme = section.get("type").filter(given).and_then(|place| place.string()).unwrap_or_default();
    if scheme.trim().eq_ignore_ascii_case("basic") {
        place.error("authorization type cannot be set to \"basic\", use \"basic_auth\" instead", "");
    }
    let kind = if scheme.trim().is_empty() { "Bearer".to_owned() } else { scheme.trim().to_owned() };
    let credentials = secret(&section, "credentials", "credentials_file");
    section.not_built(&["credentials_ref"]);
    section.finish();
    credentials.map_or(Auth::None, |credentials| Auth::Authorization(Authorization { kind, credentials }))
}

fn at_most_one(section: &Section<'_>, keys: &[&'static str]) {
    let given: Vec<_> = keys.iter().filter_map(|key| section.get(key).filter(given)).collect();
    if let Some(second) = given.get(1) {
        second.error(format!("at most one of {} must be configured", keys.join(", ")), "keep one of them");
    }
}

fn secret(section: &Section<'_>, inline: &'static str, file: &'static str) -> Option<Source> {
    let text = section.get(inline).filter(given).and_then(|place| place.string());
    let path = section.get(file).filter(given).and_then(|place| {
        let path = place.string()?;
        Some(beside(place.file(), &path))
    });
    match (text, path) {
        (Some(text), _) if !text.is_empty() => Some(Source::Inline(Secret::new(text))),
        (_, Some(path)) => Some(Source::File(path)),
        _ => None,
    }
}

/// Relative paths of a configuration file count from the folder it lies in.
fn beside(config: &str, path: &str) -> std::path::PathBuf {
    Path::new(config).parent().unwrap_or(Path::new("")).join(path)
}
