//! A client as the configuration describes it: credentials, TLS, proxy, redirects, and connections that are kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, LOCATION, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Mutex;

use crate::config::{Auth, Header, HttpConfig};
use crate::connect::{Connector, is_unanswered, mark_used, was_closed_idle};
use crate::oauth::Tokens;
use crate::proxy::{Rule, basic};
use crate::tls::{Material, Roots, Tls};
use crate::{Failure, causes, files};

/// Requests for one answer, redirects included, as Go's client.
const REQUESTS_MAX: usize = 10;

/// An idle connection is kept for so long, as Prometheus' clients keep it: most intervals are shorter.
const IDLE_TIME_MAX: Duration = Duration::from_secs(5 * 60);

/// What a connection holds of an answer at most, and keeps between requests; a head must fit. hyper's 400 KiB are as much as
/// a thousand series take.
const RECEIVED_BYTES_MAX: usize = 64 << 10;

/// What a server may send ahead over HTTP/2, for a stream and for a connection: as much as keeps a fast network busy.
const WINDOW_BYTES: u32 = 256 << 10;

/// Certificates in files are looked at no more often than this.
const FILES_CHECK_INTERVAL: Duration = Duration::from_secs(1);

type Inner = Client<Connector, Full<Bytes>>;

/// Sends requests. Cheap parts are made at once, TLS when it is first needed.
pub struct Transport {
    config: HttpConfig,
    /// Where the configuration cannot be used, every request says why.
    proxy: Result<Arc<Rule>, Failure>,
    plain: Inner,
    secure: Mutex<Option<Secure>>,
    roots: Arc<Roots>,
    tokens: Option<Box<Tokens>>,
}

/// The client for servers with TLS, which is made anew when a certificate changes.
struct Secure {
    client: Inner,
    material: Material,
    looked: Instant,
}

/// A request without its address; it may be sent to several.
struct Sending {
    head: Parts,
    body: Full<Bytes>,
}

impl Transport {
    pub(crate) fn new(config: &HttpConfig, roots: &Arc<Roots>) -> Self {
        let proxy = Rule::new(&config.proxy, &|name| std::env::var(name).ok()).map(Arc::new);
        let rule = proxy.as_ref().map(Arc::clone).unwrap_or_default();
        let tokens = match &config.auth {
            Auth::OAuth2(oauth) => {
                let inner = HttpConfig { tls: oauth.tls.clone(), proxy: oauth.proxy.clone(), ..HttpConfig::default() };
                Some(Box::new(Tokens::new((**oauth).clone(), Self::new(&inner, roots))))
            }
            _ => None,
        };
        Self {
            config: config.clone(),
            proxy,
            plain: client(Connector::new(rule, None)),
            secure: Mutex::default(),
            roots: Arc::clone(roots),
            tokens,
        }
    }

    /// Reads the certificates that a URL needs, where that was not done yet: they are files of this machine, and the time they
    /// take is not the server's.
    pub async fn prepare(&self, uri: &Uri) -> Result<(), Failure> {
        if uri.scheme_str() == Some("https") { self.secure().await.map(drop) } else { Ok(()) }
    }

