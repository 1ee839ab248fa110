//! What is remembered between the pages of a target: raw text of a series to its place in the store.
//!
//! A page mostly has the same series in the same order as the page before. So the cache keeps its entries in the order
//! of the page and guesses the next one; only where the guess fails is the text hashed.

use std::collections::HashSet;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use model::{Labels, SeriesRef};

/// After scrapes that failed, the cache may hold twice of what the last good page left, plus this; then it is cleared
/// of everything older. Prometheus allows the same.
const ENTRIES_SPARE: usize = 1000;

/// Numbers the pages of a target, from 1; 0 is never.
type Iteration = u64;

/// Place of an entry until the next [`Cache::finish`].
pub(crate) type Slot = usize;

#[derive(Debug)]
pub(crate) struct Cache {
    entries: Vec<Entry>,
    table: HashTable<Slot>,
    hasher: DefaultHashBuilder,
    guess: Slot,
    iteration: Iteration,
    good_len: usize,
}

#[derive(Debug)]
struct Entry {
    raw: Box<str>,
    /// `None` where relabelling drops the series.
    kept: Option<Kept>,
    /// The last page that had it.
    seen: Iteration,
    /// The last page that gave it a sample whose absence would be marked.
    tracked: Iteration,
}

/// Where a series lives in the store.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) series: SeriesRef,
    pub(crate) labels: Labels,
}

/// What is known of a series of the page.
pub(crate) enum Known {
    New,
    Dropped,
    Kept {
        slot: Slot,
        series: SeriesRef,
        /// Whether this page had it before.
        again: bool,
    },
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            guess: 0,
            iteration: 1,
            good_len: 0,
        }
    }

    /// Looks a series up and notes that this page has it.
    pub(crate) fn look_up(&mut self, raw: &str) -> Known {
        let Some(slot) = self.find(raw) else { return Known::New };
        self.guess = slot + 1;
        let entry = &mut self.entries[slot];
        let again = entry.seen == self.iteration;
        entry.seen = self.iteration;
        match &entry.kept {
            None => Known::Dropped,
            Some(kept) => Known::Kept { slot, series: kept.series, again },
        }
    }

    fn find(&self, raw: &str) -> Option<Slot> {
        if self.entries.get(self.guess).is_some_and(|entry| &*entry.raw == raw) {
            return Some(self.guess);
        }
        self.table.find(self.hasher.hash_one(raw), |&slot| &*self.entries[slot].raw == raw).copied()
    }

    /// Remembers a series that was not known.
    pub(crate) fn insert(&mut self, raw: &str, kept: Option<Kept>) -> Slot {
        let slot = self.entries.len();
        self.entries.push(Entry { raw: Box::from(raw), kept, seen: self.iteration, tracked: 0 });
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.table.insert_unique(hasher.hash_one(raw), slot, |&slot| hasher.hash_one(&*entries[slot].raw));
        slot
    }

    /// The absence of this series from the next page will be marked.
    pub(crate) fn track(&mut self, slot: Slot) {
        self.entries[slot].tracked = self.iteration;
    }

    pub(crate) fn labels(&self, slot: Slot) -> Option<&Labels> {
        self.entries[slot].kept.as_ref().map(|kept| &kept.labels)
    }

    /// The store gave the series another place.
    pub(crate) fn moved(&mut self, slot: Slot, series: SeriesRef) {
        if let Some(kept) = &mut self.entries[slot].kept {
            kept.series = series;
        }
    }

    /// Series that the page before had and this one has not, under whichever spelling.
    pub(crate) fn gone(&self) -> Vec<Kept> {
        let missing: Vec<&Entry> = self.entries.iter().filter(|entry| entry.tracked + 1 == self.iteration).collect();
        let missing = missing.into_iter().filter(|entry| entry.tracked > 0).filter_map(|entry| entry.kept.as_ref());
        let mut missing: Vec<Kept> = missing.cloned().collect();
        if !missing.is_empty() {
            let present = self.entries.iter().filter(|entry| entry.tracked == self.iteration);
            let present: HashSet<SeriesRef> = present.filter_map(|entry| Some(entry.kept.as_ref()?.series)).collect();
            missing.retain(|kept| !present.contains(&kept.series));
        }
        missing
    }

    /// Ends a page. Only one that was read to its end may decide what is forgotten, unless the cache has grown too
    /// much without one; `families` that are remembered count too.
    pub(crate) fn finish(&mut self, complete: bool, families: usize) {
        let len = self.entries.len() + families;
        if complete {
            self.good_len = len;
        }
        if complete || len > 2 * self.good_len + ENTRIES_SPARE {
            self.forget_unseen();
        }
        self.iteration += 1;
        self.guess = 0;
    }

    fn forget_unseen(&mut self) {
        let iteration = self.iteration;
        let before = self.entries.len();
        self.entries.retain(|entry| entry.seen == iteration);
        if self.entries.len() < before {
            let (entries, hasher) = (&self.entries, &self.hasher);
            self.table.clear();
            for (slot, entry) in entries.iter().enumerate() {
                let hash = |slot: &Slot| hasher.hash_one(&*entries[*slot].raw);
                self.table.insert_unique(hasher.hash_one(&*entry.raw), slot, hash);
            }
        }
    }
}
