//! One operation of the disk fails, whichever it is: what memory answers and what the next start finds stay the same.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use model::status::Store;
use model::{Appendable, Durability, Labels, MatchOp, Matcher, Sample};
use testkit::{Content, CrashDisk, Loss, TestClock, content};
use tsdb::{Db, Disk, DiskFile, Options};

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 24 * 3_600_000;

/// Operations that may fail, each counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Open,
    List,
    Rename,
    Remove,
    SyncDir,
    Write,
    SyncFile,
}

const FAULTS: [Fault; 7] =
    [Fault::Open, Fault::List, Fault::Rename, Fault::Remove, Fault::SyncDir, Fault::Write, Fault::SyncFile];

/// A disk in memory of which one kind of operation fails from a moment on, for a while.
#[derive(Clone)]
struct Faulty {
    disk: CrashDisk,
    fault: Arc<Mutex<Option<Fault>>>,
    /// How many operations of this kind succeed before, and how many fail then.
    before: Arc<AtomicU64>,
    failing: Arc<AtomicU64>,
}

impl Faulty {
    fn new(disk: CrashDisk) -> Self {
        Self { disk, fault: Arc::default(), before: Arc::default(), failing: Arc::default() }
    }

    fn fail(&self, fault: Fault, before: u64, times: u64) {
        self.before.store(before, Ordering::Relaxed);
        self.failing.store(times, Ordering::Relaxed);
        *self.fault.lock().unwrap() = Some(fault);
        match fault {
            Fault::Write => self.disk.fail_write_after(before),
            Fault::SyncFile => self.disk.fail_sync_after(before),
            _ => {}
        }
    }

    fn is_over(&self) -> bool {
        self.failing.load(Ordering::Relaxed) == 0
    }

    /// Whether the fault came.
    fn came(&self) -> bool {
        match *self.fault.lock().unwrap() {
            Some(Fault::Write | Fault::SyncFile) => !self.disk.has_fault_left(),
            _ => self.is_over(),
        }
    }

    fn check(&self, fault: Fault) -> io::Result<()> {
        if *self.fault.lock().unwrap() != Some(fault) || self.is_over() {
            return Ok(());
        }
        if self.before.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(());
        }
        self.failing.fetch_sub(1, Ordering::Relaxed);
        Err(io::Error::from_raw_os_error(5))
    }
}

