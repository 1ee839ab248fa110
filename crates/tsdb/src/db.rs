//! The store as a whole: opening, recovering, keeping up, closing.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use model::{AppendError, Committed, StorageError, Timestamp};
use parking_lot::{Mutex, RwLock};

use crate::batch::Spare;
use crate::block::{Block, OpenError, block_name};
use crate::error::io as io_error;
use crate::exemplars::Exemplars;
use crate::families::MetricFamilies;
use crate::head::Head;
use crate::index::PageCache;
use crate::log::{self, Log};
use crate::news::News;
use crate::pace::Pace;
use crate::quarantine::Quarantine;
use crate::replay::replay;
use crate::reserve::{self, Reserve};
use crate::seal::Sealing;
use crate::status::Progress;
use crate::{Disk, Error, Options, Policy};

/// Folders and files of the data folder.
pub(crate) const LOG_FOLDER: &str = "log";
pub(crate) const BLOCKS_FOLDER: &str = "blocks";
pub(crate) const QUARANTINE_FOLDER: &str = "quarantine";
pub(crate) const LOCK_FILE: &str = "lock";

/// Commits look whether the data folder is there when nobody did for so long: less often than they come on a busy machine,
/// and sooner than anybody would notice.
const FOLDER_SEEN_MILLIS: i64 = 1_000;

/// What is being written, or waits to be removed, carries a suffix and is cleaned away at the next start.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";
pub(crate) const REMOVED_SUFFIX: &str = ".removed";

/// What was found when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Log segments that were read.
    pub segments: u64,
    /// Samples that came back from the log.
    pub samples: u64,
    /// Samples of the log that could not be told because a record before theirs is lost: one that names their series, or
    /// one that their values are told from.
    pub lost_samples: u64,
    /// Damaged stretches of the log that were passed over; a torn end after a power cut counts too.
    pub damaged_records: u64,
    /// Bytes in them.
    pub damaged_bytes: u64,
    /// Damaged stretches of the log that were rebuilt, so that nothing of them is lost; the disk is not to be trusted.
    pub rebuilt_records: u64,
    /// Blocks set aside.
    pub quarantined: u64,
}

/// Counters of the store since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended: AtomicU64,
    pub(crate) conflicting: AtomicU64,
    pub(crate) out_of_bounds: AtomicU64,
    pub(crate) sealed_blocks: AtomicU64,
    pub(crate) sealed_bytes: AtomicU64,
    pub(crate) seal_failures: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) removed_blocks: AtomicU64,
    pub(crate) removed_damaged: AtomicU64,
}

