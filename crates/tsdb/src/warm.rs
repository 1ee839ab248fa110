//! What queries that come again and again read of blocks: the series of their selectors and the values of these, decoded.
//!
//! A dashboard asks every half a minute for what it asked for before and a little more. All of it lies in blocks that
//! never change, so that what was found and decoded for it stays right as long as its block is there: the file is part of
//! the key, and what is deleted of a block is told by its tombstones, which every query looks at anew.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use model::{Labels, Matcher, Timestamp};
use parking_lot::{Mutex, RwLock};

use crate::column::Scaled;
use crate::decimal;
use crate::index::ChunkRef;
use crate::numbers::PAGE;
use crate::stream::Mark;

/// What no query asked for in this time leaves, too long for a panel that somebody looks at.
const IDLE_MILLIS: i64 = 5 * 60_000;

/// Where there is no room, what was not asked for in this time makes some: panels refresh once a minute or more often. What
/// is younger stays, as a new one that takes its place only to lose it again would help nobody.
const RECENT_MILLIS: i64 = 2 * 60_000;

/// Reads of more pages of a column than this are wide: of hours and not of the few minutes that a new step needs.
const NARROW_PAGES: usize = 2;

/// What was read wide takes at most this part of the room. It is large and saves little, as there is much to compute of it;
/// what a panel reads for its new steps alone is small and saves nearly all of the work.
const WIDE_PART: usize = 2;

/// About what a series of a listing takes beside its values.
const SERIES_BYTES: u64 = 400;

/// What stands for the head among the files.
pub(crate) const HEAD: u64 = u64::MAX;

/// An open file and the matchers of a selector.
type Key = (u64, String);

/// What is kept of all blocks together.
pub(crate) struct Warm {
    room: Arc<Room>,
    listings: RwLock<HashMap<Key, Arc<Listing>>>,
    /// When it was last told the time.
    now: AtomicI64,
}

/// Bytes that are taken of those that there may be.
#[derive(Debug)]
struct Room {
    bytes_max: usize,
    taken: AtomicUsize,
}

/// The series of a block or of the head that match, in the order of their labels.
pub(crate) struct Listing {
    /// Of the head: how often series had come and gone.
    pub(crate) population: u64,
    rows: Vec<Row>,
    columns: Vec<KeptColumn>,
    /// Of the head: up to where each series was read.
    marks: Vec<Mutex<Mark>>,
    /// Columns of timestamps, each for many columns of values.
    times: Vec<OnceLock<Arc<[Timestamp]>>>,
    room: Arc<Room>,
    taken: AtomicUsize,
    used: AtomicI64,
}

/// A series.
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// Its place in the block or in the head.
    pub(crate) series: u32,
    columns: Range<usize>,
}

/// A chunk with those of its values that were read.
pub(crate) struct KeptColumn {
    pub(crate) chunk: ChunkRef,
    /// Place of its timestamps among those of the listing.
    times: u32,
    pages: OnceLock<Box<[OnceLock<Page>]>>,
}

/// Values of a page, as small as they get without being packed.
#[derive(Debug, PartialEq)]
enum Page {
    /// Decimals of one exponent: the smallest mantissa, and how much larger each is.
    Small(Decimals, Box<[u16]>),
    Medium(Decimals, Box<[u32]>),
    Doubles(Box<[f64]>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Decimals {
    base: i64,
    exponent: u8,
}

impl Warm {
    /// Keeps at most so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let room = Arc::new(Room { bytes_max, taken: AtomicUsize::new(0) });
        Self { room, listings: RwLock::default(), now: AtomicI64::new(Timestamp::MIN) }
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.room.taken.load(Ordering::Relaxed)
    }

    /// Whether so many series may be kept of one file for one selector. More would leave no room for others, and to make a
    /// listing that is not kept takes longer than to find series one by one.
    pub(crate) fn may_keep(&self, series: u64) -> bool {
        series.saturating_mul(SERIES_BYTES) <= (self.room.bytes_max / WIDE_PART) as u64
    }

    /// What is kept of a file for a selector.
    pub(crate) fn listing(&self, file: u64, matchers: &[Matcher]) -> Option<Arc<Listing>> {
        let listings = self.listings.read();
        let found = listings.get(&(file, text(matchers)))?;
        found.used.store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);
        Some(Arc::clone(found))
    }

