//! `/ui/targets`: what changes of the targets from scrape to scrape, for a page that shows them already.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::Timestamp;
use model::status::TargetStatus;
use serde::Serialize;

use super::{State3, id};
use crate::Ui;
use crate::page::with_body;
use crate::problem::Problem;

/// All targets, columns in place of names: a thousand of them take 80 KiB, and a tenth of that on the wire.
#[derive(Serialize)]
struct Answer {
    now: Timestamp,
    targets: Vec<Row>,
}

/// Identity, state, last scrape, microseconds it took, microseconds it was late, samples, error.
type Row = (String, &'static str, Option<Timestamp>, u64, u64, u64, String);

/// The handler.
pub(crate) async fn answer(State(ui): State<Arc<Ui>>, headers: HeaderMap) -> Response {
    let targets = ui.state.targets.active().into_iter().map(row).collect();
    let answer = Answer { now: ui.state.clock.now(), targets };
    match serde_json::to_vec(&answer) {
        Ok(body) => with_body(StatusCode::OK, &headers, "application/json", body),
        Err(error) => Problem::internal(error).respond(&ui, &headers),
    }
}

fn row(target: TargetStatus) -> Row {
    let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    (
        id(&target),
        State3::from(target.health).word,
        target.last_scrape,
        micros(target.last_scrape_duration),
        micros(target.lateness),
        target.samples,
        target.last_error,
    )
}
