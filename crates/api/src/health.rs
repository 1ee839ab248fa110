//! `/-/healthy` and `/-/ready`, for those who restart and those who wait.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::State;

/// 200 as long as anything is answered.
pub(crate) async fn healthy() -> &'static str {
    "skep is Healthy.\n"
}

/// 200 when start-up is over, else 503.
pub(crate) async fn ready(Shared(state): Shared<State>) -> Response {
    if state.process.is_ready() {
        "skep is Ready.\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n").into_response()
    }
}
