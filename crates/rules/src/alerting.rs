//! Alerting rules: what an alert is, from its first element in a result until it is forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use model::status::{AlertChange, AlertState, AlertStatus, AlertingStatus};
use model::{Alert, Labels, METRIC_NAME, Sample, Timestamp};
use promql::Cancel;

use crate::context::{Context, millis};
use crate::expand::{Asking, Text, data};
use crate::recording::Recorded;
use crate::{Error, Rule, RuleKind};

/// The label with the name of the rule.
const ALERT_NAME: &str = "alertname";

/// Says of each active alert in which state it is.
pub(crate) const ALERTS: &str = "ALERTS";

/// Says of each active alert since when; its value is in seconds since 1970.
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// How long a resolved alert is sent on, so that a receiver that was away hears of its end. Prometheus' value.
const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// An alerting rule and its alerts.
pub(crate) struct Alerting {
    hold: Duration,
    keep_firing: Duration,
    labels: Vec<(String, Text)>,
    annotations: Vec<(String, Text)>,
    plain_annotations: Labels,
    alerts: BTreeMap<Labels, Active>,
    /// Whether the states from before the restart are back; until then nothing is written over them.
    restored: bool,
    /// Pending alerts that are no more, until the history is told.
    dropped: Vec<(Labels, Active)>,
}

/// An alert that holds, or did a short while ago.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) active_at: Timestamp,
    state: AlertState,
    annotations: Labels,
    value: f64,
    fired_at: Timestamp,
    resolved_at: Option<Timestamp>,
    last_sent_at: Option<Timestamp>,
    keep_firing_since: Option<Timestamp>,
    /// The state that the history knows.
    told: AlertState,
}

impl Alerting {
    /// An alerting rule without alerts; `None` if the rule records.
    pub(crate) fn new(rule: &Rule, restored: bool) -> Option<Self> {
        let RuleKind::Alerting { hold, keep_firing, annotations } = &rule.kind else { return None };
        let texts = |pairs: &[(String, String)]| {
            pairs.iter().map(|(name, text)| (name.clone(), Text::new(&rule.name, text))).collect()
        };
        Some(Self {
            hold: *hold,
            keep_firing: *keep_firing,
            labels: texts(&rule.labels),
            annotations: texts(annotations),
            plain_annotations: Labels::of_texts(annotations.iter().map(|(n, v)| (n, v))),
            alerts: BTreeMap::new(),
            restored,
            dropped: Vec::new(),
        })
    }

    /// Takes over the alerts of the same rule before a reload.
    pub(crate) fn adopt(&mut self, old: &mut Self) {
        self.alerts = std::mem::take(&mut old.alerts);
        self.restored = old.restored;
    }

    /// Whether an alert is pending or fires.
    pub(crate) fn is_active(&self, labels: &Labels) -> bool {
        self.alerts.get(labels).is_some_and(|alert| alert.state > AlertState::Inactive)
    }

    /// Forgets all alerts.
    pub(crate) fn clear(&mut self) {
        self.alerts.clear();
    }

    /// What changed since the last call, for the history; nothing until the states from before the restart are back. The
    /// caller says where the rule stands.
    pub(crate) fn changes(&mut self, at: Timestamp) -> Vec<AlertChange> {
        let dropped = std::mem::take(&mut self.dropped);
        if !self.restored {
            return Vec::new();
        }
        let known = dropped.iter().filter(|(_, alert)| alert.told > AlertState::Inactive);
        let mut changes: Vec<AlertChange> =
            known.map(|(labels, alert)| alert.change(labels, AlertState::Inactive, at)).collect();
        for (labels, alert) in self.alerts.iter_mut().filter(|(_, alert)| alert.state != alert.told) {
            alert.told = alert.state;
            changes.push(alert.change(labels, alert.state, at));
        }
        changes
    }

    /// `for`.
    pub(crate) fn hold(&self) -> Duration {
        self.hold
    }

    pub(crate) fn is_restored(&self) -> bool {
        self.restored
    }

    pub(crate) fn set_restored(&mut self) {
        self.restored = true;
    }

    /// Alerts with their labels.
    pub(crate) fn alerts_mut(&mut self) -> impl Iterator<Item = (&Labels, &mut Active)> {
        self.alerts.iter_mut().filter(|(_, alert)| alert.resolved_at.is_none())
    }

