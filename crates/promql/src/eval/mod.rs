//! Evaluation of a typed tree over all steps at once.
//!
//! Every node yields columns: a scalar one, an instant vector one a series. Nodes that work series by series (selectors, range
//! functions, element-wise functions) pass each series on as soon as it is ready, so that an aggregation above them
//! folds it and forgets it. Operators are evaluated with an explicit stack, because their chains may be of any length;
//! everything else recurses as deep as the parser let brackets nest.

mod absent;
mod aggregate;
mod batch;
mod binary;
mod budget;
mod call;
mod counted;
mod counter;
mod datetime;
mod elementwise;
mod fold;
mod grid;
mod groups;
mod heap;
mod histogram;
mod info;
mod kahan;
mod label;
mod matching;
mod moving;
mod notes;
mod order;
mod over_time;
mod parallel;
mod places;
mod quantile;
mod rank;
mod read;
mod regression;
mod result;
mod select;
mod series;
mod shared;
mod sort;
mod spans;
mod trace;
mod window;

use std::time::Duration;

use model::{Hints, Queryable, Timestamp};

use crate::engine::Inputs;
use crate::syntax::{Expr, Kind, NodeId, Type};
use crate::{EngineOptions, Position, QueryError};
use batch::{Batch, Part};
use budget::Cost;
use counted::Counting;
use grid::Grid;
use moving::{Missed, Places};
use series::{Series, Vector};
use shared::{Class, classes};
use trace::filled;

pub(crate) use budget::{Budget, Caps, Claim, Pool};
pub(crate) use counted::Counted;
pub(crate) use notes::{Notes, Raised};
pub(crate) use places::Remembered;
pub(crate) use result::{evaluate, evaluate_matrix};
pub(crate) use trace::{Record, Trace};

/// The value of a node at all steps.
#[derive(Debug)]
enum Column<'q> {
    Scalar(Vec<f64>),
    Text(Vec<u8>),
    Vector(Vector<'q>),
}

/// Takes series one after the other.
type Sink<'s> = &'s mut dyn FnMut(Series) -> Result<(), QueryError>;

/// Whether somebody looks at the metric names of series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Wanted,
    Ignored,
}

/// One evaluation of one expression.
pub(crate) struct Evaluation<'q> {
    expr: &'q Expr,
    storage: &'q dyn Queryable,
    options: &'q EngineOptions,
    budget: &'q Budget,
    notes: &'q Notes,
    lookback: i64,
    subquery_step: i64,
    /// As [`Hints::again`].
    again: bool,
    /// Groups of the series of a query that comes again.
    remembered: Option<&'q Remembered>,
    /// What `start()` and `end()` mean.
    query_start: Timestamp,
    query_end: Timestamp,
    /// Nodes whose value is the same at every step.
    invariant: Vec<bool>,
    places: Places,
    missed: Missed,
    /// Nodes that are equal, by node; none where there is nothing to share.
    classes: Vec<Class>,
    trace: Option<&'q Trace>,
    counted: Option<&'q Counted>,
}

/// What an evaluation needs to know besides the expression.
pub(crate) struct Setting<'q> {
    pub(crate) storage: &'q dyn Queryable,
    pub(crate) options: &'q EngineOptions,
    pub(crate) budget: &'q Budget,
    pub(crate) notes: &'q Notes,
    pub(crate) inputs: Inputs<'q>,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) step: Option<Duration>,
    /// Measures what the nodes take.
    pub(crate) trace: Option<&'q Trace>,
    /// Counts the samples of each step.
    pub(crate) counted: Option<&'q Counted>,
}

/// A step of the operator machine.
enum Task {
    Visit(NodeId),
    Combine(NodeId),
}

impl Column<'_> {
    /// Its series and the values in them.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Scalar(values) => (0, values.len()),
            Self::Text(_) => (0, 0),
            Self::Vector(vector) => (vector.series.len(), vector.series.iter().map(filled).sum()),
        }
    }
}

