//! `/ui/data`: everything that the visible charts of a page show, in one answer.
//!
//! Parameters: `panels=cpu,memory` names panels of the overview; `expr=..` (repeatable) makes one panel `query` of any
//! expressions, its values in full; `from` and `to` as in every address; `w` is the width of a chart in pixels; `step`, in
//! milliseconds, keeps the grid of an earlier answer, so that a live chart asks for its tail alone; `exact` gives the values of
//! panels in full, for a tooltip that asks for one step.
//!
//! The answer has one time axis for all panels: time `i` is `start + i * step`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::{Labels, Timestamp};
use promql::{QueryError, Range};
use serde::Serialize;

use crate::Ui;
use crate::ask::{Answered, Asker, Ranged};
use crate::chart::{Column, Grid, round_for_chart};
use crate::format::{Unit, series_name};
use crate::page::with_body;
use crate::panels::{self, Panel};
use crate::params::Params;
use crate::problem::Problem;
use crate::range::TimeRange;

/// Points on a grid: two for each pixel of a wide screen. It bounds the work that a `step` or `w` may ask for.
const POINTS_MAX: usize = 4000;
/// Longest step: a year of 366 days.
const STEP_MS_MAX: i64 = 366 * 24 * 3_600_000;
/// Width to assume where none is given.
const WIDTH_DEFAULT: usize = 600;
/// Pixels to a point: lines drawn denser look the same.
const PIXELS_A_POINT: f64 = 1.5;
/// Series of a panel of the overview: more lines than that nobody tells apart.
const PANEL_SERIES_MAX: usize = 24;
/// Series of a chart on the query page; the rest is counted and named in the legend's note.
const QUERY_SERIES_MAX: usize = 100;
/// Expressions of one request.
pub(crate) const EXPRESSIONS_MAX: usize = 8;

/// What a panel asks and shows.
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) unit: Unit,
    pub(crate) stacked: bool,
    /// Legend (`{{label}}` is replaced; empty for the whole label set) and expression.
    pub(crate) queries: Vec<(String, String)>,
    pub(crate) series_max: usize,
    /// Values in full instead of rounded for drawing.
    pub(crate) exact: bool,
    /// What it means that there is nothing to show; empty where the page itself says it.
    pub(crate) empty: String,
}

/// A panel's columns and what there is to say of them.
#[derive(Default)]
pub(crate) struct Drawn {
    pub(crate) columns: Vec<Column>,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
    pub(crate) error: Option<(usize, QueryError)>,
    /// Series there were, those beyond the limit included.
    pub(crate) total: usize,
    pub(crate) took: Duration,
}

#[derive(Serialize)]
struct Body {
    start: Timestamp,
    step: i64,
    count: usize,
    now: Timestamp,
    panels: Vec<BodyPanel>,
}

#[derive(Serialize)]
struct BodyPanel {
    id: String,
    unit: Unit,
    stacked: bool,
    series: Vec<BodySeries>,
    total: usize,
    took_ms: f64,
    warnings: Vec<String>,
    infos: Vec<String>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<String>,
}

/// Numbers that are not finite are written as `null`, which a chart draws as a gap.
#[derive(Serialize)]
struct BodySeries {
    name: String,
    v: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lo: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hi: Option<Vec<f64>>,
    last: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
}

/// The handler.
pub(crate) async fn answer(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let (status, body) = match body(&ui, &Params::parse(query.as_deref())).await {
        Ok(body) => (StatusCode::OK, serde_json::to_vec(&body)),
        Err(problem) => {
            let text = serde_json::json!({ "error": problem.title, "detail": problem.detail });
            (problem.status, serde_json::to_vec(&text))
        }
    };
    with_body(status, &headers, "application/json", body.unwrap_or_default())
}

async fn body(ui: &Ui, params: &Params) -> Result<Body, Problem> {
    let now = ui.state.clock.now();
    let interval = ui.state.config.interval;
    let range = ui.range(params)?;
    let grid = grid(params, &range, interval)?;
    let requests = requests(ui, params, &range)?;
    let panels =
        ui.ask(move |asker| requests.into_iter().map(|r| draw_body(asker, r, grid, interval)).collect()).await?;
    Ok(Body { start: grid.start, step: grid.step, count: grid.count, now, panels })
}

