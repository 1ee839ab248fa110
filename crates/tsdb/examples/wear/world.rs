//! Targets that are scraped: what edge nodes show, in several mixes, the same in each run of a seed.

use model::Labels;

/// A generator of numbers that look random (splitmix64).
#[derive(Clone)]
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Between 0 and 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// How series of one kind move.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Idle,
    Centiseconds,
    Nanoseconds,
    Pages,
    Thousandths,
    Histogram,
    Constant,
    Random,
}

/// Names of mixes, and of a hundred series how many are of which kind.
pub(crate) const MIXES: [&str; 4] = ["edge", "busy", "quiet", "doubles"];
const SHARES: [[(Kind, u64); 9]; 4] = {
    use Kind::{Centiseconds, Constant, Counter, Histogram, Idle, Nanoseconds, Pages, Random, Thousandths};
    [
        [
            (Counter, 20),
            (Idle, 22),
            (Centiseconds, 5),
            (Nanoseconds, 3),
            (Pages, 8),
            (Thousandths, 3),
            (Histogram, 26),
            (Constant, 11),
            (Random, 2),
        ],
        [
            (Counter, 45),
            (Idle, 2),
            (Centiseconds, 12),
            (Nanoseconds, 6),
            (Pages, 10),
            (Thousandths, 8),
            (Histogram, 12),
            (Constant, 3),
            (Random, 2),
        ],
        [
            (Counter, 6),
            (Idle, 50),
            (Centiseconds, 2),
            (Nanoseconds, 1),
            (Pages, 3),
            (Thousandths, 1),
            (Histogram, 10),
            (Constant, 27),
            (Random, 0),
        ],
        [
            (Counter, 15),
            (Idle, 15),
            (Centiseconds, 5),
            (Nanoseconds, 10),
            (Pages, 5),
            (Thousandths, 15),
            (Histogram, 15),
            (Constant, 10),
            (Random, 10),
        ],
    ]
};

const BUCKETS: usize = 12;

/// One or, of a histogram, fourteen series that move together.
struct Source {
    kind: Kind,
    rate: f64,
    burst: f64,
    number: f64,
    buckets: [f64; BUCKETS],
}

impl Source {
    fn new(kind: Kind, noise: &mut Noise) -> Self {
        let rate = 10f64.powf(noise.unit() * 5.0 - 1.0);
        let number = match kind {
            Kind::Idle => noise.below(50) as f64,
            Kind::Constant => noise.below(3) as f64,
            Kind::Pages => noise.below(1 << 18) as f64,
            Kind::Thousandths => noise.below(90_000) as f64,
            _ => (rate * noise.unit() * 50_000.0).floor(),
        };
        Self { kind, rate, burst: 1.0, number, buckets: [0.0; BUCKETS] }
    }

    fn events(&mut self, noise: &mut Noise) -> f64 {
        self.burst = match self.burst {
            burst if burst > 1.0 && noise.below(10) > 0 => burst,
            _ if noise.below(400) == 0 => 2.0 + 30.0 * noise.unit(),
            _ => 1.0,
        };
        (self.rate * self.burst * (0.5 + noise.unit()) + noise.unit()).floor()
    }

    fn step(&mut self, noise: &mut Noise, mut each: impl FnMut(f64)) {
        match self.kind {
            Kind::Counter => self.number += self.events(noise),
            Kind::Idle => self.number += f64::from(u8::from(noise.below(2_000) == 0)),
            Kind::Centiseconds | Kind::Nanoseconds => self.number += (self.rate * noise.unit() * 100.0).floor(),
            Kind::Pages | Kind::Thousandths if noise.below(3) > 0 => {
                self.number = (self.number + noise.below(201) as f64 - 100.0).abs();
            }
            Kind::Histogram => return self.step_histogram(noise, each),
            Kind::Random => self.number = self.rate * (1.0 + noise.unit()),
            _ => {}
        }
        each(match self.kind {
            Kind::Centiseconds => self.number / 100.0,
            Kind::Nanoseconds => self.number * 1_000.0 / 1e9,
            Kind::Thousandths => self.number / 1_000.0,
            Kind::Pages => self.number * 4_096.0,
            _ => self.number,
        });
    }

