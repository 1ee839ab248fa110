//! Collection: every target is read once an interval and its samples go to the store in one batch.
//!
//! In: the sections `global` and `scrape_configs`, groups of found targets, in-process collectors. Out: batches to a
//! [`model::Appendable`], and the state of every target. Never: a query, a wait of one target for another.

mod cache;
mod config;
mod counters;
mod error;
mod excess;
mod fetch;
mod finders;
mod found;
mod ingest;
mod manager;
mod mapping;
mod metadata;
mod reading;
mod relabel;
mod runner;
mod target;
mod texts;
mod trace;

pub use config::{Config, Global, Job, Limits, Names, decode_rules, decode_targets};
pub use manager::{Manager, Options};
pub use relabel::{Action, Rule, relabel};

/// The label of a target's `host:port` before relabelling.
pub(crate) const ADDRESS: &str = "__address__";
/// The label of the job's name.
pub(crate) const JOB: &str = "job";
/// The label of a target's address, unless relabelling sets another.
pub(crate) const INSTANCE: &str = "instance";
