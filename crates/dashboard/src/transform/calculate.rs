//! New columns from those there are.

use super::apply::{find, names};
use super::{Calculate, CalculateMode, Function, JoinMode, Operand, Operator, join};
use crate::field::FieldType;
use crate::frame::{Column, Field, Frame};
use crate::reduce::Reducer;

/// Adds a column to each answer. Series come as one answer each, so that those are brought beside each other first.
pub(super) fn calculate(frames: Vec<Frame>, calculation: &Calculate, cells_max: usize) -> Option<Vec<Frame>> {
    let are_series = frames.len() > 1 && frames.iter().all(|frame| frame.time().is_some());
    let frames = if are_series { join::join(frames, None, JoinMode::Outer, cells_max)? } else { frames };
    let names = names(&frames);
    Some(frames.into_iter().zip(names).map(|(frame, names)| one(frame, &names, calculation)).collect())
}

fn one(mut frame: Frame, names: &[String], calculation: &Calculate) -> Frame {
    let Some(values) = values(&frame, names, &calculation.mode) else { return frame };
    let name = if calculation.alias.is_empty() { default_name(&calculation.mode) } else { calculation.alias.clone() };
    if calculation.replace {
        frame.fields.retain(Field::is_time);
    }
    frame.fields.push(Field::new(name, Column::Numbers(values)));
    frame
}

fn values(frame: &Frame, names: &[String], mode: &CalculateMode) -> Option<Vec<Option<f64>>> {
    let numbers = |name: &str| find(frame, names, name).map(|at| frame.fields[at].values.numbers());
    Some(match mode {
        CalculateMode::Row { include, reducer } => by_row(frame, names, include, *reducer)?,
        CalculateMode::Binary { left, operator, right } => {
            let side = |operand: &Operand| match operand {
                Operand::Field(name) => numbers(name),
                Operand::Number(number) => Some(vec![Some(*number); frame.rows()]),
            };
            let (left, right) = (side(left)?, side(right)?);
            left.into_iter().zip(right).map(|(left, right)| Some(operator.of(left?, right?))).collect()
        }
        CalculateMode::Unary { function, field } => {
            numbers(field)?.into_iter().map(|value| value.map(|value| function.of(value))).collect()
        }
        CalculateMode::Cumulative { field, reducer } => cumulative(&numbers(field)?, *reducer),
        CalculateMode::Index { percentile } => {
            let rows = frame.rows();
            let last = rows.saturating_sub(1).max(1) as f64;
            let place = |row: usize| if *percentile { row as f64 / last } else { row as f64 };
            (0..rows).map(|row| Some(place(row))).collect()
        }
    })
}

fn by_row(frame: &Frame, names: &[String], include: &[String], reducer: Reducer) -> Option<Vec<Option<f64>>> {
    let is_used = |at: &usize| {
        let field = &frame.fields[*at];
        let is_named = include.iter().any(|name| *name == names[*at] || *name == field.name);
        field.values.kind() == FieldType::Number && (include.is_empty() || is_named)
    };
    let columns: Vec<Vec<Option<f64>>> =
        (0..frame.fields.len()).filter(is_used).map(|at| frame.fields[at].values.numbers()).collect();
    if columns.is_empty() {
        return None;
    }
    let row = |row: usize| columns.iter().map(|column| column.get(row).copied().flatten()).collect::<Vec<_>>();
    Some((0..frame.rows()).map(|at| reducer.of(&row(at))).collect())
}

fn cumulative(values: &[Option<f64>], reducer: Reducer) -> Vec<Option<f64>> {
    let mut sum = 0.0;
    let mut out = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        sum += value.filter(|value| !value.is_nan()).unwrap_or(0.0);
        out.push(Some(if reducer == Reducer::Mean { sum / (at + 1) as f64 } else { sum }));
    }
    out
}

fn default_name(mode: &CalculateMode) -> String {
    let side = |operand: &Operand| match operand {
        Operand::Field(name) => name.clone(),
        Operand::Number(number) => number.to_string(),
    };
    match mode {
        CalculateMode::Row { reducer, .. } => reducer.title().to_owned(),
        CalculateMode::Binary { left, operator, right } => {
            let word = Operator::WORDS.iter().find(|(_, known)| known == operator).map_or("", |(word, _)| word);
            format!("{} {word} {}", side(left), side(right))
        }
        CalculateMode::Unary { function, field } => {
            let word = Function::WORDS.iter().find(|(_, known)| known == function).map_or("", |(word, _)| word);
            format!("{word}({field})")
        }
        CalculateMode::Cumulative { field, reducer } => {
            format!("cumulative {}({field})", reducer.title().to_lowercase())
        }
        CalculateMode::Index { .. } => "Row".to_owned(),
    }
}

impl Operator {
    fn of(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Power => left.powf(right),
            Self::Remainder => left % right,
        }
    }
}

impl Function {
    fn of(self, value: f64) -> f64 {
        match self {
            Self::Abs => value.abs(),
            Self::Exp => value.exp(),
            Self::Ln => value.ln(),
            Self::Floor => value.floor(),
            Self::Ceil => value.ceil(),
            Self::Round => (value + 0.5).floor(),
        }
    }
}
