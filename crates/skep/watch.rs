//! Looks whether files of the configuration changed.
//!
//! They are looked at every few seconds and not watched by inotify: a look costs microseconds, and sees what inotify does
//! not or only with a watch on every folder on the way: network filesystems, ConfigMaps that change by a link two folders
//! away, files that patterns will name once they are there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Time between two looks where `--config.auto-reload-interval` does not say it.
pub(crate) const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);

/// How far the time of a file's change may lie before that of the clock: file systems tell time in ticks of the kernel.
const TICK_MAX: Duration = Duration::from_millis(10);

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
    /// The files were read from `read_at` on. Nothing is looked at where the time between two looks is zero.
    pub(crate) fn new(every: Duration, patterns: Vec<String>, read_at: SystemTime) -> Self {
        let ticks = (!every.is_zero()).then(|| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let known = look_before(&patterns, read_at);
        Self { ticks, patterns, known, fresh: None }
    }

    /// From now on other files count. Those that have not changed since `read_at`, when reading them began, are known.
    pub(crate) fn know(&mut self, patterns: Vec<String>, read_at: SystemTime) {
        self.known = look_before(&patterns, read_at);
        self.patterns = patterns;
        self.fresh = None;
    }

    /// The same files were read again.
    pub(crate) fn know_again(&mut self, read_at: SystemTime) {
        let patterns = std::mem::take(&mut self.patterns);
        self.know(patterns, read_at);
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
    files(patterns).map(|(path, metadata)| seen(path, &metadata)).collect()
}

/// Leaves out what changed at that time or later: the reader may have met it as it was before.
fn look_before(patterns: &[String], time: SystemTime) -> Seen {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(TICK_MAX);
    let time = (since_epoch.as_secs() as i64, i64::from(since_epoch.subsec_nanos()));
    let is_older = |metadata: &fs::Metadata| (metadata.ctime(), metadata.ctime_nsec()) < time;
    files(patterns).filter(|(_, metadata)| is_older(metadata)).map(|(path, metadata)| seen(path, &metadata)).collect()
}

fn seen(path: PathBuf, metadata: &fs::Metadata) -> (PathBuf, [u64; 3], (i64, i64)) {
    let times = (metadata.mtime(), metadata.mtime_nsec());
    (path, [metadata.dev(), metadata.ino(), metadata.size()], times)
}

/// The files that are there now.
pub(crate) fn paths(patterns: &[String]) -> Vec<PathBuf> {
    files(patterns).map(|(path, _)| path).collect()
}

fn files(patterns: &[String]) -> impl Iterator<Item = (PathBuf, fs::Metadata)> {
    let paths = patterns.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten().filter_map(Result::ok);
    paths.filter_map(|path| fs::metadata(&path).ok().map(|metadata| (path, metadata)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_changed_while_it_was_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let patterns = vec![file.display().to_string()];
        let read_at = SystemTime::now();
        fs::write(&file, "new").unwrap();
        let mut watch = Watch::new(Duration::from_millis(1), patterns, read_at);
        watch.changed().await;
        watch.know_again(SystemTime::now() + 2 * TICK_MAX);
        assert_eq!(watch.known, look(&watch.patterns));
    }
}
