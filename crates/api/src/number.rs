//! Numbers as Go's `strconv` prints and reads them, which is how Prometheus' JSON does.

/// Below this a sample value is printed with an exponent.
const PLAIN_MIN: f64 = 1e-6;
/// From here on a sample value is printed with an exponent.
const PLAIN_MAX: f64 = 1e21;
/// Integers below it are exact in an `f64` and are printed as such.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Sizes that ryu surely writes without an exponent.
const RYU_PLAIN: std::ops::Range<f64> = 1e-5..1e16;

/// The numbers from 0 to 99 in two digits each.
const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// A sample's value: plain, but with an exponent where it is very small or very large.
pub(crate) fn push_value(out: &mut Vec<u8>, value: f64) {
    let size = value.abs();
    if value.is_finite() && size != 0.0 && !(PLAIN_MIN..PLAIN_MAX).contains(&size) {
        push_exponent(out, value);
    } else {
        push_plain(out, value);
    }
}

/// Format `f` with the fewest digits that name the number: `0.000001`, `1000000000000000000000`, `+Inf`.
pub(crate) fn push_plain(out: &mut Vec<u8>, value: f64) {
    if push_special(out, value) {
        return;
    }
    if value.abs() < EXACT_INTEGER_MAX && value.fract() == 0.0 && (value != 0.0 || value.is_sign_positive()) {
        push_integer(out, value as i64);
        return;
    }
    if !RYU_PLAIN.contains(&value.abs()) {
        // Rare, so that the slower way of the standard library does.
        out.extend_from_slice(value.to_string().as_bytes());
        return;
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

/// Format `e` with the fewest digits that name the number and an exponent of at least two: `4.2e+01`.
pub(crate) fn push_exponent(out: &mut Vec<u8>, value: f64) {
    if push_special(out, value) {
        return;
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    out.extend_from_slice(format!("{digits}e{sign}{exponent:0>2}").as_bytes());
}

/// A float as a bare JSON number, for durations in seconds and times of scalars.
pub(crate) fn push_json(out: &mut Vec<u8>, value: f64) {
    let mut text = Vec::new();
    push_value(&mut text, value);
    // Go's JSON cuts the leading zero of a negative exponent: `1e-7`, not `1e-07`.
    let length = text.len();
    if length >= 4 && text[length - 4..length - 1] == *b"e-0" {
        text.remove(length - 2);
    }
    out.extend_from_slice(&text);
}

/// A decimal integer.
pub(crate) fn push_integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    while rest >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&DIGIT_PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + rest as u8;
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

fn push_special(out: &mut Vec<u8>, value: f64) -> bool {
    let text: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value == f64::INFINITY {
        b"+Inf"
    } else if value == f64::NEG_INFINITY {
        b"-Inf"
    } else {
        return false;
    };
    out.extend_from_slice(text);
    true
}

/// A float to an integer as Go does it on amd64: what does not fit is the least integer.
pub(crate) fn go_integer(value: f64) -> i64 {
    let fits = value >= i64::MIN as f64 && value < i64::MAX as f64;
    if fits { value as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: fn(&mut Vec<u8>, f64), value: f64, expected: &str) {
        let mut out = Vec::new();
        write(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{value:e}");
    }

    #[test]
    fn values() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (1e-6, "0.000001"),
            (1e-7, "1e-07"),
            (-1.5e-7, "-1.5e-07"),
            (1e21, "1e+21"),
            (-1e21, "-1e+21"),
            (1e20, "100000000000000000000"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.5e-5, "0.000015"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (-42.0, "-42"),
        ];
        for (value, expected) in cases {
            check(push_value, value, expected);
        }
    }

    #[test]
    fn plain_and_exponent() {
        check(push_plain, 1e30, "1000000000000000000000000000000");
        check(push_plain, 1e-30, "0.000000000000000000000000000001");
        check(push_exponent, 42.0, "4.2e+01");
        check(push_exponent, 0.0, "0e+00");
        check(push_exponent, 4.2e10, "4.2e+10");
        check(push_exponent, 1e-100, "1e-100");
        check(push_json, 1.5e-7, "1.5e-7");
        check(push_json, 0.000_183_752, "0.000183752");
        check(push_json, 1e-10, "1e-10");
    }

    #[test]
    fn integers() {
        assert_eq!(go_integer(f64::NAN), i64::MIN);
        assert_eq!(go_integer(1e30), i64::MIN);
        assert_eq!(go_integer(-1.9), -1);
    }

    proptest::proptest! {
        #[test]
        fn numbers_come_back(bits: u64) {
            let value = f64::from_bits(bits);
            let mut out = Vec::new();
            push_value(&mut out, value);
            let back: f64 = String::from_utf8(out).unwrap().parse().unwrap();
            proptest::prop_assert!(back.to_bits() == bits || value.is_nan());
        }
    }
}
