//! The section `alerting`: Alertmanagers elsewhere.

use std::time::Duration;

use client::config::HttpConfig;
use discovery::Discoveries;
use model::Labels;
use yaml::{Place, Section};

use super::upstream::{given, signature, text};

/// Where alerts go beside the receivers of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerting {
    /// What changes the labels of all alerts, or keeps alerts here.
    pub(crate) alert_rules: Vec<scrape::Rule>,
    pub(crate) sets: Vec<Set>,
}

/// Alertmanagers that are found and reached alike.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) scheme: String,
    pub(crate) path_prefix: String,
    pub(crate) timeout: Duration,
    pub(crate) http: HttpConfig,
    /// Those that stand in the configuration.
    pub(crate) targets: Vec<Labels>,
    pub(crate) discoveries: Vec<discovery::Config>,
    /// What changes the labels of what was found.
    pub(crate) target_rules: Vec<scrape::Rule>,
    /// What changes the labels of alerts for these.
    pub(crate) alert_rules: Vec<scrape::Rule>,
}

pub(super) fn decode(root: &Section<'_>) -> Alerting {
    let Some(section) = root.get("alerting").filter(given).and_then(|place| place.section()) else {
        return Alerting::default();
    };
    let alerting = Alerting {
        alert_rules: scrape::decode_rules(&section.list("alert_relabel_configs"), "alert"),
        sets: section.list("alertmanagers").iter().filter_map(set).collect(),
    };
    section.finish();
    alerting
}

fn set(place: &Place<'_>) -> Option<Set> {
    if place.node().is_null() {
        place.error("empty or null section in alertmanagers", "remove it");
        return None;
    }
    let section = place.section()?;
    let or = |key, default: &str| Some(text(&section, key)).filter(|t| !t.is_empty()).unwrap_or(default.to_owned());
    let set = Set {
        scheme: or("scheme", "http"),
        path_prefix: or("path_prefix", "/"),
        timeout: section.get("timeout").filter(given).and_then(|p| p.duration()).unwrap_or(Duration::from_secs(10)),
        http: HttpConfig::decode(&section),
        targets: scrape::decode_targets(&section),
        discoveries: discoveries(&section),
        target_rules: scrape::decode_rules(&section.list("relabel_configs"), "Alertmanager target"),
        alert_rules: scrape::decode_rules(&section.list("alert_relabel_configs"), "Alertmanager alert"),
    };
    signature(&section);
    if let Some(place) = section.get("sigv4").filter(given) {
        place.warn("valid, but without effect in this version of skep", "requests are not signed for AWS");
    }
    if let Some(place) = section.get("api_version").filter(given)
        && place.string().is_some_and(|version| version != "v2")
    {
        place.error("the Alertmanager API version must be v2", "remove api_version");
    }
    section.finish();
    Some(set)
}

/// Those that can be run; others are said to find nothing.
fn discoveries(section: &Section<'_>) -> Vec<discovery::Config> {
    let found = Discoveries::decode(section);
    for missing in &found.missing {
        if let Some(place) = section.get(missing.key) {
            let hint =
                "no Alertmanager is found by it; name them with static_configs, file_sd_configs or dns_sd_configs";
            place.warn("valid, but without effect in this version of skep", hint);
        }
    }
    found.configs
}
