//! Merging blocks: a plan from metadata, a writer that holds a few columns of one series at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Labels, Samples, StorageError, Timestamp};
use parking_lot::MutexGuard;

use crate::Db;
use crate::block::{Block, BlockWriter, Reading};
use crate::chunk::settle;
use crate::column::Tier;
use crate::index::{ChunkRef, Cursor, Entry};
use crate::publish::Unnamed;
use crate::retention::DAY_MILLIS;
use crate::tombstones::{Deleted, Tombstones};

/// While history is loaded its blocks wait, because more of the same days may come; past this many they are merged all
/// the same, so that queries and open files stay bounded.
const RUSH_BLOCKS_MAX: usize = 16;

/// A block of less time than this was written early for want of memory.
const SHORT_MILLIS: i64 = 3_600_000;

/// So many short blocks of a day that is not over become one.
const SHORT_BLOCKS_MAX: usize = 8;

/// A block is merged again when younger ones hold a quarter of its samples, so that a sample is written a few times at
/// most, however many stragglers come after it.
const GROWTH: u64 = 4;

/// Blocks of fewer samples are merged whatever came after them: that takes milliseconds.
const SAMPLES_FEW: u64 = 100_000;

/// What the plan knows of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) number: u64,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) samples: u64,
    pub(crate) is_loose: bool,
}

/// An aligned stretch of time: a day, or as many days as a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    start: Timestamp,
    width: i64,
}

impl Span {
    /// The shortest stretch that holds the block: a day, or days in a power of two.
    fn stretch(&self) -> Stretch {
        let mut width = DAY_MILLIS;
        while width < i64::MAX && self.min_time.div_euclid(width) != self.max_time.div_euclid(width) {
            width = width.saturating_mul(2);
        }
        Stretch { start: self.min_time.div_euclid(width).saturating_mul(width), width }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.min_time <= other.max_time && other.min_time <= self.max_time
    }

    fn is_short(&self) -> bool {
        self.max_time - self.min_time < SHORT_MILLIS
    }
}

/// The blocks to merge next, by their numbers: those of the oldest stretch of time that has some. `newest` is the
/// newest sample; `at_rest` says that no history is being loaded.
///
/// A merged block is the youngest, but where values differ the first one written must go on winning: so of the blocks
/// of a stretch only the youngest are merged, and none over which a younger one lies that is not merged with it.
pub(crate) fn plan(blocks: &[Span], newest: Timestamp, at_rest: bool) -> Vec<u64> {
    let mut stretches: Vec<Stretch> = blocks.iter().map(Span::stretch).collect();
    stretches.sort_unstable();
    stretches.dedup();
    let choose = |stretch: Stretch| {
        let is_over = newest.div_euclid(stretch.width) > stretch.start.div_euclid(stretch.width);
        let members = youngest_first(blocks, stretch);
        let chosen = if is_over { grown(&members) } else { unripe(&members) };
        is_worth(chosen, is_over, at_rest).then(|| chosen.iter().map(|b| b.number).rev().collect())
    };
    stretches.into_iter().find_map(choose).unwrap_or_default()
}

/// The blocks of a stretch, youngest first, but those that a younger one touches which is not among them.
fn youngest_first(blocks: &[Span], stretch: Stretch) -> Vec<Span> {
    let (mut members, mut others): (Vec<Span>, Vec<Span>) = blocks.iter().partition(|b| b.stretch() == stretch);
    members.sort_unstable_by_key(|b| std::cmp::Reverse(b.number));
    members.retain(|b| {
        let is_barred = others.iter().any(|other| other.number > b.number && other.overlaps(b));
        if is_barred {
            others.push(*b);
        }
        !is_barred
    });
    members
}

/// Of the blocks of a stretch that is over, those that are loose or that the younger ones have outgrown.
fn grown(members: &[Span]) -> &[Span] {
    let mut younger = 0;
    let outgrown = |b: &&Span| {
        let fits = younger == 0 || b.is_loose || b.samples <= SAMPLES_FEW.max(younger * GROWTH);
        younger += b.samples;
        fits
    };
    &members[..members.iter().take_while(outgrown).count()]
}

