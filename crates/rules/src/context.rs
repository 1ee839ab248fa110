//! What every evaluation needs.

use std::sync::Arc;
use std::time::Duration;

use model::{AlertSink, Appendable, Clock, Labels, Queryable, Sample, Timestamp};
use promql::{Cancel, Engine, Expr, QueryLimits, Value, VectorPoint};

use crate::{Error, Options};

/// Shared by all groups of a manager.
pub(crate) struct Context {
    pub(crate) engine: Arc<Engine>,
    pub(crate) queryable: Arc<dyn Queryable>,
    pub(crate) appendable: Arc<dyn Appendable>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sink: Arc<dyn AlertSink>,
    pub(crate) options: Options,
}

impl Context {
    /// Evaluates an expression; a scalar becomes a vector of one sample without labels.
    pub(crate) fn query(&self, expr: &Expr, at: Timestamp, cancel: &Cancel) -> Result<Vec<VectorPoint>, Error> {
        let limits = QueryLimits { cancel: cancel.clone(), ..QueryLimits::default() };
        match self.engine.instant_expr(&*self.queryable, expr, at, &limits)?.value {
            Value::Vector(points) => Ok(points),
            Value::Scalar(sample) => {
                let sample = Sample { timestamp: at, value: sample.value };
                Ok(vec![VectorPoint { labels: Labels::empty(), sample }])
            }
            Value::String { .. } | Value::Matrix(_) => Err(Error::NotAVector),
        }
    }
}

/// A length of time in the unit of timestamps.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
