//! From columns to what the caller sees.

use model::{Labels, Sample, Samples, Timestamp};

use super::grid::Grid;
use super::series::{Series, is_present, merge_same_labels};
use super::window::RangeSeries;
use super::{Column, Evaluation, Setting};
use crate::syntax::Expr;
use crate::{MatrixSeries, QueryError, Value, VectorPoint};

/// The value of an expression at all steps.
pub(crate) struct Columns {
    grid: Grid,
    value: Outcome,
}

enum Outcome {
    Scalar(Vec<f64>),
    Text(Vec<u8>),
    Vector(Vec<Series>),
}

/// Evaluates an expression that is not a range vector.
pub(crate) fn evaluate(expr: &Expr, setting: &Setting<'_>) -> Result<Columns, QueryError> {
    let step = setting.step.map_or(1, |step| i64::try_from(step.as_millis()).unwrap_or(i64::MAX));
    let Some(grid) = Grid::between(setting.start, setting.end, step) else {
        return Err(QueryError::Parameter("end timestamp must not be before start time".to_owned()));
    };
    let evaluation = Evaluation::new(expr, setting);
    evaluation.check_grid(grid)?;
    let value = match evaluation.eval(expr.root(), grid)? {
        Column::Scalar(values) => Outcome::Scalar(values),
        Column::Text(text) => Outcome::Text(text),
        Column::Vector(vector) => Outcome::Vector(drop_names(vector.series)?),
    };
    Ok(Columns { grid, value })
}

/// Evaluates a range vector at one time: the samples of its window.
pub(crate) fn evaluate_matrix(expr: &Expr, setting: &Setting<'_>) -> Result<Vec<MatrixSeries>, QueryError> {
    let evaluation = Evaluation::new(expr, setting);
    let mut found = Vec::new();
    let whole = |series: &RangeSeries<'_>, batch: &mut Vec<MatrixSeries>| {
        let labels = if series.drop_name { series.labels.without_name() } else { series.labels.clone() };
        if !series.samples.is_empty() {
            batch.push(MatrixSeries { labels, samples: series.samples.clone() });
        }
        Ok(())
    };
    evaluation.stream_ranges(expr.root(), Grid::one(setting.start), "", whole, &mut |mut batch| {
        found.append(&mut batch);
        Ok(())
    })?;
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(found)
}

/// Removes the names whose removal was put off.
fn drop_names(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    if series.iter().all(|series| !series.drop_name) {
        return Ok(series);
    }
    let remove = |series: Series| if series.drop_name { series.without_name(false) } else { series };
    merge_same_labels(series.into_iter().map(remove).collect())
}

impl Columns {
    /// A series of samples for each series, those without samples left out, ordered by labels.
    pub(crate) fn into_matrix(self) -> Vec<MatrixSeries> {
        let grid = self.grid;
        let series = match self.value {
            Outcome::Scalar(values) => vec![Series::new(Labels::empty(), values)],
            Outcome::Vector(series) => series,
            Outcome::Text(_) => Vec::new(),
        };
        let mut matrix: Vec<MatrixSeries> = series
            .into_iter()
            .filter(Series::has_values)
            .map(|series| MatrixSeries { labels: series.labels, samples: samples(grid, &series.values) })
            .collect();
        matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
        matrix
    }

    /// The value at the only step.
    pub(crate) fn into_instant(self, timestamp: Timestamp) -> Value {
        match self.value {
            Outcome::Scalar(values) => Value::Scalar(Sample { timestamp, value: values[0] }),
            Outcome::Text(text) => Value::String { timestamp, text: String::from_utf8_lossy(&text).into_owned() },
            Outcome::Vector(series) => {
                let present = series.into_iter().filter(|series| is_present(series.values[0]));
                let point = |series: Series| VectorPoint {
                    labels: series.labels,
                    sample: Sample { timestamp, value: series.values[0] },
                };
                Value::Vector(present.map(point).collect())
            }
        }
    }
}

fn samples(grid: Grid, values: &[f64]) -> Samples {
    let mut samples = Samples::default();
    for (timestamp, value) in grid.times().zip(values).filter(|(_, value)| is_present(**value)) {
        samples.push(Sample { timestamp, value: *value });
    }
    samples
}
