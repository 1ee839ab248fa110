//! The series in memory and what was committed since the last sealing.
//!
//! One lock guards all of it. Who appends or asks holds it for reading, one series at a time or a whole selection; a
//! new series, a commit and a freeze hold it alone, each for as long as it takes to write to memory. Commits come one
//! at a time anyway, because the log orders them. What a series is called in the log lies beside under a lock of its
//! own, since only commits touch it.
//!
//! A series is a place in a slab ([`crate::series`]): about a hundred bytes, its labels as numbers of texts that are
//! kept once ([`crate::symbols`]), its samples as a stream of values ([`crate::stream`]) whose timestamps stand in a
//! timeline that all series of a target share ([`crate::timeline`]). A freeze moves the streams aside in one go, with
//! the timelines. A place is given to another series only by a freeze, and only where no open batch holds it,
//! so that a batch keeps nothing but numbers.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use hashbrown::{DefaultHashBuilder, HashTable};
use model::{AppendError, Committed, Exemplar, Labels, Matcher, Sample, SeriesRef, StorageError, Timestamp};
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use crate::chunk::{Chunks, Open, View};
use crate::postings::{HeadIndex, evaluate};
use crate::series::{Fate, Series, Slab, Slot};
use crate::stream::Mark;
use crate::symbols::{Symbol, Symbols};
use crate::timeline::Timelines;
use crate::warm::{self, Listing, Warm};
use crate::writer::{Logged, Writer};

/// All series with their index.
pub(crate) struct Head {
    inner: RwLock<Inner>,
    /// By place. Touched by commits only, which come one at a time.
    logged: Mutex<Vec<Logged>>,
    /// How many batches are open, by how often the head had been frozen when they began.
    open: Mutex<BTreeMap<u32, usize>>,
    hasher: DefaultHashBuilder,
    series_max: usize,
    series: AtomicUsize,
    /// Series created before the last freeze.
    created_before: AtomicU64,
    pub(crate) totals: Totals,
}

#[derive(Default)]
struct Inner {
    slab: Slab,
    lines: Timelines,
    symbols: Symbols,
    by_labels: HashTable<Slot>,
    index: HeadIndex,
    frozen: Option<Arc<Frozen>>,
    freezes: u32,
    /// How often a series came or went.
    population: u64,
    /// How many batches were added.
    commits: u64,
    /// Where the words of a run are encoded.
    scratch: Vec<u8>,
}

/// Samples that a sealing writes to blocks.
#[derive(Debug)]
pub(crate) struct Frozen {
    /// Rising.
    slots: Vec<Slot>,
    chunks: Vec<Open>,
    lines: Timelines,
    /// First and last timestamp.
    min_time: Timestamp,
    max_time: Timestamp,
}

/// The samples of one series among the frozen ones.
pub(crate) struct FrozenSeries {
    frozen: Arc<Frozen>,
    at: usize,
}

/// A series that was asked for and what it has in the time.
pub(crate) struct Found {
    pub(crate) labels: Labels,
    pub(crate) frozen: Option<FrozenSeries>,
    pub(crate) open: Option<Chunks>,
}

/// As [`Found`] for a row of a listing.
pub(crate) struct FoundAgain {
    pub(crate) row: usize,
    pub(crate) frozen: Option<FrozenSeries>,
    /// With the place in the stream where the copy begins.
    pub(crate) open: Option<(Chunks, Mark)>,
}

/// A listing, and what was found of its rows.
pub(crate) type ListedAgain = (Arc<Listing>, Vec<FoundAgain>);

/// What the head was like when a batch began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    freezes: u32,
    commits: u64,
}

/// Consecutive samples of a batch that belong to one series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) slot: Slot,
    pub(crate) count: u32,
}

/// What is known of a series that is to get a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    pub(crate) slot: Slot,
    /// Whether the sample is new without a look.
    pub(crate) is_ahead: bool,
    /// Whether another value stands at its time.
    pub(crate) conflicts: bool,
}

/// What matters of time and form to a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) labels_only: bool,
}

/// Sums over all series.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) samples: AtomicU64,
    /// Memory of samples and timelines.
    pub(crate) bytes: AtomicI64,
    pub(crate) min_time: AtomicI64,
    pub(crate) max_time: AtomicI64,
    pub(crate) created: AtomicU64,
    pub(crate) removed: AtomicU64,
}

