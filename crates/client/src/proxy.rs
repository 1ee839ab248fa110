//! Which requests go through a proxy. The rules are those of Go's `httpproxy`, which Prometheus uses.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Uri};

use crate::Failure;
use crate::config::ProxyConfig;

/// A proxy, ready to be spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    /// With a port.
    pub(crate) uri: Uri,
    /// `Proxy-Authorization`, where the URL of a proxy of HTTP holds a user.
    pub(crate) authorization: Option<HeaderValue>,
    /// User and password of a SOCKS proxy, where its URL holds them.
    pub(crate) user: Option<(String, String)>,
}

/// What is spoken to a proxy. Names are always resolved by a SOCKS proxy, as with Go, so that the last two are one.
const SCHEMES: [(&str, u16); 4] = [("http", 80), ("https", 443), ("socks5", SOCKS_PORT), ("socks5h", SOCKS_PORT)];

const SOCKS_PORT: u16 = 1080;

/// Decides for each URL.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// `None` sends everything through the proxy, this machine's own addresses too.
    except: Option<Exceptions>,
    pub(crate) connect_headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
struct Exceptions {
    all: bool,
    entries: Vec<Exception>,
}

#[derive(Debug)]
struct Exception {
    host: Host,
    port: Option<String>,
}

#[derive(Debug)]
enum Host {
    Network(IpAddr, u8),
    Address(IpAddr),
    /// The domain with a point in front, and whether it counts itself.
    Domain(String, bool),
}

impl Rule {
    /// `environment` gives variables by name; it is asked only where the configuration says so.
    pub(crate) fn new(config: &ProxyConfig, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let connect_headers = connect_headers(config)?;
        if config.from_environment {
            let variable = |upper: &str| {
                let value = environment(upper).filter(|value| !value.is_empty());
                value.or_else(|| environment(&upper.to_ascii_lowercase())).unwrap_or_default()
            };
            return Ok(Self {
                http: Proxy::parse(&variable("HTTP_PROXY"))?,
                https: Proxy::parse(&variable("HTTPS_PROXY"))?,
                except: Some(Exceptions::parse(&variable("NO_PROXY"))),
                connect_headers,
            });
        }
        let proxy = match &config.url {
            Some(url) => Proxy::parse(url.reveal())?,
            None => None,
        };
        let except = (!config.no_proxy.is_empty()).then(|| Exceptions::parse(&config.no_proxy));
        Ok(Self { http: proxy.clone(), https: proxy, except, connect_headers })
    }

    /// The proxy for a URL, where there is one.
    pub(crate) fn proxy_of(&self, uri: &Uri) -> Option<&Proxy> {
        let secure = uri.scheme_str() == Some("https");
        let proxy = if secure { &self.https } else { &self.http };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        proxy.as_ref().filter(|_| !self.except.as_ref().is_some_and(|except| except.has(&host, port)))
    }

    /// Whether a connection without TLS to a server may still need TLS, to the proxy.
    pub(crate) fn is_secure(&self) -> bool {
        self.http.as_ref().is_some_and(Proxy::is_secure)
    }
}

impl Proxy {
    fn parse(url: &str) -> Result<Option<Self>, Failure> {
        if url.is_empty() {
            return Ok(None);
        }
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        // The URL may hold a password, so no message repeats it.
        let bad = || Failure::Settings("the URL of the proxy is none; write http://host:port".to_owned());
        let uri: Uri = with_scheme.parse().map_err(|_| bad())?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let Some((_, port)) = SCHEMES.iter().find(|(known, _)| *known == scheme) else {
            return Err(Failure::Settings(unspoken(scheme)));
        };
        let authority = uri.authority().ok_or_else(bad)?;
        let port = authority.port_u16().unwrap_or(*port);
        let address = format!("{scheme}://{}:{port}", authority.host()).parse().map_err(|_| bad())?;
        let mut proxy = Self { uri: address, authorization: None, user: None };
        if let Some((user, _)) = authority.as_str().rsplit_once('@') {
            if proxy.is_socks() {
                proxy.user = Some(name_and_password(user));
            } else {
                proxy.authorization = Some(basic(user)?);
            }
        }
        Ok(Some(proxy))
    }

    pub(crate) fn is_socks(&self) -> bool {
        self.uri.scheme_str().is_some_and(|scheme| scheme.starts_with("socks5"))
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

/// Why nothing goes through a proxy of this scheme; nothing where something does.
pub(crate) fn refusal(scheme: &str) -> Option<String> {
    let known = SCHEMES.iter().any(|(known, _)| *known == scheme);
    (!known).then(|| unspoken(scheme))
}

fn unspoken(scheme: &str) -> String {
    let known = SCHEMES.map(|(known, _)| known).join(", ");
    format!("proxies of the scheme {scheme:?} are not spoken to; known: {known}")
}

fn name_and_password(user: &str) -> (String, String) {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let text = |part| String::from_utf8_lossy(&unquote(part)).into_owned();
    (text(name), text(password))
}

/// `Basic` for the user and the password of a URL, where letters may be written as `%XX`.
pub(crate) fn basic(user: &str) -> Result<HeaderValue, Failure> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let pair = [unquote(name), vec![b':'], unquote(password)].concat();
    let text = format!("Basic {}", STANDARD.encode(pair));
    let mut value = HeaderValue::from_str(&text).map_err(|_| Failure::Credentials)?;
    value.set_sensitive(true);
    Ok(value)
}

fn unquote(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().iter();
    let mut plain = Vec::new();
    while let Some(&byte) = bytes.next() {
        let rest = bytes.as_slice();
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(letter) => {
                plain.push(letter);
                bytes.nth(1);
            }
            None => plain.push(byte),
        }
    }
    plain
}

