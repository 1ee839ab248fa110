//! Gets a page over HTTP, within the limits of time and size.

mod unpack;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use client::config::HttpConfig;
use client::{Failure, Network, Transport};
use exposition::{Format, accept, format_of};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use self::unpack::Packing;
use crate::error::ScrapeError;
use crate::reading::Body;
use crate::target::Target;

/// Of so many bytes that are compressed one is a control character, as good as certainly.
const LOOKED_AT_BYTES: usize = 128;

/// Gets pages; connections are kept between scrapes.
pub(crate) struct Fetcher {
    network: Network,
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

/// The body of an answer, as it came.
pub(crate) struct Answer {
    body: Vec<u8>,
    /// Whether the rest of it was not read, because it is longer than it may be.
    cut: bool,
    packing: Packing,
    limit: BodyLimit,
    format: Format,
    reservation: Reservation,
}

/// How many bytes are too many, and who says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit {
    bytes: u64,
    source: &'static str,
}

impl Fetcher {
    pub(crate) fn new(version: &str, body_size_bytes_max: u64, pages_bytes_max: u64) -> Self {
        Self {
            network: Network::default(),
            user_agent: HeaderValue::from_str(&format!("skep/{version}")).unwrap_or(HeaderValue::from_static("skep")),
            body_size_bytes_max,
            pages_bytes_max,
            held: Arc::default(),
        }
    }

    /// The clients of all configurations.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// What reaches the servers of a job; jobs with equal settings share their connections.
    pub(crate) fn transport(&self, config: &HttpConfig) -> Arc<Transport> {
        self.network.transport(config)
    }

    /// The target's page by a [`Fetcher::request`] for it. The target's timeout covers connecting, tokens, redirects and the whole body, but not the reading of
    /// this system's certificates, which is not the target's doing.
    pub(crate) async fn fetch(
        &self,
        target: &Target,
        transport: &Transport,
        request: Request<Full<Bytes>>,
        body: Vec<u8>,
    ) -> Result<Answer, ScrapeError> {
        transport.prepare(request.uri()).await.map_err(|failure| failed(target, failure))?;
        let exchange = async {
            let response = transport.send(request).await.map_err(|failure| failed(target, failure))?;
            self.read(target, response, body).await
        };
        match tokio::time::timeout(target.timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(ScrapeError::Timeout { url: target.url.clone(), timeout: target.timeout }),
        }
    }

    /// What asks a target for its page, each time.
    pub(crate) fn request(&self, target: &Target) -> Result<Request<Full<Bytes>>, ScrapeError> {
        let bad = |reason: String| failed(target, Failure::Request(reason));
        let uri: Uri = target.url.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        let mut request = Request::get(uri).body(Full::default()).map_err(|error| bad(error.to_string()))?;
        let headers = request.headers_mut();
        let encodings = if target.job.enable_compression { unpack::ACCEPTED } else { "identity" };
        if let Ok(accept) = HeaderValue::from_str(&accept(&target.job.protocols, target.job.escaping)) {
            headers.insert(ACCEPT, accept);
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        headers.insert(USER_AGENT, self.user_agent.clone());
        if let Ok(seconds) = HeaderValue::from_str(&target.timeout.as_secs_f64().to_string()) {
            headers.insert("x-prometheus-scrape-timeout-seconds", seconds);
        }
        Ok(request)
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
        let headers = response.headers();
        let encoding = text_of(headers, CONTENT_ENCODING);
        let packing = Packing::of(encoding);
        let unknown = packing.is_none().then(|| encoding.to_owned());
        let format = format_of(text_of(headers, CONTENT_TYPE), target.job.fallback);
        let limit = self.limit(target);
        let mut reservation = Reservation { total: Arc::clone(&self.held), max: self.pages_bytes_max, held: 0 };
        let mut cut = false;
        let mut frames = response.into_body();
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|error| failed(target, Failure::Connection(chain(&error))))?;
            let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) else { continue };
            // A page without a byte has no samples, whatever its headers say.
            if let Err(reason) = &format {
                return Err(ScrapeError::ContentType(reason.clone()));
            }
            if limit.is_reached(body.len() + data.len()) {
                let room = limit.bytes as usize - body.len();
                body.extend_from_slice(&data[..room]);
                cut = true;
                break;
            }
            reservation.grow(data.len())?;
            body.extend_from_slice(data);
        }
        // Some exporters write `utf-8` and the like there, and Prometheus reads their pages.
        if let Some(encoding) = unknown.filter(|_| is_packed(&body)) {
            return Err(ScrapeError::Encoding(encoding));
        }
        let format = format.ok().filter(|_| !body.is_empty()).unwrap_or(Format::Text);
        Ok(Answer { body, cut, packing: packing.unwrap_or(Packing::None), limit, format, reservation })
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
    fn is_reached(self, len: usize) -> bool {
        len as u64 >= self.bytes
    }

    pub(crate) fn exceeded(self) -> ScrapeError {
        ScrapeError::BodySize { limit: self.bytes, source_of_limit: self.source }
    }
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
    pub(crate) fn page<'a>(&'a mut self, plain: &'a mut Vec<u8>) -> Result<Body<'a>, ScrapeError> {
        let (format, limit) = (self.format, self.limit);
        if self.packing == Packing::None {
            return Ok(Body { bytes: &self.body, format, cut: self.cut.then_some(limit) });
        }
        if self.cut {
            return Err(limit.exceeded());
        }
        plain.clear();
        let reservation = &mut self.reservation;
        self.packing.unpack(&self.body, plain, limit.bytes, |size| reservation.grow(size))?;
        let format = if plain.is_empty() { Format::Text } else { format };
        Ok(Body { bytes: plain, format, cut: limit.is_reached(plain.len()).then_some(limit) })
    }

    /// The memory of the body, to be used again.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body
    }
}

fn failed(target: &Target, failure: Failure) -> ScrapeError {
    match failure {
        Failure::Redirects(count) => ScrapeError::Redirects(count),
        failure => ScrapeError::Request { url: target.url.clone(), reason: failure.to_string() },
    }
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

/// Whether a body looks like what a compressor wrote: pages have no control characters but ends of lines and tabs.
fn is_packed(body: &[u8]) -> bool {
    body.iter().take(LOOKED_AT_BYTES).any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

/// A header as text; one that is none is no known word either.
fn text_of(headers: &HeaderMap, name: http::HeaderName) -> &str {
    headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"))
}
