//! Notifications: which alerts are told together, to whom, when and how often.
//!
//! In: alerts through [`model::AlertSink`], an `alertmanager.yml`. Out: webhooks with Alertmanager's payload version 4,
//! and data on every receiver's last attempt. Never: a judgement whether an alert fires, a file or database of its
//! own: what was told is kept through a [`model::KeyValue`].
//!
//! One task, the dispatcher, owns all groups. When a group is due, what people need not hear is left out: alerts that
//! others inhibit (`inhibit`), all of them in certain hours (`interval`), those that somebody silenced (`silence`). Of the
//! rest it decides for each receiver whether there is something to tell (`decide`), and hands that to a delivery task which
//! retries until the group is due again. What was delivered goes into the log first and is forgotten afterwards, so that
//! a crash repeats a notification at worst.
//!
//! `api` is Alertmanager's API version 2 over all that.

mod api;
mod client;
mod config;
mod decide;
mod delivery;
mod dispatcher;
mod fingerprint;
mod group;
mod inbox;
mod inhibit;
mod interval;
mod log;
mod matchers;
mod notifier;
mod payload;
mod route;
mod silence;
mod status;
mod view;

pub use api::{Source, router};
pub use client::Error;
pub use config::{Config, Receiver, Target, Webhook, decode, load_file};
pub use fingerprint::fingerprint;
pub use inhibit::InhibitRule;
pub use interval::TimeInterval;
pub use notifier::Notifier;
pub use route::{GroupBy, Route};
pub use silence::{Silence, SilenceError, SilenceMatcher, SilenceState};
pub use status::ReceiverStatus;
pub use view::{AlertView, GroupView};
