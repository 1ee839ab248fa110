//! Reducers: how a column becomes one value, in legends, stats and tables.

use crate::field::words;

words! {
    /// How a column becomes one value.
    Reducer: LastNotNull {
        /// The last value that is one.
        LastNotNull = "lastNotNull",
        /// The last value, also if it is none.
        Last = "last",
        /// The first value that is one.
        FirstNotNull = "firstNotNull",
        /// The first value, also if it is none.
        First = "first",
        /// The smallest.
        Min = "min",
        /// The greatest.
        Max = "max",
        /// The mean of those that are values.
        Mean = "mean",
        /// The sum.
        Sum = "sum",
        /// How many values there are.
        Count = "count",
        /// How many there are with those that are none.
        CountAll = "countAll",
        /// From the smallest to the greatest.
        Range = "range",
        /// What a counter grew by, over its resets.
        Delta = "delta",
        /// The smallest difference between neighbours.
        Step = "step",
        /// From the first to the last value.
        Diff = "diff",
        /// That, as a part of the first value.
        DiffPercent = "diffperc",
        /// The smallest above zero.
        LogMin = "logmin",
        /// Whether all values are zero.
        AllIsZero = "allIsZero",
        /// Whether there is no value.
        AllIsNull = "allIsNull",
        /// How often the value changes.
        ChangeCount = "changeCount",
        /// How many different values there are.
        DistinctCount = "distinctCount",
        /// The value in the middle.
        Median = "median",
        /// The variance of all of them.
        Variance = "variance",
        /// The standard deviation of all of them.
        StdDev = "stdDev",
        /// 1 of 100 are smaller.
        P1 = "p1",
        /// 5 of 100 are smaller.
        P5 = "p5",
        /// 10 of 100 are smaller.
        P10 = "p10",
        /// 25 of 100 are smaller.
        P25 = "p25",
        /// 75 of 100 are smaller.
        P75 = "p75",
        /// 90 of 100 are smaller.
        P90 = "p90",
        /// 95 of 100 are smaller.
        P95 = "p95",
        /// 99 of 100 are smaller.
        P99 = "p99",
        /// All values, one after the other.
        AllValues = "allValues",
        /// All different values, one after the other.
        UniqueValues = "uniqueValues",
    }
}

impl Reducer {
    /// Reads Grafana's word, also those of old dashboards.
    pub fn parse(word: &str) -> Option<Self> {
        let word = match word {
            "current" => "lastNotNull",
            "avg" => "mean",
            "total" => "sum",
            "increase" => "delta",
            other => other,
        };
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, reducer)| *reducer)
    }

    /// How a legend heads its column.
    pub fn title(self) -> &'static str {
        match self {
            Self::LastNotNull => "Last *",
            Self::Last => "Last",
            Self::FirstNotNull => "First *",
            Self::First => "First",
            Self::Min => "Min",
            Self::Max => "Max",
            Self::Mean => "Mean",
            Self::Sum => "Total",
            Self::Count => "Count",
            Self::CountAll => "Count all",
            Self::Range => "Range",
            Self::Delta => "Delta",
            Self::Step => "Step",
            Self::Diff => "Difference",
            Self::DiffPercent => "Difference percent",
            Self::LogMin => "Min (above zero)",
            Self::AllIsZero => "All zeros",
            Self::AllIsNull => "All nulls",
            Self::ChangeCount => "Change count",
            Self::DistinctCount => "Distinct count",
            Self::Median => "Median",
            Self::Variance => "Variance",
            Self::StdDev => "StdDev",
            Self::P1 => "1st %",
            Self::P5 => "5th %",
            Self::P10 => "10th %",
            Self::P25 => "25th %",
            Self::P75 => "75th %",
            Self::P90 => "90th %",
            Self::P95 => "95th %",
            Self::P99 => "99th %",
            Self::AllValues => "All values",
            Self::UniqueValues => "All unique values",
        }
    }

    /// Whether it answers yes (1) or no (0).
    pub fn is_test(self) -> bool {
        matches!(self, Self::AllIsZero | Self::AllIsNull)
    }

    /// Whether the answer counts values, and has no unit of theirs.
    pub fn is_count(self) -> bool {
        matches!(self, Self::Count | Self::CountAll | Self::ChangeCount | Self::DistinctCount)
    }

    fn percentile(self) -> Option<f64> {
        Some(match self {
            Self::P1 => 0.01,
            Self::P5 => 0.05,
            Self::P10 => 0.10,
            Self::P25 => 0.25,
            Self::P75 => 0.75,
            Self::P90 => 0.90,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
            _ => return None,
        })
    }

    /// The one value of a column of numbers. NaN counts as no value, except as the first or last one.
    pub fn of(self, values: &[Option<f64>]) -> Option<f64> {
        let real = || values.iter().flatten().copied().filter(|value| !value.is_nan());
        if let Some(part) = self.percentile() {
            return percentile(real().collect(), part);
        }
        match self {
            Self::LastNotNull | Self::AllValues | Self::UniqueValues => real().next_back(),
            Self::Last => values.last().copied().flatten(),
            Self::FirstNotNull => real().next(),
            Self::First => values.first().copied().flatten(),
            Self::Min => real().reduce(f64::min),
            Self::Max => real().reduce(f64::max),
            Self::Mean => mean(real()),
            Self::Sum => Some(real().sum()),
            Self::Count => Some(real().count() as f64),
            Self::CountAll => Some(values.len() as f64),
            Self::Range => Some(real().reduce(f64::max)? - real().reduce(f64::min)?),
            Self::Delta => Some(delta(&real().collect::<Vec<_>>())),
            Self::Step => real().zip(real().skip(1)).map(|(from, to)| to - from).reduce(f64::min),
            Self::Diff => Some(real().next_back()? - real().next()?),
            Self::DiffPercent => Some((real().next_back()? - real().next()?) / real().next()?),
            Self::LogMin => real().filter(|value| *value > 0.0).reduce(f64::min),
            Self::AllIsZero => Some(f64::from(real().next().is_some() && real().all(|value| value == 0.0))),
            Self::AllIsNull => Some(f64::from(real().next().is_none())),
            Self::ChangeCount => Some(values.windows(2).filter(|pair| pair[0] != pair[1]).count() as f64),
            Self::DistinctCount => Some(distinct(values)),
            Self::Median => median(real().collect()),
            Self::Variance => variance(&real().collect::<Vec<_>>()),
            Self::StdDev => variance(&real().collect::<Vec<_>>()).map(f64::sqrt),
            _ => None,
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// What a counter grew by. After a fall it began anew at zero, so that the next value counts whole; the value it fell
/// to counts only if it is the last one, as Grafana has it.
fn delta(values: &[f64]) -> f64 {
    let mut sum = 0.0;
    let mut rising = true;
    for (at, pair) in values.windows(2).enumerate() {
        let (from, to) = (pair[0], pair[1]);
        if from > to {
            rising = false;
            sum += if at + 2 == values.len() { to } else { 0.0 };
        } else {
            sum += if rising { to - from } else { to };
            rising = true;
        }
    }
    sum
}

fn distinct(values: &[Option<f64>]) -> f64 {
    let mut bits: Vec<Option<u64>> = values.iter().map(|value| value.map(|value| (value + 0.0).to_bits())).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len() as f64
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

fn percentile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * part).round() as usize).copied()
}

fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values.iter().copied())?;
    Some(values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_values() {
        const NAN: f64 = f64::NAN;
        let holed = [None, Some(2.0), None, Some(6.0), Some(4.0), None];
        let check = |values: &[Option<f64>], cases: &[(&str, Option<f64>)]| {
            for (word, expected) in cases {
                let reducer = Reducer::parse(word).unwrap();
                assert_eq!(reducer.of(values), *expected, "{word} of {values:?}");
            }
        };
        check(
            &holed,
            &[
                ("lastNotNull", Some(4.0)),
                ("current", Some(4.0)),
                ("last", None),
                ("first", None),
                ("firstNotNull", Some(2.0)),
                ("min", Some(2.0)),
                ("max", Some(6.0)),
                ("mean", Some(4.0)),
                ("avg", Some(4.0)),
                ("sum", Some(12.0)),
                ("count", Some(3.0)),
                ("countAll", Some(6.0)),
                ("range", Some(4.0)),
                ("step", Some(-2.0)),
                ("diff", Some(2.0)),
                ("diffperc", Some(1.0)),
                ("allIsZero", Some(0.0)),
                ("allIsNull", Some(0.0)),
                ("changeCount", Some(5.0)),
                ("distinctCount", Some(4.0)),
                ("median", Some(4.0)),
                ("p99", Some(6.0)),
                ("variance", Some(8.0 / 3.0)),
            ],
        );
        check(&[], &[("mean", None), ("sum", Some(0.0)), ("count", Some(0.0)), ("min", None), ("p50", None)][..4]);
        check(&[], &[("allIsNull", Some(1.0)), ("allIsZero", Some(0.0)), ("median", None), ("p1", None)]);
        check(&[Some(0.0), None, Some(-0.0)], &[("allIsZero", Some(1.0)), ("logmin", None)]);
        check(&[Some(1.0), Some(NAN)], &[("lastNotNull", Some(1.0)), ("sum", Some(1.0)), ("max", Some(1.0))]);
        check(&[Some(10.0), Some(15.0), Some(2.0), Some(3.0)], &[("delta", Some(8.0))]);
        check(&[Some(10.0), Some(15.0), Some(2.0)], &[("delta", Some(7.0))]);
        check(&[Some(1.0), Some(2.0), Some(3.0), Some(4.0)], &[("median", Some(2.5)), ("p75", Some(3.0))]);
    }
}
