//! The list of running targets.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use discovery::Found;
use discovery::cilium::Looks;
use model::status::{AddressLook, DroppedTarget, Relabeling, SkippedJob, TargetStatus, Targets};
use model::{Appendable, Clock, CollectError, Collector, Families, Labels, MetricKind};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::JOB;
use crate::config::{Config, Job};
use crate::counters::Counters;
use crate::error::ScrapeError;
use crate::fetch::Fetcher;
use crate::finders::{Finders, Started};
use crate::found;
use crate::ingest::Pipeline;
use crate::runner::{Collectors, Progress, Runner, Shared, Source, Stop, lock};
use crate::target::{Placed, Target, place};
use crate::trace::{count, read_rules, trace};

/// A page larger than this would take a small machine's memory: the largest known exporters stay under 10 MiB.
const BODY_SIZE_BYTES_MAX: u64 = 64 << 20;

/// As many pages of the largest size may be read at one time.
const PAGES_HELD_MAX: u64 = 4;

/// No known exporter has as many series; a kube-state-metrics of a large cluster has half of it.
const TARGET_SERIES_MAX: u64 = 500_000;

/// Targets that relabelling left out and that are still shown; service discovery may find very many.
const DROPPED_SHOWN_MAX: usize = 1000;

/// What the process decides, not the configuration file.
#[derive(Clone, Debug)]
pub struct Options {
    /// The version of the program, for the header `User-Agent`.
    pub version: String,
    /// Ceiling of a page after decompression, in bytes, whatever a job allows.
    pub body_size_bytes_max: u64,
    /// Ceiling of all pages that are being read or stored, packed and unpacked. Hostile targets that send endless pages
    /// together take no more than this.
    pub pages_bytes_max: u64,
    /// Ceiling of the series of one target, whatever a job allows.
    pub target_series_max: u64,
    /// Whether every target has the series of Prometheus' feature `extra-scrape-metrics`, too.
    pub extra_metrics: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            body_size_bytes_max: BODY_SIZE_BYTES_MAX,
            pages_bytes_max: BODY_SIZE_BYTES_MAX * PAGES_HELD_MAX,
            target_series_max: TARGET_SERIES_MAX,
            extra_metrics: false,
        }
    }
}

/// Starts and stops targets, and tells of them.
pub struct Manager {
    shared: Arc<Shared>,
    runtime: Handle,
    state: Arc<Mutex<State>>,
}

/// A job's targets with one URL and one label set are one target.
type Key = (String, String, Labels);

#[derive(Default)]
struct State {
    configured: Vec<Arc<Job>>,
    skipped: Vec<SkippedJob>,
    finders: Finders,
    discovery_counters: Arc<discovery::Counters>,
    running: BTreeMap<Key, Running>,
    collecting: BTreeMap<Key, Running>,
    dropped: Vec<DroppedTarget>,
    notes: Vec<String>,
    tasks: JoinSet<()>,
    cilium: Option<Cilium>,
    closed: bool,
}

/// A search for Cilium and the jobs that collect what it finds.
struct Cilium {
    id: u64,
    config: discovery::cilium::Config,
    jobs: Vec<Arc<Job>>,
    found: Arc<Found>,
    /// What each address answered.
    looks: Looks,
    /// Dropped with the search, which ends the task that listens to it.
    _alive: oneshot::Sender<()>,
}

struct Running {
    target: Arc<Target>,
    pipeline: Arc<Mutex<Pipeline>>,
    progress: Arc<Mutex<Progress>>,
    collectors: Option<Collectors>,
    stop: watch::Sender<Stop>,
}

/// What should run, out of configuration and discoveries.
#[derive(Default)]
struct Plan {
    targets: BTreeMap<Key, Target>,
    dropped: Vec<DroppedTarget>,
    notes: Vec<String>,
    /// Jobs with more targets than their limit.
    over_limit: u64,
}

