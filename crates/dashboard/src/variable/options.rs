//! Values that a variable can have, and which of them are chosen.

use std::collections::HashSet;

use super::{Choice, Selection, Variable, VariableSort};
use crate::pattern::{Pattern, PatternError};
use crate::variable::interval::{parse_duration_ms, round_interval, step_text};
use crate::variable::time::TimeRange;

/// Values of a variable. A box with more is searched, not read; a query with all of them would be refused.
pub const OPTIONS_MAX: usize = 10_000;

/// Matches of one value with the flag `g`.
const MATCHES_MAX: usize = 1_000;

/// The values of a query variable: those that its regex finds, or what it finds in them, each once, in their order.
///
/// `regex` has its variables filled in; empty, it keeps all. A group named `value` or `text` says which part is which,
/// else the first group is both, else the whole value.
pub fn query_choices(answers: &[String], regex: &str, sort: VariableSort) -> Result<Vec<Choice>, PatternError> {
    let pattern = if regex.is_empty() { None } else { Some(Pattern::new(regex)?) };
    let mut seen = HashSet::new();
    let mut choices = Vec::new();
    for answer in answers {
        let found = match &pattern {
            Some(pattern) => cut(pattern, answer)?,
            None => vec![Choice::same(answer)],
        };
        choices.extend(found.into_iter().filter(|choice| seen.insert(choice.value.clone())));
        if choices.len() >= OPTIONS_MAX {
            choices.truncate(OPTIONS_MAX);
            break;
        }
    }
    sort_choices(&mut choices, sort);
    Ok(choices)
}

fn cut(pattern: &Pattern, answer: &str) -> Result<Vec<Choice>, PatternError> {
    let matches = pattern.find_all(answer, MATCHES_MAX)?;
    if matches.is_empty() {
        return Ok(Vec::new());
    }
    let named = |name| matches.iter().find_map(|found| found.named(name)).filter(|text| !text.is_empty());
    let (value, text) = (named("value"), named("text"));
    if let Some(either) = value.or(text) {
        let choice = Choice { text: text.unwrap_or(either).to_owned(), value: either.to_owned() };
        return Ok(vec![choice]);
    }
    let grouped: Vec<_> = matches.iter().filter(|found| found.groups.len() > 1).collect();
    match grouped.is_empty() {
        true => Ok(vec![Choice::same(answer)]),
        false => Ok(grouped.iter().filter_map(|found| found.groups[1].clone()).map(Choice::same).collect()),
    }
}

fn sort_choices(choices: &mut [Choice], sort: VariableSort) {
    let number = |choice: &Choice| {
        let digits: String =
            choice.text.chars().skip_while(|char| !char.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        digits.parse::<u128>().map_or(-1.0, |number| number as f64)
    };
    match sort {
        VariableSort::None => return,
        VariableSort::Alphabetical | VariableSort::AlphabeticalDescending => {
            choices.sort_by(|a, b| a.text.cmp(&b.text));
        }
        VariableSort::Numerical | VariableSort::NumericalDescending => {
            choices.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        VariableSort::CaseInsensitive | VariableSort::CaseInsensitiveDescending => {
            choices.sort_by_cached_key(|choice| choice.text.to_lowercase());
        }
        VariableSort::Natural | VariableSort::NaturalDescending => {
            choices.sort_by_cached_key(|choice| natural(&choice.text));
        }
    }
    let backwards = [
        VariableSort::AlphabeticalDescending,
        VariableSort::NumericalDescending,
        VariableSort::CaseInsensitiveDescending,
        VariableSort::NaturalDescending,
    ];
    if backwards.contains(&sort) {
        choices.reverse();
    }
}

/// A text cut into its numbers and what stands between them.
fn natural(text: &str) -> Vec<(u128, String)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = |is_digit: bool, text: &str| {
            text.find(|char: char| char.is_ascii_digit() != is_digit).unwrap_or(text.len())
        };
        let (digits, after) = rest.split_at(end(true, rest));
        let (words, after) = after.split_at(end(false, after));
        parts.push((digits.parse().unwrap_or(0), words.to_lowercase()));
        rest = after;
    }
    parts
}

/// The values of a custom variable: `a,b`, where `\,` is a comma of a value and `text : value` tells them apart.
pub fn custom_choices(list: &str) -> Vec<Choice> {
    let mut choices = Vec::new();
    let mut part = String::new();
    let mut chars = list.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if chars.peek() == Some(&',') => part.extend(chars.next()),
            ',' => choices.extend(custom(&std::mem::take(&mut part))),
            other => part.push(other),
        }
    }
    choices.extend(custom(&part));
    choices.truncate(OPTIONS_MAX);
    choices
}

fn custom(part: &str) -> Option<Choice> {
    if part.is_empty() {
        return None;
    }
    let choice = match part.rsplit_once(" : ") {
        Some((text, value)) if !text.trim().is_empty() && !value.is_empty() => {
            Choice { text: text.trim().to_owned(), value: value.trim().to_owned() }
        }
        _ => Choice::same(part.trim()),
    };
    Some(choice)
}