/// Where the memory of the head is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Samples and timelines that are not frozen.
    pub(crate) samples: usize,
    /// Samples that are being sealed.
    pub(crate) frozen: usize,
    /// Series and the tables that find them.
    pub(crate) series: usize,
    /// Texts of the labels.
    pub(crate) labels: usize,
    /// The inverted index.
    pub(crate) index: usize,
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
    fn add(&self, samples: &[Sample], count: u64, bytes: isize) {
        let times = || samples.iter().map(|sample| sample.timestamp);
        self.samples.fetch_add(count, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as i64, Ordering::Relaxed);
        self.min_time.fetch_min(times().min().unwrap_or(Timestamp::MAX), Ordering::Relaxed);
        self.max_time.fetch_max(times().max().unwrap_or(Timestamp::MIN), Ordering::Relaxed);
    }

    /// First and last timestamp; the first is the later one where there is no sample.
    fn range(&self) -> (Timestamp, Timestamp) {
        (self.min_time.load(Ordering::Relaxed), self.max_time.load(Ordering::Relaxed))
    }

    fn reset(&self) {
        self.samples.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.min_time.store(Timestamp::MAX, Ordering::Relaxed);
        self.max_time.store(Timestamp::MIN, Ordering::Relaxed);
    }
}

impl Frozen {
    fn find(&self, slot: Slot) -> Option<usize> {
        self.slots.binary_search(&slot).ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The series at this place of the list.
    pub(crate) fn get(&self, at: usize) -> (Slot, View<'_>) {
        (self.slots[at], self.chunks[at].view(&self.lines))
    }

    fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| size_of::<Open>() + chunk.bytes()).sum::<usize>() + self.lines.bytes()
    }
}

impl FrozenSeries {
    pub(crate) fn view(&self) -> View<'_> {
        self.frozen.get(self.at).1
    }
}

impl Inner {
    fn find(&self, labels: &Labels, hash: u32) -> Option<Slot> {
        self.by_labels.find(spread(hash), |&slot| self.slab.get(slot).has_labels(labels, &self.symbols)).copied()
    }

    fn listing(&self, slots: &RoaringBitmap) -> warm::Found {
        let labelled = slots.iter().map(|slot| (self.slab.get(slot).labels(&self.symbols), slot));
        let mut labelled: Vec<(Labels, Slot)> = labelled.collect();
        labelled.sort_unstable();
        let mut found = warm::Found::default();
        found.population = self.population;
        labelled.into_iter().for_each(|(labels, slot)| found.add(labels, slot, &[]));
        found
    }

