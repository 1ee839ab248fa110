//! Prometheus' test language for PromQL: scripts that load series, evaluate expressions and state what comes out.
//!
//! Each instant evaluation also runs as the middle step of a range query, and with `@` at other times, and must give the
//! same. Native histograms are not built yet: an evaluation that touches one is skipped, and the report says so; so are
//! constructs of later releases.

mod command;
mod compare;
mod memory;
mod newer;
mod values;

use std::fmt;

use model::{Labels, Timestamp};

pub use command::ScriptError;
pub use memory::MemoryStore;

use crate::eval::follows_steps;
use crate::syntax::{AtTime, Kind, VectorSelector};
use crate::{Engine, EngineOptions, Expr, QueryError, QueryLimits, parse};
use command::{Command, Evaluation, Time};
use compare::check;

/// What a script's evaluations came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Evaluations that gave what was expected.
    pub passed: usize,
    /// Evaluations that were not run, with the reason.
    pub skipped: Vec<Remark>,
    /// Evaluations that gave something else.
    pub failed: Vec<Remark>,
    /// Lines that are not of the language that Prometheus 3.5 knows; what depends on them is skipped.
    pub unread: Vec<Remark>,
}

/// Something to say of a line.
#[derive(Clone, Debug)]
pub struct Remark {
    /// Line of the script, from 1.
    pub line: usize,
    /// The expression.
    pub query: String,
    /// What happened.
    pub message: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.query, self.message)
    }
}

/// The engine that scripts expect, as upstream's runner sets it up: everything switched on, names removed at the end.
fn engine() -> Engine {
    Engine::new(EngineOptions {
        experimental_functions: true,
        delayed_name_removal: true,
        strict_matching: true,
        ..EngineOptions::default()
    })
}

/// Reads a series with its sequence of values, `name{label="value"} 1 2+3x4 _x2 stale`; a gap is `None`. Native histograms
/// are an error.
pub fn read_series(line: &str) -> Result<(Labels, Vec<Option<f64>>), String> {
    let sequence = values::parse_sequence(line)?;
    let value = |item: &values::Item| match item {
        values::Item::Gap => Ok(None),
        values::Item::Value(value) => Ok(Some(*value)),
        values::Item::Native => Err("native histograms are not built yet".to_owned()),
    };
    let values = sequence.items.iter().map(value).collect::<Result<_, _>>()?;
    Ok((sequence.labels, values))
}

/// Runs a script. An error means that it is none; failed expectations are in the report.
pub fn run(script: &str) -> Result<Report, ScriptError> {
    let engine = engine();
    let mut store = MemoryStore::default();
    let mut report = Report::default();
    // A line that loads something, nobody knows what.
    let mut lacks_something = false;
    for command in command::parse(script)? {
        match command {
            Command::Clear => (store, lacks_something) = (MemoryStore::default(), false),
            Command::Load { series, with_native } => series.into_iter().for_each(|series| {
                if series.native {
                    store.add_native(series.labels.clone());
                }
                if let Some(labels) = with_native.then(|| made_of_buckets(&series.labels)).flatten() {
                    store.add_native(labels);
                }
                store.append(&series.labels, series.samples);
            }),
            Command::Eval(evaluation) => judge(&engine, &store, &evaluation, lacks_something, &mut report),
            Command::Unread { error, text, loads } => {
                lacks_something |= loads.contains(&None);
                loads.into_iter().flatten().for_each(|labels| store.add_native(labels));
                report.unread.push(Remark { line: error.line, query: text, message: error.message });
            }
        }
    }
    Ok(report)
}

/// Labels of the native histogram that is made of a classic one; `None` if the series is no bucket.
fn made_of_buckets(labels: &Labels) -> Option<Labels> {
    labels.get(model::BUCKET_BOUND)?;
    let name = labels.metric_name().strip_suffix("_bucket")?.to_owned();
    let mut builder = labels.to_builder();
    builder.set(model::METRIC_NAME, name).remove(model::BUCKET_BOUND);
    Some(builder.build())
}

