//! What can go wrong when the store is opened, kept up or closed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::StorageError;
use thiserror::Error;

use crate::reserve::is_full_kind;

/// Why the store could not be opened or maintained.
#[derive(Debug, Error)]
pub enum Error {
    /// Another process holds the data folder.
    #[error(
        "data folder {path} is in use by {holder}: stop that process, or give this one another folder with --data-dir"
    )]
    Locked {
        /// The data folder.
        path: PathBuf,
        /// The other process, as far as it is known: `process 1234`.
        holder: String,
    },
    /// The folder was written by a newer version.
    #[error("{path} has format version {found}, this program reads up to {supported}: start the newer version again")]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
    /// A backup or a restored folder would replace something.
    #[error("{path} is there already, and nothing is replaced: name a path where nothing is")]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The folder is not what it was taken for, or not whole.
    #[error("{path}: {reason}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Reading, writing or checking failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Whether an error says that the file or folder is not there.
pub(crate) fn is_gone(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}

/// Names the operation and the file of an I/O error, and says in plain words that a disk is full.
pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StorageError {
    let path = path.display().to_string();
    move |source| {
        let plain = |source: std::io::Error| std::io::Error::new(source.kind(), format!("the disk is full: {source}"));
        let source = if is_full_kind(source.kind()) { plain(source) } else { source };
        StorageError::Io { operation, path, source: Arc::new(source) }
    }
}
