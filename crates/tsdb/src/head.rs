//! The series in memory and what was committed since the last sealing.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use model::{AppendError, Labels, Matcher, Sample, SeriesRef, StorageError, Timestamp};
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use crate::chunk::Chunks;
use crate::logged::Logged;
use crate::postings::{HeadIndex, evaluate};

/// Enough that as many threads as an edge machine has cores seldom meet.
const SHARDS: usize = 16;

/// First and last timestamp where there is none.
const NO_TIME: (Timestamp, Timestamp) = (Timestamp::MAX, Timestamp::MIN);

/// One series of the head.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    pub(crate) id: u32,
    pub(crate) labels: Labels,
    pub(crate) state: Mutex<State>,
}

/// What changes of a series.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Samples committed since the last sealing began.
    pub(crate) chunks: Chunks,
    /// Samples that a sealing is writing to a block now.
    pub(crate) sealing: Option<Arc<Chunks>>,
    /// The newest sample that this process committed; it outlives sealing, so that a repetition is known as one.
    newest: Option<Sample>,
    pub(crate) logged: Logged,
    /// Taken out of the index for want of samples; who still holds it must ask for the labels again.
    pub(crate) dead: bool,
}

/// What a sample would do to its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is new.
    New,
    /// It is there with the same bits.
    Same,
    /// Another value is there.
    Conflict,
}

impl State {
    pub(crate) fn fate(&self, sample: Sample) -> Fate {
        let Some(newest) = self.newest else { return Fate::New };
        if sample.timestamp > newest.timestamp {
            return Fate::New;
        }
        let stored =
            if sample.timestamp == newest.timestamp { Some(newest.value) } else { self.lookup(sample.timestamp) };
        match stored {
            None => Fate::New,
            Some(value) if value.to_bits() == sample.value.to_bits() => Fate::Same,
            Some(_) => Fate::Conflict,
        }
    }

    fn lookup(&self, timestamp: Timestamp) -> Option<f64> {
        let found = self.chunks.lookup(timestamp).ok().flatten();
        found.or_else(|| self.sealing.as_ref().and_then(|chunks| chunks.lookup(timestamp).ok().flatten()))
    }

    /// Adds a new sample; returns by how much the memory grew.
    pub(crate) fn insert(&mut self, sample: Sample) -> isize {
        if self.newest.is_none_or(|newest| sample.timestamp > newest.timestamp) {
            self.newest = Some(sample);
        }
        self.chunks.insert(sample)
    }
}

/// Numbers are spread well enough by their low bits; a multiplication spreads them to the high ones, which the table
/// also looks at.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u32(u32::from(b)));
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A table by series number.
pub(crate) type ById<T> = HashMap<u32, T, BuildHasherDefault<IdHasher>>;

/// All series with their index.
pub(crate) struct Head {
    by_labels: [RwLock<HashTable<Arc<HeadSeries>>>; SHARDS],
    by_id: [RwLock<ById<Arc<HeadSeries>>>; SHARDS],
    index: RwLock<HeadIndex>,
    /// First and last timestamp of what is being sealed; empty if nothing is.
    sealing_range: Mutex<(Timestamp, Timestamp)>,
    hasher: DefaultHashBuilder,
    next_id: AtomicU32,
    series_max: usize,
    series: AtomicUsize,
    pub(crate) totals: Totals,
}

/// Sums over all series.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) samples: AtomicU64,
    pub(crate) bytes: AtomicI64,
    pub(crate) min_time: AtomicI64,
    pub(crate) max_time: AtomicI64,
    pub(crate) created: AtomicU64,
    pub(crate) removed: AtomicU64,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            samples: AtomicU64::new(0),
            bytes: AtomicI64::new(0),
            min_time: AtomicI64::new(Timestamp::MAX),
            max_time: AtomicI64::new(Timestamp::MIN),
            created: AtomicU64::new(0),
            removed: AtomicU64::new(0),
        }
    }
}

impl Totals {
    pub(crate) fn add(&self, sample: Sample, bytes: isize) {
        self.samples.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as i64, Ordering::Relaxed);
        self.min_time.fetch_min(sample.timestamp, Ordering::Relaxed);
        self.max_time.fetch_max(sample.timestamp, Ordering::Relaxed);
    }

    fn reset(&self) {
        self.samples.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.min_time.store(Timestamp::MAX, Ordering::Relaxed);
        self.max_time.store(Timestamp::MIN, Ordering::Relaxed);
    }
}

