//! Relabelling: rules that rewrite, keep or drop label sets, as Prometheus defines them.

use std::fmt;

use model::{LabelsBuilder, Pattern, expand_captures};

/// What a rule does where the file does not say it.
pub(crate) const DEFAULT_PATTERN: &str = "(.*)";
/// Stands between the values of several source labels.
pub(crate) const DEFAULT_SEPARATOR: &str = ";";
/// The first group of the pattern.
pub(crate) const DEFAULT_REPLACEMENT: &str = "$1";

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What is done.
    pub action: Action,
    /// Labels whose values are joined.
    pub source_labels: Vec<String>,
    /// Stands between them.
    pub separator: String,
    /// What the joined value, or a label name, must match.
    pub pattern: Pattern,
    /// For `hashmod`: the number of remainders.
    pub modulus: u64,
    /// The label that is set; groups of the pattern may stand in it.
    pub target_label: String,
    /// Its value; groups of the pattern may stand in it.
    pub replacement: String,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sets the target label where the joined value matches.
    Replace,
    /// Keeps what matches.
    Keep,
    /// Drops what matches.
    Drop,
    /// Keeps what has the joined value in the target label.
    KeepEqual,
    /// Drops what has the joined value in the target label.
    DropEqual,
    /// Sets the target label to a remainder of the joined value's hash.
    HashMod,
    /// Copies labels whose names match to new names.
    LabelMap,
    /// Removes labels whose names match.
    LabelDrop,
    /// Removes labels whose names do not match.
    LabelKeep,
    /// Sets the target label to the joined value in lower case.
    Lowercase,
    /// Sets the target label to the joined value in upper case.
    Uppercase,
}

const ACTIONS: [(&str, Action); 11] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("hashmod", Action::HashMod),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

