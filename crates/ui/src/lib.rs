//! The pages: overview, dashboards, query, targets, Cilium, eBPF, alerts and storage; their chart data; their live updates.
//!
//! In: HTTP requests, the store by [`model::Queryable`], the query engine, and what the rooms say of themselves. Out: HTML
//! that is whole without scripts, columnar JSON for charts, one event stream a page. Never: a file, a request to
//! another host, a script or style inside a page, text that askama has not escaped; a write but those of dashboards (`shelf`).
//!
//! The way of a page: its address gives a [`range::TimeRange`]; the page's own module asks the engine on a blocking thread
//! (`ask`), renders a template of `web/templates` inside the shell (`page`), and the script in `web/src` then draws charts
//! from `/ui/data`, listens to `/ui/live`, and swaps in the page's `#live` part when something changed. Dashboards (`board`) are
//! drawn from `/ui/board/{uid}`; of their texts only what `board::markup` makes reaches a page as markup.

mod alerts;
mod ask;
mod board;
mod bpf;
mod chart;
mod cilium;
mod complete;
mod data;
mod explain;
mod files;
mod format;
pub mod guard;
mod headers;
mod live;
mod overview;
mod page;
mod panels;
mod params;
mod problem;
mod query;
mod range;
mod shelf;
mod storage;
mod targets;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;
use model::status::{Memory, Notifications, Probes, Rules, Store, Targets};
use model::{Clock, Queryable, Timestamp};
use promql::Engine;
use tokio::sync::{Semaphore, watch};

pub use headers::security_headers;

/// What the pages show and how.
#[derive(Clone)]
pub struct State {
    /// Where samples are read.
    pub storage: Arc<dyn Queryable>,
    /// Answers expressions.
    pub engine: Arc<Engine>,
    /// Tells of targets.
    pub targets: Arc<dyn Targets>,
    /// Tells of rules and alerts.
    pub rules: Arc<dyn Rules>,
    /// Tells who is told, and takes silences.
    pub notifications: Arc<dyn Notifications>,
    /// Tells of probes.
    pub probes: Arc<dyn Probes>,
    /// Tells of the store.
    pub store: Arc<dyn Store>,
    /// Tells of the memory budget.
    pub memory: Arc<dyn Memory>,
    /// Keeps dashboards.
    pub boards: Arc<boards::Shelf>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Becomes `true` when the process stops: event streams end then, so that a graceful stop need not wait for readers.
    pub stopping: watch::Receiver<bool>,
    /// Why the files of the configuration were not taken over at the last reload; empty if they were.
    pub reload_problem: watch::Receiver<String>,
    /// The rest.
    pub config: Config,
}

/// Settings of the pages, ready to use.
#[derive(Clone, Debug)]
pub struct Config {
    /// The path under which readers see the pages: the path of `--web.external-url` without its last slash, such as `/skep`;
    /// empty at the top. The router's own routes do not carry it.
    pub prefix: String,
    /// Whether the process listens beyond loopback without a login; every page then says so.
    pub open_to_network: bool,
    /// The version to show, such as `0.1.0`.
    pub version: String,
    /// This machine's name.
    pub node: String,
    /// Time between collections of skep's own collectors: charts are not drawn finer, pages not refreshed faster.
    pub interval: Duration,
}

/// What handlers share.
struct Ui {
    state: State,
    /// When the pages began: shortly before the first collection.
    started: Timestamp,
    /// Bounds the evaluations that pages run at once.
    evaluations: Arc<Semaphore>,
    /// Bounds the open event streams.
    subscribers: Arc<Semaphore>,
    /// Bounds the dashboards that are read at once.
    uploads: Arc<Semaphore>,
}

/// The pages, `/assets/*` and `/ui/*`, with the security headers on every answer.
pub fn router(state: State) -> Router {
    let ui = Arc::new(Ui {
        started: state.clock.now(),
        state,
        evaluations: Arc::new(Semaphore::new(ask::EVALUATIONS_MAX)),
        subscribers: Arc::new(Semaphore::new(live::SUBSCRIBERS_MAX)),
        uploads: Arc::new(Semaphore::new(shelf::UPLOADS_MAX)),
    });
    Router::new()
        .route("/", get(shelf::start))
        .route("/query", get(query::page))
        .route("/targets", get(targets::page))
        .route("/targets/inspect", get(targets::inspect))
        .route("/cilium", get(cilium::page))
        .route("/bpf", get(bpf::page))
        .route("/storage", get(storage::page))
        .route("/d/{uid}", get(board::page))
        .route("/d/{uid}/{slug}", get(board::page))
        .route("/ui/board.css", get(board::places))
        .route("/ui/board/{uid}", get(board::answer))
        .route("/ui/data", get(data::answer))
        .route("/ui/complete", get(complete::answer))
        .route("/ui/targets", get(targets::now))
        .route("/ui/live", get(live::stream))
        .route("/ui/live/now", get(live::now))
        .route("/assets/{name}", get(files::serve))
        .merge(shelf::routes())
        .merge(alerts::routes())
        .merge(upstream::routes())
        .fallback(problem::not_found)
        .layer(from_fn(security_headers))
        .with_state(ui)
}
