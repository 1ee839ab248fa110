//! Numbers as Go's strconv writes them.

/// More digits of a double are all zeros; Rust's own formatting takes no more than 65,535.
const DIGITS_MAX: usize = 1100;

/// `%e`: `1.5e+06`. `None` is as many digits as tell the number apart.
pub(crate) fn exponent(value: f64, precision: Option<usize>) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let text = match precision {
        Some(precision) => format!("{value:.*e}", precision.min(DIGITS_MAX)),
        None => format!("{value:e}"),
    };
    let zeros = zeros(precision);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, size) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
    format!("{digits}{zeros}e{sign}{size:0>2}")
}

/// `%f`.
pub(crate) fn fixed(value: f64, precision: Option<usize>) -> String {
    match (special(value), precision) {
        (Some(text), _) => text,
        (None, Some(precision)) => format!("{value:.*}{}", precision.min(DIGITS_MAX), zeros(Some(precision))),
        (None, None) => format!("{value}"),
    }
}

/// `%g`: the shorter of the two, without trailing zeros.
pub(crate) fn general(value: f64, precision: Option<usize>) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = match precision {
        Some(precision) => format!("{value:.*e}", (precision.max(1) - 1).min(DIGITS_MAX)),
        None => format!("{value:e}"),
    };
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() - trailing_zeros(mantissa);
    let threshold = match precision {
        // As many digits as needed, yet the choice falls as if there were 6.
        None => 6,
        Some(precision) => {
            let precision = precision.max(1) as i32;
            if precision > digits as i32 && digits as i32 > power { digits as i32 } else { precision }
        }
    };
    if power < -4 || power >= threshold {
        return exponent(value, Some(digits - 1));
    }
    fixed(value, Some((digits as i32 - 1 - power).max(0) as usize)).to_owned()
}

/// The digits of a precision that Rust was not asked for.
fn zeros(precision: Option<usize>) -> String {
    "0".repeat(precision.unwrap_or(0).saturating_sub(DIGITS_MAX))
}

fn trailing_zeros(mantissa: &str) -> usize {
    let fraction = mantissa.split_once('.').map_or("", |(_, fraction)| fraction);
    fraction.len() - fraction.trim_end_matches('0').len()
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        return Some("NaN".to_owned());
    }
    value.is_infinite().then(|| if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_go_does() {
        let check = |value: f64, precision, expected: &str| assert_eq!(general(value, precision), expected, "{value}");
        for (value, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (100.0, "100"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (2e9, "2e+09"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
        ] {
            check(value, None, text);
        }
        check(f64::INFINITY, None, "+Inf");
        check(f64::NAN, None, "NaN");
        for (value, text) in [
            (1000.0, "1000"),
            (12340.0, "1.234e+04"),
            (1.0 / 3.0, "0.3333"),
            (99.995, "100"),
            (99999.0, "1e+05"),
            (12.0, "12"),
        ] {
            check(value, Some(4), text);
        }
        assert_eq!(exponent(1_500_000.0, Some(1)), "1.5e+06");
        assert_eq!(exponent(1.5e-300, None), "1.5e-300");
        assert_eq!(fixed(2.5, Some(0)), "2");
        assert_eq!(fixed(1e21, None), "1000000000000000000000");
    }
}
