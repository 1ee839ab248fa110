//! Deleting samples, and writing the blocks anew that hold deleted ones.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Deletable, Matcher, Samples, StorageError, Timestamp};
use roaring::RoaringBitmap;

use crate::Db;
use crate::block::{self, Block, BlockWriter, OpenError, Reading};
use crate::column::Tier;
use crate::db::TEMPORARY_SUFFIX;
use crate::error::io as io_error;
use crate::postings::evaluate;
use crate::seal::Sealing;
use crate::tombstones::{self, Tombstones};
use crate::{Error, index::ChunkRef};

impl Db {
    /// Deletes the samples of matching series in this time, ends included; they are gone for good when it returns.
    ///
    /// What is in the head is sealed first, so that the log does not bring it back and samples that come later at a
    /// deleted time are new ones. The bytes stay on the disk until blocks are merged, retention removes them, or
    /// [`Db::clean_tombstones`] is called. Errors: the disk; what was deleted until then stays deleted.
    pub fn delete_series(&self, matchers: &[Matcher], min_time: Timestamp, max_time: Timestamp) -> Result<(), Error> {
        let mut pending = self.maintenance.lock();
        self.seal_all(&mut pending, min_time, max_time)?;
        let blocks = self.blocks.read().clone();
        let mut buried = Vec::new();
        for block in blocks.iter().filter(|b| min_time <= max_time && b.overlaps(min_time, max_time)) {
            let found = find(block, matchers, min_time, max_time);
            if let Some(series) = self.unless_damaged(block, found)?.filter(|series| !series.is_empty()) {
                buried.push((block, self.bury(block, series, min_time, max_time)?));
            }
        }
        let _snapshots_wait = self.visible.write();
        buried.into_iter().for_each(|(block, tombstones)| block.set_tombstones(tombstones));
        Ok(self.head.forget_newest(matchers, min_time, max_time)?)
    }

    /// Leaves nothing of this time in the head that was there when it was called.
    fn seal_all(&self, pending: &mut Option<Sealing>, min_time: Timestamp, max_time: Timestamp) -> Result<(), Error> {
        let now = self.options.clock.now();
        // A sealing that failed before has to be finished first, and holds older samples only.
        while self.head.overlaps(min_time, max_time) {
            let was_pending = pending.is_some();
            self.work_on(pending, now, true)?;
            if !was_pending {
                break;
            }
        }
        Ok(())
    }

    fn bury(
        &self,
        block: &Block,
        series: RoaringBitmap,
        min_time: Timestamp,
        max_time: Timestamp,
    ) -> Result<Tombstones, StorageError> {
        let mut tombstones = Tombstones::clone(&block.tombstones());
        tombstones.add(series, min_time.max(block.meta.min_time), max_time.min(block.meta.max_time));
        tombstones.save(self.disk(), &block.folder, block.target())?;
        Ok(tombstones)
    }

    /// Writes the blocks anew that hold deleted samples, without them; returns how many there were. Queries go on.
    pub fn clean_tombstones(&self) -> Result<u64, Error> {
        let _no_sealing = self.maintenance.lock();
        if self.closed.load(Ordering::Acquire) {
            return Err(StorageError::Closed.into());
        }
        let blocks = self.blocks.read().clone();
        let mut cleaned = 0;
        for block in blocks.iter().filter(|block| !block.tombstones().is_empty()) {
            let outcome = self.clean(block);
            cleaned += u64::from(self.unless_damaged(block, outcome)?.is_some());
        }
        Ok(cleaned)
    }

