//! The store as its users see it: samples in, series out, across sealing and reopening.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::status::Store;
use model::{
    AppendError, Appendable, Clock, Collector, Durability, Exemplar, Families, Hints, Labels, MatchOp, Matcher,
    Metadata, MetricKind, Queryable, Sample, Samples, Selection, SeriesRef, is_stale, stale_nan,
};
use proptest::prelude::*;
use tempfile::tempdir;
use testkit::{CrashDisk, TestClock};
use tsdb::{Db, Error, Options};

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 24 * 3_600_000;

fn options(path: &Path) -> Options {
    let clock = Arc::new(TestClock::new(NOW));
    Options { path: path.to_owned(), retention_time: None, clock, ..Options::default() }
}

fn open(path: &Path) -> Db {
    Db::open(options(path)).unwrap()
}

fn series(name: &str, x: u32) -> Labels {
    Labels::from_pairs([("__name__", name), ("x", &x.to_string())])
}

fn append(db: &Db, labels: &Labels, timestamp: i64, value: f64) -> Result<SeriesRef, AppendError> {
    let mut batch = db.appender();
    let reference = batch.append(labels, Sample { timestamp, value })?;
    batch.commit(Durability::Kernel)?;
    Ok(reference)
}

fn selection<'a>(matchers: &'a [Matcher], min_time: i64, max_time: i64) -> Selection<'a> {
    Selection { matchers, min_time, max_time, hints: Hints::default() }
}

/// Samples by series, values as bits.
type Answer = BTreeMap<Labels, BTreeMap<i64, u64>>;

/// Asks as a query does that is asked once, and as one that comes again.
fn read(db: &Db, matchers: &[Matcher], min_time: i64, max_time: i64) -> Answer {
    let once = read_as(db, matchers, (min_time, max_time), false);
    assert_eq!(once, read_as(db, matchers, (min_time, max_time), true));
    let is_present =
        |column: &&BTreeMap<i64, u64>| !column.values().last().is_some_and(|v| is_stale(f64::from_bits(*v)));
    let expected = once.values().filter(is_present).count() as u64;
    assert_eq!(present(db, matchers, (min_time, max_time)), expected);
    once
}

fn read_as(db: &Db, matchers: &[Matcher], (min_time, max_time): (i64, i64), again: bool) -> Answer {
    let hints = Hints { again, ..Hints::default() };
    let set = db.select(&Selection { hints, ..selection(matchers, min_time, max_time) }).unwrap();
    assert_eq!(set.warnings, [""; 0]);
    let (mut answer, mut times) = (Answer::new(), BTreeMap::new());
    for series in &set.series {
        let mut samples = Samples::default();
        series.read(&mut samples).unwrap();
        check_values(series.as_ref(), &samples, &mut times);
        assert!(samples.timestamps.is_sorted_by(|a, b| a < b));
        let column: BTreeMap<i64, u64> = samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
        assert!(again || !column.is_empty(), "a series without samples");
        if !column.is_empty() {
            assert!(answer.insert(series.labels().clone(), column).is_none(), "a series twice");
        }
    }
    answer
}

/// The values alone are those of the samples, and equal keys have equal timestamps.
fn check_values(series: &dyn model::Series, samples: &Samples, times: &mut BTreeMap<Vec<u64>, Vec<i64>>) {
    let (mut key, mut values) = (Vec::new(), Vec::new());
    if !series.times_key(&mut key) || !series.read_values(&mut values).unwrap() {
        return;
    }
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&values), bits(&samples.values));
    let known = times.entry(key).or_insert_with(|| samples.timestamps.clone());
    assert_eq!(*known, samples.timestamps);
}

/// Series whose newest sample is no staleness marker, asked for as a query does that needs nothing else.
fn present(db: &Db, matchers: &[Matcher], (min_time, max_time): (i64, i64)) -> u64 {
    let hints = Hints { presence: true, unnamed: true, counted: true, ..Hints::default() };
    let set = db.select(&Selection { hints, ..selection(matchers, min_time, max_time) }).unwrap();
    let is_present = |series: &dyn model::Series| {
        let mut samples = Samples::default();
        series.read(&mut samples).unwrap();
        samples.values.last().is_some_and(|value| !is_stale(*value))
    };
    set.counted + set.series.iter().filter(|series| is_present(series.as_ref())).count() as u64
}

