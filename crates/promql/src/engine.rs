//! The engine: evaluates expressions under limits.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{CollectError, Collector, Families, Live, Queryable, Sample, Timestamp};

use crate::asked::Asked;
use crate::eval::{Budget, Caps, Counted, Notes, Pool, Raised, Remembered, Setting, Trace, evaluate, evaluate_matrix};
use crate::kept::{Answers, Begun};
use crate::syntax::Type;
use crate::{Answer, Cancel, Explained, Expr, Held, Plan, QueryError, QueryLimits, Range, Value, parse};

/// How often a query that waits for its turn looks whether it was cancelled.
const QUEUE_POLL: Duration = Duration::from_millis(50);

/// Prometheus' limit.
const SAMPLES_MAX_DEFAULT: u64 = 50_000_000;

/// As much as the samples of one query take at that limit; a server derives it from its memory budget.
const MEMORY_MAX_DEFAULT: u64 = SAMPLES_MAX_DEFAULT * size_of::<Sample>() as u64;

/// Steps whose samples are counted: as many as a server answers.
const STEPS_COUNTED_MAX: usize = 11_001;

/// Some hundred panels of a thousand points for each of twenty series.
const KEPT_BYTES_MAX_DEFAULT: usize = 32 << 20;

/// What an engine allows and how it behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// How long a sample stands for its series at later times.
    pub lookback: Duration,
    /// Most samples a query may hold at once, and all running ones together.
    pub samples_max: u64,
    /// Most bytes that all running queries together hold in samples, columns and labels.
    pub memory_max: u64,
    /// Longest time a query may take, waiting for its turn included.
    pub timeout: Duration,
    /// Most bytes of answers of range queries that are kept for the next refresh.
    pub kept_bytes_max: usize,
    /// Queries evaluated at once; others wait.
    pub concurrency: usize,
    /// Threads that read the series of one query.
    pub threads: usize,
    /// Step of subqueries that name none: the global evaluation interval.
    pub subquery_step: Duration,
    /// Whether functions that Prometheus calls experimental are allowed.
    pub experimental_functions: bool,
    /// Whether the metric name is removed at the end of the evaluation instead of at each function.
    pub delayed_name_removal: bool,
    /// Whether two partners of one series are refused even where a comparison keeps at most one of them, as releases after 3.5
    /// do; 3.5 forgets those that it filters away.
    pub strict_matching: bool,
    /// Whether servers tell the samples of each step on demand.
    pub per_step_stats: bool,
}

/// Evaluates expressions; share it by `Arc`. Calls block, so they belong on a thread that may.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    running: Mutex<usize>,
    finished: Condvar,
    pool: Pool,
    answers: Answers,
    asked: Asked,
    subquery_step: Live<Duration>,
}

/// Lengths of time that an expression leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spans {
    pub(crate) lookback: Duration,
    pub(crate) subquery_step: Duration,
}

/// What an evaluation takes from outside of the expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'i> {
    pub(crate) spans: Spans,
    /// Whether it comes again, as of [`model::Hints::again`].
    pub(crate) again: bool,
    /// What is remembered of the time before.
    pub(crate) remembered: Option<&'i Remembered>,
}

/// A query's place among those that run.
struct Turn<'e>(&'e Engine);

impl Default for EngineOptions {
    /// Prometheus' defaults.
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            samples_max: SAMPLES_MAX_DEFAULT,
            memory_max: MEMORY_MAX_DEFAULT,
            timeout: Duration::from_secs(120),
            kept_bytes_max: KEPT_BYTES_MAX_DEFAULT,
            concurrency: 20,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            subquery_step: Duration::from_secs(60),
            experimental_functions: false,
            delayed_name_removal: false,
            strict_matching: false,
            per_step_stats: false,
        }
    }
}

impl Engine {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Self {
        let answers = Answers::new(options.kept_bytes_max);
        let subquery_step = Live::new(options.subquery_step);
        let (running, finished, pool) = (Mutex::new(0), Condvar::new(), Pool::default());
        Self { options, running, finished, pool, answers, asked: Asked::default(), subquery_step }
    }

    /// Queries that begin from now on evaluate subqueries that name no step at this one.
    pub fn set_subquery_step(&self, step: Duration) {
        self.subquery_step.set(step);
    }

    fn spans(&self, limits: &QueryLimits) -> Spans {
        let lookback = limits.lookback.unwrap_or(self.options.lookback);
        Spans { lookback, subquery_step: self.subquery_step.get() }
    }

