//! Answers that are kept: whatever was written, deleted or sealed since, they are those of a fresh evaluation.

use std::sync::Arc;
use std::time::Duration;

use model::{Appendable, Durability, Labels, Matcher, Sample};
use promql::{Engine, EngineOptions, QueryLimits, Range, Value};
use testkit::TestClock;
use tsdb::{Db, Options};

/// Two hours after the epoch, so that lookback never reaches before it.
const START: i64 = 7_200_000;
const INTERVAL: i64 = 15_000;
const STEP: Duration = Duration::from_secs(60);
const ROUNDS: i64 = 600;

const EXPRESSIONS: [&str; 11] = [
    "m",
    "sum by (x) (rate(m[2m]))",
    "m offset 1m",
    "m offset -1m",
    "max_over_time(sum(m)[5m:30s])",
    "m / ignoring (x) group_left () count(m)",
    "topk(1, m) or absent(n)",
    "count_values(\"v\", m)",
    // With infos: of all the time, of some of it, and of two places.
    "avg by (x) (increase(m[5m]))",
    "rate(n[2m]) or rate(m[1m])",
    "sum(rate(n[2m])) + sum(rate(n[4m]))",
];

/// A store, an engine, and a source of chance.
struct World {
    db: Db,
    clock: Arc<TestClock>,
    engine: Engine,
    chance: u64,
    now: i64,
}

impl World {
    fn new(folder: &std::path::Path) -> Self {
        let clock = Arc::new(TestClock::new(START));
        let options = Options {
            path: folder.to_owned(),
            retention_time: None,
            seal_interval: Duration::from_secs(3600),
            clock: Arc::<TestClock>::clone(&clock),
            ..Options::default()
        };
        let db = Db::open(options).unwrap();
        Self { db, clock, engine: Engine::new(EngineOptions::default()), chance: 1, now: START }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % bound
    }

    fn append(&self, x: u64, timestamp: i64, value: f64) {
        self.append_to("m", x, timestamp, value);
    }

    fn append_to(&self, name: &str, x: u64, timestamp: i64, value: f64) {
        let labels = Labels::from_pairs([("__name__", name), ("x", &x.to_string())]);
        let mut appender = self.db.appender();
        // What contradicts a sample that is there is refused, and changes nothing.
        let _ = appender.append(&labels, Sample { timestamp, value });
        appender.commit(Durability::Kernel).unwrap();
    }

    /// Time goes on by one interval, and now and then something unusual happens.
    fn go_on(&mut self) {
        self.now += INTERVAL;
        self.clock.set(self.now);
        for x in 0..3 {
            if self.below(10) > 0 {
                let value = self.below(1000) as f64;
                self.append(x, self.now, value);
            }
        }
        // Some minutes of an hour.
        if self.now / 60_000 % 60 < 7 {
            self.append_to("n", 0, self.now, 1.0);
        }
        match self.below(14) {
            0 => {
                let (x, back, value) = (self.below(5), self.below(40) as i64, self.below(1000) as f64);
                self.append(x, self.now - back * 7_919, value);
            }
            1 => {
                let x = Matcher::equal("x", self.below(4).to_string());
                let from = self.now - self.below(60) as i64 * INTERVAL;
                self.db.delete_series(&[x], from, from + 4 * INTERVAL).unwrap();
            }
            2 => drop(self.db.maintain(self.now).unwrap()),
            3 => drop(self.db.seal().unwrap()),
            // Retention takes blocks away, and is forgotten again.
            4 if self.below(8) == 0 => {
                let kept = |retention_time| tsdb::Policy { retention_time, ..self.db.policy() };
                self.db.set_policy(kept(Some(Duration::from_secs(1800))));
                self.db.maintain(self.now).unwrap();
                self.db.set_policy(kept(None));
            }
            _ => {}
        }
    }

    /// Asks twice, and returns the samples that the kept answer had to read and those of the fresh one.
    fn check(&self, expression: &str, range: Range) -> (u64, u64) {
        let ask = |fresh| {
            let limits = QueryLimits { fresh, ..QueryLimits::default() };
            self.engine.range(&self.db, expression, range, &limits).unwrap()
        };
        let (kept, fresh) = (ask(false), ask(true));
        assert_eq!(kept.value, fresh.value, "{expression} {range:?}");
        assert_eq!((&kept.warnings, &kept.infos), (&fresh.warnings, &fresh.infos), "{expression} {range:?}");
        assert!(matches!(kept.value, Value::Matrix(_)));
        (kept.stats.samples_total, fresh.stats.samples_total)
    }
}

#[test]
fn kept_answers_are_those_of_a_fresh_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let step = STEP.as_millis() as i64;
    let (mut kept, mut fresh) = (0, 0);
    for _ in 0..ROUNDS {
        world.go_on();
        let expression = EXPRESSIONS[world.below(EXPRESSIONS.len() as u64) as usize];
        // Aligned as a panel asks, often shifted, now and then wider.
        let shift = if world.below(3) == 0 { world.below(60_000) as i64 } else { 0 };
        let span = [30, 30, 30, 45][world.below(4) as usize] * step;
        let end = world.now / step * step + shift;
        let (of_kept, of_fresh) = world.check(expression, Range { start: end - span, end, step: STEP });
        kept += of_kept;
        fresh += of_fresh;
    }
    assert!(kept < fresh, "{kept} samples were read for kept answers, {fresh} for fresh ones");
    println!("{kept} samples were read for kept answers, {fresh} for fresh ones");
}

#[test]
fn a_panel_that_refreshes_reads_its_new_steps() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    for _ in 0..400 {
        world.now += INTERVAL;
        world.clock.set(world.now);
        world.append(0, world.now, 1.0);
    }
    let step = STEP.as_millis() as i64;
    let range = |now: i64| Range { start: now / step * step - 60 * step, end: now / step * step, step: STEP };
    let (first, whole) = world.check("sum(max_over_time(m[1m]))", range(world.now));
    assert_eq!(first, whole);
    assert_eq!(world.check("sum(max_over_time(m[1m]))", range(world.now)).0, 0);
    for _ in 0..4 {
        world.now += INTERVAL;
        world.clock.set(world.now);
        world.append(0, world.now, 2.0);
    }
    let (next, _) = world.check("sum(max_over_time(m[1m]))", range(world.now));
    assert!((1..=8).contains(&next), "{next} samples of {whole}");
    // What is quick depends on the machine, what is not does not.
    let is_quick = |query: &str, fresh: bool, now: i64| {
        world.engine.is_quick(query, range(now), &QueryLimits { fresh, ..QueryLimits::default() })
    };
    assert!(!is_quick("sum(max_over_time(m[1m]))", true, world.now), "all of it is computed");
    assert!(!is_quick("sum(max_over_time(m[2m]))", false, world.now), "it was never asked for");
    assert!(!is_quick("sum(max_over_time(m[1m]))", false, world.now + 3_600_000), "most of it is new");
    assert!(!is_quick("sum(max_over_time(m[1m]))", false, world.now - 3_600_000), "it begins earlier");
}