    fn frozen_view(&self, slot: Slot) -> Option<View<'_>> {
        let frozen = self.frozen.as_ref()?;
        Some(frozen.get(frozen.find(slot)?).1)
    }

    fn fate(&self, slot: Slot, sample: Sample) -> Fate {
        self.slab.get(slot).fate(sample, &self.lines, self.frozen_view(slot))
    }

    fn add(&mut self, labels: &Labels, hash: u32) -> Result<Slot, AppendError> {
        let words: Box<[Symbol]> =
            labels.iter().flat_map(|(n, v)| [n, v]).map(|text| self.symbols.take(text)).collect();
        let Some(slot) = self.slab.add(words, hash) else {
            return Err(AppendError::Limit("series numbers are used up: restart skep".to_owned()));
        };
        let slab = &self.slab;
        self.by_labels.insert_unique(spread(hash), slot, |&slot| spread(slab.get(slot).hash));
        self.index.add(slot, labels);
        self.population += 1;
        Ok(slot)
    }

    fn remove(&mut self, slot: Slot) {
        self.population += 1;
        let hash = spread(self.slab.get(slot).hash);
        if let Ok(entry) = self.by_labels.find_entry(hash, |&s| s == slot) {
            entry.remove();
        }
        self.slab.remove(slot).iter().for_each(|&symbol| self.symbols.give_back(symbol));
    }

    /// Adds the samples of a run that are still new; returns what became of them, and by how much the memory grew.
    fn insert(&mut self, slot: Slot, samples: &[Sample], done: &mut Inserted) {
        let Self { slab, lines, scratch, .. } = self;
        let series = slab.get_mut(slot);
        if series.is_ahead(samples) {
            done.bytes += series.insert(samples, lines, scratch);
            done.new += samples.len() as u64;
            return;
        }
        for &sample in samples {
            // The batch itself may say a timestamp twice.
            match self.fate(slot, sample) {
                Fate::New => {
                    let Self { slab, lines, scratch, .. } = self;
                    done.bytes += slab.get_mut(slot).insert(&[sample], lines, scratch);
                    done.new += 1;
                }
                Fate::Same => done.same += 1,
                Fate::Conflict => done.conflicting += 1,
            }
        }
    }

    fn found(&self, slot: Slot, wanted: Wanted) -> Option<Found> {
        let series = self.slab.get(slot);
        let touches = |view: &View<'_>| view.has_sample_in(wanted.min_time, wanted.max_time);
        let frozen = self.frozen.as_ref().and_then(|frozen| Some((frozen, frozen.find(slot)?)));
        let frozen = frozen.filter(|(frozen, at)| touches(&frozen.get(*at).1));
        let open = touches(&series.open.view(&self.lines));
        if frozen.is_none() && !open {
            return None;
        }
        let frozen = frozen.filter(|_| !wanted.labels_only);
        Some(Found {
            labels: series.labels(&self.symbols),
            frozen: frozen.map(|(frozen, at)| FrozenSeries { frozen: Arc::clone(frozen), at }),
            open: (open && !wanted.labels_only).then(|| series.open.snapshot(&self.lines)),
        })
    }

    /// What the series of a row has about the time; more where it was not read before.
    fn found_again(&self, listing: &Listing, at: usize, wanted: Wanted) -> Option<FoundAgain> {
        let row = listing.rows().get(at)?;
        let series = self.slab.get(row.series);
        let touches = |view: &View<'_>| view.overlaps(wanted.min_time, wanted.max_time);
        let frozen = self.frozen.as_ref().and_then(|frozen| Some((frozen, frozen.find(row.series)?)));
        let frozen = frozen.filter(|(frozen, at)| touches(&frozen.get(*at).1));
        let open = touches(&series.open.view(&self.lines));
        (frozen.is_some() || open).then(|| FoundAgain {
            row: at,
            frozen: frozen.map(|(frozen, at)| FrozenSeries { frozen: Arc::clone(frozen), at }),
            open: open.then(|| series.open.snapshot_from(&self.lines, wanted.min_time, listing.mark(at))),
        })
    }
}

/// What became of samples that were to be inserted.
#[derive(Clone, Copy, Debug, Default)]
struct Inserted {
    new: u64,
    same: u64,
    conflicting: u64,
    bytes: isize,
}

/// The table looks at the low and at the high bits of 64.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn reference(slot: Slot, series: &Series) -> SeriesRef {
    let number = u64::from(series.generation) << 32 | u64::from(slot);
    SeriesRef(NonZeroU64::MIN.saturating_add(number - 1))
}

impl Head {
    pub(crate) fn new(series_max: usize) -> Self {
        Self {
            inner: RwLock::default(),
            logged: Mutex::default(),
            open: Mutex::default(),
            hasher: DefaultHashBuilder::default(),
            series_max,
            series: AtomicUsize::new(0),
            created_before: AtomicU64::new(0),
            totals: Totals::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    /// A batch begins: until it ends, no series is forgotten that it asks for.
    pub(crate) fn begin(&self) -> Began {
        let mut open = self.open.lock();
        let Inner { freezes, commits, .. } = *self.inner.read();
        *open.entry(freezes).or_default() += 1;
        Began { freezes, commits }
    }

    /// The batch that began then ends.
    pub(crate) fn end(&self, began: Began) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&began.freezes) {
            *count -= 1;
            if *count == 0 {
                open.remove(&began.freezes);
            }
        }
    }

    /// The series of a reference.
    pub(crate) fn by_ref(&self, reference: SeriesRef) -> Option<Slot> {
        let (slot, generation) = (reference.0.get() as u32, (reference.0.get() >> 32) as u32);
        let inner = self.inner.read();
        inner.slab.find(slot, generation)?.touch(inner.freezes);
        Some(slot)
    }

    /// The series of a reference, and whether its samples are new without a look; `refused` is told those that conflict.
    /// `None` if there is no such series.
    pub(crate) fn check(
        &self,
        reference: SeriesRef,
        samples: &[Sample],
        refused: &mut dyn FnMut(usize),
    ) -> Option<(Slot, bool)> {
        let (slot, generation) = (reference.0.get() as u32, (reference.0.get() >> 32) as u32);
        let inner = self.inner.read();
        let series = inner.slab.find(slot, generation)?;
        series.touch(inner.freezes);
        let is_ahead = series.is_ahead(samples);
        if !is_ahead {
            let conflicts = |(_, sample): &(usize, &Sample)| inner.fate(slot, **sample) == Fate::Conflict;
            samples.iter().enumerate().filter(conflicts).for_each(|(at, _)| refused(at));
        }
        Some((slot, is_ahead))
    }

