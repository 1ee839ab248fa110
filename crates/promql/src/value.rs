//! What goes in with a query and what comes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::{Labels, Sample, Samples, Timestamp};

/// The steps of a range query: `start`, `start + step`, ... up to and including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First step.
    pub start: Timestamp,
    /// No step lies after it.
    pub end: Timestamp,
    /// Time between steps, at least a millisecond.
    pub step: Duration,
}

/// Tells a running query to stop; clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops the queries that carry this token, soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one query may take, on top of the engine's options.
#[derive(Clone, Debug, Default)]
pub struct QueryLimits {
    /// Wall time; the engine's limit holds where it is shorter.
    pub timeout: Option<Duration>,
    /// Lookback of this query, instead of the engine's.
    pub lookback: Option<Duration>,
    /// Set when nobody waits for the answer any more.
    pub cancel: Cancel,
    /// Computes all steps of a range, those of kept answers too.
    pub fresh: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// Warnings, `PromQL warning: ... (1:10)` and what the store said; at most ten and a line on the rest, as Prometheus' API does.
    pub warnings: Vec<String>,
    /// Infos, `PromQL info: ... (1:10)`, cut likewise.
    pub infos: Vec<String>,
    /// What it took.
    pub stats: QueryStats,
}

impl Answer {
    /// A value without annotations that took nothing.
    pub(crate) fn of(value: Value) -> Self {
        Self { value, warnings: Vec::new(), infos: Vec::new(), stats: QueryStats::default() }
    }
}

/// What a query took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Samples read from the store.
    pub samples_total: u64,
    /// Most samples held at once.
    pub samples_peak: u64,
}

/// A value of one of PromQL's types.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number at a time.
    Scalar(Sample),
    /// A text at a time.
    String {
        /// When it was asked for.
        timestamp: Timestamp,
        /// The text; bytes that are not UTF-8 are replaced, as in Prometheus' JSON.
        text: String,
    },
    /// One sample a series, all at the time asked for.
    Vector(Vec<VectorPoint>),
    /// Many samples a series.
    Matrix(Vec<MatrixSeries>),
}

/// An element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorPoint {
    /// Its labels.
    pub labels: Labels,
    /// Its sample.
    pub sample: Sample,
}

/// A series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples, oldest first.
    pub samples: Samples,
}
