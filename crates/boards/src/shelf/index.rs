//! The index: in memory as it lies in the catalog.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{KeyValue, StorageError};

use crate::entry::Entry;
use crate::list::Listed;
use crate::slug;

/// Entries by uid, as JSON.
const BOARDS: &str = "boards";

/// The uids of favourites, without values.
const FAVOURITES: &str = "boards-favourite";

/// What is chosen for all.
const CHOICES: &str = "boards-choice";

/// The uid of the dashboard that is shown at the beginning.
const HOME: &str = "home";

/// What the index says.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) favourites: BTreeSet<String>,
    pub(super) home: Option<String>,
}

/// Where it is kept.
pub(super) struct Index(Arc<dyn KeyValue>);

impl Index {
    pub(super) fn new(store: Arc<dyn KeyValue>) -> Self {
        Self(store)
    }

    pub(super) fn load(&self) -> State {
        let entries = self.0.entries(BOARDS).into_iter().filter_map(|(uid, value)| Some((decode(&uid, &value)?, uid)));
        let home = self.0.entries(CHOICES).into_iter().find(|(key, _)| key == HOME);
        State {
            entries: entries.map(|(entry, uid)| (uid, entry)).collect(),
            favourites: self.0.entries(FAVOURITES).into_iter().map(|(uid, _)| uid).collect(),
            home: home.and_then(|(_, uid)| String::from_utf8(uid).ok()),
        }
    }

    /// Keeps or removes an entry; it is on the disk when it returns.
    pub(super) fn set_entry(&self, uid: &str, entry: Option<&Entry>) -> Result<(), StorageError> {
        let value = entry.map(serde_json::to_vec).transpose();
        let value = value.map_err(|error| StorageError::Limit(format!("the entry of {uid} has no text: {error}")))?;
        self.0.write(BOARDS, &[(uid.to_owned(), value)])
    }

    pub(super) fn set_favourite(&self, uid: &str, on: bool) -> Result<(), StorageError> {
        self.0.write(FAVOURITES, &[(uid.to_owned(), on.then(Vec::new))])
    }

    pub(super) fn set_home(&self, uid: Option<&str>) -> Result<(), StorageError> {
        self.0.write(CHOICES, &[(HOME.to_owned(), uid.map(|uid| uid.as_bytes().to_vec()))])
    }
}

impl State {
    pub(super) fn listed(&self, uid: &str, entry: &Entry) -> Listed {
        Listed {
            uid: uid.to_owned(),
            title: entry.title.clone(),
            slug: slug(&entry.title),
            folder: entry.folder.clone(),
            tags: entry.tags.clone(),
            favourite: self.favourites.contains(uid),
            home: self.home.as_deref() == Some(uid),
            origin: entry.origin.clone(),
            version: entry.newest().map_or(0, |version| version.number),
            panels: entry.panels,
            losses: entry.losses,
            saved: entry.newest().map_or(0, |version| version.saved),
        }
    }

    /// The hashes of all bodies that something names, with their lengths.
    pub(super) fn bodies(&self) -> BTreeMap<&str, u64> {
        let versions = self.entries.values().flat_map(|entry| &entry.versions);
        versions.map(|version| (version.sha256.as_str(), version.bytes)).collect()
    }
}

/// The catalog sees to it that values are those that were written.
fn decode(uid: &str, value: &[u8]) -> Option<Entry> {
    let entry = serde_json::from_slice::<Entry>(value);
    if let Err(error) = &entry {
        tracing::error!(%error, uid, "the index does not tell of this dashboard; import it again");
    }
    entry.ok().filter(|entry| !entry.versions.is_empty())
}
