//! Answers: the head and the blocks, merged series by series.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use model::{Exemplar, Labels, Metadata, Queryable, Samples, Selection, Series, SeriesSet, StorageError, Timestamp};
use roaring::RoaringBitmap;

use crate::Db;
use crate::block::{Block, TimesCache};
use crate::chunk::{Chunks, settle};
use crate::head::{Found as FoundInHead, FrozenSeries, Wanted};
use crate::index::ChunkRef;
use crate::labels;
use crate::postings::Index;

/// A series of an answer. Where parts hold the same timestamp, the earlier part was written first and wins.
struct Merged {
    labels: Labels,
    parts: Vec<Part>,
    min_time: Timestamp,
    max_time: Timestamp,
}

/// Samples of a series in one place.
enum Part {
    Block { block: Arc<Block>, chunks: Vec<ChunkRef>, times: Arc<TimesCache> },
    Sealing(FrozenSeries),
    Head(Chunks),
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
        settle(into, start, self.min_time, self.max_time);
        Ok(())
    }
}

impl Part {
    fn read(&self, min_time: Timestamp, max_time: Timestamp, into: &mut Samples) -> Result<(), StorageError> {
        let view = match self {
            Self::Block { block, chunks, times } => {
                return chunks.iter().try_for_each(|chunk| block.read(chunk, times, into));
            }
            Self::Sealing(series) => series.view(),
            Self::Head(chunks) => chunks.view(),
        };
        view.read(min_time, max_time, into).map_err(|damage| StorageError::Corrupt {
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
    by_labels: HashMap<Labels, usize>,
    min_time: Timestamp,
    max_time: Timestamp,
}

impl Found {
    fn add(&mut self, labels: Labels, parts: impl IntoIterator<Item = Part>) {
        let next = self.series.len();
        let at = *self.by_labels.entry(labels.clone()).or_insert(next);
        if at == next {
            let (min_time, max_time) = (self.min_time, self.max_time);
            self.series.push(Merged { labels, parts: Vec::new(), min_time, max_time });
        }
        self.series[at].parts.extend(parts);
    }
}

impl Db {
    fn find(&self, selection: &Selection<'_>) -> Result<(Vec<Merged>, Vec<String>), StorageError> {
        let (min_time, max_time) = (selection.min_time, selection.max_time);
        let mut found = Found { series: Vec::new(), by_labels: HashMap::new(), min_time, max_time };
        if min_time > max_time {
            return Ok((found.series, Vec::new()));
        }
        self.set_damaged_aside();
        let (head, blocks) = self.snapshot(selection)?;
        for block in blocks {
            self.find_in_block(&block, selection, &mut found)?;
        }
        for (labels, parts) in head {
            found.add(labels, parts);
        }
        Ok((found.series, self.warnings(min_time, max_time)))
    }

    /// What the head and the list of blocks hold at one moment, between two commits and not while a block takes over.
    fn snapshot(&self, selection: &Selection<'_>) -> Result<(HeadParts, Vec<Arc<Block>>), StorageError> {
        let _commits_wait = self.visible.read();
        let Selection { min_time, max_time, .. } = *selection;
        let wanted = Wanted { min_time, max_time, labels_only: selection.hints.labels_only };
        let matching = self.head.matching(selection.matchers, wanted)?;
        let parts = |found: FoundInHead| {
            let parts = found.frozen.map(Part::Sealing).into_iter().chain(found.open.map(Part::Head));
            (found.labels, parts.collect())
        };
        let head = matching.into_iter().map(parts).collect();
        Ok((head, self.blocks.read().clone()))
    }

    /// Asks the indexes of the head and of the blocks that overlap the time.
    fn labels(
        &self,
        selection: &Selection<'_>,
        ask: impl Fn(&dyn Index, &RoaringBitmap, &mut BTreeSet<String>) -> Result<(), StorageError>,
    ) -> Result<Vec<String>, StorageError> {
        let (min_time, max_time) = (selection.min_time, selection.max_time);
        let mut into = BTreeSet::new();
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
            self.unless_damaged(block, ask(&block.index(), &nothing, &mut into))?;
        }
        Ok(into.into_iter().collect())
    }

    /// A damaged block is set aside and left out of the answer; other errors are the answer.
    fn unless_damaged<T>(&self, block: &Block, outcome: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
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
        found: &mut Found,
    ) -> Result<(), StorageError> {
        let (min_time, max_time) = (selection.min_time, selection.max_time);
        if !block.overlaps(min_time, max_time) {
            return Ok(());
        }
        let times = Arc::new(TimesCache::default());
        let entries = block.select(selection.matchers, min_time, max_time, &times);
        let Some(entries) = self.unless_damaged(block, entries)? else { return Ok(()) };
        for entry in entries {
            let (block, times) = (Arc::clone(block), Arc::clone(&times));
            let part = (!selection.hints.labels_only).then_some(Part::Block { block, chunks: entry.chunks, times });
            found.add(entry.labels, part);
        }
        Ok(())
    }
}

impl Queryable for Db {
    fn select(&self, selection: &Selection<'_>) -> Result<SeriesSet, StorageError> {
        let (found, warnings) = self.find(selection)?;
        let series = found.into_iter().map(|series| Box::new(series) as Box<dyn Series>).collect();
        Ok(SeriesSet { series, warnings })
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

    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        self.families.get(family)
    }
}
