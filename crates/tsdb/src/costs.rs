//! What the series of a store cost: by metric, label, pair and target, in series and in bytes.
//!
//! A series costs its share of its columns: those of values, which seldom have a second owner, and those of timestamps,
//! which it has in common with the other series of its target. Labels and index are not counted here.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use model::status::{Cost, Costs};
use model::{Labels, METRIC_NAME, StorageError};

use crate::block::Block;
use crate::postings::HeadIndex;

/// Different pairs of label and value that are told apart; each takes about 100 bytes.
const PAIRS_MAX: usize = 500_000;

/// A series that is missing from this part of its block's time, at its beginning or its end, came or went in it.
const CHURN_SLACK: i64 = 20;

/// The labels that tell a target.
const JOB: &str = "job";
const INSTANCE: &str = "instance";

/// Between job and instance.
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

/// Sums over series. A series that stands in many blocks counts once, told by a hash of its labels.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seen: HashSet<u64>,
    hasher: DefaultHashBuilder,
    whole: Sum,
    metrics: HashMap<String, Sum>,
    churn: HashMap<String, Sum>,
    /// Label names, and in each its values.
    pairs: HashMap<String, HashMap<String, Sum>>,
    pair_count: usize,
    targets: HashMap<String, Sum>,
}

impl Tally {
    /// Adds the series of a block.
    pub(crate) fn add_block(&mut self, block: &Block) -> Result<(), StorageError> {
        let index = block.index();
        let mut cursor = index.cursor();
        // Columns of timestamps: how many series share them, and how many they are, where that was asked for.
        let mut times: HashMap<u64, (u64, Option<u64>)> = HashMap::new();
        // Columns of values that a later series has in common with an earlier one stand before those of its own.
        let (mut shared, mut end): (HashMap<u64, u64>, u64) = (HashMap::new(), 0);
        for ordinal in 0..block.meta.series as u32 {
            for chunk in cursor.chunks(ordinal)? {
                times.entry(chunk.times.offset).or_default().0 += 1;
                if chunk.values.offset < end {
                    *shared.entry(chunk.values.offset).or_insert(1) += 1;
                }
                end = end.max(chunk.values.offset.saturating_add(1));
            }
        }
        let (min_time, max_time) = (block.meta.min_time, block.meta.max_time);
        let slack = max_time.saturating_sub(min_time) / CHURN_SLACK;
        for ordinal in 0..block.meta.series as u32 {
            let entry = cursor.entry(ordinal)?;
            let mut sum = Sum::default();
            for chunk in &entry.chunks {
                let Some((sharers, count)) = times.get_mut(&chunk.times.offset) else { continue };
                let known = match *count {
                    Some(known) => known,
                    None => *count.insert(block.codec_of(chunk.times)?.1 as u64),
                };
                sum.samples += known;
                let owners = shared.get(&chunk.values.offset).copied().unwrap_or(1);
                sum.bytes += u64::from(chunk.values.length) / owners + u64::from(chunk.times.length) / *sharers;
            }
            let first = entry.chunks.iter().map(|chunk| chunk.min_time).min().unwrap_or(min_time);
            let last = entry.chunks.iter().map(|chunk| chunk.max_time).max().unwrap_or(max_time);
            self.add(&entry.labels, sum, first > min_time + slack || last < max_time - slack);
        }
        Ok(())
    }

    fn add(&mut self, labels: &Labels, sum: Sum, churned: bool) {
        let is_new = self.seen.insert(self.hasher.hash_one(labels));
        let sum = Sum { series: u64::from(is_new), ..sum };
        let name = labels.metric_name();
        self.whole.add(sum);
        self.metrics.entry_ref(name).or_default().add(sum);
        if churned {
            self.churn.entry_ref(name).or_default().add(Sum { series: 1, ..sum });
        }
        self.targets.entry_ref(&*target_of(labels)).or_default().add(sum);
        for (name, value) in labels {
            self.with_pair(name, value, |known| known.add(sum));
        }
    }

    /// Changes the sum of a pair of label and value, if there is room for one more.
    fn with_pair(&mut self, name: &str, value: &str, change: impl FnOnce(&mut Sum)) {
        let values = self.pairs.entry_ref(name).or_default();
        if let Some(known) = values.get_mut(value) {
            change(known);
        } else if self.pair_count < PAIRS_MAX {
            change(values.entry(value.to_owned()).or_default());
            self.pair_count += 1;
        }
    }

