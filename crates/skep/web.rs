//! All routes of the program behind one guard, and the lifecycle endpoints.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::{mpsc, oneshot};

use crate::prefix::Prefix;

/// What the lifecycle endpoints and signals ask of the main task.
#[derive(Debug)]
pub(crate) enum Order {
    /// Read the files again; the answer says why not, if not.
    Reload(oneshot::Sender<Result<(), String>>),
    /// End.
    Quit,
}

/// A burst of reloads does not help; more than these wait at the sender.
pub(crate) const ORDERS_MAX: usize = 8;

const CLOSED: &str = "Lifecycle API is not enabled; start skep with --web.enable-lifecycle\n";

const NOT_ALLOWED: &str = "Method Not Allowed\n";

/// API, remote write, pages and lifecycle, every write checked by the guard.
pub(crate) fn router(
    api: api::State,
    remote: Router,
    ui: ui::State,
    cors: api::Cors,
    prefix: &Prefix,
    guard: ui::guard::Guard,
    orders: Option<mpsc::Sender<Order>>,
) -> Router {
    let lifecycle = Router::new()
        .route("/-/reload", post(reload).put(reload).get(write_only))
        .route("/-/quit", post(quit).put(quit).get(write_only))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, NOT_ALLOWED))
        .with_state(orders);
    let routes = ui::router(ui)
        .merge(api::router(api))
        .merge(remote.method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, NOT_ALLOWED)))
        .merge(lifecycle)
        .layer(from_fn_with_state(Arc::new(guard), ui::guard::guard))
        .layer(from_fn_with_state(cors, api::cors))
        .layer(from_fn(ui::security_headers));
    prefix.wrap(routes)
}

type Orders = State<Option<mpsc::Sender<Order>>>;

async fn write_only() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed\n")
}

async fn reload(State(orders): Orders) -> Response {
    let Some(orders) = orders else { return (StatusCode::FORBIDDEN, CLOSED).into_response() };
    let (reply, answer) = oneshot::channel();
    if orders.send(Order::Reload(reply)).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "skep is stopping\n").into_response();
    }
    match answer.await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(problems)) => {
            let text = format!("failed to reload config; the running one stays in force:\n{problems}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "skep is stopping\n").into_response(),
    }
}

async fn quit(State(orders): Orders) -> Response {
    let Some(orders) = orders else { return (StatusCode::FORBIDDEN, CLOSED).into_response() };
    match orders.send(Order::Quit).await {
        Ok(()) => "Requesting termination... Goodbye!".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "skep is stopping\n").into_response(),
    }
}