fn grid(params: &Params, range: &TimeRange, interval: Duration) -> Result<Grid, Problem> {
    let number = |name| params.get(name).and_then(|text| text.parse::<i64>().ok()).filter(|n| *n > 0);
    let width = number("w").and_then(|w| usize::try_from(w).ok()).unwrap_or(WIDTH_DEFAULT);
    let points = ((width as f64 / PIXELS_A_POINT) as usize).clamp(1, POINTS_MAX);
    let grid = match number("step") {
        Some(step) => Grid::of_step(range.start, range.end, step.min(STEP_MS_MAX), interval),
        None => Grid::new(range.start, range.end, points, interval),
    };
    if grid.count > POINTS_MAX {
        let detail = format!(
            "{} points were asked for, {POINTS_MAX} are possible: make the step longer or the range shorter.",
            grid.count
        );
        return Err(Problem::bad_request("Too many points", detail));
    }
    Ok(grid)
}

fn requests(ui: &Ui, params: &Params, range: &TimeRange) -> Result<Vec<Request>, Problem> {
    let node = ui.node_selector();
    let exact = params.get("exact").is_some();
    let young = ui.is_young(range);
    let ids = params.get("panels").unwrap_or_default().split(',').filter(|id| !id.is_empty());
    let mut requests = Vec::new();
    for id in ids {
        let unknown = || Problem::bad_request("There is no such panel", format!("panels names {id:?}."));
        let panel = panels::find(id).ok_or_else(unknown)?;
        let empty = panel.empty_note(young, ui.state.config.interval);
        requests.push(Request { exact, empty, ..Request::of_panel(panel, &node) });
    }
    let expressions: Vec<&str> = params.all("expr").collect();
    if expressions.len() > EXPRESSIONS_MAX {
        let detail = format!("{} were given, {EXPRESSIONS_MAX} are possible.", expressions.len());
        return Err(Problem::bad_request("Too many expressions", detail));
    }
    if !expressions.is_empty() {
        requests.push(Request::of_expressions(&expressions));
    }
    Ok(requests)
}

impl Request {
    /// A panel of the overview; `node` replaces `$node`.
    pub(crate) fn of_panel(panel: &Panel, node: &str) -> Self {
        let queries = panel.queries.iter().map(|(legend, expr)| ((*legend).to_owned(), expr.replace("$node", node)));
        Self {
            id: panel.id.to_owned(),
            unit: panel.unit,
            stacked: panel.stacked,
            queries: queries.collect(),
            series_max: PANEL_SERIES_MAX,
            exact: false,
            empty: panel.empty.to_owned(),
        }
    }

    /// Expressions that somebody typed.
    pub(crate) fn of_expressions(expressions: &[&str]) -> Self {
        let queries = expressions.iter().map(|expr| (String::new(), (*expr).to_owned())).collect();
        Self {
            id: "query".to_owned(),
            unit: Unit::Short,
            stacked: false,
            queries,
            series_max: QUERY_SERIES_MAX,
            exact: true,
            empty: String::new(),
        }
    }
}

/// Evaluates what a panel asks on a grid.
pub(crate) fn draw(asker: &Asker, request: &Request, grid: Grid, interval: Duration) -> Drawn {
    let begun = Instant::now();
    let mut drawn = Drawn::default();
    for (i, (legend, expr)) in request.queries.iter().enumerate() {
        match ask(asker, &with_intervals(expr, grid, interval), grid) {
            Ok(ranged) => {
                drawn.total += ranged.series.len();
                drawn.warnings.extend(ranged.warnings);
                drawn.infos.extend(ranged.infos);
                let free = request.series_max - drawn.columns.len();
                drawn.columns.extend(ranged.series.iter().take(free).map(|s| column(s, legend, expr, grid)));
            }
            Err(error) => {
                drawn.error = Some((i, error));
                break;
            }
        }
    }
    drawn.took = begun.elapsed();
    drawn
}

/// Evaluates an expression on a grid and at its newest moment.
fn ask(asker: &Asker, expr: &str, grid: Grid) -> Result<Ranged, QueryError> {
    let mut ranged = asker.range(expr, grid.range())?;
    let Some(newest) = grid.newest else { return Ok(ranged) };
    let moment = Range { start: newest, end: newest, step: Duration::from_millis(1) };
    for series in asker.range(expr, moment)?.series {
        match ranged.series.iter_mut().find(|other| other.labels == series.labels) {
            Some(other) => series.samples.iter().for_each(|sample| other.samples.push(sample)),
            None => ranged.series.push(series),
        }
    }
    Ok(ranged)
}

fn column(series: &Answered, legend: &str, expr: &str, grid: Grid) -> Column {
    let (values, band) = grid.reduce(&series.samples);
    Column { name: name(&series.labels, legend, expr), values, band }
}

