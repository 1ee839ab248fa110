//! The alerts page: rule groups, their alerts, the health of recording rules.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{AlertState, AlertStatus, Health, RuleGroupStatus, RuleStatus};
use model::{Labels, Timestamp, format_duration};

use crate::Ui;
use crate::format::{Unit, When, ago, exact, took};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::targets::State3;

/// Active alerts listed for a rule; the rest is counted.
const ALERTS_OF_RULE_MAX: usize = 100;

#[derive(Template)]
#[template(path = "alerts.html")]
struct Page {
    shell: Shell,
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

/// An active alert, as the overview shows it too.
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) state: State3,
    pub(crate) labels: Pairs,
    pub(crate) annotations: Pairs,
    /// The summary or description; empty where the rule has neither.
    pub(crate) summary: String,
    pub(crate) severity: String,
    pub(crate) since: When,
    pub(crate) ago: String,
    /// In a few digits, for reading.
    pub(crate) value: String,
    /// In full, for comparing.
    pub(crate) exact: String,
    rank: AlertState,
}

type Pairs = Vec<(String, String)>;

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let shell = Shell::new(&ui, &params, "/alerts", "Alerts");
    let groups: Vec<Group> = ui.state.rules.groups().into_iter().map(|group| Group::new(group, &shell, now)).collect();
    let rules = || groups.iter().flat_map(|group| &group.rules);
    let count = |word| rules().filter(|rule| !rule.recording && rule.state.word == word).count();
    let (firing, pending, inactive) = (count("firing"), count("pending"), count("inactive"));
    let recording = rules().filter(|rule| rule.recording).count();
    let broken = rules().filter(|rule| !rule.error.is_empty()).count();
    let page = Page { shell, firing, pending, inactive, recording, broken, groups };
    respond(StatusCode::OK, &headers, page.render())
}

impl Group {
    fn new(group: RuleGroupStatus, shell: &Shell, now: Timestamp) -> Self {
        Self {
            name: group.name,
            file: group.file,
            interval: format_duration(group.interval),
            last: group.last_evaluation.map(|at| (When::new(at), ago(at, now))),
            took: took(group.evaluation_time),
            rules: group.rules.into_iter().map(|rule| Rule::new(rule, shell, now)).collect(),
        }
    }
}

impl Rule {
    fn new(rule: RuleStatus, shell: &Shell, now: Timestamp) -> Self {
        let state = state(&rule);
        let recording = rule.alerting.is_none();
        let alerting = rule.alerting.unwrap_or_default();
        let hidden = alerting.alerts.len().saturating_sub(ALERTS_OF_RULE_MAX);
        let alerts = alerting.alerts.into_iter().take(ALERTS_OF_RULE_MAX).map(|alert| Alert::new(&alert, now));
        Self {
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

impl Alert {
    pub(crate) fn new(alert: &AlertStatus, now: Timestamp) -> Self {
        let annotation = |name| alert.annotations.get(name).unwrap_or_default();
        let summary = [annotation("summary"), annotation("description"), annotation("message")];
        Self {
            name: alert.labels.get("alertname").unwrap_or_default().to_owned(),
            state: alert.state.into(),
            summary: summary.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned(),
            severity: alert.labels.get("severity").unwrap_or_default().to_owned(),
            labels: pairs(&alert.labels),
            annotations: pairs(&alert.annotations),
            since: When::new(alert.active_at),
            ago: ago(alert.active_at, now).trim_end_matches(" ago").to_owned(),
            value: Unit::Short.text(alert.value),
            exact: exact(alert.value),
            rank: alert.state,
        }
    }
}

impl Ui {
    /// Firing and pending alerts, firing first, then the longest first.
    pub(crate) fn active_alerts(&self, now: Timestamp) -> Vec<Alert> {
        let rules = self.state.rules.groups().into_iter().flat_map(|group| group.rules);
        let alerts = rules.filter_map(|rule| rule.alerting).flat_map(|alerting| alerting.alerts);
        let active = alerts.filter(|alert| alert.state != AlertState::Inactive);
        let mut alerts: Vec<Alert> = active.map(|alert| Alert::new(&alert, now)).collect();
        alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.rank), alert.since.ms));
        alerts
    }
}

impl From<AlertState> for State3 {
    fn from(state: AlertState) -> Self {
        match state {
            AlertState::Firing => Self { word: "firing", class: "bad", icon: "bell" },
            AlertState::Pending => Self { word: "pending", class: "warn", icon: "clock" },
            AlertState::Inactive => Self { word: "inactive", class: "good", icon: "check" },
        }
    }
}

/// The worst of its alerts; without any, whether it could be evaluated at all.
fn state(rule: &RuleStatus) -> State3 {
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
fn unless_zero(duration: Duration) -> String {
    if duration.is_zero() { String::new() } else { format_duration(duration) }
}

fn pairs(labels: &Labels) -> Pairs {
    let wanted = labels.iter().filter(|(name, _)| *name != "alertname");
    wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
