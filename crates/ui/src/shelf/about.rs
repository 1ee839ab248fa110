//! The page about one dashboard: where it came from, what is not carried, its versions; and what can be done with it.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use boards::{Error, Filter, Held, Listed, Origin, Version, slug};

use super::list::origin_word;
use super::losses::Losses;
use super::{about_path, back, fields, folder_word, or_problem, see_other};
use crate::Ui;
use crate::format::{Unit, When, ago};
use crate::page::{Shell, respond};
use crate::params::Params;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard_about.html")]
struct Page {
    shell: Shell,
    board: Listed,
    href: String,
    path: String,
    folder_word: String,
    origin: &'static str,
    file: String,
    /// Why the newest version cannot be shown.
    damage: String,
    losses: Losses,
    versions: Vec<Row>,
    folders: Vec<String>,
    /// What was just done.
    done: String,
}

struct Row {
    version: Version,
    size: String,
    saved: Option<(When, String)>,
    newest: bool,
}

#[derive(Template)]
#[template(path = "dashboard_delete.html")]
struct Confirm {
    shell: Shell,
    board: Listed,
    path: String,
    versions: usize,
}

type Of = Path<String>;

/// The handler.
pub(super) async fn page(
    State(ui): State<Arc<Ui>>,
    Path(uid): Of,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let params = Params::parse(query.as_deref());
    or_problem(&ui, &headers, async {
        let board = listed(&ui, &uid).await?;
        let found =
            ui.shelf(move |shelf| (shelf.get(&uid), shelf.versions(&uid), folders(&shelf.list(&Filter::default()))));
        let (held, versions, folders) = found.await?;
        let page = Page::new(&ui, &params, board, held, versions, folders);
        Ok(respond(StatusCode::OK, &headers, page.render()))
    })
    .await
}

