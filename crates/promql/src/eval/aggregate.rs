//! Aggregations. Those that fold keep one accumulator a group and step and forget each series at once; those that choose
//! (`rank`) or need all values keep the series.

use std::collections::HashMap;

use model::{Labels, METRIC_NAME};

use super::Evaluation;
use super::budget::Cost;
use super::grid::Grid;
use super::kahan::{Kahan, Mean};
use super::quantile::quantile;
use super::series::{ABSENT, Series, is_present};
use crate::QueryError;
use crate::syntax::{Aggregation, Grouping, NodeId, quote};

/// Labels of the group that a series belongs to.
pub(super) fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    let listed = |name: &str| grouping.labels.iter().any(|label| label == name);
    if grouping.without {
        return labels.filter(|name| name != METRIC_NAME && !listed(name));
    }
    if grouping.labels.is_empty() { Labels::empty() } else { labels.filter(listed) }
}

/// Groups in the order in which their first series came.
struct Groups<T> {
    places: HashMap<Labels, usize>,
    groups: Vec<Group<T>>,
    /// That of the last series.
    last: usize,
}

struct Group<T> {
    labels: Labels,
    /// A member's metric name is to be removed at the end, so that of a group by name is, too.
    drop_name: bool,
    state: T,
}

impl<T> Groups<T> {
    fn new() -> Self {
        Self { places: HashMap::new(), groups: Vec::new(), last: 0 }
    }

    /// The state of the group that a series belongs to under these labels; `empty` makes it if it is new.
    fn of(&mut self, labels: Labels, series: &Series, empty: impl FnOnce() -> T) -> &mut T {
        let next = self.groups.len();
        // Neighbours often share a group.
        let known = self.groups.get(self.last).filter(|group| group.labels == labels).map(|_| self.last);
        let place = known.unwrap_or_else(|| *self.places.entry(labels.clone()).or_insert(next));
        self.last = place;
        if place == next {
            self.groups.push(Group { labels, drop_name: false, state: empty() });
        }
        let group = &mut self.groups[place];
        group.drop_name |= series.drop_name;
        &mut group.state
    }

    /// One series for each group.
    fn into_series(self, mut values: impl FnMut(T) -> Vec<f64>) -> Vec<Series> {
        let series =
            |group: Group<T>| Series { labels: group.labels, drop_name: group.drop_name, values: values(group.state) };
        self.groups.into_iter().map(series).collect()
    }
}

/// One group's state at one step.
#[derive(Clone, Copy, Debug)]
enum Folded {
    Nothing,
    Count(f64),
    Extreme(f64),
    Sum(Kahan),
    Mean(Mean),
    /// Welford's method: count, mean, sum of squared distances.
    Variance(f64, f64, f64),
}

impl Folded {
    fn first(op: Aggregation, v: f64) -> Self {
        match op {
            Aggregation::Sum => Self::Sum(Kahan::new(v)),
            Aggregation::Avg => Self::Mean(Mean::new(v)),
            Aggregation::Count | Aggregation::Group => Self::Count(1.0),
            Aggregation::Stddev | Aggregation::Stdvar => {
                let squares = if v.is_finite() { 0.0 } else { f64::NAN };
                Self::Variance(1.0, v, squares)
            }
            _ => Self::Extreme(v),
        }
    }

    fn add(&mut self, op: Aggregation, v: f64) {
        match self {
            Self::Nothing => *self = Self::first(op, v),
            Self::Count(count) => *count += 1.0,
            Self::Sum(sum) => *sum = sum.add(v),
            Self::Mean(mean) => mean.add(v),
            Self::Extreme(best) => {
                let better = if op == Aggregation::Max { *best < v } else { *best > v };
                if better || best.is_nan() {
                    *best = v;
                }
            }
            Self::Variance(count, mean, squares) => {
                *count += 1.0;
                let delta = v - *mean;
                *mean += delta / *count;
                *squares += delta * (v - *mean);
            }
        }
    }

