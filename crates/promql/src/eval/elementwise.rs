//! Functions of single values.

use std::f64::consts::{LN_2, LN_10, PI};

use super::datetime::DateTime;

/// From here on `x * x + 1` is `x * x`, and further up it would overflow.
const SQUARE_DOMINATES: f64 = (1u64 << 28) as f64;

/// The value of an element, `None` where the element vanishes. `params` are the function's scalar arguments at the step.
/// Functions of histograms have no value for a float.
pub(super) fn apply(name: &str, v: f64, params: &[f64]) -> Option<f64> {
    Some(match (name, params) {
        ("abs", _) => v.abs(),
        ("acos", _) => v.acos(),
        ("acosh", _) => acosh(v),
        ("asin", _) => v.asin(),
        ("asinh", _) => asinh(v),
        ("atan", _) => v.atan(),
        ("atanh", _) => v.atanh(),
        ("ceil", _) => v.ceil(),
        ("clamp", [min, max]) if min > max => return None,
        ("clamp", [min, max]) => maximum(*min, minimum(*max, v)),
        ("clamp_max", [max]) => minimum(*max, v),
        ("clamp_min", [min]) => maximum(*min, v),
        ("cos", _) => v.cos(),
        ("cosh", _) => v.cosh(),
        ("deg", _) => v * 180.0 / PI,
        ("exp", _) => v.exp(),
        ("floor", _) => v.floor(),
        ("ln", _) => v.ln(),
        ("log10", _) => log2(v) * (LN_2 / LN_10),
        ("log2", _) => log2(v),
        ("rad", _) => v * PI / 180.0,
        ("round", params) => round(v, params.first().copied().unwrap_or(1.0)),
        ("sgn", _) => sign(v),
        ("sin", _) => v.sin(),
        ("sinh", _) => v.sinh(),
        ("sqrt", _) => v.sqrt(),
        ("tan", _) => v.tan(),
        ("tanh", _) => v.tanh(),
        ("histogram_avg" | "histogram_count" | "histogram_stddev" | "histogram_stdvar" | "histogram_sum", _) => {
            return None;
        }
        _ => calendar(name, v),
    })
}

/// A field of the date that a time in seconds stands for.
pub(super) fn calendar(name: &str, seconds: f64) -> f64 {
    let date = DateTime::from_seconds(seconds);
    let field = match name {
        "day_of_month" => date.day,
        "day_of_week" => date.weekday,
        "day_of_year" => date.day_of_year,
        "days_in_month" => date.days_in_month(),
        "hour" => date.hour,
        "minute" => date.minute,
        "month" => date.month,
        _ => date.year,
    };
    field as f64
}

/// Half away from the floor; the inverse keeps `round(x, 0.1)` closest to what was meant.
fn round(v: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (v * inverse + 0.5).floor() / inverse
}

fn sign(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

/// Exponent and logarithm of the mantissa apart, so that powers of two are exact.
fn log2(v: f64) -> f64 {
    if !v.is_finite() || v <= 0.0 {
        return v.ln();
    }
    let (mantissa, exponent) = split(v);
    if mantissa == 0.5 { exponent - 1.0 } else { mantissa.ln() * (1.0 / LN_2) + exponent }
}

/// A positive finite number as a mantissa in [0.5, 1) and a power of two.
fn split(v: f64) -> (f64, f64) {
    const EXPONENT_BITS: u64 = 0x7ff << 52;
    const HALF: u64 = 1022 << 52;
    if v < f64::MIN_POSITIVE {
        let (mantissa, exponent) = split(v * (1u64 << 54) as f64);
        return (mantissa, exponent - 54.0);
    }
    let bits = v.to_bits();
    let exponent = (bits & EXPONENT_BITS) >> 52;
    (f64::from_bits(bits & !EXPONENT_BITS | HALF), exponent as f64 - 1022.0)
}

fn asinh(v: f64) -> f64 {
    let x = v.abs();
    if v.is_nan() || v.is_infinite() || x < 1.0 / SQUARE_DOMINATES {
        return v;
    }
    let result = if x > SQUARE_DOMINATES {
        x.ln() + LN_2
    } else if x > 2.0 {
        (2.0 * x + 1.0 / ((x * x + 1.0).sqrt() + x)).ln()
    } else {
        (x + x * x / (1.0 + (1.0 + x * x).sqrt())).ln_1p()
    };
    result.copysign(v)
}

fn acosh(x: f64) -> f64 {
    if x < 1.0 || x.is_nan() {
        f64::NAN
    } else if x >= SQUARE_DOMINATES {
        x.ln() + LN_2
    } else if x > 2.0 {
        (2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt())).ln()
    } else {
        let t = x - 1.0;
        (t + (2.0 * t + t * t).sqrt()).ln_1p()
    }
}

/// Go's `math.Max`: infinity wins over NaN, NaN over the rest, +0 over -0.
fn maximum(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        return f64::INFINITY;
    }
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    if a == 0.0 && b == 0.0 {
        return if a.is_sign_negative() { b } else { a };
    }
    if a > b { a } else { b }
}

/// Go's `math.Min`.
fn minimum(a: f64, b: f64) -> f64 {
    -maximum(-a, -b)
}

/// A number as Go's `%g` with the shortest digits: `1e+30`, `0.5`, `NaN`.
pub(super) fn shortest(v: f64) -> String {
    if v.is_nan() {
        return "NaN".to_owned();
    }
    if v.is_infinite() {
        return if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{v:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if v == 0.0 || (-4..6).contains(&exponent) {
        return v.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let cases: [(&str, f64, &[f64], Option<f64>); 9] = [
            ("round", 2.5, &[], Some(3.0)),
            ("round", -2.5, &[], Some(-2.0)),
            ("round", 0.15, &[0.1], Some(0.2)),
            ("clamp", 5.0, &[2.0, 1.0], None),
            ("clamp", 5.0, &[1.0, 2.0], Some(2.0)),
            ("clamp_min", -1.0, &[0.0], Some(0.0)),
            ("sgn", -3.0, &[], Some(-1.0)),
            ("histogram_count", 1.0, &[], None),
            ("year", 0.0, &[], Some(1970.0)),
        ];
        for (name, value, params, expected) in cases {
            assert_eq!(apply(name, value, params), expected, "{name}({value}, {params:?})");
        }
    }

    #[test]
    fn shortest_digits() {
        for (value, text) in
            [(1e30, "1e+30"), (0.5, "0.5"), (2.0, "2"), (1e-5, "1e-05"), (1e6, "1e+06"), (100_000.5, "100000.5")]
        {
            assert_eq!(shortest(value), text);
        }
    }
}