    /// Keeps what was found in a file, if there is room.
    pub(crate) fn keep(&self, file: u64, matchers: &[Matcher], found: Found) -> Arc<Listing> {
        let Found { population, rows, columns, times } = found;
        let times: Vec<_> = times.iter().map(|_| OnceLock::new()).collect();
        let marked = if file == HEAD { rows.len() } else { 0 };
        let marks: Vec<_> = (0..marked).map(|_| Mutex::default()).collect();
        let texts: usize = rows.iter().map(|row| row.labels.as_packed().len()).sum();
        let bytes = size_of_val(&rows[..]) + size_of_val(&columns[..]) + size_of_val(&times[..]);
        let bytes = bytes + size_of_val(&marks[..]) + texts + size_of::<Listing>();
        let most = self.room.bytes_max;
        let has_room = self.room.take(bytes, most) || {
            self.forget(RECENT_MILLIS);
            self.room.take(bytes, most)
        };
        let taken = AtomicUsize::new(if has_room { bytes } else { 0 });
        let used = AtomicI64::new(self.now.load(Ordering::Relaxed));
        let listing =
            Arc::new(Listing { population, rows, columns, marks, times, room: Arc::clone(&self.room), taken, used });
        if has_room {
            self.listings.write().insert((file, text(matchers)), Arc::clone(&listing));
        }
        listing
    }

    /// Tells the time, at which what was not asked for in a while leaves.
    pub(crate) fn age(&self, now: Timestamp) {
        self.now.store(now, Ordering::Relaxed);
        self.forget(IDLE_MILLIS);
    }

    fn forget(&self, idle: i64) {
        let since = self.now.load(Ordering::Relaxed).saturating_sub(idle);
        self.listings.write().retain(|_, listing| listing.used.load(Ordering::Relaxed) >= since);
    }
}

/// Equal for equal matchers only: values are quoted.
fn text(matchers: &[Matcher]) -> String {
    matchers.iter().map(|matcher| format!("{matcher},")).collect()
}

impl Room {
    /// How much of it may be taken for values of so many pages of a column.
    fn most_for(&self, pages: usize) -> usize {
        if pages > NARROW_PAGES { self.bytes_max / WIDE_PART } else { self.bytes_max }
    }

    fn has(&self, bytes: usize, most: usize) -> bool {
        self.taken.load(Ordering::Relaxed).saturating_add(bytes) <= most
    }

