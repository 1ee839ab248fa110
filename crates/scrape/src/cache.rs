//! What is remembered between the pages of a target: raw text of a series to its place in the store.
//!
//! A page mostly has the same series in the same order as the page before. So the cache keeps its entries in the order
//! of the page and guesses the next one; only where the guess fails is the text hashed. The texts lie one after the
//! other, so that comparing a page with them walks through memory in order.

use std::collections::HashSet;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use model::{Labels, SeriesRef};

/// After scrapes that failed, the cache may hold twice of what the last good page left, plus this; then it is cleared
/// of everything older. Prometheus allows the same.
const ENTRIES_SPARE: usize = 1000;

/// The same for the bytes of raw texts: a thousand series that are megabytes long must not stay either.
const TEXTS_SIZE_BYTES_SPARE: usize = 1 << 20;

/// Numbers the pages of a target, from 1; 0 is never.
type Iteration = u64;

/// Place of an entry until the next [`Cache::finish`].
pub(crate) type Slot = usize;

#[derive(Debug)]
pub(crate) struct Cache {
    entries: Vec<Entry>,
    /// The raw texts of all entries, in the order of the entries.
    texts: String,
    table: HashTable<Slot>,
    hasher: DefaultHashBuilder,
    guess: Slot,
    iteration: Iteration,
    good_len: usize,
    good_texts_len: usize,
}

#[derive(Debug)]
struct Entry {
    /// Where its raw text begins in the texts, and its length; a page is far below 4 GiB.
    start: u32,
    len: u32,
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
            texts: String::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            guess: 0,
            iteration: 1,
            good_len: 0,
            good_texts_len: 0,
        }
    }

    /// The raw text of the series that probably comes next; empty where nobody can say.
    pub(crate) fn guess(&self) -> &str {
        self.entries.get(self.guess).map_or("", |entry| entry.raw(&self.texts))
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
        if !raw.is_empty() && self.guess() == raw {
            return Some(self.guess);
        }
        let is_same = |&slot: &Slot| self.entries[slot].raw(&self.texts) == raw;
        self.table.find(self.hasher.hash_one(raw), is_same).copied()
    }

    /// Remembers a series that was not known. `None` where the texts would pass what an entry can address; then the
    /// series is looked up by its labels on every page.
    pub(crate) fn insert(&mut self, raw: &str, kept: Option<Kept>) -> Option<Slot> {
        let start = u32::try_from(self.texts.len()).ok()?;
        let len = u32::try_from(raw.len()).ok()?;
        let slot = self.entries.len();
        self.texts.push_str(raw);
        self.entries.push(Entry { start, len, kept, seen: self.iteration, tracked: 0 });
        self.index(slot);
        Some(slot)
    }

    fn index(&mut self, slot: Slot) {
        let (entries, texts, hasher) = (&self.entries, &self.texts, &self.hasher);
        let hash = |slot: &Slot| hasher.hash_one(entries[*slot].raw(texts));
        self.table.insert_unique(hash(&slot), slot, hash);
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
        let is_long = self.texts.len() > 2 * self.good_texts_len + TEXTS_SIZE_BYTES_SPARE;
        if complete || is_long || len > 2 * self.good_len + ENTRIES_SPARE {
            self.forget_unseen();
        }
        if complete {
            self.good_texts_len = self.texts.len();
        }
        self.iteration += 1;
        self.guess = 0;
    }

    fn forget_unseen(&mut self) {
        if self.entries.iter().all(|entry| entry.seen == self.iteration) {
            return;
        }
        let texts = std::mem::take(&mut self.texts);
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| entry.seen == self.iteration);
        self.table.clear();
        for mut entry in entries {
            let raw = entry.raw(&texts);
            // What is kept is a part of the old texts, so that it can be addressed too.
            entry.start = u32::try_from(self.texts.len()).unwrap_or_default();
            self.texts.push_str(raw);
            self.entries.push(entry);
            self.index(self.entries.len() - 1);
        }
    }
}

impl Entry {
    fn raw<'a>(&self, texts: &'a str) -> &'a str {
        let start = self.start as usize;
        texts.get(start..start + self.len as usize).unwrap_or_default()
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
                        cache.insert(name, kept(name)).unwrap()
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
        for page in 0..10 {
            let name = format!("{page}{}", "x".repeat(TEXTS_SIZE_BYTES_SPARE));
            cache.look_up(&name);
            cache.insert(&name, kept(&name));
            cache.finish(false, 0);
            assert!(cache.texts.len() <= 2 * TEXTS_SIZE_BYTES_SPARE, "{}", cache.texts.len());
        }
    }
}