fn read_all(db: &Db) -> Answer {
    read(db, &[], i64::MIN, i64::MAX)
}

#[test]
fn samples_survive_sealing_and_reopening() {
    let folder = tempdir().unwrap();
    let mut expected = Answer::new();
    let mut db = open(folder.path());
    for round in 0..6 {
        for x in 0..30 {
            let labels = series("m", x);
            let mut batch = db.appender();
            for i in 0..50 {
                let timestamp = NOW - 10_000_000 + round * 1_000_000 + i * 15_000;
                let value = if i == 7 { stale_nan() } else { f64::from(x) / 10.0 + i as f64 };
                batch.append(&labels, Sample { timestamp, value }).unwrap();
                expected.entry(labels.clone()).or_default().insert(timestamp, value.to_bits());
            }
            assert_eq!(batch.commit(Durability::Disk).unwrap().samples, 50);
        }
        if round % 2 == 0 {
            assert_eq!(db.seal().unwrap().sealed_blocks, 1);
        }
        assert_eq!(read_all(&db), expected, "round {round}");
        db.close().unwrap();
        db = open(folder.path());
        assert_eq!(db.recovery().damaged_records, 0);
        assert_eq!(read_all(&db), expected, "round {round} reopened");
    }
    assert_eq!(db.status().blocks, 3);
}

#[test]
fn refuses_what_prometheus_refuses() {
    let folder = tempdir().unwrap();
    let options = Options { retention_time: Some(Duration::from_secs(3600)), ..options(folder.path()) };
    let db = Db::open(options).unwrap();
    let labels = series("m", 1);
    append(&db, &labels, NOW, 1.0).unwrap();
    let check = |labels: &Labels, timestamp, value, expected: &str| {
        let outcome = append(&db, labels, timestamp, value).map(|_| "taken".to_owned());
        assert_eq!(outcome.unwrap_or_else(|e| e.to_string()), expected, "{timestamp} {value}");
    };
    check(&labels, NOW, 1.0, "taken");
    check(&labels, NOW, 2.0, "duplicate sample for timestamp");
    check(&labels, NOW, f64::NAN, "duplicate sample for timestamp");
    check(&labels, NOW - 1000, 5.0, "taken");
    check(&labels, NOW - 1000, 6.0, "duplicate sample for timestamp");
    check(&labels, NOW + 600_000, 3.0, "taken");
    check(&labels, NOW + 600_001, 3.0, "timestamp is too far in the future");
    check(&labels, NOW - 3_600_000, 3.0, "taken");
    check(&labels, NOW - 3_600_001, 3.0, "out of bounds");
    check(&Labels::empty(), NOW, 1.0, "invalid label set: it is empty");
    check(&Labels::from_pairs([("", "x")]), NOW, 1.0, "invalid label set: a label name is empty");
}

#[test]
fn a_batch_is_all_or_nothing_and_counts_conflicts() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    let labels = series("m", 1);
    let mut dropped = db.appender();
    dropped.append(&labels, Sample { timestamp: NOW, value: 1.0 }).unwrap();
    assert!(read_all(&db).is_empty());
    drop(dropped);
    assert!(read_all(&db).is_empty());

    let (mut first, mut second) = (db.appender(), db.appender());
    for (batch, value) in [(&mut first, 1.0), (&mut second, 2.0)] {
        batch.append(&labels, Sample { timestamp: NOW, value }).unwrap();
        batch.append(&labels, Sample { timestamp: NOW + 1, value: 7.0 }).unwrap();
    }
    let first = first.commit(Durability::Kernel).unwrap();
    let second = second.commit(Durability::Kernel).unwrap();
    assert_eq!((first.samples, first.conflicting), (2, 0));
    assert_eq!((second.samples, second.conflicting), (1, 1));
}

