//! Prometheus' test language for PromQL: scripts that load series, evaluate expressions and state what comes out.
//!
//! Each instant evaluation also runs as the middle step of a range query and must give the same. Native histograms are not
//! built yet: an evaluation that touches one is skipped, and the report says so.

mod command;
mod compare;
mod memory;
mod values;

use std::fmt;

use model::Labels;

pub use command::ScriptError;
pub use memory::MemoryStore;

use crate::{Engine, EngineOptions, QueryError, QueryLimits, parse};
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
    Engine::new(EngineOptions { experimental_functions: true, delayed_name_removal: true, ..EngineOptions::default() })
}

/// Runs a script. An error means that the script cannot be read; failed expectations are in the report.
pub fn run(script: &str) -> Result<Report, ScriptError> {
    let engine = engine();
    let mut store = MemoryStore::default();
    let mut report = Report::default();
    for command in command::parse(script)? {
        match command {
            Command::Clear => store = MemoryStore::default(),
            Command::Load { series, with_native } => series.into_iter().for_each(|series| {
                if series.native || with_native {
                    store.add_native(native_labels(&series.labels));
                }
                store.append(&series.labels, series.samples);
            }),
            Command::Eval(evaluation) => judge(&engine, &store, &evaluation, &mut report),
        }
    }
    Ok(report)
}

/// Labels of the native histogram made of a classic one, or of one that was loaded as such.
fn native_labels(labels: &Labels) -> Labels {
    let name = labels.metric_name();
    let name = name.strip_suffix("_bucket").unwrap_or(name).to_owned();
    let mut builder = labels.to_builder();
    builder.set(model::METRIC_NAME, name).remove(model::BUCKET_BOUND);
    builder.build()
}

fn judge(engine: &Engine, store: &MemoryStore, evaluation: &Evaluation, report: &mut Report) {
    let remark = |message: String| Remark { line: evaluation.line, query: evaluation.query.clone(), message };
    if touches_native(store, evaluation) {
        report.skipped.push(remark("native histograms are not built yet".to_owned()));
        return;
    }
    match outcome(engine, store, evaluation) {
        Ok(()) => report.passed += 1,
        Err(message) => report.failed.push(remark(message)),
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

fn outcome(engine: &Engine, store: &MemoryStore, evaluation: &Evaluation) -> Result<(), String> {
    let limits = QueryLimits::default();
    let answer = match evaluation.time {
        Time::Instant(at) => engine.instant(store, &evaluation.query, at, &limits),
        Time::Range(range) => engine.range(store, &evaluation.query, range, &limits),
    };
    check(evaluation, &answer)?;
    let Time::Instant(at) = evaluation.time else {
        return Ok(());
    };
    if evaluation.ordered || evaluation.text.is_some() || is_matrix(&answer) {
        return Ok(());
    }
    let minute = 60_000;
    let step = std::time::Duration::from_millis(minute as u64);
    let range = crate::Range { start: at - minute, end: at + minute, step };
    let around = engine.range(store, &evaluation.query, range, &limits);
    compare::check_middle(evaluation, &around, at).map_err(|message| format!("as a range query: {message}"))
}

fn is_matrix(answer: &Result<crate::Answer, QueryError>) -> bool {
    matches!(answer, Ok(crate::Answer { value: crate::Value::Matrix(_), .. }))
}
