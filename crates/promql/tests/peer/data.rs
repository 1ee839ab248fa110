//! Seeded series: counters with resets, gauges with gaps, NaN, infinities and staleness markers, classic histograms.

use model::{Labels, Sample, Timestamp, stale_nan};

/// First sample.
pub(crate) const BASE: Timestamp = 1_700_000_000_000;
/// First sample of the same data around the epoch: half of it lies before.
pub(crate) const EPOCH_BASE: Timestamp = -900_000;
/// Usual time between samples.
pub(crate) const STEP: i64 = 15_000;
const SAMPLES: i64 = 120;
/// Every series begins with a staleness marker so long before: the peer keeps the order in which series came.
const CREATED_BEFORE: i64 = 7_200_000;

/// A small generator (SplitMix64), so that every run compares the same numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

pub(crate) type Data = Vec<(Labels, Vec<Sample>)>;

/// All series, ordered by labels, whose first samples lie at `base`.
pub(crate) fn series(base: Timestamp) -> Data {
    let mut random = Random(42);
    let mut data = by_instance(&mut random);
    comes_and_goes(&mut data, &mut random);
    levels(&mut data, &mut random);
    infos(&mut data);
    data.push((Labels::from_pairs([("__name__", "constant")]), constant(52.0)));
    data.push((Labels::from_pairs([("__name__", "huge")]), huge()));
    data.push((Labels::from_pairs([("__name__", "nan_only")]), constant(f64::NAN)));
    data.sort_by(|a, b| a.0.cmp(&b.0));
    for (_, samples) in &mut data {
        samples.iter_mut().for_each(|sample| sample.timestamp += base);
        samples.insert(0, Sample { timestamp: base - CREATED_BEFORE, value: stale_nan() });
    }
    data
}

fn by_instance(random: &mut Random) -> Data {
    let mut data = Data::new();
    for instance in ["a", "b", "c"] {
        for mode in ["idle", "user", "sys:tem"] {
            let labels = [("__name__", "cpu_seconds_total"), ("instance", instance), ("job", "node"), ("mode", mode)];
            data.push((Labels::from_pairs(labels), counter(random)));
        }
        let labels = [("__name__", "memory_bytes"), ("instance", instance), ("job", "node")];
        data.push((Labels::from_pairs(labels), gauge(random, 1e9)));
        let labels = [("__name__", "odd"), ("instance", instance), ("größe.x", "π")];
        data.push((Labels::from_pairs(labels), odd(random)));
        buckets(&mut data, random, instance);
        broken_buckets(&mut data, random, instance);
        strange_buckets(&mut data, random, instance);
    }
    data
}

/// Series that live for a part of the time, once or again and again.
fn comes_and_goes(data: &mut Data, random: &mut Random) {
    for (name, from, to) in [("early", 0, 40), ("late", 80, SAMPLES)] {
        let mut samples = gauge(random, 10.0);
        samples.retain(|s| (from..to).contains(&(s.timestamp / STEP)));
        data.push((Labels::from_pairs([("__name__", name), ("part", "x")]), samples));
    }
    for part in ["1", "2", "10", "a"] {
        let labels = [("__name__", "flapping"), ("instance", "a"), ("part", part)];
        data.push((Labels::from_pairs(labels), flapping(random)));
    }
}

/// Small whole numbers, many of them equal; a name of more than the classic alphabet; numbers near zero.
fn levels(data: &mut Data, random: &mut Random) {
    for (instance, part) in [("a", "1"), ("a", "2"), ("a", "10"), ("b", "1"), ("b", "2"), ("c", "x9"), ("c", "x10")] {
        let labels = [("__name__", "level"), ("instance", instance), ("part", part)];
        let level = times().map(|(_, timestamp)| Sample { timestamp, value: (random.next() % 4) as f64 });
        data.push((Labels::from_pairs(labels), level.collect()));
    }
    for part in ["1", "2"] {
        let labels = [("__name__", "näme.x"), ("part", part)];
        data.push((Labels::from_pairs(labels), gauge(random, 3.0)));
        let labels = [("__name__", "tiny_count"), ("job", "node"), ("part", part)];
        let tiny = times().map(|(i, timestamp)| Sample { timestamp, value: i as f64 * 1e-9 + random.unit() * 1e-300 });
        data.push((Labels::from_pairs(labels), tiny.collect()));
    }
}

/// Info metrics: `a` changes its version, `b` has two of a time, `c` has none for a while.
fn infos(data: &mut Data) {
    let parts = [
        ("target_info", "a", "version", "1.0", 0, 60),
        ("target_info", "a", "version", "2", 58, SAMPLES),
        ("target_info", "b", "version", "1.0", 0, SAMPLES),
        ("target_info", "c", "version", "3", 30, 90),
        ("build_info", "a", "revision", "abc", 0, SAMPLES),
        ("build_info", "b", "version", "1.0", 0, 70),
        ("build_info", "b", "version", "other", 65, SAMPLES),
        ("build_info", "c", "revision", "r", 0, 50),
    ];
    for (name, instance, label, value, from, to) in parts {
        let labels = [("__name__", name), ("instance", instance), ("job", "node"), (label, value)];
        let mut samples = constant(1.0);
        samples.retain(|s| (from..to).contains(&(s.timestamp / STEP)));
        data.push((Labels::from_pairs(labels), samples));
    }
}

