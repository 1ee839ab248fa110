//! The engine: evaluates expressions under limits.

use std::time::Duration;

use model::{Queryable, Sample, Timestamp};

use crate::{Answer, Expr, QueryError, QueryLimits, QueryStats, Range, Value, parse};

/// What an engine allows and how it behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// How long a sample stands for its series at later times.
    pub lookback: Duration,
    /// Most samples a query may hold at once.
    pub samples_max: u64,
    /// Longest time a query may take, waiting for its turn included.
    pub timeout: Duration,
    /// Queries evaluated at once; others wait.
    pub concurrency: usize,
    /// Step of subqueries that name none: the global evaluation interval.
    pub subquery_step: Duration,
    /// Whether functions that Prometheus calls experimental are allowed.
    pub experimental_functions: bool,
    /// Whether the metric name is removed at the end of the evaluation instead of at each function.
    pub delayed_name_removal: bool,
}

/// Evaluates expressions; share it by `Arc`. Calls block, so they belong on a thread that may.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
}

impl Default for EngineOptions {
    /// Prometheus' defaults.
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            samples_max: 50_000_000,
            timeout: Duration::from_secs(120),
            concurrency: 20,
            subquery_step: Duration::from_secs(60),
            experimental_functions: false,
            delayed_name_removal: false,
        }
    }
}

impl Engine {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// The options it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates `query` at one time.
    pub fn instant(
        &self,
        storage: &dyn Queryable,
        query: &str,
        at: Timestamp,
        limits: &QueryLimits,
    ) -> Result<Answer, QueryError> {
        self.instant_expr(storage, &parse(query)?, at, limits)
    }

    /// Evaluates a parsed expression at one time.
    pub fn instant_expr(
        &self,
        _storage: &dyn Queryable,
        expr: &Expr,
        at: Timestamp,
        _limits: &QueryLimits,
    ) -> Result<Answer, QueryError> {
        let value = Value::Scalar(Sample { timestamp: at, value: expr.as_number() });
        Ok(Answer { value, warnings: Vec::new(), infos: Vec::new(), stats: QueryStats::default() })
    }

    /// Evaluates `query` at every step of a range; the value is a matrix.
    pub fn range(
        &self,
        storage: &dyn Queryable,
        query: &str,
        range: Range,
        limits: &QueryLimits,
    ) -> Result<Answer, QueryError> {
        self.range_expr(storage, &parse(query)?, range, limits)
    }

    /// Evaluates a parsed expression at every step of a range.
    pub fn range_expr(
        &self,
        _storage: &dyn Queryable,
        _expr: &Expr,
        _range: Range,
        _limits: &QueryLimits,
    ) -> Result<Answer, QueryError> {
        Err(QueryError::Parameter("range queries are not built yet".to_owned()))
    }
}
