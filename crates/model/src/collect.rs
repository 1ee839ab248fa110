//! What an in-process collector hands over: metric families, as a page would carry them.

use std::borrow::Cow;

use thiserror::Error;

use crate::{BUCKET_BOUND, MetricKind};

/// Reads something once an interval: a host file, a BPF map, a room's own counters.
pub trait Collector: Send + Sync {
    /// A short name for logs and status, such as `meminfo`.
    fn name(&self) -> &'static str;

    /// Adds what it reads now. It may block on a file, never on the network.
    fn collect(&self, families: &mut Families) -> Result<(), CollectError>;
}

/// A collector could not read; the others go on.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub struct CollectError(pub String);

/// Families in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Families {
    families: Vec<Family>,
}

/// One metric family.
#[derive(Clone, Debug)]
pub struct Family {
    /// The name as exposed in the text format, `_total` included for counters.
    pub name: Cow<'static, str>,
    /// One sentence.
    pub help: Cow<'static, str>,
    /// The type.
    pub kind: MetricKind,
    /// Its values.
    pub points: Vec<Point>,
}

/// One value of a family.
#[derive(Clone, Debug)]
pub struct Point {
    /// Added to the family's name: `_bucket`, `_sum`, `_count`, or nothing.
    pub suffix: &'static str,
    /// Labels, without the name.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// The value.
    pub value: f64,
}

impl Families {
    /// Starts a family; points are added to what is returned.
    pub fn family(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        kind: MetricKind,
        help: impl Into<Cow<'static, str>>,
    ) -> &mut Family {
        let last = self.families.len();
        self.families.push(Family { name: name.into(), help: help.into(), kind, points: Vec::new() });
        &mut self.families[last]
    }

    /// A counter without labels.
    pub fn counter(&mut self, name: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>, value: f64) {
        self.family(name, MetricKind::Counter, help).value(value);
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>, value: f64) {
        self.family(name, MetricKind::Gauge, help).value(value);
    }

    /// Adds the families of others behind these.
    pub fn append(&mut self, others: Self) {
        self.families.extend(others.families);
    }

    /// Walks the families.
    pub fn iter(&self) -> impl Iterator<Item = &Family> {
        self.families.iter()
    }
}

impl Family {
    /// Adds a value without labels.
    pub fn value(&mut self, value: f64) -> &mut Self {
        self.points.push(Point { suffix: "", labels: Vec::new(), value });
        self
    }

    /// Adds a value with labels.
    pub fn with<N: Into<Cow<'static, str>>, V: Into<String>>(
        &mut self,
        labels: impl IntoIterator<Item = (N, V)>,
        value: f64,
    ) -> &mut Self {
        let labels = labels.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        self.points.push(Point { suffix: "", labels, value });
        self
    }

    /// Adds a classic histogram: the upper bound of each bucket with the observations in it alone (not in those below),
    /// by rising bound, then those above the last bound, and the sum of all values. The buckets as exposed are cumulative.
    pub fn histogram(&mut self, labels: &[(&'static str, &str)], buckets: &[(f64, u64)], above: u64, sum: f64) {
        let labels = || -> Vec<(Cow<'static, str>, String)> {
            labels.iter().map(|(name, value)| (Cow::Borrowed(*name), (*value).to_owned())).collect()
        };
        let mut count = 0;
        let all = buckets.iter().map(|(bound, count)| (format!("{bound:?}"), count));
        for (bound, inside) in all.chain([("+Inf".to_owned(), &above)]) {
            count += inside;
            let mut labels = labels();
            labels.push((Cow::Borrowed(BUCKET_BOUND), bound));
            self.points.push(Point { suffix: "_bucket", labels, value: count as f64 });
        }
        self.points.push(Point { suffix: "_sum", labels: labels(), value: sum });
        self.points.push(Point { suffix: "_count", labels: labels(), value: count as f64 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let mut families = Families::default();
        let family = families.family("x", MetricKind::Histogram, "");
        family.histogram(&[("a", "b")], &[(0.25, 1), (64.0, 2)], 3, 1000.5);
        let line = |p: &Point| {
            let labels: Vec<String> = p.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {} {}", p.suffix, labels.join(","), p.value)
        };
        let expected = [
            "_bucket a=b,le=0.25 1",
            "_bucket a=b,le=64.0 3",
            "_bucket a=b,le=+Inf 6",
            "_sum a=b 1000.5",
            "_count a=b 6",
        ];
        assert_eq!(family.points.iter().map(line).collect::<Vec<_>>(), expected);
    }
}
