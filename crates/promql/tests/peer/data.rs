//! Seeded series: counters with resets, gauges with gaps, NaN, infinities and staleness markers, classic histograms.

use model::{Labels, Sample, Timestamp, stale_nan};

/// First sample.
pub(crate) const BASE: Timestamp = 1_700_000_000_000;
/// Usual time between samples.
pub(crate) const STEP: i64 = 15_000;
const SAMPLES: i64 = 120;

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

type Data = Vec<(Labels, Vec<Sample>)>;

/// All series, ordered by labels.
pub(crate) fn series() -> Data {
    let mut data = Data::new();
    let mut random = Random(42);
    for instance in ["a", "b", "c"] {
        for mode in ["idle", "user", "sys:tem"] {
            let labels = [("__name__", "cpu_seconds_total"), ("instance", instance), ("job", "node"), ("mode", mode)];
            data.push((Labels::from_pairs(labels), counter(&mut random)));
        }
        let labels = [("__name__", "memory_bytes"), ("instance", instance), ("job", "node")];
        data.push((Labels::from_pairs(labels), gauge(&mut random, 1e9)));
        let labels = [("__name__", "odd"), ("instance", instance), ("größe.x", "π")];
        data.push((Labels::from_pairs(labels), odd(&mut random)));
        let labels = [("__name__", "target_info"), ("instance", instance), ("job", "node"), ("version", "1.0")];
        data.push((Labels::from_pairs(labels), constant(1.0)));
        buckets(&mut data, &mut random, instance);
    }
    data.push((Labels::from_pairs([("__name__", "constant")]), constant(52.0)));
    data.push((Labels::from_pairs([("__name__", "huge")]), huge()));
    for (name, from, to) in [("early", 0, 40), ("late", 80, SAMPLES)] {
        let mut samples = gauge(&mut random, 10.0);
        samples.retain(|s| (from..to).contains(&((s.timestamp - BASE) / STEP)));
        data.push((Labels::from_pairs([("__name__", name), ("part", "x")]), samples));
    }
    data.sort_by(|a, b| a.0.cmp(&b.0));
    data
}

fn times() -> impl Iterator<Item = (i64, Timestamp)> {
    (0..SAMPLES).map(|i| (i, BASE + i * STEP))
}

fn counter(random: &mut Random) -> Vec<Sample> {
    let mut value = random.unit() * 5.0;
    let mut samples = Vec::new();
    for (_, timestamp) in times() {
        value = if random.chance(0.03) { random.unit() } else { value + random.unit() * 7.3 };
        // The first sample makes the series, and the peer keeps the order in which series came.
        if !random.chance(0.05) || samples.is_empty() {
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
