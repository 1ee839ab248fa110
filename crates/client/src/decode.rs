//! Decoding of a client's keys, which stand beside other keys of scrape jobs, discoveries, Alertmanagers and remote
//! storages. They are judged as Prometheus 3.5 judges them.

mod auth;
mod proxy;
mod tls;
pub mod url;

use std::path::{Path, PathBuf};

use yaml::{Place, Section};

use crate::config::{Header, HttpConfig, Secret, Source, TlsConfig};

/// Headers that the client or the protocol sets, in Go's spelling.
const RESERVED: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

impl HttpConfig {
    /// Decodes the keys of a client that stand in a section, which then are known there. Relative paths count from the
    /// folder of the configuration file.
    pub fn decode(section: &Section<'_>) -> Self {
        let flag = |key| match section.get(key) {
            Some(place) => given(&place) && place.boolean().unwrap_or(true),
            None => true,
        };
        Self {
            auth: auth::decode(section),
            tls: section.get("tls_config").map(|place| TlsConfig::decode(&place)).unwrap_or_default(),
            proxy: proxy::decode(section),
            headers: section.get("http_headers").map(|place| headers(&place)).unwrap_or_default(),
            follow_redirects: flag("follow_redirects"),
            enable_http2: flag("enable_http2"),
        }
    }
}

/// Whether the client or the protocol sets a header, so that a configuration must not.
pub fn is_reserved_header(name: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

fn headers(place: &Place<'_>) -> Vec<Header> {
    place.entries().iter().map(|(name, value)| header(name, value)).collect()
}

fn header(name: &Place<'_>, value: &Place<'_>) -> Header {
    let text = name.node().as_text().unwrap_or_default().to_owned();
    if let Some(reserved) = RESERVED.iter().find(|reserved| reserved.eq_ignore_ascii_case(&text)) {
        name.error(
            format!("setting header {reserved:?} is not allowed"),
            "the client sets it, or a key of its own does",
        );
    }
    let Some(section) = value.section() else { return Header { name: text, ..Header::default() } };
    let header = Header {
        name: text,
        values: section.strings("values"),
        secrets: section.strings("secrets").into_iter().map(Secret::new).collect(),
        files: section.strings("files").iter().map(|file| beside(value, file)).collect(),
    };
    section.finish();
    header
}

/// A key without a value counts as absent, as in Prometheus.
fn given(place: &Place<'_>) -> bool {
    !place.node().is_null()
}

/// The text of a key; nothing where it is absent or empty.
fn text(section: &Section<'_>, key: &'static str) -> Option<String> {
    section.get(key)?.string().filter(|text| !text.is_empty())
}

/// A secret under one key, or under another the file where it stands.
fn source(section: &Section<'_>, inline: &'static str, file: &'static str) -> Option<Source> {
    let here = text(section, inline).map(|text| Source::Inline(Secret::new(text)));
    let there = text(section, file).map(|file| Source::File(beside(section.place(), &file)));
    here.or(there)
}

/// Reports an error where more than one of some keys has a text.
fn at_most_one(section: &Section<'_>, keys: &[&'static str]) {
    let mut full = keys.iter().filter(|key| text(section, key).is_some());
    if let (Some(first), Some(second)) = (full.next(), full.next())
        && let Some(place) = section.get(second)
    {
        place.error(format!("at most one of {} must be configured", keys.join(", ")), format!("{first} is set too"));
    }
}

/// Keys that name a secret of a manager of secrets, of which Prometheus has none either.
fn no_references(section: &Section<'_>, keys: &[&'static str]) {
    for place in keys.iter().filter_map(|key| section.get(key).filter(given)) {
        place.string();
        place.warn("valid, but there is no manager of secrets that it could name", "use the key that ends in _file");
    }
}

/// Relative paths of a configuration file count from the folder it lies in.
pub fn beside(place: &Place<'_>, path: &str) -> PathBuf {
    Path::new(place.file()).parent().unwrap_or(Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Auth;

    /// Decodes a client's keys and gives the problems, one a line.
    fn check(text: &str, expected: &[&str]) -> HttpConfig {
        let report = yaml::Report::default();
        let node = yaml::parse("dir/f.yml", text).unwrap();
        let section = Place::root(&node, "dir/f.yml", &report).section().unwrap();
        let config = HttpConfig::decode(&section);
        section.finish();
        let got: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
        assert_eq!(got, expected, "{text}");
        config
    }

    #[test]
    fn everything_is_decoded() {
        let config = check(
            "basic_auth: {username: u, password_file: p}\nproxy_url: http://u:p@h:3128\nno_proxy: a,b\nenable_http2: no\n\
             proxy_connect_header: {a: [b]}\nhttp_headers: {X: {values: [a], secrets: [b], files: [c]}}\n\
             tls_config: {ca_file: ca, cert_file: /c, key_file: k, server_name: n, insecure_skip_verify: true, min_version: TLS12}\n",
            &[],
        );
        let Auth::Basic(basic) = &config.auth else { panic!("{config:?}") };
        assert_eq!(basic.password, Source::File(PathBuf::from("dir/p")));
        assert_eq!(config.tls.cert, Some(Source::File(PathBuf::from("/c"))));
        assert_eq!(config.headers[0].files, [PathBuf::from("dir/c")]);
        assert!(!config.enable_http2 && config.follow_redirects);
        assert!(!format!("{config:?}").contains("u:p@"), "{config:?}");
        let config = check("bearer_token: x", &[]);
        assert!(matches!(&config.auth, Auth::Authorization(header) if header.kind == "Bearer"), "{config:?}");
        for (text, kind) in [("{type: Foo}", "Foo"), ("{}", "Bearer"), ("{type: Foo, credentials: ''}", "Foo")] {
            let Auth::Authorization(header) = check(&format!("authorization: {text}"), &[]).auth else {
                panic!("{text}")
            };
            assert_eq!((&*header.kind, header.credentials), (kind, Source::default()), "{text}");
        }
        let config = check("oauth2: {client_id: i, client_secret: s, token_url: http://t, scopes: [a]}", &[]);
        assert!(matches!(&config.auth, Auth::OAuth2(oauth2) if oauth2.scopes == ["a"]), "{config:?}");
    }

    #[test]
    fn everything_wrong_is_said() {
        check(
            "basic_auth: {usernam: u, password: a, password_file: b}\nauthorization: {type: basic}\nproxy_url: ':'\n\
             http_headers: {host: {values: [a]}}\ntls_config: {cert_file: c}\n",
            &[
                "dir/f.yml:2:16: error: at most one of basic_auth, oauth2 & authorization must be configured (at authorization); keep one of them",
                "dir/f.yml:1:54: error: at most one of password, password_file, password_ref must be configured (at basic_auth.password_file); password is set too",
                "dir/f.yml:1:14: error: unknown key \"usernam\" (at basic_auth.usernam); did you mean \"username\"?",
                "dir/f.yml:2:16: error: authorization type cannot be set to \"basic\", use \"basic_auth\" instead (at authorization)",
                "dir/f.yml:5:13: error: exactly one of key or key_file must be configured when a client certificate is configured (at tls_config); add key_file",
                "dir/f.yml:3:12: error: not a URL: missing protocol scheme (at proxy_url)",
                "dir/f.yml:4:16: error: setting header \"Host\" is not allowed (at http_headers.host); the client sets it, or a key of its own does",
            ],
        );
    }
}
