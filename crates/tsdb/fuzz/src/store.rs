//! The whole store, driven by bytes, beside one that is a map.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Appendable, Clock, Durability, Hints, Labels, MatchOp, Matcher, Queryable, Sample, Samples, Selection};
use testkit::{CrashDisk, TestClock};
use tsdb::{Db, Options};

use super::input::Input;

const START: i64 = 480_000 * 3_600_000;
const INTERVAL: i64 = 15_000;
const DAY: i64 = 86_400_000;

/// Steps of one input; more make it slow and say nothing new.
const STEPS_MAX: usize = 60;

/// Values by series and time.
type Content = BTreeMap<(u8, i64), u64>;

struct Run {
    disk: CrashDisk,
    clock: Arc<TestClock>,
    db: Option<Db>,
    naive: Content,
    /// Time of the newest scrape.
    newest: i64,
    backups: u32,
}

/// Appends in order and out of order, again and with other values, seals, merges, deletes, cleans, opens again, copies
/// and asks; panics where an answer differs from the map's.
pub fn store(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut run = Run::new();
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        run.step(&mut input);
    }
    run.ask(i64::MIN, i64::MAX, &[]);
    run.reopen(true);
}

fn open(disk: &CrashDisk, clock: &Arc<TestClock>, path: &Path) -> Db {
    let (disk, clock) = (Arc::new(disk.clone()), Arc::clone(clock) as _);
    Db::open(Options { path: path.to_owned(), retention_time: None, disk, clock, ..Options::default() })
        .expect("a sound folder opens")
}

fn labels(series: u8) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("x", &series.to_string())])
}

/// Values as they come: small, repeated, decimal, any.
fn value(input: &mut Input<'_>) -> f64 {
    match input.byte() {
        0..=99 => f64::from(input.byte() % 4),
        100..=179 => f64::from(input.word()) / 100.0,
        180..=199 => model::stale_nan(),
        200..=219 => f64::from(input.word()) * 1e15,
        _ => f64::from_bits(input.long()),
    }
}

impl Run {
    fn new() -> Self {
        let (disk, clock) = (CrashDisk::new(), Arc::new(TestClock::new(START)));
        let db = Some(open(&disk, &clock, Path::new("/data")));
        Self { disk, clock, db, naive: Content::new(), newest: START, backups: 0 }
    }