impl Manager {
    /// A manager without targets. Call it within a tokio runtime; its tasks run there.
    pub fn new(appendable: Arc<dyn Appendable>, clock: Arc<dyn Clock>, options: Options) -> Arc<Self> {
        let Options { version, body_size_bytes_max, pages_bytes_max, target_series_max, extra_metrics } = options;
        let shared = Shared {
            store: appendable,
            clock,
            fetcher: Fetcher::new(&version, body_size_bytes_max, pages_bytes_max),
            counters: Arc::new(Counters::default()),
            target_series_max,
            extra_metrics,
            buffers: Mutex::default(),
            halt: watch::Sender::new(false),
        };
        Arc::new(Self { shared: Arc::new(shared), runtime: Handle::current(), state: Arc::default() })
    }

    /// Makes the configured jobs run as `config` says: new targets start, targets that did not change go on, and the
    /// series of those that are gone get staleness markers.
    pub fn apply(self: &Arc<Self>, config: &Config) {
        let mut state = lock(&self.state);
        state.configured.clone_from(&config.jobs);
        state.skipped.clone_from(&config.skipped);
        let network = self.shared.fetcher.network();
        let counters = Arc::clone(&state.discovery_counters);
        let start = |job: &str, config: &discovery::Config| config.spawn(job, network, &counters, &self.runtime);
        for started in state.finders.follow(&config.jobs, start) {
            self.listen(&mut state, started);
        }
        self.sync(&mut state);
    }

    /// Passes on what the discovery of a job finds.
    fn listen(self: &Arc<Self>, state: &mut State, started: Started) {
        let Started { id, mut updates, mut gone } = started;
        let manager: Weak<Self> = Arc::downgrade(self);
        let mut halt = self.shared.halt.subscribe();
        let task = async move {
            loop {
                tokio::select! {
                    _ = halt.wait_for(|halt| *halt) => return,
                    _ = &mut gone => return,
                    changed = updates.changed() => if changed.is_err() { return },
                }
                let Some(manager) = manager.upgrade() else { return };
                let found = updates.borrow_and_update().clone();
                let mut state = lock(&manager.state);
                state.take(id, found);
                manager.sync(&mut state);
            }
        };
        state.tasks.spawn_on(task, &self.runtime);
    }

    /// Makes these the in-process collectors of a job; `labels` are the target's, such as `instance`. They are one target:
    /// they share `up`, and one that fails costs only its own families. Without any the target is gone.
    pub fn set_collectors(&self, job: &str, labels: &Labels, interval: Duration, collectors: Vec<Arc<dyn Collector>>) {
        let labels = labels.to_builder().set(JOB, job).build();
        let key = (job.to_owned(), String::new(), labels.clone());
        let mut state = lock(&self.state);
        if collectors.is_empty() {
            if let Some(running) = state.collecting.remove(&key) {
                running.stop.send_replace(Stop::Gone);
            }
            return;
        }
        if let Some(running) = state.collecting.get(&key).and_then(|running| running.collectors.as_ref()) {
            *lock(running) = collectors;
            return;
        }
        let job = Job { name: job.to_owned(), interval, timeout: interval, ..Job::default() };
        let target = Target {
            job: Arc::new(job),
            labels: labels.clone(),
            discovered: labels,
            url: String::new(),
            interval,
            timeout: interval,
            note: String::new(),
            forbidden: None,
        };
        let collectors: Collectors = Arc::new(Mutex::new(collectors));
        if let Some(running) = self.start(&mut state, target, Some(collectors), None) {
            state.collecting.insert(key, running);
        }
    }

    /// Looks for Cilium as `config` says and collects what is found; a search that says the same goes on.
    pub fn set_cilium(self: &Arc<Self>, config: &discovery::cilium::Config) {
        let mut state = lock(&self.state);
        if state.cilium.as_ref().is_some_and(|cilium| cilium.config == *config) {
            return;
        }
        state.cilium = None;
        if config.enabled {
            let search = discovery::cilium::spawn(config.clone(), &self.runtime);
            let (alive, gone) = oneshot::channel();
            let id = state.finders.next_id();
            state.cilium = Some(Cilium {
                id,
                config: config.clone(),
                jobs: found::cilium_jobs(config).into_iter().map(Arc::new).collect(),
                found: Arc::default(),
                looks: search.looks,
                _alive: alive,
            });
            self.listen(&mut state, Started { id, updates: search.updates, gone });
        }
        self.sync(&mut state);
    }

