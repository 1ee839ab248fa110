//! The thread of the probes: once the process runs it is the only one with capabilities, and the only one that loads,
//! attaches and reads.
//!
//! Loading takes a moment (the kernel verifies every program), so the rest of the process does not wait for it. And
//! capabilities belong to threads: those that answer requests from the network are made after theirs were given up.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use model::status::{BpfObjects, ProbeState, ProbeStatus};
use model::{CollectError, Collector, Families};

use crate::probes::{self, lock};
use crate::{ALL, Capability, Config, Error, Probes, Reduced, Surroundings, capability};

const GONE: &str = "the thread of the probes ended; restart skep";

type Work = Box<dyn FnOnce(&Probes) + Send>;

/// The probes of this process on a thread of their own. Dropping it takes everything out of the kernel.
pub struct ProbesThread {
    /// None once it is told to end.
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    /// As of the last work that was done, so that nobody waits to see it.
    shown: Arc<Mutex<Vec<ProbeStatus>>>,
    surroundings: Surroundings,
}

impl ProbesThread {
    /// Makes the thread, which has the capabilities of this one; then this one gives up all but `also`, for good, and so
    /// do those that it makes afterwards. The second result tells how that went. No probe runs yet.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn apart(also: &[Capability]) -> io::Result<(Self, Result<Reduced, Error>)> {
        let alone = capability::ensure_alone();
        let probes = Probes::idle();
        let surroundings = probes.surroundings().clone();
        let shown = Arc::new(Mutex::new(model::status::Probes::probes(&probes)));
        let (work, inbox) = mpsc::channel();
        let thread = {
            let shown = Arc::clone(&shown);
            Builder::new().name(probes::NAME.to_owned()).spawn(move || run(&probes, &inbox, &shown))?
        };
        let reduced = alone.and_then(|()| capability::reduce_to(also.iter().copied().collect()));
        Ok((Self { work: Some(work), thread: Some(thread), shown, surroundings }, reduced))
    }

    /// Starts the probes that the configuration wants and gives up the capabilities that none of them needs any more;
    /// `told` learns how that went. It does not wait: until then the state of those probes is `Starting`.
    pub fn start(&self, config: &Config, told: impl FnOnce(Result<Reduced, Error>) + Send + 'static) {
        for (probe, status) in ALL.iter().zip(lock(&self.shown).iter_mut()) {
            status.state = if (probe.enabled)(config) { ProbeState::Starting } else { ProbeState::Disabled };
        }
        let config = config.clone();
        self.give(Box::new(move |probes| {
            probes.apply(&config);
            told(probes.reduce_capabilities());
        }));
    }

    /// Puts another configuration in force, see [`Probes::apply`]. It waits until that is done.
    pub fn apply(&self, config: &Config) {
        let config = config.clone();
        self.ask(move |probes| probes.apply(&config));
    }

    /// Where the rest of the program tells the probes what they cannot know.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// What the work results in; none where the thread broke off.
    fn ask<T: Send + 'static>(&self, work: impl FnOnce(&Probes) -> T + Send + 'static) -> Option<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.give(Box::new(move |probes| {
            // Who asked may have gone.
            let _ = reply.send(work(probes));
        }));
        answer.recv().ok()
    }

    /// Where the thread is gone the work is dropped, which whoever waits for it notices.
    fn give(&self, work: Work) {
        if let Some(thread) = &self.work {
            let _ = thread.send(work);
        }
    }
}

/// Works until nobody can ask any more.
fn run(probes: &Probes, inbox: &Receiver<Work>, shown: &Mutex<Vec<ProbeStatus>>) {
    for work in inbox {
        work(probes);
        *lock(shown) = model::status::Probes::probes(probes);
    }
}

impl model::status::Probes for ProbesThread {
    fn probes(&self) -> Vec<ProbeStatus> {
        lock(&self.shown).clone()
    }

    fn bpf(&self) -> Option<BpfObjects> {
        self.ask(model::status::Probes::bpf).flatten()
    }
}

impl Collector for ProbesThread {
    fn name(&self) -> &'static str {
        probes::NAME
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let read = |probes: &Probes| {
            let mut families = Families::default();
            let result = probes.collect(&mut families);
            (families, result)
        };
        let (read, result) = self.ask(read).ok_or_else(|| CollectError(GONE.to_owned()))?;
        families.append(read);
        result
    }
}

impl Drop for ProbesThread {
    /// Filters of traffic control outlive the process unless they are taken off, so this waits for it.
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
