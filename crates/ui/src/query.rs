//! The query page: expressions, their values as a table or a chart, or how they are computed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::{Sample, Timestamp};
use promql::{Answer, QueryError, Value};

use crate::Ui;
use crate::ask::Asker;
use crate::chart::Grid;
use crate::data::{EXPRESSIONS_MAX, with_intervals};
use crate::explain::{Explanation, explain};
use crate::format::{When, exact, series_name, took};
use crate::overview::Chart;
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::range::{TimeRange, seconds};
use crate::shelf::see_other;
use crate::upstream;

/// Rows of a table; a browser stays quick and the page under a megabyte.
const ROWS_MAX: usize = 1000;
/// Samples listed of a series of a range vector, the newest ones.
const SAMPLES_OF_ROW_MAX: usize = 20;
/// Points of the picture inside the page.
const PICTURE_POINTS: usize = 120;

#[derive(Template)]
#[template(path = "query.html")]
struct Page {
    shell: Shell,
    /// The boxes: what was typed, one empty box if nothing was.
    boxes: Vec<String>,
    tab: Tab,
    /// The same page with the table instead of the chart.
    table_link: String,
    at: When,
    results: Vec<Table>,
    plans: Vec<Explanation>,
    chart: Option<Chart>,
    /// Parameters of `/ui/data` for the chart's script.
    data_query: String,
    problem: Option<Broken>,
    examples: Vec<(&'static str, &'static str, String)>,
}

/// The answer to one expression at one time.
struct Table {
    expr: String,
    kind: &'static str,
    rows: Vec<Row>,
    total: usize,
    took: String,
    warnings: Vec<String>,
    infos: Vec<String>,
}

struct Row {
    /// Without braces and quotes: name, then pairs.
    name: String,
    labels: Vec<(String, String)>,
    text: String,
    values: Vec<String>,
    hidden: usize,
}

/// An expression without an answer, split where the error is.
struct Broken {
    before: String,
    at: String,
    after: String,
    message: String,
    hint: &'static str,
}

/// What is shown of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tab {
    Chart,
    Table,
    Explain,
}

struct Asked {
    results: Vec<Table>,
    plans: Vec<Explanation>,
    chart: Option<Chart>,
    problem: Option<Broken>,
}

