//! Recording rules: a result under a new name.

use std::collections::HashSet;

use model::{Labels, METRIC_NAME, Sample, Timestamp};
use promql::Cancel;

use crate::context::Context;
use crate::{Error, Rule};

/// A series and the sample an evaluation gave it.
pub(crate) type Recorded = (Labels, Sample);

/// Evaluates a recording rule at `at`, which the group's query offset is already taken from.
pub(crate) fn evaluate(
    rule: &Rule,
    context: &Context,
    at: Timestamp,
    limit: u64,
    cancel: &Cancel,
) -> Result<Vec<Recorded>, Error> {
    let points = context.query(&rule.expr, at, cancel)?;
    let mut seen = HashSet::with_capacity(points.len());
    let mut recorded = Vec::with_capacity(points.len());
    for point in points {
        let mut builder = point.labels.to_builder();
        builder.set(METRIC_NAME, rule.name.as_str());
        for (name, value) in &rule.labels {
            builder.set(name, value.as_str());
        }
        let labels = builder.build();
        if !seen.insert(labels.clone()) {
            return Err(Error::DuplicateSeries);
        }
        recorded.push((labels, Sample { timestamp: at, value: point.sample.value }));
    }
    let count = recorded.len();
    if limit > 0 && count as u64 > limit {
        return Err(Error::TooManySeries { limit, count });
    }
    Ok(recorded)
}
