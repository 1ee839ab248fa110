//! Times as dashboards name them: `now-6h`, `now/d`, milliseconds, ISO 8601.

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span as Duration, Timestamp, ToSpan, Zoned};
use thiserror::Error;

use crate::board::Span;
use crate::value::zoned;
use crate::variable::TimeRange;

/// Why a text is no time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no time; write now, now-6h, now/d, milliseconds since 1970 or a date as in 2026-01-31T12:00:00Z")]
pub struct TimeError(pub String);

/// What relative times are relative to.
#[derive(Clone, Debug)]
pub struct Now {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// The zone that days begin in.
    pub zone: TimeZone,
    /// Whether weeks begin on Sunday or Saturday, and not on Monday.
    pub week_start: Option<Weekday>,
}

/// The time from and to. The end of a rounded unit is its last millisecond: `now/d` to `now/d` is today as a whole.
pub fn resolve(span: &Span, now: &Now) -> Result<TimeRange, TimeError> {
    let from_ms = time(&span.from, now, false)?;
    let to_ms = time(&span.to, now, true)?;
    Ok(TimeRange { from_ms, to_ms })
}

/// The time of a panel that has its own: `time_from` up to now in place of the dashboard's, both moved back by
/// `time_shift`. Texts that are no times are as if they were not there, as Grafana shows it.
pub fn panel_range(range: &TimeRange, time_from: &str, time_shift: &str, now: &Now) -> TimeRange {
    let mut range = range.clone();
    if !time_from.is_empty() {
        let from = if time_from.starts_with("now") { time_from.to_owned() } else { format!("now-{time_from}") };
        let span = Span { from, to: if time_from.contains('/') { time_from.to_owned() } else { "now".to_owned() } };
        range = resolve(&span, now).unwrap_or(range);
    }
    if !time_shift.is_empty() {
        let shifted = |time_ms: i64| {
            let at = Now { time_ms, ..now.clone() };
            let shift = time_shift.trim_start_matches("now").trim_start_matches('-');
            time(&format!("now-{shift}"), &at, false)
        };
        if let (Ok(from_ms), Ok(to_ms)) = (shifted(range.from_ms), shifted(range.to_ms)) {
            range = TimeRange { from_ms, to_ms };
        }
    }
    range
}

fn time(text: &str, now: &Now, is_end: bool) -> Result<i64, TimeError> {
    let trimmed = text.trim();
    let found = match trimmed.strip_prefix("now") {
        Some(rest) => relative(rest, now, is_end),
        None => absolute(trimmed, &now.zone),
    };
    found.ok_or_else(|| TimeError(text.to_owned()))
}

