//! Exemplars of a query: single requests behind its buckets, as many as tell something.

use std::collections::BTreeMap;

use dashboard::TimeRange;
use model::{Hints, Labels, METRIC_NAME, Selection};

use crate::ask::Asker;

/// Exemplars of a picture; more points are a cloud.
const EXEMPLARS_MAX: usize = 300;

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) at: i64,
    pub(super) value: f64,
    /// Its own labels, `trace_id` say.
    pub(super) labels: Labels,
    /// Those of its series.
    pub(super) series: Labels,
}

impl Exemplar {
    /// Its labels, then those of its series.
    pub(super) fn text(&self) -> String {
        let series = self.series.iter().filter(|(name, _)| *name != METRIC_NAME);
        let pairs = self.labels.iter().chain(series).map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join(" ")
    }
}

/// The exemplars of the series that an expression selects. Of those of one step the greatest is kept, and each that lies two
/// standard deviations of all below the one kept before it, as Grafana samples them.
pub(super) fn of(asker: &Asker, expr: &str, range: &TimeRange, step_ms: u64) -> Result<Vec<Exemplar>, String> {
    let parsed = promql::parse(expr).map_err(|error| error.to_string())?;
    let mut found: Vec<(Labels, Vec<model::Exemplar>)> = Vec::new();
    for selector in parsed.selectors() {
        let selection = Selection {
            matchers: &selector.matchers,
            min_time: range.from_ms,
            max_time: range.to_ms,
            hints: Hints::default(),
        };
        found.extend(asker.storage().exemplars(&selection).map_err(|error| error.to_string())?);
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    let one = |series: &Labels, one: model::Exemplar| {
        Some(Exemplar { at: one.timestamp?, value: one.value, labels: one.labels, series: series.clone() })
    };
    let all = found.into_iter().flat_map(|(series, list)| list.into_iter().filter_map(move |it| one(&series, it)));
    Ok(sampled(all.filter(|exemplar| exemplar.value.is_finite()).collect(), step_ms))
}

fn sampled(all: Vec<Exemplar>, step_ms: u64) -> Vec<Exemplar> {
    let apart = 2.0 * deviation(&all);
    let step = i64::try_from(step_ms).unwrap_or(i64::MAX).max(1);
    let mut steps: BTreeMap<i64, Vec<Exemplar>> = BTreeMap::new();
    for exemplar in all {
        steps.entry(exemplar.at.div_euclid(step)).or_default().push(exemplar);
    }
    let mut kept = Vec::new();
    for mut list in steps.into_values() {
        list.sort_by(|a, b| b.value.total_cmp(&a.value));
        let mut last = f64::INFINITY;
        for exemplar in list {
            if last - exemplar.value > apart {
                last = exemplar.value;
                kept.push(exemplar);
            }
        }
    }
    kept.sort_by_key(|exemplar| exemplar.at);
    kept.split_off(kept.len().saturating_sub(EXEMPLARS_MAX))
}

fn deviation(all: &[Exemplar]) -> f64 {
    if all.len() < 2 {
        return 0.0;
    }
    let mean = all.iter().map(|one| one.value).sum::<f64>() / all.len() as f64;
    let squares: f64 = all.iter().map(|one| (one.value - mean).powi(2)).sum();
    (squares / (all.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_tell_something_are_kept() {
        let check = |values: &[(i64, f64)], expected: &[(i64, f64)]| {
            let one = |(at, value): &(i64, f64)| Exemplar {
                at: *at,
                value: *value,
                labels: Labels::empty(),
                series: Labels::empty(),
            };
            let kept = sampled(values.iter().map(one).collect(), 60);
            assert_eq!(kept.iter().map(|one| (one.at, one.value)).collect::<Vec<_>>(), expected);
        };
        check(&[], &[]);
        check(&[(5, 1.0)], &[(5, 1.0)]);
        check(&[(0, 1.0), (70, 1.1), (90, 1.2)], &[(0, 1.0), (90, 1.2)]);
        let many: Vec<(i64, f64)> = (0..40).map(|at| (at, 1.0)).chain([(41, 100.0)]).collect();
        check(&many, &[(0, 1.0), (41, 100.0)]);
    }
}
