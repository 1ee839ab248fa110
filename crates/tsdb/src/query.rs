//! Answers: the head and the blocks, merged series by series.

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::{panic, thread};

use hashbrown::{DefaultHashBuilder, HashTable};
use model::{
    Exemplar, Labels, Metadata, Moment, Queryable, Samples, Selection, Series, SeriesSet, StorageError, Timestamp,
};
use roaring::RoaringBitmap;

use crate::Db;
use crate::block::{self, Block, Reading};
use crate::bytes::Damage;
use crate::chunk::{Chunks, settle};
use crate::head::{Found as FoundInHead, FoundAgain, FrozenSeries, Wanted};
use crate::index::ChunkRef;
use crate::labels::{self, Texts};
use crate::postings::Index;
use crate::stream::Mark;
use crate::tombstones::Deleted;
use crate::warm::Listing;

/// So many series of a block are worth the start of a second thread, which takes as long as looking up a few dozen.
const LOOKED_UP_SHARED_MIN: usize = 512;

/// A series of an answer. Where parts hold the same timestamp, the earlier part was written first and wins.
struct Merged {
    labels: Labels,
    /// Nearly always the only one: a list for it would be made and thrown away for each series of each query.
    first: Option<Part>,
    others: Vec<Part>,
    min_time: Timestamp,
    max_time: Timestamp,
}

/// A block and what the reads of this query in it share.
struct Source {
    block: Arc<Block>,
    reading: Reading,
}

/// Samples of a series in one place.
enum Part {
    Block(Arc<Source>, block::Part),
    /// A row of a listing, and what is deleted of it.
    Listed(Arc<Source>, Arc<Listing>, usize, Deleted),
    Sealing(FrozenSeries),
    Head(Chunks),
    /// A row of a listing: what its stream holds from a mark on.
    HeadAgain(Chunks, Mark, Arc<Listing>, usize),
}

impl Merged {
    fn push(&mut self, part: Part) {
        match self.first {
            None => self.first = Some(part),
            Some(_) => self.others.push(part),
        }
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.first.iter().chain(&self.others)
    }
}

