//! Data folders looked at from outside.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::status::Store;
use model::{Appendable, Durability, Labels, Sample};
use testkit::TestClock;
use tsdb::{Db, FileDisk, Folder, Options, Verified};

const NOW: i64 = 480_000 * 3_600_000;

fn write(path: &Path) -> Db {
    let db = Db::open(Options { path: path.to_owned(), clock: Arc::new(TestClock::new(NOW)), ..Options::default() })
        .unwrap();
    append(&db, 0..200);
    db.seal().unwrap();
    append(&db, 200..210);
    db.sync().unwrap();
    db
}

fn append(db: &Db, scrapes: std::ops::Range<i64>) {
    for scrape in scrapes {
        let mut appender = db.appender();
        for series in 0..5 {
            let name = if series < 4 { "many" } else { "one" };
            let labels = [("__name__", name), ("job", "j"), ("instance", "i"), ("x", &series.to_string())];
            let value = if series == 4 { 1.0 } else { (scrape * series) as f64 / 10.0 };
            let sample = Sample { timestamp: NOW - 4_000_000 + scrape * 15_000, value };
            appender.append(&Labels::from_pairs(labels), sample).unwrap();
        }
        appender.commit(Durability::Kernel).unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn verify(path: &Path) -> Verified {
    Folder::open(&FileDisk, path).unwrap().verify().unwrap()
}

#[test]
fn a_folder_in_use_is_told_and_sound() {
    let folder = tempfile::tempdir().unwrap();
    let db = write(folder.path());
    let seen = Folder::open(&FileDisk, folder.path()).unwrap();
    let summary = seen.inspect(true).unwrap();
    let block = &summary.blocks[0];
    assert_eq!((summary.blocks.len(), block.status.series, block.status.samples), (1, 5, 1000));
    assert_eq!(
        block.codecs.iter().filter(|((what, _), _)| *what == "values").map(|(_, s)| s.numbers).sum::<u64>(),
        1000
    );
    assert_eq!(
        block.codecs.iter().filter(|((what, _), _)| *what == "timestamps").map(|(_, s)| s.columns).sum::<u64>(),
        1
    );
    assert!(summary.segments.iter().map(|s| s.records).sum::<u64>() > 0);
    assert!(summary.damage.is_empty() && summary.backup.is_none());
    let found = seen.verify().unwrap();
    assert_eq!((found.damage, found.blocks, found.series, found.samples), (vec![], 1, 5, 1000));
    let (costs, damage) = seen.analyze(10).unwrap();
    assert!(damage.is_empty());
    let told = |costs: &[tsdb::Cost]| costs.iter().map(|c| format!("{} {}", c.name, c.count)).collect::<Vec<_>>();
    assert_eq!(told(&costs.metrics), ["many 4", "one 1"]);
    assert_eq!(told(&costs.targets), ["j i 5"]);
    assert_eq!(told(&costs.labels), ["x 5", "__name__ 2", "instance 1", "job 1"]);
    assert_eq!((costs.series, costs.samples), (5, 1000));
    assert_eq!(costs.metrics.iter().map(|c| c.bytes).sum::<u64>(), costs.bytes);
    drop(db);
    assert!(Folder::open(&FileDisk, &folder.path().join("blocks")).is_err());
}

/// What costs, of series in blocks and in memory: those without job or instance have a target of their own, and a column
/// that series share counts once.
#[test]
fn costs_of_any_labels_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock::new(NOW));
    let db = Db::open(Options { path: folder.path().to_owned(), clock, ..Options::default() }).unwrap();
    let sets: [&[(&str, &str)]; 6] = [
        &[("__name__", "a"), ("job", "j"), ("instance", "i")],
        &[("__name__", "b"), ("job", "j"), ("instance", "i")],
        &[("__name__", "a"), ("job", "j")],
        &[("__name__", "a"), ("instance", "i")],
        &[("__name__", "a"), ("x", "1")],
        &[("job", "j"), ("instance", "k")],
    ];
    let append = |row: i64| {
        let mut batch = db.appender();
        for labels in sets {
            let sample = Sample { timestamp: NOW - 4_000_000 + row * 15_000, value: (row * row % 7) as f64 };
            batch.append(&Labels::from_pairs(labels.iter().copied()), sample).unwrap();
        }
        batch.commit(Durability::Kernel).unwrap();
    };
    let check = |costs: &tsdb::Costs| {
        let told = |costs: &[tsdb::Cost]| {
            let mut told: Vec<_> = costs.iter().map(|cost| (cost.name.clone(), cost.count)).collect();
            told.sort();
            told.into_iter().map(|(name, count)| format!("{name}:{count}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(told(&costs.targets), " :1,  i:1, j :1, j i:2, j k:1");
        assert_eq!(told(&costs.metrics), ":1, a:4, b:1");
        assert_eq!((costs.series, costs.pairs), (6, 6));
    };
    (0..100).for_each(append);
    check(&db.costs());
    db.seal().unwrap();
    let seen = Folder::open(&FileDisk, folder.path()).unwrap();
    let (costs, _) = seen.analyze(10).unwrap();
    check(&costs);
    let summary = seen.inspect(true).unwrap();
    let columns: u64 = summary.blocks[0].codecs.values().map(|share| share.bytes).sum();
    assert!(columns < summary.blocks[0].status.bytes && costs.bytes <= columns, "{} of {columns}", costs.bytes);
    let values = summary.blocks[0].codecs.iter().filter(|((what, _), _)| *what == "values").map(|(_, s)| s.columns);
    assert_eq!(values.sum::<u64>(), 1);
}

/// Every flipped bit of blocks and of what is before the end of the log is found, with its file; nothing panics.
#[test]
fn damage_is_found_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path()).close().unwrap();
    assert_eq!(verify(folder.path()).damage, []);
    let kept: Vec<PathBuf> = files(folder.path());
    let kept = kept.iter().filter(|path| !path.ends_with("lock") && !path.ends_with("reserve"));
    for path in kept {
        let whole = fs::read(path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(path, &bytes).unwrap();
            let found = verify(folder.path());
            let all: Vec<_> = found.damage.iter().chain(&found.notes).collect();
            assert!(!all.is_empty(), "byte {at} of {}", path.display());
            assert!(all.iter().all(|f| path.starts_with(&f.path)), "byte {at} of {}: {all:?}", path.display());
        }
        fs::write(path, &whole).unwrap();
    }
    assert_eq!(verify(folder.path()).damage, []);
}
