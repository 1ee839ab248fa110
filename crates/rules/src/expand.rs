//! Templates of labels and annotations.

use model::{Labels, Timestamp};
use promql::{Cancel, VectorPoint};
use template::{AlertData, AlertTemplate, Point, Query};

use crate::context::Context;

/// Parses a label or annotation of an alert, which is how a rule file is checked.
pub(crate) fn parse(alert: &str, text: &str) -> Result<AlertTemplate, template::Error> {
    AlertTemplate::parse(alert, text)
}

/// A label or annotation, parsed once; a template that does not parse expands to its error.
pub(crate) struct Text(Result<AlertTemplate, template::Error>);

impl Text {
    pub(crate) fn new(alert: &str, text: &str) -> Self {
        Self(parse(alert, text))
    }

    /// The text for one element of the result. An error stands in the text, where people will see it.
    pub(crate) fn expand(&self, data: &AlertData<'_>, query: &Asking<'_>) -> String {
        let expanded = match &self.0 {
            Ok(template) => template.expand(data, query),
            Err(e) => Err(e.clone()),
        };
        expanded.unwrap_or_else(|error| {
            tracing::warn!(%error, labels = %data.labels, "an alert's template could not be expanded");
            format!("<error expanding template: {error}>")
        })
    }
}

/// Answers the template function `query` at the time of the evaluation.
pub(crate) struct Asking<'a> {
    pub(crate) context: &'a Context,
    pub(crate) at: Timestamp,
    pub(crate) cancel: &'a Cancel,
}

impl Query for Asking<'_> {
    fn query(&self, expr: &str) -> Result<Vec<Point>, String> {
        let expr = promql::parse(expr).map_err(|e| e.to_string())?;
        let points = self.context.query(&expr, self.at, self.cancel).map_err(|e| e.to_string())?;
        Ok(points.into_iter().map(|p: VectorPoint| Point { labels: p.labels, value: p.sample.value }).collect())
    }
}

/// What a template may speak of.
pub(crate) fn data<'a>(
    labels: &'a Labels,
    value: f64,
    external_labels: &'a Labels,
    context: &'a Context,
) -> AlertData<'a> {
    AlertData { labels, value, external_labels, external_url: &context.options.external_url }
}
