//! Limits of one query: samples held at once, time, and whether anybody still waits.

use std::cell::Cell;
use std::time::Instant;

use model::StorageError;

use crate::{Cancel, QueryError, QueryStats};

/// Where evaluation errors of limits say that they happened.
pub(crate) const IN_EVALUATION: &str = "query execution";
const TIMED_OUT_IN: &str = "expression evaluation";

/// What a query may still take.
#[derive(Debug)]
pub(crate) struct Budget {
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
    pub(crate) fn new(samples_max: u64, deadline: Option<Instant>, cancel: Cancel) -> Self {
        let zero = || Cell::new(0);
        Self { samples_max, deadline, cancel, held: zero(), peak: zero(), total: zero() }
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
        if held > self.budget.samples_max {
            return Err(QueryError::TooManySamples(IN_EVALUATION));
        }
        Ok(())
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.budget.held.set(self.budget.held.get() - self.samples);
    }
}
