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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    /// Plays pages of names (`x!` is one that relabelling drops, `x*` one whose absence is not marked) and gives for
    /// each page what was new and what was gone. A page that begins with `?` is not complete.
    fn check(pages: &[&str], expected: &[(&str, &str)]) {
        let mut cache = Cache::new();
        for (page, expected) in pages.iter().zip(expected) {
            let mut new = Vec::new();
            for name in page.trim_start_matches('?').split_whitespace() {
                let slot = match cache.look_up(name) {
                    Known::Dropped => continue,
                    Known::Kept { slot, .. } => slot,
                    Known::New => {
                        new.push(name);
                        cache.insert(name, kept(name))
                    }
                };
                if !name.ends_with(['*', '!']) {
                    cache.track(slot);
                }
            }
            let gone: Vec<_> = cache.gone().iter().map(|kept| kept.labels.metric_name().to_owned()).collect();
            cache.finish(!page.starts_with('?'), 0);
            assert_eq!((new.join(" ").as_str(), gone.join(" ").as_str()), *expected, "{page:?} of {pages:?}");
        }
    }

    /// The same place for names with the same first letter, as for two spellings of one series.
    fn kept(name: &str) -> Option<Kept> {
        let series = SeriesRef(NonZeroU64::new(u64::from(name.as_bytes()[0])).unwrap());
        (!name.ends_with('!')).then(|| Kept { series, labels: Labels::from_pairs([("__name__", name)]) })
    }

    #[test]
    fn remembers_and_forgets() {
        check(&["a b c", "a b c", "c b a"], &[("a b c", ""), ("", ""), ("", "")]);
        check(&["a b c", "a c", "a b c"], &[("a b c", ""), ("", "b"), ("b", "")]);
        check(&["a b! c*", "b! c*", "a", ""], &[("a b! c*", ""), ("", "a"), ("a", ""), ("", "a")]);
        check(&["a1 b", "a2 b", "b"], &[("a1 b", ""), ("a2", ""), ("", "a2")]);
        check(&["a a", "a"], &[("a", ""), ("", "")]);
    }

    #[test]
    fn pages_that_break_off_forget_nothing() {
        check(&["a b", "?a", "?", "a b"], &[("a b", ""), ("", "b"), ("", "a"), ("", "")]);
        check(&["a", "?", "?", "a"], &[("a", ""), ("", "a"), ("", ""), ("", "")]);
    }

    #[test]
    fn growth_without_a_complete_page_is_bounded() {
        let mut cache = Cache::new();
        for page in 0..100 {
            for series in 0..100 {
                let name = format!("s{page}_{series}");
                cache.look_up(&name);
                cache.insert(&name, kept(&name));
            }
            cache.finish(false, 0);
            assert!(cache.entries.len() <= ENTRIES_SPARE + 100, "{}", cache.entries.len());
        }
    }
}
