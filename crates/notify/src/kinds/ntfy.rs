//! ntfy: a message of JSON to the server of a topic.

use client::config::Source;
use hyper::Uri;
use hyper::header::AUTHORIZATION;
use serde_json::json;
use template::Output;
use yaml::Section;

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, keys};
use crate::outgoing::{Outgoing, reveal};
use crate::speech::{Speech, shortened};

/// The service makes an attachment of longer messages.
const MESSAGE_MAX: usize = 3800;

/// Loud while something fires, quiet when it has ended.
const PRIORITY: &str = "{{ if eq .Status \"firing\" }}high{{ else }}low{{ end }}";
const TAGS: &str = "{{ if eq .Status \"firing\" }}rotating_light{{ else }}white_check_mark{{ end }}";

/// The names of the numbers 1 to 5.
const PRIORITIES: [&str; 5] = ["min", "low", "default", "high", "urgent"];

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ntfy {
    server: Uri,
    topic: String,
    token: Option<Source>,
    title: String,
    message: String,
    priority: String,
    tags: String,
    click: String,
    icon: String,
    markdown: bool,
}

pub(super) fn decode(section: &Section<'_>, _: &Globals) -> Option<Kind> {
    let topic = keys::template(section, "topic", "");
    if topic.is_empty() {
        section.place().error("missing topic in ntfy_config", "write topic: NAME");
    }
    Some(Kind::Ntfy(Box::new(Ntfy {
        server: keys::url(section, "url").unwrap_or_else(|| Uri::from_static("https://ntfy.sh/")),
        topic,
        token: keys::secret(section, "token", "token_file"),
        title: keys::template(section, "title", "{{ template \"ntfy.default.title\" . }}"),
        message: keys::template(section, "message", "{{ template \"ntfy.default.message\" . }}"),
        priority: keys::template(section, "priority", PRIORITY),
        tags: keys::template(section, "tags", TAGS),
        click: keys::template(section, "click", "{{ template \"__alertmanagerURL\" . }}"),
        icon: keys::template(section, "icon", ""),
        markdown: section.boolean("markdown").unwrap_or(false),
    })))
}

impl Ntfy {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let tags = speech.text(&self.tags);
        let tags: Vec<&str> = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
        let mut body = json!({
            "topic": speech.text(&self.topic),
            "title": speech.title(&self.title),
            "message": shortened(&speech.body(&self.message, Output::Text), MESSAGE_MAX),
            "priority": priority(&speech.text(&self.priority)),
            "tags": tags,
        });
        for (key, template) in [("click", &self.click), ("icon", &self.icon)] {
            let text = speech.text(template);
            if !text.is_empty() {
                body[key] = text.into();
            }
        }
        if self.markdown {
            body["markdown"] = true.into();
        }
        let request = Outgoing::json(self.server.clone(), &body).retry(&[429]);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, &format!("Bearer {}", reveal(token)?)),
            None => Ok(request),
        }
    }
}

fn priority(text: &str) -> usize {
    let text = text.trim().to_lowercase();
    let named = PRIORITIES.iter().position(|name| *name == text || (text == "max" && *name == "urgent"));
    named.map(|at| at + 1).or_else(|| text.parse().ok().filter(|n| (1..=5).contains(n))).unwrap_or(3)
}
