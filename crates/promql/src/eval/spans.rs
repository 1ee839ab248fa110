//! Where the windows of a range vector lie among the timestamps of a series.
//!
//! All series of a target have the same timestamps, so that a thread keeps what it found for some of them: what is left to
//! do for the next series is its values.

use hashbrown::HashMap;
use model::Timestamp;

use super::counter::Extent;
use super::grid::{Cursor, Grid, first_step};
use super::read::Read;
use super::window::Windows;

/// Windows that a thread keeps, two and a half megabytes; when there are more all begin anew.
const KEPT_MAX: usize = 1 << 16;

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
    pub(super) first_step: usize,
    pub(super) spans: Vec<Span>,
}

/// The windows that a thread found.
#[derive(Debug, Default)]
pub(super) struct KnownSpans {
    /// By the number of their timestamps.
    lists: HashMap<usize, Spans>,
    kept: usize,
    /// Those of the last series whose timestamps have no number.
    other: Spans,
}

impl KnownSpans {
    /// The windows of a grid among the timestamps of a series. The grid and the windows are the same every time.
    pub(super) fn of(&mut self, samples: &Read<'_>, windows: &Windows, grid: Grid) -> &Spans {
        let Some(list) = samples.list else {
            self.other.find(samples.timestamps, windows, grid);
            return &self.other;
        };
        if self.kept > KEPT_MAX && !self.lists.contains_key(&list) {
            self.lists.clear();
            self.kept = 0;
        }
        let kept = &mut self.kept;
        self.lists.entry(list).or_insert_with(|| {
            let mut spans = Spans::default();
            spans.find(samples.timestamps, windows, grid);
            *kept += spans.spans.len();
            spans
        })
    }
}

impl Spans {
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
            for list in 0..800 {
                let times: Vec<Timestamp> = (0..100).map(|i| i * 15_000 + list as i64).collect();
                let number = (list % 3 > 0).then_some(list);
                let samples = Read { timestamps: &times, values: &[], list: number };
                let spans = known.of(&samples, &windows, grid);
                for (i, span) in (spans.first_step..).zip(&spans.spans) {
                    let end = grid.time(i);
                    let expected = times.partition_point(|t| *t <= end - 60_000)..times.partition_point(|t| *t <= end);
                    assert_eq!(span.first..span.end, expected, "step {i} of list {list} in round {round}");
                }
            }
        }
        assert!(known.kept <= KEPT_MAX + grid.count);
        let none = Read { timestamps: &[], values: &[], list: None };
        assert_eq!(known.of(&none, &windows, grid).spans.len(), 0);
    }
}
