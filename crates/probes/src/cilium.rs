//! The probe `cilium`: the maps that Cilium pins, read directly, with or without its agent's metrics.
//!
//! Maps are opened for reading, by path, each time; none is attached to, and perf event arrays are not even opened. What
//! is not laid out as a known version does it is counted and not understood; the state says which and why.
//!
//! Drops and forwards are exported as `skep_cilium_*` always, and under the names of Cilium's own agent only while that
//! agent's endpoint is not scraped, or every sum over them would count twice. Up to Cilium 1.14 the agent's own counters
//! follow the largest of several entries that share their labels; here they are summed, so these can be larger.
//! `cilium_lb_active_connections`, which no agent has, is always here: connections that the load balancer tracks and
//! that neither side has begun to close, and from 1.18 on sockets that were connected through it (`path="socket"`).

mod clock;
mod expose;
mod layout;
mod pins;
mod reader;
mod reason;
mod roots;
mod sums;
mod version;

use std::path::PathBuf;

use model::Families;
use model::status::ProbeState;
use yaml::Section;

use crate::capability::BPF;
use crate::meter::Meter;
use crate::surroundings::Surroundings;
use crate::{Capability, Error, Loader, Metric, Running, Settings, Version, decode};
use pins::Pins;
use reader::Reader;
use roots::Roots;

/// Section `probes.cilium` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiliumConfig {
    /// `probes.cilium.enabled`. Default: true.
    pub enabled: bool,
    /// `probes.cilium.path`: the folder of the pinned maps. Default: none, which means `tc/globals` of the bpffs at
    /// `/sys/fs/bpf` or `/run/cilium/bpffs`, of this root, or of the machine's where skep runs in
    /// a container that shares the machine's processes.
    pub path: Option<PathBuf>,
}

/// The running probe.
struct Cilium {
    config: CiliumConfig,
    surroundings: Surroundings,
    reader: Reader,
    roots: Roots,
    /// What was found at the last look.
    found: Result<Found, String>,
    meter: Meter,
}

/// Cilium, as its folder shows it.
struct Found {
    folder: PathBuf,
    version: Result<version::Version, String>,
}

impl Default for CiliumConfig {
    fn default() -> Self {
        Self { enabled: true, path: None }
    }
}

impl Settings for CiliumConfig {
    const HELP: &'static str = "Reads Cilium's pinned maps: drops, load balancer, connections.";
    const METRICS: &'static [Metric] = expose::METRICS;
    /// Batches of hashes; a kernel without reads small maps key by key.
    const KERNEL_MIN: Version = Version(5, 8);
    const TO_LOAD: &'static [Capability] = &[BPF];
    const TO_RUN: &'static [Capability] = &[BPF];

    fn decode(section: &Section<'_>) -> Self {
        let mut config = Self { path: section.string("path").map(PathBuf::from), ..Self::default() };
        decode::switch(section, "enabled", &mut config.enabled);
        config
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn start(&self, loader: &Loader) -> Result<Box<dyn Running>, Error> {
        let mut cilium = Cilium {
            config: self.clone(),
            surroundings: loader.surroundings().clone(),
            reader: Reader::default(),
            roots: Roots::open(),
            found: Err(String::new()),
            meter: Meter::default(),
        };
        cilium.find();
        Ok(Box::new(cilium))
    }
}

impl Cilium {
    /// Looks for the folder, which comes and goes with Cilium.
    fn find(&mut self) -> Option<Pins> {
        let pins = Pins::find(self.config.path.as_deref(), &self.roots.paths());
        let (found, pins) = match pins {
            Ok(pins) => {
                (Ok(Found { folder: pins.folder.clone(), version: version::judge(&pins.signs()) }), Some(pins))
            }
            Err(reason) => (Err(reason), None),
        };
        self.found = found;
        pins
    }
}

impl Running for Cilium {
    fn collect(&mut self, families: &mut Families) -> Result<(), Error> {
        let Some(pins) = self.find() else {
            self.reader = Reader::default();
            return Ok(());
        };
        let version = self.found.as_ref().map_err(Clone::clone).and_then(|found| found.version.clone());
        // The meaning of a conntrack entry changed twice under the same size.
        let now = version.clone().and_then(|_| clock::now(&self.roots.paths()));
        self.reader.follow(&pins, &now);
        let version = version.ok();
        expose::all(&self.reader, version, families);
        if !self.surroundings.agent_is_scraped() {
            expose::as_agent(&self.reader, version, families);
        }
        Ok(())
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }

    fn state(&self) -> ProbeState {
        match &self.found {
            Ok(_) => ProbeState::Running,
            // A machine without Cilium is not broken.
            Err(reason) => ProbeState::Unsupported { reason: reason.clone() },
        }
    }

    fn details(&self) -> Vec<String> {
        let Ok(found) = &self.found else { return Vec::new() };
        let version = found.version.as_ref().map_or_else(Clone::clone, |version| format!("Cilium {version}"));
        let mut details = vec![format!("{}: {version}", found.folder.display())];
        for (name, held) in self.reader.maps() {
            if let Some(reason) = &held.refused {
                details.push(format!("{name}: {reason}; the other maps look like {version}"));
            }
        }
        for sum in self.reader.sums() {
            if let reader::Sum::Services(_, services) = sum {
                details.extend(services.named.iter().map(|name| format!("no backend: {name}")));
            }
        }
        details
    }
}
