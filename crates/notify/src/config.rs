//! `alertmanager.yml`.

mod muting;
mod receivers;
mod routes;
mod shown;
mod templates;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use client::config::HttpConfig;
use yaml::{Place, Report, Section};

use crate::inhibit::InhibitRule;
use crate::interval::TimeInterval;
use crate::route::Route;

pub(crate) use receivers::parse_url;
pub use receivers::{Receiver, Target, Webhook};

/// Settings of those receivers that hold for all of them.
const GLOBALS_NOT_BUILT: [&str; 34] = [
    "jira_api_url",
    "mattermost_webhook_url",
    "mattermost_webhook_url_file",
    "opsgenie_api_key",
    "opsgenie_api_key_file",
    "opsgenie_api_url",
    "pagerduty_url",
    "rocketchat_api_url",
    "rocketchat_token",
    "rocketchat_token_file",
    "rocketchat_token_id",
    "rocketchat_token_id_file",
    "slack_api_url",
    "slack_api_url_file",
    "slack_app_token",
    "slack_app_token_file",
    "slack_app_url",
    "smtp_auth_identity",
    "smtp_auth_password",
    "smtp_auth_password_file",
    "smtp_auth_secret",
    "smtp_auth_secret_file",
    "smtp_auth_username",
    "smtp_force_implicit_tls",
    "smtp_from",
    "smtp_hello",
    "smtp_require_tls",
    "smtp_smarthost",
    "smtp_tls_config",
    "telegram_api_url",
    "telegram_bot_token",
    "victorops_api_key",
    "victorops_api_url",
    "webex_api_url",
];

const GLOBALS_NOT_BUILT_MORE: [&str; 7] = [
    "telegram_bot_token_file",
    "victorops_api_key_file",
    "wechat_api_corp_id",
    "wechat_api_secret",
    "wechat_api_secret_file",
    "wechat_api_url",
    "incidentio_url",
];

/// How alerts are routed and who is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// When an alert without an end counts as resolved.
    pub resolve_timeout: Duration,
    /// The root of the tree.
    pub route: Route,
    /// By name.
    pub receivers: Vec<Receiver>,
    /// Which alerts keep others quiet.
    pub inhibit_rules: Vec<InhibitRule>,
    /// What routes call recurring times; a time lies in one if it lies in any of its parts.
    pub time_intervals: BTreeMap<String, Vec<TimeInterval>>,
    /// The file as it may be shown: without secrets and the places of receivers.
    pub shown: String,
}

impl Config {
    /// Those of the named intervals that a time lies in.
    pub(crate) fn intervals_at(&self, names: &[String], at: model::Timestamp) -> Vec<String> {
        let lies_in =
            |name: &&String| self.time_intervals.get(*name).is_some_and(|parts| parts.iter().any(|p| p.contains(at)));
        names.iter().filter(lies_in).cloned().collect()
    }
}

impl Default for Config {
    /// Tells nobody.
    fn default() -> Self {
        Self {
            resolve_timeout: Duration::from_secs(300),
            route: Route::root("none"),
            receivers: vec![Receiver { name: "none".to_owned(), webhooks: Vec::new() }],
            inhibit_rules: Vec::new(),
            time_intervals: BTreeMap::new(),
            shown: String::new(),
        }
    }
}

/// Reads an `alertmanager.yml`. `None` if it has errors; everything wrong is reported.
pub fn load_file(path: &Path, report: &Report) -> Option<Config> {
    let text = yaml::read(path, report)?;
    decode(&path.display().to_string(), &text, report)
}

/// Decodes the text of an `alertmanager.yml`; relative paths in it count from the folder of `file`.
pub fn decode(file: &str, text: &str, report: &Report) -> Option<Config> {
    let root = yaml::parse(file, text).map_err(|problem| report.push(*problem)).ok()?;
    let here = Report::default();
    let config = Place::root(&root, file, &here).section().map(|section| config(&section));
    let failed = here.has_errors();
    here.into_problems().into_iter().for_each(|problem| report.push(problem));
    config.flatten().filter(|_| !failed)
}

fn config(section: &Section<'_>) -> Option<Config> {
    let mut config = Config::default();
    let mut http = HttpConfig::default();
    if let Some(global) = section.section("global") {
        config.resolve_timeout = global.duration("resolve_timeout").unwrap_or(config.resolve_timeout);
        http = receivers::http_config(&global).unwrap_or(http);
        global.not_built(&GLOBALS_NOT_BUILT);
        global.not_built(&GLOBALS_NOT_BUILT_MORE);
        global.finish();
    }
    config.receivers = receivers::receivers(section, &http);
    config.inhibit_rules = muting::inhibit_rules(section);
    config.time_intervals = muting::time_intervals(section);
    let names = routes::Names {
        receivers: config.receivers.iter().map(|receiver| receiver.name.as_str()).collect(),
        intervals: config.time_intervals.keys().map(String::as_str).collect(),
    };
    match section.get("route") {
        None => section.place().error("no routes provided", "write a route with a receiver"),
        Some(place) => config.route = routes::root_route(&place, &names)?,
    }
    templates::check(section);
    section.not_built(&["templates", "tracing"]);
    section.finish();
    config.shown = shown::show(section.place().node());
    Some(config)
}