    /// Of an instant query, which is noted.
    fn inputs(&self, expr: &Expr, limits: &QueryLimits) -> Inputs<'static> {
        let again = self.asked.before(expr.text(), Instant::now());
        Inputs { spans: self.spans(limits), again, remembered: None }
    }

    /// Bytes that running queries and kept answers hold.
    pub fn held_bytes(&self) -> u64 {
        self.pool.bytes() + self.answers.bytes() as u64
    }

    /// Queries that are being evaluated; those that wait for their turn are not among them.
    pub fn running(&self) -> usize {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Evaluates a parsed expression at one time. A range vector yields its samples as a matrix.
    pub fn instant_expr(
        &self,
        storage: &dyn Queryable,
        expr: &Expr,
        at: Timestamp,
        limits: &QueryLimits,
    ) -> Result<Answer, QueryError> {
        self.run(storage, expr, (at, at, None), self.inputs(expr, limits), limits, None).map(|(answer, _)| answer)
    }

    /// Evaluates `query` at every step of a range; the value is a matrix, ordered by labels.
    pub fn range(
        &self,
        storage: &dyn Queryable,
        query: &str,
        range: Range,
        limits: &QueryLimits,
    ) -> Result<Answer, QueryError> {
        self.range_expr(storage, &parse(query)?, range, limits)
    }

    /// Whether [`Engine::range`] is likely to take no time to speak of: the answer but for some last steps is kept, and no
    /// other query runs.
    pub fn is_quick(&self, query: &str, range: Range, limits: &QueryLimits) -> bool {
        !limits.fresh && self.running() == 0 && self.answers.is_quick(query, range, self.spans(limits))
    }

    /// Evaluates a parsed expression at every step of a range.
    pub fn range_expr(
        &self,
        storage: &dyn Queryable,
        expr: &Expr,
        range: Range,
        limits: &QueryLimits,
    ) -> Result<Answer, QueryError> {
        self.continue_or_run(storage, expr, range, limits, None).map(|(answer, _)| answer)
    }

    /// Evaluates `query` at one time, and tells how.
    pub fn explain_instant(
        &self,
        storage: &dyn Queryable,
        query: &str,
        at: Timestamp,
        limits: &QueryLimits,
    ) -> Result<Explained, QueryError> {
        let begun = Instant::now();
        let expr = parse(query)?;
        let trace = Trace::new(&expr);
        let (answer, _) = self.run(storage, &expr, (at, at, None), self.inputs(&expr, limits), limits, Some(&trace))?;
        Ok(Explained { answer, plan: Plan::new(&expr, trace.finish(), begun.elapsed(), None) })
    }

    /// Evaluates `query` at every step of a range, as [`Engine::range`] does, and tells how. The nodes tell of the steps
    /// that were computed; where a kept answer had them all, nothing was.
    pub fn explain_range(
        &self,
        storage: &dyn Queryable,
        query: &str,
        range: Range,
        limits: &QueryLimits,
    ) -> Result<Explained, QueryError> {
        let begun = Instant::now();
        let expr = parse(query)?;
        let trace = Trace::new(&expr);
        let (answer, kept_until) = self.continue_or_run(storage, &expr, range, limits, Some(&trace))?;
        Ok(Explained { answer, plan: Plan::new(&expr, trace.finish(), begun.elapsed(), kept_until) })
    }

    /// The answer of a range query, and the last step that a kept one had.
    fn continue_or_run(
        &self,
        storage: &dyn Queryable,
        expr: &Expr,
        range: Range,
        limits: &QueryLimits,
        trace: Option<&Trace>,
    ) -> Result<(Answer, Option<Timestamp>), QueryError> {
        let of = expr.value_type();
        if !matches!(of, Type::Scalar | Type::Vector) {
            let of = of.documented();
            let message = format!("invalid expression type \"{of}\" for range query, must be Scalar or instant Vector");
            return Err(QueryError::Parameter(message));
        }
        if range.step < Duration::from_millis(1) {
            let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(QueryError::Parameter(message.to_owned()));
        }
        if range.end < range.start {
            return Err(QueryError::Parameter("end timestamp must not be before start time".to_owned()));
        }
        let spans = self.spans(limits);
        let begun = if limits.fresh { None } else { self.answers.begin(storage, expr, range, spans) };
        match begun {
            Some(begun) => {
                let kept_until = begun.known_until();
                Ok((self.continue_range(storage, expr, begun, limits, trace)?, kept_until))
            }
            None => {
                let steps = (range.start, range.end, Some(range.step));
                let (answer, _) =
                    self.run(storage, expr, steps, Inputs { spans, again: false, remembered: None }, limits, trace)?;
                Ok((answer, None))
            }
        }
    }

    /// Computes what is not known of an answer, and keeps the whole.
    fn continue_range(
        &self,
        storage: &dyn Queryable,
        expr: &Expr,
        mut begun: Begun,
        limits: &QueryLimits,
        trace: Option<&Trace>,
    ) -> Result<Answer, QueryError> {
        let (mut answer, mut raised) = self.run_missing(storage, expr, &begun, limits, trace)?;
        answer.infos = match begun.infos(&answer, &mut raised) {
            Some(infos) => infos,
            None => {
                begun.forget();
                (answer, raised) = self.run_missing(storage, expr, &begun, limits, trace)?;
                std::mem::take(&mut answer.infos)
            }
        };
        if let Value::Matrix(series) = &mut answer.value {
            let series = begun.complete(std::mem::take(series));
            // One that was known whole is kept already.
            if begun.missing().is_some() {
                self.answers.keep(begun, &series, &answer, raised);
            }
            answer.value = Value::Matrix(series);
        }
        answer.held = self.held(&answer.value);
        Ok(answer)
    }

    /// Computes what is not known of an answer.
    fn run_missing(
        &self,
        storage: &dyn Queryable,
        expr: &Expr,
        begun: &Begun,
        limits: &QueryLimits,
        trace: Option<&Trace>,
    ) -> Result<(Answer, Raised), QueryError> {
        let Some(part) = begun.missing() else {
            return Ok((Answer::of(Value::Matrix(Vec::new())), Raised::default()));
        };
        let remembered = begun.remembered();
        let inputs = Inputs { spans: begun.spans(), again: remembered.is_some(), remembered };
        self.run(storage, expr, (part.start, part.end, Some(part.step)), inputs, limits, trace)
    }

    fn run(
        &self,
        storage: &dyn Queryable,
        expr: &Expr,
        (start, end, step): (Timestamp, Timestamp, Option<Duration>),
        inputs: Inputs<'_>,
        limits: &QueryLimits,
        trace: Option<&Trace>,
    ) -> Result<(Answer, Raised), QueryError> {
        if !self.options.experimental_functions {
            expr.refuse_experimental()?;
        }
        let timeout = limits.timeout.map_or(self.options.timeout, |timeout| timeout.min(self.options.timeout));
        let deadline = Instant::now().checked_add(timeout);
        let _turn = self.wait_for_turn(deadline, &limits.cancel)?;
        let caps = Caps { samples: self.options.samples_max, bytes: self.options.memory_max };
        let budget = Budget::new(self.pool.clone(), caps, deadline, limits.cancel.clone());
        let notes = Notes::default();
        let count = limits.count.then(|| Counted::new(steps_of(start, end, step)));
        let setting = Setting {
            storage,
            options: &self.options,
            budget: &budget,
            notes: &notes,
            inputs,
            start,
            end,
            step,
            trace,
            counted: count.as_ref(),
        };
        let value = value_of(expr, &setting)?;
        let held = self.held(&value);
        let (warnings, infos, raised) = notes.finish();
        let mut stats = budget.stats();
        let samples_per_step = count.map(Counted::finish).unwrap_or_default();
        if limits.count {
            stats.samples_total = samples_per_step.iter().sum();
        }
        Ok((Answer { value, warnings, infos, stats, samples_per_step, held }, raised))
    }

    fn held(&self, value: &Value) -> Held {
        Held::new(self.pool.claim(value.bytes() as u64))
    }

    fn wait_for_turn(&self, deadline: Option<Instant>, cancel: &Cancel) -> Result<Turn<'_>, QueryError> {
        const IN_QUEUE: &str = "query queue";
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= self.options.concurrency.max(1) {
            if cancel.is_cancelled() {
                return Err(QueryError::Canceled(IN_QUEUE));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(QueryError::Timeout(IN_QUEUE));
            }
            let waited = self.finished.wait_timeout(running, QUEUE_POLL).unwrap_or_else(PoisonError::into_inner);
            running = waited.0;
        }
        *running += 1;
        Ok(Turn(self))
    }
}

impl Collector for Engine {
    fn name(&self) -> &'static str {
        "queries"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        families.gauge("skep_queries_running", "Queries that are being evaluated.", self.running() as f64);
        let most = self.options.concurrency as f64;
        families.gauge("skep_queries_running_max", "Queries that may be evaluated at once; others wait.", most);
        Ok(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.finished.notify_one();
    }
}

/// How many steps there are; a range with more than its limits allow is refused before any is counted.
fn steps_of(start: Timestamp, end: Timestamp, step: Option<Duration>) -> usize {
    let step = step.map_or(1, |step| step.as_millis().max(1));
    let steps = u128::from(end.saturating_sub(start).unsigned_abs()) / step + 1;
    usize::try_from(steps).unwrap_or(usize::MAX).min(STEPS_COUNTED_MAX)
}

fn value_of(expr: &Expr, setting: &Setting<'_>) -> Result<Value, QueryError> {
    if expr.value_type() == Type::Matrix {
        let series = evaluate_matrix(expr, setting)?;
        return Ok(Value::Matrix(series));
    }
    let columns = evaluate(expr, setting)?;
    Ok(match setting.step {
        Some(_) => Value::Matrix(columns.into_matrix()?),
        None => columns.into_instant(setting.start),
    })
}
