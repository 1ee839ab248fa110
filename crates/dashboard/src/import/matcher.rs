//! Matchers of columns and answers.

use crate::field::{Comparison, FieldType, Matcher};
use crate::json::{Node, Object};
use crate::pattern::Pattern;
use crate::reduce::Reducer;

/// Matchers in matchers; Grafana's editor makes one level.
const DEPTH_MAX: usize = 8;

pub(super) fn read(object: &Object<'_>) -> Option<Matcher> {
    nested(object, 0)
}

fn nested(object: &Object<'_>, depth: usize) -> Option<Matcher> {
    object.ignore(&["scope"]);
    let id = object.string("id");
    let node = object.node("options");
    let text = || node.as_ref().and_then(Node::text);
    Some(match id.as_str() {
        "byName" => Matcher::Name(text()?),
        "byRegexp" => pattern(&node, text()?)?,
        "byNames" => names(&node?)?,
        "byNamesArray" => Matcher::Names { names: strings(&node?), exclude: false },
        "byRegexpOrNames" => regexp_or_names(&node?)?,
        "byType" => Matcher::Types(vec![kind(object, &text()?)?]),
        "byTypes" => Matcher::Types(strings(&node?).iter().filter_map(|text| kind(object, text)).collect()),
        "byFrameRefID" | "byRefId" => Matcher::Query(text()?),
        "byValue" => value(&node?)?,
        "numeric" => Matcher::Types(vec![FieldType::Number]),
        "time" => Matcher::Types(vec![FieldType::Time]),
        "first" => Matcher::First,
        "firstTimeField" => Matcher::FirstTime,
        "alwaysMatch" => Matcher::Any,
        "neverMatch" => Matcher::Never,
        "invertMatch" if depth < DEPTH_MAX => Matcher::Not(Box::new(nested(&node?.object()?, depth + 1)?)),
        "allMatch" if depth < DEPTH_MAX => Matcher::All(list(&node?, depth)),
        "anyMatch" if depth < DEPTH_MAX => Matcher::AnyOf(list(&node?, depth)),
        _ => {
            object.lose("id", "is no matcher that skep knows; what it would set is left out");
            object.ignore_rest();
            return None;
        }
    })
}

fn list(node: &Node<'_>, depth: usize) -> Vec<Matcher> {
    node.list().iter().filter_map(Node::object).filter_map(|object| nested(&object, depth + 1)).collect()
}

fn pattern(node: &Option<Node<'_>>, text: String) -> Option<Matcher> {
    let error = Pattern::new(&text).err();
    if let (Some(error), Some(node)) = (&error, node) {
        node.lose(error.to_string());
    }
    error.is_none().then_some(Matcher::Regexp(text))
}

fn names(node: &Node<'_>) -> Option<Matcher> {
    if node.value.is_array() {
        return Some(Matcher::Names { names: strings(node), exclude: false });
    }
    let object = node.object()?;
    object.ignore(&["prefix", "readOnly"]);
    let exclude = object.word("mode", &[("include", false), ("exclude", true)]).unwrap_or(false);
    Some(Matcher::Names { names: object.strings("names"), exclude })
}

fn regexp_or_names(node: &Node<'_>) -> Option<Matcher> {
    let object = node.object()?;
    let names = object.strings("names");
    let pattern = object.filled("pattern");
    if let Some(Err(error)) = pattern.as_ref().map(|text| Pattern::new(text)) {
        object.lose("pattern", &error.to_string());
        return None;
    }
    Some(Matcher::RegexpOrNames { pattern, names })
}

fn kind(object: &Object<'_>, text: &str) -> Option<FieldType> {
    let found = FieldType::WORDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind);
    if found.is_none() {
        object.lose("options", "is no type of column that skep has");
    }
    found
}

fn value(node: &Node<'_>) -> Option<Matcher> {
    let object = node.object()?;
    let word = object.string("reducer");
    let comparison = object.word("op", Comparison::WORDS).unwrap_or_default();
    let value = object.number("value").unwrap_or(0.0);
    let Some(reducer) = Reducer::parse(&word) else {
        object.lose("reducer", "is no reducer that skep knows");
        return None;
    };
    Some(Matcher::Value { reducer, comparison, value })
}

fn strings(node: &Node<'_>) -> Vec<String> {
    node.list().iter().filter_map(Node::text).collect()
}
