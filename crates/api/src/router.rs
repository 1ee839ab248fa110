//! The routes.

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any, get};

use crate::call::{IsShort, Route, Style, on, on_short};
use crate::{
    State, admin, exemplars, explain, expression, federate, health, metrics, query, rules, series, status, targets,
};

const NOT_ALLOWED: &str = "Method Not Allowed\n";
const NOT_FOUND: (StatusCode, &str) = (StatusCode::NOT_FOUND, "404 page not found\n");

/// All routes of the API but `/api/v1/write`, which is the room `remote`'s.
pub fn router(state: State) -> Router {
    let api = Router::new()
        .route("/query", ask(query::instant))
        .route("/query_range", ask_short(query::range, query::is_quick))
        .route("/query_exemplars", ask(exemplars::query))
        .route("/explain", ask(explain::explain))
        .route("/format_query", ask(expression::format))
        .route("/parse_query", ask(expression::parse))
        .route("/series", ask(series::series).merge(on(MethodFilter::DELETE, status::drop_series, Style::Json)))
        .route("/labels", ask_short(series::names, series::is_of_all))
        .route("/label/{name}/values", read_short(series::values, series::is_of_all).layer(from_fn(no_slashes)))
        .route("/metadata", read(targets::metadata))
        .route("/targets", read(targets::targets))
        .route("/targets/metadata", read(targets::target_metadata))
        .route("/scrape_pools", read(targets::pools))
        .route("/rules", read(rules::rules))
        .route("/alerts", read(rules::alerts))
        .route("/alertmanagers", read(rules::alertmanagers))
        .route("/notifications", read(status::notifications))
        .route("/status/config", read(status::config))
        .route("/status/flags", read(status::flags))
        .route("/status/runtimeinfo", read(status::runtime))
        .route("/status/buildinfo", read(status::build))
        .route("/status/tsdb", read(status::store))
        .route("/status/walreplay", read(status::replay))
        .route("/admin/tsdb/snapshot", administer(admin::snapshot))
        .route("/admin/tsdb/delete_series", administer(admin::delete_series))
        .route("/admin/tsdb/clean_tombstones", administer(admin::clean_tombstones))
        .route("/{*unknown}", unknown());
    Router::new()
        .nest("/api/v1", api)
        .route("/api/v1/", unknown())
        .route("/federate", on(MethodFilter::GET, federate::federate, Style::Text).head(no_head))
        .route("/metrics", on(MethodFilter::GET, metrics::metrics, Style::Text))
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .method_not_allowed_fallback(other_method)
        .with_state(state)
}

/// GET alone.
fn read(route: Route<State>) -> MethodRouter<State> {
    on(MethodFilter::GET, route, Style::Json).head(no_head)
}

fn read_short(route: Route<State>, is_short: IsShort<State>) -> MethodRouter<State> {
    on_short(MethodFilter::GET, route, is_short, Style::Json).head(no_head)
}

/// GET, or POST with a form: for parameters that are too long for a URL.
fn ask(route: Route<State>) -> MethodRouter<State> {
    on(MethodFilter::GET.or(MethodFilter::POST), route, Style::Json).head(no_head)
}

fn ask_short(route: Route<State>, is_short: IsShort<State>) -> MethodRouter<State> {
    on_short(MethodFilter::GET.or(MethodFilter::POST), route, is_short, Style::Json).head(no_head)
}

/// `OPTIONS` has no answer but its status.
async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::OK.into_response();
    }
    (StatusCode::METHOD_NOT_ALLOWED, NOT_ALLOWED).into_response()
}

/// Upstream routes by the path that was unescaped: a slash in a name ends it, and an empty name is none.
async fn no_slashes(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let name = path.strip_suffix("/values").and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    if name.is_empty() || name.to_ascii_lowercase().contains("%2f") {
        return NOT_FOUND.into_response();
    }
    next.run(request).await
}

/// As upstream, which knows it for pages and probes alone.
async fn no_head() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, NOT_ALLOWED)
}

fn administer(route: Route<State>) -> MethodRouter<State> {
    on(MethodFilter::POST.or(MethodFilter::PUT), route, Style::Json)
}

fn unknown() -> MethodRouter<State> {
    any(async || NOT_FOUND)
}
