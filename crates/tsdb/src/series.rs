//! The series of the head, in pages that never move.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;
use model::{Labels, Sample, Timestamp, is_stale};

use crate::chunk::{Open, View};
use crate::symbols::{Symbol, Symbols};
use crate::timeline::Timelines;

/// The place of a series; also its number in the log.
pub(crate) type Slot = u32;

/// Series in a page: a page is allocated as a whole, and a growing list of pages copies little.
const PAGE_SERIES: usize = 256;

/// One series of the head.
#[derive(Debug)]
pub(crate) struct Series {
    /// Name and value of each label, in the order of the names; empty if the place is free.
    labels: Box<[Symbol]>,
    pub(crate) hash: u32,
    /// Differs from that of all series that had this place before.
    pub(crate) generation: u32,
    /// How often the head had been frozen when a batch asked for the series last.
    touched: AtomicU32,
    /// The newest sample that this process committed; it outlives sealing, so that a repetition is known as one.
    newest: Sample,
    pub(crate) open: Open,
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

/// All series by place.
#[derive(Default)]
pub(crate) struct Slab {
    pages: Vec<Vec<Series>>,
    free: Vec<Slot>,
    generation: u32,
}

/// Numbers are spread well enough by their low bits; a multiplication spreads them to the high ones, which the table
/// also looks at.
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

/// A table by number.
pub(crate) type ById<T> = HashMap<u32, T, BuildHasherDefault<NumberHasher>>;

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u32(u32::from(b)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Before the first sample.
const NEVER: Sample = Sample { timestamp: Timestamp::MIN, value: 0.0 };

impl Series {
    pub(crate) fn is_alive(&self) -> bool {
        !self.labels.is_empty()
    }

    /// A batch holds the series from now on.
    pub(crate) fn touch(&self, freezes: u32) {
        self.touched.store(freezes, Ordering::Relaxed);
    }

    /// Whether a batch may hold it that began when the head had been frozen this often.
    pub(crate) fn is_held(&self, since: u32) -> bool {
        self.touched.load(Ordering::Relaxed) >= since
    }

    /// Whether all samples of a run are newer than what is known, and rise: then they are new without a look.
    pub(crate) fn is_ahead(&self, samples: &[Sample]) -> bool {
        let mut last = self.newest.timestamp;
        samples.iter().all(|sample| std::mem::replace(&mut last, sample.timestamp) < sample.timestamp)
    }

    /// The newest sample was deleted if it lies in this time, so that another one may come at its time.
    pub(crate) fn forget_newest(&mut self, min_time: Timestamp, max_time: Timestamp) {
        if (min_time..=max_time).contains(&self.newest.timestamp) {
            self.newest = NEVER;
        }
    }

    /// Whether its newest sample lies in this time and is no staleness marker; `None` where a look at its samples is
    /// needed to tell.
    pub(crate) fn is_live(&self, lines: &Timelines, (min_time, max_time): (Timestamp, Timestamp)) -> Option<bool> {
        let Sample { timestamp, value } = self.newest;
        // What was sealed may have expired since.
        let is_open = self.open.view(lines).range().is_some_and(|(_, last)| last == timestamp);
        (is_open && (min_time..=max_time).contains(&timestamp)).then(|| !is_stale(value))
    }

    /// `frozen` is what a sealing holds of the series.
    pub(crate) fn fate(&self, sample: Sample, lines: &Timelines, frozen: Option<View<'_>>) -> Fate {
        if sample.timestamp > self.newest.timestamp {
            return Fate::New;
        }
        let stored = if sample.timestamp == self.newest.timestamp {
            Some(self.newest.value)
        } else {
            let open = self.open.view(lines).lookup(sample.timestamp).ok().flatten();
            open.or_else(|| frozen.and_then(|view| view.lookup(sample.timestamp).ok().flatten()))
        };
        match stored {
            None => Fate::New,
            Some(value) if value.to_bits() == sample.value.to_bits() => Fate::Same,
            Some(_) => Fate::Conflict,
        }
    }

    /// Adds new samples, rising; returns by how much the memory grew.
    pub(crate) fn insert(&mut self, samples: &[Sample], lines: &mut Timelines, out: &mut Vec<u8>) -> isize {
        if let Some(&last) = samples.last()
            && last.timestamp > self.newest.timestamp
        {
            self.newest = last;
        }
        self.open.insert(samples, lines, out)
    }

    /// Names and values of the labels.
    pub(crate) fn pairs<'a>(&'a self, symbols: &'a Symbols) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        self.labels.chunks_exact(2).map(|pair| (symbols.text(pair[0]), symbols.text(pair[1])))
    }

    pub(crate) fn symbols(&self) -> &[Symbol] {
        &self.labels
    }

    pub(crate) fn labels(&self, symbols: &Symbols) -> Labels {
        Labels::from_sorted_pairs(self.pairs(symbols))
    }

    pub(crate) fn has_labels(&self, labels: &Labels, symbols: &Symbols) -> bool {
        self.pairs(symbols).eq(labels.iter())
    }
}

impl Slab {
    /// The place for a further series; `None` if the numbers are used up.
    pub(crate) fn add(&mut self, labels: Box<[Symbol]>, hash: u32) -> Option<Slot> {
        self.generation = self.generation.checked_add(1)?;
        let series = Series {
            labels,
            hash,
            generation: self.generation,
            touched: AtomicU32::new(0),
            newest: NEVER,
            open: Open::default(),
        };
        if let Some(slot) = self.free.pop() {
            *self.get_mut(slot) = series;
            return Some(slot);
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE_SERIES) {
            self.pages.push(Vec::with_capacity(PAGE_SERIES));
        }
        let page = self.pages.len() - 1;
        self.pages[page].push(series);
        Slot::try_from(page * PAGE_SERIES + self.pages[page].len() - 1).ok()
    }

    /// Frees the place of a series; its labels are given back.
    pub(crate) fn remove(&mut self, slot: Slot) -> Box<[Symbol]> {
        self.free.push(slot);
        let series = self.get_mut(slot);
        series.open = Open::default();
        std::mem::take(&mut series.labels)
    }

    pub(crate) fn get(&self, slot: Slot) -> &Series {
        &self.pages[slot as usize / PAGE_SERIES][slot as usize % PAGE_SERIES]
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Series {
        &mut self.pages[slot as usize / PAGE_SERIES][slot as usize % PAGE_SERIES]
    }

    /// The series, if it is still the one of this generation.
    pub(crate) fn find(&self, slot: Slot, generation: u32) -> Option<&Series> {
        let series = self.pages.get(slot as usize / PAGE_SERIES)?.get(slot as usize % PAGE_SERIES)?;
        (series.generation == generation && series.is_alive()).then_some(series)
    }

    /// All series with their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Series)> {
        (0..).zip(self.pages.iter().flatten()).filter(|(_, series)| series.is_alive())
    }

    /// As [`Slab::iter`].
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut Series)> {
        (0..).zip(self.pages.iter_mut().flatten()).filter(|(_, series)| series.is_alive())
    }

    /// Memory of the places.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.len() * PAGE_SERIES * size_of::<Series>() + self.free.capacity() * size_of::<Slot>()
    }
}
