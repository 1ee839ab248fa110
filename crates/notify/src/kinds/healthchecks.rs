//! A ping for services that miss it: a dead man's switch. Route an alert here that always fires; as long as it is told
//! again the service hears a ping, and when it ends or nobody sends it any more, the service raises the alarm.

use yaml::Section;

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, Target, keys};
use crate::outgoing::{Outgoing, address, below};
use crate::speech::{Speech, shortened};

/// Such services keep the first 100 kB of what comes with a ping; people read a line.
const BODY_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Healthchecks {
    target: Target,
    message: String,
}

pub(super) fn decode(section: &Section<'_>, _: &Globals) -> Option<Kind> {
    Some(Kind::Healthchecks(Healthchecks {
        target: keys::needed_target(section, "ping_url", "ping_url_file"),
        message: keys::template(section, "message", "{{ template \"__subject\" . }}"),
    }))
}

impl Healthchecks {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let ping = address(&self.target)?;
        let uri = if speech.fires() { ping } else { below(&ping, "fail")? };
        let text = shortened(&speech.title(&self.message), BODY_MAX);
        Ok(Outgoing::post(uri, "text/plain; charset=utf-8", text.into_bytes()).retry(&[429]))
    }
}
