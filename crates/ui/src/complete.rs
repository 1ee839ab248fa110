//! `/ui/complete`: what the expression box offers.
//!
//! Parameters: `what` is `metrics` (with functions), `labels` or `values`; `metric` and `label` narrow the latter two;
//! `text` is what was typed of the word. The answer is a JSON list of `{text, kind, help}`, best first; the kind of a metric is
//! its type.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::{Hints, METRIC_NAME, Matcher, MetricKind, Selection, StorageError, Timestamp};
use serde::Serialize;

use crate::Ui;
use crate::ask::Asker;
use crate::params::Params;

/// Offers of one answer: what fits a list that a person reads.
const OFFERS_MAX: usize = 40;
/// How far back names are looked for: a day holds what is collected now, and stays out of old blocks.
const LOOK_BACK_MS: i64 = 24 * 3_600_000;

const AGGREGATION: &str = "aggregation";
const FUNCTION: &str = "function";
const KEYWORD: &str = "keyword";

/// Aggregations, functions and keywords, with what they take.
const WORDS: &[(&str, &str, &str)] = &[
    ("sum", AGGREGATION, "sum by (label) (vector)"),
    ("avg", AGGREGATION, "avg by (label) (vector)"),
    ("min", AGGREGATION, "min by (label) (vector)"),
    ("max", AGGREGATION, "max by (label) (vector)"),
    ("count", AGGREGATION, "count by (label) (vector)"),
    ("group", AGGREGATION, "group by (label) (vector): 1 for each group"),
    ("stddev", AGGREGATION, "stddev by (label) (vector)"),
    ("stdvar", AGGREGATION, "stdvar by (label) (vector)"),
    ("topk", AGGREGATION, "topk(k, vector): the k largest"),
    ("bottomk", AGGREGATION, "bottomk(k, vector): the k smallest"),
    ("quantile", AGGREGATION, "quantile(0.9, vector)"),
    ("count_values", AGGREGATION, "count_values(\"label\", vector)"),
    ("rate", FUNCTION, "rate(counter[5m]): increase a second"),
    ("irate", FUNCTION, "irate(counter[5m]): of the last two samples"),
    ("increase", FUNCTION, "increase(counter[1h])"),
    ("delta", FUNCTION, "delta(gauge[1h])"),
    ("idelta", FUNCTION, "idelta(gauge[5m]): of the last two samples"),
    ("deriv", FUNCTION, "deriv(gauge[1h]): slope a second"),
    ("predict_linear", FUNCTION, "predict_linear(gauge[1h], seconds)"),
    ("changes", FUNCTION, "changes(gauge[1h])"),
    ("resets", FUNCTION, "resets(counter[1h])"),
    ("histogram_quantile", FUNCTION, "histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))"),
    ("histogram_fraction", FUNCTION, "histogram_fraction(0, 0.2, rate(histogram[5m])): part between two bounds"),
    ("histogram_avg", FUNCTION, "histogram_avg(rate(histogram[5m]))"),
    ("histogram_count", FUNCTION, "histogram_count(rate(histogram[5m]))"),
    ("histogram_sum", FUNCTION, "histogram_sum(rate(histogram[5m]))"),
    ("histogram_stddev", FUNCTION, "histogram_stddev(rate(histogram[5m]))"),
    ("histogram_stdvar", FUNCTION, "histogram_stdvar(rate(histogram[5m]))"),
    ("avg_over_time", FUNCTION, "avg_over_time(gauge[1h])"),
    ("min_over_time", FUNCTION, "min_over_time(gauge[1h])"),
    ("max_over_time", FUNCTION, "max_over_time(gauge[1h])"),
    ("sum_over_time", FUNCTION, "sum_over_time(gauge[1h])"),
    ("count_over_time", FUNCTION, "count_over_time(series[1h])"),
    ("quantile_over_time", FUNCTION, "quantile_over_time(0.9, gauge[1h])"),
    ("stddev_over_time", FUNCTION, "stddev_over_time(gauge[1h])"),
    ("stdvar_over_time", FUNCTION, "stdvar_over_time(gauge[1h])"),
    ("last_over_time", FUNCTION, "last_over_time(series[1h])"),
    ("present_over_time", FUNCTION, "present_over_time(series[1h])"),
    ("absent_over_time", FUNCTION, "absent_over_time(series[1h])"),
    ("absent", FUNCTION, "absent(vector): 1 if there is none"),
    ("abs", FUNCTION, "abs(vector)"),
    ("ceil", FUNCTION, "ceil(vector)"),
    ("floor", FUNCTION, "floor(vector)"),
    ("round", FUNCTION, "round(vector, to)"),
    ("clamp", FUNCTION, "clamp(vector, min, max)"),
    ("clamp_min", FUNCTION, "clamp_min(vector, min)"),
    ("clamp_max", FUNCTION, "clamp_max(vector, max)"),
    ("exp", FUNCTION, "exp(vector)"),
    ("ln", FUNCTION, "ln(vector)"),
    ("log2", FUNCTION, "log2(vector)"),
    ("log10", FUNCTION, "log10(vector)"),
    ("sqrt", FUNCTION, "sqrt(vector)"),
    ("sgn", FUNCTION, "sgn(vector): -1, 0 or 1"),
    ("label_replace", FUNCTION, "label_replace(vector, \"dst\", \"$1\", \"src\", \"regex\")"),
    ("label_join", FUNCTION, "label_join(vector, \"dst\", \"-\", \"a\", \"b\")"),
    ("sort", FUNCTION, "sort(vector)"),
    ("sort_desc", FUNCTION, "sort_desc(vector)"),
    ("scalar", FUNCTION, "scalar(vector of one)"),
    ("vector", FUNCTION, "vector(number)"),
    ("time", FUNCTION, "time(): seconds since 1970"),
    ("timestamp", FUNCTION, "timestamp(vector): when its samples were taken"),
    ("minute", FUNCTION, "minute(): 0 to 59, in UTC"),
    ("hour", FUNCTION, "hour(): 0 to 23, in UTC"),
    ("day_of_week", FUNCTION, "day_of_week(): 0 is Sunday"),
    ("day_of_month", FUNCTION, "day_of_month(): 1 to 31"),
    ("day_of_year", FUNCTION, "day_of_year(): 1 to 366"),
    ("days_in_month", FUNCTION, "days_in_month(): 28 to 31"),
    ("month", FUNCTION, "month(): 1 to 12"),
    ("year", FUNCTION, "year()"),
    ("pi", FUNCTION, "pi()"),
    ("deg", FUNCTION, "deg(vector): radians to degrees"),
    ("rad", FUNCTION, "rad(vector): degrees to radians"),
    ("sin", FUNCTION, "sin(vector)"),
    ("cos", FUNCTION, "cos(vector)"),
    ("tan", FUNCTION, "tan(vector)"),
    ("asin", FUNCTION, "asin(vector)"),
    ("acos", FUNCTION, "acos(vector)"),
    ("atan", FUNCTION, "atan(vector)"),
    ("sinh", FUNCTION, "sinh(vector)"),
    ("cosh", FUNCTION, "cosh(vector)"),
    ("tanh", FUNCTION, "tanh(vector)"),
    ("asinh", FUNCTION, "asinh(vector)"),
    ("acosh", FUNCTION, "acosh(vector)"),
    ("atanh", FUNCTION, "atanh(vector)"),
    ("by", KEYWORD, "keep these labels: sum by (job) (...)"),
    ("without", KEYWORD, "drop these labels: sum without (cpu) (...)"),
    ("on", KEYWORD, "match on these labels"),
    ("ignoring", KEYWORD, "match on all but these labels"),
    ("group_left", KEYWORD, "many on the left side"),
    ("group_right", KEYWORD, "many on the right side"),
    ("offset", KEYWORD, "look back: x offset 1d"),
    ("unless", KEYWORD, "left side where the right has none"),
    ("and", KEYWORD, "left side where the right has one"),
    ("or", KEYWORD, "both sides"),
    ("bool", KEYWORD, "compare to 0 or 1"),
    ("atan2", KEYWORD, "angle of two sides: y atan2 x"),
];

