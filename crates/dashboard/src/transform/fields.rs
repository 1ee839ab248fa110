//! Transformations of columns as a whole: which there are, their order, names and types.

use super::apply::{find, is_found, names};
use super::{Organize, join};
use crate::field::{FieldType, Matcher};
use crate::frame::{Column, Field, Frame, Value};
use crate::pattern::Pattern;
use crate::style::Patterns;

/// Leaves columns out, orders and renames them, all by the names they are shown by.
pub(super) fn organize(frames: Vec<Frame>, organize: &Organize) -> Vec<Frame> {
    let names = names(&frames);
    frames.into_iter().zip(names).map(|(frame, names)| organize_one(frame, &names, organize)).collect()
}

fn organize_one(frame: Frame, names: &[String], organize: &Organize) -> Frame {
    let is_kept = |name: &String| {
        !organize.exclude.contains(name) && (organize.include.is_empty() || organize.include.contains(name))
    };
    let place = |name: &String| organize.order.iter().find(|(known, _)| known == name).map_or(i64::MAX, |(_, at)| *at);
    let mut fields: Vec<(i64, Field)> = Vec::new();
    for (mut field, name) in frame.fields.into_iter().zip(names).filter(|(_, name)| is_kept(name)) {
        if let Some((_, new)) = organize.rename.iter().find(|(old, _)| old == name) {
            field.display = Some(new.clone());
        }
        fields.push((place(name), field));
    }
    fields.sort_by_key(|(place, _)| *place);
    Frame { fields: fields.into_iter().map(|(_, field)| field).collect(), ..frame }
}

/// Columns that one matcher finds and the other does not. Answers without any are left out.
pub(super) fn filter(frames: Vec<Frame>, include: Option<&Matcher>, exclude: Option<&Matcher>) -> Vec<Frame> {
    let patterns = Patterns::new(include.into_iter().chain(exclude));
    let names = names(&frames);
    let one = |(frame, names): (Frame, Vec<String>)| {
        let is_kept = |at: usize| {
            let found = |matcher: &Matcher| is_found(matcher, &patterns, &frame, at, &names[at]);
            include.is_none_or(found) && !exclude.is_some_and(found)
        };
        let kept: Vec<bool> = (0..frame.fields.len()).map(is_kept).collect();
        let fields = frame.fields.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(field, _)| field).collect();
        Frame { fields, ..frame }
    };
    frames.into_iter().zip(names).map(one).filter(|frame| !frame.fields.is_empty()).collect()
}

/// New names by a pattern.
pub(super) fn rename(mut frames: Vec<Frame>, pattern: &str, replacement: &str) -> Vec<Frame> {
    let Ok(pattern) = Pattern::new(pattern) else { return frames };
    let names = names(&frames);
    for (field, name) in frames.iter_mut().flat_map(|frame| &mut frame.fields).zip(names.iter().flatten()) {
        if pattern.is_match(name) {
            field.display = Some(pattern.replace(name, replacement));
        }
    }
    frames
}

/// Columns of another type; what is none of it becomes no value.
pub(super) fn convert(mut frames: Vec<Frame>, conversions: &[(String, FieldType)]) -> Vec<Frame> {
    let names = names(&frames);
    for (frame, names) in frames.iter_mut().zip(&names) {
        for (name, kind) in conversions {
            let Some(at) = find(frame, names, name) else { continue };
            let old = &frame.fields[at].values;
            let mut new = Column::new(*kind);
            (0..old.len()).for_each(|row| new.push(&old.get(row)));
            frame.fields[at].values = new;
        }
    }
    frames
}

/// Labels as columns beside the time, the answers then in one; or each label as a row of its name and value.
pub(super) fn labels(
    frames: Vec<Frame>,
    rows: bool,
    keep: &[String],
    value_label: Option<&str>,
    cells_max: usize,
) -> Option<Vec<Frame>> {
    let is_kept = |label: &str| keep.is_empty() || keep.iter().any(|kept| kept == label);
    if rows {
        return Some(label_rows(&frames, is_kept));
    }
    let mut parts = Vec::new();
    for frame in frames {
        let has_labels = |field: &&Field| !field.is_time() && !field.labels.is_empty();
        if frame.fields.iter().filter(has_labels).count() == 0 {
            parts.push(frame);
            continue;
        }
        let times: Vec<&Field> = frame.fields.iter().filter(|field| field.is_time()).collect();
        for field in frame.fields.iter().filter(|field| !field.is_time()) {
            let mut fields: Vec<Field> = times.iter().map(|time| (*time).clone()).collect();
            fields.extend(labelled(field, &is_kept, value_label));
            parts.push(Frame { ref_id: frame.ref_id.clone(), name: String::new(), fields });
        }
    }
    join::merge(parts, cells_max)
}

/// A column's labels as columns of one value each, then the column itself without them.
fn labelled(field: &Field, is_kept: &impl Fn(&str) -> bool, value_label: Option<&str>) -> Vec<Field> {
    let mut name = field.name.clone();
    let mut fields = Vec::new();
    for (label, value) in field.labels.iter().filter(|(label, _)| is_kept(label)) {
        if value_label == Some(label) {
            name.clone_from(value);
            continue;
        }
        let values = vec![Some(value.as_str().into()); field.values.len()];
        fields.push(Field::new(label, Column::Texts(values)));
    }
    fields.push(Field::new(name, field.values.clone()));
    fields
}

fn label_rows(frames: &[Frame], is_kept: impl Fn(&str) -> bool) -> Vec<Frame> {
    let mut out = Vec::new();
    for (frame, names) in frames.iter().zip(names(frames)) {
        for (field, name) in frame.fields.iter().zip(&names).filter(|(field, _)| !field.labels.is_empty()) {
            let (mut labels, mut values) = (Column::new(FieldType::Text), Column::new(FieldType::Text));
            for (label, value) in field.labels.iter().filter(|(label, _)| is_kept(label)) {
                labels.push(&Value::Text(label.as_str().into()));
                values.push(&Value::Text(value.as_str().into()));
            }
            let fields = vec![Field::new("label", labels), Field::new("value", values)];
            out.push(Frame { ref_id: frame.ref_id.clone(), name: name.clone(), fields });
        }
    }
    out
}
