//! Order of instant vectors.

use std::cmp::Ordering;

use super::Evaluation;
use super::grid::Grid;
use super::order::sort_as_go;
use super::quantile::is_before;
use super::series::Series;
use crate::QueryError;
use crate::syntax::NodeId;

impl Evaluation<'_> {
    /// By value, NaN last. Of a range query the answer is ordered by labels, so the order matters for one step only.
    pub(super) fn sort(&self, arg: NodeId, descending: bool, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let mut series = self.collect_all(arg, grid)?.series;
        sort_as_go(&mut series, |a, b| is_before(a.values[0], b.values[0], descending));
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
        sort_as_go(&mut series, |a, b| match (differing(a, b, &names), descending) {
            (Some((a, b)), false) => precedes(a, b),
            (Some((a, b)), true) => !precedes(a, b),
            (None, false) => a.labels < b.labels,
            (None, true) => a.labels > b.labels,
        });
        Ok(series)
    }
}

/// The values of the first of these labels in which two series differ.
fn differing<'s>(a: &'s Series, b: &'s Series, names: &[String]) -> Option<(&'s str, &'s str)> {
    let value = |series: &'s Series, name| series.labels.get(name).unwrap_or_default();
    names.iter().map(|name| (value(a, name), value(b, name))).find(|(a, b)| a != b)
}

/// Natural order, as upstream's library has it: runs of digits compare as numbers, the rest as text, `4m5 < 4m600 < 4m1000`.
/// Nothing precedes an empty text, nor does that precede anything, and of `1` and `01` each precedes the other.
fn precedes(a: &str, b: &str) -> bool {
    let (mut left, mut right) = (runs(a).peekable(), runs(b).peekable());
    while let (Some(x), Some(y)) = (left.next(), right.next()) {
        let order = match (x.parse::<i64>(), y.parse::<i64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => x.cmp(y),
        };
        match order {
            Ordering::Equal if left.peek().is_none() => return true,
            Ordering::Equal => {}
            order => return order.is_lt(),
        }
    }
    false
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
        let rising = ["4m5", "4m600", "4m1000", "a", "a2", "a10", "b"];
        for pair in rising.windows(2) {
            assert!(precedes(pair[0], pair[1]), "{pair:?}");
            assert!(!precedes(pair[1], pair[0]), "{pair:?}");
        }
        assert!(!precedes("", "x") && !precedes("x", ""));
        assert!(precedes("x1", "x01") && precedes("x01", "x1"));
    }
}
