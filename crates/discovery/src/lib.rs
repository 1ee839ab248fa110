//! Where targets come from.
//!
//! In: configuration, and what listens on the node. Out: groups of targets in a watch channel, replaced as a whole.
//! Never: scraping, relabelling, a sample.

pub mod cilium;
mod config;

use std::sync::Arc;

use model::Labels;
use tokio::sync::watch;

pub use config::{Config, Discoveries, DnsConfig, FileConfig, HttpSdConfig, Missing, RecordKind};

/// Targets that share their origin and their job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The job that collects them.
    pub job: String,
    /// Where they come from, such as `cilium/127.0.0.1:9962`; unique within a discovery.
    pub source: String,
    /// One label set a target, `__address__` included, before relabelling.
    pub targets: Vec<Labels>,
    /// A sentence for the reader of the targets page, empty if there is nothing to say.
    pub note: String,
}

/// What a discovery knows at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// All groups.
    pub groups: Vec<Group>,
    /// Sentences on what was looked for and not found.
    pub notes: Vec<String>,
}

/// The newest state of a discovery. The channel closes when the discovery ends.
pub type Updates = watch::Receiver<Arc<Found>>;
