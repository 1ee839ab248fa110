//! Sends what receivers are told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use client::config::HttpConfig;
use client::{Client as Http, Failure, Network, SecureStreams, Transport};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::http::response::Parts;
use thiserror::Error;

use crate::config::Config;
use crate::kinds::Parcel;
use crate::outgoing::{Outgoing, Retry};
use crate::smtp;

pub(crate) const AGENT: &str = concat!("skep/", env!("CARGO_PKG_VERSION"));

/// What is read of an answer that has to be judged; those services answer with a line.
const ANSWER_BYTES_MAX: usize = 64 << 10;

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
        /// Whether the same request may be taken later.
        is_temporary: bool,
    },
    /// The answer says with a success that it is none.
    #[error("{reason}")]
    Refused {
        /// What it says.
        reason: String,
        /// Whether the same request may be taken later.
        is_temporary: bool,
    },
    /// A server of mail did not take it.
    #[error("{doing}: {code} {answer}")]
    Mail {
        /// The command.
        doing: String,
        /// The reply's code.
        code: u16,
        /// Its text.
        answer: String,
    },
    /// What the configuration and its templates say cannot be sent.
    #[error("{0}")]
    Settings(String),
}

impl Error {
    /// Whether the same request may be taken later. A refusal will stay one.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Status { is_temporary, .. } | Self::Refused { is_temporary, .. } => *is_temporary,
            // What a server of mail refuses for good today its master may allow tomorrow, as Alertmanager has it.
            Self::Connection(_) | Self::Timeout(_) | Self::File { .. } | Self::Mail { .. } => true,
            Self::Settings(_) => false,
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

/// The clients of all receivers; those of HTTP that are configured alike share connections and tokens.
#[derive(Default)]
pub(crate) struct Client {
    network: Network,
    streams: SecureStreams,
    /// Those of the configuration in force, so that they live from one notification to the next.
    held: Mutex<Vec<Arc<Transport>>>,
}

impl Client {
    /// Holds the clients of this configuration and lets others go.
    pub(crate) fn hold(&self, config: &Config) {
        let integrations = config.receivers.iter().flat_map(|receiver| &receiver.integrations);
        let clients = integrations.map(|integration| self.network.transport(&integration.http)).collect();
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    /// Sends something and waits until it is taken.
    pub(crate) async fn send(&self, parcel: Parcel, http: &HttpConfig, limit: Duration) -> Result<(), Error> {
        let sending = async {
            match parcel {
                Parcel::Http(requests) => {
                    for request in requests {
                        self.request(request, http, limit).await?;
                    }
                    Ok(())
                }
                Parcel::Mail(letter) => smtp::deliver(&letter, &self.streams).await,
            }
        };
        tokio::time::timeout(limit, sending).await.unwrap_or(Err(Error::Timeout(limit)))
    }

    async fn request(&self, outgoing: Outgoing, http: &HttpConfig, limit: Duration) -> Result<(), Error> {
        let client = Http::over(self.network.transport(http));
        let (retry, judge) = (outgoing.retry, outgoing.judge);
        let request = request(outgoing);
        let (head, answer) = match judge {
            None => client.send(request, limit).await?,
            Some(_) => {
                let (head, body) = client.fetch(request, limit, ANSWER_BYTES_MAX).await?;
                (head, String::from_utf8_lossy(&body).into_owned())
            }
        };
        if !head.status.is_success() {
            return Err(refusal(&head, &answer, retry));
        }
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        judge.map_or(Ok(()), |judge| judge(content_type, &answer)).map_err(|refusal| Error::Refused {
            reason: beginning(&refusal.reason),
            is_temporary: refusal.is_temporary,
        })
    }
}

fn request(outgoing: Outgoing) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(outgoing.body)));
    *request.method_mut() = outgoing.method;
    *request.uri_mut() = outgoing.uri;
    let headers = request.headers_mut();
    headers.extend(outgoing.headers);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    request
}

fn refusal(head: &Parts, answer: &str, retry: Retry) -> Error {
    let status = head.status;
    let place = head.headers.get("location").and_then(|location| location.to_str().ok());
    let answer = match place.filter(|_| status.is_redirection()) {
        Some(location) => format!("this redirect is not followed; write {location} into the configuration"),
        None => beginning(answer),
    };
    Error::Status { status: status.as_u16(), answer, is_temporary: retry.takes(status) }
}

/// Enough of an answer for a message.
fn beginning(answer: &str) -> String {
    answer.trim().chars().take(2048).collect()
}
