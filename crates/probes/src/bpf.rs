//! The probe `bpf`: every BPF program and map of this machine, whoever made it.
//!
//! No program of its own: the kernel is asked. Series carry type, name and attachment, never ids, so that programs that
//! are loaded anew all the time stay the same series; of several that share them the series is the sum.
//!
//! How long programs run is counted by the kernel only while somebody wants it, because two readings of the clock cost
//! every run of every program of the machine some 20 nanoseconds: while the eBPF page is looked at, or always, or never
//! (`probes.bpf.run_statistics`). Whoever else switched it on (`kernel.bpf_stats_enabled`) is made use of.
//!
//! Entries of maps are counted by reading their keys in batches, a millisecond of CPU time a collection, one map after
//! the other, so that a count is as old as the round takes.

mod budget;
mod devices;
mod kind;
mod links;
mod maps;
mod programs;
mod syscall;
mod walk;

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::str::FromStr;

use model::Families;
use model::status::BpfObjects;
use thiserror::Error as ThisError;
use yaml::Section;

use crate::capability::SYS_ADMIN;
use crate::meter::Meter;
use crate::surroundings::Surroundings;
use crate::{Capability, Config, Error, Loader, Metric, Running, Settings, Version, decode, fences};
use maps::Maps;
use programs::Programs;

pub(crate) use budget::Stopwatch;
pub(crate) use kind::MapKind;
use syscall::Object;
pub(crate) use syscall::{Map, Shape, is_allowed};
pub(crate) use walk::{Piece, Walk};

/// Programs, and as many maps, that are looked at. A node with 250 pods under Cilium has about 2000 of each; more are
/// only counted, as [`OTHER`].
const OBJECTS_MAX: usize = 4096;
/// Series of a metric; what comes later is summed as [`OTHER`]. More would crowd a page and the store.
const GROUPS_MAX: usize = 256;
/// The label value of what is not told apart.
const OTHER: &str = "other";

const PROGRAMS: Metric = Metric::gauge("skep_bpf_programs", "programs", "BPF programs of this machine, by type.");
const RUN_SECONDS: Metric = Metric::counter(
    "skep_bpf_program_run_seconds_total",
    "seconds",
    "Time that BPF programs ran, while the kernel counted it.",
);
const RUNS: Metric =
    Metric::counter("skep_bpf_program_runs_total", "runs", "Runs of BPF programs, while the kernel counted them.");
const STATISTICS: Metric = Metric::gauge(
    "skep_bpf_run_statistics_enabled",
    "states",
    "1 while the kernel counts the runs of programs, 0 while it does not.",
);
const MAPS: Metric = Metric::gauge("skep_bpf_maps", "maps", "BPF maps of this machine, by type.");
const ENTRIES: Metric = Metric::gauge("skep_bpf_map_entries", "entries", "Entries of BPF maps that can be counted.");
const CAPACITY: Metric = Metric::gauge("skep_bpf_map_capacity", "entries", "Entries that BPF maps have room for.");
const MEMORY: Metric =
    Metric::gauge("skep_bpf_map_memory_bytes", "bytes", "Kernel memory of BPF maps, as the kernel accounts it.");
const PRESSURE: Metric =
    Metric::gauge("skep_bpf_map_pressure", "ratio", "Entries by capacity of the fullest BPF map of a name, 0 to 1.");
const COUNTING_SECONDS: Metric = Metric::counter(
    "skep_bpf_map_counting_cpu_seconds_total",
    "seconds",
    "CPU time that counting the entries of BPF maps took.",
);

/// Section `probes.bpf` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfConfig {
    /// `probes.bpf.enabled`. Default: true.
    pub enabled: bool,
    /// `probes.bpf.run_statistics`. Default: viewed.
    pub run_statistics: RunStatistics,
}

/// When the kernel counts the runs of programs, `probes.bpf.run_statistics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunStatistics {
    /// While somebody looks at the eBPF page.
    #[default]
    Viewed,
    /// From start to end.
    Always,
    /// Only where somebody else wants it.
    Never,
}

/// The word is none of those of `run_statistics`.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("unknown time for run statistics {0:?}; known are viewed, always and never")]
pub struct UnknownRunStatistics(pub String);

/// The running probe.
struct Bpf {
    config: BpfConfig,
    surroundings: Surroundings,
    /// The kernel counts as long as this is open.
    counting: Option<OwnedFd>,
    /// Why the kernel does not count although it should.
    refused: Option<String>,
    programs: Programs,
    maps: Maps,
    meter: Meter,
}

impl Default for BpfConfig {
    fn default() -> Self {
        Self { enabled: true, run_statistics: RunStatistics::default() }
    }
}

impl RunStatistics {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewed => "viewed",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

impl fmt::Display for RunStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunStatistics {
    type Err = UnknownRunStatistics;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = [Self::Viewed, Self::Always, Self::Never];
        known.into_iter().find(|known| known.as_str() == word).ok_or_else(|| UnknownRunStatistics(word.to_owned()))
    }
}

