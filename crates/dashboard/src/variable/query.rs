//! Queries of variables: the five functions of Grafana's Prometheus data source, or a selector of series.

use std::fmt::Write as _;

use thiserror::Error;

/// What a variable asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableQuery {
    /// Values of a label, of the series that a selector finds, or of all.
    LabelValues {
        /// The selector.
        selector: Option<String>,
        /// The label.
        label: String,
    },
    /// Names of labels, of the series that a selector finds, or of all.
    LabelNames {
        /// The selector.
        selector: Option<String>,
    },
    /// Names of metrics that have this pattern in them.
    Metrics {
        /// Of JavaScript's dialect, found anywhere.
        pattern: String,
    },
    /// The answer to an expression, a value for each of its series, see [`ResultRow::text`].
    QueryResult {
        /// The expression.
        expr: String,
    },
    /// The series that a selector finds, as PromQL writes them.
    Series {
        /// The selector.
        selector: String,
    },
}

/// Why a text is no query of a variable.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VariableQueryError {
    /// Nothing is asked.
    #[error("the query is empty")]
    Empty,
    /// The last part of `label_values` is no label.
    #[error("label_values(selector, label): {0:?} is no name of a label")]
    Label(String),
    /// A function without its argument.
    #[error("{0} needs something between its parentheses")]
    Argument(&'static str),
}

impl VariableQuery {
    /// Reads a query, with its variables filled in or not.
    pub fn parse(text: &str) -> Result<Self, VariableQueryError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(VariableQueryError::Empty);
        }
        if let Some(inner) = call(text, "label_values") {
            return label_values(inner);
        }
        if let Some(inner) = call(text, "label_names") {
            let selector = (!inner.is_empty()).then(|| inner.to_owned());
            return Ok(Self::LabelNames { selector });
        }
        let needed = |inner: &str, name| {
            if inner.is_empty() { Err(VariableQueryError::Argument(name)) } else { Ok(inner.to_owned()) }
        };
        if let Some(inner) = call(text, "metrics") {
            return Ok(Self::Metrics { pattern: needed(inner, "metrics")? });
        }
        if let Some(inner) = call(text, "query_result") {
            return Ok(Self::QueryResult { expr: needed(inner, "query_result")? });
        }
        Ok(Self::Series { selector: text.to_owned() })
    }
}

/// What stands between the parentheses of a call of this name.
fn call<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')').map(str::trim)
}

/// The label is behind the last comma, since a selector may have commas of its own.
fn label_values(inner: &str) -> Result<VariableQuery, VariableQueryError> {
    let (selector, label) = match inner.rsplit_once(',') {
        Some((selector, label)) => (Some(selector.trim()), label.trim()),
        None => (None, inner),
    };
    let label = label.trim_matches('"');
    // A comma in a selector without a label behind it leaves a piece of the selector.
    if label.is_empty() || label.chars().any(|char| "{}=~!()\" \n".contains(char) && !label.starts_with('$')) {
        return Err(VariableQueryError::Label(label.to_owned()));
    }
    let selector = selector.filter(|selector| !selector.is_empty() && *selector != "{}").map(str::to_owned);
    Ok(VariableQuery::LabelValues { selector, label: label.to_owned() })
}

/// A series of an answer to `query_result`.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// Its labels in their order, the name among them.
    pub labels: Vec<(String, String)>,
    /// Its value as the API writes it.
    pub value: String,
    /// Its time in milliseconds since 1970.
    pub time_ms: i64,
}

impl ResultRow {
    /// `name{label="value"} 1 1700000000000`: what a variable's regex then cuts the values from.
    pub fn text(&self) -> String {
        let name = self.labels.iter().find(|(label, _)| label == "__name__").map_or("", |(_, name)| name);
        let mut text = format!("{name}{{");
        for (at, (label, value)) in self.labels.iter().filter(|(label, _)| label != "__name__").enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{label}=\"{value}\"");
        }
        let _ = write!(text, "}} {} {}", self.value, self.time_ms);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let values = |selector: &str, label: &str| {
            let selector = (!selector.is_empty()).then(|| selector.to_owned());
            Ok(VariableQuery::LabelValues { selector, label: label.to_owned() })
        };
        let check = |text: &str, expected: Result<VariableQuery, VariableQueryError>| {
            assert_eq!(VariableQuery::parse(text), expected, "{text}");
        };
        check("label_values(pod)", values("", "pod"));
        check("label_values(cilium_version, pod)", values("cilium_version", "pod"));
        check(" label_values( up{a=\"x,y\",b=~\"$z\"} ,pod ) ", values("up{a=\"x,y\",b=~\"$z\"}", "pod"));
        check("label_values(up, $label)", values("up", "$label"));
        check("label_values(up, ${label})", values("up", "${label}"));
        check("label_values({}, pod)", values("", "pod"));
        check("label_values({__name__=~\"a|b\"},k8s.pod)", values("{__name__=~\"a|b\"}", "k8s.pod"));
        check("label_values(up{a=\"b\",c=\"d\"})", Err(VariableQueryError::Label("c=\"d\"}".to_owned())));
        check("label_values()", Err(VariableQueryError::Label(String::new())));
        check("label_names()", Ok(VariableQuery::LabelNames { selector: None }));
        check("label_names(up)", Ok(VariableQuery::LabelNames { selector: Some("up".to_owned()) }));
        check("metrics(node_.*)", Ok(VariableQuery::Metrics { pattern: "node_.*".to_owned() }));
        check("metrics()", Err(VariableQueryError::Argument("metrics")));
        check("query_result(topk(5, up))", Ok(VariableQuery::QueryResult { expr: "topk(5, up)".to_owned() }));
        check("up{a=\"b\"}", Ok(VariableQuery::Series { selector: "up{a=\"b\"}".to_owned() }));
        check("", Err(VariableQueryError::Empty));
    }

    #[test]
    fn rows_have_a_text() {
        let labels = [("__name__", "up"), ("a", "b"), ("c", "d")];
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let row = ResultRow { labels, value: "1.5".to_owned(), time_ms: 1_700_000_000_000 };
        assert_eq!(row.text(), "up{a=\"b\",c=\"d\"} 1.5 1700000000000");
        let row = ResultRow { labels: Vec::new(), value: "3".to_owned(), time_ms: 1_000 };
        assert_eq!(row.text(), "{} 3 1000");
    }
}
