//! Reading the samples of series, one after the other in the same memory.
//!
//! Series of one scrape share their timestamps, and the store can tell so before it reads them: those of the first ones are
//! kept, and of the next ones the values are read alone. What was found for the timestamps, such as where windows lie among
//! them, holds as well for all series with the same number of their list.

use std::hash::BuildHasher;

use hashbrown::HashMap;
use model::{Samples, Timestamp, is_stale};

use super::budget::{Budget, Cost, Hold};
use crate::QueryError;

/// Timestamps that a thread keeps, half a megabyte: those of eleven targets over a day at 15 s. Each pod that began or ended in
/// between has timestamps of its own, and its series mostly stand together; when there is no more room all begin anew.
const KEPT_MAX: usize = 1 << 16;

/// Keys of series that a thread remembers by their hashes. Timestamps that are met once are not worth keeping.
const MET: usize = 1024;

/// Values that are compared at a time, so that the compiler does it several at once.
const COMPARED_AT_ONCE: usize = 32;

/// The samples of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'r> {
    pub(super) timestamps: &'r [Timestamp],
    pub(super) values: &'r [f64],
    /// The number of these timestamps, if they are kept: those of another series of the same reader with this number are equal.
    pub(super) list: Option<usize>,
}

/// What a thread reads the series of one selection with.
pub(super) struct Reader<'q> {
    budget: &'q Budget,
    keeps_markers: bool,
    samples: Samples,
    /// Of the series that is read, empty if it has none.
    key: Vec<u64>,
    /// Timestamps that are kept, the number of the first ones, and all numbers by their keys. No number comes twice.
    lists: Vec<Box<[Timestamp]>>,
    first: usize,
    numbers: HashMap<Box<[u64]>, usize>,
    kept: usize,
    /// Hashes of keys that were met, each where its low bits say.
    met: Vec<u64>,
    /// Of the longest series.
    hold: Hold<'q>,
    longest: usize,
    read: u64,
}

impl<'q> Reader<'q> {
    /// Staleness markers are left out unless they are to be kept.
    pub(super) fn new(budget: &'q Budget, keeps_markers: bool) -> Self {
        Self {
            budget,
            keeps_markers,
            samples: Samples::default(),
            key: Vec::new(),
            lists: Vec::new(),
            first: 0,
            numbers: HashMap::new(),
            kept: 0,
            met: Vec::new(),
            hold: budget.hold(),
            longest: 0,
            read: 0,
        }
    }

    pub(super) fn read(&mut self, series: &dyn model::Series) -> Result<Read<'_>, QueryError> {
        let mut known = self.read_samples(series)?;
        self.count()?;
        let mut is_cut = false;
        if !self.keeps_markers
            && series.has_markers()
            && let Some(first) = first_marker(&self.samples.values)
        {
            // A series that ended has one at its end: its timestamps are those of the list but the last one.
            is_cut = known.is_some() && first + 1 == self.samples.values.len();
            if is_cut {
                self.samples.values.truncate(first);
            } else {
                self.remove_stale(known.take(), first);
            }
        }
        let values = &self.samples.values[..];
        let Some(known) = known else { return Ok(Read { timestamps: &self.samples.timestamps, values, list: None }) };
        let timestamps = &self.lists[known - self.first][..values.len()];
        Ok(Read { timestamps, values, list: Some(2 * known + usize::from(is_cut)) })
    }

    fn remove_stale(&mut self, known: Option<usize>, first: usize) {
        if let Some(known) = known {
            self.samples.timestamps.clear();
            self.samples.timestamps.extend_from_slice(&self.lists[known - self.first]);
        }
        remove_stale(&mut self.samples, first);
    }

    /// The values of a series, and its timestamps unless they are those of a list.
    fn read_samples(&mut self, series: &dyn model::Series) -> Result<Option<usize>, QueryError> {
        self.samples.clear();
        self.key.clear();
        if !series.times_key(&mut self.key) {
            self.key.clear();
        }
        let known = if self.key.is_empty() { None } else { self.numbers.get(&*self.key).copied() };
        if let Some(known) = known {
            let is_of = series.read_values(&mut self.samples.values).map_err(|e| self.budget.storage_error(e))?;
            if is_of && self.samples.values.len() == self.lists[known - self.first].len() {
                return Ok(Some(known));
            }
            self.samples.clear();
        }
        series.read(&mut self.samples).map_err(|e| self.budget.storage_error(e))?;
        Ok(if known.is_none() { self.keep_times() } else { None })
    }

    /// Keeps the timestamps that were read, if such were met before.
    fn keep_times(&mut self) -> Option<usize> {
        let length = self.samples.timestamps.len();
        if self.key.is_empty() || length > KEPT_MAX {
            return None;
        }
        let hash = self.numbers.hasher().hash_one(&*self.key);
        self.met.resize(MET, 0);
        if std::mem::replace(&mut self.met[hash as usize % MET], hash) != hash {
            return None;
        }
        if self.kept + length > KEPT_MAX {
            self.first += self.lists.len();
            self.lists.clear();
            self.numbers.clear();
            self.kept = 0;
        }
        self.kept += length;
        let number = self.first + self.lists.len();
        self.lists.push(self.samples.timestamps.as_slice().into());
        self.numbers.insert(self.key.as_slice().into(), number);
        Some(number)
    }

    fn count(&mut self) -> Result<(), QueryError> {
        let length = self.samples.values.len();
        self.read += length as u64;
        if length > self.longest {
            self.hold.add(Cost::samples(length - self.longest))?;
            self.longest = length;
        }
        Ok(())
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.budget.count_read(self.read);
    }
}

