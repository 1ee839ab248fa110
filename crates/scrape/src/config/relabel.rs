//! Entries of `relabel_configs` and `metric_relabel_configs`.

use model::Pattern;
use yaml::{Place, Section};

use super::global::given;
use crate::relabel::{Action, DEFAULT_PATTERN, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR, Rule};

/// Decodes a list of rules; `of` says in messages what they are for.
pub fn decode_all(places: &[Place<'_>], of: &str) -> Vec<Rule> {
    places.iter().filter_map(|place| decode(place, of)).collect()
}

fn decode(place: &Place<'_>, of: &str) -> Option<Rule> {
    if place.node().is_null() {
        place.error(format!("empty or null {of} relabeling rule"), "remove it");
        return None;
    }
    let section = place.section()?;
    // A key without a value means the empty text here, not the default.
    let text = |key, default: &str| section.get(key).and_then(|p| p.string()).unwrap_or_else(|| default.to_owned());
    let action = action(&section);
    let rule = Rule {
        action: action.unwrap_or(Action::Replace),
        source_labels: source_labels(&section),
        separator: text("separator", DEFAULT_SEPARATOR),
        pattern: pattern(&section)?,
        modulus: section.get("modulus").filter(given).and_then(|p| p.unsigned()).unwrap_or_default(),
        target_label: text("target_label", ""),
        replacement: text("replacement", DEFAULT_REPLACEMENT),
    };
    section.finish();
    if action.is_some() {
        check(place, &section, &rule);
    }
    Some(rule)
}

fn action(section: &Section<'_>) -> Option<Action> {
    let Some(place) = section.get("action") else { return Some(Action::Replace) };
    let word = place.string()?;
    if word.is_empty() {
        place.error("relabel action cannot be empty", format!("known: {}", Action::words().join(", ")));
        return None;
    }
    let action = Action::from_word(&word.to_ascii_lowercase());
    if action.is_none() {
        place.error(format!("unknown relabel action {word:?}"), format!("known: {}", Action::words().join(", ")));
    }
    action
}

fn source_labels(section: &Section<'_>) -> Vec<String> {
    let places = section.list("source_labels");
    for place in places.iter().filter(|place| given(place) && place.node().as_text() == Some("")) {
        place.error("\"\" is not a valid label name", "");
    }
    places.iter().filter_map(Place::string).collect()
}

fn pattern(section: &Section<'_>) -> Option<Pattern> {
    let place = section.get("regex");
    let text = place.as_ref().and_then(Place::string).unwrap_or_else(|| DEFAULT_PATTERN.to_owned());
    match (Pattern::new(&text), place) {
        (Ok(pattern), _) => Some(pattern),
        (Err(error), Some(place)) => {
            place.error(error.to_string(), "expressions are RE2's, anchored on both ends");
            None
        }
        (Err(_), None) => None,
    }
}

/// Which fields an action needs and which it does not take.
fn check(place: &Place<'_>, section: &Section<'_>, rule: &Rule) {
    let action = rule.action;
    let has = |key| section.get(key).is_some_and(|place| given(&place));
    let plain_text = rule.separator == DEFAULT_SEPARATOR && rule.replacement == DEFAULT_REPLACEMENT;
    let plain = plain_text && rule.modulus == 0;
    if action == Action::HashMod && rule.modulus == 0 {
        place.error("relabel configuration for hashmod requires non-zero modulus", "add modulus");
    }
    if action.needs_target() && rule.target_label.is_empty() {
        let message = format!("relabel configuration for {action} action requires 'target_label' value");
        place.error(message, "add target_label");
    }
    if matches!(action, Action::Lowercase | Action::Uppercase) && rule.replacement != DEFAULT_REPLACEMENT {
        place.error(format!("'replacement' can not be set for {action} action"), "remove replacement");
    }
    if action == Action::LabelMap && rule.replacement.is_empty() {
        place.error("\"\" is invalid 'replacement' for labelmap action", "name the new label, such as $1");
    }
    if matches!(action, Action::KeepEqual | Action::DropEqual) && (!plain || section.get("regex").is_some()) {
        let message = format!("{action} action requires only 'source_labels' and 'target_label', and no other fields");
        place.error(message, "remove the other fields");
    }
    let takes_labels = has("source_labels") || !rule.target_label.is_empty();
    if matches!(action, Action::LabelDrop | Action::LabelKeep) && (takes_labels || !plain) {
        let message = format!("{action} action requires only 'regex', and no other fields");
        place.error(message, "remove the other fields");
    }
}
