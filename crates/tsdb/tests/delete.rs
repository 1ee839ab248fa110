//! Samples that were deleted stay deleted: in every answer, after every power cut, through sealing, merging and cleaning.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use model::status::Store;
use model::{
    Appendable, Collector, Durability, Exemplar, Families, Hints, Labels, MatchOp, Matcher, Queryable, Sample,
    Selection,
};
use proptest::prelude::*;
use testkit::{Content, CrashDisk, Loss, TestClock, content};
use tsdb::{Db, Disk, Options};

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 24 * 3_600_000;

fn open(disk: &CrashDisk) -> Db {
    let clock = Arc::new(TestClock::new(NOW));
    let disk = Arc::new(disk.clone());
    Db::open(Options { path: "/data".into(), retention_time: None, clock, disk, ..Options::default() }).unwrap()
}

fn labels(x: u32) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("x", &x.to_string())])
}

fn of(x: &str) -> Vec<Matcher> {
    vec![Matcher::new(MatchOp::Match, "x", x).unwrap()]
}

fn append(db: &Db, samples: &[(u32, i64, f64)]) -> Content {
    let mut content = Content::new();
    let mut batch = db.appender();
    for &(x, timestamp, value) in samples {
        batch.append(&labels(x), Sample { timestamp, value }).unwrap();
        content.insert((x, timestamp), value.to_bits());
    }
    batch.commit(Durability::Disk).unwrap();
    content
}

fn selection(matchers: &[Matcher], min_time: i64, max_time: i64) -> Selection<'_> {
    Selection { matchers, min_time, max_time, hints: Hints::default() }
}

fn read(db: &Db, min_time: i64, max_time: i64) -> Content {
    content(db, min_time, max_time).unwrap()
}

fn read_all(db: &Db) -> Content {
    read(db, i64::MIN, i64::MAX)
}

fn values(db: &Db) -> Vec<String> {
    db.label_values("x", &selection(&[], i64::MIN, i64::MAX)).unwrap()
}

/// Deleted stretches of series that take space.
fn tombstones(db: &Db) -> f64 {
    let mut families = Families::default();
    db.collect(&mut families).unwrap();
    families.iter().find(|family| family.name == "skep_tsdb_tombstones").unwrap().points[0].value
}

#[test]
fn deleted_samples_are_gone_and_new_ones_stay() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    let rows: Vec<(u32, i64, f64)> =
        (0..4).flat_map(|x| (0..10).map(move |i| (x, NOW + i * 1000, f64::from(x)))).collect();
    let mut expected = append(&db, &rows);
    db.delete_series(&of("1|2"), NOW + 2000, NOW + 5000).unwrap();
    expected.retain(|&(x, time), _| !((1..=2).contains(&x) && (NOW + 2000..=NOW + 5000).contains(&time)));
    assert_eq!(read_all(&db), expected);
    assert_eq!(tombstones(&db), 2.0);
    // Another value at a deleted time, and the same one again, are new samples; elsewhere they are refused as ever.
    expected.extend(append(&db, &[(1, NOW + 3000, 77.0), (2, NOW + 3000, 2.0)]));
    assert_eq!(read_all(&db), expected);
    db.delete_series(&of("3"), i64::MIN, i64::MAX).unwrap();
    expected.retain(|&(x, _), _| x != 3);
    expected.extend(append(&db, &[(3, NOW + 9000, 5.0)]));
    assert_eq!(read_all(&db), expected);
    db.delete_series(&of("3"), i64::MIN, i64::MAX).unwrap();
    expected.retain(|&(x, _), _| x != 3);
    assert_eq!((read_all(&db), values(&db)), (expected.clone(), vec!["0".to_owned(), "1".to_owned(), "2".to_owned()]));
    // The second block lost nothing, the third all it had.
    assert_eq!(db.clean_tombstones().unwrap(), 2);
    assert_eq!((read_all(&db), tombstones(&db)), (expected.clone(), 0.0));
    drop(db);
    let db = open(&disk);
    assert_eq!((read_all(&db), tombstones(&db)), (expected, 0.0));
}

#[test]
fn what_is_empty_is_not_named() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    append(&db, &[(0, NOW, 1.0), (0, NOW + 5000, 1.0), (0, NOW + 9000, 1.0), (1, NOW, 1.0)]);
    db.delete_series(&of("0"), NOW + 5000, NOW + 5000).unwrap();
    let named = |min_time, max_time| db.select(&selection(&[], min_time, max_time)).unwrap().series.len();
    assert_eq!((named(NOW + 1, NOW + 8999), named(NOW + 1, NOW + 9000), named(NOW, NOW)), (0, 1, 2));
    db.delete_series(&[], i64::MIN, i64::MAX).unwrap();
    assert_eq!((read_all(&db).len(), values(&db)), (0, vec![]));
    assert_eq!(db.clean_tombstones().unwrap(), 1);
    assert_eq!(disk.list("/data/blocks".as_ref()).unwrap(), [""; 0]);
    drop(db);
    assert_eq!(read_all(&open(&disk)), Content::new());
}

