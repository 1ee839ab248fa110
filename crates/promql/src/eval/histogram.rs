//! Classic histograms: buckets in series, told apart by the label `le`.

use model::{BUCKET_BOUND, Labels, METRIC_NAME, parse_float};

use super::Evaluation;
use super::budget::Hold;
use super::grid::Grid;
use super::groups::{Group, Groups, Key};
use super::order::sort_as_go;
use super::series::{ABSENT, Series, is_present, merge_same_labels};
use crate::syntax::{NodeId, quote};
use crate::{Position, QueryError};

/// Relative differences between buckets up to this are rounding errors, not broken monotonicity.
const SMALL_DELTA: f64 = 1e-12;

/// A bucket at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    /// Upper bound, inclusive.
    bound: f64,
    /// Observations up to the bound.
    count: f64,
}

/// The buckets of one histogram: columns by bound.
struct Histogram {
    drop_name: bool,
    columns: Vec<(f64, Vec<f64>)>,
}

impl Histogram {
    fn at(&self, i: usize, into: &mut Vec<Bucket>) {
        into.clear();
        let present = self.columns.iter().filter(|(_, values)| is_present(values[i]));
        into.extend(present.map(|(bound, values)| Bucket { bound: *bound, count: values[i] }));
    }
}

impl Evaluation<'_> {
    pub(super) fn histogram_quantile(&self, q: NodeId, arg: NodeId, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let quantiles = self.scalar(q, grid)?;
        let (place, arg_place) = (self.place_in_call(q, &[q, arg]), self.place_in_call(arg, &[q, arg]));
        quantiles.iter().for_each(|value| self.check_quantile(*value, place));
        self.over_histograms((arg, arg_place), grid, |i, name, buckets| {
            let (value, forced) = quantile(quantiles[i], buckets);
            if forced {
                let name = quote(name.as_bytes());
                let message = format!(
                    "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name {name}"
                );
                self.info(arg_place, &message);
            }
            value
        })
    }

    pub(super) fn histogram_fraction(
        &self,
        lower: NodeId,
        upper: NodeId,
        arg: NodeId,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let place = self.place_in_call(arg, &[lower, upper, arg]);
        let (lower, upper) = (self.scalar(lower, grid)?, self.scalar(upper, grid)?);
        self.over_histograms((arg, place), grid, |i, _, buckets| fraction(lower[i], upper[i], buckets))
    }

    /// Computes one value for each histogram and step from its buckets, in no order.
    fn over_histograms(
        &self,
        (arg, place): (NodeId, Position),
        grid: Grid,
        f: impl Fn(usize, &str, &mut Vec<Bucket>) -> f64,
    ) -> Result<Vec<Series>, QueryError> {
        let mut hold = self.budget.hold();
        let histograms = self.histograms(arg, place, grid, &mut hold)?;
        let mut buckets = Vec::new();
        let mut result = Vec::with_capacity(histograms.len());
        for Group { labels, state: histogram } in histograms {
            self.budget.check()?;
            let mut values = vec![ABSENT; grid.count];
            let mut name = labels.metric_name();
            for (i, slot) in values.iter_mut().enumerate() {
                histogram.at(i, &mut buckets);
                if !buckets.is_empty() {
                    *slot = f(i, name, &mut buckets);
                    // Upstream removes the name at the first step, so that later ones are noted without it.
                    name = if self.options.delayed_name_removal { name } else { "" };
                }
            }
            let series = Series { labels, drop_name: histogram.drop_name, values };
            hold.add(series.cost())?;
            result.push(series.without_name(self.options.delayed_name_removal));
        }
        merge_same_labels(result)
    }

    fn histograms(
        &self,
        arg: NodeId,
        place: Position,
        grid: Grid,
        hold: &mut Hold<'_>,
    ) -> Result<Groups<'static, Histogram>, QueryError> {
        let mut histograms: Groups<'_, Histogram> = Groups::new(Key::all_but([BUCKET_BOUND]));
        self.stream(arg, grid, &mut |series| {
            let text = series.labels.get(BUCKET_BOUND).unwrap_or_default();
            let Some(bound) = parse_float(text) else {
                self.warn_bad_bound(&series.labels, text, place);
                return Ok(());
            };
            hold.add(series.cost())?;
            let empty = || Histogram { drop_name: series.drop_name, columns: Vec::new() };
            histograms.of(&series.labels, empty).columns.push((bound, series.values));
            Ok(())
        })?;
        Ok(histograms)
    }

    fn warn_bad_bound(&self, labels: &Labels, text: &str, place: Position) {
        let (text, name) = (quote(text.as_bytes()), quote(labels.get(METRIC_NAME).unwrap_or_default().as_bytes()));
        let message =
            format!("bucket label \"le\" is missing or has a malformed value of {text} for metric name {name}");
        self.warn(place, &message);
    }
}

