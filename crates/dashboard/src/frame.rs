//! Answers as columns: what transformations change and panels draw.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use crate::board::LegendFormat;
use crate::field::FieldType;
use crate::mapping::Mapped;
use crate::reduce::Reducer;

/// Cells of all answers of a panel. A picture has some thousand columns of some thousand points; joins of answers
/// that share no time would have as many as all of their rows times all of their columns.
pub const CELLS_MAX: usize = 8_000_000;

/// An answer: columns of one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// The letter of its query.
    pub ref_id: String,
    /// Its own name, mostly empty.
    pub name: String,
    /// Its columns.
    pub fields: Vec<Field>,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its own name: `Time`, `Value`, a label.
    pub name: String,
    /// Labels of the series that it holds.
    pub labels: Vec<(String, String)>,
    /// Its name by the query's legend or by a transformation.
    pub display: Option<String>,
    /// Its values.
    pub values: Column,
}

/// Values of one type; absent ones are none.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers.
    Numbers(Vec<Option<f64>>),
    /// Texts.
    Texts(Vec<Option<Arc<str>>>),
    /// Milliseconds since 1970.
    Times(Vec<Option<i64>>),
    /// Yes or no.
    Flags(Vec<Option<bool>>),
}

/// One value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// None.
    Null,
    /// A number.
    Number(f64),
    /// A text.
    Text(Arc<str>),
    /// Milliseconds since 1970.
    Time(i64),
    /// Yes or no.
    Flag(bool),
}

/// A value as a key: numbers by their bits, zeros alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    Null,
    Flag(bool),
    Number(i64),
    Text(Arc<str>),
}

impl Value {
    /// As mappings and styles take it: times as their milliseconds.
    pub fn mapped(&self) -> Mapped<'_> {
        match self {
            Self::Null => Mapped::Null,
            Self::Number(number) => Mapped::Number(*number),
            Self::Time(time) => Mapped::Number(*time as f64),
            Self::Text(text) => Mapped::Text(text),
            Self::Flag(flag) => Mapped::Flag(*flag),
        }
    }

    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Null => Key::Null,
            Self::Flag(flag) => Key::Flag(*flag),
            Self::Number(number) => Key::Number(ordered(*number)),
            Self::Time(time) => Key::Number(ordered(*time as f64)),
            Self::Text(text) => Key::Text(Arc::clone(text)),
        }
    }

    /// As a number, where it is one or has one written in it.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Null => None,
            Self::Number(number) => Some(*number),
            Self::Time(time) => Some(*time as f64),
            Self::Flag(flag) => Some(f64::from(*flag)),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    /// As milliseconds since 1970: a number of them, or a date of ISO 8601.
    pub fn time(&self) -> Option<i64> {
        let date = |text: &str| text.trim().parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
        match self {
            Self::Text(text) => self.number().map(|time| time as i64).or_else(|| date(text)),
            other => other.number().map(|time| time as i64),
        }
    }

    /// As a text; `None` where there is no value.
    pub fn text(&self) -> Option<Arc<str>> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(Arc::clone(text)),
            Self::Number(number) => Some(crate::value::javascript(*number).into()),
            Self::Time(time) => Some(time.to_string().into()),
            Self::Flag(flag) => Some(if *flag { "true" } else { "false" }.into()),
        }
    }

    /// Their order: none before anything else, numbers by size, texts by letters.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Bits of a number whose order as whole numbers is the order of the numbers.
