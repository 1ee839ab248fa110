//! Series on a common grid of times: reduced to what a chart can show, drawn as a small picture for readers without scripts.

use std::fmt::Write;
use std::time::Duration;

use model::{Samples, Timestamp};
use promql::Range;

use crate::format::Unit;

/// Steps that fall on full seconds, minutes, hours or days, so that a grid stays where it is from refresh to refresh.
const STEPS_MS: [i64; 24] = [
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    20_000,
    30_000,
    60_000,
    120_000,
    180_000,
    300_000,
    600_000,
    900_000,
    1_200_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    14_400_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
];
/// Parts a step is looked at in where it is longer than the interval of collection: a spike of a quarter of a step is still
/// seen as maximum, at four times the work of the plain query.
const PARTS_MAX: i64 = 4;
/// Size of the small picture's coordinates; the page stretches it.
const PICTURE: (f64, f64) = (300.0, 100.0);

/// Times at equal distance, all multiples of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// First time.
    pub(crate) start: Timestamp,
    /// Milliseconds between times.
    pub(crate) step: i64,
    /// How many times there are, at least one.
    pub(crate) count: usize,
    /// Evaluations in each step, which its mean, minimum and maximum stand for.
    pub(crate) parts: i64,
    /// Last evaluation. Where a step has parts, the last step may still run: it then stands for those it has.
    pub(crate) until: Timestamp,
    /// The range's end where it lies after the last evaluation: without it a series that began since then would not be seen
    /// until a part is over, which is minutes in a range of a day.
    pub(crate) newest: Option<Timestamp>,
}

/// A series on a grid; `NaN` is a gap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    /// The legend's text.
    pub(crate) name: String,
    /// Means of the steps, or the values where a step has one part.
    pub(crate) values: Vec<f64>,
    /// Minima and maxima of the steps where they say more than the mean.
    pub(crate) band: Option<Band>,
}

/// The lowest and the highest value of each step.
pub(crate) type Band = (Vec<f64>, Vec<f64>);

/// A column in four numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Digest {
    pub(crate) last: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
}

impl Grid {
    /// The grid of a range in about `points` points, no finer than `interval`.
    pub(crate) fn new(start: Timestamp, end: Timestamp, points: usize, interval: Duration) -> Self {
        let points = i64::try_from(points.max(1)).unwrap_or(i64::MAX);
        let wanted = (end.saturating_sub(start) / points).max(interval_ms(interval));
        let step = STEPS_MS.into_iter().find(|step| *step >= wanted).unwrap_or(wanted);
        Self::of_step(start, end, step, interval)
    }

    /// The grid of a range with a given step.
    pub(crate) fn of_step(start: Timestamp, end: Timestamp, step: i64, interval: Duration) -> Self {
        let step = step.max(1);
        let parts = (1..=PARTS_MAX).rev().find(|n| step % n == 0 && step / n >= interval_ms(interval)).unwrap_or(1);
        let part = step / parts;
        let first = steps_up(start, step);
        let last = if parts > 1 { steps_up(end, step) } else { end.div_euclid(step) }.max(first);
        let count = usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1);
        let start = first.saturating_mul(step);
        let until = (end.div_euclid(part) * part).max(start - step + part);
        let newest = (parts > 1 && end > until).then_some(end);
        Self { start, step, count, parts, until, newest }
    }

    /// Milliseconds between evaluations.
    pub(crate) fn part(&self) -> i64 {
        self.step / self.parts
    }

    /// Last time.
    pub(crate) fn end(&self) -> Timestamp {
        self.start + self.step * (self.count as i64 - 1)
    }

    /// The evaluations: those of the step before `start` too, which its mean is made of.
    pub(crate) fn range(&self) -> Range {
        let step = u64::try_from(self.part()).unwrap_or(1);
        Range {
            start: self.start - self.step + self.part(),
            end: self.end().min(self.until),
            step: Duration::from_millis(step),
        }
    }

    /// Puts samples that lie on [`Grid::range`] into steps: a time stands for the step that ends there.
    pub(crate) fn reduce(&self, samples: &Samples) -> (Vec<f64>, Option<Band>) {
        let gaps = vec![f64::NAN; self.count];
        let (mut sums, mut low, mut high) = (gaps.clone(), gaps.clone(), gaps);
        let mut counts = vec![0u32; self.count];
        for sample in samples.iter().filter(|sample| !sample.value.is_nan()) {
            let Some(slot) = self.slot(sample.timestamp) else { continue };
            let first = counts[slot] == 0;
            counts[slot] += 1;
            sums[slot] = if first { sample.value } else { sums[slot] + sample.value };
            low[slot] = low[slot].min(sample.value);
            high[slot] = high[slot].max(sample.value);
        }
        let wide = low.iter().zip(&high).any(|(low, high)| low < high);
        let means =
            sums.iter().zip(&counts).map(|(sum, count)| if *count > 1 { sum / f64::from(*count) } else { *sum });
        (means.collect(), wide.then_some((low, high)))
    }

    fn slot(&self, at: Timestamp) -> Option<usize> {
        usize::try_from(steps_up(at - self.start, self.step)).ok().filter(|slot| *slot < self.count)
    }
}

