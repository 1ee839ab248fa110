//! What can go wrong.

use std::net::SocketAddr;

use model::{AppendError, Timestamp};
use thiserror::Error;

use crate::Endpoint;

/// Why the demo could not write its history or serve its pages.
#[derive(Debug, Error)]
pub enum DemoError {
    /// No port of the loopback could be bound.
    #[error("bind {address} for the simulated {}: {source}", endpoint.job())]
    Bind {
        /// The endpoint to be served.
        endpoint: Endpoint,
        /// The address tried last.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store did not take a sample or a batch.
    #[error("write the history of the simulated {} at {at}: {source}", endpoint.job())]
    Append {
        /// Whose history.
        endpoint: Endpoint,
        /// The time of the scrape, milliseconds since 1970.
        at: Timestamp,
        /// What the store said.
        source: AppendError,
    },
    /// The span cannot be walked.
    #[error("the step of a history must be at least one millisecond")]
    ZeroStep,
}
