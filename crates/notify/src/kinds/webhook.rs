//! Webhooks: Alertmanager's payload version 4, or one of the configuration's own.

use yaml::Section;

use super::Kind;
use super::deep::{self, Tree};
use crate::client::Error;
use crate::config::{Globals, Target, keys};
use crate::outgoing::{Outgoing, address};
use crate::payload::encode;
use crate::speech::Speech;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Webhook {
    target: Target,
    /// Most alerts in one message; 0 is no limit.
    max_alerts: usize,
    /// What is sent instead of the usual payload.
    payload: Option<Tree>,
}

pub(super) fn decode(section: &Section<'_>, _: &Globals) -> Option<Kind> {
    Some(Kind::Webhook(Webhook {
        target: keys::needed_target(section, "url", "url_file"),
        max_alerts: usize::try_from(section.unsigned("max_alerts").unwrap_or(0)).unwrap_or(usize::MAX),
        payload: section.get("payload").map(|place| deep::decode(&place)),
    }))
}

impl Webhook {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let uri = address(&self.target)?;
        let Some(payload) = &self.payload else {
            return Ok(Outgoing::post(uri, "application/json", encode(&speech.message, self.max_alerts)));
        };
        let told = speech.message.told;
        let kept = if self.max_alerts == 0 { told.len() } else { self.max_alerts.min(told.len()) };
        Ok(Outgoing::json(uri, &deep::fill(payload, &|template| speech.body_of(template, &told[..kept]))))
    }
}
