//! The same data and the same expressions in this engine and in a real Prometheus: values bit by bit, labels, errors and
//! annotations. `SKEP_PEERS=FOLDER cargo test -p promql --test peer -- --nocapture` shows the differences;
//! `SKEP_RANDOM_EXPRESSIONS` and `SKEP_RANDOM_TEXTS` say how many random ones are tried, `SKEP_RANDOM_SEED` which.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may stop at the first surprise")]

mod data;
mod expressions;
mod random;
mod server;

use std::collections::BTreeSet;
use std::env;
use std::time::Duration;

use model::Timestamp;
use promql::script::MemoryStore;
use promql::{Answer, Engine, EngineOptions, QueryError, QueryLimits, Range, Value};
use serde_json::Value as Json;

use data::{BASE, STEP, series};
use expressions::{FORMATTED, MISTAKES, expressions};
use server::Server;

/// What both sides are reduced to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Error(String),
    /// Lines of labels and values, sorted unless the order is part of the answer; notes.
    Answer(Vec<String>, BTreeSet<String>),
}

/// Functions and operators whose last digits are the mathematical library's, not the engine's: `sin`, `^`, ...
const TRANSCENDENTAL: [&str; 18] = [
    "^", "atan2", "acos(", "acosh(", "asin(", "asinh(", "atan(", "atanh(", "cos(", "cosh(", "exp(", "ln(", "log10(",
    "log2(", "sin(", "sinh(", "tan(", "tanh(",
];

/// How a query's answers are compared.
#[derive(Clone, Copy, Debug)]
struct Precision {
    /// Whether the order of series is part of the answer.
    ordered: bool,
    /// Whether only 11 digits count.
    rounded: bool,
}

impl Precision {
    fn of(query: &str) -> Self {
        // Deviations and means depend on the order of series, which upstream's hash maps shuffle.
        let rounded = TRANSCENDENTAL.iter().chain(&["stddev", "stdvar", "avg"]).any(|name| query.contains(name));
        Self { ordered: query.starts_with("sort"), rounded }
    }

    /// Numbers are written with the shortest digits that read back the same bits, or rounded.
    fn number(self, value: f64) -> String {
        if value.is_nan() {
            "NaN".to_owned()
        } else if self.rounded {
            format!("{value:.10e}")
        } else {
            format!("{value:e}")
        }
    }
}

fn line(precision: Precision, labels: &[(String, String)], samples: &[(Timestamp, f64)]) -> String {
    let labels: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    let samples: Vec<String> = samples.iter().map(|(t, v)| format!("{}@{t}", precision.number(*v))).collect();
    format!("{{{}}} {}", labels.join(","), samples.join(" "))
}

fn ours(outcome: Result<Answer, QueryError>, precision: Precision) -> Outcome {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(e) => return Outcome::Error(e.to_string()),
    };
    let own = |labels: &model::Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect::<Vec<_>>();
    let mut lines: Vec<String> = match &answer.value {
        Value::Scalar(sample) => vec![line(precision, &[], &[(sample.timestamp, sample.value)])],
        Value::String { text, .. } => vec![text.clone()],
        Value::Vector(points) => {
            points.iter().map(|p| line(precision, &own(&p.labels), &[(p.sample.timestamp, p.sample.value)])).collect()
        }
        Value::Matrix(series) => series
            .iter()
            .map(|s| {
                let samples: Vec<_> = s.samples.iter().map(|sample| (sample.timestamp, sample.value)).collect();
                line(precision, &own(&s.labels), &samples)
            })
            .collect(),
    };
    if !precision.ordered {
        lines.sort();
    }
    Outcome::Answer(lines, answer.warnings.into_iter().chain(answer.infos).collect())
}

fn theirs(json: &Json, precision: Precision) -> Outcome {
    if let Some(error) = json["error"].as_str() {
        return Outcome::Error(error.strip_prefix("invalid parameter \"query\": ").unwrap_or(error).to_owned());
    }
    let sample = |pair: &Json| {
        let time = (pair[0].as_f64().unwrap() * 1e3).round() as Timestamp;
        (time, pair[1].as_str().unwrap().parse::<f64>().unwrap())
    };
    let labels = |series: &Json| {
        let metric = series["metric"].as_object().unwrap();
        let mut labels: Vec<_> = metric.iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect();
        labels.sort();
        labels
    };
    let result = &json["data"]["result"];
    let mut lines: Vec<String> = match json["data"]["resultType"].as_str().unwrap() {
        "scalar" => vec![line(precision, &[], &[sample(result)])],
        "string" => vec![result[1].as_str().unwrap().to_owned()],
        "vector" => {
            result.as_array().unwrap().iter().map(|s| line(precision, &labels(s), &[sample(&s["value"])])).collect()
        }
        _ => {
            let samples = |s: &Json| s["values"].as_array().unwrap().iter().map(sample).collect::<Vec<_>>();
            result.as_array().unwrap().iter().map(|s| line(precision, &labels(s), &samples(s))).collect()
        }
    };
    if !precision.ordered {
        lines.sort();
    }
    let notes = ["warnings", "infos"].iter().flat_map(|kind| json[kind].as_array().cloned().unwrap_or_default());
    Outcome::Answer(lines, notes.map(|note| note.as_str().unwrap().to_owned()).collect())
}

#[test]
fn same_as_the_peer() {
    check("", false, &expressions());
}

#[test]
fn same_as_the_peer_with_names_removed_at_the_end() {
    check("promql-delayed-name-removal", true, &expressions());
}

