//! What is left of a log in which bytes changed: all of it where its parity brings them back, else all but what was told
//! from them, and never another value.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use model::{Appendable, Durability, Hints, Labels, Queryable, Sample, Samples, Selection};
use proptest::prelude::*;
use testkit::{CrashDisk, TestClock};
use tsdb::{Db, Disk, Options, Recovery};

const NOW: i64 = 1_700_000_000_000;

fn open(disk: &CrashDisk) -> Db {
    let (clock, disk) = (Arc::new(TestClock::new(NOW)), Arc::new(disk.clone()));
    Db::open(Options { path: "/data".into(), retention_time: None, clock, disk, ..Options::default() }).unwrap()
}

/// Values as bits by target, series and time.
type Content = BTreeMap<(String, String, i64), u64>;

/// Series move as counters, gauges and doubles do.
fn value(series: i64, round: i64) -> f64 {
    let noise = (series * 7_919 + round * 104_729) % 1_009;
    match series % 4 {
        0 => (round * 400 + noise) as f64,
        1 => noise as f64 / 100.0,
        2 => 1.0 / (noise + 1) as f64,
        _ => (round / 50) as f64,
    }
}

/// Scrapes of two targets, synced now and then.
fn written(rounds: i64) -> (CrashDisk, Content) {
    let disk = CrashDisk::new();
    let db = open(&disk);
    let mut content = Content::new();
    for round in 0..rounds {
        for target in ["a", "b"] {
            let mut batch = db.appender();
            for series in 0..60 {
                let name = series.to_string();
                let labels = Labels::from_pairs([("__name__", "m"), ("target", target), ("x", &name)]);
                let sample = Sample { timestamp: NOW - 100_000_000 + round * 15_000, value: value(series, round) };
                batch.append(&labels, sample).unwrap();
                content.insert((target.to_owned(), name, sample.timestamp), sample.value.to_bits());
            }
            let durability = if round % 7 == 6 { Durability::Disk } else { Durability::Kernel };
            batch.commit(durability).unwrap();
        }
    }
    db.close().unwrap();
    (disk.copy(), content)
}

fn read(db: &Db) -> Content {
    let selection = Selection { matchers: &[], min_time: i64::MIN, max_time: i64::MAX, hints: Hints::default() };
    let mut content = Content::new();
    for series in &db.select(&selection).unwrap().series {
        let (labels, mut samples) = (series.labels(), Samples::default());
        series.read(&mut samples).unwrap();
        let key = |time| (labels.get("target").unwrap().to_owned(), labels.get("x").unwrap().to_owned(), time);
        content.extend(samples.iter().map(|s| (key(s.timestamp), s.value.to_bits())));
    }
    content
}

fn log_file(disk: &CrashDisk) -> (PathBuf, usize) {
    disk.files().into_iter().find(|(path, _)| path.extension().is_some_and(|e| e == "log")).unwrap()
}

/// Changes so many bytes from each of these places on and opens the folder.
fn reopen(disk: &CrashDisk, places: &[usize], bytes: usize) -> (Content, Recovery) {
    let damaged = disk.copy();
    let (path, length) = log_file(&damaged);
    for &place in places {
        (place..(place + bytes).min(length)).for_each(|byte| damaged.flip(&path, byte, 0x5a));
    }
    let db = open(&damaged);
    (read(&db), db.recovery().clone())
}

/// Where parity records begin.
fn parities(disk: &CrashDisk) -> Vec<usize> {
    let (path, length) = log_file(disk);
    let mut bytes = vec![0; length];
    disk.open(&path).unwrap().read_at(&mut bytes, 0).unwrap();
    (0..length).filter(|&at| bytes[at..].starts_with(b"\xf5sk\x05")).collect()
}

#[test]
fn any_page_comes_back() {
    const PAGE: usize = 4_096;
    let (disk, content) = written(500);
    let (_, length) = log_file(&disk);
    let parities = parities(&disk);
    assert!(parities.len() > 1, "{length} bytes are too few for several groups");
    // Places are not those of pages, so that a page begins and ends anywhere in a record. One that takes the last
    // records of a group with their parity is damage in two places.
    for place in (0..length).step_by(4_999) {
        if parities.iter().any(|parity| (place + 1..place + PAGE).contains(parity)) {
            continue;
        }
        let (got, recovery) = reopen(&disk, &[place], PAGE);
        let told = recovery.rebuilt_records + recovery.damaged_records;
        assert_eq!((got == content, told > 0, recovery.lost_samples), (true, true, 0), "at {place} of {length}");
    }
}

#[test]
fn a_torn_end_keeps_what_stands_before_it() {
    let (disk, content) = written(40);
    let (path, length) = log_file(&disk);
    let mut last = content.len();
    for cut in (0..length).rev().step_by(37) {
        let torn = disk.copy();
        torn.cut(&path, cut);
        let got = read(&open(&torn));
        assert!(got.iter().all(|(key, bits)| content.get(key) == Some(bits)), "cut at {cut}");
        assert!(got.len() <= last && got.len().is_multiple_of(60), "half a batch is there, cut at {cut}");
        last = got.len();
    }
    assert_eq!(last, 0);
}

static SMALL: LazyLock<(CrashDisk, Content)> = LazyLock::new(|| written(60));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damage_beyond_parity_is_told_and_answers_nothing_wrong(places in prop::collection::vec(0usize..20_000, 2..6), bytes in 1usize..200) {
        let (disk, content) = &*SMALL;
        let (_, length) = log_file(disk);
        let places: Vec<usize> = places.iter().map(|place| place % length).collect();
        let (got, recovery) = reopen(disk, &places, bytes);
        prop_assert!(got.iter().all(|(key, bits)| content.get(key) == Some(bits)));
        if got != *content {
            prop_assert!(recovery.damaged_records > 0);
        }
    }
}
