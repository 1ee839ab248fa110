//! The database: the only place that speaks to sled.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::frame::{Entries, digest, seal, unseal};

/// The default of 1 GiB would be the whole machine; all entries are in our own memory anyway.
const CACHE_BYTES: u64 = 8 << 20;

/// The record that says how many changes were made and what the entries add up to; entries' keys hold a separator.
const HEAD_KEY: &[u8] = b"head";
const HEAD_LEN: usize = 12;

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
        let db = guarded(path, || config.open())?;
        Ok(Self { db, path: path.to_owned() })
    }

    /// Reads and checks everything.
    pub(crate) fn load(&self) -> Result<Loaded, Error> {
        guarded(&self.path, || {
            let mut loaded = Loaded { entries: Entries::new(), sequence: 0, damaged: false };
            let mut head = None;
            for item in self.db.iter() {
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

    /// Applies changes and the head that belongs to `after`, all or none, and brings them to the disk.
    pub(crate) fn write(
        &self,
        changes: &[(String, Option<Vec<u8>>)],
        sequence: u64,
        after: &Entries,
    ) -> Result<(), Error> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_bytes(), seal(key.as_bytes(), value)),
                None => batch.remove(key.as_bytes()),
            }
        }
        let mut head = sequence.to_le_bytes().to_vec();
        head.extend_from_slice(&digest(after).to_le_bytes());
        batch.insert(HEAD_KEY, seal(HEAD_KEY, &head));
        guarded(&self.path, || {
            self.db.apply_batch(batch)?;
            self.db.flush()
        })?;
        self.sync()
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

/// Runs an operation of sled; a panic inside becomes an error. A build that aborts on panic is covered by the count of
/// attempts in [`crate::Catalog::open`] instead.
fn guarded<T>(path: &Path, operation: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(result) => result.map_err(|e| refusal(path, &e)),
        Err(_) => {
            Err(Error::Database { path: path.to_owned(), reason: "the database panicked".to_owned(), full: false })
        }
    }
}

fn refusal(path: &Path, error: &sled::Error) -> Error {
    let reason = error.to_string();
    if reason.contains("could not acquire lock") {
        return Error::InUse { path: path.to_owned() };
    }
    let full = matches!(error, sled::Error::Io(e) if e.kind() == io::ErrorKind::StorageFull)
        || reason.contains("No space left on device")
        || reason.contains("StorageFull");
    Error::Database { path: path.to_owned(), reason, full }
}
