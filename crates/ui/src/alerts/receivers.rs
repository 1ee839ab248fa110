//! Who is told, and how that went.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::Timestamp;
use model::status::{Health, ReceiverView};

use super::{Tab, fields};
use crate::Ui;
use crate::format::{When, ago, took};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::targets::State3;

#[derive(Template)]
#[template(path = "alert_receivers.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    rows: Vec<Row>,
    told: bool,
    /// What a test said.
    done: String,
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
    let done = params.get("done").unwrap_or_default().to_owned();
    let shell = Shell::new(&ui, &params, "/alerts", "Receivers");
    respond(StatusCode::OK, &headers, Page { shell, tab: Tab::Receivers, rows, told, done }.render())
}

/// The handler of the button: a notification that says that it is a test.
pub(crate) async fn test(State(ui): State<Arc<Ui>>, headers: HeaderMap, body: Body) -> Response {
    let params = match fields::read(body).await {
        Ok(params) => params,
        Err(problem) => return problem.respond(&ui, &headers),
    };
    let name = params.get("receiver").unwrap_or_default().to_owned();
    let Some(sending) = ui.state.notifications.test(name.clone()) else {
        let detail = format!("There is no receiver {name:?}, or it tells nobody.");
        return Problem::new(StatusCode::NOT_FOUND, "Nothing can be sent", detail).respond(&ui, &headers);
    };
    let done = encode([("done", name.as_str())]);
    fields::done(&ui, &headers, sending.await, &format!("/alerts/receivers?{done}"))
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
