//! Digits of a number.

/// Digits after the point that a number is shown with where nobody says how many: three in all, none for whole ones.
pub fn decimals_of(value: f64) -> u32 {
    if value == 0.0 || !value.is_finite() || value.fract() == 0.0 {
        return 0;
    }
    let magnitude = value.abs().log10().floor();
    // Grafana's rule asks for one more digit where the first two are above 2.25, which they always are.
    (2.0 - magnitude).clamp(0.0, 100.0) as u32
}

/// A number with so many digits after the point; absent, as [`decimals_of`] says. Halves are rounded up, as
/// JavaScript does it. Numbers so large or small that JavaScript writes an exponent have one.
pub fn to_fixed(value: f64, decimals: Option<u32>) -> String {
    if !value.is_finite() {
        return match value {
            _ if value.is_nan() => "NaN",
            _ if value > 0.0 => "∞",
            _ => "-∞",
        }
        .to_owned();
    }
    if decimals.is_none() && value != 0.0 && value.abs() < 1e-90 {
        return javascript(value);
    }
    let decimals = decimals.unwrap_or_else(|| decimals_of(value));
    if value == 0.0 {
        return format!("{:.*}", decimals.min(100) as usize, 0.0);
    }
    let factor = 10f64.powi(decimals.min(100) as i32);
    let scaled = value * factor;
    let rounded = if scaled.is_finite() { round_half_up(scaled) / factor } else { value };
    let text = javascript(rounded);
    if text.contains('e') {
        return text;
    }
    let digits = text.find('.').map_or(0, |point| text.len() - point - 1);
    let missing = (decimals as usize).saturating_sub(digits);
    match (missing, digits) {
        (0, _) => text,
        (missing, 0) => format!("{text}.{}", "0".repeat(missing)),
        (missing, _) => format!("{text}{}", "0".repeat(missing)),
    }
}

/// To the next whole number, halves towards plus infinity.
pub(super) fn round_half_up(value: f64) -> f64 {
    let floor = value.floor();
    if value - floor >= 0.5 { floor + 1.0 } else { floor }
}

/// A number as JavaScript writes it.
pub(crate) fn javascript(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-6..1e21).contains(&size) && value.is_finite() {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, power)) if !power.starts_with('-') => format!("{digits}e+{power}"),
            _ => text,
        };
    }
    value.to_string()
}

/// `1,234,567.89`.
pub(super) fn grouped(value: f64, decimals: Option<u32>) -> String {
    let text = to_fixed(value, Some(decimals.unwrap_or(3).min(20)));
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-') {
        return text;
    }
    // Where nobody asks for digits, zeros at the end say nothing.
    let text = match decimals {
        None if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => text,
    };
    let (whole, part) = text.split_once('.').map_or((text.as_str(), ""), |(whole, part)| (whole, part));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if part.is_empty() { out } else { format!("{out}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let check = |value: f64, decimals: Option<u32>, expected: &str| {
            assert_eq!(to_fixed(value, decimals), expected, "{value}");
        };
        check(0.0, None, "0");
        check(0.0, Some(2), "0.00");
        check(1.2345, None, "1.23");
        check(-1.2345, None, "-1.23");
        check(-27.5, None, "-27.5");
        check(12.345, None, "12.3");
        check(123.45, None, "123");
        check(1234.5, None, "1235");
        check(0.012345, None, "0.0123");
        check(0.1, None, "0.100");
        check(2.0, None, "2");
        check(1e-9, None, "1e-9");
        check(1e21, None, "1e+21");
        check(1.005, Some(2), "1.00");
        check(1.5, Some(0), "2");
        check(-1.5, Some(0), "-1");
        check(99.999, Some(1), "100.0");
        check(10.0, Some(2), "10.00");
        check(f64::INFINITY, None, "∞");
        check(f64::NEG_INFINITY, Some(2), "-∞");
        check(f64::NAN, None, "NaN");
        check(f64::MAX, Some(20), "1.7976931348623157e+308");
        check(5e-324, None, "5e-324");
    }

    #[test]
    fn thousands_are_apart() {
        let check = |value: f64, decimals: Option<u32>, expected: &str| {
            assert_eq!(grouped(value, decimals), expected, "{value}");
        };
        check(1_234_567.891, None, "1,234,567.891");
        check(-1_234.5, None, "-1,234.5");
        check(123.0, Some(2), "123.00");
        check(f64::NAN, None, "NaN");
    }
}
