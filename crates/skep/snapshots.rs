//! Copies of the data folder that `POST /api/v1/admin/tsdb/snapshot` asks for: backups in the folder itself, which
//! `skep restore` takes.
//!
//! Retention neither counts them nor removes them. A copy shares the files of its blocks with the store, so that
//! removing a block that stands in a copy gives no space back: counted, one copy of a full folder would make retention
//! remove block after block in vain. What they hold alone is told by `skep_snapshots_bytes`.

use std::fs::{self, Metadata};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use model::{Clock, CollectError, Collector, Families, SystemClock, Timestamp};

use crate::backup::{self, Part};

/// Where they lie in the data folder; Prometheus has them at the same place.
const FOLDER: &str = "snapshots";

/// What ends the names of those that are being written.
const UNFINISHED: &str = ".tmp";

/// Makes one copy at a time.
pub(crate) struct Snapshots {
    data_dir: PathBuf,
    making: Mutex<()>,
}

/// Bytes of files.
#[derive(Default)]
struct Sizes {
    /// That no block of the store is a name of, and no other copy.
    own: u64,
    /// How many copies there are.
    copies: u64,
}

impl Snapshots {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), making: Mutex::new(()) }
    }

    fn folder(&self) -> PathBuf {
        self.data_dir.join(FOLDER)
    }

    fn make(&self, part: Part) -> anyhow::Result<String> {
        let _alone = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder();
        fs::create_dir_all(&folder)?;
        fs::File::open(&self.data_dir)?.sync_all()?;
        remove_unfinished(&folder)?;
        let name = name(SystemClock.now(), RandomState::new().build_hasher().finish());
        let copy = backup::copy(&self.data_dir, &folder.join(&name), part)?;
        for reason in copy.missing() {
            tracing::warn!(snapshot = name, "not in the snapshot: {reason}");
        }
        tracing::info!(
            snapshot = name,
            bytes = copy.done.bytes(),
            shared = copy.done.shared_bytes,
            "a snapshot was made"
        );
        Ok(name)
    }
}

impl api::Snapshots for Snapshots {
    fn take(&self, skip_head: bool) -> Result<String, String> {
        self.make(if skip_head { Part::Sealed } else { Part::Whole }).map_err(|error| format!("{error:#}"))
    }
}

impl Collector for Snapshots {
    fn name(&self) -> &'static str {
        "snapshots"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let mut sizes = Sizes::default();
        // One that is being written or removed may go while it is looked at.
        let _ = sizes.add_copies(&self.folder());
        families.gauge("skep_snapshots", "Copies of the data folder in its folder of snapshots.", sizes.copies as f64);
        families.gauge(
            "skep_snapshots_bytes",
            "Bytes that only snapshots hold; they go when somebody removes the snapshots, never by retention.",
            sizes.own as f64,
        );
        Ok(())
    }
}

impl Sizes {
    fn add_copies(&mut self, folder: &Path) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries {
            self.copies += 1;
            self.add(&entry?.path())?;
        }
        Ok(())
    }

    /// Adds a file, or all files of a folder; a copy has three levels of them.
    fn add(&mut self, path: &Path) -> io::Result<()> {
        let metadata: Metadata = fs::symlink_metadata(path)?;
        if metadata.is_file() && metadata.nlink() == 1 {
            self.own += metadata.len();
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                self.add(&entry?.path())?;
            }
        }
        Ok(())
    }
}

/// Removes what a process that was killed left: nobody else writes here.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// A name as Prometheus makes it: the time, and a number that tells two of one second apart.
fn name(now: Timestamp, random: u64) -> String {
    let time = jiff::Timestamp::from_millisecond(now).unwrap_or_default();
    format!("{}-{:016x}", time.strftime("%Y%m%dT%H%M%SZ"), random >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name(1_795_242_698_000, u64::MAX), "20261121T063138Z-7fffffffffffffff");
        assert_eq!(name(0, 5), "19700101T000000Z-0000000000000002");
    }
}
