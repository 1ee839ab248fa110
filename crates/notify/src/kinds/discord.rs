//! Discord's webhooks.

use serde::Serialize;
use template::Output;
use yaml::Section;

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, Target, keys};
use crate::outgoing::{Outgoing, address};
use crate::speech::{Speech, shortened};

/// The service refuses longer texts.
const TITLE_MAX: usize = 256;
const DESCRIPTION_MAX: usize = 4096;
const CONTENT_MAX: usize = 2000;

const RED: u32 = 0x99_2d22;
const GREEN: u32 = 0x2e_cc71;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Discord {
    target: Target,
    title: String,
    message: String,
    content: String,
    username: String,
    avatar_url: String,
}

#[derive(Serialize)]
struct Body {
    content: String,
    embeds: [Embed; 1],
    #[serde(skip_serializing_if = "str::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    avatar_url: String,
}

#[derive(Serialize)]
struct Embed {
    title: String,
    description: String,
    color: u32,
}

pub(super) fn decode(section: &Section<'_>, _: &Globals) -> Option<Kind> {
    Some(Kind::Discord(Discord {
        target: keys::needed_target(section, "webhook_url", "webhook_url_file"),
        title: keys::template(section, "title", "{{ template \"discord.default.title\" . }}"),
        message: keys::template(section, "message", "{{ template \"discord.default.message\" . }}"),
        content: keys::template(section, "content", ""),
        username: section.string("username").unwrap_or_default(),
        avatar_url: section.string("avatar_url").unwrap_or_default(),
    }))
}

impl Discord {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let title = shortened(&speech.title(&self.title), TITLE_MAX);
        let description = shortened(&speech.body(&self.message, Output::Text), DESCRIPTION_MAX);
        let body = Body {
            content: shortened(&speech.text(&self.content), CONTENT_MAX),
            embeds: [Embed { title, description, color: if speech.fires() { RED } else { GREEN } }],
            username: self.username.clone(),
            avatar_url: self.avatar_url.clone(),
        };
        Ok(Outgoing::json(address(&self.target)?, &body))
    }
}
