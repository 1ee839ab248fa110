//! Relabelling told rule by rule, for the targets page.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::status::{RelabelCounts, RelabelOutcome, RelabelStep, RelabeledTarget, Relabeling};
use model::{Labels, LabelsBuilder};
use yaml::{Place, Report};

use crate::config::{Job, decode_rules};
use crate::relabel::{Action, DEFAULT_PATTERN, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR, Rule, join, relabel};
use crate::target::{Placed, Target, place};

/// What the problems of a text call it.
const TEXT_NAME: &str = "rules";

/// Reads rules as they stand under `relabel_configs`, or tells all that is wrong with them.
pub(crate) fn read_rules(text: &str) -> Result<Vec<Rule>, Vec<String>> {
    let report = Report::default();
    let node = yaml::parse(TEXT_NAME, text).map_err(|problem| vec![problem.to_string()])?;
    let rules = decode_rules(&Place::root(&node, TEXT_NAME, &report).list(), "target");
    let problems: Vec<String> = report.into_problems().iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// Follows labels before relabelling through the rules of a job.
pub(crate) fn trace(job: &Job, discovered: &Labels) -> Relabeling {
    let mut labels = discovered.to_builder();
    let mut dropped = false;
    let mut steps = Vec::with_capacity(job.relabel.len());
    for rule in &job.relabel {
        let step = if dropped { unreached(rule) } else { follow(rule, &mut labels) };
        dropped |= step.outcome == RelabelOutcome::Dropped;
        steps.push(step);
    }
    let (target, problem) = match place(&Arc::new(job.clone()), discovered, "") {
        Placed::Active(target) => (Some(RelabeledTarget { labels: target.labels, url: target.url }), String::new()),
        Placed::Dropped(_) => (None, String::new()),
        Placed::Invalid(reason) => (None, reason),
    };
    Relabeling { steps, target, problem, all: None }
}

/// What the rules of a job would make of targets: their labels before relabelling, and what they are now.
pub(crate) fn count<'a>(job: &Job, targets: impl Iterator<Item = (&'a Labels, Option<&'a Target>)>) -> RelabelCounts {
    let job = Arc::new(job.clone());
    let mut counts = RelabelCounts::default();
    for (discovered, now) in targets {
        counts.targets += 1;
        match (place(&job, discovered, ""), now) {
            (Placed::Active(_), None) => counts.gained += 1,
            (Placed::Active(then), Some(now)) => {
                counts.collected += 1;
                counts.changed += usize::from(then.labels != now.labels || then.url != now.url);
            }
            (_, Some(_)) => counts.lost += 1,
            (_, None) => {}
        }
    }
    counts.collected += counts.gained;
    counts
}

fn unreached(rule: &Rule) -> RelabelStep {
    RelabelStep { rule: write(rule), action: rule.action.to_string(), ..RelabelStep::default() }
}

fn follow(rule: &Rule, labels: &mut LabelsBuilder) -> RelabelStep {
    let before = labels.build();
    let read = if works_on_names(rule.action) { String::new() } else { join(labels, rule) };
    let kept = relabel(labels, std::slice::from_ref(rule));
    let changes = changes(&before, &labels.build());
    let outcome = match rule.action {
        _ if !kept => RelabelOutcome::Dropped,
        Action::Keep | Action::Drop | Action::KeepEqual | Action::DropEqual => RelabelOutcome::Kept,
        _ if !changes.is_empty() => RelabelOutcome::Changed,
        _ if matches(rule, &before, &read) => RelabelOutcome::Unchanged,
        _ => RelabelOutcome::NoMatch,
    };
    RelabelStep { rule: write(rule), action: rule.action.to_string(), read, outcome, changes }
}

fn works_on_names(action: Action) -> bool {
    matches!(action, Action::LabelMap | Action::LabelDrop | Action::LabelKeep)
}

fn matches(rule: &Rule, labels: &Labels, read: &str) -> bool {
    match rule.action {
        Action::HashMod | Action::Lowercase | Action::Uppercase => true,
        action if works_on_names(action) => labels.iter().any(|(name, _)| rule.pattern.is_match(name)),
        _ => rule.pattern.is_match(read),
    }
}

fn changes(before: &Labels, after: &Labels) -> Vec<(String, Option<String>, Option<String>)> {
    let names: BTreeSet<&str> = before.iter().chain(after).map(|(name, _)| name).collect();
    let changed = names.into_iter().filter(|name| before.get(name) != after.get(name));
    let value = |value: Option<&str>| value.map(ToOwned::to_owned);
    changed.map(|name| (name.to_owned(), value(before.get(name)), value(after.get(name)))).collect()
}

/// The rule as an entry of `relabel_configs`; what has its default is left out.
fn write(rule: &Rule) -> String {
    let mut lines = Vec::new();
    if !rule.source_labels.is_empty() {
        let names: Vec<String> = rule.source_labels.iter().map(|name| scalar(name)).collect();
        lines.push(format!("source_labels: [{}]", names.join(", ")));
    }
    let mut text = |key: &str, value: &str, default: &str| {
        if value != default {
            lines.push(format!("{key}: {}", scalar(value)));
        }
    };
    text("separator", &rule.separator, DEFAULT_SEPARATOR);
    text("regex", rule.pattern_text(), DEFAULT_PATTERN);
    text("target_label", &rule.target_label, "");
    text("replacement", &rule.replacement, DEFAULT_REPLACEMENT);
    if rule.modulus != 0 {
        lines.push(format!("modulus: {}", rule.modulus));
    }
    if rule.action != Action::Replace || lines.is_empty() {
        lines.push(format!("action: {}", rule.action));
    }
    format!("- {}", lines.join("\n  "))
}

