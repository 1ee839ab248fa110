//! Why a collector failed.

use std::io;

use thiserror::Error;

/// What went wrong; the scrape goes on with the other collectors.
#[derive(Debug, Error)]
pub enum Error {
    /// A file could not be read.
    #[error("read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not look as the kernel's documentation says.
    #[error("{path}: {what}: {text:?}")]
    Parse {
        /// The file.
        path: String,
        /// What was expected.
        what: &'static str,
        /// What stood there.
        text: String,
    },
}
