//! What is remembered between the pages of a target: raw text of a series to its place in the store.
//!
//! A page mostly has the same series in the same order as the page before. So the cache keeps its entries in the order
//! of the page and guesses the next one; only where the guess fails is the text hashed. The labels of a series are not kept:
//! the store has them, and in the rare case that it forgot them they are read from the text again.

use std::collections::HashSet;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use model::{MetricKind, SeriesRef};

use crate::texts::{Cursor, Texts};

/// After scrapes that failed, the cache may hold twice of what the last good page left, plus this; then it is cleared
/// of everything older. Prometheus allows the same.
const ENTRIES_SPARE: usize = 1000;

/// The part of the entries that may wait for their removal: one in so many.
const WAITING_SHARE: usize = 16;

/// The same for the bytes of raw texts: a thousand series that are megabytes long must not stay either.
const TEXTS_SIZE_BYTES_SPARE: usize = 1 << 20;

/// Numbers the pages of a target, from 1; 0 is never. At one page a second they last for a century.
type Iteration = u32;

/// Place of an entry until the next [`Cache::finish`].
pub(crate) type Slot = usize;

#[derive(Debug)]
pub(crate) struct Cache {
    entries: Vec<Entry>,
    /// The raw texts of all entries, in the order of the entries.
    texts: Texts,
    table: HashTable<Place>,
    hasher: DefaultHashBuilder,
    guess: Slot,
    /// Stands at the guessed entry.
    expected: Cursor,
    iteration: Iteration,
    /// The last page that decided what is forgotten: an entry that was not seen since only waits for its removal.
    complete: Iteration,
    good_len: usize,
    good_texts_len: usize,
}

#[derive(Debug)]
struct Entry {
    /// `None` where relabelling drops the series.
    series: Option<SeriesRef>,
    /// The last page that had it.
    seen: Iteration,
    /// The last page that gave it a sample whose absence would be marked.
    tracked: Iteration,
}

/// An entry with a part of its text's hash, so that few texts are rebuilt to find one.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The two low bits are not the hash's: they are the kind.
    tagged: u32,
    slot: u32,
}

/// Bits of [`Place::tagged`] that belong to the hash.
const HASH_MASK: u32 = !3;

/// Kinds that decide how labels are read; all others read alike. The place in this list is what is kept.
const KINDS: [MetricKind; 3] = [MetricKind::Unknown, MetricKind::Histogram, MetricKind::Summary];

impl Place {
    fn new(hash: u32, slot: u32, kind: MetricKind) -> Self {
        let tag = KINDS.iter().position(|known| *known == kind).unwrap_or_default();
        Self { tagged: hash & HASH_MASK | tag as u32, slot }
    }

    fn hash(self) -> u32 {
        self.tagged & HASH_MASK
    }

