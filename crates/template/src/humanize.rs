//! Numbers for people, as Prometheus' templates spell them.

use jiff::Timestamp;
use model::parse_float;

use crate::format::format;
use crate::{CallError, Value};

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// A number from what a template has: numbers and texts that spell one.
pub(crate) fn to_float(value: &Value) -> Result<f64, CallError> {
    match value {
        Value::Float(f) => Ok(*f),
        Value::Int(i) => Ok(*i as f64),
        Value::Duration(nanoseconds) => Ok(*nanoseconds as f64 / 1e9),
        Value::String(text) => parse_float(text).ok_or_else(|| {
            CallError::Failed(format!("strconv.ParseFloat: parsing {}: invalid syntax", crate::format::go_quote(text)))
        }),
        other => Err(CallError::Failed(format!("can't convert {} to float", other.type_name()))),
    }
}

fn digits(value: f64) -> String {
    format("%.4g", &[Value::Float(value)])
}

fn scaled(mut value: f64, prefixes: [&'static str; 8], base: f64) -> String {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    format!("{}{prefix}", digits(value))
}

fn scaled_down(mut value: f64) -> String {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    format!("{}{prefix}", digits(value))
}

/// With metric prefixes.
pub(crate) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return digits(value);
    }
    if value.abs() >= 1.0 { scaled(value, LARGE, 1000.0) } else { scaled_down(value) }
}

/// With binary prefixes.
pub(crate) fn humanize1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return digits(value);
    }
    scaled(value, LARGE_BINARY, 1024.0)
}

/// Seconds as days, hours, minutes and seconds.
pub(crate) fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return digits(value);
    }
    if value == 0.0 {
        return format!("{}s", digits(value));
    }
    if value.abs() < 1.0 {
        return format!("{}s", scaled_down(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    let whole = value as i64;
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", digits(value)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// A ratio in percent.
pub(crate) fn humanize_percentage(value: f64) -> String {
    format!("{}%", digits(value * 100.0))
}

/// Seconds since 1970 as a time, in UTC, to the millisecond.
pub(crate) fn humanize_timestamp(value: f64) -> Result<String, CallError> {
    if !value.is_finite() {
        return Ok(digits(value));
    }
    let nanos = value * 1e9;
    let overflow = || {
        let shown = crate::number::general(value, None);
        CallError::Failed(format!("{shown} cannot be represented as a nanoseconds timestamp since it overflows int64"))
    };
    if nanos > i64::MAX as f64 || nanos < i64::MIN as f64 {
        return Err(overflow());
    }
    show_time((nanos as i64) / 1_000_000).ok_or_else(overflow)
}

/// Go's way to print a time: the fraction without trailing zeros.
pub(crate) fn show_time(millis: i64) -> Option<String> {
    let time = Timestamp::from_millisecond(millis).ok()?;
    let fraction = format!("{:03}", millis.rem_euclid(1000));
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{}{dot}{fraction} +0000 UTC", time.strftime("%Y-%m-%d %H:%M:%S")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_as_prometheus_does() {
        let check = |got: String, expected: &str| assert_eq!(got, expected);
        check(humanize(0.0), "0");
        check(humanize(1_234_567.0), "1.235M");
        check(humanize(0.00012), "120u");
        check(humanize(f64::INFINITY), "+Inf");
        check(humanize(-999.96), "-1000");
        check(humanize1024(1024.0 * 1024.0 * 2.5), "2.5Mi");
        check(humanize1024(1.0), "1");
        check(humanize_duration(0.0), "0s");
        check(humanize_duration(0.0125), "12.5ms");
        check(humanize_duration(59.9), "59.9s");
        check(humanize_duration(-90_061.0), "-1d 1h 1m 1s");
        check(humanize_duration(3600.5), "1h 0m 0s");
        check(humanize_percentage(0.1234567), "12.35%");
        check(humanize_timestamp(1_435_065_584.128).unwrap(), "2015-06-23 13:19:44.128 +0000 UTC");
        check(humanize_timestamp(0.0).unwrap(), "1970-01-01 00:00:00 +0000 UTC");
        assert!(humanize_timestamp(1e300).is_err());
    }
}
