//! What the store keeps when the power fails, the disk is full, refuses to sync or changes bits.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;

use model::status::Store;
use model::{
    AppendError, Appendable, Durability, Hints, Labels, Metadata, Queryable, Sample, Samples, Selection, StorageError,
};
use testkit::{CrashDisk, Loss, TestClock};
use tsdb::{Db, Disk, FileDisk, Options};

const NOW: i64 = 1_700_000_000_000;

/// Crash images that each run looks at, at least, and the random losses for each moment that make them so many.
const IMAGES_MIN: u64 = 20_000;
const SEEDS: u64 = 170;

fn options(disk: &CrashDisk) -> Options {
    Options {
        path: "/data".into(),
        retention_time: None,
        clock: Arc::new(TestClock::new(NOW)),
        disk: Arc::new(disk.clone()),
        ..Options::default()
    }
}

fn open(disk: &CrashDisk) -> Db {
    Db::open(options(disk)).unwrap()
}

/// Values as bits by series number and time.
type Content = BTreeMap<(u32, i64), u64>;

fn labels(x: u32) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("x", &x.to_string())])
}

/// Commits one sample of each of some series.
fn commit(db: &Db, round: i64, durability: Durability) -> Result<Content, AppendError> {
    let mut content = Content::new();
    let mut batch = db.appender();
    for x in 0..3 + (round as u32 % 4) {
        // Late in the life the day changes, so that the blocks of the day before are merged.
        let timestamp = NOW - if round < 24 { 90_000_000 } else { 1_000_000 } + round * 1000;
        let value = f64::from(x) + round as f64 / 10.0;
        batch.append(&labels(x), Sample { timestamp, value })?;
        content.insert((x, timestamp), value.to_bits());
    }
    batch.set_metadata("m", &Metadata { help: format!("Round {}.", round / 10), ..Metadata::default() })?;
    batch.commit(durability)?;
    Ok(content)
}

/// All that can be read; the warnings say what cannot.
fn read(db: &Db) -> Result<(Content, Vec<String>), StorageError> {
    let selection = Selection { matchers: &[], min_time: i64::MIN, max_time: i64::MAX, hints: Hints::default() };
    let set = db.select(&selection)?;
    let mut content = Content::new();
    for series in &set.series {
        let x = series.labels().get("x").unwrap().parse().unwrap();
        let mut samples = Samples::default();
        series.read(&mut samples)?;
        content.extend(samples.iter().map(|s| ((x, s.timestamp), s.value.to_bits())));
    }
    Ok((content, set.warnings))
}

/// A moment in the life of a disk: after so many operations, this much was acknowledged or visible.
struct Milestone {
    operations: usize,
    durable: Content,
    visible: Content,
}

/// A life with both kinds of commits, sealing, and reopening in the middle of it.
fn live(disk: &CrashDisk) -> Vec<Milestone> {
    let mut db = open(disk);
    let (mut durable, mut visible) = (Content::new(), Content::new());
    let mut milestones = Vec::new();
    for round in 0..36 {
        let durability = if round % 3 == 0 { Durability::Disk } else { Durability::Kernel };
        visible.extend(commit(&db, round, durability).unwrap());
        if durability == Durability::Disk {
            durable = visible.clone();
        }
        match round {
            8 | 26 => drop(db.seal().unwrap()),
            17 => {
                db.close().unwrap();
                durable = visible.clone();
                db = open(disk);
            }
            30 => drop(db.maintain(NOW).unwrap()),
            _ => {}
        }
        milestones.push(Milestone {
            operations: disk.operations(),
            durable: durable.clone(),
            visible: visible.clone(),
        });
    }
    milestones
}

fn contains(all: &Content, part: &Content) -> bool {
    part.iter().all(|(key, bits)| all.get(key) == Some(bits))
}

