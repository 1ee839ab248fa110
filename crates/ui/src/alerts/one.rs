//! The page of one alert: what links in notifications lead to. It is found by its number for as long as the history knows it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{AlertChange, AttemptQuery, HistoryQuery, RuleStatus};
use model::{Labels, Timestamp};

use super::list::{Row, hush, whole};
use super::runbook::Runbook;
use super::threshold::Split;
use super::timeline::{self, Strip};
use super::{Pairs, Tab, history, notices, pairs, rule_link};
use crate::Ui;
use crate::chart::Grid;
use crate::format::{When, ago};
use crate::overview::Chart;
use crate::page::{Shell, respond};
use crate::params::Params;
use crate::problem::Problem;

/// Points of the picture that a page carries for readers without scripts, and of the strip.
const PICTURE_POINTS: usize = 240;

/// Changes on the page; the history has more.
const CHANGES_MAX: usize = 30;

/// Attempts to tell somebody of it; the page of notifications has more.
const ATTEMPTS_MAX: usize = 20;

#[derive(Template)]
#[template(path = "alert_one.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    /// It, if it is pending or fires.
    active: Option<Row>,
    /// What it said last.
    summary: String,
    labels: Pairs,
    /// When it ended, if the history tells of that.
    ended: Option<(When, String)>,
    /// The page of its rule; empty where there is none any more.
    rule: String,
    hush: String,
    /// Whether anybody is told at all.
    told: bool,
    drawn: Option<Drawn>,
    changes: Vec<history::Row>,
    rows: Vec<notices::Row>,
    runbook: Option<Runbook>,
}

/// What is drawn of an alert of a rule.
struct Drawn {
    chart: Chart,
    data_query: String,
    /// `> 0.9`, the line in the chart.
    threshold: String,
    strips: Vec<Strip>,
}