    /// Bytes of pages that are being read or stored.
    pub fn held_bytes(&self) -> u64 {
        self.shared.fetcher.held_bytes()
    }

    /// Stops all targets and waits for what is being appended. No staleness markers are written: the same targets
    /// are expected to go on after the restart.
    pub async fn shutdown(&self) {
        let mut tasks = {
            let mut state = lock(&self.state);
            state.closed = true;
            self.shared.halt.send_replace(true);
            std::mem::take(&mut state.tasks)
        };
        while tasks.join_next().await.is_some() {}
    }

    /// Starts what is planned and does not run, stops what runs and is not planned.
    fn sync(&self, state: &mut State) {
        while state.tasks.try_join_next().is_some() {}
        let plan = plan(state);
        state.dropped = plan.dropped;
        state.notes = plan.notes;
        self.shared.counters.over_target_limit(plan.over_limit);
        let gone: Vec<Key> = state.running.keys().filter(|key| !plan.targets.contains_key(*key)).cloned().collect();
        for key in gone {
            if let Some(running) = state.running.remove(&key) {
                running.stop.send_replace(Stop::Gone);
            }
        }
        for (key, target) in plan.targets {
            let old = state.running.remove(&key);
            match old {
                Some(running) if running.target.is_same(&target) => {
                    state.running.insert(key, running);
                }
                old => {
                    if let Some(running) = self.start(state, target, None, old) {
                        state.running.insert(key, running);
                    }
                }
            }
        }
    }

    fn start(
        &self,
        state: &mut State,
        target: Target,
        collectors: Option<Collectors>,
        old: Option<Running>,
    ) -> Option<Running> {
        if state.closed {
            return None;
        }
        let target = Arc::new(target);
        let (pipeline, progress) = match old {
            Some(old) => {
                old.stop.send_replace(Stop::Replaced);
                // The lock is held while a batch is appended; waiting for it here would make a reload wait for the disk.
                let pipeline = Arc::clone(&old.pipeline);
                match pipeline.try_lock() {
                    Ok(mut kept) => kept.retarget(Arc::clone(&target)),
                    Err(_) => return Some(self.start_fresh(state, target, collectors)),
                }
                (pipeline, old.progress)
            }
            None => return Some(self.start_fresh(state, target, collectors)),
        };
        Some(self.spawn(state, target, collectors, pipeline, progress))
    }

    fn start_fresh(&self, state: &mut State, target: Arc<Target>, collectors: Option<Collectors>) -> Running {
        let (series_max, counters) = (self.shared.target_series_max, Arc::clone(&self.shared.counters));
        let pipeline = Pipeline::new(Arc::clone(&target), counters, series_max, self.shared.extra_metrics);
        self.spawn(state, target, collectors, Arc::new(Mutex::new(pipeline)), Arc::default())
    }

    fn spawn(
        &self,
        state: &mut State,
        target: Arc<Target>,
        collectors: Option<Collectors>,
        pipeline: Arc<Mutex<Pipeline>>,
        progress: Arc<Mutex<Progress>>,
    ) -> Running {
        let stop = watch::Sender::new(Stop::No);
        let known = Arc::downgrade(&self.state);
        let runner = Runner {
            shared: Arc::clone(&self.shared),
            target: Arc::clone(&target),
            source: collectors.clone().map_or(Source::Page, Source::Collectors),
            pipeline: Arc::clone(&pipeline),
            progress: Arc::clone(&progress),
            stop: stop.subscribe(),
            is_back: Arc::new(move |target| known.upgrade().is_some_and(|state| lock(&state).runs(target))),
        };
        state.tasks.spawn_on(runner.run(), &self.runtime);
        Running { target, pipeline, progress, collectors, stop }
    }
}