/// Opens what a power cut left: nothing acknowledged may be missing, nothing else may be there, and it goes on working.
fn check_image(disk: &CrashDisk, operations: usize, loss: Loss, milestones: &[Milestone], all: &Content) {
    let image = disk.image(operations, loss);
    let db = open(&image);
    let (content, warnings) = read(&db).unwrap();
    let before = milestones.iter().rev().find(|m| m.operations <= operations);
    let expected = before.map(|m| if loss == Loss::Nothing { &m.visible } else { &m.durable });
    let at = format!("after {operations} operations, losing {loss:?}");
    assert_eq!(warnings, [""; 0], "{at}");
    assert!(expected.is_none_or(|expected| contains(&content, expected)), "lost samples {at}");
    assert!(contains(all, &content), "invented samples {at}");
    let more = commit(&db, 500, Durability::Disk).unwrap();
    assert!(contains(&read(&db).unwrap().0, &more), "{at}");
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let disk = CrashDisk::new();
    let milestones = live(&disk);
    let all = milestones.last().unwrap().visible.clone();
    let seeds = SEEDS * testkit::soak_factor();
    let mut images = 0;
    for operations in 0..=disk.operations() {
        let some = (0..seeds).map(|seed| Loss::Some(operations as u64 * seeds + seed));
        for loss in [Loss::Nothing, Loss::Everything].into_iter().chain(some) {
            check_image(&disk, operations, loss, &milestones, &all);
            images += 1;
        }
    }
    assert!(images >= IMAGES_MIN, "{images} images");
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    for nth in 0.. {
        let disk = CrashDisk::new();
        let mut db = open(&disk);
        disk.fail_write_after(nth);
        let mut kept = Content::new();
        for round in 0..12 {
            match commit(&db, round, Durability::Disk) {
                Ok(content) => kept.extend(content),
                Err(AppendError::Storage(_)) => assert!(!disk.has_fault_left(), "write {nth} failed twice"),
                Err(other) => panic!("write {nth}: {other}"),
            }
            assert_eq!(read(&db).unwrap().0, kept, "write {nth}, round {round}");
            match round {
                4 | 9 => drop(db.seal()),
                6 => {
                    drop(db);
                    db = open(&disk);
                }
                _ => {}
            }
        }
        kept.extend(commit(&db, 12, Durability::Disk).or_else(|_| commit(&db, 12, Durability::Disk)).unwrap());
        assert_eq!(db.status().read_only_reason, "");
        drop(db);
        assert_eq!(read(&open(&disk)).unwrap().0, kept, "write {nth}, reopened");
        if disk.has_fault_left() {
            return;
        }
    }
}

#[test]
fn a_disk_that_stays_full_is_readable_and_opens() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    let kept = commit(&db, 1, Durability::Disk).unwrap();
    disk.set_full(true);
    for round in 2..5 {
        assert!(matches!(commit(&db, round, Durability::Kernel), Err(AppendError::Storage(_))));
        assert!(db.seal().is_err());
        assert_eq!(read(&db).unwrap().0, kept);
        assert!(db.status().read_only_reason.contains("No space left"), "{}", db.status().read_only_reason);
    }
    drop(db);
    let db = open(&disk);
    assert_eq!(read(&db).unwrap().0, kept);
    disk.set_full(false);
    commit(&db, 6, Durability::Disk).unwrap();
    db.seal().unwrap();
    assert_eq!(db.status().read_only_reason, "");
}

/// Commits until a commit is refused for want of space; returns what was kept.
fn commit_until_refused(db: &Db, rounds: &mut std::ops::Range<i64>) -> Content {
    let mut kept = Content::new();
    loop {
        match commit(db, rounds.next().unwrap(), Durability::Disk) {
            Ok(content) => kept.extend(content),
            Err(error) => {
                assert!(error.to_string().contains("the disk is full"), "{error}");
                assert!(db.status().read_only_reason.contains("the disk is full"));
                return kept;
            }
        }
    }
}

/// Somebody else fills the disk, the store starts on it, seals into its reserve, and goes on when there is room.
fn check_full_disk(disk: &dyn Disk, options: &Options) {
    let open = || Db::open(options.clone()).unwrap();
    let has_reserve = || disk.list(&options.path).unwrap().iter().any(|name| name == "reserve");
    let filler = options.path.with_file_name("filler");
    let mut rounds = 0..100_000;
    let db = open();
    let mut kept = commit(&db, rounds.next().unwrap(), Durability::Disk).unwrap();
    assert!(!has_reserve());
    db.maintain(NOW).unwrap();
    assert!(has_reserve());
    let file = disk.create(&filler).unwrap();
    while file.append(&[1; 4096]).is_ok() {}
    kept.extend(commit_until_refused(&db, &mut rounds));
    assert_eq!(read(&db).unwrap().0, kept);
    drop(db);
    let db = open();
    assert_eq!(read(&db).unwrap().0, kept);
    kept.extend(commit_until_refused(&db, &mut rounds));
    let done = db.maintain(NOW).unwrap();
    assert!(done.sealed_blocks > 0 && done.removed_segments > 0 && !has_reserve(), "{done:?}");
    // What the reserve gave free is not for samples.
    assert_eq!(commit_until_refused(&db, &mut rounds), Content::new());
    assert_eq!(read(&db).unwrap().0, kept);
    db.maintain(NOW).unwrap();
    drop(file);
    disk.remove(&filler).unwrap();
    kept.extend(commit(&db, rounds.next().unwrap(), Durability::Disk).unwrap());
    assert_eq!((has_reserve(), db.status().read_only_reason.as_str()), (true, ""));
    drop(db);
    assert_eq!(read(&open()).unwrap().0, kept);
}

