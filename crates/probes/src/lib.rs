//! The eBPF probes: each counts something inside the kernel and is read once an interval.
//!
//! In: [`Config`]. Out: metric families through [`model::Collector`], states through [`model::status::Probes`], and
//! the facts of [`doctor`]. Adding a probe is one file and one line in [`ALL`].
//!
//! Never: an event per packet, a program of somebody else detached or replaced, anything left in the kernel after
//! the process ended, a failure to start. A probe that cannot run is a state with a reason. This is the only room
//! that uses aya, and the only one with `unsafe` code: the system calls that no library wraps, in `syscall.rs`.

mod capability;
mod decode;
pub mod doctor;
mod error;
mod glob;
mod kernel;
mod syscall;
mod xdp;

use std::sync::{Mutex, PoisonError};

use model::status::{ProbeState, ProbeStatus};
use model::{CollectError, Collector, Families, MetricKind};

pub use error::Error;
pub use xdp::{UnknownXdpMode, XdpConfig, XdpMode};

/// All probes, in the order in which they are shown.
pub static ALL: &[Probe] = &[xdp::PROBE];

/// What a person may set, section `probes` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `probes.enabled`: whether any probe runs. Default: true.
    pub enabled: bool,
    /// `probes.xdp`: packet counters of network devices.
    pub xdp: XdpConfig,
}

/// What is known of a probe before it runs.
pub struct Probe {
    /// Its name, which is also its key below `probes` in the configuration.
    pub name: &'static str,
    /// One sentence on what it counts.
    pub help: &'static str,
    /// The metrics it exposes.
    pub metrics: &'static [Metric],
    enabled: fn(&Config) -> bool,
    start: fn(&Config) -> Result<Box<dyn Running>, Error>,
}

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

/// The probes of this process. Dropping it takes everything out of the kernel.
pub struct Probes {
    slots: Vec<Mutex<Slot>>,
    config: Mutex<Config>,
}

/// A probe that was started.
trait Running: Send {
    /// Follows what changed on the machine, then reads the maps.
    fn collect(&mut self, families: &mut Families) -> Result<(), Error>;
    /// Whether it counts anything now.
    fn state(&self) -> ProbeState;
    /// Sentences on details.
    fn details(&self) -> Vec<String>;
}

struct Slot {
    probe: &'static Probe,
    held: Held,
}

enum Held {
    Running { running: Box<dyn Running>, last_error: Option<String> },
    Not(ProbeState),
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, xdp: XdpConfig::default() }
    }
}

impl Probes {
    /// Starts the probes that the configuration wants. It never fails: what cannot run says why in its state.
    pub fn start(config: &Config) -> Self {
        let slots = ALL.iter().map(|probe| Mutex::new(Slot::start(probe, config))).collect();
        Self { slots, config: Mutex::new(config.clone()) }
    }

    /// Starts all probes anew where the configuration differs from the one in force. It blocks as [`Probes::start`] does.
    pub fn apply(&self, config: &Config) {
        let mut running = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if *running == *config {
            return;
        }
        config.clone_into(&mut running);
        for slot in &self.slots {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            // What is attached goes first, so that it is not in the way of what comes.
            slot.held = Held::Not(ProbeState::Disabled);
            *slot = Slot::start(slot.probe, config);
        }
    }
}

impl model::status::Probes for Probes {
    fn probes(&self) -> Vec<ProbeStatus> {
        self.slots.iter().map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).status()).collect()
    }
}

impl Collector for Probes {
    fn name(&self) -> &'static str {
        "probes"
    }

    /// One failing probe keeps none of the others back; the error names all that failed.
    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let mut errors = Vec::new();
        for slot in &self.slots {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = slot.collect(families) {
                errors.push(format!("{}: {error}", slot.probe.name));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(CollectError(errors.join("; "))) }
    }
}

impl Slot {
    fn start(probe: &'static Probe, config: &Config) -> Self {
        if !config.enabled || !(probe.enabled)(config) {
            return Self { probe, held: Held::Not(ProbeState::Disabled) };
        }
        let held = match (probe.start)(config) {
            Ok(running) => Held::Running { running, last_error: None },
            Err(Error::Unsupported { reason }) => Held::Not(ProbeState::Unsupported { reason }),
            Err(error) => Held::Not(ProbeState::Failed { error: error.to_string() }),
        };
        Self { probe, held }
    }

    fn collect(&mut self, families: &mut Families) -> Result<(), Error> {
        let Held::Running { running, last_error } = &mut self.held else { return Ok(()) };
        let result = running.collect(families);
        *last_error = result.as_ref().err().map(ToString::to_string);
        result
    }

    fn status(&self) -> ProbeStatus {
        let (state, details) = match &self.held {
            Held::Running { last_error: Some(error), running } => {
                (ProbeState::Failed { error: error.clone() }, running.details())
            }
            Held::Running { running, .. } => (running.state(), running.details()),
            Held::Not(state) => (state.clone(), Vec::new()),
        };
        ProbeStatus { name: self.probe.name.to_owned(), help: self.probe.help.to_owned(), state, details }
    }
}