#[test]
fn a_reference_saves_the_lookup_until_the_series_is_forgotten() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    let reference = append(&db, &series("m", 1), NOW, 1.0).unwrap();
    let again = |timestamp| {
        let mut batch = db.appender();
        batch.append_ref(reference, Sample { timestamp, value: 2.0 })?;
        batch.commit(Durability::Kernel)
    };
    again(NOW + 1).unwrap();
    db.seal().unwrap();
    again(NOW + 2).unwrap();
    db.seal().unwrap();
    db.seal().unwrap();
    assert!(matches!(again(NOW + 3), Err(AppendError::UnknownSeries)));
    assert_eq!(db.status().head_series, 0);
    append(&db, &series("m", 1), NOW + 3, 2.0).unwrap();
    assert_eq!(read_all(&db)[&series("m", 1)].len(), 4);
}

#[test]
fn a_batch_may_outlive_its_series_in_the_head() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    let mut batch = db.appender();
    batch.append(&series("m", 1), Sample { timestamp: NOW, value: 1.0 }).unwrap();
    db.seal().unwrap();
    db.seal().unwrap();
    batch.commit(Durability::Kernel).unwrap();
    assert_eq!(read_all(&db).len(), 1);
    db.close().unwrap();
    assert_eq!(read_all(&open(folder.path())).len(), 1);
}

#[test]
fn late_samples_go_to_the_block_of_their_time() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    for timestamp in [0, 1, DAY, 400 * DAY, 10_000 * DAY, NOW, NOW - DAY] {
        append(&db, &series("m", 1), timestamp, timestamp as f64).unwrap();
    }
    let expected = read_all(&db);
    assert_eq!(expected[&series("m", 1)].len(), 7);
    assert_eq!(db.seal().unwrap().sealed_blocks, 3);
    assert_eq!(read_all(&db), expected);
    let one = read(&db, &[], 300 * DAY, 500 * DAY);
    assert_eq!(one[&series("m", 1)].keys().copied().collect::<Vec<_>>(), [400 * DAY]);
}

#[test]
fn the_first_value_wins_across_blocks() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    let labels = series("m", 1);
    append(&db, &labels, NOW - 5, 1.0).unwrap();
    append(&db, &labels, NOW, 1.0).unwrap();
    db.seal().unwrap();
    assert!(matches!(append(&db, &labels, NOW, 9.0), Err(AppendError::DuplicateTimestamp)));
    append(&db, &labels, NOW - 5, 9.0).unwrap();
    db.seal().unwrap();
    assert_eq!(read_all(&db)[&labels], BTreeMap::from([(NOW - 5, 1f64.to_bits()), (NOW, 1f64.to_bits())]));
}

#[test]
fn matchers_and_labels_see_head_and_blocks() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    for (i, name) in ["a", "b", "c"].iter().enumerate() {
        append(&db, &series(name, i as u32), NOW - 1000 + i as i64, 1.0).unwrap();
        if i == 0 {
            db.seal().unwrap();
        }
    }
    let names = |op, value: &str| {
        let matchers = [Matcher::new(op, "__name__", value).unwrap()];
        read(&db, &matchers, i64::MIN, i64::MAX)
            .keys()
            .map(|l| l.metric_name().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(MatchOp::Match, "a|c"), "a c");
    assert_eq!(names(MatchOp::NotEqual, "b"), "a c");
    assert_eq!(names(MatchOp::NotMatch, "[ab]"), "c");
    let all = selection(&[], 0, i64::MAX);
    assert_eq!(db.label_names(&all).unwrap(), ["__name__", "x"]);
    assert_eq!(db.label_values("__name__", &all).unwrap(), ["a", "b", "c"]);
    assert_eq!(db.label_values("x", &selection(&[], NOW - 1000, NOW - 1000)).unwrap(), ["0"]);
    assert_eq!(db.label_values("x", &selection(&[], 5, 4)).unwrap(), [""; 0]);
}

