//! Why a scrape failed, in words for the targets page.

use std::time::Duration;

use exposition::{ParseError, ProtobufError};
use model::AppendError;
use thiserror::Error;

/// A scrape that failed as a whole: `up` is 0 and nothing of the page is kept.
#[derive(Clone, Debug, Error)]
pub(crate) enum ScrapeError {
    #[error("Get {url:?}: {reason}")]
    Request { url: String, reason: String },
    #[error("Get {url:?}: no complete answer within the scrape timeout of {}", model::format_duration(*timeout))]
    Timeout { url: String, timeout: Duration },
    #[error("server returned HTTP status {0}")]
    Status(String),
    #[error("stopped after {0} redirects")]
    Redirects(usize),
    #[error("body size limit exceeded: the page has {limit} bytes or more ({source_of_limit})")]
    BodySize { limit: u64, source_of_limit: &'static str },
    #[error(
        "the pages that are being read take more than {max} bytes together (a ceiling of --memory-budget); this one was given up"
    )]
    PagesHeld { max: u64 },
    #[error("the page is not valid {0}: {1}")]
    Packing(&'static str, String),
    #[error("unknown Content-Encoding {0:?}; skep reads gzip, zstd and identity")]
    Encoding(String),
    #[error("{0}")]
    ContentType(String),
    #[error("line {}, column {}: {}", .0.line, .0.column, .0.message)]
    Parse(#[from] ParseError),
    #[error("sample limit exceeded: the page has more than {0} samples after relabelling (sample_limit)")]
    SampleLimit(u64),
    #[error(
        "sample limit exceeded: the page has more than {0} series, which is what --memory-budget leaves for one target; raise it, or drop series by metric_relabel_configs"
    )]
    SeriesBudget(u64),
    #[error("{0}")]
    LabelLimit(String),
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
    #[error("{series}: {reason}")]
    InvalidMessage { series: String, reason: String },
    #[error("line {line}: {reason}")]
    InvalidSeries { line: usize, reason: String },
    #[error("target_limit exceeded (number of targets: {targets}, limit: {limit})")]
    TargetLimit { targets: usize, limit: u64 },
    #[error("no collector of this target could read: {0}")]
    Collectors(String),
    #[error("samples could not be stored: {0}")]
    Append(#[from] AppendError),
    #[error("internal error while reading the page; this is a fault of skep")]
    Internal,
}

impl ScrapeError {
    /// Whether the page was refused because it has too many series, or too long ones.
    pub(crate) fn is_of_size(&self) -> bool {
        matches!(self, Self::SampleLimit(_) | Self::SeriesBudget(_) | Self::BodySize { .. })
    }
}
