//! Keeping the shelf equal to a folder of files.
//!
//! Each look compares what the folder holds with what was last read, so that one without a change costs a call of the
//! system for each file. It is a look and no watch of the kernel's for the reasons of the program's own files: network
//! file systems, folders that ConfigMaps change by a link.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use dashboard::{DASHBOARD_BYTES_MAX, ImportError};

use crate::Error;
use crate::entry::Origin;
use crate::offer::Offer;
use crate::shelf::{BOARDS_MAX, Existing, Shelf, Wish};

/// How deep folders are looked into: a folder for each team and system is two.
const DEPTH_MAX: usize = 8;

/// Files and folders that are looked at; the folder may be named by mistake, and a home folder has millions.
const ENTRIES_MAX: usize = 20 * BOARDS_MAX;

/// What is wrong with a file of the folder, or with the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// Its path.
    pub file: String,
    /// Line and column, from 1, where the reason has one.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub reason: String,
}

/// What changes about a file when it is written or replaced: device, inode, size, time of the last change.
type Stamp = ([u64; 3], (i64, i64));

/// A folder and what was found in it.
#[derive(Debug, Default)]
pub(crate) struct Following {
    folder: Option<PathBuf>,
    /// By the path from the folder on.
    seen: BTreeMap<String, Seen>,
    problems: Vec<FileProblem>,
}

/// A file.
#[derive(Debug)]
struct Seen {
    /// As it was when it was read; absent, it was not read yet.
    stamp: Option<Stamp>,
    /// As it was at the last look, where that is something new.
    waiting: Option<Stamp>,
    /// What was found: a uid, or what is wrong.
    found: Result<String, FileProblem>,
}

/// Whether a file that changed is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is: somebody asked for it, or the process begins.
    AtOnce,
    /// When it stayed the same for one look: it may still be being written.
    Patient,
}

impl Shelf {
    /// From the next look on the shelf follows this folder, or none: what came from files then goes.
    pub fn follow(&self, folder: Option<PathBuf>) {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        if following.folder != folder {
            *following = Following { folder, ..Following::default() };
        }
    }

    /// Looks at the folder and takes over what changed. Problems are kept to be told; a bad file leaves what it was before.
    pub fn look(&self, look: Look) {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut following.problems);
        following.problems = match scan(following.folder.as_deref()) {
            Ok((files, problems)) => problems.into_iter().chain(self.take_over(&mut following, &files, look)).collect(),
            // It may be a disk that is not there now: what is on the shelf stays.
            Err(problem) => vec![problem],
        };
        for problem in following.problems.iter().filter(|problem| !before.contains(problem)) {
            tracing::warn!("{problem}");
        }
    }

    /// What is wrong with files now.
    pub fn file_problems(&self) -> Vec<FileProblem> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner).problems.clone()
    }

    /// The folder that is followed.
    pub fn followed(&self) -> Option<PathBuf> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner).folder.clone()
    }

    fn take_over(&self, following: &mut Following, files: &Files, look: Look) -> Vec<FileProblem> {
        following.seen.retain(|name, _| files.contains_key(name));
        let mut fresh = BTreeMap::new();
        for (name, (path, stamp)) in files {
            let seen = following.seen.entry(name.clone()).or_insert_with(|| Seen::new(path));
            if seen.is_due(*stamp, look) {
                let read = read(path, name);
                seen.found = read.as_ref().map(|(_, offer)| offer.uid.clone()).map_err(Clone::clone);
                (seen.stamp, seen.waiting) = (Some(*stamp), None);
                fresh.extend(read.ok().map(|read| (name, read)));
            }
        }
        let (owners, mut problems) = owners(following);
        self.remove_gone(following, &owners, &mut problems);
        let held: BTreeMap<String, String> = self.of_files().into_iter().collect();
        for (uid, name) in &owners {
            let Some((path, stamp)) = files.get(name) else { continue };
            let put = match fresh.remove(name) {
                Some((body, offer)) => self.put(name, &body, offer),
                // Another file had its uid before.
                None if held.get(uid) != Some(name) => {
                    read(path, name).map_or(Ok(()), |(body, offer)| self.put(name, &body, offer))
                }
                None => Ok(()),
            };
            if let (Err(error), Some(seen)) = (put, following.seen.get_mut(name)) {
                problems.push(problem(path, &error));
                // It is read again at the next look: the reason may be gone then.
                (seen.stamp, seen.waiting) = (None, Some(*stamp));
            }
        }
        problems
    }

    fn put(&self, name: &str, body: &[u8], offer: Offer) -> Result<(), Error> {
        let wish = Wish {
            folder: Some(name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned()),
            existing: Existing::Replace,
            ..Wish::default()
        };
        let outcome = self.keep(body, offer, &wish, Origin::File(name.to_owned()))?;
        tracing::info!(uid = outcome.uid, version = outcome.version, file = name, "a dashboard was read from its file");
        Ok(())
    }

    /// Takes out boards whose file is gone or holds another one now. A file that turned bad leaves what it was.
    fn remove_gone(&self, following: &Following, owners: &BTreeMap<String, String>, problems: &mut Vec<FileProblem>) {
        let unread: BTreeSet<&str> =
            following.seen.iter().filter(|(_, seen)| seen.found.is_err()).map(|(name, _)| name.as_str()).collect();
        for (uid, file) in self.of_files() {
            if owners.contains_key(&uid) || unread.contains(file.as_str()) {
                continue;
            }
            match self.take_out(&uid) {
                Ok(()) => tracing::info!(uid, file, "the file of a dashboard is gone, and the dashboard with it"),
                Err(error) => problems.push(problem(Path::new(&file), &error)),
            }
        }
    }
}