/// The φ-quantile by linear interpolation inside a bucket, and whether counts had to be forced to rise.
fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    if !sort_and_join(buckets) {
        return (f64::NAN, false);
    }
    let forced = force_rising(buckets);
    match buckets[buckets.len() - 1].count {
        0.0 => (f64::NAN, false),
        observations => (interpolate(q * observations, buckets), forced),
    }
}

/// The value of the observation of this rank.
fn interpolate(mut rank: f64, buckets: &[Bucket]) -> f64 {
    let last = buckets.len() - 1;
    if last == 0 {
        return f64::NAN;
    }
    let found = first_of_rank(rank, &buckets[..last]);
    if found == last {
        return buckets[last - 1].bound;
    }
    let bucket = buckets[found];
    if found == 0 {
        if bucket.bound <= 0.0 {
            return bucket.bound;
        }
        // The bucket begins at zero, to which a rank of -0 adds nothing.
        return 0.0 + bucket.bound * (rank / bucket.count);
    }
    let below = buckets[found - 1];
    let count = bucket.count - below.count;
    rank -= below.count;
    below.bound + (bucket.bound - below.bound) * (rank / count)
}

/// The first bucket that holds the rank, found by halves as Go's `sort.Search` does: counts that are NaN are in no order.
fn first_of_rank(rank: f64, buckets: &[Bucket]) -> usize {
    let (mut from, mut to) = (0, buckets.len());
    while from < to {
        let middle = (from + to) / 2;
        if buckets[middle].count >= rank {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    from
}

/// Orders buckets by bound and joins those of equal bound; false where the highest bound is not +Inf.
fn sort_and_join(buckets: &mut Vec<Bucket>) -> bool {
    sort_as_go(buckets, |a, b| a.bound < b.bound);
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

/// Counts of classic buckets rise; scrapes and rules break that. Small differences are ignored, others are forced.
fn force_rising(buckets: &mut [Bucket]) -> bool {
    let Some(mut previous) = buckets.first().map(|bucket| bucket.count) else {
        return false;
    };
    let mut forced = false;
    for bucket in &mut buckets[1..] {
        if bucket.count == previous {
            continue;
        }
        if almost_equal(previous, bucket.count) {
            bucket.count = previous;
        } else if bucket.count < previous {
            bucket.count = previous;
            forced = true;
        } else {
            previous = bucket.count;
        }
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}

/// The share of observations between two values.
fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !sort_and_join(buckets) {
        return f64::NAN;
    }
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |value: f64| {
        let rank = rank_of(value, buckets);
        if rank > count { count } else { rank }
    };
    (rank(upper) - rank(lower)) / count
}

/// How many observations lie at or below a value, interpolated inside its bucket. The first bucket begins at -Inf, so that
/// nothing inside it can be interpolated: NaN.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let mut below = Bucket { bound: f64::NEG_INFINITY, count: 0.0 };
    for bucket in buckets {
        if below.bound >= value {
            return below.count;
        }
        // A bound of NaN is on no side of the value.
        if below.bound < value && bucket.bound > value {
            let inside = bucket.count - below.count;
            return below.count + inside * (value - below.bound) / (bucket.bound - below.bound);
        }
        below = *bucket;
    }
    below.count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(of: &[(f64, f64)]) -> Vec<Bucket> {
        of.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[test]
    fn quantiles() {
        const INF: f64 = f64::INFINITY;
        type Case = (f64, &'static [(f64, f64)], f64, bool);
        let cases: [Case; 6] = [
            (0.5, &[(1.0, 5.0), (INF, 10.0)], 1.0, false),
            (0.25, &[(1.0, 5.0), (INF, 10.0)], 0.5, false),
            (0.9, &[(1.0, 5.0), (INF, 10.0)], 1.0, false),
            (0.5, &[(0.5, 3.0), (INF, 2.0)], 0.25, true),
            (2.0, &[(0.5, 3.0), (INF, 2.0)], INF, false),
            (0.1, &[(-1.0, 3.0), (INF, 3.0)], -1.0, false),
        ];
        for (q, of, expected, forced) in cases {
            assert_eq!(quantile(q, &mut buckets(of)), (expected, forced), "{q} of {of:?}");
        }
        assert!(quantile(0.5, &mut buckets(&[(1.0, 5.0)])).0.is_nan());
        assert!(quantile(-0.0, &mut buckets(&[(1.0, 5.0), (INF, 10.0)])).0.is_sign_positive());
    }

    #[test]
    fn fractions() {
        let inf = f64::INFINITY;
        let of = [(1.0, 5.0), (2.0, 10.0), (inf, 20.0)];
        for (lower, upper, expected) in [(1.0, 2.0, 0.25), (1.0, 1.5, 0.125), (2.0, inf, 0.5), (1.0, 1.0, 0.0)] {
            assert_eq!(fraction(lower, upper, &mut buckets(&of)), expected, "{lower} to {upper}");
        }
    }
}