#[test]
fn metadata_and_exemplars_come_back() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    let metadata = Metadata { kind: MetricKind::Counter, help: "Requests.".to_owned(), unit: String::new() };
    let exemplar = |value| Exemplar { labels: Labels::from_pairs([("trace_id", "1")]), value, timestamp: None };
    let mut batch = db.appender();
    let reference = batch.append(&series("m", 1), Sample { timestamp: NOW, value: 1.0 }).unwrap();
    batch.append_exemplar(reference, &exemplar(0.5)).unwrap();
    batch.set_metadata("m", &metadata).unwrap();
    batch.commit(Durability::Kernel).unwrap();
    let check = |db: &Db, exemplars: usize| {
        assert_eq!(db.metadata(Some("m")), [("m".to_owned(), metadata.clone())]);
        assert_eq!(db.metadata(Some("x")), []);
        let got = db.exemplars(&selection(&[Matcher::equal("x", "1")], NOW, NOW)).unwrap();
        assert_eq!(got.iter().map(|(_, list)| list.len()).sum::<usize>(), exemplars);
    };
    check(&db, 1);
    db.close().unwrap();
    let db = open(folder.path());
    check(&db, 1);
    db.seal().unwrap();
    db.close().unwrap();
    let log = folder.path().join("log");
    let db = open(folder.path());
    check(&db, 1);
    // Both the file and the log hold the second one, as when the process ends between the two steps of a sealing.
    let mut batch = db.appender();
    let reference = batch.append(&series("m", 1), Sample { timestamp: NOW - 1, value: 1.0 }).unwrap();
    batch.append_exemplar(reference, &exemplar(0.75)).unwrap();
    batch.commit(Durability::Disk).unwrap();
    let segment = std::fs::read_dir(&log).unwrap().next().unwrap().unwrap().path();
    let kept = std::fs::read(&segment).unwrap();
    db.seal().unwrap();
    db.close().unwrap();
    std::fs::write(&segment, kept).unwrap();
    std::fs::remove_dir_all(folder.path().join("blocks")).unwrap();
    let db = open(folder.path());
    assert_eq!(db.recovery().samples, 1);
    let got = db.exemplars(&selection(&[], NOW - 1, NOW)).unwrap();
    assert_eq!(got[0].1.iter().map(|e| e.value).collect::<Vec<_>>(), [0.75, 0.5]);
}

/// A sample an hour, sealed into one block for each day.
fn record(db: &Db, from: i64, to: i64) {
    for timestamp in (from..=to).step_by(3_600_000) {
        append(db, &series("m", 1), timestamp, 1.0).unwrap();
    }
    db.seal().unwrap();
}

#[test]
fn retention_removes_whole_blocks() {
    let folder = tempdir().unwrap();
    let days = |days: u64| Some(Duration::from_secs(days * 24 * 3600));
    let db = Db::open(Options { retention_time: days(10), ..options(folder.path()) }).unwrap();
    record(&db, NOW - 9 * DAY, NOW);
    assert_eq!((db.maintain(NOW).unwrap().removed_blocks, db.status().blocks), (0, 10));
    // The clock alone removes nothing: what counts is the newest sample.
    assert_eq!(db.maintain(NOW + 2 * DAY).unwrap().removed_blocks, 0);
    db.close().unwrap();
    let db = Db::open(Options { retention_time: days(4), ..options(folder.path()) }).unwrap();
    assert_eq!(db.maintain(NOW).unwrap().removed_blocks, 5);
    db.close().unwrap();
    let db = Db::open(Options { retention_size: Some(1), ..options(folder.path()) }).unwrap();
    assert_eq!(db.maintain(NOW).unwrap().removed_blocks, 5);
}

