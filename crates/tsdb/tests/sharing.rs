//! Commits that wait for the disk share its work.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{Appendable, Durability, Labels, Sample};
use testkit::CrashDisk;
use tsdb::{Db, Disk, DiskFile, Options};

const COMMITTERS: u64 = 8;

/// A disk whose fsync takes until all committers have written.
#[derive(Clone)]
struct SlowDisk {
    disk: CrashDisk,
    appends: Arc<AtomicU64>,
    syncs: Arc<AtomicU64>,
}

struct SlowFile {
    file: Box<dyn DiskFile>,
    disk: SlowDisk,
}

impl Disk for SlowDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SlowFile { file: self.disk.create(path)?, disk: self.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.disk.reserve(path, bytes)
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        self.disk.free(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }
}

impl DiskFile for SlowFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)?;
        self.disk.appends.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.disk.appends.load(Ordering::SeqCst) < COMMITTERS {
            assert!(Instant::now() < deadline, "a commit waits for the fsync of another before it writes");
            std::thread::yield_now();
        }
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }
}

#[test]
fn waiting_commits_share_an_fsync() {
    let disk = SlowDisk { disk: CrashDisk::new(), appends: Arc::default(), syncs: Arc::default() };
    let options = Options { path: "/data".into(), disk: Arc::new(disk.clone()), ..Options::default() };
    let db = Db::open(options).unwrap();
    let now = model::Clock::now(&model::SystemClock);
    std::thread::scope(|scope| {
        for committer in 0..COMMITTERS {
            let db = &db;
            scope.spawn(move || {
                let labels = Labels::from_pairs([("x", committer.to_string())]);
                let mut batch = db.appender();
                batch.append(&labels, Sample { timestamp: now, value: 1.0 }).unwrap();
                batch.commit(Durability::Disk).unwrap();
            });
        }
    });
    // The first one saves what was written before it began, the second one the rest.
    assert!(disk.syncs.load(Ordering::SeqCst) <= 2);
}
