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
    if let Some(value) = parse_short(text.as_bytes()) {
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

/// Powers of ten that are exact in a float.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Digits, with a point and an exponent at most, that make an exact number and an exact power of ten: their product or
/// quotient is rounded once, so that it is the nearest float (Clinger 1990). Nearly all of every page is such; the rest,
/// signs and names too, is left to the library.
fn parse_short(text: &[u8]) -> Option<f64> {
    let (mantissa, digits, rest) = take_digits(0, text);
    let (mantissa, decimals, rest) = match rest {
        [b'.', fraction @ ..] => take_digits(mantissa, fraction),
        _ => (mantissa, 0, rest),
    };
    // None has more than nineteen, so that nothing has run over.
    if !(1..=19).contains(&(digits + decimals)) || mantissa > 1 << 53 {
        return None;
    }
    let power = take_exponent(rest)? - decimals as i32;
    let scale = *POWERS.get(power.unsigned_abs() as usize)?;
    Some(if power < 0 { mantissa as f64 / scale } else { mantissa as f64 * scale })
}

/// Digits behind those of a number: the number with them, how many they are, and what follows them.
fn take_digits(number: u64, text: &[u8]) -> (u64, usize, &[u8]) {
    let mut number = number;
    for (at, byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (number, at, &text[at..]);
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    (number, text.len(), &[])
}

/// Nothing, or an exponent of one or two digits.
fn take_exponent(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [] => return Some(0),
        [b'e' | b'E', b'-', digits @ ..] => (-1, digits),
        [b'e' | b'E', b'+', digits @ ..] | [b'e' | b'E', digits @ ..] => (1, digits),
        _ => return None,
    };
    match take_digits(0, digits) {
        (exponent, 1..=2, []) => Some(sign * exponent as i32),
        _ => None,
    }
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
        fn short_numbers_are_as_the_library_reads_them(
            text in "[0-9]{0,22}\\.?[0-9]{0,22}([eE][+-]?[0-9]{0,3})?",
        ) {
            if let Some(value) = parse_short(text.as_bytes()) {
                proptest::prop_assert_eq!(Ok(value.to_bits()), text.parse().map(f64::to_bits), "{}", text);
            }
        }

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
