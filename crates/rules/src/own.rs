//! Rules that people make on the pages: a rule file of skep's own in the data folder, written as a whole with each change.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::format_duration;
use model::status::{OwnRule, RECEIVER_LABEL};
use yaml::{Report, Severity};

use crate::{Group, Rule, RuleKind, file};

/// Rules that can be made on pages; whoever has more writes a file.
const RULES_MAX: usize = 500;

/// A name, an expression or a summary; each is a line or a few.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The group's name in the file.
const GROUP: &str = "own";

/// Time between evaluations: that between collections of skep's own collectors, so that a duration of the form means what it
/// says.
const INTERVAL: Duration = Duration::from_secs(15);

/// The file and what is in force of it.
#[derive(Debug, Default)]
pub(crate) struct Own {
    path: Option<PathBuf>,
    pub(crate) rules: Vec<OwnRule>,
    /// Why the file could not be read; it is not written over then.
    damaged: Option<String>,
}

impl Own {
    /// Reads the file; one that is not there has no rules. Nothing can be made without a path.
    pub(crate) fn open(path: Option<PathBuf>) -> Self {
        let Some(file) = path.clone().filter(|path| path.exists()) else { return Self { path, ..Self::default() } };
        let report = Report::default();
        let groups = file::load_file(&file, &report);
        let damaged = report.problems().iter().find(|p| p.severity == Severity::Error).map(ToString::to_string);
        if let Some(problem) = &damaged {
            tracing::error!(problem, "rules that were made on pages cannot be read and do not run");
        }
        let rules = groups.iter().flat_map(|group| &group.rules).filter_map(own_rule).collect();
        Self { path, rules, damaged }
    }

    /// The rules as a group of its own.
    pub(crate) fn group(&self) -> Option<Group> {
        let path = self.path.as_ref().filter(|_| !self.rules.is_empty())?;
        file::decode(&path.display().to_string(), &text(&self.rules), &Report::default()).pop()
    }

    /// The rules after a change, checked as a whole.
    pub(crate) fn with(&self, old: Option<&str>, rule: OwnRule) -> Result<Vec<OwnRule>, String> {
        check(&rule)?;
        let mut rules = self.rules.clone();
        if rules.iter().any(|other| other.name == rule.name && old != Some(other.name.as_str())) {
            return Err(format!("name: there is a rule {:?} already", rule.name));
        }
        match old.map(|old| rules.iter().position(|other| other.name == old)) {
            None if rules.len() >= RULES_MAX => {
                return Err(format!("name: {RULES_MAX} rules are the most; write a rule file for more"));
            }
            None => rules.push(rule),
            Some(None) => return Err(format!("name: there is no rule {:?} any more", old.unwrap_or_default())),
            Some(Some(place)) => rules[place] = rule,
        }
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        let report = Report::default();
        file::decode("", &text(&rules), &report);
        match report.problems().iter().find(|problem| problem.severity == Severity::Error) {
            Some(problem) => Err(plain(&problem.message)),
            None => Ok(rules),
        }
    }

    /// The rules without one.
    pub(crate) fn without(&self, name: &str) -> Result<Vec<OwnRule>, String> {
        let rules: Vec<OwnRule> = self.rules.iter().filter(|rule| rule.name != name).cloned().collect();
        if rules.len() == self.rules.len() { Err(format!("there is no rule {name:?}")) } else { Ok(rules) }
    }

    /// Where to write, unless that is not possible.
    pub(crate) fn writable(&self) -> Result<PathBuf, String> {
        if let Some(problem) = &self.damaged {
            return Err(format!("the file of such rules cannot be read, and is not written over: {problem}"));
        }
        self.path.clone().ok_or_else(|| "rules cannot be made here: there is no data folder".to_owned())
    }
}

/// Writes the file; it is on the disk when this returns. It blocks.
pub(crate) fn write(path: &Path, rules: &[OwnRule]) -> Result<(), String> {
    let put = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(text(rules).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(folder)?.sync_all()
    };
    put().map_err(|e| format!("the rule could not be kept: {}: {e}", path.display()))
}

fn check(rule: &OwnRule) -> Result<(), String> {
    if rule.name.is_empty() || rule.name.chars().any(char::is_control) {
        return Err("name: an alert needs a name of one line".to_owned());
    }
    let texts = [("name", &rule.name), ("expr", &rule.expr), ("summary", &rule.summary), ("severity", &rule.severity)];
    if let Some((field, _)) = texts.iter().find(|(_, text)| text.len() > TEXT_BYTES_MAX) {
        return Err(format!("{field}: more than {TEXT_BYTES_MAX} bytes"));
    }
    let expr = promql::parse(&rule.expr).map_err(|e| format!("expr: {e}"))?;
    match expr.value_type() {
        promql::Type::Vector | promql::Type::Scalar => Ok(()),
        _ => Err("expr: an alert needs an expression that gives a vector or a number".to_owned()),
    }
}

