//! Small state that outlives the process.

use crate::{StorageError, Timestamp};

/// One change: a key with its new value, or with `None` when it is removed.
pub type Change = (String, Option<Vec<u8>>);

/// Keeps small values under keys in named spaces; the catalog implements it.
pub trait KeyValue: Send + Sync {
    /// All entries of a space, by key.
    fn entries(&self, space: &str) -> Vec<(String, Vec<u8>)>;

    /// Applies changes to a space, all or none; they are on the disk when it returns. It blocks.
    fn write(&self, space: &str, changes: &[Change]) -> Result<(), StorageError>;
}

/// Looks at records of a journal, each with its time; false ends the look.
pub type Look<'a> = dyn FnMut(Timestamp, &[u8]) -> bool + 'a;

/// Keeps records in the order in which they were written, the oldest giving way; the catalog implements it.
pub trait Journal: Send + Sync {
    /// Adds records. The kernel has them when it returns: they outlive the process, and after [`Journal::sync`] the machine. It
    /// blocks.
    fn append(&self, records: &[(Timestamp, Vec<u8>)]) -> Result<(), StorageError>;

    /// Puts onto the disk what was added since the last time. It blocks.
    fn sync(&self) -> Result<(), StorageError>;

    /// Shows records that were written at `from` or later, the newest first. It blocks.
    fn newest_first(&self, from: Timestamp, look: &mut Look<'_>) -> Result<(), StorageError>;
}
