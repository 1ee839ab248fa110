//! Keeping the shelf equal to files.
//!
//! Each look compares what the folders hold with what was last read, so that one without a change costs a call of the
//! system for each file. It is a look and no watch of the kernel's for the reasons of the program's own files: network
//! file systems, folders that ConfigMaps change by a link.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use dashboard::{DASHBOARD_BYTES_MAX, ImportError};

use crate::Error;
use crate::entry::Origin;
use crate::offer::Offer;
use crate::places::{Sight, Stamp};
use crate::shelf::{Existing, Shelf, Wish};

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

/// What is followed, and what was found there.
#[derive(Debug, Default)]
pub(crate) struct Following {
    folder: Option<PathBuf>,
    /// By name, see [`Sight::files`].
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
    /// From the next look on the shelf follows this folder, this file, or what a provisioning file of Grafana's names; or
    /// nothing: what came from files then goes.
    pub fn follow(&self, folder: Option<PathBuf>) {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        if following.folder != folder {
            *following = Following { folder, ..Following::default() };
        }
    }

    /// Looks and takes over what changed. Problems are kept to be told; a bad file leaves what it was before, and so does a
    /// folder that cannot be read: it may be on a disk that is not there now.
    pub fn look(&self, look: Look) {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut following.problems);
        let sight = Sight::of(following.folder.as_deref());
        let taken = self.take_over(&mut following, &sight, look);
        following.problems = sight.problems.into_iter().chain(taken).collect();
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

    fn take_over(&self, following: &mut Following, sight: &Sight, look: Look) -> Vec<FileProblem> {
        let files = &sight.files;
        following.seen.retain(|name, _| files.contains_key(name));
        let mut fresh = BTreeMap::new();
        for (name, (path, stamp)) in files {
            let seen = following.seen.entry(name.clone()).or_insert_with(|| Seen::new(path));
            if seen.is_due(stamp, look) {
                let read = read(path, name);
                seen.found = read.as_ref().map(|(_, offer)| offer.uid.clone()).map_err(Clone::clone);
                (seen.stamp, seen.waiting) = (Some(stamp.clone()), None);
                fresh.extend(read.ok().map(|read| (name, read)));
            }
        }
        let (owners, mut problems) = owners(following, sight);
        self.remove_gone(following, sight, &owners, &mut problems);
        let held: BTreeMap<String, String> = self.of_files().into_iter().collect();
        for (uid, name) in &owners {
            let Some((path, stamp)) = files.get(name) else { continue };
            let put = match fresh.remove(name) {
                Some((body, offer)) => self.put(name, &stamp.folder, &body, offer),
                // Another file had its uid before.
                None if held.get(uid) != Some(name) => {
                    read(path, name).map_or(Ok(()), |(body, offer)| self.put(name, &stamp.folder, &body, offer))
                }
                None => Ok(()),
            };
            if let (Err(error), Some(seen)) = (put, following.seen.get_mut(name)) {
                problems.push(problem(path, &error));
                // It is read again at the next look: the reason may be gone then.
                (seen.stamp, seen.waiting) = (None, Some(stamp.clone()));
            }
        }
        problems
    }

    fn put(&self, name: &str, folder: &str, body: &[u8], offer: Offer) -> Result<(), Error> {
        let wish = Wish { folder: Some(folder.to_owned()), existing: Existing::Replace, ..Wish::default() };
        let outcome = self.keep(body, offer, &wish, Origin::File(name.to_owned()))?;
        tracing::info!(uid = outcome.uid, version = outcome.version, file = name, "a dashboard was read from its file");
        Ok(())
    }

    /// Takes out boards whose file is gone or holds another one now. A file that turned bad leaves what it was.
    fn remove_gone(
        &self,
        following: &Following,
        sight: &Sight,
        owners: &BTreeMap<String, String>,
        problems: &mut Vec<FileProblem>,
    ) {
        let unread: BTreeSet<&str> =
            following.seen.iter().filter(|(_, seen)| seen.found.is_err()).map(|(name, _)| name.as_str()).collect();
        for (uid, file) in self.of_files() {
            let is_gone = !sight.files.contains_key(&file);
            if owners.contains_key(&uid) || unread.contains(file.as_str()) || is_gone && sight.keeps(&file) {
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
    fn is_due(&mut self, stamp: &Stamp, look: Look) -> bool {
        if self.stamp.as_ref() == Some(stamp) {
            self.waiting = None;
            return false;
        }
        let stayed = self.waiting.replace(stamp.clone()).as_ref() == Some(stamp);
        stayed || look == Look::AtOnce
    }
}

/// The file that each uid belongs to, the first by name, and what is wrong with the others.
fn owners(following: &Following, sight: &Sight) -> (BTreeMap<String, String>, Vec<FileProblem>) {
    let (mut owners, mut problems) = (BTreeMap::<String, String>::new(), Vec::new());
    let file = |name: &str| sight.files.get(name).map_or(name.to_owned(), |(path, _)| path.display().to_string());
    for (name, seen) in following.seen.iter().filter(|(_, seen)| seen.stamp.is_some()) {
        match &seen.found {
            Err(problem) => problems.push(problem.clone()),
            Ok(uid) => match owners.get(uid) {
                None => drop(owners.insert(uid.clone(), name.clone())),
                Some(first) => problems.push(FileProblem {
                    file: file(name),
                    position: None,
                    reason: format!("the uid {uid} is that of {first}, too; give one of them another one"),
                }),
            },
        }
    }
    (owners, problems)
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

pub(crate) fn problem(path: &Path, error: &Error) -> FileProblem {
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
