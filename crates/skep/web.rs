//! All routes of the program behind one guard, and the lifecycle endpoints.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt;

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

/// API, remote write, pages and lifecycle, every write checked by the guard.
pub(crate) fn router(
    api: api::State,
    remote: Router,
    ui: ui::State,
    guard: ui::guard::Guard,
    orders: Option<mpsc::Sender<Order>>,
) -> Router {
    let lifecycle = Router::new()
        .route("/-/reload", post(reload).put(reload))
        .route("/-/quit", post(quit).put(quit))
        .with_state(orders);
    let prefix = ui.config.prefix.clone();
    let routes = ui::router(ui)
        .merge(api::router(api))
        .merge(remote.method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")))
        .merge(lifecycle)
        .layer(from_fn_with_state(Arc::new(guard), ui::guard::guard))
        .layer(from_fn(ui::security_headers));
    under(&prefix, routes)
}

/// Everything answers below the path of the external URL, for proxies that pass the path on, and at the top, for those
/// that take it off.
fn under(prefix: &str, routes: Router) -> Router {
    if prefix.is_empty() {
        return routes;
    }
    let prefix = prefix.to_owned();
    Router::new().fallback_service(routes.map_request(move |mut request: Request| {
        if let Some(uri) = without(&prefix, request.uri()) {
            *request.uri_mut() = uri;
        }
        request
    }))
}

/// The address without the prefix; `None` if it does not lie below it.
fn without(prefix: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(prefix)?;
    match rest.as_bytes().first() {
        Some(b'/') => rest.parse().ok(),
        None | Some(b'?') => format!("/{rest}").parse().ok(),
        Some(_) => None,
    }
}

type Orders = State<Option<mpsc::Sender<Order>>>;

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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;

    use super::*;

    async fn check(prefix: &str, path: &str, expected: &str) {
        let routes =
            Router::new().route("/", get("top")).route("/query", get("query")).fallback(|| async { "nothing" });
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = under(prefix, routes).oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, expected, "{prefix:?} {path}");
    }

    #[tokio::test]
    async fn answers_with_and_without_the_path_of_the_external_url() {
        check("", "/query", "query").await;
        check("", "/skep/query", "nothing").await;
        for path in ["/skep", "/skep/", "/"] {
            check("/skep", path, "top").await;
        }
        check("/skep", "/skep/query", "query").await;
        check("/skep", "/skep/query?expr=up", "query").await;
        check("/skep", "/skep?from=now-1h", "top").await;
        check("/skep", "/query", "query").await;
        check("/skep", "/skeptic", "nothing").await;
        check("/a/b", "/a/b/query", "query").await;
        check("/skep", "/skep/no", "nothing").await;
    }
}
