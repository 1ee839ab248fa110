//! What a template computes with: the values that Go's reflection would show.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use crate::{number, time};

/// Longer texts reach no person; as a bound on every text that is made it also stops what doubles in a loop.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// Maps inside each other. Printing and dropping recurse, and only `args` nests at all.
pub(crate) const NESTING_MAX: usize = 8;

/// A value. Clones are cheap.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value; prints as `<no value>`.
    Nil,
    /// A truth value.
    Bool(bool),
    /// An `int`.
    Int(i64),
    /// A `float64`.
    Float(f64),
    /// A text.
    String(Arc<str>),
    /// A slice.
    List(Arc<[Value]>),
    /// A map from texts.
    Map(Arc<Map>),
    /// Something with named fields.
    Object(Arc<Object>),
    /// A `time.Time` in its zone.
    Time(Arc<jiff::Zoned>),
    /// A `time.Duration` in nanoseconds.
    Duration(i64),
    /// A text that is HTML already.
    Html(Arc<str>),
    /// A text that is a URL which needs no judging.
    Url(Arc<str>),
}

/// A map from texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// By key.
    pub entries: BTreeMap<String, Value>,
    /// What it is to Go.
    pub kind: MapKind,
}

/// What a map is to Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// `map[string]interface {}`: a missing value is none.
    Any,
    /// `map[string]string`: a missing value is the empty text.
    Strings,
    /// `template.KV`: texts too, printed as `a=1, b=2`.
    Pairs,
}

impl MapKind {
    /// What stands for a key that is not there.
    pub(crate) fn missing(self) -> Value {
        match self {
            Self::Any => Value::Nil,
            Self::Strings | Self::Pairs => Value::string(""),
        }
    }
}

/// Something with named fields; asking for another field is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Go's name of the type, for messages.
    pub type_name: &'static str,
    /// In order.
    pub fields: Vec<(&'static str, Value)>,
}

impl Value {
    /// A text.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// A map of texts.
    pub fn strings<K: Into<String>, V: AsRef<str>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = entries.into_iter().map(|(k, v)| (k.into(), Self::string(v.as_ref()))).collect();
        Self::Map(Arc::new(Map { entries, kind: MapKind::Strings }))
    }

    /// Labels of a notification.
    pub fn pairs<K: Into<String>, V: AsRef<str>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = entries.into_iter().map(|(k, v)| (k.into(), Self::string(v.as_ref()))).collect();
        Self::Map(Arc::new(Map { entries, kind: MapKind::Pairs }))
    }

    /// Whether `if` takes it as true: not the zero of its kind, not empty.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(b) => *b,
            Self::Int(i) => *i != 0,
            Self::Float(f) => *f != 0.0,
            Self::String(s) => !s.is_empty(),
            Self::List(l) => !l.is_empty(),
            Self::Map(m) => !m.entries.is_empty(),
            Self::Object(_) | Self::Time(_) => true,
            Self::Duration(nanoseconds) => *nanoseconds != 0,
            Self::Html(text) | Self::Url(text) => !text.is_empty(),
        }
    }

    /// Go's name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(m) => match m.kind {
                MapKind::Any => "map[string]interface {}",
                MapKind::Strings => "map[string]string",
                MapKind::Pairs => "template.KV",
            },
            Self::Object(o) => o.type_name,
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Html(_) => "template.HTML",
            Self::Url(_) => "template.URL",
        }
    }

    /// What stands in the output for it.
    pub fn print(&self) -> String {
        let mut text = String::new();
        self.print_to(&mut text, "<no value>");
        text
    }

    /// What `%v` and `print` make of it.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        self.print_to(&mut text, "<nil>");
        text
    }

    /// How many lists, maps and objects stand inside each other, counted up to the bound.
    pub(crate) fn nesting(&self) -> usize {
        fn deepest<'a>(values: impl Iterator<Item = &'a Value>, left: usize) -> usize {
            if left == 0 { 1 } else { 1 + values.map(|value| within(value, left - 1)).max().unwrap_or(0) }
        }
        fn within(value: &Value, left: usize) -> usize {
            match value {
                Value::List(list) => deepest(list.iter().take(1), left),
                Value::Map(map) if map.kind != MapKind::Any => 1,
                Value::Map(map) => deepest(map.entries.values(), left),
                Value::Object(object) => deepest(object.fields.iter().map(|(_, value)| value), left),
                _ => 0,
            }
        }
        within(self, NESTING_MAX)
    }

    fn print_to(&self, text: &mut String, nil: &str) {
        if text.len() > TEXT_BYTES_MAX {
            return;
        }
        match self {
            Self::Nil => text.push_str(nil),
            Self::Bool(b) => drop(write!(text, "{b}")),
            Self::Int(i) => drop(write!(text, "{i}")),
            Self::Float(f) => text.push_str(&number::general(*f, None)),
            Self::String(s) | Self::Html(s) | Self::Url(s) => text.push_str(s),
            Self::Time(time) => text.push_str(&time::show(time)),
            Self::Duration(nanoseconds) => text.push_str(&time::duration(*nanoseconds)),
            Self::List(list) if is_pairs(list) => print_pairs(text, list.iter().filter_map(pair)),
            Self::Map(map) if map.kind == MapKind::Pairs => {
                print_pairs(text, sorted(map).map(|(name, value)| (name.clone(), value.print())));
            }
            Self::List(list) => {
                text.push('[');
                for (i, value) in list.iter().enumerate() {
                    text.push_str(if i > 0 { " " } else { "" });
                    value.print_to(text, "<nil>");
                }
                text.push(']');
            }
            Self::Map(map) => {
                text.push_str("map[");
                for (i, (key, value)) in map.entries.iter().enumerate() {
                    let _ = write!(text, "{}{key}:", if i > 0 { " " } else { "" });
                    value.print_to(text, "<nil>");
                }
                text.push(']');
            }
            Self::Object(object) => {
                text.push('{');
                for (i, (_, value)) in object.fields.iter().enumerate() {
                    text.push_str(if i > 0 { " " } else { "" });
                    value.print_to(text, "<nil>");
                }
                text.push('}');
            }
        }
    }
}

/// Go's name of what a label of a notification is in a list.
pub(crate) const PAIR: &str = "template.Pair";

fn is_pairs(list: &[Value]) -> bool {
    matches!(list.first(), Some(Value::Object(object)) if object.type_name == PAIR)
}

/// The pairs of a map by name, but the alert's name first.
pub(crate) fn sorted(map: &Map) -> impl Iterator<Item = (&String, &Value)> {
    const FIRST: &str = "alertname";
    map.entries.get_key_value(FIRST).into_iter().chain(map.entries.iter().filter(|(name, _)| *name != FIRST))
}

/// Name and value of a pair.
pub(crate) fn pair(value: &Value) -> Option<(String, String)> {
    match value {
        Value::Object(object) => match &object.fields[..] {
            [(_, name), (_, value)] if object.type_name == PAIR => Some((name.print(), value.print())),
            _ => None,
        },
        _ => None,
    }
}

fn print_pairs(text: &mut String, pairs: impl Iterator<Item = (String, String)>) {
    for (i, (name, value)) in pairs.enumerate() {
        let _ = write!(text, "{}{name}={value}", if i > 0 { ", " } else { "" });
    }
}