/// The number of an alert in an address.
pub(super) fn spell(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// Reads such a number.
pub(super) fn read(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// The handler.
pub(crate) async fn page(
    State(ui): State<Arc<Ui>>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let params = Params::parse(query.as_deref());
    match build(&ui, &params, &number).await {
        Ok(page) => respond(StatusCode::OK, &headers, page.render()),
        Err(problem) => problem.respond(&ui, &headers),
    }
}

async fn build(ui: &Ui, params: &Params, number: &str) -> Result<Page, Problem> {
    let found = match read(number) {
        Some(fingerprint) => ui.find(fingerprint).await?,
        None => None,
    };
    let Found { active, changes, labels, external, told } = found.ok_or_else(|| {
        let detail = format!("No alert with the number {number:?} fires, and the history of 90 days has none.");
        Problem::new(StatusCode::NOT_FOUND, "There is no such alert", detail)
    })?;
    let now = ui.state.clock.now();
    let name = labels.get("alertname").unwrap_or_default().to_owned();
    let shell = Shell::new(ui, params, "/alerts", &name);
    let rule = find_rule(ui, &shell.prefix, active.as_ref(), changes.first());
    let drawn = match &rule {
        Some((status, _)) => Some(draw(ui, params, status, &own_labels(&labels, &external, active.as_ref())).await?),
        None => None,
    };
    let fingerprint = model::fingerprint(&labels);
    let wanted = AttemptQuery {
        from: now - notices::DAYS_MILLIS,
        to: now,
        alert: Some(fingerprint),
        limit: ATTEMPTS_MAX,
        ..AttemptQuery::default()
    };
    let attempts = ui.attempts(wanted).await?;
    let last = changes.first().filter(|_| active.is_none());
    let said = changes.iter().map(|change| change.summary.as_str()).find(|summary| !summary.is_empty());
    Ok(Page {
        tab: Tab::None,
        summary: active.as_ref().map_or(said.unwrap_or_default(), |row| row.alert.summary.as_str()).to_owned(),
        hush: hush(&shell.prefix, &labels),
        ended: last.map(|change| (When::new(change.at), ago(change.at, now))),
        labels: pairs(&labels),
        changes: changes.iter().map(|change| history::Row::new(change, &external)).collect(),
        rows: attempts.attempts.into_iter().map(|attempt| notices::Row::new(attempt, now)).collect(),
        runbook: ui.state.rules.runbook(&name).filter(|_| is_built_in(rule.as_ref())).map(Runbook::new),
        rule: rule.map(|(_, link)| link).unwrap_or_default(),
        active,
        told,
        drawn,
        shell,
    })
}

/// Whether the rule is one that comes with skep, rather than one of a file with the same name.
fn is_built_in(rule: Option<&(RuleStatus, String)>) -> bool {
    rule.is_some_and(|(_, link)| link.contains("file=built-in"))
}

/// The labels that the expression gave it, and those of its rule, without its name.
fn own_labels(labels: &Labels, external: &Labels, active: Option<&Row>) -> Labels {
    match active {
        Some(row) => Labels::from_pairs(row.alert.labels.iter().map(|(name, value)| (name, value))),
        // What it shares with the external labels nobody can tell any more; they seldom stand in expressions.
        None => labels.filter(|name| name != "alertname" && external.get(name).is_none()),
    }
}

/// The rule of an alert with its page.
fn find_rule(
    ui: &Ui,
    prefix: &str,
    active: Option<&Row>,
    change: Option<&AlertChange>,
) -> Option<(RuleStatus, String)> {
    ui.state.rules.groups().into_iter().find_map(|group| {
        let link = |place: usize, rule: &RuleStatus| rule_link(prefix, &group.file, &group.name, place, &rule.name);
        let place = group.rules.iter().enumerate().position(|(place, rule)| match (active, change) {
            (Some(row), _) => row.rule == link(place, rule),
            (None, Some(change)) => {
                (&group.file, &group.name, &rule.name) == (&change.rule.0, &change.rule.1, &change.rule.2)
            }
            (None, None) => false,
        })?;
        let rule = group.rules.get(place)?;
        Some((rule.clone(), link(place, rule)))
    })
}

async fn draw(ui: &Ui, params: &Params, rule: &RuleStatus, labels: &Labels) -> Result<Drawn, Problem> {
    let range = ui.range(params)?;
    let interval = ui.state.config.interval;
    let grid = Grid::new(range.start, range.end, PICTURE_POINTS, interval);
    let given = labels.filter(|name| rule.labels.get(name).is_none());
    let split = Split::new(&rule.query, false).only(&pairs(&given));
    let threshold = split.line();
    let (expressions, data_query) = split.expressions();
    let (name, labels) = (rule.name.clone(), labels.clone());
    let drawn = move |asker: &crate::ask::Asker| {
        let words = ("Expression", "The expression gives nothing in this range.");
        let chart = Chart::of_expressions(words, asker, &expressions, grid, interval);
        (chart, timeline::strips(asker, &name, Some(&labels), grid).0)
    };
    let (chart, strips) = ui.ask(drawn).await?;
    Ok(Drawn { chart, data_query, threshold, strips })
}

/// What is known of an alert.
struct Found {
    active: Option<Row>,
    changes: Vec<AlertChange>,
    /// Those by which receivers know it.
    labels: Labels,
    external: Labels,
    told: bool,
}

impl Ui {
    async fn find(&self, fingerprint: u64) -> Result<Option<Found>, Problem> {
        let view = self.state.notifications.view().await;
        let told = view.is_some();
        let view = view.unwrap_or_default();
        let (now, external) = (self.state.clock.now(), view.external_labels.clone());
        let rows = self.rows(&view, &self.state.config.prefix, now);
        let active = rows.into_iter().find(|row| row.fingerprint == fingerprint);
        let changes = self.history(changes_of(fingerprint, &external, now)).await?.changes;
        let labels = match (&active, changes.first()) {
            (Some(row), _) => row.whole.clone(),
            (None, Some(change)) => whole(&external, &change.labels),
            (None, None) => return Ok(None),
        };
        Ok(Some(Found { active, changes, labels, external, told }))
    }

    /// The labels of the alert with a number, if it is known.
    pub(super) async fn labels_of(&self, fingerprint: u64) -> Option<Labels> {
        self.find(fingerprint).await.ok().flatten().map(|found| found.labels)
    }
}

fn changes_of(fingerprint: u64, external: &Labels, now: Timestamp) -> HistoryQuery {
    HistoryQuery {
        from: now - notices::DAYS_MILLIS,
        to: now,
        alert: Some(fingerprint),
        external_labels: external.clone(),
        limit: CHANGES_MAX,
        ..HistoryQuery::default()
    }
}