/// Of the blocks of a stretch that goes on, those that are not to stay as they are.
fn unripe(members: &[Span]) -> &[Span] {
    if members.len() > RUSH_BLOCKS_MAX {
        return grown(members);
    }
    &members[..members.iter().take_while(|b| b.is_loose || b.is_short()).count()]
}

fn is_worth(chosen: &[Span], is_over: bool, at_rest: bool) -> bool {
    let has_loose = chosen.iter().any(|b| b.is_loose);
    match (at_rest, is_over) {
        (false, _) => chosen.len() >= RUSH_BLOCKS_MAX,
        (true, true) => chosen.len() > 1 || has_loose,
        (true, false) => chosen.len() >= SHORT_BLOCKS_MAX || has_loose,
    }
}

/// One of the blocks that are merged, and how far it was read.
struct Source {
    block: Arc<Block>,
    cursor: Cursor,
    reading: Reading,
    tombstones: Arc<Tombstones>,
    next: u32,
    entry: Option<Entry>,
}

/// A chunk of the series that is being merged.
struct Piece {
    /// Place of its block among the sources, which is its order of writing.
    source: usize,
    chunk: ChunkRef,
    deleted: Deleted,
}

impl Source {
    fn new(block: Arc<Block>, tombstones: Arc<Tombstones>) -> Result<Self, StorageError> {
        let cursor = block.index().cursor();
        let mut source = Self { block, cursor, reading: Reading::default(), tombstones, next: 0, entry: None };
        source.advance()?;
        Ok(source)
    }

    fn advance(&mut self) -> Result<(), StorageError> {
        let left = u64::from(self.next) < self.block.meta.series;
        self.entry = if left { Some(self.cursor.entry(self.next)?) } else { None };
        self.next += 1;
        Ok(())
    }

    fn stands_at(&self, labels: &Labels) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.labels == *labels)
    }

    /// Hands out the chunks of the series that it stands at and goes on to the next; `at` is its place.
    fn take(&mut self, at: usize, into: &mut Vec<Piece>) -> Result<(), StorageError> {
        let deleted = self.tombstones.of(self.next - 1);
        let chunks = self.entry.take().into_iter().flat_map(|entry| entry.chunks);
        into.extend(chunks.map(|chunk| Piece { source: at, chunk, deleted: deleted.clone() }));
        self.advance()
    }

    fn read(&self, piece: &Piece, into: &mut Samples) -> Result<(), StorageError> {
        let start = into.len();
        self.block.read(&piece.chunk, &self.reading, into)?;
        piece.deleted.remove_from(into, start);
        Ok(())
    }
}

/// A merge that was planned.
pub(crate) struct Merge<'a> {
    /// By number, with what was deleted of each when the merge began.
    old: Vec<(Arc<Block>, Arc<Tombstones>)>,
    writer: BlockWriter,
    written: Vec<Unnamed>,
    /// Held until the merged block has taken over.
    _only: MutexGuard<'a, ()>,
}