fn ordered(number: f64) -> i64 {
    let bits = (number + 0.0).to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

impl Column {
    /// An empty one of a type.
    pub fn new(kind: FieldType) -> Self {
        match kind {
            FieldType::Number => Self::Numbers(Vec::new()),
            FieldType::Time => Self::Times(Vec::new()),
            FieldType::Flag => Self::Flags(Vec::new()),
            FieldType::Text | FieldType::Other => Self::Texts(Vec::new()),
        }
    }

    /// What it holds.
    pub fn kind(&self) -> FieldType {
        match self {
            Self::Numbers(_) => FieldType::Number,
            Self::Texts(_) => FieldType::Text,
            Self::Times(_) => FieldType::Time,
            Self::Flags(_) => FieldType::Flag,
        }
    }

    /// How many values it has, those that are none too.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Texts(values) => values.len(),
            Self::Times(values) => values.len(),
            Self::Flags(values) => values.len(),
        }
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a row; none past the end.
    pub fn get(&self, row: usize) -> Value {
        match self {
            Self::Numbers(values) => values.get(row).copied().flatten().map_or(Value::Null, Value::Number),
            Self::Texts(values) => values.get(row).cloned().flatten().map_or(Value::Null, Value::Text),
            Self::Times(values) => values.get(row).copied().flatten().map_or(Value::Null, Value::Time),
            Self::Flags(values) => values.get(row).copied().flatten().map_or(Value::Null, Value::Flag),
        }
    }

    /// Adds a value, as what the column holds.
    pub fn push(&mut self, value: &Value) {
        match self {
            Self::Numbers(values) => values.push(value.number()),
            Self::Texts(values) => values.push(value.text()),
            Self::Times(values) => values.push(value.time()),
            Self::Flags(values) => values.push(match value {
                Value::Flag(flag) => Some(*flag),
                Value::Text(text) => text.parse().ok(),
                other => other.number().map(|number| number != 0.0),
            }),
        }
    }

    /// The values of these rows; rows that there are none of are none.
    pub fn rows(&self, rows: &[Option<usize>]) -> Self {
        fn pick<T: Clone>(values: &[Option<T>], rows: &[Option<usize>]) -> Vec<Option<T>> {
            rows.iter().map(|row| row.and_then(|row| values.get(row).cloned().flatten())).collect()
        }
        match self {
            Self::Numbers(values) => Self::Numbers(pick(values, rows)),
            Self::Texts(values) => Self::Texts(pick(values, rows)),
            Self::Times(values) => Self::Times(pick(values, rows)),
            Self::Flags(values) => Self::Flags(pick(values, rows)),
        }
    }

    /// As numbers; what is none becomes none.
    pub fn numbers(&self) -> Vec<Option<f64>> {
        match self {
            Self::Numbers(values) => values.clone(),
            other => (0..other.len()).map(|row| other.get(row).number()).collect(),
        }
    }

    /// The one value of the column.
    pub fn reduce(&self, reducer: Reducer) -> Value {
        let as_number = |number: Option<f64>| number.map_or(Value::Null, Value::Number);
        match (self, reducer) {
            (_, Reducer::AllValues | Reducer::UniqueValues) => self.listed(reducer == Reducer::UniqueValues),
            (Self::Numbers(values), _) => as_number(reducer.of(values)),
            (Self::Times(_), _) => {
                let of_time = as_number(reducer.of(&self.numbers()));
                match of_time {
                    Value::Number(time) if is_point(reducer) => Value::Time(time as i64),
                    other => other,
                }
            }
            _ => self.reduce_words(reducer),
        }
    }

    fn reduce_words(&self, reducer: Reducer) -> Value {
        let filled = |row: &usize| self.get(*row) != Value::Null;
        let rows = 0..self.len();
        let found = match reducer {
            Reducer::Last => rows.last(),
            Reducer::LastNotNull => rows.rev().find(filled),
            Reducer::First => rows.into_iter().next(),
            Reducer::FirstNotNull => rows.into_iter().find(filled),
            Reducer::Count => return Value::Number(rows.filter(filled).count() as f64),
            Reducer::CountAll => return Value::Number(self.len() as f64),
            Reducer::DistinctCount => {
                return Value::Number(rows.map(|row| self.get(row).key()).collect::<HashSet<_>>().len() as f64);
            }
            Reducer::ChangeCount => {
                return Value::Number(rows.skip(1).filter(|row| self.get(*row) != self.get(row - 1)).count() as f64);
            }
            Reducer::AllIsNull => return Value::Number(f64::from(!rows.into_iter().any(|row| filled(&row)))),
            _ => None,
        };
        found.map_or(Value::Null, |row| self.get(row))
    }

    fn listed(&self, unique: bool) -> Value {
        let mut seen = HashSet::new();
        let values = (0..self.len()).map(|row| self.get(row)).filter(|value| !unique || seen.insert(value.key()));
        let texts: Vec<Arc<str>> = values.filter_map(|value| value.text()).collect();
        Value::Text(texts.join(", ").into())
    }
}