impl Seen {
    fn new(path: &Path) -> Self {
        let reason = "this file was not read yet".to_owned();
        let problem = FileProblem { file: path.display().to_string(), position: None, reason };
        Self { stamp: None, waiting: None, found: Err(problem) }
    }

    /// Whether it is to be read, as it is now.
    fn is_due(&mut self, stamp: Stamp, look: Look) -> bool {
        if self.stamp == Some(stamp) {
            self.waiting = None;
            return false;
        }
        let stayed = self.waiting.replace(stamp) == Some(stamp);
        stayed || look == Look::AtOnce
    }
}

/// The file that each uid belongs to, the first by name, and what is wrong with the others.
fn owners(following: &Following) -> (BTreeMap<String, String>, Vec<FileProblem>) {
    let (mut owners, mut problems) = (BTreeMap::<String, String>::new(), Vec::new());
    let folder = following.folder.as_deref().unwrap_or(Path::new(""));
    for (name, seen) in following.seen.iter().filter(|(_, seen)| seen.stamp.is_some()) {
        match &seen.found {
            Err(problem) => problems.push(problem.clone()),
            Ok(uid) => match owners.get(uid) {
                None => drop(owners.insert(uid.clone(), name.clone())),
                Some(first) => problems.push(FileProblem {
                    file: folder.join(name).display().to_string(),
                    position: None,
                    reason: format!("the uid {uid} is that of {first}, too; give one of them another one"),
                }),
            },
        }
    }
    (owners, problems)
}

/// The folder and the files in it that would be read; those that can be found now.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let (found, _) = scan(Some(folder)).unwrap_or_default();
    [folder.to_owned()].into_iter().chain(found.into_values().map(|(path, _)| path)).collect()
}

/// By the path from the folder on.
type Files = BTreeMap<String, (PathBuf, Stamp)>;

/// Files that end in `.json`, those with a dot in front left out; a parent's error is one of the whole look.
fn scan(folder: Option<&Path>) -> Result<(Files, Vec<FileProblem>), FileProblem> {
    let (mut files, mut problems) = (Files::new(), Vec::new());
    let Some(folder) = folder else { return Ok((files, problems)) };
    let mut waiting = vec![(folder.to_owned(), 0)];
    let mut entries = 0;
    while let Some((path, depth)) = waiting.pop() {
        let listed = fs::read_dir(&path).map_err(|error| problem(&path, &Error::io("read", &path)(error)))?;
        for entry in
            listed.filter_map(Result::ok).filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        {
            entries += 1;
            if entries > ENTRIES_MAX {
                let reason = format!("there are more than {ENTRIES_MAX} files below it; name a folder of dashboards");
                return Err(FileProblem { file: folder.display().to_string(), position: None, reason });
            }
            // By the path, so that links are followed.
            let path = entry.path();
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() && depth < DEPTH_MAX {
                waiting.push((path, depth + 1));
            } else if metadata.is_file() && path.extension().is_some_and(|ending| ending == "json") {
                match path.strip_prefix(folder).ok().and_then(Path::to_str).map(str::to_owned) {
                    Some(name) => drop(files.insert(name, (path, stamp(&metadata)))),
                    None => problems.push(FileProblem {
                        file: path.display().to_string(),
                        position: None,
                        reason: "its name is not UTF-8; rename it".to_owned(),
                    }),
                }
            }
        }
    }
    Ok((files, problems))
}

fn stamp(metadata: &Metadata) -> Stamp {
    ([metadata.dev(), metadata.ino(), metadata.size()], (metadata.mtime(), metadata.mtime_nsec()))
}

/// A file without a uid has one made of its path, so that it keeps it when it changes.
fn read(path: &Path, name: &str) -> Result<(Vec<u8>, Offer), FileProblem> {
    let length = fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default();
    if length > DASHBOARD_BYTES_MAX as u64 {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        return Err(problem(path, &Error::Import(ImportError::Length(length))));
    }
    let body = fs::read(path).map_err(|error| problem(path, &Error::io("read", path)(error)))?;
    let offer = Offer::read_named(&body, name).map_err(|error| problem(path, &error))?;
    Ok((body, offer))
}

fn problem(path: &Path, error: &Error) -> FileProblem {
    let file = path.display().to_string();
    match error {
        Error::Import(ImportError::Json { line, column, reason }) => {
            FileProblem { file, position: Some((*line, *column)), reason: reason.clone() }
        }
        other => FileProblem { file, position: None, reason: other.to_string() },
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}
