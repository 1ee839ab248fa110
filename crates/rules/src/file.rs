//! Rule files, as Prometheus writes them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use model::METRIC_NAME;
use promql::Expr;
use yaml::{Place, Report, Section};

use crate::expand;

/// The rules of one group, evaluated one after the other at the same timestamp.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Unique in its file.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// Time between evaluations; `None` is the global one.
    pub interval: Option<Duration>,
    /// How far before the evaluation time expressions are evaluated; `None` is the global one.
    pub query_offset: Option<Duration>,
    /// Most series or alerts a rule may give; 0 is no limit.
    pub limit: u64,
    /// In order.
    pub rules: Vec<Rule>,
}

/// An alerting or a recording rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The alert's or the recorded metric's name.
    pub name: String,
    /// The expression.
    pub expr: Expr,
    /// The expression as it is printed.
    pub query: String,
    /// Labels to set, the group's included, by name; values of an alerting rule are templates. An empty value removes.
    pub labels: Vec<(String, String)>,
    /// Which of the two it is.
    pub kind: RuleKind,
}

/// What alerting and recording rules do not share.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// Writes the result under a new name.
    Recording,
    /// Makes alerts of the result.
    Alerting {
        /// `for`.
        hold: Duration,
        /// `keep_firing_for`.
        keep_firing: Duration,
        /// Templates, by name.
        annotations: Vec<(String, String)>,
    },
}

/// Reads the files that match the patterns of `rule_files`, relative ones from `base`. Everything wrong is reported.
pub fn load(patterns: &[String], base: &Path, report: &Report) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut seen = HashSet::new();
    for pattern in patterns {
        let full = base.join(pattern).display().to_string();
        let paths = match glob::glob(&full) {
            Ok(paths) => paths,
            Err(e) => {
                report.file_error(&full, format!("not a valid pattern: {e}"), "");
                continue;
            }
        };
        let warn = |file: String, message: String, hint: &str| {
            let (severity, path, hint) = (yaml::Severity::Warning, "rule_files".to_owned(), hint.to_owned());
            report.push(yaml::Problem { severity, file, position: None, path, message, hint });
        };
        let mut found = Vec::new();
        for path in paths {
            match path {
                Ok(path) => found.push(path),
                Err(e) => warn(e.path().display().to_string(), format!("cannot be searched: {}", e.error()), ""),
            }
        }
        if found.is_empty() && !pattern.contains(['*', '?', '[']) {
            let message = format!("{pattern:?} does not point to an existing file");
            warn(full, message, "relative names start at the folder of the configuration");
        }
        for path in found.into_iter().filter(|path| seen.insert(path.clone())) {
            groups.extend(load_file(&path, report));
        }
    }
    groups
}

/// Reads one rule file.
pub fn load_file(path: &Path, report: &Report) -> Vec<Group> {
    let text = yaml::read(path, report);
    text.map(|text| decode(&path.display().to_string(), &text, report)).unwrap_or_default()
}

/// Decodes the text of a rule file.
pub fn decode(file: &str, text: &str, report: &Report) -> Vec<Group> {
    let Some(root) = yaml::parse_first(file, text, report) else { return Vec::new() };
    let Some(section) = Place::root(&root, file, report).section() else { return Vec::new() };
    let mut names = HashSet::new();
    let mut groups = Vec::new();
    for place in section.list("groups") {
        let Some(group) = place.section().map(|section| decode_group(&section)) else { continue };
        if !group.name.is_empty() && !names.insert(group.name.clone()) {
            place.error(format!("groupname: {:?} is repeated in the same file", group.name), "");
        }
        groups.push(group);
    }
    section.finish();
    warn_of_duplicates(file, &groups, report);
    groups
}

/// Prometheus takes what is below zero for no limit.
fn limit(section: &Section<'_>) -> u64 {
    let place = section.get("limit").filter(|place| !place.node().is_null());
    place.and_then(|place| place.integer()).and_then(|limit| u64::try_from(limit).ok()).unwrap_or(0)
}

fn decode_group(section: &Section<'_>) -> Group {
    let name = section.string("name").unwrap_or_default();
    if name.is_empty() {
        section.place().error("Groupname must not be empty", "");
    }
    if let Some(kind) = section.get("type").filter(|place| place.node().as_text() != Some("prometheus")) {
        let kind_name = kind.string().unwrap_or_default();
        kind.error(
            format!("group type {kind_name:?} is not PromQL"),
            "skep evaluates PromQL rules only; LogsQL and Graphite rules belong to vmalert",
        );
    }
    let labels = labels_of(section, "labels", &name);
    let rules = section.list("rules");
    let group = Group {
        file: section.place().file().to_owned(),
        interval: duration(section, "interval").filter(|d| !d.is_zero()),
        query_offset: duration(section, "query_offset"),
        limit: limit(section),
        rules: rules.iter().enumerate().filter_map(|(i, rule)| decode_rule(rule, &name, i + 1, &labels)).collect(),
        name,
    };
    section.finish();
    group
}

