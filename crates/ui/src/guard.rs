//! Keeps pages of other sites from writing through a reader's browser, and from reading what the loopback alone is to see.
//!
//! What passes a write (any method but `GET`, `HEAD`, `OPTIONS`, `TRACE`):
//!
//! | request | passes |
//! |---|---|
//! | a program: neither `Origin` nor `Sec-Fetch-Site`, as promtool, curl and remote-write senders are | yes, whatever its `Host` |
//! | a browser: `Sec-Fetch-Site` is `same-origin` or `none`, if it is sent; `Origin`, if it is sent, names the `Host`; the `Host` is ours | yes |
//! | a browser on a page of another site, in a sandbox (`Origin: null`), or under a name that was pointed at us (DNS rebinding) | no, 403 |
//!
//! Ours is a `Host` that is the host of the external URL, an IP address or `localhost` (no foreign page can carry such a
//! name in its origin), or the name that the listen address was given as. Who listens on more than the loopback is reached
//! by names that a router or a file of hosts gives, too: those that no public DNS server answers for are ours then. Every
//! browser in use sends `Origin` with a write, so a request without it is not a page's doing.
//!
//! Reads: answers carry no CORS header, so that other sites cannot see them, but for a page whose own name was pointed at us.
//! A browser tells nothing of that except the name. Where the loopback alone is listened on, which is what such a page
//! reaches for, reads have to come under a name of ours. Otherwise a name proves nothing, since programs use all that a
//! network has, and who is to read is for a login to say.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use thiserror::Error;

/// Knows the names under which this process is reached.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    names: Vec<String>,
    /// Whether the loopback alone is listened on.
    is_local: bool,
}

/// Last labels of names that no public DNS server answers for: RFC 6761 and 6762, `home.arpa` of RFC 8375, `internal` and those
/// that ICANN keeps back because networks use them.
const PRIVATE_ENDINGS: [&str; 8] =
    [".local", ".localdomain", ".internal", ".home.arpa", ".lan", ".home", ".corp", ".test"];

/// Why a request was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The browser says that a page of another site sends it.
    #[error(
        "this write comes from a page of another site (Sec-Fetch-Site: {0}); send it from skep's own pages, or from a program without that header"
    )]
    OtherSite(String),
    /// The page's origin is not the address it writes to.
    #[error(
        "this write comes from the origin {origin} but goes to {host}; send it from skep's own pages, or from a program without an Origin header"
    )]
    OtherOrigin {
        /// What `Origin` says.
        origin: String,
        /// What `Host` says.
        host: String,
    },
    /// The name in `Host` is not one of ours.
    #[error(
        "skep does not know itself as {0:?}; open it by its IP address or as localhost, or start it with --web.external-url naming that host"
    )]
    UnknownHost(String),
}

impl Guard {
    /// `listen` is the listen address as it was given, `NAME:PORT` or `ADDR:PORT`; `external_url` is `--web.external-url`.
    pub fn new(listen: &str, external_url: Option<&str>) -> Self {
        let external = external_url.and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
        let external = external.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let names = [Some(listen), external].into_iter().flatten().map(|host| without_port(host).to_ascii_lowercase());
        let is_local = is_loopback(without_port(listen));
        Self { names: names.filter(|name| !name.is_empty()).collect(), is_local }
    }

    /// Whether a request may go on.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let host = text(header::HOST.as_str());
        if method.is_safe() {
            return host.filter(|_| self.is_local).map_or(Ok(()), |host| self.check_name(&host));
        }
        let (site, origin) = (text("sec-fetch-site"), text("origin"));
        if site.is_none() && origin.is_none() {
            return Ok(());
        }
        if let Some(site) = site.filter(|site| !matches!(&**site, "same-origin" | "none")) {
            return Err(Refusal::OtherSite(site.into_owned()));
        }
        let host = host.unwrap_or_default();
        if let Some(origin) = origin.filter(|origin| !is_origin_of(origin, &host)) {
            return Err(Refusal::OtherOrigin { origin: origin.into_owned(), host: host.into_owned() });
        }
        self.check_name(&host)
    }

    fn check_name(&self, host: &str) -> Result<(), Refusal> {
        if self.knows(without_port(host)) { Ok(()) } else { Err(Refusal::UnknownHost(host.to_owned())) }
    }

    fn knows(&self, name: &str) -> bool {
        let address = name.trim_start_matches('[').trim_end_matches(']');
        let name = name.to_ascii_lowercase();
        address.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.names.contains(&name)
            || (!self.is_local && is_private(&name))
    }
}