impl Db {
    /// Begins the next merge, if one is due and none runs. Only to be called while no sealing writes or waits: a block
    /// that is sealed from now on is younger than the merged one.
    pub(crate) fn begin_merge(&self, now: Timestamp) -> Result<Option<Merge<'_>>, StorageError> {
        let Some(only) = self.merging.try_lock() else { return Ok(None) };
        let blocks = self.blocks.read().clone();
        let newest = blocks.iter().map(|b| b.meta.max_time).max().unwrap_or(Timestamp::MIN);
        let spans: Vec<Span> = blocks.iter().map(|b| span(b)).collect();
        let in_head = self.head.totals.max_time.load(Ordering::Relaxed);
        let at_rest = self.pace.is_at_rest(self.head_since.load(Ordering::Relaxed), in_head, now);
        let numbers = plan(&spans, newest.min(now), at_rest);
        let chosen = blocks.into_iter().filter(|b| numbers.contains(&b.number));
        let old: Vec<_> = chosen.map(|b| (Arc::clone(&b), b.tombstones())).collect();
        if old.is_empty() || !self.has_room_for(old.iter().map(|(block, _)| block.size_bytes).sum()) {
            return Ok(None);
        }
        let mut written = Vec::new();
        let writer = self.create_block(Tier::Block, &mut written).inspect_err(|_| self.discard(&written))?;
        Ok(Some(Merge { old, writer, written, _only: only }))
    }

    /// Whether blocks of so many bytes may be written before others are removed. On a disk that is nearly full that room
    /// belongs to the log.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        let free = self.disk().free(&self.blocks_folder());
        free.is_ok_and(|free| free / 2 >= bytes)
    }

    /// Writes the merged block and lets it take over; returns how many blocks became one.
    pub(crate) fn finish_merge(&self, merge: Merge<'_>) -> Result<u64, StorageError> {
        let Merge { old, writer, written, _only } = merge;
        let samples = self.write_merged(&old, writer).inspect_err(|_| self.discard(&written))?;
        let _no_sealing = self.maintenance.lock();
        if !old.iter().all(|(block, tombstones)| self.stands(block, tombstones)) {
            // Retention, damage or a deletion came between; what is left is planned anew.
            self.discard(&written);
            return Ok(0);
        }
        let outcome = if samples == 0 { self.release(&old) } else { self.take_over(&old, &written) };
        self.discard(&written);
        outcome?;
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        Ok(old.len() as u64)
    }

    /// The merged block is served from its rename on. The old ones go when it is durable, now or later.
    fn take_over(&self, old: &[(Arc<Block>, Arc<Tombstones>)], written: &[Unnamed]) -> Result<(), StorageError> {
        let mut waiting = self.open_written(written)?;
        let outcome = self.name_blocks(&mut waiting, || ()).and_then(|()| self.remove_folders(&numbers(old)));
        outcome.inspect_err(|_| self.has_leftovers.store(true, Ordering::Relaxed))
    }

    /// Whether a block is served, and nothing more was deleted of it.
    pub(crate) fn stands(&self, block: &Arc<Block>, tombstones: &Arc<Tombstones>) -> bool {
        self.blocks.read().iter().any(|b| Arc::ptr_eq(b, block)) && Arc::ptr_eq(&block.tombstones(), tombstones)
    }

    /// All samples were deleted: no block takes the place of the old ones, and what they said may go has to be gone.
    fn release(&self, old: &[(Arc<Block>, Arc<Tombstones>)]) -> Result<(), StorageError> {
        self.log.remove_before(old.iter().map(|(b, _)| b.meta.covers).max().unwrap_or_default())?;
        old.iter().rev().try_for_each(|(block, _)| self.remove_block(block))
    }

    /// What a merged block replaces: the old ones, and what they replaced as far as it still stands.
    fn replaced(&self, old: &[(Arc<Block>, Arc<Tombstones>)]) -> Result<Vec<u64>, StorageError> {
        let before: Vec<u64> = old.iter().flat_map(|(b, _)| b.meta.replaces.clone()).collect();
        let mut replaced = self.standing(&before)?;
        replaced.extend(numbers(old));
        Ok(replaced)
    }

    /// To be called in long work: an error when the store is to be closed, and the log does not wait for the end to be synced.
    pub(crate) fn pause(&self) -> Result<(), StorageError> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(StorageError::Closed);
        }
        if self.is_sync_due(self.options.clock.now()) { self.sync() } else { Ok(()) }
    }

    /// The merged block releases what the old ones released. Returns how many samples it has.
    fn write_merged(
        &self,
        old: &[(Arc<Block>, Arc<Tombstones>)],
        mut writer: BlockWriter,
    ) -> Result<u64, StorageError> {
        // Steps are series of the old blocks, each as often as it stands in one.
        let series = old.iter().map(|(block, _)| block.meta.series).sum();
        let working = self.progress.begin("merging blocks", series, self.options.clock.now());
        let open = |(block, tombstones): &(Arc<Block>, Arc<Tombstones>)| {
            Source::new(Arc::clone(block), Arc::clone(tombstones))
        };
        let mut sources = old.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let mut conflicts = 0;
        while let Some(labels) = sources.iter().filter_map(|s| s.entry.as_ref()).map(|e| &e.labels).min().cloned() {
            self.pause()?;
            let mut pieces = Vec::new();
            for (at, source) in sources.iter_mut().enumerate().filter(|(_, source)| source.stands_at(&labels)) {
                source.take(at, &mut pieces)?;
                working.step(1);
            }
            conflicts += merge_series(&sources, pieces, &mut writer)?;
            writer.end_series(&labels)?;
        }
        let (samples, covers) = (writer.samples(), old.iter().map(|(b, _)| b.meta.covers).max());
        let bytes = writer.finish(covers.unwrap_or_default(), self.replaced(old)?)?;
        self.counters.sealed_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counters.conflicting.fetch_add(conflicts, Ordering::Relaxed);
        Ok(samples)
    }
}

