//! Error answers: what, where, what to do.

use std::fmt;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use promql::QueryError;

use crate::Ui;
use crate::page::{Shell, respond};
use crate::params::Params;

/// Why there is no page or no data.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// What went wrong, in a few words.
    pub(crate) title: String,
    /// Where, and what to do.
    pub(crate) detail: String,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    shell: Shell,
    problem: &'a Problem,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { status, title: title.into(), detail: detail.into() }
    }

    pub(crate) fn bad_request(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, title, detail)
    }

    /// A bound of the time range cannot be read.
    pub(crate) fn range(name: &str, text: &str) -> Self {
        Self::bad_request(
            "The time range cannot be read",
            format!(
                "{name}={text:?} is neither relative (now, now-15m, now-1h30m), nor milliseconds since 1970, nor a date and time \
                 (2026-01-31T12:00:00Z)."
            ),
        )
    }

    /// All turns of evaluation are taken, for long.
    pub(crate) fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many queries at once",
            "Other pages are being evaluated. Try again in a moment, with a shorter range or a narrower expression if it stays so.",
        )
    }

    /// The evaluation ended in a way that is a defect.
    pub(crate) fn internal(detail: impl fmt::Display) -> Self {
        let hint = "The log may say more; please report it.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made", format!("{detail}. {hint}"))
    }

    /// The page that says so.
    pub(crate) fn respond(&self, ui: &Ui, headers: &HeaderMap) -> Response {
        let shell = Shell::new(ui, &Params::default(), "", &self.title);
        respond(self.status, headers, ProblemPage { shell, problem: self }.render())
    }
}

impl From<&QueryError> for Problem {
    fn from(error: &QueryError) -> Self {
        let status = match error.kind() {
            "bad_data" => StatusCode::BAD_REQUEST,
            "execution" => StatusCode::UNPROCESSABLE_ENTITY,
            "timeout" | "canceled" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, "The query has no answer", error.to_string())
    }
}

/// Every address that is not ours.
pub(crate) async fn not_found(State(ui): State<Arc<Ui>>, uri: Uri, headers: HeaderMap) -> Response {
    let detail = format!("Nothing is served at {}. Pick a page from the navigation.", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "There is no such page", detail).respond(&ui, &headers)
}
