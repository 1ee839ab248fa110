//! What the notifier says of itself.

use std::collections::BTreeSet;
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
    /// The newest attempts to tell somebody something, the newest first; the error says why they cannot be read.
    fn attempts(&self, wanted: AttemptQuery) -> Later<Result<AttemptPage, String>> {
        let _ = wanted;
        Box::pin(async { Ok(AttemptPage::default()) })
    }
    /// Adds quiet hours, or changes those with their id; gives the id. It is on the disk then.
    fn set_quiet_hours(&self, hours: QuietHours) -> Later<Result<String, String>> {
        let _ = hours;
        Box::pin(async { Err("there are no quiet hours here".to_owned()) })
    }
    /// Removes quiet hours. It is on the disk then.
    fn remove_quiet_hours(&self, id: String) -> Later<Result<(), String>> {
        let _ = id;
        Box::pin(async { Err("there are no quiet hours here".to_owned()) })
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
    /// The hours in which receivers are told of little.
    pub quiet_hours: Vec<QuietHours>,
    /// What is added to the labels of rules' alerts.
    pub external_labels: Labels,
}

impl NotificationsView {
    /// The names of all receivers and of the one that is chosen, which may be gone; an empty one is none.
    pub fn receiver_names(&self, chosen: &str) -> Vec<String> {
        let known = self.receivers.iter().map(|receiver| receiver.name.as_str());
        let names: BTreeSet<&str> = known.chain([chosen]).filter(|name| !name.is_empty()).collect();
        names.into_iter().map(str::to_owned).collect()
    }
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
    /// The end of the quiet hours that keep it back.
    pub quiet_until: Option<Timestamp>,
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

/// Hours in which a receiver is told of what is urgent alone; they recur. What is kept back is told when they end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuietHours {
    /// Empty for new ones.
    pub id: String,
    /// Who has them; empty for everybody.
    pub receiver: String,
    /// The days on which they begin, from Monday on.
    pub days: [bool; 7],
    /// Minute of the day at which they begin.
    pub from: u16,
    /// Minute of the day at which they end: of the next day, unless it lies behind the beginning.
    pub to: u16,
    /// Where the clock hangs, by its name in the time zone database; `Local` is where this machine is.
    pub zone: String,
    /// Severities that are told anyway. `none`, which is for programs, always is.
    pub heard: Vec<String>,
    /// Why.
    pub comment: String,
    /// When those end that it is now. Nobody writes it.
    pub ends_at: Option<Timestamp>,
    /// When the next ones begin, if it is none now. Nobody writes it.
    pub begins_at: Option<Timestamp>,
}

impl QuietHours {
    /// The severity of alerts that are meant for programs, such as a dead-man's switch: to keep one back would be an alarm.
    const FOR_PROGRAMS: &str = "none";

    /// Whether they keep alerts of a severity from a receiver while they last.
    pub fn keep_back(&self, receiver: &str, severity: &str) -> bool {
        let is_heard = self.heard.iter().any(|heard| heard.eq_ignore_ascii_case(severity));
        (self.receiver.is_empty() || self.receiver == receiver) && !is_heard && severity != Self::FOR_PROGRAMS
    }
}

/// An attempt to tell a receiver something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttemptView {
    /// When it began.
    pub at: Timestamp,
    /// Who was told.
    pub receiver: String,
    /// In which way: `email[0]`.
    pub integration: String,
    /// Why it was told: `first notification`, `repeat interval elapsed`, `test`.
    pub reason: String,
    /// What the alerts of its group have in common.
    pub group: Labels,
    /// The first alerts of it: fingerprint and name.
    pub alerts: Vec<(u64, String)>,
    /// How many fired.
    pub firing: usize,
    /// How many had ended.
    pub resolved: usize,
    /// Which attempt of the same notification it was, from 1.
    pub count: u32,
    /// Whether the receiver took it.
    pub taken: bool,
    /// Why not, or what was wrong with its templates; empty if nothing was.
    pub problem: String,
    /// How long it took.
    pub duration: Duration,
    /// When it was to be tried again; `None` after one that was taken, and after tests.
    pub next: Option<Timestamp>,
    /// Whether that is the next look at its group, because this notification was given up.
    pub given_up: bool,
}

/// Which attempts are wanted.
#[derive(Clone, Debug, Default)]
pub struct AttemptQuery {
    /// From here on.
    pub from: Timestamp,
    /// Up to here.
    pub to: Timestamp,
    /// Words, each of which must stand somewhere in it, in whatever case.
    pub words: Vec<String>,
    /// Those that were taken, or were not.
    pub taken: Option<bool>,
    /// Those that told of the alert with this fingerprint.
    pub alert: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// A part of the attempts.
#[derive(Clone, Debug, Default)]
pub struct AttemptPage {
    /// The newest first.
    pub attempts: Vec<AttemptView>,
    /// Whether there are older ones that fit.
    pub more: bool,
}
