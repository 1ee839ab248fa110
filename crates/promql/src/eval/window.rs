//! Range vectors: windows that slide over the samples of a series.

use std::time::Duration;

use model::{Hints, Labels, Sample, Samples, Timestamp};

use super::counted::Counting;
use super::counter::Extent;
use super::grid::Grid;
use super::kahan::LANES;
use super::moving::Reach;
use super::parallel::{Share, in_order};
use super::read::Read;
use super::series::{ABSENT, Series, Vector, is_present};
use super::spans::KnownSpans;
use super::{Column, Evaluation};
use crate::QueryError;
use crate::syntax::{Kind, NodeId};

/// Where the windows of a range vector lie: `(end - range, end]` with `end` shifted from the step or fixed by `@`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) range: i64,
    reach: Reach,
}

impl Windows {
    pub(super) fn new(range: i64, reach: Reach) -> Self {
        Self { range, reach }
    }

    pub(super) fn end(&self, step: Timestamp) -> Timestamp {
        self.reach.time(step)
    }

    /// Not part of the window.
    pub(super) fn start(&self, step: Timestamp) -> Timestamp {
        self.end(step).saturating_sub(self.range)
    }

    /// By how much the ends of a step's window lie behind those that `@` fixes, for those who ask where they are: upstream
    /// shifts them with the steps, of which a call that is the same at all has one.
    pub(super) fn drift(&self, step: Timestamp, grid: Grid) -> i64 {
        if self.reach.at.is_some() { step.saturating_sub(grid.start) } else { 0 }
    }

    /// From the first window's open start to the last one's end.
    fn span(&self, grid: Grid) -> (Timestamp, Timestamp) {
        (self.start(grid.start), self.end(grid.end()))
    }

    /// As [`Windows::span`] for a subquery. Under a function that follows the steps upstream evaluates one that `@` fixes for as
    /// long as there are steps, though it looks at the first window only: what is wrong later on is an error.
    fn subquery_span(&self, grid: Grid) -> (Timestamp, Timestamp) {
        let (start, end) = self.span(grid);
        let length = if self.reach.at.is_some() { grid.end().saturating_sub(grid.start) } else { 0 };
        (start, end.saturating_add(length))
    }
}

/// The samples of a series inside one window; there is at least one. No staleness markers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'s> {
    pub(super) timestamps: &'s [Timestamp],
    pub(super) values: &'s [f64],
    /// Places, counted from the start of the window, of samples below their predecessor in it.
    resets: &'s [usize],
    /// Place of the window's first sample in the series.
    first: usize,
    /// Where its samples lie in it.
    pub(super) extent: &'s Extent,
    /// The step it is evaluated for.
    pub(super) step: Timestamp,
    /// Milliseconds.
    pub(super) range: i64,
}

impl Window<'_> {
    /// Places of samples below their predecessor in the window.
    pub(super) fn resets(&self) -> impl Iterator<Item = usize> + '_ {
        self.resets.iter().map(|place| place - self.first)
    }

    pub(super) fn reset_count(&self) -> usize {
        self.resets.len()
    }
}

/// A series of a range vector: all samples that any window needs.
pub(super) struct RangeSeries<'s> {
    pub(super) labels: &'s Labels,
    pub(super) drop_name: bool,
    pub(super) samples: Read<'s>,
}

