//! Host metrics: what node_exporter tells of a machine, under the same names, labels and types.
//!
//! In: `/proc`, `/sys`, mount points, through the root folders of [`Config`]. Out: metric families through
//! [`model::Collector`]. Adding a collector is one file and one line in [`ALL`].
//!
//! Never: the network, a child process, a write, a wait for a file system that hangs. A collector that fails says so
//! in `node_scrape_collector_success` and holds none of the others back.

mod decode;
mod error;
mod exclude;
mod roots;
mod text;

mod arp;
mod conntrack;
mod cpu;
mod cpufreq;
mod diskstats;
mod entropy;
mod filefd;
mod filesystem;
mod kernel_hung;
mod loadavg;
mod meminfo;
mod netclass;
mod netdev;
mod netstat;
mod os;
mod pressure;
mod sockstat;
mod softnet;
mod stat;
mod thermal_zone;
mod time;
mod uname;
mod vmstat;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{CollectError, Collector, Families, MetricKind};

pub use error::Error;
pub use exclude::Exclude;
use roots::Roots;

/// All collectors, in the order in which they run.
pub static ALL: &[HostCollector] = &[
    arp::COLLECTOR,
    conntrack::COLLECTOR,
    cpu::COLLECTOR,
    cpufreq::COLLECTOR,
    diskstats::COLLECTOR,
    entropy::COLLECTOR,
    filefd::COLLECTOR,
    filesystem::COLLECTOR,
    kernel_hung::COLLECTOR,
    loadavg::COLLECTOR,
    meminfo::COLLECTOR,
    netclass::COLLECTOR,
    netdev::COLLECTOR,
    netstat::COLLECTOR,
    os::COLLECTOR,
    pressure::COLLECTOR,
    sockstat::COLLECTOR,
    softnet::COLLECTOR,
    stat::COLLECTOR,
    thermal_zone::COLLECTOR,
    time::COLLECTOR,
    uname::COLLECTOR,
    vmstat::COLLECTOR,
];

/// What a person may set, section `host` of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `host.enabled`: whether anything is collected. Default: true.
    pub enabled: bool,
    /// `host.collectors`: names from [`ALL`] that run; other names do nothing. Default: all.
    pub collectors: BTreeSet<String>,
    /// `host.proc_path`: where `/proc` is mounted. Default: `/proc`.
    pub proc_path: PathBuf,
    /// `host.sys_path`: where `/sys` is mounted. Default: `/sys`.
    pub sys_path: PathBuf,
    /// `host.root_path`: where the host's root is mounted, for file systems and `os-release`. Default: `/`.
    pub root_path: PathBuf,
    /// `host.filesystem.mount_points_exclude`. Default: node_exporter's.
    pub mount_points_exclude: Exclude,
    /// `host.filesystem.types_exclude`. Default: node_exporter's.
    pub fs_types_exclude: Exclude,
    /// `host.filesystem.timeout`: after this time a mount that does not answer is reported and passed over. Default: 500ms.
    pub filesystem_timeout: Duration,
    /// `host.diskstats.device_exclude`. Default: node_exporter's (partitions, RAM disks, loop devices).
    pub disk_exclude: Exclude,
    /// `host.netdev.device_exclude`, for `netdev` and `netclass`. Default: none.
    pub net_exclude: Exclude,
}

/// What is known of a collector before it runs.
pub struct HostCollector {
    /// Its name, node_exporter's.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    open: fn(&Config) -> Box<dyn Source>,
}

/// All collectors of this machine as one.
pub struct Host {
    roots: Roots,
    sources: Vec<(&'static str, Mutex<Box<dyn Source>>)>,
    failures: Mutex<Vec<(&'static str, String)>>,
}

/// Something that is read once an interval.
trait Source: Send {
    fn collect(&mut self, roots: &Roots, families: &mut Families) -> Result<(), Error>;
}

impl<F> Source for F
where
    F: FnMut(&Roots, &mut Families) -> Result<(), Error> + Send,
{
    fn collect(&mut self, roots: &Roots, families: &mut Families) -> Result<(), Error> {
        self(roots, families)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            collectors: ALL.iter().map(|collector| collector.name.to_owned()).collect(),
            proc_path: PathBuf::from("/proc"),
            sys_path: PathBuf::from("/sys"),
            root_path: PathBuf::from("/"),
            mount_points_exclude: Exclude::mount_points(),
            fs_types_exclude: Exclude::fs_types(),
            filesystem_timeout: filesystem::TIMEOUT,
            disk_exclude: Exclude::disks(),
            net_exclude: Exclude::nothing(),
        }
    }
}

impl Host {
    /// Opens the collectors that the configuration wants. Nothing is read yet.
    pub fn new(config: &Config) -> Self {
        let wanted = |collector: &&HostCollector| config.enabled && config.collectors.contains(collector.name);
        let open = |collector: &HostCollector| (collector.name, Mutex::new((collector.open)(config)));
        let sources = ALL.iter().filter(wanted).map(open).collect();
        Self { roots: Roots::new(config), sources, failures: Mutex::default() }
    }

    /// Collectors that failed when last read, with the reason. A collector whose files this kernel lacks is among them.
    pub fn failures(&self) -> Vec<(&'static str, String)> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Collector for Host {
    fn name(&self) -> &'static str {
        "node"
    }

    /// Never fails: what failed is told by `node_scrape_collector_success`, as node_exporter does.
    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let mut results = Vec::with_capacity(self.sources.len());
        let mut failures = Vec::new();
        for (name, source) in &self.sources {
            let begin = Instant::now();
            let result = source.lock().unwrap_or_else(PoisonError::into_inner).collect(&self.roots, families);
            results.push((*name, begin.elapsed(), result.is_ok()));
            failures.extend(result.err().map(|error| (*name, error.to_string())));
        }
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = failures;
        let duration =
            families.family("node_scrape_collector_duration_seconds", MetricKind::Gauge, "How long a collector took.");
        for (name, elapsed, _) in &results {
            duration.with([("collector", *name)], elapsed.as_secs_f64());
        }
        let success = families.family(
            "node_scrape_collector_success",
            MetricKind::Gauge,
            "1 where a collector could read everything, 0 where not.",
        );
        for (name, _, ok) in &results {
            success.with([("collector", *name)], f64::from(u8::from(*ok)));
        }
        Ok(())
    }
}