/// Whether what becomes of times is one of them.
fn is_point(reducer: Reducer) -> bool {
    use Reducer::{First, FirstNotNull, Last, LastNotNull, Max, Min};
    matches!(reducer, First | FirstNotNull | Last | LastNotNull | Max | Min)
}

impl Field {
    /// A column without labels.
    pub fn new(name: impl Into<String>, values: Column) -> Self {
        Self { name: name.into(), labels: Vec::new(), display: None, values }
    }

    pub(crate) fn is_time(&self) -> bool {
        self.values.kind() == FieldType::Time
    }
}

impl Frame {
    /// The rows of its longest column.
    pub fn rows(&self) -> usize {
        self.fields.iter().map(|field| field.values.len()).max().unwrap_or(0)
    }

    /// These rows alone.
    pub(crate) fn pick(&self, rows: &[Option<usize>]) -> Self {
        let pick = |field: &Field| Field { values: field.values.rows(rows), ..field.clone_empty() };
        Self { ref_id: self.ref_id.clone(), name: self.name.clone(), fields: self.fields.iter().map(pick).collect() }
    }

    pub(crate) fn time(&self) -> Option<usize> {
        self.fields.iter().position(Field::is_time)
    }
}

impl Field {
    /// Its name and labels without its values.
    pub(crate) fn clone_empty(&self) -> Self {
        Self {
            name: self.name.clone(),
            labels: self.labels.clone(),
            display: self.display.clone(),
            values: Column::new(self.values.kind()),
        }
    }
}

/// The name that a query's legend gives to a series: `None` where its labels decide, see [`display_name`].
pub fn legend_name(format: &LegendFormat, labels: &[(String, String)], expr: &str) -> Option<String> {
    match format {
        LegendFormat::Auto if labels.is_empty() => Some(expr.to_owned()),
        LegendFormat::Auto => None,
        LegendFormat::Verbose if labels.is_empty() => Some(expr.to_owned()),
        LegendFormat::Verbose => Some(series(labels)),
        LegendFormat::Template(text) => Some(fill_labels(text, labels)),
    }
}

/// A series as PromQL writes it: `up{instance="a", job="b"}`.
fn series(labels: &[(String, String)]) -> String {
    let name = labels.iter().find(|(label, _)| label == "__name__").map_or("", |(_, name)| name);
    let rest: Vec<String> = labels
        .iter()
        .filter(|(label, _)| label != "__name__")
        .map(|(label, value)| format!("{label}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    if rest.is_empty() && !name.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", rest.join(", ")) }
}

