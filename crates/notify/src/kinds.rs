//! The kinds of receivers: what each of them is told, in its own words.

mod deep;
mod discord;
mod gotify;
mod healthchecks;
pub(crate) mod mail;
mod ntfy;
mod opsgenie;
mod pagerduty;
mod pushover;
mod slack;
mod teams;
mod telegram;
mod webhook;

use yaml::Section;

use crate::client::Error;
use crate::config::Globals;
use crate::outgoing::Outgoing;
use crate::speech::Speech;

/// How a receiver is told, with the settings of its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Discord(discord::Discord),
    Gotify(gotify::Gotify),
    Healthchecks(healthchecks::Healthchecks),
    Mail(Box<mail::Mail>),
    Ntfy(Box<ntfy::Ntfy>),
    Opsgenie(Box<opsgenie::Opsgenie>),
    PagerDuty(Box<pagerduty::PagerDuty>),
    Pushover(Box<pushover::Pushover>),
    Slack(Box<slack::Slack>),
    Teams(teams::Teams),
    Telegram(telegram::Telegram),
    Webhook(webhook::Webhook),
}

type Decode = fn(&Section<'_>, &Globals) -> Option<Kind>;

/// A kind as the configuration knows it.
pub(crate) struct Known {
    /// The key of a receiver that lists integrations of this kind.
    pub(crate) key: &'static str,
    /// What the log and the pages call it.
    pub(crate) name: &'static str,
    /// Whether the end of alerts is told where nothing is said of it.
    pub(crate) send_resolved: bool,
    /// Whether it is reached over HTTP.
    pub(crate) is_http: bool,
    pub(crate) decode: Decode,
}

const fn known(key: &'static str, name: &'static str, send_resolved: bool, decode: Decode) -> Known {
    Known { key, name, send_resolved, is_http: true, decode }
}

/// All kinds that there are.
pub(crate) const KINDS: [Known; 13] = [
    known("discord_configs", "discord", true, discord::decode),
    Known { is_http: false, ..known("email_configs", "email", false, mail::decode) },
    known("gotify_configs", "gotify", true, gotify::decode),
    known("healthchecks_configs", "healthchecks", true, healthchecks::decode),
    known("msteams_configs", "msteams", true, teams::decode_card),
    known("msteamsv2_configs", "msteamsv2", true, teams::decode_adaptive),
    known("ntfy_configs", "ntfy", true, ntfy::decode),
    known("opsgenie_configs", "opsgenie", true, opsgenie::decode),
    known("pagerduty_configs", "pagerduty", true, pagerduty::decode),
    known("pushover_configs", "pushover", true, pushover::decode),
    known("slack_configs", "slack", false, slack::decode),
    known("telegram_configs", "telegram", true, telegram::decode),
    known("webhook_configs", "webhook", true, webhook::decode),
];

/// What is sent to a receiver.
pub(crate) enum Parcel {
    /// Requests, one after the other.
    Http(Vec<Outgoing>),
    /// A mail.
    Mail(Box<mail::Letter>),
}

impl Kind {
    /// Words a notification; it may read files of secrets, and run templates for a while.
    pub(crate) fn compose(&self, speech: &Speech<'_>) -> Result<Parcel, Error> {
        let one = match self {
            Self::Mail(mail) => return mail.compose(speech).map(|letter| Parcel::Mail(Box::new(letter))),
            Self::Opsgenie(opsgenie) => return opsgenie.compose(speech).map(Parcel::Http),
            Self::Discord(discord) => discord.compose(speech),
            Self::Gotify(gotify) => gotify.compose(speech),
            Self::Healthchecks(healthchecks) => healthchecks.compose(speech),
            Self::Ntfy(ntfy) => ntfy.compose(speech),
            Self::PagerDuty(pagerduty) => pagerduty.compose(speech),
            Self::Pushover(pushover) => pushover.compose(speech),
            Self::Slack(slack) => slack.compose(speech),
            Self::Teams(teams) => teams.compose(speech),
            Self::Telegram(telegram) => telegram.compose(speech),
            Self::Webhook(webhook) => webhook.compose(speech),
        };
        one.map(|request| Parcel::Http(vec![request]))
    }
}