fn connect_headers(config: &ProxyConfig) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let mut headers = Vec::new();
    for (name, values) in &config.connect_headers {
        let header = HeaderName::try_from(name)
            .map_err(|_| Failure::Settings(format!("{name:?} in proxy_connect_header is no name of a header")))?;
        for value in values {
            let value = HeaderValue::from_str(value.reveal()).map_err(|_| Failure::Credentials)?;
            headers.push((header.clone(), value));
        }
    }
    Ok(headers)
}

impl Exceptions {
    fn parse(list: &str) -> Self {
        let mut exceptions = Self { all: false, entries: Vec::new() };
        for entry in list.split(',').map(|entry| entry.trim().to_ascii_lowercase()) {
            exceptions.all |= entry == "*";
            exceptions.entries.extend(Exception::parse(&entry));
        }
        exceptions
    }

    fn has(&self, host: &str, port: u16) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        let local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        local || self.all || self.entries.iter().any(|entry| entry.matches(host, address, port))
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        if let Some((address, bits)) = entry.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse(), bits.parse())
        {
            return Some(Self { host: Host::Network(address, bits), port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port.to_owned())),
            _ => (entry, None),
        };
        let host = host.trim_matches(['[', ']']);
        if let Ok(address) = host.parse() {
            return Some(Self { host: Host::Address(address), port });
        }
        let domain = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let itself = !domain.starts_with('.');
        let domain = if itself { format!(".{domain}") } else { domain.to_owned() };
        (domain.len() > 1).then_some(Self { host: Host::Domain(domain, itself), port })
    }

    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        if self.port.as_ref().is_some_and(|wanted| *wanted != port.to_string()) {
            return false;
        }
        match &self.host {
            Host::Network(network, bits) => address.is_some_and(|address| is_within(address, *network, *bits)),
            Host::Address(wanted) => address == Some(*wanted),
            Host::Domain(domain, itself) => host.ends_with(domain) || *itself && host == &domain[1..],
        }
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let ignored = u32::from(width - bits.min(width));
    (address ^ network).checked_shr(ignored).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn through(config: &ProxyConfig, environment: &[(&str, &str)], url: &str) -> String {
        let variable = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        match Rule::new(config, &variable) {
            Ok(rule) => rule.proxy_of(&url.parse().unwrap()).map(|proxy| proxy.uri.to_string()).unwrap_or_default(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn exceptions() {
        let check = |no_proxy: &str, url: &str, proxied: bool| {
            let url_of_proxy = Some(Secret::new("http://p:1"));
            let config = ProxyConfig { url: url_of_proxy, no_proxy: no_proxy.to_owned(), ..ProxyConfig::default() };
            let expected = if proxied { "http://p:1/" } else { "" };
            assert_eq!(through(&config, &[], url), expected, "{no_proxy:?} {url}");
        };
        check("", "http://127.0.0.1/", true);
        check("", "https://localhost/", true);
        check("x", "http://127.0.0.1/", false);
        check("x", "http://[::1]:1/", false);
        check("x", "https://localhost/", false);
        check("x", "http://x/", false);
        check("x", "http://a.x/", false);
        check("x", "http://ax/", true);
        check("X.Y", "http://A.x.y:9/", false);
        check(".x", "http://x/", true);
        check(".x", "http://a.x/", false);
        check("*.x", "http://x/", true);
        check("*.x", "http://a.b.x/", false);
        check("*", "http://y/", false);
        check("x:80", "http://x/", false);
        check("x:81", "http://x/", true);
        check("x:443", "https://x/", false);
        check(" , y , 10.0.0.0/8", "http://10.1.2.3:9100/", false);
        check("10.0.0.0/8", "http://11.1.2.3/", true);
        check("10.1.2.3", "http://10.1.2.3/", false);
        check("10.1.2.3:81", "http://10.1.2.3/", true);
        check("fd00::/8", "http://[fd12::1]:1/", false);
        check("[fd12::1]:1", "http://[fd12::1]:1/", false);
        check("fd12::1", "http://[fd12::2]/", true);
        check("0.0.0.0/0", "http://1.2.3.4/", false);
    }

    #[test]
    fn environment() {
        let config = ProxyConfig { from_environment: true, ..ProxyConfig::default() };
        let check = |variables: &[(&str, &str)], url: &str, expected: &str| {
            assert_eq!(through(&config, variables, url), expected, "{variables:?} {url}");
        };
        check(&[], "http://x/", "");
        check(&[("HTTP_PROXY", "p:1")], "http://x/", "http://p:1/");
        check(&[("HTTP_PROXY", "p:1")], "https://x/", "");
        check(&[("https_proxy", "https://p:1")], "https://x/", "https://p:1/");
        check(&[("HTTP_PROXY", "p:1"), ("no_proxy", "x")], "http://x/", "");
        check(&[("HTTP_PROXY", "p:1")], "http://localhost/", "");
        check(&[("HTTP_PROXY", "socks5://u:p@p")], "http://x/", "socks5://p:1080/");
        let other = "proxies of the scheme \"ftp\" are not spoken to; known: http, https, socks5, socks5h";
        check(&[("HTTP_PROXY", "ftp://p:1")], "http://x/", other);
        check(&[("HTTP_PROXY", "http://")], "http://x/", "the URL of the proxy is none; write http://host:port");
    }

    #[test]
    fn users() {
        let check = |user: &str, expected: &str| assert_eq!(basic(user).unwrap().to_str().unwrap(), expected);
        check("u:p", "Basic dTpw");
        check("u", "Basic dTo=");
        check("u%40h:%", "Basic dUBoOiU=");
    }
}
