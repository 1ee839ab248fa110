//! `/ui/complete`: what the expression box offers.
//!
//! Parameters: `what` is `metrics` (with functions), `labels` or `values`; `metric` and `label` narrow the latter two;
//! `text` is what was typed of the word. The answer is a JSON list of `{text, kind, help}`, best first.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::{Hints, METRIC_NAME, Matcher, Selection, StorageError, Timestamp};
use serde::Serialize;

use crate::Ui;
use crate::ask::Asker;
use crate::params::Params;

/// Offers of one answer: what fits a list that a person reads.
const OFFERS_MAX: usize = 40;
/// How far back names are looked for: a day holds what is collected now, and stays out of old blocks.
const LOOK_BACK_MS: i64 = 24 * 3_600_000;

/// Keywords, aggregations and functions, with what they take.
const WORDS: &[(&str, &str)] = &[
    ("sum", "aggregation: sum by (label) (vector)"),
    ("avg", "aggregation: avg by (label) (vector)"),
    ("min", "aggregation: min by (label) (vector)"),
    ("max", "aggregation: max by (label) (vector)"),
    ("count", "aggregation: count by (label) (vector)"),
    ("group", "aggregation: group by (label) (vector)"),
    ("stddev", "aggregation: stddev by (label) (vector)"),
    ("stdvar", "aggregation: stdvar by (label) (vector)"),
    ("topk", "aggregation: topk(k, vector)"),
    ("bottomk", "aggregation: bottomk(k, vector)"),
    ("quantile", "aggregation: quantile(0.9, vector)"),
    ("count_values", "aggregation: count_values(\"label\", vector)"),
    ("rate", "rate(counter[5m]): increase a second"),
    ("irate", "irate(counter[5m]): of the last two samples"),
    ("increase", "increase(counter[1h])"),
    ("delta", "delta(gauge[1h])"),
    ("idelta", "idelta(gauge[5m])"),
    ("deriv", "deriv(gauge[1h]): slope a second"),
    ("predict_linear", "predict_linear(gauge[1h], seconds)"),
    ("changes", "changes(gauge[1h])"),
    ("resets", "resets(counter[1h])"),
    ("histogram_quantile", "histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))"),
    ("avg_over_time", "avg_over_time(gauge[1h])"),
    ("min_over_time", "min_over_time(gauge[1h])"),
    ("max_over_time", "max_over_time(gauge[1h])"),
    ("sum_over_time", "sum_over_time(gauge[1h])"),
    ("count_over_time", "count_over_time(series[1h])"),
    ("quantile_over_time", "quantile_over_time(0.9, gauge[1h])"),
    ("stddev_over_time", "stddev_over_time(gauge[1h])"),
    ("stdvar_over_time", "stdvar_over_time(gauge[1h])"),
    ("last_over_time", "last_over_time(series[1h])"),
    ("present_over_time", "present_over_time(series[1h])"),
    ("absent_over_time", "absent_over_time(series[1h])"),
    ("absent", "absent(vector): 1 if there is none"),
    ("abs", "abs(vector)"),
    ("ceil", "ceil(vector)"),
    ("floor", "floor(vector)"),
    ("round", "round(vector, to)"),
    ("clamp", "clamp(vector, min, max)"),
    ("clamp_min", "clamp_min(vector, min)"),
    ("clamp_max", "clamp_max(vector, max)"),
    ("exp", "exp(vector)"),
    ("ln", "ln(vector)"),
    ("log2", "log2(vector)"),
    ("log10", "log10(vector)"),
    ("sqrt", "sqrt(vector)"),
    ("sgn", "sgn(vector)"),
    ("label_replace", "label_replace(vector, \"dst\", \"$1\", \"src\", \"regex\")"),
    ("label_join", "label_join(vector, \"dst\", \"-\", \"a\", \"b\")"),
    ("sort", "sort(vector)"),
    ("sort_desc", "sort_desc(vector)"),
    ("scalar", "scalar(vector of one)"),
    ("vector", "vector(number)"),
    ("time", "time(): seconds since 1970"),
    ("timestamp", "timestamp(vector)"),
    ("by", "keep these labels: sum by (job) (...)"),
    ("without", "drop these labels: sum without (cpu) (...)"),
    ("on", "match on these labels"),
    ("ignoring", "match on all but these labels"),
    ("group_left", "many on the left side"),
    ("group_right", "many on the right side"),
    ("offset", "look back: x offset 1d"),
    ("unless", "left side where the right has none"),
    ("and", "left side where the right has one"),
    ("or", "both sides"),
    ("bool", "compare to 0 or 1"),
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
    let words = WORDS.iter().filter(|(word, _)| !text.is_empty() && word.starts_with(text));
    let words =
        words.map(|(word, help)| Offer { text: (*word).to_owned(), kind: "function", help: (*help).to_owned() });
    let names = asker.storage().label_values(METRIC_NAME, selection)?;
    let metrics = best(names, text).map(|name| {
        let help = asker.storage().metadata(Some(&name)).into_iter().next().map(|(_, metadata)| metadata.help);
        Offer { text: name, kind: "metric", help: help.unwrap_or_default().to_string() }
    });
    Ok(words.chain(metrics).take(OFFERS_MAX).collect())
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
    fn every_function_is_known_to_the_engine() {
        for (word, help) in WORDS.iter().filter(|(_, help)| !help.contains("aggregation") && help.contains('(')) {
            if let Err(error) = promql::parse(&format!("{word}()")) {
                assert!(!error.message.contains("unknown function"), "{word} ({help}): {error}");
            }
        }
    }
}
