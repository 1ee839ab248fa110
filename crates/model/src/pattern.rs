//! Regular expressions in RE2's dialect, anchored on both ends, as Prometheus reads them.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// A compiled pattern takes at most this much memory; a larger one is refused, so that a query cannot take the process down.
const COMPILED_SIZE_BYTES_MAX: usize = 8 << 20;

/// A regular expression that must match the whole value; `.` matches a line feed too.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
}

/// The pattern is not a regular expression of RE2's dialect, or it is too large.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("error parsing regexp: {reason}: `{pattern}`")]
pub struct PatternError {
    /// The text that was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Pattern {
    /// Compiles `^(?s:PATTERN)$`.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let error = |reason: String| PatternError { pattern: pattern.to_owned(), reason };
        let regex = RegexBuilder::new(&format!("^(?s:{pattern})$"))
            .size_limit(COMPILED_SIZE_BYTES_MAX)
            .build()
            .map_err(|e| error(e.to_string().lines().last().unwrap_or_default().trim().to_owned()))?;
        Ok(Self { regex })
    }

    /// Whether the whole value matches.
    pub fn is_match(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }

    /// The expression behind it, for captures and expansion (`label_replace`, relabelling).
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}