impl Disk for Faulty {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.check(Fault::List)?;
        self.disk.list(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.check(Fault::Open)?;
        self.disk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Fault::Rename)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(Fault::Remove)?;
        self.disk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check(Fault::SyncDir)?;
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

fn open(disk: Arc<dyn Disk>) -> Db {
    let clock = Arc::new(TestClock::new(NOW));
    Db::open(Options { path: "/data".into(), retention_time: None, clock, disk, ..Options::default() }).unwrap()
}

fn read(db: &Db) -> Content {
    content(db, i64::MIN, i64::MAX).unwrap()
}

fn append(db: &Db, samples: &[(u32, i64)]) -> Content {
    let mut batch = db.appender();
    for &(x, timestamp) in samples {
        let labels = Labels::from_pairs([("__name__", "m"), ("x", &x.to_string())]);
        batch.append(&labels, Sample { timestamp, value: f64::from(x) }).unwrap();
    }
    batch.commit(Durability::Disk).unwrap();
    samples.iter().map(|&(x, time)| ((x, time), f64::from(x).to_bits())).collect()
}

/// What is done while the disk fails.
#[derive(Clone, Copy, Debug)]
enum Work {
    Seal,
    Delete,
    Clean,
}

/// Yesterday and today, sealed twice and open.
fn prepare(db: &Db) -> Content {
    let today = NOW.div_euclid(DAY) * DAY;
    let mut content = Content::new();
    for round in 0..2 {
        for x in 0..3 {
            content.extend(append(db, &[(x, today - 9000 + round), (x, today + 1000 + round)]));
        }
        if round == 0 {
            db.seal().unwrap();
        }
    }
    db.delete_series(&of(2), today - 9000, today - 9000).unwrap();
    content.remove(&(2, today - 9000));
    content.extend(append(db, &[(0, today - 8000), (1, today + 2000)]));
    content
}

fn of(x: u32) -> Vec<Matcher> {
    vec![Matcher::new(MatchOp::Equal, "x", x.to_string()).unwrap()]
}

fn work(db: &Db, work: Work, content: &mut Content) -> bool {
    match work {
        Work::Seal => db.seal().is_ok(),
        Work::Clean => db.clean_tombstones().is_ok(),
        Work::Delete => {
            let done = db.delete_series(&of(1), 0, i64::MAX).is_ok();
            if done {
                content.retain(|(x, _), _| *x != 1);
            }
            done
        }
    }
}

/// Memory, the next start and the start after a power cut agree, but for what a failed deletion had deleted already.
fn check_agrees(db: &Db, disk: &CrashDisk, content: &Content, doubtful: Option<u32>, at: &str) {
    let sure =
        |content: Content| -> Content { content.into_iter().filter(|((x, _), _)| Some(*x) != doubtful).collect() };
    let expected = sure(content.clone());
    assert_eq!(sure(read(db)), expected, "in memory {at}");
    assert_eq!(sure(read(&open(Arc::new(disk.copy())))), expected, "after a start {at}");
    let seeds = (0..6).map(Loss::Some);
    for loss in [Loss::Everything].into_iter().chain(seeds) {
        let image = disk.image(disk.operations(), loss);
        assert_eq!(sure(read(&open(Arc::new(image)))), expected, "after a power cut that lost {loss:?} {at}");
    }
}

/// Does some work with a fault, a deletion after it, and some more work; returns whether the fault came.
fn check(first: Work, fault: Fault, before: u64, times: u64) -> bool {
    let disk = Faulty::new(CrashDisk::new());
    let db = open(Arc::new(disk.clone()));
    let mut content = prepare(&db);
    let at = format!("{first:?}, {fault:?} after {before}, {times} times");
    disk.fail(fault, before, times);
    let mut doubtful = None;
    let done = work(&db, first, &mut content);
    if !done && matches!(first, Work::Delete) {
        doubtful = Some(1);
    }
    check_agrees(&db, &disk.disk, &content, doubtful, &format!("{at}, at once"));
    let came = disk.came();
    // The disk may still fail; what it takes is what counts.
    for _ in 0..times + 2 {
        if db.delete_series(&of(0), 0, i64::MAX).is_ok() {
            content.retain(|(x, _), _| *x != 0);
            break;
        }
    }
    check_agrees(&db, &disk.disk, &content, doubtful, &format!("{at}, after a deletion"));
    for work_after in [Work::Delete, Work::Seal, Work::Clean] {
        let mut tries = 0;
        while !work(&db, work_after, &mut content) {
            tries += 1;
            assert!(tries <= times + 2, "{work_after:?} fails for good {at}");
        }
        check_agrees(&db, &disk.disk, &content, None, &format!("{at}, after {work_after:?}"));
    }
    db.seal().unwrap();
    let names = disk.disk.list("/data/blocks".as_ref()).unwrap();
    // What was being written may wait for the next start; what was replaced or removed does not.
    let standing = names.iter().filter(|name| !name.ends_with(".tmp")).count() as u64;
    assert_eq!(standing, db.status().blocks, "{names:?} {at}");
    came
}

#[test]
fn a_fault_of_the_disk_changes_no_answer() {
    let mut faults = 0;
    for first in [Work::Seal, Work::Delete, Work::Clean] {
        for fault in FAULTS {
            for times in [1, 3] {
                for before in 0.. {
                    if !check(first, fault, before, times) {
                        break;
                    }
                    faults += 1;
                }
            }
        }
    }
    assert!(faults > 100, "{faults}");
}