    /// Sends a request with the configuration's headers and credentials, follows redirects, and gives the head of the answer;
    /// the body is still to be read. There is no limit of time here.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let (head, body) = request.into_parts();
        let mut uri = head.uri.clone();
        let origin = uri.clone();
        let mut sending = Sending { head, body };
        for _ in 0..REQUESTS_MAX {
            let response = self.exchange(&sending, &uri, is_trusted(&origin, &uri)).await?;
            let follows = self.config.follow_redirects && sending.keeps_its_body(response.status());
            match redirection(&response, &uri).filter(|_| follows) {
                Some(next) => uri = next?,
                None => return Ok(response),
            }
            sending.head.headers.remove(HOST);
        }
        Err(Failure::Redirects(REQUESTS_MAX))
    }

    /// One request and its answer. Credentials are for the host that the configuration names, and for no other.
    async fn exchange(&self, sending: &Sending, uri: &Uri, trusted: bool) -> Result<Response<Incoming>, Failure> {
        let mut request = sending.request(uri)?;
        let mut used_before = None;
        if trusted {
            let headers = request.headers_mut();
            used_before = self.authorize(headers).await?;
            if let Some((user, _)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) {
                headers.entry(AUTHORIZATION).or_insert(basic(user)?);
            }
            add_headers(headers, &self.config.headers).await?;
        }
        let response = self.dispatch(request).await?;
        if let (Some(tokens), Some(header), StatusCode::UNAUTHORIZED) = (&self.tokens, used_before, response.status()) {
            tokens.refused(&header).await;
        }
        Ok(response)
    }

    async fn dispatch(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let rule = self.proxy.as_ref().map_err(Clone::clone)?;
        let secure = match request.uri().scheme_str() {
            Some("http") => rule.is_secure(),
            Some("https") => true,
            other => {
                let scheme = other.unwrap_or_default();
                return Err(Failure::Request(format!("unsupported protocol scheme {scheme:?}")));
            }
        };
        if request.uri().scheme_str() == Some("http")
            && let Some(value) = rule.proxy_of(request.uri()).and_then(|proxy| proxy.authorization.clone())
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let client = if secure { self.secure().await? } else { self.plain.clone() };
        loop {
            match client.request(request.clone()).await {
                Ok(response) => {
                    mark_used(&response);
                    return Ok(response);
                }
                Err(error) if was_closed_idle(&error) => {}
                Err(error) => return Err(failure(&error)),
            }
        }
    }

    /// The client for TLS, with the certificates as they are now.
    async fn secure(&self) -> Result<Inner, Failure> {
        let mut secure = self.secure.lock().await;
        if let Some(known) = secure.as_ref().filter(|known| known.looked.elapsed() < FILES_CHECK_INTERVAL) {
            return Ok(known.client.clone());
        }
        let material = Material::read(&self.config.tls).await?;
        let looked = Instant::now();
        if let Some(known) = secure.as_mut().filter(|known| known.material == material) {
            known.looked = looked;
            return Ok(known.client.clone());
        }
        let tls = Tls::new(&self.config.tls, &material, self.config.enable_http2, &self.roots).await?;
        let rule = self.proxy.as_ref().map(Arc::clone).unwrap_or_default();
        let client = client(Connector::new(rule, Some(tls)));
        *secure = Some(Secure { client: client.clone(), material, looked });
        Ok(client)
    }

    /// Sets `Authorization`. Gives it back where it is a token that was used before.
    async fn authorize(&self, headers: &mut HeaderMap) -> Result<Option<HeaderValue>, Failure> {
        let text = match &self.config.auth {
            Auth::None => return Ok(None),
            Auth::Basic(auth) => {
                let (name, password) = (files::reveal(&auth.username).await?, files::reveal(&auth.password).await?);
                format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
            }
            Auth::Authorization(auth) => format!("{} {}", auth.kind, files::reveal(&auth.credentials).await?),
            Auth::OAuth2(_) => {
                let Some(tokens) = &self.tokens else { return Ok(None) };
                // The tokens have a transport of their own, without credentials, so this ends.
                let (header, used_before) = Box::pin(tokens.get()).await?;
                headers.insert(AUTHORIZATION, header.clone());
                return Ok(used_before.then_some(header));
            }
        };
        let mut value = HeaderValue::from_str(text.trim_end()).map_err(|_| Failure::Credentials)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(None)
    }
}

impl Sending {
    fn request(&self, uri: &Uri) -> Result<Request<Full<Bytes>>, Failure> {
        let bad = |error: http::Error| Failure::Request(error.to_string());
        let mut request = Request::builder()
            .method(self.head.method.clone())
            .uri(without_user(uri)?)
            .body(self.body.clone())
            .map_err(bad)?;
        *request.headers_mut() = self.head.headers.clone();
        Ok(request)
    }

    /// Only 307 and 308 say that the same is to be sent elsewhere. Go's client asks there with an empty GET where one of the
    /// others answers a POST, and takes its answer for success; a notification would be lost so, and nobody would know.
    fn keeps_its_body(&self, status: StatusCode) -> bool {
        matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
            || matches!(self.head.method, Method::GET | Method::HEAD)
    }
}