    /// Evaluates the rule: `at` is the evaluation's time, the expression is evaluated `offset` before it.
    pub(crate) fn evaluate(
        &mut self,
        rule: &Rule,
        context: &Context,
        at: Timestamp,
        offset: i64,
        limit: u64,
        cancel: &Cancel,
    ) -> Result<Vec<Recorded>, Error> {
        let found = self.find(rule, context, at, offset, cancel)?;
        self.advance(&found, at);
        self.merge(found, at);
        self.ripen(at);
        let active = self.alerts.values().filter(|alert| alert.state > AlertState::Inactive).count();
        if limit > 0 && active as u64 > limit {
            self.dropped.extend(std::mem::take(&mut self.alerts));
            return Err(Error::TooManyAlerts { limit, count: active });
        }
        Ok(if self.restored { self.series(rule, at.saturating_sub(offset)) } else { Vec::new() })
    }

    /// What the expression gives now, with labels and annotations expanded.
    fn find(
        &self,
        rule: &Rule,
        context: &Context,
        at: Timestamp,
        offset: i64,
        cancel: &Cancel,
    ) -> Result<BTreeMap<Labels, (Labels, f64)>, Error> {
        let asking = Asking { context, at, cancel };
        let external_labels = context.options.external_labels.get();
        let mut found = BTreeMap::new();
        for point in context.query(&rule.expr, at.saturating_sub(offset), cancel)? {
            let value = point.sample.value;
            let data = data(&point.labels, value, &external_labels, context);
            let mut builder = point.labels.to_builder();
            builder.remove(METRIC_NAME);
            for (name, text) in &self.labels {
                builder.set(name, text.expand(&data, &asking));
            }
            builder.set(ALERT_NAME, rule.name.as_str());
            let annotations =
                Labels::of_texts(self.annotations.iter().map(|(name, text)| (name, text.expand(&data, &asking))));
            if found.insert(builder.build(), (annotations, value)).is_some() {
                return Err(Error::DuplicateAlert);
            }
        }
        Ok(found)
    }

    /// Alerts that the expression no longer gives end, unless they are kept firing.
    fn advance(&mut self, found: &BTreeMap<Labels, (Labels, f64)>, at: Timestamp) {
        let keep_firing = self.keep_firing;
        let dropped = &mut self.dropped;
        self.alerts.retain(|labels, alert| {
            if found.contains_key(labels) {
                return true;
            }
            let forgotten = alert.resolved_at.is_some_and(|ended| at - ended > millis(RESOLVED_RETENTION));
            let pending = alert.state == AlertState::Pending;
            if alert.state > AlertState::Inactive && !alert.keeps_firing(at, keep_firing) {
                alert.state = AlertState::Inactive;
                alert.resolved_at = Some(at);
            }
            if pending {
                dropped.push((labels.clone(), alert.clone()));
            }
            !pending && !forgotten
        });
    }

    /// New elements become pending alerts, known ones get the new value and annotations.
    fn merge(&mut self, found: BTreeMap<Labels, (Labels, f64)>, at: Timestamp) {
        for (labels, (annotations, value)) in found {
            match self.alerts.get_mut(&labels).filter(|alert| alert.state > AlertState::Inactive) {
                Some(alert) => {
                    (alert.value, alert.annotations, alert.keep_firing_since) = (value, annotations, None);
                }
                None => drop(self.alerts.insert(labels, Active::pending(at, annotations, value))),
            }
        }
    }

    /// Pending alerts that held for long enough fire.
    fn ripen(&mut self, at: Timestamp) {
        let hold = millis(self.hold);
        let pending = |alert: &&mut Active| alert.state == AlertState::Pending;
        for alert in self.alerts.values_mut().filter(pending) {
            if at.saturating_sub(alert.active_at) >= hold {
                alert.state = AlertState::Firing;
                alert.fired_at = at;
            }
        }
    }