impl Column {
    /// The column in four numbers; `None` if it is all gaps.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let values = || self.values.iter().copied().filter(|v| !v.is_nan());
        let (low, high) = self.band.as_ref().map_or((&self.values, &self.values), |(low, high)| (low, high));
        let count = values().count();
        Some(Digest {
            last: values().next_back()?,
            min: low.iter().copied().fold(f64::NAN, f64::min),
            max: high.iter().copied().fold(f64::NAN, f64::max),
            mean: values().sum::<f64>() / count as f64,
        })
    }

    /// One sentence for readers who cannot see the chart.
    pub(crate) fn summary(&self, unit: Unit) -> String {
        let Some(digest) = self.digest() else { return format!("{}: no data", self.name) };
        let first = self.values.iter().copied().find(|v| !v.is_nan()).unwrap_or(digest.last);
        let margin = (digest.max - digest.min) * 0.1;
        let trend = match digest.last - first {
            change if change > margin => "rising",
            change if change < -margin => "falling",
            _ => "steady",
        };
        let text = |value| unit.text(value);
        let (last, min, max) = (text(digest.last), text(digest.min), text(digest.max));
        format!("{}: last {last}, lowest {min}, highest {max}, {trend}", self.name)
    }
}

/// A small chart without axes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Picture {
    /// An SVG path for each column.
    pub(crate) paths: Vec<String>,
    /// The value at the upper edge.
    pub(crate) top: f64,
}

/// Draws the columns, stacked on one another if asked.
pub(crate) fn picture(columns: &[Column], stacked: bool) -> Picture {
    let mut lines: Vec<Vec<f64>> = columns.iter().map(|column| column.values.clone()).collect();
    if stacked {
        stack(&mut lines);
    }
    let finite = || lines.iter().flatten().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(0.0, f64::min), finite().fold(f64::MIN_POSITIVE, f64::max));
    Picture { paths: lines.iter().map(|line| path(line, low, high)).collect(), top: high }
}

fn stack(lines: &mut [Vec<f64>]) {
    for i in 1..lines.len() {
        let (below, above) = lines.split_at_mut(i);
        for (value, base) in above[0].iter_mut().zip(&below[i - 1]) {
            *value = if value.is_nan() { *base } else { *value + if base.is_nan() { 0.0 } else { *base } };
        }
    }
}

/// Whole coordinates, each relative to the one before: half the bytes of absolute ones.
fn path(values: &[f64], low: f64, high: f64) -> String {
    let (width, height) = PICTURE;
    let across = width / (values.len().max(2) - 1) as f64;
    let mut text = String::new();
    let mut pen: Option<(i32, i32)> = None;
    for (i, value) in values.iter().enumerate() {
        if !value.is_finite() {
            pen = None;
            continue;
        }
        let x = (i as f64 * across).round() as i32;
        let y = (height - (value - low) / (high - low) * height).round() as i32;
        let _ = match pen {
            Some((last_x, last_y)) => write!(text, "l{} {}", x - last_x, y - last_y),
            None => write!(text, "M{x} {y}"),
        };
        pen = Some((x, y));
    }
    text
}

