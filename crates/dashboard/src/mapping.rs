//! Value mappings: texts and colours in place of values.

use crate::pattern::Pattern;

/// A text or colour in place of values. The first mapping that fits holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// For which values.
    pub rule: Rule,
    /// What is shown.
    pub result: Shown,
}

/// Which values a mapping is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// This value, as a number or as a text.
    Value(String),
    /// Values between these, the ends too; absent ends are open.
    Range(Option<f64>, Option<f64>),
    /// Texts that have this pattern in them; what it found replaces `$1` and the like in the result.
    Regex(Pattern),
    /// One of the values without a number.
    Special(Special),
}

/// Values without a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// No value.
    Null,
    /// Not a number.
    Nan,
    /// Either.
    NullOrNan,
    /// True.
    True,
    /// False.
    False,
    /// The empty text.
    Empty,
}

/// What is shown in place of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The text; absent, the value as it is.
    pub text: Option<String>,
    /// The colour, see [`crate::Rgba::parse`]; absent, the column's.
    pub color: Option<String>,
}

/// A value that a mapping is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mapped<'a> {
    /// No value.
    Null,
    /// A number.
    Number(f64),
    /// A text.
    Text(&'a str),
    /// Yes or no.
    Flag(bool),
}

/// What the first mapping that fits says of a value.
pub fn apply(mappings: &[Mapping], value: Mapped<'_>) -> Option<Shown> {
    mappings.iter().find_map(|mapping| mapping.apply(value))
}

impl Mapping {
    fn apply(&self, value: Mapped<'_>) -> Option<Shown> {
        match &self.rule {
            Rule::Value(wanted) => equals(wanted, value).then(|| self.result.clone()),
            Rule::Range(from, to) => is_between(*from, *to, value).then(|| self.result.clone()),
            Rule::Special(special) => special.is(value).then(|| self.result.clone()),
            Rule::Regex(pattern) => self.replaced(pattern, value),
        }
    }

    fn replaced(&self, pattern: &Pattern, value: Mapped<'_>) -> Option<Shown> {
        let text = match value {
            Mapped::Text(text) => text.to_owned(),
            Mapped::Number(number) => number.to_string(),
            _ => return None,
        };
        if !pattern.is_match(&text) {
            return None;
        }
        let replaced = self.result.text.as_ref().map(|shown| pattern.replace(&text, shown));
        Some(Shown { text: replaced, color: self.result.color.clone() })
    }
}

fn equals(wanted: &str, value: Mapped<'_>) -> bool {
    match value {
        Mapped::Null => wanted == "null",
        Mapped::Flag(flag) => wanted == if flag { "true" } else { "false" },
        Mapped::Text(text) => wanted == text,
        Mapped::Number(number) => wanted.trim().parse() == Ok(number),
    }
}

fn is_between(from: Option<f64>, to: Option<f64>, value: Mapped<'_>) -> bool {
    let number = match value {
        Mapped::Number(number) => number,
        Mapped::Text(text) => match text.trim().parse() {
            Ok(number) => number,
            Err(_) => return false,
        },
        _ => return false,
    };
    !number.is_nan() && from.is_none_or(|from| number >= from) && to.is_none_or(|to| number <= to)
}

impl Special {
    fn is(self, value: Mapped<'_>) -> bool {
        let nan = matches!(value, Mapped::Number(number) if number.is_nan());
        match self {
            Self::Null => value == Mapped::Null,
            Self::Nan => nan,
            Self::NullOrNan => nan || value == Mapped::Null,
            Self::True => value == Mapped::Flag(true) || value == Mapped::Text("true"),
            Self::False => value == Mapped::Flag(false) || value == Mapped::Text("false"),
            Self::Empty => value == Mapped::Text(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mapping_that_fits_holds() {
        let shown = |text: &str| Shown { text: Some(text.to_owned()), color: None };
        let rules = [
            (Rule::Value("1".to_owned()), "one"),
            (Rule::Range(Some(2.0), Some(5.0)), "some"),
            (Rule::Range(Some(100.0), None), "many"),
            (Rule::Regex(Pattern::new("/^node-(.*)$/").unwrap()), "n $1"),
            (Rule::Special(Special::NullOrNan), "N/A"),
            (Rule::Special(Special::True), "yes"),
            (Rule::Special(Special::Empty), "none"),
        ];
        let mappings: Vec<_> = rules.into_iter().map(|(rule, text)| Mapping { rule, result: shown(text) }).collect();
        let check = |value: Mapped<'_>, expected: Option<&str>| {
            assert_eq!(apply(&mappings, value).and_then(|shown| shown.text).as_deref(), expected, "{value:?}");
        };
        check(Mapped::Number(1.0), Some("one"));
        check(Mapped::Text("1"), Some("one"));
        check(Mapped::Number(1.5), None);
        check(Mapped::Number(2.0), Some("some"));
        check(Mapped::Number(5.0), Some("some"));
        check(Mapped::Text("3"), Some("some"));
        check(Mapped::Number(f64::INFINITY), Some("many"));
        check(Mapped::Text("node-a"), Some("n a"));
        check(Mapped::Number(f64::NAN), Some("N/A"));
        check(Mapped::Null, Some("N/A"));
        check(Mapped::Flag(true), Some("yes"));
        check(Mapped::Flag(false), None);
        check(Mapped::Text(""), Some("none"));
    }
}