/// The middleware: `router.layer(axum::middleware::from_fn_with_state(Arc::new(guard), ui::guard::guard))`.
pub async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => (StatusCode::FORBIDDEN, format!("{refusal}\n")).into_response(),
    }
}

/// Whether `http://host` or `https://host` is the origin. A default port may be written on either side.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(name.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// Whether no site of the internet can have this name: one label alone, or an ending that is kept for private networks.
fn is_private(name: &str) -> bool {
    !name.is_empty() && (!name.contains('.') || PRIVATE_ENDINGS.iter().any(|ending| name.ends_with(ending)))
}

/// `[::1]:9090` gives `[::1]`, `skep.lan:9090` gives `skep.lan`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], expected: bool) {
        let guard = Guard::new("0.0.0.0:9090", Some("https://skep.example.org/x/"));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        assert_eq!(guard.check(&Method::POST, &map).is_ok(), expected, "{headers:?}");
        assert!(guard.check(&Method::GET, &map).is_ok(), "reads pass where more than the loopback is listened on");
    }

    /// What a listener on the loopback says to whoever reads under a name.
    fn read(listen: &str, host: Option<&str>, expected: bool) {
        let guard = Guard::new(listen, Some("https://skep.example.org/x/"));
        let mut map = HeaderMap::new();
        if let Some(host) = host {
            map.insert(header::HOST, host.parse().unwrap());
        }
        assert_eq!(guard.check(&Method::GET, &map).is_ok(), expected, "{listen} {host:?}");
    }

    #[test]
    fn programs_pass() {
        check(&[("host", "skep.lan:9090")], true);
        check(&[], true);
    }

    #[test]
    fn own_pages_pass() {
        check(
            &[("host", "127.0.0.1:9090"), ("origin", "http://127.0.0.1:9090"), ("sec-fetch-site", "same-origin")],
            true,
        );
        check(&[("host", "[::1]:9090"), ("origin", "http://[::1]:9090")], true);
        check(&[("host", "localhost:9090"), ("origin", "http://localhost:9090")], true);
        check(&[("host", "skep.example.org"), ("origin", "https://skep.example.org:443")], true);
        check(&[("host", "SKEP.example.org"), ("origin", "https://skep.example.org")], true);
        check(&[("host", "192.168.1.2:9090"), ("sec-fetch-site", "none")], true);
    }

    #[test]
    fn other_sites_do_not() {
        let host = ("host", "127.0.0.1:9090");
        check(&[host, ("origin", "http://evil.example")], false);
        check(&[host, ("origin", "null")], false);
        check(&[host, ("origin", "")], false);
        check(&[host, ("origin", "http://127.0.0.1:8080")], false);
        check(&[host, ("origin", "file://127.0.0.1:9090")], false);
        check(&[host, ("sec-fetch-site", "cross-site")], false);
        check(&[host, ("sec-fetch-site", "same-site")], false);
        check(&[host, ("origin", "http://127.0.0.1:9090"), ("sec-fetch-site", "cross-site")], false);
        check(&[("origin", "http://127.0.0.1:9090")], false);
    }

    #[test]
    fn rebound_names_do_not() {
        check(
            &[("host", "evil.example:9090"), ("origin", "http://evil.example:9090"), ("sec-fetch-site", "same-origin")],
            false,
        );
        check(&[("host", "127.0.0.1.evil.example"), ("origin", "http://127.0.0.1.evil.example")], false);
        check(&[("host", "local.example"), ("origin", "http://local.example")], false);
        check(&[("host", ""), ("origin", "http://")], false);
    }

    #[test]
    fn names_of_a_private_network_pass() {
        for host in ["raspberrypi:9090", "nas.local", "nas.lan:9090", "skep.home.arpa", "skep.monitoring.svc.internal"]
        {
            check(&[("host", host), ("origin", &format!("http://{host}"))], true);
        }
    }

    #[test]
    fn reads_of_the_loopback_need_a_name_of_ours() {
        for listen in ["127.0.0.1:9090", "localhost:9090", "[::1]:0"] {
            for host in
                ["127.0.0.1:9090", "localhost:9090", "LOCALHOST", "a.localhost", "[::1]:9090", "skep.example.org"]
            {
                read(listen, Some(host), true);
            }
            for host in ["evil.example:9090", "127.0.0.1.evil.example", "notlocalhost", "nas.local", ""] {
                read(listen, Some(host), false);
            }
            read(listen, None, true);
        }
        read("0.0.0.0:9090", Some("evil.example"), true);
        read("skep.lan:9090", Some("other.example"), true);
    }
}