impl<'q> Evaluation<'q> {
    pub(crate) fn new(expr: &'q Expr, setting: &Setting<'q>) -> Self {
        let places = Places::of(expr);
        Self {
            expr,
            storage: setting.storage,
            options: setting.options,
            budget: setting.budget,
            notes: setting.notes,
            lookback: setting.inputs.spans.lookback.as_millis() as i64,
            subquery_step: setting.inputs.spans.subquery_step.as_millis() as i64,
            again: setting.inputs.again,
            remembered: setting.inputs.remembered,
            query_start: setting.start,
            query_end: setting.end,
            invariant: invariant_nodes(expr, &places),
            // What is taken from an equal node would not be counted.
            classes: if setting.counted.is_none() { classes(expr, &places) } else { Vec::new() },
            places,
            missed: Missed::default(),
            trace: setting.trace,
            counted: setting.counted,
        }
    }

    fn spread(&self, once: Column<'q>, count: usize) -> Result<Column<'q>, QueryError> {
        Ok(match once {
            Column::Scalar(values) => Column::Scalar(vec![values[0]; count]),
            Column::Text(text) => Column::Text(text),
            Column::Vector(vector) => {
                let mut series = vector.series;
                series.iter_mut().for_each(|s| s.values = vec![s.values[0]; count]);
                Column::Vector(Vector::new(series, self.budget)?)
            }
        })
    }

    /// The value of a node at all steps of the grid. Operators take an explicit stack, left operand first.
    fn eval(&self, id: NodeId, grid: Grid) -> Result<Column<'q>, QueryError> {
        let mut tasks = vec![Task::Visit(id)];
        let mut values: Vec<Column<'q>> = Vec::new();
        while let Some(task) = tasks.pop() {
            match task {
                Task::Visit(id) => match self.expr.kind(id) {
                    Kind::Paren(inner) => tasks.push(Task::Visit(*inner)),
                    Kind::Unary { expr, .. } => tasks.extend([Task::Combine(id), Task::Visit(*expr)]),
                    Kind::Binary { lhs, rhs, .. } => {
                        tasks.extend([Task::Combine(id), Task::Visit(*rhs), Task::Visit(*lhs)]);
                    }
                    _ => values.push(self.leaf(id, grid)?),
                },
                Task::Combine(id) => {
                    self.budget.check()?;
                    let value = self.measured(id, grid, Column::size, || self.combine(id, grid, &mut values))?;
                    values.push(value);
                }
            }
        }
        values.pop().ok_or_else(|| QueryError::Execution("the expression has no value".to_owned()))
    }

