//! Groups of targets as files and HTTP servers give them, in JSON or YAML: each has addresses and the labels they share.

use model::Labels;
use serde_json::Value;
use yaml::{Place, Report};

use crate::ADDRESS;

/// A discovery of a job cannot find more: at 100 bytes a target it is as much memory as a small machine has to spare.
const TARGETS_MAX: usize = 200_000;

/// Reads JSON: a list of objects with `targets` and `labels`. Every target gets its address, the labels of its group and
/// those of `origin`. The error says which part is wrong.
pub(crate) fn from_json(text: &[u8], origin: &[(&str, &str)]) -> Result<Vec<Vec<Labels>>, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let Value::Array(groups) = value else {
        return if value.is_null() { Ok(Vec::new()) } else { Err("not a list of target groups".to_owned()) };
    };
    let group = |(i, group): (usize, &Value)| {
        let parts = json_group(group).map_err(|reason| format!("group {i}: {reason}"))?;
        Ok(build(parts, origin))
    };
    check_count(groups.iter().enumerate().map(group).collect::<Result<_, String>>()?)
}

type Parts = (Vec<String>, Vec<(String, String)>);

fn json_group(group: &Value) -> Result<Parts, String> {
    let Value::Object(entries) = group else { return Err("not an object with targets and labels".to_owned()) };
    let mut parts = Parts::default();
    for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
        match (&*key.to_ascii_lowercase(), value) {
            ("targets", Value::Array(targets)) => {
                let texts: Option<Vec<String>> = targets.iter().map(|t| t.as_str().map(str::to_owned)).collect();
                parts.0 = texts.ok_or("targets must be texts")?;
            }
            ("labels", Value::Object(labels)) => {
                let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
                parts.1 = labels.iter().map(pair).collect::<Option<_>>().ok_or("values of labels must be texts")?;
            }
            ("targets", _) => return Err("targets must be a list".to_owned()),
            ("labels", _) => return Err("labels must be an object".to_owned()),
            _ => return Err(format!("unknown key {key:?}; known are targets and labels")),
        }
    }
    if parts.1.iter().any(|(name, _)| name.is_empty()) {
        return Err("\"\" is not a valid label name".to_owned());
    }
    Ok(parts)
}

/// Reads YAML of the same form; `file` is for the words of errors.
pub(crate) fn from_yaml(file: &str, text: &str, origin: &[(&str, &str)]) -> Result<Vec<Vec<Labels>>, String> {
    let report = Report::default();
    let Some(root) = yaml::parse_first(file, text, &report) else { return Err(first_problem(&report)) };
    let groups =
        Place::root(&root, file, &report).list().iter().map(|place| build(yaml_group(place), origin)).collect();
    if report.has_errors() { Err(first_problem(&report)) } else { check_count(groups) }
}

fn yaml_group(place: &Place<'_>) -> Parts {
    if place.node().is_null() {
        place.error("nil target group item found", "remove it");
    }
    let Some(section) = place.section() else { return Parts::default() };
    let targets = section.strings("targets");
    let labels = section.get("labels").map(|place| place.entries()).unwrap_or_default();
    let label = |(name, value): &(Place<'_>, Place<'_>)| {
        let text = name.node().as_text().unwrap_or_default();
        if text.is_empty() {
            name.error("\"\" is not a valid label name", "");
        }
        (text.to_owned(), value.string().unwrap_or_default())
    };
    let labels = labels.iter().map(label).collect();
    section.finish();
    (targets, labels)
}

fn first_problem(report: &Report) -> String {
    report.problems().first().map(ToString::to_string).unwrap_or_default()
}

fn build((targets, labels): Parts, origin: &[(&str, &str)]) -> Vec<Labels> {
    let shared = Labels::from_pairs(labels);
    let target = |address: &String| {
        let mut builder = shared.to_builder();
        for (name, value) in origin {
            builder.set(name, *value);
        }
        builder.set(ADDRESS, address.as_str()).build()
    };
    targets.iter().map(target).collect()
}

fn check_count(groups: Vec<Vec<Labels>>) -> Result<Vec<Vec<Labels>>, String> {
    let count: usize = groups.iter().map(Vec::len).sum();
    if count > TARGETS_MAX { Err(format!("{count} targets; at most {TARGETS_MAX} are taken")) } else { Ok(groups) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(groups: Result<Vec<Vec<Labels>>, String>) -> Result<Vec<String>, String> {
        Ok(groups?.iter().flatten().map(ToString::to_string).collect())
    }

    fn check(json: &str, yaml: &str, expected: Result<&[&str], &str>) {
        let origin = [("__meta_filepath", "f")];
        for got in [from_json(json.as_bytes(), &origin), from_yaml("f", yaml, &origin)] {
            match (shown(got), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{json}"),
                (Err(got), Err(expected)) => assert!(got.contains(expected), "{json}: {got}"),
                (got, _) => panic!("{json}: {got:?}"),
            }
        }
    }

    #[test]
    fn both_forms_mean_the_same() {
        check("[]", "[]", Ok(&[]));
        check("null", "", Ok(&[]));
        check(
            r#"[{"targets": ["a:1", "b"], "labels": {"x": "y", "__address__": "c"}}, {}]"#,
            "- targets: ['a:1', b]\n  labels: {x: y, __address__: c}\n- {}\n",
            Ok(&[
                r#"{__address__="a:1", __meta_filepath="f", x="y"}"#,
                r#"{__address__="b", __meta_filepath="f", x="y"}"#,
            ]),
        );
        check(
            r#"[{"targets": ["a"], "labels": null}]"#,
            "[{targets: [a], labels: }]",
            Ok(&[r#"{__address__="a", __meta_filepath="f"}"#]),
        );
        check(r#"{"targets": []}"#, "targets: []", Err("list"));
        check("[null]", "[~]", Err(""));
        check(r#"[{"target": ["a"]}]"#, "[{target: [a]}]", Err("unknown key \"target\""));
        check(r#"[{"targets": "a"}]"#, "[{targets: a}]", Err("list"));
        check(r#"[{"labels": {"": "a"}}]"#, "[{labels: {'': a}}]", Err("not a valid label name"));
        check(r#"[{"labels": ["a"]}]"#, "[{labels: [a]}]", Err("labels"));
        check("[", "[", Err(""));
    }
}
