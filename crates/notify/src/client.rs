//! Sends one request to a webhook.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::config::{Authorization, Secret, Target, Webhook, parse_url};

/// What is read of an answer: enough for the message of an error.
const ANSWER_BYTES_MAX: usize = 2048;

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
    /// Whether the same request may be taken later. A refusal will stay one; a redirect is not followed.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500,
            Self::Connection(_) | Self::Timeout(_) | Self::File { .. } => true,
        }
    }
}

type Connector = HttpsConnector<HttpConnector>;

/// The HTTP client of all webhooks. It is made at the first request, because reading the system's certificates takes
/// longer than the start of the process may; it reads files, so it is made on a thread that may block.
#[derive(Default)]
pub(crate) struct Client(OnceCell<HyperClient<Connector, Full<Bytes>>>);

impl Client {
    /// Sends a body and waits for the answer.
    pub(crate) async fn post(&self, webhook: &Webhook, body: Bytes, limit: Duration) -> Result<(), Error> {
        let request = request(webhook, body).await?;
        let made = || async { spawn_blocking(client).await.map_err(|e| Error::Connection(e.to_string())) };
        let client = self.0.get_or_try_init(made).await?;
        let exchange = async {
            let answer = client.request(request).await.map_err(|e| Error::Connection(causes(&e)))?;
            let (head, body) = answer.into_parts();
            if head.status.is_success() {
                return Ok(());
            }
            Err(refusal(head.status, &beginning(body).await, head.headers.get("location")))
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(Error::Timeout(limit)))
    }
}

fn client() -> HyperClient<Connector, Full<Bytes>> {
    let provider = rustls::crypto::ring::default_provider();
    let builder = HttpsConnectorBuilder::new();
    let connector = match builder.with_provider_and_native_roots(provider) {
        Ok(builder) => builder.https_or_http().enable_http1().build(),
        Err(error) => {
            tracing::warn!(%error, "this system has no certificates: webhooks with https will be refused");
            let roots = rustls::RootCertStore::empty();
            let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build()
        }
    };
    HyperClient::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector)
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
    if let Some(value) = authorization(&webhook.authorization).await? {
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

async fn uri_from(path: &std::path::Path) -> Result<Uri, Error> {
    parse_url(&read(path).await?).map_err(|reason| Error::File { path: path.display().to_string(), reason })
}

async fn authorization(authorization: &Authorization) -> Result<Option<HeaderValue>, Error> {
    let text = match authorization {
        Authorization::None => return Ok(None),
        Authorization::Basic(user, password) => {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", reveal(password).await?)))
        }
        Authorization::Scheme(scheme, credentials) => format!("{scheme} {}", reveal(credentials).await?),
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Error::Connection("the credentials hold characters that no header can carry".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

async fn reveal(secret: &Secret) -> Result<String, Error> {
    match secret {
        Secret::Inline(text) => Ok(text.clone()),
        Secret::File(path) => read(path).await,
    }
}

async fn read(path: &std::path::Path) -> Result<String, Error> {
    let text = tokio::fs::read_to_string(path).await;
    text.map(|text| text.trim().to_owned())
        .map_err(|e| Error::File { path: path.display().to_string(), reason: e.to_string() })
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

fn refusal(status: StatusCode, answer: &[u8], location: Option<&HeaderValue>) -> Error {
    let answer = match location.and_then(|location| location.to_str().ok()).filter(|_| status.is_redirection()) {
        Some(location) => format!("redirects are not followed; write {location} into the configuration"),
        None => String::from_utf8_lossy(answer).trim().to_owned(),
    };
    Error::Status { status: status.as_u16(), answer }
}

/// An error with all that caused it, since the first text alone says only that connecting failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
