//! What plain scalars mean: numbers and truth values in the spellings of YAML 1.1, as Go's reader takes them.

/// A number as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// Whole, of 64 bits with or without sign.
    Whole(i128),
    /// With a fraction, an exponent, or too large to be whole.
    Real(f64),
}

/// Reads a number: decimal, `0x`, `0o`, `0b` or with a leading 0 for octal, `_` between digits, or a fraction.
pub(crate) fn number(text: &str) -> Option<Number> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    if let Some(size) = whole(digits) {
        let value = if negative { -size } else { size };
        if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) {
            return Some(Number::Whole(value));
        }
    }
    match digits {
        ".inf" | ".Inf" | ".INF" => Some(Number::Real(if negative { f64::NEG_INFINITY } else { f64::INFINITY })),
        ".nan" | ".NaN" | ".NAN" if plain == digits => Some(Number::Real(f64::NAN)),
        _ => real(digits).map(|value| Number::Real(if negative { -value } else { value })),
    }
}

fn whole(digits: &str) -> Option<i128> {
    let radix = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (digits, base) = if let Some(rest) = radix(["0x", "0X"]) {
        (rest, 16)
    } else if let Some(rest) = radix(["0o", "0O"]) {
        (rest, 8)
    } else if let Some(rest) = radix(["0b", "0B"]) {
        (rest, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (&digits[1..], 8)
    } else {
        (digits, 10)
    };
    let unsigned = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    unsigned.then(|| i128::from_str_radix(digits, base).ok()).flatten()
}

/// Digits, a point among or before them, an exponent.
fn real(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = is_digits(whole) && is_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && is_digits(e)
    });
    (digits && exponent).then(|| text.parse().ok()).flatten()
}

/// Reads a truth value.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_reads_them() {
        let check = |text: &str, expected: Option<Number>| assert_eq!(number(text), expected, "{text}");
        let whole = |value| Some(Number::Whole(value));
        let real = |value| Some(Number::Real(value));
        check("0", whole(0));
        check("-5", whole(-5));
        check("+1_000", whole(1000));
        check("0x1F", whole(31));
        check("010", whole(8));
        check("0o10", whole(8));
        check("-0b11", whole(-3));
        check("18446744073709551615", whole(i128::from(u64::MAX)));
        check("18446744073709551616", real(18446744073709551616.0));
        check("08", real(8.0));
        check("1.", real(1.0));
        check(".5", real(0.5));
        check("-1e3", real(-1000.0));
        check("-.inf", real(f64::NEG_INFINITY));
        for text in ["", "-", "0b2", "1e", ".", "1:2", "x", "--1", "1.2.3", "0x", "é", "-.nan"] {
            check(text, None);
        }
    }
}
