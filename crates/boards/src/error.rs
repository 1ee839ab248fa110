//! What can go wrong with dashboards that are kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dashboard::ImportError;
use model::StorageError;
use thiserror::Error;

use crate::offer::UID_CHARS_MAX;

/// Why a dashboard is not kept, or not given out.
#[derive(Debug, Error)]
pub enum Error {
    /// The bytes are no dashboard.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The bytes are no text.
    #[error("byte {0} is not UTF-8; save the file as UTF-8")]
    Encoding(usize),
    /// The uid cannot stand in an address.
    #[error("the uid {0:?} is no name of 1 to {UID_CHARS_MAX} letters, digits, - and _; change it in the file")]
    Uid(String),
    /// The uid is taken, and it was not said that the new one takes its place.
    #[error("the uid {uid} is taken by {title:?}; replace that one, or give this one another uid")]
    Exists {
        /// The uid.
        uid: String,
        /// The title of the one that has it.
        title: String,
    },
    /// The one that has the uid follows a file.
    #[error("the dashboard {uid} follows the file {file}; change it there")]
    Followed {
        /// The uid.
        uid: String,
        /// The file.
        file: String,
    },
    /// The one that has the uid is part of the program.
    #[error("the dashboard {0} is part of skep and stays as it is; import a copy under another uid")]
    BuiltIn(String),
    /// There is no such dashboard.
    #[error("there is no dashboard {0}")]
    Unknown(String),
    /// There is no such version of it.
    #[error("the dashboard {uid} has no version {version}")]
    NoVersion {
        /// The uid.
        uid: String,
        /// The number that was asked for.
        version: u32,
    },
    /// A body is not what was written.
    #[error("{path}: {reason}; restore another version, or import the dashboard again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// More than this room is made for.
    #[error("{0}")]
    Limit(String),
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
    /// The index did not keep the change.
    #[error(transparent)]
    Index(#[from] StorageError),
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source }
    }
}

impl From<Error> for StorageError {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { operation, path, source } => {
                Self::Io { operation, path: path.display().to_string(), source: Arc::new(source) }
            }
            Error::Index(error) => error,
            other => Self::Limit(other.to_string()),
        }
    }
}