#[test]
fn nothing_is_deleted_where_nothing_matches() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    let content = append(&db, &[(0, NOW, 1.0), (1, NOW + 1000, 1.0)]);
    let check = |matchers: &[Matcher], min_time, max_time| {
        let operations = disk.operations();
        db.delete_series(matchers, min_time, max_time).unwrap();
        assert_eq!(disk.operations(), operations, "{matchers:?} {min_time} {max_time}");
        assert_eq!((read_all(&db), tombstones(&db)), (content.clone(), 0.0), "{matchers:?} {min_time} {max_time}");
    };
    check(&of("5"), i64::MIN, i64::MAX);
    check(&of("0"), NOW + 1, i64::MAX);
    check(&of("0|1"), NOW + 1, NOW + 999);
    check(&of("0"), NOW, NOW - 1);
    db.seal().unwrap();
    check(&of("5"), i64::MIN, i64::MAX);
    check(&of("0"), NOW, NOW - 1);
    // What is deleted already is not written down again.
    db.delete_series(&of("0"), NOW - 5, NOW + 5).unwrap();
    let operations = disk.operations();
    db.delete_series(&of("0"), NOW, NOW + 3).unwrap();
    assert_eq!(disk.operations(), operations);
    db.close().unwrap();
    let outcomes = [db.delete_series(&of("1"), 0, i64::MAX), db.clean_tombstones().map(drop)];
    assert_eq!(outcomes.map(|outcome| outcome.unwrap_err().to_string()), ["the store is closed"; 2]);
}

#[test]
fn merging_drops_what_was_deleted() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    let day = NOW.div_euclid(DAY) * DAY;
    let mut expected = Content::new();
    for round in 0..2 {
        expected.extend(append(&db, &[(0, day - 9000 + round, 1.0), (1, day - 8000 + round, 2.0)]));
        db.seal().unwrap();
    }
    db.delete_series(&of("1"), day - 8000, day - 8000).unwrap();
    expected.remove(&(1, day - 8000));
    expected.extend(append(&db, &[(2, day + 1000, 3.0)]));
    assert_eq!(tombstones(&db), 1.0);
    db.seal().unwrap();
    assert_eq!((read_all(&db), tombstones(&db)), (expected, 0.0));
    assert_eq!(disk.list("/data/blocks".as_ref()).unwrap().len(), 2);
}

/// Series and time of all exemplars.
type Marks = BTreeSet<(u32, i64)>;

fn append_exemplars(db: &Db, marks: &[(u32, i64)]) -> Marks {
    let mut batch = db.appender();
    for &(x, time) in marks {
        let series = batch.append(&labels(x), Sample { timestamp: time, value: f64::from(x) }).unwrap();
        let labels = Labels::from_pairs([("trace_id", time.to_string())]);
        batch.append_exemplar(series, &Exemplar { labels, value: 0.5, timestamp: Some(time) }).unwrap();
    }
    batch.commit(Durability::Disk).unwrap();
    marks.iter().copied().collect()
}

fn read_exemplars(db: &Db) -> Marks {
    let found = db.exemplars(&selection(&[], i64::MIN, i64::MAX)).unwrap();
    let x = |labels: &Labels| labels.get("x").unwrap().parse().unwrap();
    found.iter().flat_map(|(labels, list)| list.iter().map(move |e| (x(labels), e.timestamp.unwrap()))).collect()
}

#[test]
fn exemplars_are_deleted_with_their_series() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    let mut marks = append_exemplars(&db, &[(0, NOW), (0, NOW + 1000), (1, NOW), (2, NOW)]);
    let mut check = |db: &Db, matchers: &[Matcher], min_time, max_time, gone: &[(u32, i64)]| {
        db.delete_series(matchers, min_time, max_time).unwrap();
        marks.retain(|mark| !gone.contains(mark));
        assert_eq!(read_exemplars(db), marks, "{matchers:?}");
        // The file and the log say the same, whatever the file was before.
        assert_eq!(read_exemplars(&open(&disk.copy())), marks, "{matchers:?}, opened again");
    };
    check(&db, &of("5"), i64::MIN, i64::MAX, &[]);
    check(&db, &of("0"), NOW + 1, NOW + 999, &[]);
    check(&db, &of("0"), NOW + 1000, NOW + 1000, &[(0, NOW + 1000)]);
    check(&db, &of("0|1"), NOW, NOW, &[(0, NOW), (1, NOW)]);
    // A page that goes on showing one shows a new one.
    append_exemplars(&db, &[(1, NOW)]);
    assert_eq!(read_exemplars(&db), Marks::from([(1, NOW), (2, NOW)]));
}

