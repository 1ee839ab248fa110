//! The memory budget: how much the process may take, and how the rooms share it.
//!
//! A share is what a room may hold at the worst moment, and each room refuses in words that name the flag. The budget
//! counts memory of the process, code included; the page cache of its files beside it belongs to the system, which takes
//! it back when it needs to.

use std::fmt;
use std::sync::Arc;

use model::status::{Memory as MemoryOfRooms, MemoryShare, MemoryStatus};
use model::{CollectError, Collector, Families, MetricKind};
use promql::Engine;
use tsdb::Db;

use crate::cgroup::{Memory, Source};

/// Code, stacks, catalog, pages and what the allocator cannot give back: what a process without series takes.
const BASE_BYTES: u64 = 14 << 20;

/// The smallest budget: with less, a few thousand series would not fit beside the code.
const BYTES_MIN: u64 = 24 << 20;

/// By default other programs of the machine have three quarters of its memory.
const DEFAULT_PART: u64 = 4;

/// A quarter of a small machine would not be enough for ten thousand series; it gives up to this much, if that is
/// no more than three quarters of it.
const DEFAULT_BYTES_MIN: u64 = 64 << 20;

/// Where the system does not say what there is.
const DEFAULT_BYTES: u64 = 256 << 20;

/// What is beyond the base is shared out in this many parts: 8 for samples of the head, 8 for its series, 6 for queries,
/// 3 for pages being scraped, 3 for remote write, 4 for sealing, merging and the indexes of blocks.
const PARTS: u64 = 32;

/// The head may hold four times what it is sealed at: twice while it waits for its sealing, and as much that is being
/// sealed.
const HEAD_HELD: u64 = 4;

/// Indexes of a million series.
const INDEX_CACHE_BYTES_MAX: u64 = 16 << 20;

/// Some dozen panels that refresh, each of some hundred series over a day; half of it is theirs however wide the others are.
const REFRESH_CACHE_BYTES_MAX: u64 = 128 << 20;

/// Two hours of 40,000 series at 15 s take as much; more in memory would make blocks little smaller and a replay longer.
const HEAD_BYTES_MAX: u64 = 32 << 20;

/// A series with its labels, its place in the index and in a scrape cache, as measured with pages of usual exporters, and the
/// half of it again for what the allocator cannot use.
const SERIES_BYTES: u64 = 448;

/// A page is held packed and unpacked.
const PAGE_HELD: u64 = 2;

/// A budget and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) bytes: u64,
    pub(crate) origin: Origin,
}

/// Who decided on a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The flag or the file.
    Said,
    /// A part of what there is.
    Derived(Source),
    /// Nobody knows what there is.
    Unknown,
}

/// What each room may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Compressed samples of the head at which it is sealed; four times as much is its share.
    pub(crate) head_bytes: u64,
    /// Series of the head.
    pub(crate) series: u64,
    /// Series of one target: one that goes wild leaves a quarter to the others.
    pub(crate) target_series: u64,
    /// Samples, results and labels of all running queries.
    pub(crate) query_bytes: u64,
    /// Pages of all targets that are being read.
    pub(crate) pages_bytes: u64,
    /// One page, unpacked.
    pub(crate) page_bytes: u64,
    /// Remote-write messages that are being received and stored.
    pub(crate) remote_bytes: u64,
    /// Columns being sealed or merged, pages of indexes that are kept for queries, and what those read that refresh.
    pub(crate) block_bytes: u64,
}

impl Shares {
    /// Pages and timestamps of blocks: a quarter of what blocks have, as much as an index may well take.
    pub(crate) fn index_cache_bytes(&self) -> u64 {
        (self.block_bytes / 4).min(INDEX_CACHE_BYTES_MAX)
    }

    /// What panels that refresh read of blocks: another quarter.
    pub(crate) fn refresh_cache_bytes(&self) -> u64 {
        (self.block_bytes / 4).min(REFRESH_CACHE_BYTES_MAX)
    }
}

/// A budget as it was written, refused where nothing could work with it.
pub(crate) fn check(bytes: u64) -> Result<u64, String> {
    if bytes < BYTES_MIN {
        return Err(format!("{bytes} bytes are too few: the least that skep works with is {}MiB", BYTES_MIN >> 20));
    }
    Ok(bytes)
}

impl Budget {
    /// What was said, else a part of what there is.
    pub(crate) fn new(said: Option<u64>, memory: Option<Memory>) -> Self {
        match (said, memory) {
            (Some(bytes), _) => Self { bytes: bytes.max(BYTES_MIN), origin: Origin::Said },
            (None, Some(memory)) => {
                let part = (memory.bytes / DEFAULT_PART).max(DEFAULT_BYTES_MIN.min(memory.bytes / 4 * 3));
                Self { bytes: part.max(BYTES_MIN), origin: Origin::Derived(memory.source) }
            }
            (None, None) => Self { bytes: DEFAULT_BYTES, origin: Origin::Unknown },
        }
    }

