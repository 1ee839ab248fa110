//! Blocks get their names, take over from others, and go.
//!
//! What memory serves and what has a name in the folder agree, whatever fails: a block is opened before it is renamed, and
//! is served from the rename on. So what is deleted later is deleted of every block that the next start will find.
//! Names that the disk may not have yet are remembered, and nothing that relies on them happens before they are synced.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{StorageError, Timestamp};

use crate::Db;
use crate::block::{Block, BlockWriter};
use crate::column::Tier;
use crate::db::{REMOVED_SUFFIX, TEMPORARY_SUFFIX};
use crate::error::io as io_error;

/// A block that is being written or waits for its name.
pub(crate) struct Unnamed {
    number: u64,
    temporary: PathBuf,
}

/// Blocks that are written and open, in the order in which they get their names.
pub(crate) type Waiting = VecDeque<(PathBuf, Arc<Block>)>;

impl Db {
    pub(crate) fn create_block(&self, tier: Tier, written: &mut Vec<Unnamed>) -> Result<BlockWriter, StorageError> {
        let number = self.next_block.fetch_add(1, Ordering::Relaxed);
        let temporary = temporary_of(&self.block_folder(number));
        written.push(Unnamed { number, temporary: temporary.clone() });
        BlockWriter::create(self.disk(), &temporary, number, tier)
    }

    /// Opens what was written; the block that releases the log comes last.
    pub(crate) fn open_written(&self, written: &[Unnamed]) -> Result<Waiting, StorageError> {
        let mut ready = Vec::new();
        for Unnamed { number, temporary } in written {
            let block = self.open_temporary(temporary, self.block_folder(*number), *number)?;
            self.disk().sync_dir(temporary).map_err(io_error("fsync", temporary))?;
            ready.push((temporary.clone(), Arc::new(block)));
        }
        ready.sort_by_key(|(_, block)| block.meta.covers);
        Ok(ready.into())
    }

    /// Opens a block whose file or folder is to be renamed into this folder.
    pub(crate) fn open_temporary(&self, from: &Path, to: PathBuf, number: u64) -> Result<Block, StorageError> {
        Ok(Block::open_before_rename(self.disk(), from, to, number, &self.pages)?)
    }

    /// Removes what was written for nothing. What stays is removed at the next start.
    pub(crate) fn discard(&self, written: &[Unnamed]) {
        for unnamed in written {
            let _ = self.disk().remove(&unnamed.temporary);
        }
    }

    /// Gives the blocks their names, the last one when the others are durable, and serves each from then on. Those that
    /// wait after an error are named by the next call; it is over when this returns without one. `at_last` runs
    /// when the last one is served, before any query sees it.
    pub(crate) fn name_blocks(&self, waiting: &mut Waiting, at_last: impl Fn()) -> Result<(), StorageError> {
        while let Some((temporary, block)) = waiting.front() {
            if waiting.len() == 1 {
                self.settle()?;
            }
            self.rename(temporary, &block.folder)?;
            let _snapshots_wait = self.visible.write();
            if let Some((_, block)) = waiting.pop_front() {
                self.serve(block);
            }
            if waiting.is_empty() {
                at_last();
            }
        }
        self.settle()
    }

    /// Takes a block up in place of those that it replaces, and of an older state of itself. Only while no query takes
    /// its snapshot.
    pub(crate) fn serve(&self, block: Arc<Block>) {
        let mut all = self.blocks.write();
        all.retain(|b| b.number != block.number && !block.meta.replaces.contains(&b.number));
        all.push(block);
        all.sort_by_key(|b| b.number);
    }

