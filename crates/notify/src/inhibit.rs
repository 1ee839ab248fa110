//! Inhibition: while some alerts fire, others are not told.

use std::collections::HashMap;

use model::{Alert, Labels, Matcher, Timestamp, fingerprint};

/// Alerts that match `source` silence those that match `target` and have the same values of `equal`.
#[derive(Clone, Debug, PartialEq)]
pub struct InhibitRule {
    /// All must hold for an alert that inhibits.
    pub source: Vec<Matcher>,
    /// All must hold for an alert that is inhibited.
    pub target: Vec<Matcher>,
    /// A label that is missing is as an empty one.
    pub equal: Vec<String>,
}

/// The rules with the alerts that inhibit.
pub(crate) struct Inhibitor(Vec<Watch>);

struct Watch {
    rule: InhibitRule,
    /// Sources by the values of the rule's labels, each with its end.
    sources: HashMap<Vec<String>, HashMap<Labels, Timestamp>>,
}

impl Inhibitor {
    pub(crate) fn new(rules: &[InhibitRule]) -> Self {
        Self(rules.iter().map(|rule| Watch { rule: rule.clone(), sources: HashMap::new() }).collect())
    }

    /// Takes a new state of an alert.
    pub(crate) fn take(&mut self, alert: &Alert) {
        for watch in self.0.iter_mut().filter(|watch| holds(&watch.rule.source, &alert.labels)) {
            let values = values(&watch.rule.equal, &alert.labels);
            watch.sources.entry(values).or_default().insert(alert.labels.clone(), alert.ends_at);
        }
    }

    /// Forgets alerts that have ended; they inhibit nothing.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        for watch in &mut self.0 {
            watch.sources.retain(|_, alerts| {
                alerts.retain(|_, ends_at| *ends_at > now);
                !alerts.is_empty()
            });
        }
    }

    /// The fingerprint of an alert that inhibits one with these labels. One that is source and target of a rule at once is
    /// not inhibited by others that are both, so that no two silence each other.
    pub(crate) fn inhibited_by(&self, labels: &Labels, now: Timestamp) -> Option<u64> {
        self.0.iter().filter(|watch| holds(&watch.rule.target, labels)).find_map(|watch| {
            let is_both = holds(&watch.rule.source, labels);
            let sources = watch.sources.get(&values(&watch.rule.equal, labels))?.iter();
            let mut loud =
                sources.filter(|(source, ends_at)| **ends_at > now && !(is_both && holds(&watch.rule.target, source)));
            loud.next().map(|(source, _)| fingerprint(source))
        })
    }
}

fn holds(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches_labels(labels))
}

fn values(names: &[String], labels: &Labels) -> Vec<String> {
    names.iter().map(|name| labels.get(name).unwrap_or_default().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matchers::parse;

    fn labels(text: &str) -> Labels {
        Labels::from_pairs(text.split_whitespace().filter_map(|pair| pair.split_once('=')))
    }

    /// Whether the sources, which end at minute 10, inhibit the target at a minute.
    fn check(rule: (&str, &str, &[&str]), sources: &[&str], target: &str, minute: i64, expected: bool) {
        let rule = InhibitRule {
            source: parse(rule.0).unwrap(),
            target: parse(rule.1).unwrap(),
            equal: rule.2.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut inhibitor = Inhibitor::new(&[rule]);
        for source in sources {
            let (starts_at, ends_at) = (0, 600_000);
            let generator_url = String::new();
            let annotations = Labels::empty();
            inhibitor.take(&Alert { labels: labels(source), annotations, starts_at, ends_at, generator_url });
        }
        let swept = inhibitor.inhibited_by(&labels(target), minute * 60_000).is_some();
        inhibitor.sweep(minute * 60_000);
        assert_eq!(swept, inhibitor.inhibited_by(&labels(target), minute * 60_000).is_some());
        assert_eq!(swept, expected, "{sources:?} {target} {minute}");
    }

    #[test]
    fn inhibits_as_alertmanager() {
        let rule = ("s=critical", "s=warning", &["a"] as &[&str]);
        check(rule, &["s=critical a=1"], "s=warning a=1", 1, true);
        check(rule, &["s=critical a=1"], "s=warning a=2", 1, false);
        check(rule, &["s=critical a=1"], "s=warning a=1", 10, false);
        check(rule, &["s=critical"], "s=warning", 1, true);
        check(rule, &["s=critical a=1"], "s=info a=1", 1, false);
        check(rule, &["s=warning a=1"], "s=warning a=1", 1, false);
        let both = ("x=1", "y=1", &[] as &[&str]);
        check(both, &["x=1 y=1 n=1"], "x=1 y=1 n=2", 1, false);
        check(both, &["x=1 y=1 n=1", "x=1"], "x=1 y=1 n=2", 1, true);
        check(both, &["x=1 y=1 n=1"], "y=1", 1, true);
        check(("", "", &[]), &["a=1"], "b=1", 1, false);
    }
}
