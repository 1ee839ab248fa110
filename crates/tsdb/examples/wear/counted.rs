//! A disk that counts what a block device would be given: whole pages, each as often as a sync finds it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tsdb::{Disk, DiskFile, FileDisk};

const PAGE_BYTES: u64 = 4096;

/// What was written to one kind of file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// As it was asked for.
    pub(crate) bytes: u64,
    /// In pages, as the device gets it.
    pub(crate) page_bytes: u64,
    pub(crate) syncs: u64,
}

/// Counts by kind of file.
pub(crate) type Counts = BTreeMap<&'static str, Written>;

/// Files lie in a real folder; syncing only counts.
#[derive(Clone, Default)]
pub(crate) struct CountedDisk(Arc<Mutex<Counts>>);

struct CountedFile {
    file: Box<dyn DiskFile>,
    kind: &'static str,
    counts: CountedDisk,
    state: Mutex<Changed>,
}

#[derive(Default)]
struct Changed {
    length: u64,
    pages: BTreeSet<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kind(path: &Path) -> &'static str {
    let parent = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    match parent {
        "log" => "log",
        _ if path.components().any(|c| c.as_os_str() == "blocks") => "blocks",
        _ => "other",
    }
}

impl CountedDisk {
    pub(crate) fn counts(&self) -> Counts {
        lock(&self.0).clone()
    }

    fn count(&self, kind: &'static str, add: impl FnOnce(&mut Written)) {
        add(lock(&self.0).entry(kind).or_default());
    }
}

impl Disk for CountedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        FileDisk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        FileDisk.list(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (file, state) = (FileDisk.create(path)?, Mutex::default());
        Ok(Box::new(CountedFile { file, kind: kind(path), counts: self.clone(), state }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        FileDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        FileDisk.remove(path)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        self.count("folders", |written| written.syncs += 1);
        Ok(())
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        FileDisk.reserve(path, bytes)
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        FileDisk.free(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        FileDisk.lock(path)
    }
}

impl DiskFile for CountedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)?;
        let mut state = lock(&self.state);
        let (start, end) = (state.length, state.length + bytes.len() as u64);
        state.pages.extend(start / PAGE_BYTES..end.div_ceil(PAGE_BYTES));
        state.length = end;
        self.counts.count(self.kind, |written| written.bytes += bytes.len() as u64);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        lock(&self.state).length = len;
        self.file.truncate(len)
    }

    fn sync(&self) -> io::Result<()> {
        let pages = std::mem::take(&mut lock(&self.state).pages).len() as u64;
        self.counts.count(self.kind, |written| {
            written.page_bytes += pages * PAGE_BYTES;
            written.syncs += 1;
        });
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }
}
