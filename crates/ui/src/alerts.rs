//! Alerts: what fires, rules, silences, history, receivers, and alerts that are made on a page.
//!
//! Writes are forms' POSTs; each passes [`crate::guard`] and ends with a redirect, so that all of it works without scripts and
//! going back repeats nothing.

mod backtest;
mod edit;
mod fields;
mod groups;
mod history;
mod list;
mod matchers;
mod notices;
mod one;
mod quiet;
mod receivers;
mod rule;
mod runbook;
mod silence;
mod silences;
mod threshold;
mod timeline;
mod unheard;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use model::status::{AlertState, AlertStatus};
use model::{Labels, Timestamp};

use crate::Ui;
use crate::format::{Unit, When, ago, exact, roughly};
use crate::params::encode;
use crate::targets::State3;

pub(crate) fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/alerts", get(list::page))
        .route("/alerts/alert/{fingerprint}", get(one::page))
        .route("/alerts/rules", get(groups::page))
        .route("/alerts/rule", get(rule::page))
        .route("/alerts/runbook/{name}", get(runbook::page))
        .route("/alerts/edit", get(edit::page).post(edit::save))
        .route("/alerts/edit/delete", post(edit::delete))
        .route("/alerts/silences", get(silences::page))
        .route("/alerts/silence", get(silence::page).post(silence::save))
        .route("/alerts/silence/expire", post(silence::expire))
        .route("/alerts/quiet", get(quiet::page).post(quiet::save))
        .route("/alerts/quiet/remove", post(quiet::remove))
        .route("/alerts/notifications", get(notices::page))
        .route("/alerts/history", get(history::page))
        .route("/alerts/receivers", get(receivers::page))
        .route("/alerts/receivers/test", post(receivers::test))
}

/// The pages of this part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Alerts,
    Rules,
    Silences,
    History,
    Notifications,
    Receivers,
    /// A page below one of them.
    None,
}

impl Tab {
    /// Page, path and word of each.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Alerts, "/alerts", "Alerts"),
        (Self::Rules, "/alerts/rules", "Rules"),
        (Self::Silences, "/alerts/silences", "Silences"),
        (Self::History, "/alerts/history", "History"),
        (Self::Notifications, "/alerts/notifications", "Notifications"),
        (Self::Receivers, "/alerts/receivers", "Receivers"),
    ];
}

/// The address of a rule's page.
fn rule_link(prefix: &str, file: &str, group: &str, place: usize, name: &str) -> String {
    let place = place.to_string();
    format!("{prefix}/alerts/rule?{}", encode([("file", file), ("group", group), ("rule", name), ("place", &place)]))
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

pub(crate) type Pairs = Vec<(String, String)>;

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

/// How long it is until a time: `2 h`.
fn left(until: Timestamp, now: Timestamp) -> String {
    roughly((until - now).max(0))
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

fn pairs(labels: &Labels) -> Pairs {
    let wanted = labels.iter().filter(|(name, _)| *name != "alertname");
    wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