/// The part of a problem behind the place in a file that nobody knows.
fn plain(message: &str) -> String {
    let text = message.split_once("\": ").map_or(message, |(_, text)| text);
    let field = if text.starts_with("annotation") { "summary" } else { "expr" };
    format!("{field}: {text}")
}

/// The file's text. Strings are written as JSON, which YAML reads.
fn text(rules: &[OwnRule]) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let mut out = "# Made on skep's page Alerts, and written anew with each change there.\n".to_owned();
    out += &format!("groups:\n- name: {GROUP}\n  interval: {}\n  rules:\n", format_duration(INTERVAL));
    for rule in rules {
        let pairs = |pairs: &[(&str, &String)]| {
            let set = pairs.iter().filter(|(_, value)| !value.is_empty());
            set.map(|(name, value)| format!("{name}: {}", quoted(value))).collect::<Vec<_>>().join(", ")
        };
        out += &format!("  - alert: {}\n    expr: {}\n", quoted(&rule.name), quoted(&rule.expr));
        for (key, duration) in [("for", rule.hold), ("keep_firing_for", rule.keep_firing)] {
            if !duration.is_zero() {
                out += &format!("    {key}: {}\n", format_duration(duration));
            }
        }
        out +=
            &format!("    labels: {{{}}}\n", pairs(&[("severity", &rule.severity), (RECEIVER_LABEL, &rule.receiver)]));
        out += &format!("    annotations: {{{}}}\n", pairs(&[("summary", &rule.summary)]));
    }
    if rules.is_empty() {
        return out.replace("  rules:\n", "  rules: []\n");
    }
    out
}

fn own_rule(rule: &Rule) -> Option<OwnRule> {
    let RuleKind::Alerting { hold, keep_firing, annotations } = &rule.kind else { return None };
    let of = |pairs: &[(String, String)], wanted: &str| {
        pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    Some(OwnRule {
        name: rule.name.clone(),
        expr: rule.query.clone(),
        hold: *hold,
        keep_firing: *keep_firing,
        severity: of(&rule.labels, "severity"),
        receiver: of(&rule.labels, RECEIVER_LABEL),
        summary: of(annotations, "summary"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str) -> OwnRule {
        OwnRule {
            name: name.to_owned(),
            expr: "up{job=\"a b\"} == 0".to_owned(),
            hold: Duration::from_secs(90),
            keep_firing: Duration::ZERO,
            severity: "critical".to_owned(),
            receiver: "me".to_owned(),
            summary: "\"quoted\": {{ $value }}\n# two lines".to_owned(),
        }
    }

    #[test]
    fn comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules/own.yml");
        let own = Own::open(Some(path.clone()));
        assert!(own.group().is_none());
        let rules = own.with(None, rule("B")).unwrap();
        let rules = Own { rules, ..own }.with(None, rule("A: #1")).unwrap();
        write(&path, &rules).unwrap();
        let own = Own::open(Some(path.clone()));
        assert_eq!(own.rules, [rule("A: #1"), rule("B")]);
        assert_eq!(own.group().unwrap().interval, Some(INTERVAL));
        write(&path, &[]).unwrap();
        assert_eq!(Own::open(Some(path)).rules, []);
    }

    #[test]
    fn says_which_field_is_wrong() {
        let own = Own { rules: vec![rule("A")], ..Own::default() };
        let check = |old: Option<&str>, rule: OwnRule, expected: &str| {
            let got = own.with(old, rule).map(|rules| rules.len().to_string());
            assert_eq!(got.unwrap_or_else(|error| error), expected);
        };
        check(None, rule("B"), "2");
        check(Some("A"), rule("B"), "1");
        check(Some("A"), rule("A"), "1");
        check(None, rule("A"), "name: there is a rule \"A\" already");
        check(Some("C"), rule("B"), "name: there is no rule \"C\" any more");
        check(None, rule(""), "name: an alert needs a name of one line");
        check(
            None,
            OwnRule { expr: "up ==".to_owned(), ..rule("B") },
            "expr: 1:6: parse error: unexpected end of input",
        );
        check(
            None,
            OwnRule { expr: "up[5m]".to_owned(), ..rule("B") },
            "expr: an alert needs an expression that gives a vector or a number",
        );
        check(
            None,
            OwnRule { summary: "{{ $x }}".to_owned(), ..rule("B") },
            "summary: annotation \"summary\": template: __alert_B:1: undefined variable \"$x\"",
        );
        assert!(own.without("B").is_err() && own.without("A").unwrap().is_empty());
    }

    /// A file that somebody broke by hand is not lost to the next change.
    #[test]
    fn a_broken_file_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.yml");
        fs::write(&path, "groups: [").unwrap();
        assert!(Own::open(Some(path)).writable().unwrap_err().contains("not written over"));
    }
}