fn absolute(text: &str, zone: &TimeZone) -> Option<i64> {
    if let Ok(time_ms) = text.parse::<i64>() {
        // A time that no calendar has has no days either.
        return zoned(time_ms as f64, zone).map(|_| time_ms);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    // Old links have 20261121T120000.
    let civil = text.parse::<DateTime>().ok().or_else(|| DateTime::strptime("%Y%m%dT%H%M%S", text).ok())?;
    Some(civil.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond())
}

/// `-6h`, `+1d/d` and so on, applied one after the other.
fn relative(text: &str, now: &Now, is_end: bool) -> Option<i64> {
    let mut time = zoned(now.time_ms as f64, &now.zone)?;
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        rest = &rest[sign.len_utf8()..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = if digits == 0 { 1 } else { rest[..digits].parse().ok()? };
        rest = &rest[digits..];
        let unit = rest.chars().next()?;
        rest = &rest[unit.len_utf8()..];
        time = match sign {
            '-' => time.checked_sub(duration(count, unit)?).ok()?,
            '+' => time.checked_add(duration(count, unit)?).ok()?,
            '/' if digits == 0 => rounded(&time, unit, now, is_end)?,
            _ => return None,
        };
    }
    Some(time.timestamp().as_millisecond())
}

fn duration(count: i64, unit: char) -> Option<Duration> {
    let span = Duration::new();
    match unit {
        's' => span.try_seconds(count),
        'm' => span.try_minutes(count),
        'h' => span.try_hours(count),
        'd' => span.try_days(count),
        'w' => span.try_weeks(count),
        'M' => span.try_months(count),
        'Q' => span.try_months(count.checked_mul(3)?),
        'y' => span.try_years(count),
        _ => return None,
    }
    .ok()
}

/// The first moment of the unit, or its last one.
fn rounded(time: &Zoned, unit: char, now: &Now, is_end: bool) -> Option<Zoned> {
    let start = start(time, unit, now)?;
    if !is_end {
        return Some(start);
    }
    start.checked_add(duration(1, unit)?).ok()?.checked_sub(1.millisecond()).ok()
}

fn start(time: &Zoned, unit: char, now: &Now) -> Option<Zoned> {
    let day = |date: jiff::civil::Date| date.to_zoned(now.zone.clone()).ok();
    let civil = time.datetime();
    let cut = |minute: i8| {
        let civil = civil.with().minute(minute).second(0).subsec_nanosecond(0).build().ok()?;
        civil.to_zoned(now.zone.clone()).ok()
    };
    match unit {
        's' => time.with().subsec_nanosecond(0).build().ok(),
        'm' => cut(time.minute()),
        'h' => cut(0),
        'd' => day(time.date()),
        'w' => {
            let first = now.week_start.unwrap_or(Weekday::Monday);
            day(time.date().checked_sub(i64::from(time.weekday().since(first)).days()).ok()?)
        }
        'M' => day(time.date().first_of_month()),
        'Q' => day(time.date().with().month((time.month() - 1) / 3 * 3 + 1).day(1).build().ok()?),
        'y' => day(time.date().first_of_year()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::format_time;

    /// Friday, 10 July 2020, 13:45:30.250 in a zone two hours before UTC.
    fn now() -> Now {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        Now { time_ms: 1_594_381_530_250, zone, week_start: None }
    }

    #[test]
    fn times_are_resolved() {
        let check = |text: &str, from: &str, to: &str| {
            let span = Span { from: text.to_owned(), to: text.to_owned() };
            let range = resolve(&span, &now()).unwrap();
            let text = |time_ms: i64| format_time(time_ms as f64, "YYYY-MM-DD HH:mm:ss.SSS", &now().zone);
            assert_eq!((text(range.from_ms), text(range.to_ms)), (from.to_owned(), to.to_owned()));
        };
        let both = |text: &str, time: &str| check(text, time, time);
        both("now", "2020-07-10 13:45:30.250");
        both("now-6h", "2020-07-10 07:45:30.250");
        both("now+90m", "2020-07-10 15:15:30.250");
        both("now-1d-1h", "2020-07-09 12:45:30.250");
        both("now-1M", "2020-06-10 13:45:30.250");
        both("1594381530250", "2020-07-10 13:45:30.250");
        both("2020-07-10T11:45:30.250Z", "2020-07-10 13:45:30.250");
        both("2020-07-10 13:45:30", "2020-07-10 13:45:30.000");
        both("20200710T134530", "2020-07-10 13:45:30.000");
        check("now/d", "2020-07-10 00:00:00.000", "2020-07-10 23:59:59.999");
        check("now-1d/d", "2020-07-09 00:00:00.000", "2020-07-09 23:59:59.999");
        check("now/h", "2020-07-10 13:00:00.000", "2020-07-10 13:59:59.999");
        check("now/m", "2020-07-10 13:45:00.000", "2020-07-10 13:45:59.999");
        check("now/s", "2020-07-10 13:45:30.000", "2020-07-10 13:45:30.999");
        check("now/w", "2020-07-06 00:00:00.000", "2020-07-12 23:59:59.999");
        check("now/M", "2020-07-01 00:00:00.000", "2020-07-31 23:59:59.999");
        check("now/Q", "2020-07-01 00:00:00.000", "2020-09-30 23:59:59.999");
        check("now/y", "2020-01-01 00:00:00.000", "2020-12-31 23:59:59.999");
    }

    #[test]
    fn texts_that_are_no_times_are_refused() {
        for text in [
            "",
            "yesterday",
            "now-",
            "now-5",
            "now-5x",
            "now/5d",
            "now*2h",
            "now-99999999999999999999h",
            "99999999999999999",
            "nowé",
        ] {
            let span = Span { from: text.to_owned(), to: "now".to_owned() };
            assert_eq!(resolve(&span, &now()), Err(TimeError(text.to_owned())));
        }
    }

    #[test]
    fn panels_have_times_of_their_own() {
        let check = |time_from: &str, time_shift: &str, expected: [i64; 2]| {
            let now = Now { time_ms: 10_000_000_000, zone: TimeZone::UTC, week_start: None };
            let range = TimeRange { from_ms: 8_000_000_000, to_ms: 9_000_000_000 };
            let range = panel_range(&range, time_from, time_shift, &now);
            assert_eq!([range.from_ms, range.to_ms], expected, "{time_from} {time_shift}");
        };
        check("", "", [8_000_000_000, 9_000_000_000]);
        check("1h", "", [9_996_400_000, 10_000_000_000]);
        check("now-1h", "", [9_996_400_000, 10_000_000_000]);
        check("now/d", "", [9_936_000_000, 10_022_399_999]);
        check("", "1h", [7_996_400_000, 8_996_400_000]);
        check("1h", "1h", [9_992_800_000, 9_996_400_000]);
        check("soon", "later", [8_000_000_000, 9_000_000_000]);
    }
}
