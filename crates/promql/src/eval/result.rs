//! From columns to what the caller sees.

use model::{Labels, Sample, Samples, Timestamp};

use super::budget::{Cost, Hold};
use super::grid::Grid;
use super::read::Read;
use super::series::{Series, is_present, merge_same_labels};
use super::window::RangeSeries;
use super::{Column, Evaluation, Setting};
use crate::syntax::Expr;
use crate::{MatrixSeries, QueryError, Value, VectorPoint};

/// The value of an expression at all steps, counted against the limits.
pub(crate) struct Columns<'q> {
    grid: Grid,
    value: Outcome,
    hold: Hold<'q>,
}

enum Outcome {
    Scalar(Vec<f64>),
    Text(Vec<u8>),
    Vector(Vec<Series>),
}

/// Evaluates an expression that is not a range vector.
pub(crate) fn evaluate<'q>(expr: &'q Expr, setting: &Setting<'q>) -> Result<Columns<'q>, QueryError> {
    let step = setting.step.map_or(1, |step| i64::try_from(step.as_millis()).unwrap_or(i64::MAX));
    let Some(grid) = Grid::between(setting.start, setting.end, step) else {
        return Err(QueryError::Parameter("end timestamp must not be before start time".to_owned()));
    };
    let evaluation = Evaluation::new(expr, setting);
    evaluation.check_grid(grid)?;
    let value = match evaluation.eval(expr.root(), grid)? {
        Column::Scalar(values) => Outcome::Scalar(values),
        Column::Text(text) => Outcome::Text(text),
        Column::Vector(vector) => {
            let (series, hold) = vector.into_parts();
            return Ok(Columns { grid, value: Outcome::Vector(drop_names(series)?), hold });
        }
    };
    let mut hold = setting.budget.hold();
    hold.add(Cost::bytes(size_of::<f64>() * grid.count))?;
    Ok(Columns { grid, value, hold })
}

/// Evaluates a range vector at one time: the samples of its window.
pub(crate) fn evaluate_matrix<'q>(expr: &'q Expr, setting: &Setting<'q>) -> Result<Vec<MatrixSeries>, QueryError> {
    let evaluation = Evaluation::new(expr, setting);
    let mut found = Vec::new();
    let whole = |series: &RangeSeries<'_>, (): &mut (), batch: &mut Vec<(MatrixSeries, Hold<'q>)>| {
        let labels = if series.drop_name { series.labels.without_name() } else { series.labels.clone() };
        let Read { timestamps, values, .. } = series.samples;
        if !values.is_empty() {
            let samples = Samples { timestamps: timestamps.to_vec(), values: values.to_vec() };
            let series = MatrixSeries { labels, samples };
            let mut hold = setting.budget.hold();
            hold.add(Cost { samples: series.samples.len() as u64, bytes: series.bytes() as u64 })?;
            batch.push((series, hold));
        }
        Ok(())
    };
    evaluation.stream_ranges(expr.root(), Grid::one(setting.start), "", whole, &mut |mut batch| {
        found.append(&mut batch);
        Ok(())
    })?;
    found.sort_by(|(a, _), (b, _)| a.labels.cmp(&b.labels));
    Ok(found.into_iter().map(|(series, _)| series).collect())
}

/// Removes the names whose removal was put off.
fn drop_names(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    if series.iter().all(|series| !series.drop_name) {
        return Ok(series);
    }
    let remove = |series: Series| if series.drop_name { series.without_name(false) } else { series };
    merge_same_labels(series.into_iter().map(remove).collect())
}

impl Columns<'_> {
    /// A series of samples for each series, those without samples left out, ordered by labels. Each column goes when its
    /// samples are there.
    pub(crate) fn into_matrix(self) -> Result<Vec<MatrixSeries>, QueryError> {
        let (grid, mut hold) = (self.grid, self.hold);
        let series = match self.value {
            Outcome::Scalar(values) => vec![Series::new(Labels::empty(), values)],
            Outcome::Vector(series) => series,
            Outcome::Text(_) => Vec::new(),
        };
        let mut matrix = Vec::with_capacity(series.len());
        for series in series.into_iter().filter(Series::has_values) {
            let series = MatrixSeries { labels: series.labels, samples: samples(grid, &series.values) };
            let column = Cost::bytes(size_of::<f64>() * grid.count);
            hold.add(Cost::bytes(series.bytes()))?;
            hold.release(column);
            matrix.push(series);
        }
        matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(matrix)
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
    let count = values.iter().filter(|value| is_present(**value)).count();
    let mut samples = Samples { timestamps: Vec::with_capacity(count), values: Vec::with_capacity(count) };
    for (timestamp, value) in grid.times().zip(values).filter(|(_, value)| is_present(**value)) {
        samples.push(Sample { timestamp, value: *value });
    }
    samples
}