    fn take(&self, bytes: usize, most: usize) -> bool {
        let more = |taken: usize| taken.checked_add(bytes).filter(|&all| all <= most);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// Series as they are found, to be kept.
#[derive(Default)]
pub(crate) struct Found {
    /// As of [`Listing`].
    pub(crate) population: u64,
    rows: Vec<Row>,
    columns: Vec<KeptColumn>,
    /// Numbers of the columns of timestamps by where they stand.
    times: HashMap<u64, u32>,
}

impl Found {
    /// Adds a series, in the order of the labels.
    pub(crate) fn add(&mut self, labels: Labels, series: u32, chunks: &[ChunkRef]) {
        let begin = self.columns.len();
        for &chunk in chunks {
            let next = self.times.len() as u32;
            let times = *self.times.entry(chunk.times.offset).or_insert(next);
            self.columns.push(KeptColumn { chunk, times, pages: OnceLock::new() });
        }
        self.rows.push(Row { labels, series, columns: begin..self.columns.len() });
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Listing {
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where reading of a series of the head may begin.
    pub(crate) fn mark(&self, row: usize) -> Mark {
        self.marks.get(row).map(|mark| *mark.lock()).unwrap_or_default()
    }

    /// A query read a series of the head from there on. Marks only move on: who wants more than the others reads all.
    pub(crate) fn set_mark(&self, row: usize, mark: Mark) {
        if let Some(place) = self.marks.get(row) {
            let mut known = place.lock();
            if (mark.stream, mark.row) > (known.stream, known.row) {
                *known = mark;
            }
        }
    }

    /// The chunks of the series in this row that touch the time.
    pub(crate) fn columns(&self, row: usize, range: (Timestamp, Timestamp)) -> impl Iterator<Item = &KeptColumn> {
        let columns = self.rows.get(row).and_then(|row| self.columns.get(row.columns.clone())).unwrap_or_default();
        columns.iter().filter(move |column| column.chunk.touches(range))
    }

    /// The timestamps of a column, if they are kept.
    pub(crate) fn times(&self, column: &KeptColumn) -> Option<Arc<[Timestamp]>> {
        self.times.get(column.times as usize)?.get().cloned()
    }

    /// Keeps the timestamps of a column.
    pub(crate) fn keep_times(&self, column: &KeptColumn, times: &Arc<[Timestamp]>) {
        if let Some(place) = self.times.get(column.times as usize)
            && place.get().is_none()
            && self.take(size_of_val(&times[..]), self.room.bytes_max)
        {
            let _ = place.set(Arc::clone(times));
        }
    }

    /// Keeps values of a column as they were decoded; they begin with a page and end with one or with the column, which has
    /// `count` of them.
    pub(crate) fn keep(&self, column: &KeptColumn, count: usize, first_page: usize, values: &[f64]) {
        let pages = count.div_ceil(PAGE);
        let most = self.room.most_for(values.len().div_ceil(PAGE));
        if column.pages.get().is_none() && self.take(pages * size_of::<OnceLock<Page>>(), most) {
            let _ = column.pages.set((0..pages).map(|_| OnceLock::new()).collect());
        }
        let Some(pages) = column.pages.get() else { return };
        for (page, values) in pages.iter().skip(first_page).zip(values.chunks(PAGE)) {
            // What there is no room for is not worth making small.
            if page.get().is_none() && self.room.has(PAGE * size_of::<u16>(), most) {
                let made = Page::of(values);
                if self.take(made.bytes(), most) {
                    // Another thread that decoded it, too, is rare and costs a page that is counted twice.
                    let _ = page.set(made);
                }
            }
        }
    }

    fn take(&self, bytes: usize, most: usize) -> bool {
        // One that is not kept itself keeps nothing.
        let is_kept = self.taken.load(Ordering::Relaxed) > 0;
        let taken = is_kept && self.room.take(bytes, most);
        if taken {
            self.taken.fetch_add(bytes, Ordering::Relaxed);
        }
        taken
    }
}

impl KeptColumn {
    /// Adds values of the column, if all of them are kept.
    pub(crate) fn read(&self, wanted: Range<usize>, into: &mut Vec<f64>) -> bool {
        let Some(pages) = self.pages.get() else { return false };
        let (first, end) = (wanted.start / PAGE, wanted.end.div_ceil(PAGE));
        let Some(pages) = pages.get(first..end) else { return false };
        if !pages.iter().all(|page| page.get().is_some()) {
            return false;
        }
        for (page, start) in pages.iter().filter_map(OnceLock::get).zip((first * PAGE..).step_by(PAGE)) {
            page.read(wanted.start.saturating_sub(start)..(wanted.end - start).min(PAGE), into);
        }
        true
    }
}

impl Page {
    fn of(values: &[f64]) -> Self {
        Self::decimals(values).unwrap_or_else(|| Self::Doubles(values.into()))
    }

    /// `None` where doubles are as small.
    fn decimals(values: &[f64]) -> Option<Self> {
        let (exponent, mantissas) = Scaled::of(values)?.into_exact()?;
        let base = mantissas.iter().copied().min()?;
        let above = |mantissa: &i64| mantissa.abs_diff(base);
        let decimals = Decimals { base, exponent };
        let most = mantissas.iter().map(above).max()?;
        if u16::try_from(most).is_ok() {
            return Some(Self::Small(decimals, mantissas.iter().map(|m| above(m) as u16).collect()));
        }
        u32::try_from(most).ok()?;
        Some(Self::Medium(decimals, mantissas.iter().map(|m| above(m) as u32).collect()))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Small(_, above) => size_of_val(&above[..]),
            Self::Medium(_, above) => size_of_val(&above[..]),
            Self::Doubles(values) => size_of_val(&values[..]),
        }
    }

    fn read(&self, range: Range<usize>, into: &mut Vec<f64>) {
        match self {
            Self::Small(decimals, above) => decimals.read(above.get(range).unwrap_or_default(), into),
            Self::Medium(decimals, above) => decimals.read(above.get(range).unwrap_or_default(), into),
            Self::Doubles(values) => into.extend_from_slice(values.get(range).unwrap_or_default()),
        }
    }
}

impl Decimals {
    fn read<N: Copy + Into<f64>>(self, above: &[N], into: &mut Vec<f64>) {
        // No mantissa has more bits than a double: the sum is exact, and the compiler makes several at once.
        let base = self.base as f64;
        let mantissa = |more: &N| base + (*more).into();
        match self.exponent {
            0 => into.extend(above.iter().map(mantissa)),
            exponent => into.extend(above.iter().map(|more| decimal::at(mantissa(more), exponent))),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::MatchOp;
    use proptest::prelude::*;

    use super::*;
    use crate::index::Place;

    fn chunk() -> ChunkRef {
        let place = Place { offset: 0, length: 0 };
        ChunkRef { min_time: 10, max_time: 20, times: place, values: place, has_marker: false }
    }

    fn found() -> Found {
        let mut found = Found::default();
        found.add(Labels::from_pairs([("a", "1")]), 7, &[chunk()]);
        found
    }

    fn matchers(value: &str) -> Vec<Matcher> {
        vec![Matcher::new(MatchOp::Equal, "a", value).unwrap()]
    }

    #[test]
    fn what_is_kept_has_its_file_and_matchers() {
        let warm = Warm::new(1 << 20);
        warm.keep(3, &matchers("1"), found());
        let check = |file, value: &str, expected: bool| {
            assert_eq!(warm.listing(file, &matchers(value)).is_some(), expected, "{file} {value}");
        };
        check(3, "1", true);
        check(4, "1", false);
        check(3, "2", false);
        check(3, "1\",a=\"1", false);
    }

    #[test]
    fn wide_reads_leave_room() {
        let values = vec![1.0; PAGE * (NARROW_PAGES + 1)];
        let kept = |bytes_max, values: &[f64]| {
            let warm = Warm::new(bytes_max);
            let listing = warm.keep(1, &matchers("1"), found());
            listing.keep(&listing.columns[0], values.len(), 0, values);
            (listing.columns[0].read(0..values.len(), &mut Vec::new()), warm.bytes())
        };
        let (_, whole) = kept(usize::MAX, &values);
        assert!(kept(whole * WIDE_PART, &values).0);
        assert!(!kept(whole * WIDE_PART - WIDE_PART, &values).0);
        assert!(kept(whole, &values[..PAGE * NARROW_PAGES]).0);
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let values: Vec<f64> =
            (0..PAGE * NARROW_PAGES).map(|i| i as f64 + 0.1 * (i % 7) as f64 + f64::EPSILON).collect();
        let whole = {
            let warm = Warm::new(usize::MAX);
            let listing = warm.keep(1, &matchers("1"), found());
            listing.keep(&listing.columns[0], values.len(), 0, &values);
            warm.bytes()
        };
        for bytes_max in (0..whole + 10).step_by(13) {
            let warm = Warm::new(bytes_max);
            let listing = warm.keep(1, &matchers("1"), found());
            listing.keep(&listing.columns[0], values.len(), 0, &values);
            assert!(warm.bytes() <= bytes_max);
            let mut read = Vec::new();
            let is_kept = listing.columns[0].read(5..values.len() - 5, &mut read);
            assert_eq!(is_kept, bytes_max >= whole, "{bytes_max} of {whole}");
            assert!(!is_kept || read == values[5..values.len() - 5]);
            drop(listing);
            warm.age(0);
            warm.age(IDLE_MILLIS + 1);
            assert_eq!(warm.bytes(), 0);
        }
    }

    #[test]
    fn what_is_asked_for_stays() {
        let bytes = {
            let warm = Warm::new(usize::MAX);
            warm.keep(1, &matchers("1"), found());
            warm.bytes()
        };
        let warm = Warm::new(bytes);
        let check = |now, wanted: u64, expected: [bool; 2]| {
            warm.age(now);
            if warm.listing(wanted, &matchers("1")).is_none() {
                warm.keep(wanted, &matchers("1"), found());
            }
            let is_kept = |file: u64| warm.listings.read().contains_key(&(file, text(&matchers("1"))));
            assert_eq!([is_kept(1), is_kept(2)], expected, "{now}");
        };
        check(0, 1, [true, false]);
        check(RECENT_MILLIS, 2, [true, false]);
        check(RECENT_MILLIS + 1, 2, [false, true]);
        check(RECENT_MILLIS + IDLE_MILLIS + 1, 2, [false, true]);
        check(2 * RECENT_MILLIS + IDLE_MILLIS + 2, 1, [true, false]);
    }

    proptest! {
        #[test]
        fn pages_keep_the_bits(mode in 0u8..5, bits in prop::collection::vec(any::<u64>(), 1..PAGE), from in 0usize..600, length in 0usize..600) {
            let value = |bits: &u64| match mode {
                0 => f64::from_bits(*bits),
                1 => f64::from(*bits as u16),
                2 => f64::from(*bits as u32) / 100.0,
                3 => (*bits >> 12) as f64,
                _ => if bits.is_multiple_of(9) { f64::from_bits(model::STALE_NAN_BITS) } else { -(f64::from(*bits as u8)) },
            };
            let values: Vec<f64> = bits.iter().map(value).collect();
            let range = from.min(values.len())..(from + length).min(values.len());
            let mut read = Vec::new();
            Page::of(&values).read(range.clone(), &mut read);
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&read), bits(&values[range]));
        }
    }
}
