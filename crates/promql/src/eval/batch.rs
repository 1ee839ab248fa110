//! Columns of several series in one piece of memory, as threads hand them on.
//!
//! Of each series it holds the steps from where it may have a first value to the last one only: over a long range many
//! series live for a part of it.

use model::Labels;

use super::series::{ABSENT, Series, is_absent, is_present};

/// Series with at least one value each.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: Vec<Row>,
    values: Vec<f64>,
}

#[derive(Debug)]
struct Row {
    identity: Identity,
    first: usize,
    /// End of its values.
    end: usize,
}

/// Which series it is.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) labels: Labels,
    /// As of [`Series`].
    pub(super) drop_name: bool,
    /// Labels that a note has to tell of.
    pub(super) note: Option<Labels>,
}

/// One series of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'b> {
    pub(super) labels: &'b Labels,
    /// As of [`Series`].
    pub(super) drop_name: bool,
    /// Step of the first value.
    pub(super) first: usize,
    /// Values at that step and those after it; further steps have none.
    pub(super) values: &'b [f64],
    /// Labels that a note may have to tell of.
    pub(super) note: Option<&'b Labels>,
}

impl Identity {
    pub(super) fn of(labels: &Labels) -> Self {
        Self { labels: labels.clone(), drop_name: false, note: None }
    }
}

/// Series of a batch of those that were counted only.
const COUNTED_AT_ONCE: u64 = 1024;

impl Batch {
    /// So many series without labels that have a value at the first step, in several batches.
    pub(super) fn of_counted(series: u64) -> impl Iterator<Item = Self> {
        (0..series).step_by(COUNTED_AT_ONCE as usize).map(move |from| {
            let mut batch = Self::default();
            for _ in from..series.min(from + COUNTED_AT_ONCE) {
                batch.add(
                    |into| {
                        into.push(1.0);
                        0
                    },
                    || Identity::of(&Labels::empty()),
                );
            }
            batch
        })
    }

    /// Adds a series whose column `write` puts behind what stands there already; it returns the step of its first slot.
    /// `identity` is asked only where there is a value.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<f64>) -> usize, identity: impl FnOnce() -> Identity) {
        let begin = self.values.len();
        let first = write(&mut self.values);
        let filled = self.values[begin..].iter().rposition(|value| is_present(*value)).map_or(0, |last| last + 1);
        let end = begin + filled;
        self.values.truncate(end);
        if filled > 0 {
            self.rows.push(Row { identity: identity(), first, end });
        }
    }

    /// Its series and the values in them.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.rows.len(), self.values.iter().filter(|value| is_present(**value)).count())
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut begin = 0;
        self.rows.iter().map(move |row| {
            let values = &self.values[std::mem::replace(&mut begin, row.end)..row.end];
            let Identity { labels, drop_name, note } = &row.identity;
            Part { labels, drop_name: *drop_name, first: row.first, values, note: note.as_ref() }
        })
    }
}

impl<'b> Part<'b> {
    /// All of a series.
    pub(super) fn of(series: &'b Series) -> Self {
        Self { labels: &series.labels, drop_name: series.drop_name, first: 0, values: &series.values, note: None }
    }

    /// The series with a slot for each of `count` steps.
    pub(super) fn to_series(self, count: usize) -> Series {
        let mut values = Vec::with_capacity(count);
        values.resize(self.first, ABSENT);
        values.extend_from_slice(self.values);
        values.resize(count, ABSENT);
        Series { labels: self.labels.clone(), drop_name: self.drop_name, values }
    }

    /// Steps that have a value, and the values.
    pub(super) fn present(self) -> impl Iterator<Item = (usize, f64)> + 'b {
        (self.first..).zip(self.values.iter().copied()).filter(|(_, value)| !is_absent(*value))
    }
}
