//! A store in memory for scripts and tests.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    Exemplar, Labels, Matcher, Metadata, Queryable, Sample, Samples, Selection, Series, SeriesSet, StorageError,
};

/// Series by labels.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    series: BTreeMap<Labels, Samples>,
    native: Vec<Labels>,
}

/// A copy of the selected part of a series.
struct Selected {
    labels: Labels,
    samples: Samples,
}

impl Series for Selected {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, into: &mut Samples) -> Result<(), StorageError> {
        into.timestamps.extend_from_slice(&self.samples.timestamps);
        into.values.extend_from_slice(&self.samples.values);
        Ok(())
    }
}

impl MemoryStore {
    /// Adds samples in any order; of two at one time the first stays.
    pub fn append(&mut self, labels: &Labels, samples: impl IntoIterator<Item = Sample>) {
        let stored = self.series.entry(labels.clone()).or_default();
        for sample in samples {
            match stored.timestamps.binary_search(&sample.timestamp) {
                Ok(_) => {}
                Err(place) => {
                    stored.timestamps.insert(place, sample.timestamp);
                    stored.values.insert(place, sample.value);
                }
            }
        }
    }

    /// Remembers that a native histogram was loaded, which cannot be stored yet.
    pub(super) fn add_native(&mut self, labels: Labels) {
        self.native.push(labels);
    }

    pub(super) fn has_native(&self, matchers: &[Matcher]) -> bool {
        self.native.iter().any(|labels| matchers.iter().all(|m| m.matches_labels(labels)))
    }

    fn matching<'s>(&'s self, selection: &'s Selection<'_>) -> impl Iterator<Item = (&'s Labels, Samples)> {
        self.series.iter().filter_map(move |(labels, samples)| {
            let cut = cut(samples, selection);
            let wanted = selection.matchers.iter().all(|m| m.matches_labels(labels)) && !cut.is_empty();
            wanted.then_some((labels, cut))
        })
    }
}

fn cut(samples: &Samples, selection: &Selection<'_>) -> Samples {
    let from = samples.timestamps.partition_point(|t| *t < selection.min_time);
    let to = samples.timestamps.partition_point(|t| *t <= selection.max_time).max(from);
    Samples { timestamps: samples.timestamps[from..to].to_vec(), values: samples.values[from..to].to_vec() }
}

impl Queryable for MemoryStore {
    fn select(&self, selection: &Selection<'_>) -> Result<SeriesSet, StorageError> {
        let selected = self.matching(selection).map(|(labels, samples)| {
            let labels = labels.clone();
            Box::new(Selected { labels, samples }) as Box<dyn Series>
        });
        Ok(SeriesSet { series: selected.collect(), ..SeriesSet::default() })
    }

    fn label_names(&self, selection: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        let mut names = BTreeSet::new();
        for (labels, _) in self.matching(selection) {
            names.extend(labels.iter().map(|(name, _)| name.to_owned()));
        }
        Ok(names.into_iter().collect())
    }

    fn label_values(&self, name: &str, selection: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        let values: BTreeSet<String> =
            self.matching(selection).filter_map(|(labels, _)| labels.get(name).map(str::to_owned)).collect();
        Ok(values.into_iter().collect())
    }

    fn exemplars(&self, _: &Selection<'_>) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        Ok(Vec::new())
    }

    fn metadata(&self, _: Option<&str>) -> Vec<(String, Metadata)> {
        Vec::new()
    }
}
