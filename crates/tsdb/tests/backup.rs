//! Backups of a folder that is written, sealed and merged meanwhile.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use model::{Appendable, Clock, Durability, Hints, Labels, Matcher, Queryable, Sample, Samples, Selection};
use testkit::TestClock;
use tsdb::{Backup, Db, Error, FileDisk, Options};

const HOUR: i64 = 3_600_000;
const START: i64 = 480_000 * HOUR;

fn open(path: &Path, now: i64) -> (Db, Arc<TestClock>) {
    let clock = Arc::new(TestClock::new(now));
    let options = Options { path: path.to_owned(), clock: clock.clone(), retention_time: None, ..Options::default() };
    (Db::open(options).unwrap(), clock)
}

fn append(db: &Db, at: i64, value: f64) {
    let mut appender = db.appender();
    for series in 0..3 {
        let labels = Labels::from_pairs([("__name__", "m"), ("x", &series.to_string())]);
        appender.append(&labels, Sample { timestamp: at, value }).unwrap();
    }
    appender.commit(Durability::Kernel).unwrap();
}

/// Samples of each series.
fn read(db: &Db) -> Vec<Vec<Sample>> {
    let selection = Selection { matchers: &[], min_time: i64::MIN, max_time: i64::MAX, hints: Hints::default() };
    let set = db.select(&selection).unwrap();
    assert_eq!(set.warnings, [""; 0]);
    let read = |series: &dyn model::Series| {
        let mut samples = Samples::default();
        series.read(&mut samples).unwrap();
        samples.iter().collect()
    };
    set.series.iter().map(|series| read(&**series)).collect()
}

