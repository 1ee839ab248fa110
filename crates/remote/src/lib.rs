//! Remote write: samples that other Prometheus servers and agents send.
//!
//! In: `POST /api/v1/write`, a snappy block around a protobuf `WriteRequest` of remote write 1.0. Out: batches to a
//! [`model::Appendable`], and a 2xx only once they are on the disk. Never: a query, a wait without a limit, a buffer
//! whose size the sender decides.

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use model::Appendable;

/// What the routes share; clones are the same receiver.
#[derive(Clone)]
pub struct State {
    store: Arc<dyn Appendable>,
}

impl State {
    /// A receiver that writes to this store.
    pub fn new(store: Arc<dyn Appendable>) -> Self {
        Self { store }
    }
}

/// The route `POST /api/v1/write`.
pub fn router(state: State) -> Router {
    Router::new().route("/api/v1/write", post(async |_: axum::extract::State<State>| "")).with_state(state)
}
