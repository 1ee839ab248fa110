//! Evaluations on blocking threads: a bounded number at once, stopped when the reader goes away.

use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Queryable, Samples, Timestamp};
use promql::{Cancel, Engine, Explained, QueryError, QueryLimits, Range, Value};
use tokio::time::timeout;

use crate::Ui;
use crate::problem::Problem;

/// Requests of pages that are evaluated at once. Two fill the cores of a small box, two more keep them busy while one reads
/// the disk; more would only take turns and hold memory.
pub(crate) const EVALUATIONS_MAX: usize = 4;
/// Longest wait for a turn; then the reader is told to try again.
const TURN_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest evaluation of one expression for a page; a reader has left by then.
const EXPRESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// What an evaluation needs, owned, so that it may move to another thread.
pub(crate) struct Asker {
    engine: Arc<Engine>,
    storage: Arc<dyn Queryable>,
    limits: QueryLimits,
}

/// One series of an answer.
pub(crate) struct Answered {
    pub(crate) labels: Labels,
    pub(crate) samples: Samples,
}

/// The answer to a range query.
pub(crate) struct Ranged {
    pub(crate) series: Vec<Answered>,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

/// Cancels when the request's future is dropped, which is what happens when the reader closes the page.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Ui {
    /// Runs `work` on a blocking thread when it is its turn.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Asker) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let cancel = CancelOnDrop(Cancel::default());
        let turn = timeout(TURN_TIMEOUT, Arc::clone(&self.evaluations).acquire_owned()).await;
        let turn = turn.map_err(|_| Problem::busy())?.map_err(Problem::internal)?;
        let asker = Asker {
            engine: Arc::clone(&self.state.engine),
            storage: Arc::clone(&self.state.storage),
            limits: QueryLimits {
                timeout: Some(EXPRESSION_TIMEOUT),
                cancel: cancel.0.clone(),
                ..QueryLimits::default()
            },
        };
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&asker)
        });
        task.await.map_err(Problem::internal)
    }
}

impl Asker {
    /// The store, for names and labels.
    pub(crate) fn storage(&self) -> &dyn Queryable {
        &*self.storage
    }

    /// The whole answer at one time.
    pub(crate) fn instant(&self, expr: &str, at: Timestamp) -> Result<promql::Answer, QueryError> {
        self.engine.instant(&*self.storage, expr, at, &self.limits)
    }

    /// The plan of an expression at one time.
    pub(crate) fn explain_instant(&self, expr: &str, at: Timestamp) -> Result<Explained, QueryError> {
        self.engine.explain_instant(&*self.storage, expr, at, &self.limits)
    }

    /// The plan of an expression over a range, all of whose steps are computed.
    pub(crate) fn explain_range(&self, expr: &str, range: Range) -> Result<Explained, QueryError> {
        let limits = QueryLimits { fresh: true, ..self.limits.clone() };
        self.engine.explain_range(&*self.storage, expr, range, &limits)
    }

    /// The values at one time; none if the expression has no answer.
    pub(crate) fn values(&self, expr: &str, at: Timestamp) -> Vec<(Labels, f64)> {
        match self.instant(expr, at).map(|answer| answer.value) {
            Ok(Value::Vector(points)) => points.into_iter().map(|p| (p.labels, p.sample.value)).collect(),
            Ok(Value::Scalar(sample)) => vec![(Labels::empty(), sample.value)],
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::debug!(%error, expr, "a page's own expression has no answer");
                Vec::new()
            }
        }
    }

    /// The first value at one time, if it is a number.
    pub(crate) fn value(&self, expr: &str, at: Timestamp) -> Option<f64> {
        self.values(expr, at).first().map(|(_, value)| *value).filter(|value| value.is_finite())
    }

    /// The series of a range.
    pub(crate) fn range(&self, expr: &str, range: Range) -> Result<Ranged, QueryError> {
        let answer = self.engine.range(&*self.storage, expr, range, &self.limits)?;
        let series = match answer.value {
            Value::Matrix(matrix) => {
                matrix.into_iter().map(|s| Answered { labels: s.labels, samples: s.samples }).collect()
            }
            _ => Vec::new(),
        };
        Ok(Ranged { series, warnings: answer.warnings, infos: answer.infos })
    }
}
