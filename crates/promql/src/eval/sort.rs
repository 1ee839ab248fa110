//! Order of instant vectors.

use std::cmp::Ordering;

use super::Evaluation;
use super::grid::Grid;
use super::quantile::nan_last;
use super::series::Series;
use crate::QueryError;
use crate::syntax::NodeId;

impl Evaluation<'_> {
    /// By value, NaN last and those backwards, as upstream's comparison has each NaN before any other. Of a range query the
    /// answer is ordered by labels, so the order matters for one step only.
    pub(super) fn sort(&self, arg: NodeId, descending: bool, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let mut series = self.collect_all(arg, grid)?.series;
        series.sort_by(|a, b| nan_last(a.values[0], b.values[0], descending));
        let numbers = series.partition_point(|series| !series.values[0].is_nan());
        series[numbers..].reverse();
        Ok(series)
    }

    /// By these labels in natural order, then by all labels.
    pub(super) fn sort_by_label(
        &self,
        args: &[NodeId],
        descending: bool,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let names: Vec<String> =
            args[1..].iter().map(|arg| String::from_utf8_lossy(&self.text(*arg)).into_owned()).collect();
        let mut series = self.collect_all(args[0], grid)?.series;
        series.sort_by(|a, b| {
            let order = by_labels(a, b, &names);
            if descending { order.reverse() } else { order }
        });
        Ok(series)
    }
}

fn by_labels(a: &Series, b: &Series, names: &[String]) -> Ordering {
    for name in names {
        let value = |series: &Series| series.labels.get(name).unwrap_or_default().to_owned();
        let order = natural(&value(a), &value(b));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.labels.cmp(&b.labels)
}

/// Runs of digits compare as numbers, the rest as text: `4m5 < 4m600 < 4m1000`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (runs(a), runs(b));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                let order = match (x.parse::<i64>(), y.parse::<i64>()) {
                    (Ok(x), Ok(y)) => x.cmp(&y),
                    _ => x.cmp(y),
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

/// Runs of digits and of other characters.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let digits = rest.chars().next()?.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(end);
        rest = tail;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_order() {
        let rising = ["", "4m5", "4m600", "4m1000", "a", "a2", "a10", "b"];
        for pair in rising.windows(2) {
            assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(natural(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(natural("x1", "x1"), Ordering::Equal);
    }
}