/// Plain texts that YAML reads as something else.
const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"];

/// A text as YAML: plain where that reads back as the same text, else in quotes.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(plain);
    if is_name && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        format!("{text:?}")
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "\
- source_labels: [__meta_role, __meta_zone]
  separator: '/'
  regex: '(.+)/eu-(.*)'
  target_label: zone
  replacement: '$2'
- source_labels: [__meta_role]
  regex: 'db|web'
  action: keep
- regex: '__meta_(role)'
  action: labelmap
- source_labels: [missing]
  regex: '.+'
  target_label: instance
- source_labels: [__meta_role]
  regex: web
  action: drop
- target_label: x
  replacement: 'y'";

    fn check(labels: &[(&str, &str)], rules: &str, expected: &[&str]) {
        let job = Job { name: "j".to_owned(), relabel: read_rules(rules).unwrap(), ..Job::default() };
        let told = trace(&job, &Labels::from_pairs(labels.iter().copied()));
        let steps = told.steps.iter().map(|step| {
            let changes: Vec<_> = step.changes.iter().map(|(n, b, a)| format!(" {n}: {b:?} -> {a:?}")).collect();
            format!("{} {:?} {:?}{}", step.action, step.read, step.outcome, changes.concat())
        });
        let end = told.target.map_or(told.problem, |target| format!("{} {}", target.url, target.labels));
        let got: Vec<String> = steps.chain([end]).collect();
        assert_eq!(got, expected);
        let written: Vec<&str> = told.steps.iter().map(|step| step.rule.as_str()).collect();
        assert_eq!(read_rules(&written.join("\n")).unwrap(), job.relabel, "rules read back as they were written");
        if rules == RULES {
            assert_eq!(written.join("\n"), RULES);
        }
    }

    #[test]
    fn every_rule_is_told() {
        check(
            &[("__address__", "h:1"), ("__meta_role", "db"), ("__meta_zone", "eu-1")],
            RULES,
            &[
                r#"replace "db/eu-1" Changed zone: None -> Some("1")"#,
                r#"keep "db" Kept"#,
                r#"labelmap "" Changed role: None -> Some("db")"#,
                r#"replace "" NoMatch"#,
                r#"drop "db" Kept"#,
                r#"replace "" Changed x: None -> Some("y")"#,
                r#"http://h:1/metrics {instance="h:1", job="j", role="db", x="y", zone="1"}"#,
            ],
        );
        check(
            &[("__address__", "h:1"), ("__meta_role", "web"), ("zone", "1")],
            RULES,
            &[
                r#"replace "web/" NoMatch"#,
                r#"keep "web" Kept"#,
                r#"labelmap "" Changed role: None -> Some("web")"#,
                r#"replace "" NoMatch"#,
                r#"drop "web" Dropped"#,
                r#"replace "" NotReached"#,
                "",
            ],
        );
        check(
            &[("__address__", "h:1")],
            "[{target_label: __address__, replacement: ''}, {regex: 'no''se', action: labeldrop}, {target_label: q, replacement: \"a\\nb\"}]",
            &[
                r#"replace "" Changed __address__: Some("h:1") -> None"#,
                r#"labeldrop "" NoMatch"#,
                r#"replace "" Changed q: None -> Some("a\nb")"#,
                r#"job "j": target "h:1" is not scraped: no address"#,
            ],
        );
    }

    #[test]
    fn rules_on_trial_are_counted_over_all_targets() {
        let job = |rules: &str| Job { name: "j".to_owned(), relabel: read_rules(rules).unwrap(), ..Job::default() };
        let labels = |role: &str| Labels::from_pairs([("__address__", "h:1"), ("__meta_role", role)]);
        let (web, db, test) = (labels("web"), labels("db"), labels("test"));
        let Placed::Active(running) = place(&Arc::new(job("")), &web, "") else { panic!("not placed") };
        let found = [(&web, Some(&running)), (&db, Some(&running)), (&test, None)];
        let check = |rules: &str, (collected, gained, lost, changed)| {
            let expected = RelabelCounts { targets: 3, collected, gained, lost, changed };
            assert_eq!(count(&job(rules), found.into_iter()), expected, "{rules}");
        };
        check("", (3, 1, 0, 0));
        check("[{source_labels: [__meta_role], regex: test, action: drop}]", (2, 0, 0, 0));
        check("[{source_labels: [__meta_role], regex: web, action: keep}]", (1, 0, 1, 0));
        check("[{source_labels: [__meta_role], target_label: role}]", (3, 1, 0, 2));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let problems = |text: &str| read_rules(text).unwrap_err().join(" | ");
        assert_eq!(
            problems("- action: kep\n- {regex: '(', target_label: x}"),
            "rules:1:11: error: unknown relabel action \"kep\" (at [0].action); known: replace, keep, drop, keepequal, dropequal, \
             hashmod, labelmap, labeldrop, labelkeep, lowercase, uppercase | rules:2:11: error: error parsing regexp: missing \
             closing ): `(` (at [1].regex); expressions are RE2's, anchored on both ends"
        );
        assert!(read_rules("").unwrap().is_empty());
    }
}
