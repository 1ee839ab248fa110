//! Gets a page over HTTP, within the limits of time and size.

mod connection;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use bytes::Bytes;
use client::config::{Auth, Source};
use exposition::{Format, Protocol, accept, format_of};
use flate2::read::MultiGzDecoder;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION, USER_AGENT,
};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::TokioExecutor;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use self::connection::{Connector, connector};
use crate::error::ScrapeError;
use crate::target::Target;

/// As Go's client, which Prometheus uses.
const REDIRECTS_MAX: usize = 10;

/// Decompression asks for room in steps of this size.
const CHUNK_SIZE_BYTES: u64 = 256 << 10;

/// What a connection holds of an answer at most, and keeps between scrapes; a head must fit. hyper's 400 KiB are as much as
/// a thousand series take.
const RECEIVED_BYTES_MAX: usize = 64 << 10;

/// Gets pages; connections are kept between scrapes.
pub(crate) struct Fetcher {
    plain: Client<Connector, Empty<Bytes>>,
    /// Made when the first `https` target is scraped: loading the system's certificates takes time and memory.
    secure: OnceCell<Result<SecureClient, String>>,
    user_agent: HeaderValue,
    body_size_bytes_max: u64,
    pages_bytes_max: u64,
    held: Arc<AtomicU64>,
}

/// Bytes of pages that are in memory because of one scrape; they are given back when it is dropped.
struct Reservation {
    total: Arc<AtomicU64>,
    max: u64,
    held: u64,
}

type SecureClient = Client<HttpsConnector<Connector>, Empty<Bytes>>;

/// The body of an answer, as it came.
pub(crate) struct Answer {
    body: Vec<u8>,
    gzip: bool,
    limit: BodyLimit,
    format: Format,
    reservation: Reservation,
}

/// How many bytes are too many, and who says so.
#[derive(Clone, Copy, Debug)]
struct BodyLimit {
    bytes: u64,
    source: &'static str,
}

impl Fetcher {
    pub(crate) fn new(version: &str, body_size_bytes_max: u64, pages_bytes_max: u64) -> Self {
        Self {
            plain: client().build(connector(false)),
            secure: OnceCell::new(),
            user_agent: HeaderValue::from_str(&format!("skep/{version}")).unwrap_or(HeaderValue::from_static("skep")),
            body_size_bytes_max,
            pages_bytes_max,
            held: Arc::default(),
        }
    }

    /// The target's page. The target's timeout covers connecting, redirects and the whole body, but not the reading of this
    /// system's certificates, which is not the target's doing.
    pub(crate) async fn fetch(&self, target: &Target, body: Vec<u8>) -> Result<Answer, ScrapeError> {
        if target.url.starts_with("https:") {
            self.secure_client(target).await?;
        }
        match tokio::time::timeout(target.timeout, self.follow(target, body)).await {
            Ok(result) => result,
            Err(_) => Err(ScrapeError::Timeout { url: target.url.clone(), timeout: target.timeout }),
        }
    }

    async fn follow(&self, target: &Target, body: Vec<u8>) -> Result<Answer, ScrapeError> {
        let mut uri: Uri = target.url.parse().map_err(|e| request_error(target, &e))?;
        let origin = uri.clone();
        for _ in 0..=REDIRECTS_MAX {
            // Credentials are for the host that the configuration names, and for no other.
            let trusted = uri.authority() == origin.authority() && uri.scheme() == origin.scheme();
            let response = self.request(target, &uri, trusted).await?;
            match redirection(&response, &uri).filter(|_| target.job.http.follow_redirects) {
                Some(next) => uri = next.map_err(|reason| request_error(target, &reason))?,
                None => return self.read(target, response, body).await,
            }
        }
        Err(ScrapeError::Redirects(REDIRECTS_MAX))
    }

    async fn request(&self, target: &Target, uri: &Uri, trusted: bool) -> Result<Response<Incoming>, ScrapeError> {
        let mut request = Request::get(uri).body(Empty::new()).map_err(|e| request_error(target, &e))?;
        self.set_headers(target, request.headers_mut());
        if trusted && let Some(value) = authorization(&target.job.http.auth).await? {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        loop {
            match self.send(target, request.clone()).await? {
                Ok(response) => {
                    connection::mark_used(&response);
                    return Ok(response);
                }
                Err(error) if connection::was_closed_idle(&error) => {}
                Err(error) => return Err(request_error(target, &chain(&error))),
            }
        }
    }

    async fn send(
        &self,
        target: &Target,
        request: Request<Empty<Bytes>>,
    ) -> Result<Result<Response<Incoming>, hyper_util::client::legacy::Error>, ScrapeError> {
        match request.uri().scheme_str() {
            Some("http") => Ok(self.plain.request(request).await),
            Some("https") => Ok(self.secure_client(target).await?.request(request).await),
            other => {
                let reason = format!("unsupported protocol scheme {:?}", other.unwrap_or_default());
                Err(request_error(target, &reason))
            }
        }
    }

    fn set_headers(&self, target: &Target, headers: &mut HeaderMap) {
        let encoding = if target.job.enable_compression { "gzip" } else { "identity" };
        if let Ok(accept) = HeaderValue::from_str(&accept(&target.job.protocols, target.job.escaping)) {
            headers.insert(ACCEPT, accept);
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        headers.insert(USER_AGENT, self.user_agent.clone());
        let seconds = target.timeout.as_secs_f64().to_string();
        if let Ok(seconds) = HeaderValue::from_str(&seconds) {
            headers.insert("x-prometheus-scrape-timeout-seconds", seconds);
        }
    }

    async fn secure_client(&self, target: &Target) -> Result<&SecureClient, ScrapeError> {
        let made = || async { spawn_blocking(secure_client).await.unwrap_or_else(|error| Err(error.to_string())) };
        let client = self.secure.get_or_init(made).await;
        client.as_ref().map_err(|reason| request_error(target, reason))
    }

    async fn read(
        &self,
        target: &Target,
        response: Response<Incoming>,
        mut body: Vec<u8>,
    ) -> Result<Answer, ScrapeError> {
        if response.status() != http::StatusCode::OK {
            return Err(ScrapeError::Status(response.status().to_string()));
        }
        let gzip = is_gzip(response.headers())?;
        let format = format(response.headers(), target.job.fallback)?;
        let limit = self.limit(target);
        let mut reservation = Reservation { total: Arc::clone(&self.held), max: self.pages_bytes_max, held: 0 };
        let mut frames = response.into_body();
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|error| request_error(target, &chain(&error)))?;
            if let Some(data) = frame.data_ref() {
                limit.check(body.len() + data.len())?;
                reservation.grow(data.len())?;
                body.extend_from_slice(data);
            }
        }
        Ok(Answer { body, gzip, limit, format, reservation })
    }

