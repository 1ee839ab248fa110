//! The body of a webhook: Alertmanager's version 4, to the byte.

use std::collections::BTreeMap;

use model::{Labels, Timestamp};
use serde::Serialize;

use crate::decide::Reason;
use crate::group::Told;
use crate::outgoing::to_json;

type Pairs = BTreeMap<String, String>;

/// What stands for "has not ended".
const NO_TIME: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
struct Payload<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: Vec<PayloadAlert<'a>>,
    notification_reason: &'static str,
    #[serde(rename = "groupLabels")]
    group_labels: Pairs,
    #[serde(rename = "commonLabels")]
    common_labels: Pairs,
    #[serde(rename = "commonAnnotations")]
    common_annotations: Pairs,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    #[serde(rename = "groupKey")]
    group_key: &'a str,
    #[serde(rename = "truncatedAlerts")]
    truncated_alerts: usize,
}

#[derive(Serialize)]
struct PayloadAlert<'a> {
    status: &'static str,
    labels: Pairs,
    annotations: Pairs,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

/// What a message is about.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) receiver: &'a str,
    pub(crate) reason: Reason,
    pub(crate) told: &'a [Told],
    pub(crate) group_labels: &'a Labels,
    pub(crate) group_key: &'a str,
    pub(crate) external_url: &'a str,
}

/// The JSON of a message with at most `max_alerts` alerts; 0 is no limit.
pub(crate) fn encode(message: &Message<'_>, max_alerts: usize) -> Vec<u8> {
    let kept = if max_alerts == 0 { message.told.len() } else { max_alerts.min(message.told.len()) };
    let told = &message.told[..kept];
    let payload = Payload {
        receiver: message.receiver,
        status: status(told.iter().all(|t| t.resolved)),
        alerts: told.iter().map(alert).collect(),
        notification_reason: message.reason.text(),
        group_labels: pairs(message.group_labels),
        common_labels: common(told.iter().map(|t| &t.alert.labels)),
        common_annotations: common(told.iter().map(|t| &t.alert.annotations)),
        external_url: message.external_url,
        version: "4",
        group_key: message.group_key,
        truncated_alerts: message.told.len() - kept,
    };
    to_json(&payload)
}

fn alert(told: &Told) -> PayloadAlert<'_> {
    PayloadAlert {
        status: status(told.resolved),
        labels: pairs(&told.alert.labels),
        annotations: pairs(&told.alert.annotations),
        starts_at: time(told.alert.starts_at),
        ends_at: if told.resolved { time(told.alert.ends_at) } else { NO_TIME.to_owned() },
        generator_url: &told.alert.generator_url,
        fingerprint: format!("{:016x}", told.fingerprint),
    }
}

pub(crate) fn status(resolved: bool) -> &'static str {
    if resolved { "resolved" } else { "firing" }
}

fn pairs(labels: &Labels) -> Pairs {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What all have in common.
pub(crate) fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Pairs {
    let mut shared = sets.next().map(pairs).unwrap_or_default();
    for set in sets {
        shared.retain(|name, value| set.get(name) == Some(value));
    }
    shared
}

/// RFC 3339 in UTC, the fraction without trailing zeros.
fn time(millis: Timestamp) -> String {
    let Ok(time) = jiff::Timestamp::from_millisecond(millis) else { return NO_TIME.to_owned() };
    let fraction = format!("{:03}", millis.rem_euclid(1000));
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{}{dot}{fraction}Z", time.strftime("%Y-%m-%dT%H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use model::Alert;

    use super::*;

    fn told(i: &str, ends_at: Option<Timestamp>, annotations: &[(&str, &str)], url: &str) -> Told {
        let labels = Labels::from_pairs([("alertname", "A"), ("a b", "q\"<x>"), ("i", i)]);
        Told {
            fingerprint: crate::fingerprint(&labels),
            resolved: ends_at.is_some(),
            alert: Alert {
                labels,
                annotations: Labels::from_pairs(annotations.iter().copied()),
                starts_at: 1_795_217_642_123,
                ends_at: ends_at.unwrap_or(0),
                generator_url: url.to_owned(),
            },
        }
    }

    /// The body was recorded from Alertmanager 0.33.1.
    #[test]
    fn equals_alertmanagers_bytes() {
        let told = [
            told("1", Some(1_795_217_645_500), &[("s", "same"), ("d", "1 & <b>")], "http://p/graph?g0.expr=a&g0.tab=1"),
            told("2", None, &[("s", "same"), ("d", "2")], ""),
            told("3", None, &[("s", "same")], ""),
        ];
        let group_labels = Labels::from_pairs([("alertname", "A"), ("a b", "q\"<x>")]);
        let message = Message {
            receiver: "hook",
            reason: Reason::SomeResolved,
            told: &told,
            group_labels: &group_labels,
            group_key: "{}:{a b=\"q\\\"<x>\", alertname=\"A\"}",
            external_url: "http://am.example:9093",
        };
        let expected = concat!(
            r#"{"receiver":"hook","status":"firing","alerts":[{"status":"resolved","labels":{"a b":"q\"\u003cx\u003e","alertname":"A","i":"1"},"#,
            r#""annotations":{"d":"1 \u0026 \u003cb\u003e","s":"same"},"startsAt":"2026-11-20T23:34:02.123Z","endsAt":"2026-11-20T23:34:05.5Z","#,
            r#""generatorURL":"http://p/graph?g0.expr=a\u0026g0.tab=1","fingerprint":"5bddd54896125105"},{"status":"firing","labels":{"a b":"#,
            r#""q\"\u003cx\u003e","alertname":"A","i":"2"},"annotations":{"d":"2","s":"same"},"startsAt":"2026-11-20T23:34:02.123Z","#,
            r#""endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"5be7d548961aa58a"}],"notification_reason":"some alerts resolved","#,
            r#""groupLabels":{"a b":"q\"\u003cx\u003e","alertname":"A"},"commonLabels":{"a b":"q\"\u003cx\u003e","alertname":"A"},"#,
            r#""commonAnnotations":{"s":"same"},"externalURL":"http://am.example:9093","version":"4","#,
            r#""groupKey":"{}:{a b=\"q\\\"\u003cx\u003e\", alertname=\"A\"}","truncatedAlerts":1}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(encode(&message, 2)).unwrap(), expected);
    }
}
