//! Instant selectors: for each step the newest sample of the lookback window.

use model::{Hints, Samples, Selection, Timestamp, is_stale};

use super::batch::{Batch, Identity, Part};
use super::budget::{Cost, Hold};
use super::grid::{Cursor, Grid, first_step};
use super::parallel::{Share, in_order};
use super::read::{Read, Reader};
use super::series::{ABSENT, Series};
use super::{Evaluation, Names, Sink};
use crate::QueryError;
use crate::syntax::{Kind, NodeId};

/// What a series of the store takes beside its labels before its samples are read: places of its chunks in head and blocks.
const SERIES_BYTES: usize = 160;

/// Series of the store.
type SeriesFound = Vec<Box<dyn model::Series>>;

impl Evaluation<'_> {
    /// Series that a selector node matches, ordered by labels so that sums do not depend on the store's order.
    pub(super) fn select(
        &self,
        id: NodeId,
        time: (Timestamp, Timestamp),
        hints: Hints,
    ) -> Result<(SeriesFound, Hold<'_>), QueryError> {
        self.select_or_count(id, time, hints).map(|(series, _, hold)| (series, hold))
    }

    /// As [`Evaluation::select`], with the number of further series that were counted only, where the hints allow it.
    fn select_or_count(
        &self,
        id: NodeId,
        (min_time, max_time): (Timestamp, Timestamp),
        hints: Hints,
    ) -> Result<(SeriesFound, u64, Hold<'_>), QueryError> {
        let mut hold = self.budget.hold();
        let Kind::Vector(selector) = self.expr.kind(id) else {
            return Ok((Vec::new(), 0, hold));
        };
        let is_unnamed = hints.unnamed;
        let (min_time, max_time) = (self.first_read(id, min_time), self.last_read(id, max_time));
        // Counting reads less than what would be kept.
        let hints = Hints { again: self.again && !hints.counted, ..hints };
        let selection = Selection { matchers: &selector.matchers, min_time, max_time, hints };
        self.budget.check()?;
        let set = self.storage.select(&selection).map_err(|e| self.budget.storage_error(e))?;
        set.warnings.into_iter().for_each(|warning| self.notes.pass_on(warning));
        self.trace_selection(&selection, set.series.len() as u64 + set.counted);
        let mut series = set.series;
        let labels: usize = series.iter().map(|series| series.labels().as_packed().len()).sum();
        hold.add(Cost { samples: 0, bytes: (series.len() * SERIES_BYTES + labels) as u64 })?;
        // Each block gives them in this order, which a stable sort makes use of.
        debug_assert!(is_unnamed || !set.ordered || series.is_sorted_by(|a, b| a.labels() < b.labels()));
        if !is_unnamed && !set.ordered {
            series.sort_by(|a, b| a.labels().cmp(b.labels()));
        }
        Ok((series, set.counted, hold))
    }

    /// Puts the samples of a series in place of those of the last one.
    pub(super) fn read(&self, series: &dyn model::Series, into: &mut Samples) -> Result<(), QueryError> {
        into.clear();
        series.read(into).map_err(|e| self.budget.storage_error(e))?;
        self.budget.count_read(into.len() as u64);
        Ok(())
    }

    /// Reads series of the store on all threads and passes on what `work` makes of several together, in their order,
    /// with how many they were, staleness markers included or not. Each thread has a `K` of its own.
    pub(super) fn read_batches<K: Default, B: Default + Send>(
        &self,
        found: SeriesFound,
        (share, keeps_markers): (Share, bool),
        work: impl Fn(&dyn model::Series, &Read<'_>, &mut K, &mut B) -> Result<(), QueryError> + Sync,
        sink: &mut dyn FnMut((usize, B)) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        self.trace_threads(share.threads_for(found.len()));
        let keep = || (Reader::new(self.budget, keeps_markers), K::default());
        let batch = |(reader, kept): &mut (Reader<'_>, K), series: SeriesFound| {
            self.budget.check()?;
            let mut made = B::default();
            for series in &series {
                work(series.as_ref(), &reader.read(series.as_ref())?, kept, &mut made)?;
            }
            Ok((series.len(), made))
        };
        in_order(found, share, keep, batch, sink)
    }

    /// How series with a slot for each step are shared out, of which the samples of this time are read.
    pub(super) fn share(&self, grid: Grid, (start, end): (Timestamp, Timestamp)) -> Share {
        Share::new(self.options, grid.count, end.abs_diff(start), self.again)
    }

    /// Passes on the series of an instant selector.
    pub(super) fn stream_selector(&self, id: NodeId, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
        self.stream_lookback(id, grid, Hints::default(), &mut |batch| pass_on(&batch, grid, sink))
    }

    /// As [`Evaluation::stream`] where only matters which series have a value: those of a selector are not read, and
    /// come without labels where these do not matter either.
    pub(super) fn stream_presence(
        &self,
        id: NodeId,
        grid: Grid,
        unnamed: bool,
        sink: &mut dyn FnMut(Part<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let id = self.expr.unwrapped(id);
        let is_constant = grid.count > 1 && self.invariant[id.0 as usize];
        match self.expr.kind(id) {
            Kind::Vector(_) if !is_constant => {
                // Samples that are to be counted have to be read.
                let counted = unnamed && grid.count == 1 && self.counted.is_none();
                let hints = Hints { presence: true, unnamed, counted, ..Hints::default() };
                self.stream_lookback(id, grid, hints, &mut |batch| batch.parts().try_for_each(&mut *sink))
            }
            _ => self.stream_parts(id, grid, Names::Wanted, sink),
        }
    }

    /// Passes on, instead of the values, the times in seconds of the samples that a selector finds.
    pub(super) fn stream_timestamps(&self, id: NodeId, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
        let delayed = self.options.delayed_name_removal;
        let seconds = |time, _| time as f64 / 1e3;
        let hints = Hints { presence: true, ..Hints::default() };
        let mut nameless = |series: Series| sink(series.without_name(delayed));
        self.read_lookback(id, grid, hints, seconds, &mut |batch| pass_on(&batch, grid, &mut nameless))
    }

    /// Passes on the columns of an instant selector.
    pub(super) fn stream_lookback(
        &self,
        id: NodeId,
        grid: Grid,
        hints: Hints,
        sink: &mut dyn FnMut(Batch) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        self.read_lookback(id, grid, hints, |_, value| value, sink)
    }

    fn read_lookback(
        &self,
        id: NodeId,
        grid: Grid,
        hints: Hints,
        value_of: impl Fn(Timestamp, f64) -> f64 + Sync,
        sink: &mut dyn FnMut(Batch) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let reach = self.reach_over(id, grid);
        let time_of = |i| reach.time(grid.time(i));
        let (first, last) = (time_of(0), time_of(grid.count - 1));
        let start = first.saturating_sub(self.lookback).saturating_add(1);
        let hints = Hints { step: grid.step_hint(), ..hints };
        let column = |series: &dyn model::Series, samples: &Read<'_>, (): &mut (), batch: &mut Batch| {
            let column =
                |into: &mut Vec<f64>| lookback_column(samples, grid.count, self.lookback, time_of, &value_of, into);
            batch.add(column, || Identity::of(series.labels()));
            Ok(())
        };
        self.measured_stream(id, grid, Batch::size, sink, |sink| {
            let (found, counted, _found) = self.select_or_count(id, (start, last), hints)?;
            Batch::of_counted(counted).try_for_each(&mut *sink)?;
            let share = (self.share(grid, (start, last)), true);
            self.read_batches(found, share, column, &mut |(_, batch)| {
                self.count_found(&batch);
                sink(batch)
            })
        })
    }
}

