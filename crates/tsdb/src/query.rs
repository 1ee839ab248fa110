//! Answers: the head and the blocks, merged series by series.

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
    parts: Vec<Part>,
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

impl Series for Merged {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, into: &mut Samples) -> Result<(), StorageError> {
        let start = into.len();
        for part in &self.parts {
            part.read(self.min_time, self.max_time, into)?;
        }
        // One block has them in order and cuts them to the time.
        if matches!(self.parts[..], [Part::Block(..) | Part::Listed(..)]) {
            return Ok(());
        }
        settle(into, start, self.min_time, self.max_time);
        Ok(())
    }
}

impl Part {
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
        let read = view.read_marked(min_time, max_time, into).map(|mark| {
            if let (Self::HeadAgain(_, begin, listing, row), Some(mark)) = (self, mark) {
                listing.set_mark(*row, Mark { stream: begin.stream, at: begin.at + mark.at, ..mark });
            }
        });
        read.map_err(|damage| StorageError::Corrupt {
            path: "the head in memory".to_owned(),
            offset: 0,
            reason: damage.to_string(),
        })
    }
}

/// Series of the head with what they have in the time.
type HeadParts = Vec<(Labels, Vec<Part>)>;

/// Series found so far, each once.
struct Found {
    series: Vec<Merged>,
    /// Places in the list, made when a second source begins: one alone names no series twice.
    by_labels: Option<HashTable<usize>>,
    /// Whether the source that was begun last gives them in the order of their labels.
    in_order: bool,
    hasher: DefaultHashBuilder,
    min_time: Timestamp,
    max_time: Timestamp,
}

impl Found {
    fn new(min_time: Timestamp, max_time: Timestamp) -> Self {
        let (by_labels, hasher) = (None, DefaultHashBuilder::default());
        Self { series: Vec::new(), by_labels, in_order: true, hasher, min_time, max_time }
    }

    /// What comes now is of another source than what came before.
    fn begin_source(&mut self) {
        let Self { series, by_labels, hasher, .. } = self;
        if series.is_empty() || by_labels.is_some() {
            return;
        }
        let hash_of = |at: &usize| hasher.hash_one(series[*at].labels.as_packed());
        let mut places = HashTable::with_capacity(series.len());
        for at in 0..series.len() {
            places.insert_unique(hash_of(&at), at, hash_of);
        }
        *by_labels = Some(places);
    }

    fn is_ordered(&self) -> bool {
        self.by_labels.is_none() && self.in_order
    }

    /// The parts of the series with these labels, packed; `labels` makes them where they are new.
    fn parts(&mut self, packed: &str, labels: impl FnOnce() -> Labels) -> &mut Vec<Part> {
        let Self { series, by_labels, hasher, min_time, max_time, .. } = self;
        let new = || Merged { labels: labels(), parts: Vec::new(), min_time: *min_time, max_time: *max_time };
        let Some(by_labels) = by_labels else {
            series.push(new());
            let last = series.len() - 1;
            return &mut series[last].parts;
        };
        let hash = hasher.hash_one(packed);
        let known = by_labels.find(hash, |&at| series[at].labels.as_packed() == packed).copied();
        let at = known.unwrap_or(series.len());
        if known.is_none() {
            series.push(new());
            by_labels.insert_unique(hash, at, |&at| hasher.hash_one(series[at].labels.as_packed()));
        }
        &mut series[at].parts
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
        let (head, blocks) = self.snapshot(selection)?;
        let is_unnamed = selection.hints.unnamed && head.is_empty() && blocks.len() == 1;
        for block in blocks {
            found.begin_source();
            self.find_in_block(&block, selection, is_unnamed, &mut found)?;
        }
        if !head.is_empty() {
            found.begin_source();
            found.in_order = selection.hints.again && !selection.hints.labels_only;
        }
        for (labels, parts) in head {
            found.parts(labels.as_packed(), || labels.clone()).extend(parts);
        }
        Ok(found)
    }

