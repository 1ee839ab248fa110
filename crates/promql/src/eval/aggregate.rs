//! Aggregations. Those that fold (`fold`) keep one accumulator a group and step and forget each series at once; those that
//! choose (`rank`) or need all values keep the series.

use super::Evaluation;
use super::budget::Cost;
use super::grid::Grid;
use super::groups::{Groups, Key};
use super::quantile::quantile;
use super::series::{ABSENT, Series, is_present};
use crate::QueryError;
use crate::syntax::{Aggregation, Grouping, NodeId, quote};

/// The columns of a group's members.
#[derive(Default)]
struct Members {
    drop_name: bool,
    columns: Vec<Vec<f64>>,
}

impl Evaluation<'_> {
    pub(super) fn aggregate(
        &self,
        op: Aggregation,
        expr: NodeId,
        param: Option<NodeId>,
        grouping: &Grouping,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        match (op, param) {
            (Aggregation::CountValues, Some(param)) => self.count_values(expr, param, grouping, grid),
            (Aggregation::Quantile, Some(param)) => self.quantiles(expr, param, grouping, grid),
            (_, Some(param)) => self.choose(op, expr, param, grouping, grid),
            (_, None) => self.fold(op, expr, grouping, grid),
        }
    }

    fn quantiles(
        &self,
        expr: NodeId,
        param: NodeId,
        grouping: &Grouping,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let quantiles = self.scalar(param, grid)?;
        let mut groups: Groups<'_, Members> = Groups::new(Key::of_grouping(grouping));
        let mut hold = self.budget.hold();
        self.stream(expr, grid, &mut |series| {
            hold.add(series.cost())?;
            let group = groups.of(&series.labels, Members::default);
            group.drop_name |= series.drop_name;
            group.columns.push(series.values);
            Ok(())
        })?;
        self.check_quantiles(&quantiles, param);
        let mut at_step = Vec::new();
        let mut of_group = |columns: &[Vec<f64>], i: usize| {
            at_step.clear();
            at_step.extend(columns.iter().map(|column| column[i]).filter(|v| is_present(*v)));
            if at_step.is_empty() { ABSENT } else { quantile(quantiles[i], &mut at_step) }
        };
        let series = groups.into_iter().map(|group| {
            let Members { drop_name, columns } = group.state;
            let values = (0..grid.count).map(|i| of_group(&columns, i)).collect();
            Series { labels: group.labels, drop_name, values }
        });
        Ok(series.collect())
    }

    /// Of all steps the highest and the lowest φ are judged; NaN counts as the highest.
    fn check_quantiles(&self, quantiles: &[f64], param: NodeId) {
        let (lowest, highest) = bounds(quantiles);
        if highest.is_nan() || highest > 1.0 {
            self.check_quantile(highest, self.place(param));
        }
        if lowest < 0.0 {
            self.check_quantile(lowest, self.place(param));
        }
    }

    /// How many series of each group have each value; the value becomes a label.
    fn count_values(
        &self,
        expr: NodeId,
        param: NodeId,
        grouping: &Grouping,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let label = self.text(param);
        let label = match String::from_utf8(label) {
            Ok(label) if !label.is_empty() => label,
            Ok(label) => return Err(invalid_label(label.as_bytes())),
            Err(e) => return Err(invalid_label(e.as_bytes())),
        };
        let key = Key::of_grouping(grouping);
        let mut groups: Groups<'_, Vec<f64>> = Groups::new(Key::all_but([]));
        let mut hold = self.budget.hold();
        self.stream(expr, grid, &mut |series| {
            let base = if grouping.without { series.labels.clone() } else { key.labels(&series.labels) };
            for (i, value) in series.values.iter().enumerate().filter(|(_, v)| is_present(**v)) {
                let mut labels = base.to_builder();
                labels.set(&label, format_value(*value));
                // `without` may name the new label, too.
                let labels = if grouping.without { key.labels(&labels.build()) } else { labels.build() };
                let counts = groups.of(&labels, Vec::new);
                if counts.is_empty() {
                    // One series may make a group at every step.
                    hold.add(Cost::slots(grid.count, size_of::<f64>()))?;
                    hold.add(Cost::bytes(labels.as_packed().len()))?;
                    counts.resize(grid.count, ABSENT);
                }
                counts[i] = if is_present(counts[i]) { counts[i] + 1.0 } else { 1.0 };
            }
            self.budget.check()
        })?;
        // Upstream keeps the name here, even one that was to be removed.
        Ok(groups.into_iter().map(|group| Series::new(group.labels, group.state)).collect())
    }
}

/// The lowest and the highest value; both NaN where one is.
pub(super) fn bounds(values: &[f64]) -> (f64, f64) {
    if values.iter().any(|v| v.is_nan()) {
        return (f64::NAN, f64::NAN);
    }
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lowest, highest), v| (v.min(lowest), v.max(highest)))
}

fn invalid_label(label: &[u8]) -> QueryError {
    QueryError::Execution(format!("invalid label name {}", quote(label)))
}

/// A value as a label: shortest digits without exponent.
fn format_value(v: f64) -> String {
    match v {
        v if v.is_nan() => "NaN".to_owned(),
        v if v.is_infinite() => if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        v => v.to_string(),
    }
}
