//! Sends requests to a server that receives remote write: skep itself, or any other.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;

use crate::counters::{LEFT_OUT_HEADER, WRITTEN_HEADER};

/// Where receivers listen.
const PATH: &str = "/api/v1/write";
/// A request is on the disk long before, even on a slow card.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A server that is busy, restarts or waits for room gets this many chances.
const ATTEMPTS_MAX: u32 = 8;
/// The wait before the first repetition where the server names none; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// No wait is longer, whatever the server asks for.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// What is read of a refusal.
const ANSWER_BYTES_MAX: usize = 2048;

/// Why a request was not taken.
#[derive(Debug, Error)]
pub enum SendError {
    /// The address cannot be used.
    #[error("{0:?} is not the address of a server, such as http://127.0.0.1:9090")]
    Address(String),
    /// Nobody answered.
    #[error("{url}: {reason}")]
    Connection {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server refuses the whole request.
    #[error("{url} answers {status}: {answer}")]
    Refused {
        /// The address.
        url: String,
        /// The status.
        status: StatusCode,
        /// What it says.
        answer: String,
    },
}

/// What became of a request that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Samples stored, where the server says so.
    pub written: Option<u64>,
    /// Samples left out, by reason, where the server says so.
    pub left_out: Vec<(String, u64)>,
    /// What it complains of; empty if everything was stored.
    pub complaint: String,
}

/// A client of one server. It sends one request after the other.
pub struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
}

impl Sender {
    /// `url` is that of the server, such as `http://127.0.0.1:9090`, or the whole address of its receiver.
    pub fn new(url: &str) -> Result<Self, SendError> {
        let wrong = || SendError::Address(url.to_owned());
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).ok_or_else(wrong)?;
        let has_path = rest.trim_end_matches('/').contains('/');
        let whole = if has_path { url.to_owned() } else { format!("{}{PATH}", url.trim_end_matches('/')) };
        let uri: Uri = whole.parse().map_err(|_| wrong())?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector()), uri })
    }

    /// Sends the body of a [`crate::Message`] until it is taken or refused for good.
    pub async fn send(&self, body: Vec<u8>) -> Result<Answer, SendError> {
        let body = Bytes::from(body);
        let mut pause = PAUSE;
        for attempt in 1.. {
            let failure = match self.attempt(body.clone()).await {
                Ok(Attempt::Taken(answer)) => return Ok(answer),
                Ok(Attempt::Later(error, wait)) => {
                    pause = wait.unwrap_or(pause);
                    error
                }
                Err(error) => error,
            };
            let for_good = matches!(&failure, SendError::Refused { status, .. } if !is_temporary(*status));
            if for_good || attempt == ATTEMPTS_MAX {
                return Err(failure);
            }
            tracing::warn!(error = %failure, ?pause, "the request is sent again");
            tokio::time::sleep(pause.min(PAUSE_MAX)).await;
            pause *= 2;
        }
        Err(SendError::Address(self.uri.to_string()))
    }

    async fn attempt(&self, body: Bytes) -> Result<Attempt, SendError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        for (name, value) in HEADERS {
            request.headers_mut().insert(name, value);
        }
        let failed = |reason: String| SendError::Connection { url: self.uri.to_string(), reason };
        let answering = tokio::time::timeout(ANSWER_TIMEOUT, self.client.request(request));
        let answer = answering.await.map_err(|_| failed(format!("no answer within {ANSWER_TIMEOUT:?}")))?;
        let (head, body) = answer.map_err(|e| failed(causes(&e)))?.into_parts();
        let said = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let said = said.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok(self.judge(head.status, &head.headers, String::from_utf8_lossy(&said).trim()))
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap, said: &str) -> Attempt {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let written = text(WRITTEN_HEADER).and_then(|text| text.parse().ok());
        let left_out = text(LEFT_OUT_HEADER).map(counts).unwrap_or_default();
        // A refusal that counts what it stored is one of single samples.
        let in_part = matches!(status, StatusCode::BAD_REQUEST | StatusCode::TOO_MANY_REQUESTS);
        if status.is_success() || (written.is_some() && in_part) {
            let complaint = if status.is_success() { String::new() } else { said.to_owned() };
            return Attempt::Taken(Answer { written, left_out, complaint });
        }
        let wait = text(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        Attempt::Later(SendError::Refused { url: self.uri.to_string(), status, answer: said.to_owned() }, wait)
    }
}

enum Attempt {
    Taken(Answer),
    Later(SendError, Option<Duration>),
}

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")),
    (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
    (HeaderName::from_static("x-prometheus-remote-write-version"), HeaderValue::from_static("0.1.0")),
    (USER_AGENT, HeaderValue::from_static(concat!("skep/", env!("CARGO_PKG_VERSION")))),
];

fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

/// `a=3;b=1`.
fn counts(text: &str) -> Vec<(String, u64)> {
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(reason, count)| Some((reason.to_owned(), count.parse().ok()?))).collect()
}

fn connector() -> HttpsConnector<HttpConnector> {
    let provider = rustls::crypto::ring::default_provider();
    match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider) {
        Ok(builder) => builder.https_or_http().enable_http1().build(),
        Err(error) => {
            tracing::warn!(%error, "this system has no certificates: servers with https will be refused");
            let roots = rustls::RootCertStore::empty();
            let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build()
        }
    }
}

/// An error with all that caused it, since the first text alone says only that connecting failed.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |url: &str, expected: Option<&str>| {
            let got = Sender::new(url).ok().map(|sender| sender.uri.to_string());
            assert_eq!(got.as_deref(), expected, "{url}");
        };
        check("http://127.0.0.1:9090", Some("http://127.0.0.1:9090/api/v1/write"));
        check("http://127.0.0.1:9090/", Some("http://127.0.0.1:9090/api/v1/write"));
        check("https://example/prom/api/v1/write", Some("https://example/prom/api/v1/write"));
        check("127.0.0.1:9090", None);
        check("http://", None);
        check("http://:80", None);
    }

    #[test]
    fn what_receivers_say() {
        assert_eq!(counts("limit=1;x=22"), [("limit".to_owned(), 1), ("x".to_owned(), 22)]);
        assert_eq!(counts(""), []);
    }
}
