//! The time range in an address: `from` and `to`, each relative to now or absolute.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::{Timestamp, format_duration, parse_duration};

use crate::params::{Params, encode};
use crate::problem::Problem;

/// What a page shows when its address names no range: the first that reaches back to the store's oldest sample, so that a
/// fresh install sees its first minutes and not an empty hour.
const DEFAULTS: [(&str, i64); 3] = [("now-5m", 5 * 60_000), ("now-15m", 15 * 60_000), (DEFAULT_FROM, i64::MAX)];
/// The widest of them.
pub(crate) const DEFAULT_FROM: &str = "now-1h";
/// The ranges of the picker: words, and how far back they reach.
pub(crate) const PRESETS: [(&str, &str); 9] = [
    ("Last 5 minutes", "now-5m"),
    ("Last 15 minutes", "now-15m"),
    ("Last hour", "now-1h"),
    ("Last 3 hours", "now-3h"),
    ("Last 6 hours", "now-6h"),
    ("Last 24 hours", "now-24h"),
    ("Last 7 days", "now-7d"),
    ("Last 30 days", "now-30d"),
    ("Last year", "now-1y"),
];

/// The years 1 to 9999, which is what a calendar can show; sums of such times do not overflow.
const TIMES: std::ops::RangeInclusive<Timestamp> = -62_135_596_800_000..=253_402_300_799_999;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// So long before now.
    Ago(Duration),
    /// At this time.
    At(Timestamp),
}

/// A range as its address spells it, and the times it means now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub(crate) from: Bound,
    pub(crate) to: Bound,
    /// First millisecond.
    pub(crate) start: Timestamp,
    /// Last millisecond.
    pub(crate) end: Timestamp,
}

/// The beginning of a range that is not named, by the time of the oldest sample.
pub(crate) fn default_from(now: Timestamp, oldest: Option<Timestamp>) -> &'static str {
    let age = oldest.map_or(0, |oldest| now.saturating_sub(oldest));
    DEFAULTS.iter().find(|(_, reach)| *reach >= age).map_or(DEFAULT_FROM, |(from, _)| *from)
}

impl TimeRange {
    /// Reads `from` and `to`; what is absent depends on how far back there are samples.
    pub(crate) fn read(params: &Params, now: Timestamp, oldest: Option<Timestamp>) -> Result<Self, Problem> {
        let default_from = default_from(now, oldest);
        let bound = |name, default| {
            let text = params.get(name).unwrap_or(default);
            Bound::parse(text).ok_or_else(|| Problem::range(name, text))
        };
        let (from, to) = (bound("from", default_from)?, bound("to", "now")?);
        let (start, end) = (from.resolve(now), to.resolve(now));
        if start >= end {
            return Err(Problem::bad_request(
                "The time range ends before it begins",
                format!(
                    "from={from} lies after to={to}; swap them or pick a range above.",
                    from = from.spell(),
                    to = to.spell()
                ),
            ));
        }
        Ok(Self { from, to, start, end })
    }

    /// Whether the range moves with the clock.
    pub(crate) fn is_live(&self) -> bool {
        self.to == Bound::Ago(Duration::ZERO)
    }

    /// `from=now-1h&to=now`, for links.
    pub(crate) fn query(&self) -> String {
        encode([("from", self.from.spell().as_str()), ("to", self.to.spell().as_str())])
    }

    /// The picker's button: words for a preset, else both ends.
    pub(crate) fn title(&self) -> String {
        let preset = PRESETS.iter().find(|(_, from)| Bound::parse(from) == Some(self.from));
        match (preset, self.is_live(), self.from) {
            (Some((words, _)), true, _) => (*words).to_owned(),
            (None, true, Bound::Ago(ago)) => format!("Last {}", format_duration(ago)),
            _ => format!("{} – {} UTC", minutes(self.start), minutes(self.end)),
        }
    }
}

impl Bound {
    /// The end of a range that moves with the clock.
    pub(crate) const NOW: Self = Self::Ago(Duration::ZERO);

