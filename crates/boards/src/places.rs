//! Where dashboards are looked for: what the option names, a folder or a file, and what the providers of Grafana's
//! provisioning files name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::follow::{FileProblem, problem};
use crate::provider::{self, Provider};
use crate::shelf::BOARDS_MAX;

/// How deep folders are looked into: a folder for each team and system is two.
const DEPTH_MAX: usize = 8;

/// Files and folders that are looked at; the folder may be named by mistake, and a home folder has millions.
const ENTRIES_MAX: usize = 20 * BOARDS_MAX;

/// What changes about a file when it is written or replaced: device, inode, size, time of the last change; and the folder of
/// the list that it belongs into, which a provider may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
    pub(crate) folder: String,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// Files by name: the path from the option's folder on, or, of a provider, the whole path.
    pub(crate) files: BTreeMap<String, (PathBuf, Stamp)>,
    pub(crate) problems: Vec<FileProblem>,
    /// Folders of which nothing is known to be gone: they cannot be read now, or their provider keeps what they had. The empty
    /// path is the option's own.
    pub(crate) kept: Vec<PathBuf>,
    /// Provisioning files.
    provisioning: Vec<PathBuf>,
    /// Device and inode of the files, so that one that two places hold is found once.
    known: BTreeSet<(u64, u64)>,
    entries: usize,
}

/// The files that would be read, and the folder or file that leads to them; those that can be found now.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let sight = Sight::of(Some(path));
    let files = sight.files.into_values().map(|(path, _)| path);
    [path.to_owned()].into_iter().chain(sight.provisioning).chain(files).collect()
}

impl Sight {
    /// Looks at all places.
    pub(crate) fn of(path: Option<&Path>) -> Self {
        let mut sight = Self::default();
        let Some(path) = path else { return sight };
        sight.provisioning = provisioning(path);
        for file in sight.provisioning.clone() {
            let (providers, problems) = provider::read(&file);
            if !problems.is_empty() {
                // What it named before is not known: nothing of it is taken to be gone.
                sight.kept.push(PathBuf::from("/"));
            }
            sight.problems.extend(problems);
            providers.iter().for_each(|provider| sight.provided(&file, provider));
        }
        if !is_yaml(path) {
            let own = |_: &Path, name: &str| (name.to_owned(), parent(name));
            if let Err(problem) = sight.walk(path, own) {
                sight.problems.push(problem);
                sight.kept.push(PathBuf::new());
            }
        }
        sight
    }

    /// Whether a file that is not there any more leaves its dashboard.
    pub(crate) fn keeps(&self, name: &str) -> bool {
        let name = Path::new(name);
        let holds = |root: &PathBuf| match root.as_os_str().is_empty() {
            true => name.is_relative(),
            false => name.starts_with(root),
        };
        self.kept.iter().any(holds)
    }

    fn provided(&mut self, file: &Path, provider: &Provider) {
        let named = |path: &Path, name: &str| {
            let folder = provider.folder.clone().unwrap_or_else(|| parent(name));
            (path.display().to_string(), folder)
        };
        let walked = self.walk(&provider.path, named);
        if walked.is_err() || provider.keeps {
            self.kept.push(provider.path.clone());
        }
        if let Err(problem) = walked {
            let reason = format!("the provider {:?}: {}", provider.name, problem.reason);
            self.problems.push(FileProblem { file: file.display().to_string(), position: provider.position, reason });
        }
    }

    /// Finds what ends in `.json`, files with a dot in front left out; the root may be such a file. `named` gives a file its
    /// name and folder.
    fn walk(&mut self, root: &Path, named: impl Fn(&Path, &str) -> (String, String)) -> Result<(), FileProblem> {
        let metadata = fs::metadata(root).map_err(|error| problem(root, &Error::io("read", root)(error)))?;
        if metadata.is_file() {
            let name = root.file_name().map(Path::new).unwrap_or(root);
            self.see(root, name, &metadata, &named);
            return Ok(());
        }
        let mut waiting = vec![(root.to_owned(), 0)];
        while let Some((path, depth)) = waiting.pop() {
            let listed = fs::read_dir(&path).map_err(|error| problem(&path, &Error::io("read", &path)(error)))?;
            let is_hidden = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
            for entry in listed.filter_map(Result::ok).filter(|entry| !is_hidden(entry)) {
                self.entries += 1;
                if self.entries > ENTRIES_MAX {
                    let reason =
                        format!("there are more than {ENTRIES_MAX} files below it; name a folder of dashboards");
                    return Err(FileProblem { file: root.display().to_string(), position: None, reason });
                }
                // By the path, so that links are followed.
                let path = entry.path();
                let Ok(metadata) = fs::metadata(&path) else { continue };
                if metadata.is_dir() && depth < DEPTH_MAX {
                    waiting.push((path, depth + 1));
                } else if metadata.is_file() && path.extension().is_some_and(|ending| ending == "json") {
                    let name = path.strip_prefix(root).unwrap_or(&path);
                    self.see(&path, name, &metadata, &named);
                }
            }
        }
        Ok(())
    }

    fn see(&mut self, path: &Path, name: &Path, metadata: &Metadata, named: &impl Fn(&Path, &str) -> (String, String)) {
        let Some(name) = name.to_str() else {
            let reason = "its name is not UTF-8; rename it".to_owned();
            self.problems.push(FileProblem { file: path.display().to_string(), position: None, reason });
            return;
        };
        if self.known.insert((metadata.dev(), metadata.ino())) {
            let (name, folder) = named(path, name);
            self.files.insert(name, (path.to_owned(), Stamp::new(metadata, folder)));
        }
    }
}

impl Stamp {
    fn new(metadata: &Metadata, folder: String) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
            folder,
        }
    }
}

/// The folder of the list that a file below a root belongs into.
fn parent(name: &str) -> String {
    name.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// The file that the option names, or those in its folder that name providers; others in YAML are something else.
fn provisioning(path: &Path) -> Vec<PathBuf> {
    if is_yaml(path) {
        return vec![path.to_owned()];
    }
    let Ok(listed) = fs::read_dir(path) else { return Vec::new() };
    let paths = listed.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let is_one = |path: &PathBuf| is_yaml(path) && path.is_file() && provider::is_provisioning(path);
    let mut found: Vec<PathBuf> = paths.take(ENTRIES_MAX).filter(is_one).collect();
    found.sort();
    found
}
