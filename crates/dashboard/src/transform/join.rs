//! Several answers as one: beside each other by a column that they share, below each other, or row by row.

use std::collections::{BTreeMap, HashMap};

use super::JoinMode;
use super::apply::{find, names};
use super::rows::sorted;
use crate::field::FieldType;
use crate::frame::{Column, Field, Frame, Key, Value};

/// Rows of one key that a row of another answer is compared with. Series agree in their labels, and then in one row.
const CANDIDATES_MAX: usize = 64;

/// Answers beside each other by a column, the time where none is named, in the order of its values. Of rows that agree
/// in it the last one counts. Answers without the column are left out. `None` where it would be more cells than that.
pub(super) fn join(frames: Vec<Frame>, field: Option<&str>, mode: JoinMode, cells_max: usize) -> Option<Vec<Frame>> {
    let names = names(&frames);
    let place = |frame: &Frame, names: &[String]| match field {
        Some(field) => find(frame, names, field),
        None => frame.time(),
    };
    let sides: Vec<(Frame, Vec<String>, usize)> = frames
        .into_iter()
        .zip(names)
        .filter_map(|(frame, names)| place(&frame, &names).map(|at| (frame, names, at)))
        .collect();
    if sides.len() < 2 {
        return Some(sides.into_iter().map(|(frame, ..)| frame).collect());
    }
    // For each key the row of each answer.
    let mut rows: BTreeMap<Key, (Value, Vec<Option<usize>>)> = BTreeMap::new();
    let columns: usize = sides.iter().map(|(frame, ..)| frame.fields.len()).sum();
    for (side, (frame, _, at)) in sides.iter().enumerate() {
        let keys = &frame.fields[*at].values;
        for row in 0..keys.len() {
            let value = keys.get(row);
            let entry = rows.entry(value.key()).or_insert_with(|| (value, vec![None; sides.len()]));
            entry.1[side] = Some(row);
        }
        if rows.len().saturating_mul(columns) > cells_max {
            return None;
        }
    }
    if mode == JoinMode::Inner {
        rows.retain(|_, (_, places)| places.iter().all(Option::is_some));
    }
    Some(vec![beside(&sides, &rows)])
}

fn beside(sides: &[(Frame, Vec<String>, usize)], rows: &BTreeMap<Key, (Value, Vec<Option<usize>>)>) -> Frame {
    let (first, _, at) = &sides[0];
    let mut key = first.fields[*at].clone_empty();
    rows.values().for_each(|(value, _)| key.values.push(value));
    let mut fields = vec![key];
    for (side, (frame, names, at)) in sides.iter().enumerate() {
        let places: Vec<Option<usize>> = rows.values().map(|(_, places)| places[side]).collect();
        for (index, field) in frame.fields.iter().enumerate().filter(|(index, _)| index != at) {
            let mut joined = Field { values: field.values.rows(&places), ..field.clone_empty() };
            // The answer's own name is no part of the joined one, and would be forgotten.
            if joined.display.is_none() && !frame.name.is_empty() {
                joined.display = Some(names[index].clone());
            }
            fields.push(joined);
        }
    }
    Frame { ref_id: first.ref_id.clone(), name: String::new(), fields }
}

/// All values below each other, the newest first: time, name of the series, value.
pub(super) fn to_rows(frames: &[Frame]) -> Vec<Frame> {
    let (mut times, mut metrics, mut values) =
        (Column::new(FieldType::Time), Column::new(FieldType::Text), Column::new(FieldType::Number));
    for (frame, names) in frames.iter().zip(names(frames)) {
        let Some(time) = frame.time() else { continue };
        for (field, name) in frame.fields.iter().zip(&names).filter(|(field, _)| !field.is_time()) {
            let name = Value::Text(name.as_str().into());
            for row in 0..field.values.len() {
                times.push(&frame.fields[time].values.get(row));
                metrics.push(&name);
                values.push(&field.values.get(row));
            }
        }
    }
    let rows = sorted(&times, true);
    let fields = vec![Field::new("Time", times), Field::new("Metric", metrics), Field::new("Value", values)];
    let ref_id = frames.first().map(|frame| frame.ref_id.clone()).unwrap_or_default();
    vec![Frame { ref_id, name: String::new(), fields }.pick(&rows)]
}

/// All answers in one: rows that agree in the columns that all answers have become one row, where they do not differ
/// in another column. Answers that share no column stay as they are.
pub(super) fn merge(frames: Vec<Frame>, cells_max: usize) -> Option<Vec<Frame>> {
    if frames.len() < 2 {
        return Some(frames);
    }
    let mut table = Table::of(&frames);
    if table.keys.is_empty() {
        return Some(frames);
    }
    for frame in &frames {
        for row in 0..frame.rows() {
            table.add(frame, row);
        }
        if table.rows.len().saturating_mul(table.fields.len()) > cells_max {
            return None;
        }
    }
    Some(vec![table.into_frame(&frames)])
}

/// A table that grows row by row.
struct Table {
    /// Columns of all answers by their names.
    fields: Vec<Field>,
    places: HashMap<String, usize>,
    /// Columns that every answer has.
    keys: Vec<usize>,
    rows: Vec<Vec<Value>>,
    by_key: HashMap<Vec<Key>, Vec<usize>>,
}

impl Table {
    fn of(frames: &[Frame]) -> Self {
        let mut fields: Vec<Field> = Vec::new();
        let mut places = HashMap::new();
        for field in frames.iter().flat_map(|frame| &frame.fields) {
            places.entry(field.name.clone()).or_insert_with(|| {
                fields.push(Field { labels: Vec::new(), ..field.clone_empty() });
                fields.len() - 1
            });
        }
        let is_shared = |field: &Field| frames.iter().all(|frame| frame.fields.iter().any(|it| it.name == field.name));
        let keys = (0..fields.len()).filter(|at| is_shared(&fields[*at])).collect();
        Self { fields, places, keys, rows: Vec::new(), by_key: HashMap::new() }
    }

    fn add(&mut self, frame: &Frame, row: usize) {
        let mut values = vec![Value::Null; self.fields.len()];
        let mut is_set = vec![false; self.fields.len()];
        for field in &frame.fields {
            let place = self.places[&field.name];
            values[place] = field.values.get(row);
            is_set[place] = true;
        }
        let key: Vec<Key> = self.keys.iter().map(|at| values[*at].key()).collect();
        let known = self.by_key.entry(key).or_default();
        let agrees = |at: &&usize| {
            let other = &self.rows[**at];
            let pairs = other.iter().zip(&values);
            pairs.enumerate().all(|(at, (old, new))| !is_set[at] || *old == Value::Null || old.key() == new.key())
        };
        match known.iter().take(CANDIDATES_MAX).find(agrees).copied() {
            Some(found) => {
                for (old, new) in self.rows[found].iter_mut().zip(values).filter(|(_, new)| *new != Value::Null) {
                    *old = new;
                }
            }
            None => {
                known.push(self.rows.len());
                self.rows.push(values);
            }
        }
    }

    fn into_frame(self, frames: &[Frame]) -> Frame {
        let mut fields = self.fields;
        for row in &self.rows {
            for (field, value) in fields.iter_mut().zip(row) {
                field.values.push(value);
            }
        }
        let ref_id = frames.first().map(|frame| frame.ref_id.clone()).unwrap_or_default();
        Frame { ref_id, name: String::new(), fields }
    }
}