/// Rounds for a chart: a 1/8192 of what the axis spans is less than a pixel, and four digits are what a tooltip prints.
pub(crate) fn round_for_chart(value: f64, span: f64) -> f64 {
    let magnitude = |x: f64| x.abs().log10().floor() as i32;
    if value == 0.0 || !value.is_finite() || span <= 0.0 || !span.is_finite() {
        return value;
    }
    let places = (-magnitude(span / 8192.0)).max(3 - magnitude(value));
    // More digits than a double holds: what differs in its last ones alone stays as it is.
    if places.abs() > 300 || magnitude(value) + places >= f64::DIGITS as i32 {
        return value;
    }
    // Dividing by a power of ten gives the double nearest to the short decimal; multiplying by 0.001 does not.
    let power = 10f64.powi(places.abs());
    if places >= 0 { (value * power).round() / power } else { (value / power).round() * power }
}

/// Whole steps that reach a time, rounded up.
fn steps_up(at: Timestamp, step: i64) -> i64 {
    at.div_euclid(step) + i64::from(at.rem_euclid(step) != 0)
}

fn interval_ms(interval: Duration) -> i64 {
    i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use model::Sample;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    #[test]
    fn grids() {
        let cases = [
            // (start, end, points) → (start, step, count, parts)
            ((0, 3_600_000, 400), (0, 15_000, 241, 1)),
            ((1, 3_600_000, 400), (15_000, 15_000, 240, 1)),
            ((0, 86_400_000, 400), (0, 300_000, 289, 4)),
            ((0, 86_400_001, 400), (0, 300_000, 290, 4)),
            ((0, 86_400_000, 2880), (0, 30_000, 2881, 2)),
            ((-30_001, -1, 10), (-30_000, 15_000, 2, 1)),
            ((5, 6, 400), (15_000, 15_000, 1, 1)),
        ];
        for ((start, end, points), expected) in cases {
            let grid = Grid::new(start, end, points, INTERVAL);
            assert_eq!((grid.start, grid.step, grid.count, grid.parts), expected, "{start} {end} {points}");
            assert!(grid.start >= start && grid.end() - grid.step < end);
            assert!(grid.range().start <= grid.range().end && grid.range().end <= end.max(grid.start));
            assert!(grid.newest.is_none_or(|newest| grid.slot(newest) == Some(grid.count - 1)), "{grid:?}");
        }
    }

    #[test]
    fn reduces_to_mean_and_band() {
        let grid = Grid { start: 100, step: 100, count: 3, parts: 2, until: 250, newest: None };
        let mut samples = Samples::default();
        for (timestamp, value) in [(50, 1.0), (100, 3.0), (150, f64::NAN), (200, 7.0)] {
            samples.push(Sample { timestamp, value });
        }
        let (means, band) = grid.reduce(&samples);
        assert_eq!(means[..2], [2.0, 7.0]);
        assert!(means[2].is_nan());
        let (low, high) = band.unwrap();
        assert_eq!((low[0], high[0], low[1], high[1]), (1.0, 3.0, 7.0, 7.0));
    }

    #[test]
    fn rounds_below_a_pixel() {
        let cases = [
            (0.123_456_789, 1.0, 0.123_5),
            (123_456.789, 100_000.0, 123_460.0),
            (123_456_789.0, 1e9, 123_500_000.0),
            (0.000_123_456, 1000.0, 0.000_123_5),
            (99.999_999, 0.001, 99.999_999),
            (0.0, 5.0, 0.0),
            (5e-324, 1.0, 5e-324),
            (5.0 / 3.0, f64::EPSILON, 5.0 / 3.0),
        ];
        for (value, span, expected) in cases {
            assert_eq!(round_for_chart(value, span), expected, "{value} of {span}");
        }
    }

    #[test]
    fn draws_gaps_and_stacks() {
        let column = |values: &[f64]| Column { values: values.to_vec(), ..Column::default() };
        let lines = [column(&[0.0, 1.0, f64::NAN]), column(&[1.0, 1.0, 2.0])];
        assert_eq!(picture(&lines, false).paths, ["M0 100l150 -50", "M0 50l150 0l150 -50"]);
        assert_eq!(picture(&lines, true).paths, ["M0 100l150 -50", "M0 50l150 -50l150 0"]);
        assert_eq!((picture(&lines, false).top, picture(&lines, true).top), (2.0, 2.0));
    }

    #[test]
    fn tells_the_trend() {
        let column = Column { name: "user".to_owned(), values: vec![1.0, 5.0, f64::NAN, 9.0], ..Column::default() };
        assert_eq!(column.summary(Unit::Percent), "user: last 9 %, lowest 1 %, highest 9 %, rising");
        assert_eq!(Column::default().digest(), None);
    }
}
