//! The probes of this process: started, reloaded, read, and what they keep of the process's capabilities.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::status::{BpfObjects, ProbeState, ProbeStatus};
use model::{CollectError, Collector, Families};

use crate::capability::{self, BPF, Capabilities, Capability, Reduced};
use crate::kernel::{KERNEL_MAPS_BY_DESCRIPTOR, Version};
use crate::meter::{self, Cost};
use crate::{ALL, Config, Error, Loader, Metric, Probe, Running, Surroundings, fences};

const STATE: Metric =
    Metric::gauge("skep_probe_state", "states", "1 for the state that a probe is in, 0 for the others.");
const COLLECTION_SECONDS: Metric =
    Metric::gauge("skep_probe_collection_seconds", "seconds", "Time that the last reading of a probe took.");

/// The probes of this process. Dropping it takes everything out of the kernel.
pub struct Probes {
    slots: Vec<Mutex<Slot>>,
    config: Mutex<Config>,
    /// Whether capabilities were given up, so that nothing can be loaded any more.
    reduced: AtomicBool,
    surroundings: Surroundings,
}

struct Slot {
    probe: &'static Probe,
    held: Held,
    /// A sentence on what a reload could not do.
    note: Option<String>,
}

enum Held {
    Running { running: Box<dyn Running>, last_error: Option<String>, took: Duration },
    Not(ProbeState),
}

/// What all of them together are called as a collector.
pub(crate) const NAME: &str = "probes";

impl Probes {
    /// Starts the probes that the configuration wants. It never fails: what cannot run says why in its state.
    pub fn start(config: &Config) -> Self {
        let probes = Self::idle();
        probes.apply(config);
        probes
    }

    /// None of them runs.
    pub(crate) fn idle() -> Self {
        let slots = ALL.iter().map(|probe| Mutex::new(Slot::idle(probe))).collect();
        let config = Mutex::new(Config::disabled());
        Self { slots, config, reduced: AtomicBool::new(false), surroundings: Surroundings::default() }
    }

    /// Where the rest of the program tells the probes what they cannot know.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// Gives up every capability that no running probe needs, for good. It concerns the calling thread alone, which is the
    /// one that uses the probes from then on.
    pub(crate) fn reduce_capabilities(&self) -> Result<Reduced, Error> {
        let running = self.slots.iter().filter_map(|slot| {
            let slot = lock(slot);
            matches!(slot.held, Held::Running { .. }).then_some(slot.probe)
        });
        let mut kept = Capabilities::default();
        for probe in running {
            kept = kept.with(probe.to_run);
            if Version::current() < KERNEL_MAPS_BY_DESCRIPTOR {
                kept = kept.with(&[BPF]);
            }
        }
        let reduced = capability::reduce_to(kept)?;
        self.reduced.store(true, Ordering::Relaxed);
        Ok(reduced)
    }

    /// Puts another configuration in force for the probes of which it says something else. It blocks as
    /// [`Probes::start`] does. What cannot be loaded any more says that a restart is needed.
    pub fn apply(&self, config: &Config) {
        let mut in_force = lock(&self.config);
        let loader = Loader::new(self.surroundings.clone());
        let reduced = self.reduced.load(Ordering::Relaxed);
        for slot in &self.slots {
            let mut slot = lock(slot);
            if in_force.enabled != config.enabled || !(slot.probe.same)(&in_force, config) {
                slot.apply(config, &loader, reduced);
            }
        }
        config.clone_into(&mut in_force);
    }
}

impl model::status::Probes for Probes {
    fn probes(&self) -> Vec<ProbeStatus> {
        self.slots.iter().map(|slot| lock(slot).status()).collect()
    }

    fn bpf(&self) -> Option<BpfObjects> {
        self.surroundings.look();
        self.slots.iter().find_map(|slot| match &mut lock(slot).held {
            Held::Running { running, .. } => running.bpf(),
            Held::Not(_) => None,
        })
    }
}

impl Collector for Probes {
    fn name(&self) -> &'static str {
        NAME
    }

    /// One failing probe keeps none of the others back; the error names all that failed.
    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let mut errors = Vec::new();
        let mut costs: Vec<(&'static str, Cost)> = Vec::new();
        let mut states = Vec::new();
        for slot in &self.slots {
            let mut slot = lock(slot);
            if let Err(error) = slot.collect(families) {
                errors.push(format!("{}: {error}", slot.probe.name));
            }
            if let Held::Running { running, took, .. } = &slot.held {
                costs.push((slot.probe.name, running.meter().read()));
                states.push((slot.probe.name, slot.state(), Some(*took)));
            } else {
                states.push((slot.probe.name, slot.state(), None));
            }
        }
        expose_states(&states, families);
        meter::expose(&costs, families);
        if errors.is_empty() { Ok(()) } else { Err(CollectError(errors.join("; "))) }
    }
}

impl Slot {
    fn idle(probe: &'static Probe) -> Self {
        Self { probe, held: Held::Not(ProbeState::Disabled), note: None }
    }

    fn start(probe: &'static Probe, config: &Config, loader: &Loader) -> Self {
        if !(probe.enabled)(config) {
            return Self::idle(probe);
        }
        let started = match missing(probe.kernel_min, probe.to_load, Version::current(), Capabilities::effective()) {
            Some(reason) => Err(Error::Unsupported { reason }),
            None if probe.reads_memory && fences::forbids_reading(fences::lockdown().as_deref()) => {
                Err(Error::Unsupported { reason: fences::LOCKED.to_owned() })
            }
            None => (probe.start)(config, loader),
        };
        let held = match started {
            Ok(running) => Held::Running { running, last_error: None, took: Duration::ZERO },
            Err(Error::Unsupported { reason }) => Held::Not(ProbeState::Unsupported { reason }),
            Err(error) => Held::Not(ProbeState::Failed { error: error.to_string() }),
        };
        Self { probe, held, note: None }
    }

