//! What the notifier says of itself.

use std::pin::Pin;
use std::time::Duration;

use super::Health;
use crate::{Labels, Timestamp};

/// Answers later.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Tells of notifications, and takes silences.
pub trait Notifications: Send + Sync {
    /// What is told to whom now; `None` while no receivers are configured.
    fn view(&self) -> Later<Option<NotificationsView>>;
    /// Adds a silence, or changes the one with its id; gives the id. It is on the disk then.
    fn set_silence(&self, silence: SilenceView) -> Later<Result<String, String>>;
    /// Ends a silence. It is on the disk then.
    fn expire_silence(&self, id: String) -> Later<Result<(), String>>;
    /// Sends a receiver a notification that says it is a test; `None` where that is not possible.
    fn test(&self, receiver: String) -> Option<Later<Result<(), String>>> {
        let _ = receiver;
        None
    }
}

/// What is told to whom.
#[derive(Clone, Debug, Default)]
pub struct NotificationsView {
    /// Alerts by what they are grouped in; one that two routes take stands here twice.
    pub alerts: Vec<NotifiedAlert>,
    /// All silences, those included that ended lately.
    pub silences: Vec<SilenceView>,
    /// The ways to tell somebody.
    pub receivers: Vec<ReceiverView>,
    /// What is added to the labels of rules' alerts.
    pub external_labels: Labels,
}

/// An alert on its way to a receiver.
#[derive(Clone, Debug)]
pub struct NotifiedAlert {
    /// Its labels, external ones included.
    pub labels: Labels,
    /// Its texts.
    pub annotations: Labels,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// Who is told.
    pub receiver: String,
    /// The name of an alert that inhibits it.
    pub inhibited_by: Option<String>,
    /// The ids of silences that hold for it.
    pub silenced_by: Vec<String>,
    /// The time intervals that keep its group quiet.
    pub muted_by: Vec<String>,
}

/// A silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SilenceView {
    /// Empty for a new one.
    pub id: String,
    /// As people write them: `name="value"`, `!=`, `=~`, `!~`.
    pub matchers: Vec<SilenceLine>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// When it was written last.
    pub updated_at: Timestamp,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
}

/// A matcher of a silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SilenceLine {
    /// The label.
    pub name: String,
    /// What it is compared with.
    pub value: String,
    /// Whether the value is a regular expression.
    pub is_regex: bool,
    /// False turns the match round.
    pub is_equal: bool,
}

/// A way to tell somebody.
#[derive(Clone, Debug, Default)]
pub struct ReceiverView {
    /// The receiver's name.
    pub name: String,
    /// The kind and its place in the receiver's list; empty for a receiver that tells nobody.
    pub integration: String,
    /// How the last attempt went.
    pub health: Health,
    /// Why it went badly.
    pub last_error: String,
    /// When the last attempt began.
    pub last_attempt: Option<Timestamp>,
    /// How long it took.
    pub last_duration: Duration,
    /// Notifications that were taken.
    pub sent: u64,
    /// Notifications that were given up.
    pub failed: u64,
}
