//! Deleting samples, and writing the blocks anew that hold deleted ones.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Deletable, Matcher, Samples, StorageError, Timestamp};
use roaring::RoaringBitmap;

use crate::Db;
use crate::block::{self, Block, BlockWriter, Reading};
use crate::column::Tier;
use crate::error::io as io_error;
use crate::head::Wanted;
use crate::postings::evaluate;
use crate::publish::temporary_of;
use crate::seal::Sealing;
use crate::tombstones::{self, Tombstones};
use crate::{Error, index::ChunkRef};

/// Which samples and exemplars are to go.
#[derive(Clone, Copy)]
struct Doomed<'a> {
    matchers: &'a [Matcher],
    min_time: Timestamp,
    max_time: Timestamp,
}

impl Db {
    /// Deletes the samples and exemplars of matching series in this time, ends included; they are gone for good when it
    /// returns. A time that ends before it begins holds none.
    ///
    /// What matches in the head is sealed first, so that the log does not bring it back and samples that come later at a
    /// deleted time are new ones. The bytes stay on the disk until blocks are merged or written anew, which
    /// [`Db::maintain`] does with a block that has lost a twentieth, until retention removes them, or until
    /// [`Db::clean_tombstones`] is called. Errors: the disk, and a list of deleted samples that grows too long; what was
    /// deleted until then stays deleted.
    pub fn delete_series(&self, matchers: &[Matcher], min_time: Timestamp, max_time: Timestamp) -> Result<(), Error> {
        let mut pending = self.maintenance.lock();
        self.check_open()?;
        self.check_folder()?;
        if min_time > max_time {
            return Ok(());
        }
        let doomed = Doomed { matchers, min_time, max_time };
        self.seal_doomed(&mut pending, doomed)?;
        // A block whose name the power may still take would take what is said of it along.
        self.settle()?;
        let mut buried = Vec::new();
        let outcome = self.bury(doomed, &mut buried);
        {
            let _snapshots_wait = self.visible.write();
            self.news.note(min_time);
            buried.into_iter().for_each(|(block, tombstones)| block.set_tombstones(tombstones));
        }
        outcome?;
        self.exemplars.delete(self.disk(), &self.options.path, matchers, (min_time, max_time))?;
        Ok(self.head.forget_newest(matchers, min_time, max_time)?)
    }

    /// Leaves nothing doomed in the head and in the log that was there when it was called.
    fn seal_doomed(&self, pending: &mut Option<Sealing>, doomed: Doomed<'_>) -> Result<(), Error> {
        let now = self.options.clock.now();
        let Doomed { matchers, min_time, max_time } = doomed;
        let in_log = self.exemplars.holds(matchers, (min_time, max_time));
        let wanted = Wanted { min_time, max_time, labels_only: true };
        // A sealing that failed before has to be finished first, and holds older samples only.
        while in_log || !self.head.matching(matchers, wanted)?.is_empty() {
            let was_pending = pending.is_some();
            self.work_on(pending, now, true)?;
            if !was_pending {
                break;
            }
        }
        Ok(())
    }

    /// Says on the disk what is deleted of the blocks. Those in `buried` have it there, also after an error.
    fn bury(&self, doomed: Doomed<'_>, buried: &mut Vec<(Arc<Block>, Tombstones)>) -> Result<(), StorageError> {
        let Doomed { min_time, max_time, .. } = doomed;
        let blocks = self.blocks.read().clone();
        for block in blocks.into_iter().filter(|b| b.overlaps(min_time, max_time)) {
            let Some(series) = self.unless_damaged(&block, find(&block, doomed))? else { continue };
            let mut tombstones = Tombstones::clone(&block.tombstones());
            if tombstones.add(series, min_time.max(block.meta.min_time), max_time.min(block.meta.max_time)) {
                tombstones.save(self.disk(), &block.folder, block.target())?;
                buried.push((block, tombstones));
            }
        }
        Ok(())
    }

    /// Writes the blocks anew that hold deleted samples, without them; returns how many there were. Queries, commits and
    /// sealings go on. Errors: the disk, no room for a copy of a block.
    pub fn clean_tombstones(&self) -> Result<u64, Error> {
        let _only = self.merging.lock();
        self.check_open()?;
        let blocks = self.blocks.read().clone();
        let mut cleaned = 0;
        for block in &blocks {
            // What is deleted while the block is written makes it begin anew.
            while self.is_served(block) && !block.tombstones().is_empty() {
                if !self.has_room_for(block.size_bytes) {
                    let reason = format!("it takes {} bytes twice over to write the block anew", block.size_bytes);
                    let source = io::Error::new(ErrorKind::StorageFull, reason);
                    return Err(io_error("write", &block.folder)(source).into());
                }
                cleaned += u64::from(self.clean(block)?);
            }
        }
        Ok(cleaned)
    }