/// The legend with its `{{label}}`s replaced; without one the label set, or the expression where there are no labels.
fn name(labels: &Labels, legend: &str, expr: &str) -> String {
    if legend.is_empty() {
        return if labels.is_empty() { expr.to_owned() } else { series_name(labels) };
    }
    let mut text = String::new();
    let mut rest = legend;
    while let Some((before, (label, after))) = rest.split_once("{{").and_then(|(b, r)| Some((b, r.split_once("}}")?))) {
        text.push_str(before);
        text.push_str(labels.get(label).unwrap_or_default());
        rest = after;
    }
    text + rest
}

/// Replaces Grafana's `$__interval` and `$__rate_interval`: the latter spans four collections, so that a missed one leaves no
/// gap, and a whole part of a step, so that no sample falls between two windows.
pub(crate) fn with_intervals(expr: &str, grid: Grid, interval: Duration) -> String {
    let part = grid.part();
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    let window = interval.saturating_mul(4).max(part.saturating_add(interval));
    expr.replace("$__rate_interval", &format!("{window}ms")).replace("$__interval", &format!("{part}ms"))
}

fn draw_body(asker: &Asker, request: Request, grid: Grid, interval: Duration) -> BodyPanel {
    let drawn = draw(asker, &request, grid, interval);
    let span = if request.exact { 0.0 } else { span(&drawn.columns) };
    let error = drawn.error.map(|(i, error)| match request.queries.len() {
        1 => error.to_string(),
        _ => format!("expression {}: {error}", i + 1),
    });
    let empty = (drawn.columns.is_empty() && !request.empty.is_empty()).then_some(request.empty);
    BodyPanel {
        empty,
        id: request.id,
        unit: request.unit,
        stacked: request.stacked,
        series: distinct(drawn.columns).into_iter().map(|column| series_body(column, span)).collect(),
        total: drawn.total,
        took_ms: drawn.took.as_secs_f64() * 1000.0,
        warnings: drawn.warnings,
        infos: drawn.infos,
        error,
    }
}

/// Numbers legends that are the same, as two expressions with the same labels have.
fn distinct(mut columns: Vec<Column>) -> Vec<Column> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for column in &mut columns {
        let count = seen.entry(column.name.clone()).and_modify(|n| *n += 1).or_insert(1);
        if *count > 1 {
            column.name = format!("{} ({count})", column.name);
        }
    }
    columns
}

/// What the panel's axis spans, zero included, as the chart draws it.
fn span(columns: &[Column]) -> f64 {
    let digests = columns.iter().filter_map(Column::digest);
    let (low, high) = digests.fold((0f64, 0f64), |(low, high), d| (low.min(d.min), high.max(d.max)));
    high - low
}

fn series_body(column: Column, span: f64) -> BodySeries {
    let round = |values: Vec<f64>| values.into_iter().map(|v| round_for_chart(v, span)).collect();
    let digest = column.digest();
    let (lo, hi) = column.band.map_or((None, None), |(lo, hi)| (Some(round(lo)), Some(round(hi))));
    BodySeries {
        name: column.name,
        v: round(column.values),
        lo,
        hi,
        last: digest.map(|d| d.last),
        min: digest.map(|d| d.min),
        max: digest.map(|d| d.max),
        mean: digest.map(|d| d.mean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let labels = Labels::from_pairs([("__name__", "m"), ("device", "sda")]);
        let cases = [
            ("{{device}} read", "sda read"),
            ("{{absent}}x", "x"),
            ("plain", "plain"),
            ("{{open", "{{open"),
            ("", r#"m{device="sda"}"#),
        ];
        for (legend, expected) in cases {
            assert_eq!(name(&labels, legend, "m"), expected);
        }
        assert_eq!(name(&Labels::empty(), "", "1 + 1"), "1 + 1");
    }

    #[test]
    fn intervals() {
        let grid = Grid { start: 0, step: 300_000, count: 1, parts: 4, until: 0, newest: None };
        let text = with_intervals("rate(x[$__rate_interval]) + y[$__interval]", grid, Duration::from_secs(15));
        assert_eq!(text, "rate(x[90000ms]) + y[75000ms]");
    }

    #[test]
    fn same_names_are_numbered() {
        let column = |name: &str| Column { name: name.to_owned(), ..Column::default() };
        let names: Vec<_> = distinct(vec![column("a"), column("b"), column("a")]).into_iter().map(|c| c.name).collect();
        assert_eq!(names, ["a", "b", "a (2)"]);
    }

    #[test]
    fn json_has_null_for_what_is_not_finite() {
        let column = Column { values: vec![1.0, f64::NAN, f64::INFINITY], ..Column::default() };
        let json = serde_json::to_string(&series_body(column, 0.0)).unwrap();
        assert!(json.contains(r#""v":[1.0,null,null]"#), "{json}");
    }
}
