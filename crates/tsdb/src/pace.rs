//! Whether samples come as they are measured, or faster: a history that is being loaded.
//!
//! A head that fills within minutes is written in a hurry and merged when the rush is over, so that each of its samples
//! is entropy-coded once; one that takes hours is written as it is to stay.

use std::sync::atomic::{AtomicI64, Ordering};

use model::Timestamp;

/// A head that was filled in less time is written loosely. Live samples of a million series take longer.
const QUICK_MILLIS: i64 = 5 * 60_000;

/// Without a commit or a loose block for this long, the rush is over.
const REST_MILLIS: i64 = 4_000;

/// Recorded time that goes by so many times faster than the clock is history. Live samples keep to the clock.
const HISTORY_SPEED: i64 = 4;

/// What is known of the pace, by the clock.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The newest sample after the head's first commit.
    newest_at_first: AtomicI64,
    last_commit: AtomicI64,
    last_loose: AtomicI64,
}

impl Default for Pace {
    fn default() -> Self {
        let never = || AtomicI64::new(Timestamp::MIN);
        // What came back from the log has no pace.
        Self { newest_at_first: AtomicI64::new(Timestamp::MAX), last_commit: never(), last_loose: never() }
    }
}

impl Pace {
    /// Samples were committed; `is_first` if the head was empty, `newest` is its newest sample.
    pub(crate) fn note_commit(&self, now: Timestamp, newest: Timestamp, is_first: bool) {
        self.last_commit.store(now, Ordering::Relaxed);
        if is_first {
            self.newest_at_first.store(newest.min(now), Ordering::Relaxed);
        }
    }

    /// Whether a head whose first commit was then has filled so fast that it is to be written loosely.
    pub(crate) fn is_quick(&self, since: Timestamp, now: Timestamp) -> bool {
        (0..QUICK_MILLIS).contains(&now.saturating_sub(since))
    }

    /// A loose block is written.
    pub(crate) fn note_loose(&self, now: Timestamp) {
        self.last_loose.store(now, Ordering::Relaxed);
    }

    /// What was written loosely is to be merged now, whenever that was.
    pub(crate) fn end_rush(&self) {
        self.last_loose.store(Timestamp::MIN, Ordering::Relaxed);
    }

    /// Whether no history is being loaded: none comes, and no loose block was written for a while. The head's first
    /// commit was at `since`, and `newest` is its newest sample.
    pub(crate) fn is_at_rest(&self, since: Timestamp, newest: Timestamp, now: Timestamp) -> bool {
        let is_coming = self.is_history(since, newest, now) && !is_past(self.last_commit.load(Ordering::Relaxed), now);
        !is_coming && is_past(self.last_loose.load(Ordering::Relaxed), now)
    }

    /// Whether the head holds the end of a history that was loaded: nothing is gained by keeping it in memory.
    pub(crate) fn has_left_history(&self, since: Timestamp, newest: Timestamp, now: Timestamp) -> bool {
        // Commits may have waited for the loose block.
        let last = self.last_commit.load(Ordering::Relaxed).max(self.last_loose.load(Ordering::Relaxed));
        is_past(last, now) && self.is_history(since, newest, now)
    }

    fn is_history(&self, since: Timestamp, newest: Timestamp, now: Timestamp) -> bool {
        let elapsed = self.last_commit.load(Ordering::Relaxed).saturating_sub(since).max(1000);
        let first = self.newest_at_first.load(Ordering::Relaxed);
        newest.min(now).saturating_sub(first) >= elapsed.saturating_mul(HISTORY_SPEED)
    }
}

/// Whether a moment is long enough ago. Others go on while `now` is looked at, so that it may lie a little ahead; a clock
/// that was set back further makes it past.
fn is_past(moment: Timestamp, now: Timestamp) -> bool {
    !(-REST_MILLIS..REST_MILLIS).contains(&now.saturating_sub(moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_told_from_live_samples() {
        const HOUR: i64 = 3_600_000;
        // Commits as seconds of the clock and hours of the newest sample, then the second at which is asked.
        let check = |commits: &[(i64, f64)], asked: i64, expected: bool| {
            let start = 1_700_000_000_000;
            let time = |hours: f64| start + (hours * HOUR as f64) as i64;
            let pace = Pace::default();
            for (at, (second, newest)) in commits.iter().enumerate() {
                pace.note_commit(start + second * 1000, time(*newest), at == 0);
            }
            let (since, newest) = (start + commits[0].0 * 1000, time(commits[commits.len() - 1].1));
            let asked = start + asked * 1000;
            assert_eq!(pace.has_left_history(since, newest, asked), expected, "{commits:?} {asked}");
            // Only the history that is asked about after eleven seconds still comes.
            assert_eq!(pace.is_at_rest(since, newest, asked), asked != start + 11_000, "{commits:?} {asked}");
        };
        // A day in ten seconds, asked while it comes and after.
        check(&[(0, -24.0), (10, -0.1)], 11, false);
        check(&[(0, -24.0), (10, -0.1)], 15, true);
        check(&[(0, -24.0), (10, 0.0)], 7200, true);
        // Live: two hours in two hours, a minute between scrapes.
        check(&[(0, 0.0), (60, 60.0 / 3600.0)], 119, false);
        check(&[(0, 0.0), (7200, 2.0)], 7210, false);
        // Live samples, the clock of one target ten minutes ahead.
        check(&[(0, 0.0), (60, 0.18)], 100, false);
        // One commit is no pace.
        check(&[(0, -24.0)], 100, false);
    }

    #[test]
    fn a_rush_ends() {
        let pace = Pace::default();
        let is_at_rest = |now| pace.is_at_rest(Timestamp::MAX, Timestamp::MIN, now);
        assert!(is_at_rest(1_000_000));
        pace.note_loose(1_000_000);
        assert!(!is_at_rest(1_003_999));
        assert!(is_at_rest(1_004_000) && !is_at_rest(999_999) && is_at_rest(900_000));
        pace.end_rush();
        assert!(is_at_rest(1_000_000));
        assert!(pace.is_quick(1_000_000, 1_299_999) && !pace.is_quick(1_000_000, 1_300_000));
        assert!(!pace.is_quick(Timestamp::MAX, 1_000_000));
        assert!(!pace.has_left_history(1_000_000, 2_000_000, 3_000_000));
    }
}