    /// A probe that runs and cannot be loaded anew goes on as it was, rather than to end.
    fn apply(&mut self, config: &Config, loader: &Loader, reduced: bool) {
        self.note = None;
        if !(self.probe.enabled)(config) {
            self.held = Held::Not(ProbeState::Disabled);
            return;
        }
        if let Held::Running { running, .. } = &mut self.held
            && running.apply(config)
        {
            return;
        }
        let lacking = Capabilities::effective().missing(self.probe.to_load);
        if reduced && !lacking.is_empty() {
            let names = capability::in_words(&lacking);
            match &self.held {
                Held::Running { .. } => {
                    self.note = Some(format!(
                        "runs as configured before the reload: restart skep to apply the change, which takes {names}, \
                         given up after the start"
                    ));
                }
                Held::Not(_) => {
                    let reason = format!(
                        "needs {names}, which skep gave up after its start because no enabled probe needed it; restart \
                         skep to run this probe"
                    );
                    self.held = Held::Not(ProbeState::Unsupported { reason });
                }
            }
            return;
        }
        // What is attached goes first, so that it is not in the way of what comes.
        self.held = Held::Not(ProbeState::Disabled);
        *self = Self::start(self.probe, config, loader);
    }

    fn collect(&mut self, families: &mut Families) -> Result<(), Error> {
        let Held::Running { running, last_error, took } = &mut self.held else { return Ok(()) };
        let begin = Instant::now();
        let result = running.collect(families);
        *took = begin.elapsed();
        *last_error = result.as_ref().err().map(ToString::to_string);
        result
    }

    fn state(&self) -> ProbeState {
        match &self.held {
            Held::Running { last_error: Some(error), .. } => ProbeState::Failed { error: error.clone() },
            Held::Running { running, .. } => running.state(),
            Held::Not(state) => state.clone(),
        }
    }

    fn status(&self) -> ProbeStatus {
        let mut details = match &self.held {
            Held::Running { running, .. } => running.details(),
            Held::Not(_) => Vec::new(),
        };
        details.extend(self.note.clone());
        let (name, help) = (self.probe.name.to_owned(), self.probe.help.to_owned());
        ProbeStatus { name, help, state: self.state(), details }
    }
}

/// What this machine lacks, and what to do about it.
pub(crate) fn missing(
    kernel_min: Version,
    to_load: &[Capability],
    kernel: Version,
    held: Capabilities,
) -> Option<String> {
    if kernel < kernel_min {
        return Some(format!("Linux {kernel} is too old; Linux {kernel_min} or later is needed"));
    }
    let missing = held.missing(to_load);
    if missing.is_empty() {
        return None;
    }
    let all: Vec<&str> = to_load.iter().map(|capability| capability.name()).collect();
    Some(format!(
        "missing {}; run as root, or `setcap {}+ep` on the binary, or add AmbientCapabilities={} to the systemd unit, or \
         securityContext: {{capabilities: {{add: [{}]}}}} to the container",
        capability::in_words(&missing),
        all.join(",").to_lowercase(),
        all.join(" "),
        all.iter().map(|name| name.trim_start_matches("CAP_")).collect::<Vec<_>>().join(", ")
    ))
}

fn expose_states(states: &[(&'static str, ProbeState, Option<Duration>)], families: &mut Families) {
    let family = STATE.family(families);
    for (probe, state, _) in states {
        let current = word(state);
        for word in ["disabled", "starting", "running", "unsupported", "failed"] {
            family.with([("probe", *probe), ("state", word)], f64::from(u8::from(word == current)));
        }
    }
    let family = COLLECTION_SECONDS.family(families);
    for (probe, took) in states.iter().filter_map(|(probe, _, took)| Some((probe, (*took)?))) {
        family.with([("probe", *probe)], took.as_secs_f64());
    }
}

fn word(state: &ProbeState) -> &'static str {
    match state {
        ProbeState::Disabled => "disabled",
        ProbeState::Starting => "starting",
        ProbeState::Running => "running",
        ProbeState::Unsupported { .. } => "unsupported",
        ProbeState::Failed { .. } => "failed",
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::{NET_ADMIN, PERFMON};

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let probe = ALL.iter().find(|probe| probe.name == "xdp").unwrap();
        let check = |kernel, held: Capabilities, expected: &[&str]| {
            let reason = missing(probe.kernel_min, probe.to_load, kernel, held).unwrap_or_default();
            assert_eq!(reason.is_empty(), expected.is_empty(), "{reason}");
            for part in expected {
                assert!(reason.contains(part), "{reason} lacks {part}");
            }
        };
        let none = Capabilities::default();
        check(Version(6, 1), Capabilities(u64::MAX), &[]);
        check(Version(5, 8), Capabilities(u64::MAX), &["5.8", "5.9"]);
        check(Version(5, 9), none.with(&[NET_ADMIN, BPF, PERFMON]), &[]);
        check(
            Version(6, 1),
            none.with(&[NET_ADMIN, BPF]),
            &["missing CAP_PERFMON;", "setcap cap_bpf,cap_net_admin,cap_perfmon+ep"],
        );
        check(
            Version(6, 1),
            none,
            &["CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON", "AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON"],
        );
    }
}
