//! Rows of different lengths in groups whose starts are known, so that one is found without reading those before it.

use model::StorageError;

use super::page::{BlockFile, Bytes, Put, Section};
use crate::bytes::{Damage, fixed32_at};

/// Rows of a group: a row costs a quarter of a byte for its group's start, and eight others to be read on the way.
pub(super) const GROUP_ROWS: usize = 16;

const START_BYTES: u64 = 4;

/// Collects groups.
#[derive(Default)]
pub(super) struct TableWriter {
    pub(super) data: Vec<u8>,
    starts: Vec<usize>,
}

impl TableWriter {
    /// What is written from now on belongs to a new group.
    pub(super) fn begin_group(&mut self) {
        self.starts.push(self.data.len());
    }

    /// Writes the rows, then the start of each group.
    pub(super) fn finish(mut self, kind: u8, put: Put<'_>) -> Result<Table, StorageError> {
        if u32::try_from(self.data.len()).is_err() {
            let message = format!("a part of a block's index takes {} bytes, 4 GiB are the most", self.data.len());
            return Err(StorageError::Limit(message));
        }
        for &start in &self.starts {
            self.data.extend_from_slice(&(start as u32).to_le_bytes());
        }
        let groups = self.starts.len() as u32;
        Ok(Table { section: Section::write(kind, &self.data, put)?, kind, groups })
    }
}

/// A table of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) section: Section,
    pub(super) kind: u8,
    /// How many groups it has.
    pub(super) groups: u32,
}

impl Table {
    /// Whether the starts of all groups fit into it.
    pub(super) fn has_room(self) -> bool {
        self.section.length >= u64::from(self.groups) * START_BYTES
    }

    fn data_bytes(self, file: &BlockFile) -> Result<u64, StorageError> {
        let starts = u64::from(self.groups) * START_BYTES;
        let damage = Damage("a table is shorter than its index");
        self.section.length.checked_sub(starts).ok_or_else(|| file.corrupt(self.section.start, damage))
    }

    /// The rows of a group.
    pub(super) fn group(self, file: &BlockFile, group: u32) -> Result<Bytes, StorageError> {
        let data = self.data_bytes(file)?;
        if group >= self.groups {
            return Err(self.damaged(file, Damage("a row is not in its table")));
        }
        let at = data + u64::from(group) * START_BYTES;
        let is_last = group + 1 == self.groups;
        let starts = file.read(self.section, self.kind, at..at + START_BYTES * if is_last { 1 } else { 2 })?;
        let start = u64::from(fixed32_at(&starts, 0));
        let end = if is_last { data } else { u64::from(fixed32_at(&starts, START_BYTES as usize)) };
        file.read(self.section, self.kind, start..end)
    }

    /// The error of what does not decode in it.
    pub(super) fn damaged(self, file: &BlockFile, damage: Damage) -> StorageError {
        file.corrupt(self.section.start, damage)
    }
}
