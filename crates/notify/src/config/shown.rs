//! The configuration as the API shows it: what tools such as amtool ask it for, without anything that is nobody's business.

use yaml::{Node, Value};

/// What stands for a secret, as in Alertmanager.
const SECRET: &str = "<secret>";

/// Keys at the top that hold no secret. Of receivers the names are shown, of global settings none.
const OPEN: [&str; 5] = ["route", "inhibit_rules", "time_intervals", "mute_time_intervals", "templates"];

/// YAML of a configuration.
pub(super) fn show(root: &Node) -> String {
    let mut text = String::new();
    for key in OPEN {
        if let Some(node) = member(root, key).filter(|node| !node.is_null()) {
            text.push_str(key);
            text.push(':');
            push(&mut text, node, 0);
        }
    }
    let receivers = member(root, "receivers").map(list).unwrap_or_default();
    text.push_str(if receivers.is_empty() { "" } else { "receivers:\n" });
    for receiver in receivers {
        let name = member(receiver, "name").and_then(Node::as_text).unwrap_or_default();
        text.push_str(&format!("- name: {}\n", quoted(name)));
        // What reads this would refuse other integrations without their settings, which are full of secrets.
        let webhooks = member(receiver, "webhook_configs").map(list).unwrap_or_default();
        text.push_str(if webhooks.is_empty() { "" } else { "  webhook_configs:\n" });
        for _ in webhooks {
            text.push_str(&format!("  - url: {SECRET}\n"));
        }
    }
    text
}

fn member<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::Mapping(pairs) = &node.value else { return None };
    pairs.iter().find(|pair| pair.key.as_text() == Some(key)).map(|pair| &pair.value)
}

fn list(node: &Node) -> &[Node] {
    match &node.value {
        Value::Sequence(nodes) => nodes,
        _ => &[],
    }
}

/// A value behind its key or dash, with the end of the line.
fn push(text: &mut String, node: &Node, depth: usize) {
    let indent = "  ".repeat(depth);
    match &node.value {
        Value::Scalar { text: scalar, plain: true } => text.push_str(&format!(" {scalar}\n")),
        Value::Scalar { text: scalar, plain: false } => text.push_str(&format!(" {}\n", quoted(scalar))),
        Value::Sequence(nodes) if nodes.is_empty() => text.push_str(" []\n"),
        Value::Mapping(pairs) if pairs.is_empty() => text.push_str(" {}\n"),
        Value::Sequence(nodes) => {
            text.push('\n');
            for node in nodes {
                text.push_str(&format!("{indent}-"));
                push(text, node, depth + 1);
            }
        }
        Value::Mapping(pairs) => {
            text.push('\n');
            for pair in pairs {
                text.push_str(&format!("{indent}  {}:", quoted(pair.key.as_text().unwrap_or_default())));
                push(text, &pair.value, depth + 1);
            }
        }
    }
}

/// A text of JSON is one of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
