//! Floats as Go's `strconv.ParseFloat` reads them, which is how Prometheus reads bounds of buckets, times and limits.

/// Hexadecimal digits of a mantissa that are kept; 53 bits are needed, and whether anything follows them.
const HEX_DIGITS_MAX: u32 = 28;

/// A decimal or hexadecimal float (`0x1.8p3`) with `_` between digits, or a name of infinity or NaN in any case. `None` where
/// Go refuses it, which includes numbers too large for a float and signs before `nan`.
pub fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let value: f64 = text.parse().ok()?;
        return (!value.is_nan() || unsigned.len() == text.len()).then_some(value);
    }
    let value = match unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        Some(rest) => {
            // The prefix counts as a digit where underscores are judged.
            let plain = without_underscores(&format!("0{rest}"), u8::is_ascii_hexdigit)?;
            let size = parse_hex(&plain[1..])?;
            if text.starts_with('-') { -size } else { size }
        }
        None => without_underscores(text, u8::is_ascii_digit)?.parse::<f64>().ok()?,
    };
    value.is_finite().then_some(value)
}

/// The text without its underscores, each of which must stand between two digits.
fn without_underscores(text: &str, is_digit: fn(&u8) -> bool) -> Option<String> {
    let bytes = text.as_bytes();
    let digit_at = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(is_digit);
    let is_misplaced = |i: usize| bytes[i] == b'_' && !(digit_at(i.checked_sub(1)) && digit_at(Some(i + 1)));
    if (0..bytes.len()).any(is_misplaced) { None } else { Some(text.replace('_', "")) }
}

/// `1.8p3`: the mantissa in hexadecimal, the exponent of two in decimal digits, which must be there.
fn parse_hex(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // No mantissa reaches so far that an exponent beyond would make another number.
    let exponent = exponent.parse::<i32>().unwrap_or(if exponent.starts_with('-') { i32::MIN } else { i32::MAX });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (mut bits, mut kept, mut dropped) = (0u128, 0, 0i32);
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u128::from(digit.to_digit(16)?);
        if kept < HEX_DIGITS_MAX {
            bits = bits << 4 | digit;
            kept += u32::from(bits != 0);
        } else {
            bits |= u128::from(digit != 0);
            dropped += 1;
        }
    }
    let shift = i32::try_from(fraction.len()).ok()?.checked_sub(dropped)?.checked_mul(4)?;
    Some(scale(bits as f64, exponent.saturating_sub(shift)))
}

/// `value` times a power of two, in steps that are exact as long as the result is.
fn scale(mut value: f64, mut exponent: i32) -> f64 {
    const STEP: i32 = 512;
    while value != 0.0 && value.is_finite() && exponent != 0 {
        let step = exponent.clamp(-STEP, STEP);
        value *= 2f64.powi(step);
        exponent -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_them() {
        let cases = [
            ("1", Some(1.0)),
            ("-1.5e-3", Some(-0.0015)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1_000", Some(1000.0)),
            ("1e1_0", Some(1e10)),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("1_.5", None),
            ("1e400", None),
            ("-1e400", None),
            ("1e-400", Some(0.0)),
            ("Inf", Some(f64::INFINITY)),
            ("+inF", Some(f64::INFINITY)),
            ("-infinity", Some(f64::NEG_INFINITY)),
            ("infin", None),
            ("+nan", None),
            ("0x10p2", Some(64.0)),
            ("-0X1.8p1", Some(-3.0)),
            ("0x_1p-2", Some(0.25)),
            ("0x.8P+1", Some(1.0)),
            ("0x0p99999999999", Some(0.0)),
            ("0x1p-1074", Some(5e-324)),
            ("0x1.00000000000008p0", Some(1.0)),
            ("0x1.000000000000080000000000000000000000000001p0", Some(1.000_000_000_000_000_2)),
            ("0x1p1024", None),
            ("0x1p99999999999", None),
            ("0x10", None),
            ("0xp1", None),
            ("0x1p", None),
            ("0x1p1_0", Some(1024.0)),
            ("", None),
            ("-", None),
            ("+-1", None),
            ("-0x-1p1", None),
            (".", None),
            ("5m", None),
            ("1 ", None),
            ("é", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_float(text), expected, "{text}");
        }
        assert!(parse_float("nAn").is_some_and(f64::is_nan));
    }
}