/// Passes on the series of a batch one by one.
pub(super) fn pass_on(batch: &Batch, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
    batch.parts().try_for_each(|part| sink(part.to_series(grid.count)))
}

/// For each step the newest sample in `(time - lookback, time]`, unless it is a staleness marker. The column begins at
/// the step that is returned.
fn lookback_column(
    samples: &Read<'_>,
    count: usize,
    lookback: i64,
    time_of: impl Fn(usize) -> Timestamp,
    value_of: impl Fn(Timestamp, f64) -> f64,
    into: &mut Vec<f64>,
) -> usize {
    let (Some(&oldest), Some(&newest)) = (samples.timestamps.first(), samples.timestamps.last()) else {
        return 0;
    };
    let first = first_step(count, |i| time_of(i) >= oldest);
    let end = first_step(count, |i| time_of(i).saturating_sub(lookback) >= newest);
    let mut cursor = Cursor::default();
    into.extend((first..end).map(|i| {
        let time = time_of(i);
        let newest = cursor.pass(samples.timestamps, time) - 1;
        let (timestamp, value) = (samples.timestamps[newest], samples.values[newest]);
        let is_there = timestamp > time.saturating_sub(lookback) && !is_stale(value);
        if is_there { value_of(timestamp, value) } else { ABSENT }
    }));
    first
}