/// Log, metadata and what was set aside count too.
#[test]
fn retention_by_size_counts_the_whole_folder() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    record(&db, NOW - 2 * DAY, NOW);
    let mut batch = db.appender();
    batch.append(&series("m", 1), Sample { timestamp: NOW + 1, value: 1.0 }).unwrap();
    let help = "All the help there is.".repeat(100);
    batch.set_metadata("m", &Metadata { help, ..Metadata::default() }).unwrap();
    batch.commit(Durability::Disk).unwrap();
    db.seal().unwrap();
    append(&db, &series("m", 1), NOW + 2, 1.0).unwrap();
    let blocks = db.status().blocks;
    db.close().unwrap();
    let aside = folder.path().join("quarantine/0000000099");
    std::fs::create_dir_all(&aside).unwrap();
    std::fs::write(aside.join("block"), [0; 10_000]).unwrap();
    std::fs::remove_file(folder.path().join("reserve")).unwrap();
    let whole = ["blocks", "log", "quarantine"].map(|name| file_bytes(&folder.path().join(name)));
    let whole = whole.iter().sum::<u64>() + std::fs::metadata(folder.path().join("metadata")).unwrap().len();
    let check = |size_max, size, removed| {
        let db = Db::open(Options { retention_size: Some(size_max), ..options(folder.path()) }).unwrap();
        assert_eq!(db.status().size_bytes, size);
        assert_eq!(db.maintain(NOW).unwrap().removed_blocks, removed, "at most {size_max} of {whole}");
        assert_eq!(db.status().blocks, blocks - removed);
        db.close().unwrap();
    };
    check(whole, whole, 0);
    // What is damaged goes first, and is enough.
    assert!(aside.exists());
    check(whole - 1, whole, 0);
    assert!(!aside.exists());
    check(whole - 10_000, whole - 10_000, 0);
    check(whole - 10_001, whole - 10_000, 1);
}

/// Blocks that were set aside go with their time, those that cannot tell it with the blocks that are older.
#[test]
fn retention_removes_what_was_set_aside() {
    let folder = tempdir().unwrap();
    let aside = |number: u64| folder.path().join(format!("quarantine/{number:010}"));
    let open = |days: u64| {
        let retention_time = Some(Duration::from_secs(days * 24 * 3600));
        Db::open(Options { retention_time, ..options(folder.path()) }).unwrap()
    };
    let db = open(20);
    record(&db, NOW - 9 * DAY, NOW);
    let blocks = db.status().blocks;
    db.close().unwrap();
    // The first and the third block of ten, one a day; the first one can be read but for a column.
    let spoil = |number: u64, at: fn(usize) -> usize| {
        let path = folder.path().join(format!("blocks/{number:010}/block"));
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at(bytes.len());
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    spoil(1, |_| 20);
    spoil(3, |length| length - 1);
    let db = open(20);
    assert!(db.select(&selection(&[], NOW - 9 * DAY, NOW)).unwrap().series[0].read(&mut Samples::default()).is_err());
    db.maintain(NOW).unwrap();
    let warnings = |db: &Db| db.select(&selection(&[], 0, NOW)).unwrap().warnings.len();
    assert_eq!((db.status().quarantined, warnings(&db), db.status().blocks), (2, 2, blocks - 2));
    db.close().unwrap();
    for (days, kept, first, third) in
        [(20, 2, true, true), (8, 2, true, true), (7, 1, false, true), (6, 0, false, false)]
    {
        let db = open(days);
        db.maintain(NOW).unwrap();
        let there = (db.status().quarantined, aside(1).exists(), aside(3).exists());
        assert_eq!(there, (kept, first, third), "{days} days");
        db.close().unwrap();
    }
}

fn file_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { file_bytes(&path) } else { path.metadata().unwrap().len() }).sum()
}

