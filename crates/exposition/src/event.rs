//! What a parser tells of a page, line by line.

use std::borrow::Cow;

use model::MetricKind;
use thiserror::Error;

use crate::labels::SeriesLabels;

/// One line of a page. Texts borrow from the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// `# HELP`; the text is still escaped, [`unescape_help`] resolves it.
    Help {
        /// The family's name, quotes removed, escapes kept.
        family: &'a str,
        /// The help text.
        text: &'a str,
    },
    /// `# TYPE`
    Type {
        /// The family's name.
        family: &'a str,
        /// The type.
        kind: MetricKind,
    },
    /// `# UNIT`, in OpenMetrics only.
    Unit {
        /// The family's name.
        family: &'a str,
        /// The unit.
        unit: &'a str,
    },
    /// Any other line that begins with `#`, which is part of the text.
    Comment(&'a str),
    /// A sample.
    Series(Series<'a>),
}

/// A sample of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Series<'a> {
    /// The text of name and labels as it stands on the page: equal text means equal series.
    pub raw: &'a str,
    /// The value; every NaN is the one that Prometheus stores, never a staleness marker.
    pub value: f64,
    /// Milliseconds since 1970, where the page says it.
    pub timestamp: Option<i64>,
    /// The example behind the sample, in OpenMetrics only.
    pub exemplar: Option<RawExemplar<'a>>,
    /// The type that the last `# TYPE` line before named, whatever its family: it decides whether `le` and
    /// `quantile` are numbers.
    pub kind: MetricKind,
}

/// An exemplar, its labels still text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawExemplar<'a> {
    /// The labels with their braces.
    pub raw: &'a str,
    /// The observed value.
    pub value: f64,
    /// Milliseconds since 1970, where the page says it.
    pub timestamp: Option<i64>,
}

/// A page breaks its format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{line}:{column}: {message}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

impl<'a> Series<'a> {
    /// Name (as `__name__`) and labels in the order of the page, escapes resolved, `le` and `quantile` in the one
    /// spelling that all pages share. Empty values and repeated names are given as they stand.
    pub fn labels(&self) -> SeriesLabels<'a> {
        SeriesLabels::new(self.raw, self.kind)
    }
}

impl<'a> RawExemplar<'a> {
    /// Labels in the order of the page, escapes resolved.
    pub fn labels(&self) -> SeriesLabels<'a> {
        SeriesLabels::new(self.raw, MetricKind::Unknown)
    }
}

/// Resolves the escapes of a label value or of a quoted name: `\\`, `\"` and `\n`; any other backslash stays.
pub fn unescape(text: &str) -> Cow<'_, str> {
    resolve(text, true)
}

/// Resolves the escapes of a help text of format 0.0.4, where quotation marks have none: `\\` and `\n`.
pub fn unescape_help(text: &str) -> Cow<'_, str> {
    resolve(text, false)
}

fn resolve(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let mut plain = String::with_capacity(text.len());
    plain.push_str(&text[..first]);
    let mut rest = text[first..].chars();
    while let Some(c) = rest.next() {
        let escaped = match (c, rest.as_str().as_bytes().first()) {
            ('\\', Some(b'\\')) => Some('\\'),
            ('\\', Some(b'n')) => Some('\n'),
            ('\\', Some(b'"')) if quotes => Some('"'),
            _ => None,
        };
        plain.push(escaped.unwrap_or(c));
        if escaped.is_some() {
            rest.next();
        }
    }
    Cow::Owned(plain)
}
