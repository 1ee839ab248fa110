//! Functions of one window.

use super::counter::{Extrapolated, extrapolated, instant};
use super::kahan::{Kahan, LANES, Mean, sums};
use super::quantile::quantile;
use super::regression::{deriv, predict_linear, smooth};
use super::window::Window;

/// The value of a window; the second argument holds the function's scalar arguments at the step.
type OfWindow = fn(&Window<'_>, &[f64]) -> Option<f64>;

/// The values of some windows, none of them empty.
type OfWindows = fn([&[f64]; LANES]) -> [f64; LANES];

/// A function of range vectors.
pub(super) struct OverTime {
    pub(super) of: OfWindow,
    /// Whether it needs the places of counter resets.
    pub(super) resets: bool,
    /// The same for the values of several windows.
    pub(super) several: Option<OfWindows>,
    /// Whether the result keeps the metric name.
    pub(super) keeps_name: bool,
}

/// The function of a name; `None` if it is not a function of range vectors (`absent_over_time` is not one of series).
pub(super) fn find(name: &str) -> Option<OverTime> {
    let of: OfWindow = match name {
        "avg_over_time" => |w, _| Some(average(w.values)),
        "changes" => |w, _| Some(changes(w.values)),
        "count_over_time" => |w, _| Some(w.values.len() as f64),
        "delta" => |w, _| extrapolated(w, Extrapolated::Delta),
        "deriv" => |w, _| deriv(w),
        "double_exponential_smoothing" => |w, p| smooth(w, p[0], p[1]),
        "idelta" => |w, _| instant(w, false),
        "increase" => |w, _| extrapolated(w, Extrapolated::Increase),
        "irate" => |w, _| instant(w, true),
        "last_over_time" => |w, _| w.values.last().copied(),
        "mad_over_time" => |w, _| Some(median_absolute_deviation(w.values)),
        "max_over_time" => |w, _| Some(largest(w.values)),
        "min_over_time" => |w, _| Some(smallest(w.values)),
        "predict_linear" => |w, p| predict_linear(w, p[0]),
        "present_over_time" => |_, _| Some(1.0),
        "quantile_over_time" => |w, p| Some(quantile(p[0], &mut w.values.to_vec())),
        "rate" => |w, _| extrapolated(w, Extrapolated::Rate),
        "resets" => |w, _| Some(w.reset_count() as f64),
        "stddev_over_time" => |w, _| Some(variance(w.values).sqrt()),
        "stdvar_over_time" => |w, _| Some(variance(w.values)),
        "sum_over_time" => |w, _| Some(sum(w.values)),
        // Upstream takes the later of the last float and the last histogram, and counts a lack of them as the epoch.
        "ts_of_last_over_time" => |w, _| w.timestamps.last().map(|t| seconds(*t).max(0.0)),
        "ts_of_max_over_time" => |w, _| Some(seconds(w.timestamps[extreme(w.values, |v, max| v >= max)])),
        "ts_of_min_over_time" => |w, _| Some(seconds(w.timestamps[extreme(w.values, |v, min| v <= min)])),
        _ => return None,
    };
    let resets = matches!(name, "rate" | "increase" | "resets");
    let several: Option<OfWindows> = match name {
        "avg_over_time" => Some(averages),
        "sum_over_time" => Some(|windows| sums(windows, |first| Kahan::default().add(first)).map(total)),
        _ => None,
    };
    Some(OverTime { of, resets, several, keeps_name: name == "last_over_time" })
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1e3
}

fn sum(values: &[f64]) -> f64 {
    total(values.iter().fold(Kahan::default(), |sum, v| sum.add(*v)))
}

fn total(sum: Kahan) -> f64 {
    if sum.sum.is_infinite() { sum.sum } else { sum.total() }
}

fn average(values: &[f64]) -> f64 {
    let mut mean = Mean::new(values[0]);
    values[1..].iter().for_each(|v| mean.add(*v));
    mean.value()
}

fn averages(windows: [&[f64]; LANES]) -> [f64; LANES] {
    let sums = sums(windows, Kahan::new);
    std::array::from_fn(|i| Mean::of_sum(sums[i], windows[i].len()).unwrap_or_else(|| average(windows[i])))
}

/// Welford's method with compensated sums.
fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares) = (Kahan::default(), Kahan::default());
    let mut count = 0.0;
    for value in values {
        count += 1.0;
        let delta = value - mean.total();
        mean = mean.add(delta / count);
        squares = squares.add(delta * (value - mean.total()));
    }
    squares.total() / count
}

/// Values that are compared at a time, so that the compiler does it several at once.
const COMPARED_AT_ONCE: usize = 8;

/// The largest value, the first of equal ones.
fn largest(values: &[f64]) -> f64 {
    let better = |value: f64, max: f64| value > max;
    settled(side_by_side(values, f64::NEG_INFINITY, better)).unwrap_or_else(|| values[extreme(values, better)])
}

/// The smallest value, the first of equal ones.
fn smallest(values: &[f64]) -> f64 {
    let better = |value: f64, min: f64| value < min;
    settled(side_by_side(values, f64::INFINITY, better)).unwrap_or_else(|| values[extreme(values, better)])
}

/// The best of the values and of one that none is worse than, NaN passed over.
fn side_by_side(values: &[f64], worst: f64, better: impl Fn(f64, f64) -> bool) -> f64 {
    let pick = |best: f64, value: f64| if better(value, best) { value } else { best };
    let (chunks, rest) = values.as_chunks::<COMPARED_AT_ONCE>();
    let mut bests = [worst; COMPARED_AT_ONCE];
    for chunk in chunks {
        bests.iter_mut().zip(chunk).for_each(|(best, value)| *best = pick(*best, *value));
    }
    bests.iter().chain(rest).copied().fold(worst, pick)
}

/// What tells itself apart from all values that it equals: of zeros of both signs the first one counts, and what is infinite
/// may stand for NaN only.
fn settled(best: f64) -> Option<f64> {
    (best.is_finite() && best != 0.0).then_some(best)
}

/// Place of the extreme value; numbers win over NaN.
fn extreme(values: &[f64], better: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if better(*value, values[best]) || values[best].is_nan() {
            best = i;
        }
    }
    best
}

fn changes(values: &[f64]) -> f64 {
    let changed = |pair: &&[f64]| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan());
    values.windows(2).filter(changed).count() as f64
}

fn median_absolute_deviation(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    let median = quantile(0.5, &mut values);
    values.iter_mut().for_each(|v| *v = (*v - median).abs());
    quantile(0.5, &mut values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_are_those_of_a_search() {
        let odd =
            [f64::NAN, -0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, 1.5, -2.5, f64::from_bits(f64::NAN.to_bits() + 1)];
        let mut state = 7_u64;
        for length in (1..40).cycle().take(4_000) {
            let mut pick = |of: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize % of
            };
            let kinds = 1 + pick(odd.len());
            let values: Vec<f64> = (0..length).map(|_| odd[pick(kinds)]).collect();
            let (max, min) = (extreme(&values, |v, max| v > max), extreme(&values, |v, min| v < min));
            assert_eq!(largest(&values).to_bits(), values[max].to_bits(), "{values:?}");
            assert_eq!(smallest(&values).to_bits(), values[min].to_bits(), "{values:?}");
        }
    }
}
