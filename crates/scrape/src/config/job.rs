//! An entry of `scrape_configs`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use client::config::HttpConfig;
use exposition::Protocol;
use model::Labels;
use yaml::{Place, Section};

use super::global::{decode_labels, given, nonzero};
use super::{Global, Job, Limits, auth, relabel};
use crate::ADDRESS;

const PROTOCOLS: [&str; 5] =
    ["OpenMetricsText0.0.1", "OpenMetricsText1.0.0", "PrometheusProto", "PrometheusText0.0.4", "PrometheusText1.0.0"];

/// Valid keys whose work is not done yet. A job whose targets come only from these discoveries has none.
const NOT_BUILT: [&str; 51] = [
    "scrape_protocols",
    "always_scrape_classic_histograms",
    "convert_classic_histograms_to_nhcb",
    "scrape_native_histograms",
    "native_histogram_bucket_limit",
    "native_histogram_min_bucket_factor",
    "extra_scrape_metrics",
    "scrape_failure_log_file",
    "keep_dropped_targets",
    "metric_name_validation_scheme",
    "metric_name_escaping_scheme",
    "oauth2",
    "tls_config",
    "enable_http2",
    "http_headers",
    "proxy_url",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "dns_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "file_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "http_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

pub(super) fn decode_all(places: &[Place<'_>], global: &Global) -> Vec<Arc<Job>> {
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut jobs = Vec::new();
    for place in places {
        if place.node().is_null() {
            place.error("empty or null scrape config section", "give it a job_name, or remove it");
            continue;
        }
        let Some(section) = place.section() else { continue };
        let job = decode(&section, global);
        let line = place.node().position.line;
        if let Some(first) = names.insert(job.name.clone(), line) {
            let message = format!("found multiple scrape configs with job name {:?}", job.name);
            place.error(message, format!("the first one is at line {first}"));
        }
        jobs.push(Arc::new(job));
    }
    jobs
}

fn decode(section: &Section<'_>, global: &Global) -> Job {
    let defaults = Job::default();
    // A key without a value means the empty text, and no, as in Prometheus.
    let text = |key, default: String| section.get(key).and_then(|p| p.string()).unwrap_or(default);
    let flag = |key, default| match section.get(key) {
        Some(place) => given(&place) && place.boolean().unwrap_or(default),
        None => default,
    };
    let (interval, timeout) = times(section, global);
    let job = Job {
        name: name(section),
        interval,
        timeout,
        metrics_path: text("metrics_path", defaults.metrics_path),
        scheme: scheme(section),
        params: params(section),
        honor_labels: flag("honor_labels", defaults.honor_labels),
        honor_timestamps: flag("honor_timestamps", defaults.honor_timestamps),
        track_timestamps_staleness: flag("track_timestamps_staleness", defaults.track_timestamps_staleness),
        enable_compression: flag("enable_compression", defaults.enable_compression),
        http: HttpConfig {
            auth: auth::decode(section),
            follow_redirects: flag("follow_redirects", true),
            ..HttpConfig::default()
        },
        protocols: defaults.protocols,
        fallback: fallback(section),
        escaping: defaults.escaping,
        legacy_names: false,
        limits: Limits::decode(section).or(global.limits),
        relabel: relabel::decode_all(&section.list("relabel_configs"), "target"),
        metric_relabel: relabel::decode_all(&section.list("metric_relabel_configs"), "metric"),
        static_targets: static_targets(&section.list("static_configs")),
    };
    check_protocols(section);
    check_name_schemes(section);
    section.not_built(&NOT_BUILT);
    section.finish();
    job
}

fn name(section: &Section<'_>) -> String {
    let name = section.get("job_name").and_then(|place| place.string()).unwrap_or_default();
    if name.is_empty() {
        section.place().error("job_name is empty", "every scrape config needs a job_name");
    }
    name
}

/// Interval and timeout. The global timeout gives way to a shorter interval, a job's own does not.
fn times(section: &Section<'_>, global: &Global) -> (Duration, Duration) {
    let interval = nonzero(section, "scrape_interval").unwrap_or(global.scrape_interval);
    let Some(timeout) = nonzero(section, "scrape_timeout") else {
        return (interval, global.scrape_timeout.min(interval));
    };
    if timeout > interval
        && let Some(place) = section.get("scrape_timeout")
    {
        place.error("scrape timeout greater than scrape interval", "lower it, or raise scrape_interval");
    }
    (interval, timeout)
}

fn scheme(section: &Section<'_>) -> String {
    let Some(place) = section.get("scheme") else { return "http".to_owned() };
    let scheme = place.string().unwrap_or_default();
    if !matches!(&*scheme, "http" | "https") {
        place.warn(format!("no target of the scheme {scheme:?} can be scraped"), "use http or https");
    }
    scheme
}

fn params(section: &Section<'_>) -> Vec<(String, Vec<String>)> {
    let Some(place) = section.get("params") else { return Vec::new() };
    place
        .entries()
        .into_iter()
        .map(|(name, values)| {
            let name = name.node().as_text().unwrap_or_default().to_owned();
            (name, values.list().iter().filter_map(Place::string).collect())
        })
        .collect()
}

fn fallback(section: &Section<'_>) -> Option<Protocol> {
    let place = section.get("fallback_scrape_protocol").filter(given)?;
    let protocol = place.string()?;
    check_protocol(&place, &protocol);
    Protocol::from_name(&protocol)
}

pub(super) fn check_protocols(section: &Section<'_>) {
    let Some(place) = section.get("scrape_protocols").filter(given) else { return };
    let mut seen = Vec::new();
    for entry in place.list() {
        let protocol = entry.string().unwrap_or_default();
        check_protocol(&entry, &protocol);
        if seen.contains(&protocol) {
            entry.error(format!("duplicated protocol {protocol:?} in scrape_protocols"), "remove one of the two");
        }
        seen.push(protocol);
    }
    if seen.is_empty() {
        place.error("scrape_protocols cannot be empty", "name a protocol, or remove the key");
    }
}

fn check_protocol(place: &Place<'_>, protocol: &str) {
    if !PROTOCOLS.contains(&protocol) {
        place.error(format!("unknown scrape protocol {protocol:?}"), format!("supported: {}", PROTOCOLS.join(", ")));
    }
}

pub(super) fn check_name_schemes(section: &Section<'_>) {
    let check = |key, words: &[&str]| {
        let Some(place) = section.get(key).filter(given) else { return };
        let word = place.string().unwrap_or_default();
        if !words.contains(&&*word) {
            place.error(format!("unknown word {word:?}"), format!("must be one of {}", words.join(", ")));
        }
    };
    check("metric_name_validation_scheme", &["", "utf8", "legacy"]);
    check("metric_name_escaping_scheme", &["", "allow-utf-8", "underscores", "dots", "values"]);
}

/// Groups of targets that share labels; a target's address wins over a label of that name.
fn static_targets(groups: &[Place<'_>]) -> Vec<Labels> {
    let mut targets = Vec::new();
    for group in groups {
        if group.node().is_null() {
            group.error("empty or null section in static_configs", "name targets, or remove it");
            continue;
        }
        let Some(section) = group.section() else { continue };
        let labels = section.get("labels").map(|place| decode_labels(&place)).unwrap_or_default();
        for place in section.list("targets") {
            let address = place.string().unwrap_or_default();
            check_address(&place, &address);
            let mut target = labels.to_builder();
            targets.push(target.set(ADDRESS, address).build());
        }
        section.finish();
    }
    targets
}

fn check_address(place: &Place<'_>, address: &str) {
    if address.contains('/') {
        let hint = "write host:port; scheme and path have keys of their own, scheme and metrics_path";
        place.error(format!("{address:?} is not a valid hostname"), hint);
    }
    if address.is_empty() {
        place.error("no address", "write host:port");
    }
}
