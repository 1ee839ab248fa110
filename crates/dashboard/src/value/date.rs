//! Points in time as people read them, by Moment's letters, which Grafana's dashboards are written in.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Letters of a format, the longer ones first.
const TOKENS: [&str; 38] = [
    "YYYY", "YY", "MMMM", "MMM", "MM", "Mo", "M", "DDDD", "DDD", "DD", "Do", "D", "dddd", "ddd", "dd", "d", "HH", "H",
    "hh", "h", "mm", "m", "ss", "s", "SSS", "SS", "S", "A", "a", "ZZ", "Z", "X", "x", "Q", "WW", "W", "E", "GGGG",
];

/// Formats that are a word of their own.
const WORDS: [(&str, &str); 6] = [
    ("LLLL", "dddd, MMMM D, YYYY h:mm A"),
    ("LLL", "MMMM D, YYYY h:mm A"),
    ("LTS", "h:mm:ss A"),
    ("LL", "MMMM D, YYYY"),
    ("LT", "h:mm A"),
    ("L", "MM/DD/YYYY"),
];

/// A time of milliseconds since 1970 in a zone. One that no calendar has is `Invalid date`.
pub fn format_time(time_ms: f64, format: &str, zone: &TimeZone) -> String {
    let Some(time) = zoned(time_ms, zone) else { return "Invalid date".to_owned() };
    let mut out = String::with_capacity(format.len() + 8);
    write_time(&mut out, format, &time);
    out
}

/// `2020-07-13T20:19:09.254Z`.
pub(crate) fn iso(time_ms: f64) -> String {
    format!("{}Z", format_time(time_ms, "YYYY-MM-DDTHH:mm:ss.SSS", &TimeZone::UTC))
}

pub(crate) fn zoned(time_ms: f64, zone: &TimeZone) -> Option<Zoned> {
    // A cast of a float saturates, and what it saturates to is no time of any calendar.
    let time = Timestamp::from_millisecond(time_ms.floor() as i64).ok().filter(|_| time_ms.is_finite())?;
    Some(time.to_zoned(zone.clone()))
}

