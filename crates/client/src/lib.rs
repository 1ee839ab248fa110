//! The HTTP clients: of the rooms that send something out (webhooks and remote write), and what a configuration says of any
//! client ([`config`]).
//!
//! A request has one limit of time for all of it, the reading of the answer included, and of an answer no more is read
//! than the message of an error needs.

pub mod config;
mod connect;
pub mod decode;
mod files;
mod network;
mod oauth;
mod proxy;
mod streams;
mod tls;
mod transport;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::http::response::Parts;
use thiserror::Error;

use crate::config::HttpConfig;
pub use crate::network::Network;
pub use crate::streams::SecureStreams;
pub use crate::transport::Transport;

/// What is read of an answer: enough for the message of an error.
const ANSWER_BYTES_MAX: usize = 2048;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// Nobody answered, for these reasons.
    #[error("{0}")]
    Connection(String),
    /// No complete answer came within this time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer has more bytes than this.
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
    /// So many requests were answered by the place of another answer.
    #[error("stopped after {0} redirects")]
    Redirects(usize),
    /// The request cannot be sent.
    #[error("{0}")]
    Request(String),
    /// The configuration cannot be used.
    #[error("{0}")]
    Settings(String),
    /// A file that the configuration names.
    #[error("cannot read {path}: {reason}")]
    File {
        /// Its path.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Credentials that cannot be sent; they are not shown.
    #[error("the credentials hold characters that no header may have")]
    Credentials,
    /// The server of tokens gave none.
    #[error("oauth2: {0}")]
    Token(String),
}

/// Sends requests over kept connections, one for each server.
pub struct Client(Arc<Transport>);

impl Client {
    /// A client that follows no redirects.
    pub fn new() -> Self {
        let config = HttpConfig { follow_redirects: false, enable_http2: false, ..HttpConfig::default() };
        Self(Network::default().transport(&config))
    }

    /// Sends over this transport.
    pub fn over(transport: Arc<Transport>) -> Self {
        Self(transport)
    }

    /// Sends a request and gives the answer's head and, where it is no success, the beginning of its text, all within
    /// `limit`.
    pub async fn send(&self, request: Request<Full<Bytes>>, limit: Duration) -> Result<(Parts, String), Failure> {
        let exchange = async {
            let (head, body) = self.0.send(request).await?.into_parts();
            // A success is one whatever comes behind its head.
            let text = if head.status.is_success() { Vec::new() } else { beginning(body).await };
            Ok((head, String::from_utf8_lossy(&text).trim().to_owned()))
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(Failure::Timeout(limit)))
    }

    /// Sends a request and gives the whole answer, whatever its status, within `limit`.
    pub async fn fetch(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
        bytes_max: usize,
    ) -> Result<(Parts, Bytes), Failure> {
        let exchange = async {
            let (head, body) = self.0.send(request).await?.into_parts();
            match Limited::new(body, bytes_max).collect().await {
                Ok(body) => Ok((head, body.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLong(bytes_max)),
                Err(error) => Err(Failure::Connection(causes(&*error))),
            }
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(Failure::Timeout(limit)))
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// What came of an answer until it was enough, ended or broke off.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    bytes.truncate(ANSWER_BYTES_MAX);
    bytes
}

/// An error with all that caused it, since the first text alone says only that connecting failed.
fn causes(error: &dyn StdError) -> String {
    let causes = std::iter::successors(Some(error), |error| (**error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of a server that answers so and keeps the connection open.
    async fn check(answer: String, expected: Result<(u16, usize), Failure>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            std::future::pending::<()>().await;
        });
        let request = Request::get(url).body(Full::default()).unwrap();
        let got = Client::new().send(request, Duration::from_millis(200)).await;
        assert_eq!(got.map(|(head, text)| (head.status.as_u16(), text.len())), expected);
        serving.abort();
    }

    #[tokio::test]
    async fn answers_are_read_within_the_limits() {
        let timeout = || Err(Failure::Timeout(Duration::from_millis(200)));
        check("HTTP/1.1 400 Bad\r\ncontent-length: 3\r\n\r\nbad".to_owned(), Ok((400, 3))).await;
        let long = format!("HTTP/1.1 400 Bad\r\ncontent-length: 9000\r\n\r\n{}", "x".repeat(9000));
        check(long, Ok((400, ANSWER_BYTES_MAX))).await;
        check(String::new(), timeout()).await;
        check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n".to_owned(), Ok((200, 0))).await;
        // The text never comes.
        check("HTTP/1.1 400 Bad\r\ncontent-length: 3\r\n\r\n".to_owned(), timeout()).await;
    }
}
