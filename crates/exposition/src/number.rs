//! Floats as Go reads and prints them, which is what every exporter and Prometheus itself use.

use std::fmt::Write;

/// Go's shortest format prints plainly below this exponent of ten, and as `1e+06` from it on.
const EXPONENT_PLAIN_END: i32 = 6;

/// The exponent below which Go prints `1e-05` rather than zeros.
const EXPONENT_PLAIN_START: i32 = -4;

/// A buffer on the stack: shortest digits of a float are at most 17, with sign, point and exponent 24.
const DIGITS_SIZE_MAX: usize = 32;

/// Reads a value as Prometheus does: what Go's `ParseFloat` takes, without hexadecimal and underscores. `None` where
/// it refuses, which includes numbers too large for a float.
pub fn parse_float(text: &str) -> Option<f64> {
    if let Some(value) = parse_small_integer(text.as_bytes()) {
        return Some(value);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let named = unsigned.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    let value: f64 = text.parse().ok()?;
    match value {
        // Go knows no sign before `nan`, and a number that overflows is an error there.
        _ if value.is_nan() => (unsigned.len() == text.len()).then_some(f64::from_bits(NORMAL_NAN_BITS)),
        _ if value.is_infinite() && !named => None,
        _ => Some(value),
    }
}

/// The NaN that Prometheus stores for any NaN of a page, so that no page can write a staleness marker.
const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The value as it is stored.
pub(crate) fn normal(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(NORMAL_NAN_BITS) } else { value }
}

/// Integers below 10^15 are exact in a float and the bulk of every page.
fn parse_small_integer(digits: &[u8]) -> Option<f64> {
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let mut value = 0u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value as f64)
}

/// Appends a value as the text format of Prometheus' clients writes it: shortest digits, `1e+06` from seven digits
/// before the point on, `NaN`, `+Inf`, `-Inf`.
pub fn format_float(value: f64, into: &mut String) {
    match value {
        _ if value == 0.0 => into.push('0'),
        _ if value.is_nan() => into.push_str("NaN"),
        f64::INFINITY => into.push_str("+Inf"),
        f64::NEG_INFINITY => into.push_str("-Inf"),
        _ => push_shortest(value, into),
    }
}

/// As [`format_float`], with `.0` after a whole number: the form that bucket bounds and quantiles get in the store.
pub fn format_float_with_point(value: f64, into: &mut String) {
    let start = into.len();
    format_float(value, into);
    if into[start..].bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        into.push_str(".0");
    }
}

/// Turns Rust's `-1.25e-7` into Go's spelling.
fn push_shortest(value: f64, into: &mut String) {
    let mut scratch = Digits::default();
    // Writing to the buffer fails only when it is too small, which no float reaches.
    let _ = write!(scratch, "{value:e}");
    let text = scratch.as_str();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (EXPONENT_PLAIN_START..EXPONENT_PLAIN_END).contains(&exponent) {
        let _ = write!(into, "{value}");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(into, "{mantissa}e{sign}{:02}", exponent.abs());
    }
}

#[derive(Default)]
struct Digits {
    bytes: [u8; DIGITS_SIZE_MAX],
    len: usize,
}

impl Digits {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(parse_float(text).map(f64::to_bits), expected.map(f64::to_bits), "{text:?}");
        };
        check("0", Some(0.0));
        check("-0", Some(-0.0));
        check("1", Some(1.0));
        check("+1", Some(1.0));
        check(".5", Some(0.5));
        check("5.", Some(5.0));
        check("1e-5", Some(1e-5));
        check("1E+06", Some(1e6));
        check("999999999999999", Some(999_999_999_999_999.0));
        check("123456789012345678", Some(123_456_789_012_345_680.0));
        check("4.9e-324", Some(5e-324));
        check("1e-400", Some(0.0));
        check("Inf", Some(f64::INFINITY));
        check("+inf", Some(f64::INFINITY));
        check("-INFINITY", Some(f64::NEG_INFINITY));
        check("NaN", Some(f64::from_bits(NORMAL_NAN_BITS)));
        check("nan", Some(f64::from_bits(NORMAL_NAN_BITS)));
        for refused in [
            "", "+", "-", ".", "e5", "1e", "1_000", "0x1p4", "0x10", "1e400", "-1e400", "+NaN", "-nan", "infin", "1 ",
            " 1", "1,5", "--1", "１",
        ] {
            check(refused, None);
        }
    }

    #[test]
    fn prints_as_go_prints() {
        let check = |value: f64, expected: &str| {
            let mut text = String::new();
            format_float(value, &mut text);
            assert_eq!(text, expected, "{value:e}");
        };
        check(0.0, "0");
        check(-0.0, "0");
        check(1.0, "1");
        check(-1.0, "-1");
        check(0.1, "0.1");
        check(100_000.0, "100000");
        check(999_999.0, "999999");
        check(1_000_000.0, "1e+06");
        check(1_234_567.0, "1.234567e+06");
        check(-123_456_789.25, "-1.2345678925e+08");
        check(1e21, "1e+21");
        check(1e100, "1e+100");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(-0.000_012_5, "-1.25e-05");
        check(5e-324, "5e-324");
        check(f64::MAX, "1.7976931348623157e+308");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn prints_bounds_with_a_point() {
        let check = |value: f64, expected: &str| {
            let mut text = String::new();
            format_float_with_point(value, &mut text);
            assert_eq!(text, expected);
        };
        check(1.0, "1.0");
        check(0.0, "0.0");
        check(-1.0, "-1.0");
        check(0.5, "0.5");
        check(1e6, "1e+06");
        check(f64::INFINITY, "+Inf");
        check(f64::NAN, "NaN");
    }

    proptest::proptest! {
        #[test]
        fn printed_floats_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            let mut text = String::new();
            format_float(value, &mut text);
            let back = parse_float(&text);
            proptest::prop_assert!(back == Some(value) || value.is_nan() && back.is_some_and(f64::is_nan));
        }
    }
}
