//! The page of a dashboard: its variables, rows, panels and texts, in their places before anything is drawn.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use boards::{Filter, Shelf, Sort};
use dashboard::{
    Crosshair, Link as Wanted, Loss, Scope, Selection, Syntax, TextMode, Variable, VariableKind, Visibility, Visual,
    parse_duration_ms,
};

use super::data::{AGAIN_MS, Painter};
use super::links::{Linker, Subject, query_page, with_query};
use super::marks::switches;
use super::markup::{self, Markup};
use super::model::{Link, Switch};
use super::places::{ROWS_MAX, bands};
use super::plain::Plain;
use super::vars::{Box as Asked, Variables};
use super::view::{Band as Section, Spot, View};
use crate::Ui;
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::range::TimeRange;

/// What is asked more often than this says nothing new.
const REFRESH_MS_MIN: u64 = 5_000;
/// Dashboards that a link by tags lists.
const LINKED_MAX: usize = 100;
/// The parameter that asks for values in the page itself.
const PLAIN: &str = "plain";
/// Losses that a page lists; the rest is counted.
const LOSSES_MAX: usize = 200;

#[derive(Template)]
#[template(path = "board.html")]
struct Page {
    shell: Shell,
    uid: String,
    description: String,
    ask: String,
    refresh: u64,
    /// Milliseconds after which the page is asked for again: a variable has no values, and collecting has just begun.
    again: Option<u64>,
    crosshair: &'static str,
    zone: String,
    kiosk: bool,
    /// The same page with values in it, for readers without scripts; empty where it is that one.
    plain: String,
    kept: Vec<(String, String)>,
    boxes: Vec<BoxView>,
    switches: Vec<Switch>,
    links: Vec<LinksView>,
    rows: Vec<RowView>,
    losses: Vec<String>,
    losses_total: usize,
    omitted: usize,
}

/// A link of the dashboard, or a list of dashboards that folds.
struct LinksView {
    /// Empty where the links stand beside each other.
    title: String,
    links: Vec<Link>,
}

/// A variable as the bar shows it.
struct BoxView {
    name: String,
    label: String,
    hint: String,
    problem: String,
    multi: bool,
    /// It is typed, not chosen.
    is_text: bool,
    hidden: bool,
    /// Values that are sent where nothing is chosen by hand.
    texts: Vec<String>,
    options: Vec<(String, String, bool)>,
}

struct RowView {
    /// Empty for the panels above the first row.
    title: String,
    titled: bool,
    open: bool,
    bands: Vec<Vec<PanelView>>,
}

struct PanelView {
    key: String,
    kind: &'static str,
    title: String,
    description: Markup,
    classes: String,
    links: Vec<Link>,
    /// Of a text: its markup.
    html: Markup,
    /// Where its queries are asked by hand.
    explore: String,
    losses: Vec<String>,
    /// Its newest values, where no script draws it.
    plain: Option<Plain>,
}

/// `GET /d/{uid}` and `/d/{uid}/{slug}`; the slug is for people.
pub(crate) async fn page(
    State(ui): State<Arc<Ui>>,
    Path(path): Path<Vec<String>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let uid = path.into_iter().next().unwrap_or_default();
    match made(&ui, &uid, Params::parse(query.as_deref())).await {
        Ok(page) => respond(StatusCode::OK, &headers, page.render()),
        Err(problem) => problem.respond(&ui, &headers),
    }
}

async fn made(ui: &Arc<Ui>, uid: &str, params: Params) -> Result<Page, Problem> {
    let view = ui.view(ui.held(uid)?, params)?;
    let shell = Shell::new(ui, &spelled(&view), "/dashboards", &view.dashboard().title);
    let boards = Arc::clone(&ui.state.boards);
    let (rules, targets) = (Arc::clone(&ui.state.rules), ui.state.targets.active());
    ui.ask(move |asker| {
        let variables = view.variables(asker, false);
        let painter = Painter { asker, view: &view, rules: &rules, targets: &targets, plain: true };
        page_of(shell, &painter, &variables, &boards)
    })
    .await
}

