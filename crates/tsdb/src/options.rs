//! What the store is told when it is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{Clock, SystemClock};

use crate::{Disk, FileDisk};

/// Samples this far ahead of the clock are refused, as Prometheus does, so that one target with a wrong clock cannot
/// hide what follows.
pub const FUTURE_MAX: Duration = Duration::from_secs(600);

/// Prometheus keeps fifteen days where nothing is said.
const RETENTION_TIME_DEFAULT: Duration = Duration::from_secs(15 * 24 * 3600);

/// Half a minute of scraped samples may be lost to a power cut by default; flash lives longer for it.
const SYNC_INTERVAL_DEFAULT: Duration = Duration::from_secs(30);

/// Two hours in memory: long enough for columns that compress well, short enough for a quick replay.
const SEAL_INTERVAL_DEFAULT: Duration = Duration::from_secs(2 * 3600);

/// Past this much compressed memory the head is sealed early, so that backfill cannot fill the memory of a small
/// machine. Two hours of 10,000 series at 15 s stay below it.
const HEAD_BYTES_MAX_DEFAULT: usize = 32 << 20;

/// About what ten times the largest edge node shows; each series costs some 400 bytes in memory, samples
/// apart: place, labels, index, what the log and a sender's cache know of it.
const HEAD_SERIES_MAX_DEFAULT: usize = 1_000_000;

/// The index of 100,000 series takes one to three megabytes, the timestamps of a day of a hundred targets four; a dashboard's
/// queries read parts of them again and again, and what is not here costs a read of the kernel's cache and decoding.
const INDEX_CACHE_BYTES_MAX_DEFAULT: usize = 4 << 20;

/// A dozen panels that refresh, each of some hundred series over a day.
const REFRESH_CACHE_BYTES_MAX_DEFAULT: usize = 32 << 20;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// The data folder; created if it is not there.
    pub path: PathBuf,
    /// Blocks whose newest sample is older are removed, once as much time was recorded after them, so that a clock
    /// that jumps ahead removes nothing; so are damaged ones that were set aside. `None` keeps all.
    pub retention_time: Option<Duration>,
    /// Oldest blocks, damaged ones before the others, are removed while the folder, with log, metadata, quarantine and
    /// reserve, holds more bytes; `None` is no limit. A folder that may hold less than 32 MiB has no reserve.
    pub retention_size: Option<u64>,
    /// Longest time that a sample committed with [`model::Durability::Kernel`] waits for the disk, provided that
    /// [`crate::Db::maintain`] is called at least that often. Zero: every commit waits for the disk.
    pub sync_interval: Duration,
    /// The head is sealed into blocks when its oldest sample was committed this long ago.
    pub seal_interval: Duration,
    /// The head is sealed earlier when its samples take this many bytes of memory.
    pub head_bytes_max: usize,
    /// New series are refused past this count, in words that name `--memory-budget`.
    pub head_series_max: usize,
    /// Pages of the blocks' indexes that stay in memory, three quarters of so many bytes, and columns of timestamps.
    pub index_cache_bytes_max: usize,
    /// Series and decoded values of blocks that stay in memory for queries that come again ([`model::Hints::again`]), until
    /// they stop.
    pub refresh_cache_bytes_max: usize,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The file system.
    pub disk: Arc<dyn Disk>,
}

/// What may change while a store is open; each part is as in [`Options`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// As [`Options::retention_time`].
    pub retention_time: Option<Duration>,
    /// As [`Options::retention_size`].
    pub retention_size: Option<u64>,
    /// As [`Options::sync_interval`].
    pub sync_interval: Duration,
}

impl Policy {
    pub(crate) fn of(options: &Options) -> Self {
        let Options { retention_time, retention_size, sync_interval, .. } = *options;
        Self { retention_time, retention_size, sync_interval }
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data"),
            retention_time: Some(RETENTION_TIME_DEFAULT),
            retention_size: None,
            sync_interval: SYNC_INTERVAL_DEFAULT,
            seal_interval: SEAL_INTERVAL_DEFAULT,
            head_bytes_max: HEAD_BYTES_MAX_DEFAULT,
            head_series_max: HEAD_SERIES_MAX_DEFAULT,
            index_cache_bytes_max: INDEX_CACHE_BYTES_MAX_DEFAULT,
            refresh_cache_bytes_max: REFRESH_CACHE_BYTES_MAX_DEFAULT,
            clock: Arc::new(SystemClock),
            disk: Arc::new(FileDisk),
        }
    }
}
