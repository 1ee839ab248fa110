//! What is told of groups and alerts to pages and programs.

use model::{Alert, Labels, Timestamp};

/// A group of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// Who is told of it.
    pub receiver: String,
    /// What its alerts have in common.
    pub labels: Labels,
    /// The time intervals that keep it quiet.
    pub muted_by: Vec<String>,
    /// Those that fire, by labels.
    pub alerts: Vec<AlertView>,
}

/// An alert of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertView {
    /// The alert.
    pub alert: Alert,
    /// Its number.
    pub fingerprint: u64,
    /// When something was heard of it last.
    pub updated_at: Timestamp,
    /// The fingerprint of an alert that inhibits it.
    pub inhibited_by: Option<u64>,
    /// The ids of the silences that hold for it.
    pub silenced_by: Vec<String>,
    /// The end of the quiet hours that keep it back.
    pub quiet_until: Option<Timestamp>,
}
