//! Limits of one query: samples held at once, time, and whether anybody still waits. The limit of samples is also one of
//! all running queries together, and so is the limit of the bytes that they are held in.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use model::{Sample, StorageError};

use super::shared::Shared;
use crate::{Cancel, QueryError, QueryStats};

/// Where evaluation errors of limits say that they happened.
pub(crate) const IN_EVALUATION: &str = "query execution";
const TIMED_OUT_IN: &str = "expression evaluation";

/// A query that holds less than this part of the limit is never refused for what others hold: rules go on while somebody
/// asks for everything.
const SMALL_QUERY_PART: u64 = 100;

/// A step of a millisecond over all time has more slots than any memory; sums of what is counted stay far from overflow.
const BYTES_COUNTED_MAX: u64 = 1 << 56;

/// What all running queries of an engine hold. Together they may take as many samples as one alone, so that the limits
/// bound the memory of the process, whatever the number of clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    samples: AtomicU64,
    bytes: AtomicU64,
}

/// The most that a query, and all together, may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) samples: u64,
    pub(crate) bytes: u64,
}

/// What something counts against the limits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) samples: u64,
    pub(crate) bytes: u64,
}

/// What a query may still take.
#[derive(Debug)]
pub(crate) struct Budget {
    pool: Pool,
    caps: Caps,
    deadline: Option<Instant>,
    cancel: Cancel,
    held: AtomicU64,
    held_bytes: AtomicU64,
    peak: AtomicU64,
    total: AtomicU64,
    /// Values kept for equal nodes, the first to go where a limit is reached.
    shared: Shared,
}

/// What an answer takes of the memory of all running queries until it is dropped: it may be read slowly.
#[derive(Debug)]
pub(crate) struct Claim {
    pool: Pool,
    bytes: u64,
}

/// What is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold<'q> {
    budget: &'q Budget,
    cost: Cost,
}

impl Cost {
    /// Samples in columns, with their times.
    pub(crate) fn samples(count: usize) -> Self {
        Self::slots(count, size_of::<Sample>())
    }

    /// Memory alone.
    pub(crate) fn bytes(bytes: usize) -> Self {
        Self { samples: 0, bytes: bytes as u64 }
    }

    /// As many slots of this size as samples.
    pub(crate) fn slots(count: usize, size: usize) -> Self {
        let samples = count as u64;
        Self { samples, bytes: samples.saturating_mul(size as u64).min(BYTES_COUNTED_MAX) }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.samples += other.samples;
        self.bytes += other.bytes;
    }
}

impl Pool {
    /// Bytes that are held now.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Counts so many bytes of an answer, however much others hold: it is there already.
    pub(crate) fn claim(&self, bytes: u64) -> Claim {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Claim { pool: self.clone(), bytes }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.pool.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Budget {
    pub(crate) fn new(pool: Pool, caps: Caps, deadline: Option<Instant>, cancel: Cancel) -> Self {
        let (held, held_bytes, peak, total) = Default::default();
        Self { pool, caps, deadline, cancel, held, held_bytes, peak, total, shared: Shared::default() }
    }

    pub(crate) fn hold(&self) -> Hold<'_> {
        Hold { budget: self, cost: Cost::default() }
    }

    /// Counts samples that were read from the store.
    pub(crate) fn count_read(&self, samples: u64) {
        self.total.fetch_add(samples, Ordering::Relaxed);
    }

    /// Fails when the time is over or the query was cancelled. Called once a series, so that it costs nothing.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancel.is_cancelled() {
            return Err(QueryError::Canceled(IN_EVALUATION));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(QueryError::Timeout(TIMED_OUT_IN));
        }
        Ok(())
    }

    /// The store's error, in the query's words where the query's limits were meant.
    pub(crate) fn storage_error(&self, error: StorageError) -> QueryError {
        match (error, self.check()) {
            (StorageError::Canceled, Err(limit)) => limit,
            (error, _) => QueryError::Storage(error),
        }
    }

    pub(crate) fn stats(&self) -> QueryStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        QueryStats { samples_total: count(&self.total), samples_peak: count(&self.peak) }
    }
}

