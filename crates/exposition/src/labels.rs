//! Labels out of the raw text of a series that a parser accepted.

use std::borrow::Cow;

use model::{BUCKET_BOUND, METRIC_NAME, MetricKind, QUANTILE};

use crate::scan::{Scanner, is_blank};
use crate::{format_float_with_point, parse_float, unescape};

/// Walks name and labels. Text that no parser accepted ends the walk early; it never panics.
#[derive(Clone, Debug)]
pub struct SeriesLabels<'a> {
    scan: Scanner<'a>,
    kind: MetricKind,
    /// Whether the part before the braces is still to come.
    at_name: bool,
}

impl<'a> SeriesLabels<'a> {
    pub(crate) fn new(raw: &'a str, kind: MetricKind) -> Self {
        Self { scan: Scanner::new(raw), kind, at_name: true }
    }

    fn bare_name(&mut self) -> Option<&'a str> {
        self.at_name = false;
        self.scan.skip(is_blank);
        let name = self.scan.take(|b| b != b'{' && !is_blank(b));
        (!name.is_empty()).then_some(name)
    }

    fn pair(&mut self) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
        self.scan.skip(|b| is_blank(b) || b == b'{' || b == b',');
        let name = match self.scan.peek()? {
            b'}' => return None,
            b'"' => unescape(self.scan.quoted()?),
            _ => Cow::Borrowed(self.scan.take(|b| b != b'=' && !is_blank(b))),
        };
        self.scan.skip(is_blank);
        if self.scan.peek() != Some(b'=') {
            return Some((Cow::Borrowed(METRIC_NAME), name));
        }
        self.scan.skip(|b| is_blank(b) || b == b'=');
        let value = unescape(self.scan.quoted()?);
        Some((name.clone(), self.normalized(&name, value)))
    }

    /// Bucket bounds and quantiles are numbers: `1` and `1.0` must be one series, whichever format the page has.
    fn normalized(&self, name: &str, value: Cow<'a, str>) -> Cow<'a, str> {
        let numeric = match self.kind {
            MetricKind::Histogram => name == BUCKET_BOUND,
            MetricKind::Summary => name == QUANTILE,
            _ => false,
        };
        let Some(number) = numeric.then(|| parse_float(&value)).flatten() else {
            return value;
        };
        let mut text = String::with_capacity(value.len() + 2);
        format_float_with_point(number, &mut text);
        if text == *value { value } else { Cow::Owned(text) }
    }
}

impl<'a> Iterator for SeriesLabels<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at_name
            && let Some(name) = self.bare_name()
        {
            return Some((Cow::Borrowed(METRIC_NAME), Cow::Borrowed(name)));
        }
        self.pair()
    }
}
