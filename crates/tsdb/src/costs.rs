//! What the series of a store cost: by metric, label, pair and target, in series and in bytes.
//!
//! A series costs the bytes of its columns of values, and its share of the columns of timestamps that it has in common
//! with the other series of its target; labels and index are not counted here.

use std::hash::Hash;

use hashbrown::HashMap;
use model::{Labels, METRIC_NAME, StorageError};

use crate::block::Block;
use crate::folder::{metric, value};

/// Entries of the largest lists that are asked for.
const PAIRS_MAX: usize = 1_000_000;

/// A name and what its series cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The metric, the label, `name=value`, or `job instance`.
    pub name: String,
    /// Series; for a label, its values.
    pub count: u64,
    /// Bytes of their samples.
    pub bytes: u64,
    /// Their samples.
    pub samples: u64,
}

/// The largest costs, each list with its largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Series in all.
    pub series: u64,
    /// Different pairs of label name and value.
    pub pairs: u64,
    /// Their samples.
    pub samples: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Metrics by series.
    pub metrics: Vec<Cost>,
    /// Metrics by bytes.
    pub metrics_by_bytes: Vec<Cost>,
    /// Metrics by series that ended before their block did or began after it: churn.
    pub metrics_by_churn: Vec<Cost>,
    /// Labels by different values.
    pub labels: Vec<Cost>,
    /// Pairs of label name and value by series.
    pub label_pairs: Vec<Cost>,
    /// Jobs and instances by bytes.
    pub targets: Vec<Cost>,
}

/// Part of a target's name for people.
const BETWEEN: char = ' ';

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    series: u64,
    bytes: u64,
    samples: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.series += other.series;
        self.bytes += other.bytes;
        self.samples += other.samples;
    }
}

/// Sums over series.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What is known of each series, so that one that stands in many blocks counts once.
    series: HashMap<Labels, (Sum, bool)>,
}

impl Tally {
    /// Adds the series of a block.
    pub(crate) fn add_block(&mut self, block: &Block) -> Result<(), StorageError> {
        let index = block.index();
        let mut cursor = index.cursor();
        let mut sharers: HashMap<u64, u64> = HashMap::new();
        for ordinal in 0..block.meta.series as u32 {
            for chunk in cursor.chunks(ordinal)? {
                *sharers.entry(chunk.times.offset).or_default() += 1;
            }
        }
        let (min_time, max_time) = (block.meta.min_time, block.meta.max_time);
        let slack = (max_time - min_time) / 20;
        let mut counts: HashMap<u64, u64> = HashMap::new();
        for ordinal in 0..block.meta.series as u32 {
            let entry = cursor.entry(ordinal)?;
            let mut sum = Sum { series: 1, ..Sum::default() };
            for chunk in &entry.chunks {
                let sharers = sharers.get(&chunk.times.offset).copied().unwrap_or(1).max(1);
                sum.bytes += u64::from(chunk.values.length) + u64::from(chunk.times.length) / sharers;
                let at = chunk.times.offset;
                let known = counts.get(&at).copied();
                let count = match known {
                    Some(count) => count,
                    None => block.codec_of(chunk.times)?.1 as u64,
                };
                counts.insert(at, count);
                sum.samples += count;
            }
            let first = entry.chunks.iter().map(|chunk| chunk.min_time).min().unwrap_or(min_time);
            let last = entry.chunks.iter().map(|chunk| chunk.max_time).max().unwrap_or(max_time);
            self.add(entry.labels, sum, first > min_time + slack || last < max_time - slack);
        }
        Ok(())
    }

    /// Adds a series of the head, whose bytes are not known yet.
    pub(crate) fn add_head(&mut self, labels: Labels) {
        self.add(labels, Sum { series: 1, ..Sum::default() }, false);
    }

    fn add(&mut self, labels: Labels, sum: Sum, churned: bool) {
        let known = self.series.entry(labels).or_default();
        known.0.add(Sum { series: 0, ..sum });
        known.0.series = 1;
        known.1 |= churned;
    }

    pub(crate) fn costs(&self, limit: usize) -> Costs {
        let mut whole = Sum::default();
        let mut metrics: HashMap<&str, Sum> = HashMap::new();
        let mut churn: HashMap<&str, Sum> = HashMap::new();
        let mut pairs: HashMap<(&str, &str), Sum> = HashMap::new();
        let mut targets: HashMap<(&str, &str), Sum> = HashMap::new();
        for (labels, &(sum, churned)) in &self.series {
            whole.add(sum);
            metrics.entry(metric(labels)).or_default().add(sum);
            if churned {
                churn.entry(metric(labels)).or_default().add(sum);
            }
            targets.entry((value(labels, "job"), value(labels, "instance"))).or_default().add(sum);
            for pair in labels {
                if pairs.len() < PAIRS_MAX || pairs.contains_key(&pair) {
                    pairs.entry(pair).or_default().add(sum);
                }
            }
        }
        let mut names: HashMap<&str, Sum> = HashMap::new();
        for ((name, _), sum) in &pairs {
            names.entry(name).or_default().add(Sum { series: 1, ..*sum });
        }
        let pair = |(name, value): &(&str, &str)| format!("{name}={value}");
        let name = |name: &&str| (*name).to_owned();
        let target = |(job, instance): &(&str, &str)| format!("{job}{BETWEEN}{instance}");
        let only = |pairs: &HashMap<(&str, &str), Sum>| -> Vec<Cost> {
            top(pairs.iter().filter(|((name, _), _)| *name != METRIC_NAME), limit, pair, |sum| sum.series)
        };
        Costs {
            series: whole.series,
            pairs: pairs.len() as u64,
            samples: whole.samples,
            bytes: whole.bytes,
            metrics: top(&metrics, limit, name, |sum| sum.series),
            metrics_by_bytes: top(&metrics, limit, name, |sum| sum.bytes),
            metrics_by_churn: top(&churn, limit, name, |sum| sum.series),
            labels: top(&names, limit, name, |sum| sum.series),
            label_pairs: only(&pairs),
            targets: top(&targets, limit, target, |sum| sum.bytes.max(sum.series)),
        }
    }
}

/// The largest first, equal ones by name.
fn top<'k, K: Eq + Hash + 'k>(
    sums: impl IntoIterator<Item = (&'k K, &'k Sum)>,
    limit: usize,
    name: impl Fn(&K) -> String,
    size: impl Fn(&Sum) -> u64,
) -> Vec<Cost> {
    let cost = |(key, sum): (&K, &Sum)| {
        (size(sum), Cost { name: name(key), count: sum.series, bytes: sum.bytes, samples: sum.samples })
    };
    let mut all: Vec<(u64, Cost)> = sums.into_iter().map(cost).collect();
    all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    all.truncate(limit);
    all.into_iter().map(|(_, cost)| cost).collect()
}