/// The clock stands wrong for six hours of scraping and sealing, is right again, and the process may start in between.
#[test]
fn a_clock_that_jumps_loses_nothing() {
    let check = |jump: i64, reopened: bool| {
        let folder = tempdir().unwrap();
        let clock = Arc::new(TestClock::new(NOW));
        let retention_time = Some(Duration::from_secs(24 * 3600));
        let clocked = || Options { retention_time, clock: Arc::clone(&clock) as _, ..options(folder.path()) };
        let mut db = Db::open(clocked()).unwrap();
        let labels = series("m", 1);
        let mut kept = BTreeMap::new();
        let mut scrape = |db: &Db, at: i64, error: i64| {
            let at_clock = at + error;
            clock.set(at_clock);
            let value = at as f64;
            append(db, &labels, at_clock, value).unwrap_or_else(|e| panic!("{jump} {reopened}: {e} at {at_clock}"));
            let early = append(db, &labels, at_clock + 600_001, 0.0).unwrap_err();
            assert!(matches!(early, AppendError::TooFarInFuture), "{early}");
            if error > 600_000 {
                // Somebody whose clock is right goes on sending.
                append(db, &labels, at + 2000, value).unwrap();
                kept.insert(at + 2000, value.to_bits());
            }
            kept.insert(at_clock, value.to_bits());
            db.maintain(at_clock).unwrap();
            assert_eq!(read_all(db)[&labels], kept, "{jump} {reopened} at {at}");
        };
        for minute in (0..18 * 60).step_by(10) {
            let is_wrong = (6 * 60..12 * 60).contains(&minute);
            if reopened && [6 * 60, 12 * 60].contains(&minute) {
                db.close().unwrap();
                db = Db::open(clocked()).unwrap();
            }
            // Seconds apart from other times, so that a clock set back does not say a time twice.
            scrape(&db, NOW + minute * 60_000, if is_wrong { jump + 1000 } else { 0 });
        }
        assert!(db.status().blocks > 4, "{} blocks", db.status().blocks);
    };
    for jump in [366 * DAY, -DAY / 4, -NOW, DAY / 3] {
        check(jump, false);
        check(jump, true);
    }
}

#[test]
fn the_blocks_of_a_past_day_become_one() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    let today = NOW.div_euclid(DAY) * DAY;
    for (round, timestamp) in [today - 9000, today - 7000, today - 9500, today, today + 1000].into_iter().enumerate() {
        for x in 0..=round as u32 {
            append(&db, &series("m", x), timestamp, f64::from(x)).unwrap();
        }
        append(&db, &series("same", 0), today - 100, round as f64).ok();
        db.seal().unwrap();
    }
    let expected = read_all(&db);
    assert_eq!(expected[&series("same", 0)].values().copied().collect::<Vec<_>>(), [0f64.to_bits()]);
    let numbers = |db: &Db| db.status().blocks;
    assert_eq!(numbers(&db), 3);
    db.close().unwrap();
    let db = open(folder.path());
    assert_eq!(read_all(&db), expected);
    assert_eq!(db.recovery().samples, 0);
}

#[test]
fn the_head_is_sealed_when_it_is_time() {
    let folder = tempdir().unwrap();
    let clock = Arc::new(TestClock::new(NOW));
    let db = Db::open(Options { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..options(folder.path()) }).unwrap();
    append(&db, &series("m", 1), NOW, 1.0).unwrap();
    let sealed_after = |wait: i64| {
        clock.set(NOW + wait);
        db.maintain(NOW + wait).unwrap().sealed_blocks
    };
    assert_eq!(sealed_after(7_199_999), 0);
    assert_eq!(sealed_after(7_200_000), 1);
    assert_eq!(sealed_after(20_000_000), 0);
    let small = Db::open(Options { head_bytes_max: 1, ..options(&folder.path().join("small")) }).unwrap();
    append(&small, &series("m", 1), NOW, 1.0).unwrap();
    append(&small, &series("m", 1), NOW + 1, 1.0).unwrap();
    assert_eq!(small.status().blocks, 1);
}

#[test]
fn the_log_is_synced_when_it_is_time() {
    let check = |sync_interval: u64, waits: &[i64], expected: &[u64]| {
        let folder = tempdir().unwrap();
        let clock = Arc::new(TestClock::new(NOW));
        let sync_interval = Duration::from_secs(sync_interval);
        let db = Db::open(Options { clock: Arc::clone(&clock) as _, sync_interval, ..options(folder.path()) }).unwrap();
        let got: Vec<u64> = waits
            .iter()
            .map(|wait| {
                clock.set(NOW + wait);
                append(&db, &series("m", 1), NOW + wait, 1.0).unwrap();
                db.maintain(NOW + wait).unwrap();
                fsyncs(&db)
            })
            .collect();
        assert_eq!(got, expected, "{sync_interval:?}");
    };
    check(30, &[10_000, 20_000, 30_000, 40_000, 57_500, 1_000], &[0, 0, 1, 1, 2, 3]);
    check(0, &[1, 2, 3], &[1, 2, 3]);
}

