//! Telegram's bots.

use client::config::Source;
use hyper::Uri;
use serde::Serialize;
use template::Output;
use yaml::Section;

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, keys};
use crate::outgoing::{Outgoing, Refusal, Retry, below, reveal};
use crate::speech::{Speech, shortened};

/// The service refuses longer texts.
const TEXT_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Telegram {
    url: Uri,
    token: Source,
    chat: Source,
    thread: Option<i64>,
    message: String,
    parse_mode: String,
    is_silent: bool,
}

/// Numbers are texts here, as in Alertmanager.
#[derive(Serialize)]
struct Body<'a> {
    chat_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_notification: Option<&'static str>,
    disable_web_page_preview: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_thread_id: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    parse_mode: &'a str,
    text: String,
}

pub(super) fn decode(section: &Section<'_>, globals: &Globals) -> Option<Kind> {
    let place = section.place();
    let token = keys::secret(section, "bot_token", "bot_token_file").or_else(|| globals.telegram_token.clone());
    if token.is_none() {
        place.error("missing bot_token or bot_token_file on telegram_config", "");
    }
    if let Some(place) = section.get("chat_id") {
        place.integer();
    }
    let chat = keys::secret(section, "chat_id", "chat_id_file");
    if chat.is_none() {
        place.error("missing chat_id or chat_id_file on telegram_config", "");
    }
    let parse_mode = section.string("parse_mode").unwrap_or_else(|| "HTML".to_owned());
    if !["", "Markdown", "MarkdownV2", "HTML"].contains(&&*parse_mode) {
        let message = "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string";
        section.get("parse_mode")?.error(message, "");
    }
    Some(Kind::Telegram(Telegram {
        url: keys::url(section, "api_url").unwrap_or_else(|| globals.telegram_url.clone()),
        token: token.unwrap_or_default(),
        chat: chat.unwrap_or_default(),
        thread: section.get("message_thread_id").and_then(|place| place.integer()).filter(|thread| *thread != 0),
        message: keys::template(section, "message", "{{ template \"telegram.default.message\" . }}"),
        parse_mode,
        is_silent: section.boolean("disable_notifications").unwrap_or(false),
    }))
}

impl Telegram {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let output = if self.parse_mode == "HTML" { Output::Html } else { Output::Text };
        let body = Body {
            chat_id: reveal(&self.chat)?,
            disable_notification: self.is_silent.then_some("true"),
            disable_web_page_preview: "true",
            message_thread_id: self.thread.map(|thread| thread.to_string()),
            parse_mode: &self.parse_mode,
            text: shortened(&speech.body(&self.message, output), TEXT_MAX),
        };
        let uri = below(&self.url, &format!("bot{}/sendMessage", reveal(&self.token)?))?;
        // Also what says that nothing will ever be taken, as in Alertmanager: a bot may be let in later.
        Ok(Outgoing { retry: Retry::All, judge: Some(judge), ..Outgoing::json(uri, &body) })
    }
}

/// The service says in JSON that it took a message.
fn judge(_: &str, answer: &str) -> Result<(), Refusal> {
    let json: Option<serde_json::Value> = serde_json::from_str(answer).ok();
    if json.as_ref().is_some_and(|json| json["ok"] == true) {
        return Ok(());
    }
    let said = json.as_ref().and_then(|json| json["description"].as_str()).unwrap_or(answer);
    Err(Refusal { reason: format!("Telegram did not take it: {said}"), is_temporary: true })
}