impl State {
    /// Takes what a discovery found; one that is gone found nothing.
    fn take(&mut self, id: u64, found: Arc<Found>) {
        match self.cilium.as_mut().filter(|cilium| cilium.id == id) {
            Some(cilium) => cilium.found = found,
            None => self.finders.take(id, found),
        }
    }

    /// The job of this name, configured or of a discovery.
    fn job(&self, name: &str) -> Option<Arc<Job>> {
        let found = self.cilium.iter().flat_map(|cilium| &cilium.jobs);
        self.configured.iter().chain(found).find(|job| job.name == name).cloned()
    }

    /// What was found for a job: labels before relabelling, and the target if it is collected.
    fn found_by(&self, job: &str) -> impl Iterator<Item = (&Labels, Option<&Target>)> {
        let of_job = move |name: &str| name == job;
        let running = self.running.values().filter(move |running| of_job(&running.target.job.name));
        let dropped = self.dropped.iter().filter(move |dropped| of_job(&dropped.job));
        running
            .map(|running| (&running.target.discovered, Some(&*running.target)))
            .chain(dropped.map(|dropped| (&dropped.discovered_labels, None)))
    }

    /// Tells what discoveries do.
    fn collect(&self, families: &mut Families) {
        self.finders.collect(families);
        self.discovery_counters.collect(families);
        let of_cilium = self.cilium.as_ref().map_or(0, |cilium| targets_of(&cilium.found.groups));
        let help = "Targets that a job names or that were found for it, before relabelling.";
        let family = families.family("prometheus_sd_discovered_targets", MetricKind::Gauge, help);
        for job in &self.configured {
            let found: usize = self.finders.of_job(&job.name).map(|found| targets_of(&found.groups)).sum();
            let targets = job.static_targets.len() + found;
            family.with([("config", &*job.name), ("name", "scrape")], targets as f64);
        }
        if self.cilium.is_some() {
            family.with([("config", "cilium"), ("name", "scrape")], of_cilium as f64);
        }
        let help = "Discoveries of jobs that cannot be run.";
        let family = families.family("prometheus_sd_failed_configs", MetricKind::Gauge, help);
        family.with([("name", "scrape")], self.skipped.len() as f64);
    }

    /// Whether series with the labels of this target are being written.
    fn runs(&self, target: &Target) -> bool {
        self.running.values().any(|running| running.target.labels == target.labels)
    }
}

fn targets_of(groups: &[discovery::Group]) -> usize {
    groups.iter().map(|group| group.targets.len()).sum()
}

fn plan(state: &State) -> Plan {
    let mut plan = Plan::default();
    for job in &state.configured {
        let named = job.static_targets.iter().map(|labels| (labels, ""));
        let groups = state.finders.of_job(&job.name).flat_map(|found| &found.groups);
        let found = groups.flat_map(|group| group.targets.iter().map(|labels| (labels, &*group.note)));
        plan.add_job(job, named.chain(found), &HashSet::new());
        plan.notes.extend(state.finders.of_job(&job.name).flat_map(|found| found.notes.iter().cloned()));
    }
    let configured: HashSet<String> = plan.targets.values().map(|target| target.url.clone()).collect();
    if let Some(cilium) = &state.cilium {
        plan.notes.extend(cilium.found.notes.iter().cloned());
        for job in &cilium.jobs {
            let groups = cilium.found.groups.iter().filter(|group| group.job == job.name);
            let found = groups.flat_map(|group| group.targets.iter().map(|labels| (labels, &*group.note)));
            plan.add_job(job, found, &configured);
        }
    }
    plan
}

