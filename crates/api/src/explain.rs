//! `explain`: how an expression was computed, and what each part of it took. skep's own.
//!
//! It takes the parameters of `query`, or with `start` those of `query_range`, evaluates the same way and answers the plan
//! in place of the value:
//!
//! ```json
//! {"resultType": "matrix", "series": 1, "points": 61, "seconds": 0.0031,
//!  "samples": {"total": 24000, "peak": 304},
//!  "keptUntil": 1700000000,
//!  "plan": {"kind": "aggregation", "title": "sum by (job)", "position": {"start": 0, "end": 37}, "type": "vector",
//!           "seconds": 0.0029, "ownSeconds": 0.0001, "samples": 24000, "ownSamples": 0, "series": 1, "points": 61,
//!           "steps": 61, "threads": 1, "evaluations": 1, "recalled": 0, "selections": [], "children": []}}
//! ```
//!
//! `seconds` is wall time; that of a node includes its children, `ownSeconds` does not, and a function of range vectors
//! counts for the node of its range. `recalled` is how often the value was copied from an equal node. `keptUntil` is the
//! last step that a kept answer had: the plan tells of the steps after it, and of all with `nocache=1`. A selection is
//! what the store was asked: `matchers`, `start` and `end` (inclusive), `step`, `range`, `function`, `presence` (only
//! which series there are), `unnamed` (not even their labels), and how many `series` it found.

use std::time::Duration;

use model::Timestamp;
use promql::{Explained, PlanNode, Selected, Value};

use crate::State;
use crate::call::Call;
use crate::failure::Failure;
use crate::json::{Object, push_timestamp};
use crate::query::{limits, read_instant, read_range, run};
use crate::reply::{Notes, Reply};
use crate::tree::{push_matcher, type_word};

/// The endpoint.
pub(crate) fn explain(state: &State, call: &Call) -> Result<Reply, Failure> {
    let is_range = !call.form.get("start").is_empty();
    let query = call.form.get("query");
    let explained = if is_range {
        let range = read_range(call)?;
        let limits = limits(call)?;
        run(&limits, || state.engine.explain_range(&*state.storage, query, range, &limits), call)?
    } else {
        let at = read_instant(state, call)?;
        let limits = limits(call)?;
        run(&limits, || state.engine.explain_instant(&*state.storage, query, at, &limits), call)?
    };
    let mut data = Vec::new();
    push_explained(&mut data, &explained);
    let parts = move |out: &mut Vec<u8>| {
        out.append(&mut data);
        false
    };
    let answer = explained.answer;
    Ok(Reply::stream(parts, Notes { warnings: answer.warnings, infos: answer.infos }))
}

fn push_explained(out: &mut Vec<u8>, explained: &Explained) {
    let Explained { answer, plan } = explained;
    let (kind, series, points) = size(&answer.value);
    let mut object = Object::new(out);
    object.text("resultType", kind).integer("series", count(series)).integer("points", count(points));
    push_seconds(&mut object, "seconds", plan.took);
    let mut samples = Object::new(object.field("samples"));
    samples.integer("total", answer.stats.samples_total.cast_signed());
    samples.integer("peak", answer.stats.samples_peak.cast_signed());
    samples.end();
    if let Some(kept_until) = plan.kept_until {
        push_timestamp(object.field("keptUntil"), kept_until);
    }
    push_nodes(object.field("plan"), &plan.nodes);
    object.end();
}

/// Nests the nodes by their depth, without recursion: chains of operators may be very long.
fn push_nodes(out: &mut Vec<u8>, nodes: &[PlanNode]) {
    let mut open = 0;
    for node in nodes {
        let is_first_child = node.depth == open;
        for _ in node.depth..open {
            out.extend_from_slice(b"]}");
        }
        if !is_first_child {
            out.push(b',');
        }
        open = node.depth + 1;
        push_head(out, node);
        out.extend_from_slice(b",\"children\":[");
    }
    for _ in 0..open {
        out.extend_from_slice(b"]}");
    }
}

/// All of a node but its children and its end.
fn push_head(out: &mut Vec<u8>, node: &PlanNode) {
    let mut object = Object::new(out);
    object.text("kind", node.kind).text("title", &node.title);
    let mut position = Object::new(object.field("position"));
    position.integer("start", node.position.start.into()).integer("end", node.position.end.into());
    position.end();
    object.text("type", type_word(node.of));
    push_seconds(&mut object, "seconds", node.time);
    push_seconds(&mut object, "ownSeconds", node.own_time);
    object.integer("samples", node.samples.cast_signed()).integer("ownSamples", node.own_samples.cast_signed());
    object.integer("series", node.series.cast_signed()).integer("points", node.points.cast_signed());
    object.integer("steps", count(node.steps)).integer("threads", count(node.threads));
    object.integer("evaluations", node.evaluations.cast_signed()).integer("recalled", node.recalled.cast_signed());
    object.array("selections", &node.selections, push_selection);
}

fn push_selection(out: &mut Vec<u8>, selection: &Selected) {
    let hints = &selection.hints;
    let mut object = Object::new(out);
    object.array("matchers", &selection.matchers, push_matcher);
    push_time(&mut object, "start", selection.min_time);
    push_time(&mut object, "end", selection.max_time);
    push_seconds(&mut object, "step", hints.step.unwrap_or_default());
    push_seconds(&mut object, "range", hints.range);
    object.text("function", hints.function).bool("presence", hints.presence).bool("unnamed", hints.unnamed);
    object.integer("series", selection.series.cast_signed());
    object.end();
}

fn push_time(object: &mut Object<'_>, name: &str, time: Timestamp) {
    push_timestamp(object.field(name), time);
}

fn push_seconds(object: &mut Object<'_>, name: &str, duration: Duration) {
    object.float(name, duration.as_secs_f64());
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The kind of a value, its series and its numbers.
fn size(value: &Value) -> (&'static str, usize, usize) {
    match value {
        Value::Scalar(_) => ("scalar", 0, 1),
        Value::String { .. } => ("string", 0, 0),
        Value::Vector(points) => ("vector", points.len(), points.len()),
        Value::Matrix(series) => ("matrix", series.len(), series.iter().map(|series| series.samples.len()).sum()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(tree: &serde_json::Value) -> String {
        let children: String = tree["children"].as_array().unwrap().iter().map(shape).collect();
        format!("{}({children})", tree["title"].as_str().unwrap())
    }

    #[test]
    fn nodes_are_nested() {
        let store = promql::script::MemoryStore::default();
        let engine = promql::Engine::new(promql::EngineOptions::default());
        let check = |query: &str, expected: &str| {
            let limits = promql::QueryLimits::default();
            let plan = engine.explain_instant(&store, query, 0, &limits).unwrap().plan;
            let mut out = Vec::new();
            push_nodes(&mut out, &plan.nodes);
            let text = String::from_utf8(out).unwrap();
            let tree: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(shape(&tree), expected, "{query}: {text}");
        };
        check("1", "1()");
        check("1 + 2 * 3", "+(1()*(2()3()))");
        check("(1 ^ 2) / -vector(3) + 4", "+(/(^(1()2())-(vector(3())))4())");
    }

    #[test]
    fn long_chains_take_no_stack() {
        let store = promql::script::MemoryStore::default();
        let engine = promql::Engine::new(promql::EngineOptions::default());
        let chain = vec!["1"; 100_000].join("+");
        let explained = engine.explain_instant(&store, &chain, 0, &promql::QueryLimits::default()).unwrap();
        let mut out = Vec::new();
        push_explained(&mut out, &explained);
        assert!(out.ends_with(b"\"children\":[]}]}}"));
    }
}
