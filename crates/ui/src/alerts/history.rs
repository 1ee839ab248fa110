//! The history of alerts, searched by the server.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{AlertChange, AlertState, HistoryPage, HistoryQuery};
use model::{Labels, fingerprint};

use super::list::whole;
use super::one::spell;
use super::{Pairs, Tab, pairs};
use crate::Ui;
use crate::format::{Unit, When, exact};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::targets::State3;

/// Changes on a page.
const ROWS_MAX: usize = 200;

/// As far back as it is kept.
const DAYS: i64 = 90;

#[derive(Template)]
#[template(path = "alert_history.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    words: String,
    state: &'static str,
    rows: Vec<Row>,
    /// The page with older ones, if there are any.
    older: Option<String>,
}

/// A change in words.
pub(super) struct Row {
    pub(super) at: When,
    pub(super) state: State3,
    pub(super) name: String,
    pub(super) labels: Pairs,
    pub(super) summary: String,
    /// `after 5 min`: how long the state before lasted, where that is known.
    pub(super) after: String,
    /// In a few digits, and in full.
    pub(super) value: String,
    pub(super) exact: String,
    pub(super) group: String,
    /// Of the alert's page.
    pub(super) number: String,
}

/// The word of an address, and the state that it means.
const STATES: [(&str, AlertState); 3] =
    [("firing", AlertState::Firing), ("pending", AlertState::Pending), ("ended", AlertState::Inactive)];

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let words = params.get("q").unwrap_or_default().to_owned();
    let state = params.get("state").and_then(|word| STATES.into_iter().find(|(name, _)| *name == word));
    let wanted = HistoryQuery {
        from: now - DAYS * 86_400_000,
        to: params.get("before").and_then(|text| text.parse().ok()).unwrap_or(now),
        words: words.split_whitespace().map(str::to_owned).collect(),
        state: state.map(|(_, state)| state),
        limit: ROWS_MAX,
        ..HistoryQuery::default()
    };
    let found = match ui.history(wanted).await {
        Ok(found) => found,
        Err(problem) => return problem.respond(&ui, &headers),
    };
    // Changes of the same millisecond may be told on both pages; none is left out.
    let last = found.changes.last().filter(|_| found.more).map(|change| change.at.to_string());
    let older = last.map(|last| {
        let pairs = [("q", words.as_str()), ("state", params.get("state").unwrap_or_default()), ("before", &last)];
        encode(pairs.into_iter().filter(|(_, value)| !value.is_empty()))
    });
    let external = ui.state.notifications.view().await.unwrap_or_default().external_labels;
    let rows = found.changes.iter().map(|change| Row::new(change, &external)).collect();
    let shell = Shell::new(&ui, &params, "/alerts", "History");
    let state = state.map_or("", |(word, _)| word);
    let page = Page { shell, tab: Tab::History, words, state, rows, older };
    respond(StatusCode::OK, &headers, page.render())
}

impl Row {
    pub(super) fn new(change: &AlertChange, external: &Labels) -> Self {
        let lasted = Unit::Seconds.text(((change.at - change.active_at) as f64 / 1000.0).round());
        let (state, after) = match change.state {
            AlertState::Pending => (AlertState::Pending.into(), String::new()),
            AlertState::Firing if change.at > change.active_at => {
                (AlertState::Firing.into(), format!("after {lasted}"))
            }
            AlertState::Firing => (AlertState::Firing.into(), "at once".to_owned()),
            AlertState::Inactive => {
                let after = if change.at > change.active_at { format!("after {lasted}") } else { String::new() };
                (State3 { word: "ended", class: "good", icon: "check" }, after)
            }
        };
        let is_over = change.state == AlertState::Inactive;
        Self {
            at: When::new(change.at),
            state,
            name: change.rule.2.clone(),
            labels: pairs(&change.labels),
            summary: change.summary.clone(),
            after,
            value: if is_over { String::new() } else { Unit::Short.text(change.value) },
            exact: if is_over { String::new() } else { exact(change.value) },
            group: change.rule.1.clone(),
            number: spell(fingerprint(&whole(external, &change.labels))),
        }
    }
}

impl Ui {
    /// A part of the history.
    pub(super) async fn history(&self, wanted: HistoryQuery) -> Result<HistoryPage, Problem> {
        let rules = Arc::clone(&self.state.rules);
        let found = tokio::task::spawn_blocking(move || rules.history(&wanted)).await.map_err(Problem::internal)?;
        found.map_err(|error| {
            let title = "The history cannot be read";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, title, error.to_string())
        })
    }
}
