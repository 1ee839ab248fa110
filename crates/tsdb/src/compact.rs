//! Merging the blocks of a day into one: a plan from metadata, a writer that holds one series at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Samples, StorageError, Timestamp};

use crate::Db;
use crate::block::{Block, Reading};
use crate::chunk::settle;
use crate::index::{Cursor, Entry};
use crate::retention::DAY_MILLIS;
use crate::seal::Finished;
use crate::tombstones::Tombstones;

/// What the plan knows of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) number: u64,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
}

/// The blocks to merge next: those of the oldest day that is over and has more than one. A block is so written twice
/// in its life, once from the head and once here. Blocks of several days stay as they are, and the days that they touch
/// too: a merged block is the youngest, but where values differ the first one written must go on winning.
pub(crate) fn plan(blocks: &[Span], newest: Timestamp) -> Vec<u64> {
    let day = |time: Timestamp| time.div_euclid(DAY_MILLIS);
    let (short, long): (Vec<&Span>, Vec<&Span>) = blocks.iter().partition(|b| day(b.min_time) == day(b.max_time));
    let is_touched = |time| long.iter().any(|b| (day(b.min_time)..=day(b.max_time)).contains(&day(time)));
    let mut days: Vec<(i64, u64)> = short
        .iter()
        .filter(|b| day(b.max_time) < day(newest) && !is_touched(b.min_time))
        .map(|b| (day(b.min_time), b.number))
        .collect();
    days.sort_unstable();
    let group = days.chunk_by(|a, b| a.0 == b.0).find(|group| group.len() > 1);
    group.into_iter().flatten().map(|(_, number)| *number).collect()
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

impl Source {
    fn new(block: Arc<Block>) -> Result<Self, StorageError> {
        let (cursor, tombstones) = (block.index().cursor(), block.tombstones());
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

    /// Adds the samples of the series that it stands at, without those that were deleted, and goes on to the next.
    fn take(&mut self, into: &mut Samples) -> Result<(), StorageError> {
        let start = into.len();
        for chunk in self.entry.iter().flat_map(|entry| &entry.chunks) {
            self.block.read(chunk, &self.reading, into)?;
        }
        self.tombstones.of(self.next - 1).remove_from(into, start);
        self.advance()
    }
}

impl Db {
    /// Merges one group of blocks, if there is one; returns how many blocks became one.
    pub(crate) fn compact(&self) -> Result<u64, StorageError> {
        let blocks = self.blocks.read().clone();
        let span = |b: &Arc<Block>| Span { number: b.number, min_time: b.meta.min_time, max_time: b.meta.max_time };
        let newest = blocks.iter().map(|b| b.meta.max_time).max().unwrap_or(Timestamp::MIN);
        let numbers = plan(&blocks.iter().map(span).collect::<Vec<_>>(), newest.min(self.options.clock.now()));
        if numbers.is_empty() {
            return Ok(0);
        }
        let old: Vec<Arc<Block>> = blocks.into_iter().filter(|b| numbers.contains(&b.number)).collect();
        let mut written = Vec::new();
        let merged = self.merge(&old, &mut written).and_then(|samples| match samples {
            0 => self.release(&old, &written),
            _ => self.publish(&written),
        });
        let merged = merged.inspect_err(|_| self.discard(&written))?;
        {
            let _snapshots_wait = self.visible.write();
            let mut blocks = self.blocks.write();
            blocks.retain(|b| !numbers.contains(&b.number));
            blocks.extend(merged);
        }
        old.iter().try_for_each(|block| self.remove_block(block))?;
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        Ok(numbers.len() as u64)
    }

    /// All samples were deleted: no block takes the place of the old ones, and what they said may go has to be gone.
    fn release(&self, old: &[Arc<Block>], written: &[Finished]) -> Result<Vec<Arc<Block>>, StorageError> {
        self.log.remove_before(old.iter().map(|b| b.meta.covers).max().unwrap_or_default())?;
        self.discard(written);
        Ok(Vec::new())
    }

    /// The merged block releases what the old ones released. It is younger than all of them and all blocks of its
    /// days are in it, so that the order of numbers still is the order of writing. Returns how many samples it has.
    fn merge(&self, old: &[Arc<Block>], written: &mut Vec<Finished>) -> Result<u64, StorageError> {
        let mut sources = old.iter().map(|b| Source::new(Arc::clone(b))).collect::<Result<Vec<_>, _>>()?;
        let mut writer = self.create_block(written)?;
        // Steps are series of the old blocks, each as often as it stands in one.
        let series = old.iter().map(|block| block.meta.series).sum();
        let working = self.progress.begin("merging the blocks of a day", series, self.options.clock.now());
        let mut samples = Samples::default();
        let mut count = 0;
        let first =
            |sources: &[Source]| sources.iter().filter_map(|s| s.entry.as_ref()).map(|e| e.labels.clone()).min();
        while let Some(labels) = first(&sources) {
            samples.clear();
            for source in sources.iter_mut().filter(|s| s.entry.as_ref().is_some_and(|e| e.labels == labels)) {
                source.take(&mut samples)?;
                working.step(1);
            }
            settle(&mut samples, 0, Timestamp::MIN, Timestamp::MAX);
            count += samples.len() as u64;
            if !samples.is_empty() {
                writer.add(&labels, &samples)?;
            }
        }
        let covers = old.iter().map(|b| b.meta.covers).max().unwrap_or_default();
        let bytes = writer.finish(covers)?;
        self.counters.sealed_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_full_day_is_merged() {
        let check = |blocks: &[(u64, i64, i64)], newest_days: f64, expected: &[u64]| {
            let time = |hours: i64| hours * 3_600_000;
            let span =
                |&(number, min, max): &(u64, i64, i64)| Span { number, min_time: time(min), max_time: time(max) };
            let spans: Vec<Span> = blocks.iter().map(span).collect();
            assert_eq!(plan(&spans, (newest_days * DAY_MILLIS as f64) as i64), expected, "{blocks:?}");
        };
        check(&[], 1.5, &[]);
        check(&[(1, 0, 2), (2, 2, 4)], 0.5, &[]);
        check(&[(1, 0, 2), (2, 2, 4)], 1.5, &[1, 2]);
        check(&[(1, 0, 2), (2, 26, 28)], 2.5, &[]);
        check(&[(1, 0, 2), (2, 26, 28), (3, 28, 30), (4, 3, 4)], 2.5, &[1, 4]);
        check(&[(1, 0, 23), (2, 2, 26)], 2.5, &[]);
        check(&[(1, 0, 2), (2, 2, 26), (3, 4, 5)], 2.5, &[]);
    }
}