#[test]
fn a_disk_that_others_fill_is_survived() {
    let disk = CrashDisk::new();
    disk.set_capacity(6 << 20);
    check_full_disk(&disk, &options(&disk));
}

/// A file system in memory, gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=6m", "tmpfs"];
        let outcome = Command::new("mount").args(mount).arg(folder.path()).stderr(Stdio::null()).status();
        outcome.is_ok_and(|status| status.success()).then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let outcome = Command::new("umount").arg(self.0.path()).status();
        assert!(outcome.unwrap().success(), "{} stays mounted", self.0.path().display());
    }
}

#[test]
fn a_real_disk_that_others_fill_is_survived() {
    let Some(small) = SmallDisk::mount() else {
        eprintln!("skipped: no tmpfs can be mounted, the test wants root");
        return;
    };
    let path = small.0.path().join("data");
    check_full_disk(&FileDisk, &Options { path, disk: Arc::new(FileDisk), ..options(&CrashDisk::new()) });
}

#[test]
fn a_failed_fsync_writes_again_before_it_acknowledges() {
    for nth in 0.. {
        let disk = CrashDisk::new();
        let db = open(&disk);
        disk.fail_sync_after(nth);
        let (mut durable, mut visible) = (Content::new(), Content::new());
        for round in 0..12 {
            let durability = if round % 3 == 2 { Durability::Disk } else { Durability::Kernel };
            visible.extend(commit(&db, round, durability).unwrap());
            if durability == Durability::Disk {
                durable = visible.clone();
            }
            for seed in 0..4 {
                let image = disk.image(disk.operations(), Loss::Some(seed));
                assert!(contains(&read(&open(&image)).unwrap().0, &durable), "sync {nth}, round {round}");
            }
            let image = disk.image(disk.operations(), Loss::Everything);
            assert!(contains(&read(&open(&image)).unwrap().0, &durable), "sync {nth}, round {round}");
            if round == 7 {
                drop(db.seal());
            }
        }
        assert_eq!(read(&db).unwrap().0, visible);
        if disk.has_fault_left() {
            return;
        }
    }
}

/// A folder with a block, a log and metadata, and what it holds.
fn small_folder() -> (CrashDisk, Content) {
    let disk = CrashDisk::new();
    let db = open(&disk);
    let mut content = Content::new();
    for round in 0..40 {
        content.extend(commit(&db, round, Durability::Disk).unwrap());
        if round == 30 {
            db.seal().unwrap();
        }
    }
    db.close().unwrap();
    (disk.copy(), content)
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    let (disk, content) = small_folder();
    let mut flips = 0;
    for (path, length) in disk.files() {
        for byte in 0..length {
            let damaged = disk.copy();
            damaged.flip(&path, byte, 1 << (byte % 8));
            flips += 1;
            let at = format!("byte {byte} of {}", path.display());
            let db = open(&damaged);
            let first = read(&db);
            let (got, warnings) = first.clone().or_else(|_| read(&db)).unwrap();
            assert!(contains(&content, &got), "a wrong answer after a flip of {at}");
            if got != content {
                let told = first.is_err() || !warnings.is_empty() || db.recovery().damaged_records > 0;
                assert!(told && db.status().quarantined > 0, "a silent loss after a flip of {at}");
            }
            commit(&db, 100, Durability::Disk).unwrap();
        }
    }
    assert!(flips > 1000, "{flips}");
}

#[test]
fn a_damaged_record_is_rebuilt() {
    let (disk, content) = small_folder();
    let log = disk.files().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "log"));
    for (path, length) in log {
        for byte in 0..length {
            let damaged = disk.copy();
            damaged.flip(&path, byte, 0xff);
            let db = open(&damaged);
            assert_eq!(read(&db).unwrap().0, content, "byte {byte}");
            let told = db.recovery().rebuilt_records + db.recovery().damaged_records;
            assert!(told > 0, "byte {byte}");
        }
    }
}