/// The parameters with the time in them, as the picker can show it.
fn spelled(view: &View) -> Params {
    let own = &view.span;
    let with = |params: Params, name: &'static str, own: &str| match params.get(name) {
        Some(_) => params,
        None => params.with(name, own),
    };
    let params = with(with(view.params.clone(), "from", &own.from), "to", &own.to);
    match TimeRange::read(&params, view.now.time_ms, None) {
        Ok(_) => params,
        // Days and weeks that are rounded: the picker names their ends.
        Err(_) => {
            let (from, to) = (view.range.from_ms.to_string(), view.range.to_ms.to_string());
            Params::from_pairs(params.without(&["from", "to"])).with("from", &from).with("to", &to)
        }
    }
}

fn page_of(shell: Shell, painter: &Painter<'_>, variables: &Variables, boards: &Shelf) -> Page {
    let view = painter.view;
    let dashboard = view.dashboard();
    let (sections, omitted) = view.bands(variables);
    let is_plain = view.params.has(PLAIN);
    let spots: Vec<&Spot<'_>> = sections.iter().flat_map(|section| &section.spots).collect();
    let values = if is_plain { painter.values(&spots, variables) } else { HashMap::new() };
    let report = &view.held.report;
    let wide = |loss: &Loss| loss.to_string();
    let losses: Vec<String> = report.dashboard.iter().take(LOSSES_MAX).map(wide).collect();
    let linker = Linker { scope: &variables.scope, prefix: &view.prefix, time: &view.time };
    let refresh = view.params.get("refresh").unwrap_or(&dashboard.refresh);
    let refresh = parse_duration_ms(refresh).filter(|ms| *ms > 0).map_or(0, |ms| ms.max(REFRESH_MS_MIN));
    Page {
        uid: dashboard.uid.clone(),
        description: dashboard.description.clone(),
        ask: with_variables(&view.time, variables, dashboard.variables.as_slice()),
        refresh,
        again: (view.begun.is_some() && variables.lacks_values(dashboard)).then_some(AGAIN_MS),
        crosshair: match dashboard.crosshair {
            Crosshair::Off => "off",
            Crosshair::Line => "line",
            Crosshair::Tooltip => "tooltip",
        },
        zone: dashboard.zone.clone(),
        kiosk: view.params.has("kiosk"),
        plain: if is_plain { String::new() } else { plain_query(view) },
        kept: view
            .params
            .pairs()
            .filter(|(name, _)| !name.starts_with("var-") && *name != "marks")
            .map(owned)
            .collect(),
        switches: switches(view),
        boxes: variables.boxes.iter().map(|one| box_of(one, &dashboard.variables[one.at])).collect(),
        links: dashboard.links.iter().filter_map(|link| links(link, &linker, boards, view)).collect(),
        rows: sections.iter().map(|section| row(section, view, variables, &values)).collect(),
        losses_total: report.count(),
        losses,
        omitted,
        shell,
    }
}

/// The address's parameters, and that values are wanted in the page.
fn plain_query(view: &View) -> String {
    encode(view.params.pairs().chain([(PLAIN, "1")]))
}

