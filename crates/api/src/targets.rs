//! `targets`, `targets/metadata`, `scrape_pools` and `metadata`: what is collected.

use std::collections::{BTreeMap, BTreeSet};

use model::status::{DroppedTarget, Health, TargetStatus};
use model::{Labels, Metadata, format_duration};
use promql::parse_selector;

use crate::State;
use crate::call::Call;
use crate::failure::Failure;
use crate::json::{Object, push_array, push_text};
use crate::reply::{Notes, Reply, push_texts};
use crate::time::format_time;

/// Hosts that mean this machine and nothing elsewhere.
const LOCAL_HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// `targets`: by `state` and `scrapePool`.
pub(crate) fn targets(state: &State, call: &Call) -> Result<Reply, Failure> {
    let wanted = call.form.get("state").to_lowercase();
    let pool = call.form.get("scrapePool");
    let of_pool = |job: &str| pool.is_empty() || pool == job;
    let shows = |part: &str| matches!(&wanted[..], "" | "any") || wanted == part;
    let mut active = if shows("active") { state.targets.active() } else { Vec::new() };
    active.retain(|target| of_pool(&target.job));
    let mut dropped = if shows("dropped") { state.targets.dropped() } else { Vec::new() };
    dropped.retain(|target| of_pool(&target.job));
    let hostname = state.process.runtime().hostname;
    Ok(Reply::object(|object| {
        object.array("activeTargets", &active, |out, target| push_target(out, target, &hostname));
        object.array("droppedTargets", &dropped, push_dropped);
        if shows("dropped") {
            push_counts(object.field("droppedTargetCounts"), &dropped);
        } else {
            object.word("droppedTargetCounts", "null");
        }
    }))
}

fn push_target(out: &mut Vec<u8>, target: &TargetStatus, hostname: &str) {
    let mut object = Object::new(out);
    object.labels("discoveredLabels", &target.discovered_labels).labels("labels", &target.labels);
    object.text("scrapePool", &target.job).text("scrapeUrl", &target.url);
    object.text("globalUrl", &global_url(&target.url, hostname)).text("lastError", &target.last_error);
    object.text("lastScrape", &format_time(target.last_scrape));
    object.float("lastScrapeDuration", target.last_scrape_duration.as_secs_f64());
    object.text("health", target_health(target.health));
    object.text("scrapeInterval", &format_duration(target.interval));
    object.text("scrapeTimeout", &format_duration(target.timeout));
    object.end();
}

fn target_health(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Good => "up",
        Health::Bad => "down",
    }
}

/// The URL as another machine would write it.
fn global_url(url: &str, hostname: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let local = LOCAL_HOSTS.iter().find_map(|host| rest.strip_prefix(host));
    match local.filter(|after| after.is_empty() || after.starts_with([':', '/'])) {
        Some(after) if !hostname.is_empty() => format!("{scheme}://{hostname}{after}"),
        _ => url.to_owned(),
    }
}

fn push_dropped(out: &mut Vec<u8>, target: &DroppedTarget) {
    let mut object = Object::new(out);
    object.labels("discoveredLabels", &target.discovered_labels).text("scrapePool", &target.job);
    object.end();
}

fn push_counts(out: &mut Vec<u8>, dropped: &[DroppedTarget]) {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for target in dropped {
        *counts.entry(&target.job).or_default() += 1;
    }
    let mut object = Object::new(out);
    for (job, count) in counts {
        object.integer(job, count);
    }
    object.end();
}

/// `scrape_pools`: names of jobs.
pub(crate) fn pools(state: &State, _: &Call) -> Result<Reply, Failure> {
    let active = state.targets.active().into_iter().map(|target| target.job);
    let pools: BTreeSet<String> = active.chain(state.targets.dropped().into_iter().map(|target| target.job)).collect();
    Ok(Reply::object(|object| push_texts(object.field("scrapePools"), &pools)))
}

/// `metadata`: by family.
pub(crate) fn metadata(state: &State, call: &Call) -> Result<Reply, Failure> {
    let limit = number(call, "limit")?.and_then(|limit| usize::try_from(limit).ok());
    number(call, "limit_per_metric")?;
    let mut families = state.storage.metadata(wanted_metric(call));
    families.truncate(limit.unwrap_or(usize::MAX));
    Ok(Reply::object(|object| {
        for (name, metadata) in &families {
            push_array(object.field(name), [metadata], push_metadata);
        }
    }))
}

fn push_metadata(out: &mut Vec<u8>, metadata: &Metadata) {
    let mut object = Object::new(out);
    push_metadata_fields(&mut object, metadata);
    object.end();
}

fn push_metadata_fields(object: &mut Object<'_>, metadata: &Metadata) {
    object.text("type", metadata.kind.as_str()).text("help", &metadata.help).text("unit", &metadata.unit);
}

/// `targets/metadata`: families by target. skep keeps metadata by family, so that every target that has the family is
/// given the same.
pub(crate) fn target_metadata(state: &State, call: &Call) -> Result<Reply, Failure> {
    let limit = number(call, "limit")?.and_then(|limit| usize::try_from(limit).ok());
    let text = call.form.get("match_target");
    let matchers = if text.is_empty() {
        Vec::new()
    } else {
        parse_selector(text).map_err(|error| Failure::parameter("match_target", &error.to_string()))?
    };
    let wanted = wanted_metric(call);
    let mut found = Vec::new();
    for target in state.targets.active() {
        if matchers.iter().all(|matcher| matcher.matches_labels(&target.labels)) {
            let families = state.storage.metadata(wanted);
            found.extend(families.into_iter().map(|(name, metadata)| (target.labels.clone(), name, metadata)));
        }
        if limit.is_some_and(|limit| found.len() >= limit) {
            break;
        }
    }
    found.truncate(limit.unwrap_or(usize::MAX));
    let with_name = wanted.is_none();
    let push = move |out: &mut Vec<u8>, item| push_target_metadata(out, &item, with_name);
    Ok(Reply::array(found, push, Notes::default()))
}

fn push_target_metadata(out: &mut Vec<u8>, item: &(Labels, String, Metadata), with_name: bool) {
    let (target, name, metadata) = item;
    let mut object = Object::new(out);
    object.labels("target", target);
    if with_name {
        push_text(object.field("metric"), name);
    }
    push_metadata_fields(&mut object, metadata);
    object.end();
}

fn wanted_metric(call: &Call) -> Option<&str> {
    Some(call.form.get("metric")).filter(|metric| !metric.is_empty())
}

fn number(call: &Call, name: &str) -> Result<Option<i64>, Failure> {
    match call.form.get(name) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Failure::bad_data(format!("{name} must be a number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_urls() {
        let cases = [
            ("http://127.0.0.1:9100/metrics", "http://box:9100/metrics"),
            ("http://localhost/metrics", "http://box/metrics"),
            ("http://[::1]:1/", "http://box:1/"),
            ("http://127.0.0.10:1/", "http://127.0.0.10:1/"),
            ("http://10.0.0.1:1/", "http://10.0.0.1:1/"),
            ("in-process:node", "in-process:node"),
        ];
        for (url, expected) in cases {
            assert_eq!(global_url(url, "box"), expected);
        }
    }
}
