//! Sends one request to a webhook.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use client::{Client as Http, Failure, Network, Transport};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use thiserror::Error;

use crate::config::{Config, Target, Webhook, parse_url};

const AGENT: &str = concat!("skep/", env!("CARGO_PKG_VERSION"));

/// Why a request was not taken.
#[derive(Clone, Debug, Error)]
pub enum Error {
    /// The file of an address or a secret cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Nobody answered.
    #[error("{0}")]
    Connection(String),
    /// No answer came in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer is not a success.
    #[error("unexpected status code {status}: {answer}")]
    Status {
        /// The code.
        status: u16,
        /// The beginning of the answer.
        answer: String,
    },
}

impl Error {
    /// Whether the same request may be taken later. A refusal will stay one.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500,
            Self::Connection(_) | Self::Timeout(_) | Self::File { .. } => true,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout(limit) => Self::Timeout(limit),
            failure => Self::Connection(failure.to_string()),
        }
    }
}

/// The HTTP clients of all webhooks; those that are configured alike share connections and tokens.
#[derive(Default)]
pub(crate) struct Client {
    network: Network,
    /// Those of the configuration in force, so that they live from one notification to the next.
    held: Mutex<Vec<Arc<Transport>>>,
}

impl Client {
    /// Holds the clients of this configuration and lets others go.
    pub(crate) fn hold(&self, config: &Config) {
        let webhooks = config.receivers.iter().flat_map(|receiver| &receiver.webhooks);
        let clients = webhooks.map(|webhook| self.network.transport(&webhook.http)).collect();
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    /// Sends a body and waits for the answer.
    pub(crate) async fn post(&self, webhook: &Webhook, body: Bytes, limit: Duration) -> Result<(), Error> {
        let request = request(webhook, body).await?;
        let client = Http::over(self.network.transport(&webhook.http));
        let (head, answer) = client.send(request, limit).await?;
        match head.status.is_success() {
            true => Ok(()),
            false => Err(refusal(head.status, answer, head.headers.get("location"))),
        }
    }
}

async fn request(webhook: &Webhook, body: Bytes) -> Result<Request<Full<Bytes>>, Error> {
    let uri = match &webhook.target {
        Target::Url(uri) => uri.clone(),
        Target::File(path) => uri_from(path).await?,
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(request)
}

async fn uri_from(path: &std::path::Path) -> Result<Uri, Error> {
    parse_url(&read(path).await?).map_err(|reason| Error::File { path: path.display().to_string(), reason })
}

async fn read(path: &std::path::Path) -> Result<String, Error> {
    let text = tokio::fs::read_to_string(path).await;
    text.map(|text| text.trim().to_owned())
        .map_err(|e| Error::File { path: path.display().to_string(), reason: e.to_string() })
}

fn refusal(status: StatusCode, answer: String, location: Option<&HeaderValue>) -> Error {
    let answer = match location.and_then(|location| location.to_str().ok()).filter(|_| status.is_redirection()) {
        Some(location) => format!("this redirect is not followed; write {location} into the configuration"),
        None => answer,
    };
    Error::Status { status: status.as_u16(), answer }
}
