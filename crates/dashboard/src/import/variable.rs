//! Variables of a dashboard.

use serde_json::Value;

use crate::json::{Node, Object, word};
use crate::pattern::Pattern;
use crate::variable::{
    AdHocFilter, Choice, Refresh, Selection, VARIABLES_MAX, Variable, VariableKind, VariableQuery, VariableSort,
    Visibility,
};

/// What Grafana calls the choice of all values.
const ALL: &str = "$__all";

pub(super) fn read(templating: &Object<'_>) -> Vec<Variable> {
    templating.ignore(&["enable"]);
    let mut found: Vec<Variable> = Vec::new();
    for node in templating.list("list") {
        if found.len() >= VARIABLES_MAX {
            node.lose(format!("is past the first {VARIABLES_MAX} variables"));
            continue;
        }
        let Some(object) = node.object() else { continue };
        found.extend(one(&object));
    }
    found
}

fn one(object: &Object<'_>) -> Option<Variable> {
    object.ignore(&["options", "definition", "datasource", "queryValue", "tagsQuery", "tagValuesQuery", "useTags"]);
    object.ignore(&["tags", "error", "id", "rootStateKey", "index", "global", "state", "initLock", "hideLabel"]);
    object.ignore(&["current", "skipUrlSync", "auto", "auto_count", "auto_min", "filters", "query", "type"]);
    object.ignore(&["allFormat", "multiFormat", "refresh_on_load", "usesAdHoc", "valuesFormat"]);
    let name = object.string("name");
    if name.is_empty() {
        object.lose_all("a variable without a name");
        return None;
    }
    let kind = kind(object)?;
    let regex = object.string("regex");
    check_regex(object, &regex);
    object.ignore(&["regexApplyTo", "staticOptionsOrder", "defaultKeys", "allowCustomValue"]);
    object.lose("staticOptions", "values that stand beside those of the query are not carried");
    if object.string("regexApplyTo") == "text" {
        object.lose("regexApplyTo", "the pattern is for values");
    }
    if object.string("valuesFormat") == "json" {
        object.lose("valuesFormat", "values in JSON are read as a list with commas");
    }
    Some(Variable {
        name,
        label: object.string("label"),
        description: object.string("description"),
        hide: object.node("hide").and_then(|node| visibility(&node)).unwrap_or_default(),
        multi: object.is("multi"),
        include_all: object.is("includeAll"),
        all_value: object.filled("allValue"),
        current: current(object, &kind),
        kind,
        regex,
        sort: object.node("sort").and_then(|node| word(&node, VariableSort::WORDS)).unwrap_or_default(),
        refresh: object.node("refresh").and_then(|node| refresh(&node)).unwrap_or_default(),
        skip_url: object.is("skipUrlSync"),
        allow_custom: object.flag("allowCustomValue").unwrap_or(true),
    })
}

fn check_regex(object: &Object<'_>, regex: &str) {
    // One with a variable in it is read when the variable has a value.
    if !regex.is_empty()
        && !regex.contains("${")
        && let Err(error) = Pattern::new(regex)
    {
        object.lose("regex", &format!("{error}; all values are kept"));
    }
}

/// Old dashboards have words in place of numbers.
fn visibility(node: &Node<'_>) -> Option<Visibility> {
    match node.value {
        Value::String(text) if text == "variable" || text == "hideVariable" => Some(Visibility::Hidden),
        Value::String(text) if text == "label" || text == "hideLabel" => Some(Visibility::Nameless),
        Value::Bool(hidden) => Some(if *hidden { Visibility::Hidden } else { Visibility::Shown }),
        _ => word(node, Visibility::WORDS),
    }
}

fn refresh(node: &Node<'_>) -> Option<Refresh> {
    match node.value {
        Value::Bool(asked) => Some(if *asked { Refresh::OnLoad } else { Refresh::Never }),
        _ => word(node, Refresh::WORDS),
    }
}

fn kind(object: &Object<'_>) -> Option<VariableKind> {
    let query = || query(object);
    Some(match object.string("type").as_str() {
        "query" => VariableKind::Query(known_query(object)?),
        "custom" => VariableKind::Custom(query()),
        "textbox" => VariableKind::Text,
        "constant" => VariableKind::Constant(query()),
        "interval" => VariableKind::Interval { choices: query(), auto: auto(object) },
        "datasource" => VariableKind::Datasource { plugin: query() },
        "adhoc" => {
            let (base, own) = (object.objects("baseFilters"), object.objects("filters"));
            VariableKind::AdHoc(base.iter().chain(&own).map(filter).collect())
        }
        "switch" => {
            let word = |key| object.text(key).unwrap_or_default();
            VariableKind::Custom(format!("{},{}", word("enabledValue"), word("disabledValue")))
        }
        kind => {
            let reason = format!("variables of the kind {kind:?} are not carried; queries that name it keep its name");
            object.lose_all(&reason);
            return None;
        }
    })
}

/// The text of a query: as it is, or in an object of today's editor.
fn query(object: &Object<'_>) -> String {
    let Some(node) = object.node("query") else { return String::new() };
    match node.value {
        Value::Object(map) => map.get("query").and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => node.text().unwrap_or_default(),
    }
}

fn known_query(object: &Object<'_>) -> Option<String> {
    if !super::target::Source::read(object).is_prometheus() {
        object.lose_all("a variable of another data source; skep answers PromQL");
        return None;
    }
    let text = query(object);
    let text = if text.is_empty() { object.string("definition") } else { text };
    if let Err(error) = VariableQuery::parse(&text) {
        object.lose("query", &error.to_string());
    }
    Some(text)
}

fn auto(object: &Object<'_>) -> Option<(u32, String)> {
    let count = object.count("auto_count", 10_000).filter(|count| *count > 0).unwrap_or(30);
    object.is("auto").then(|| (count, object.filled("auto_min").unwrap_or_else(|| "10s".to_owned())))
}

fn filter(object: &Object<'_>) -> AdHocFilter {
    object.ignore(&["condition", "keyLabel", "valueLabels", "forceEdit", "origin"]);
    AdHocFilter {
        key: object.string("key"),
        operator: object.filled("operator").unwrap_or_else(|| "=".to_owned()),
        value: object.string("value"),
        values: object.strings("values"),
    }
}

/// What is chosen: texts and values may each be one or several.
fn current(object: &Object<'_>, kind: &VariableKind) -> Selection {
    let Some(current) = object.object("current") else { return first(object, kind) };
    current.ignore(&["selected", "tags", "isNone", "properties"]);
    let values = several(current.node("value"));
    let texts = several(current.node("text"));
    if values.iter().any(|value| value == ALL) || (values.is_empty() && texts.iter().any(|text| text == "All")) {
        return Selection::All;
    }
    let choice =
        |(at, value): (usize, &String)| Choice { text: texts.get(at).unwrap_or(value).clone(), value: value.clone() };
    match values.is_empty() {
        true => first(object, kind),
        false => Selection::Values(values.iter().enumerate().map(choice).collect()),
    }
}

/// Nothing was chosen yet: a text begins with its query, the others when their values are known.
fn first(object: &Object<'_>, kind: &VariableKind) -> Selection {
    match kind {
        VariableKind::Text => Selection::Values(vec![Choice::same(query(object))]),
        _ => Selection::default(),
    }
}

fn several(node: Option<Node<'_>>) -> Vec<String> {
    match node {
        Some(node) if node.value.is_array() => node.list().iter().filter_map(Node::text).collect(),
        Some(node) => node.text().into_iter().collect(),
        None => Vec::new(),
    }
}