    /// `ALERTS` and `ALERTS_FOR_STATE` of what is active. They begin with the rule's labels as they are written, so that one
    /// whose template expands to nothing shows its template, as it does in Prometheus.
    fn series(&self, rule: &Rule, timestamp: Timestamp) -> Vec<Recorded> {
        let mut series = Vec::with_capacity(2 * self.alerts.len());
        let written = Labels::from_pairs(rule.labels.iter().map(|(name, text)| (name, text)));
        for (labels, alert) in &self.alerts {
            let state = match alert.state {
                AlertState::Inactive => continue,
                AlertState::Pending => "pending",
                AlertState::Firing => "firing",
            };
            let mut builder = written.to_builder();
            for (name, value) in labels {
                builder.set(name, value);
            }
            builder.set(METRIC_NAME, ALERTS_FOR_STATE).set(ALERT_NAME, rule.name.as_str());
            let since = alert.active_at.div_euclid(1000) as f64;
            series.push((builder.build(), Sample { timestamp, value: since }));
            builder.set(METRIC_NAME, ALERTS).set("alertstate", state);
            series.push((builder.build(), Sample { timestamp, value: 1.0 }));
        }
        series
    }

    /// Alerts to hand on now: those that fire or have ended, each once a resend delay and whenever it ends.
    pub(crate) fn due(&mut self, rule: &Rule, context: &Context, at: Timestamp, interval: Duration) -> Vec<Alert> {
        let options = &context.options;
        let external_labels = options.external_labels.get();
        let valid_until = at.saturating_add(millis(options.resend_delay.max(interval)).saturating_mul(4));
        let generator_url = format!("{}{}", options.external_url, template::table_link(&rule.query));
        let mut due = Vec::new();
        for (labels, alert) in self.alerts.iter_mut().filter(|(_, a)| a.needs_sending(at, options.resend_delay)) {
            alert.last_sent_at = Some(at);
            due.push(Alert {
                labels: with_external(labels, &external_labels),
                annotations: alert.annotations.clone(),
                starts_at: alert.fired_at,
                ends_at: alert.resolved_at.unwrap_or(valid_until),
                generator_url: generator_url.clone(),
            });
        }
        due
    }

    /// What it has beside a recording rule, as data.
    pub(crate) fn status(&self) -> AlertingStatus {
        let active = self.alerts.iter().filter(|(_, alert)| alert.state > AlertState::Inactive);
        AlertingStatus {
            hold: self.hold,
            keep_firing: self.keep_firing,
            annotations: self.plain_annotations.clone(),
            alerts: active.map(|(labels, alert)| alert.status(labels)).collect(),
        }
    }
}

impl Active {
    fn pending(at: Timestamp, annotations: Labels, value: f64) -> Self {
        Self {
            active_at: at,
            state: AlertState::Pending,
            annotations,
            value,
            fired_at: at,
            resolved_at: None,
            last_sent_at: None,
            keep_firing_since: None,
            told: AlertState::Inactive,
        }
    }

    fn change(&self, labels: &Labels, state: AlertState, at: Timestamp) -> AlertChange {
        let text = |name| self.annotations.get(name).filter(|text| !text.is_empty());
        AlertChange {
            at,
            state,
            labels: labels.clone(),
            summary: text("summary").or_else(|| text("description")).unwrap_or_default().to_owned(),
            value: self.value,
            active_at: self.active_at,
            rule: Default::default(),
        }
    }

    /// Whether `keep_firing_for` holds an alert whose expression gives nothing.
    fn keeps_firing(&mut self, at: Timestamp, keep_firing: Duration) -> bool {
        if self.state != AlertState::Firing || keep_firing.is_zero() {
            return false;
        }
        let since = *self.keep_firing_since.get_or_insert(at);
        at.saturating_sub(since) < millis(keep_firing)
    }

    fn needs_sending(&self, at: Timestamp, resend_delay: Duration) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        let Some(last) = self.last_sent_at else { return true };
        self.resolved_at.is_some_and(|ended| ended > last) || last.saturating_add(millis(resend_delay)) < at
    }

    fn status(&self, labels: &Labels) -> AlertStatus {
        AlertStatus {
            labels: labels.clone(),
            annotations: self.annotations.clone(),
            state: self.state,
            active_at: self.active_at,
            keep_firing_since: self.keep_firing_since,
            value: self.value,
        }
    }
}

/// External labels say where an alert comes from; its own labels win.
fn with_external(labels: &Labels, external: &Labels) -> Labels {
    if external.is_empty() {
        return labels.clone();
    }
    Labels::from_pairs(external.iter().chain(labels.iter()))
}