    fn combine(&self, id: NodeId, grid: Grid, values: &mut Vec<Column<'q>>) -> Result<Column<'q>, QueryError> {
        let operand = values.pop();
        match (self.expr.kind(id), operand) {
            (Kind::Unary { negative, .. }, Some(operand)) => self.unary(*negative, operand),
            (Kind::Binary { op, returns_bool, matching, .. }, Some(rhs)) => {
                let Some(lhs) = values.pop() else {
                    return Ok(rhs);
                };
                self.binary(*op, *returns_bool, matching.as_ref(), lhs, rhs, grid)
            }
            (_, operand) => Ok(operand.unwrap_or_else(|| Column::Scalar(vec![f64::NAN; grid.count]))),
        }
    }

    fn unary(&self, negative: bool, operand: Column<'q>) -> Result<Column<'q>, QueryError> {
        if !negative {
            return Ok(operand);
        }
        Ok(match operand {
            Column::Scalar(mut values) => {
                values.iter_mut().for_each(|v| *v = -*v);
                Column::Scalar(values)
            }
            Column::Vector(vector) => {
                let negated = vector.series.into_iter().map(|mut series| {
                    series.values.iter_mut().filter(|v| series::is_present(**v)).for_each(|v| *v = -*v);
                    series.without_name(self.options.delayed_name_removal)
                });
                let series = series::join_or_refuse(negated.collect(), self.options.delayed_name_removal)?;
                Column::Vector(Vector::new(series, self.budget)?)
            }
            text => text,
        })
    }

    /// The value of a node that is not an operator. A value that is the same at every step is computed once.
    fn leaf(&self, id: NodeId, grid: Grid) -> Result<Column<'q>, QueryError> {
        if grid.count > 1 && self.invariant[id.0 as usize] {
            let once = self.counting(Counting::EveryStep, || self.leaf(id, Grid::one(grid.start)))?;
            return self.spread(once, grid.count);
        }
        let measured = |work: &dyn Fn() -> Result<Column<'q>, QueryError>| self.measured(id, grid, Column::size, work);
        match self.expr.kind(id) {
            Kind::Number { value, .. } => measured(&|| Ok(Column::Scalar(vec![*value; grid.count]))),
            Kind::Text(text) => measured(&|| Ok(Column::Text(text.clone()))),
            Kind::Call { function, args } if function.returns == Type::Scalar => {
                measured(&|| self.scalar_call(function.name, args, grid).map(Column::Scalar))
            }
            _ => self.collect(id, grid).map(Column::Vector),
        }
    }

    /// An instant vector node with all its series.
    fn collect(&self, id: NodeId, grid: Grid) -> Result<Vector<'q>, QueryError> {
        if let Some(series) = self.recall(id, grid) {
            return Vector::new(series, self.budget);
        }
        let mut hold = self.budget.hold();
        let mut collected = Vec::new();
        let notes_before = self.notes.count();
        self.stream_node(id, grid, &mut |series| {
            hold.add(series.cost())?;
            collected.push(series);
            Ok(())
        })?;
        self.keep(id, grid, &collected, notes_before);
        Ok(Vector::with_hold(collected, hold))
    }

    /// An instant vector, series by series; steps that are all the same are computed once.
    fn stream(&self, id: NodeId, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
        let id = self.expr.unwrapped(id);
        if grid.count > 1 && self.invariant[id.0 as usize] {
            let mut spread = |mut series: Series| {
                series.values = vec![series.values[0]; grid.count];
                sink(series)
            };
            return self.counting(Counting::EveryStep, || self.stream_node(id, Grid::one(grid.start), &mut spread));
        }
        self.stream_node(id, grid, sink)
    }

    fn stream_node(&self, id: NodeId, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
        if let Some(series) = self.recall(id, grid) {
            return series.into_iter().try_for_each(sink);
        }
        let one = |series: &Series| (1, filled(series));
        match self.expr.kind(id) {
            Kind::Vector(_) => self.stream_selector(id, grid, sink),
            Kind::Call { function, args } => {
                self.measured_stream(id, grid, one, sink, |sink| self.stream_call(function, args, grid, sink))
            }
            Kind::Aggregate { op, expr, param, grouping } => self.measured_stream(id, grid, one, sink, |sink| {
                let notes_before = self.notes.count();
                let series = self.aggregate(*op, *expr, *param, grouping, grid)?;
                self.keep(id, grid, &series, notes_before);
                series.into_iter().try_for_each(sink)
            }),
            _ => match self.eval(id, grid)? {
                Column::Vector(vector) => vector.series.into_iter().try_for_each(sink),
                _ => Ok(()),
            },
        }
    }