/// The values of an interval variable: durations with commas, and one that fits the time, where it is wanted.
pub fn interval_choices(list: &str, auto: Option<&(u32, String)>, range: &TimeRange) -> Vec<Choice> {
    let auto = auto.map(|(count, min)| {
        let fitting = round_interval(range.length_ms() / u64::from(*count).max(1));
        let step = fitting.max(parse_duration_ms(min).unwrap_or(0));
        Choice { text: "auto".to_owned(), value: step_text(step) }
    });
    let listed =
        list.split([',', ' ']).map(|part| part.trim().trim_matches(['"', '\''])).filter(|part| !part.is_empty());
    auto.into_iter().chain(listed.map(Choice::same)).take(OPTIONS_MAX).collect()
}

/// What is chosen of the values there are: what was wanted, as far as it is still there, else the first.
pub fn select(variable: &Variable, choices: &[Choice], wanted: &Selection) -> Selection {
    let first = || match (variable.include_all, choices.first()) {
        (true, _) => Selection::All,
        (false, Some(first)) => Selection::Values(vec![first.clone()]),
        (false, None) => Selection::default(),
    };
    let Selection::Values(wanted) = wanted else {
        return if variable.include_all { Selection::All } else { first() };
    };
    let by_value = |wanted: &Choice| choices.iter().find(|choice| choice.value == wanted.value);
    let by_text = |wanted: &Choice| choices.iter().find(|choice| choice.text == wanted.text);
    let find = |wanted: &Choice| by_value(wanted).or_else(|| by_text(wanted)).cloned();
    let mut kept: Vec<Choice> = wanted.iter().filter_map(find).collect();
    if !variable.multi {
        kept.truncate(1);
    }
    if kept.is_empty() { first() } else { Selection::Values(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(choices: &[Choice]) -> Vec<(&str, &str)> {
        choices.iter().map(|choice| (choice.text.as_str(), choice.value.as_str())).collect()
    }

    #[test]
    fn answers_become_values() {
        let check = |answers: &[&str], regex: &str, sort: VariableSort, expected: &[(&str, &str)]| {
            let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
            assert_eq!(pairs(&query_choices(&answers, regex, sort).unwrap()), expected, "{regex}");
        };
        let none = VariableSort::None;
        check(&["b", "a", "b"], "", none, &[("b", "b"), ("a", "a")]);
        check(&["b", "a"], "", VariableSort::Alphabetical, &[("a", "a"), ("b", "b")]);
        check(&["n2", "n10", "x"], "", VariableSort::Numerical, &[("x", "x"), ("n2", "n2"), ("n10", "n10")]);
        check(&["n2", "n10"], "", VariableSort::NumericalDescending, &[("n10", "n10"), ("n2", "n2")]);
        check(&["b", "A", "a"], "", VariableSort::CaseInsensitive, &[("A", "A"), ("a", "a"), ("b", "b")]);
        check(&["n10", "n2"], "", VariableSort::Natural, &[("n2", "n2"), ("n10", "n10")]);
        check(&["node-a", "x"], "/node-(.*)/", none, &[("a", "a")]);
        check(&["node-a", "x"], "/node/", none, &[("node-a", "node-a")]);
        check(&["a=1,b=2"], "/(\\w)=\\d/g", none, &[("a", "a"), ("b", "b")]);
        check(&["up{pod=\"p\",uid=\"u\"}"], "/pod=\"(?<text>[^\"]+)|uid=\"(?<value>[^\"]+)/g", none, &[("p", "u")]);
        check(&["p"], "/(?<text>p)/", none, &[("p", "p")]);
        check(
            &["prometheus", "grafanacloud-usage"],
            "(?!grafanacloud-usage|x).+",
            none,
            &[("prometheus", "prometheus")],
        );
        assert!(query_choices(&["a".to_owned()], "/(/", none).is_err());
    }

    #[test]
    fn lists_become_values() {
        let check =
            |list: &str, expected: &[(&str, &str)]| assert_eq!(pairs(&custom_choices(list)), expected, "{list}");
        check("a, b,c d", &[("a", "a"), ("b", "b"), ("c d", "c d")]);
        check("One : 1, Two : 2", &[("One", "1"), ("Two", "2")]);
        check("a\\,b,c", &[("a,b", "a,b"), ("c", "c")]);
        check("host:9100", &[("host:9100", "host:9100")]);
        check("", &[]);
        let range = TimeRange { from_ms: 0, to_ms: 3_600_000 };
        let auto = Some((10, "10s".to_owned()));
        assert_eq!(
            pairs(&interval_choices("1m,10m", auto.as_ref(), &range)),
            [("auto", "5m"), ("1m", "1m"), ("10m", "10m")]
        );
    }

    #[test]
    fn choices_are_kept_while_they_are_there() {
        let choices = ["a", "b", "c"].map(Choice::same);
        let values = |values: &[&str]| Selection::Values(values.iter().copied().map(Choice::same).collect());
        let check = |multi: bool, all: bool, wanted: Selection, expected: Selection| {
            let variable = Variable { multi, include_all: all, ..Variable::default() };
            assert_eq!(select(&variable, &choices, &wanted), expected);
        };
        check(false, false, values(&["b"]), values(&["b"]));
        check(false, false, values(&["b", "c"]), values(&["b"]));
        check(true, false, values(&["c", "x", "a"]), values(&["c", "a"]));
        check(false, false, values(&["x"]), values(&["a"]));
        check(false, true, values(&["x"]), Selection::All);
        check(false, true, Selection::All, Selection::All);
        check(false, false, Selection::All, values(&["a"]));
        check(false, false, Selection::default(), values(&["a"]));
        assert_eq!(select(&Variable::default(), &[], &values(&["a"])), Selection::default());
    }
}
