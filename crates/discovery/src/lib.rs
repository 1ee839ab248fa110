//! Where targets come from.
//!
//! In: configuration, and what listens on the node. Out: groups of targets in a watch channel, replaced as a whole.
//! Never: scraping, relabelling, a sample.

pub mod cilium;
mod config;
mod counters;
mod dns;
mod file;
mod groups;
mod http;

use std::future::Future;
use std::sync::Arc;

use client::Network;
use model::Labels;
use tokio::runtime::Handle;
use tokio::sync::watch;

pub use config::{Config, Discoveries, DnsConfig, FileConfig, HttpSdConfig, Missing, RecordKind};
pub use counters::Counters;

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
    /// Files that were read, with the seconds since 1970 at which they changed.
    pub files: Vec<(String, i64)>,
}

/// The newest state of a discovery. The channel closes when the discovery ends.
pub type Updates = watch::Receiver<Arc<Found>>;

/// The label of a target's `host:port`.
pub(crate) const ADDRESS: &str = "__address__";

/// Something that looks for targets.
pub trait Discovery: Send + 'static {
    /// Looks for targets, again and again, until nobody listens to `found`. What cannot be looked at stays as it was found
    /// last, and a note says why.
    fn run(self, found: watch::Sender<Arc<Found>>) -> impl Future<Output = ()> + Send;
}

/// Starts a discovery; it ends when the updates are dropped.
pub fn spawn(discovery: impl Discovery, runtime: &Handle) -> Updates {
    let (found, updates) = watch::channel(Arc::default());
    runtime.spawn(discovery.run(found));
    updates
}

impl Config {
    /// Starts this discovery for a job.
    pub fn spawn(&self, job: &str, network: &Network, counters: &Arc<Counters>, runtime: &Handle) -> Updates {
        let (job, counters) = (job.to_owned(), Arc::clone(counters));
        match self {
            Self::File(config) => spawn(file::Files { job, config: config.clone(), counters }, runtime),
            Self::Http(config) => {
                let transport = network.transport(&config.http);
                spawn(http::Server { job, config: HttpSdConfig::clone(config), transport, counters }, runtime)
            }
            Self::Dns(config) => spawn(dns::Names { job, config: config.clone(), counters }, runtime),
        }
    }
}

impl Group {
    /// Groups of one origin, numbered in their order.
    fn numbered(job: &str, origin: &str, groups: Vec<Vec<Labels>>) -> Vec<Self> {
        let group =
            |(i, targets)| Self { job: job.to_owned(), source: format!("{origin}:{i}"), targets, note: String::new() };
        groups.into_iter().enumerate().map(group).collect()
    }
}

/// Tells what is found, where it changed. New notes are for the log, too.
fn publish(found: &watch::Sender<Arc<Found>>, job: &str, now: Found) {
    found.send_if_modified(|before| {
        for note in now.notes.iter().filter(|note| !before.notes.contains(note)) {
            tracing::warn!(job, "{note}");
        }
        let changed = **before != now;
        if changed {
            *before = Arc::new(now);
        }
        changed
    });
}
