//! Data folders looked at from outside.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
