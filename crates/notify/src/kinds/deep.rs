//! Trees of templates: details and payloads of the configuration's own. A text that a template gives is read as YAML, as
//! Alertmanager does it, so that numbers, lists and the output of `toJson` become what they look like.

use serde_json::{Map, Value as Json};
use yaml::{Node, Place, Value};

use crate::config::keys::check_template;

/// Texts inside texts inside texts: alerts are three levels deep.
const DEPTH_MAX: usize = 16;

/// What the configuration says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    /// A template.
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
    /// No text.
    Constant(Json),
}

pub(super) fn decode(place: &Place<'_>) -> Tree {
    match &place.node().value {
        Value::Scalar { text, plain: false } => {
            check_template(place, text);
            Tree::Text(text.to_string())
        }
        Value::Scalar { text, .. } => match scalar(text) {
            Json::String(text) => {
                check_template(place, &text);
                Tree::Text(text)
            }
            constant => Tree::Constant(constant),
        },
        Value::Sequence(_) => Tree::List(place.list().iter().map(decode).collect()),
        Value::Mapping(_) => Tree::Map(
            place
                .entries()
                .iter()
                .map(|(key, value)| (key.node().as_text().unwrap_or_default().to_owned(), decode(value)))
                .collect(),
        ),
    }
}

/// The tree with what its templates say.
pub(super) fn fill(tree: &Tree, say: &dyn Fn(&str) -> String) -> Json {
    match tree {
        Tree::Text(template) => read(&say(template), DEPTH_MAX),
        Tree::List(list) => list.iter().map(|tree| fill(tree, say)).collect(),
        Tree::Map(map) => Json::Object(map.iter().map(|(key, tree)| (key.clone(), fill(tree, say))).collect()),
        Tree::Constant(constant) => constant.clone(),
    }
}

/// A text as YAML, or as it is where it is none.
pub(super) fn read(text: &str, depth: usize) -> Json {
    match yaml::parse("", text) {
        Ok(node) if depth > 0 => match &node.value {
            // A text is kept with its blanks and ends of lines.
            Value::Scalar { plain: true, .. } if !text.trim().is_empty() => match scalar(text.trim()) {
                Json::String(_) => Json::String(text.to_owned()),
                other => other,
            },
            Value::Scalar { .. } if !text.is_empty() => Json::String(text.to_owned()),
            _ => of_node(&node, depth),
        },
        _ => Json::String(text.to_owned()),
    }
}

fn of_node(node: &Node, depth: usize) -> Json {
    match &node.value {
        Value::Scalar { text, .. } if text.is_empty() => Json::Null,
        Value::Scalar { text, .. } => read(text, depth - 1),
        Value::Sequence(nodes) => nodes.iter().map(|node| of_node(node, depth)).collect(),
        Value::Mapping(pairs) => {
            let pairs = pairs
                .iter()
                .map(|pair| (pair.key.as_text().unwrap_or_default().to_owned(), of_node(&pair.value, depth)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

/// What a plain word of YAML 1.1 is.
fn scalar(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => return true.into(),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => return false.into(),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.contains(|c: char| c.is_ascii_digit()) {
        return text.into();
    }
    let is_octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(number), _) if !is_octal => number.into(),
        (_, Ok(number)) if !is_octal => number.into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(read(text, DEPTH_MAX).to_string(), expected, "{text}");
    }

    /// Recorded from Alertmanager 0.33.1.
    #[test]
    fn reads_texts_as_alertmanager_does() {
        check("5", "5");
        check("1.50", "1.5");
        check("true", "true");
        check("yes", "true");
        check("", "null");
        check("{a", "\"{a\"");
        check("x: y", "{\"x\":true}");
        check("2026-01-02", "\"2026-01-02\"");
        check("[1, \"2\"]", "[1,2]");
        check("{\"a\": \"7\", \"u\": \"x: y\", \"e\": \"\"}", "{\"a\":7,\"e\":null,\"u\":{\"x\":true}}");
        check("two words\n", "\"two words\\n\"");
    }
}
