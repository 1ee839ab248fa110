//! Backups and restores that are killed, lose power or meet each other: the source is never harmed, and what has the
//! name that was asked for is whole.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use model::{Appendable, Durability, Hints, Labels, Queryable, Sample, Samples, Selection};
use testkit::{CrashDisk, Loss, TestClock};
use tsdb::{Backup, Db, Disk, FileDisk, Folder, Options};

const START: i64 = 480_000 * 3_600_000;

/// Kills of the real process.
const KILLS: usize = 40;

/// Random losses for each moment of a power cut.
const SEEDS: u64 = 12;

/// Tells the child which folder is its own.
const FOLDER_VARIABLE: &str = "SKEP_BACKUP_FOLDER";

type Content = Vec<(String, Vec<Sample>)>;

fn open(disk: Arc<dyn Disk>, path: &Path) -> Db {
    let clock = Arc::new(TestClock::new(START));
    Db::open(Options { path: path.to_owned(), retention_time: None, clock, disk, ..Options::default() }).unwrap()
}

fn fill(db: &Db, rows: i64) {
    for row in 0..rows {
        let mut batch = db.appender();
        for x in 0..3 {
            let labels = Labels::from_pairs([("__name__", "m"), ("x", &x.to_string())]);
            let sample = Sample { timestamp: START - 9_000_000 + row * 15_000, value: (row * x) as f64 };
            batch.append(&labels, sample).unwrap();
        }
        batch.commit(Durability::Disk).unwrap();
        if row % 25 == 20 {
            db.seal().unwrap();
        }
    }
    db.delete_series(&[model::Matcher::equal("x", "1")], START - 9_000_000, START - 8_900_000).unwrap();
}

fn read(db: &Db) -> Content {
    let selection = Selection { matchers: &[], min_time: i64::MIN, max_time: i64::MAX, hints: Hints::default() };
    let set = db.select(&selection).unwrap();
    assert_eq!(set.warnings, [""; 0]);
    let read = |series: &dyn model::Series| {
        let mut samples = Samples::default();
        series.read(&mut samples).unwrap();
        (series.labels().to_string(), samples.iter().collect())
    };
    set.series.iter().map(|series| read(&**series)).collect()
}

fn backup(disk: &dyn Disk, folder: &Path, target: &Path) -> Result<Backup, tsdb::Error> {
    tsdb::backup(disk, folder, target, START, |_| Ok(Vec::new()))
}

fn is_there(disk: &dyn Disk, path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    disk.list(path.parent().unwrap()).unwrap().iter().any(|other| other == name)
}

/// Paths of the source, a backup and what is restored from it, below one folder.
fn paths(root: &Path) -> [PathBuf; 3] {
    ["data", "backup", "restored"].map(|name| root.join(name))
}

/// Whatever happened in this folder: the source is sound, and a backup and a restored folder that are there are whole.
fn check_left(disk: &Arc<dyn Disk>, root: &Path, content: &Content, at: &str) {
    let [data, target, restored] = paths(root);
    assert_eq!(read(&open(Arc::clone(disk), &data)), *content, "the source {at}");
    if is_there(&**disk, &restored) {
        let found = Folder::open(&**disk, &restored).unwrap().verify().unwrap();
        assert_eq!((found.damage, found.notes), (vec![], vec![]), "restored {at}");
        assert_eq!(read(&open(Arc::clone(disk), &restored)), *content, "restored {at}");
    }
    if is_there(&**disk, &target) {
        assert_eq!(tsdb::damaged_files(&**disk, &target).unwrap(), [""; 0], "the backup {at}");
    } else {
        // What is left of the one before does not stand in the way.
        backup(&**disk, &data, &target).unwrap();
    }
    let again = root.join("again");
    tsdb::restore(&**disk, &target, &again).unwrap();
    assert_eq!(read(&open(Arc::clone(disk), &again)), *content, "restored again {at}");
}