/// The store. All methods may be called from many threads, and may block on the disk.
pub struct Db {
    pub(crate) options: Options,
    policy: RwLock<Policy>,
    pub(crate) head: Head,
    pub(crate) log: Log,
    /// By number, which is the order in which they were written.
    pub(crate) blocks: RwLock<Vec<Arc<Block>>>,
    /// Pages of their indexes.
    pub(crate) pages: Arc<PageCache>,
    /// Held by a query while it takes its snapshot, and alone by a commit while it makes its samples visible.
    pub(crate) visible: RwLock<()>,
    /// For the next batch.
    pub(crate) spare: Mutex<Option<Spare>>,
    pub(crate) news: News,
    pub(crate) families: MetricFamilies,
    pub(crate) exemplars: Exemplars,
    pub(crate) counters: Counters,
    pub(crate) reserve: Reserve,
    pub(crate) closed: AtomicBool,
    /// Set when long work is to break off.
    pub(crate) stopping: AtomicBool,
    pub(crate) pace: Pace,
    /// Held by whoever merges blocks; taken after `maintenance` only to try, before it to wait.
    pub(crate) merging: Mutex<()>,
    /// Held while sealing and retention work; the sealing that could not be finished waits in it.
    pub(crate) maintenance: Mutex<Option<Sealing>>,
    pub(crate) next_block: AtomicU64,
    /// Folders in which something was renamed that the disk may not know yet.
    pub(crate) unsynced: Mutex<BTreeSet<PathBuf>>,
    /// Whether blocks that were removed or replaced may still have a folder.
    pub(crate) has_leftovers: AtomicBool,
    /// When the oldest commit of the head was made, by the clock; `MAX` if there is none.
    pub(crate) head_since: AtomicI64,
    /// When the log was synced last without being asked by a commit, by the clock.
    pub(crate) synced_at: AtomicI64,
    /// When the data folder was last seen to be there, by the clock.
    pub(crate) folder_seen_at: AtomicI64,
    /// When the cached pages aged last, by the clock.
    pub(crate) pages_aged: AtomicI64,
    pub(crate) quarantine: Quarantine,
    /// What series cost, and when that was told.
    pub(crate) costs: Mutex<Option<(Timestamp, model::status::Costs)>>,
    /// Sealing and merging, for those who watch.
    pub(crate) progress: Progress,
    /// When it was opened, by the clock.
    pub(crate) opened: Timestamp,
    /// Whether the last write to the log failed for want of space.
    pub(crate) full: AtomicBool,
    read_only_reason: Mutex<String>,
    recovery: Recovery,
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

impl Db {
    /// Opens the folder and brings back what its log holds. A damaged block is set aside, a damaged record passed
    /// over, and [`Db::recovery`] says so. Errors: the folder is in use, was written by a newer version, cannot be
    /// read.
    pub fn open(options: Options) -> Result<Self, Error> {
        let disk = Arc::clone(&options.disk);
        for folder in [options.path.clone(), options.path.join(LOG_FOLDER), options.path.join(BLOCKS_FOLDER)] {
            disk.create_dir(&folder).map_err(io_error("create", &folder))?;
        }
        let lock = lock_folder(&*disk, &options.path)?;
        disk.sync_dir(&options.path).map_err(io_error("fsync", &options.path))?;
        let log_folder = options.path.join(LOG_FOLDER);
        let segments = log::segments(&*disk, &log_folder)?;
        let mut db = Self {
            head: Head::new(options.head_series_max),
            log: Log::new(disk, log_folder, segments.iter().map(|s| (s.number, 0)).collect()),
            blocks: RwLock::default(),
            pages: Arc::new(PageCache::with_warm(options.index_cache_bytes_max, options.refresh_cache_bytes_max)),
            visible: RwLock::default(),
            spare: Mutex::default(),
            news: News::default(),
            families: MetricFamilies::default(),
            exemplars: Exemplars::default(),
            counters: Counters::default(),
            reserve: Reserve::open(&options),
            closed: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            pace: Pace::default(),
            merging: Mutex::default(),
            maintenance: Mutex::default(),
            next_block: AtomicU64::new(1),
            unsynced: Mutex::default(),
            has_leftovers: AtomicBool::new(false),
            head_since: AtomicI64::new(Timestamp::MAX),
            synced_at: AtomicI64::new(options.clock.now()),
            folder_seen_at: AtomicI64::new(options.clock.now()),
            pages_aged: AtomicI64::new(options.clock.now()),
            quarantine: Quarantine::default(),
            costs: Mutex::default(),
            progress: Progress::default(),
            opened: options.clock.now(),
            full: AtomicBool::new(false),
            read_only_reason: Mutex::default(),
            recovery: Recovery::default(),
            lock: Mutex::new(Some(lock)),
            policy: RwLock::new(Policy::of(&options)),
            options,
        };
        db.recover(&segments)?;
        Ok(db)
    }

    /// What is in force.
    pub fn policy(&self) -> Policy {
        *self.policy.read()
    }

    /// Changes what is in force from now on; what retention no longer keeps goes with the next [`Db::maintain`].
    pub fn set_policy(&self, policy: Policy) {
        self.reserve.want(policy.retention_size);
        *self.policy.write() = policy;
    }

    /// What was found at the start.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Brings everything that was committed to the disk.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.synced_at.store(self.options.clock.now(), Ordering::Relaxed);
        self.log.sync()
    }

