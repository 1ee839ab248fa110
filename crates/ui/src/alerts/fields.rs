//! The fields of small forms.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::Ui;
use crate::params::Params;
use crate::problem::Problem;

/// A form has a few short fields and an expression.
const FORM_BYTES_MAX: usize = 64 << 10;

/// A form that was sent; one that cannot be read is answered with a page that says why.
pub(super) struct Fields(pub(super) Params);

impl FromRequest<Arc<Ui>> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, ui: &Arc<Ui>) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, FORM_BYTES_MAX).await.map_err(|_| {
            let detail = format!("A form may have {} KiB.", FORM_BYTES_MAX >> 10);
            let title = "This is too large, or broke off";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, title, detail).respond(ui, &head.headers)
        })?;
        Ok(Self(Params::parse(std::str::from_utf8(&body).ok())))
    }
}

/// Sends the reader on, so that going back does not write again.
pub(super) fn see_other(ui: &Ui, path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, format!("{}{path}", ui.state.config.prefix))]).into_response()
}

/// What became of a write: on to `path`, or a page that says why not.
pub(super) fn done(ui: &Ui, headers: &HeaderMap, result: Result<(), String>, path: &str) -> Response {
    match result {
        Ok(()) => see_other(ui, path),
        Err(reason) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "That was not done", reason).respond(ui, headers),
    }
}
