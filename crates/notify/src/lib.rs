//! Notifications: which alerts are told together, to whom, when and how often.
//!
//! In: alerts through [`model::AlertSink`], an `alertmanager.yml`. Out: notifications of every kind that `kinds` lists, and
//! data on every receiver's last attempt. Never: a judgement whether an alert fires, a file or database of its
//! own: what was told is kept through a [`model::KeyValue`].
//!
//! One task, the dispatcher, owns all groups. When a group is due, what people need not hear is left out: alerts that
//! others inhibit (`inhibit`), all of them in certain hours (`interval`), those that somebody silenced (`silence`), those that
//! are not urgent in somebody's quiet hours (`quiet`). Of the rest it decides for each receiver whether there is something to tell (`decide`), and hands that to a delivery task which
//! retries until the group is due again. What was delivered goes into the log first and is forgotten afterwards, so that
//! a crash repeats a notification at worst.
//!
//! A delivery words its notification (`speech`: templates over the alerts) for its kind of receiver (`kinds`) and sends it
//! (`client`, `smtp`). A template that fails or does not end costs its words, never the notification. [`Notifier::test`]
//! does the same for the button of a page.
//!
//! `api` is Alertmanager's API version 2 over all that.

mod api;
mod attempts;
mod client;
mod config;
mod decide;
mod delivery;
mod dispatcher;
mod external;
mod group;
mod inbox;
mod inhibit;
mod interval;
mod kinds;
mod log;
mod matchers;
mod notifier;
mod outgoing;
mod payload;
mod quiet;
mod route;
mod silence;
mod smtp;
mod speech;
mod status;
mod trial;
mod view;

pub use api::{Source, router};
pub use attempts::Attempt;
pub use client::Error;
pub use config::{Config, Integration, Receiver, decode, is_config_file, load_file};
pub use external::{Destination, External, Rewrite};
pub use inhibit::InhibitRule;
pub use interval::TimeInterval;
pub use model::fingerprint;
pub use notifier::Notifier;
pub use quiet::QuietError;
pub use route::{GroupBy, Route};
pub use silence::{Silence, SilenceError, SilenceMatcher, SilenceState};
pub use status::ReceiverStatus;
pub use trial::Trial;
pub use view::{AlertView, GroupView};
