//! From a request to an answer: every route is a plain function on a thread that may block.

use axum::extract::{FromRequestParts, RawPathParams, Request, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use promql::Cancel;

use crate::State;
use crate::failure::{Failure, Kind};
use crate::form::Form;
use crate::reply::{Reply, takes_gzip};

/// A request, as far as routes need it.
pub(crate) struct Call {
    /// Its parameters.
    pub(crate) form: Form,
    /// The variable part of the path; `Err` with the raw text where it is not UTF-8.
    pub(crate) path: Result<String, String>,
    /// The `Accept` header.
    pub(crate) accept: String,
    /// Set when the client goes away.
    pub(crate) cancel: Cancel,
}

/// How a failure is shown.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    Json,
    Text,
}

/// What answers a request; it may block.
pub(crate) type Route = fn(&State, &Call) -> Result<Reply, Failure>;

/// Cancels the query when the request is dropped, which is what happens when its connection closes.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Routes requests of one method to a function.
pub(crate) fn on(method: MethodFilter, route: Route, style: Style) -> MethodRouter<State> {
    let handler =
        async move |Shared(state): Shared<State>, request: Request| answer(state, request, route, style).await;
    axum::routing::on(method, handler)
}

async fn answer(state: State, request: Request, route: Route, style: Style) -> Response {
    let (mut parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, parts.uri.query(), body).await;
    let path = match RawPathParams::from_request_parts(&mut parts, &()).await {
        Ok(params) => Ok(params.iter().next().map(|(_, value)| value.to_owned()).unwrap_or_default()),
        Err(_) => Err(parts.uri.path().to_owned()),
    };
    let accept = parts.headers.get(axum::http::header::ACCEPT).and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or_default().to_owned();
    let pack = takes_gzip(&parts.headers);
    let cancel = Cancel::default();
    let _guard = CancelOnDrop(cancel.clone());
    let call = Call { form, path, accept, cancel };
    let run = move || match route(&state, &call) {
        Ok(reply) => reply.into_response(pack),
        Err(failure) => show(failure, style),
    };
    let died = |_| show(Failure::new(Kind::Internal, "the request could not be processed"), style);
    tokio::task::spawn_blocking(run).await.unwrap_or_else(died)
}

fn show(failure: Failure, style: Style) -> Response {
    match style {
        Style::Json => failure.into_response(),
        Style::Text => failure.into_text(),
    }
}