    fn kind(self) -> MetricKind {
        KINDS.get((self.tagged & !HASH_MASK) as usize).copied().unwrap_or_default()
    }
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
        /// Whether it counts as new: the last complete page did not have it, nor one since.
        returned: bool,
    },
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            texts: Texts::default(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            guess: 0,
            expected: Cursor::default(),
            iteration: 1,
            complete: 0,
            good_len: 0,
            good_texts_len: 0,
        }
    }

    /// The raw text of the series that probably comes next; empty where nobody can say.
    pub(crate) fn guess(&self) -> &[u8] {
        self.expected.text()
    }

    /// Looks a series up and notes that this page has it. `guessed` says that its text was found to be [`Cache::guess`].
    pub(crate) fn look_up(&mut self, raw: &str, guessed: bool) -> Known {
        let Some(slot) = self.find(raw, guessed) else { return Known::New };
        let entry = &mut self.entries[slot];
        let (again, returned) = (entry.seen == self.iteration, entry.seen < self.complete);
        entry.seen = self.iteration;
        entry.series.map_or(Known::Dropped, |series| Known::Kept { slot, series, again, returned })
    }

    /// The entry of a text; the one after it is the next guess.
    fn find(&mut self, raw: &str, guessed: bool) -> Option<Slot> {
        if guessed || !raw.is_empty() && self.guess() == raw.as_bytes() {
            self.guess += 1;
            self.texts.step(&mut self.expected);
            return Some(self.guess - 1);
        }
        let hash = self.hash(raw);
        let mut cursor = Cursor::default();
        let is_same = |place: &Place| {
            place.hash() == hash && {
                self.texts.find(place.slot as usize, &mut cursor);
                cursor.text() == raw.as_bytes()
            }
        };
        let slot = self.table.find(spread(hash), is_same)?.slot as usize;
        self.expect(slot + 1);
        Some(slot)
    }

    fn hash(&self, raw: &str) -> u32 {
        self.hasher.hash_one(raw) as u32 & HASH_MASK
    }

    fn expect(&mut self, slot: Slot) {
        self.guess = slot;
        self.texts.find(slot, &mut self.expected);
    }

    /// Remembers a series that was not known. `None` where the texts would pass what can be addressed; then the
    /// series is looked up by its labels on every page. `kind` is the one that its labels were read with.
    pub(crate) fn insert(&mut self, raw: &str, kind: MetricKind, series: Option<SeriesRef>) -> Option<Slot> {
        let entry = Entry { series, seen: self.iteration, tracked: 0 };
        self.add(raw, kind, entry)
    }

    fn add(&mut self, raw: &str, kind: MetricKind, entry: Entry) -> Option<Slot> {
        let slot = u32::try_from(self.entries.len()).ok().filter(|_| self.texts.push(raw))?;
        self.entries.push(entry);
        let hash = self.hash(raw);
        self.table.insert_unique(spread(hash), Place::new(hash, slot, kind), |place| spread(place.hash()));
        Some(slot as usize)
    }

    /// The absence of this series from the next page will be marked.
    pub(crate) fn track(&mut self, slot: Slot) {
        self.entries[slot].tracked = self.iteration;
    }

    /// Where the store has a series; `None` where relabelling drops it.
    pub(crate) fn series(&self, slot: Slot) -> Option<SeriesRef> {
        self.entries[slot].series
    }

    /// The raw text of a series.
    pub(crate) fn text(&self, slot: Slot) -> String {
        let mut cursor = Cursor::default();
        self.texts.find(slot, &mut cursor);
        String::from_utf8_lossy(cursor.text()).into_owned()
    }

    /// The kind that the labels of a series were read with.
    pub(crate) fn kind(&self, slot: Slot) -> MetricKind {
        let hash = spread(self.hash(&self.text(slot)));
        self.table.find(hash, |place| place.slot as usize == slot).map(|place| place.kind()).unwrap_or_default()
    }

    /// The store gave the series another place, by labels that were read with this kind.
    pub(crate) fn moved(&mut self, slot: Slot, kind: MetricKind, series: SeriesRef) {
        if let Some(known) = &mut self.entries[slot].series {
            *known = series;
        }
        let hash = self.hash(&self.text(slot));
        if let Some(place) = self.table.find_mut(spread(hash), |place| place.slot as usize == slot) {
            *place = Place::new(hash, place.slot, kind);
        }
    }

    /// Series that the page before had and this one has not, under whichever spelling.
    pub(crate) fn gone(&self) -> Vec<(Slot, SeriesRef)> {
        let is_missing = |entry: &Entry| entry.tracked > 0 && entry.tracked + 1 == self.iteration;
        let missing = self.entries.iter().enumerate().filter(|(_, entry)| is_missing(entry));
        let mut missing: Vec<_> = missing.filter_map(|(slot, entry)| Some((slot, entry.series?))).collect();
        if !missing.is_empty() {
            let present = self.entries.iter().filter(|entry| entry.tracked == self.iteration);
            let present: HashSet<SeriesRef> = present.filter_map(|entry| entry.series).collect();
            missing.retain(|(_, series)| !present.contains(series));
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
        let is_long = self.texts.size_bytes() > 2 * self.good_texts_len + TEXTS_SIZE_BYTES_SPARE;
        if complete || is_long || len > 2 * self.good_len + ENTRIES_SPARE {
            self.complete = self.iteration;
            self.forget_unseen();
        }
        if complete {
            self.good_texts_len = self.texts.size_bytes();
        }
        self.iteration += 1;
        self.expect(0);
    }

    /// Leaves no memory behind that growth took ahead, or that a larger page needed. A few entries may wait: pods come and go
    /// on most pages of a cluster, and each removal writes the whole cache anew.
    fn forget_unseen(&mut self) {
        let unseen = self.entries.iter().filter(|entry| entry.seen != self.iteration).count();
        if unseen > self.entries.len() / WAITING_SHARE {
            let texts = std::mem::take(&mut self.texts);
            let entries = std::mem::take(&mut self.entries);
            let mut kinds = vec![MetricKind::default(); entries.len()];
            self.table.drain().for_each(|place| kinds[place.slot as usize] = place.kind());
            let mut cursor = Cursor::default();
            texts.find(0, &mut cursor);
            for (entry, kind) in entries.into_iter().zip(kinds) {
                if entry.seen == self.iteration {
                    // What is kept is a part of the old texts, so that it can be addressed too.
                    self.add(&String::from_utf8_lossy(cursor.text()), kind, entry);
                }
                texts.step(&mut cursor);
            }
        }
        if self.entries.capacity() > self.entries.len() {
            self.entries.shrink_to_fit();
            self.texts.shrink();
            self.table.shrink_to_fit(|place| spread(place.hash()));
        }
    }
}