#[derive(Serialize)]
struct Offer {
    text: String,
    kind: &'static str,
    help: String,
}

/// The handler.
pub(crate) async fn answer(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    match ui.ask(move |asker| offers(asker, &params, now)).await {
        Ok(Ok(offers)) => ([(header::CACHE_CONTROL, "no-store")], Json(offers)).into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "names for completion could not be read");
            Json(Vec::<Offer>::new()).into_response()
        }
        Err(problem) => (problem.status, problem.detail).into_response(),
    }
}

fn offers(asker: &Asker, params: &Params, now: Timestamp) -> Result<Vec<Offer>, StorageError> {
    let matchers: Vec<_> = params.get("metric").map(|name| Matcher::equal(METRIC_NAME, name)).into_iter().collect();
    let hints = Hints { labels_only: true, ..Hints::default() };
    let selection = Selection { matchers: &matchers, min_time: now.saturating_sub(LOOK_BACK_MS), max_time: now, hints };
    let storage = asker.storage();
    let text = params.get("text").unwrap_or_default();
    match (params.get("what"), params.get("label")) {
        (Some("labels"), _) => {
            let names = storage.label_names(&selection)?.into_iter().filter(|name| name != METRIC_NAME);
            Ok(best(names, text).map(|name| Offer { text: name, kind: "label", help: String::new() }).collect())
        }
        (Some("values"), Some(label)) => {
            let values = storage.label_values(label, &selection)?;
            Ok(best(values, text).map(|value| Offer { text: value, kind: "value", help: String::new() }).collect())
        }
        _ => metrics(asker, &selection, text),
    }
}

