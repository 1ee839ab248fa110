//! Explain: the plan of an expression on the query page, node by node.

use std::time::Duration;

use model::Timestamp;
use promql::{Explained, Plan, PlanNode, QueryError, Selected, Type, Value, parse};

use crate::ask::Asker;
use crate::chart::Grid;
use crate::data::with_intervals;
use crate::format::{Unit, When, took};

/// Nodes that are shown; an expression that somebody reads has fewer.
const ROWS_MAX: usize = 400;
/// Deeper nodes are not moved further to the right: the style sheet has this many steps.
const DEPTH_MAX: usize = 10;

/// How one expression was computed.
pub(crate) struct Explanation {
    pub(crate) expr: String,
    /// Steps, or none where it was computed at one time.
    pub(crate) steps: Option<usize>,
    pub(crate) series: usize,
    pub(crate) samples: String,
    pub(crate) peak: String,
    pub(crate) took: String,
    pub(crate) rows: Vec<Row>,
    /// Whether there are more nodes than are shown.
    pub(crate) is_cut: bool,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

/// A node.
pub(crate) struct Row {
    pub(crate) depth: usize,
    pub(crate) title: String,
    pub(crate) own: String,
    /// The node's part of the whole time, 0 to 100.
    pub(crate) percent: u8,
    pub(crate) whole: String,
    /// Dashes where the node was not computed, and where it holds no numbers.
    pub(crate) series: String,
    pub(crate) points: String,
    pub(crate) samples: String,
    /// Threads, equal nodes and the like.
    pub(crate) remarks: Vec<String>,
    pub(crate) pushed: Vec<Pushed>,
}

/// What the store was asked.
pub(crate) struct Pushed {
    pub(crate) from: When,
    pub(crate) to: When,
    pub(crate) found: String,
    /// What else it was told, such as `only which series there are`.
    pub(crate) hints: Vec<&'static str>,
}

/// Computes all of an expression anew: on the steps of a chart, or at the end where it has no value for a chart.
pub(crate) fn explain(asker: &Asker, expr: &str, grid: Grid, interval: Duration) -> Result<Explanation, QueryError> {
    let text = with_intervals(expr, grid, interval);
    let range = grid.range();
    let is_ranged = matches!(parse(&text)?.value_type(), Type::Scalar | Type::Vector) && range.start <= range.end;
    let explained =
        if is_ranged { asker.explain_range(&text, range)? } else { asker.explain_instant(&text, range.end)? };
    let step = i64::try_from(range.step.as_millis()).unwrap_or(i64::MAX).max(1);
    let steps = usize::try_from(range.end.saturating_sub(range.start) / step).unwrap_or_default() + 1;
    Ok(Explanation::new(expr, explained, is_ranged.then_some(steps)))
}

impl Explanation {
    fn new(expr: &str, explained: Explained, steps: Option<usize>) -> Self {
        let Explained { answer, plan } = explained;
        let series = match &answer.value {
            Value::Vector(points) => points.len(),
            Value::Matrix(series) => series.len(),
            Value::Scalar(_) | Value::String { .. } => 0,
        };
        let rows = rows(&plan, steps.unwrap_or(1));
        Self {
            expr: expr.to_owned(),
            steps,
            series,
            samples: count(answer.stats.samples_total),
            peak: count(answer.stats.samples_peak),
            took: took(plan.took),
            is_cut: rows.len() > ROWS_MAX,
            rows: rows.into_iter().take(ROWS_MAX).collect(),
            warnings: answer.warnings,
            infos: answer.infos,
        }
    }
}

fn rows(plan: &Plan, steps: usize) -> Vec<Row> {
    let whole = plan.nodes.first().map(|node| node.time).unwrap_or_default();
    let mut hidden_below = usize::MAX;
    // What lies under a part that was taken from an equal one is told there.
    let shown = plan.nodes.iter().filter(|node| {
        if node.depth > hidden_below {
            return false;
        }
        let is_recalled = node.recalled > 0 && node.evaluations == 0;
        hidden_below = if is_recalled { node.depth } else { usize::MAX };
        true
    });
    shown.take(ROWS_MAX + 1).map(|node| Row::new(node, whole, steps)).collect()
}

impl Row {
    fn new(node: &PlanNode, whole: Duration, steps: usize) -> Self {
        let is_computed = node.evaluations > 0;
        let is_known = is_computed || node.recalled > 0;
        let if_any = |is_any: bool, text: String| if is_any { text } else { "–".to_owned() };
        let is_vector = matches!(node.of, Type::Vector | Type::Matrix);
        Self {
            depth: node.depth.min(DEPTH_MAX),
            title: node.title.clone(),
            own: if_any(is_computed, took(node.own_time)),
            percent: percent(node.own_time, whole),
            whole: if_any(is_computed, took(node.time)),
            series: if_any(is_known && is_vector, count(node.series)),
            points: if_any(is_known && node.points > 0, count(node.points)),
            samples: if_any(node.samples > 0, count(node.samples)),
            remarks: remarks(node, steps),
            pushed: node.selections.iter().map(Pushed::new).collect(),
        }
    }
}

fn remarks(node: &PlanNode, steps: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    if node.recalled > 0 {
        remarks.push("taken from an equal part".to_owned());
    } else if node.evaluations == 0 {
        remarks.push("not computed".to_owned());
    }
    if node.evaluations > 0 && node.steps == 1 && steps > 1 && node.kind != "number" && node.kind != "string" {
        remarks.push("once for all steps".to_owned());
    }
    if node.threads > 1 {
        remarks.push(format!("on {} threads", node.threads));
    }
    remarks
}

impl Pushed {
    fn new(selected: &Selected) -> Self {
        let mut hints = Vec::new();
        if selected.hints.presence {
            hints.push("only which have samples");
        }
        if selected.hints.unnamed {
            hints.push("without labels");
        }
        let [from, to]: [Timestamp; 2] = [selected.min_time, selected.max_time];
        Self { from: When::new(from), to: When::new(to), found: count(selected.series), hints }
    }
}

fn percent(part: Duration, whole: Duration) -> u8 {
    let share = part.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
    (share * 100.0).round().clamp(0.0, 100.0) as u8
}

fn count(n: u64) -> String {
    Unit::Short.text(n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let check = |part, whole, expected| {
            assert_eq!(percent(Duration::from_micros(part), Duration::from_micros(whole)), expected);
        };
        check(0, 0, 0);
        check(1, 3, 33);
        check(3, 3, 100);
        check(4, 3, 100);
    }
}