impl RangeSeries<'_> {
    /// Evaluates `f` on the window of each step that has samples and puts what it finds behind what stands in `into`;
    /// `with_resets` finds counter resets first. The column begins at the step that is returned.
    pub(super) fn slide(
        &self,
        known: &mut KnownSpans,
        (windows, grid): (&Windows, Grid),
        with_resets: bool,
        into: &mut Vec<f64>,
        mut f: impl FnMut(usize, &Window<'_>) -> Option<f64>,
    ) -> usize {
        let Read { timestamps, values, .. } = self.samples;
        let resets = if with_resets { find_resets(values) } else { Vec::new() };
        let (mut reset_from, mut reset_to) = (0, 0);
        let found = known.of(&self.samples, windows, grid);
        into.extend((found.first_step..).zip(&found.spans).map(|(i, span)| {
            let (first, end) = (span.first, span.end);
            if first >= end {
                return ABSENT;
            }
            // A reset at the window's first sample is one against a sample outside of it.
            advance(&mut reset_from, &resets, |place| place <= first);
            advance(&mut reset_to, &resets, |place| place < end);
            let step = grid.time(i);
            let window = Window {
                timestamps: &timestamps[first..end],
                values: &values[first..end],
                resets: &resets[reset_from..reset_to.max(reset_from)],
                first,
                extent: &span.extent,
                step,
                range: windows.range,
            };
            f(i, &window).unwrap_or(ABSENT)
        }));
        found.first_step
    }

    /// As [`RangeSeries::slide`] for a function that takes the values of several windows at once.
    pub(super) fn slide_several(
        &self,
        known: &mut KnownSpans,
        (windows, grid): (&Windows, Grid),
        into: &mut Vec<f64>,
        f: fn([&[f64]; LANES]) -> [f64; LANES],
    ) -> usize {
        let values = self.samples.values;
        let found = known.of(&self.samples, windows, grid);
        for spans in found.spans.chunks(LANES) {
            // Windows without samples take the place of one that has some, and so do those behind the last.
            let window = |i: usize| spans.get(i).and_then(|span| values.get(span.first..span.end));
            let windows: [Option<&[f64]>; LANES] = std::array::from_fn(|i| window(i).filter(|w| !w.is_empty()));
            let Some(some) = windows.iter().flatten().next() else {
                into.extend(spans.iter().map(|_| ABSENT));
                continue;
            };
            let computed = f(windows.map(|window| window.unwrap_or(&some[..1])));
            let computed = windows.iter().zip(computed).map(|(window, value)| window.map_or(ABSENT, |_| value));
            into.extend(computed.take(spans.len()));
        }
        found.first_step
    }
}

/// Moves a place forward while its element satisfies the condition. Steps rise, so places never go back.
fn advance<T: Copy>(place: &mut usize, of: &[T], wanted: impl Fn(T) -> bool) {
    while of.get(*place).is_some_and(|element| wanted(*element)) {
        *place += 1;
    }
}

/// Values that are compared at a time, so that the compiler does it several at once.
const COMPARED_AT_ONCE: usize = 32;

/// Places of values below their predecessor, of which most series have none.
fn find_resets(values: &[f64]) -> Vec<usize> {
    let mut resets = Vec::new();
    let Some(next) = values.get(1..) else { return resets };
    let pairs = values.chunks(COMPARED_AT_ONCE).zip(next.chunks(COMPARED_AT_ONCE));
    for (chunk, (before, after)) in pairs.enumerate() {
        if before.iter().zip(after).fold(false, |any, (before, after)| any | (after < before)) {
            let falls = before.iter().zip(after).enumerate().filter(|(_, (before, after))| after < before);
            resets.extend(falls.map(|(i, _)| chunk * COMPARED_AT_ONCE + i + 1));
        }
    }
    resets
}

impl<'q> Evaluation<'q> {
    /// The windows of a range vector node.
    pub(super) fn windows(&self, id: NodeId) -> Windows {
        let id = self.expr.unwrapped(id);
        match self.expr.kind(id) {
            Kind::Matrix { selector, range } => Windows::new(*range, self.reach(*selector)),
            // What was evaluated where `@` is missed is looked for where it is not.
            Kind::Subquery { range, .. } => Windows::new(*range, self.reach_said(id)),
            _ => Windows::new(0, self.reach(id)),
        }
    }