fn judge(engine: &Engine, store: &MemoryStore, evaluation: &Evaluation, lacks_something: bool, report: &mut Report) {
    let remark = |message: String| Remark { line: evaluation.line, query: evaluation.query.clone(), message };
    let reason = if let Some(newer) = newer::construct(evaluation) {
        Some(format!("newer than Prometheus 3.5: {newer}"))
    } else if lacks_something {
        Some("it may depend on a line that could not be read".to_owned())
    } else {
        touches_native(store, evaluation).then(|| "native histograms are not built yet".to_owned())
    };
    match reason.map_or_else(|| outcome(engine, store, evaluation), |reason| Err(Trouble::Skipped(reason))) {
        Ok(()) => report.passed += 1,
        Err(Trouble::Skipped(message)) => report.skipped.push(remark(message)),
        Err(Trouble::Failed(message)) => report.failed.push(remark(message)),
    }
}

/// Why an evaluation did not pass.
enum Trouble {
    Skipped(String),
    Failed(String),
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

fn touches_native(store: &MemoryStore, evaluation: &Evaluation) -> bool {
    if evaluation.expects_native {
        return true;
    }
    let Ok(expr) = parse(&evaluation.query) else {
        return false;
    };
    expr.selectors().any(|selector| store.has_native(&selector.matchers))
}

/// As it stands; then an instant evaluation also as the middle of a range, and with `@` at other times.
fn outcome(engine: &Engine, store: &MemoryStore, evaluation: &Evaluation) -> Result<(), Trouble> {
    let limits = QueryLimits::default();
    let answer = match evaluation.time {
        Time::Instant(at) => engine.instant(store, &evaluation.query, at, &limits),
        Time::Range(range) => engine.range(store, &evaluation.query, range, &limits),
    };
    check(evaluation, &answer)?;
    let Time::Instant(at) = evaluation.time else {
        return Ok(());
    };
    let Ok(expr) = parse(&evaluation.query) else {
        return Ok(());
    };
    fixed(engine, store, evaluation, &expr, at)?;
    if evaluation.ordered || evaluation.text.is_some() || is_matrix(&answer) || follows_query(&expr) {
        return Ok(());
    }
    let minute = 60_000;
    let step = std::time::Duration::from_millis(minute as u64);
    let range = crate::Range { start: at.saturating_sub(minute), end: at.saturating_add(minute), step };
    let around = engine.range(store, &evaluation.query, range, &limits);
    Ok(compare::check_middle(evaluation, &around, at).map_err(|message| format!("as a range query: {message}"))?)
}

/// The expression with `@` at all selectors, evaluated at other times, unless its value moves with the step
/// all the same.
fn fixed(
    engine: &Engine,
    store: &MemoryStore,
    evaluation: &Evaluation,
    expr: &Expr,
    at: Timestamp,
) -> Result<(), String> {
    // `info` looks up what it joins at the time of the step.
    let moves = |kind: &Kind| match kind {
        Kind::Call { function, .. } => follows_steps(function.name) || function.name == "info",
        _ => false,
    };
    if evaluation.fail.is_some() || follows_query(expr) || expr.nodes().any(|(_, node)| moves(&node.kind)) {
        return Ok(());
    }
    let expr = expr.fixed_at(at);
    let values_only =
        Evaluation { warn: Vec::new(), info: Vec::new(), no_warn: false, no_info: false, ..evaluation.clone() };
    for time in [at.saturating_mul(-10), 0, at / 5, at.saturating_mul(10), at - 1000, at + 1000] {
        let answer = engine.instant_expr(store, &expr, time, &QueryLimits::default());
        check(&values_only, &answer).map_err(|message| format!("with @, at {time}: {message}"))?;
    }
    Ok(())
}

/// Whether the value follows the start or the end of the query.
fn follows_query(expr: &Expr) -> bool {
    expr.nodes().any(|(_, node)| match &node.kind {
        Kind::Vector(VectorSelector { modifiers, .. }) | Kind::Subquery { modifiers, .. } => {
            matches!(modifiers.at, Some(AtTime::Start | AtTime::End))
        }
        _ => false,
    })
}

fn is_matrix(answer: &Result<crate::Answer, QueryError>) -> bool {
    matches!(answer, Ok(crate::Answer { value: crate::Value::Matrix(_), .. }))
}