fn backup(folder: &Path, target: &Path) -> Result<Backup, Error> {
    tsdb::backup(&FileDisk, folder, target, START, |_| Ok(Vec::new()))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn folders() -> (tempfile::TempDir, PathBuf, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let (data, target, restored) = (path("data"), path("target"), path("restored"));
    (root, data, target, restored)
}

#[test]
fn what_was_written_before_is_in_it() {
    let (root, data, target, restored) = folders();
    let (db, clock) = open(&data, START);
    for minute in 0..300 {
        clock.set(START + minute * 60_000);
        append(&db, clock.now(), minute as f64);
        if minute % 100 == 50 {
            db.seal().unwrap();
        }
    }
    let expected = read(&db);
    let done = backup(&data, &target).unwrap();
    assert!(done.shared_bytes > 0 && done.unreadable.is_empty());
    assert_eq!(names(root.path()), ["data", "target"]);
    assert!(!names(&target).iter().any(|name| name == "lock" || name == "reserve"));
    assert_eq!(Backup::open(&FileDisk, &target).unwrap().files, done.files);
    assert_eq!(tsdb::damaged_files(&FileDisk, &target).unwrap(), [""; 0]);
    tsdb::restore(&FileDisk, &target, &restored).unwrap();
    assert_eq!(read(&open(&restored, clock.now()).0), expected);
    assert!(open(&restored, clock.now()).0.recovery().damaged_records == 0);
    // Its owner goes on, and the backup stays as it was.
    append(&db, clock.now() + 1, 1.0);
    db.seal().unwrap();
    assert_eq!(tsdb::damaged_files(&FileDisk, &target).unwrap(), [""; 0]);
}

#[test]
fn nothing_is_replaced_and_nothing_is_made_up() {
    let (root, data, target, restored) = folders();
    let refused = |outcome: Result<Backup, Error>, words: &str| {
        let said = outcome.unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    };
    refused(backup(&data, &target), "no data folder");
    let (db, _) = open(&data, START);
    append(&db, START, 1.0);
    db.seal().unwrap();
    refused(backup(&data, &data), "is there already");
    refused(tsdb::restore(&FileDisk, &data, &restored), "no whole backup");
    // What a process that was killed left behind is no backup, and does not stand in the way.
    fs::create_dir_all(root.path().join("target.tmp/blocks/0000000009")).unwrap();
    fs::create_dir(&target).unwrap();
    let done = backup(&data, &target).unwrap();
    refused(backup(&data, &target), "is there already");
    refused(tsdb::restore(&FileDisk, &target, &data), "is there already");
    // Each file that is changed is noticed, and then nothing is made.
    for file in done.files.iter().map(|file| file.path.clone()).chain(["backup".to_owned()]) {
        let path = target.join(&file);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        assert!(tsdb::restore(&FileDisk, &target, &restored).is_err(), "{file}");
        fs::write(&path, &whole[..middle]).unwrap();
        assert!(tsdb::restore(&FileDisk, &target, &restored).is_err(), "{file}");
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(names(root.path()), ["data", "target"]);
    tsdb::restore(&FileDisk, &target, &restored).unwrap();
    assert_eq!(read(&open(&restored, START).0), read(&db));
}

/// What is being written, what a file system keeps for itself, and folders of other programs are left out.
#[test]
fn only_whole_files_are_copied() {
    let (_root, data, target, restored) = folders();
    let (db, _) = open(&data, START);
    append(&db, START, 1.0);
    db.seal().unwrap();
    append(&db, START + 1, 2.0);
    db.delete_series(&[Matcher::equal("x", "1")], START, START).unwrap();
    let block = fs::read_dir(data.join("blocks")).unwrap().next().unwrap().unwrap().path();
    fs::write(block.join("tombstones.tmp"), "half").unwrap();
    fs::write(data.join("metadata.tmp"), "half").unwrap();
    fs::create_dir(data.join("lost+found")).unwrap();
    fs::create_dir_all(data.join("blocks/0000000099.tmp")).unwrap();
    let done = backup(&data, &target).unwrap();
    let odd = |file: &&tsdb::BackupFile| file.path.contains("tmp") || file.path.contains("lost");
    assert_eq!((done.files.iter().find(odd), done.unreadable.len()), (None, 0));
    assert!(done.files.iter().any(|file| file.path.ends_with("/tombstones")));
    tsdb::restore(&FileDisk, &target, &restored).unwrap();
    assert_eq!(read(&open(&restored, START).0), read(&db));
}

#[test]
fn what_is_no_backup_is_told_with_what_to_do() {
    let (root, data, target, restored) = folders();
    let (db, _) = open(&data, START);
    append(&db, START, 1.0);
    backup(&data, &target).unwrap();
    let file = root.path().join("file");
    fs::write(&file, "text").unwrap();
    for wrong in [data.clone(), file, root.path().join("absent"), target.join("blocks")] {
        let said = tsdb::restore(&FileDisk, &wrong, &restored).unwrap_err().to_string();
        assert!(said.contains("no whole backup") && said.contains("`skep backup TARGET`"), "{said}");
    }
    // A list that is damaged makes a damaged backup, not a sound data folder.
    let verify = || tsdb::Folder::open(&FileDisk, &target).unwrap().verify().unwrap().damage.len();
    assert_eq!(verify(), 0);
    fs::write(target.join("backup"), "damaged").unwrap();
    assert_eq!(verify(), 1);
}

/// A writer commits, seals and merges as fast as it can; each backup holds all that was committed before it began, in
/// order and without a gap.
#[test]
fn a_folder_in_use_is_copied_whole() {
    let (root, data, _, _) = folders();
    let (db, clock) = open(&data, START);
    let (committed, finished) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let _end = SetOnDrop(&finished);
        scope.spawn(|| {
            let mut n = 0;
            while !finished.load(Ordering::Relaxed) {
                let now = START + n as i64 * 20 * 60_000;
                clock.set(now);
                append(&db, now, n as f64);
                n += 1;
                committed.store(n, Ordering::Release);
                if n % 7 == 0 {
                    db.seal().unwrap();
                }
            }
        });
        for round in 0..12 {
            while committed.load(Ordering::Acquire) < round * 40 {
                thread::yield_now();
            }
            let (target, restored) = (root.path().join(format!("b{round}")), root.path().join(format!("r{round}")));
            let before = committed.load(Ordering::Acquire);
            backup(&data, &target).unwrap();
            tsdb::restore(&FileDisk, &target, &restored).unwrap();
            let (copy, _) = open(&restored, clock.now());
            assert_eq!(copy.recovery().damaged_records, 0);
            for samples in read(&copy) {
                assert!(samples.len() as u64 >= before, "{} of {before}", samples.len());
                assert!(samples.iter().enumerate().all(|(i, s)| s.value == i as f64), "a gap after {before}");
            }
            if before > 0 {
                assert_eq!(read(&copy).len(), 3);
            }
        }
    });
}

/// Ends the writer also where an assertion fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
