//! Blocks are merged and cleaned while other things happen: the store is closed, samples are deleted, the process ends.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::status::Store;
use model::{Appendable, Durability, Labels, MatchOp, Matcher, Sample};
use testkit::{Content, CrashDisk, Loss, TestClock, content};
use tsdb::{Db, Disk, Options};

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 24 * 3_600_000;

/// Enough for a merge or a cleaning to be met in the middle.
const SERIES_MANY: u32 = 20_000;

fn open(disk: &CrashDisk) -> Db {
    let clock = Arc::new(TestClock::new(NOW));
    let disk = Arc::new(disk.clone());
    Db::open(Options { path: "/data".into(), retention_time: None, clock, disk, ..Options::default() }).unwrap()
}

fn append(db: &Db, series: u32, timestamp: i64) -> Content {
    let mut batch = db.appender();
    for x in 0..series {
        let labels = Labels::from_pairs([("__name__", "m"), ("x", &format!("{x:05}"))]);
        batch.append(&labels, Sample { timestamp, value: f64::from(x) }).unwrap();
    }
    batch.commit(Durability::Disk).unwrap();
    (0..series).map(|x| ((x, timestamp), f64::from(x).to_bits())).collect()
}

fn read(db: &Db) -> Content {
    content(db, i64::MIN, i64::MAX).unwrap()
}

fn yesterday() -> i64 {
    NOW.div_euclid(DAY) * DAY - 9000
}

/// Numbers of the blocks' folders, and what else stands there.
fn folders(disk: &CrashDisk) -> (Vec<u64>, Vec<String>) {
    let names = disk.list("/data/blocks".as_ref()).unwrap();
    let (blocks, others): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| name.parse::<u64>().is_ok());
    let mut numbers: Vec<u64> = blocks.iter().map(|name| name.parse().unwrap()).collect();
    numbers.sort_unstable();
    (numbers, others)
}

/// Waits until the store says that it does this.
fn wait_for(db: &Db, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !db.details().work.iter().any(|work| work.what == what && work.done > 0) {
        assert!(Instant::now() < deadline, "{what} does not begin");
        std::thread::yield_now();
    }
}

/// The process ends at each moment of a merge: what was merged and still stands is removed at the next start.
#[test]
fn what_was_replaced_is_removed_at_the_start() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    let mut content = append(&db, 3, yesterday());
    content.extend(append(&db, 1, NOW));
    db.seal().unwrap();
    content.extend(append(&db, 3, yesterday() + 1000));
    let before = disk.operations();
    db.seal().unwrap();
    // Yesterday's blocks are the first and the third.
    assert_eq!(folders(&disk), (vec![2, 4], vec![]));
    let mut met = 0;
    for operations in before..=disk.operations() {
        for loss in [Loss::Nothing, Loss::Everything].into_iter().chain((0..20).map(Loss::Some)) {
            let image = disk.image(operations, loss);
            let (found, _) = folders(&image);
            let is_merged = found.contains(&4);
            met += u64::from(is_merged && found.len() > 2);
            let db = open(&image);
            let at = format!("after {operations} operations, losing {loss:?}: {found:?}");
            assert_eq!(read(&db), content, "{at}");
            let (standing, others) = folders(&image);
            assert!(others.is_empty() && (!is_merged || standing == [2, 4]), "{standing:?} {others:?} {at}");
            assert_eq!(db.status().blocks, standing.len() as u64, "{at}");
        }
    }
    assert!(met > 0, "no image has the merged block beside old ones");
}

#[test]
fn a_merge_is_broken_off_by_the_end() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    let mut content = append(&db, SERIES_MANY, yesterday());
    content.extend(append(&db, 1, NOW));
    db.seal().unwrap();
    content.extend(append(&db, SERIES_MANY, yesterday() + 1000));
    std::thread::scope(|scope| {
        let merging = scope.spawn(|| db.seal().unwrap());
        wait_for(&db, "merging blocks");
        db.close().unwrap();
        assert_eq!(merging.join().unwrap().merged_blocks, 0);
    });
    assert_eq!(folders(&disk), (vec![1, 2, 3], vec![]));
    drop(db);
    let db = open(&disk);
    assert_eq!(read(&db), content);
    assert_eq!(db.seal().unwrap().merged_blocks, 2);
    assert_eq!((read(&db), folders(&disk)), (content, (vec![2, 4], vec![])));
}

#[test]
fn cleaning_goes_on_beside_deletions_sealings_and_the_end() {
    let of = |x: &str| vec![Matcher::new(MatchOp::Match, "x", x).unwrap()];
    let disk = CrashDisk::new();
    let db = open(&disk);
    let mut content = append(&db, SERIES_MANY, NOW);
    db.delete_series(&of("00007"), 0, NOW).unwrap();
    std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| db.clean_tombstones().unwrap());
        wait_for(&db, "cleaning a block");
        content.extend(append(&db, 2, NOW + 1000));
        db.delete_series(&of("00001|00008"), 0, NOW).unwrap();
        assert_eq!(db.seal().unwrap().sealed_blocks, 1);
        assert_eq!(cleaning.join().unwrap(), 1);
    });
    content.retain(|&(x, time), _| time > NOW || ![1, 7, 8].contains(&x));
    assert_eq!(read(&db), content);
    assert!(!disk.files().iter().any(|(path, _)| path.ends_with("tombstones")));
    db.delete_series(&of("00009"), 0, NOW).unwrap();
    content.remove(&(9, NOW));
    std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| db.clean_tombstones());
        wait_for(&db, "cleaning a block");
        db.close().unwrap();
        assert_eq!(cleaning.join().unwrap().unwrap_err().to_string(), "the store is closed");
    });
    assert_eq!(folders(&disk), (vec![1, 2], vec![]));
    drop(db);
    assert_eq!(read(&open(&disk)), content);
}
