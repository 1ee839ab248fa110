//! Slack: incoming webhooks, and bots by their token.

use client::config::Source;
use hyper::Uri;
use hyper::header::AUTHORIZATION;
use serde::Serialize;
use template::Output;
use yaml::{Place, Section};

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, Target, keys};
use crate::outgoing::{Outgoing, Refusal, address, reveal};
use crate::speech::{Speech, shortened};

/// The service refuses longer titles.
const TITLE_MAX: usize = 1024;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slack {
    way: Way,
    channel: String,
    username: String,
    icon_emoji: String,
    icon_url: String,
    link_names: bool,
    message_text: String,
    attachment: Attachment,
    short_fields: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Way {
    Webhook(Target),
    Bot(Uri, Source),
}

/// Templates of it, and what they said.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pretext: String,
    text: String,
    fallback: String,
    callback_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action>,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    footer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mrkdwn_in: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Field {
    title: String,
    value: String,
    /// `None` is what `short_fields` says.
    short: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Action {
    r#type: String,
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    style: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<Confirm>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Confirm {
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ok_text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dismiss_text: String,
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_emoji: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "is_false")]
    link_names: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    attachments: [Attachment; 1],
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}

pub(super) fn decode(section: &Section<'_>, globals: &Globals) -> Option<Kind> {
    section.not_built(&["update_message"]);
    let of = |key, default: &str| keys::template(section, key, &format!("{{{{ template \"{default}\" . }}}}"));
    let plain = |key| keys::template(section, key, "");
    Some(Kind::Slack(Box::new(Slack {
        way: way(section, globals),
        channel: plain("channel"),
        username: of("username", "slack.default.username"),
        icon_emoji: of("icon_emoji", "slack.default.iconemoji"),
        icon_url: of("icon_url", "slack.default.iconurl"),
        link_names: section.boolean("link_names").unwrap_or(false),
        message_text: plain("message_text"),
        attachment: Attachment {
            title: of("title", "slack.default.title"),
            title_link: of("title_link", "slack.default.titlelink"),
            pretext: of("pretext", "slack.default.pretext"),
            text: of("text", "slack.default.text"),
            fallback: of("fallback", "slack.default.fallback"),
            callback_id: of("callback_id", "slack.default.callbackid"),
            fields: section.list("fields").iter().filter_map(field).collect(),
            actions: section.list("actions").iter().filter_map(action).collect(),
            image_url: plain("image_url"),
            thumb_url: plain("thumb_url"),
            footer: of("footer", "slack.default.footer"),
            color: of("color", "slack.default.color"),
            mrkdwn_in: match section.get("mrkdwn_in") {
                Some(_) => section.strings("mrkdwn_in"),
                None => ["fallback", "pretext", "text"].map(str::to_owned).to_vec(),
            },
        },
        short_fields: section.boolean("short_fields").unwrap_or(false),
    })))
}

fn way(section: &Section<'_>, globals: &Globals) -> Way {
    let url = keys::target(section, "api_url", "api_url_file");
    let token = keys::secret(section, "app_token", "app_token_file");
    let app_url = keys::url(section, "app_url").unwrap_or_else(|| globals.slack_app_url.clone());
    if url.is_some() && token.is_some() {
        section.place().error("at most one of app_token & api_url must be configured", "keep one of them");
    }
    match (url, token, globals.slack_url.clone(), globals.slack_token.clone()) {
        (Some(url), ..) | (None, None, Some(url), _) => Way::Webhook(url),
        (None, Some(token), ..) | (None, None, None, Some(token)) => Way::Bot(app_url, token),
        (None, None, None, None) => {
            let hint = "write api_url, app_token, or slack_api_url below global";
            section.place().error("no Slack API URL nor App token set either inline or in a file", hint);
            Way::Webhook(Target::File(std::path::PathBuf::new()))
        }
    }
}

/// A key that must have a text.
fn needed(section: &Section<'_>, key: &'static str, what: &str) -> String {
    let text = keys::template(section, key, "");
    if text.is_empty() {
        section.place().error(format!("missing {key} in Slack {what} configuration"), "");
    }
    text
}

fn field(place: &Place<'_>) -> Option<Field> {
    let section = place.section()?;
    let (title, value) = (needed(&section, "title", "field"), needed(&section, "value", "field"));
    let field = Field { title, value, short: section.boolean("short") };
    section.finish();
    Some(field)
}

fn action(place: &Place<'_>) -> Option<Action> {
    let section = place.section()?;
    let action = Action {
        r#type: needed(&section, "type", "action"),
        text: needed(&section, "text", "action"),
        url: keys::template(&section, "url", ""),
        style: keys::template(&section, "style", ""),
        name: keys::template(&section, "name", ""),
        value: keys::template(&section, "value", ""),
        confirm: section.section("confirm").map(|section| {
            let confirm = Confirm {
                text: needed(&section, "text", "confirmation"),
                title: keys::template(&section, "title", ""),
                ok_text: keys::template(&section, "ok_text", ""),
                dismiss_text: keys::template(&section, "dismiss_text", ""),
            };
            section.finish();
            confirm
        }),
    };
    if action.url.is_empty() && action.name.is_empty() {
        place.error("missing name or url in Slack action configuration", "");
    }
    section.finish();
    Some(action)
}

impl Slack {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let body = Body {
            channel: speech.text(&self.channel),
            username: speech.text(&self.username),
            icon_emoji: speech.text(&self.icon_emoji),
            icon_url: speech.text(&self.icon_url),
            link_names: self.link_names,
            text: speech.text(&self.message_text),
            attachments: [self.attachment(speech)],
        };
        let request = match &self.way {
            Way::Webhook(target) => Outgoing::json(address(target)?, &body),
            Way::Bot(uri, token) => {
                Outgoing::json(uri.clone(), &body).header(AUTHORIZATION, &format!("Bearer {}", reveal(token)?))?
            }
        };
        Ok(Outgoing { judge: Some(judge), ..request })
    }

    fn attachment(&self, speech: &Speech<'_>) -> Attachment {
        let say = |template: &String| speech.text(template);
        let it = &self.attachment;
        let fields = it.fields.iter().map(|field| Field {
            title: say(&field.title),
            value: say(&field.value),
            short: Some(field.short.unwrap_or(self.short_fields)),
        });
        let actions = it.actions.iter().map(|action| Action {
            r#type: say(&action.r#type),
            text: say(&action.text),
            url: say(&action.url),
            style: say(&action.style),
            name: say(&action.name),
            value: say(&action.value),
            confirm: action.confirm.as_ref().map(|confirm| Confirm {
                text: say(&confirm.text),
                title: say(&confirm.title),
                ok_text: say(&confirm.ok_text),
                dismiss_text: say(&confirm.dismiss_text),
            }),
        });
        Attachment {
            title: shortened(&speech.title(&it.title), TITLE_MAX),
            title_link: say(&it.title_link),
            pretext: say(&it.pretext),
            text: speech.body(&it.text, Output::Text),
            fallback: speech.title(&it.fallback),
            callback_id: say(&it.callback_id),
            fields: fields.collect(),
            actions: actions.collect(),
            image_url: say(&it.image_url),
            thumb_url: say(&it.thumb_url),
            footer: say(&it.footer),
            color: say(&it.color),
            mrkdwn_in: it.mrkdwn_in.clone(),
        }
    }
}