fn numbers(blocks: &[(Arc<Block>, Arc<Tombstones>)]) -> Vec<u64> {
    blocks.iter().map(|(block, _)| block.number).collect()
}

/// Writes the chunks of a series in the order of time; those that overlap are read together, in the order of their
/// blocks, so that the first value written wins. Returns how many samples lost to another value.
fn merge_series(sources: &[Source], mut pieces: Vec<Piece>, writer: &mut BlockWriter) -> Result<u64, StorageError> {
    pieces.sort_by_key(|piece| piece.chunk.min_time);
    let (mut conflicts, mut samples) = (0, Samples::default());
    let mut rest = &mut pieces[..];
    while !rest.is_empty() {
        let mut end = rest[0].chunk.max_time;
        let mut length = 1;
        while rest.get(length).is_some_and(|piece| piece.chunk.min_time <= end) {
            end = end.max(rest[length].chunk.max_time);
            length += 1;
        }
        let (together, later) = rest.split_at_mut(length);
        together.sort_by_key(|piece| piece.source);
        samples.clear();
        together.iter().try_for_each(|piece| sources[piece.source].read(piece, &mut samples))?;
        if length > 1 {
            conflicts += count_conflicts(&samples);
            settle(&mut samples, 0, Timestamp::MIN, Timestamp::MAX);
        }
        writer.extend(&samples);
        rest = later;
    }
    Ok(conflicts)
}

/// Samples whose time was there before with another value.
fn count_conflicts(samples: &Samples) -> u64 {
    if samples.timestamps.is_sorted_by(|a, b| a < b) {
        return 0;
    }
    let mut rows: Vec<_> = samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
    rows.sort_by_key(|(timestamp, _)| *timestamp);
    let groups = rows.chunk_by(|a, b| a.0 == b.0);
    groups.map(|group| group.iter().filter(|row| row.1 != group[0].1).count() as u64).sum()
}

