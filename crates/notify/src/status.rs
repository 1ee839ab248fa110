//! What is told of receivers: data for pages and metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::status::Health;
use model::{Families, MetricKind, Timestamp};

/// A receiver's way to be told, and its last attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiverStatus {
    /// The receiver's name.
    pub receiver: String,
    /// The kind and its place in the receiver's list: `webhook[0]`.
    pub integration: String,
    /// How the last attempt went.
    pub health: Health,
    /// Why it went badly, empty if it did not.
    pub last_error: String,
    /// When the last attempt began.
    pub last_attempt: Option<Timestamp>,
    /// How long it took.
    pub last_duration: Duration,
    /// Notifications that were taken.
    pub sent: u64,
    /// Notifications that were given up until their group was due again.
    pub failed: u64,
    /// Requests made.
    pub attempts: u64,
}

/// The status of all receivers, by receiver and integration.
#[derive(Default)]
pub(crate) struct Board(Mutex<BTreeMap<(String, String), ReceiverStatus>>);

impl Board {
    /// Changes the status of an integration.
    pub(crate) fn update(&self, receiver: &str, integration: &str, change: impl FnOnce(&mut ReceiverStatus)) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (receiver.to_owned(), integration.to_owned());
        change(board.entry(key).or_insert_with(|| ReceiverStatus {
            receiver: receiver.to_owned(),
            integration: integration.to_owned(),
            ..ReceiverStatus::default()
        }));
    }

    /// Keeps these integrations only, and adds those that are missing.
    pub(crate) fn set(&self, integrations: &[(String, String)]) {
        for (receiver, integration) in integrations {
            self.update(receiver, integration, |_| {});
        }
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.retain(|key, _| integrations.contains(key));
    }

    pub(crate) fn all(&self) -> Vec<ReceiverStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

type Read = fn(&ReceiverStatus) -> f64;

const FAMILIES: [(&str, MetricKind, &str, Read); 4] = [
    ("skep_notifications_total", MetricKind::Counter, "Notifications that were taken.", |s| s.sent as f64),
    ("skep_notifications_failed_total", MetricKind::Counter, "Notifications that were given up.", |s| s.failed as f64),
    ("skep_notification_requests_total", MetricKind::Counter, "Requests made to receivers.", |s| s.attempts as f64),
    ("skep_notification_last_duration_seconds", MetricKind::Gauge, "Time of the last request.", |s| {
        s.last_duration.as_secs_f64()
    }),
];

/// The board as metrics.
pub(crate) fn collect(all: &[ReceiverStatus], families: &mut Families) {
    for (name, kind, help, read) in FAMILIES.iter().filter(|_| !all.is_empty()) {
        let family = families.family(*name, *kind, *help);
        for status in all {
            let labels = [("receiver", status.receiver.clone()), ("integration", status.integration.clone())];
            family.with(labels, read(status));
        }
    }
}