    /// An instant vector for somebody who looks at each series once.
    fn stream_parts(
        &self,
        id: NodeId,
        grid: Grid,
        names: Names,
        sink: &mut dyn FnMut(Part<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let id = self.expr.unwrapped(id);
        let is_constant = grid.count > 1 && self.invariant[id.0 as usize];
        if !is_constant && !self.is_shared(id) {
            let mut parts = |batch: Batch| batch.parts().try_for_each(&mut *sink);
            match self.expr.kind(id) {
                Kind::Vector(_) => return self.stream_lookback(id, grid, Hints::default(), &mut parts),
                Kind::Call { function, args } if names == Names::Ignored => {
                    if let Some(call) = self.distinct_windows(function, args) {
                        return self.measured_stream(id, grid, Batch::size, &mut parts, |sink| {
                            self.stream_windows(&call, Names::Ignored, grid, sink)
                        });
                    }
                }
                _ => {}
            }
        }
        self.stream(id, grid, &mut |series| sink(Part::of(&series)))
    }

    /// A scalar argument at all steps.
    fn scalar(&self, id: NodeId, grid: Grid) -> Result<Vec<f64>, QueryError> {
        match self.eval(id, grid)? {
            Column::Scalar(values) => Ok(values),
            _ => Ok(vec![f64::NAN; grid.count]),
        }
    }

    /// A string argument.
    fn text(&self, id: NodeId) -> Vec<u8> {
        match self.expr.kind(self.expr.unwrapped(id)) {
            Kind::Text(text) => text.clone(),
            _ => Vec::new(),
        }
    }

    /// Where an argument stands, without parentheses around it, as notes name it.
    fn place(&self, id: NodeId) -> Position {
        self.expr.position(self.expr.unwrapped(id))
    }

    /// Where an argument of a call stands. Upstream evaluates one that is the same at every step as a whole, with the
    /// parentheses around it, unless the whole call is the same at every step. It finds none inside of parameters.
    fn place_in_call(&self, arg: NodeId, args: &[NodeId]) -> Position {
        let invariant = |id: &NodeId| self.invariant[id.0 as usize] && !self.places.contain(*id);
        if invariant(&arg) && !args.iter().all(invariant) { self.expr.position(arg) } else { self.place(arg) }
    }

    fn warn(&self, position: Position, message: &str) {
        self.notes.warn(self.expr.text(), position, message);
    }

    fn info(&self, position: Position, message: &str) {
        self.notes.info(self.expr.text(), position, message);
    }

    /// Refuses grids whose single column would exceed the limit of samples.
    fn check_grid(&self, grid: Grid) -> Result<(), QueryError> {
        self.budget.hold().add(Cost::slots(grid.count, size_of::<f64>()))
    }
}

/// Which nodes have the same value at every step: those whose selectors are all fixed by `@`. Inside of parameters upstream
/// looks for none.
fn invariant_nodes(expr: &Expr, places: &Places) -> Vec<bool> {
    let mut invariant: Vec<bool> = Vec::new();
    for (id, node) in expr.nodes() {
        let is = |id: &NodeId| invariant[id.0 as usize];
        let value = match &node.kind {
            Kind::Number { .. } | Kind::Text(_) => true,
            Kind::Vector(selector) => selector.modifiers.at.is_some(),
            Kind::Subquery { modifiers, .. } => modifiers.at.is_some(),
            Kind::Matrix { selector: inner, .. } | Kind::Paren(inner) | Kind::Unary { expr: inner, .. } => is(inner),
            Kind::Call { function, args } => !follows_steps(function.name) && args.iter().all(is),
            // Upstream does not look at the parameter: over a vector that stays, it is that of the first step.
            Kind::Aggregate { expr, .. } => is(expr),
            Kind::Binary { lhs, rhs, .. } => is(lhs) && is(rhs),
        };
        let is_constant = matches!(node.kind, Kind::Number { .. } | Kind::Text(_));
        invariant.push(value && (is_constant || !places.contain(id)));
    }
    invariant
}

/// Functions that look at the time of the step themselves.
pub(crate) fn follows_steps(name: &str) -> bool {
    matches!(
        name,
        "day_of_month"
            | "day_of_week"
            | "day_of_year"
            | "days_in_month"
            | "hour"
            | "minute"
            | "month"
            | "predict_linear"
            | "time"
            | "timestamp"
            | "year"
    )
}
