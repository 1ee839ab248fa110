//! Space that is kept for the day on which the disk is full.
//!
//! A file of no content holds it. When the disk is full and sealing needs room to shorten the log, the file goes; from
//! then on samples are refused until there is room for the file again, because samples would eat what sealing needs.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use model::StorageError;

use crate::error::io as io_error;
use crate::{Disk, Error, Options};

/// What the block of an edge machine's two hours takes, twice.
const RESERVE_BYTES: u64 = 2 << 20;

/// The file comes back only when this much stays free beside it: the next scrapes have to fit.
const MARGIN_BYTES: u64 = 256 << 10;

/// A folder that may hold less has no room to spare; its retention by size makes room instead.
const FOLDER_BYTES_MIN: u64 = 16 * RESERVE_BYTES;

/// The file in the data folder.
pub(crate) const FILE_NAME: &str = "reserve";

/// The reserve of a data folder.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    folder: PathBuf,
    wanted: AtomicBool,
    stands: AtomicBool,
    /// Given away by this process, and not back yet.
    spent: AtomicBool,
}

impl Reserve {
    /// Looks whether an earlier process left one. What is too short is one that could not be finished.
    pub(crate) fn open(options: &Options) -> Self {
        let path = options.path.join(FILE_NAME);
        let stands = options.disk.open(&path).and_then(|file| file.len()).is_ok_and(|bytes| bytes == RESERVE_BYTES);
        let (wanted, stands, spent) = (AtomicBool::new(false), AtomicBool::new(stands), AtomicBool::new(false));
        let reserve = Self { path, folder: options.path.clone(), wanted, stands, spent };
        reserve.want(options.retention_size);
        reserve
    }

    /// Whether there is to be one in a folder that may hold this much; it comes or goes when it is restored next.
    pub(crate) fn want(&self, folder_bytes_max: Option<u64>) {
        let wanted = folder_bytes_max.is_none_or(|most| most >= FOLDER_BYTES_MIN);
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Bytes that it takes now.
    pub(crate) fn size_bytes(&self) -> u64 {
        if self.stands.load(Ordering::Relaxed) { RESERVE_BYTES } else { 0 }
    }

    /// Gives the space free; whether there was some to give.
    pub(crate) fn spend(&self, disk: &dyn Disk) -> bool {
        let gone = self.stands.load(Ordering::Relaxed) && disk.remove(&self.path).is_ok();
        if gone {
            tracing::warn!(path = %self.path.display(), "the disk is full: the reserve is given free so that the log can be shortened");
            self.stands.store(false, Ordering::Relaxed);
            self.spent.store(self.wanted.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        gone
    }

    /// Makes the file where it is wanted, missing, and there is room.
    pub(crate) fn restore(&self, disk: &dyn Disk) {
        if !self.wanted.load(Ordering::Relaxed) {
            self.spent.store(false, Ordering::Relaxed);
            if self.stands.swap(false, Ordering::Relaxed) {
                let _ = disk.remove(&self.path);
            }
            return;
        }
        let has_room = || disk.free(&self.folder).is_ok_and(|free| free >= RESERVE_BYTES + MARGIN_BYTES);
        if self.stands.load(Ordering::Relaxed) || !has_room() {
            return;
        }
        match disk.reserve(&self.path, RESERVE_BYTES) {
            Ok(()) => {
                self.stands.store(true, Ordering::Relaxed);
                self.spent.store(false, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(path = %self.path.display(), %error, "no reserve could be made"),
        }
    }

    /// To be asked before samples are written: refuses while the reserve is given away and cannot be restored.
    pub(crate) fn check(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        if !self.spent.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.restore(disk);
        if self.spent.load(Ordering::Relaxed) {
            let needed = (RESERVE_BYTES + MARGIN_BYTES) >> 10;
            let reason = format!("No space left on device, samples are taken again when {needed} KiB are free");
            return Err(io_error("write", &self.folder)(io::Error::new(ErrorKind::StorageFull, reason)));
        }
        Ok(())
    }
}

/// Whether an error says that the disk is full, and not that it is broken.
pub(crate) fn is_full(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { source, .. } if is_full_kind(source.kind()))
}

pub(crate) fn is_full_kind(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// As [`is_full`].
pub(crate) fn says_full(error: &Error) -> bool {
    matches!(error, Error::Storage(error) if is_full(error))
}

/// Bytes of all files in a folder and in the folders in it.
pub(crate) fn folder_bytes(disk: &dyn Disk, folder: &Path) -> u64 {
    let sizes = disk.list(folder).unwrap_or_default().into_iter().map(|name| {
        let path = folder.join(name);
        match disk.list(&path) {
            Ok(names) if !names.is_empty() => folder_bytes(disk, &path),
            _ => disk.open(&path).and_then(|file| file.len()).unwrap_or_default(),
        }
    });
    sizes.sum()
}
