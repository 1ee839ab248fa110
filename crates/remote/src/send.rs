//! Sends requests to a server that receives remote write: skep itself, or any other.

use std::time::Duration;

use bytes::Bytes;
use client::Client;
use http_body_util::Full;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use thiserror::Error;

use crate::counters::{LEFT_OUT_HEADER, WRITTEN_HEADER};

/// Where receivers listen.
const PATH: &str = "/api/v1/write";
/// A request is on the disk long before, even on a slow card.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A server that is busy, restarts or waits for room gets this many chances.
const ATTEMPTS_MAX: u32 = 8;
/// The wait before the first repetition where the server names none; it doubles. No wait is shorter.
const PAUSE: Duration = Duration::from_millis(500);
/// No wait is longer, whatever the server asks for.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// What a server that unpacks no further says beside its 400, as Prometheus does; longer bodies get a 413.
const TOO_LONG_UNPACKED: &str = "snappy: decoded length ";

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

impl SendError {
    /// Whether the same request may be taken later.
    fn is_temporary(&self) -> bool {
        match self {
            Self::Address(_) => false,
            Self::Connection { .. } => true,
            Self::Refused { status, .. } => {
                let waits = matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
                status.is_server_error() || waits
            }
        }
    }

    /// Whether the same in smaller requests would be taken.
    pub fn is_too_large(&self) -> bool {
        match self {
            Self::Refused { status: StatusCode::PAYLOAD_TOO_LARGE, .. } => true,
            Self::Refused { status: StatusCode::BAD_REQUEST, answer, .. } => answer.starts_with(TOO_LONG_UNPACKED),
            _ => false,
        }
    }
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
    client: Client,
    uri: Uri,
}

impl Sender {
    /// `url` is that of the server, such as `http://127.0.0.1:9090`, or the whole address of its receiver. It reads the
    /// system's certificates: to be called on a thread that may block.
    pub fn new(url: &str) -> Result<Self, SendError> {
        let wrong = || SendError::Address(url.to_owned());
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).ok_or_else(wrong)?;
        let has_path = rest.trim_end_matches('/').contains('/');
        let whole = if has_path { url.to_owned() } else { format!("{}{PATH}", url.trim_end_matches('/')) };
        let uri: Uri = whole.parse().map_err(|_| wrong())?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        Ok(Self { client: Client::new(), uri })
    }

    /// Sends the body of a [`crate::Message`] until it is taken or refused for good.
    pub async fn send(&self, body: Vec<u8>) -> Result<Answer, SendError> {
        let body = Bytes::from(body);
        let (mut attempt, mut pause) = (1, PAUSE);
        loop {
            let (failure, asked) = match self.attempt(body.clone()).await {
                Attempt::Taken(answer) => return Ok(answer),
                Attempt::Failed(failure, asked) => (failure, asked),
            };
            if !failure.is_temporary() || attempt == ATTEMPTS_MAX {
                return Err(failure);
            }
            let wait = asked.unwrap_or(pause).clamp(PAUSE, PAUSE_MAX);
            tracing::warn!(error = %failure, ?wait, "the request is sent again");
            tokio::time::sleep(wait).await;
            (attempt, pause) = (attempt + 1, wait * 2);
        }
    }

    async fn attempt(&self, body: Bytes) -> Attempt {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        for (name, value) in HEADERS {
            request.headers_mut().insert(name, value);
        }
        match self.client.send(request, ANSWER_TIMEOUT).await {
            Ok((head, said)) => self.judge(head.status, &head.headers, &said),
            Err(failure) => {
                let reason = failure.to_string();
                Attempt::Failed(SendError::Connection { url: self.uri.to_string(), reason }, None)
            }
        }
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
        let asked = text(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        Attempt::Failed(SendError::Refused { url: self.uri.to_string(), status, answer: said.to_owned() }, asked)
    }
}

enum Attempt {
    Taken(Answer),
    /// Why, and the wait that the server asks for.
    Failed(SendError, Option<Duration>),
}

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")),
    (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
    (HeaderName::from_static("x-prometheus-remote-write-version"), HeaderValue::from_static("0.1.0")),
    (USER_AGENT, HeaderValue::from_static(concat!("skep/", env!("CARGO_PKG_VERSION")))),
];

/// `a=3;b=1`.
fn counts(text: &str) -> Vec<(String, u64)> {
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(reason, count)| Some((reason.to_owned(), count.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

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

    /// What comes of a first answer with these header lines, where the second one is good: no panic and no storm.
    async fn check_pause(header: &str, expected: Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let busy = format!("HTTP/1.1 503 Busy\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n");
        let serving = tokio::spawn(async move {
            let mut times = Vec::new();
            for answer in [busy.as_str(), "HTTP/1.1 204 Taken\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                times.push(tokio::time::Instant::now());
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            times[1] - times[0]
        });
        let sender = Sender::new(&url).unwrap();
        tokio::time::pause();
        assert_eq!(sender.send(vec![1]).await.unwrap(), Answer::default());
        let waited = serving.await.unwrap();
        assert!(waited >= expected && waited < expected + Duration::from_secs(1), "{header:?}: {waited:?}");
        tokio::time::resume();
    }

    #[tokio::test]
    async fn waits_are_those_of_the_server_within_reason() {
        check_pause("", PAUSE).await;
        check_pause("retry-after: 3\r\n", Duration::from_secs(3)).await;
        check_pause("retry-after: 0\r\n", PAUSE).await;
        check_pause(&format!("retry-after: {}\r\n", u64::MAX), PAUSE_MAX).await;
        check_pause("retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n", PAUSE).await;
    }

    #[test]
    fn requests_that_are_too_large() {
        let check = |status: u16, answer: &str, expected: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            let error = SendError::Refused { url: String::new(), status, answer: answer.to_owned() };
            assert_eq!(error.is_too_large(), expected, "{error}");
        };
        check(413, "", true);
        check(400, "snappy: decoded length 9 exceeds limit 8", true);
        check(400, "snappy: corrupt input", false);
        check(500, "", false);
    }

    #[test]
    fn what_receivers_say() {
        assert_eq!(counts("limit=1;x=22"), [("limit".to_owned(), 1), ("x".to_owned(), 22)]);
        assert_eq!(counts(""), []);
    }
}
