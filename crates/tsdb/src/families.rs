//! What is known of metric families, in memory and in one small file.

use std::collections::BTreeMap;
use std::path::Path;

use model::{AppendError, Metadata, StorageError};
use parking_lot::Mutex;

use crate::Disk;
use crate::frame::{self, Scanned};
use crate::record::{RECORD_FAMILIES_MAX, Record, decode_metadata, encode_metadata, kind};

/// More families than any page has; past it a name made of data would fill the memory.
const FAMILIES_MAX: usize = 100_000;

/// A help text longer than this is no help.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The file in the data folder.
pub(crate) const FILE_NAME: &str = "metadata";

/// The families, by name.
#[derive(Default)]
pub(crate) struct MetricFamilies(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    known: BTreeMap<String, Metadata>,
    /// Whether the file lacks something.
    changed: bool,
    /// Bytes of the file.
    size_bytes: u64,
}

impl MetricFamilies {
    /// Whether the log has to be told. Errors: past a limit.
    pub(crate) fn is_news(&self, family: &str, metadata: &Metadata) -> Result<bool, AppendError> {
        let inner = self.0.lock();
        match inner.known.get(family) {
            Some(known) if known == metadata => return Ok(false),
            None if inner.known.len() >= FAMILIES_MAX => {
                return Err(AppendError::Limit(format!("metadata of {FAMILIES_MAX} metric families is kept, no more")));
            }
            _ => {}
        }
        let bytes = family.len() + metadata.help.len() + metadata.unit.len();
        if bytes > TEXT_BYTES_MAX {
            let message = format!("metadata of {family:.64} takes {bytes} bytes, more than {TEXT_BYTES_MAX}");
            return Err(AppendError::Limit(message));
        }
        Ok(true)
    }

    pub(crate) fn set(&self, family: String, metadata: Metadata) {
        let mut inner = self.0.lock();
        inner.known.insert(family, metadata);
        inner.changed = true;
    }

    pub(crate) fn get(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        let inner = self.0.lock();
        let copy = |(name, metadata): (&String, &Metadata)| (name.clone(), metadata.clone());
        match family {
            Some(family) => inner.known.get_key_value(family).map(copy).into_iter().collect(),
            None => inner.known.iter().map(copy).collect(),
        }
    }

    /// Bytes of the file.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.0.lock().size_bytes
    }

    /// Reads the file; returns how many damaged stretches were passed over.
    pub(crate) fn load(&self, disk: &dyn Disk, folder: &Path) -> Result<u64, StorageError> {
        let mut damaged = 0;
        let size_bytes = frame::read_file(disk, folder, FILE_NAME, |scanned| match scanned {
            Scanned::Frame { kind: kind::METADATA, payload } => match decode_metadata(&payload) {
                Ok(families) => self.0.lock().known.extend(families),
                Err(_) => damaged += 1,
            },
            _ => damaged += 1,
        })?;
        self.0.lock().size_bytes = size_bytes.unwrap_or_default();
        Ok(damaged)
    }

    /// Writes the file anew if something changed.
    pub(crate) fn save(&self, disk: &dyn Disk, folder: &Path) -> Result<(), StorageError> {
        let families = {
            let mut inner = self.0.lock();
            if !std::mem::take(&mut inner.changed) {
                return Ok(());
            }
            inner.known.clone()
        };
        let written = write(disk, folder, &families).inspect_err(|_| self.0.lock().changed = true)?;
        self.0.lock().size_bytes = written;
        Ok(())
    }
}

fn write(disk: &dyn Disk, folder: &Path, families: &BTreeMap<String, Metadata>) -> Result<u64, StorageError> {
    let list: Vec<_> = families.iter().map(|(name, metadata)| (name.as_str(), metadata)).collect();
    let records: Vec<Record> =
        list.chunks(RECORD_FAMILIES_MAX).map(|some| encode_metadata(some.iter().copied())).collect();
    frame::replace_file(disk, folder, FILE_NAME, &records)
}