/// What is done in the life of [`a_power_cut_does_not_bring_back_what_was_deleted`].
#[derive(Clone, Copy, Debug)]
enum Act {
    Append(i64),
    Delete(&'static str, i64, i64),
    Clean,
    Seal,
}

/// Every image that a power cut leaves while samples and exemplars are deleted, blocks merged and cleaned: what was deleted
/// and acknowledged does not come back, what was not deleted is there.
#[test]
fn a_power_cut_does_not_bring_back_what_was_deleted() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    // The end of yesterday, whose blocks are merged.
    let past = NOW.div_euclid(DAY) * DAY - 9000;
    let rows = |start: i64| (0..3).flat_map(move |x| (0..6).map(move |i| (x, start + i * 1000, f64::from(x))));
    let (mut content, mut marks) = (Content::new(), Marks::new());
    let mut milestones = vec![(disk.operations(), content.clone(), marks.clone())];
    let acts = [
        Act::Append(NOW - 2000),
        Act::Delete("1", NOW, NOW + 1000),
        Act::Append(past),
        Act::Delete("0|1", NOW + 1000, NOW + 2000),
        Act::Clean,
        Act::Append(past + 500),
        Act::Delete("1", past, past + 2000),
        Act::Seal,
        Act::Delete("2", i64::MIN, i64::MAX),
        Act::Clean,
        Act::Append(NOW + 3500),
        Act::Delete(".*", i64::MIN, i64::MAX),
        Act::Clean,
    ];
    for act in acts {
        match act {
            Act::Append(start) => {
                // Half of a commit may be there when it is not acknowledged, so each is two.
                content.extend(append(&db, &rows(start).collect::<Vec<_>>()));
                milestones.push((disk.operations(), content.clone(), marks.clone()));
                marks.extend(append_exemplars(&db, &[(0, start + 6000), (1, start + 6000), (2, start)]));
                content.extend(
                    [(0, start + 6000), (1, start + 6000), (2, start)]
                        .map(|(x, time)| ((x, time), f64::from(x).to_bits())),
                );
            }
            Act::Delete(x, min_time, max_time) => {
                db.delete_series(&of(x), min_time, max_time).unwrap();
                let is_gone = |y: u32, time| of(x)[0].matches(&y.to_string()) && (min_time..=max_time).contains(&time);
                content.retain(|&(y, time), _| !is_gone(y, time));
                marks.retain(|&(y, time)| !is_gone(y, time));
            }
            Act::Clean => drop(db.clean_tombstones().unwrap()),
            Act::Seal => drop(db.seal().unwrap()),
        }
        assert_eq!((read_all(&db), read_exemplars(&db)), (content.clone(), marks.clone()), "{act:?}");
        milestones.push((disk.operations(), content.clone(), marks.clone()));
    }
    for operations in 0..=disk.operations() {
        for loss in [Loss::Nothing, Loss::Everything].into_iter().chain((0..12).map(Loss::Some)) {
            let db = open(&disk.image(operations, loss));
            let (got, got_marks) = (read_all(&db), read_exemplars(&db));
            let next = milestones.partition_point(|(at, ..)| *at <= operations).max(1);
            let (_, before, marks_before) = &milestones[next - 1];
            let (_, after, marks_after) = milestones.get(next).unwrap_or(&milestones[next - 1]);
            let at = format!("after {operations} operations, losing {loss:?}");
            let is_told =
                |(key, bits): (&(u32, i64), &u64)| [before, after].iter().any(|all| all.get(key) == Some(bits));
            assert!(got.iter().all(is_told), "deleted samples came back {at}");
            let is_sure = |(key, bits): (&(u32, i64), &u64)| after.get(key) != Some(bits) || got.get(key) == Some(bits);
            assert!(before.iter().all(is_sure), "lost samples {at}");
            assert!(
                got_marks.iter().all(|m| marks_before.contains(m) || marks_after.contains(m)),
                "exemplars came back {at}"
            );
            assert!(marks_before.intersection(marks_after).all(|m| got_marks.contains(m)), "lost exemplars {at}");
        }
    }
}

