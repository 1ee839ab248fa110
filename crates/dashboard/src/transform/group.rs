//! Columns and groups of rows as single values.

use std::collections::HashMap;

use super::GroupRole;
use super::apply::names;
use crate::field::FieldType;
use crate::frame::{Column, Field, Frame, Key, Value};
use crate::reduce::Reducer;

/// A row for each combination of values of the key columns, in the order of their first rows.
pub(super) fn group(frames: Vec<Frame>, roles: &[(String, GroupRole)]) -> Vec<Frame> {
    let names = names(&frames);
    frames.into_iter().zip(names).map(|(frame, names)| group_one(frame, &names, roles)).collect()
}

fn group_one(frame: Frame, names: &[String], roles: &[(String, GroupRole)]) -> Frame {
    let of = |name: &String| roles.iter().find(|(known, _)| known == name).map(|(_, role)| role);
    let roles: Vec<Option<&GroupRole>> =
        frame.fields.iter().zip(names).map(|(field, name)| of(name).or_else(|| of(&field.name))).collect();
    let keys: Vec<usize> = (0..roles.len()).filter(|at| roles[*at] == Some(&GroupRole::Key)).collect();
    if keys.is_empty() {
        return frame;
    }
    let groups = groups(&frame, &keys);
    let mut fields: Vec<Field> = keys.iter().map(|at| key_column(&frame.fields[*at], &groups)).collect();
    for (at, role) in roles.iter().enumerate() {
        if let Some(GroupRole::Calcs(calcs)) = role {
            fields.extend(calcs.iter().map(|calc| group_column(&frame.fields[at], &names[at], *calc, &groups)));
        }
    }
    Frame { fields, ..frame }
}

/// Rows of each group.
fn groups(frame: &Frame, keys: &[usize]) -> Vec<Vec<Option<usize>>> {
    let mut places: HashMap<Vec<Key>, usize> = HashMap::new();
    let mut groups: Vec<Vec<Option<usize>>> = Vec::new();
    for row in 0..frame.rows() {
        let key = keys.iter().map(|at| frame.fields[*at].values.get(row).key()).collect();
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(Some(row));
    }
    groups
}

fn key_column(field: &Field, groups: &[Vec<Option<usize>>]) -> Field {
    let firsts: Vec<Option<usize>> = groups.iter().map(|rows| rows[0]).collect();
    Field { values: field.values.rows(&firsts), ..field.clone_empty() }
}

fn group_column(field: &Field, name: &str, calc: Reducer, groups: &[Vec<Option<usize>>]) -> Field {
    let values: Vec<Value> = groups.iter().map(|rows| field.values.rows(rows).reduce(calc)).collect();
    Field::new(format!("{name} ({})", word(calc)), column(&values))
}

fn word(calc: Reducer) -> &'static str {
    Reducer::WORDS.iter().find(|(_, known)| *known == calc).map_or("", |(word, _)| word)
}

/// A column of values, of the type of the first that is one.
pub(super) fn column(values: &[Value]) -> Column {
    let kind = values.iter().find_map(|value| match value {
        Value::Null => None,
        Value::Number(_) => Some(FieldType::Number),
        Value::Text(_) => Some(FieldType::Text),
        Value::Time(_) => Some(FieldType::Time),
        Value::Flag(_) => Some(FieldType::Flag),
    });
    let mut column = Column::new(kind.unwrap_or(FieldType::Number));
    values.iter().for_each(|value| column.push(value));
    column
}

/// Each column as a row of its values, or as a column of one row.
pub(super) fn reduce(frames: &[Frame], calcs: &[Reducer], columns: bool, times: bool, labels: bool) -> Vec<Frame> {
    let calcs = if calcs.is_empty() { &[Reducer::Max] } else { calcs };
    if columns {
        return frames.iter().map(|frame| reduce_columns(frame, calcs, times)).collect();
    }
    let mut names_of = Column::new(FieldType::Text);
    let mut reduced: Vec<Vec<Value>> = vec![Vec::new(); calcs.len()];
    let mut label_names: Vec<String> = Vec::new();
    let mut rows: Vec<&Field> = Vec::new();
    for (frame, names) in frames.iter().zip(names(frames)) {
        for (field, name) in frame.fields.iter().zip(names).filter(|(field, _)| times || !field.is_time()) {
            names_of.push(&Value::Text(name.into()));
            for (values, calc) in reduced.iter_mut().zip(calcs) {
                values.push(field.values.reduce(*calc));
            }
            let new = field.labels.iter().map(|(label, _)| label).filter(|label| !label_names.contains(*label));
            let new: Vec<String> = new.cloned().collect();
            label_names.extend(new);
            rows.push(field);
        }
    }
    let mut fields = vec![Field::new("Field", names_of)];
    fields.extend(label_names.iter().filter(|_| labels).map(|label| label_column(label, &rows)));
    fields.extend(reduced.iter().zip(calcs).map(|(values, calc)| Field::new(calc.title(), column(values))));
    let ref_id = frames.first().map(|frame| frame.ref_id.clone()).unwrap_or_default();
    vec![Frame { ref_id, name: String::new(), fields }]
}

fn label_column(label: &str, rows: &[&Field]) -> Field {
    let mut column = Column::new(FieldType::Text);
    for field in rows {
        let value = field.labels.iter().find(|(known, _)| known == label);
        column.push(&value.map_or(Value::Null, |(_, value)| Value::Text(value.as_str().into())));
    }
    Field::new(label, column)
}

fn reduce_columns(frame: &Frame, calcs: &[Reducer], times: bool) -> Frame {
    let mut fields = Vec::new();
    for field in frame.fields.iter().filter(|field| times || !field.is_time()) {
        for calc in calcs {
            let mut reduced = Field { values: column(&[field.values.reduce(*calc)]), ..field.clone_empty() };
            if calcs.len() > 1 {
                reduced.name = format!("{} {}", field.name, calc.title());
                reduced.display = field.display.as_ref().map(|display| format!("{display} {}", calc.title()));
            }
            fields.push(reduced);
        }
    }
    Frame { ref_id: frame.ref_id.clone(), name: frame.name.clone(), fields }
}