impl Plan {
    /// Adds a job's targets; those whose URL is in `elsewhere` are collected by the configuration already.
    fn add_job<'a>(
        &mut self,
        job: &Arc<Job>,
        found: impl Iterator<Item = (&'a Labels, &'a str)>,
        elsewhere: &HashSet<String>,
    ) {
        let mut targets = HashMap::new();
        let kept = job.limits.dropped_targets.unwrap_or(u64::MAX);
        let shown = kept.min(DROPPED_SHOWN_MAX.saturating_sub(self.dropped.len()) as u64);
        let mut dropped = 0;
        for (labels, note) in found {
            match place(job, labels, note) {
                Placed::Active(target) if elsewhere.contains(&target.url) => self.notes.push(format!(
                    "{} looks like {} and is collected by a configured job; it is not collected twice",
                    target.url, job.name
                )),
                Placed::Active(target) => {
                    let key = (job.name.clone(), target.url.clone(), target.labels.clone());
                    targets.insert(key, target);
                }
                Placed::Dropped(discovered_labels) if dropped < shown => {
                    dropped += 1;
                    self.dropped.push(DroppedTarget { job: job.name.clone(), discovered_labels });
                }
                Placed::Dropped(_) => {}
                Placed::Invalid(reason) => self.notes.push(reason),
            }
        }
        let count = targets.len();
        let limit = job.limits.targets.filter(|&limit| count as u64 > limit);
        self.over_limit += u64::from(limit.is_some());
        for (key, mut target) in targets {
            target.forbidden = limit.map(|limit| ScrapeError::TargetLimit { targets: count, limit });
            self.targets.insert(key, target);
        }
    }
}

impl Running {
    fn status(&self) -> TargetStatus {
        let progress = lock(&self.progress).clone();
        let notes = [self.target.note.as_str(), progress.note.as_str()];
        let url = match &self.collectors {
            None => self.target.url.clone(),
            Some(collectors) => {
                let names: Vec<_> = lock(collectors).iter().map(|collector| collector.name()).collect();
                format!("in-process:{}", names.join(","))
            }
        };
        TargetStatus {
            job: self.target.job.name.clone(),
            labels: self.target.labels.clone(),
            discovered_labels: self.target.discovered.clone(),
            url,
            health: progress.health,
            last_error: progress.error,
            last_scrape: progress.began,
            last_scrape_duration: progress.duration,
            interval: self.target.interval,
            timeout: self.target.timeout,
            samples: progress.samples,
            lateness: progress.lateness,
            excess: progress.excess,
            note: notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; "),
        }
    }
}

impl Targets for Manager {
    fn active(&self) -> Vec<TargetStatus> {
        let state = lock(&self.state);
        let mut targets: Vec<_> =
            state.running.values().chain(state.collecting.values()).map(Running::status).collect();
        targets.sort_by(|a, b| (&a.job, &a.url).cmp(&(&b.job, &b.url)));
        targets
    }

    fn dropped(&self) -> Vec<DroppedTarget> {
        lock(&self.state).dropped.clone()
    }

    fn notes(&self) -> Vec<String> {
        lock(&self.state).notes.clone()
    }

    fn skipped(&self) -> Vec<SkippedJob> {
        lock(&self.state).skipped.clone()
    }

    fn cilium(&self) -> Option<Vec<AddressLook>> {
        lock(&self.state).cilium.as_ref().map(|cilium| cilium.looks.borrow().to_vec())
    }

    fn relabel(&self, job: &str, labels: &Labels, rules: Option<&str>) -> Option<Result<Relabeling, Vec<String>>> {
        let state = lock(&self.state);
        let job = state.job(job)?;
        Some(match rules.map(read_rules) {
            None => Ok(trace(&job, labels)),
            Some(Err(problems)) => Err(problems),
            Some(Ok(rules)) => {
                let job = Job { relabel: rules, ..Job::clone(&job) };
                let all = Some(count(&job, state.found_by(&job.name)));
                Ok(Relabeling { all, ..trace(&job, labels) })
            }
        })
    }
}

impl Collector for Manager {
    fn name(&self) -> &'static str {
        "scrape"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        self.shared.counters.collect(families);
        let state = lock(&self.state);
        let targets = (state.running.len() + state.collecting.len()) as f64;
        state.collect(families);
        families.gauge("skep_scrape_targets", "Targets that are collected.", targets);
        Ok(())
    }
}