/// A text whose `{{label}}` are the labels' values; nothing for labels that the series does not have.
pub fn fill_labels(text: &str, labels: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        out.push_str(before);
        let name = name.trim();
        out.push_str(labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The name that a column is shown by.
pub fn display_name(field: &Field, frame: &Frame, frames: &[Frame]) -> String {
    named(field, frame, single_label(frames))
}

/// The same, with the only label that there is known already.
pub(crate) fn named(field: &Field, frame: &Frame, single: Option<&str>) -> String {
    if let Some(display) = &field.display {
        return display.clone();
    }
    if field.is_time() && field.labels.is_empty() {
        return field.name.clone();
    }
    let mut parts = Vec::new();
    if !frame.name.is_empty() {
        parts.push(frame.name.clone());
    }
    if !field.name.is_empty() && field.name != "Value" {
        parts.push(field.name.clone());
    }
    match single {
        Some(single) => {
            parts.extend(field.labels.iter().find(|(label, _)| label == single).map(|(_, value)| value.clone()));
        }
        None if !field.labels.is_empty() => parts.push(series(&field.labels)),
        None => {}
    }
    let name = if parts.is_empty() { field.name.clone() } else { parts.join(" ") };
    if name == field.name { unique(field, frame) } else { name }
}

/// Columns of one name in one answer are numbered.
fn unique(field: &Field, frame: &Frame) -> String {
    let same: Vec<&Field> = frame.fields.iter().filter(|other| other.name == field.name).collect();
    let place = same.iter().position(|other| std::ptr::eq(*other, field));
    match place {
        Some(place) if same.len() > 1 => format!("{} {}", field.name, place + 1),
        _ => field.name.clone(),
    }
}

/// The label that all columns have in common as their only one.
pub(crate) fn single_label(frames: &[Frame]) -> Option<&str> {
    let mut single = None;
    for (label, _) in frames.iter().flat_map(|frame| &frame.fields).flat_map(|field| &field.labels) {
        match single {
            None => single = Some(label.as_str()),
            Some(known) if known == label => {}
            Some(_) => return None,
        }
    }
    single
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn series_have_names() {
        let check = |format: LegendFormat, set: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(legend_name(&format, &labels(set), "sum(up)").as_deref(), expected, "{format:?}");
        };
        let template = |text: &str| LegendFormat::Template(text.to_owned());
        let up: &[(&str, &str)] = &[("__name__", "up"), ("job", "a\"b")];
        check(LegendFormat::Verbose, up, Some("up{job=\"a\\\"b\"}"));
        check(LegendFormat::Verbose, &[("__name__", "up")], Some("up"));
        check(LegendFormat::Verbose, &[("job", "a")], Some("{job=\"a\"}"));
        check(LegendFormat::Verbose, &[], Some("sum(up)"));
        check(LegendFormat::Auto, up, None);
        check(LegendFormat::Auto, &[], Some("sum(up)"));
        check(template("{{job}} - {{ __name__ }} {{no}}!"), up, Some("a\"b - up !"));
        check(template("{{job"), up, Some("{{job"));
        check(template("max"), &[], Some("max"));
    }

    #[test]
    fn columns_have_names() {
        let field = |name: &str, set: &[(&str, &str)]| Field {
            labels: labels(set),
            ..Field::new(name, Column::Numbers(Vec::new()))
        };
        let check = |fields: &[Field], expected: &[&str]| {
            let frames = [Frame { fields: fields.to_vec(), ..Frame::default() }];
            let found: Vec<_> = frames[0].fields.iter().map(|field| display_name(field, &frames[0], &frames)).collect();
            assert_eq!(found, expected);
        };
        check(&[field("Value", &[("pod", "a")]), field("Value", &[("pod", "b")])], &["a", "b"]);
        check(&[field("Value", &[("a", "1"), ("b", "2")])], &["{a=\"1\", b=\"2\"}"]);
        check(&[field("Value", &[])], &["Value"]);
        check(&[field("Value", &[]), field("Value", &[])], &["Value 1", "Value 2"]);
        check(&[field("cpu", &[("pod", "a")])], &["cpu a"]);
        check(&[Field { display: Some("x".to_owned()), ..field("Value", &[("a", "1")]) }], &["x"]);
    }

    #[test]
    fn values_have_an_order() {
        let check = |less: Value, more: Value| assert_eq!(less.order(&more), Ordering::Less, "{less:?} {more:?}");
        check(Value::Null, Value::Number(f64::NEG_INFINITY));
        check(Value::Number(-1.0), Value::Number(-0.5));
        check(Value::Number(-0.5), Value::Number(0.0));
        check(Value::Number(0.0), Value::Number(1e300));
        check(Value::Text("a".into()), Value::Text("b".into()));
        assert_eq!(Value::Number(-0.0).order(&Value::Number(0.0)), Ordering::Equal);
    }

    #[test]
    fn columns_of_words_are_reduced() {
        let column = Column::Texts(vec![Some("a".into()), None, Some("b".into()), Some("b".into()), None]);
        let check = |reducer: Reducer, expected: Value| assert_eq!(column.reduce(reducer), expected, "{reducer:?}");
        check(Reducer::LastNotNull, Value::Text("b".into()));
        check(Reducer::Last, Value::Null);
        check(Reducer::FirstNotNull, Value::Text("a".into()));
        check(Reducer::Count, Value::Number(3.0));
        check(Reducer::CountAll, Value::Number(5.0));
        check(Reducer::DistinctCount, Value::Number(3.0));
        check(Reducer::UniqueValues, Value::Text("a, b".into()));
        check(Reducer::Mean, Value::Null);
        assert_eq!(Column::Times(vec![Some(5), Some(9)]).reduce(Reducer::Max), Value::Time(9));
        assert_eq!(Column::Times(vec![Some(5), Some(9)]).reduce(Reducer::Range), Value::Number(4.0));
    }
}
