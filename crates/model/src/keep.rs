//! Small state that outlives the process.

use crate::StorageError;

/// One change: a key with its new value, or with `None` when it is removed.
pub type Change = (String, Option<Vec<u8>>);

/// Keeps small values under keys in named spaces; the catalog implements it.
pub trait KeyValue: Send + Sync {
    /// All entries of a space, by key.
    fn entries(&self, space: &str) -> Vec<(String, Vec<u8>)>;

    /// Applies changes to a space, all or none; they are on the disk when it returns. It blocks.
    fn write(&self, space: &str, changes: &[Change]) -> Result<(), StorageError>;
}