#[test]
fn same_as_the_peer_on_random_expressions() {
    check(
        "",
        false,
        &random::expressions(from_env("SKEP_RANDOM_EXPRESSIONS", 2000), from_env("SKEP_RANDOM_SEED", 7) as u64),
    );
}

fn from_env(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |number| number.parse().expect("a number"))
}

fn check(features: &str, delayed_name_removal: bool, expressions: &[String]) {
    let Some(server) = Server::start(features) else { return };
    let data = series();
    server.write(&data);
    let mut store = MemoryStore::default();
    data.iter().for_each(|(labels, samples)| store.append(labels, samples.iter().copied()));
    let options = EngineOptions { experimental_functions: true, delayed_name_removal, ..EngineOptions::default() };
    let engine = Engine::new(options);
    let limits = QueryLimits::default();
    let (mut compared, mut different) = (0, 0);
    for query in expressions {
        let precision = Precision::of(query);
        for at in [BASE + 20 * STEP, BASE + 60 * STEP + 1234, BASE + 119 * STEP] {
            let our = ours(engine.instant(&store, query, at, &limits), precision);
            let their = theirs(&server.instant(query, at), precision);
            different += usize::from(!report(query, &format!("at {at}"), &our, &their, delayed_name_removal));
            compared += 1;
        }
        let range = Range { start: BASE - STEP, end: BASE + 120 * STEP, step: Duration::from_millis(47_000) };
        let our = ours(engine.range(&store, query, range, &limits), Precision { ordered: false, ..precision });
        let their = theirs(&server.range(query, &range), Precision { ordered: false, ..precision });
        different += usize::from(!report(query, "as a range", &our, &their, delayed_name_removal));
        compared += 1;
    }
    println!("{} expressions, {compared} answers compared, {different} different", expressions.len());
    assert_eq!(different, 0);
}

#[test]
fn same_syntax_as_the_peer() {
    let Some(server) = Server::start("") else { return };
    let texts: Vec<String> = MISTAKES.iter().chain(FORMATTED).map(|text| (*text).to_owned()).collect();
    check_syntax(&server, &texts);
}

#[test]
fn same_syntax_as_the_peer_on_random_texts() {
    let Some(server) = Server::start("") else { return };
    check_syntax(&server, &random::texts(from_env("SKEP_RANDOM_TEXTS", 3000), from_env("SKEP_RANDOM_SEED", 7) as u64));
}

#[test]
fn same_patterns_as_the_peer() {
    let (count, seed) = (from_env("SKEP_RANDOM_TEXTS", 3000), from_env("SKEP_RANDOM_SEED", 7) as u64);
    let Some(server) = Server::start("") else { return };
    check_syntax(&server, &random::selectors(count, seed));
    let engine = Engine::new(EngineOptions::default());
    let store = MemoryStore::default();
    let mut different = 0;
    let queries = random::matches(count, seed);
    for query in &queries {
        let precision = Precision::of("");
        let our = ours(engine.instant(&store, query, BASE, &QueryLimits::default()), precision);
        let their = theirs(&server.instant(query, BASE), precision);
        different += usize::from(!report(query, "", &our, &their, false));
    }
    println!("{} patterns matched, {different} different", queries.len());
    assert_eq!(different, 0);
}

fn check_syntax(server: &Server, texts: &[String]) {
    let mut different = 0;
    for text in texts {
        let our = promql::parse(text).map_or_else(|e| Outcome::Error(e.to_string()), |e| formatted(&e.to_string()));
        let json = server.format(text);
        let their = match json["data"].as_str() {
            Some(text) => formatted(text),
            None => theirs(&json, Precision::of("")),
        };
        different += usize::from(!report(text, "formatted", &our, &their, false));
    }
    println!("{} texts parsed, {different} different", texts.len());
    assert_eq!(different, 0);
}

fn formatted(text: &str) -> Outcome {
    Outcome::Answer(vec![text.to_owned()], BTreeSet::new())
}

/// Errors that name two of several duplicates: which two depends on the order of series, too.
const NAMES_DUPLICATES: &str = "found duplicate series for the match group";
/// Many-to-one matches: 3.5.3 overlooks those that a comparison filters away; later releases and skep do not.
const MANY_TO_ONE: &str = "multiple matches for labels:";

/// What 3.5.3 says to series of equal labels that never meet at a step. Where names are removed at the end, skep joins them,
/// as later releases do.
const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

fn same(ours: &Outcome, theirs: &Outcome, merges: bool) -> bool {
    match (ours, theirs) {
        (Outcome::Error(ours), Outcome::Error(theirs)) if ours.starts_with(NAMES_DUPLICATES) => {
            theirs.starts_with(NAMES_DUPLICATES)
        }
        (Outcome::Error(ours), Outcome::Answer(..)) => ours.starts_with(MANY_TO_ONE),
        (Outcome::Answer(..), Outcome::Error(theirs)) => merges && theirs == SAME_LABELS,
        _ => ours == theirs,
    }
}

fn report(query: &str, when: &str, ours: &Outcome, theirs: &Outcome, merges: bool) -> bool {
    if same(ours, theirs, merges) {
        return true;
    }
    println!("DIFFERENT {query} {when}");
    match (ours, theirs) {
        (Outcome::Answer(a, x), Outcome::Answer(b, y)) => {
            for (side, lines, others) in [("ours  ", a, b), ("theirs", b, a)] {
                for line in lines.iter().filter(|line| !others.contains(line)).take(2) {
                    println!("  {side} {}", line.chars().take(400).collect::<String>());
                }
            }
            if x != y {
                println!("  notes: ours {x:?}, theirs {y:?}");
            }
        }
        _ => println!("  ours   {ours:.300?}\n  theirs {theirs:.300?}"),
    }
    false
}