    /// So much before it.
    pub(crate) fn earlier(self, by: Duration) -> Self {
        match self {
            Self::Ago(ago) => Self::Ago(ago.saturating_add(by)),
            Self::At(millis) => {
                Self::At(millis.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)).max(*TIMES.start()))
            }
        }
    }

    /// Reads `now`, `now-1h`, milliseconds since 1970, or a date and time (UTC unless it names a zone).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(ago) = text.strip_prefix("now") {
            return match ago.strip_prefix('-') {
                Some(ago) => parse_duration(ago).ok().map(Self::Ago),
                None => ago.is_empty().then_some(Self::Ago(Duration::ZERO)),
            };
        }
        if let Ok(millis) = text.parse::<i64>() {
            return TIMES.contains(&millis).then_some(Self::At(millis));
        }
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Self::At(at.as_millisecond()));
        }
        let civil: DateTime = text.parse().ok()?;
        Some(Self::At(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond()))
    }

    /// The spelling for addresses.
    pub(crate) fn spell(self) -> String {
        match self {
            Self::Ago(Duration::ZERO) => "now".to_owned(),
            Self::Ago(ago) => format!("now-{}", format_duration(ago)),
            Self::At(millis) => millis.to_string(),
        }
    }

    fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => {
                now.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)).max(*TIMES.start())
            }
            Self::At(millis) => millis,
        }
    }
}

/// `2026-11-20 23:30:05`, in UTC; the page's script puts it into the reader's zone.
pub(crate) fn seconds(at: Timestamp) -> String {
    strftime(at, "%Y-%m-%d %H:%M:%S")
}

/// `2026-11-20 23:30`, in UTC.
pub(crate) fn minutes(at: Timestamp) -> String {
    strftime(at, "%Y-%m-%d %H:%M")
}

/// `2026-11-20T23:30:05.123Z`, for `datetime` attributes.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| format!("{at:.3}"))
}

fn strftime(at: Timestamp, format: &str) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_700_000_000_000;

    fn check(query: &str, expected: Option<(Timestamp, Timestamp)>) {
        let range = TimeRange::read(&Params::parse(Some(query)), NOW, Some(0)).ok();
        assert_eq!(range.as_ref().map(|r| (r.start, r.end)), expected, "{query}");
        if let Some(range) = range {
            let again = TimeRange::read(&Params::parse(Some(&range.query())), NOW, None).unwrap();
            assert_eq!(again, range, "{query} must survive its own spelling");
        }
    }

    #[test]
    fn ranges() {
        let hour = 3_600_000;
        check("", Some((NOW - hour, NOW)));
        check("from=now-6h", Some((NOW - 6 * hour, NOW)));
        check("from=now-2h&to=now-1h", Some((NOW - 2 * hour, NOW - hour)));
        check("from=1000&to=2000", Some((1000, 2000)));
        check("from=1970-01-01T00:00:01Z&to=1970-01-01T01:00:02%2B01:00", Some((1000, 2000)));
        check("from=1970-01-01T00:01&to=1970-01-01+00:02:00", Some((60_000, 120_000)));
        check("from=now&to=now-1h", None);
        check("from=now-", None);
        check("from=now%2B1h", None);
        check("from=yesterday", None);
        check("from=99999999999999999999&to=now", None);
        check("from=-9223372036854775808&to=9223372036854775807", None);
        check("from=now-290y", Some((NOW - 290 * 365 * 24 * hour, NOW)));
    }

    #[test]
    fn a_young_store_shows_its_first_minutes() {
        let from = |oldest| TimeRange::read(&Params::default(), NOW, oldest).unwrap().from.spell();
        let cases =
            [(None, "now-5m"), (Some(NOW - 1000), "now-5m"), (Some(NOW - 600_000), "now-15m"), (Some(0), "now-1h")];
        for (oldest, expected) in cases {
            assert_eq!(from(oldest), expected, "{oldest:?}");
        }
    }

    #[test]
    fn titles() {
        let title = |query| TimeRange::read(&Params::parse(Some(query)), NOW, Some(0)).unwrap().title();
        assert_eq!(title(""), "Last hour");
        assert_eq!(title("from=now-60m"), "Last hour");
        assert_eq!(title("from=now-2h"), "Last 2h");
        assert_eq!(title("from=0&to=60000"), "1970-01-01 00:00 – 1970-01-01 00:01 UTC");
    }
}