impl Series for Merged {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, into: &mut Samples) -> Result<(), StorageError> {
        let start = into.len();
        let mut is_settled = true;
        for part in self.parts() {
            let begin = into.len();
            part.read(self.min_time, self.max_time, into)?;
            // A block has them in order and cuts them to the time.
            if !part.is_of_block() {
                settle(into, begin, self.min_time, self.max_time);
            }
            if begin > start && begin < into.len() {
                is_settled &= into.timestamps[begin - 1] < into.timestamps[begin];
            }
        }
        if !is_settled {
            settle(into, start, self.min_time, self.max_time);
        }
        Ok(())
    }

    fn times_key(&self, key: &mut Vec<u64>) -> bool {
        let (range, mut last) = ((self.min_time, self.max_time), Timestamp::MIN);
        self.parts().all(|part| part.times_key(range, &mut last, key))
    }

    fn read_values(&self, into: &mut Vec<f64>) -> Result<bool, StorageError> {
        for part in self.parts() {
            if !part.read_values((self.min_time, self.max_time), into)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_markers(&self) -> bool {
        self.parts().any(|part| match part {
            Part::Block(_, part) => part.chunks.iter().any(|chunk| chunk.has_marker),
            Part::Listed(_, listing, row, _) => {
                listing.columns(*row, (self.min_time, self.max_time)).any(|column| column.chunk.has_marker)
            }
            _ => true,
        })
    }
}

impl Part {
    fn is_of_block(&self) -> bool {
        matches!(self, Self::Block(..) | Self::Listed(..))
    }

    fn read(&self, min_time: Timestamp, max_time: Timestamp, into: &mut Samples) -> Result<(), StorageError> {
        let view = match self {
            Self::Block(source, part) => {
                return source.block.read_part(part, (min_time, max_time), &source.reading, into);
            }
            Self::Listed(source, listing, row, deleted) => {
                let range = (min_time, max_time);
                return source.block.read_row((listing, *row), deleted, range, &source.reading, into);
            }
            Self::Sealing(series) => series.view(),
            Self::Head(chunks) | Self::HeadAgain(chunks, ..) => chunks.view(),
        };
        let mark = view.read_marked(min_time, max_time, into).map_err(in_memory)?;
        self.set_mark(mark);
        Ok(())
    }

    /// Adds what tells the timestamps of its samples, if they are behind the last time, which becomes theirs.
    fn times_key(&self, range: (Timestamp, Timestamp), last: &mut Timestamp, key: &mut Vec<u64>) -> bool {
        match self {
            Self::Block(source, part) => part.deleted.is_empty() && source.times_key(part.chunks.iter(), last, key),
            Self::Listed(source, listing, row, deleted) => {
                let chunks = listing.columns(*row, range).map(|column| &column.chunk);
                deleted.is_empty() && source.times_key(chunks, last, key)
            }
            Self::Head(chunks) | Self::HeadAgain(chunks, ..) => chunks.times_key(range, last, key),
            Self::Sealing(_) => false,
        }
    }

    /// Adds the values alone; false where rows of the head are missing in between.
    fn read_values(&self, range: (Timestamp, Timestamp), into: &mut Vec<f64>) -> Result<bool, StorageError> {
        match self {
            Self::Block(source, part) => {
                let chunks = &part.chunks;
                chunks.iter().try_for_each(|chunk| source.block.read_values(chunk, range, &source.reading, into))?;
                Ok(true)
            }
            Self::Listed(source, listing, row, _) => {
                source.block.read_row_values((listing, *row), range, &source.reading, into)?;
                Ok(true)
            }
            Self::Head(chunks) | Self::HeadAgain(chunks, ..) => {
                let (is_whole, mark) = chunks.read_values(range, into).map_err(in_memory)?;
                self.set_mark(mark);
                Ok(is_whole)
            }
            Self::Sealing(_) => Ok(false),
        }
    }

    /// Remembers how far a stream of the head was read.
    fn set_mark(&self, mark: Option<Mark>) {
        if let (Self::HeadAgain(_, begin, listing, row), Some(mark)) = (self, mark) {
            listing.set_mark(*row, Mark { stream: begin.stream, at: begin.at + mark.at, ..mark });
        }
    }
}

fn in_memory(damage: Damage) -> StorageError {
    StorageError::Corrupt { path: "the head in memory".to_owned(), offset: 0, reason: damage.to_string() }
}

/// Series of the head with what they have in the time, being sealed and open.
type HeadParts = Vec<(Labels, Option<Part>, Option<Part>)>;

/// What the head and the list of blocks held at one moment.
struct Snapshot {
    head: HeadParts,
    /// Whether the series of the head stand in the order of their labels.
    in_order: bool,
    /// Series of the head that were counted only.
    counted: u64,
    blocks: Vec<Arc<Block>>,
}

/// Series found so far, each once. Sources that give theirs in the order of the labels come first.
struct Found {
    #[expect(clippy::vec_box, reason = "they are handed on as boxes, and too large and many to be moved into them")]
    series: Vec<Box<Merged>>,
    /// As of [`SeriesSet`].
    counted: u64,
    /// How many of them the sources before the present one gave, and how many of those lie before what it gave last.
    known: usize,
    passed: usize,
    /// Places in the list, for a source without an order.
    by_labels: Option<HashTable<usize>>,
    in_order: bool,
    hasher: DefaultHashBuilder,
    min_time: Timestamp,
    max_time: Timestamp,
}

impl Found {
    fn new(min_time: Timestamp, max_time: Timestamp) -> Self {
        let (by_labels, hasher) = (None, DefaultHashBuilder::default());
        Self {
            series: Vec::new(),
            counted: 0,
            known: 0,
            passed: 0,
            by_labels,
            in_order: true,
            hasher,
            min_time,
            max_time,
        }
    }

    /// What comes now is of another source than what came before, in the order of the labels or not.
    fn begin_source(&mut self, in_order: bool) {
        self.end_source();
        self.in_order &= in_order;
        let Self { series, by_labels, hasher, .. } = self;
        if in_order || series.is_empty() {
            return;
        }
        let hash_of = |at: &usize| hasher.hash_one(series[*at].labels.as_packed());
        let mut places = HashTable::with_capacity(series.len());
        for at in 0..series.len() {
            places.insert_unique(hash_of(&at), at, hash_of);
        }
        *by_labels = Some(places);
    }

    /// Brings what the last source added to its place among the others.
    fn end_source(&mut self) {
        let is_apart = self.known > 0 && self.known < self.series.len();
        if self.in_order && is_apart && self.series[self.known - 1].labels > self.series[self.known].labels {
            // Two runs, which a stable sort merges in one pass.
            self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        (self.known, self.passed) = (self.series.len(), 0);
    }

    /// The series with these labels.
    fn series(&mut self, labels: &Labels) -> &mut Merged {
        let (hash, known) = match &self.by_labels {
            Some(places) => {
                let hash = self.hasher.hash_one(labels.as_packed());
                (hash, places.find(hash, |&at| self.series[at].labels == *labels).copied())
            }
            None => (0, self.pass(labels)),
        };
        let at = known.unwrap_or_else(|| self.add(labels, hash));
        &mut self.series[at]
    }

    /// Where the series with these labels is among those of the sources before, if it is: of a source in order all that come
    /// later lie behind it.
    fn pass(&mut self, labels: &Labels) -> Option<usize> {
        while self.passed < self.known {
            match self.series[self.passed].labels.cmp(labels) {
                Ordering::Less => self.passed += 1,
                Ordering::Equal => return Some(self.passed),
                Ordering::Greater => return None,
            }
        }
        None
    }

    fn add(&mut self, labels: &Labels, hash: u64) -> usize {
        let Self { series, by_labels, hasher, min_time, max_time, .. } = self;
        let (labels, min_time, max_time) = (labels.clone(), *min_time, *max_time);
        series.push(Box::new(Merged { labels, first: None, others: Vec::new(), min_time, max_time }));
        let at = series.len() - 1;
        if let Some(by_labels) = by_labels {
            by_labels.insert_unique(hash, at, |&at| hasher.hash_one(series[at].labels.as_packed()));
        }
        at
    }
}

impl Db {
    fn find(&self, selection: &Selection<'_>) -> Result<Found, StorageError> {
        let (min_time, max_time) = (selection.min_time, selection.max_time);
        let mut found = Found::new(min_time, max_time);
        if min_time > max_time {
            return Ok(found);
        }
        self.set_damaged_aside();
        let Snapshot { head, in_order, counted, blocks } = self.snapshot(selection)?;
        found.counted = counted;
        let is_unnamed = selection.hints.unnamed && head.is_empty() && blocks.len() == 1;
        for block in blocks {
            found.begin_source(true);
            self.find_in_block(&block, selection, is_unnamed, &mut found)?;
        }
        if !head.is_empty() {
            found.begin_source(in_order);
        }
        for (labels, frozen, open) in head {
            let series = found.series(&labels);
            frozen.into_iter().chain(open).for_each(|part| series.push(part));
        }
        found.end_source();
        Ok(found)
    }

    /// What the head and the list of blocks hold at one moment, between two commits and not while a block takes over.
    fn snapshot(&self, selection: &Selection<'_>) -> Result<Snapshot, StorageError> {
        let _commits_wait = self.visible.read();
        let Selection { min_time, max_time, hints, matchers } = *selection;
        let wanted = Wanted { min_time, max_time, labels_only: hints.labels_only };
        let is_touched = |block: &&Arc<Block>| block.overlaps(min_time, max_time);
        let blocks: Vec<Arc<Block>> = self.blocks.read().iter().filter(is_touched).cloned().collect();
        if let Some(head) = self.head_again(selection, wanted)? {
            return Ok(Snapshot { head, in_order: true, counted: 0, blocks });
        }
        let counts = hints.unnamed && hints.counted && blocks.is_empty();
        let (counted, found) = match counts {
            true => self.head.count(matchers, wanted)?,
            false => (0, self.head.matching(matchers, wanted)?),
        };
        let parts = |found: FoundInHead| (found.labels, found.frozen.map(Part::Sealing), found.open.map(Part::Head));
        let head = found.into_iter().map(parts).collect();
        Ok(Snapshot { head, in_order: false, counted, blocks })
    }

    /// What the head has for a selection that comes again, in the order of the labels.
    fn head_again(&self, selection: &Selection<'_>, wanted: Wanted) -> Result<Option<HeadParts>, StorageError> {
        if !selection.hints.again || wanted.labels_only {
            return Ok(None);
        }
        let Some((listing, found)) = self.head.matching_again(selection.matchers, wanted, &self.pages.warm)? else {
            return Ok(None);
        };
        let parts = |found: FoundAgain| {
            let labels = listing.rows().get(found.row).map(|row| row.labels.clone()).unwrap_or_default();
            let open =
                found.open.map(|(chunks, begin)| Part::HeadAgain(chunks, begin, Arc::clone(&listing), found.row));
            (labels, found.frozen.map(Part::Sealing), open)
        };
        Ok(Some(found.into_iter().map(parts).collect()))
    }

    /// Asks the indexes of the head and of the blocks that overlap the time.
    fn labels(
        &self,
        selection: &Selection<'_>,
        ask: impl Fn(&dyn Index, &RoaringBitmap, &mut Texts) -> Result<(), StorageError>,
    ) -> Result<Vec<String>, StorageError> {
        let (min_time, max_time) = (selection.min_time, selection.max_time);
        let mut into = Texts::default();
        if min_time > max_time {
            return Ok(Vec::new());
        }
        self.set_damaged_aside();
        let nothing = RoaringBitmap::new();
        let blocks = {
            let _commits_wait = self.visible.read();
            if self.head.overlaps(min_time, max_time) {
                self.head.with_index(|index| ask(index, &nothing, &mut into))?;
            }
            self.blocks.read().clone()
        };
        for block in blocks.iter().filter(|b| b.overlaps(min_time, max_time)) {
            let hidden = block.tombstones().covering(block.meta.min_time, block.meta.max_time);
            self.unless_damaged(block, ask(&block.index(), &hidden, &mut into))?;
        }
        Ok(into.into_vec())
    }

    /// A damaged block is set aside and left out of the answer; other errors are the answer.
    pub(crate) fn unless_damaged<T>(
        &self,
        block: &Block,
        outcome: Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        match (outcome, block.damage()) {
            (Ok(found), _) => Ok(Some(found)),
            (Err(error), None) => Err(error),
            (Err(_), Some(reason)) => {
                self.set_aside(block, &reason);
                Ok(None)
            }
        }
    }

    fn find_in_block(
        &self,
        block: &Arc<Block>,
        selection: &Selection<'_>,
        is_unnamed: bool,
        found: &mut Found,
    ) -> Result<(), StorageError> {
        let reading = Reading::new(selection.hints.presence);
        let source = Arc::new(Source { block: Arc::clone(block), reading });
        let range = (selection.min_time, selection.max_time);
        if selection.hints.again && !selection.hints.labels_only {
            let outcome = self.unless_damaged(block, block.listing(selection.matchers))?;
            let Some(listing) = outcome else { return Ok(()) };
            if let Some(listing) = listing {
                find_in_listing(&source, &listing, range, found);
                return Ok(());
            }
        }
        let counts = is_unnamed && selection.hints.counted;
        let outcome = block.matching(selection.matchers).and_then(|series| {
            let series: Vec<u32> = series.iter().collect();
            let (counted, series) = if counts { source.count(&series, range)? } else { (0, series) };
            Ok((counted, source.look_up(&series, range, is_unnamed)?))
        });
        let (counted, looked_up) = self.unless_damaged(block, outcome)?.unwrap_or_default();
        found.counted += counted;
        for (labels, part) in looked_up {
            let series = found.series(&labels);
            if !selection.hints.labels_only {
                series.push(Part::Block(Arc::clone(&source), part));
            }
        }
        Ok(())
    }
}

/// Adds the series of a listing that have chunks in the time.
fn find_in_listing(source: &Arc<Source>, listing: &Arc<Listing>, range: (Timestamp, Timestamp), found: &mut Found) {
    let tombstones = source.block.tombstones();
    found.series.reserve(listing.rows().len());
    for (at, row) in listing.rows().iter().enumerate() {
        if listing.columns(at, range).next().is_some() {
            let deleted = tombstones.of(row.series);
            let part = Part::Listed(Arc::clone(source), Arc::clone(listing), at, deleted);
            found.series(&row.labels).push(part);
        }
    }
}

impl Source {
    /// Adds what tells the timestamps of chunks, if those rise and begin behind the last time, which becomes theirs.
    fn times_key<'c>(
        &self,
        chunks: impl Iterator<Item = &'c ChunkRef>,
        last: &mut Timestamp,
        key: &mut Vec<u64>,
    ) -> bool {
        for chunk in chunks {
            if chunk.min_time <= *last || self.reading.is_presence() {
                return false;
            }
            *last = chunk.max_time;
            key.extend([self.block.number, chunk.times.offset]);
        }
        true
    }

    /// The labels of series and where their samples are, in the order of the labels. Two threads share many.
    fn look_up(
        &self,
        series: &[u32],
        range: (Timestamp, Timestamp),
        is_unnamed: bool,
    ) -> Result<Vec<(Labels, block::Part)>, StorageError> {
        let (mut all, more) = shared_out(series, |series| self.look_up_part(series, range, is_unnamed))?;
        all.extend(more.into_iter().flatten());
        Ok(all)
    }

    /// How many series surely have a sample and no marker in the time, and which others may have one.
    fn count(&self, series: &[u32], range: (Timestamp, Timestamp)) -> Result<(u64, Vec<u32>), StorageError> {
        let ((mut counted, mut others), more) =
            shared_out(series, |series| self.block.count(series, range, &self.reading))?;
        if let Some((count, rest)) = more {
            counted += count;
            others.extend(rest);
        }
        Ok((counted, others))
    }

    fn look_up_part(
        &self,
        series: &[u32],
        range: (Timestamp, Timestamp),
        is_unnamed: bool,
    ) -> Result<Vec<(Labels, block::Part)>, StorageError> {
        let mut found = Vec::with_capacity(series.len());
        self.block.select(series.iter().copied(), range, &self.reading, &mut |series, part| {
            let labels = if is_unnamed { Some(Labels::empty()) } else { Labels::from_packed(series.packed_labels()?) };
            let damage = Damage("the labels of a series are not in order");
            found.push((labels.ok_or_else(|| self.block.corrupt(0, damage))?, part));
            Ok(())
        })?;
        Ok(found)
    }
}

/// Does work on series; on those of the second half in a thread of its own where they are many.
fn shared_out<T: Send>(
    series: &[u32],
    work: impl Fn(&[u32]) -> Result<T, StorageError> + Sync,
) -> Result<(T, Option<T>), StorageError> {
    if series.len() < LOOKED_UP_SHARED_MIN {
        return Ok((work(series)?, None));
    }
    let (first, second) = series.split_at(series.len() / 2);
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| work(second));
        let first = work(first);
        (first, second.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    });
    Ok((first?, Some(second?)))
}

impl Queryable for Db {
    fn select(&self, selection: &Selection<'_>) -> Result<SeriesSet, StorageError> {
        let found = self.find(selection)?;
        let warnings = self.warnings(selection.min_time, selection.max_time);
        let (ordered, counted) = (found.in_order, found.counted);
        let series = found.series.into_iter().map(|series| series as Box<dyn Series>).collect();
        Ok(SeriesSet { series, counted, ordered, warnings })
    }

    fn label_names(&self, selection: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        self.labels(selection, |index, hidden, into| labels::add_names(index, selection.matchers, hidden, into))
    }

    fn label_values(&self, name: &str, selection: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        self.labels(selection, |index, hidden, into| labels::add_values(index, name, selection.matchers, hidden, into))
    }

    fn exemplars(&self, selection: &Selection<'_>) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        Ok(self.exemplars.select(selection.matchers, selection.min_time, selection.max_time))
    }

    fn moment(&self) -> Option<Moment> {
        Some(self.news.moment())
    }

    fn changed_since(&self, moment: Moment) -> Option<Timestamp> {
        self.news.since(moment)
    }

    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        self.families.get(family)
    }
}
