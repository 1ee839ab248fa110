//! Times and durations of parameters, and times of answers.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime, Time};
use model::{Timestamp, parse_duration, parse_float};
use promql::quote;

use crate::number::go_integer;

const NANOS: i64 = 1_000_000_000;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// The bounds that Prometheus' clients send for "since ever" and "for ever", and their seconds.
const EARLIEST: (&str, i64) = ("-292273086-05-16T16:47:06Z", i64::MIN / 1000 + 62_135_596_801);
const LATEST: (&str, i64) = ("292277025-08-18T07:12:54.999999999Z", i64::MAX / 1000 - 62_135_596_801);

/// A point in time as a parameter names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    seconds: i64,
    /// 0 to 999,999,999.
    nanos: i64,
}

/// Go counts from the year 1; seconds near the ends of 64 bits wrap on the way there, and compare as they come out.
const SECONDS_FROM_YEAR_1: i64 = 62_135_596_800;

impl PartialOrd for Instant {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Instant {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.seconds_in_go(), self.nanos).cmp(&(other.seconds_in_go(), other.nanos))
    }
}

impl Instant {
    /// The earliest time a parameter can name.
    pub(crate) const EARLIEST: Self = Self { seconds: EARLIEST.1, nanos: 0 };
    /// The latest time a parameter can name.
    pub(crate) const LATEST: Self = Self { seconds: LATEST.1, nanos: NANOS - 1 };

    /// A time of the store.
    pub(crate) fn from_millis(millis: Timestamp) -> Self {
        Self { seconds: millis.div_euclid(1000), nanos: millis.rem_euclid(1000) * 1_000_000 }
    }

    /// Unix seconds with fraction, rounded to milliseconds, or RFC 3339.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(float) = parse_float(text) {
            let (whole, fraction) = (float.trunc(), float.fract());
            let fraction = (fraction * 1000.0).round() / 1000.0;
            return Some(Self::normal(go_integer(whole), go_integer(fraction * NANOS as f64)));
        }
        if text == EARLIEST.0 {
            return Some(Self::EARLIEST);
        }
        if text == LATEST.0 {
            return Some(Self::LATEST);
        }
        parse_rfc3339(text)
    }

    fn normal(seconds: i64, nanos: i64) -> Self {
        Self { seconds: seconds.wrapping_add(nanos.div_euclid(NANOS)), nanos: nanos.rem_euclid(NANOS) }
    }

    /// Milliseconds for a selection, rounded down; beyond what 64 bits hold, the nearest bound.
    pub(crate) fn millis(self) -> Timestamp {
        self.seconds.saturating_mul(1000).saturating_add(self.nanos / 1_000_000)
    }

    /// Milliseconds of an evaluation. Prometheus goes through nanoseconds in 64 bits, which wrap outside the years
    /// 1678 to 2262, and rounds towards 1970.
    pub(crate) fn evaluation_millis(self) -> Timestamp {
        self.seconds.wrapping_mul(NANOS).wrapping_add(self.nanos) / 1_000_000
    }

    fn seconds_in_go(self) -> i64 {
        self.seconds.wrapping_add(SECONDS_FROM_YEAR_1)
    }

    /// Nanoseconds from `earlier` to here, at most what 64 bits hold.
    pub(crate) fn nanos_since(self, earlier: Self) -> i64 {
        let seconds = i128::from(self.seconds_in_go()) - i128::from(earlier.seconds_in_go());
        let nanos = seconds * i128::from(NANOS) + i128::from(self.nanos - earlier.nanos);
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }
}