fn span(block: &Block) -> Span {
    let meta = &block.meta;
    Span {
        number: block.number,
        min_time: meta.min_time,
        max_time: meta.max_time,
        samples: meta.samples,
        is_loose: meta.is_loose,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number, first and last hour, thousands of samples, whether loose.
    type Case = (u64, f64, f64, u64, bool);

    fn check(blocks: &[Case], newest_hours: f64, at_rest: bool, expected: &[u64]) {
        let time = |hours: f64| (hours * 3_600_000.0) as i64;
        let span = |&(number, min, max, samples, is_loose): &Case| Span {
            number,
            min_time: time(min),
            max_time: time(max),
            samples: samples * 1000,
            is_loose,
        };
        let spans: Vec<Span> = blocks.iter().map(span).collect();
        assert_eq!(plan(&spans, time(newest_hours), at_rest), expected, "{blocks:?} at {newest_hours}");
    }

    /// Blocks of two hours, numbered from one.
    fn hours(count: u64) -> Vec<Case> {
        (0..count).map(|i| (i + 1, 2.0 * i as f64, 2.0 * i as f64 + 1.9, 100, false)).collect()
    }

    #[test]
    fn a_day_that_is_over_becomes_one_block() {
        check(&[], 36.0, true, &[]);
        check(&hours(6), 12.0, true, &[]);
        check(&hours(6), 24.5, true, &[1, 2, 3, 4, 5, 6]);
        check(&[(1, 0.0, 2.0, 9, false), (2, 26.0, 28.0, 9, false)], 60.0, true, &[]);
        check(&[(1, 0.0, 2.0, 9, true), (2, 26.0, 28.0, 9, false)], 60.0, true, &[1]);
        let two =
            [(1, 0.0, 2.0, 9, false), (2, 26.0, 28.0, 9, false), (3, 28.0, 30.0, 9, false), (4, 3.0, 4.0, 9, false)];
        check(&two, 60.0, true, &[1, 4]);
    }

    #[test]
    fn history_waits_until_it_is_there() {
        let loose = |count: u64| (1..=count).map(|n| (n, 0.0, 20.0, 100, true)).collect::<Vec<Case>>();
        check(&loose(15), 24.5, false, &[]);
        check(&loose(15), 20.0, false, &[]);
        check(&loose(16), 20.0, false, &(1..=16).collect::<Vec<_>>());
        check(&loose(3), 20.0, true, &[1, 2, 3]);
        check(&loose(1), 20.0, true, &[1]);
        // What stands already stays, until as much has come again.
        let after = |samples| [vec![(1, 0.0, 20.0, samples, false)], vec![(2, 0.0, 20.0, 100, true); 1]].concat();
        check(&after(1000), 48.0, true, &[2]);
        check(&after(400), 48.0, true, &[1, 2]);
        check(&after(400), 20.0, true, &[2]);
        check(&[(1, 0.0, 20.0, 7000, true), (2, 20.0, 23.9, 300, true)], 48.0, true, &[1, 2]);
    }

    #[test]
    fn short_blocks_are_gathered() {
        let short = |count: u64| (1..=count).map(|n| (n, 0.5 * n as f64, 0.5 * n as f64 + 0.4, 100, false)).collect();
        let seven: Vec<Case> = short(7);
        check(&seven, 20.0, true, &[]);
        let eight: Vec<Case> = short(8);
        check(&eight, 20.0, true, &(1..=8).collect::<Vec<_>>());
        // More than a day's worth of blocks of any length are too many.
        let long: Vec<Case> = (1..=17).map(|n| (n, 0.0, 20.0, 1000, false)).collect();
        check(&long[..16], 20.0, true, &[]);
        check(&long, 20.0, true, &(1..=17).collect::<Vec<_>>());
        let mut after = hours(2);
        after.extend(eight.iter().map(|b| (b.0 + 2, b.1 + 4.0, b.2 + 4.0, b.3, b.4)));
        check(&after, 20.0, true, &(3..=10).collect::<Vec<_>>());
    }

    /// A folder that somebody restored may say anything.
    #[test]
    fn every_time_has_a_stretch() {
        let check = |min_time, max_time| {
            let span = Span { number: 1, min_time, max_time, samples: 1, is_loose: true };
            assert_eq!(plan(&[span], 0, true), [1], "{min_time} {max_time}");
        };
        check(0, i64::MAX);
        check(i64::MAX, i64::MAX);
        check(-1, 1);
        check(i64::MIN, i64::MIN);
    }

    /// Stragglers of an old day do not cause all of it to be written again each time.
    #[test]
    fn stragglers_gather_first() {
        let day = (1, 0.0, 23.9, 1_000_000, false);
        check(&[day, (2, 3.0, 3.0, 1, false)], 60.0, true, &[]);
        check(&[day, (2, 3.0, 3.0, 1, false), (3, 4.0, 4.0, 1, false)], 60.0, true, &[2, 3]);
        check(&[day, (2, 3.0, 9.0, 250_000, false)], 60.0, true, &[1, 2]);
    }

    #[test]
    fn the_first_value_written_goes_on_winning() {
        // A younger block of several days lies over the older one of the day: a merged one would lose to it.
        let wide = (3, 2.0, 26.0, 100, false);
        check(&[(1, 0.0, 2.5, 9, false), (2, 2.0, 3.0, 9, false), wide], 60.0, true, &[]);
        check(&[(4, 0.0, 2.5, 9, false), (5, 2.0, 3.0, 9, false), wide], 60.0, true, &[4, 5]);
        check(&[(1, 0.0, 1.5, 9, false), (2, 0.0, 1.0, 9, false), wide], 60.0, true, &[1, 2]);
        // The second is barred by the wide one, and the first by the second.
        check(&[(1, 0.0, 1.5, 9, true), (2, 0.0, 3.0, 9, true), wide], 60.0, true, &[]);
        // Blocks of several days are merged with their like.
        check(&[(1, 2.0, 26.0, 9, false), (2, 5.0, 30.0, 9, false)], 49.0, true, &[1, 2]);
        check(&[(1, 2.0, 26.0, 9, false), (2, 5.0, 30.0, 9, false)], 47.0, true, &[]);
    }
}
