//! What both sides' answers are reduced to, and when they agree.

use std::collections::BTreeSet;

use model::Timestamp;
use promql::{Answer, QueryError, Value};
use serde_json::Value as Json;

/// What a query gave.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Its kind and text.
    Error(String),
    Answer {
        /// `vector` and the like.
        kind: String,
        /// Sorted by labels unless the order is part of the answer.
        series: Vec<Series>,
        warnings: BTreeSet<String>,
        infos: BTreeSet<String>,
    },
}

/// Labels, as text, and samples.
pub(crate) type Series = (String, Vec<(Timestamp, f64)>);

/// How far two outcomes are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Distance {
    /// Every bit is the same.
    None,
    /// Numbers differ by no more than [`TOLERANCE`].
    Digits,
    /// Something else differs.
    Far,
}

/// Relative: last digits of the mathematical library's functions, and of sums whose order upstream's hash maps shuffle.
const TOLERANCE: f64 = 1e-12;

/// What an error says before it names two duplicates, and between them.
const NAMES_TWO: (&str, &str) = (" hand-side of the operation: [", "}, {");

/// More annotations than are listed are counted; which are listed is left to upstream's hash map.
const OMITTED: &str = " more ";

/// What 3.5.3 says to series of equal labels that never meet at a step. Where names are removed at the end, skep joins them,
/// as later releases do.
const SAME_LABELS: &str = "execution: vector cannot contain metrics with the same labelset";

/// A label of a byte that is no text, as an error shows it.
const LABEL_BYTE: &str = "=\"\\xff\"";

/// The peer panicked.
const PANICKED: &str = "bad_data: unexpected error";
/// What the peer says to a string or a range vector in parentheses whose value does not change.
const FIXED_IN_PARENTHESES: [&str; 2] =
    ["execution: unexpected result in StepInvariantExpr evaluation", "execution: unexpected number of samples"];

/// Why skep decides otherwise on purpose, where it does.
pub(crate) fn decided_otherwise(ours: &Outcome, theirs: &Outcome, delayed_name_removal: bool) -> Option<&'static str> {
    let Outcome::Error(theirs) = theirs else { return None };
    match ours {
        _ if theirs == PANICKED => Some("the peer panicked"),
        _ if FIXED_IN_PARENTHESES.iter().any(|start| theirs.starts_with(start)) => Some("fixed in parentheses"),
        Outcome::Answer { .. } if delayed_name_removal && theirs == SAME_LABELS => Some("equal labels at other steps"),
        _ => None,
    }
}

/// Functions and operators that turn a difference in the last digits into one of all.
const AMPLIFIERS: [&str; 12] =
    ["%", "cos(", "sin(", "tan(", "floor(", "ceil(", "round(", "==", "hour(", "minute(", "day_", "month("];
/// Functions and operators whose last digits are the mathematical library's.
const TRANSCENDENTAL: [&str; 17] = [
    "^", "atan2", "acos(", "acosh(", "asin(", "asinh(", "atan(", "atanh(", "cos(", "cosh(", "exp(", "ln(", "log10(",
    "log2(", "sin(", "sinh(", "tan(",
];

/// Numbers alone differ, and the query has a reason for it.
pub(crate) fn is_amplified(query: &str, ours: &Outcome, theirs: &Outcome) -> bool {
    let (Outcome::Answer { series: a, .. }, Outcome::Answer { series: b, .. }) = (ours, theirs) else {
        return false;
    };
    let times = |series: &Series| series.1.iter().map(|(time, _)| *time).collect::<Vec<_>>();
    AMPLIFIERS.iter().any(|name| query.contains(name))
        && TRANSCENDENTAL.iter().any(|name| query.contains(name))
        && a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && times(a) == times(b))
}

pub(crate) fn of_error(e: &QueryError) -> Outcome {
    Outcome::Error(format!("{}: {e}", e.kind()))
}

/// Whatever was parsed, formatted.
pub(crate) fn of_text(text: &str) -> Outcome {
    let series = vec![(text.to_owned(), Vec::new())];
    Outcome::Answer { kind: "text".to_owned(), series, warnings: BTreeSet::new(), infos: BTreeSet::new() }
}

pub(crate) fn ours(outcome: Result<Answer, QueryError>, ordered: bool) -> Outcome {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(e) => return of_error(&e),
    };
    let own = |labels: &model::Labels| format!("{:?}", labels.iter().collect::<Vec<_>>());
    let (kind, mut series) = match &answer.value {
        Value::Scalar(sample) => ("scalar", vec![(String::new(), vec![(sample.timestamp, sample.value)])]),
        Value::String { text, timestamp } => ("string", vec![(text.clone(), vec![(*timestamp, 0.0)])]),
        Value::Vector(points) => {
            let series = |p: &promql::VectorPoint| (own(&p.labels), vec![(p.sample.timestamp, p.sample.value)]);
            ("vector", points.iter().map(series).collect())
        }
        Value::Matrix(matrix) => {
            let samples = |s: &promql::MatrixSeries| s.samples.iter().map(|s| (s.timestamp, s.value)).collect();
            ("matrix", matrix.iter().map(|s| (own(&s.labels), samples(s))).collect())
        }
    };
    sort(&mut series, ordered);
    let (warnings, infos) = (answer.warnings.into_iter().collect(), answer.infos.into_iter().collect());
    Outcome::Answer { kind: kind.to_owned(), series, warnings, infos }
}

