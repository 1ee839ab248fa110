//! What `global` and `scrape_configs` say, ready to use: defaults are filled in, limits of 0 are gone.

mod expand;
mod files;
mod global;
mod job;
mod names;
mod protocols;
mod relabel;
mod size;
mod targets;

use std::sync::Arc;
use std::time::Duration;

use client::config::HttpConfig;
use exposition::{Escaping, Protocol};
use model::Labels;
use model::status::SkippedJob;
use yaml::Section;

pub use self::names::Names;
pub use self::relabel::decode_all as decode_rules;
use crate::relabel::Rule;

/// The two sections that decide about collection.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What holds for all jobs.
    pub global: Global,
    /// The jobs in their order; names are unique.
    pub jobs: Vec<Arc<Job>>,
    /// Patterns of further files with jobs.
    pub files: Vec<String>,
    /// Discoveries of jobs that are configured and that skep does not have.
    pub skipped: Vec<SkippedJob>,
}

/// The section `global`.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// Time between scrapes where a job does not say it.
    pub scrape_interval: Duration,
    /// Time a scrape may take where a job does not say it.
    pub scrape_timeout: Duration,
    /// Time between evaluations of rules.
    pub evaluation_interval: Duration,
    /// Labels for what leaves this server: notifications, federation.
    pub external_labels: Labels,
    /// Limits where a job does not say them.
    pub limits: Limits,
    /// Formats that jobs ask for which do not say it.
    pub protocols: Vec<Protocol>,
    /// What names may be, where a job does not say it.
    pub names: Names,
    /// `extra_scrape_metrics`, a key that came with Prometheus 3.8; `None` leaves it to the command line.
    pub extra_metrics: Option<bool>,
    /// `rule_query_offset`: rules are evaluated this much in the past.
    pub rule_query_offset: Duration,
}

/// One entry of `scrape_configs`, or a job of a discovery.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// `job_name`.
    pub name: String,
    /// Time between scrapes.
    pub interval: Duration,
    /// Time for connecting, reading and redirects together.
    pub timeout: Duration,
    /// The path of the page.
    pub metrics_path: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Parameters of the query, each with its values.
    pub params: Vec<(String, Vec<String>)>,
    /// Whether labels of the page win over the target's.
    pub honor_labels: bool,
    /// Whether timestamps of the page count.
    pub honor_timestamps: bool,
    /// Whether series with own timestamps get staleness markers.
    pub track_timestamps_staleness: bool,
    /// Whether the page is asked for compressed.
    pub enable_compression: bool,
    /// How the target's server is reached: credentials, TLS, proxy, headers, redirects.
    pub http: HttpConfig,
    /// `scrape_protocols`: formats that are asked for, the dearest first.
    pub protocols: Vec<Protocol>,
    /// How a page without, or with an unknown, content type is read; `None` refuses it.
    pub fallback: Option<Protocol>,
    /// `metric_name_escaping_scheme`: how the target is to spell names of other letters.
    pub escaping: Escaping,
    /// `metric_name_validation_scheme: legacy`: names of other letters are refused.
    pub legacy_names: bool,
    /// `extra_scrape_metrics`: whether settings and size of a page are series, too; `None` leaves it to the command line.
    pub extra_metrics: Option<bool>,
    /// Limits of a scrape.
    pub limits: Limits,
    /// Rules over the labels of targets.
    pub relabel: Vec<Rule>,
    /// Rules over the labels of samples.
    pub metric_relabel: Vec<Rule>,
    /// Targets that the file names, in groups with their labels.
    pub static_targets: Vec<Labels>,
    /// Where more targets come from.
    pub discoveries: Vec<discovery::Config>,
}

/// Limits of a scrape and of a job; `None` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a page, decompressed; that many are too many already.
    pub body_size_bytes: Option<u64>,
    /// Samples of a page after relabelling.
    pub samples: Option<u64>,
    /// Targets of a job.
    pub targets: Option<u64>,
    /// Labels of a series.
    pub labels: Option<u64>,
    /// Bytes of a label name.
    pub label_name_bytes: Option<u64>,
    /// Bytes of a label value.
    pub label_value_bytes: Option<u64>,
    /// `keep_dropped_targets`: targets that relabelling left out and that are told of.
    pub dropped_targets: Option<u64>,
}

impl Default for Job {
    fn default() -> Self {
        let global = Global::default();
        Self {
            name: String::new(),
            interval: global.scrape_interval,
            timeout: global.scrape_timeout,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: Vec::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            enable_compression: true,
            http: HttpConfig::default(),
            protocols: Protocol::DEFAULT.to_vec(),
            fallback: None,
            escaping: Escaping::default(),
            legacy_names: false,
            extra_metrics: None,
            limits: Limits::default(),
            relabel: Vec::new(),
            metric_relabel: Vec::new(),
            static_targets: Vec::new(),
            discoveries: Vec::new(),
        }
    }
}

impl Config {
    /// Decodes the keys `global`, `scrape_configs` and `scrape_config_files` of the file's root. Problems go to the report of
    /// the section; the result is of use only where it holds no error.
    pub fn decode(root: &Section<'_>) -> Self {
        let places = root.list("scrape_configs");
        let has_jobs = !places.is_empty() || files::any(root);
        let global = root.get("global").filter(global::given).and_then(|place| place.section());
        let global = global.map(|section| Global::decode(&section, has_jobs)).unwrap_or_default();
        let mut jobs = job::Jobs::default();
        jobs.decode(&places, &global);
        files::decode(root, &global, &mut jobs);
        Self { global, files: files::patterns(root), skipped: jobs.skipped, jobs: jobs.list }
    }
}

/// Decodes `static_configs` of another section than a job's: the targets of all groups.
pub fn decode_targets(section: &Section<'_>) -> Vec<Labels> {
    targets::decode(section).into_iter().map(|(labels, _)| labels).collect()
}