fn fsyncs(db: &Db) -> u64 {
    let mut families = Families::default();
    db.collect(&mut families).unwrap();
    families.iter().find(|f| f.name == "skep_tsdb_log_fsyncs_total").map_or(0, |f| f.points[0].value as u64)
}

#[test]
fn a_second_process_is_refused_by_name() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    let error = Db::open(options(folder.path())).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }));
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    db.close().unwrap();
    assert!(matches!(append(&db, &series("m", 1), NOW, 1.0), Err(AppendError::Storage(_))));
    open(folder.path());
}

#[test]
fn limits_are_named() {
    let folder = tempdir().unwrap();
    let db = Db::open(Options { head_series_max: 2, ..options(folder.path()) }).unwrap();
    append(&db, &series("m", 1), NOW, 1.0).unwrap();
    append(&db, &series("m", 2), NOW, 1.0).unwrap();
    let error = append(&db, &series("m", 3), NOW, 1.0).unwrap_err();
    assert!(error.to_string().starts_with("2 series are in memory"), "{error}");
    append(&db, &series("m", 1), NOW + 1, 1.0).unwrap();
}

#[test]
fn many_threads_append_and_ask() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let db = &db;
            scope.spawn(move || {
                for i in 0..100 {
                    let mut batch = db.appender();
                    for x in 0..20 {
                        let sample = Sample { timestamp: NOW - 1_000_000 + i * 1000, value: i as f64 };
                        batch.append(&series(&format!("m{thread}"), x), sample).unwrap();
                    }
                    let durability = if i % 10 == 0 { Durability::Disk } else { Durability::Kernel };
                    assert_eq!(batch.commit(durability).unwrap().samples, 20);
                    if i % 40 == 20 {
                        db.seal().unwrap();
                    }
                    // Every batch is whole: all series of a name have the same number of samples.
                    let name = Matcher::equal("__name__", format!("m{}", (thread + 1) % 4));
                    let answer = read_as(db, &[name], (0, i64::MAX), thread % 2 == 0);
                    let lengths: Vec<usize> = answer.values().map(BTreeMap::len).collect();
                    assert!(lengths.windows(2).all(|two| two[0] == two[1]), "{lengths:?}");
                }
            });
        }
    });
    assert_eq!(read_all(&db).values().map(BTreeMap::len).sum::<usize>(), 4 * 100 * 20);
}

/// What a test does to the store.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u32, i64, u64)>),
    Churn(u32),
    Seal,
    Reopen,
    Query(i64, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop_oneof![(0u32..5).prop_map(|v| f64::from(v).to_bits()), any::<u64>()];
    let time = prop_oneof![4 => NOW - 3_000_000..NOW, 1 => 0..NOW];
    let sample = (0u32..5, time.prop_map(|t| t / 10_000 * 10_000), value);
    let step = prop_oneof![
        8 => prop::collection::vec(sample, 1..40).prop_map(Step::Append),
        1 => (10u32..60).prop_map(Step::Churn),
        1 => Just(Step::Seal),
        1 => Just(Step::Reopen),
        2 => (NOW - 4_000_000..NOW, 0i64..2_000_000).prop_map(|(from, span)| Step::Query(from, from + span)),
    ];
    prop::collection::vec(step, 1..25)
}

/// The store without log, head and blocks.
#[derive(Default)]
struct Naive(Answer);

impl Naive {
    fn between(&self, min_time: i64, max_time: i64) -> Answer {
        let cut = |column: &BTreeMap<i64, u64>| column.range(min_time..=max_time).map(|(t, v)| (*t, *v)).collect();
        let all = self.0.iter().map(|(labels, column)| (labels.clone(), cut(column)));
        all.filter(|(_, column): &(Labels, BTreeMap<i64, u64>)| !column.is_empty()).collect()
    }
}