impl Head {
    pub(crate) fn new(series_max: usize) -> Self {
        Self {
            by_labels: Default::default(),
            by_id: Default::default(),
            index: RwLock::default(),
            sealing_range: Mutex::new(NO_TIME),
            hasher: DefaultHashBuilder::default(),
            next_id: AtomicU32::new(1),
            series_max,
            series: AtomicUsize::new(0),
            totals: Totals::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    /// The series of a reference.
    pub(crate) fn by_ref(&self, series: SeriesRef) -> Option<Arc<HeadSeries>> {
        let id = u32::try_from(series.0.get()).ok()?;
        self.by_id[id as usize % SHARDS].read().get(&id).cloned()
    }

    /// The series of a label set, created if it is new. Errors: the set is invalid, or a limit is reached.
    pub(crate) fn get_or_create(&self, labels: &Labels) -> Result<Arc<HeadSeries>, AppendError> {
        self.find_or_add(labels, self.series_max)
    }

    /// As [`Head::get_or_create`], whatever the limit says: what was acknowledged comes back.
    pub(crate) fn restore(&self, labels: &Labels) -> Result<Arc<HeadSeries>, AppendError> {
        self.find_or_add(labels, usize::MAX)
    }

    fn find_or_add(&self, labels: &Labels, series_max: usize) -> Result<Arc<HeadSeries>, AppendError> {
        let hash = self.hasher.hash_one(labels);
        let shard = &self.by_labels[hash as usize % SHARDS];
        if let Some(series) = shard.read().find(hash, |s| s.labels == *labels) {
            return Ok(Arc::clone(series));
        }
        let mut table = shard.write();
        if let Some(series) = table.find(hash, |s| s.labels == *labels) {
            return Ok(Arc::clone(series));
        }
        check_labels(labels)?;
        let series =
            Arc::new(HeadSeries { id: self.new_id(series_max)?, labels: labels.clone(), state: Mutex::default() });
        table.insert_unique(hash, Arc::clone(&series), |s| self.hasher.hash_one(&s.labels));
        self.by_id[series.id as usize % SHARDS].write().insert(series.id, Arc::clone(&series));
        self.index.write().add(series.id, labels);
        self.series.fetch_add(1, Ordering::Relaxed);
        self.totals.created.fetch_add(1, Ordering::Relaxed);
        Ok(series)
    }

    fn new_id(&self, series_max: usize) -> Result<u32, AppendError> {
        if self.len() >= series_max {
            let message = format!("{series_max} series are in memory, the limit: raise it or drop labels");
            return Err(AppendError::Limit(message));
        }
        let next = self.next_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |id| id.checked_add(1));
        next.map_err(|_| AppendError::Limit("series numbers are used up: restart skep".to_owned()))
    }

    /// Numbers up to here were used by the log; new ones lie above.
    pub(crate) fn skip_ids(&self, used: u32) {
        self.next_id.fetch_max(used.saturating_add(1), Ordering::Relaxed);
    }

    /// Every series, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<HeadSeries>> {
        self.by_id.iter().flat_map(|shard| shard.read().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Series that satisfy all matchers.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Result<Vec<Arc<HeadSeries>>, StorageError> {
        let found = evaluate(&*self.index.read(), matchers)?;
        let get = |id: u32| self.by_id[id as usize % SHARDS].read().get(&id).cloned();
        Ok(found.iter().filter_map(get).collect())
    }

    /// Asks the index.
    pub(crate) fn with_index<T>(&self, ask: impl FnOnce(&HeadIndex) -> T) -> T {
        ask(&self.index.read())
    }

    /// Whether there may be samples in the time, those that are being sealed included.
    pub(crate) fn overlaps(&self, min_time: Timestamp, max_time: Timestamp) -> bool {
        let totals = &self.totals;
        let (first, last) = (totals.min_time.load(Ordering::Relaxed), totals.max_time.load(Ordering::Relaxed));
        let (sealing_first, sealing_last) = *self.sealing_range.lock();
        (first <= max_time && last >= min_time) || (sealing_first <= max_time && sealing_last >= min_time)
    }

    /// Moves all samples aside for sealing. Only to be called while no commit runs.
    pub(crate) fn freeze(&self) {
        for series in self.all() {
            let mut state = series.state.lock();
            if !state.chunks.is_empty() {
                state.sealing = Some(Arc::new(std::mem::take(&mut state.chunks)));
            }
        }
        let mut sealing = self.sealing_range.lock();
        sealing.0 = sealing.0.min(self.totals.min_time.load(Ordering::Relaxed));
        sealing.1 = sealing.1.max(self.totals.max_time.load(Ordering::Relaxed));
        self.totals.reset();
    }

    /// Drops what was sealed. Only to be called while no commit and no query's snapshot runs.
    pub(crate) fn drop_sealed(&self, sealed: &[Arc<HeadSeries>]) {
        sealed.iter().for_each(|series| series.state.lock().sealing = None);
        *self.sealing_range.lock() = NO_TIME;
    }

    /// Forgets series that got no sample since the sealing. Only to be called while no commit runs.
    pub(crate) fn forget_idle(&self) {
        let mut gone = RoaringBitmap::new();
        for series in self.all() {
            let mut state = series.state.lock();
            if state.chunks.is_empty() && state.sealing.is_none() {
                state.dead = true;
                gone.insert(series.id);
                self.remove(&series);
            }
        }
        self.index.write().remove(&gone);
        self.totals.removed.fetch_add(gone.len(), Ordering::Relaxed);
        self.series.fetch_sub(gone.len() as usize, Ordering::Relaxed);
    }

    fn remove(&self, series: &HeadSeries) {
        let hash = self.hasher.hash_one(&series.labels);
        if let Ok(entry) = self.by_labels[hash as usize % SHARDS].write().find_entry(hash, |s| s.id == series.id) {
            entry.remove();
        }
        self.by_id[series.id as usize % SHARDS].write().remove(&series.id);
    }
}

/// A label set of this size would be copied into log and index; the labels of a real page take a few hundred bytes.
const LABELS_BYTES_MAX: usize = 64 << 10;

fn check_labels(labels: &Labels) -> Result<(), AppendError> {
    let invalid = |what: &str| Err(AppendError::InvalidLabels(what.to_owned()));
    if labels.is_empty() {
        invalid("it is empty")
    } else if labels.iter().any(|(name, _)| name.is_empty()) {
        invalid("a label name is empty")
    } else if labels.as_packed().len() > LABELS_BYTES_MAX {
        Err(AppendError::Limit(format!("the labels of a series take more than {LABELS_BYTES_MAX} bytes")))
    } else {
        Ok(())
    }
}

impl HeadSeries {
    /// What a collector keeps.
    pub(crate) fn reference(&self) -> SeriesRef {
        SeriesRef(NonZeroU64::MIN.saturating_add(u64::from(self.id) - 1))
    }
}