    /// Syncs the log, refuses what comes later and gives the folder free.
    pub fn close(&self) -> Result<(), Error> {
        self.stopping.store(true, Ordering::Relaxed);
        let _no_merge = self.merging.lock();
        let _no_sealing = self.maintenance.lock();
        {
            let _no_commit = self.log.lock();
            self.closed.store(true, Ordering::Release);
        }
        let outcome = self.log.close();
        self.lock.lock().take();
        Ok(outcome?)
    }

    /// An error once the store is closed.
    pub(crate) fn check_open(&self) -> Result<(), StorageError> {
        if self.closed.load(Ordering::Acquire) { Err(StorageError::Closed) } else { Ok(()) }
    }

    /// An error when the data folder is not there any more: the log would go on into a file that has no name, and all
    /// that it acknowledges would be gone with the process.
    pub(crate) fn check_folder(&self) -> Result<(), StorageError> {
        let folder = &self.options.path;
        let names = self.disk().list(folder).map_err(io_error("list", folder))?;
        let missing = [LOG_FOLDER, BLOCKS_FOLDER].into_iter().find(|name| !names.iter().any(|found| found == name));
        let Some(missing) = missing else {
            self.folder_seen_at.store(self.options.clock.now(), Ordering::Relaxed);
            return Ok(());
        };
        let reason =
            "it was removed while skep runs; stop skep, put the folder back or restore a backup, start skep again";
        let source = std::io::Error::new(ErrorKind::NotFound, reason);
        Err(io_error("find", &folder.join(missing))(source))
    }

    /// As [`Db::check_folder`], once in a while.
    pub(crate) fn check_folder_seen(&self) -> Result<(), StorageError> {
        let since = self.options.clock.now() - self.folder_seen_at.load(Ordering::Relaxed);
        if (0..FOLDER_SEEN_MILLIS).contains(&since) { Ok(()) } else { self.check_folder() }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.options.disk
    }

    pub(crate) fn blocks_folder(&self) -> PathBuf {
        self.options.path.join(BLOCKS_FOLDER)
    }

    pub(crate) fn block_folder(&self, number: u64) -> PathBuf {
        self.blocks_folder().join(block_name(number))
    }

    /// Why writing is refused now; empty if it is not.
    pub(crate) fn read_only_reason(&self) -> String {
        self.read_only_reason.lock().clone()
    }

    /// Remembers whether the log takes writes.
    pub(crate) fn note_write<T>(&self, outcome: &Result<T, AppendError>) {
        match outcome {
            Err(AppendError::Storage(error)) => self.note_failure(error),
            Err(_) => {}
            Ok(_) => {
                let mut reason = self.read_only_reason.lock();
                if !reason.is_empty() {
                    tracing::info!("the log takes writes again");
                    self.full.store(false, Ordering::Relaxed);
                    reason.clear();
                }
            }
        }
    }

    /// Remembers why nothing can be written.
    pub(crate) fn note_failure(&self, error: &StorageError) {
        let mut reason = self.read_only_reason.lock();
        self.full.store(reserve::is_full(error), Ordering::Relaxed);
        if reason.is_empty() {
            tracing::error!(%error, "the log refuses writes, samples are refused until it takes them again");
        }
        *reason = error.to_string();
    }

    pub(crate) fn note_commit(&self, committed: Committed) {
        self.counters.appended.fetch_add(committed.samples, Ordering::Relaxed);
        self.counters.conflicting.fetch_add(committed.conflicting, Ordering::Relaxed);
        if committed.samples > 0 {
            let now = self.options.clock.now();
            let is_first = self.head_since.fetch_min(now, Ordering::Relaxed) == Timestamp::MAX;
            self.pace.note_commit(now, self.head.totals.max_time.load(Ordering::Relaxed), is_first);
        }
    }