    fn step_histogram(&mut self, noise: &mut Noise, mut each: impl FnMut(f64)) {
        let seen = self.events(noise).min(40.0);
        for _ in 0..seen as u64 {
            let bucket = (noise.below(6) + noise.below(7)) as usize;
            self.buckets[bucket] += 1.0;
            self.number += (bucket as f64 + noise.unit()) / 40.0;
        }
        let mut count = 0.0;
        for bucket in self.buckets {
            count += bucket;
            each(count);
        }
        each(self.number);
        each(count);
    }

    fn names(&self) -> Vec<(String, Option<&'static str>)> {
        const BOUNDS: [&str; BUCKETS] =
            ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
        match self.kind {
            Kind::Histogram => {
                let buckets = BOUNDS.iter().map(|bound| ("request_duration_seconds_bucket".to_owned(), Some(*bound)));
                let rest = ["sum", "count"].map(|end| (format!("request_duration_seconds_{end}"), None));
                buckets.chain(rest).collect()
            }
            kind => vec![(format!("edge_{kind:?}_total").to_lowercase(), None)],
        }
    }
}

/// Series that come and go together.
struct Pod {
    sources: Vec<Source>,
    labels: Vec<Labels>,
}

/// One exporter.
pub(crate) struct Target {
    instance: String,
    noise: Noise,
    mix: usize,
    pods: Vec<Pod>,
    pods_ever: u64,
    /// Milliseconds after the full interval.
    phase: i64,
}

const POD_SERIES: usize = 50;

/// A pod lives for some hours; one in a thousand scrapes is missed.
const LIFE_SCRAPES: u64 = 4_000;
const MISSED: u64 = 1_000;

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

impl Target {
    pub(crate) fn new(number: usize, series: usize, mix: usize, seed: u64) -> Self {
        let mut noise = Noise(seed ^ (number as u64).wrapping_mul(0x1234_5677));
        let phase = noise.below(15_000) as i64;
        let instance = format!("10.7.0.{}:9100", number + 10);
        let mut target = Self { instance, noise, mix, pods: Vec::new(), pods_ever: 0, phase };
        for _ in 0..(series / POD_SERIES).max(1) {
            let pod = target.pod();
            target.pods.push(pod);
        }
        target
    }

    fn kind(&mut self) -> Kind {
        let mut left = self.noise.below(100);
        for (kind, share) in SHARES[self.mix] {
            // A histogram is fourteen series.
            if left < share {
                return kind;
            }
            left -= share;
        }
        Kind::Constant
    }

    fn pod(&mut self) -> Pod {
        self.pods_ever += 1;
        let name = format!("workload-{}-{:08x}", self.pods_ever % 40, self.noise.next() as u32);
        let mut pod = Pod { sources: Vec::new(), labels: Vec::new() };
        while pod.labels.len() < POD_SERIES {
            let kind = self.kind();
            if matches!(kind, Kind::Histogram) && self.noise.below(14) > 0 {
                continue;
            }
            let source = Source::new(kind, &mut self.noise);
            let path = format!("/api/v1/{}", pod.sources.len());
            for (metric, bound) in source.names() {
                let mut pairs = vec![
                    ("__name__", metric.as_str()),
                    ("cluster", "edge"),
                    ("instance", &self.instance),
                    ("job", "kubelet"),
                    ("namespace", "default"),
                    ("path", &path),
                    ("pod", &name),
                ];
                pairs.extend(bound.map(|bound| ("le", bound)));
                pod.labels.push(Labels::from_pairs(pairs));
            }
            pod.sources.push(source);
        }
        pod
    }

    /// The scrape of a step of 15 s; its time, in milliseconds after the start, or `None` if it was missed.
    pub(crate) fn scrape(&mut self, step: i64, mut each: impl FnMut(&Labels, f64)) -> Option<i64> {
        let missed = self.noise.below(MISSED) == 0;
        for at in 0..self.pods.len() {
            if self.noise.below(LIFE_SCRAPES) == 0 {
                let next = self.pod();
                let gone = std::mem::replace(&mut self.pods[at], next);
                gone.labels.iter().for_each(|labels| each(labels, STALE));
            }
            let Pod { sources, labels } = &mut self.pods[at];
            let mut labels = labels.iter();
            for source in sources {
                source.step(&mut self.noise, |value| {
                    if let Some(labels) = labels.next().filter(|_| !missed) {
                        each(labels, value);
                    }
                });
            }
        }
        let late = if self.noise.below(3) == 0 { self.noise.below(8) as i64 } else { 0 };
        (!missed).then_some(step * 15_000 + self.phase + late)
    }
}