    /// Passes on what `work` makes of the series of a range vector node with all samples that its windows need over
    /// the grid, several together. The work is done on all threads, each with a `K` of its own, the rest in the order of
    /// the series.
    pub(super) fn stream_ranges<K: Default, B: Default + Send>(
        &self,
        id: NodeId,
        grid: Grid,
        function: &'static str,
        work: impl Fn(&RangeSeries<'_>, &mut K, &mut B) -> Result<(), QueryError> + Sync,
        sink: &mut dyn FnMut(B) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let windows = self.windows(id);
        let id = self.expr.unwrapped(id);
        let (start, end) = windows.span(grid);
        let mut pass = |(_, batch)| sink(batch);
        self.measured_stream(
            id,
            grid,
            |(series, _)| (*series, 0),
            &mut pass,
            |sink| match self.expr.kind(id) {
                Kind::Matrix { selector, range } => {
                    let range = Duration::from_millis(range.unsigned_abs());
                    let presence = matches!(function, "count_over_time" | "present_over_time" | "absent_over_time");
                    let hints = Hints { step: grid.step_hint(), range, function, presence, ..Hints::default() };
                    // The start is open: its own millisecond is not wanted.
                    let (found, _found) = self.select(*selector, (start.saturating_add(1), end), hints)?;
                    let work = |series: &dyn model::Series, samples: &Read<'_>, kept: &mut K, batch: &mut B| {
                        self.count_windows(samples.timestamps, &windows, grid);
                        work(&RangeSeries { labels: series.labels(), drop_name: false, samples: *samples }, kept, batch)
                    };
                    self.read_batches(found, (self.share(grid, (start, end)), false), work, sink)
                }
                Kind::Subquery { expr, step, .. } => {
                    let (start, end) = Windows::new(windows.range, self.reach(id)).subquery_span(grid);
                    // One that is the whole query counts what is inside of it instead.
                    let inside = if function.is_empty() { Counting::EveryStep } else { Counting::Nothing };
                    let work = |series: &RangeSeries<'_>, kept: &mut K, batch: &mut B| {
                        if inside == Counting::Nothing {
                            self.count_windows(series.samples.timestamps, &windows, grid);
                        }
                        work(series, kept, batch)
                    };
                    let Some(steps) = self.subquery_grid(*step, (start, end)) else { return Ok(()) };
                    self.check_grid(steps)?;
                    let evaluate = || self.counting(inside, || self.eval(*expr, steps));
                    let Column::Vector(vector) = self.inside(id, (grid.start, steps.start), evaluate)? else {
                        return Ok(());
                    };
                    self.stream_subquery(&vector, steps, self.share(grid, (start, end)), work, sink)
                }
                _ => Ok(()),
            },
        )
    }

    /// A subquery is evaluated once, at the multiples of its step inside all windows together.
    fn subquery_grid(&self, step: Option<i64>, (start, end): (Timestamp, Timestamp)) -> Option<Grid> {
        let step = step.unwrap_or(self.subquery_step).max(1);
        let first = (start.div_euclid(step).saturating_add(1)).saturating_mul(step);
        Grid::between(first, end, step)
    }

    fn stream_subquery<K: Default, B: Default + Send>(
        &self,
        vector: &Vector<'q>,
        grid: Grid,
        share: Share,
        work: impl Fn(&RangeSeries<'_>, &mut K, &mut B) -> Result<(), QueryError> + Sync,
        sink: &mut dyn FnMut((usize, B)) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let of_batch = |(samples, kept): &mut (Samples, K), series: Vec<&Series>| {
            let mut batch = B::default();
            for series in &series {
                samples.clear();
                for (timestamp, value) in grid.times().zip(&series.values).filter(|(_, value)| is_present(**value)) {
                    samples.push(Sample { timestamp, value: *value });
                }
                // Most have a value at each step, and so the same timestamps.
                let list = (samples.len() == grid.count).then_some(0);
                let samples = Read { timestamps: &samples.timestamps, values: &samples.values, list };
                let series = RangeSeries { labels: &series.labels, drop_name: series.drop_name, samples };
                work(&series, kept, &mut batch)?;
            }
            Ok((series.len(), batch))
        };
        self.trace_threads(share.threads_for(vector.series.len()));
        in_order(vector.series.iter().collect(), share, Default::default, of_batch, sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_found() {
        let values: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 101)).collect();
        for length in [0, 1, 2, 31, 32, 33, 34, 64, 65, 200] {
            let expected: Vec<usize> = (1..length).filter(|&i| values[i] < values[i - 1]).collect();
            assert_eq!(find_resets(&values[..length]), expected, "{length}");
        }
        assert_eq!(find_resets(&[1.0, f64::NAN, 0.0, 0.0]), [0; 0]);
    }
}