/// Slack says with a success that it did not take a message: in JSON, or in any text but `ok`. What is no JSON though it
/// says so is something else that stood in the way, and may be gone later.
fn judge(content_type: &str, answer: &str) -> Result<(), Refusal> {
    let answer = answer.trim();
    let refuse =
        |reason: &str, is_temporary| Err(Refusal { reason: format!("Slack did not take it: {reason}"), is_temporary });
    if !content_type.starts_with("application/json") {
        return if answer == "ok" || answer.is_empty() { Ok(()) } else { refuse(answer, false) };
    }
    match serde_json::from_str::<serde_json::Value>(answer) {
        Ok(json) if json["ok"] == true => Ok(()),
        Ok(json) => refuse(json["error"].as_str().unwrap_or(answer), false),
        Err(error) => refuse(&format!("its answer is no JSON: {error}"), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_refusals_from_successes() {
        let check = |content_type: &str, answer: &str, expected: Result<(), bool>| {
            let got = judge(content_type, answer).map_err(|refusal| refusal.is_temporary);
            assert_eq!(got, expected, "{content_type} {answer}");
        };
        check("text/plain", "ok", Ok(()));
        check("text/plain", "", Ok(()));
        check("text/plain", "no_service", Err(false));
        check("text/plain", "{\"ok\":true}", Err(false));
        check("application/json; charset=utf-8", "{\"ok\":true}", Ok(()));
        check("application/json", "{\"ok\":false,\"error\":\"channel_not_found\"}", Err(false));
        check("application/json", "", Err(true));
    }
}
