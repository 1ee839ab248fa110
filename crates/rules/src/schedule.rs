//! When a group is evaluated: every interval, shifted by a fixed part of it, so that groups do not all start at once.

use std::time::Duration;

use model::Timestamp;

use crate::context::millis;

/// The slots of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    interval: i64,
    shift: i64,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    /// The slot to evaluate.
    pub(crate) at: Timestamp,
    /// Slots that passed unused.
    pub(crate) missed: u64,
}

impl Schedule {
    /// Slots every `interval`, shifted by what `identity`, the group's file and name, hashes to.
    pub(crate) fn new(interval: Duration, identity: &str) -> Self {
        let interval = millis(interval).max(1);
        Self { interval, shift: (fnv1a(identity) % interval.unsigned_abs()) as i64 }
    }

    /// The first slot after `now`.
    pub(crate) fn first(self, now: Timestamp) -> Timestamp {
        let aligned = (now - self.shift).div_euclid(self.interval) * self.interval;
        aligned + self.shift + self.interval
    }

    /// The slot that follows `last`. Slots that are over already count as missed; after the clock was set back, slots
    /// begin anew.
    pub(crate) fn after(self, last: Timestamp, now: Timestamp) -> Next {
        let missed = ((now - last) / self.interval - 1).max(0);
        let at = last + (missed + 1) * self.interval;
        let at = if at - now > self.interval { self.first(now) } else { at };
        Next { at, missed: missed.unsigned_abs() }
    }
}

/// Fowler, Noll and Vo's hash: steady between versions and machines, unlike the standard library's.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_aligned_and_counted() {
        let schedule = Schedule { interval: 1000, shift: 300 };
        assert_eq!(schedule.first(5000), 5300);
        assert_eq!(schedule.first(5300), 6300);
        assert_eq!(schedule.first(-5000), -4700);
        let check = |last, now, at, missed| assert_eq!(schedule.after(last, now), Next { at, missed }, "{last} {now}");
        check(5300, 5400, 6300, 0);
        // The evaluation took longer than the interval, but the next slot is not over.
        check(5300, 6400, 6300, 0);
        check(5300, 8400, 8300, 2);
        // The clock went back by hours.
        check(5_000_300, 4200, 4300, 0);
    }
}
