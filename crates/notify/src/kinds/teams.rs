//! Microsoft Teams: cards of connectors (`msteams`) and adaptive cards of workflows (`msteamsv2`).

use serde_json::json;
use template::Output;
use yaml::Section;

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, Target, keys};
use crate::outgoing::{Outgoing, address};
use crate::speech::Speech;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Teams {
    target: Target,
    title: String,
    text: String,
    /// Of a connector's card; adaptive cards have none.
    summary: Option<String>,
}

pub(super) fn decode_card(section: &Section<'_>, _: &Globals) -> Option<Kind> {
    Some(Kind::Teams(Teams {
        target: keys::needed_target(section, "webhook_url", "webhook_url_file"),
        title: keys::template(section, "title", "{{ template \"msteams.default.title\" . }}"),
        text: keys::template(section, "text", "{{ template \"msteams.default.text\" . }}"),
        summary: Some(keys::template(section, "summary", "{{ template \"msteams.default.summary\" . }}")),
    }))
}

pub(super) fn decode_adaptive(section: &Section<'_>, _: &Globals) -> Option<Kind> {
    Some(Kind::Teams(Teams {
        target: keys::needed_target(section, "webhook_url", "webhook_url_file"),
        title: keys::template(section, "title", "{{ template \"msteamsv2.default.title\" . }}"),
        text: keys::template(section, "text", "{{ template \"msteamsv2.default.text\" . }}"),
        summary: None,
    }))
}

impl Teams {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let (title, text) = (speech.title(&self.title), speech.body(&self.text, Output::Text));
        let body = match &self.summary {
            Some(summary) => json!({
                "@context": "http://schema.org/extensions",
                "type": "MessageCard",
                "title": title,
                "summary": speech.title(summary),
                "text": text,
                "themeColor": if speech.fires() { "8C1A1A" } else { "2DC72D" },
            }),
            None => adaptive(&title, &text, speech.fires()),
        };
        Ok(Outgoing::json(address(&self.target)?, &body))
    }
}

fn adaptive(title: &str, text: &str, fires: bool) -> serde_json::Value {
    let color = if fires { "Attention" } else { "Good" };
    let head = json!({
        "type": "TextBlock", "text": title, "weight": "Bolder", "size": "Medium", "wrap": true, "style": "heading",
        "color": color,
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": [head, { "type": "TextBlock", "text": text, "wrap": true }],
                "msteams": { "width": "full" },
            },
        }],
    })
}
