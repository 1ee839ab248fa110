//! Rule groups: their rules, the alerts and the health of each.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{AlertState, Health, RuleGroupStatus, RuleStatus};
use model::{Timestamp, format_duration};

use super::{Alert, Pairs, Tab, pairs, rule_link};
use crate::Ui;
use crate::format::{When, ago, took};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::targets::State3;

/// Active alerts listed for a rule; the rest is counted.
const ALERTS_OF_RULE_MAX: usize = 100;

#[derive(Template)]
#[template(path = "alert_groups.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    groups: Vec<Group>,
    firing: usize,
    pending: usize,
    inactive: usize,
    recording: usize,
    broken: usize,
}

struct Group {
    name: String,
    file: String,
    interval: String,
    last: Option<(When, String)>,
    took: String,
    rules: Vec<Rule>,
}

struct Rule {
    name: String,
    /// Its page.
    page: String,
    /// The alert's state or the recording rule's health.
    state: State3,
    recording: bool,
    query: String,
    link: String,
    hold: String,
    keep_firing: String,
    labels: Pairs,
    annotations: Pairs,
    error: String,
    last: Option<(When, String)>,
    took: String,
    alerts: Vec<Alert>,
    hidden: usize,
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let shell = Shell::new(&ui, &params, "/alerts", "Rules");
    let groups: Vec<Group> = ui.state.rules.groups().into_iter().map(|group| Group::new(group, &shell, now)).collect();
    let rules = || groups.iter().flat_map(|group| &group.rules);
    let count = |word| rules().filter(|rule| !rule.recording && rule.state.word == word).count();
    let (firing, pending, inactive) = (count("firing"), count("pending"), count("inactive"));
    let recording = rules().filter(|rule| rule.recording).count();
    let broken = rules().filter(|rule| !rule.error.is_empty()).count();
    let page = Page { shell, tab: Tab::Rules, firing, pending, inactive, recording, broken, groups };
    respond(StatusCode::OK, &headers, page.render())
}

impl Group {
    fn new(group: RuleGroupStatus, shell: &Shell, now: Timestamp) -> Self {
        let link = |i: usize, rule: &RuleStatus| rule_link(&shell.prefix, &group.file, &group.name, i, &rule.name);
        let pages: Vec<String> = group.rules.iter().enumerate().map(|(i, rule)| link(i, rule)).collect();
        let rules = group.rules.into_iter().zip(pages).map(|(rule, page)| Rule::new(rule, page, shell, now)).collect();
        Self {
            name: group.name,
            file: group.file,
            interval: format_duration(group.interval),
            last: group.last_evaluation.map(|at| (When::new(at), ago(at, now))),
            took: took(group.evaluation_time),
            rules,
        }
    }
}

impl Rule {
    fn new(rule: RuleStatus, page: String, shell: &Shell, now: Timestamp) -> Self {
        let state = state(&rule);
        let recording = rule.alerting.is_none();
        let alerting = rule.alerting.unwrap_or_default();
        let hidden = alerting.alerts.len().saturating_sub(ALERTS_OF_RULE_MAX);
        let alerts = alerting.alerts.into_iter().take(ALERTS_OF_RULE_MAX).map(|alert| Alert::new(&alert, now));
        Self {
            page,
            state,
            recording,
            link: format!("{}/query?{}", shell.prefix, encode([("expr", rule.query.as_str())])),
            hold: unless_zero(alerting.hold),
            keep_firing: unless_zero(alerting.keep_firing),
            labels: pairs(&rule.labels),
            annotations: pairs(&alerting.annotations),
            last: rule.last_evaluation.map(|at| (When::new(at), ago(at, now))),
            took: took(rule.evaluation_time),
            alerts: alerts.collect(),
            hidden,
            name: rule.name,
            query: rule.query,
            error: rule.last_error,
        }
    }
}

/// The worst of its alerts; without any, whether it could be evaluated at all.
pub(super) fn state(rule: &RuleStatus) -> State3 {
    let alerts = rule.alerting.iter().flat_map(|alerting| &alerting.alerts);
    match (alerts.map(|alert| alert.state).max(), rule.health) {
        (Some(worst), _) => worst.into(),
        (None, Health::Bad) => State3 { word: "failing", class: "bad", icon: "cross" },
        (None, Health::Unknown) => State3 { word: "waiting", class: "idle", icon: "clock" },
        (None, Health::Good) if rule.alerting.is_none() => State3 { word: "recording", class: "good", icon: "check" },
        (None, Health::Good) => AlertState::Inactive.into(),
    }
}

/// The duration in words; empty where there is none.
pub(super) fn unless_zero(duration: Duration) -> String {
    if duration.is_zero() { String::new() } else { format_duration(duration) }
}
