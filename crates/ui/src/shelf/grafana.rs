//! The part of Grafana's HTTP API that tools use to carry dashboards about, with its words.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use boards::{Error, Existing, Filter, Held, Listed, Origin, Outcome, Wish};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::api::refuse;
use crate::Ui;
use crate::params::Params;
use crate::problem::Problem;

/// What a client sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Save<'b> {
    /// Kept letter by letter.
    #[serde(borrow)]
    dashboard: &'b RawValue,
    /// Folders have names alone here: a uid of one is its name.
    folder_uid: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    overwrite: bool,
}

/// `POST /api/dashboards/db`
pub(super) async fn save(State(ui): State<Arc<Ui>>, request: Request) -> Response {
    match keep(&ui, request).await {
        Ok(Outcome { uid, title, version, .. }) => {
            let slug = boards::slug(&title);
            let url = format!("{}/d/{uid}/{slug}", ui.state.config.prefix);
            let answer =
                json!({"id": 0, "uid": uid, "url": url, "status": "success", "version": version, "slug": slug});
            Json(answer).into_response()
        }
        Err(problem) => refuse(&problem),
    }
}

async fn keep(ui: &Ui, request: Request) -> Result<Outcome, Problem> {
    let (body, _turn) = ui.upload(request.into_body()).await?;
    let outcome = ui.shelf(move |shelf| {
        let text = std::str::from_utf8(&body).map_err(|error| Error::Encoding(error.valid_up_to()))?;
        // Where it cannot be read as what is expected, the reader of dashboards says why.
        let Ok(save) = serde_json::from_str::<Save<'_>>(text) else { return shelf.import(&body, &Wish::default()) };
        let version = serde_json::from_str::<Value>(save.dashboard.get()).ok();
        let version = version.and_then(|value| u32::try_from(value.get("version")?.as_u64()?).ok());
        let existing = match (save.overwrite, version) {
            (true, _) => Existing::Replace,
            (false, Some(version)) => Existing::ReplaceVersion(version),
            (false, None) => Existing::Keep,
        };
        let wish = Wish { folder: save.folder_uid, existing, note: save.message, ..Wish::default() };
        shelf.import(save.dashboard.get().as_bytes(), &wish)
    });
    outcome.await?.map_err(|error| Problem::from(&error))
}

/// `GET /api/dashboards/uid/UID`
pub(super) async fn get(State(ui): State<Arc<Ui>>, Path(uid): Path<String>) -> Response {
    let held = ui.shelf(move |shelf| shelf.get(&uid)?.ok_or(Error::Unknown(uid))).await;
    match held.and_then(|held| held.map_err(|error| Problem::from(&error))) {
        Ok(held) => Json(answer(&ui, &held)).into_response(),
        Err(problem) => refuse(&problem),
    }
}

fn answer(ui: &Ui, held: &Held) -> Value {
    let board = &held.listed;
    let mut value: Value = serde_json::from_slice(&held.json).unwrap_or_default();
    let inner = match value.get_mut("dashboard").or(None) {
        Some(inner) => inner.take(),
        None => value.get_mut("spec").map(Value::take).unwrap_or(value),
    };
    let mut dashboard = inner;
    if let Some(object) = dashboard.as_object_mut() {
        object.insert("uid".to_owned(), json!(board.uid));
        object.insert("version".to_owned(), json!(board.version));
    }
    let meta = json!({
        "type": "db", "slug": board.slug, "url": ui.board_path(board), "version": board.version, "isStarred": board.favourite,
        "canSave": board.origin == Origin::Imported, "canDelete": board.origin == Origin::Imported,
        "provisioned": matches!(board.origin, Origin::File(_)), "folderTitle": board.folder, "folderUid": board.folder,
    });
    json!({"meta": meta, "dashboard": dashboard})
}

/// `DELETE /api/dashboards/uid/UID`
pub(super) async fn delete(State(ui): State<Arc<Ui>>, Path(uid): Path<String>) -> Response {
    let deleted = ui.shelf(move |shelf| {
        let title = shelf.list(&Filter::default()).into_iter().find(|board| board.uid == uid).map(|board| board.title);
        shelf.delete(&uid).map(|()| title.unwrap_or_default())
    });
    match deleted.await.and_then(|deleted| deleted.map_err(|error| Problem::from(&error))) {
        Ok(title) => Json(json!({"title": title, "message": format!("Dashboard {title} deleted")})).into_response(),
        Err(problem) => refuse(&problem),
    }
}

/// `GET /api/search?query=&tag=&starred=true`; folders are not listed apart.
pub(super) async fn search(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.as_deref());
    let filter = Filter {
        text: params.get("query").unwrap_or_default().to_owned(),
        tags: params.all("tag").map(str::to_owned).collect(),
        favourites: params.get("starred") == Some("true"),
        ..Filter::default()
    };
    let only_folders = params.get("type") == Some("dash-folder");
    match ui.shelf(move |shelf| shelf.list(&filter)).await {
        Ok(list) => {
            let list = list.iter().filter(|_| !only_folders);
            Json(list.map(|board| hit(&ui, board)).collect::<Vec<_>>()).into_response()
        }
        Err(problem) => refuse(&problem),
    }
}

fn hit(ui: &Ui, board: &Listed) -> Value {
    json!({
        "id": 0, "uid": board.uid, "title": board.title, "uri": format!("db/{}", board.slug), "url": ui.board_path(board),
        "slug": "", "type": "dash-db", "tags": board.tags, "isStarred": board.favourite,
        "folderTitle": board.folder, "folderUid": board.folder,
    })
}
