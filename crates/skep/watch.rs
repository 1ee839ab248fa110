//! Looks whether files of the configuration changed.
//!
//! They are looked at every few seconds and not watched by inotify: a look costs microseconds, and sees what inotify does
//! not or only with a watch on every folder on the way: network filesystems, ConfigMaps that change by a link two folders
//! away, files that patterns will name once they are there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Time between two looks where `--config.auto-reload-interval` does not say it.
pub(crate) const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);

/// A file, and what changes about it when it is written or replaced: device, inode, size, time of the last change.
type Seen = Vec<(PathBuf, [u64; 3], (i64, i64))>;

/// Files and patterns of files.
pub(crate) struct Watch {
    /// None where nobody wants to know.
    ticks: Option<Interval>,
    patterns: Vec<String>,
    known: Seen,
    /// What was there at the last look, where that differed.
    fresh: Option<Seen>,
}

impl Watch {
    /// Nothing is looked at where the time between two looks is zero.
    pub(crate) fn new(every: Duration, patterns: Vec<String>) -> Self {
        let ticks = (!every.is_zero()).then(|| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let known = look(&patterns);
        Self { ticks, patterns, known, fresh: None }
    }

    /// From now on other files count, and they count as known.
    pub(crate) fn know(&mut self, patterns: Vec<String>) {
        self.known = look(&patterns);
        self.patterns = patterns;
        self.fresh = None;
    }

    /// What is there now counts as known.
    pub(crate) fn know_again(&mut self) {
        let patterns = std::mem::take(&mut self.patterns);
        self.know(patterns);
    }

    /// Waits until something changed and then stayed the same for one look: a file that is still being written is not read.
    /// It may be dropped and called again.
    pub(crate) async fn changed(&mut self) {
        loop {
            match &mut self.ticks {
                Some(ticks) => ticks.tick().await,
                None => return std::future::pending().await,
            };
            let patterns = self.patterns.clone();
            let Ok(now) = spawn_blocking(move || look(&patterns)).await else { continue };
            if now == self.known {
                self.fresh = None;
            } else if self.fresh.as_ref() == Some(&now) {
                self.known = now;
                self.fresh = None;
                return;
            } else {
                self.fresh = Some(now);
            }
        }
    }
}

fn look(patterns: &[String]) -> Seen {
    let mut seen = Seen::new();
    for path in patterns.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten().filter_map(Result::ok) {
        if let Ok(metadata) = fs::metadata(&path) {
            let times = (metadata.mtime(), metadata.mtime_nsec());
            seen.push((path, [metadata.dev(), metadata.ino(), metadata.size()], times));
        }
    }
    seen
}