/// An hour of scrapes, in which every five minutes other series take the place of those that were there.
fn churn(db: &Db, first: u32, naive: &mut Naive) {
    for minute in 0..60 {
        let timestamp = NOW - 3_700_000 + i64::from(minute) * 60_000;
        let mut batch = db.appender();
        for pod in 0..4 {
            let (labels, value) = (series("m", first + minute / 5 * 4 + pod), f64::from(minute * pod));
            if batch.append(&labels, Sample { timestamp, value }).is_ok() {
                naive.0.entry(labels).or_default().entry(timestamp).or_insert(value.to_bits());
            }
        }
        batch.commit(Durability::Kernel).unwrap();
    }
}

fn run(steps: Vec<Step>) {
    let disk = CrashDisk::new();
    let open = || {
        let disk = Arc::new(disk.clone());
        Db::open(Options { disk, ..options(Path::new("/data")) }).unwrap()
    };
    let mut db = open();
    let mut naive = Naive::default();
    for step in steps {
        match step {
            Step::Append(samples) => {
                let mut batch = db.appender();
                for (x, timestamp, bits) in samples {
                    let labels = series("m", x);
                    // Conflicts with what is known are refused at once; the others are found at commit or on reading.
                    if batch.append(&labels, Sample { timestamp, value: f64::from_bits(bits) }).is_ok() {
                        naive.0.entry(labels).or_default().entry(timestamp).or_insert(bits);
                    }
                }
                batch.commit(Durability::Kernel).unwrap();
            }
            Step::Churn(first) => churn(&db, first, &mut naive),
            Step::Seal => drop(db.seal().unwrap()),
            Step::Reopen => {
                db.close().unwrap();
                db = open();
            }
            Step::Query(min_time, max_time) => {
                assert_eq!(read(&db, &[], min_time, max_time), naive.between(min_time, max_time));
            }
        }
    }
    assert_eq!(read_all(&db), naive.between(i64::MIN, i64::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400 * testkit::soak_factor() as u32))]
    #[test]
    fn answers_as_the_naive_store(steps in steps()) {
        run(steps);
    }
}

/// A thousand large label sets made one record that no frame may hold, and the batch was refused.
#[test]
fn large_label_sets_come_back() {
    let folder = tempdir().unwrap();
    let db = open(folder.path());
    let mut batch = db.appender();
    for i in 0..1000 {
        let labels = Labels::from_pairs([("x", format!("{i:04}{}", "x".repeat(40_000)))]);
        batch.append(&labels, Sample { timestamp: NOW, value: 1.0 }).unwrap();
    }
    batch.commit(Durability::Kernel).unwrap();
    drop(db);
    assert_eq!(read(&open(folder.path()), &[], NOW, NOW).len(), 1000);
}

/// What is written into files without names is gone with the process: nobody is told that it is kept.
#[test]
fn a_folder_that_is_removed_is_noticed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("data");
    let check = |what: &str, name: &str| {
        let clock = Arc::new(TestClock::new(NOW));
        let db = Db::open(Options { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..options(&path) }).unwrap();
        append(&db, &series("m", 1), NOW, 1.0).unwrap();
        std::fs::remove_dir_all(path.join(what)).unwrap();
        clock.set(NOW + 1000);
        let expected = format!(
            "find {}: it was removed while skep runs; stop skep, put the folder back or restore a backup, start skep again",
            path.join(name).display()
        );
        let refused = append(&db, &series("m", 1), NOW + 1, 1.0).unwrap_err();
        assert_eq!(refused.to_string(), expected);
        assert_eq!(db.status().read_only_reason, expected);
        let outcomes = [db.maintain(NOW).map(drop), db.seal().map(drop), db.delete_series(&[], 0, NOW)];
        assert_eq!(
            outcomes.map(|outcome| outcome.unwrap_err().to_string()),
            [expected.clone(), expected.clone(), expected]
        );
        // What is in memory is still answered.
        assert_eq!(read_all(&db).len(), 1);
        drop(db);
        std::fs::remove_dir_all(&path).ok();
    };
    check("", "log");
    check("log", "log");
    check("blocks", "blocks");
}
