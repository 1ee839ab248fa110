//! Numbers and durations as PromQL writes them.

use model::parse_duration;

/// 2^63 ns in seconds: Go's `time.Duration` ends there, so Prometheus refuses longer durations.
const DURATION_SECONDS_MAX: f64 = 9_223_372_036.854_776;

/// Reads the text of a number or of a duration, the latter in seconds.
pub(super) fn parse_number_or_duration(text: &str, duration: bool) -> Result<f64, String> {
    if duration {
        return parse_duration_millis(text).map(|millis| millis as f64 / 1e3);
    }
    parse_number(text).map_err(|e| format!("error parsing number: {e}"))
}

/// Reads a number token: decimal, `0x` hexadecimal, octal with a leading zero, underscores between digits, `Inf`, `NaN`.
/// Errors are worded as Go's.
fn parse_number(text: &str) -> Result<f64, String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    if !separates_digits(&lower) {
        return Err(format!("strconv.ParseFloat: parsing \"{text}\": invalid syntax"));
    }
    let digits = lower.replace('_', "");
    if let Some(hex) = digits.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16)
            .map(|n| n as f64)
            .map_err(|_| format!("strconv.ParseFloat: parsing \"{text}\": invalid syntax"));
    }
    let octal = digits.strip_prefix('0').and_then(|octal| i64::from_str_radix(octal, 8).ok());
    if let Some(n) = octal {
        return Ok(n as f64);
    }
    // An exact integer is read as one first, as upstream does; both ways give the nearest double.
    let number: f64 = digits.parse().map_err(|_| format!("strconv.ParseFloat: parsing \"{text}\": invalid syntax"))?;
    if number.is_infinite() {
        return Err(format!("strconv.ParseFloat: parsing \"{text}\": value out of range"));
    }
    Ok(number)
}

/// Whether each underscore stands between digits, or behind `0x`.
fn separates_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |place: Option<usize>| place.and_then(|place| bytes.get(place)).is_some_and(u8::is_ascii_hexdigit);
    let separates = |i: usize| (is_digit(i.checked_sub(1)) || text[..i] == *"0x") && is_digit(Some(i + 1));
    (0..bytes.len()).filter(|i| bytes[*i] == b'_').all(separates)
}

/// Reads a duration token such as `1h30m`, in milliseconds.
fn parse_duration_millis(text: &str) -> Result<i64, String> {
    let duration = parse_duration(text).map_err(|e| e.to_string())?;
    i64::try_from(duration.as_millis()).map_err(|_| "duration out of range".to_owned())
}

/// What NaN seconds are: upstream does not look for it, so that it becomes the smallest duration, which has no opposite.
pub(super) const OF_NAN: i64 = i64::MIN / 1_000_000;

/// Seconds to milliseconds by way of nanoseconds, as upstream rounds them.
pub(super) fn seconds_to_millis(seconds: f64) -> Result<i64, String> {
    if seconds.is_nan() {
        return Ok(OF_NAN);
    }
    if seconds.abs() > DURATION_SECONDS_MAX {
        return Err("duration out of range".to_owned());
    }
    Ok((seconds * 1e9).round() as i64 / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases = [
            ("1_000.5", Some(1000.5)),
            ("1_0e3", Some(10_000.0)),
            ("010", Some(8.0)),
            ("08", Some(8.0)),
            ("0x1F", Some(31.0)),
            ("0x_1f", Some(31.0)),
            ("1.e5", Some(100_000.0)),
            (".5", Some(0.5)),
            ("iNf", Some(f64::INFINITY)),
            ("0x", None),
            ("1e400", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_number(text).ok(), expected, "{text}");
        }
    }
}
