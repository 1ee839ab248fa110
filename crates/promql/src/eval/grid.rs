//! The steps of an evaluation.

use std::time::Duration;

use model::Timestamp;

/// Evenly spaced times; an instant query has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Grid {
    pub(super) start: Timestamp,
    /// Milliseconds, at least 1.
    pub(super) step: i64,
    /// At least 1.
    pub(super) count: usize,
}

impl Grid {
    pub(super) fn one(at: Timestamp) -> Self {
        Self { start: at, step: 1, count: 1 }
    }

    /// Steps from `start` to `end`, both inclusive; `None` if there is none.
    pub(super) fn between(start: Timestamp, end: Timestamp, step: i64) -> Option<Self> {
        if end < start {
            return None;
        }
        let steps = end.saturating_sub(start) / step.max(1);
        Some(Self { start, step: step.max(1), count: usize::try_from(steps).ok()?.saturating_add(1) })
    }

    pub(super) fn time(&self, i: usize) -> Timestamp {
        self.start.saturating_add(self.step.saturating_mul(i as i64))
    }

    /// Time between steps, as the store is told; an instant query has none.
    pub(super) fn step_hint(&self) -> Option<Duration> {
        (self.count > 1).then(|| Duration::from_millis(self.step.unsigned_abs()))
    }

    pub(super) fn end(&self) -> Timestamp {
        self.time(self.count - 1)
    }

    pub(super) fn times(self) -> impl Iterator<Item = Timestamp> {
        (0..self.count).map(move |i| self.time(i))
    }
}
