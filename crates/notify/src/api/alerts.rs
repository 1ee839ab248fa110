//! Alerts and their groups.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::{Alert, AlertSink, Labels, Timestamp};
use serde_json::{Map, Value, json};

use super::{Failure, Parameters, Source, answer, notifier, read_body, read_time, time};
use crate::{AlertView, GroupView};

/// Texts of an alert together; far more than a message can show, and a bound on what a sender can make skep hold.
const ALERT_BYTES_MAX: usize = 64 << 10;

/// What stands among the time intervals that mute an alert while quiet hours keep it back.
const QUIET_HOURS: &str = "quiet hours";

/// Which alerts are asked for.
struct Wanted {
    parameters: Parameters,
    filter: super::Filter,
    receiver: Option<model::Pattern>,
    active: bool,
    silenced: bool,
    inhibited: bool,
}

impl Wanted {
    fn read(query: RawQuery) -> Result<Self, Failure> {
        let parameters = Parameters::new(query);
        Ok(Self {
            filter: parameters.filter()?,
            receiver: parameters.receiver()?,
            active: parameters.switch("active")?,
            silenced: parameters.switch("silenced")?,
            inhibited: parameters.switch("inhibited")?,
            parameters,
        })
    }

    fn takes(&self, view: &AlertView) -> bool {
        let is_active = view.silenced_by.is_empty() && view.inhibited_by.is_none();
        (self.active || !is_active)
            && (self.silenced || view.silenced_by.is_empty())
            && (self.inhibited || view.inhibited_by.is_none())
            && self.filter.takes(&view.alert.labels)
    }

    fn hears(&self, receiver: &str) -> bool {
        self.receiver.as_ref().is_none_or(|pattern| pattern.is_match(receiver))
    }
}

/// The receivers of each alert, by its fingerprint.
fn receivers(groups: &[GroupView]) -> BTreeMap<u64, BTreeSet<&str>> {
    let mut receivers: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for group in groups {
        for view in &group.alerts {
            receivers.entry(view.fingerprint).or_default().insert(&group.receiver);
        }
    }
    receivers
}

/// Every alert that fits, by fingerprint.
pub(super) async fn list(State(source): State<Source>, query: RawQuery) -> Result<Response, Failure> {
    let wanted = Wanted::read(query)?;
    let groups = notifier(&source)?.groups().await;
    let receivers = receivers(&groups);
    let mut alerts = BTreeMap::new();
    for view in groups.iter().flat_map(|group| &group.alerts).filter(|view| wanted.takes(view)) {
        let names = &receivers[&view.fingerprint];
        if names.iter().any(|name| wanted.hears(name)) {
            alerts.insert(format!("{:016x}", view.fingerprint), shown(view, names, &[]));
        }
    }
    Ok(answer(&alerts.into_values().collect::<Vec<_>>()))
}

/// Groups with the alerts that fit, by their labels.
pub(super) async fn groups(State(source): State<Source>, query: RawQuery) -> Result<Response, Failure> {
    let wanted = Wanted::read(query)?;
    let muted = wanted.parameters.switch("muted")?;
    let mut groups = notifier(&source)?.groups().await;
    groups.retain(|group| wanted.hears(&group.receiver) && (muted || group.muted_by.is_empty()));
    let receivers = receivers(&groups);
    let mut shown_groups = Vec::new();
    for group in &groups {
        let mut views: Vec<&AlertView> = group.alerts.iter().filter(|view| wanted.takes(view)).collect();
        views.sort_by(|a, b| crate::group::by_place(&a.alert.labels, &b.alert.labels));
        let alerts = views.into_iter().map(|view| shown(view, &receivers[&view.fingerprint], &group.muted_by));
        let alerts: Vec<Value> = alerts.collect();
        if !alerts.is_empty() {
            let labels = map(&group.labels);
            let value = json!({ "alerts": alerts, "labels": labels, "receiver": { "name": group.receiver } });
            shown_groups.push(((group.labels.len(), &group.labels, &group.receiver), value));
        }
    }
    shown_groups.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(answer(&shown_groups.into_iter().map(|(_, value)| value).collect::<Vec<_>>()))
}

