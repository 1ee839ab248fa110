//! The receivers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use client::config::HttpConfig;
use hyper::Uri;
use yaml::{Place, Section};

use super::keys::Globals;
use crate::kinds::{KINDS, Kind, Known};

/// Kinds of receivers that Alertmanager has and skep has not.
const RECEIVERS_NOT_BUILT: [&str; 9] = [
    "googlechat_configs",
    "incidentio_configs",
    "jira_configs",
    "mattermost_configs",
    "rocketchat_configs",
    "sns_configs",
    "victorops_configs",
    "webex_configs",
    "wechat_configs",
];

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// What routes call it.
    pub name: String,
    /// Where it is told; none is a receiver for what nobody wants to hear.
    pub integrations: Vec<Arc<Integration>>,
}

/// One way in which a receiver is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// Its kind and its number among the receiver's integrations of that kind: `webhook[0]`.
    pub name: String,
    /// Whether the end of alerts is told.
    pub send_resolved: bool,
    /// Longest time of one attempt; `None` is what all have.
    pub timeout: Option<Duration>,
    /// How its server is reached, if it speaks HTTP.
    pub http: HttpConfig,
    pub(crate) kind: Kind,
}

/// An address, or the file that holds it, read at each sending.
#[derive(Clone, PartialEq)]
pub(crate) enum Target {
    /// The address.
    Url(Uri),
    /// The file.
    File(PathBuf),
}

/// Addresses of receivers hold their tokens.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(_) => f.write_str("<secret>"),
            Self::File(path) => path.fmt(f),
        }
    }
}

pub(super) fn receivers(section: &Section<'_>, globals: &Globals) -> Vec<Receiver> {
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
        let integrations = KINDS.iter().flat_map(|known| {
            let places = section.list(known.key);
            let decoded = places.iter().enumerate().filter_map(|(i, place)| integration(known, i, place, globals));
            decoded.map(Arc::new).collect::<Vec<_>>()
        });
        let integrations = integrations.collect();
        section.finish();
        receivers.push(Receiver { name, integrations });
    }
    receivers
}

fn integration(known: &Known, index: usize, place: &Place<'_>, globals: &Globals) -> Option<Integration> {
    let section = place.section()?;
    let kind = (known.decode)(&section, globals);
    let has_timeout = ["webhook", "slack", "pagerduty", "ntfy", "gotify", "healthchecks"].contains(&known.name);
    let integration = Integration {
        name: format!("{}[{index}]", known.name),
        send_resolved: section.boolean("send_resolved").unwrap_or(known.send_resolved),
        timeout: has_timeout.then(|| super::keys::whole_seconds(&section, "timeout")).flatten(),
        http: known.is_http.then(|| http_config(&section)).flatten().unwrap_or_else(|| globals.http.clone()),
        kind: kind?,
    };
    section.finish();
    Some(integration)
}

pub(super) fn http_config(section: &Section<'_>) -> Option<HttpConfig> {
    let section = section.section("http_config")?;
    let config = HttpConfig::decode(&section);
    section.finish();
    Some(config)
}

/// An address that a request can be sent to.
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