/// The table looks at the low bits for a place and at the high ones for a tag.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
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
                let slot = match cache.look_up(name, false) {
                    Known::Dropped => continue,
                    Known::Kept { slot, .. } => slot,
                    Known::New => {
                        new.push(name);
                        cache.insert(name, MetricKind::Unknown, place(name)).unwrap()
                    }
                };
                if !name.ends_with(['*', '!']) {
                    cache.track(slot);
                }
            }
            let gone: Vec<_> = cache.gone().iter().map(|(slot, _)| cache.text(*slot)).collect();
            cache.finish(!page.starts_with('?'), 0);
            assert_eq!((new.join(" ").as_str(), gone.join(" ").as_str()), *expected, "{page:?} of {pages:?}");
        }
    }

    /// The same place for names with the same first letter, as for two spellings of one series.
    fn place(name: &str) -> Option<SeriesRef> {
        let series = SeriesRef(NonZeroU64::new(u64::from(name.as_bytes()[0])).unwrap());
        (!name.ends_with('!')).then_some(series)
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
    fn a_few_wait_for_their_removal() {
        let mut cache = Cache::new();
        let names: Vec<String> = (b'0'..b'p').map(|letter| char::from(letter).to_string()).collect();
        let mut page = |kept: &dyn Fn(usize) -> bool| {
            let (mut new, mut returned) = (0, 0);
            for (_, name) in names.iter().enumerate().filter(|(number, _)| kept(*number)) {
                match cache.look_up(name, false) {
                    Known::Kept { returned: true, slot, .. } => {
                        returned += 1;
                        cache.track(slot);
                    }
                    Known::Kept { slot, .. } => cache.track(slot),
                    _ => {
                        new += 1;
                        let slot = cache.insert(name, MetricKind::Unknown, place(name)).unwrap();
                        cache.track(slot);
                    }
                }
            }
            let gone = cache.gone().len();
            cache.finish(true, 0);
            (new, returned, gone, cache.entries.len())
        };
        assert_eq!(page(&|_| true), (64, 0, 0, 64));
        assert_eq!(page(&|number| number != 5), (0, 0, 1, 64), "one in 64 waits");
        assert_eq!(page(&|number| number != 5), (0, 0, 0, 64));
        assert_eq!(page(&|_| true), (0, 1, 0, 64), "it counts as new");
        assert_eq!(page(&|number| number >= 5), (0, 0, 5, 59), "five are more than one in sixteen");
        assert_eq!(page(&|_| true), (5, 0, 0, 64));
    }

    #[test]
    fn kinds_stay_with_their_series() {
        let mut cache = Cache::new();
        let kinds = [MetricKind::Summary, MetricKind::Histogram, MetricKind::Unknown, MetricKind::Counter];
        let names = ["gone", "b", "c", "d"];
        for (name, kind) in names.iter().zip(kinds) {
            cache.look_up(name, false);
            cache.insert(name, kind, place(name)).unwrap();
        }
        cache.finish(true, 0);
        for name in &names[1..] {
            let _ = cache.look_up(name, false);
        }
        cache.finish(true, 0);
        let got: Vec<_> = (0..3).map(|slot| (cache.text(slot), cache.kind(slot))).collect();
        let expected = [("b", MetricKind::Histogram), ("c", MetricKind::Unknown), ("d", MetricKind::Unknown)];
        assert_eq!(got, expected.map(|(name, kind)| (name.to_owned(), kind)));
        cache.moved(0, MetricKind::Summary, place("b").unwrap());
        assert_eq!(cache.kind(0), MetricKind::Summary);
    }

    #[test]
    fn what_a_large_page_took_is_given_back() {
        let mut cache = Cache::new();
        for series in 0..10_000 {
            let name = format!("s{series}");
            cache.look_up(&name, false);
            cache.insert(&name, MetricKind::Unknown, place(&name));
        }
        cache.finish(true, 0);
        assert_eq!(cache.entries.capacity(), 10_000);
        cache.look_up("s1", false);
        cache.finish(true, 0);
        assert_eq!((cache.entries.capacity(), cache.text(0)), (1, "s1".to_owned()));
    }

    #[test]
    fn growth_without_a_complete_page_is_bounded() {
        let mut cache = Cache::new();
        for page in 0..100 {
            for series in 0..100 {
                let name = format!("s{page}_{series}");
                cache.look_up(&name, false);
                cache.insert(&name, MetricKind::Unknown, place(&name));
            }
            cache.finish(false, 0);
            assert!(cache.entries.len() <= ENTRIES_SPARE + 100, "{}", cache.entries.len());
        }
        for page in 0..10 {
            let name = format!("{page}{}", "x".repeat(TEXTS_SIZE_BYTES_SPARE));
            cache.look_up(&name, false);
            cache.insert(&name, MetricKind::Unknown, place(&name));
            cache.finish(false, 0);
            assert!(cache.texts.size_bytes() <= 2 * TEXTS_SIZE_BYTES_SPARE, "{}", cache.texts.size_bytes());
        }
    }
}