#[test]
fn a_power_cut_at_any_moment_leaves_all_or_nothing() {
    let (disk, root) = (CrashDisk::new(), Path::new("/"));
    let [data, target, restored] = paths(root);
    let db = open(Arc::new(disk.clone()), &data);
    fill(&db, 40);
    let content = read(&db);
    db.close().unwrap();
    drop(db);
    let begun = disk.operations();
    backup(&disk, &data, &target).unwrap();
    let backed_up = disk.operations();
    tsdb::restore(&disk, &target, &restored).unwrap();
    let seeds = SEEDS * testkit::soak_factor();
    for operations in begun..=disk.operations() {
        let some = (0..seeds).map(|seed| Loss::Some(operations as u64 * seeds + seed));
        for loss in [Loss::Nothing, Loss::Everything].into_iter().chain(some) {
            let image = disk.image(operations, loss);
            let at = format!(
                "after {operations} of {begun}, {backed_up}, {} operations, losing {loss:?}",
                disk.operations()
            );
            let half = Backup::open(&image, &root.join("backup.tmp"));
            assert!(half.is_err() || tsdb::damaged_files(&image, &root.join("backup.tmp")).unwrap().is_empty(), "{at}");
            if operations >= backed_up {
                assert!(is_there(&image, &target), "a finished backup is gone {at}");
            }
            check_left(&(Arc::new(image) as Arc<dyn Disk>), root, &content, &at);
        }
    }
}

/// Not a test: what the killed process does, until it is killed.
#[test]
#[ignore = "the body of the process that `kills_leave_all_or_nothing` kills"]
fn child() {
    let Some(root) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let [data, target, restored] = paths(Path::new(&root));
    writeln!(std::io::stdout(), "\nbackup").unwrap();
    backup(&FileDisk, &data, &target).unwrap();
    writeln!(std::io::stdout(), "\nrestore").unwrap();
    tsdb::restore(&FileDisk, &target, &restored).unwrap();
    // The other end is never written to.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Runs the child and kills it once a step began and so many files of it are there, or all of them.
fn run_and_kill(root: &Path, step: &str, files: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture"])
        .env(FOLDER_VARIABLE, root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.by_ref().lines().find(|line| line.as_ref().unwrap() == step).unwrap().unwrap();
    let [_, target, restored] = paths(root);
    let written = if step == "backup" { target } else { restored };
    let temporary = written.with_extension("tmp");
    while !written.exists() && count(&temporary) < files {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

#[test]
fn kills_leave_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let data = root.join("data");
    let db = open(Arc::new(FileDisk), &data);
    fill(&db, 160);
    let content = read(&db);
    db.close().unwrap();
    drop(db);
    for kill in 0..KILLS * testkit::soak_factor() as usize {
        let step = ["backup", "restore"][kill % 2];
        run_and_kill(root, step, kill / 2 % 20);
        check_left(&(Arc::new(FileDisk) as Arc<dyn Disk>), root, &content, &format!("after kill {kill}, of a {step}"));
        for name in ["again", "restored", "backup"] {
            let _ = fs::remove_dir_all(root.join(name));
        }
    }
}

/// A disk on which something happens each time before a folder gets another name.
struct Meeting<'a> {
    disk: &'a CrashDisk,
    before_rename: &'a (dyn Fn() + Sync),
}

impl Disk for Meeting<'_> {
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        (self.before_rename)();
        self.disk.rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> std::io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn create(&self, path: &Path) -> std::io::Result<Box<dyn tsdb::DiskFile>> {
        self.disk.create(path)
    }

    fn open(&self, path: &Path) -> std::io::Result<Box<dyn tsdb::DiskFile>> {
        self.disk.open(path)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn reserve(&self, path: &Path, bytes: u64) -> std::io::Result<()> {
        self.disk.reserve(path, bytes)
    }

    fn free(&self, folder: &Path) -> std::io::Result<u64> {
        self.disk.free(folder)
    }

    fn lock(&self, path: &Path) -> std::io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }
}

/// A second backup that begins when the first one is about to finish must not empty its folder.
#[test]
fn two_backups_of_one_name_do_not_harm_each_other() {
    let (disk, root) = (CrashDisk::new(), Path::new("/"));
    let [data, target, _] = paths(root);
    let db = open(Arc::new(disk.clone()), &data);
    fill(&db, 30);
    let content = read(&db);
    let other = || {
        let said = backup(&disk, &data, &target).unwrap_err().to_string();
        assert!(said.contains("another backup"), "{said}");
    };
    backup(&Meeting { disk: &disk, before_rename: &other }, &data, &target).unwrap();
    drop(db);
    check_left(&(Arc::new(disk) as Arc<dyn Disk>), root, &content, "after two backups");
}
