//! A reader of JSON objects that remembers what it was asked for.
//!
//! A key that nobody asked for is reported when its [`Object`] is dropped, unless it holds nothing: null, false, an
//! empty text, list or object. A value of a type that makes no sense is reported, too, and read as absent, since
//! real dashboards hold `""` for "no maximum" and `"2"` for a number.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::report::{LOSSES_MAX, Loss, Report};

/// Characters of a value that a report repeats: enough to recognise it.
const VALUE_CHARS_MAX: usize = 60;

/// Elements of a list. No list of a dashboard is as long; the elements of one in a file take three bytes each, and
/// what is made of them far more.
const LIST_MAX: usize = 10_000;

/// Overrides of all panels together: some megabytes. The largest dashboards that people publish have some hundred.
const OVERRIDES_MAX: usize = 5_000;

/// Where losses go, which panel is being read, and what the whole file says.
#[derive(Default)]
pub(crate) struct Losses {
    /// Kinds of the data sources that the file names itself, by the names it gives them.
    pub(crate) sources: BTreeMap<String, String>,
    report: RefCell<Report>,
    panel: RefCell<Option<(i64, String)>>,
    overrides: Cell<usize>,
    /// Losses that are kept.
    count: Cell<usize>,
}

impl Losses {
    pub(crate) fn new(sources: BTreeMap<String, String>) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Every loss until the next call belongs to this panel.
    pub(crate) fn enter(&self, panel: Option<(i64, String)>) {
        *self.panel.borrow_mut() = panel;
    }

    /// Whether one more override may be read.
    pub(crate) fn take_override(&self) -> bool {
        self.overrides.set(self.overrides.get() + 1);
        self.overrides.get() <= OVERRIDES_MAX
    }

    pub(crate) fn push(&self, path: &str, value: &Value, reason: impl Into<String>) {
        if self.count.get() >= LOSSES_MAX {
            self.report.borrow_mut().omitted += 1;
            return;
        }
        self.count.set(self.count.get() + 1);
        let loss = Loss { path: path.to_owned(), value: excerpt(value), reason: reason.into() };
        let panel = self.panel.borrow();
        self.report.borrow_mut().push(panel.as_ref().map(|(id, title)| (*id, title.as_str())), loss);
    }

    pub(crate) fn into_report(self) -> Report {
        self.report.into_inner()
    }
}

/// One value with its place.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    pub(crate) path: String,
    pub(crate) losses: &'a Losses,
}

/// One object with its place and the keys that were read.
pub(crate) struct Object<'a> {
    map: &'a Map<String, Value>,
    path: String,
    losses: &'a Losses,
    read: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Node<'a> {
    pub(crate) fn lose(&self, reason: impl Into<String>) {
        self.losses.push(&self.path, self.value, reason);
    }

    /// A text, or what a text can be made of.
    pub(crate) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null => None,
            _ => self.wrong("a text"),
        }
    }

    /// A finite number, or a text of one.
    pub(crate) fn number(&self) -> Option<f64> {
        let number = match self.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if text.trim().is_empty() || text == "auto" => return None,
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(false) => return None,
            _ => None,
        };
        match number {
            Some(number) if number.is_finite() => Some(number),
            _ => self.wrong("a number"),
        }
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        match self.value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" || text == "false" => Some(text == "true"),
            Value::Number(number) => Some(number.as_f64() != Some(0.0)),
            Value::Null => None,
            _ => self.wrong("true or false"),
        }
    }

    pub(crate) fn object(&self) -> Option<Object<'a>> {
        match self.value {
            Value::Object(map) => Some(Object::new(map, self.path.clone(), self.losses)),
            Value::Null => None,
            _ => self.wrong("an object"),
        }
    }

    /// The elements of a list; a single value that stands for a list is not one.
    pub(crate) fn list(&self) -> Vec<Node<'a>> {
        let Value::Array(values) = self.value else {
            if !is_nothing(self.value) {
                self.lose("should be a list, and is left out");
            }
            return Vec::new();
        };
        if values.len() > LIST_MAX {
            self.lose(format!("what is past the first {LIST_MAX} is left out"));
        }
        let node = |(at, value)| Node { value, path: format!("{}[{at}]", self.path), losses: self.losses };
        values.iter().take(LIST_MAX).enumerate().map(node).collect()
    }

    fn wrong<T>(&self, wanted: &str) -> Option<T> {
        if !is_nothing(self.value) {
            self.lose(format!("should be {wanted}, and is left out"));
        }
        None
    }
}

impl<'a> Object<'a> {
    fn new(map: &'a Map<String, Value>, path: String, losses: &'a Losses) -> Self {
        Self { map, path, losses, read: RefCell::default() }
    }

