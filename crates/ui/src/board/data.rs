//! `/ui/board/{uid}`: the pictures of the panels that are asked for, in one answer. `model` says how to ask.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use dashboard::{Panel as Asked, Screen, Table, TimeRange, Visual};
use model::status::{Rules, TargetStatus};

use super::canvas::Canvas;
use super::fetch::{Answers, Fetcher};
use super::links::Linker;
use super::marks::Marker;
use super::model::{Answer, Level, Mark, Note, Panel, Picture};
use super::plain::{Plain, last_values};
use super::time::Slice;
use super::vars::Variables;
use super::view::{Spot, View};
use super::why::Why;
use super::{grid, heatmap, time, values};
use crate::Ui;
use crate::ask::Asker;
use crate::files::accepts;
use crate::page::{Packed, with_body, with_packed};
use crate::params::Params;
use crate::problem::Problem;

/// Panels of one request: those in sight, and some before and behind them.
const PANELS_MAX: usize = 100;

/// Time after which a page asks again for what collecting has just begun for: soon enough that a first minute is not spent
/// waiting, seldom enough that it costs nothing.
pub(super) const AGAIN_MS: u64 = 2_500;

/// Why a panel is empty whose queries have answers.
const NOTHING_LEFT: &str = "The queries have answers, but after the panel's transformations and overrides nothing is left that it \
                            could draw.";

/// The handler.
pub(crate) async fn answer(
    State(ui): State<Arc<Ui>>,
    Path(uid): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match body(&ui, &uid, Params::parse(query.as_deref()), accepts(&headers, "gzip")).await {
        Ok(body) => with_packed(StatusCode::OK, "application/json", body),
        Err(problem) => {
            let text = serde_json::json!({ "error": problem.title, "detail": problem.detail });
            with_body(problem.status, &headers, "application/json", text.to_string().into_bytes())
        }
    }
}

async fn body(ui: &Ui, uid: &str, params: Params, gzip: bool) -> Result<Packed, Problem> {
    let view = ui.view(ui.held(uid)?, params)?;
    let wanted: Vec<&str> = view.params.get("panels").unwrap_or_default().split(',').collect();
    if wanted.len() > PANELS_MAX {
        let detail = format!("{} were asked for, {PANELS_MAX} are possible: ask for those in sight.", wanted.len());
        return Err(Problem::bad_request("Too many panels", detail));
    }
    let (rules, targets) = (Arc::clone(&ui.state.rules), ui.state.targets.active());
    ui.ask(move |asker| {
        let answer = Painter { asker, view: &view, rules: &rules, targets: &targets, plain: false }.answer();
        Packed::new(serde_json::to_vec(&answer).unwrap_or_default(), gzip)
    })
    .await
}

/// What panels are drawn with.
pub(super) struct Painter<'a> {
    pub(super) asker: &'a Asker,
    pub(super) view: &'a View,
    pub(super) rules: &'a Arc<dyn Rules>,
    pub(super) targets: &'a [TargetStatus],
    /// Lines over time are told by their last values alone.
    pub(super) plain: bool,
}