    /// Renames within the folder of blocks; durable after [`Db::settle`].
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.disk().rename(from, to).map_err(io_error("rename", from))?;
        let mut unsynced = self.unsynced.lock();
        unsynced.extend(to.parent().map(Path::to_owned));
        Ok(())
    }

    /// Makes durable what was renamed; what an earlier call could not, too.
    pub(crate) fn settle(&self) -> Result<(), StorageError> {
        let mut unsynced = self.unsynced.lock();
        while let Some(folder) = unsynced.first() {
            match self.disk().sync_dir(folder) {
                // A block that was removed since.
                Err(error) if error.kind() == ErrorKind::NotFound && *folder != self.blocks_folder() => {}
                outcome => outcome.map_err(io_error("fsync", folder))?,
            }
            unsynced.pop_first();
        }
        Ok(())
    }

    /// Takes a block out of the answers and off the disk. Queries that began keep its open file. What it replaced
    /// goes before it, because nothing else says that it is to go.
    pub(crate) fn remove_block(&self, block: &Block) -> Result<(), StorageError> {
        self.remove_folders(&block.meta.replaces)?;
        let removed = removed_of(&block.folder);
        self.rename(&block.folder, &removed)?;
        self.blocks.write().retain(|b| b.number != block.number);
        self.news.note(Timestamp::MIN);
        self.remove_leftover(&removed)?;
        self.settle()
    }

    /// Those of these blocks that have a folder, the youngest first: as long as an older one stands, so does what it won.
    pub(crate) fn standing(&self, numbers: &[u64]) -> Result<Vec<u64>, StorageError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let folder = self.blocks_folder();
        let names = self.disk().list(&folder).map_err(io_error("list", &folder))?;
        let there = names.iter().filter_map(|name| name.parse().ok());
        let mut standing: Vec<u64> = there.filter(|number| numbers.contains(number)).collect();
        standing.sort_unstable_by(|a, b| b.cmp(a));
        Ok(standing)
    }

    /// Removes the folders of blocks that are not served any more, as far as they stand.
    pub(crate) fn remove_folders(&self, numbers: &[u64]) -> Result<(), StorageError> {
        for number in self.standing(numbers)? {
            let folder = self.block_folder(number);
            let removed = removed_of(&folder);
            self.rename(&folder, &removed).inspect_err(|_| self.has_leftovers.store(true, Ordering::Relaxed))?;
            self.remove_leftover(&removed)?;
        }
        self.settle()
    }

    fn remove_leftover(&self, path: &Path) -> Result<(), StorageError> {
        let outcome = self.disk().remove(path).map_err(io_error("remove", path));
        outcome.inspect_err(|_| self.has_leftovers.store(true, Ordering::Relaxed))
    }

    /// Tries again what could not be synced or removed. That it still cannot be is no reason not to go on: what relies on
    /// it asks for itself.
    pub(crate) fn make_up(&self) {
        let outcome = self.settle().and_then(|()| {
            if self.has_leftovers.swap(false, Ordering::Relaxed) { self.remove_leftovers() } else { Ok(()) }
        });
        if let Err(error) = outcome {
            tracing::warn!(%error, "blocks that were replaced or removed are still on the disk, it is tried again");
            self.has_leftovers.store(true, Ordering::Relaxed);
        }
    }

    fn remove_leftovers(&self) -> Result<(), StorageError> {
        let folder = self.blocks_folder();
        let names = self.disk().list(&folder).map_err(io_error("list", &folder))?;
        for name in names.iter().filter(|name| name.ends_with(REMOVED_SUFFIX)) {
            self.remove_leftover(&folder.join(name))?;
        }
        let replaced: Vec<u64> = self.blocks.read().iter().flat_map(|b| b.meta.replaces.clone()).collect();
        self.remove_folders(&replaced)
    }

    /// At the start: ends the service of blocks that others replace, and removes them. A merge may have been ended
    /// before it did.
    pub(crate) fn remove_replaced(&self) {
        let replaced: Vec<u64> = self.blocks.read().iter().flat_map(|b| b.meta.replaces.clone()).collect();
        self.blocks.write().retain(|b| !replaced.contains(&b.number));
        self.has_leftovers.store(true, Ordering::Relaxed);
        self.make_up();
    }
}

/// Where a block is written before it has its name.
pub(crate) fn temporary_of(folder: &Path) -> PathBuf {
    folder.with_extension(&TEMPORARY_SUFFIX[1..])
}

fn removed_of(folder: &Path) -> PathBuf {
    folder.with_extension(&REMOVED_SUFFIX[1..])
}