    /// Divides it among the rooms.
    pub(crate) fn shares(self) -> Shares {
        let part = self.bytes.max(BYTES_MIN).saturating_sub(BASE_BYTES) / PARTS;
        Shares {
            head_bytes: (8 * part / HEAD_HELD).min(HEAD_BYTES_MAX),
            series: 8 * part / SERIES_BYTES,
            target_series: 8 * part / SERIES_BYTES / 4 * 3,
            query_bytes: 6 * part,
            pages_bytes: 3 * part,
            page_bytes: 3 * part / PAGE_HELD,
            remote_bytes: 3 * part,
            block_bytes: 4 * part,
        }
    }
}

/// What the rooms take of their shares now, for the pages and as metrics.
pub(crate) struct Ledger {
    pub(crate) budget: Budget,
    pub(crate) store: Arc<Db>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) scrape: Arc<scrape::Manager>,
    pub(crate) remote: remote::State,
}

impl MemoryOfRooms for Ledger {
    fn memory(&self) -> MemoryStatus {
        let shares = self.budget.shares();
        let (samples, series) = self.store.head_memory_bytes();
        let share = |name, limit_bytes, used_bytes| MemoryShare { name, limit_bytes, used_bytes };
        MemoryStatus {
            budget_bytes: self.budget.bytes,
            origin: self.budget.origin.to_string(),
            shares: vec![
                share("head_samples", HEAD_HELD * shares.head_bytes, samples),
                share("head_series", shares.series * SERIES_BYTES, series),
                share("queries", shares.query_bytes, self.engine.held_bytes()),
                share("pages", shares.pages_bytes, self.scrape.held_bytes()),
                share("remote_write", shares.remote_bytes, self.remote.held_bytes()),
            ],
        }
    }
}

impl Collector for Ledger {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let MemoryStatus { budget_bytes, shares, .. } = self.memory();
        families.gauge("skep_memory_budget_bytes", "Memory that the process may take.", budget_bytes as f64);
        let mut gauges = |name, help, bytes: fn(&MemoryShare) -> u64| {
            let family = families.family(name, MetricKind::Gauge, help);
            for share in &shares {
                family.with([("share", share.name)], bytes(share) as f64);
            }
        };
        gauges("skep_memory_share_bytes", "Memory that a part of the process may take.", |share| share.limit_bytes);
        gauges("skep_memory_used_bytes", "Memory that a part of the process takes.", |share| share.used_bytes);
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said => f.write_str("as configured"),
            Self::Derived(source) => write!(f, "a part of {source}"),
            Self::Unknown => f.write_str("the default, for the system does not say how much memory there is"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn default_is_a_part_of_what_there_is() {
        let check = |said: Option<u64>, there_is: Option<u64>, expected: u64| {
            let memory = there_is.map(|mib| Memory { bytes: mib * MIB, source: Source::Cgroup });
            assert_eq!(
                Budget::new(said.map(|mib| mib * MIB), memory).bytes,
                expected * MIB,
                "{said:?} of {there_is:?}"
            );
        };
        check(None, Some(8192), 2048);
        check(None, Some(512), 128);
        check(None, Some(256), 64);
        check(None, Some(128), 64);
        check(None, Some(64), 48);
        check(None, Some(48), 36);
        check(None, Some(16), 24);
        check(None, None, 256);
        check(Some(100), Some(64), 100);
        check(Some(1), Some(64), 24);
    }

    #[test]
    fn shares_fit_into_the_budget() {
        for mib in [24, 36, 48, 64, 128, 512, 2048, 65_536] {
            let shares = Budget::new(Some(mib * MIB), None).shares();
            let sum = HEAD_HELD * shares.head_bytes
                + shares.series * SERIES_BYTES
                + shares.query_bytes
                + shares.pages_bytes
                + shares.remote_bytes
                + shares.block_bytes;
            assert!(sum + BASE_BYTES <= mib * MIB, "{mib} MiB: {shares:?}");
            assert!(PAGE_HELD * shares.page_bytes <= shares.pages_bytes);
        }
    }

    #[test]
    fn shares_of_usual_machines() {
        let check = |mib: u64, expected: (u64, u64, u64)| {
            let shares = Budget::new(Some(mib * MIB), None).shares();
            let in_mib = |bytes: u64| bytes / MIB;
            let got = (in_mib(shares.head_bytes), shares.series / 1000, in_mib(shares.query_bytes));
            assert_eq!(got, expected, "{mib} MiB: head MiB, thousands of series, query MiB");
        };
        check(48, (2, 19, 6));
        check(128, (7, 66, 21));
        check(2048, (32, 1190, 381));
    }
}
