//! Dashboards as things that people keep: the list, import, versions, export, and Grafana's HTTP API for the same.
//!
//! These are the only pages that write. Each write is a form's POST, passes [`crate::guard`], and ends with a redirect, so
//! that all of it works without scripts and going back repeats nothing.

mod about;
mod api;
mod form;
mod grafana;
mod import;
mod list;
mod losses;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use boards::{Error, Listed, Shelf};
use dashboard::DASHBOARD_BYTES_MAX;
use model::StorageError;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::{Ui, overview};

/// Bodies of dashboards that are read at once: each is held whole, some times over while it is looked at.
pub(crate) const UPLOADS_MAX: usize = 3;

/// Longest wait for a turn; then the sender is told to try again.
const TURN_TIMEOUT: Duration = Duration::from_secs(15);

/// A dashboard in Base64, as the page between looking and saving carries it, and the other fields of the form.
const BODY_BYTES_MAX: usize = DASHBOARD_BYTES_MAX / 3 * 4 + (256 << 10);

/// Forms without a dashboard have a few short fields.
const FORM_BYTES_MAX: usize = 64 << 10;

pub(crate) fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/dashboards", get(list::page))
        .route("/dashboards/import", get(import::page).post(import::submit))
        .route("/dashboards/about/{uid}", get(about::page))
        .route("/dashboards/about/{uid}/json", get(about::download))
        .route("/dashboards/about/{uid}/delete", get(about::confirm).post(about::delete))
        .route("/dashboards/about/{uid}/restore", post(about::restore))
        .route("/dashboards/about/{uid}/move", post(about::move_to))
        .route("/dashboards/about/{uid}/favourite", post(about::favourite))
        .route("/dashboards/about/{uid}/home", post(about::home))
        .route("/ui/dashboards", get(api::list).post(api::import))
        .route("/api/dashboards/db", post(grafana::save))
        .route("/api/dashboards/uid/{uid}", get(grafana::get).delete(grafana::delete))
        .route("/api/search", get(grafana::search))
}

/// The beginning: the home dashboard, where somebody chose one; the navigation, whose links carry a range, still leads to
/// the overview.
pub(crate) async fn start(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let plain = query.is_none() && !headers.contains_key("hx-request");
    match if plain { ui.shelf(Shelf::home).await.ok().flatten() } else { None } {
        Some(home) => (StatusCode::FOUND, [(LOCATION, ui.board_path(&home))]).into_response(),
        None => overview::page(State(ui), RawQuery(query), headers).await,
    }
}

impl Ui {
    /// Runs `work` with the shelf on a blocking thread.
    pub(crate) async fn shelf<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shelf) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let boards = Arc::clone(&self.state.boards);
        tokio::task::spawn_blocking(move || work(&boards)).await.map_err(Problem::internal)
    }

    /// Reads a body that may carry a dashboard. The permit is to be held as long as the body is.
    async fn upload(&self, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
        let turn = timeout(TURN_TIMEOUT, Arc::clone(&self.uploads).acquire_owned()).await;
        let turn = turn.map_err(|_| Problem::busy())?.map_err(Problem::internal)?;
        Ok((read(body, BODY_BYTES_MAX).await?, turn))
    }

    /// The address of a dashboard.
    fn board_path(&self, board: &Listed) -> String {
        format!("{}/d/{}/{}", self.state.config.prefix, board.uid, board.slug)
    }
}

async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    to_bytes(body, bytes_max).await.map_err(|_| {
        let detail = format!("A dashboard may have {} MiB.", DASHBOARD_BYTES_MAX >> 20);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "This is too large, or broke off", detail)
    })
}

/// The fields of a small form.
async fn fields(body: Body) -> Result<Params, Problem> {
    let body = read(body, FORM_BYTES_MAX).await?;
    Ok(Params::parse(std::str::from_utf8(&body).ok()))
}

/// Sends the reader on, so that going back does not write again.
pub(crate) fn see_other(location: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// Back to the page of ours that a form was sent from; to the list, where it names none.
fn back(ui: &Ui, params: &Params) -> Response {
    let prefix = &ui.state.config.prefix;
    let ours = |path: &&str| ["/dashboards", "/d/"].iter().any(|begin| path.starts_with(begin));
    let path = params.get("back").filter(ours).unwrap_or("/dashboards");
    // A line break would begin another header, and what is no ASCII has no place in one.
    let plain = path.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    see_other(&format!("{prefix}{}", if plain { path } else { "/dashboards" }))
}

/// The page about a dashboard, with a word on what just happened.
fn about_path(prefix: &str, uid: &str, done: &str) -> String {
    match done {
        "" => format!("{prefix}/dashboards/about/{uid}"),
        done => format!("{prefix}/dashboards/about/{uid}?{}", encode([("done", done)])),
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let (status, title) = match error {
            Error::Import(_) | Error::Encoding(_) | Error::Uid(_) => {
                (StatusCode::BAD_REQUEST, "This is no dashboard that skep can keep")
            }
            Error::Exists { .. } => (StatusCode::PRECONDITION_FAILED, "The uid is taken"),
            Error::Followed { .. } | Error::BuiltIn(_) => {
                (StatusCode::CONFLICT, "This dashboard cannot be changed here")
            }
            Error::Unknown(_) | Error::NoVersion { .. } => (StatusCode::NOT_FOUND, "There is no such dashboard"),
            Error::Limit(_) | Error::Index(StorageError::Limit(_)) => {
                (StatusCode::INSUFFICIENT_STORAGE, "There is no room for it")
            }
            Error::Damaged { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "The dashboard is damaged"),
            Error::Io { .. } | Error::Index(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "The dashboards cannot be reached")
            }
        };
        Self::new(status, title, sentence(&error.to_string()))
    }
}

/// Begins with a large letter and ends with a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

/// Words of people separated by nothing but themselves: the folder's name, or what stands for none.
fn folder_word(folder: &str) -> &str {
    if folder.is_empty() { "No folder" } else { folder }
}

/// What an answer is when a handler fails: a page that says why.
async fn or_problem(ui: &Ui, headers: &HeaderMap, work: impl Future<Output = Result<Response, Problem>>) -> Response {
    match work.await {
        Ok(response) => response,
        Err(problem) => problem.respond(ui, headers),
    }
}
