//! Transformations of rows: which there are and their order.

use super::apply::{find, names};
use super::{Condition, Test};
use crate::frame::{Column, Frame, Value};
use crate::import::test_pattern;
use crate::pattern::Pattern;

/// Rows in the order of a column's values; an answer without it stays.
pub(super) fn sort(frames: Vec<Frame>, field: &str, descending: bool) -> Vec<Frame> {
    let names = names(&frames);
    let one = |(frame, names): (Frame, Vec<String>)| match find(&frame, &names, field) {
        Some(at) => frame.pick(&sorted(&frame.fields[at].values, descending)),
        None => frame,
    };
    frames.into_iter().zip(names).map(one).collect()
}

/// Rows by their values, equal ones as they were.
pub(super) fn sorted(column: &Column, descending: bool) -> Vec<Option<usize>> {
    let mut rows: Vec<(Value, usize)> = (0..column.len()).map(|row| (column.get(row), row)).collect();
    rows.sort_by(|(a, _), (b, _)| if descending { b.order(a) } else { a.order(b) });
    rows.into_iter().map(|(_, row)| Some(row)).collect()
}

/// The first rows of each answer.
pub(super) fn limit(frames: Vec<Frame>, count: usize) -> Vec<Frame> {
    let rows = |frame: &Frame| (0..frame.rows().min(count)).map(Some).collect::<Vec<_>>();
    frames.into_iter().map(|frame| if frame.rows() > count { frame.pick(&rows(&frame)) } else { frame }).collect()
}

/// Rows that fulfil the conditions, or the others. Conditions on columns that an answer does not have say nothing,
/// and an answer without any of the columns stays.
pub(super) fn filter(frames: Vec<Frame>, include: bool, all: bool, conditions: &[Condition]) -> Vec<Frame> {
    let names = names(&frames);
    let prepared: Vec<(&Condition, Option<Pattern>)> = conditions.iter().map(|it| (it, it.test.pattern())).collect();
    let one = |(frame, names): (Frame, Vec<String>)| {
        let place = |condition: &Condition| find(&frame, &names, &condition.field);
        let checks: Vec<(usize, &Condition, &Option<Pattern>)> =
            prepared.iter().filter_map(|(condition, pattern)| Some((place(condition)?, *condition, pattern))).collect();
        if checks.is_empty() {
            return frame;
        }
        let holds = |row: usize| {
            let mut results = checks
                .iter()
                .map(|(at, condition, pattern)| condition.test.holds(&frame.fields[*at].values.get(row), pattern));
            if all { results.all(|result| result) } else { results.any(|result| result) }
        };
        let rows: Vec<_> = (0..frame.rows()).filter(|row| holds(*row) == include).map(Some).collect();
        frame.pick(&rows)
    };
    frames.into_iter().zip(names).map(one).collect()
}

impl Test {
    fn pattern(&self) -> Option<Pattern> {
        match self {
            Self::Regex(text) => Pattern::new(&test_pattern(text)).ok(),
            _ => None,
        }
    }

    fn holds(&self, value: &Value, pattern: &Option<Pattern>) -> bool {
        let number = || value.number().filter(|number| !number.is_nan());
        let is_number = |test: &dyn Fn(f64) -> bool| number().is_some_and(test);
        let contains = |part: &str| value.text().is_some_and(|text| text.to_lowercase().contains(&part.to_lowercase()));
        match self {
            Self::Null => *value == Value::Null,
            Self::NotNull => *value != Value::Null,
            Self::Equal(wanted) => equals(value, wanted),
            Self::NotEqual(wanted) => !equals(value, wanted),
            Self::Greater(limit) => is_number(&|number| number > *limit),
            Self::GreaterOrEqual(limit) => is_number(&|number| number >= *limit),
            Self::Less(limit) => is_number(&|number| number < *limit),
            Self::LessOrEqual(limit) => is_number(&|number| number <= *limit),
            Self::Between(from, to) => is_number(&|number| number > *from && number < *to),
            Self::Regex(_) => {
                let text = value.text();
                pattern.as_ref().zip(text).is_some_and(|(pattern, text)| pattern.is_match(&text))
            }
            Self::Contains(part) => contains(part),
            Self::NotContains(part) => !contains(part),
        }
    }
}

fn equals(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Text(text) => **text == *wanted,
        Value::Null => wanted.is_empty(),
        other => wanted.trim().parse().ok() == other.number() || other.text().is_some_and(|text| *text == *wanted),
    }
}
