//! PagerDuty's events, version 2 (`routing_key`) and 1 (`service_key`).

use client::config::Source;
use hyper::Uri;
use serde_json::{Map, Value as Json, json};
use yaml::{Place, Section};

use super::Kind;
use super::deep::{self, Tree};
use crate::client::Error;
use crate::config::{Globals, keys};
use crate::outgoing::{Outgoing, reveal, to_json};
use crate::speech::{Speech, shortened};

/// Version 1 has an address of its own.
const URL_1: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";

/// The service refuses longer texts and bodies.
const SUMMARY_MAX: usize = 1024;
const BODY_BYTES_MAX: usize = 512_000;

/// What is said of the alerts where the configuration says nothing of it.
const DETAILS: [(&str, &str); 4] = [
    ("firing", "{{ .Alerts.Firing | toJson }}"),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
    ("resolved", "{{ .Alerts.Resolved | toJson }}"),
];

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PagerDuty {
    key: Source,
    /// Version 1, by the key of a service.
    is_old: bool,
    url: Option<Uri>,
    default_url: Uri,
    client: String,
    client_url: String,
    description: String,
    source: String,
    severity: String,
    class: String,
    component: String,
    group: String,
    details: Vec<(String, Tree)>,
    images: Vec<Vec<(&'static str, String)>>,
    links: Vec<Vec<(&'static str, String)>>,
}

pub(super) fn decode(section: &Section<'_>, globals: &Globals) -> Option<Kind> {
    let routing = keys::secret(section, "routing_key", "routing_key_file");
    let service = keys::secret(section, "service_key", "service_key_file");
    if routing.is_none() && service.is_none() {
        section.place().error("missing service or routing key in PagerDuty config", "write routing_key");
    }
    let of = |key, default: &str| keys::template(section, key, default);
    let client = of("client", "{{ template \"pagerduty.default.client\" . }}");
    Some(Kind::PagerDuty(Box::new(PagerDuty {
        is_old: routing.is_none(),
        key: routing.or(service).unwrap_or_default(),
        url: keys::url(section, "url"),
        default_url: globals.pagerduty_url.clone(),
        source: of("source", &client),
        client,
        client_url: of("client_url", "{{ template \"pagerduty.default.clientURL\" . }}"),
        description: of("description", "{{ template \"pagerduty.default.description\" .}}"),
        severity: of("severity", ""),
        class: of("class", ""),
        component: of("component", ""),
        group: of("group", ""),
        details: details(section),
        images: attached(&section.list("images"), ["src", "alt", "href"]),
        links: attached(&section.list("links"), ["href", "text"]),
    })))
}

fn details(section: &Section<'_>) -> Vec<(String, Tree)> {
    let mut details: Vec<(String, Tree)> =
        DETAILS.iter().map(|(name, text)| ((*name).to_owned(), Tree::Text((*text).to_owned()))).collect();
    for (name, value) in section.get("details").map(|place| place.entries()).unwrap_or_default() {
        let name = name.node().as_text().unwrap_or_default().to_owned();
        details.retain(|(known, _)| *known != name);
        details.push((name, deep::decode(&value)));
    }
    details
}

fn attached<const N: usize>(places: &[Place<'_>], names: [&'static str; N]) -> Vec<Vec<(&'static str, String)>> {
    let one = |place: &Place<'_>| {
        let section = place.section()?;
        let all = names.map(|name| (name, keys::template(&section, name, "")));
        section.finish();
        Some(all.into_iter().filter(|(_, template)| !template.is_empty()).collect())
    };
    places.iter().filter_map(one).collect()
}

impl PagerDuty {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let key = reveal(&self.key)?;
        let mut body = if self.is_old { self.old(speech, &key) } else { self.body(speech, &key) };
        if to_json(&body).len() > BODY_BYTES_MAX {
            let place = if self.is_old { "details" } else { "payload" };
            let note =
                json!({ "error": "the details were left out: they made the event larger than the service takes" });
            match place {
                "details" => body["details"] = note,
                _ => body["payload"]["custom_details"] = note,
            }
        }
        let uri = match &self.url {
            Some(url) => url.clone(),
            None if self.is_old => Uri::from_static(URL_1),
            None => self.default_url.clone(),
        };
        Ok(Outgoing::json(uri, &body).retry(if self.is_old { &[403] } else { &[429] }))
    }

    fn action(speech: &Speech<'_>) -> &'static str {
        if speech.fires() { "trigger" } else { "resolve" }
    }

    fn details(&self, speech: &Speech<'_>) -> Json {
        let details = self.details.iter().map(|(name, tree)| (name.clone(), deep::fill(tree, &|t| speech.text(t))));
        Json::Object(details.collect::<Map<_, _>>())
    }

    fn body(&self, speech: &Speech<'_>, key: &str) -> Json {
        let severity = speech.text(&self.severity);
        let mut payload = json!({
            "summary": shortened(&speech.title(&self.description), SUMMARY_MAX),
            "source": speech.text(&self.source),
            "severity": if severity.is_empty() { "error".to_owned() } else { severity },
            "custom_details": self.details(speech),
        });
        for (name, template) in [("class", &self.class), ("component", &self.component), ("group", &self.group)] {
            let text = speech.text(template);
            if !text.is_empty() {
                payload[name] = text.into();
            }
        }
        let mut body = json!({
            "routing_key": key,
            "dedup_key": speech.group_id(),
            "event_action": Self::action(speech),
            "payload": payload,
            "client": speech.text(&self.client),
            "client_url": speech.text(&self.client_url),
        });
        for (name, all) in [("images", &self.images), ("links", &self.links)] {
            let filled: Vec<Json> = all
                .iter()
                .map(|one| one.iter().map(|(name, template)| ((*name).to_owned(), Json::from(speech.text(template)))))
                .map(|one| Json::Object(one.collect()))
                .collect();
            if !filled.is_empty() {
                body[name] = filled.into();
            }
        }
        body
    }

    fn old(&self, speech: &Speech<'_>, key: &str) -> Json {
        let mut body = json!({
            "service_key": key,
            "incident_key": speech.group_id(),
            "event_type": Self::action(speech),
            "description": shortened(&speech.title(&self.description), SUMMARY_MAX),
            "details": self.details(speech),
        });
        if speech.fires() {
            body["client"] = speech.text(&self.client).into();
            body["client_url"] = speech.text(&self.client_url).into();
        }
        body
    }
}