/// A link, or the dashboards with its tags.
fn links(link: &Wanted, linker: &Linker<'_>, boards: &Shelf, view: &View) -> Option<LinksView> {
    let Some(tags) = &link.tags else {
        return linker.one(link, &Subject::default()).map(|link| LinksView { title: String::new(), links: vec![link] });
    };
    let filter = Filter { tags: tags.clone(), sort: Sort::Title, ..Filter::default() };
    let others = boards.list(&filter).into_iter().filter(|listed| listed.uid != view.dashboard().uid);
    let to = |listed: boards::Listed| {
        let (title, url) = (listed.title, format!("/d/{}/{}", listed.uid, listed.slug));
        linker.one(&Wanted { title, url, tags: None, ..link.clone() }, &Subject::default())
    };
    let links: Vec<Link> = others.take(LINKED_MAX).filter_map(to).collect();
    let title = if link.dropdown { link.title.clone() } else { String::new() };
    (!links.is_empty()).then_some(LinksView { title, links })
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// `from=..&to=..&var-a=..`: what the script asks with.
fn with_variables(time: &str, variables: &Variables, all: &[Variable]) -> String {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for one in &variables.boxes {
        let name = format!("var-{}", all[one.at].name);
        match &one.selection {
            _ if matches!(all[one.at].kind, VariableKind::AdHoc(_)) => {
                pairs.extend(one.filters.iter().map(|filter| (name.clone(), spelled_filter(filter))));
            }
            Selection::All => pairs.push((name, "$__all".to_owned())),
            Selection::Values(values) => {
                pairs.extend(values.iter().map(|choice| (name.clone(), choice.value.clone())));
            }
        }
    }
    with_query("", time).trim_start_matches('?').to_owned()
        + "&"
        + &encode(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn spelled_filter(filter: &dashboard::AdHocFilter) -> String {
    let escaped = |text: &str| text.replace('|', "__gfp__");
    format!("{}|{}|{}", escaped(&filter.key), escaped(&filter.operator), escaped(&filter.value))
}

fn box_of(asked: &Asked, variable: &Variable) -> BoxView {
    let label = if variable.label.is_empty() { &variable.name } else { &variable.label };
    let chosen = |value: &str| match &asked.selection {
        Selection::All => false,
        Selection::Values(values) => values.iter().any(|choice| choice.value == value),
    };
    let mut options: Vec<(String, String, bool)> = Vec::new();
    if variable.include_all {
        options.push(("$__all".to_owned(), "All".to_owned(), asked.selection == Selection::All));
    }
    options.extend(asked.choices.iter().map(|one| (one.value.clone(), one.text.clone(), chosen(&one.value))));
    let values: &[dashboard::Choice] = match &asked.selection {
        Selection::Values(values) => values,
        Selection::All => &[],
    };
    // What an address names and the store does not have is still what is shown.
    let gone = values.iter().filter(|value| !asked.choices.iter().any(|choice| choice.value == value.value));
    let is_text = matches!(variable.kind, VariableKind::Text | VariableKind::AdHoc(_));
    if !is_text {
        options.extend(gone.map(|choice| (choice.value.clone(), choice.text.clone(), true)));
    }
    let filters = asked.filters.iter().map(spelled_filter);
    let texts: Vec<String> = match &variable.kind {
        VariableKind::AdHoc(_) => filters.collect(),
        _ => values.iter().map(|choice| choice.value.clone()).collect(),
    };
    let is_constant = matches!(variable.kind, VariableKind::Constant(_) | VariableKind::Datasource { .. });
    BoxView {
        name: format!("var-{}", variable.name),
        label: if variable.hide == Visibility::Nameless { String::new() } else { label.clone() },
        hint: if variable.description.is_empty() { label.clone() } else { variable.description.clone() },
        problem: asked.problem.clone(),
        multi: variable.multi,
        is_text,
        hidden: is_constant || matches!(variable.hide, Visibility::Hidden),
        texts,
        options,
    }
}

fn row(section: &Section<'_>, view: &View, variables: &Variables, values: &HashMap<String, Plain>) -> RowView {
    let heading = section.part.section.row.as_ref();
    let mut scope = variables.scope.clone();
    if let Some((name, choice)) = &section.part.value {
        scope.set(name, dashboard::Selected::one(choice.clone()));
    }
    let title = heading.map(|row| scope.fill(&row.title, Syntax::Text).unwrap_or_default()).unwrap_or_default();
    let edge = |spot: &Spot<'_>| (spot.shown.place.y, spot.shown.place.y.saturating_add(spot.shown.place.h));
    let edges: Vec<(u32, u32)> = section.spots.iter().map(edge).collect();
    let cuts = bands(&edges);
    let end = |at: usize| cuts.get(at + 1).map_or(section.spots.len(), |(next, _)| *next);
    let band = |(at, (from, top)): (usize, &(usize, u32))| {
        section.spots[*from..end(at)].iter().map(|spot| panel(spot, *top, view, variables, values)).collect()
    };
    let wanted = view.params.get("viewPanel");
    let holds_wanted = section.spots.iter().any(|spot| Some(spot.key.as_str()) == wanted);
    RowView {
        titled: heading.is_some(),
        open: holds_wanted || heading.is_none_or(|row| !row.collapsed),
        bands: cuts.iter().enumerate().map(band).collect(),
        title,
    }
}

fn panel(spot: &Spot<'_>, top: u32, view: &View, variables: &Variables, values: &HashMap<String, Plain>) -> PanelView {
    let panel = spot.shown.panel;
    let scope = spot.scope(variables);
    let fill = |text: &str| scope.fill(text, Syntax::Text).unwrap_or_else(|_| text.to_owned());
    let linker = Linker { scope: &scope, prefix: &view.prefix, time: &view.time };
    let place = spot.shown.place;
    let (y, h) = (place.y.saturating_sub(top).min(ROWS_MAX - 1), place.h.clamp(1, ROWS_MAX));
    let transparent = if panel.transparent { " transparent" } else { "" };
    let losses =
        view.held.report.panels.iter().filter(|report| report.id == panel.id).flat_map(|report| &report.losses);
    let mut losses: Vec<String> = losses.map(ToString::to_string).collect();
    if let Visual::Unsupported { kind } = &panel.visual {
        losses.insert(
            0,
            format!("skep does not draw panels of the kind {kind}; what its queries answer is shown as a table."),
        );
    }
    let queries: Vec<&str> = panel.targets.iter().map(|target| target.expr.as_str()).collect();
    PanelView {
        kind: kind(&panel.visual),
        title: fill(&panel.title),
        description: if panel.description.is_empty() {
            Markup::default()
        } else {
            markup::markdown(&fill(&panel.description), &view.prefix)
        },
        classes: format!("x{} y{y} w{} h{h}{transparent}", place.x, place.w),
        links: linker.all(&panel.links, &Subject::default()),
        html: text(&panel.visual, &scope, &view.prefix),
        explore: explore(&queries, &scope, view),
        losses,
        plain: values.get(&spot.key).cloned(),
        key: spot.key.clone(),
    }
}

fn explore(queries: &[&str], scope: &Scope, view: &View) -> String {
    let filled: Vec<String> = queries.iter().filter_map(|expr| scope.fill(expr, Syntax::PromQl).ok()).collect();
    match filled.iter().all(String::is_empty) {
        true => String::new(),
        false => {
            query_page(&view.prefix, &view.time, filled.iter().map(String::as_str).take(crate::data::EXPRESSIONS_MAX))
        }
    }
}

fn kind(visual: &Visual) -> &'static str {
    match visual {
        Visual::TimeSeries(_) => "time",
        Visual::Stat(_) => "stat",
        Visual::Gauge(_) => "gauge",
        Visual::BarGauge(_) => "bars",
        Visual::Table(_) | Visual::Unsupported { .. } => "table",
        Visual::Heatmap(_) => "heatmap",
        Visual::Pie(_) => "pie",
        Visual::Text(_) => "text",
        Visual::StateTimeline(_) => "states",
        Visual::AlertList(_) => "alerts",
    }
}

/// The markup of a text panel. Variables are filled in first, so that what they hold is cleaned, too.
fn text(visual: &Visual, scope: &Scope, prefix: &str) -> Markup {
    let Visual::Text(text) = visual else { return Markup::default() };
    let content = scope.fill(&text.content, Syntax::Text).unwrap_or_else(|error| error.to_string());
    match text.mode {
        TextMode::Markdown => markup::markdown(&content, prefix),
        TextMode::Html => markup::cleaned(&content, prefix),
        TextMode::Code => markup::code(&content),
    }
}
