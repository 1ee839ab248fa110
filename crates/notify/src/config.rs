//! `alertmanager.yml`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::config::HttpConfig;
use client::decode::beside;
use hyper::Uri;
use model::{MatchOp, Matcher};
use yaml::{Place, Report, Section};

use crate::matchers;
use crate::route::{GroupBy, Route};

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
}

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

impl Default for Config {
    /// Tells nobody.
    fn default() -> Self {
        Self {
            resolve_timeout: Duration::from_secs(300),
            route: Route::root("none"),
            receivers: vec![Receiver { name: "none".to_owned(), webhooks: Vec::new() }],
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
        http = http_config(&global).unwrap_or(http);
        global.not_built(&GLOBALS_NOT_BUILT);
        global.not_built(&GLOBALS_NOT_BUILT_MORE);
        global.finish();
    }
    config.receivers = receivers(section, &http);
    let names: HashSet<&str> = config.receivers.iter().map(|receiver| receiver.name.as_str()).collect();
    match section.get("route") {
        None => section.place().error("no routes provided", "write a route with a receiver"),
        Some(place) => config.route = root_route(&place, &names)?,
    }
    section.not_built(&["templates", "inhibit_rules", "mute_time_intervals", "time_intervals", "tracing"]);
    section.finish();
    Some(config)
}

fn root_route(place: &Place<'_>, receivers: &HashSet<&str>) -> Option<Route> {
    let section = place.section()?;
    let mut route = Route::root("");
    settings(&section, &mut route, receivers);
    if route.receiver.is_empty() {
        place.error("root route must specify a default receiver", "");
    }
    for key in ["match", "match_re", "matchers"] {
        if let Some(place) = section.get(key) {
            place.error("root route must not have any matchers", "make it a route below the root");
        }
    }
    finish_route(&section, route, receivers)
}

fn child_route(place: &Place<'_>, parent: &Route, receivers: &HashSet<&str>) -> Option<Route> {
    let section = place.section()?;
    let mut route = parent.child(route_matchers(&section));
    settings(&section, &mut route, receivers);
    finish_route(&section, route, receivers)
}

fn finish_route(section: &Section<'_>, mut route: Route, receivers: &HashSet<&str>) -> Option<Route> {
    section.not_built(&["mute_time_intervals", "active_time_intervals"]);
    let children = section.list("routes");
    route.routes = children.iter().filter_map(|place| child_route(place, &route, receivers)).collect();
    section.finish();
    Some(route)
}

fn settings(section: &Section<'_>, route: &mut Route, receivers: &HashSet<&str>) {
    if let Some(place) = section.get("receiver")
        && let Some(name) = place.string().filter(|name| !name.is_empty())
    {
        if !receivers.contains(name.as_str()) {
            place.error(format!("undefined receiver {name:?} used in route"), "add it to receivers");
        }
        route.receiver = name;
    }
    if let Some(place) = section.get("group_by") {
        route.group_by = group_by(&place);
    }
    route.goes_on = section.boolean("continue").unwrap_or(false);
    route.group_wait = section.duration("group_wait").unwrap_or(route.group_wait);
    route.group_interval = positive(section, "group_interval").unwrap_or(route.group_interval);
    route.repeat_interval = positive(section, "repeat_interval").unwrap_or(route.repeat_interval);
}

fn positive(section: &Section<'_>, key: &'static str) -> Option<Duration> {
    let place = section.get(key)?;
    let duration = place.duration()?;
    if duration.is_zero() {
        place.error(format!("{key} cannot be zero"), "");
    }
    Some(duration)
}

fn group_by(place: &Place<'_>) -> GroupBy {
    let mut names = Vec::new();
    for entry in place.list() {
        let Some(name) = entry.string() else { continue };
        if names.contains(&name) {
            entry.error(format!("duplicated label {name:?} in group_by"), "");
        }
        names.push(name);
    }
    if !names.iter().any(|name| name == "...") {
        return GroupBy::Labels(names);
    }
    if names.len() > 1 {
        place.error("cannot have wildcard group_by (`...`) and other labels at the same time", "");
    }
    GroupBy::All
}

fn route_matchers(section: &Section<'_>) -> Vec<Matcher> {
    let mut all = Vec::new();
    for (key, op) in [("match", MatchOp::Equal), ("match_re", MatchOp::Match)] {
        for (name, value) in section.get(key).map(|place| place.entries()).unwrap_or_default() {
            let (Some(label), Some(text)) = (name.string(), value.string()) else { continue };
            match Matcher::new(op, label, text) {
                Ok(matcher) => all.push(matcher),
                Err(e) => value.error(e.to_string(), ""),
            }
        }
    }
    for place in section.list("matchers") {
        match place.string().map(|text| matchers::parse(&text)) {
            Some(Ok(matchers)) => all.extend(matchers),
            Some(Err(message)) => {
                place.error(format!("bad matcher format: {message}"), "such as severity=\"critical\"");
            }
            None => {}
        }
    }
    all
}

/// `http` is for those that say nothing of it.
fn receivers(section: &Section<'_>, http: &HttpConfig) -> Vec<Receiver> {
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
                place.warn(message, "nobody is told of its alerts; use webhook_configs");
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

fn http_config(section: &Section<'_>) -> Option<HttpConfig> {
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