    /// As [`Head::check`] for one sample of each of some series; `each` is told what was found, in their order.
    pub(crate) fn check_each(&self, samples: &[(SeriesRef, Sample)], mut each: impl FnMut(Option<Checked>)) {
        let inner = self.inner.read();
        for &(reference, sample) in samples {
            let (slot, generation) = (reference.0.get() as u32, (reference.0.get() >> 32) as u32);
            each(inner.slab.find(slot, generation).map(|series| {
                series.touch(inner.freezes);
                let is_ahead = series.is_ahead(&[sample]);
                let conflicts = !is_ahead && inner.fate(slot, sample) == Fate::Conflict;
                Checked { slot, is_ahead, conflicts }
            }));
        }
    }

    /// The series of a label set, created if it is new. Errors: the set is invalid, or a limit is reached.
    pub(crate) fn get_or_create(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        self.find_or_add(labels, self.series_max).map(|(_, reference)| reference)
    }

    /// As [`Head::get_or_create`], whatever the limit says: what was acknowledged comes back.
    pub(crate) fn restore(&self, labels: &Labels) -> Result<Slot, AppendError> {
        self.find_or_add(labels, usize::MAX).map(|(slot, _)| slot)
    }

    /// Whether few new series have room, and sealing would forget some for those that ended: many came since the last one.
    pub(crate) fn is_crowded(&self) -> bool {
        let come = self.totals.created.load(Ordering::Relaxed) - self.created_before.load(Ordering::Relaxed);
        self.len() > self.series_max - self.series_max / 8 && come > self.series_max as u64 / 16
    }

    fn find_or_add(&self, labels: &Labels, series_max: usize) -> Result<(Slot, SeriesRef), AppendError> {
        let hash = self.hasher.hash_one(labels) as u32;
        let known = |inner: &Inner| {
            let slot = inner.find(labels, hash)?;
            inner.slab.get(slot).touch(inner.freezes);
            Some((slot, reference(slot, inner.slab.get(slot))))
        };
        if let Some(found) = known(&self.inner.read()) {
            return Ok(found);
        }
        check_labels(labels)?;
        let mut inner = self.inner.write();
        if let Some(found) = known(&inner) {
            return Ok(found);
        }
        if self.len() >= series_max {
            let message = format!(
                "{series_max} series are in memory, which is what --memory-budget leaves for them: raise it, or drop labels"
            );
            return Err(AppendError::Limit(message));
        }
        let slot = inner.add(labels, hash)?;
        inner.slab.get(slot).touch(inner.freezes);
        self.series.fetch_add(1, Ordering::Relaxed);
        self.totals.created.fetch_add(1, Ordering::Relaxed);
        Ok((slot, reference(slot, inner.slab.get(slot))))
    }

    pub(crate) fn labels(&self, slot: Slot) -> Labels {
        let inner = self.inner.read();
        inner.slab.get(slot).labels(&inner.symbols)
    }

    /// Whether nothing was added since the batch began, so that what was found for it then still holds.
    pub(crate) fn is_unchanged(&self, began: Began) -> bool {
        self.inner.read().commits == began.commits
    }

    /// Leaves the samples of a batch that are new, and counts the others. Only to be called by the commit.
    pub(crate) fn sift(&self, runs: &mut Vec<Run>, samples: &mut Vec<Sample>) -> Committed {
        let inner = self.inner.read();
        let mut committed = Committed::default();
        let (mut begin, mut kept) = (0, 0);
        runs.retain_mut(|run| {
            let end = begin + run.count as usize;
            let first = kept;
            if inner.slab.get(run.slot).is_ahead(&samples[begin..end]) {
                samples.copy_within(begin..end, kept);
                kept += end - begin;
            } else {
                for at in begin..end {
                    match inner.fate(run.slot, samples[at]) {
                        Fate::New => {
                            samples[kept] = samples[at];
                            kept += 1;
                        }
                        Fate::Same => committed.samples += 1,
                        Fate::Conflict => committed.conflicting += 1,
                    }
                }
            }
            begin = end;
            run.count = (kept - first) as u32;
            run.count > 0
        });
        samples.truncate(kept);
        committed
    }

