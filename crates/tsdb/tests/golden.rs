//! A folder that this version of the format wrote is read as it was, by this version and by later ones.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{
    Appendable, Durability, Exemplar, Hints, Labels, Matcher, Metadata, MetricKind, Queryable, Sample, Samples,
    Selection, stale_nan,
};
use tempfile::tempdir;
use testkit::TestClock;
use tsdb::{Db, Options};

const NOW: i64 = 1_700_000_000_000;
const INTERVAL: i64 = 15_000;

/// Set to write the folder anew, which only a new version of the format may need.
const WRITE_VARIABLE: &str = "SKEP_GOLDEN_WRITE";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/1")
}

fn open(path: &Path) -> Db {
    open_with(path, Options::default().head_bytes_max)
}

fn open_with(path: &Path, head_bytes_max: usize) -> Db {
    // A folder this small has no reserve.
    let (clock, retention_size) = (Arc::new(TestClock::new(NOW)), Some(16 << 20));
    let path = path.to_owned();
    Db::open(Options { path, retention_time: None, retention_size, clock, head_bytes_max, ..Options::default() })
        .unwrap()
}

/// The name of a series and its value in a row.
type Kind = (&'static str, fn(i64) -> f64);

const KINDS: [Kind; 7] = [
    ("constant", |_| 1.0),
    ("counter_total", |row| (row * row % 1000 + row * 1000) as f64),
    ("restarted_total", |row| (row % 70 * 3) as f64),
    ("temperature", |row| (200 + row * 37 % 11) as f64 / 10.0),
    ("ratio", |row| (row as f64).sqrt() / 3.0),
    ("flapping", |row| if row % 40 == 39 { stale_nan() } else { row as f64 }),
    ("special", |row| [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, 5e-324][row as usize % 6]),
];

fn labels(kind: &str, instance: usize) -> Labels {
    Labels::from_pairs([("__name__", kind), ("instance", &format!("node-{instance}")), ("job", "golden")])
}

/// Two targets, three days: rows of the first two days are sealed, those of the last one are in the log.
fn rows() -> impl Iterator<Item = (usize, i64, i64)> {
    let day = 24 * 3_600_000;
    let starts = [(0, NOW - 2 * day), (150, NOW - day), (300, NOW - 40 * INTERVAL)];
    let rows = starts.into_iter().flat_map(|(first, start)| {
        let count = if first == 300 { 30 } else { 150 };
        (0..count).map(move |i| (first + i, start + i * INTERVAL))
    });
    rows.flat_map(|(row, time)| (0..2).map(move |instance| (instance, row, time + instance as i64 * 7_003 + row % 3)))
}

/// A stretch of the second day in which one series lost its samples.
const DELETED: (i64, i64) = (NOW - 24 * 3_600_000 + 600_000, NOW - 24 * 3_600_000 + 900_000);

fn exemplar() -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("trace_id", "0af7")]), value: 12.5, timestamp: Some(NOW - 600_000) }
}

fn metadata(kind: &str) -> Metadata {
    Metadata { kind: MetricKind::Gauge, help: format!("What {kind} is."), unit: "seconds".to_owned() }
}

fn write(path: &Path) {
    let _ = std::fs::remove_dir_all(path);
    std::fs::create_dir_all(path).unwrap();
    let mut db = open(path);
    for (instance, row, timestamp) in rows() {
        let mut batch = db.appender();
        for (kind, value) in KINDS {
            let reference = batch.append(&labels(kind, instance), Sample { timestamp, value: value(row) }).unwrap();
            if row == 310 && instance == 0 && kind == "ratio" {
                batch.append_exemplar(reference, &exemplar()).unwrap();
            }
            batch.set_metadata(kind, &metadata(kind)).unwrap();
        }
        batch.commit(if row % 4 == 0 { Durability::Disk } else { Durability::Kernel }).unwrap();
        if instance == 1 {
            db = after_row(path, db, row);
        }
    }
    db.close().unwrap();
    std::fs::remove_file(path.join("lock")).unwrap();
}

/// The first day becomes one merged block. The second one becomes a block that is packed as it is sealed, from which
/// something is deleted, and one that is sealed in a hurry, as a head does that has no room.
fn after_row(path: &Path, db: Db, row: i64) -> Db {
    match row {
        74 | 149 | 224 => drop(db.seal().unwrap()),
        299 => {
            db.close().unwrap();
            drop(db);
            let small = open_with(path, 1);
            small.maintain(NOW).unwrap();
            small.close().unwrap();
            drop(small);
            return open(path);
        }
        _ => {}
    }
    match row {
        149 => drop(db.maintain(NOW).unwrap()),
        224 => {
            let matchers = [Matcher::equal("instance", "node-1"), Matcher::equal("__name__", "ratio")];
            db.delete_series(&matchers, DELETED.0, DELETED.1).unwrap();
        }
        _ => {}
    }
    db
}

fn expected() -> BTreeMap<Labels, BTreeMap<i64, u64>> {
    let mut all: BTreeMap<Labels, BTreeMap<i64, u64>> = BTreeMap::new();
    for (instance, row, timestamp) in rows() {
        let is_deleted = |kind| (kind, instance) == ("ratio", 1) && (DELETED.0..=DELETED.1).contains(&timestamp);
        for (kind, value) in KINDS.into_iter().filter(|(kind, _)| !is_deleted(*kind)) {
            all.entry(labels(kind, instance)).or_default().insert(timestamp, value(row).to_bits());
        }
    }
    all
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_folder_of_this_version_is_read() {
    if std::env::var_os(WRITE_VARIABLE).is_some() {
        write(&golden());
    }
    let folder = tempdir().unwrap();
    copy(&golden(), folder.path());
    let db = open(folder.path());
    assert_eq!((db.recovery().damaged_records, db.recovery().quarantined), (0, 0));
    let selection = Selection { matchers: &[], min_time: i64::MIN, max_time: i64::MAX, hints: Hints::default() };
    let set = db.select(&selection).unwrap();
    assert_eq!(set.warnings, [""; 0]);
    let mut got = BTreeMap::new();
    for series in &set.series {
        let mut samples = Samples::default();
        series.read(&mut samples).unwrap();
        let column: BTreeMap<i64, u64> = samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
        got.insert(series.labels().clone(), column);
    }
    assert_eq!(got, expected());
    assert_eq!(db.exemplars(&selection).unwrap(), [(labels("ratio", 0), vec![exemplar()])]);
    for (kind, _) in KINDS {
        assert_eq!(db.metadata(Some(kind)), [(kind.to_owned(), metadata(kind))]);
    }
}
