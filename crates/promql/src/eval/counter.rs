//! `rate`, `increase`, `delta` and their instant kin.

use model::Timestamp;

use super::window::Window;

/// What a window's difference becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extrapolated {
    /// Per second, of a counter.
    Rate,
    /// Over the window, of a counter.
    Increase,
    /// Over the window, of a gauge.
    Delta,
}

/// A gap at an end of the window longer than this many average intervals means that the series began or ended there.
const GAP_INTERVALS_MAX: f64 = 1.1;

/// The times of a window's samples, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// From the first sample to the last one.
    sampled: f64,
    /// How far the difference is extended to the start of the window.
    to_start: f64,
    /// And to its end.
    to_end: f64,
}

impl Extent {
    /// Of samples inside a window. Towards a gap the difference is extended by half an average interval only.
    pub(super) fn new(times: &[Timestamp], start: Timestamp, end: Timestamp) -> Self {
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else {
            return Self::default();
        };
        let seconds = |from: i64, to: i64| to.saturating_sub(from) as f64 / 1e3;
        let sampled = seconds(first, last);
        let average = sampled / (times.len() - 1) as f64;
        let threshold = average * GAP_INTERVALS_MAX;
        let extended = |gap: f64| if gap >= threshold { average / 2.0 } else { gap };
        Self { sampled, to_start: extended(seconds(start, first)), to_end: extended(seconds(last, end)) }
    }
}

/// The difference between last and first sample, extrapolated to the ends of the window, a counter never below zero.
pub(super) fn extrapolated(window: &Window<'_>, kind: Extrapolated) -> Option<f64> {
    let last = window.values.len() - 1;
    if last == 0 {
        return None;
    }
    let (first_value, last_value) = (window.values[0], window.values[last]);
    let is_counter = kind != Extrapolated::Delta;
    let mut difference = last_value - first_value;
    if is_counter {
        for place in window.resets() {
            difference += window.values[place - 1];
        }
    }
    let &Extent { sampled, mut to_start, to_end } = window.extent;
    if is_counter && difference > 0.0 && first_value >= 0.0 {
        let to_zero = sampled * (first_value / difference);
        to_start = if to_zero < to_start { to_zero } else { to_start };
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if kind == Extrapolated::Rate {
        factor /= window.range as f64 / 1e3;
    }
    Some(difference * factor)
}

/// `irate` and `idelta`: from the last two samples.
pub(super) fn instant(window: &Window<'_>, is_rate: bool) -> Option<f64> {
    let last = window.values.len() - 1;
    let before = last.checked_sub(1)?;
    let (previous, value) = (window.values[before], window.values[last]);
    let interval = window.timestamps[last] - window.timestamps[before];
    if !is_rate {
        return Some(value - previous);
    }
    let difference = if value < previous { value } else { value - previous };
    Some(difference / (interval as f64 / 1e3))
}