    /// Gives the log what a batch holds. Only to be called by the commit.
    pub(crate) fn log(&self, writer: &mut Writer, runs: &[Run], samples: &[Sample], exemplars: &[(Slot, Exemplar)]) {
        let mut logged = self.logged.lock();
        let inner = self.inner.read();
        let slots = runs.iter().map(|run| run.slot).chain(exemplars.iter().map(|(slot, _)| *slot));
        let needed = slots.max().map_or(0, |slot| slot as usize + 1);
        if logged.len() < needed {
            logged.resize(needed, Logged::default());
        }
        let inner = &*inner;
        let labels = |slot: Slot| move || inner.slab.get(slot).labels(&inner.symbols);
        let mut rest = samples;
        for run in runs {
            let (some, others) = rest.split_at(run.count as usize);
            rest = others;
            writer.add(labels(run.slot), &mut logged[run.slot as usize], some);
        }
        for (slot, exemplar) in exemplars {
            writer.add_exemplar(labels(*slot), &mut logged[*slot as usize], exemplar);
        }
    }

    /// Adds the samples of a batch.
    pub(crate) fn apply(&self, runs: &[Run], samples: &[Sample]) -> Committed {
        let done = self.add_all(runs, samples);
        Committed { samples: done.new + done.same, conflicting: done.conflicting }
    }

    fn add_all(&self, runs: &[Run], samples: &[Sample]) -> Inserted {
        let mut inner = self.inner.write();
        let before = inner.lines.bytes();
        inner.lines.begin();
        inner.commits += 1;
        let mut done = Inserted::default();
        let mut rest = samples;
        for run in runs {
            let (some, others) = rest.split_at(run.count as usize);
            rest = others;
            inner.insert(run.slot, some, &mut done);
        }
        let grown = done.bytes + inner.lines.bytes() as isize - before as isize;
        self.totals.add(samples, done.new, grown);
        done
    }

    /// Adds samples that the log held, each run with its series, in the order in which they were committed; returns how
    /// many of them are new.
    pub(crate) fn replay(&self, runs: &[Run], samples: &[Sample]) -> u64 {
        self.add_all(runs, samples).new
    }

    /// Series that satisfy all matchers and have samples in the time.
    pub(crate) fn matching(&self, matchers: &[Matcher], wanted: Wanted) -> Result<Vec<Found>, StorageError> {
        let inner = self.inner.read();
        let slots = evaluate(&inner.index, matchers)?;
        Ok(slots.iter().filter_map(|slot| inner.found(slot, wanted)).collect())
    }

    /// How many of the series that match have their newest sample in the time and as no staleness marker, and which others
    /// may have samples there.
    pub(crate) fn count(&self, matchers: &[Matcher], wanted: Wanted) -> Result<(u64, Vec<Found>), StorageError> {
        let inner = self.inner.read();
        let (mut counted, mut others) = (0, Vec::new());
        for slot in &evaluate(&inner.index, matchers)? {
            match inner.slab.get(slot).is_live(&inner.lines, (wanted.min_time, wanted.max_time)) {
                Some(is_live) => counted += u64::from(is_live),
                None => others.extend(inner.found(slot, wanted)),
            }
        }
        Ok((counted, others))
    }

    /// As [`Head::matching`] for a query that comes again, in the order of the labels: which series match is kept until
    /// one comes or goes. Some may have no sample in the time. `None` where they are too many.
    pub(crate) fn matching_again(
        &self,
        matchers: &[Matcher],
        wanted: Wanted,
        warm: &Warm,
    ) -> Result<Option<ListedAgain>, StorageError> {
        let inner = self.inner.read();
        let known = warm.listing(warm::HEAD, matchers).filter(|listing| listing.population == inner.population);
        let listing = match known {
            Some(listing) => listing,
            None => {
                let slots = evaluate(&inner.index, matchers)?;
                if !warm.may_keep(slots.len()) {
                    return Ok(None);
                }
                warm.keep(warm::HEAD, matchers, inner.listing(&slots))
            }
        };
        let found = (0..listing.rows().len()).filter_map(|at| inner.found_again(&listing, at, wanted)).collect();
        Ok(Some((listing, found)))
    }

