//! Limits of one query: samples held at once, time, and whether anybody still waits. The limit of samples is also one of
//! all running queries together.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use model::StorageError;

use crate::{Cancel, QueryError, QueryStats};

/// Where evaluation errors of limits say that they happened.
pub(crate) const IN_EVALUATION: &str = "query execution";
const TIMED_OUT_IN: &str = "expression evaluation";

/// A query that holds less than this part of the limit is never refused for what others hold: rules go on while somebody
/// asks for everything.
const SMALL_QUERY_PART: u64 = 100;

/// Samples that all running queries of an engine hold. Together they may take as many as one alone, so that the limit
/// bounds the memory of the process, whatever the number of clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<AtomicU64>);

/// What a query may still take.
#[derive(Debug)]
pub(crate) struct Budget {
    pool: Pool,
    samples_max: u64,
    deadline: Option<Instant>,
    cancel: Cancel,
    held: Cell<u64>,
    peak: Cell<u64>,
    total: Cell<u64>,
}

/// Samples counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold<'q> {
    budget: &'q Budget,
    samples: u64,
}

impl Budget {
    pub(crate) fn new(pool: Pool, samples_max: u64, deadline: Option<Instant>, cancel: Cancel) -> Self {
        let zero = || Cell::new(0);
        Self { pool, samples_max, deadline, cancel, held: zero(), peak: zero(), total: zero() }
    }

    pub(crate) fn hold(&self) -> Hold<'_> {
        Hold { budget: self, samples: 0 }
    }

    /// Counts samples that were read from the store.
    pub(crate) fn count_read(&self, samples: u64) {
        self.total.set(self.total.get() + samples);
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
        QueryStats { samples_total: self.total.get(), samples_peak: self.peak.get() }
    }
}

impl Hold<'_> {
    /// Counts more samples; fails above the limit.
    pub(crate) fn add(&mut self, samples: u64) -> Result<(), QueryError> {
        self.samples += samples;
        let held = self.budget.held.get() + samples;
        self.budget.held.set(held);
        self.budget.peak.set(self.budget.peak.get().max(held));
        let together = self.budget.pool.0.fetch_add(samples, Ordering::Relaxed) + samples;
        let max = self.budget.samples_max;
        if held > max || (together > max && held > max / SMALL_QUERY_PART) {
            return Err(QueryError::TooManySamples(IN_EVALUATION));
        }
        Ok(())
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.budget.held.set(self.budget.held.get() - self.samples);
        self.budget.pool.0.fetch_sub(self.samples, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two queries of one engine with a limit of 1,000 samples: what the first holds, and whether the second may have
    /// its part beside it.
    fn check(first: u64, second: u64, expected: bool) {
        let pool = Pool::default();
        let budget = || Budget::new(pool.clone(), 1_000, None, Cancel::default());
        let (one, other) = (budget(), budget());
        let mut holding = one.hold();
        holding.add(first).unwrap();
        assert_eq!(other.hold().add(second).is_ok(), expected, "{first} and {second}");
        drop(holding);
        assert_eq!(pool.0.load(Ordering::Relaxed), 0, "{first} and {second}: everything is given back");
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
