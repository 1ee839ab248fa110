//! The catalog: entries in memory, changes through to the database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{Change, KeyValue, StorageError};

use crate::frame::{Entries, SEPARATOR, digest, full_key, share};
use crate::store::{Loaded, Store};
use crate::{Error, reserve, snapshot};

/// All entries live in memory and are scanned at the start; more would cost the start budget of 300 ms.
const TOTAL_BYTES_MAX: usize = 16 << 20;

/// Larger things, such as dashboards, belong in files beside the catalog.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Changes after which the snapshot is renewed: what a rebuild may miss, against bytes written to flash.
const SNAPSHOT_EVERY: u32 = 64;

/// Starts that may die while the database opens before it is set aside: a kill or two can fall into the opening of a
/// sound database, three in a row mean that opening it kills the process.
const ATTEMPTS_MAX: u8 = 3;

/// Changes by full key, so that the last one to a key wins.
type Changes = BTreeMap<String, Option<Vec<u8>>>;

/// How the catalog came up and whether it keeps changes now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Changes are kept.
    Open,
    /// Changes are kept, but the database was damaged; what was lost is said in the text.
    Recovered(String),
    /// Nothing can be changed until the reason is gone; it is tried again with every change.
    ReadOnly(String),
}

/// Small durable state. Share it by `Arc`.
pub struct Catalog {
    folder: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    entries: Entries,
    /// Of keys and values.
    bytes: usize,
    /// The digest of the entries.
    sum: u32,
    sequence: u64,
    store: Option<Store>,
    /// Whether the database could not be read since the start, so that it may know more than the entries here.
    blind: bool,
    /// Changes that the snapshot lacks.
    unsaved: u32,
    state: State,
}

impl Catalog {
    /// Opens the catalog in a folder of its own, which is made if it is not there. A full disk or a damaged database is
    /// a [`State`], not an error. Errors: the folder cannot be made, or another process holds it.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let kept = snapshot::load(folder);
        let mut notes: Vec<String> = kept.as_ref().err().cloned().into_iter().collect();
        let kept = kept.unwrap_or_default().unwrap_or_default();
        let (store, state) = match open_store(folder, &mut notes) {
            Ok(store) => (Some(store), State::Open),
            Err(error @ Error::InUse { .. }) => return Err(error),
            Err(error) => (None, State::ReadOnly(error.to_string())),
        };
        let mut inner = Inner {
            entries: Entries::new(),
            bytes: 0,
            sum: 0,
            sequence: kept.sequence,
            store: None,
            blind: store.is_none(),
            unsaved: 0,
            state,
        };
        inner.hold(kept.entries);
        if let Some((store, loaded)) = store {
            inner.adopt(store, loaded, &mut notes);
        }
        if inner.state == State::Open && !notes.is_empty() {
            inner.state = State::Recovered(notes.join("; "));
        }
        if let Err(error) = reserve::hold(folder) {
            tracing::warn!(%error, "no space is held back for a full disk");
        }
        Ok(Self { folder: folder.to_owned(), inner: Mutex::new(inner) })
    }

    /// How it came up and whether it keeps changes now.
    pub fn state(&self) -> State {
        self.lock().state.clone()
    }

    /// The value of a key.
    pub fn get(&self, space: &str, key: &str) -> Option<Vec<u8>> {
        self.lock().entries.get(&full_key(space, key)).cloned()
    }

    /// Applies changes to a space, all or none; they are on the disk when it returns.
    pub fn change(&self, space: &str, changes: &[Change]) -> Result<(), Error> {
        check_names(space, changes)?;
        let changes: Changes = changes.iter().map(|(key, value)| (full_key(space, key), value.clone())).collect();
        let mut inner = self.lock();
        if inner.store.is_none() {
            inner.reopen(&self.folder)?;
        }
        inner.apply(&self.folder, &changes)
    }

    /// Writes the snapshot now; done on drop too.
    pub fn save(&self) -> Result<(), Error> {
        self.lock().save(&self.folder)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        if let Err(error) = self.save() {
            tracing::warn!(%error, "the catalog's snapshot is not up to date");
        }
    }
}

