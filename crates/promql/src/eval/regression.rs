//! Least squares and smoothing.

use super::kahan::Kahan;
use super::window::Window;

/// Slope per second and value at `intercept` of the line through the samples. A constant series has slope 0 exactly.
fn line(window: &Window<'_>, intercept: i64) -> (f64, f64) {
    let first = window.values[0];
    if window.values.iter().all(|v| *v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let mut n = 0.0;
    let [mut x, mut y, mut xy, mut xx] = [Kahan::default(); 4];
    for (time, value) in window.timestamps.iter().zip(window.values) {
        let seconds = time.saturating_sub(intercept) as f64 / 1e3;
        n += 1.0;
        x = x.add(seconds);
        y = y.add(*value);
        xy = xy.add(seconds * value);
        xx = xx.add(seconds * seconds);
    }
    let (x, y, xy, xx) = (x.total(), y.total(), xy.total(), xx.total());
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

/// `deriv`
pub(super) fn deriv(window: &Window<'_>) -> Option<f64> {
    (window.values.len() >= 2).then(|| line(window, window.timestamps[0]).0)
}

/// `predict_linear`
pub(super) fn predict_linear(window: &Window<'_>, seconds: f64) -> Option<f64> {
    (window.values.len() >= 2).then(|| {
        let (slope, intercept) = line(window, window.step);
        slope * seconds + intercept
    })
}

/// `double_exponential_smoothing`: Holt's method with a smoothing and a trend factor.
pub(super) fn smooth(window: &Window<'_>, smoothing: f64, trend: f64) -> Option<f64> {
    let values = window.values;
    if values.len() < 2 {
        return None;
    }
    let mut previous = 0.0;
    let mut level = values[0];
    let mut slope = values[1] - values[0];
    for (i, value) in values.iter().enumerate().skip(1) {
        let x = smoothing * value;
        if i > 1 {
            slope = trend * (level - previous) + (1.0 - trend) * slope;
        }
        let y = (1.0 - smoothing) * (level + slope);
        previous = level;
        level = x + y;
    }
    Some(level)
}
