//! `alertmanager.yml`.

pub(crate) mod keys;
mod muting;
mod receivers;
mod routes;
mod shown;
mod templates;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use template::Library;
use yaml::{Place, Report, Section};

use crate::inhibit::InhibitRule;
use crate::interval::TimeInterval;
use crate::route::Route;

pub(crate) use keys::Globals;
pub use receivers::{Integration, Receiver};
pub(crate) use receivers::{Target, parse_url};

/// Settings of those receivers that skep lacks.
const GLOBALS_NOT_BUILT: [&str; 17] = [
    "incidentio_url",
    "jira_api_url",
    "mattermost_webhook_url",
    "mattermost_webhook_url_file",
    "rocketchat_api_url",
    "rocketchat_token",
    "rocketchat_token_file",
    "rocketchat_token_id",
    "rocketchat_token_id_file",
    "victorops_api_key",
    "victorops_api_key_file",
    "victorops_api_url",
    "webex_api_url",
    "wechat_api_corp_id",
    "wechat_api_secret",
    "wechat_api_secret_file",
    "wechat_api_url",
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
    /// The templates that receivers' texts call.
    pub(crate) library: Arc<Library>,
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
            receivers: vec![Receiver { name: "none".to_owned(), integrations: Vec::new() }],
            inhibit_rules: Vec::new(),
            time_intervals: BTreeMap::new(),
            library: Arc::default(),
            shown: String::new(),
        }
    }
}

/// Whether a file is an `alertmanager.yml` rather than a `prometheus.yml`: it has a route or receivers.
pub fn is_config_file(path: &Path) -> bool {
    let quiet = Report::default();
    let Some(text) = yaml::read(path, &quiet) else { return false };
    let name = path.display().to_string();
    let Some(root) = yaml::parse_first(&name, &text, &quiet) else { return false };
    let place = Place::root(&root, &name, &quiet);
    place.section().is_some_and(|section| section.get("route").is_some() || section.get("receivers").is_some())
}

/// Reads an `alertmanager.yml`. `None` if it has errors; everything wrong is reported.
pub fn load_file(path: &Path, report: &Report) -> Option<Config> {
    let text = yaml::read(path, report)?;
    decode(&path.display().to_string(), &text, report)
}

/// Decodes the text of an `alertmanager.yml`; relative paths in it count from the folder of `file`.
pub fn decode(file: &str, text: &str, report: &Report) -> Option<Config> {
    let root = yaml::parse_first(file, text, report)?;
    let here = Report::default();
    let config = Place::root(&root, file, &here).without_nulls().section().map(|section| config(&section));
    let failed = here.has_errors();
    here.into_problems().into_iter().for_each(|problem| report.push(problem));
    config.flatten().filter(|_| !failed)
}

fn config(section: &Section<'_>) -> Option<Config> {
    let mut config = Config::default();
    let mut globals = Globals::default();
    if let Some(global) = section.section("global") {
        config.resolve_timeout = global.duration("resolve_timeout").unwrap_or(config.resolve_timeout);
        globals = Globals::decode(&global);
        global.not_built(&GLOBALS_NOT_BUILT);
        global.finish();
    }
    config.receivers = receivers::receivers(section, &globals);
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
    config.library = Arc::new(templates::read(section));
    section.not_built(&["event_recorder", "tracing"]);
    section.finish();
    config.shown = shown::show(section.place().node());
    Some(config)
}
