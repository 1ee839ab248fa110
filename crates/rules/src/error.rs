//! Why an evaluation went wrong, in Prometheus' words.

use model::{AppendError, StorageError};
use promql::QueryError;
use thiserror::Error;

/// An evaluation failed; the rule is unhealthy until the next one.
#[derive(Debug, Error)]
pub enum Error {
    /// The expression could not be evaluated.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The expression gives a string or a matrix.
    #[error("rule result is not a vector or scalar")]
    NotAVector,
    /// Two alerts would have the same labels.
    #[error("vector contains metrics with the same labelset after applying alert labels")]
    DuplicateAlert,
    /// Two recorded series would have the same labels.
    #[error("vector contains metrics with the same labelset after applying rule labels")]
    DuplicateSeries,
    /// More alerts than the group's limit.
    #[error("exceeded limit of {limit} with {count} alerts")]
    TooManyAlerts {
        /// The limit.
        limit: u64,
        /// Pending and firing ones.
        count: usize,
    },
    /// More series than the group's limit.
    #[error("exceeded limit of {limit} with {count} series")]
    TooManySeries {
        /// The limit.
        limit: u64,
        /// What the expression gave.
        count: usize,
    },
    /// The result could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// `ALERTS_FOR_STATE` could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
