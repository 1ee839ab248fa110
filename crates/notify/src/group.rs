//! A group: alerts that are told together. Pure: it knows no task, no receiver and no clock.

use std::collections::BTreeMap;

use model::{Alert, Labels, Timestamp, fingerprint};
use tokio::time::Instant;

use crate::route::Route;

/// Alerts of one route that share the group's labels.
pub(crate) struct Group {
    pub(crate) route: Route,
    pub(crate) key: String,
    pub(crate) labels: Labels,
    alerts: BTreeMap<Labels, Held>,
    /// The time intervals that kept it quiet at the last look.
    pub(crate) muted_by: Vec<String>,
    /// When it is looked at next; the steady clock, so that a jump of the wall clock cannot hold it up.
    pub(crate) due: Instant,
    /// Whether a delivery is under way; until it ends nothing new is decided.
    pub(crate) busy: bool,
}

/// An alert with the time of its last news.
pub(crate) struct Held {
    pub(crate) alert: Alert,
    pub(crate) updated_at: Timestamp,
}

/// An alert as it is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) alert: Alert,
    pub(crate) fingerprint: u64,
    pub(crate) resolved: bool,
}

impl Group {
    pub(crate) fn new(route: &Route, labels: Labels, now: Instant) -> Self {
        Self {
            key: route.group_key(&labels),
            due: now + route.group_wait,
            route: route.clone(),
            labels,
            alerts: BTreeMap::new(),
            muted_by: Vec::new(),
            busy: false,
        }
    }

    /// Takes a new state of an alert, and gives it as it is together with what was known of it. If the first one is older than
    /// the group's wait the group does not wait again; later ones wait with the others.
    pub(crate) fn insert(&mut self, alert: Alert, wall: Timestamp, now: Instant) -> Alert {
        let wait = i64::try_from(self.route.group_wait.as_millis()).unwrap_or(i64::MAX);
        if self.alerts.is_empty() && alert.starts_at.saturating_add(wait) < wall {
            self.due = now;
        }
        let merged = match self.alerts.remove(&alert.labels) {
            Some(old) => merge(&old.alert, alert, wall),
            None => alert,
        };
        self.alerts.insert(merged.labels.clone(), Held { alert: merged.clone(), updated_at: wall });
        merged
    }

    /// The alerts in the order in which they are told, and the next look a group interval from now.
    pub(crate) fn look(&mut self, wall: Timestamp, now: Instant) -> Vec<Told> {
        self.due = now + self.route.group_interval;
        let mut told: Vec<Told> = self
            .alerts
            .values()
            .map(|Held { alert, .. }| Told {
                fingerprint: fingerprint(&alert.labels),
                resolved: alert.ends_at <= wall,
                alert: alert.clone(),
            })
            .collect();
        told.sort_by(|a, b| by_place(&a.alert.labels, &b.alert.labels));
        told
    }

    /// Forgets alerts whose end was told, unless they changed since.
    pub(crate) fn forget(&mut self, told: &[Told]) {
        for told in told.iter().filter(|told| told.resolved) {
            if self.alerts.get(&told.alert.labels).is_some_and(|held| held.alert == told.alert) {
                self.alerts.remove(&told.alert.labels);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Whether it has an alert with these labels.
    pub(crate) fn holds(&self, labels: &Labels) -> bool {
        self.alerts.contains_key(labels)
    }

    /// By labels.
    pub(crate) fn alerts(&self) -> impl Iterator<Item = &Held> {
        self.alerts.values()
    }
}

/// Two states of an alert whose times overlap are one alert that began at the earlier time and ends at the later one,
/// unless the new one has ended: then that is the end, or the end of the old one if that came later.
fn merge(old: &Alert, new: Alert, now: Timestamp) -> Alert {
    let within = |time: Timestamp, a: &Alert| time > a.starts_at && time < a.ends_at;
    if !within(new.ends_at, old) && !within(new.starts_at, old) {
        return new;
    }
    let is_later = old.ends_at > new.ends_at && (new.ends_at > now || old.ends_at <= now);
    let ends_at = if is_later { old.ends_at } else { new.ends_at };
    Alert { starts_at: old.starts_at.min(new.starts_at), ends_at, ..new }
}

/// By job, by instance, then fewer labels first, then label by label.
pub(crate) fn by_place(a: &Labels, b: &Labels) -> std::cmp::Ordering {
    // A missing label stands behind every value.
    let place = |labels: &Labels, name| labels.get(name).map_or((1, String::new()), |value| (0, value.to_owned()));
    place(a, "job")
        .cmp(&place(b, "job"))
        .then_with(|| place(a, "instance").cmp(&place(b, "instance")))
        .then_with(|| a.len().cmp(&b.len()))
        .then_with(|| a.cmp(b))
}
