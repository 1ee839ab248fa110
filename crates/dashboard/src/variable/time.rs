//! The time of a dashboard as queries, titles and links name it.

use jiff::tz::TimeZone;

use crate::value::{format_time, iso};

/// A time of milliseconds since 1970, from and to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// Its beginning.
    pub from_ms: i64,
    /// Its end.
    pub to_ms: i64,
}

impl TimeRange {
    /// How long it is; none where it ends before it begins.
    pub fn length_ms(&self) -> u64 {
        u64::try_from(self.to_ms.saturating_sub(self.from_ms)).unwrap_or(0)
    }

    /// Whole seconds of it, as `$__range_s` has them.
    pub fn length_s(&self) -> u64 {
        self.length_ms().saturating_add(500) / 1_000
    }
}

/// `${__from}` and `${__to}`: milliseconds; with `:date` ISO 8601, with `:date:seconds` those, with `:date:` and
/// Moment's letters what they say.
pub(super) fn point(time_ms: i64, format: Option<&str>, zone: &TimeZone) -> String {
    match format {
        Some("date" | "date:iso") => iso(time_ms as f64),
        Some("date:seconds") => time_ms.saturating_add(500).div_euclid(1_000).to_string(),
        Some("date:ms") => time_ms.to_string(),
        Some(format) => match format.strip_prefix("date:") {
            Some(letters) => format_time(time_ms as f64, letters, zone),
            None => time_ms.to_string(),
        },
        None => time_ms.to_string(),
    }
}