fn write_time(out: &mut String, format: &str, time: &Zoned) {
    let mut rest = format;
    while !rest.is_empty() {
        if let Some((literal, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            out.push_str(literal);
            rest = after;
        } else if let Some((word, meaning)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            write_time(out, meaning, time);
            rest = &rest[word.len()..];
        } else if let Some(token) = TOKENS.iter().find(|token| rest.starts_with(**token)) {
            write_token(out, token, time);
            rest = &rest[token.len()..];
        } else {
            let char = rest.chars().next().unwrap_or_default();
            out.push(char);
            rest = &rest[char.len_utf8()..];
        }
    }
}

fn write_token(out: &mut String, token: &str, time: &Zoned) {
    let hour12 = (time.hour() + 11) % 12 + 1;
    let month = MONTHS[(time.month() as usize).saturating_sub(1).min(11)];
    let day = DAYS[(time.weekday().to_monday_zero_offset() as usize).min(6)];
    let _ = match token {
        "YYYY" | "GGGG" => write!(out, "{:04}", time.year()),
        "YY" => write!(out, "{:02}", time.year().rem_euclid(100)),
        "MMMM" => write!(out, "{month}"),
        "MMM" => write!(out, "{}", &month[..3]),
        "MM" => write!(out, "{:02}", time.month()),
        "M" => write!(out, "{}", time.month()),
        "Mo" => write!(out, "{}", ordinal(i32::from(time.month()))),
        "DDDD" => write!(out, "{:03}", time.day_of_year()),
        "DDD" => write!(out, "{}", time.day_of_year()),
        "DD" => write!(out, "{:02}", time.day()),
        "Do" => write!(out, "{}", ordinal(i32::from(time.day()))),
        "D" => write!(out, "{}", time.day()),
        "dddd" => write!(out, "{day}"),
        "ddd" => write!(out, "{}", &day[..3]),
        "dd" => write!(out, "{}", &day[..2]),
        "d" => write!(out, "{}", time.weekday().to_sunday_zero_offset()),
        "HH" => write!(out, "{:02}", time.hour()),
        "H" => write!(out, "{}", time.hour()),
        "hh" => write!(out, "{hour12:02}"),
        "h" => write!(out, "{hour12}"),
        "mm" => write!(out, "{:02}", time.minute()),
        "m" => write!(out, "{}", time.minute()),
        "ss" => write!(out, "{:02}", time.second()),
        "s" => write!(out, "{}", time.second()),
        "SSS" => write!(out, "{:03}", time.millisecond()),
        "SS" => write!(out, "{:02}", time.millisecond() / 10),
        "S" => write!(out, "{}", time.millisecond() / 100),
        "A" => write!(out, "{}", if time.hour() < 12 { "AM" } else { "PM" }),
        "a" => write!(out, "{}", if time.hour() < 12 { "am" } else { "pm" }),
        "ZZ" => write!(out, "{}", offset(time, "")),
        "Z" => write!(out, "{}", offset(time, ":")),
        "X" => write!(out, "{}", time.timestamp().as_second()),
        "x" => write!(out, "{}", time.timestamp().as_millisecond()),
        "Q" => write!(out, "{}", (time.month() - 1) / 3 + 1),
        "WW" => write!(out, "{:02}", time.date().iso_week_date().week()),
        "W" => write!(out, "{}", time.date().iso_week_date().week()),
        _ => write!(out, "{}", time.weekday().to_monday_one_offset()),
    };
}

fn ordinal(number: i32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn offset(time: &Zoned, between: &str) -> String {
    let seconds = time.offset().seconds();
    let minutes = seconds.abs() / 60;
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60)
}

/// How long ago a time is, or how far it lies ahead, in the roundings of Moment: `2 hours ago`, `in a day`.
pub(crate) fn from_now(time_ms: f64, now_ms: f64) -> String {
    let seconds = ((now_ms - time_ms).abs() / 1_000.0).round();
    let minutes = (seconds / 60.0).round();
    let hours = (seconds / 3_600.0).round();
    let days = (seconds / 86_400.0).round();
    let months = (days / 30.436_875).round();
    let years = (days / 365.242_5).round();
    let text = match () {
        () if seconds < 45.0 => "a few seconds".to_owned(),
        () if minutes <= 1.0 => "a minute".to_owned(),
        () if minutes < 45.0 => format!("{minutes} minutes"),
        () if hours <= 1.0 => "an hour".to_owned(),
        () if hours < 22.0 => format!("{hours} hours"),
        () if days <= 1.0 => "a day".to_owned(),
        () if days < 26.0 => format!("{days} days"),
        () if months <= 1.0 => "a month".to_owned(),
        () if months < 11.0 => format!("{months} months"),
        () if years <= 1.0 => "a year".to_owned(),
        () => format!("{years} years"),
    };
    if now_ms >= time_ms { format!("{text} ago") } else { format!("in {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written() {
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        let check = |format: &str, expected: &str| {
            // Monday, 13 July 2020, 20:19:09.254 UTC.
            assert_eq!(format_time(1_594_671_549_254.0, format, &zone), expected, "{format}");
        };
        check("YYYY-MM-DD HH:mm:ss", "2020-07-13 15:19:09");
        check("MM/DD/YYYY h:mm:ss a", "07/13/2020 3:19:09 pm");
        check("dddd, MMMM Do", "Monday, July 13th");
        check("ddd MMM D YY [at] HH:mm:ss.SSS", "Mon Jul 13 20 at 15:19:09.254");
        check("Z ZZ X x Q W d E", "-05:00 -0500 1594671549 1594671549254 3 29 1 1");
        check("LLL", "July 13, 2020 3:19 PM");
        check("é", "é");
        assert_eq!(format_time(f64::NAN, "YYYY", &zone), "Invalid date");
        assert_eq!(format_time(1e300, "YYYY", &zone), "Invalid date");
        assert_eq!(format_time(-1e18, "YYYY", &zone), "Invalid date");
        assert_eq!(iso(1_594_671_549_254.0), "2020-07-13T20:19:09.254Z");
    }

    #[test]
    fn times_are_told_from_now() {
        let check = |seconds: f64, expected: &str| assert_eq!(from_now(0.0, seconds * 1_000.0), expected, "{seconds}");
        check(10.0, "a few seconds ago");
        check(60.0, "a minute ago");
        check(600.0, "10 minutes ago");
        check(7_200.0, "2 hours ago");
        check(86_400.0, "a day ago");
        check(-86_400.0 * 3.0, "in 3 days");
        check(86_400.0 * 400.0, "a year ago");
    }
}