    pub(crate) fn losses(&self) -> &'a Losses {
        self.losses
    }

    /// The value of a key, unless it is absent or null.
    pub(crate) fn node(&self, key: &'a str) -> Option<Node<'a>> {
        self.read.borrow_mut().insert(key);
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Some(Node { value, path, losses: self.losses })
    }

    /// Every key with its value.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        let map = self.map;
        map.keys().filter_map(|key| Some((key.as_str(), self.node(key)?)))
    }

    /// Whether a key is there with anything in it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !is_nothing(value))
    }

    pub(crate) fn text(&self, key: &'a str) -> Option<String> {
        self.node(key)?.text()
    }

    /// The text, empty where there is none.
    pub(crate) fn string(&self, key: &'a str) -> String {
        self.text(key).unwrap_or_default()
    }

    /// The text, where there is one.
    pub(crate) fn filled(&self, key: &'a str) -> Option<String> {
        self.text(key).filter(|text| !text.is_empty())
    }

    pub(crate) fn number(&self, key: &'a str) -> Option<f64> {
        self.node(key)?.number()
    }

    /// A whole number between 0 and `max`; one outside is brought to the border, as a picture has no use for it.
    pub(crate) fn count(&self, key: &'a str, max: u32) -> Option<u32> {
        self.number(key).map(|number| whole(number, max))
    }

    pub(crate) fn flag(&self, key: &'a str) -> Option<bool> {
        self.node(key)?.flag()
    }

    pub(crate) fn is(&self, key: &'a str) -> bool {
        self.flag(key).unwrap_or(false)
    }

    pub(crate) fn object(&self, key: &'a str) -> Option<Object<'a>> {
        self.node(key)?.object()
    }

    /// An object that reports nothing of what is not read of it, since somebody else reads it, too.
    pub(crate) fn quiet(&self, key: &'a str) -> Option<Object<'a>> {
        let object = match self.node(key)?.value {
            Value::Object(map) => Object::new(map, format!("{}.{key}", self.path), self.losses),
            _ => return None,
        };
        object.ignore_rest();
        Some(object)
    }

    pub(crate) fn list(&self, key: &'a str) -> Vec<Node<'a>> {
        self.node(key).map(|node| node.list()).unwrap_or_default()
    }

    pub(crate) fn objects(&self, key: &'a str) -> Vec<Object<'a>> {
        self.list(key).iter().filter_map(Node::object).collect()
    }

    pub(crate) fn strings(&self, key: &'a str) -> Vec<String> {
        self.list(key).iter().filter_map(Node::text).collect()
    }

    /// One word of a list of them; another word is reported and read as absent.
    pub(crate) fn word<T: Clone>(&self, key: &'a str, words: &[(&str, T)]) -> Option<T> {
        let node = self.node(key)?;
        word(&node, words)
    }

    /// Keys that mean nothing here: editors' marks, versions of plugins, what the room decides itself.
    pub(crate) fn ignore(&self, keys: &[&'a str]) {
        self.read.borrow_mut().extend(keys);
    }

    /// Reports a key that is there with anything in it.
    pub(crate) fn lose(&self, key: &'a str, reason: &str) {
        if let Some(node) = self.node(key)
            && !is_nothing(node.value)
        {
            node.lose(reason);
        }
    }

    /// Reports a panel's kind.
    pub(crate) fn lose_type(&self, reason: &str) {
        match self.node("type") {
            Some(node) => node.lose(reason),
            None => self.losses.push(&self.path, &Value::Null, reason),
        }
    }

    /// Reports the object itself.
    pub(crate) fn lose_all(&self, reason: &str) {
        self.ignore_rest();
        let value = Value::Object(self.map.clone());
        self.losses.push(&self.path, &value, reason);
    }

    /// Reports what nobody asked for, now and not when the object is dropped.
    pub(crate) fn report_rest(&self) {
        for (key, value) in self.map {
            if self.read.borrow_mut().insert(key) && !is_nothing(value) {
                let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
                self.losses.push(&path, value, "skep does not know this setting");
            }
        }
    }

    /// Nothing of it is asked for any more, and that was said or needs no saying.
    pub(crate) fn ignore_rest(&self) {
        self.read.borrow_mut().extend(self.map.keys().map(String::as_str));
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.report_rest();
    }
}

/// A whole number between 0 and `max`.
pub(crate) fn whole(number: f64, max: u32) -> u32 {
    number.round().clamp(0.0, f64::from(max)) as u32
}

pub(crate) fn word<T: Clone>(node: &Node<'_>, words: &[(&str, T)]) -> Option<T> {
    let text = node.text().filter(|text| !text.is_empty())?;
    let found = words.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        node.lose(format!("is none of {}", known.join(", ")));
    }
    found.map(|(_, meaning)| meaning.clone())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn excerpt(value: &Value) -> String {
    let text = match value {
        Value::Object(map) => format!("{{{}}}", map.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
        Value::Array(values) => format!("[{} values]", values.len()),
        other => other.to_string(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
