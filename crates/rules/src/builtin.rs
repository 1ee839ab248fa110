//! Rules that come with skep: host, network, Cilium, Hubble, probes, skep itself, and a dead-man's switch.
//!
//! They are rule files like any other (`crates/rules/builtin/*.yml`), each beside a text of runbooks. What is switched off is
//! left out before the groups reach the manager.

use std::collections::HashSet;

use yaml::{Report, Section};

use crate::{Group, Rule, RuleKind, file};

/// Where they say they stand, in the place of a file's name.
pub const FOLDER: &str = "built-in/";

/// A file of rules with its runbooks.
struct Chapter {
    name: &'static str,
    rules: &'static str,
    runbooks: &'static str,
}

macro_rules! chapter {
    ($name:literal) => {
        Chapter {
            name: $name,
            rules: include_str!(concat!("../builtin/", $name, ".yml")),
            runbooks: include_str!(concat!("../builtin/", $name, ".txt")),
        }
    };
}

const CHAPTERS: [Chapter; 7] = [
    chapter!("host"),
    chapter!("network"),
    chapter!("cilium"),
    chapter!("hubble"),
    chapter!("probes"),
    chapter!("skep"),
    chapter!("deadman"),
];

/// The section `builtin_rules` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether there are any.
    pub enabled: bool,
    /// Files by name, in the order of the list: which of them are on.
    on: [bool; CHAPTERS.len()],
    /// Rules that are off.
    pub disabled: Vec<String>,
    /// Whether a rule of the user's files with the same name takes the place of a built-in one.
    pub replaceable: bool,
}

impl Default for Config {
    fn default() -> Self {
        // The dead-man's switch would only be in the way without a receiver that expects it.
        let on = CHAPTERS.map(|chapter| chapter.name != "deadman");
        Self { enabled: true, on, disabled: Vec::new(), replaceable: false }
    }
}

impl Config {
    /// Decodes the section; the caller finishes it.
    pub fn decode(section: &Section<'_>) -> Self {
        let mut config = Self::default();
        config.enabled = section.boolean("enabled").unwrap_or(config.enabled);
        for (on, chapter) in config.on.iter_mut().zip(CHAPTERS) {
            *on = section.boolean(chapter.name).unwrap_or(*on);
        }
        config.replaceable = section.boolean("replaced_by_own").unwrap_or(config.replaceable);
        for place in section.list("disabled") {
            let Some(name) = place.string() else { continue };
            if runbook(&name).is_none() {
                let closest = yaml::closest(&name, CHAPTERS.iter().flat_map(|chapter| names(chapter.runbooks)));
                let hint = closest.map_or_else(
                    || "the page Alerts lists them".to_owned(),
                    |closest| format!("did you mean {closest:?}?"),
                );
                place.error(format!("there is no built-in rule {name:?}"), hint);
            }
            config.disabled.push(name);
        }
        config
    }
}

/// The groups of what is on, beside those of the user's files.
pub fn groups(config: &Config, own: &[Group]) -> Vec<Group> {
    if !config.enabled {
        return Vec::new();
    }
    let taken: HashSet<&str> = match config.replaceable {
        true => own.iter().flat_map(|group| &group.rules).map(|rule| rule.name.as_str()).collect(),
        false => HashSet::new(),
    };
    let is_on = |rule: &Rule| !config.disabled.contains(&rule.name) && !taken.contains(rule.name.as_str());
    let mut groups = Vec::new();
    for (chapter, _) in CHAPTERS.iter().zip(config.on).filter(|(_, on)| *on) {
        // They are tested; a problem here would be a defect of this build.
        let report = Report::default();
        for mut group in file::decode(&format!("{FOLDER}{}.yml", chapter.name), chapter.rules, &report) {
            group.rules.retain(is_on);
            group.rules.iter_mut().for_each(point_to_runbook);
            groups.extend(Some(group).filter(|group| !group.rules.is_empty()));
        }
    }
    groups
}

/// Gives a rule the address of its runbook in this very process.
fn point_to_runbook(rule: &mut Rule) {
    if let RuleKind::Alerting { annotations, .. } = &mut rule.kind {
        let url = format!("{{{{ $externalURL }}}}/alerts/runbook/{}", rule.name);
        annotations.push(("runbook_url".to_owned(), url));
        annotations.sort();
    }
}

