//! Looks whether files of the configuration changed.
//!
//! They are looked at every few seconds and not watched by inotify: a look costs microseconds, and sees what inotify does
//! not or only with a watch on every folder on the way: network filesystems, ConfigMaps that change by a link two folders
//! away, files that patterns will name once they are there.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Time between two looks where `--config.auto-reload-interval` does not say it.
pub(crate) const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);

/// How far the time of a file's change may lie before that of the clock: file systems tell time in ticks of the kernel.
const TICK_MAX: Duration = Duration::from_millis(10);

/// A file, and what changes about it when it is written or replaced: device, inode, size, time of the last change.
type Seen = Vec<(PathBuf, [u64; 3], (i64, i64))>;

/// When files were read, and what those held before that had changed so shortly before that their time does not say
/// whether the reader met the change. Without it a server whose file was just written would read it twice.
pub(crate) struct Read {
    at: SystemTime,
    held: HashMap<PathBuf, u64>,
}

impl Read {
    /// The files are going to be read, from `at` on.
    pub(crate) fn new(at: SystemTime, patterns: &[String]) -> Self {
        let young = files(patterns).filter(|(_, metadata)| !is_older(metadata, at));
        let held = young.filter_map(|(path, _)| fs::read(&path).ok().map(|bytes| (path, print(&bytes)))).collect();
        Self { at, held }
    }

    /// A file was read before, and held this.
    pub(crate) fn with(mut self, path: &Path, text: &str) -> Self {
        self.held.insert(path.to_owned(), print(text.as_bytes()));
        self
    }

    /// Whether the reader met a file as it is now.
    fn met(&self, path: &Path, metadata: &fs::Metadata) -> bool {
        let same = |held: &u64| fs::read(path).is_ok_and(|bytes| print(&bytes) == *held);
        is_older(metadata, self.at) || self.held.get(path).is_some_and(same)
    }
}

fn print(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

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
    /// The files were read. Nothing is looked at where the time between two looks is zero.
    pub(crate) fn new(every: Duration, patterns: Vec<String>, read: &Read) -> Self {
        let ticks = (!every.is_zero()).then(|| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let known = look_met(&patterns, read);
        Self { ticks, patterns, known, fresh: None }
    }

    /// From now on other files count. Those that are as the reader met them are known.
    pub(crate) fn know(&mut self, patterns: Vec<String>, read: &Read) {
        self.known = look_met(&patterns, read);
        self.patterns = patterns;
        self.fresh = None;
    }

    /// The same files were read again.
    pub(crate) fn know_again(&mut self, read_at: SystemTime) {
        let patterns = std::mem::take(&mut self.patterns);
        self.know(patterns, &Read { at: read_at, held: HashMap::new() });
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

/// Leaves out what the reader may have met as it was before.
fn look_met(patterns: &[String], read: &Read) -> Seen {
    files(patterns)
        .filter(|(path, metadata)| read.met(path, metadata))
        .map(|(path, metadata)| seen(path, &metadata))
        .collect()
}

/// Whether a file had changed for the last time before this.
fn is_older(metadata: &fs::Metadata, time: SystemTime) -> bool {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(TICK_MAX);
    let time = (since_epoch.as_secs() as i64, i64::from(since_epoch.subsec_nanos()));
    (metadata.ctime(), metadata.ctime_nsec()) < time
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
        let read = Read::new(SystemTime::now(), &patterns);
        fs::write(&file, "new").unwrap();
        let mut watch = Watch::new(Duration::from_millis(1), patterns, &read);
        watch.changed().await;
        watch.know_again(SystemTime::now() + 2 * TICK_MAX);
        assert_eq!(watch.known, look(&watch.patterns));
    }

    /// A file that was written a moment before it is read is known once it is read.
    #[tokio::test]
    async fn what_changed_before_it_was_read_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("file"), folder.path().join("other"));
        let patterns = vec![file.display().to_string(), other.display().to_string()];
        let check = |read: &Read, expected: usize| {
            let watch = Watch::new(Duration::from_millis(1), patterns.clone(), read);
            assert_eq!(watch.known.len(), expected);
        };
        // As if the clock stood still from the change to the reading.
        let at = SystemTime::now();
        fs::write(&file, "old").unwrap();
        check(&Read::new(at, &patterns), 1);
        check(&Read::new(at, &[]).with(&file, "old"), 1);
        check(&Read::new(at, &[]).with(&file, "other"), 0);
        // Changed by the time at which it is looked at.
        let read = Read::new(at, &patterns);
        fs::write(&file, "new").unwrap();
        check(&read, 0);
        fs::write(&other, "new").unwrap();
        check(&Read::new(at, &patterns), 2);
    }
}
