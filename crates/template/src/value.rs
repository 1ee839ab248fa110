//! What a template computes with: the values that Go's reflection would show.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use crate::number;

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
}

/// A map from texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// By key.
    pub entries: BTreeMap<String, Value>,
    /// Whether all values are texts, so that a missing one is the empty text.
    pub of_strings: bool,
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
        Self::Map(Arc::new(Map { entries, of_strings: true }))
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
            Self::Object(_) => true,
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
            Self::Map(m) if m.of_strings => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            Self::Object(o) => o.type_name,
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
                Value::Map(map) if map.of_strings => 1,
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
            Self::String(s) => text.push_str(s),
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