/// A block that lost a twentieth of its samples is written anew, one that lost less is left as it is.
#[test]
fn what_is_much_deleted_is_cleaned_by_itself() {
    let check = |x: &str, min_time: i64, expected: f64| {
        let disk = CrashDisk::new();
        let db = open(&disk);
        let rows: Vec<_> = (0..10).flat_map(|x| (0..100).map(move |i| (x, NOW - 100 + i, f64::from(x)))).collect();
        let mut content = append(&db, &rows);
        db.delete_series(&of(x), min_time, NOW).unwrap();
        content.retain(|&(y, time), _| !of(x)[0].matches(&y.to_string()) || time < min_time);
        let files = || disk.files().into_iter().filter(|(path, _)| path.ends_with("tombstones")).count();
        assert_eq!(files(), 1, "{x} {min_time}");
        let size = |disk: &CrashDisk| {
            let files = disk.files().into_iter().filter(|(path, _)| !path.ends_with("reserve"));
            files.map(|(_, length)| length as u64).sum::<u64>()
        };
        let reserve = || db.status().size_bytes - size(&disk);
        assert_eq!(reserve() % (2 << 20), 0, "the list counts");
        db.maintain(NOW).unwrap();
        assert_eq!((tombstones(&db), files() as f64), (expected, expected.min(1.0)), "{x} {min_time}");
        assert_eq!((read_all(&db), reserve() % (2 << 20)), (content, 0), "{x} {min_time}");
    };
    check("0", NOW - 50, 1.0);
    check("0", NOW - 51, 0.0);
    check("0|1|2", NOW - 5, 3.0);
    check("0|1|2", NOW - 50, 0.0);
}

#[test]
fn a_damaged_list_of_deleted_samples_is_noticed() {
    let disk = CrashDisk::new();
    let db = open(&disk);
    append(&db, &[(0, NOW, 1.0), (0, NOW + 1000, 2.0), (1, NOW, 3.0)]);
    db.delete_series(&of("0"), NOW, NOW).unwrap();
    let left = read_all(&db);
    drop(db);
    let (path, length) = disk.files().into_iter().find(|(path, _)| path.ends_with("tombstones")).unwrap();
    for byte in 0..length {
        let damaged = disk.copy();
        damaged.flip(&path, byte, 1 << (byte % 8));
        let db = open(&damaged);
        let set = db.select(&selection(&[], i64::MIN, i64::MAX)).unwrap();
        assert!(set.series.is_empty() && !set.warnings.is_empty(), "byte {byte}");
    }
    assert_eq!(read_all(&open(&disk)), left);
}

/// A step in the life of a store.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u32, i64, u8)>),
    Delete(u32, i64, i64),
    Seal,
    Clean,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sample = (0u32..4, -40i64..40, any::<u8>());
    let step = prop_oneof![
        4 => prop::collection::vec(sample, 1..12).prop_map(Step::Append),
        3 => (0u32..5, -45i64..45, 0i64..30).prop_map(|(x, min_time, length)| Step::Delete(x, min_time, length)),
        2 => Just(Step::Seal),
        1 => Just(Step::Clean),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn answers_as_a_map(steps in steps()) {
        // Forty steps to a day, so that blocks of several days come about and are merged.
        let time = |at: i64| NOW + at * DAY / 40;
        let disk = CrashDisk::new();
        let mut db = open(&disk);
        let mut model = Content::new();
        for step in steps {
            match &step {
                Step::Append(samples) => {
                    let mut batch = db.appender();
                    for &(x, at, value) in samples.iter().filter(|(_, at, _)| *at < 0) {
                        // A value that differs at a time that is taken is refused; here the first one written stays.
                        model.entry((x, time(at))).or_insert_with(|| {
                            let sample = Sample { timestamp: time(at), value: f64::from(value) };
                            batch.append(&labels(x), sample).unwrap();
                            sample.value.to_bits()
                        });
                    }
                    batch.commit(Durability::Kernel).unwrap();
                }
                Step::Delete(x, min_time, length) => {
                    let (min_time, max_time) = (time(*min_time), time(min_time + length));
                    db.delete_series(&of(&x.to_string()), min_time, max_time).unwrap();
                    model.retain(|&(y, at), _| y != *x || !(min_time..=max_time).contains(&at));
                }
                Step::Seal => drop(db.seal().unwrap()),
                Step::Clean => drop(db.clean_tombstones().unwrap()),
                Step::Reopen => {
                    db.close().unwrap();
                    drop(db);
                    db = open(&disk);
                }
            }
            prop_assert_eq!(&read_all(&db), &model, "{:?}", step);
            let part = read(&db, time(-30), time(-10));
            let expected: Content = model.iter().filter(|((_, at), _)| (time(-30)..=time(-10)).contains(at)).map(|(k, v)| (*k, *v)).collect();
            prop_assert_eq!(part, expected, "{:?}", step);
        }
    }
}