    /// Bytes of all that the store keeps in its folder.
    pub(crate) fn size_bytes(&self) -> u64 {
        // One lock after the other: a commit that holds the log may wait for a sealing that waits for the blocks.
        let beside = self.size_bytes_beside_blocks();
        beside + self.blocks.read().iter().map(|b| b.folder_bytes()).sum::<u64>()
    }

    /// Log, metadata, quarantine and reserve.
    pub(crate) fn size_bytes_beside_blocks(&self) -> u64 {
        let small = self.families.size_bytes() + self.exemplars.size_bytes() + self.reserve.size_bytes();
        self.log.size_bytes() + small + self.quarantine.size_bytes()
    }

    fn recover(&mut self, segments: &[log::Segment]) -> Result<(), Error> {
        self.load_quarantine()?;
        self.open_blocks()?;
        let damaged = self.families.load(self.disk(), &self.options.path)?
            + self.exemplars.load(self.disk(), &self.options.path)?;
        self.recovery.damaged_records += damaged;
        let covered = self.blocks.read().iter().map(|b| b.meta.covers).max().unwrap_or_default();
        if segments.iter().any(|s| s.number < covered) {
            self.log.remove_before(covered)?;
        }
        let since: Vec<_> = segments.iter().filter(|s| s.number >= covered).cloned().collect();
        let (mut found, lengths) = replay(self, &since)?;
        self.exemplars.replayed();
        self.log.set_lengths(lengths, covered);
        found.damaged_records += damaged;
        found.quarantined = self.quarantine.told().len() as u64;
        if found.samples > 0 {
            self.head_since.store(self.options.clock.now(), Ordering::Relaxed);
        }
        if found.damaged_records > 0 || found.lost_samples > 0 {
            tracing::warn!(
                records = found.damaged_records,
                bytes = found.damaged_bytes,
                samples = found.lost_samples,
                "parts of the log were unreadable and passed over; after a power cut its end is, else the disk is damaged"
            );
        }
        self.recovery = found;
        Ok(())
    }

    fn open_blocks(&self) -> Result<(), Error> {
        let folder = self.blocks_folder();
        let names = self.disk().list(&folder).map_err(io_error("list", &folder))?;
        let mut numbers = Vec::new();
        for name in names {
            let path = folder.join(&name);
            if name.ends_with(TEMPORARY_SUFFIX) || name.ends_with(REMOVED_SUFFIX) {
                if let Err(error) = self.disk().remove(&path) {
                    tracing::warn!(path = %path.display(), %error, "a leftover could not be removed");
                }
            } else if let Ok(number) = name.parse::<u64>() {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        let last = numbers.last().copied().max(self.quarantine.last_number()).unwrap_or_default();
        self.next_block.store(last + 1, Ordering::Relaxed);
        for number in numbers {
            self.open_block(number)?;
        }
        self.remove_replaced();
        Ok(())
    }

    fn open_block(&self, number: u64) -> Result<(), Error> {
        let folder = self.block_folder(number);
        match Block::open(self.disk(), &folder, number, &self.pages) {
            Ok(block) => self.blocks.write().push(Arc::new(block)),
            Err(OpenError::Version(found)) => {
                return Err(Error::Version { path: folder, found, supported: crate::block::VERSION });
            }
            Err(OpenError::Storage(error)) => {
                self.put_aside(number, None, &error.to_string());
            }
        }
        Ok(())
    }
}

fn lock_folder(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Send + Sync>, Error> {
    let path = folder.join(LOCK_FILE);
    disk.lock(&path).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::Locked { path: folder.to_owned(), holder: holder(disk, &path) },
        _ => io_error("lock", &path)(error).into(),
    })
}

/// The process that holds the lock, as it wrote it down.
fn holder(disk: &dyn Disk, path: &Path) -> String {
    let read = || {
        let file = disk.open(path).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().ok()?.min(20)).ok()?];
        file.read_at(&mut bytes, 0).ok()?;
        String::from_utf8(bytes).ok()?.trim().parse::<u32>().ok()
    };
    read().map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
