//! Rules: expressions evaluated again and again, whose results become new series and alerts.
//!
//! In: rule files, a [`model::Queryable`] to read from, a clock. Out: recorded series, `ALERTS` and `ALERTS_FOR_STATE`
//! through a [`model::Appendable`], alerts through an [`model::AlertSink`], and what [`model::status::Rules`] tells.
//! Never: a notification, a decision on who is told, the store's types.
//!
//! Each group has a task that sleeps until its next slot and evaluates its rules in order on a thread that may block; in a
//! group that takes long, rules that do not depend on each other (`batch`) are evaluated at once.
//! What an alert is between two evaluations is in memory; after a restart the time for which it was pending comes
//! back from `ALERTS_FOR_STATE`. Each change of a state goes into the [`History`], a [`model::Journal`].
//!
//! [`builtin`] has the rules that come with skep, `own` those that people make on the pages; `backtest` says what a rule
//! would have done.

mod alerting;
mod backtest;
mod batch;
pub mod builtin;
mod context;
mod error;
mod expand;
mod file;
mod group;
mod history;
mod manager;
mod metrics;
mod own;
mod recording;
mod restore;
#[cfg(test)]
mod scenario;
mod schedule;
pub mod unittest;

pub use error::Error;
pub use file::{Group, Rule, RuleKind, decode, load, load_file};
pub use history::History;
pub use manager::{Manager, Options};
pub use model::{Alert, AlertSink};
