//! Why a request was not taken, and the status it gets: 4xx tells the sender to give the batch up, 5xx to send it
//! again.

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use model::{AppendError, StorageError};
use thiserror::Error;

use crate::REQUESTS_MAX;
use crate::wire::WireError;

/// Seconds until a sender should try again when all places are taken: one batch is on the disk long before.
const RETRY_BUSY: HeaderValue = HeaderValue::from_static("1");
/// Seconds until a sender should try again when the disk refuses: a person or the retention must make room first.
const RETRY_DISK: HeaderValue = HeaderValue::from_static("30");

/// Why a request was not taken, wholly or in part.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The content type names no message, or one that is not built.
    #[error("{0}")]
    ContentType(String),
    /// The body is packed otherwise than by snappy.
    #[error("{0} encoding (compression) is not accepted by this server; only snappy is acceptable")]
    ContentEncoding(String),
    /// The body is longer than this.
    #[error("request body exceeds limit {0}; send smaller batches (max_samples_per_send), or raise --memory-budget")]
    BodyTooLarge(usize),
    /// The body did not come in time.
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    /// The connection broke within the body.
    #[error("reading the request body: {0}")]
    Body(String),
    /// The snappy block claims to hold too much.
    #[error("snappy: decoded length {length} exceeds limit {limit}; send smaller batches, or raise --memory-budget")]
    DecodedTooLarge { length: u64, limit: usize },
    /// The snappy block is damaged.
    #[error("snappy: corrupt input")]
    Snappy,
    /// The protobuf message is damaged.
    #[error(transparent)]
    Message(#[from] WireError),
    /// A message of remote write 1.0 that its headers call one of 2.0.
    #[error("the body is no io.prometheus.write.v2.Request: it has fields that only prometheus.WriteRequest has")]
    OtherMessage,
    /// Labels that are no pairs.
    #[error("{0} references to symbols are no pairs of label names and values")]
    OddRefs(usize),
    /// A reference past the end of the table.
    #[error("there is no symbol {symbol}, the request has {count}")]
    UnknownSymbol { symbol: u32, count: usize },
    /// Few bytes that mean many.
    #[error(
        "labels exceed limit {0} bytes once their symbols are put in; send smaller batches, or raise --memory-budget"
    )]
    LabelsTooLarge(usize),
    /// Samples were refused; the others of the request are stored.
    #[error("{0}")]
    Rejected(String),
    /// A ceiling of the memory budget keeps series out; the others of the request are stored.
    #[error("{0}")]
    Limit(String),
    /// Too many requests at once.
    #[error("{REQUESTS_MAX} requests, or as many bytes as they may hold, are already being written; try again")]
    Busy,
    /// The batch could not be kept.
    #[error(transparent)]
    Store(#[from] AppendError),
    /// The writing thread died.
    #[error("the request could not be processed")]
    Internal,
}

impl Error {
    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::ContentType(_) | Self::ContentEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Body(_) | Self::DecodedTooLarge { .. } | Self::Snappy | Self::Message(_) | Self::Rejected(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::OtherMessage | Self::OddRefs(_) | Self::UnknownSymbol { .. } | Self::LabelsTooLarge(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Limit(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) if waits_for_disk(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn add_hints(&self, headers: &mut HeaderMap) {
        match self {
            Self::ContentType(_) => headers.insert(ACCEPT, HeaderValue::from_static("application/x-protobuf")),
            Self::ContentEncoding(_) => headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("snappy")),
            Self::Busy => headers.insert(RETRY_AFTER, RETRY_BUSY),
            Self::Limit(_) => headers.insert(RETRY_AFTER, RETRY_DISK),
            Self::Store(error) if waits_for_disk(error) => headers.insert(RETRY_AFTER, RETRY_DISK),
            _ => None,
        };
    }
}

/// Whether the batch may fit later: the disk is full, the store refuses for now or is shutting down.
fn waits_for_disk(error: &AppendError) -> bool {
    match error {
        AppendError::Limit(_) | AppendError::Storage(StorageError::Limit(_) | StorageError::Closed) => true,
        AppendError::Storage(StorageError::Io { source, .. }) => {
            matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
        }
        _ => false,
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("{self}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.add_hints(headers);
        response
    }
}