impl Settings for BpfConfig {
    const HELP: &'static str = "Shows every BPF program and map of this machine: run time, entries, memory.";
    const METRICS: &'static [Metric] = &[
        PROGRAMS,
        RUN_SECONDS,
        RUNS,
        STATISTICS,
        MAPS,
        ENTRIES,
        CAPACITY,
        MEMORY,
        PRESSURE,
        COUNTING_SECONDS,
    ];
    /// Batches (5.6), links by id and run statistics (5.8).
    const KERNEL_MIN: Version = Version(5, 8);
    const TO_LOAD: &'static [Capability] = &[SYS_ADMIN];
    /// Objects of others are opened by id.
    const TO_RUN: &'static [Capability] = &[SYS_ADMIN];

    fn decode(section: &Section<'_>) -> Self {
        let mut config = Self::default();
        decode::switch(section, "enabled", &mut config.enabled);
        decode::word(section, "run_statistics", &mut config.run_statistics);
        config
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn start(&self, loader: &Loader) -> Result<Box<dyn Running>, Error> {
        if let Err(source) = Object::Program.next(0) {
            return Err(match source.raw_os_error() {
                Some(libc::EPERM) => Error::Unsupported { reason: fences::REFUSED.to_owned() },
                _ => Error::List { what: "programs", source },
            });
        }
        Ok(Box::new(Bpf {
            config: self.clone(),
            surroundings: loader.surroundings().clone(),
            counting: None,
            refused: None,
            programs: Programs::default(),
            maps: Maps::default(),
            meter: Meter::default(),
        }))
    }
}

impl Bpf {
    /// Switches the kernel's counting on or off as it is wanted now; whether it counts, for whoever it may be.
    fn switch_statistics(&mut self) -> bool {
        let wanted = match self.config.run_statistics {
            RunStatistics::Always => true,
            RunStatistics::Viewed => self.surroundings.is_viewed(),
            RunStatistics::Never => false,
        };
        if !wanted {
            self.counting = None;
            self.refused = None;
        } else if self.counting.is_none() {
            match syscall::count_runs() {
                Ok(fd) => (self.counting, self.refused) = (Some(fd), None),
                Err(error) => self.refused = Some(format!("run statistics: {error}")),
            }
        }
        self.counting.is_some() || counted_by_others()
    }

    fn expose_programs(&self, counted: bool, families: &mut Families) {
        by_kind(&PROGRAMS, self.programs.by_kind(), families);
        STATISTICS.family(families).value(f64::from(u8::from(counted)));
        if !counted {
            // Counters that stand still would say that nothing runs.
            return;
        }
        let labels = |group: &programs::Group| {
            [("type", group.kind.clone()), ("name", group.name.clone()), ("attachment", group.attachment.clone())]
        };
        let family = RUN_SECONDS.family(families);
        for (group, runs) in self.programs.groups() {
            family.with(labels(group), runs.time.as_secs_f64());
        }
        let family = RUNS.family(families);
        for (group, runs) in self.programs.groups() {
            family.with(labels(group), runs.count as f64);
        }
    }

    fn expose_maps(&self, families: &mut Families) {
        by_kind(&MAPS, self.maps.by_kind(), families);
        let groups = self.maps.groups();
        let mut expose = |metric: &Metric, pick: fn(&maps::Sum) -> Option<f64>| {
            let family = metric.family(families);
            for ((kind, name), sum) in &groups {
                if let Some(value) = pick(sum) {
                    family.with([("type", kind.as_str()), ("name", name.as_str())], value);
                }
            }
        };
        expose(&ENTRIES, |sum| sum.entries.map(|entries| entries as f64));
        expose(&CAPACITY, |sum| Some(sum.capacity as f64));
        expose(&MEMORY, |sum| Some(sum.memory_bytes as f64));
        expose(&PRESSURE, |sum| sum.pressure);
        COUNTING_SECONDS.family(families).value(self.maps.spent().as_secs_f64());
    }
}

impl Running for Bpf {
    fn collect(&mut self, families: &mut Families) -> Result<(), Error> {
        let counted = self.switch_statistics();
        let fail = |what: &'static str| move |source: io::Error| Error::List { what, source };
        self.programs.follow(counted).map_err(fail("programs"))?;
        self.maps.follow().map_err(fail("maps"))?;
        self.expose_programs(counted, families);
        self.expose_maps(families);
        Ok(())
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }

    fn bpf(&mut self) -> Option<BpfObjects> {
        let counts_runs = self.switch_statistics();
        self.programs.refresh(counts_runs).ok()?;
        let beyond = self.programs.beyond() + self.maps.beyond();
        Some(BpfObjects { programs: self.programs.list(), maps: self.maps.list(), beyond, counts_runs })
    }

    fn details(&self) -> Vec<String> {
        let statistics = if self.counting.is_some() { "counted" } else { "not counted by this probe" };
        let mut details = vec![format!("Runs of programs: {statistics} (run_statistics: {})", self.config.run_statistics)];
        details.extend(self.refused.clone());
        details
    }

    fn apply(&mut self, config: &Config) -> bool {
        self.config = config.bpf.clone();
        true
    }
}

/// Whether an administrator switched it on for good.
fn counted_by_others() -> bool {
    fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|text| text.trim() == "1")
}

fn by_kind(metric: &Metric, counts: std::collections::BTreeMap<String, usize>, families: &mut Families) {
    let family = metric.family(families);
    for (kind, count) in counts {
        family.with([("type", kind)], count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_statistics() {
        for known in [RunStatistics::Viewed, RunStatistics::Always, RunStatistics::Never] {
            assert_eq!(known.as_str().parse(), Ok(known));
        }
        assert_eq!("now".parse::<RunStatistics>(), Err(UnknownRunStatistics("now".to_owned())));
    }
}
