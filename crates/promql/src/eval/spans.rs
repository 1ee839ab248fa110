//! Where the windows of a range vector lie among the timestamps of a series.
//!
//! All series of a target have the same timestamps, so that a thread keeps what it found for some of them: what is left to
//! do for the next series is its values.

use model::Timestamp;

use super::counter::Extent;
use super::grid::{Cursor, Grid, first_step};
use super::window::Windows;

/// Lists of timestamps that a thread keeps the windows of. A target is one, and so is a pod that began or ended in between.
const LISTS_MAX: usize = 64;

/// Timestamps and windows that a thread keeps, some two megabytes; a longer list is kept alone.
const KEPT_MAX: usize = 1 << 16;

/// Finding the windows of fewer steps takes less time than finding out that they are known.
const STEPS_MIN: usize = 4;

/// The samples of one window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// Place of the first one.
    pub(super) first: usize,
    /// Place behind the last one.
    pub(super) end: usize,
    /// What extrapolation needs of their times.
    pub(super) extent: Extent,
}

/// The windows of the steps from one on.
#[derive(Debug, Default)]
pub(super) struct Spans {
    times: Vec<Timestamp>,
    pub(super) first_step: usize,
    pub(super) spans: Vec<Span>,
}

/// The windows that a thread found for the timestamps it met last.
#[derive(Debug, Default)]
pub(super) struct KnownSpans {
    lists: Vec<Spans>,
    kept: usize,
    /// Those of the last series, where there are few.
    few: Spans,
}

impl KnownSpans {
    /// The windows of a grid among these timestamps. The grid and the windows are the same every time.
    pub(super) fn of(&mut self, times: &[Timestamp], windows: &Windows, grid: Grid) -> &Spans {
        if grid.count < STEPS_MIN {
            self.few.find(times, windows, grid);
            return &self.few;
        }
        let known = self.lists.iter().position(|list| list.is_of(times));
        let place = known.unwrap_or_else(|| {
            if self.lists.len() >= LISTS_MAX || self.kept > KEPT_MAX {
                self.lists.clear();
                self.kept = 0;
            }
            let mut list = Spans { times: times.to_vec(), ..Spans::default() };
            list.find(times, windows, grid);
            self.kept += times.len() + list.spans.len();
            self.lists.push(list);
            self.lists.len() - 1
        });
        &self.lists[place]
    }
}

impl Spans {
    fn is_of(&self, times: &[Timestamp]) -> bool {
        self.times.len() == times.len() && self.times.first() == times.first() && self.times == times
    }

    /// Puts the windows among these timestamps in place of those that there were.
    fn find(&mut self, times: &[Timestamp], windows: &Windows, grid: Grid) {
        self.spans.clear();
        let (Some(&oldest), Some(&newest)) = (times.first(), times.last()) else {
            return;
        };
        let first = first_step(grid.count, |i| windows.end(grid.time(i)) >= oldest);
        let end = first_step(grid.count, |i| windows.start(grid.time(i)) >= newest);
        let (mut from, mut to) = (Cursor::default(), Cursor::default());
        let span = |i| {
            let step = grid.time(i);
            let (start, end) = (windows.start(step), windows.end(step));
            let (first, behind) = (from.pass(times, start), to.pass(times, end));
            let drift = windows.drift(step, grid);
            let (start, end) = (start.saturating_add(drift), end.saturating_add(drift));
            let extent = times.get(first..behind).map(|inside| Extent::new(inside, start, end)).unwrap_or_default();
            Span { first, end: behind, extent }
        };
        self.first_step = first;
        self.spans.extend((first..end).map(span));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::moving::Reach;

    #[test]
    fn known_windows_are_those_of_the_same_timestamps() {
        let windows = Windows::new(60_000, Reach { at: None, offset: 0 });
        let grid = Grid { start: 0, step: 15_000, count: 200 };
        let mut known = KnownSpans::default();
        for round in 0..2 {
            for list in 0..3 * LISTS_MAX as i64 {
                let times: Vec<Timestamp> = (0..100).map(|i| i * 15_000 + list).collect();
                let spans = known.of(&times, &windows, grid);
                for (i, span) in (spans.first_step..).zip(&spans.spans) {
                    let end = grid.time(i);
                    let expected = times.partition_point(|t| *t <= end - 60_000)..times.partition_point(|t| *t <= end);
                    assert_eq!(span.first..span.end, expected, "step {i} of list {list} in round {round}");
                }
            }
        }
        assert!(known.lists.len() <= LISTS_MAX);
        assert_eq!(known.of(&[], &windows, grid).spans.len(), 0);
    }
}
