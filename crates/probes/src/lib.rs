//! The eBPF probes: each counts something inside the kernel and is read once an interval.
//!
//! In: [`Config`]. Out: metric families through [`model::Collector`], states through [`model::status::Probes`], and
//! the facts of [`doctor`].
//!
//! Never: an event per packet, a program of somebody else detached or replaced, anything left in the kernel after
//! the process ended, a failure to start. A probe that cannot run is a state with a reason. This is the only room
//! that uses aya, and the only one with `unsafe` code: the system calls that no library wraps, in `syscall.rs` and
//! `bpf/syscall.rs`.
//!
//! The server has them on a thread of their own, [`ProbesThread`], which alone keeps capabilities.
//!
//! # Adding a probe
//!
//! One file and one line. The file `src/<name>.rs` (with `ebpf/src/<name>.bpf.c`, compiled by `cargo xtask ebpf`) has a
//! configuration that implements `Settings`: what the probe is called to expose and to need, its keys below
//! `probes.<name>`, and how it starts. What starts is a `Running`: it reads its maps, tells its state, and shows its
//! programs and maps through a `Meter`, from which the room itself exposes what the probe costs. The line stands in
//! the list `probes!` below; it makes the module, the section of [`Config`] and the entry in [`ALL`]. `docs/skep.yml`
//! shows the section with its defaults, which a test compares.

mod capability;
mod decode;
mod device;
pub mod doctor;
mod entries;
mod error;
mod fences;
mod filter;
mod glob;
mod kernel;
mod loader;
mod meter;
mod namespaces;
mod packet;
mod probes;
mod seats;
mod surroundings;
mod syscall;
mod thread;
mod top;
mod types;

use model::status::{BpfObjects, ProbeState};
use model::{Families, Family, MetricKind};

pub use bpf::{RunStatistics, UnknownRunStatistics};
pub use capability::{Capability, Reduced, without};
pub use error::Error;
pub use kernel::Version;
pub use loader::Loader;
pub use namespaces::{Namespaces, UnknownNamespaces};
pub use probes::Probes;
pub use surroundings::Surroundings;
pub use tc::{TcAttach, UnknownTcAttach};
pub use thread::ProbesThread;
pub use xdp::{UnknownXdpMode, XdpMode};

