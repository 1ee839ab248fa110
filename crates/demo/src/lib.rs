//! The node behind `skep demo`: a simulated Cilium node whose five metrics endpoints are believable enough that the
//! official dashboards are full and an alert fires.
//!
//! In: a seed and the time at which the demo starts. Out: the page of an endpoint at any time ([`World::page`]), a day
//! of history through [`model::Appendable`] ([`write_history`]), the endpoints as HTTP servers ([`serve`]) and a rule
//! file ([`RULES`]). Every value is a pure function of seed, start and time, so that history and live pages meet
//! without a seam.
//!
//! Never: host metrics, XDP or anything else that the machine really has; randomness or a clock of its own; a query.

mod activity;
mod endpoint;
mod error;
mod history;
mod noise;
mod pages;
mod schema;
mod serve;
mod timeline;
mod world;

pub use endpoint::Endpoint;
pub use error::DemoError;
pub use history::{DemoTarget, HistoryProgress, HistorySpan, Written, history_spans, write_history};
pub use serve::{Ports, Servers, serve};
pub use timeline::Event;
pub use world::World;

/// The rule file of the demo. Its first alert fires within 30 seconds of the start when the targets are scraped at
/// least every 15 seconds.
pub const RULES: &str = include_str!("rules.yml");
