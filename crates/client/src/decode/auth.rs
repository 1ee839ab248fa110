//! How a request proves who sends it. At most one kind may be given.

use yaml::{Place, Section};

use super::{at_most_one, given, no_references, proxy, source, text};
use crate::config::{Auth, Authorization, BasicAuth, OAuth2, TlsConfig};

/// Keys of OAuth 2.0 with assertions (RFC 7523).
const ASSERTION_KEYS: [&str; 9] = [
    "audience",
    "claims",
    "client_certificate_key",
    "client_certificate_key_file",
    "client_certificate_key_id",
    "client_certificate_key_ref",
    "grant_type",
    "iss",
    "signature_algorithm",
];

pub(super) fn decode(section: &Section<'_>) -> Auth {
    let key = |name| section.get(name).filter(given);
    let (basic, header, oauth2) = (key("basic_auth"), key("authorization"), key("oauth2"));
    check_kinds(section, [basic.as_ref(), oauth2.as_ref(), header.as_ref()]);
    let mut auth = bearer(section);
    if let Some(place) = oauth2 {
        auth = self::oauth2(&place);
    }
    if let Some(place) = basic {
        auth = self::basic(&place);
    }
    if let Some(place) = header {
        auth = authorization(&place);
    }
    auth
}

/// `bearer_token` and `bearer_token_file` are the older spelling of `authorization`.
fn bearer(section: &Section<'_>) -> Auth {
    source(section, "bearer_token", "bearer_token_file")
        .map_or(Auth::None, |credentials| Auth::Authorization(Authorization { kind: "Bearer".to_owned(), credentials }))
}

fn check_kinds(section: &Section<'_>, kinds: [Option<&Place<'_>>; 3]) {
    let tokens = ["bearer_token", "bearer_token_file"].iter().filter(|key| text(section, key).is_some());
    let tokens: Vec<Place<'_>> = tokens.filter_map(|key| section.get(key)).collect();
    if let [_, second] = &tokens[..] {
        second.error("at most one of bearer_token & bearer_token_file must be configured", "keep one of them");
    }
    let mut given = kinds.into_iter().flatten();
    let first = given.next();
    if let Some(second) = given.next() {
        second.error("at most one of basic_auth, oauth2 & authorization must be configured", "keep one of them");
    }
    if let (Some(_), Some(token)) = (first, tokens.first()) {
        let message =
            "at most one of basic_auth, authorization, oauth2, bearer_token & bearer_token_file must be configured";
        token.error(message, "keep one of them");
    }
}

fn basic(place: &Place<'_>) -> Auth {
    let Some(section) = place.section() else { return Auth::None };
    at_most_one(&section, &["username", "username_file", "username_ref"]);
    at_most_one(&section, &["password", "password_file", "password_ref"]);
    let auth = Auth::Basic(BasicAuth {
        username: source(&section, "username", "username_file").unwrap_or_default(),
        password: source(&section, "password", "password_file").unwrap_or_default(),
    });
    no_references(&section, &["username_ref", "password_ref"]);
    section.finish();
    auth
}

fn authorization(place: &Place<'_>) -> Auth {
    let Some(section) = place.section() else { return Auth::None };
    at_most_one(&section, &["credentials", "credentials_file", "credentials_ref"]);
    let kind = text(&section, "type").unwrap_or_default().trim().to_owned();
    if kind.eq_ignore_ascii_case("basic") {
        place.error("authorization type cannot be set to \"basic\", use \"basic_auth\" instead", "");
    }
    let kind = if kind.is_empty() { "Bearer".to_owned() } else { kind };
    // Without credentials the kind alone is sent.
    let credentials = source(&section, "credentials", "credentials_file").unwrap_or_default();
    no_references(&section, &["credentials_ref"]);
    section.finish();
    Auth::Authorization(Authorization { kind, credentials })
}

fn oauth2(place: &Place<'_>) -> Auth {
    let Some(section) = place.section() else { return Auth::None };
    at_most_one(&section, &["client_secret", "client_secret_file", "client_secret_ref"]);
    let required = |key| {
        text(&section, key).unwrap_or_else(|| {
            place.error(format!("oauth2 {key} must be configured"), format!("add {key}"));
            String::new()
        })
    };
    let parameters = section.get("endpoint_params").map(|place| place.entries()).unwrap_or_default();
    let parameter = |(name, value): &(Place<'_>, Place<'_>)| {
        (name.node().as_text().unwrap_or_default().to_owned(), value.string().unwrap_or_default())
    };
    let auth = OAuth2 {
        client_id: required("client_id"),
        client_secret: source(&section, "client_secret", "client_secret_file").unwrap_or_default(),
        scopes: section.strings("scopes"),
        token_url: required("token_url"),
        endpoint_params: parameters.iter().map(parameter).collect(),
        tls: section.get("tls_config").map(|place| TlsConfig::decode(&place)).unwrap_or_default(),
        proxy: proxy::decode(&section),
    };
    no_references(&section, &["client_secret_ref"]);
    for place in ASSERTION_KEYS.iter().filter_map(|key| section.get(key).filter(given)) {
        if !matches!(place.node().as_text(), Some("" | "client_credentials")) {
            place.warn("only the grant of client credentials is built", "requests for a token will go without it");
        }
    }
    section.finish();
    Auth::OAuth2(Box::new(auth))
}
