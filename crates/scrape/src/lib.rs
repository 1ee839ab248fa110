//! Collection: every target is read once an interval and its samples go to the store in one batch.
//!
//! In: the sections `global` and `scrape_configs`, groups of found targets, in-process collectors. Out: batches to a
//! [`model::Appendable`], and the state of every target. Never: a query, a wait of one target for another.

mod config;
mod manager;
mod relabel;

pub use config::{Auth, Config, Global, Job, Limits, Secret};
pub use manager::{Manager, Options};
pub use relabel::{Action, Rule, relabel};

/// The label of a target's `host:port` before relabelling.
pub(crate) const ADDRESS: &str = "__address__";
