//! What went wrong, as the API tells it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::StorageError;
use promql::{ParseError, QueryError};

use crate::json::Object;

/// The `errorType` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BadData,
    Execution,
    Canceled,
    Timeout,
    Internal,
    Unavailable,
}

/// An answer of status `error`.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

/// The status of an answer that nobody waits for any more; it is nginx' number, and Prometheus'.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Canceled => StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal | Self::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Failure {
    /// A failure of this kind.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The request is wrong.
    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(Kind::BadData, message)
    }

    /// A parameter is wrong.
    pub(crate) fn parameter(name: &str, reason: &str) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {reason}"))
    }

    /// What is said.
    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The same failure as plain text, for routes that do not speak JSON.
    pub(crate) fn into_text(self) -> Response {
        (self.kind.status(), format!("{}\n", self.message)).into_response()
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let kind = match error.kind() {
            "bad_data" => return Self::parameter("query", &error.to_string()),
            "timeout" => Kind::Timeout,
            "canceled" => Kind::Canceled,
            "internal" => Kind::Internal,
            _ => Kind::Execution,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::from(QueryError::from(error))
    }
}

impl From<StorageError> for Failure {
    /// Prometheus tells every failing look-up of series and labels as an execution error.
    fn from(error: StorageError) -> Self {
        let kind = if matches!(error, StorageError::Canceled) { Kind::Canceled } else { Kind::Execution };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut body = Vec::new();
        let mut object = Object::new(&mut body);
        object.text("status", "error").text("errorType", self.kind.word()).text("error", &self.message);
        object.end();
        let json = HeaderValue::from_static("application/json");
        (self.kind.status(), [(header::CONTENT_TYPE, json)], body).into_response()
    }
}
