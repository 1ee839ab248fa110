//! When a group is evaluated: every interval, shifted by a fixed part of it, so that groups do not all start at once.

use std::time::Duration;

use model::Timestamp;
use twox_hash::XxHash64;

use crate::context::millis;

/// In a millisecond.
const NANOSECONDS: u64 = 1_000_000;

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
    /// Slots every `interval`, shifted by what the group's file and name hash to: the same ones as Prometheus', so that
    /// both evaluate at the same timestamps.
    pub(crate) fn new(interval: Duration, file: &str, name: &str) -> Self {
        let interval = millis(interval).max(1);
        // Prometheus' slots lie between milliseconds, its timestamps are cut to them.
        let nanoseconds = interval.unsigned_abs().saturating_mul(NANOSECONDS);
        Self { interval, shift: (hash(file, name) % nanoseconds / NANOSECONDS).cast_signed() }
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
        let at = self.seen(last + (missed + 1) * self.interval, now);
        Next { at, missed: missed.unsigned_abs() }
    }

    /// The slot to wait for, seen at a later time: after the clock was set back it is too far away, and slots begin anew.
    pub(crate) fn seen(self, at: Timestamp, now: Timestamp) -> Timestamp {
        if at - now > self.interval { self.first(now) } else { at }
    }
}

/// XXH64 of the labels `file` and `name` as Prometheus 3.5 packs them: each text behind its length.
fn hash(file: &str, name: &str) -> u64 {
    let mut packed = Vec::with_capacity(file.len() + name.len() + 16);
    for text in ["file", file, "name", name] {
        push_length(&mut packed, text.len());
        packed.extend_from_slice(text.as_bytes());
    }
    XxHash64::oneshot(0, &packed)
}

/// One byte, or 255 and the length in three, the lowest first.
fn push_length(packed: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(length) if length < u8::MAX => packed.push(length),
        _ => packed.extend([u8::MAX, length as u8, (length >> 8) as u8, (length >> 16) as u8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `activeAt` of alerts in Prometheus 3.5.3: 12:13:25.872001882, and with names of 300 and 255 letters 755500018 and 783174826 ns behind the second.
    #[test]
    fn slots_are_prometheus() {
        let check = |name: &str, shift| {
            assert_eq!(Schedule::new(Duration::from_secs(1), "/tmp/al/p/r.yml", name).shift, shift, "{name}");
        };
        check("hh", 872);
        check(&"n".repeat(300), 755);
        check(&"e".repeat(255), 783);
    }

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
        // Also while a slot is waited for.
        assert_eq!((schedule.seen(5_000_300, 4200), schedule.seen(5300, 4300)), (4300, 5300));
    }
}
