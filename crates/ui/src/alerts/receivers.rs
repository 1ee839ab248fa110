//! Who is told, and how that went.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::Timestamp;
use model::status::{AttemptQuery, Health, ReceiverView};

use super::fields::{self, Fields};
use super::{Tab, notices};
use crate::Ui;
use crate::format::{When, ago, took};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::targets::State3;

/// A test is shown on the page that follows it; an older one only stands among the notifications.
const TRIAL_MILLIS: i64 = 120_000;

/// Attempts that are looked through for a test: those of two minutes, and a receiver has a few ways.
const TRIALS_MAX: usize = 1000;

#[derive(Template)]
#[template(path = "alert_receivers.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    rows: Vec<Row>,
    told: bool,
    /// The receiver that was tested, and how that went in each of its ways.
    tested: String,
    trials: Vec<notices::Row>,
}

struct Row {
    name: String,
    integration: String,
    state: State3,
    error: String,
    last: Option<(When, String)>,
    took: String,
    sent: u64,
    failed: u64,
    /// What finds its attempts.
    attempts: String,
    /// Whether it is the receiver's first way, beside which the button stands.
    first: bool,
    can_test: bool,
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let view = ui.state.notifications.view().await;
    let told = view.is_some();
    let mut receivers = view.unwrap_or_default().receivers;
    receivers.sort_by(|a, b| (&a.name, &a.integration).cmp(&(&b.name, &b.integration)));
    let mut rows: Vec<Row> = Vec::new();
    for receiver in receivers {
        let first = rows.last().is_none_or(|row| row.name != receiver.name);
        let can_test = first && ui.state.notifications.test(receiver.name.clone()).is_some();
        rows.push(Row::new(receiver, first, can_test, now));
    }
    let tested = params.get("tested").unwrap_or_default().to_owned();
    let trials = match ui.trials(&tested, now).await {
        Ok(trials) => trials,
        Err(problem) => return problem.respond(&ui, &headers),
    };
    let shell = Shell::new(&ui, &params, "/alerts", "Receivers");
    respond(StatusCode::OK, &headers, Page { shell, tab: Tab::Receivers, rows, told, tested, trials }.render())
}

impl Ui {
    /// How the latest test of a receiver went.
    async fn trials(&self, receiver: &str, now: Timestamp) -> Result<Vec<notices::Row>, Problem> {
        if receiver.is_empty() {
            return Ok(Vec::new());
        }
        let words = vec!["test".to_owned()];
        let (from, limit) = (now - TRIAL_MILLIS, TRIALS_MAX);
        let found = self.attempts(AttemptQuery { from, to: now, words, limit, ..AttemptQuery::default() }).await?;
        let mut trials = found.attempts;
        trials.retain(|attempt| attempt.receiver == receiver && attempt.reason == "test");
        // The newest of each way.
        trials.sort_by(|a, b| (&a.integration, b.at).cmp(&(&b.integration, a.at)));
        trials.dedup_by(|later, first| later.integration == first.integration);
        Ok(trials.into_iter().map(|attempt| notices::Row::new(attempt, now)).collect())
    }
}

/// The handler of the button: a notification that says that it is a test.
pub(crate) async fn test(State(ui): State<Arc<Ui>>, headers: HeaderMap, Fields(params): Fields) -> Response {
    let name = params.get("receiver").unwrap_or_default().to_owned();
    let Some(sending) = ui.state.notifications.test(name.clone()) else {
        let detail = format!("There is no receiver {name:?}, or it tells nobody.");
        return Problem::new(StatusCode::NOT_FOUND, "Nothing can be sent", detail).respond(&ui, &headers);
    };
    // The log of attempts has it in every detail, and the page shows that.
    if let Err(reason) = sending.await {
        tracing::warn!(receiver = name, reason, "a test of a receiver failed");
    }
    fields::see_other(&ui, &format!("/alerts/receivers?{}", encode([("tested", name.as_str())])))
}

impl Row {
    fn new(receiver: ReceiverView, first: bool, can_test: bool, now: Timestamp) -> Self {
        let state = match (receiver.integration.is_empty(), receiver.last_attempt, receiver.health) {
            (true, _, _) => State3 { word: "tells nobody", class: "idle", icon: "none" },
            (_, None, _) => State3 { word: "not used yet", class: "idle", icon: "clock" },
            (_, _, Health::Bad) => State3 { word: "failing", class: "bad", icon: "cross" },
            _ => State3 { word: "good", class: "good", icon: "check" },
        };
        Self {
            attempts: encode([("q", format!("{} {}", receiver.name, receiver.integration).as_str())]),
            name: receiver.name,
            integration: receiver.integration,
            state,
            error: receiver.last_error,
            last: receiver.last_attempt.map(|at| (When::new(at), ago(at, now))),
            took: took(receiver.last_duration),
            sent: receiver.sent,
            failed: receiver.failed,
            first,
            can_test,
        }
    }
}