    /// The new file takes the place of the old one in the same folder, so that the order of the blocks stays; the
    /// tombstones are about the old one and mean nothing from then on.
    fn clean(&self, block: &Block) -> Result<(), StorageError> {
        let temporary = block.folder.with_extension(&TEMPORARY_SUFFIX[1..]);
        let writer = BlockWriter::create(self.disk(), &temporary, block.number, Tier::Block)?;
        let outcome = self.copy_what_is_left(block, writer);
        let outcome = outcome.and_then(|samples| {
            if samples == 0 {
                // Nothing says any more that the log before it may go, so it has to be gone.
                self.log.remove_before(block.meta.covers)?;
                return self.remove_block(block);
            }
            self.disk().sync_dir(&temporary).map_err(io_error("fsync", &temporary))?;
            let (new, old) = (temporary.join(block::FILE_NAME), block.folder.join(block::FILE_NAME));
            self.disk().rename(&new, &old).map_err(io_error("rename", &new))?;
            self.disk().sync_dir(&block.folder).map_err(io_error("fsync", &block.folder))?;
            self.reopen(block)
        });
        // What stays is removed at the next start.
        let _ = self.disk().remove(&temporary);
        outcome
    }

    fn copy_what_is_left(&self, block: &Block, mut writer: BlockWriter) -> Result<u64, StorageError> {
        let tombstones = block.tombstones();
        let mut cursor = block.index().cursor();
        let reading = Reading::default();
        let mut samples = Samples::default();
        let mut written = 0;
        for series in 0..block.meta.series as u32 {
            let entry = cursor.entry(series)?;
            samples.clear();
            entry.chunks.iter().try_for_each(|chunk| block.read(chunk, &reading, &mut samples))?;
            tombstones.of(series).remove_from(&mut samples, 0);
            if !samples.is_empty() {
                written += samples.len() as u64;
                writer.add(&entry.labels, &samples)?;
            }
        }
        let bytes = writer.finish(block.meta.covers, block.meta.replaces.clone())?;
        self.counters.sealed_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(written)
    }

    fn reopen(&self, block: &Block) -> Result<(), StorageError> {
        let fresh = match Block::open(self.disk(), &block.folder, block.number, &self.pages) {
            Ok(fresh) => Arc::new(fresh),
            Err(OpenError::Storage(error)) => return Err(error),
            Err(OpenError::Version(version)) => return Err(StorageError::Limit(format!("block version {version}"))),
        };
        // Where no sample was in the deleted time the new file is as the old one, and its tombstones seem to be about it.
        fresh.set_tombstones(Tombstones::default());
        {
            let _snapshots_wait = self.visible.write();
            self.blocks.write().iter_mut().filter(|b| b.number == block.number).for_each(|b| *b = Arc::clone(&fresh));
        }
        let path = block.folder.join(tombstones::FILE_NAME);
        self.disk().remove(&path).map_err(io_error("remove", &path))
    }
}

/// Matching series that have a chunk in the time.
fn find(
    block: &Block,
    matchers: &[Matcher],
    min_time: Timestamp,
    max_time: Timestamp,
) -> Result<RoaringBitmap, StorageError> {
    let index = block.index();
    let mut found = evaluate(&index, matchers)?;
    if min_time <= block.meta.min_time && max_time >= block.meta.max_time {
        return Ok(found);
    }
    let mut cursor = index.cursor();
    let touches = |chunk: &ChunkRef| chunk.min_time <= max_time && chunk.max_time >= min_time;
    for series in found.clone() {
        if !cursor.chunks(series)?.iter().any(touches) {
            found.remove(series);
        }
    }
    Ok(found)
}

impl Deletable for Db {
    fn delete_series(
        &self,
        matchers: &[Matcher],
        min_time: Timestamp,
        max_time: Timestamp,
    ) -> Result<(), StorageError> {
        self.delete_series(matchers, min_time, max_time).map_err(into_storage)
    }

    fn clean_tombstones(&self) -> Result<(), StorageError> {
        self.clean_tombstones().map(|_| ()).map_err(into_storage)
    }
}

fn into_storage(error: Error) -> StorageError {
    match error {
        Error::Storage(error) => error,
        other => StorageError::Limit(other.to_string()),
    }
}
