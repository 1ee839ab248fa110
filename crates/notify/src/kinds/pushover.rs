//! Pushover.

use client::config::Source;
use hyper::Uri;
use template::Output;
use yaml::Section;

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, keys};
use crate::outgoing::{Outgoing, reveal};
use crate::speech::{Speech, shortened};

const URL: &str = "https://api.pushover.net/1/messages.json";

/// The service refuses longer texts.
const TITLE_MAX: usize = 250;
const MESSAGE_MAX: usize = 1024;
const URL_MAX: usize = 512;

/// What is said where the templates say nothing: the service takes no empty message.
const NO_DETAILS: &str = "(no details)";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pushover {
    user: Source,
    token: Source,
    title: String,
    message: String,
    url: String,
    url_title: String,
    device: String,
    sound: String,
    priority: String,
    retry_secs: u64,
    expire_secs: u64,
    ttl: String,
    style: Option<&'static str>,
}

pub(super) fn decode(section: &Section<'_>, _: &Globals) -> Option<Kind> {
    let flag = |key| section.boolean(key).unwrap_or(false);
    let (html, monospace) = (flag("html"), flag("monospace"));
    if html && monospace {
        section.place().error("at most one of monospace & html must be configured", "");
    }
    let seconds = |key, default| keys::whole_seconds(section, key).map_or(default, |time| time.as_secs());
    let ttl = section.get("ttl").and_then(|place| place.string()).unwrap_or_default();
    let ttl_secs = model::parse_duration(&ttl).map(|time| time.as_secs()).unwrap_or(0);
    if !ttl.is_empty()
        && ttl_secs == 0
        && let Some(place) = section.get("ttl")
    {
        place.error(format!("{ttl:?} is no time"), "such as 1h");
    }
    Some(Kind::Pushover(Box::new(Pushover {
        user: keys::needed(section, "user_key", "user_key_file"),
        token: keys::needed(section, "token", "token_file"),
        title: keys::template(section, "title", "{{ template \"pushover.default.title\" . }}"),
        message: keys::template(section, "message", "{{ template \"pushover.default.message\" . }}"),
        url: keys::template(section, "url", "{{ template \"pushover.default.url\" . }}"),
        url_title: keys::template(section, "url_title", ""),
        device: keys::template(section, "device", ""),
        sound: keys::template(section, "sound", ""),
        priority: keys::template(section, "priority", "{{ if eq .Status \"firing\" }}2{{ else }}0{{ end }}"),
        retry_secs: seconds("retry", 60),
        expire_secs: seconds("expire", 3600),
        ttl: if ttl_secs > 0 { ttl_secs.to_string() } else { String::new() },
        style: html.then_some("html").or(monospace.then_some("monospace")),
    })))
}

impl Pushover {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let message = shortened(&speech.body(&self.message, Output::Text), MESSAGE_MAX);
        let message = if message.trim().is_empty() { NO_DETAILS } else { message.trim() };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("device", &speech.text(&self.device));
        query.append_pair("expire", &self.expire_secs.to_string());
        if self.style == Some("html") {
            query.append_pair("html", "1");
        }
        query.append_pair("message", message);
        if self.style == Some("monospace") {
            query.append_pair("monospace", "1");
        }
        query.append_pair("priority", speech.text(&self.priority).trim());
        query.append_pair("retry", &self.retry_secs.to_string());
        query.append_pair("sound", &speech.text(&self.sound));
        query.append_pair("title", &shortened(&speech.title(&self.title), TITLE_MAX));
        query.append_pair("token", &reveal(&self.token)?);
        if !self.ttl.is_empty() {
            query.append_pair("ttl", &self.ttl);
        }
        query.append_pair("url", &shortened(&speech.text(&self.url), URL_MAX));
        query.append_pair("url_title", &speech.text(&self.url_title));
        query.append_pair("user", &reveal(&self.user)?);
        // In the body, so that no log of a proxy has the token; the service reads either.
        let body = query.finish().into_bytes();
        Ok(Outgoing::post(Uri::from_static(URL), "application/x-www-form-urlencoded", body).retry(&[429]))
    }
}
