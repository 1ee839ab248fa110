//! Binary operators.

use super::grid::Grid;
use super::series::{ABSENT, Series, Vector, is_present, merge_same_labels};
use super::{Column, Evaluation};
use crate::QueryError;
use crate::syntax::{BinaryOp, Matching};

/// The value of an operation on two numbers; comparisons yield the left number, and whether it stays.
pub(super) fn apply(op: BinaryOp, a: f64, b: f64) -> (f64, bool) {
    let value = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        op => return (a, holds(op, a, b)),
    };
    (value, true)
}

fn holds(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::LessEqual => a <= b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterEqual => a >= b,
        _ => false,
    }
}

/// Whether the result is not what the metric name says.
pub(super) fn drops_name(op: BinaryOp, returns_bool: bool) -> bool {
    returns_bool || !op.is_comparison()
}

pub(super) fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

impl<'q> Evaluation<'q> {
    pub(super) fn binary(
        &self,
        op: BinaryOp,
        returns_bool: bool,
        matching: Option<&Matching>,
        lhs: Column<'q>,
        rhs: Column<'q>,
        grid: Grid,
    ) -> Result<Column<'q>, QueryError> {
        let series = match (lhs, rhs) {
            (Column::Scalar(lhs), Column::Scalar(rhs)) => return Ok(Column::Scalar(scalars(op, lhs, &rhs))),
            (Column::Vector(vector), Column::Scalar(scalar)) => {
                self.with_scalar(op, returns_bool, vector, &scalar, false)?
            }
            (Column::Scalar(scalar), Column::Vector(vector)) => {
                self.with_scalar(op, returns_bool, vector, &scalar, true)?
            }
            (Column::Vector(lhs), Column::Vector(rhs)) => {
                let default = Matching::default();
                let matching = matching.unwrap_or(&default);
                self.vectors(op, returns_bool, matching, lhs, rhs, grid)?
            }
            (other, _) => return Ok(other),
        };
        Ok(Column::Vector(Vector::new(series, self.budget)?))
    }

    /// Each element with a number. A comparison keeps the element's value on whichever side it stands.
    fn with_scalar(
        &self,
        op: BinaryOp,
        returns_bool: bool,
        vector: Vector<'q>,
        scalar: &[f64],
        swapped: bool,
    ) -> Result<Vec<Series>, QueryError> {
        let mut result = Vec::with_capacity(vector.series.len());
        for mut series in vector.series {
            for (value, scalar) in series.values.iter_mut().zip(scalar).filter(|(v, _)| is_present(**v)) {
                let (a, b) = if swapped { (*scalar, *value) } else { (*value, *scalar) };
                let (computed, keep) = apply(op, a, b);
                *value = if returns_bool {
                    truth(keep)
                } else if op.is_comparison() {
                    if keep { *value } else { ABSENT }
                } else {
                    computed
                };
            }
            if drops_name(op, returns_bool) {
                series = series.without_name(self.options.delayed_name_removal);
            }
            result.push(series);
        }
        merge_same_labels(result)
    }

    fn vectors(
        &self,
        op: BinaryOp,
        returns_bool: bool,
        matching: &Matching,
        lhs: Vector<'q>,
        rhs: Vector<'q>,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let joined = match op {
            BinaryOp::And => super::matching::intersect(lhs.series, &rhs.series, matching, true),
            BinaryOp::Unless => super::matching::intersect(lhs.series, &rhs.series, matching, false),
            BinaryOp::Or => super::matching::unite(lhs.series, rhs.series, matching),
            _ => return self.join(op, returns_bool, matching, &lhs.series, &rhs.series, grid),
        };
        merge_same_labels(joined)
    }
}

fn scalars(op: BinaryOp, mut lhs: Vec<f64>, rhs: &[f64]) -> Vec<f64> {
    for (a, b) in lhs.iter_mut().zip(rhs) {
        let (value, holds) = apply(op, *a, *b);
        *a = if op.is_comparison() { truth(holds) } else { value };
    }
    lhs
}