fn map(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

fn shown(view: &AlertView, receivers: &BTreeSet<&str>, muted_by: &[String]) -> Value {
    let inhibited_by: Vec<String> = view.inhibited_by.iter().map(|source| format!("{source:016x}")).collect();
    let hours = view.quiet_until.map(|_| QUIET_HOURS.to_owned());
    let muted_by: Vec<String> = muted_by.iter().cloned().chain(hours).collect();
    let quiet = !inhibited_by.is_empty() || !view.silenced_by.is_empty() || !muted_by.is_empty();
    let mut value = json!({
        "annotations": map(&view.alert.annotations),
        "endsAt": time(view.alert.ends_at),
        "fingerprint": format!("{:016x}", view.fingerprint),
        "receivers": receivers.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "startsAt": time(view.alert.starts_at),
        "status": {
            "inhibitedBy": inhibited_by,
            "mutedBy": muted_by,
            "silencedBy": view.silenced_by,
            "state": if quiet { "suppressed" } else { "active" },
        },
        "updatedAt": time(view.updated_at),
        "labels": map(&view.alert.labels),
    });
    if !view.alert.generator_url.is_empty() {
        value["generatorURL"] = Value::from(view.alert.generator_url.as_str());
    }
    value
}

/// Takes alerts. Good ones are taken even if there are bad ones beside them.
pub(super) async fn add(State(source): State<Source>, body: Bytes) -> Result<Response, Failure> {
    let body = read_body(&body)?;
    let notifier = notifier(&source)?;
    let list = body.as_array().ok_or_else(|| Failure::Bad("alerts in body must be a list".to_owned()))?;
    let timeout = i64::try_from(notifier.config().resolve_timeout.as_millis()).unwrap_or(i64::MAX);
    let (mut alerts, mut refused) = (Vec::new(), Vec::new());
    for (i, value) in list.iter().enumerate() {
        match read(i, value, notifier.now(), timeout)? {
            Ok(alert) => alerts.push(alert),
            Err(message) => refused.push(message),
        }
    }
    notifier.send(alerts);
    if refused.is_empty() { Ok(StatusCode::OK.into_response()) } else { Err(Failure::Bad(refused.join("\n"))) }
}

/// An alert; a failure is a body of another shape, the inner error an alert that cannot be.
fn read(index: usize, value: &Value, now: Timestamp, timeout: i64) -> Result<Result<Alert, String>, Failure> {
    let texts = |name: &str| -> Result<Vec<(String, String)>, Failure> {
        let Some(pairs) = value[name].as_object() else { return Ok(Vec::new()) };
        let pairs = pairs.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        let message = format!("{index}.{name} in body must be a mapping of texts");
        pairs.collect::<Option<_>>().ok_or(Failure::Shape(601, message))
    };
    let (labels, annotations) = (texts("labels")?, texts("annotations")?);
    if value["labels"].as_object().is_none() {
        return Err(Failure::Shape(602, format!("{index}.labels in body is required")));
    }
    let (starts_at, ends_at) = (read_time(&value["startsAt"], "startsAt")?, read_time(&value["endsAt"], "endsAt")?);
    let alert = Alert {
        labels: Labels::from_pairs(labels.iter().map(|(name, value)| (name, value))),
        annotations: Labels::of_texts(annotations.iter().map(|(name, value)| (name, value))),
        starts_at: starts_at.or(ends_at).unwrap_or(now),
        ends_at: ends_at.unwrap_or_else(|| now.saturating_add(timeout)),
        generator_url: value["generatorURL"].as_str().unwrap_or_default().to_owned(),
    };
    let pairs = alert.labels.iter().chain(alert.annotations.iter());
    let bytes = alert.generator_url.len() + pairs.map(|(name, value)| name.len() + value.len()).sum::<usize>();
    Ok(if bytes > ALERT_BYTES_MAX {
        Err(format!("alert {index} is too large: its texts have {bytes} bytes, {ALERT_BYTES_MAX} are the most"))
    } else if alert.labels.is_empty() {
        Err("at least one label pair required".to_owned())
    } else if alert.labels.iter().chain(alert.annotations.iter()).any(|(name, _)| name.is_empty()) {
        Err("invalid label set: invalid name \"\"".to_owned())
    } else if alert.ends_at < alert.starts_at {
        Err("start time must be before end time".to_owned())
    } else {
        Ok(alert)
    })
}
