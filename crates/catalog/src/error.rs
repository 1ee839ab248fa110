//! What can go wrong with the catalog.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::StorageError;
use thiserror::Error;

/// Why the catalog did not open or did not keep a change.
#[derive(Debug, Error)]
pub enum Error {
    /// An operation on a file failed.
    #[error("{operation} {path}: {source}")]
    Io {
        /// The verb.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the folder.
    #[error("{path} is in use by another process")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The database refused an operation.
    #[error("{path}: {reason}")]
    Database {
        /// Its folder.
        path: PathBuf,
        /// What it said.
        reason: String,
        /// Whether the disk has no room.
        full: bool,
    },
    /// A change is larger than the catalog is made for.
    #[error("{0}")]
    Limit(String),
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source }
    }

    /// Whether the disk has no room.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Database { full, .. } => *full,
            Self::InUse { .. } | Self::Limit(_) => false,
        }
    }
}

impl From<Error> for StorageError {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { operation, path, source } => {
                Self::Io { operation, path: path.display().to_string(), source: Arc::new(source) }
            }
            Error::Limit(reason) => Self::Limit(reason),
            other => Self::Io {
                operation: "open",
                path: "catalog".to_owned(),
                source: Arc::new(io::Error::other(other.to_string())),
            },
        }
    }
}
