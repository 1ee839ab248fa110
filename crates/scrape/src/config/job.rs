//! An entry of `scrape_configs`.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use client::config::{Auth, HttpConfig, Source};
use discovery::Discoveries;
use model::status::SkippedJob;
use yaml::{Place, Section, Shape};

use super::global::{NO_NATIVE_HISTOGRAMS, files_of_failures, given, nonzero, switches};
use super::{Global, Job, Limits, Names, protocols, relabel, targets};

/// Jobs of one or several files; their names are unique.
#[derive(Default)]
pub(super) struct Jobs {
    pub(super) list: Vec<Arc<Job>>,
    pub(super) skipped: Vec<SkippedJob>,
    /// Where each name stood first.
    names: HashMap<String, String>,
}

impl Jobs {
    /// Decodes a list of jobs.
    pub(super) fn decode(&mut self, places: &[Place<'_>], global: &Global) {
        for place in places {
            if place.node().is_null() {
                place.error("empty or null scrape config section", "give it a job_name, or remove it");
                continue;
            }
            let Some(section) = place.section() else { continue };
            let found = Discoveries::decode(&section);
            let job = decode(&section, global, found.configs);
            self.skipped.extend(found.missing.into_iter().map(|missing| SkippedJob {
                job: job.name.clone(),
                key: missing.key.to_owned(),
                place: missing.place,
            }));
            let here = format!("{} line {}", place.file(), place.node().position.line);
            if let Some(first) = self.names.get(&job.name) {
                let message = format!("found multiple scrape configs with job name {:?}", job.name);
                place.error(message, format!("the first one is in {first}"));
            }
            self.names.entry(job.name.clone()).or_insert(here);
            self.list.push(Arc::new(job));
        }
    }
}

fn decode(section: &Section<'_>, global: &Global, discoveries: Vec<discovery::Config>) -> Job {
    let defaults = Job::default();
    // A key without a value means the empty text, and no, as in Prometheus.
    let text = |key, default: String| section.get(key).and_then(|p| p.string()).unwrap_or(default);
    let flag = |key, default| match section.get(key) {
        Some(place) => given(&place) && place.boolean().unwrap_or(default),
        None => default,
    };
    let (interval, timeout) = times(section, global);
    let names = Names::decode_job(section, global.names);
    let targets = targets::decode(section);
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
        http: HttpConfig::decode(section),
        protocols: protocols::decode(section).unwrap_or_else(|| global.protocols.clone()),
        fallback: protocols::fallback(section),
        escaping: names.escaping,
        legacy_names: names.legacy,
        extra_metrics: section.boolean("extra_scrape_metrics").or(global.extra_metrics),
        limits: Limits::decode(section).or(global.limits),
        relabel: relabel::decode_all(&section.list("relabel_configs"), "target"),
        metric_relabel: relabel::decode_all(&section.list("metric_relabel_configs"), "metric"),
        static_targets: targets.iter().map(|(labels, _)| labels.clone()).collect(),
        discoveries,
    };
    not_built(section);
    section.finish();
    targets::check(&job, &targets);
    if section.place().is_strict() {
        targets::check_found(&job, section);
    }
    check_files(section, &job.http);
    job
}

/// The files of a job's own client at which promtool looks, and no others: what is not there yet may come before it is read.
fn check_files(section: &Section<'_>, http: &HttpConfig) {
    let credentials = match &http.auth {
        Auth::Authorization(authorization) => Some(&authorization.credentials),
        _ => None,
    };
    let named = [
        ("tls_config", "client cert", http.tls.cert.as_ref()),
        ("tls_config", "client key", http.tls.key.as_ref()),
        ("authorization", "authorization credentials or bearer token", credentials),
    ];
    for (key, what, source) in named {
        if let Some(Source::File(path)) = source
            && let Err(error) = fs::metadata(path)
        {
            let place = section.get(key).unwrap_or_else(|| section.place().clone());
            place.flaw(format!("error checking {what} file {:?}: {error}", path.display().to_string()), "");
        }
    }
}

fn not_built(section: &Section<'_>) {
    files_of_failures(section, &["scrape_failure_log_file"]);
    switches(section);
    let of_native_histograms =
        [("native_histogram_bucket_limit", Shape::Unsigned), ("native_histogram_min_bucket_factor", Shape::Float)];
    section.judge(&of_native_histograms);
    for place in of_native_histograms.iter().filter_map(|(key, _)| section.get(key).filter(given)) {
        if place.node().as_text() != Some("0") {
            place.warn(NO_NATIVE_HISTOGRAMS, "");
        }
    }
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