/// Makes of each line `/// doc` `name: Configuration,` the module `name`, a section of [`Config`] and an entry of [`ALL`].
macro_rules! probes {
    ($($(#[$doc:meta])* $name:ident: $config:ident,)*) => {
        $(mod $name; pub use $name::$config;)*

        /// All probes, in the order in which they are shown.
        pub static ALL: &[Probe] = &[$(Probe {
            name: stringify!($name),
            help: <$config as Settings>::HELP,
            metrics: <$config as Settings>::METRICS,
            kernel_min: <$config as Settings>::KERNEL_MIN,
            to_load: <$config as Settings>::TO_LOAD,
            to_run: <$config as Settings>::TO_RUN,
            reads_types: <$config as Settings>::READS_TYPES,
            reads_memory: <$config as Settings>::READS_MEMORY,
            enabled: |config| config.enabled && config.$name.enabled(),
            same: |a, b| a.$name == b.$name,
            start: |config, loader| config.$name.start(loader),
        }),*];

        /// What a person may set, section `probes` of the configuration.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            /// `probes.enabled`: whether any probe runs. Default: true.
            pub enabled: bool,
            $($(#[$doc])* pub $name: $config,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { enabled: true, $($name: $config::default()),* }
            }
        }

        impl Config {
            /// Every probe off, each as it is by default otherwise: to be extended by those that shall run.
            pub fn disabled() -> Self {
                Self { enabled: true, $($name: $config { enabled: false, ..$config::default() }),* }
            }

            /// Decodes the section `probes`; problems go to its report, and a default stands in.
            pub fn decode(section: &yaml::Section<'_>) -> Self {
                let mut config = Self::default();
                decode::switch(section, "enabled", &mut config.enabled);
                $(if let Some(own) = section.section(stringify!($name)) {
                    config.$name = Settings::decode(&own);
                    own.finish();
                })*
                config
            }
        }
    };
}

probes! {
    /// `probes.xdp`: packet counters of network devices.
    xdp: XdpConfig,
    /// `probes.tc`: packets that network devices send.
    tc: TcConfig,
    /// `probes.drops`: packets that the kernel drops, by reason.
    drops: DropsConfig,
    /// `probes.tcp`: connections, retransmits, resets and round-trip times.
    tcp: TcpConfig,
    /// `probes.udp`: datagrams that nobody got.
    udp: UdpConfig,
    /// `probes.bpf`: the programs and maps of this machine.
    bpf: BpfConfig,
    /// `probes.cilium`: Cilium's pinned maps.
    cilium: CiliumConfig,
}

/// What is known of a probe before it runs.
pub struct Probe {
    /// Its name, which is also its key below `probes` in the configuration.
    pub name: &'static str,
    /// One sentence on what it counts.
    pub help: &'static str,
    /// The metrics it exposes.
    pub metrics: &'static [Metric],
    /// The oldest kernel that it runs on.
    pub kernel_min: Version,
    /// What loading its programs takes.
    pub to_load: &'static [Capability],
    /// What it needs once it runs; everything else is given up then.
    pub to_run: &'static [Capability],
    /// Whether it reads structures of the kernel, of which the kernel has to tell (BTF).
    pub reads_types: bool,
    /// Whether its programs read kernel memory where no type leads, such as a packet's bytes, which lockdown may forbid.
    pub reads_memory: bool,
    enabled: fn(&Config) -> bool,
    /// Whether two configurations say the same of it.
    same: fn(&Config, &Config) -> bool,
    start: fn(&Config, &Loader) -> Started,
}

/// What came of starting a probe.
type Started = Result<Box<dyn Running>, Error>;

/// A metric of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name as exposed.
    pub name: &'static str,
    /// The type.
    pub kind: MetricKind,
    /// The unit.
    pub unit: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// What a person may set of a probe, and what the probe is. Each probe implements it in its own file.
trait Settings: Clone + Default + PartialEq {
    /// One sentence on what it counts.
    const HELP: &'static str;
    /// The metrics it exposes.
    const METRICS: &'static [Metric];
    /// The oldest kernel that it runs on.
    const KERNEL_MIN: Version;
    /// What loading its programs takes.
    const TO_LOAD: &'static [Capability];
    /// What it needs once it runs.
    const TO_RUN: &'static [Capability];
    /// Whether it reads structures of the kernel, of which the kernel has to tell (BTF).
    const READS_TYPES: bool = false;
    /// Whether its programs read kernel memory where no type leads, such as a packet's bytes, which lockdown may forbid.
    const READS_MEMORY: bool = false;

    /// Decodes its own section; the caller reports the keys that were not asked for.
    fn decode(section: &yaml::Section<'_>) -> Self;
    /// Whether it shall run.
    fn enabled(&self) -> bool;
    /// Loads and attaches. Kernel and capabilities were looked at before.
    fn start(&self, loader: &Loader) -> Result<Box<dyn Running>, Error>;
}

/// A probe that was started. Dropping it takes everything out of the kernel.
trait Running: Send {
    /// Follows what changed on the machine, then reads the maps.
    fn collect(&mut self, families: &mut Families) -> Result<(), Error>;
    /// Its programs and maps, of which the room exposes the cost.
    fn meter(&self) -> &meter::Meter;
    /// Whether it counts anything now.
    fn state(&self) -> ProbeState {
        ProbeState::Running
    }
    /// Sentences on details.
    fn details(&self) -> Vec<String> {
        Vec::new()
    }
    /// The programs and maps of the machine, where this is the probe that lists them.
    fn bpf(&mut self) -> Option<BpfObjects> {
        None
    }
    /// Takes another configuration without loading anything anew; false where it has to be started again.
    fn apply(&mut self, _config: &Config) -> bool {
        false
    }
}

impl Metric {
    /// A counter of things or amounts.
    const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, unit, help }
    }

    /// A value that goes up and down.
    const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, unit, help }
    }

    /// A distribution in buckets.
    const fn histogram(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Histogram, unit, help }
    }

    /// A sum and a count.
    const fn summary(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Summary, unit, help }
    }

    /// Begins its family.
    fn family<'a>(&self, families: &'a mut Families) -> &'a mut Family {
        families.family(self.name, self.kind, self.help)
    }
}