impl KeyValue for Catalog {
    fn entries(&self, space: &str) -> Vec<(String, Vec<u8>)> {
        let prefix = full_key(space, "");
        let inner = self.lock();
        let range = inner.entries.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        range.map(|(key, value)| (key[prefix.len()..].to_owned(), value.clone())).collect()
    }

    fn write(&self, space: &str, changes: &[Change]) -> Result<(), StorageError> {
        self.change(space, changes).map_err(StorageError::from)
    }
}

impl Inner {
    /// Takes over what the database held; where it is damaged or older, the snapshot fills in.
    fn adopt(&mut self, store: Store, loaded: Loaded, notes: &mut Vec<String>) {
        let Loaded { entries, sequence, damaged } = loaded;
        let behind = sequence < self.sequence;
        if !behind && !damaged {
            self.unsaved = u32::try_from(sequence - self.sequence).unwrap_or(u32::MAX);
            self.sequence = sequence;
            self.hold(entries);
            self.store = Some(store);
            return;
        }
        if behind {
            notes.push(format!("the database ends at change {sequence}, the snapshot at {}", self.sequence));
        } else {
            notes.push("the database lost entries; the snapshot filled in what it had".to_owned());
            let mut merged = std::mem::take(&mut self.entries);
            merged.extend(entries.clone());
            self.hold(merged);
        }
        self.sequence = self.sequence.max(sequence) + 1;
        self.unsaved = 1;
        match store.write(&difference(&entries, &self.entries), self.sequence, self.sum) {
            Ok(()) => self.store = Some(store),
            Err(error) => self.state = State::ReadOnly(error.to_string()),
        }
    }

    /// Opens the database again after a failure and makes it equal to what was acknowledged.
    fn reopen(&mut self, folder: &Path) -> Result<(), Error> {
        let mut notes = Vec::new();
        let opened = open_store(folder, &mut notes).and_then(|(store, loaded)| {
            if self.blind && loaded.sequence > self.sequence && !loaded.damaged {
                // At the start only the snapshot could be read; the database knows more.
                self.sequence = loaded.sequence;
                self.hold(loaded.entries);
            } else {
                store.write(&difference(&loaded.entries, &self.entries), self.sequence, self.sum)?;
            }
            Ok(store)
        });
        match opened {
            Ok(store) => {
                self.store = Some(store);
                self.blind = false;
                self.state = if notes.is_empty() { State::Open } else { State::Recovered(notes.join("; ")) };
                Ok(())
            }
            Err(error) => {
                self.state = State::ReadOnly(error.to_string());
                Err(error)
            }
        }
    }

    fn apply(&mut self, folder: &Path, changes: &Changes) -> Result<(), Error> {
        let (bytes, sum) = self.weigh(changes);
        if bytes > TOTAL_BYTES_MAX && bytes > self.bytes {
            return Err(Error::Limit(format!("the catalog would hold {bytes} bytes, more than {TOTAL_BYTES_MAX}")));
        }
        let Some(store) = &self.store else {
            return Err(Error::Limit("the catalog is read-only".to_owned()));
        };
        if let Err(error) = store.check_room() {
            self.state = State::ReadOnly(error.to_string());
            return Err(error);
        }
        if let Err(error) = store.write(changes, self.sequence + 1, sum) {
            // After a failed write or fsync nobody knows what the file holds: the next change starts from a new open.
            self.store = None;
            self.state = State::ReadOnly(error.to_string());
            return Err(error);
        }
        for (key, value) in changes {
            match value {
                Some(value) => drop(self.entries.insert(key.clone(), value.clone())),
                None => drop(self.entries.remove(key)),
            }
        }
        (self.bytes, self.sum, self.sequence) = (bytes, sum, self.sequence + 1);
        if matches!(self.state, State::ReadOnly(_)) {
            self.state = State::Open;
        }
        self.unsaved += 1;
        if self.unsaved >= SNAPSHOT_EVERY
            && let Err(error) = self.save(folder)
        {
            tracing::warn!(%error, "the catalog's snapshot is not up to date");
        }
        Ok(())
    }

