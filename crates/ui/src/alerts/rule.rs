//! The page of a rule: its expression against the threshold, its states, what it did and would have done.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{AlertState, HistoryQuery, OwnRule, RuleGroupStatus, RuleStatus};
use model::{Labels, format_duration};

use super::backtest::{self, Outcome};
use super::groups::{state, unless_zero};
use super::history;
use super::list::hush;
use super::runbook::Runbook;
use super::threshold::Split;
use super::timeline::{self, Strip};
use super::unheard::{self, Unheard};
use super::{Alert, Pairs, Tab, pairs};
use crate::Ui;
use crate::chart::Grid;
use crate::format::{When, ago, took};
use crate::overview::Chart;
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::targets::State3;

/// Points of the picture that a page carries for readers without scripts, and of the strips.
const PICTURE_POINTS: usize = 240;

/// Active alerts on the page.
const ALERTS_MAX: usize = 100;

/// Changes on the page; the history has more.
const CHANGES_MAX: usize = 20;

#[derive(Template)]
#[template(path = "alert_rule.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    name: String,
    state: State3,
    recording: bool,
    group: String,
    file: String,
    interval: String,
    query: String,
    query_link: String,
    hold: String,
    keep_firing: String,
    labels: Pairs,
    annotations: Pairs,
    error: String,
    last: Option<(When, String)>,
    took: String,
    chart: Chart,
    data_query: String,
    /// `> 0.9`, the line in the chart.
    threshold: String,
    strips: Vec<Strip>,
    strips_hidden: usize,
    alerts: Vec<Alert>,
    changes: Vec<history::Row>,
    history_link: String,
    backtest: Option<Outcome>,
    days: [u32; 5],
    /// The address without a backtest, to add one to.
    here: Vec<(String, String)>,
    runbook: Option<Runbook>,
    unheard: Option<&'static Unheard>,
    own: Option<OwnRule>,
    edit_link: String,
    /// A silence for all of its alerts.
    hush: String,
    /// Whether anybody is told at all.
    told: bool,
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    match build(&ui, &params).await {
        Ok(page) => respond(StatusCode::OK, &headers, page.render()),
        Err(problem) => problem.respond(&ui, &headers),
    }
}

async fn build(ui: &Ui, params: &Params) -> Result<Page, Problem> {
    let (group, place) = find(ui, params)?;
    let rule = &group.rules[place];
    let now = ui.state.clock.now();
    let range = ui.range(params)?;
    let interval = ui.state.config.interval;
    let grid = Grid::new(range.start, range.end, PICTURE_POINTS, interval);
    let split = Split::new(&rule.query, false);
    let (expressions, data_query) = split.expressions();
    let (name, is_alerting) = (rule.name.clone(), rule.alerting.is_some());
    let (rule_query, at) = (rule.query.clone(), range.end);
    let drawn = move |asker: &crate::ask::Asker| {
        let words = ("Expression", "The expression gives nothing in this range.");
        let chart = Chart::of_expressions(words, asker, &expressions, grid, interval);
        let strips = if is_alerting { timeline::strips(asker, &name, None, grid) } else { (Vec::new(), 0) };
        (chart, strips, unheard::remark(asker, &rule_query, at))
    };
    let (chart, (strips, strips_hidden), unheard) = ui.ask(drawn).await?;
    let alerting = rule.alerting.clone().unwrap_or_default();
    let days = params.get("days").and_then(|text| text.parse().ok()).filter(|days| backtest::DAYS.contains(days));
    let backtest = match days.filter(|_| is_alerting) {
        Some(days) => Some(try_out(ui, rule, &group, days).await?),
        None => None,
    };
    let wanted = HistoryQuery { to: now, rule: Some(rule.name.clone()), limit: CHANGES_MAX, ..HistoryQuery::default() };
    let view = ui.state.notifications.view().await;
    let told = view.is_some();
    let external = view.unwrap_or_default().external_labels;
    let changes = ui.history(wanted).await?.changes;
    let changes = changes.iter().map(|change| history::Row::new(change, &external)).collect();
    let shell = Shell::new(ui, params, "/alerts", &rule.name);
    let own =
        ui.state.rules.own().into_iter().find(|own| own.name == rule.name && group.file.ends_with("rules/own.yml"));
    let active = alerting.alerts.iter().filter(|alert| alert.state != AlertState::Inactive);
    Ok(Page {
        tab: Tab::None,
        state: state(rule),
        recording: !is_alerting,
        interval: format_duration(group.interval),
        query_link: format!("{}/query?{}", shell.prefix, encode([("expr", rule.query.as_str())])),
        query: rule.query.clone(),
        hold: unless_zero(alerting.hold),
        keep_firing: unless_zero(alerting.keep_firing),
        labels: pairs(&rule.labels),
        annotations: pairs(&alerting.annotations),
        error: rule.last_error.clone(),
        last: rule.last_evaluation.map(|at| (When::new(at), ago(at, now))),
        took: took(rule.evaluation_time),
        chart,
        data_query,
        threshold: split.line(),
        strips,
        strips_hidden,
        alerts: active.take(ALERTS_MAX).map(|alert| Alert::new(alert, now)).collect(),
        changes,
        history_link: format!("{}/alerts/history?{}", shell.prefix, encode([("q", rule.name.as_str())])),
        backtest,
        days: backtest::DAYS,
        here: params.without(&["days"]),
        runbook: ui.state.rules.runbook(&rule.name).map(Runbook::new),
        unheard,
        edit_link: format!("{}/alerts/edit?{}", shell.prefix, encode([("old", rule.name.as_str())])),
        own,
        hush: hush(&shell.prefix, &Labels::from_pairs([("alertname", rule.name.as_str())])),
        told,
        name: rule.name.clone(),
        group: group.name.clone(),
        file: group.file.clone(),
        shell,
    })
}

async fn try_out(ui: &Ui, rule: &RuleStatus, group: &RuleGroupStatus, days: u32) -> Result<Outcome, Problem> {
    let alerting = rule.alerting.clone().unwrap_or_default();
    // Exactly as the group does it, where the days allow that.
    let fits = u64::from(days) * 86_400 / group.interval.as_secs().max(1) < 130_000;
    let interval = fits.then_some(group.interval);
    backtest::run(ui, &rule.query, alerting.hold, alerting.keep_firing, interval, days).await
}

/// The rule that the address names; it may have moved in its group since.
fn find(ui: &Ui, params: &Params) -> Result<(RuleGroupStatus, usize), Problem> {
    let text = |name| params.get(name).unwrap_or_default();
    let (file, group, rule) = (text("file"), text("group"), text("rule"));
    let place = params.get("place").and_then(|place| place.parse::<usize>().ok()).unwrap_or(usize::MAX);
    let found = ui.state.rules.groups().into_iter().find(|g| g.file == file && g.name == group).and_then(|g| {
        let is_there = g.rules.get(place).is_some_and(|r| r.name == rule);
        let at = if is_there { Some(place) } else { g.rules.iter().position(|r| r.name == rule) };
        at.map(|at| (g, at))
    });
    found.ok_or_else(|| {
        let detail = format!("The group {group:?} of {file:?} has no rule {rule:?}. It may have gone with a reload.");
        Problem::new(StatusCode::NOT_FOUND, "There is no such rule", detail)
    })
}
