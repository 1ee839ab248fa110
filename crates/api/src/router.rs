//! The routes.

use axum::Router;
use axum::routing::get;

use crate::State;

/// All routes of the API, `/api/v1/write` excepted, which is the room `remote`'s.
pub fn router(state: State) -> Router {
    Router::new().route("/-/healthy", get(async || "skep is Healthy.\n")).with_state(state)
}
