//! Which instant queries come again: those of rules and of the single numbers on a dashboard are asked for every half a
//! minute, and the store keeps what it takes to answer them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Queries that are remembered at once, more than all rules and panels of a server that is well used. They take 64 KiB.
const QUERIES_MAX: usize = 2048;

/// What was not asked for in this time does not come again soon; the store forgets what it kept for it as late.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// The queries of late by the hashes of their texts. Two of one hash cost a hint that is not worth much.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    hasher: RandomState,
    times: Mutex<HashMap<u64, Instant>>,
}

impl Asked {
    /// Whether a query was asked for a while ago; from now on it was.
    pub(crate) fn before(&self, text: &str, now: Instant) -> bool {
        let hash = self.hasher.hash_one(text);
        let is_recent = |time: &Instant| now.saturating_duration_since(*time) <= IDLE;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() >= QUERIES_MAX && !times.contains_key(&hash) {
            times.retain(|_, time| is_recent(time));
            if times.len() >= QUERIES_MAX {
                // So many within minutes are not those of rules and panels.
                times.clear();
            }
        }
        times.insert(hash, now).is_some_and(|time| is_recent(&time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_of_late_comes_again() {
        let (asked, begin) = (Asked::default(), Instant::now());
        let check = |text: &str, seconds: u64, expected: bool| {
            assert_eq!(asked.before(text, begin + Duration::from_secs(seconds)), expected, "{text} at {seconds}");
        };
        check("a", 0, false);
        check("b", 0, false);
        check("a", 15, true);
        check("a", 15 + IDLE.as_secs(), true);
        check("b", 15 + IDLE.as_secs(), false);
    }

    #[test]
    fn memory_is_bounded() {
        let (asked, now) = (Asked::default(), Instant::now());
        for i in 0..3 * QUERIES_MAX {
            assert!(!asked.before(&i.to_string(), now));
            assert!(asked.times.lock().unwrap().len() <= QUERIES_MAX);
        }
    }
}
