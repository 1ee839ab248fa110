//! Which rules of a group may be evaluated at once: those that do not read what others of the group write, judged as
//! Prometheus judges it.

use model::{METRIC_NAME, Matcher};

use crate::alerting::{ALERTS, ALERTS_FOR_STATE};
use crate::{Rule, RuleKind};

/// Places of rules, batch after batch: first all that read nothing of the group, then one by one those in the middle, at last
/// all whose results nobody in the group reads. What is written is the same as one by one, in order. A group with a rule that
/// may read anything has a batch for each rule.
pub(crate) fn batches(rules: &[Rule]) -> Vec<Vec<usize>> {
    let one_by_one = || (0..rules.len()).map(|place| vec![place]).collect();
    let Some(reads) = rules.iter().map(reads).collect::<Option<Vec<_>>>() else { return one_by_one() };
    let writes = |writer: usize, reader: usize| {
        let recorded = matches!(rules[writer].kind, RuleKind::Recording).then_some(&rules[writer].name);
        recorded.is_some_and(|name| reads[reader].iter().any(|matcher| matcher.matches(name)))
    };
    // One that reads what a later one writes sees what that wrote the last time; in batches it would see more.
    if (0..rules.len()).any(|reader| (reader + 1..rules.len()).any(|writer| writes(writer, reader))) {
        return one_by_one();
    }
    let has_sources = |place| (0..rules.len()).any(|other| writes(other, place));
    let has_readers = |place| (0..rules.len()).any(|other| writes(place, other));
    let (free, bound): (Vec<usize>, Vec<usize>) = (0..rules.len()).partition(|place| !has_sources(*place));
    let (middle, last): (Vec<usize>, Vec<usize>) = bound.into_iter().partition(|place| has_readers(*place));
    let middle = middle.into_iter().map(|place| vec![place]);
    [free].into_iter().chain(middle).chain([last]).filter(|batch| !batch.is_empty()).collect()
}

/// What the names of the series that a rule reads must match; `None` if that can be anything, or the series of alerts.
fn reads(rule: &Rule) -> Option<Vec<&Matcher>> {
    let mut names = Vec::new();
    for selector in rule.expr.selectors() {
        let name = selector.matchers.iter().find(|matcher| matcher.name() == METRIC_NAME)?;
        if [ALERTS, ALERTS_FOR_STATE].iter().any(|alerts| name.matches(alerts)) {
            return None;
        }
        names.push(name);
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recording rules `name = expr`, one a line.
    fn check(rules: &[(&str, &str)], expected: &[&[usize]]) {
        let rule = |(name, expr): &(&str, &str)| format!("  - {{record: '{name}', expr: '{expr}'}}\n");
        let text = format!("groups:\n- name: g\n  rules:\n{}", rules.iter().map(rule).collect::<String>());
        let groups = crate::decode("r.yml", &text, &yaml::Report::default());
        assert_eq!(batches(&groups[0].rules), expected, "{rules:?}");
    }

    #[test]
    fn what_depends_waits() {
        check(&[], &[]);
        check(&[("a", "up")], &[&[0]]);
        check(&[("a", "up"), ("b", "down")], &[&[0, 1]]);
        check(&[("a", "up"), ("b", "a"), ("c", "up")], &[&[0, 2], &[1]]);
        check(&[("a", "up"), ("b", "a"), ("c", "sum(rate(b[5m])) + up"), ("d", "a")], &[&[0], &[1], &[2, 3]]);
        check(&[("a:x", "up"), ("b", "{__name__=~\"a:.*\"}"), ("c", "up")], &[&[0, 2], &[1]]);
        check(&[("a", "a")], &[&[0]]);
        check(&[("a", "b"), ("b", "up"), ("c", "up")], &[&[0], &[1], &[2]]);
        check(&[("a", "up"), ("b", "{job=\"x\"}")], &[&[0], &[1]]);
        check(&[("a", "up"), ("b", "count(ALERTS)")], &[&[0], &[1]]);
    }
}
