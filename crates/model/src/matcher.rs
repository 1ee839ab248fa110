//! Label matchers: what a selector asks of one label.

use std::fmt;

use crate::{Labels, Pattern, PatternError, is_valid_label_name};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored on both ends.
    Match,
    /// `!~`, anchored on both ends.
    NotMatch,
}

/// One condition on one label. A label that a series lacks counts as the empty string.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    pattern: Option<Pattern>,
}

impl Matcher {
    /// A matcher; the regular expression of `=~` and `!~` is compiled here. Errors: an invalid or oversized pattern.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, PatternError> {
        let value = value.into();
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Match | MatchOp::NotMatch => Some(Pattern::new(&value)?),
        };
        Ok(Self { name: name.into(), op, value, pattern })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), pattern: None }
    }

    /// The label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comparison.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or the pattern's text, as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The compiled pattern of `=~` and `!~`.
    pub fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    /// Whether a label value satisfies the condition.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.pattern) {
            (MatchOp::Equal, _) => value == self.value,
            (MatchOp::NotEqual, _) => value != self.value,
            (MatchOp::Match, Some(pattern)) => pattern.is_match(value),
            (MatchOp::NotMatch, Some(pattern)) => !pattern.is_match(value),
            (_, None) => false,
        }
    }

    /// Whether a label set satisfies the condition.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or_default())
    }

    /// Whether series without the label satisfy the condition.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (self.op, &self.name, &self.value) == (other.op, &other.name, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Match => "=~",
            Self::NotMatch => "!~",
        })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_valid_label_name(&self.name) {
            write!(f, "{}{}{:?}", self.name, self.op, self.value)
        } else {
            write!(f, "{:?}{}{:?}", self.name, self.op, self.value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares() {
        let cases = [
            (MatchOp::Equal, "a", "a", true),
            (MatchOp::Equal, "", "", true),
            (MatchOp::NotEqual, "a", "", true),
            (MatchOp::Match, "a|b", "b", true),
            (MatchOp::Match, "a|b", "ab", false),
            (MatchOp::Match, "a.b", "a\nb", true),
            (MatchOp::NotMatch, ".+", "", true),
        ];
        for (op, pattern, value, expected) in cases {
            let matcher = Matcher::new(op, "x", pattern).unwrap();
            assert_eq!(matcher.matches(value), expected, "{matcher} on {value:?}");
        }
    }
}
