//! Samples that an evaluation looks at, counted by step as Prometheus' statistics count them.
//!
//! An instant selector counts one sample a series and step, a range vector all samples of each window, whether they were read
//! once or many times. What is the same at every step counts at every step. Inside a subquery nothing counts: its
//! windows do, as those of stored series.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use model::Timestamp;

use super::Evaluation;
use super::batch::{Batch, Part};
use super::grid::{Cursor, Grid};
use super::window::Windows;

/// What is counted where the evaluation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Counting {
    /// At the step.
    Step = 0,
    /// At every step.
    EveryStep = 1,
    Nothing = 2,
}

/// The counts of one evaluation.
#[derive(Debug)]
pub(crate) struct Counted {
    steps: Vec<AtomicU64>,
    every_step: AtomicU64,
    /// A [`Counting`]; changed by the evaluation's own thread, while none works for it.
    counting: AtomicU8,
}

impl Counted {
    pub(crate) fn new(steps: usize) -> Self {
        let steps = (0..steps).map(|_| AtomicU64::new(0)).collect();
        Self { steps, every_step: AtomicU64::new(0), counting: AtomicU8::new(Counting::Step as u8) }
    }

    /// Samples of each step.
    pub(crate) fn finish(self) -> Vec<u64> {
        let every = self.every_step.into_inner();
        self.steps.into_iter().map(|count| count.into_inner() + every).collect()
    }

    fn add(&self, step: usize, samples: u64) {
        let counting = self.counting.load(Ordering::Relaxed);
        if counting == Counting::EveryStep as u8 {
            self.every_step.fetch_add(samples, Ordering::Relaxed);
        } else if counting == Counting::Step as u8
            && let Some(count) = self.steps.get(step)
        {
            count.fetch_add(samples, Ordering::Relaxed);
        }
    }
}

impl Evaluation<'_> {
    /// Does work whose samples count otherwise. Inside of what counts at every step, or not at all, nothing counts by step.
    pub(super) fn counting<T>(&self, counting: Counting, work: impl FnOnce() -> T) -> T {
        let Some(counted) = self.counted else { return work() };
        let before = counted.counting.fetch_max(counting as u8, Ordering::Relaxed);
        let done = work();
        counted.counting.store(before, Ordering::Relaxed);
        done
    }

    /// Counts what an instant selector found.
    pub(super) fn count_found(&self, batch: &Batch) {
        let Some(counted) = self.counted else { return };
        batch.parts().flat_map(Part::present).for_each(|(step, _)| counted.add(step, 1));
    }

    /// Counts the samples of each window of a series.
    pub(super) fn count_windows(&self, timestamps: &[Timestamp], windows: &Windows, grid: Grid) {
        let Some(counted) = self.counted else { return };
        let (mut from, mut to) = (Cursor::default(), Cursor::default());
        for step in 0..grid.count {
            let end = windows.end(grid.time(step));
            let first = from.pass(timestamps, end.saturating_sub(windows.range));
            counted.add(step, to.pass(timestamps, end).saturating_sub(first) as u64);
        }
    }
}