impl Action {
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        ACTIONS.iter().find(|(name, _)| *name == word).map(|(_, action)| *action)
    }

    pub(crate) fn words() -> Vec<&'static str> {
        ACTIONS.iter().map(|(name, _)| *name).collect()
    }

    pub(crate) fn needs_target(self) -> bool {
        matches!(
            self,
            Self::Replace | Self::HashMod | Self::Lowercase | Self::Uppercase | Self::KeepEqual | Self::DropEqual
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = ACTIONS.iter().find(|(_, action)| action == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        let fields = |rule: &Self| (rule.action, rule.modulus);
        fields(self) == fields(other)
            && self.source_labels == other.source_labels
            && self.separator == other.separator
            && self.pattern_text() == other.pattern_text()
            && self.target_label == other.target_label
            && self.replacement == other.replacement
    }
}

impl Rule {
    /// The pattern as it was written.
    pub(crate) fn pattern_text(&self) -> &str {
        self.pattern.source()
    }
}

/// Applies the rules in their order; false as soon as one drops the set.
pub fn relabel(labels: &mut LabelsBuilder, rules: &[Rule]) -> bool {
    rules.iter().all(|rule| apply(labels, rule))
}

fn apply(labels: &mut LabelsBuilder, rule: &Rule) -> bool {
    let joined = || join(labels, rule);
    match rule.action {
        Action::Keep => return rule.pattern.is_match(&joined()),
        Action::Drop => return !rule.pattern.is_match(&joined()),
        Action::KeepEqual => return labels.get(&rule.target_label).unwrap_or_default() == joined(),
        Action::DropEqual => return labels.get(&rule.target_label).unwrap_or_default() != joined(),
        Action::Replace => replace(labels, rule, &joined()),
        Action::Lowercase => set(labels, &rule.target_label, joined().to_lowercase()),
        Action::Uppercase => set(labels, &rule.target_label, joined().to_uppercase()),
        Action::HashMod => set(labels, &rule.target_label, remainder(&joined(), rule.modulus).to_string()),
        Action::LabelMap => map_names(labels, rule),
        Action::LabelDrop => drop(labels.retain(|name, _| !rule.pattern.is_match(name))),
        Action::LabelKeep => drop(labels.retain(|name, _| rule.pattern.is_match(name))),
    }
    true
}

fn set(labels: &mut LabelsBuilder, name: &str, value: String) {
    labels.set(name, value);
}

pub(crate) fn join(labels: &LabelsBuilder, rule: &Rule) -> String {
    let mut joined = String::new();
    for (i, name) in rule.source_labels.iter().enumerate() {
        if i > 0 {
            joined.push_str(&rule.separator);
        }
        joined.push_str(labels.get(name).unwrap_or_default());
    }
    joined
}

fn replace(labels: &mut LabelsBuilder, rule: &Rule, value: &str) {
    let Some(captures) = rule.pattern.regex().captures(value) else { return };
    let mut target = String::new();
    expand_captures(&rule.target_label, &captures, &mut target);
    if target.is_empty() {
        return;
    }
    let mut replacement = String::new();
    expand_captures(&rule.replacement, &captures, &mut replacement);
    labels.set(&target, replacement);
}

/// The last eight bytes of MD5, as a big-endian number, modulo; a modulus of 0 is refused by the configuration.
fn remainder(value: &str, modulus: u64) -> u64 {
    let digest = md5::compute(value.as_bytes()).0;
    let tail = digest[8..].iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    tail.checked_rem(modulus).unwrap_or_default()
}

fn map_names(labels: &mut LabelsBuilder, rule: &Rule) {
    let mut names: Vec<_> = labels.iter().collect();
    // In the order of the old names, so that of two that meet the same one wins every time.
    names.sort_unstable();
    let mapped: Vec<_> = names
        .into_iter()
        .filter_map(|(name, value)| {
            let mut target = String::new();
            expand_captures(&rule.replacement, &rule.pattern.regex().captures(name)?, &mut target);
            (!target.is_empty()).then(|| (target, value.to_owned()))
        })
        .collect();
    for (name, value) in mapped {
        labels.set(&name, value);
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    fn rule(action: Action) -> Rule {
        Rule {
            action,
            source_labels: Vec::new(),
            separator: DEFAULT_SEPARATOR.to_owned(),
            pattern: Pattern::new(DEFAULT_PATTERN).unwrap(),
            modulus: 0,
            target_label: String::new(),
            replacement: DEFAULT_REPLACEMENT.to_owned(),
        }
    }

    /// Applies a rule to `a="foo", b="bar", c="baz"`; `None` where the set is dropped.
    fn check(action: Action, change: impl Fn(&mut Rule), expected: Option<&str>) {
        let mut rule = rule(action);
        change(&mut rule);
        let mut labels = Labels::from_pairs([("a", "foo"), ("b", "bar"), ("c", "baz")]).to_builder();
        let kept = relabel(&mut labels, std::slice::from_ref(&rule));
        assert_eq!(kept.then(|| labels.build().to_string()).as_deref(), expected, "{rule:?}");
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    const UNCHANGED: Option<&str> = Some(r#"{a="foo", b="bar", c="baz"}"#);

    #[test]
    fn replaces() {
        let from = |sources: &[&str], regex: &str, target: &str, replacement: &str, expected| {
            let change = |rule: &mut Rule| {
                rule.source_labels = sources.iter().map(ToString::to_string).collect();
                rule.pattern = pattern(regex);
                rule.target_label = target.to_owned();
                rule.replacement = replacement.to_owned();
            };
            check(Action::Replace, change, expected);
        };
        from(&["a"], "f(.*)", "d", "ch${1}-ch$1", Some(r#"{a="foo", b="bar", c="baz", d="choo-choo"}"#));
        from(&["a", "b"], "(.*);(.*)", "a", "$2$1", Some(r#"{a="barfoo", b="bar", c="baz"}"#));
        from(&["a"], "oo", "d", "x", UNCHANGED);
        from(&["a"], "(.*)", "b", "", Some(r#"{a="foo", c="baz"}"#));
        from(&["a"], "(f).*", "${1}x", "y", Some(r#"{a="foo", b="bar", c="baz", fx="y"}"#));
        from(&["a"], "(f)(x)?.*", "$2", "y", UNCHANGED);
        from(&[], "(.*)", "d", "static", Some(r#"{a="foo", b="bar", c="baz", d="static"}"#));
        from(&["missing"], ".+", "d", "x", UNCHANGED);
        from(&["a"], "(.*)", "d", "$$1", Some(r#"{a="foo", b="bar", c="baz", d="$1"}"#));
    }

    #[test]
    fn keeps_and_drops() {
        let on_a = |regex: &'static str| {
            move |rule: &mut Rule| {
                rule.source_labels = vec!["a".to_owned()];
                rule.pattern = pattern(regex);
            }
        };
        check(Action::Keep, on_a("f.*"), UNCHANGED);
        check(Action::Keep, on_a("f"), None);
        check(Action::Drop, on_a("f"), UNCHANGED);
        check(Action::Drop, on_a("foo"), None);
        let equal = |target: &'static str| {
            move |rule: &mut Rule| {
                rule.source_labels = vec!["a".to_owned()];
                rule.target_label = target.to_owned();
            }
        };
        check(Action::KeepEqual, equal("a"), UNCHANGED);
        check(Action::KeepEqual, equal("b"), None);
        check(Action::DropEqual, equal("a"), None);
        check(Action::DropEqual, equal("b"), UNCHANGED);
    }

    #[test]
    fn works_on_names_and_values() {
        let hash = |rule: &mut Rule| {
            rule.source_labels = vec!["c".to_owned()];
            rule.target_label = "d".to_owned();
            rule.modulus = 1000;
        };
        check(Action::HashMod, hash, Some(r#"{a="foo", b="bar", c="baz", d="976"}"#));
        let map = |rule: &mut Rule| {
            rule.pattern = pattern("([ab])");
            rule.replacement = "x_$1".to_owned();
        };
        check(Action::LabelMap, map, Some(r#"{a="foo", b="bar", c="baz", x_a="foo", x_b="bar"}"#));
        let meet = |rule: &mut Rule| rule.replacement = "x".to_owned();
        check(Action::LabelMap, meet, Some(r#"{a="foo", b="bar", c="baz", x="baz"}"#));
        check(Action::LabelDrop, |rule| rule.pattern = pattern("[ab]"), Some(r#"{c="baz"}"#));
        check(Action::LabelKeep, |rule| rule.pattern = pattern("[ab]"), Some(r#"{a="foo", b="bar"}"#));
        let upper = |rule: &mut Rule| {
            rule.source_labels = vec!["a".to_owned(), "b".to_owned()];
            rule.target_label = "d".to_owned();
        };
        check(Action::Uppercase, upper, Some(r#"{a="foo", b="bar", c="baz", d="FOO;BAR"}"#));
        check(Action::Lowercase, upper, Some(r#"{a="foo", b="bar", c="baz", d="foo;bar"}"#));
    }
}
