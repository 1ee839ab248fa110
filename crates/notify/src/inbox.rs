//! Alerts on their way to the dispatcher, in the order in which they came: the newest state of each, so that a slow
//! dispatcher costs no memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::{Alert, Labels};
use tokio::sync::Notify;

/// Distinct alerts that may wait. Rules give far fewer; a rule that gives more is the alert itself.
const ALERTS_MAX: usize = 50_000;

/// Waiting alerts.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Each with its place.
    alerts: Mutex<HashMap<Labels, (usize, Alert)>>,
    wake: Notify,
}

impl Inbox {
    /// Adds alerts; returns how many had no room.
    pub(crate) fn add(&self, alerts: Vec<Alert>) -> usize {
        let mut waiting = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = 0;
        for alert in alerts {
            let next = waiting.len();
            match waiting.get_mut(&alert.labels) {
                Some((_, newest)) => *newest = alert,
                None if next < ALERTS_MAX => drop(waiting.insert(alert.labels.clone(), (next, alert))),
                None => refused += 1,
            }
        }
        drop(waiting);
        self.wake.notify_one();
        refused
    }

    /// Waits until there may be alerts.
    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }

    /// Takes all that wait.
    pub(crate) fn take(&self) -> Vec<Alert> {
        let mut waiting = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut alerts: Vec<(usize, Alert)> = std::mem::take(&mut *waiting).into_values().collect();
        drop(waiting);
        alerts.sort_unstable_by_key(|(place, _)| *place);
        alerts.into_iter().map(|(_, alert)| alert).collect()
    }
}
