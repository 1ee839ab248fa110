//! Opsgenie: alerts are made, changed and closed by an alias of their group.

use std::collections::BTreeMap;

use client::config::Source;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Uri};
use serde::Serialize;
use template::Output;
use yaml::{Place, Section};

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, keys};
use crate::outgoing::{Outgoing, below, reveal};
use crate::speech::{Speech, shortened};

/// The service refuses longer messages.
const MESSAGE_MAX: usize = 130;

const RESPONDERS: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Opsgenie {
    key: Source,
    url: Uri,
    message: String,
    description: String,
    source: String,
    details: Vec<(String, String)>,
    responders: Vec<Responder>,
    tags: String,
    note: String,
    priority: String,
    entity: String,
    actions: String,
    updates: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Responder {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    r#type: String,
}

#[derive(Serialize)]
struct Create {
    alias: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    details: BTreeMap<String, String>,
    source: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responders: Vec<Responder>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    priority: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    entity: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
}

pub(super) fn decode(section: &Section<'_>, globals: &Globals) -> Option<Kind> {
    let key = keys::secret(section, "api_key", "api_key_file").or_else(|| globals.opsgenie_key.clone());
    if key.is_none() {
        section.place().error("no global OpsGenie API Key set either inline or in a file", "write api_key");
    }
    let of = |key, default: &str| keys::template(section, key, default);
    Some(Kind::Opsgenie(Box::new(Opsgenie {
        key: key.unwrap_or_default(),
        url: keys::url(section, "api_url").unwrap_or_else(|| globals.opsgenie_url.clone()),
        message: of("message", "{{ template \"opsgenie.default.message\" . }}"),
        description: of("description", "{{ template \"opsgenie.default.description\" . }}"),
        source: of("source", "{{ template \"opsgenie.default.source\" . }}"),
        details: keys::templates(section, "details"),
        responders: section.list("responders").iter().filter_map(responder).collect(),
        tags: of("tags", ""),
        note: of("note", ""),
        priority: of("priority", ""),
        entity: of("entity", ""),
        actions: of("actions", ""),
        updates: section.boolean("update_alerts").unwrap_or(false),
    })))
}

fn responder(place: &Place<'_>) -> Option<Responder> {
    let section = place.section()?;
    let responder = Responder {
        id: keys::template(&section, "id", ""),
        name: keys::template(&section, "name", ""),
        username: keys::template(&section, "username", ""),
        r#type: keys::template(&section, "type", ""),
    };
    section.finish();
    if responder.id.is_empty() && responder.name.is_empty() && responder.username.is_empty() {
        place.error("a responder has to have at least one of id, username or name specified", "");
    }
    let kind = responder.r#type.to_lowercase();
    if !kind.contains("{{") && !RESPONDERS.contains(&&*kind) {
        place.error(
            format!("the type {kind:?} of a responder does not match valid options {}", RESPONDERS.join(", ")),
            "",
        );
    }
    Some(responder)
}

impl Opsgenie {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Vec<Outgoing>, Error> {
        let key = format!("GenieKey {}", reveal(&self.key)?);
        let alias = speech.group_id();
        let at = |path: &str| below(&self.url, &format!("v2/alerts{path}"));
        let of_alias = |what: &str| at(&format!("/{alias}/{what}?identifierType=alias"));
        let mut requests = Vec::new();
        if speech.fires() {
            let create = self.create(speech, &alias);
            let (message, description) = (create.message.clone(), create.description.clone());
            requests.push(Outgoing::json(at("")?, &create));
            if self.updates {
                // An alert that is there already keeps its words unless they are changed one by one.
                let put = |what: &'static str, text: String| {
                    let body = BTreeMap::from([(what, text)]);
                    Ok::<_, Error>(Outgoing { method: Method::PUT, ..Outgoing::json(of_alias(what)?, &body) })
                };
                requests.push(put("message", message)?);
                requests.push(put("description", description)?);
            }
        } else {
            let body = BTreeMap::from([("source", speech.text(&self.source))]);
            requests.push(Outgoing::json(of_alias("close")?, &body));
        }
        requests.into_iter().map(|request| request.retry(&[429]).header(AUTHORIZATION, &key)).collect()
    }

    fn create(&self, speech: &Speech<'_>, alias: &str) -> Create {
        let told = speech.message.told.iter().map(|told| &told.alert.labels);
        let mut details = crate::payload::common(told);
        details.extend(self.details.iter().map(|(name, template)| (name.clone(), speech.text(template))));
        Create {
            alias: alias.to_owned(),
            message: shortened(&speech.title(&self.message), MESSAGE_MAX),
            description: speech.body(&self.description, Output::Text),
            details,
            source: speech.text(&self.source),
            responders: self.responders.iter().flat_map(|responder| filled(responder, speech)).collect(),
            tags: split(&speech.text(&self.tags)),
            note: speech.text(&self.note),
            priority: speech.text(&self.priority),
            entity: speech.text(&self.entity),
            actions: split(&speech.text(&self.actions)),
        }
    }
}

/// One responder; `teams` are several in one text.
fn filled(responder: &Responder, speech: &Speech<'_>) -> Vec<Responder> {
    let one = Responder {
        id: speech.text(&responder.id),
        name: speech.text(&responder.name),
        username: speech.text(&responder.username),
        r#type: speech.text(&responder.r#type),
    };
    if one.r#type != "teams" {
        return vec![one];
    }
    let team = |name: &str| Responder { name: name.to_owned(), r#type: "team".to_owned(), ..one.clone() };
    one.name.split(',').map(team).collect()
}

fn split(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
}