/// `2020-01-01T00:00:00.5+02:00`, as strictly as Go reads it.
fn parse_rfc3339(text: &str) -> Option<Instant> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let bytes = date_time.as_bytes();
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if punctuation.iter().any(|&(i, wanted)| bytes[i] != wanted) {
        return None;
    }
    let year = i16::try_from(digits(&date_time[..4])?).ok()?;
    let part = |at: usize| digits(&date_time[at..at + 2]).and_then(|n| i8::try_from(n).ok());
    let date = Date::new(year, part(5)?, part(8)?).ok()?;
    let time = Time::new(part(11)?, part(14)?, part(17)?, 0).ok()?;
    let (nanos, zone) = split_fraction(rest)?;
    // The last two days of the year 9999 lie behind what the library's instants reach.
    let seconds = date.to_datetime(time).duration_since(EPOCH).as_secs();
    Some(Instant { seconds: seconds - zone_seconds(zone)?, nanos })
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Nanoseconds of `.5` or `,5`, and what follows.
fn split_fraction(text: &str) -> Option<(i64, &str)> {
    let Some(fraction) = text.strip_prefix(['.', ',']) else { return Some((0, text)) };
    let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, zone) = fraction.split_at(length);
    let nanos = digits(&format!("{:0<9}", &fraction[..length.min(9)]))?;
    (length > 0).then_some((nanos, zone))
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let valid = hours.len() == 2 && minutes.len() == 2;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    // Go takes zones of a whole day, and of a whole hour of minutes.
    (valid && hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A duration in nanoseconds: a float of seconds, or `5m`. Errors: Prometheus' text.
pub(crate) fn parse_nanos(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_float(text) {
        let nanos = seconds * NANOS as f64;
        if nanos > i64::MAX as f64 || nanos < i64::MIN as f64 {
            return Err(format!("cannot parse {} to a valid duration. It overflows int64", quote(text.as_bytes())));
        }
        return Ok(go_integer(nanos));
    }
    let duration =
        parse_duration(text).map_err(|_| format!("cannot parse {} to a valid duration", quote(text.as_bytes())))?;
    Ok(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

/// RFC 3339 in UTC, without trailing zeros; the year 1 where there is no time, as Go prints its zero time.
pub(crate) fn format_time(millis: Option<Timestamp>) -> String {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    let timestamp = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    timestamp.map_or_else(|| NEVER.to_owned(), |timestamp| timestamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let cases = [
            ("0", Some(0)),
            ("1.0006", Some(1001)),
            ("1.0005", Some(1000)),
            ("-1.5", Some(-1500)),
            ("1_000", Some(1_000_000)),
            ("1e30", Some(0)),
            ("NaN", Some(-9_223_372_036_854)),
            ("Inf", Some(-9_223_372_036_854)),
            ("2020-01-01T00:00:00Z", Some(1_577_836_800_000)),
            ("2020-01-01T00:00:00.123456789+02:00", Some(1_577_829_600_123)),
            ("2020-01-01T00:00:00-00:30", Some(1_577_838_600_000)),
            ("2020-01-01T00:00:00,5Z", Some(1_577_836_800_500)),
            ("-292273086-05-16T16:47:06Z", Some(6_795_364_580_679)),
            ("292277025-08-18T07:12:54.999999999Z", Some(-6_795_364_579_679)),
            ("2020-01-01t00:00:00z", None),
            ("2020-01-01 00:00:00Z", None),
            ("2020-13-01T00:00:00Z", None),
            ("2020-02-30T00:00:00Z", None),
            ("2020-01-01T24:00:00Z", None),
            ("2020-01-01T00:00:60Z", None),
            ("2020-01-01T00:00:00", None),
            ("2020-01-01T00:00:00.Z", None),
            ("2020-01-01T00:00:00+24:00", Some(1_577_750_400_000)),
            ("2020-01-01T00:00:00+25:00", None),
            ("2020-01-01T00:00:00+00:60", Some(1_577_833_200_000)),
            ("2020-01-01T00:00:00+00:61", None),
            ("0000-01-01T00:00:00Z", Some(-6_826_986_978_871)),
            ("9999-12-31T23:59:59Z", Some(-4_852_116_232_933)),
            ("2020-01-01", None),
            ("now", None),
            ("", None),
            ("2020-01-01T00:00:0é", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Instant::parse(text).map(Instant::evaluation_millis), expected, "{text}");
        }
    }

    #[test]
    fn selection_bounds() {
        assert!(Instant::EARLIEST.millis() < -9_000_000_000_000_000_000);
        assert!(Instant::LATEST.millis() > 9_000_000_000_000_000_000);
        assert_eq!(Instant::LATEST.nanos_since(Instant::EARLIEST), i64::MAX);
        assert_eq!(Instant::from_millis(-1).millis(), -1);
    }

    #[test]
    fn durations() {
        let overflow = "cannot parse \"1e300\" to a valid duration. It overflows int64";
        let cases = [
            ("15", Ok(15 * NANOS)),
            ("0.5", Ok(NANOS / 2)),
            ("5m", Ok(300 * NANOS)),
            ("-1", Ok(-NANOS)),
            ("1e300", Err(overflow)),
            ("1h1", Err("cannot parse \"1h1\" to a valid duration")),
            ("", Err("cannot parse \"\" to a valid duration")),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_nanos(text), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn formats() {
        assert_eq!(format_time(None), "0001-01-01T00:00:00Z");
        assert_eq!(format_time(Some(1_795_217_418_890)), "2026-11-20T23:30:18.89Z");
        assert_eq!(format_time(Some(0)), "1970-01-01T00:00:00Z");
    }
}