    /// Bytes of pages that are being read or stored.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    fn limit(&self, target: &Target) -> BodyLimit {
        match target.job.limits.body_size_bytes {
            Some(bytes) if bytes <= self.body_size_bytes_max => BodyLimit { bytes, source: "body_size_limit" },
            _ => BodyLimit { bytes: self.body_size_bytes_max, source: "a ceiling of --memory-budget" },
        }
    }
}

impl BodyLimit {
    fn check(self, len: usize) -> Result<(), ScrapeError> {
        if (len as u64) < self.bytes {
            return Ok(());
        }
        Err(ScrapeError::BodySize { limit: self.bytes, source_of_limit: self.source })
    }
}

/// Reads the system's certificates, which are files.
fn secure_client() -> Result<SecureClient, String> {
    let builder = HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|e| format!("the system's certificates cannot be read, install ca-certificates: {e}"))?;
    let connector = builder.https_only().enable_http1().wrap_connector(connector(true));
    Ok(client().build(connector))
}

fn client() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.http1_max_buf_size(RECEIVED_BYTES_MAX);
    builder
}

impl Reservation {
    fn grow(&mut self, bytes: usize) -> Result<(), ScrapeError> {
        let bytes = bytes as u64;
        self.held += bytes;
        if self.total.fetch_add(bytes, Ordering::Relaxed) + bytes > self.max {
            return Err(ScrapeError::PagesHeld { max: self.max });
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.total.fetch_sub(self.held, Ordering::Relaxed);
    }
}

impl Answer {
    /// The page, decompressed into `plain` where it came compressed. It works on the processor for as long as the
    /// page is large; call it where blocking is allowed.
    pub(crate) fn page<'a>(&'a mut self, plain: &'a mut Vec<u8>) -> Result<&'a [u8], ScrapeError> {
        if !self.gzip {
            return Ok(&self.body);
        }
        plain.clear();
        let mut decoder = MultiGzDecoder::new(&*self.body).take(self.limit.bytes);
        loop {
            let chunk = decoder.by_ref().take(CHUNK_SIZE_BYTES).read_to_end(plain);
            let size = chunk.map_err(|error| ScrapeError::Gzip(error.to_string()))?;
            if size == 0 {
                break;
            }
            self.reservation.grow(size)?;
        }
        self.limit.check(plain.len())?;
        Ok(plain)
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The memory of the body, to be used again.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body
    }
}

fn request_error(target: &Target, reason: &dyn std::fmt::Display) -> ScrapeError {
    ScrapeError::Request { url: target.url.clone(), reason: reason.to_string() }
}

/// An error with what lies behind it: the outer one only says that something went wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, ScrapeError> {
    match headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("" | "identity") => Ok(false),
        Some(encoding) if encoding.eq_ignore_ascii_case("gzip") => Ok(true),
        Some(other) => Err(ScrapeError::Encoding(other.to_owned())),
    }
}

/// A page must say what it is, or the job must say what a page is that does not.
fn format(headers: &HeaderMap, fallback: Option<Protocol>) -> Result<Format, ScrapeError> {
    let content_type = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    format_of(content_type, fallback).map_err(ScrapeError::ContentType)
}

/// Where an answer sends us; `None` where it is an answer.
fn redirection(response: &Response<Incoming>, from: &Uri) -> Option<Result<Uri, String>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().unwrap_or_default();
    Some(resolve(from, location).ok_or_else(|| format!("cannot follow a redirect to {location:?}")))
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
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    absolute.parse().ok()
}

async fn authorization(auth: &Auth) -> Result<Option<HeaderValue>, ScrapeError> {
    let text = match auth {
        Auth::None => return Ok(None),
        Auth::Basic(auth) => {
            let pair = format!("{}:{}", reveal(&auth.username).await?, reveal(&auth.password).await?);
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        Auth::Authorization(auth) => format!("{} {}", auth.kind, reveal(&auth.credentials).await?),
        Auth::OAuth2(_) => return Err(ScrapeError::Credentials),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| ScrapeError::Credentials)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

async fn reveal(secret: &Source) -> Result<String, ScrapeError> {
    match secret {
        Source::Inline(text) => Ok(text.reveal().to_owned()),
        Source::File(path) => match tokio::fs::read_to_string(path).await {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) => Err(ScrapeError::SecretFile { path: path.display().to_string(), reason: error.to_string() }),
        },
    }
}
