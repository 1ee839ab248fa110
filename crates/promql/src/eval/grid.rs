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

/// The first of `count` steps of which a condition holds that never ceases to hold later on; `count` where it never does.
pub(super) fn first_step(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut to) = (0, count);
    while from < to {
        let middle = from + (to - from) / 2;
        if holds(middle) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    from
}

/// A place among timestamps that moves forward step by step. Samples come about evenly, so that it tries first how far it
/// went last; over a series it walks no further than the series is long, twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    place: usize,
    stride: usize,
}

impl Cursor {
    /// Moves behind all timestamps up to `limit`, which never falls; returns the place.
    pub(super) fn pass(&mut self, times: &[Timestamp], limit: Timestamp) -> usize {
        let mut at = (self.place + self.stride).min(times.len());
        while at > self.place && times[at - 1] > limit {
            at -= 1;
        }
        while times.get(at).is_some_and(|time| *time <= limit) {
            at += 1;
        }
        self.stride = at - self.place;
        self.place = at;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_pass_what_a_search_finds() {
        let times: Vec<Timestamp> = (0..400).map(|i| i * 15 + (i * i) % 7 + if i > 200 { 4_000 } else { 0 }).collect();
        for step in [1, 7, 15, 100, 5_000] {
            let mut cursor = Cursor::default();
            for limit in (-20..12_000).step_by(step) {
                let expected = times.partition_point(|time| *time <= limit);
                assert_eq!(cursor.pass(&times, limit), expected, "{limit} by {step}");
            }
        }
    }

    #[test]
    fn steps_are_found() {
        for count in [0, 1, 2, 7, 8] {
            for wanted in 0..=count {
                assert_eq!(first_step(count, |i| i >= wanted), wanted);
            }
        }
    }
}