fn decode_rule(place: &Place<'_>, group: &str, number: usize, group_labels: &[(String, String)]) -> Option<Rule> {
    let section = place.section()?;
    let record = section.string("record").unwrap_or_default();
    let alert = section.string("alert").unwrap_or_default();
    let name = if record.is_empty() { alert.clone() } else { record.clone() };
    let shown = if alert.is_empty() { &record } else { &alert };
    let prefix = format!("group {group:?}, rule {number}, {shown:?}: ");
    let complain = |place: &Place<'_>, message: &str, hint: &str| place.error(format!("{prefix}{message}"), hint);
    match (record.is_empty(), alert.is_empty()) {
        (false, false) => complain(place, "only one of 'record' and 'alert' must be set", "make two rules of it"),
        (true, true) => complain(place, "one of 'record' or 'alert' must be set", ""),
        _ => {}
    }
    let expr = decode_expr(&section, &prefix);
    let labels = merged(group_labels, labels_of(&section, "labels", group));
    let hold = duration(&section, "for");
    let keep_firing = duration(&section, "keep_firing_for");
    let annotations = pairs(&section, "annotations");
    let kind = if record.is_empty() {
        check_alerting(&section, &prefix, &alert, &annotations);
        let annotations = annotations.into_iter().map(|(_, name, text)| (name, text)).collect();
        RuleKind::Alerting { hold: hold.unwrap_or_default(), keep_firing: keep_firing.unwrap_or_default(), annotations }
    } else {
        check_recording(&section, &record, &complain);
        RuleKind::Recording
    };
    section.finish();
    let expr = expr?;
    Some(Rule { name, query: expr.to_string(), expr, labels, kind })
}

fn decode_expr(section: &Section<'_>, prefix: &str) -> Option<Expr> {
    let place = section.get("expr");
    let text = place.as_ref().and_then(Place::string).unwrap_or_default();
    let Some(place) = place.filter(|_| !text.is_empty()) else {
        section.place().error(format!("{prefix}field 'expr' must be set in rule"), "");
        return None;
    };
    promql::parse(&text).map_err(|e| place.error(format!("{prefix}could not parse expression: {e}"), "")).ok()
}

fn check_recording(section: &Section<'_>, record: &str, complain: &impl Fn(&Place<'_>, &str, &str)) {
    for (key, message) in [
        ("annotations", "invalid field 'annotations' in recording rule"),
        ("for", "invalid field 'for' in recording rule"),
        ("keep_firing_for", "invalid field 'keep_firing_for' in recording rule"),
    ] {
        let set = section.get(key).filter(|place| !is_zero(place));
        if let Some(place) = set {
            complain(&place, message, "remove it, or write 'alert' for 'record'");
        }
    }
    if record.contains(['{', '}'])
        && let Some(place) = section.get("record")
    {
        complain(&place, &format!("braces present in the recording rule name; should it be in expr?: {record}"), "");
    }
}

/// Whether a value says no more than its absence.
fn is_zero(place: &Place<'_>) -> bool {
    let node = place.node();
    let empty = match &node.value {
        yaml::Value::Mapping(entries) => entries.is_empty(),
        yaml::Value::Scalar { text, .. } => model::parse_duration(text).is_ok_and(|d| d.is_zero()),
        yaml::Value::Sequence(_) => false,
    };
    empty || node.is_null()
}

fn check_alerting(section: &Section<'_>, prefix: &str, alert: &str, annotations: &[(Place<'_>, String, String)]) {
    for (place, name, text) in annotations {
        if name.is_empty() {
            place.error(format!("{prefix}invalid annotation name: {name}"), "");
        }
        if let Err(e) = expand::parse(alert, text) {
            place.error(format!("{prefix}annotation {name:?}: {e}"), "");
        }
    }
    for (place, name, text) in pairs(section, "labels") {
        if let Err(e) = expand::parse(alert, &text) {
            place.error(format!("{prefix}label {name:?}: {e}"), "");
        }
    }
}

/// A duration; a key without value is as absent.
fn duration(section: &Section<'_>, key: &'static str) -> Option<Duration> {
    section.get(key).filter(|place| !place.node().is_null())?.duration()
}

fn labels_of(section: &Section<'_>, key: &'static str, group: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    for (place, name, value) in pairs(section, key) {
        if name.is_empty() || name == METRIC_NAME {
            place.error(format!("group {group:?}: invalid label name: {name}"), "");
        }
        labels.push((name, value));
    }
    labels
}

/// The entries of a mapping of texts, by name.
fn pairs<'a>(section: &Section<'a>, key: &'static str) -> Vec<(Place<'a>, String, String)> {
    let entries = section.get(key).map(|place| place.entries()).unwrap_or_default();
    let mut pairs: Vec<_> = entries
        .into_iter()
        .filter_map(|(key, value)| {
            let text = value.string()?;
            Some((value, key.string()?, text))
        })
        .collect();
    pairs.sort_by(|a, b| a.1.cmp(&b.1));
    pairs
}

/// The group's labels, overridden by the rule's.
fn merged(group: &[(String, String)], rule: Vec<(String, String)>) -> Vec<(String, String)> {
    let all: BTreeMap<String, String> = group.iter().cloned().chain(rule).collect();
    all.into_iter().collect()
}

/// Two rules that write the same series may contradict each other; Prometheus' checker warns of them too.
fn warn_of_duplicates(file: &str, groups: &[Group], report: &Report) {
    let mut seen = HashSet::new();
    for group in groups {
        for rule in &group.rules {
            if !seen.insert((&rule.name, &rule.labels)) {
                report.push(yaml::Problem {
                    severity: yaml::Severity::Warning,
                    file: file.to_owned(),
                    position: None,
                    path: String::new(),
                    message: format!(
                        "group {:?}: a rule {:?} with the same labels stands in this file already",
                        group.name, rule.name
                    ),
                    hint: "two rules that write the same series may contradict each other".to_owned(),
                });
            }
        }
    }
}
