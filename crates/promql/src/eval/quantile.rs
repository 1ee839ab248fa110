//! Quantiles of plain values, and their order.

use super::order::sort_as_go;

/// The φ-quantile by linear interpolation between ranks; sorts the values, NaN first. NaN of nothing or for a NaN φ, and
/// -Inf or +Inf for φ below 0 or above 1.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    sort_nan_first(values);
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = rank.floor().max(0.0) as usize;
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    values[lower.min(last)] * (1.0 - weight) + values[upper] * weight
}

/// Whether φ deserves no warning.
pub(super) fn is_quantile(q: f64) -> bool {
    (0.0..=1.0).contains(&q)
}

/// Upwards. Of equal values, which need not be told apart, only zeros of two signs can be.
fn sort_nan_first(values: &mut [f64]) {
    if values.iter().any(|v| *v == 0.0 && v.is_sign_negative()) {
        sort_as_go(values, |a, b| a.is_nan() || a < b);
    } else {
        values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    }
}

/// Whether Prometheus' order of vectors by value, upwards or downwards, has the first before the second: a number before NaN,
/// and a NaN before another one, whichever is asked for first.
pub(super) fn is_before(a: f64, b: f64, descending: bool) -> bool {
    b.is_nan() || if descending { a > b } else { a < b }
}