    /// What the head and the list of blocks hold at one moment, between two commits and not while a block takes over.
    fn snapshot(&self, selection: &Selection<'_>) -> Result<(HeadParts, Vec<Arc<Block>>), StorageError> {
        let _commits_wait = self.visible.read();
        let Selection { min_time, max_time, .. } = *selection;
        let wanted = Wanted { min_time, max_time, labels_only: selection.hints.labels_only };
        let head = match selection.hints.again && !selection.hints.labels_only {
            true => self.head_again(selection, wanted)?,
            false => self.head_parts(selection, wanted)?,
        };
        let blocks = self.blocks.read();
        Ok((head, blocks.iter().filter(|block| block.overlaps(min_time, max_time)).cloned().collect()))
    }

    fn head_parts(&self, selection: &Selection<'_>, wanted: Wanted) -> Result<HeadParts, StorageError> {
        let parts = |found: FoundInHead| {
            let parts = found.frozen.map(Part::Sealing).into_iter().chain(found.open.map(Part::Head));
            (found.labels, parts.collect())
        };
        Ok(self.head.matching(selection.matchers, wanted)?.into_iter().map(parts).collect())
    }

    fn head_again(&self, selection: &Selection<'_>, wanted: Wanted) -> Result<HeadParts, StorageError> {
        let (listing, found) = self.head.matching_again(selection.matchers, wanted, &self.pages.warm)?;
        let parts = |found: FoundAgain| {
            let labels = listing.rows().get(found.row).map(|row| row.labels.clone()).unwrap_or_default();
            let open =
                found.open.map(|(chunks, begin)| Part::HeadAgain(chunks, begin, Arc::clone(&listing), found.row));
            (labels, found.frozen.map(Part::Sealing).into_iter().chain(open).collect())
        };
        Ok(found.into_iter().map(parts).collect())
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
            let listing = self.unless_damaged(block, block.listing(selection.matchers))?;
            listing.into_iter().for_each(|listing| find_in_listing(&source, &listing, range, found));
            return Ok(());
        }
        let outcome = block.matching(selection.matchers).and_then(|series| source.look_up(&series, range, is_unnamed));
        for (labels, part) in self.unless_damaged(block, outcome)?.into_iter().flatten() {
            let parts = found.parts(labels.as_packed(), || labels.clone());
            if !selection.hints.labels_only {
                parts.push(Part::Block(Arc::clone(&source), part));
            }
        }
        Ok(())
    }
}

/// Adds the series of a listing that have chunks in the time.
fn find_in_listing(source: &Arc<Source>, listing: &Arc<Listing>, range: (Timestamp, Timestamp), found: &mut Found) {
    let tombstones = source.block.tombstones();
    for (at, row) in listing.rows().iter().enumerate() {
        if listing.columns(at, range).next().is_some() {
            let deleted = tombstones.of(row.series);
            let part = Part::Listed(Arc::clone(source), Arc::clone(listing), at, deleted);
            found.parts(row.labels.as_packed(), || row.labels.clone()).push(part);
        }
    }
}

impl Source {
    /// The labels of series and where their samples are, in the order of the labels. Two threads share many.
    fn look_up(
        &self,
        series: &RoaringBitmap,
        range: (Timestamp, Timestamp),
        is_unnamed: bool,
    ) -> Result<Vec<(Labels, block::Part)>, StorageError> {
        let series: Vec<u32> = series.iter().collect();
        if series.len() < LOOKED_UP_SHARED_MIN {
            return self.look_up_part(&series, range, is_unnamed);
        }
        let (first, second) = series.split_at(series.len() / 2);
        let (first, second) = thread::scope(|scope| {
            let second = scope.spawn(|| self.look_up_part(second, range, is_unnamed));
            let first = self.look_up_part(first, range, is_unnamed);
            (first, second.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
        });
        let mut all = first?;
        all.append(&mut second?);
        Ok(all)
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

impl Queryable for Db {
    fn select(&self, selection: &Selection<'_>) -> Result<SeriesSet, StorageError> {
        let found = self.find(selection)?;
        let warnings = self.warnings(selection.min_time, selection.max_time);
        let ordered = found.is_ordered();
        let series = found.series.into_iter().map(|series| Box::new(series) as Box<dyn Series>).collect();
        Ok(SeriesSet { series, ordered, warnings })
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
