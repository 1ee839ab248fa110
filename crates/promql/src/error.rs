//! What can go wrong, in Prometheus' words.

use std::fmt;

use model::StorageError;
use thiserror::Error;

/// A place in the text of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Position {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// From the start of this to the end of the other.
    pub(crate) fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }

    /// Line and column of the first byte, both from 1; columns count bytes.
    pub fn line_and_column(self, text: &str) -> (usize, usize) {
        let end = (self.start as usize).min(text.len());
        let before = &text.as_bytes()[..end];
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = end - before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1) + 1;
        (line, column)
    }
}

/// The text is not a PromQL expression, or its types do not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where.
    pub position: Position,
    /// What, as Prometheus says it.
    pub message: String,
    /// Line of `position`, from 1; 0 if the text is empty.
    pub line: usize,
    /// Column of `position`, from 1.
    pub column: usize,
}

impl ParseError {
    pub(crate) fn new(text: &str, position: Position, message: impl Into<String>) -> Self {
        let (line, column) = if text.is_empty() { (0, 0) } else { position.line_and_column(text) };
        Self { position, message: message.into(), line, column }
    }
}

impl fmt::Display for ParseError {
    /// `1:5: parse error: unexpected ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "unknown position: parse error: {}", self.message);
        }
        write!(f, "{}:{}: parse error: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Why a query has no answer. The texts are Prometheus'.
#[derive(Clone, Debug, Error)]
pub enum QueryError {
    /// Not an expression.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The parameters do not fit: a step of zero, an end before the start.
    #[error("{0}")]
    Parameter(String),
    /// The evaluation ran into something that has no value, such as many-to-many matching.
    #[error("{0}")]
    Execution(String),
    /// The time limit was reached.
    #[error("query timed out in {0}")]
    Timeout(&'static str),
    /// The client went away or the process stops.
    #[error("query was canceled in {0}")]
    Canceled(&'static str),
    /// More samples than the limit would be held at once.
    #[error("query processing would load too many samples into memory in {0}")]
    TooManySamples(&'static str),
    /// All running queries together would hold more bytes than this.
    #[error(
        "query processing would take more than the {0} bytes that --memory-budget leaves for all running queries; \
         ask for less at once, or raise it"
    )]
    TooMuchMemory(u64),
    /// The store could not read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl QueryError {
    /// The `errorType` of the HTTP API: `bad_data`, `execution`, `timeout`, `canceled` or `internal`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Parse(_) | Self::Parameter(_) => "bad_data",
            Self::Execution(_)
            | Self::TooManySamples(_)
            | Self::TooMuchMemory(_)
            | Self::Storage(StorageError::Limit(_)) => "execution",
            Self::Timeout(_) => "timeout",
            Self::Canceled(_) | Self::Storage(StorageError::Canceled) => "canceled",
            Self::Storage(_) => "internal",
        }
    }
}
