//! Prometheus' HTTP API over skep's rooms, byte for byte.
//!
//! In: requests under `/api/v1`, `/-/healthy`, `/-/ready`, `/federate` and `/metrics`. Out: JSON (and text) as
//! Prometheus 3.5 writes it, read from [`model::Queryable`], the engine and the status traits. Never: a write to the
//! store, a tree of JSON values, a thread kept by a slow reader, an answer held whole in memory next to its text.
//!
//! The way of a request: `call` reads the parameters (`form`, `time`), runs the route's function on a thread that may
//! block and cancels it when the client leaves; the function gives a `reply`, written piece by piece with `json` and
//! `number`, or a `failure`.
//!
//! # Where it differs from Prometheus 3.5, and why
//!
//! | what | reason |
//! |---|---|
//! | other sites may not read answers unless `--web.cors.origin` names them; there is no `Vary` without it | a server without a login would show itself to every page its users open |
//! | `metadata` knows what remote write told | upstream keeps it for senders only |
//! | `status/tsdb` has a field `skep`, counts series of the last two hours, and takes any `limit` | bytes are what users pay; upstream hangs up on a huge limit |
//! | `delete_series` reads all selectors before it deletes anything | upstream has deleted by the first ones when a later one is refused |
//! | `start` and `end` beyond what milliseconds in 64 bits hold stop at the bound | upstream's wrap, so that `end=1e40` finds nothing |
//! | a timeout that is over at once is always an `execution` error | upstream answers one of three at random |
//! | phases of `stats` that skep does not tell apart are zero, `peakSamples` are those that skep held | series are read once for all steps |
//! | series of a selector without `sort` come in the order of their labels | upstream's is any |
//! | `OPTIONS` of pages is 405; unknown addresses outside of `/api/v1` are a page | nobody asks |
//! | `explain` is there: what `query` or `query_range` would do with the same parameters, node by node (`src/explain.rs`) | a slow panel should say why |
//! | 405 names skep's methods in `Allow` | `OPTIONS` is answered before the routes |

mod admin;
mod call;
mod cors;
mod exemplars;
mod explain;
mod expression;
mod failure;
mod federate;
mod form;
mod health;
mod json;
mod metrics;
mod number;
mod packing;
mod process;
mod query;
mod reply;
mod router;
mod rules;
mod series;
mod status;
mod targets;
mod time;
mod tree;

use std::sync::Arc;

use model::{Clock, Collector, Labels, Live, Queryable};
use promql::Engine;

pub use admin::{Admin, Snapshots};
pub use cors::{Cors, cors};
pub use process::{Build, Process, Runtime};
pub use router::router;

/// What the routes read from; clones share it.
#[derive(Clone)]
pub struct State {
    /// Where series are.
    pub storage: Arc<dyn Queryable>,
    /// What evaluates expressions.
    pub engine: Arc<Engine>,
    /// The targets.
    pub targets: Arc<dyn model::status::Targets>,
    /// The rule groups and their alerts.
    pub rules: Arc<dyn model::status::Rules>,
    /// What the store holds.
    pub store: Arc<dyn model::status::Store>,
    /// What the program says of itself.
    pub process: Arc<dyn Process>,
    /// What `/metrics` shows.
    pub collectors: Vec<Arc<dyn Collector>>,
    /// `global.external_labels`, added to federated series that lack them.
    pub external_labels: Live<Labels>,
    /// What `admin/tsdb/*` works on; `None` where the administration is switched off.
    pub admin: Option<Admin>,
    /// The time of queries that name none.
    pub clock: Arc<dyn Clock>,
}
