//! What goes in with a query and what comes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::{Labels, Sample, Samples, Timestamp};

use crate::eval::Claim;

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
    /// Counts samples as Prometheus' statistics do, which takes a while.
    pub count: bool,
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
    /// Samples that each step looked at; only where [`QueryLimits::count`] asks for it.
    pub samples_per_step: Vec<u64>,
    /// Counts the value against the memory of all queries; to be kept for as long as the value, or parts of it.
    pub held: Held,
}

/// Memory that an answer counts against the limit of all queries until the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub struct Held(#[expect(dead_code, reason = "it is there to be dropped")] Option<Arc<Claim>>);

impl Answer {
    /// A value without annotations that took nothing.
    pub(crate) fn of(value: Value) -> Self {
        Self {
            value,
            warnings: Vec::new(),
            infos: Vec::new(),
            stats: QueryStats::default(),
            samples_per_step: Vec::new(),
            held: Held::default(),
        }
    }
}

impl Held {
    pub(crate) fn new(claim: Claim) -> Self {
        Self(Some(Arc::new(claim)))
    }
}

impl Value {
    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Scalar(_) => 0,
            Self::String { text, .. } => text.len(),
            Self::Vector(points) => {
                points.iter().map(|point| size_of::<VectorPoint>() + point.labels.as_packed().len()).sum()
            }
            Self::Matrix(series) => series.iter().map(MatrixSeries::bytes).sum(),
        }
    }
}

impl MatrixSeries {
    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.labels.as_packed().len() + self.samples.len() * size_of::<Sample>()
    }
}

/// What a query took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Samples read from the store; where [`QueryLimits::count`] asks for it, those that the steps looked at.
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