pub(crate) fn theirs(json: &Json, ordered: bool) -> Outcome {
    if let Some(error) = json["error"].as_str() {
        // Labels of skep are texts, in which bytes that are none have a sign for it.
        let text =
            error.strip_prefix("invalid parameter \"query\": ").unwrap_or(error).replace(LABEL_BYTE, "=\"\u{fffd}\"");
        return Outcome::Error(format!("{}: {text}", json["errorType"].as_str().unwrap()));
    }
    let sample = |pair: &Json| {
        let time = (pair[0].as_f64().unwrap() * 1e3).round() as Timestamp;
        (time, pair[1].as_str().unwrap().parse::<f64>().unwrap())
    };
    let labels = |series: &Json| {
        let metric = series["metric"].as_object().unwrap();
        let mut labels: Vec<_> = metric.iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())).collect();
        labels.sort_unstable();
        format!("{labels:?}")
    };
    let kind = json["data"]["resultType"].as_str().unwrap();
    let result = &json["data"]["result"];
    let many = || result.as_array().unwrap().iter();
    let mut series: Vec<Series> = match kind {
        "scalar" => vec![(String::new(), vec![sample(result)])],
        "string" => {
            let time = (result[0].as_f64().unwrap() * 1e3).round() as Timestamp;
            vec![(result[1].as_str().unwrap().to_owned(), vec![(time, 0.0)])]
        }
        "vector" => many().map(|s| (labels(s), vec![sample(&s["value"])])).collect(),
        _ => many().map(|s| (labels(s), s["values"].as_array().unwrap().iter().map(sample).collect())).collect(),
    };
    sort(&mut series, ordered);
    let notes = |kind: &str| {
        let notes = json[kind].as_array().cloned().unwrap_or_default();
        notes.iter().map(|note| note.as_str().unwrap().to_owned()).collect()
    };
    Outcome::Answer { kind: kind.to_owned(), series, warnings: notes("warnings"), infos: notes("infos") }
}

fn sort(series: &mut [Series], ordered: bool) {
    if !ordered {
        series.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    }
}

/// How far apart two outcomes are.
pub(crate) fn distance(ours: &Outcome, theirs: &Outcome) -> Distance {
    match (ours, theirs) {
        (Outcome::Error(a), Outcome::Error(b)) if in_order(a) == in_order(b) => Distance::None,
        (
            Outcome::Answer { kind: k, series: a, warnings: w, infos: i },
            Outcome::Answer { kind: l, series: b, warnings: x, infos: j },
        ) => {
            if k != l || !same_notes(w, x) || !same_notes(i, j) || a.len() != b.len() {
                return Distance::Far;
            }
            a.iter().zip(b).map(|(a, b)| of_series(a, b)).max().unwrap_or(Distance::None)
        }
        _ => Distance::Far,
    }
}

/// An error with the two duplicates that it names in order: skep's stand in that of their labels.
fn in_order(error: &str) -> String {
    let Some((before, after)) = error.split_once(NAMES_TWO.0) else { return error.to_owned() };
    let (two, after) = after.split_once("}]").unwrap_or((after, ""));
    let mut two: Vec<&str> = two.trim_start_matches('{').split(NAMES_TWO.1).collect();
    two.sort_unstable();
    format!("{before}{two:?}{after}")
}

fn same_notes(a: &BTreeSet<String>, b: &BTreeSet<String>) -> bool {
    let omitted = |notes: &BTreeSet<String>| notes.iter().find(|note| note.contains(OMITTED)).cloned();
    match (omitted(a), omitted(b)) {
        (None, None) => a == b,
        (x, y) => x == y && a.len() == b.len(),
    }
}

fn of_series((a, x): &Series, (b, y): &Series) -> Distance {
    if a != b || x.len() != y.len() {
        return Distance::Far;
    }
    let of = |((s, x), (t, y)): (&(Timestamp, f64), &(Timestamp, f64))| match (x, y) {
        _ if s != t => Distance::Far,
        _ if x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan() => Distance::None,
        _ if (x - y).abs() <= TOLERANCE * x.abs().max(y.abs()) => Distance::Digits,
        _ => Distance::Far,
    };
    x.iter().zip(y).map(of).max().unwrap_or(Distance::None)
}

/// Shows where two outcomes differ.
pub(crate) fn show(ours: &Outcome, theirs: &Outcome) {
    match (ours, theirs) {
        (
            Outcome::Answer { kind: k, series: a, warnings: w, infos: i },
            Outcome::Answer { kind: l, series: b, warnings: x, infos: j },
        ) => {
            if k != l {
                println!("  kind: ours {k}, theirs {l}");
            }
            if a.len() == b.len() && a.iter().all(|s| b.iter().any(|o| of_series(s, o) != Distance::Far)) {
                println!("  order: ours {:.500}\n  theirs {:.500}", format!("{a:?}"), format!("{b:?}"));
            }
            for (side, own, others) in [("ours  ", a, b), ("theirs", b, a)] {
                let alone = own.iter().filter(|s| !others.iter().any(|o| of_series(s, o) != Distance::Far));
                alone.take(2).for_each(|series| println!("  {side} {:.500}", format!("{series:?}")));
            }
            for (kind, ours, theirs) in [("warnings", w, x), ("infos", i, j)] {
                if ours != theirs {
                    println!("  {kind}: ours {ours:?}, theirs {theirs:?}");
                }
            }
        }
        _ => println!("  ours   {:.400}\n  theirs {:.400}", format!("{ours:?}"), format!("{theirs:?}")),
    }
}