/// The runbook of a built-in rule: paragraphs, and lines that begin with `- `.
pub fn runbook(rule: &str) -> Option<&'static str> {
    CHAPTERS.iter().find_map(|chapter| {
        let mut texts = chapter.runbooks.split("# ").filter_map(|part| part.split_once('\n'));
        texts.find(|(name, _)| *name == rule).map(|(_, text)| text.trim())
    })
}

/// The names of the rules that runbooks are there for.
fn names(runbooks: &'static str) -> impl Iterator<Item = &'static str> {
    runbooks.lines().filter_map(|line| line.strip_prefix("# "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Config {
        Config { on: [true; CHAPTERS.len()], ..Config::default() }
    }

    #[test]
    fn every_rule_is_good_and_has_a_runbook() {
        for chapter in &CHAPTERS {
            let report = Report::default();
            let groups = file::decode(chapter.name, chapter.rules, &report);
            assert_eq!(report.problems(), [], "{}", chapter.name);
            let rules: Vec<&str> = groups.iter().flat_map(|g| &g.rules).map(|rule| rule.name.as_str()).collect();
            assert_eq!(rules, names(chapter.runbooks).collect::<Vec<_>>(), "{}", chapter.name);
            for rule in groups.iter().flat_map(|group| &group.rules) {
                assert!(runbook(&rule.name).is_some_and(|text| text.len() > 60), "{}", rule.name);
                assert!(rule.labels.iter().any(|(name, _)| name == "severity"), "{}", rule.name);
                let RuleKind::Alerting { annotations, .. } = &rule.kind else { panic!("{} records", rule.name) };
                assert!(annotations.iter().any(|(name, _)| name == "summary"), "{}", rule.name);
            }
        }
        let mut seen = HashSet::new();
        assert!(groups(&all(), &[]).iter().flat_map(|g| &g.rules).all(|rule| seen.insert(rule.name.clone())));
    }

    fn names_of(config: &Config, own: &[Group]) -> HashSet<String> {
        groups(config, own).into_iter().flat_map(|group| group.rules).map(|rule| rule.name).collect()
    }

    /// Decodes a section, and gives its problems.
    fn decoded(text: &str) -> (Config, Vec<String>) {
        let report = Report::default();
        let node = yaml::parse("skep.yml", text).unwrap();
        let section = yaml::Place::root(&node, "skep.yml", &report).section().unwrap();
        let config = Config::decode(&section);
        section.finish();
        (config, report.problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_is_switched() {
        let check = |text: &str, rule: &str, expected: bool| {
            let (config, problems) = decoded(text);
            assert_eq!(problems, [""; 0], "{text}");
            assert_eq!(names_of(&config, &[]).contains(rule), expected, "{text} {rule}");
        };
        check("{}", "HostMemoryLow", true);
        check("{}", "DeadMansSwitch", false);
        check("{deadman: true}", "DeadMansSwitch", true);
        check("{enabled: false, deadman: true}", "DeadMansSwitch", false);
        check("{host: false}", "HostMemoryLow", false);
        check("{host: false}", "StoreReadOnly", true);
        check("{disabled: [HostMemoryLow]}", "HostMemoryLow", false);
        check("{disabled: [HostMemoryLow]}", "HostCpuBusy", true);
        let (_, problems) = decoded("{disabled: [HostMemroyLow]}");
        assert_eq!(
            problems,
            [
                "skep.yml:1:13: error: there is no built-in rule \"HostMemroyLow\" (at disabled[0]); did you mean \"HostMemoryLow\"?"
            ]
        );
    }

    #[test]
    fn a_users_rule_takes_the_place_only_if_said() {
        let text = "groups: [{name: g, rules: [{alert: HostMemoryLow, expr: up}]}]";
        let own = file::decode("r.yml", text, &Report::default());
        for replaceable in [false, true] {
            let config = Config { replaceable, ..Config::default() };
            assert_eq!(names_of(&config, &own).contains("HostMemoryLow"), !replaceable);
        }
    }

    #[test]
    fn alerts_name_their_runbook() {
        let groups = groups(&Config::default(), &[]);
        let RuleKind::Alerting { annotations, .. } = &groups[0].rules[0].kind else { panic!() };
        let url = "{{ $externalURL }}/alerts/runbook/HostCpuBusy".to_owned();
        assert!(annotations.contains(&("runbook_url".to_owned(), url)), "{annotations:?}");
    }
}