/// Removes markers, the first of which stands at this place: they tell that a series ended, and range vectors do not show
/// them.
fn remove_stale(samples: &mut Samples, first: usize) {
    let mut kept = first;
    for i in first..samples.values.len() {
        if !is_stale(samples.values[i]) {
            samples.values[kept] = samples.values[i];
            samples.timestamps[kept] = samples.timestamps[i];
            kept += 1;
        }
    }
    samples.values.truncate(kept);
    samples.timestamps.truncate(kept);
}

/// Place of the first marker. Markers are NaNs, for which several values are looked at together.
fn first_marker(values: &[f64]) -> Option<usize> {
    let has_nan = |chunk: &[f64]| chunk.iter().fold(false, |any, value| any | value.is_nan());
    let mut chunks = values.chunks(COMPARED_AT_ONCE).enumerate().filter(|(_, chunk)| has_nan(chunk));
    chunks.find_map(|(i, chunk)| Some(i * COMPARED_AT_ONCE + chunk.iter().position(|value| is_stale(*value))?))
}

#[cfg(test)]
mod tests {
    use model::{Labels, STALE_NAN_BITS, Sample, StorageError};

    use super::super::budget::{Caps, Pool};
    use super::*;
    use crate::Cancel;

    #[test]
    fn markers_go() {
        let marker = f64::from_bits(STALE_NAN_BITS);
        for length in 0..100 {
            for place in 0..length {
                let mut samples = Samples::default();
                let value = |i| match i {
                    _ if i == place || i == place + 40 => marker,
                    _ if i % 7 == 0 => f64::NAN,
                    _ => i as f64,
                };
                (0..length).for_each(|i| samples.push(Sample { timestamp: i as i64, value: value(i) }));
                if let Some(first) = first_marker(&samples.values) {
                    remove_stale(&mut samples, first);
                }
                let expected = (0..length).filter(|i| *i != place && *i != place + 40);
                assert!(samples.timestamps.iter().map(|t| *t as usize).eq(expected.clone()), "{place} of {length}");
                assert!(samples.values.iter().map(|v| v.to_bits()).eq(expected.map(|i| value(i).to_bits())));
            }
        }
    }

    /// A series with as many samples as its key says, less those that it misses.
    struct Keyed {
        labels: Labels,
        key: u64,
        missing: Option<i64>,
        marker: Option<i64>,
    }

    impl Keyed {
        fn samples(&self) -> Samples {
            let mut samples = Samples::default();
            for i in (0..self.key as i64).filter(|i| Some(*i) != self.missing) {
                let value = if Some(i) == self.marker { f64::from_bits(STALE_NAN_BITS) } else { i as f64 / 2.0 };
                samples.push(Sample { timestamp: i + self.key as i64, value });
            }
            samples
        }
    }

    impl model::Series for Keyed {
        fn labels(&self) -> &Labels {
            &self.labels
        }

        fn read(&self, into: &mut Samples) -> Result<(), StorageError> {
            self.samples().iter().for_each(|sample| into.push(sample));
            Ok(())
        }

        fn times_key(&self, key: &mut Vec<u64>) -> bool {
            key.push(self.key);
            !self.key.is_multiple_of(5)
        }

        fn read_values(&self, into: &mut Vec<f64>) -> Result<bool, StorageError> {
            into.extend(self.samples().values);
            Ok(self.missing.is_none())
        }
    }

    #[test]
    fn samples_are_those_of_the_series() {
        let budget = Budget::new(Pool::default(), Caps { samples: u64::MAX, bytes: u64::MAX }, None, Cancel::default());
        for keeps_markers in [false, true] {
            let mut reader = Reader::new(&budget, keeps_markers);
            let mut known: Vec<Option<Vec<Timestamp>>> = Vec::new();
            let mut from_list = 0;
            for i in 0..4_000u64 {
                let missing = (i % 11 == 3).then_some((i % 7) as i64);
                let end = (i * i % 29) as i64 - 1;
                let marker = (i % 13 == 5).then_some(if i % 2 == 0 { end } else { (i % 9) as i64 });
                let series = Keyed { labels: Labels::empty(), key: i * i % 29, missing, marker };
                let mut expected = series.samples();
                if !keeps_markers && let Some(first) = first_marker(&expected.values) {
                    remove_stale(&mut expected, first);
                }
                let read = reader.read(&series).unwrap();
                assert_eq!(read.timestamps, expected.timestamps, "{i}");
                assert!(read.values.iter().map(|v| v.to_bits()).eq(expected.values.iter().map(|v| v.to_bits())));
                if let Some(list) = read.list {
                    known.resize(known.len().max(list + 1), None);
                    let times = known[list].get_or_insert_with(|| read.timestamps.to_vec());
                    assert_eq!(*times, read.timestamps);
                    from_list += 1;
                }
            }
            assert!(from_list > 1_000, "{from_list}");
        }
    }
}
