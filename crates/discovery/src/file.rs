//! `file_sd_configs`: targets in files that other programs write.
//!
//! Files are looked at every few seconds rather than watched by inotify: a look costs a few microseconds, works on network
//! and overlay filesystems, sees the files of a Kubernetes ConfigMap (which change by a link two folders away) and those
//! that come to be only later, and needs none of the watches of which a busy node has too few.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use yaml::Report;

use crate::{Counters, Discovery, FileConfig, Found, Group, groups, publish};

/// Time between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The label of the file that a target stands in.
const META_PATH: &str = "__meta_filepath";

/// The files of one job.
pub(crate) struct Files {
    pub(crate) job: String,
    pub(crate) config: FileConfig,
    pub(crate) counters: Arc<Counters>,
}

/// A file when it was last read.
#[derive(Default)]
struct Read {
    signature: Signature,
    groups: Vec<Group>,
    /// When the file changed that was read last without an error, in seconds since 1970.
    changed: Option<i64>,
    problem: Option<String>,
}

/// What changes about a file when it is written or replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Signature {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

type Known = BTreeMap<PathBuf, Read>;

impl Discovery for Files {
    async fn run(self, found: watch::Sender<Arc<Found>>) {
        let mut files = Known::default();
        let mut ticks = tokio::time::interval(LOOK_INTERVAL.min(self.config.refresh));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read_all = Instant::now();
        loop {
            tokio::select! {
                () = found.closed() => return,
                _ = ticks.tick() => {}
            }
            let again = read_all.elapsed() >= self.config.refresh;
            if again {
                read_all = Instant::now();
            }
            let (job, config, counters) = (self.job.clone(), self.config.clone(), Arc::clone(&self.counters));
            let look = move || {
                look(&mut files, &config, &job, again, &counters);
                files
            };
            // Files may lie where reading waits.
            match tokio::task::spawn_blocking(look).await {
                Ok(looked) => files = looked,
                Err(_) => return,
            }
            publish(&found, &self.job, describe(&files, &self.config));
        }
    }
}

/// Reads what is new or changed, or everything again. What cannot be read keeps the targets that it had; what is gone has
/// none.
fn look(files: &mut Known, config: &FileConfig, job: &str, again: bool, counters: &Counters) {
    let paths = list(&config.patterns);
    files.retain(|path, _| paths.contains(path));
    for path in paths {
        let signature = fs::metadata(&path).map(|metadata| Signature::of(&metadata)).unwrap_or_default();
        let known = files.entry(path.clone()).or_default();
        if known.signature == signature && !again && known.problem.is_none() && signature != Signature::default() {
            continue;
        }
        known.signature = signature;
        known.problem = None;
        match read(&path, job) {
            Ok(groups) => {
                known.groups = groups;
                known.changed = Some(signature.modified.0);
            }
            Err(reason) => {
                counters.file_error();
                known.problem = Some(format!("job {job:?}: {reason}"));
            }
        }
    }
}

/// The files of these patterns, each once.
pub(crate) fn list(patterns: &[PathBuf]) -> Vec<PathBuf> {
    let paths = |pattern: &PathBuf| glob::glob(&pattern.to_string_lossy()).ok();
    let mut paths: Vec<PathBuf> = patterns.iter().filter_map(paths).flatten().filter_map(Result::ok).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// The targets of a file, for a job.
pub(crate) fn read(path: &Path, job: &str) -> Result<Vec<Group>, String> {
    let report = Report::default();
    let name = path.display().to_string();
    let Some(text) = yaml::read(path, &report) else {
        return Err(report.problems().first().map(ToString::to_string).unwrap_or_default());
    };
    let origin = [(META_PATH, &*name)];
    let json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let groups = match json {
        true => groups::from_json(text.as_bytes(), &origin).map_err(|reason| format!("{name}: {reason}"))?,
        false => groups::from_yaml(&name, &text, &origin)?,
    };
    Ok(Group::numbered(job, &name, groups))
}

fn describe(files: &Known, config: &FileConfig) -> Found {
    let mut notes: Vec<String> = files.values().filter_map(|file| file.problem.clone()).collect();
    if files.is_empty() {
        let patterns: Vec<String> = config.patterns.iter().map(|pattern| pattern.display().to_string()).collect();
        notes.push(format!("no file to find targets in: {}", patterns.join(", ")));
    }
    let changed = files.iter().filter_map(|(path, file)| Some((path.display().to_string(), file.changed?))).collect();
    Found { groups: files.values().flat_map(|file| file.groups.iter().cloned()).collect(), notes, files: changed }
}

impl Signature {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once and gives addresses and notes.
    fn check(files: &mut Known, config: &FileConfig, targets: &[&str], problems: usize) {
        look(files, config, "j", false, &Counters::default());
        let found = describe(files, config);
        let got: Vec<&str> =
            found.groups.iter().flat_map(|group| &group.targets).filter_map(|t| t.get("__address__")).collect();
        assert_eq!((got, found.notes.len()), (targets.to_vec(), problems), "{:?}", found.notes);
    }

    #[test]
    fn files_come_change_fail_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let patterns = vec![path("*.yml"), path("one.json"), path("a.yml")];
        let config = FileConfig { patterns, refresh: Duration::from_secs(300) };
        let mut files = Known::default();
        check(&mut files, &config, &[], 1);
        fs::write(path("a.yml"), "- targets: [a, b]\n").unwrap();
        fs::write(path("one.json"), r#"[{"targets": ["c"]}]"#).unwrap();
        check(&mut files, &config, &["a", "b", "c"], 0);
        // Replaced by another file of the same size, as editors and ConfigMaps do it.
        fs::write(path("new"), "- targets: [a, d]\n").unwrap();
        fs::rename(path("new"), path("a.yml")).unwrap();
        check(&mut files, &config, &["a", "d", "c"], 0);
        fs::write(path("a.yml"), "- targets: [").unwrap();
        check(&mut files, &config, &["a", "d", "c"], 1);
        fs::remove_file(path("a.yml")).unwrap();
        check(&mut files, &config, &["c"], 0);
        fs::remove_file(path("one.json")).unwrap();
        check(&mut files, &config, &[], 1);
    }
}
