//! When alerts were pending and fired, as strips.

use std::collections::BTreeMap;

use model::{Labels, METRIC_NAME};
use promql::Range;

use crate::ask::Asker;
use crate::chart::Grid;
use crate::format::{literal, series_name};

/// Alerts with a strip of their own; a rule with more is told in numbers.
const STRIPS_MAX: usize = 30;

/// The strip's coordinates; the page stretches them.
const WIDTH: f64 = 1000.0;

/// The states of one alert over a range.
pub(super) struct Strip {
    pub(super) name: String,
    /// Beginning, width and whether it fires.
    pub(super) spans: Vec<(String, String, bool)>,
    pub(super) summary: String,
}

/// The strips of all alerts of a name, or of the one with these labels beside it, and how many were left out.
pub(super) fn strips(asker: &Asker, alert: &str, only: Option<&Labels>, grid: Grid) -> (Vec<Strip>, usize) {
    let range = Range { step: grid.range().step, ..grid.range() };
    let Ok(ranged) = asker.range(&format!("ALERTS{{alertname={}}}", literal(alert)), range) else {
        return (Vec::new(), 0);
    };
    let (start, end) = (range.start, range.end.max(range.start + 1));
    let step = i64::try_from(range.step.as_millis()).unwrap_or(1).max(1);
    let place = |at: i64| (at - start) as f64 / (end - start) as f64 * WIDTH;
    let mut alerts: BTreeMap<Labels, Vec<(i64, i64, bool)>> = BTreeMap::new();
    for series in &ranged.series {
        let fires = series.labels.get("alertstate") == Some("firing");
        let mut builder = series.labels.to_builder();
        builder.remove("alertstate").remove("alertname").remove(METRIC_NAME);
        let labels = builder.build();
        if only.is_some_and(|only| *only != labels) {
            continue;
        }
        let spans = alerts.entry(labels).or_default();
        for sample in series.samples.iter() {
            match spans.last_mut().filter(|(_, to, kind)| *kind == fires && *to + step >= sample.timestamp) {
                Some((_, to, _)) => *to = sample.timestamp,
                None => spans.push((sample.timestamp, sample.timestamp, fires)),
            }
        }
    }
    let total = alerts.len();
    let strips = alerts.into_iter().take(STRIPS_MAX).map(|(labels, spans)| Strip {
        name: if labels.is_empty() { alert.to_owned() } else { series_name(&labels) },
        summary: summary(&spans, step),
        spans: spans
            .iter()
            .map(|(from, to, fires)| {
                let width = (place(to + step) - place(*from)).max(1.0);
                (format!("{:.1}", place(*from)), format!("{width:.1}"), *fires)
            })
            .collect(),
    });
    (strips.collect(), total.saturating_sub(STRIPS_MAX))
}

fn summary(spans: &[(i64, i64, bool)], step: i64) -> String {
    let of = |wanted: bool| spans.iter().filter(move |(_, _, fires)| *fires == wanted);
    let seconds = |wanted| of(wanted).map(|(from, to, _)| to - from + step).sum::<i64>() as f64 / 1000.0;
    let unit = crate::format::Unit::Seconds;
    format!(
        "fired {} times, for {}; pending {} times, for {}",
        of(true).count(),
        unit.text(seconds(true)),
        of(false).count(),
        unit.text(seconds(false))
    )
}