impl Painter<'_> {
    fn answer(&self) -> Answer {
        let view = self.view;
        let variables = view.variables(self.asker, true);
        let wanted: HashSet<&str> = view.params.get("panels").unwrap_or_default().split(',').collect();
        let (bands, _) = view.bands(&variables);
        let spots = bands.iter().flat_map(|band| &band.spots).filter(|spot| wanted.contains(spot.key.as_str()));
        let spots: Vec<&Spot<'_>> = spots.collect();
        let mut fetcher = Fetcher::new(self.asker, self.view.scrape_ms);
        let mut panels: Vec<Panel> = spots.iter().map(|spot| self.panel(spot, &variables, &mut fetcher)).collect();
        let all: Vec<&Spot<'_>> = bands.iter().flat_map(|band| &band.spots).collect();
        let marks = self.marks(&all, &variables, &mut panels);
        Answer { now: view.clock.now_ms as i64, from: view.range.from_ms, to: view.range.to_ms, panels, marks }
    }

    /// The marks of the pictures over time, and a note in these where one cannot be had.
    fn marks(&self, spots: &[&Spot<'_>], variables: &Variables, panels: &mut [Panel]) -> Vec<Mark> {
        let is_over_time =
            |picture: &Picture| matches!(picture, Picture::Time(_) | Picture::Heatmap(_) | Picture::States(_));
        if self.view.params.has("exact") || !panels.iter().any(|panel| is_over_time(&panel.picture)) {
            return Vec::new();
        }
        let marker = Marker { asker: self.asker, view: self.view, variables, rules: self.rules };
        let (marks, problems) = marker.marks(spots);
        for panel in panels.iter_mut().filter(|panel| is_over_time(&panel.picture)) {
            panel.notes.extend(problems.iter().map(|problem| note(Level::Warning, problem)));
        }
        marks
    }

    /// Newest values of the first panels of a page, by their keys.
    pub(super) fn values(&self, spots: &[&Spot<'_>], variables: &Variables) -> HashMap<String, Plain> {
        let mut fetcher = Fetcher::new(self.asker, self.view.scrape_ms);
        let mut of = |spot: &&Spot<'_>| (spot.key.clone(), Plain::of(&self.panel(spot, variables, &mut fetcher)));
        let drawn = spots.iter().filter(|spot| !matches!(spot.shown.panel.visual, Visual::Text(_)));
        drawn.take(PANELS_MAX).map(&mut of).collect()
    }

    fn panel(&self, spot: &Spot<'_>, variables: &Variables, fetcher: &mut Fetcher<'_>) -> Panel {
        let (view, panel) = (self.view, spot.shown.panel);
        let scope = spot.scope(variables);
        let range = view.range_of(panel, &scope);
        let scope = scope.with_range(range.clone());
        let screen = Screen { width: view.width(spot.shown.place), scrape_interval_ms: fetcher.scrape_ms };
        let mut answers = match &panel.visual {
            Visual::Text(_) | Visual::AlertList(_) => Answers::default(),
            _ => fetcher.panel(panel, &scope, &variables.matchers, &range, screen),
        };
        let mut notes = notes(&answers);
        let linker = Linker { scope: &scope, prefix: &view.prefix, time: &view.time };
        let time = if panel.hide_time { String::new() } else { own_time(panel, &range, &view.range) };
        let was_answered = answers.frames.iter().any(|frame| frame.rows() > 0);
        let picture = match Canvas::new(panel, &mut answers, linker, &view.clock, range.clone()) {
            Ok(canvas) => self.picture(&canvas, &spot.key),
            Err(error) => {
                notes.push(note(Level::Error, error.to_string()));
                Picture::None
            }
        };
        if matches!(picture, Picture::None) && notes.iter().all(|note| note.level != Level::Error) {
            let why = Why { asker: self.asker, view, variables, targets: self.targets };
            match was_answered {
                true => notes.push(note(Level::Empty, NOTHING_LEFT)),
                false => notes.extend(why.empty(panel, &answers, &range)),
            }
        }
        let took_ms = answers.took.as_secs_f64() * 1000.0;
        let again = (matches!(picture, Picture::None) && view.begun.is_some()).then_some(AGAIN_MS);
        Panel { key: spot.key.clone(), picture, notes, time, queries: answers.queries, took_ms, again }
    }

    fn picture(&self, canvas: &Canvas<'_>, key: &str) -> Picture {
        if let Visual::AlertList(visual) = &canvas.panel.visual {
            return Picture::Alerts(grid::alerts(self.rules, visual));
        }
        if canvas.is_empty() {
            return Picture::None;
        }
        let number = |name: &str| self.view.params.get(name).and_then(|text| text.parse::<i64>().ok());
        let frame = number(&format!("frame.{key}")).and_then(|frame| usize::try_from(frame).ok());
        let picture = match &canvas.panel.visual {
            Visual::TimeSeries(_) if self.plain => Picture::Stat(values::stat(canvas, &last_values())),
            Visual::TimeSeries(visual) => {
                let slice = Slice { tail: number("tail"), exact: number("exact"), full: self.view.params.has("full") };
                Picture::Time(time::draw(canvas, visual, slice))
            }
            Visual::Stat(visual) => Picture::Stat(values::stat(canvas, visual)),
            Visual::Gauge(visual) => Picture::Gauge(values::gauge(canvas, visual)),
            Visual::BarGauge(visual) => Picture::Bars(values::bars(canvas, visual)),
            Visual::Pie(visual) => Picture::Pie(values::pie(canvas, visual)),
            Visual::Table(visual) => Picture::Table(grid::table(canvas, visual, frame)),
            Visual::Heatmap(visual) => Picture::Heatmap(heatmap::draw(canvas, visual)),
            Visual::StateTimeline(visual) => Picture::States(grid::states(canvas, visual)),
            Visual::Unsupported { .. } => Picture::Table(grid::table(canvas, &Table::default(), frame)),
            Visual::Text(_) | Visual::AlertList(_) => Picture::None,
        };
        if is_bare(&picture) { Picture::None } else { picture }
    }
}

/// Whether there is nothing to see in it.
fn is_bare(picture: &Picture) -> bool {
    match picture {
        Picture::Time(time) => time.series.is_empty(),
        Picture::Stat(stat) => stat.tiles.is_empty(),
        Picture::Gauge(gauge) => gauge.dials.is_empty(),
        Picture::Bars(bars) => bars.bars.is_empty(),
        Picture::Pie(pie) => pie.parts.is_empty(),
        Picture::Table(table) => table.rows.is_empty(),
        Picture::Heatmap(heatmap) => heatmap.rows.is_empty(),
        Picture::States(states) => states.rows.is_empty(),
        Picture::None | Picture::Alerts(_) => false,
    }
}

pub(super) fn note(level: Level, text: impl Into<String>) -> Note {
    Note { level, text: text.into(), fix: String::new() }
}

fn notes(answers: &Answers) -> Vec<Note> {
    let errors = answers.errors.iter().map(|text| note(Level::Error, text));
    let warnings = answers.warnings.iter().map(|text| note(Level::Warning, text));
    errors.chain(warnings).chain(answers.infos.iter().map(|text| note(Level::Info, text))).collect()
}

/// What a panel says of its time where it is not the page's.
fn own_time(panel: &Asked, range: &TimeRange, page: &TimeRange) -> String {
    if range == page {
        return String::new();
    }
    let last = panel.time_from.trim_start_matches("now").trim_start_matches('-');
    let last = if panel.time_from.is_empty() { String::new() } else { format!("Last {last}") };
    let shift = panel.time_shift.trim_start_matches("now").trim_start_matches('-');
    match (last.is_empty(), shift.is_empty()) {
        (true, _) => format!("Time shifted by {shift}"),
        (false, true) => last,
        (false, false) => format!("{last}, shifted by {shift}"),
    }
}