impl Hold<'_> {
    /// Counts more; fails above a limit.
    pub(crate) fn add(&mut self, cost: Cost) -> Result<(), QueryError> {
        self.cost += cost;
        let budget = self.budget;
        budget.count(cost).or_else(|_| {
            budget.shared.clear(|freed| budget.give_back(freed));
            budget.count(Cost::default())
        })
    }

    /// Counts less, of what was counted before.
    pub(crate) fn release(&mut self, cost: Cost) {
        let less = Cost { samples: cost.samples.min(self.cost.samples), bytes: cost.bytes.min(self.cost.bytes) };
        self.cost.samples -= less.samples;
        self.cost.bytes -= less.bytes;
        self.budget.give_back(less);
    }
}

impl Budget {
    /// Values kept for equal nodes.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Counts more, unless that exceeds a limit.
    pub(super) fn take(&self, cost: Cost) -> Result<(), QueryError> {
        self.count(cost).inspect_err(|_| self.give_back(cost))
    }

    /// Counts more; fails above a limit, and counts it all the same.
    fn count(&self, cost: Cost) -> Result<(), QueryError> {
        let Self { pool, caps, held, held_bytes, peak, .. } = self;
        let add = |counter: &AtomicU64, more| counter.fetch_add(more, Ordering::Relaxed) + more;
        let (held, held_bytes) = (add(held, cost.samples), add(held_bytes, cost.bytes));
        peak.fetch_max(held, Ordering::Relaxed);
        let (samples, bytes) = (add(&pool.0.samples, cost.samples), add(&pool.0.bytes, cost.bytes));
        if is_too_much(held, samples, caps.samples) {
            return Err(QueryError::TooManySamples(IN_EVALUATION));
        }
        if is_too_much(held_bytes, bytes, caps.bytes) {
            return Err(QueryError::TooMuchMemory(caps.bytes));
        }
        Ok(())
    }

    pub(super) fn give_back(&self, cost: Cost) {
        let take = |counter: &AtomicU64, less| counter.fetch_sub(less, Ordering::Relaxed);
        take(&self.held, cost.samples);
        take(&self.held_bytes, cost.bytes);
        take(&self.pool.0.samples, cost.samples);
        take(&self.pool.0.bytes, cost.bytes);
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.shared.clear(|freed| self.give_back(freed));
    }
}

fn is_too_much(held: u64, together: u64, max: u64) -> bool {
    held > max || (together > max && held > max / SMALL_QUERY_PART)
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.budget.give_back(self.cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two queries of one engine with a limit of 1,000 samples, then of 1,000 bytes: what the first holds, and whether the
    /// second may have its part beside it.
    fn check(first: u64, second: u64, expected: bool) {
        let samples = |samples| Cost { samples, bytes: 0 };
        let bytes = |bytes| Cost { samples: 0, bytes };
        for cost in [&samples as &dyn Fn(u64) -> Cost, &bytes] {
            let pool = Pool::default();
            let caps = Caps { samples: 1_000, bytes: 1_000 };
            let budget = || Budget::new(pool.clone(), caps, None, Cancel::default());
            let (one, other) = (budget(), budget());
            let mut holding = one.hold();
            holding.add(cost(first)).unwrap();
            assert_eq!(other.hold().add(cost(second)).is_ok(), expected, "{first} and {second}");
            drop(holding);
            let left = (pool.0.samples.load(Ordering::Relaxed), pool.bytes());
            assert_eq!(left, (0, 0), "{first} and {second}: everything is given back");
        }
    }

    #[test]
    fn queries_share_the_limit() {
        check(0, 1_000, true);
        check(0, 1_001, false);
        check(600, 400, true);
        check(600, 401, false);
        check(1_000, 11, false);
        check(1_000, 10, true);
    }
}