    fn db(&self) -> &Db {
        self.db.as_ref().expect("it is open between steps")
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0..=4 => self.append(input),
            5..=6 => self.append_many(input),
            7 => drop(self.db().seal().expect("sealing")),
            8 => self.maintain(input),
            9 => self.delete(input),
            10 => drop(self.db().clean_tombstones().expect("cleaning")),
            11 => self.reopen(true),
            12 => self.reopen(false),
            13 => self.back_up(),
            _ => self.query(input),
        }
    }

    /// One batch of samples at any time.
    fn append(&mut self, input: &mut Input<'_>) {
        let samples = (0..1 + input.byte() % 12).map(|_| {
            let (series, how) = (input.byte() % 6, input.byte());
            let timestamp = match how {
                0..=149 => self.newest + i64::from(how % 3) * INTERVAL,
                150..=229 => START + i64::from(input.word() % 500) * INTERVAL,
                _ => START - i64::from(input.word()) * DAY / 100,
            };
            (series, Sample { timestamp, value: value(input) })
        });
        let samples: Vec<_> = samples.collect();
        self.commit(&samples);
    }

    /// Many samples of one series, as regular as scrapes are.
    fn append_many(&mut self, input: &mut Input<'_>) {
        let (series, count, jitter) = (input.byte() % 6, i64::from(input.byte()), i64::from(input.byte() % 8));
        let (first, by) = (value(input), f64::from(input.byte() % 16) / 4.0);
        let at = |i: i64| self.newest + i * INTERVAL + i * i % (jitter + 1);
        let samples: Vec<_> =
            (0..count).map(|i| (series, Sample { timestamp: at(i), value: first + by * i as f64 })).collect();
        self.commit(&samples);
    }

    fn commit(&mut self, samples: &[(u8, Sample)]) {
        let newest = samples.iter().map(|(_, sample)| sample.timestamp).max().unwrap_or(START);
        self.newest = self.newest.max(newest);
        self.clock.set(self.clock.now().max(self.newest));
        let db = self.db.as_ref().expect("it is open between steps");
        let mut batch = db.appender();
        for &(series, sample) in samples {
            // A conflict with what is in memory is refused at once; one with a block loses when it is read.
            if batch.append(&labels(series), sample).is_ok() {
                self.naive.entry((series, sample.timestamp)).or_insert(sample.value.to_bits());
            }
        }
        batch.commit(Durability::Kernel).expect("a commit");
    }

    /// Time goes on, so that the head is sealed and the blocks of days that are over are merged.
    fn maintain(&mut self, input: &mut Input<'_>) {
        self.clock.set(self.clock.now() + i64::from(input.byte()) * DAY / 64);
        self.newest = self.clock.now();
        for _ in 0..3 {
            self.db().maintain(self.clock.now()).expect("maintenance");
        }
    }

    fn delete(&mut self, input: &mut Input<'_>) {
        let (first, length) = (i64::from(input.word() % 600), i64::from(input.byte()) * 4);
        let (min_time, max_time) = (START + first * INTERVAL, START + (first + length) * INTERVAL);
        let (min_time, max_time) = if length == 0 { (i64::MIN, i64::MAX) } else { (min_time, max_time) };
        let (matchers, wanted) = matchers(input);
        self.db().delete_series(&matchers, min_time, max_time).expect("deleting");
        self.naive.retain(|(series, time), _| !wanted(*series) || !(min_time..=max_time).contains(time));
    }

    fn reopen(&mut self, closed: bool) {
        if closed {
            self.db().close().expect("closing");
        }
        // The lock is given back before the folder is opened again.
        self.db = None;
        let db = open(&self.disk, &self.clock, Path::new("/data"));
        assert_eq!((db.recovery().damaged_records, db.recovery().quarantined), (0, 0));
        self.db = Some(db);
        self.ask(i64::MIN, i64::MAX, &[]);
    }

    fn back_up(&mut self) {
        self.backups += 1;
        let path = |name: &str| PathBuf::from(format!("/{name}{}", self.backups));
        let (target, restored) = (path("backup"), path("restored"));
        tsdb::backup(&self.disk, Path::new("/data"), &target, START, |_| Ok(Vec::new())).expect("a backup");
        tsdb::restore(&self.disk, &target, &restored).expect("a restore");
        let copy = open(&self.disk, &self.clock, &restored);
        assert_eq!(read(&copy, i64::MIN, i64::MAX, &[]), self.naive, "a backup holds something else");
    }

    fn query(&self, input: &mut Input<'_>) {
        let first = START + (i64::from(input.word()) - 200) * INTERVAL;
        let (matchers, wanted) = matchers(input);
        let last = first + i64::from(input.byte()) * INTERVAL;
        let got = read(self.db(), first, last, &matchers);
        let expected = self.naive.iter().filter(|((series, time), _)| wanted(*series) && (first..=last).contains(time));
        assert_eq!(got, expected.map(|(key, bits)| (*key, *bits)).collect());
    }

    fn ask(&self, min_time: i64, max_time: i64, matchers: &[Matcher]) {
        assert_eq!(read(self.db(), min_time, max_time, matchers), self.naive);
    }
}

/// Matchers, and which series they choose.
fn matchers(input: &mut Input<'_>) -> (Vec<Matcher>, fn(u8) -> bool) {
    let of = |op, value| vec![Matcher::new(op, "x", value).expect("a matcher")];
    match input.byte() % 4 {
        0 => (of(MatchOp::Equal, "1"), |series| series == 1),
        1 => (of(MatchOp::Match, "1|4"), |series| series == 1 || series == 4),
        2 => (of(MatchOp::NotMatch, "[2-9]"), |series| series < 2),
        _ => (Vec::new(), |_| true),
    }
}

fn read(db: &Db, min_time: i64, max_time: i64, matchers: &[Matcher]) -> Content {
    let selection = Selection { matchers, min_time, max_time, hints: Hints::default() };
    let set = db.select(&selection).expect("an answer");
    assert!(set.warnings.is_empty(), "{:?}", set.warnings);
    let mut content = Content::new();
    for series in &set.series {
        let x = series.labels().get("x").and_then(|x| x.parse().ok()).expect("a label that was written");
        let mut samples = Samples::default();
        series.read(&mut samples).expect("samples");
        assert!(!samples.is_empty(), "a series without samples");
        assert!(samples.timestamps.windows(2).all(|two| two[0] < two[1]), "times do not rise");
        content.extend(samples.iter().map(|s| ((x, s.timestamp), s.value.to_bits())));
    }
    content
}
