//! Instant selectors: for each step the newest sample of the lookback window.

use model::{Hints, Labels, Samples, Selection, Timestamp, is_stale};

use super::budget::{Cost, Hold};
use super::grid::Grid;
use super::parallel::{Share, in_order};
use super::series::{ABSENT, Series};
use super::trace::filled;
use super::{Evaluation, Sink};
use crate::QueryError;
use crate::syntax::{Kind, Modifiers, NodeId, VectorSelector};

/// What a series of the store takes beside its labels before its samples are read: places of its chunks in head and blocks.
const SERIES_BYTES: usize = 160;

impl Evaluation<'_> {
    /// Series that a selector node matches, ordered by labels so that sums do not depend on the store's order.
    pub(super) fn select(
        &self,
        id: NodeId,
        (min_time, max_time): (Timestamp, Timestamp),
        hints: Hints,
    ) -> Result<(Vec<Box<dyn model::Series>>, Hold<'_>), QueryError> {
        let mut hold = self.budget.hold();
        let Kind::Vector(selector) = self.expr.kind(id) else {
            return Ok((Vec::new(), hold));
        };
        let is_unnamed = hints.unnamed;
        let selection = Selection { matchers: &selector.matchers, min_time, max_time, hints };
        self.budget.check()?;
        let set = self.storage.select(&selection).map_err(|e| self.budget.storage_error(e))?;
        set.warnings.into_iter().for_each(|warning| self.notes.pass_on(warning));
        self.trace_selection(&selection, set.series.len());
        let mut series = set.series;
        let labels: usize = series.iter().map(|series| series.labels().as_packed().len()).sum();
        hold.add(Cost { samples: 0, bytes: (series.len() * SERIES_BYTES + labels) as u64 })?;
        // A block alone gives them in this order.
        if !is_unnamed && !series.is_sorted_by(|a, b| a.labels() < b.labels()) {
            series.sort_unstable_by(|a, b| a.labels().cmp(b.labels()));
        }
        Ok((series, hold))
    }

    /// Puts the samples of a series in place of those of the last one.
    pub(super) fn read(&self, series: &dyn model::Series, into: &mut Samples) -> Result<(), QueryError> {
        into.clear();
        series.read(into).map_err(|e| self.budget.storage_error(e))?;
        self.budget.count_read(into.len() as u64);
        Ok(())
    }

    /// Reads series of the store on all threads and passes on what `work` makes of each, in their order.
    pub(super) fn read_each<R: Send>(
        &self,
        found: Vec<Box<dyn model::Series>>,
        slots: usize,
        work: impl Fn(&Labels, &mut Samples) -> Result<R, QueryError> + Sync,
        sink: &mut dyn FnMut(R) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let read =
            |samples: &mut Samples, series: Box<dyn model::Series>| self.read_one(samples, series.as_ref(), &work);
        let share = Share { threads: self.options.threads, slots };
        self.trace_threads(share.threads_for(found.len()));
        in_order(found, share, read, sink)
    }

    fn read_one<R>(
        &self,
        samples: &mut Samples,
        series: &dyn model::Series,
        work: impl Fn(&Labels, &mut Samples) -> Result<R, QueryError>,
    ) -> Result<R, QueryError> {
        self.budget.check()?;
        self.read(series, samples)?;
        let mut hold = self.budget.hold();
        hold.add(Cost::samples(samples.len()))?;
        work(series.labels(), samples)
    }

    /// Passes on the series of an instant selector.
    pub(super) fn stream_selector(&self, id: NodeId, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
        self.stream_lookback(id, grid, Hints::default(), |_, value| value, sink)
    }

    /// As [`Evaluation::stream`] where only matters which series have a value: those of a selector are not read, and
    /// come without labels where these do not matter either.
    pub(super) fn stream_presence(
        &self,
        id: NodeId,
        grid: Grid,
        unnamed: bool,
        sink: Sink<'_>,
    ) -> Result<(), QueryError> {
        let id = self.expr.unwrapped(id);
        let is_constant = grid.count > 1 && self.invariant[id.0 as usize];
        match self.expr.kind(id) {
            Kind::Vector(_) if !is_constant => {
                let hints = Hints { presence: true, unnamed, ..Hints::default() };
                self.stream_lookback(id, grid, hints, |_, value| value, sink)
            }
            _ => self.stream(id, grid, sink),
        }
    }

    /// Passes on, instead of the values, the times in seconds of the samples that a selector finds.
    pub(super) fn stream_timestamps(&self, id: NodeId, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
        let delayed = self.options.delayed_name_removal;
        let seconds = |time, _| time as f64 / 1e3;
        let hints = Hints { presence: true, ..Hints::default() };
        self.stream_lookback(id, grid, hints, seconds, &mut |series| sink(series.without_name(delayed)))
    }

    fn stream_lookback(
        &self,
        id: NodeId,
        grid: Grid,
        hints: Hints,
        value_of: impl Fn(Timestamp, f64) -> f64 + Sync,
        sink: Sink<'_>,
    ) -> Result<(), QueryError> {
        self.measured_stream(id, grid, filled, sink, |sink| self.read_lookback(id, grid, hints, value_of, sink))
    }

    fn read_lookback(
        &self,
        id: NodeId,
        grid: Grid,
        hints: Hints,
        value_of: impl Fn(Timestamp, f64) -> f64 + Sync,
        sink: Sink<'_>,
    ) -> Result<(), QueryError> {
        let Kind::Vector(VectorSelector { modifiers, .. }) = self.expr.kind(id) else {
            return Ok(());
        };
        let time_of = |i| self.shifted(modifiers, grid.time(i));
        let (first, last) = (time_of(0), time_of(grid.count - 1));
        let start = first.saturating_sub(self.lookback).saturating_add(1);
        let hints = Hints { step: grid.step_hint(), ..hints };
        let (found, _found) = self.select(id, (start, last), hints)?;
        let column = |labels: &Labels, samples: &mut Samples| {
            Ok(Series::new(labels.clone(), lookback_column(samples, grid.count, self.lookback, time_of, &value_of)))
        };
        let mut pass = |series: Series| if series.has_values() { sink(series) } else { Ok(()) };
        if hints.presence && grid.count == 1 {
            // Hardly anything is read, so that handing it over would be all the work.
            let samples = &mut Samples::default();
            return found.iter().try_for_each(|series| pass(self.read_one(samples, series.as_ref(), column)?));
        }
        self.read_each(found, grid.count, column, &mut pass)
    }

    /// The time a selector looks at for a step.
    fn shifted(&self, modifiers: &Modifiers, step: Timestamp) -> Timestamp {
        self.fixed_time(modifiers).unwrap_or(step).saturating_sub(modifiers.offset)
    }
}

/// For each step the newest sample in `(time - lookback, time]`, unless it is a staleness marker.
fn lookback_column(
    samples: &Samples,
    count: usize,
    lookback: i64,
    time_of: impl Fn(usize) -> Timestamp,
    value_of: impl Fn(Timestamp, f64) -> f64,
) -> Vec<f64> {
    let mut column = vec![ABSENT; count];
    let mut next = 0;
    for (i, slot) in column.iter_mut().enumerate() {
        let time = time_of(i);
        while samples.timestamps.get(next).is_some_and(|t| *t <= time) {
            next += 1;
        }
        let Some(newest) = next.checked_sub(1) else {
            continue;
        };
        let (timestamp, value) = (samples.timestamps[newest], samples.values[newest]);
        if timestamp > time.saturating_sub(lookback) && !is_stale(value) {
            *slot = value_of(timestamp, value);
        }
    }
    column
}
