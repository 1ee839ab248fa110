//! Aggregations that fold: one accumulator a group and step, each series forgotten at once.

use model::METRIC_NAME;

use super::batch::Part;
use super::budget::Cost;
use super::grid::Grid;
use super::groups::{Groups, Key};
use super::kahan::{Kahan, Mean};
use super::series::{ABSENT, Series, is_absent, is_present};
use super::{Evaluation, Names};
use crate::QueryError;
use crate::syntax::{Aggregation, Grouping, NodeId};

/// What is known of the values of one group at one step.
trait Fold: Copy {
    /// Of no value.
    const NOTHING: Self;

    fn add(&mut self, value: f64);

    /// [`ABSENT`] where there was no value.
    fn finish(self) -> f64;
}

#[derive(Clone, Copy)]
struct Sum(Kahan);
#[derive(Clone, Copy)]
struct Average(Mean);
#[derive(Clone, Copy)]
struct Count(f64);
#[derive(Clone, Copy)]
struct Presence(bool);
#[derive(Clone, Copy)]
struct Max(f64);
#[derive(Clone, Copy)]
struct Min(f64);

/// Welford's method.
#[derive(Clone, Copy)]
struct Variance {
    count: f64,
    mean: f64,
    /// Sum of squared distances.
    squares: f64,
}

#[derive(Clone, Copy)]
struct Deviation(Variance);

impl Fold for Sum {
    const NOTHING: Self = Self(Kahan::new(ABSENT));

    fn add(&mut self, value: f64) {
        self.0 = if is_absent(self.0.sum) { Kahan::new(value) } else { self.0.add(value) };
    }

    fn finish(self) -> f64 {
        if is_absent(self.0.sum) { ABSENT } else { self.0.total() }
    }
}

impl Fold for Average {
    const NOTHING: Self = Self(Mean::new(ABSENT));

    fn add(&mut self, value: f64) {
        if is_absent(self.0.sum()) {
            self.0 = Mean::new(value);
        } else {
            self.0.add(value);
        }
    }

    fn finish(self) -> f64 {
        if is_absent(self.0.sum()) { ABSENT } else { self.0.value() }
    }
}

impl Fold for Count {
    const NOTHING: Self = Self(0.0);

    fn add(&mut self, _: f64) {
        self.0 += 1.0;
    }

    fn finish(self) -> f64 {
        if self.0 == 0.0 { ABSENT } else { self.0 }
    }
}

impl Fold for Presence {
    const NOTHING: Self = Self(false);

    fn add(&mut self, _: f64) {
        self.0 = true;
    }

    fn finish(self) -> f64 {
        if self.0 { 1.0 } else { ABSENT }
    }
}

impl Fold for Max {
    const NOTHING: Self = Self(ABSENT);

    // Nothing is a NaN, too, which every value replaces.
    fn add(&mut self, value: f64) {
        if self.0 < value || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn finish(self) -> f64 {
        self.0
    }
}

impl Fold for Min {
    const NOTHING: Self = Self(ABSENT);

    fn add(&mut self, value: f64) {
        if self.0 > value || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn finish(self) -> f64 {
        self.0
    }
}

impl Fold for Variance {
    const NOTHING: Self = Self { count: 0.0, mean: 0.0, squares: 0.0 };

    fn add(&mut self, value: f64) {
        if self.count == 0.0 {
            let squares = if value.is_finite() { 0.0 } else { f64::NAN };
            *self = Self { count: 1.0, mean: value, squares };
            return;
        }
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn finish(self) -> f64 {
        if self.count == 0.0 { ABSENT } else { self.squares / self.count }
    }
}

impl Fold for Deviation {
    const NOTHING: Self = Self(Variance::NOTHING);

    fn add(&mut self, value: f64) {
        self.0.add(value);
    }

    fn finish(self) -> f64 {
        if self.0.count == 0.0 { ABSENT } else { self.0.finish().sqrt() }
    }
}

/// One group.
struct Folded<F> {
    /// A member's metric name is to be removed at the end, so that of a group by name is, too.
    drop_name: bool,
    states: Vec<F>,
}

impl Evaluation<'_> {
    pub(super) fn fold(
        &self,
        op: Aggregation,
        expr: NodeId,
        grouping: &Grouping,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        match op {
            Aggregation::Sum => self.fold_as::<Sum>(op, expr, grouping, grid),
            Aggregation::Avg => self.fold_as::<Average>(op, expr, grouping, grid),
            Aggregation::Count => self.fold_as::<Count>(op, expr, grouping, grid),
            Aggregation::Group => self.fold_as::<Presence>(op, expr, grouping, grid),
            Aggregation::Max => self.fold_as::<Max>(op, expr, grouping, grid),
            Aggregation::Min => self.fold_as::<Min>(op, expr, grouping, grid),
            Aggregation::Stdvar => self.fold_as::<Variance>(op, expr, grouping, grid),
            _ => self.fold_as::<Deviation>(op, expr, grouping, grid),
        }
    }

    fn fold_as<F: Fold>(
        &self,
        op: Aggregation,
        expr: NodeId,
        grouping: &Grouping,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let key = Key::of_grouping(grouping);
        let names = if key.wants(METRIC_NAME) { Names::Wanted } else { Names::Ignored };
        let mut groups: Groups<'_, Folded<F>> = Groups::new(key);
        let mut finder = self.remembered.map(|remembered| remembered.take(expr));
        let mut hold = self.budget.hold();
        let mut held = 0;
        let mut add = |part: Part<'_>| {
            let empty = || Folded { drop_name: false, states: vec![F::NOTHING; grid.count] };
            let group = match &mut finder {
                Some(finder) => finder.of(&mut groups, part.labels, empty),
                None => groups.of(part.labels, empty),
            };
            group.drop_name |= part.drop_name;
            for (state, value) in group.states[part.first..].iter_mut().zip(part.values) {
                if is_present(*value) {
                    state.add(*value);
                }
            }
            if groups.len() > held {
                held += 1;
                hold.add(Cost::slots(grid.count, size_of::<F>()))?;
            }
            Ok(())
        };
        if matches!(op, Aggregation::Count | Aggregation::Group) {
            let unnamed = grouping.labels.is_empty() && !grouping.without;
            self.stream_presence(expr, grid, unnamed, &mut add)?;
        } else {
            self.stream_parts(expr, grid, names, &mut add)?;
        }
        if let (Some(remembered), Some(finder)) = (self.remembered, finder) {
            remembered.put(expr, finder);
        }
        let series = groups.into_iter().map(|group| {
            let Folded { drop_name, states } = group.state;
            Series { labels: group.labels, drop_name, values: states.into_iter().map(F::finish).collect() }
        });
        Ok(series.collect())
    }
}
