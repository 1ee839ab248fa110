//! The database: the only place that speaks to sled.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::Error;
use crate::frame::{Entries, digest, seal, unseal};

/// The default of 1 GiB would be the whole machine; all entries are in our own memory anyway.
const CACHE_BYTES: u64 = 8 << 20;

/// The record that says how many changes were made and what the entries add up to; entries' keys hold a separator.
const HEAD_KEY: &[u8] = b"head";
const HEAD_LEN: usize = 12;

/// sled waits for ever when one of its threads met an error, on a full disk or in rubbish. Opening takes 30 ms and a
/// write two flushes; on the slowest card both end long before this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A change needs a segment of 512 KiB and its own bytes; with less room sled is not even asked.
const FREE_BYTES_MIN: u64 = 1 << 20;

/// An open database.
pub(crate) struct Store {
    db: sled::Db,
    path: PathBuf,
}

/// What a database held when it was opened.
pub(crate) struct Loaded {
    /// Entries whose checksum holds.
    pub(crate) entries: Entries,
    /// The number of the last change, 0 if it is not known.
    pub(crate) sequence: u64,
    /// Whether something is missing or damaged.
    pub(crate) damaged: bool,
}

impl Store {
    /// Opens or creates the database in a folder.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let db = guarded(path, move || config.open())?;
        Ok(Self { db, path: path.to_owned() })
    }

    /// Reads and checks everything.
    pub(crate) fn load(&self) -> Result<Loaded, Error> {
        let db = self.db.clone();
        guarded(&self.path, move || {
            let mut loaded = Loaded { entries: Entries::new(), sequence: 0, damaged: false };
            let mut head = None;
            for item in db.iter() {
                let (key, bytes): (sled::IVec, sled::IVec) = item?;
                match (unseal(&key, &bytes), std::str::from_utf8(&key)) {
                    (Some(value), _) if *key == *HEAD_KEY => head = read_head(value),
                    (Some(value), Ok(name)) => drop(loaded.entries.insert(name.to_owned(), value.to_vec())),
                    _ => loaded.damaged = true,
                }
            }
            let (sequence, sum) = head.unwrap_or_default();
            loaded.sequence = sequence;
            loaded.damaged |= sum != digest(&loaded.entries);
            Ok(loaded)
        })
    }

    /// Applies changes, all or none, and brings them to the disk; `sum` is the digest of all entries after them.
    pub(crate) fn write<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a String, &'a Option<Vec<u8>>)>,
        sequence: u64,
        sum: u32,
    ) -> Result<(), Error> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_bytes(), seal(key.as_bytes(), value)),
                None => batch.remove(key.as_bytes()),
            }
        }
        let mut head = sequence.to_le_bytes().to_vec();
        head.extend_from_slice(&sum.to_le_bytes());
        batch.insert(HEAD_KEY, seal(HEAD_KEY, &head));
        let db = self.db.clone();
        guarded(&self.path, move || {
            db.apply_batch(batch)?;
            db.flush()
        })?;
        self.sync()
    }

    /// Whether there is room for a change; asked before each, because sled does not come back from a full disk.
    pub(crate) fn check_room(&self) -> Result<(), Error> {
        if is_full(&self.path) {
            let reason = "no space left on device".to_owned();
            return Err(Error::Database { path: self.path.clone(), reason, full: true });
        }
        Ok(())
    }

    /// sled's flush ends in `sync_file_range`, which leaves the disk's own cache and the file's length behind.
    fn sync(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.path).map_err(Error::io("read", &self.path))? {
            let path = entry.map_err(Error::io("read", &self.path))?.path();
            // A snapshot file of sled's may be replaced by the next one at any moment.
            match File::open(&path).and_then(|file| file.sync_all()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("fsync", &path)(e)),
                _ => {}
            }
        }
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(Error::io("fsync", &self.path))
    }
}

fn read_head(value: &[u8]) -> Option<(u64, u32)> {
    let bytes: &[u8; HEAD_LEN] = value.try_into().ok()?;
    let (sequence, sum) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*sequence), u32::from_le_bytes(*sum.first_chunk::<4>()?)))
}

/// Runs an operation of sled on a thread of its own, so that neither a panic nor an endless wait comes through. A build
/// that aborts on panic is covered by the count of attempts in [`crate::Catalog::open`] instead.
fn guarded<T: Send + 'static>(
    path: &Path,
    operation: impl FnOnce() -> Result<T, sled::Error> + Send + 'static,
) -> Result<T, Error> {
    let (done, wait) = channel();
    let work = move || drop(done.send(operation()));
    thread::Builder::new().name("catalog".to_owned()).spawn(work).map_err(Error::io("start a thread for", path))?;
    let reason = match wait.recv_timeout(PATIENCE) {
        Ok(result) => return result.map_err(|e| refusal(path, &e)),
        Err(RecvTimeoutError::Disconnected) => "the database panicked".to_owned(),
        Err(RecvTimeoutError::Timeout) => format!("the database did not answer within {PATIENCE:?}"),
    };
    Err(Error::Database { path: path.to_owned(), reason, full: is_full(path) })
}

/// Whether the file system of a folder, or of its parent while it is not there, has too little room for a change.
fn is_full(path: &Path) -> bool {
    let stat = rustix::fs::statvfs(path).or_else(|_| rustix::fs::statvfs(path.parent().unwrap_or(path)));
    stat.is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < FREE_BYTES_MIN)
}

fn refusal(path: &Path, error: &sled::Error) -> Error {
    let reason = error.to_string();
    if reason.contains("could not acquire lock") {
        return Error::InUse { path: path.to_owned() };
    }
    let full = reason.contains("No space left on device") || is_full(path);
    Error::Database { path: path.to_owned(), reason, full }
}