/// Alive for some steps, ended by a staleness marker, and back again.
fn flapping(random: &mut Random) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut alive = true;
    for (_, timestamp) in times() {
        let was = alive;
        alive = if random.chance(0.15) { !alive } else { alive };
        match (was, alive) {
            (_, true) => samples.push(Sample { timestamp, value: random.unit() * 4.0 }),
            (true, false) => samples.push(Sample { timestamp, value: stale_nan() }),
            (false, false) => {}
        }
    }
    samples
}

fn times() -> impl Iterator<Item = (i64, Timestamp)> {
    (0..SAMPLES).map(|i| (i, i * STEP))
}

fn counter(random: &mut Random) -> Vec<Sample> {
    let mut value = random.unit() * 5.0;
    let mut samples = Vec::new();
    for (_, timestamp) in times() {
        value = if random.chance(0.03) { random.unit() } else { value + random.unit() * 7.3 };
        if !random.chance(0.05) {
            samples.push(Sample { timestamp, value });
        }
    }
    samples
}

fn gauge(random: &mut Random, scale: f64) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (i, timestamp) in times() {
        let jitter = if i == 0 { 0 } else { (random.unit() * 900.0) as i64 };
        let value = (random.unit() - 0.3) * scale;
        let gap = (50..75).contains(&i) && scale > 100.0;
        if !gap {
            samples.push(Sample { timestamp: timestamp + jitter, value });
        }
    }
    samples
}

fn odd(random: &mut Random) -> Vec<Sample> {
    let of = |random: &mut Random| match random.next() % 12 {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => stale_nan(),
        4 => 0.0,
        5 => -0.0,
        6 => 2.5,
        7 => -2.5,
        _ => random.unit() * 100.0 - 50.0,
    };
    times().map(|(_, timestamp)| Sample { timestamp, value: of(random) }).collect()
}

fn constant(value: f64) -> Vec<Sample> {
    times().map(|(_, timestamp)| Sample { timestamp, value }).collect()
}

fn huge() -> Vec<Sample> {
    let values = [1.0, 1e100, 1.0, -1e100, 9.9e307, 9.9e307, -9.9e307, 1e-300, 1e-307];
    times().map(|(i, timestamp)| Sample { timestamp, value: values[i as usize % values.len()] }).collect()
}

fn buckets(data: &mut Data, random: &mut Random, instance: &str) {
    let mut counts = [0.0; 5];
    let bounds = ["0.1", "0.5", "1", "10", "+Inf"];
    let mut columns: Vec<Vec<Sample>> = vec![Vec::new(); bounds.len()];
    for (_, timestamp) in times() {
        let mut rise = 0.0;
        for (count, column) in counts.iter_mut().zip(&mut columns) {
            rise += (random.unit() * 5.0).floor();
            *count += rise;
            column.push(Sample { timestamp, value: *count });
        }
    }
    for (bound, samples) in bounds.iter().zip(columns) {
        let labels = [("__name__", "latency_bucket"), ("instance", instance), ("job", "api"), ("le", bound)];
        data.push((Labels::from_pairs(labels), samples));
    }
}

/// Buckets that fall, that are doubled, and that have no bound.
fn broken_buckets(data: &mut Data, random: &mut Random, instance: &str) {
    for bound in ["0.1", "1", "1.0", "10", "+Inf", "many", ""] {
        let labels = [("__name__", "broken_bucket"), ("instance", instance), ("job", "api"), ("le", bound)];
        let mut builder = Labels::from_pairs(labels).to_builder();
        if bound.is_empty() {
            builder.remove("le");
        }
        let mut value = 0.0;
        let mut count = |timestamp| {
            value += (random.unit() * 9.0).floor();
            Sample { timestamp, value }
        };
        data.push((builder.build(), times().map(|(_, timestamp)| count(timestamp)).collect()));
    }
}

/// Buckets that do not begin at zero, some of them with bounds that are hardly numbers, and that are not whole.
fn strange_buckets(data: &mut Data, random: &mut Random, instance: &str) {
    for bound in ["-Inf", "-0x1p-1", "0", "1_0", "NaN", "1e400", "infinity", "+nan"] {
        let labels = [("__name__", "strange_bucket"), ("instance", instance), ("job", "api"), ("le", bound)];
        let scale = if instance == "a" { 0.0 } else { 3.0 };
        let mut count = |timestamp| Sample { timestamp, value: (random.unit() - 0.2) * scale };
        data.push((Labels::from_pairs(labels), times().map(|(_, timestamp)| count(timestamp)).collect()));
    }
}
