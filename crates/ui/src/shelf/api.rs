//! The shelf for programs, `skep dashboards` among them: JSON in, JSON out.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use boards::{Existing, Filter, Listed, Outcome, Status, Wish};
use dashboard::{Loss, Report};
use serde_json::{Value, json};

use super::list::origin_word;
use crate::Ui;
use crate::params::Params;
use crate::problem::Problem;

/// All dashboards, or those with some words in them: `?q=`.
pub(super) async fn list(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.as_deref());
    let filter = Filter { text: params.get("q").unwrap_or_default().to_owned(), ..Filter::default() };
    match ui.shelf(move |shelf| shelf.list(&filter)).await {
        Ok(list) => {
            let list: Vec<Value> = list.iter().map(|board| listed(&ui, board)).collect();
            Json(json!({ "dashboards": list })).into_response()
        }
        Err(problem) => refuse(&problem),
    }
}

/// Keeps a dashboard, the body of the request: `?folder=&overwrite=true&uid=&note=&input-NAME=`.
pub(super) async fn import(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, request: Request) -> Response {
    let params = Params::parse(query.as_deref());
    let text = |name: &str| params.get(name).map(str::to_owned);
    let inputs = params.without(&[]);
    let inputs =
        inputs.iter().filter_map(|(name, value)| Some((name.strip_prefix("input-")?.to_owned(), value.clone())));
    let wish = Wish {
        folder: text("folder"),
        existing: if params.get("overwrite") == Some("true") { Existing::Replace } else { Existing::Keep },
        uid: text("uid"),
        inputs: inputs.collect(),
        note: text("note").unwrap_or_default(),
    };
    match keep(&ui, request, wish).await {
        Ok(answer) => Json(answer).into_response(),
        Err(problem) => refuse(&problem),
    }
}

async fn keep(ui: &Ui, request: Request, wish: Wish) -> Result<Value, Problem> {
    let (body, _turn) = ui.upload(request.into_body()).await?;
    let outcome = ui.shelf(move |shelf| shelf.import(&body, &wish)).await?;
    let Outcome { uid, title, version, status, report } = outcome.map_err(|error| Problem::from(&error))?;
    let status = match status {
        Status::Created => "created",
        Status::Replaced => "replaced",
        Status::Unchanged => "unchanged",
    };
    let url = format!("{}/d/{uid}/{}", ui.state.config.prefix, boards::slug(&title));
    Ok(json!({
        "uid": uid, "title": title, "version": version, "status": status, "url": url,
        "not_carried": report.count(), "report": report_of(&report),
    }))
}

fn listed(ui: &Ui, board: &Listed) -> Value {
    json!({
        "uid": board.uid, "title": board.title, "folder": board.folder, "tags": board.tags,
        "favourite": board.favourite, "home": board.home, "origin": origin_word(&board.origin),
        "version": board.version, "panels": board.panels, "not_carried": board.losses, "saved": board.saved,
        "url": ui.board_path(board),
    })
}

fn report_of(report: &Report) -> Value {
    let losses = |losses: &[Loss]| -> Vec<Value> {
        losses.iter().map(|loss| json!({"path": loss.path, "value": loss.value, "reason": loss.reason})).collect()
    };
    let panel =
        |panel: &dashboard::PanelReport| json!({"id": panel.id, "title": panel.title, "losses": losses(&panel.losses)});
    let panels: Vec<Value> = report.panels.iter().map(panel).collect();
    json!({"dashboard": losses(&report.dashboard), "panels": panels, "omitted": report.omitted})
}

/// What went wrong, under the name that Grafana's clients look for, too.
pub(super) fn refuse(problem: &Problem) -> Response {
    let status = if problem.status == StatusCode::PRECONDITION_FAILED { "version-mismatch" } else { "error" };
    (problem.status, Json(json!({"message": problem.detail, "error": problem.detail, "status": status})))
        .into_response()
}