    /// Takes the numbers of series from the head's index, and keeps the bytes: those of the head are not known yet.
    pub(crate) fn count(&mut self, index: &HeadIndex) {
        let lists = [&mut self.metrics, &mut self.targets].into_iter().chain(self.pairs.values_mut());
        lists.flat_map(HashMap::values_mut).for_each(|sum| sum.series = 0);
        self.whole.series = index.ids().len() as u64;
        let mut named = 0;
        for (name, value, series) in index.lists() {
            let series = series.len() as u64;
            self.with_pair(name, value, |sum| sum.series = series);
            if name == METRIC_NAME {
                named += series;
                self.metrics.entry_ref(value).or_default().series = series;
            }
        }
        if named < self.whole.series {
            self.metrics.entry_ref("").or_default().series = self.whole.series - named;
        }
        for ((job, instance), series) in count_targets(index) {
            self.targets.entry_ref(&*target(job, instance)).or_default().series = series;
        }
    }

    pub(crate) fn costs(&self, limit: usize) -> Costs {
        let names: HashMap<String, Sum> =
            self.pairs.iter().map(|(name, values)| (name.clone(), whole(values))).collect();
        let pairs = self.pairs.iter().filter(|(name, _)| *name != METRIC_NAME);
        let pairs: Vec<(u64, Cost)> = pairs
            .flat_map(|(name, values)| {
                let own = top(values, limit, |sum| sum.series);
                own.into_iter().map(move |cost| (cost.count, Cost { name: format!("{name}={}", cost.name), ..cost }))
            })
            .collect();
        Costs {
            series: self.whole.series,
            pairs: self.pairs.values().map(|values| values.values().filter(|sum| sum.series > 0).count() as u64).sum(),
            samples: self.whole.samples,
            bytes: self.whole.bytes,
            metrics: top(&self.metrics, limit, |sum| sum.series),
            metrics_by_bytes: top(&self.metrics, limit, |sum| sum.bytes),
            metrics_by_churn: top(&self.churn, limit, |sum| sum.series),
            labels: top(&names, limit, |sum| sum.series),
            label_pairs: largest(pairs, limit),
            targets: top(&self.targets, limit, |sum| sum.bytes.max(sum.series)),
        }
    }
}

/// The values of a label: how many there are, and what their series take.
fn whole(values: &HashMap<String, Sum>) -> Sum {
    let mut whole = Sum::default();
    for sum in values.values().filter(|sum| sum.series > 0) {
        whole.add(Sum { series: 1, ..*sum });
    }
    whole
}

fn target_of(labels: &Labels) -> String {
    let of = |name| labels.get(name).unwrap_or_default();
    target(of(JOB), of(INSTANCE))
}

fn target(job: &str, instance: &str) -> String {
    format!("{job}{BETWEEN}{instance}")
}

/// Series by job and instance, either empty where a series lacks it. Each series is looked at once: writers wait.
fn count_targets(index: &HeadIndex) -> HashMap<(&str, &str), u64> {
    let places = index.ids().last().map_or(0, |&last| last as usize + 1);
    let values_of = |label: &str| {
        let mut values = vec![""; places];
        for (value, series) in index.lists_of(label) {
            series.iter().for_each(|&id| values[id as usize] = value);
        }
        values
    };
    let (jobs, instances) = (values_of(JOB), values_of(INSTANCE));
    let mut counts = HashMap::new();
    for &id in index.ids() {
        *counts.entry((jobs[id as usize], instances[id as usize])).or_default() += 1;
    }
    counts
}

/// The largest first, equal ones by name; what has none is left out.
fn top(sums: &HashMap<String, Sum>, limit: usize, size: impl Fn(&Sum) -> u64) -> Vec<Cost> {
    let cost = |(name, sum): (&String, &Sum)| {
        (size(sum), Cost { name: name.clone(), count: sum.series, bytes: sum.bytes, samples: sum.samples })
    };
    largest(sums.iter().filter(|(_, sum)| size(sum) > 0).map(cost).collect(), limit)
}

fn largest(mut all: Vec<(u64, Cost)>, limit: usize) -> Vec<Cost> {
    all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    all.truncate(limit);
    all.into_iter().map(|(_, cost)| cost).collect()
}