fn client(connector: Connector) -> Inner {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME_MAX)
        .http1_max_buf_size(RECEIVED_BYTES_MAX)
        .http2_initial_stream_window_size(WINDOW_BYTES)
        .http2_initial_connection_window_size(WINDOW_BYTES)
        .http2_max_header_list_size(RECEIVED_BYTES_MAX as u32)
        .build(connector)
}

/// Our own reasons stand in hyper's errors as they are; hyper's own ones say at which step something went wrong.
fn failure(error: &hyper_util::client::legacy::Error) -> Failure {
    let sources = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let own = sources.into_iter().find_map(|error| error.downcast_ref::<Failure>());
    own.cloned().unwrap_or_else(|| match causes(error) {
        text if text.contains("fatal alert") => Failure::Connection(text),
        _ if is_unanswered(error) => {
            Failure::Connection("the server closed the connection before it answered".to_owned())
        }
        text => Failure::Connection(text),
    })
}

async fn add_headers(headers: &mut HeaderMap, added: &[Header]) -> Result<(), Failure> {
    for header in added {
        let name = HeaderName::try_from(&header.name)
            .map_err(|_| Failure::Settings(format!("{:?} in http_headers is no name of a header", header.name)))?;
        let mut add = |text: &str| {
            let value = HeaderValue::from_str(text).map_err(|_| Failure::Credentials)?;
            headers.append(name.clone(), value);
            Ok(())
        };
        header.values.iter().try_for_each(|value| add(value))?;
        header.secrets.iter().try_for_each(|secret| add(secret.reveal()))?;
        for path in &header.files {
            add(files::read_file(path).await?.trim())?;
        }
    }
    Ok(())
}

/// A host is trusted with the credentials of another only if it is the same one, at the same port or with TLS now.
fn is_trusted(origin: &Uri, uri: &Uri) -> bool {
    let same_host = origin.host() == uri.host();
    let same_place = origin.scheme() == uri.scheme() && origin.port_u16() == uri.port_u16();
    let upgraded = origin.scheme_str() == Some("http") && uri.scheme_str() == Some("https");
    same_host && (same_place || upgraded)
}

fn without_user(uri: &Uri) -> Result<Uri, Failure> {
    let Some(authority) = uri.authority().filter(|authority| authority.as_str().contains('@')) else {
        return Ok(uri.clone());
    };
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(host.parse().map_err(|_| Failure::Request("the URL has no host".to_owned()))?);
    Uri::from_parts(parts).map_err(|error| Failure::Request(error.to_string()))
}

/// Where an answer sends us; `None` where it is an answer.
fn redirection(response: &Response<Incoming>, from: &Uri) -> Option<Result<Uri, Failure>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().unwrap_or_default();
    let next = resolve(from, location);
    Some(next.ok_or_else(|| Failure::Request(format!("cannot follow a redirect to {location:?}"))))
}

fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    let scheme = from.scheme_str()?;
    let authority = from.authority()?;
    let location = location.split('#').next().unwrap_or_default();
    let absolute = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", from.path())
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    absolute.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved() {
        let check = |location: &str, expected: &str| {
            let got = resolve(&"http://h:1/a/b?c".parse().unwrap(), location);
            assert_eq!(got.map(|uri| uri.to_string()).unwrap_or_default(), expected, "{location}");
        };
        check("/x", "http://h:1/x");
        check("x?y#z", "http://h:1/a/x?y");
        check("?y", "http://h:1/a/b?y");
        check("//i/x", "http://i/x");
        check("https://i", "https://i/");
        check("http://[", "");
    }

    #[test]
    fn credentials_are_for_their_host() {
        let check = |from: &str, to: &str, expected: bool| {
            assert_eq!(is_trusted(&from.parse().unwrap(), &to.parse().unwrap()), expected, "{from} {to}");
        };
        check("http://h/a", "http://h/b", true);
        check("http://h/a", "https://h/a", true);
        check("http://h:1/a", "https://h:2/a", true);
        check("https://h/a", "http://h/a", false);
        check("http://h:1/a", "http://h:2/a", false);
        check("http://h/a", "http://i/a", false);
        check("http://h/a", "http://a.h/a", false);
    }
}
