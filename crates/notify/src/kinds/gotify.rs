//! Gotify: `POST /message` with the token of an application.

use client::config::Source;
use hyper::Uri;
use hyper::header::HeaderName;
use serde_json::json;
use template::Output;
use yaml::Section;

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, keys};
use crate::outgoing::{Outgoing, below, reveal};
use crate::speech::Speech;

/// Loud while something fires, quiet when it has ended.
const PRIORITY: &str = "{{ if eq .Status \"firing\" }}8{{ else }}2{{ end }}";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gotify {
    url: Uri,
    token: Source,
    title: String,
    message: String,
    priority: String,
    markdown: bool,
}

pub(super) fn decode(section: &Section<'_>, _: &Globals) -> Option<Kind> {
    if section.get("url").is_none() {
        section.place().error("missing url in gotify_config", "write url: https://HOST of the server");
    }
    Some(Kind::Gotify(Gotify {
        url: keys::url(section, "url").unwrap_or_default(),
        token: keys::needed(section, "token", "token_file"),
        title: keys::template(section, "title", "{{ template \"gotify.default.title\" . }}"),
        message: keys::template(section, "message", "{{ template \"gotify.default.message\" . }}"),
        priority: keys::template(section, "priority", PRIORITY),
        markdown: section.boolean("markdown").unwrap_or(false),
    }))
}

impl Gotify {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let mut body = json!({
            "title": speech.title(&self.title),
            "message": speech.body(&self.message, Output::Text),
            "priority": speech.text(&self.priority).trim().parse::<i64>().unwrap_or(5),
        });
        if self.markdown {
            body["extras"] = json!({ "client::display": { "contentType": "text/markdown" } });
        }
        let request = Outgoing::json(below(&self.url, "message")?, &body);
        request.header(HeaderName::from_static("x-gotify-key"), &reveal(&self.token)?)
    }
}
