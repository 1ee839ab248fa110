//! Damaged blocks: out of service, in a folder of their own for a person to look at, until retention removes them.

use std::path::{Path, PathBuf};

use model::status::SetAsideStatus;
use model::{StorageError, Timestamp};
use parking_lot::Mutex;

use crate::Db;
use crate::block::Block;
use crate::db::QUARANTINE_FOLDER;
use crate::error::io as io_error;
use crate::reserve::folder_bytes;
use crate::retention::Candidate;

/// What was found to be damaged.
#[derive(Default)]
pub(crate) struct Quarantine {
    /// Since the start, to be told with the answers.
    told: Mutex<Vec<SetAside>>,
    /// By number.
    kept: Mutex<Vec<Kept>>,
}

/// A block that is not served, and why.
struct SetAside {
    number: u64,
    status: SetAsideStatus,
}

/// What takes space for it.
#[derive(Clone)]
struct Kept {
    number: u64,
    /// When its newest sample was, where that can be read.
    max_time: Option<Timestamp>,
    size_bytes: u64,
    folder: PathBuf,
}

impl Quarantine {
    /// Blocks set aside, those of earlier processes too, as long as they are kept.
    pub(crate) fn len(&self) -> u64 {
        self.kept.lock().len() as u64
    }

    /// Bytes of their files.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.kept.lock().iter().map(|kept| kept.size_bytes).sum()
    }

    /// The largest number of a block here: it is not given again.
    pub(crate) fn last_number(&self) -> Option<u64> {
        self.kept.lock().iter().map(|kept| kept.number).max()
    }

    /// What was set aside since the start.
    pub(crate) fn told(&self) -> Vec<SetAsideStatus> {
        self.told.lock().iter().map(|aside| aside.status.clone()).collect()
    }

    fn forget(&self, number: u64) {
        self.kept.lock().retain(|kept| kept.number != number);
        self.told.lock().retain(|aside| aside.number != number);
    }
}

impl Db {
    /// Looks at what earlier processes set aside. What has no block's name is left alone and not counted.
    pub(crate) fn load_quarantine(&self) -> Result<(), StorageError> {
        let folder = self.options.path.join(QUARANTINE_FOLDER);
        let names = self.disk().list(&folder).map_err(io_error("list", &folder))?;
        let kept = |name: &String| {
            let (number, folder) = (name.parse().ok()?, folder.join(name));
            let max_time = Block::open(self.disk(), &folder, number, &self.pages).ok().map(|b| b.meta.max_time);
            Some(Kept { number, max_time, size_bytes: folder_bytes(self.disk(), &folder), folder })
        };
        let mut all: Vec<Kept> = names.iter().filter_map(kept).collect();
        all.sort_by_key(|kept| kept.number);
        *self.quarantine.kept.lock() = all;
        Ok(())
    }

    /// What is missing from an answer about this time.
    pub(crate) fn warnings(&self, min_time: Timestamp, max_time: Timestamp) -> Vec<String> {
        let told = self.quarantine.told.lock();
        let touched = told.iter().map(|a| &a.status).filter(|a| a.min_time <= max_time && a.max_time >= min_time);
        touched.map(|a| format!("a block was set aside, its samples are missing: {}", a.reason)).collect()
    }

    /// Sets aside what queries found to be damaged while they read it.
    pub(crate) fn set_damaged_aside(&self) {
        let damaged: Vec<_> = self.blocks.read().iter().filter_map(|b| Some((b.clone(), b.damage()?))).collect();
        damaged.iter().for_each(|(block, reason)| self.set_aside(block, reason));
    }

    /// Takes a block out of service and moves it to the quarantine.
    pub(crate) fn set_aside(&self, block: &Block, reason: &str) {
        let is_served = {
            let mut blocks = self.blocks.write();
            let before = blocks.len();
            blocks.retain(|b| b.number != block.number);
            blocks.len() < before
        };
        if is_served {
            self.news.note(Timestamp::MIN);
            self.put_aside(block.number, Some((block.meta.min_time, block.meta.max_time)), reason);
        }
    }

    /// Moves a block that is not served to the quarantine; `times` are its first and last one, where they can be read.
    pub(crate) fn put_aside(&self, number: u64, times: Option<(Timestamp, Timestamp)>, reason: &str) {
        let folder = self.block_folder(number);
        tracing::error!(folder = %folder.display(), reason, "a block is damaged and set aside");
        let (min_time, max_time) = times.unwrap_or((0, Timestamp::MAX));
        let status = SetAsideStatus { min_time, max_time, reason: reason.to_owned() };
        self.quarantine.told.lock().push(SetAside { number, status });
        let size_bytes = folder_bytes(self.disk(), &folder);
        let folder = self.move_aside(&folder).unwrap_or_else(|error| {
            tracing::warn!(folder = %folder.display(), %error, "the damaged block could not be moved, it stays where it is");
            folder
        });
        let mut kept = self.quarantine.kept.lock();
        kept.push(Kept { number, max_time: times.map(|(_, max_time)| max_time), size_bytes, folder });
        kept.sort_by_key(|kept| kept.number);
    }

    fn move_aside(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let quarantine = self.options.path.join(QUARANTINE_FOLDER);
        let target = quarantine.join(folder.file_name().unwrap_or_default());
        self.disk().create_dir(&quarantine)?;
        self.disk().rename(folder, &target)?;
        let synced = self.disk().sync_dir(&quarantine).and_then(|()| self.disk().sync_dir(&self.blocks_folder()));
        if let Err(error) = synced {
            tracing::warn!(%error, "a damaged block may be back after a power cut, and is found again then");
        }
        Ok(target)
    }

    /// Removes damaged blocks that are too old, and the oldest ones while the folder is too large: they go before any block
    /// that can be read. One that does not tell its time is too old when all blocks that are not were written after it. Returns how many went.
    pub(crate) fn empty_quarantine(&self, blocks: &[Candidate], cutoff: Option<Timestamp>) -> u64 {
        let is_old = |kept: &Kept, cutoff: Timestamp| match kept.max_time {
            Some(max_time) => max_time < cutoff,
            None => blocks.iter().all(|b| b.number > kept.number || b.max_time < cutoff),
        };
        let is_too_large = || self.policy().retention_size.is_some_and(|most| self.size_bytes() > most);
        let all = self.quarantine.kept.lock().clone();
        let mut removed = 0;
        for kept in all {
            if !cutoff.is_some_and(|cutoff| is_old(&kept, cutoff)) && !is_too_large() {
                continue;
            }
            match self.disk().remove(&kept.folder) {
                Ok(()) => {
                    tracing::info!(folder = %kept.folder.display(), "a damaged block is removed by retention");
                    self.quarantine.forget(kept.number);
                    removed += 1;
                }
                Err(error) => {
                    tracing::warn!(folder = %kept.folder.display(), %error, "a damaged block could not be removed");
                }
            }
        }
        removed
    }
}