const EXAMPLES: [(&str, &str); 5] = [
    ("Which targets are up", "up"),
    ("CPU by mode", r#"sum by (mode) (rate(node_cpu_seconds_total[5m]))"#),
    ("Memory available", "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"),
    ("Packets by protocol", "sum by (family, protocol) (rate(skep_xdp_packets_total[1m]))"),
    ("Metrics with most series", r#"topk(10, count by (__name__) ({__name__!=""}))"#),
];

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    if let Some(query) = upstream::translate(&params) {
        return see_other(&format!("{}/query?{query}", ui.state.config.prefix));
    }
    match build(&ui, &params).await {
        Ok(page) => respond(StatusCode::OK, &headers, page.render()),
        Err(problem) => problem.respond(&ui, &headers),
    }
}

async fn build(ui: &Ui, params: &Params) -> Result<Page, Problem> {
    let range = ui.range(params)?;
    let expressions: Vec<String> = params.all("expr").map(str::to_owned).collect();
    if expressions.len() > EXPRESSIONS_MAX {
        let detail = format!("{} were given, {EXPRESSIONS_MAX} are possible.", expressions.len());
        return Err(Problem::bad_request("Too many expressions", detail));
    }
    let tab = Tab::read(params);
    let asked = if expressions.is_empty() { Asked::nothing() } else { ask(ui, &expressions, tab, &range).await? };
    let shell = Shell::new(ui, params, "/query", "Query");
    let data_query = encode(expressions.iter().map(|expr| ("expr", expr.as_str())));
    Ok(Page {
        table_link: format!("{}/query?{data_query}&tab=table&{}", shell.prefix, range.query()),
        examples: EXAMPLES.iter().map(|(words, expr)| (*words, *expr, encode([("expr", *expr)]))).collect(),
        data_query,
        boxes: if expressions.is_empty() { vec![String::new()] } else { expressions },
        tab,
        at: When::new(range.end),
        results: asked.results,
        plans: asked.plans,
        chart: asked.chart,
        problem: asked.problem,
        shell,
    })
}

async fn ask(ui: &Ui, expressions: &[String], tab: Tab, range: &TimeRange) -> Result<Asked, Problem> {
    let interval = ui.state.config.interval;
    let expressions = expressions.to_vec();
    let grid = Grid::new(range.start, range.end, PICTURE_POINTS, interval);
    let at = range.end;
    ui.ask(move |asker| match tab {
        Tab::Chart => chart(asker, &expressions, grid, interval),
        Tab::Table => tables(asker, &expressions, at, grid, interval),
        Tab::Explain => plans(asker, &expressions, grid, interval),
    })
    .await
}

fn tables(asker: &Asker, expressions: &[String], at: Timestamp, grid: Grid, interval: Duration) -> Asked {
    let mut asked = Asked::nothing();
    for expr in expressions {
        let begun = Instant::now();
        match asker.instant(&with_intervals(expr, grid, interval), at) {
            Ok(answer) => asked.results.push(Table::new(expr, answer, begun.elapsed())),
            Err(error) => asked.problem = asked.problem.or_else(|| Some(Broken::new(expr, &error))),
        }
    }
    asked
}

fn plans(asker: &Asker, expressions: &[String], grid: Grid, interval: Duration) -> Asked {
    let mut asked = Asked::nothing();
    for expr in expressions {
        match explain(asker, expr, grid, interval) {
            Ok(plan) => asked.plans.push(plan),
            Err(error) => asked.problem = asked.problem.or_else(|| Some(Broken::new(expr, &error))),
        }
    }
    asked
}

fn chart(asker: &Asker, expressions: &[String], grid: Grid, interval: Duration) -> Asked {
    // A mistake is found by parsing alone, so that it is shown with its place and nothing is evaluated.
    for expr in expressions {
        if let Err(error) = promql::parse(&with_intervals(expr, grid, interval)) {
            return Asked { problem: Some(Broken::new(expr, &error.into())), ..Asked::nothing() };
        }
    }
    let words = ("Result", "No series match in this range: check the names, or choose another range.");
    let chart = Chart::of_expressions(words, asker, expressions, grid, interval);
    Asked { chart: Some(chart), ..Asked::nothing() }
}

impl Tab {
    fn read(params: &Params) -> Self {
        match params.get("tab") {
            Some("table") => Self::Table,
            Some("explain") => Self::Explain,
            _ => Self::Chart,
        }
    }
}

impl Asked {
    fn nothing() -> Self {
        Self { results: Vec::new(), plans: Vec::new(), chart: None, problem: None }
    }
}

impl Table {
    fn new(expr: &str, answer: Answer, elapsed: Duration) -> Self {
        let one = |text: String| Row {
            name: String::new(),
            labels: Vec::new(),
            text: String::new(),
            values: vec![text],
            hidden: 0,
        };
        let (kind, total, rows) = match answer.value {
            Value::Scalar(sample) => ("scalar", 1, vec![one(exact(sample.value))]),
            Value::String { text, .. } => ("string", 1, vec![one(text)]),
            Value::Vector(points) => {
                let rows = points.iter().take(ROWS_MAX).map(|p| Row::new(&p.labels, vec![exact(p.sample.value)], 0));
                ("instant vector", points.len(), rows.collect())
            }
            Value::Matrix(matrix) => {
                let rows = matrix.iter().take(ROWS_MAX).map(|series| {
                    let hidden = series.samples.len().saturating_sub(SAMPLES_OF_ROW_MAX);
                    Row::new(&series.labels, series.samples.iter().skip(hidden).map(timed).collect(), hidden)
                });
                ("range vector", matrix.len(), rows.collect())
            }
        };
        let (warnings, infos) = (answer.warnings, answer.infos);
        Self { expr: expr.to_owned(), kind, rows, total, took: took(elapsed), warnings, infos }
    }
}

fn timed(sample: Sample) -> String {
    format!("{} @ {} UTC", exact(sample.value), seconds(sample.timestamp))
}

impl Row {
    fn new(labels: &model::Labels, values: Vec<String>, hidden: usize) -> Self {
        let pairs = labels.without_name();
        Self {
            name: labels.metric_name().to_owned(),
            labels: pairs.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            text: series_name(labels),
            values,
            hidden,
        }
    }
}

impl Broken {
    fn new(expr: &str, error: &QueryError) -> Self {
        let (before, at, after) = match error {
            QueryError::Parse(error) => split(expr, error.position.start as usize, error.position.end as usize),
            _ => (expr.to_owned(), String::new(), String::new()),
        };
        let hint = match error {
            QueryError::Parse(_) => "Mend the marked place and run it again.",
            QueryError::TooManySamples(_) | QueryError::TooMuchMemory(_) | QueryError::Timeout(_) => {
                "Shorten the time range, or narrow the selectors."
            }
            QueryError::Execution(_) => "The expression is well formed, but these series cannot be combined so.",
            _ => "Try again; the log may say more.",
        };
        Self { before, at, after, message: error.to_string(), hint }
    }
}

/// Splits at the error. Where the place is empty, such as at the end, one character or a blank is marked.
fn split(expr: &str, start: usize, end: usize) -> (String, String, String) {
    let boundary =
        |wanted: usize| (0..=wanted.min(expr.len())).rev().find(|i| expr.is_char_boundary(*i)).unwrap_or_default();
    let start = boundary(start);
    let after_one = expr[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    let end = boundary(end).max(after_one);
    let at = if start == end { " " } else { &expr[start..end] };
    (expr[..start].to_owned(), at.to_owned(), expr[end..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_the_error() {
        let cases = [
            ("sum(", 4, 4, ("sum(", " ", "")),
            ("a + + b", 4, 5, ("a + ", "+", " b")),
            ("äb", 1, 1, ("", "ä", "b")),
            ("ab", 99, 120, ("ab", " ", "")),
            ("abc", 1, 1, ("a", "b", "c")),
        ];
        for (expr, start, end, (before, at, after)) in cases {
            assert_eq!(split(expr, start, end), (before.to_owned(), at.to_owned(), after.to_owned()), "{expr}");
        }
    }
}
