//! The discoveries of configured jobs: each runs as long as its job has it, and over reloads that do not change it.

use std::collections::BTreeMap;
use std::sync::Arc;

use discovery::{Found, Updates};
use model::{Families, MetricKind};
use tokio::sync::oneshot;

use crate::config::Job;

/// A running discovery of a job.
pub(crate) struct Finder {
    id: u64,
    job: String,
    config: discovery::Config,
    /// What it found last.
    pub(crate) found: Arc<Found>,
    /// Dropped with the finder, which ends the task that listens to it.
    _alive: oneshot::Sender<()>,
}

/// All running discoveries of configured jobs.
#[derive(Default)]
pub(crate) struct Finders {
    running: Vec<Finder>,
    started: u64,
}

/// A discovery that was started, for whoever listens to it.
pub(crate) struct Started {
    /// Its number.
    pub(crate) id: u64,
    /// What it finds.
    pub(crate) updates: Updates,
    /// Ends when the finder is gone.
    pub(crate) gone: oneshot::Receiver<()>,
}

impl Finders {
    /// Makes the discoveries of these jobs run, those that ran already with what they found; others end. Those that were
    /// started are given out.
    pub(crate) fn follow(
        &mut self,
        jobs: &[Arc<Job>],
        start: impl Fn(&str, &discovery::Config) -> Updates,
    ) -> Vec<Started> {
        let mut before = std::mem::take(&mut self.running);
        let mut started = Vec::new();
        for job in jobs {
            for config in &job.discoveries {
                let same = |finder: &Finder| finder.job == job.name && finder.config == *config;
                if let Some(at) = before.iter().position(same) {
                    self.running.push(before.swap_remove(at));
                    continue;
                }
                let (alive, gone) = oneshot::channel();
                let (id, job) = (self.next_id(), job.name.clone());
                started.push(Started { id, updates: start(&job, config), gone });
                self.running.push(Finder { id, job, config: config.clone(), found: Arc::default(), _alive: alive });
            }
        }
        started
    }

    /// A number that no discovery had yet.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.started += 1;
        self.started
    }

    /// Takes what a discovery found; one that is gone found nothing.
    pub(crate) fn take(&mut self, id: u64, found: Arc<Found>) {
        if let Some(finder) = self.running.iter_mut().find(|finder| finder.id == id) {
            finder.found = found;
        }
    }

    /// Tells which discoveries cannot look.
    pub(crate) fn collect(&self, families: &mut Families) {
        let mut failing: BTreeMap<&str, usize> = BTreeMap::new();
        for finder in &self.running {
            *failing.entry(&finder.job).or_default() += usize::from(!finder.found.notes.is_empty());
        }
        let help = "Discoveries of a job whose last look failed in whole or in part; what they found before stays.";
        let family = families.family("skep_sd_failing", MetricKind::Gauge, help);
        for (job, count) in failing {
            family.with([("job", job)], count as f64);
        }
        self.collect_files(families);
    }

    /// Tells when the files changed; one that several jobs read is one file.
    fn collect_files(&self, families: &mut Families) {
        let files: BTreeMap<&str, i64> = self
            .running
            .iter()
            .flat_map(|finder| finder.found.files.iter().map(|(file, time)| (&**file, *time)))
            .collect();
        let help = "When a file of file_sd_configs changed, in seconds since 1970.";
        let family = families.family("prometheus_sd_file_mtime_seconds", MetricKind::Gauge, help);
        for (file, time) in files {
            family.with([("filename", file)], time as f64);
        }
    }

    /// What was found for a job.
    pub(crate) fn of_job<'a>(&'a self, job: &'a str) -> impl Iterator<Item = &'a Found> {
        self.running.iter().filter(move |finder| finder.job == job).map(|finder| &*finder.found)
    }
}