/// The names of all folders, for suggestions.
pub(super) fn folders(all: &[Listed]) -> Vec<String> {
    let mut folders: Vec<String> =
        all.iter().map(|board| board.folder.clone()).filter(|name| !name.is_empty()).collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// What the list says of a dashboard, damaged or not.
async fn listed(ui: &Ui, uid: &str) -> Result<Listed, Problem> {
    let wanted = uid.to_owned();
    let found = ui.shelf(move |shelf| shelf.list(&Filter::default()).into_iter().find(|board| board.uid == wanted));
    found.await?.ok_or_else(|| (&Error::Unknown(uid.to_owned())).into())
}

impl Page {
    fn new(
        ui: &Ui,
        params: &Params,
        board: Listed,
        held: Result<Option<Arc<Held>>, Error>,
        versions: Vec<Version>,
        folders: Vec<String>,
    ) -> Self {
        let shell = Shell::new(ui, params, "/dashboards", &board.title);
        let now = ui.state.clock.now();
        let rows = versions.into_iter().map(|version| Row {
            size: Unit::Bytes.text(version.bytes as f64),
            saved: (version.saved > 0).then(|| (When::new(version.saved), ago(version.saved, now))),
            newest: version.number == board.version,
            version,
        });
        let losses = held.as_ref().ok().and_then(Option::as_ref).map(|held| Losses::new(&held.report));
        Self {
            href: ui.board_path(&board),
            path: about_path(&shell.prefix, &board.uid, ""),
            folder_word: folder_word(&board.folder).to_owned(),
            origin: origin_word(&board.origin),
            file: match &board.origin {
                Origin::File(file) => file.clone(),
                Origin::Imported | Origin::BuiltIn => String::new(),
            },
            damage: held.err().map(|error| error.to_string()).unwrap_or_default(),
            losses: losses.unwrap_or_default(),
            versions: rows.collect(),
            folders,
            done: params.get("done").unwrap_or_default().to_owned(),
            board,
            shell,
        }
    }
}

/// The bytes as they came, of the newest version or of another one.
pub(super) async fn download(
    State(ui): State<Arc<Ui>>,
    Path(uid): Of,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let params = Params::parse(query.as_deref());
    or_problem(&ui, &headers, async {
        let version = params.get("version").map(|text| text.parse::<u32>().unwrap_or(0));
        let held = ui.shelf(move |shelf| match version {
            Some(version) => shelf.get_version(&uid, version),
            None => shelf.get(&uid)?.ok_or(Error::Unknown(uid)),
        });
        let held = held.await?.map_err(|error| Problem::from(&error))?;
        let name: String = slug(&held.dashboard.title).chars().filter(char::is_ascii).collect();
        let name = if name.is_empty() { &held.listed.uid } else { &name };
        let disposition = format!("attachment; filename=\"{name}.json\"");
        let response = Response::builder()
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_DISPOSITION, disposition)
            .header(CACHE_CONTROL, "no-cache")
            .body(Body::from(held.json.to_vec()));
        Ok(response.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
    })
    .await
}

/// Asks before a dashboard goes.
pub(super) async fn confirm(State(ui): State<Arc<Ui>>, Path(uid): Of, headers: HeaderMap) -> Response {
    or_problem(&ui, &headers, async {
        let board = listed(&ui, &uid).await?;
        let versions = ui.shelf(move |shelf| shelf.versions(&uid).len()).await?;
        let title = format!("Delete {}?", board.title);
        let shell = Shell::new(&ui, &Params::default(), "/dashboards", &title);
        let path = about_path(&shell.prefix, &board.uid, "");
        Ok(respond(StatusCode::OK, &headers, Confirm { shell, board, path, versions }.render()))
    })
    .await
}

/// Takes it out.
pub(super) async fn delete(State(ui): State<Arc<Ui>>, Path(uid): Of, headers: HeaderMap) -> Response {
    or_problem(&ui, &headers, async {
        change(&ui, move |shelf| shelf.delete(&uid)).await?;
        Ok(see_other(&format!("{}/dashboards?done=deleted", ui.state.config.prefix)))
    })
    .await
}

/// Makes an older version the newest.
pub(super) async fn restore(State(ui): State<Arc<Ui>>, Path(uid): Of, headers: HeaderMap, body: Body) -> Response {
    or_problem(&ui, &headers, async {
        let version = fields(body).await?.get("version").and_then(|text| text.parse().ok()).unwrap_or(0);
        let of = uid.clone();
        change(&ui, move |shelf| shelf.restore(&of, version)).await?;
        Ok(see_other(&about_path(&ui.state.config.prefix, &uid, "restored")))
    })
    .await
}

/// Puts it into another folder.
pub(super) async fn move_to(State(ui): State<Arc<Ui>>, Path(uid): Of, headers: HeaderMap, body: Body) -> Response {
    or_problem(&ui, &headers, async {
        let folder = fields(body).await?.get("folder").unwrap_or_default().to_owned();
        let of = uid.clone();
        change(&ui, move |shelf| shelf.move_to(&of, &folder)).await?;
        Ok(see_other(&about_path(&ui.state.config.prefix, &uid, "moved")))
    })
    .await
}

/// Marks it, or takes the mark away.
pub(super) async fn favourite(State(ui): State<Arc<Ui>>, Path(uid): Of, headers: HeaderMap, body: Body) -> Response {
    or_problem(&ui, &headers, async {
        let params = fields(body).await?;
        let on = params.get("on") == Some("1");
        change(&ui, move |shelf| shelf.favourite(&uid, on)).await?;
        Ok(back(&ui, &params))
    })
    .await
}

/// Makes it the one that is shown at the beginning, or no longer.
pub(super) async fn home(State(ui): State<Arc<Ui>>, Path(uid): Of, headers: HeaderMap, body: Body) -> Response {
    or_problem(&ui, &headers, async {
        let params = fields(body).await?;
        let on = params.get("on") == Some("1");
        change(&ui, move |shelf| shelf.set_home(on.then_some(uid.as_str()))).await?;
        Ok(back(&ui, &params))
    })
    .await
}

async fn change<T: Send + 'static>(
    ui: &Ui,
    work: impl FnOnce(&boards::Shelf) -> Result<T, Error> + Send + 'static,
) -> Result<T, Problem> {
    ui.shelf(work).await?.map_err(|error| Problem::from(&error))
}
