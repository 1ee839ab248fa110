//! The receivers.

use std::path::PathBuf;
use std::time::Duration;

use client::config::HttpConfig;
use client::decode::beside;
use hyper::Uri;
use yaml::{Place, Section};

/// Kinds of receivers that Alertmanager has and skep has not yet.
const RECEIVERS_NOT_BUILT: [&str; 18] = [
    "discord_configs",
    "email_configs",
    "incidentio_configs",
    "jira_configs",
    "mattermost_configs",
    "msteams_configs",
    "msteamsv2_configs",
    "opsgenie_configs",
    "pagerduty_configs",
    "pushover_configs",
    "rocketchat_configs",
    "slack_configs",
    "sns_configs",
    "telegram_configs",
    "victorops_configs",
    "webex_configs",
    "wechat_configs",
    "googlechat_configs",
];

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// What routes call it.
    pub name: String,
    /// Where it is told; none is a receiver for what nobody wants to hear.
    pub webhooks: Vec<Webhook>,
}

/// A webhook of a receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// Where.
    pub target: Target,
    /// Whether the end of alerts is told.
    pub send_resolved: bool,
    /// Most alerts in one message; 0 is no limit.
    pub max_alerts: usize,
    /// Longest time of one attempt; `None` is until the group is due again.
    pub timeout: Option<Duration>,
    /// How its server is reached.
    pub http: HttpConfig,
}

/// An address, or the file that holds it, read at each sending.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The address.
    Url(Uri),
    /// The file.
    File(PathBuf),
}

/// `http` is for those that say nothing of it.
pub(super) fn receivers(section: &Section<'_>, http: &HttpConfig) -> Vec<Receiver> {
    let mut receivers: Vec<Receiver> = Vec::new();
    for place in section.list("receivers") {
        let Some(section) = place.section() else { continue };
        let name = section.string("name").unwrap_or_default();
        if name.is_empty() {
            place.error("missing name in receiver", "");
        }
        if receivers.iter().any(|receiver| receiver.name == name) {
            place.error(format!("notification config name {name:?} is not unique"), "");
        }
        for kind in RECEIVERS_NOT_BUILT {
            if let Some(place) = section.get(kind) {
                let message = format!("receiver {name:?}: {kind} is not built in this version of skep");
                place.error(message, "nobody would be told of its alerts; use webhook_configs");
            }
        }
        let webhooks = section.list("webhook_configs").iter().filter_map(|place| webhook(place, http)).collect();
        section.finish();
        receivers.push(Receiver { name, webhooks });
    }
    receivers
}

fn webhook(place: &Place<'_>, http: &HttpConfig) -> Option<Webhook> {
    let section = place.section()?;
    let url = section.get("url");
    let file = section.string("url_file");
    let target = match (url, file) {
        (Some(_), Some(_)) => {
            place.error("at most one of url & url_file must be configured", "");
            None
        }
        (None, None) => {
            place.error("one of url or url_file must be configured", "");
            None
        }
        (Some(url), None) => {
            let text = url.string()?;
            parse_url(&text)
                .map_err(|message| url.error(message, "such as http://127.0.0.1:8080/alerts"))
                .ok()
                .map(Target::Url)
        }
        (None, Some(file)) => Some(Target::File(beside(place, &file))),
    };
    let webhook = Webhook {
        target: target.unwrap_or(Target::File(PathBuf::new())),
        send_resolved: section.boolean("send_resolved").unwrap_or(true),
        max_alerts: usize::try_from(section.unsigned("max_alerts").unwrap_or(0)).unwrap_or(usize::MAX),
        timeout: section.duration("timeout").filter(|timeout| !timeout.is_zero()),
        http: http_config(&section).unwrap_or_else(|| http.clone()),
    };
    section.finish();
    Some(webhook)
}

pub(super) fn http_config(section: &Section<'_>) -> Option<HttpConfig> {
    let section = section.section("http_config")?;
    let config = HttpConfig::decode(&section);
    section.finish();
    Some(config)
}

/// An address that a webhook can be sent to.
pub(crate) fn parse_url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.trim().parse().map_err(|e| format!("not a URL: {e}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        scheme => return Err(format!("unsupported scheme {:?} for URL", scheme.unwrap_or_default())),
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("missing host for URL".to_owned());
    }
    Ok(uri)
}