    /// What was known of the newest samples of matching series is forgotten where it lies in this time.
    pub(crate) fn forget_newest(
        &self,
        matchers: &[Matcher],
        min_time: Timestamp,
        max_time: Timestamp,
    ) -> Result<(), StorageError> {
        let mut inner = self.inner.write();
        for slot in evaluate(&inner.index, matchers)? {
            inner.slab.get_mut(slot).forget_newest(min_time, max_time);
        }
        Ok(())
    }

    /// Asks the index.
    pub(crate) fn with_index<T>(&self, ask: impl FnOnce(&HeadIndex) -> T) -> T {
        ask(&self.inner.read().index)
    }

    /// Whether there may be samples in the time, those that are being sealed included.
    pub(crate) fn overlaps(&self, min_time: Timestamp, max_time: Timestamp) -> bool {
        let sealing = self.inner.read().frozen.as_ref().map(|frozen| (frozen.min_time, frozen.max_time));
        let mut ranges = sealing.into_iter().chain([self.totals.range()]);
        ranges.any(|(first, last)| first <= last && first <= max_time && last >= min_time)
    }

    /// Moves all samples aside for sealing and forgets series that got none since the last time, unless a batch holds
    /// them. Only to be called while no commit runs.
    pub(crate) fn freeze(&self) -> Arc<Frozen> {
        let open = self.open.lock();
        let held_since = open.keys().next().copied().unwrap_or(u32::MAX);
        let mut inner = self.inner.write();
        self.forget_idle(&mut inner, held_since);
        let (slots, chunks) = (Vec::new(), Vec::new());
        let (min_time, max_time) = self.totals.range();
        let mut frozen = Frozen { slots, chunks, lines: std::mem::take(&mut inner.lines), min_time, max_time };
        for (slot, series) in inner.slab.iter_mut().filter(|(_, series)| !series.open.is_empty()) {
            frozen.slots.push(slot);
            frozen.chunks.push(series.open.take());
        }
        inner.freezes += 1;
        self.created_before.store(self.totals.created.load(Ordering::Relaxed), Ordering::Relaxed);
        let frozen = Arc::new(frozen);
        inner.frozen = (frozen.len() > 0).then(|| Arc::clone(&frozen));
        self.totals.reset();
        frozen
    }

    fn forget_idle(&self, inner: &mut Inner, held_since: u32) {
        let is_idle = |series: &Series| series.open.is_empty() && !series.is_held(held_since);
        let gone: RoaringBitmap = inner.slab.iter().filter(|(_, s)| is_idle(s)).map(|(slot, _)| slot).collect();
        if gone.is_empty() {
            return;
        }
        let mut logged = self.logged.lock();
        for slot in &gone {
            inner.remove(slot);
            if let Some(logged) = logged.get_mut(slot as usize) {
                *logged = Logged::default();
            }
        }
        inner.index.remove(&gone);
        self.totals.removed.fetch_add(gone.len(), Ordering::Relaxed);
        self.series.fetch_sub(gone.len() as usize, Ordering::Relaxed);
    }

    /// Drops what was sealed. Only to be called while no commit and no query's snapshot runs.
    pub(crate) fn drop_sealed(&self) {
        self.inner.write().frozen = None;
    }

    /// Places of the frozen series in their list, in the order of their labels.
    pub(crate) fn label_order(&self, frozen: &Frozen) -> Vec<u32> {
        let inner = self.inner.read();
        let ranks = inner.symbols.ranks();
        let key = |at: u32| {
            let series = inner.slab.get(frozen.slots[at as usize]);
            series.symbols().iter().map(|&symbol| ranks[symbol as usize])
        };
        let mut order: Vec<u32> = (0..frozen.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| key(a).cmp(key(b)));
        order
    }

    /// Where the memory is.
    pub(crate) fn memory(&self) -> Memory {
        let logged = self.logged.lock().capacity() * size_of::<Logged>();
        let inner = self.inner.read();
        let frozen = inner.frozen.as_ref().map_or(0, |frozen| frozen.bytes());
        let words = inner.slab.iter().map(|(_, series)| size_of_val(series.symbols())).sum::<usize>();
        let table = inner.by_labels.capacity() * 8 / 7 * (size_of::<Slot>() + 1);
        Memory {
            samples: usize::try_from(self.totals.bytes.load(Ordering::Relaxed)).unwrap_or_default(),
            frozen,
            series: inner.slab.bytes() + words + table + logged,
            labels: inner.symbols.bytes(),
            index: inner.index.bytes(),
        }
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