    /// Bytes and digest of the entries as they will be after the changes.
    fn weigh(&self, changes: &Changes) -> (usize, u32) {
        let (mut bytes, mut sum) = (self.bytes, self.sum);
        for (key, value) in changes {
            if let Some(old) = self.entries.get(key) {
                bytes -= key.len() + old.len();
                sum ^= share(key, old);
            }
            if let Some(new) = value {
                bytes += key.len() + new.len();
                sum ^= share(key, new);
            }
        }
        (bytes, sum)
    }

    /// Takes these entries as all there are.
    fn hold(&mut self, entries: Entries) {
        self.bytes = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.sum = digest(&entries);
        self.entries = entries;
    }

    fn save(&mut self, folder: &Path) -> Result<(), Error> {
        if self.unsaved > 0 && self.store.is_some() {
            snapshot::save(folder, self.sequence, &self.entries)?;
            self.unsaved = 0;
        }
        Ok(())
    }
}

/// Opens the database: with the reserve's space if the disk is full, anew if it is damaged beyond opening.
fn open_store(folder: &Path, notes: &mut Vec<String>) -> Result<(Store, Loaded), Error> {
    let path = folder.join("db");
    let attempts = Attempts::begin(folder);
    if attempts.count > ATTEMPTS_MAX {
        notes.push(format!("the process died {ATTEMPTS_MAX} times while the database opened"));
        set_aside(&path, notes)?;
    }
    let open = || Store::open(&path).and_then(|store| store.load().map(|loaded| (store, loaded)));
    let opened = match open() {
        Err(error) if error.is_full() && reserve::release(folder) => open(),
        other => other,
    };
    let opened = match opened {
        Err(error @ Error::Database { full: false, .. }) => {
            notes.push(error.to_string());
            set_aside(&path, notes)?;
            open()
        }
        other => other,
    };
    attempts.end();
    opened
}

/// Moves a database out of the way, keeping the last one for whoever wants to look at it.
fn set_aside(path: &Path, notes: &mut Vec<String>) -> Result<(), Error> {
    let aside = path.with_file_name("db.damaged");
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
    }
    if path.exists() {
        fs::rename(path, &aside).map_err(Error::io("rename", path))?;
        notes.push(format!("the database was rebuilt from the snapshot, the old one is {}", aside.display()));
    }
    Ok(())
}

/// Counts openings that began and did not end.
struct Attempts {
    path: PathBuf,
    count: u8,
}

impl Attempts {
    fn begin(folder: &Path) -> Self {
        let path = folder.join("opening");
        let before = fs::read(&path).map_or(0, |bytes| u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        let count = before.saturating_add(1);
        // One byte for each attempt. A full disk cannot take it, and need not: opening fails there without dying.
        drop(fs::write(&path, vec![b'.'; usize::from(count)]));
        Self { path, count }
    }

    fn end(self) {
        drop(fs::remove_file(self.path));
    }
}

/// What has to change to make `from` equal to `to`.
fn difference(from: &Entries, to: &Entries) -> Changes {
    let removed = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), None));
    let set = to.iter().filter(|(key, value)| from.get(*key) != Some(value));
    removed.chain(set.map(|(key, value)| (key.clone(), Some(value.clone())))).collect()
}

fn check_names(space: &str, changes: &[Change]) -> Result<(), Error> {
    let separated = space.contains(SEPARATOR) || changes.iter().any(|(key, _)| key.contains(SEPARATOR));
    if space.is_empty() || separated {
        return Err(Error::Limit("a space needs a name, and names hold no NUL".to_owned()));
    }
    match changes.iter().find(|(_, value)| value.as_ref().is_some_and(|v| v.len() > VALUE_BYTES_MAX)) {
        Some((key, _)) => Err(Error::Limit(format!("the value of {key:?} is longer than {VALUE_BYTES_MAX} bytes"))),
        None => Ok(()),
    }
}
