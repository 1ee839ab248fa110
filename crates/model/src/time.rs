//! Timestamps, the clock and Prometheus' spelling of durations.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// Milliseconds since 1970-01-01T00:00:00Z; negative before.
pub type Timestamp = i64;

/// Tells the time; a parameter wherever time decides something, so that tests can set it.
pub trait Clock: Send + Sync {
    /// The wall clock now.
    fn now(&self) -> Timestamp;
}

/// The system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// The text is not a duration such as `1h30m`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DurationError {
    /// Nothing was given.
    #[error("empty duration string")]
    Empty,
    /// Not of the form number and unit, largest unit first, each unit once.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// A number is followed by what is none of the units.
    #[error("unknown unit {0:?} in duration {1:?}")]
    Unit(String, String),
    /// More than 2^63 nanoseconds.
    #[error("duration out of range")]
    OutOfRange,
}

/// Units of Prometheus' durations, largest first, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Go's `time.Duration` ends at 2^63 ns; Prometheus refuses what lies beyond, so does skep.
const DURATION_MILLIS_MAX: u64 = (i64::MAX / 1_000_000) as u64;

/// Reads a duration such as `5m`, `1h30m`, `100ms` or `0`: numbers with units `y w d h m s ms`, largest first.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(Duration::ZERO),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let (number, unit) = split_term(rest).ok_or_else(invalid)?;
        let number: u64 = number.parse().map_err(|_| invalid())?;
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(DurationError::Unit(unit.to_owned(), text.to_owned()));
        }
        let (_, millis) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        total = number.checked_mul(*millis).and_then(|n| total.checked_add(n)).ok_or(DurationError::OutOfRange)?;
        rest = &rest[number_and_unit_len(rest)..];
    }
    if total > DURATION_MILLIS_MAX {
        return Err(DurationError::OutOfRange);
    }
    Ok(Duration::from_millis(total))
}

/// Spells a duration as Prometheus does: `1d1h30m`, `15s`, `0s`. Years and weeks only when they fit exactly.
pub fn format_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, size) in UNITS {
        let exact_only = matches!(unit, "y" | "w");
        if millis >= size && (!exact_only || millis % size == 0) {
            text.push_str(&format!("{}{unit}", millis / size));
            millis %= size;
        }
    }
    text
}

fn number_and_unit_len(text: &str) -> usize {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits + text[digits..].bytes().take_while(|b| !b.is_ascii_digit()).count()
}

fn split_term(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let end = number_and_unit_len(text);
    (digits > 0 && end > digits).then(|| (&text[..digits], &text[digits..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [
            ("0", Some(0)),
            ("15s", Some(15_000)),
            ("1h30m", Some(5_400_000)),
            ("4d1h40m", Some(351_600_000)),
            ("1y", Some(31_536_000_000)),
            ("100ms", Some(100)),
            ("1m1m", None),
            ("1s1m", None),
            ("1.5h", None),
            ("-1s", None),
            ("s", None),
            ("5", None),
            ("300y", None),
            ("99999999999999999999y", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_millis()), expected, "{text}");
        }
        assert_eq!(parse_duration("1.5h").unwrap_err().to_string(), "unknown unit \".\" in duration \"1.5h\"");
    }

    #[test]
    fn formats() {
        for text in ["0s", "15s", "1h30m", "1d", "1d1h", "2w", "1y", "100ms", "1m1s1ms"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }
}
