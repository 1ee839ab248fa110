//! Series under evaluation: labels and a column with one slot for each step.

use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use model::{Labels, STALE_NAN_BITS};

use super::budget::{Budget, Cost, Hold};
use crate::QueryError;

/// Stands in a slot that has no value. No value of an evaluation has the bits of the staleness marker: selectors leave
/// markers out, and arithmetic yields quiet NaNs only.
pub(super) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Empty slots take memory, too. Counting this many of them as a sample lets series that live for a part of the range only pass
/// as they do in Prometheus, and keeps a query at the limit of samples below this many times its memory.
const EMPTY_SLOTS_PER_SAMPLE: usize = 8;

/// Label values below this many bytes a series are free, as in Prometheus; what functions make beyond counts by its size.
const LABEL_BYTES_FREE: usize = 4096;
const BYTES_PER_SAMPLE: usize = size_of::<model::Sample>();

pub(super) fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

pub(super) fn is_present(value: f64) -> bool {
    !is_absent(value)
}

/// A series with a slot for each step; at least one is filled. Histograms will be a second column.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    /// The metric name is to be removed at the end of the evaluation.
    pub(super) drop_name: bool,
    pub(super) values: Vec<f64>,
}

impl Series {
    pub(super) fn new(labels: Labels, values: Vec<f64>) -> Self {
        Self { labels, drop_name: false, values }
    }

    pub(super) fn has_values(&self) -> bool {
        self.values.iter().any(|v| is_present(*v))
    }

    /// What it counts against the limits.
    pub(super) fn cost(&self) -> Cost {
        let present = self.values.iter().filter(|v| is_present(**v)).count();
        let samples = present.max(self.values.len() / EMPTY_SLOTS_PER_SAMPLE);
        let mut cost = self.label_cost();
        cost += Cost { samples: samples as u64, bytes: (size_of::<Self>() + size_of_val(&*self.values)) as u64 };
        cost
    }

    /// What its labels count.
    pub(super) fn label_cost(&self) -> Cost {
        let packed = self.labels.as_packed().len();
        let label_bytes = || self.labels.iter().map(|(_, value)| value.len()).sum::<usize>();
        let label_bytes = if packed > LABEL_BYTES_FREE { label_bytes() } else { 0 };
        let long_labels = label_bytes.saturating_sub(LABEL_BYTES_FREE) / BYTES_PER_SAMPLE;
        Cost { samples: long_labels as u64, bytes: packed as u64 }
    }

    /// Forgets the name: at once, or at the end where that is the rule.
    pub(super) fn without_name(mut self, delayed: bool) -> Self {
        if delayed {
            self.drop_name = true;
        } else {
            self.labels = self.labels.without_name();
        }
        self
    }
}

/// An instant vector over all steps, counted against the limit of samples while it lives.
#[derive(Debug)]
pub(super) struct Vector<'q> {
    pub(super) series: Vec<Series>,
    hold: Hold<'q>,
}

impl<'q> Vector<'q> {
    pub(super) fn new(series: Vec<Series>, budget: &'q Budget) -> Result<Self, QueryError> {
        let mut hold = budget.hold();
        let mut cost = Cost::default();
        series.iter().for_each(|series| cost += series.cost());
        hold.add(cost)?;
        Ok(Self { series, hold })
    }

    pub(super) fn into_parts(self) -> (Vec<Series>, Hold<'q>) {
        (self.series, self.hold)
    }

    pub(super) fn with_hold(series: Vec<Series>, hold: Hold<'q>) -> Self {
        Self { series, hold }
    }
}

/// Two series would have the same labels at the same time.
pub(super) fn same_labelset() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// Joins series of equal labels that never have a value at the same step; an error where they do. Leaves out series without
/// values.
pub(super) fn merge_same_labels(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    let mut merged: Vec<Series> = Vec::with_capacity(series.len());
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    for next in series.into_iter().filter(Series::has_values) {
        match places.entry(next.labels.clone()) {
            Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push(next);
            }
            Entry::Occupied(place) => join(&mut merged[*place.get()], &next)?,
        }
    }
    Ok(merged)
}

fn join(into: &mut Series, from: &Series) -> Result<(), QueryError> {
    for (slot, value) in into.values.iter_mut().zip(&from.values) {
        match (is_present(*slot), is_present(*value)) {
            (true, true) => return Err(same_labelset()),
            (false, true) => *slot = *value,
            _ => {}
        }
    }
    Ok(())
}

/// Joins what became equal by a change of labels. Prometheus 3.5 refuses it, even where it never meets at a step, unless names
/// are removed at the end: there skep does what later releases do.
pub(super) fn join_or_refuse(series: Vec<Series>, delayed: bool) -> Result<Vec<Series>, QueryError> {
    if delayed {
        return merge_same_labels(series);
    }
    let mut seen = HashSet::with_capacity(series.len());
    if series.iter().all(|s| seen.insert(s.labels.clone())) { Ok(series) } else { Err(same_labelset()) }
}