    /// Writes blocks anew that have lost much, unless blocks are being merged or there is no room.
    pub(crate) fn clean_much_deleted(&self) -> Result<(), StorageError> {
        let Some(_only) = self.merging.try_lock() else { return Ok(()) };
        let blocks = self.blocks.read().clone();
        for block in blocks.iter().filter(|b| b.is_much_deleted() && self.has_room_for(b.size_bytes)) {
            match self.clean(block) {
                Err(StorageError::Closed) => return Ok(()),
                outcome => outcome.map(drop)?,
            }
        }
        Ok(())
    }

    fn is_served(&self, block: &Arc<Block>) -> bool {
        self.blocks.read().iter().any(|b| Arc::ptr_eq(b, block))
    }

    /// Writes a block anew; whether it took the place of the old one. Only while no blocks are merged.
    fn clean(&self, block: &Arc<Block>) -> Result<bool, StorageError> {
        let temporary = temporary_of(&block.folder);
        let outcome = self.clean_by(block, &temporary);
        // What stays is removed at the next start.
        let _ = self.disk().remove(&temporary);
        Ok(self.unless_damaged(block, outcome)?.unwrap_or_default())
    }

    fn clean_by(&self, block: &Arc<Block>, temporary: &Path) -> Result<bool, StorageError> {
        let tombstones = block.tombstones();
        let writer = BlockWriter::create(self.disk(), temporary, block.number, Tier::Block)?;
        let samples = self.copy_what_is_left(block, &tombstones, writer)?;
        let _no_sealing = self.maintenance.lock();
        if !self.stands(block, &tombstones) {
            return Ok(false);
        }
        if samples == 0 {
            // Nothing says any more that the log before it may go, so it has to be gone.
            self.log.remove_before(block.meta.covers)?;
            self.remove_block(block)?;
        } else {
            self.replace_file_of(block, temporary)?;
        }
        Ok(true)
    }

    /// The new file takes the place of the old one in the same folder, so that the order of the blocks stays. It is served
    /// from the rename on; the tombstones are about the old one and mean nothing from then on.
    fn replace_file_of(&self, block: &Block, temporary: &Path) -> Result<(), StorageError> {
        let fresh = self.open_temporary(temporary, block.folder.clone(), block.number)?;
        self.disk().sync_dir(temporary).map_err(io_error("fsync", temporary))?;
        {
            let _snapshots_wait = self.visible.write();
            self.rename(&temporary.join(block::FILE_NAME), &block.folder.join(block::FILE_NAME))?;
            self.serve(Arc::new(fresh));
        }
        self.settle()?;
        // Where no sample was in the deleted time the new file is as the old one, and this one seems to be about it.
        let path = block.folder.join(tombstones::FILE_NAME);
        self.disk().remove(&path).map_err(io_error("remove", &path))
    }

    fn copy_what_is_left(
        &self,
        block: &Block,
        tombstones: &Tombstones,
        mut writer: BlockWriter,
    ) -> Result<u64, StorageError> {
        let working = self.progress.begin("cleaning a block", block.meta.series, self.options.clock.now());
        let mut cursor = block.index().cursor();
        let reading = Reading::default();
        let mut samples = Samples::default();
        for series in 0..block.meta.series as u32 {
            self.pause()?;
            working.step(1);
            let entry = cursor.entry(series)?;
            samples.clear();
            entry.chunks.iter().try_for_each(|chunk| block.read(chunk, &reading, &mut samples))?;
            tombstones.of(series).remove_from(&mut samples, 0);
            if !samples.is_empty() {
                writer.add(&entry.labels, &samples)?;
            }
        }
        let (written, replaces) = (writer.samples(), self.standing(&block.meta.replaces)?);
        let bytes = writer.finish(block.meta.covers, replaces)?;
        self.counters.sealed_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(written)
    }
}

/// Doomed series that have a chunk in the time.
fn find(block: &Block, doomed: Doomed<'_>) -> Result<RoaringBitmap, StorageError> {
    let Doomed { matchers, min_time, max_time } = doomed;
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
