//! `static_configs`: groups of targets that share labels.

use std::sync::Arc;

use model::Labels;
use yaml::{Place, Section};

use super::Job;
use super::global::decode_labels;
use crate::ADDRESS;
use crate::target::{Placed, place};

/// The targets of all groups, each with its place; a target's address wins over a label of that name.
pub(super) fn decode<'a>(section: &Section<'a>) -> Vec<(Labels, Place<'a>)> {
    let mut targets = Vec::new();
    for group in section.list("static_configs") {
        if group.node().is_null() {
            group.error("empty or null section in static_configs", "name targets, or remove it");
            continue;
        }
        let Some(section) = group.section() else { continue };
        let labels = section.get("labels").map(|place| decode_labels(&place)).unwrap_or_default();
        for place in section.list("targets") {
            let address = if place.node().is_null() { String::new() } else { place.string().unwrap_or_default() };
            if address.contains('/') {
                let hint = "write host:port; scheme and path have keys of their own, scheme and metrics_path";
                place.error(format!("{address:?} is not a valid hostname"), hint);
                continue;
            }
            let mut target = labels.to_builder();
            targets.push((target.set(ADDRESS, address).build(), place));
        }
        section.finish();
    }
    targets
}

/// Says which targets of a job will not be scraped, rules applied.
pub(super) fn check(job: &Job, targets: &[(Labels, Place<'_>)]) {
    let job = Arc::new(job.clone());
    for (labels, at) in targets {
        if let Placed::Invalid(reason) = place(&job, labels, "") {
            at.flaw(reason, "");
        }
    }
}

/// Says the same of targets that stand in files of `file_sd_configs`.
pub(super) fn check_found(job: &Job, section: &Section<'_>) {
    let job = Arc::new(job.clone());
    for labels in job.discoveries.iter().flat_map(discovery::Config::targets_in_files) {
        if let (Placed::Invalid(reason), Some(at)) = (place(&job, &labels, ""), section.get("file_sd_configs")) {
            let file = labels.get("__meta_filepath").unwrap_or_default();
            at.flaw(format!("a target of {file}: {reason}"), "");
        }
    }
}