    fn finish(&self, op: Aggregation) -> f64 {
        match *self {
            Self::Nothing => ABSENT,
            Self::Count(_) if op == Aggregation::Group => 1.0,
            Self::Count(count) => count,
            Self::Extreme(best) => best,
            Self::Sum(sum) => sum.total(),
            Self::Mean(mean) => mean.value(),
            Self::Variance(count, _, squares) if op == Aggregation::Stddev => (squares / count).sqrt(),
            Self::Variance(count, _, squares) => squares / count,
        }
    }
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

    fn fold(&self, op: Aggregation, expr: NodeId, grouping: &Grouping, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let mut groups: Groups<Vec<Folded>> = Groups::new();
        let mut hold = self.budget.hold();
        let mut held = 0;
        let mut add = |series: Series| {
            let labels = group_labels(&series.labels, grouping);
            let states = groups.of(labels, &series, || vec![Folded::Nothing; grid.count]);
            for (state, value) in states.iter_mut().zip(&series.values).filter(|(_, v)| is_present(**v)) {
                state.add(op, *value);
            }
            let now = groups.groups.len();
            hold.add(Cost::slots((now - held) * grid.count, size_of::<Folded>()))?;
            held = now;
            Ok(())
        };
        match op {
            Aggregation::Count | Aggregation::Group => {
                let unnamed = grouping.labels.is_empty() && !grouping.without;
                self.stream_presence(expr, grid, unnamed, &mut add)?;
            }
            _ => self.stream(expr, grid, &mut add)?,
        }
        Ok(groups.into_series(|states| states.iter().map(|state| state.finish(op)).collect()))
    }

    fn quantiles(
        &self,
        expr: NodeId,
        param: NodeId,
        grouping: &Grouping,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let quantiles = self.scalar(param, grid)?;
        let mut groups: Groups<Vec<Vec<f64>>> = Groups::new();
        let mut hold = self.budget.hold();
        self.stream(expr, grid, &mut |series| {
            hold.add(series.cost())?;
            groups.of(group_labels(&series.labels, grouping), &series, Vec::new).push(series.values);
            Ok(())
        })?;
        self.check_quantiles(&quantiles, param);
        let mut at_step = Vec::new();
        let mut of_group = |columns: &[Vec<f64>], i: usize| {
            at_step.clear();
            at_step.extend(columns.iter().map(|column| column[i]).filter(|v| is_present(*v)));
            if at_step.is_empty() { ABSENT } else { quantile(quantiles[i], &mut at_step) }
        };
        Ok(groups.into_series(|columns| (0..grid.count).map(|i| of_group(&columns, i)).collect()))
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
        let mut groups: Groups<Vec<f64>> = Groups::new();
        let mut hold = self.budget.hold();
        let mut held = 0;
        self.stream(expr, grid, &mut |series| {
            let base = if grouping.without { series.labels.clone() } else { group_labels(&series.labels, grouping) };
            for (i, value) in series.values.iter().enumerate().filter(|(_, v)| is_present(**v)) {
                let mut labels = base.to_builder();
                labels.set(&label, format_value(*value));
                // `without` may name the new label, too.
                let labels = if grouping.without { group_labels(&labels.build(), grouping) } else { labels.build() };
                let counts = groups.of(labels, &series, || vec![ABSENT; grid.count]);
                counts[i] = if is_present(counts[i]) { counts[i] + 1.0 } else { 1.0 };
            }
            let now = groups.groups.len();
            hold.add(Cost::slots((now - held) * grid.count, size_of::<f64>()))?;
            held = now;
            Ok(())
        })?;
        let mut counted = groups.into_series(|counts| counts);
        // Upstream keeps the name here, even one that was to be removed.
        counted.iter_mut().for_each(|series| series.drop_name = false);
        Ok(counted)
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