fn metrics(asker: &Asker, selection: &Selection<'_>, text: &str) -> Result<Vec<Offer>, StorageError> {
    let words = WORDS.iter().filter(|(word, ..)| !text.is_empty() && word.starts_with(text));
    let words = words.map(|(word, kind, help)| Offer { text: (*word).to_owned(), kind, help: (*help).to_owned() });
    let names = asker.storage().label_values(METRIC_NAME, selection)?;
    let metrics = best(names, text).map(|name| {
        let (kind, help) = described(asker, &name);
        Offer { kind: word_of(kind), help, text: name }
    });
    Ok(words.chain(metrics).take(OFFERS_MAX).collect())
}

/// Type and help of a metric; those of its family where it is a part of one.
fn described(asker: &Asker, name: &str) -> (MetricKind, String) {
    let family = ["_bucket", "_count", "_sum", "_total"].iter().find_map(|suffix| name.strip_suffix(suffix));
    [Some(name), family]
        .into_iter()
        .flatten()
        .find_map(|name| asker.storage().metadata(Some(name)).into_iter().next())
        .map_or_else(Default::default, |(_, metadata)| (metadata.kind, metadata.help.to_string()))
}

/// The word of a type; `metric` where it is not said.
fn word_of(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Unknown => "metric",
        kind => kind.as_str(),
    }
}

/// Names that contain the text, those that begin with it first.
fn best(names: impl IntoIterator<Item = String>, text: &str) -> impl Iterator<Item = String> {
    let lower = text.to_lowercase();
    let matching = names.into_iter().filter(|name| name.to_lowercase().contains(&lower));
    let (first, second): (Vec<_>, Vec<_>) = matching.partition(|name| name.to_lowercase().starts_with(&lower));
    first.into_iter().chain(second).take(OFFERS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        let names = || ["node_load1", "up", "process_up", "UPS"].map(str::to_owned);
        let cases = [
            ("up", vec!["up", "UPS", "process_up"]),
            ("", vec!["node_load1", "up", "process_up", "UPS"]),
            ("x", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(best(names(), text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn every_function_is_offered() {
        let offered = |name: &str| WORDS.iter().any(|(word, kind, _)| *word == name && *kind == FUNCTION);
        for function in promql::FUNCTIONS {
            // Those have to be switched on first.
            assert_eq!(offered(function.name), !function.experimental, "{}", function.name);
        }
        for (word, ..) in WORDS.iter().filter(|(_, kind, _)| *kind == FUNCTION) {
            assert!(promql::FUNCTIONS.iter().any(|function| function.name == *word), "{word} is no function");
        }
    }
}
