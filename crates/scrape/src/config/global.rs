//! The section `global`, and the limits that jobs share with it.

use std::time::Duration;

use exposition::Protocol;
use model::Labels;
use yaml::{Place, Section};

use super::expand::expand;
use super::size::parse_size;
use super::{Global, Limits, Names, protocols};

impl Default for Global {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(60),
            scrape_timeout: Duration::from_secs(10),
            evaluation_interval: Duration::from_secs(60),
            external_labels: Labels::empty(),
            limits: Limits::default(),
            protocols: Protocol::DEFAULT.to_vec(),
            names: Names::default(),
            extra_metrics: None,
            rule_query_offset: Duration::ZERO,
        }
    }
}

impl Global {
    /// `has_jobs` says whether there are jobs at all: some words are judged only then.
    pub(super) fn decode(section: &Section<'_>, has_jobs: bool) -> Self {
        let defaults = Self::default();
        let scrape_interval = nonzero(section, "scrape_interval").unwrap_or(defaults.scrape_interval);
        let given_timeout = nonzero(section, "scrape_timeout");
        if given_timeout.is_some_and(|timeout| timeout > scrape_interval)
            && let Some(place) = section.get("scrape_timeout")
        {
            place.error("global scrape timeout greater than scrape interval", "lower it, or raise scrape_interval");
        }
        let global = Self {
            scrape_interval,
            scrape_timeout: given_timeout.unwrap_or(defaults.scrape_timeout.min(scrape_interval)),
            evaluation_interval: nonzero(section, "evaluation_interval").unwrap_or(defaults.evaluation_interval),
            external_labels: section.get("external_labels").map(|place| external_labels(&place)).unwrap_or_default(),
            limits: Limits::decode(section),
            protocols: protocols::decode(section).unwrap_or(defaults.protocols),
            names: Names::decode_global(section, has_jobs),
            extra_metrics: section.boolean("extra_scrape_metrics"),
            rule_query_offset: nonzero(section, "rule_query_offset").unwrap_or_default(),
        };
        files_of_failures(section, &["query_log_file", "scrape_failure_log_file"]);
        switches(section);
        section.finish();
        global
    }
}

/// Labels whose values may name variables of the environment.
fn external_labels(place: &Place<'_>) -> Labels {
    let expanded = |(label, value, at): (String, String, Place<'_>)| {
        let look_up = |name: &str| {
            let value = std::env::var(name).unwrap_or_default();
            if value.is_empty() {
                at.warn(format!("the environment has no variable {name}, the label goes without it"), "");
            }
            value
        };
        (label, expand(&value, look_up))
    };
    Labels::from_pairs(placed_labels(place).into_iter().map(expanded))
}

/// Keys that switch native histograms on; the last one came with Prometheus 3.8.
const SWITCHES: [&str; 3] =
    ["convert_classic_histograms_to_nhcb", "always_scrape_classic_histograms", "scrape_native_histograms"];

pub(super) const NO_NATIVE_HISTOGRAMS: &str =
    "native histograms are not built in this version of skep; classic ones are kept as they are";

/// Says of switches that are on that skep has nothing to switch; off is what it does.
pub(super) fn switches(section: &Section<'_>) {
    for place in SWITCHES.iter().filter_map(|key| section.get(key).filter(given)) {
        if place.boolean() == Some(true) {
            place.warn(NO_NATIVE_HISTOGRAMS, "");
        }
    }
}

/// Keys that name files which skep does not write.
pub(super) fn files_of_failures(section: &Section<'_>, keys: &[&'static str]) {
    for place in keys.iter().filter_map(|key| section.get(key).filter(given)) {
        if place.string().is_some_and(|file| !file.is_empty()) {
            place.warn("valid, but this version of skep writes no such file", "the log has what fails");
        }
    }
}

impl Limits {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        let limit = |key| section.get(key).filter(given).and_then(|place| place.unsigned()).filter(|&limit| limit > 0);
        Self {
            body_size_bytes: section
                .get("body_size_limit")
                .filter(given)
                .and_then(|place| decode_size(&place))
                .filter(|&limit| limit > 0),
            samples: limit("sample_limit"),
            targets: limit("target_limit"),
            labels: limit("label_limit"),
            label_name_bytes: limit("label_name_length_limit"),
            label_value_bytes: limit("label_value_length_limit"),
            dropped_targets: limit("keep_dropped_targets"),
        }
    }

    /// These limits, and the others' where there is none here.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            body_size_bytes: self.body_size_bytes.or(other.body_size_bytes),
            samples: self.samples.or(other.samples),
            targets: self.targets.or(other.targets),
            labels: self.labels.or(other.labels),
            label_name_bytes: self.label_name_bytes.or(other.label_name_bytes),
            label_value_bytes: self.label_value_bytes.or(other.label_value_bytes),
            dropped_targets: self.dropped_targets.or(other.dropped_targets),
        }
    }
}

/// A key without a value counts as absent, as in Prometheus.
pub(super) fn given(place: &Place<'_>) -> bool {
    !place.node().is_null()
}

/// A duration; 0 and nothing both ask for the default.
pub(super) fn nonzero(section: &Section<'_>, key: &'static str) -> Option<Duration> {
    section.get(key).filter(|place| !place.node().is_absent())?.duration().filter(|duration| !duration.is_zero())
}

/// A mapping of labels with any UTF-8 names.
pub(super) fn decode_labels(place: &Place<'_>) -> Labels {
    Labels::from_pairs(placed_labels(place).into_iter().map(|(label, value, _)| (label, value)))
}

/// The same in the order of the file, with the places of the values.
fn placed_labels<'a>(place: &Place<'a>) -> Vec<(String, String, Place<'a>)> {
    let mut labels = Vec::new();
    for (name, value) in place.entries() {
        let label = name.node().as_text().unwrap_or_default();
        if label.is_empty() {
            name.error("\"\" is not a valid label name", "");
            continue;
        }
        let text = value.string().unwrap_or_default();
        labels.push((label.to_owned(), text, value));
    }
    labels
}

fn decode_size(place: &Place<'_>) -> Option<u64> {
    let text = place.string()?;
    let size = parse_size(&text);
    if size.is_none() {
        place.error(format!("not a valid size: {text:?}"), "write a number and a unit, such as 512KB, 10MB or 1GB");
    }
    size
}
