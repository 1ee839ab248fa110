//! Reading series of a block: a group of sixteen at a time, the texts of labels once.

use model::{Labels, StorageError, Timestamp};

use super::read::BlockIndex;
use super::table::GROUP_ROWS;
use super::write::take_terms;
use super::{ChunkRef, Entry, Place};
use crate::bytes::{Damage, Reader};
use crate::series::ById;

/// Groups of label values that are remembered; at some forty bytes a value this is two megabytes. Series come in the
/// order of their labels, so that starting anew costs little.
const TEXT_GROUPS_MAX: usize = 4096;

/// Groups of columns of timestamps that are remembered, half a kilobyte each.
const TIMES_GROUPS_MAX: usize = 2048;

/// Reads series, best in their order.
pub(crate) struct Cursor {
    index: BlockIndex,
    /// The group that was read last, and its rows.
    group: Option<u32>,
    terms: Vec<u32>,
    term_ends: Vec<usize>,
    chunks: Vec<ChunkRef>,
    chunk_ends: Vec<usize>,
    /// Label names, each with the group of values behind its last one; read when the first is wanted.
    names: Vec<(u32, String)>,
    texts: ById<Texts>,
    times: ById<Vec<TimesRow>>,
    packed: String,
}

/// Labels of a group of values, packed as [`Labels::as_packed`] has them.
struct Texts {
    text: String,
    ends: Vec<usize>,
}

/// A column of timestamps.
#[derive(Clone, Copy)]
struct TimesRow {
    place: Place,
    min_time: Timestamp,
    max_time: Timestamp,
}

impl Cursor {
    pub(super) fn new(index: BlockIndex) -> Self {
        Self {
            index,
            group: None,
            terms: Vec::new(),
            term_ends: Vec::new(),
            chunks: Vec::new(),
            chunk_ends: Vec::new(),
            names: Vec::new(),
            texts: ById::default(),
            times: ById::default(),
            packed: String::new(),
        }
    }

    /// A series by its place in the order of labels.
    pub(crate) fn entry(&mut self, ordinal: u32) -> Result<Entry, StorageError> {
        let labels = self.labels(ordinal)?;
        Ok(Entry { labels, chunks: self.chunks(ordinal)?.to_vec() })
    }

    /// The chunks of a series.
    pub(crate) fn chunks(&mut self, ordinal: u32) -> Result<&[ChunkRef], StorageError> {
        let row = self.seek(ordinal)?;
        Ok(&self.chunks[part(&self.chunk_ends, row)])
    }

    /// The labels of a series.
    pub(crate) fn labels(&mut self, ordinal: u32) -> Result<Labels, StorageError> {
        let packed = self.packed_labels(ordinal)?;
        let labels = Labels::from_packed(packed);
        labels.ok_or_else(|| self.damaged(Damage("the labels of a series are not in order")))
    }

    /// The labels of a series as [`Labels::as_packed`] has them.
    pub(crate) fn packed_labels(&mut self, ordinal: u32) -> Result<&str, StorageError> {
        let row = self.seek(ordinal)?;
        self.packed.clear();
        for at in part(&self.term_ends, row) {
            let term = self.terms[at];
            let (group, place) = (term / GROUP_ROWS as u32, term as usize % GROUP_ROWS);
            if !self.texts.contains_key(&group) {
                self.load_texts(group)?;
            }
            let texts = self.texts.get(&group).filter(|texts| place < texts.ends.len());
            let Some(texts) = texts else {
                return Err(self.damaged(Damage("a label is not in the table")));
            };
            self.packed.push_str(&texts.text[part(&texts.ends, place)]);
        }
        Ok(&self.packed)
    }

    fn load_texts(&mut self, group: u32) -> Result<(), StorageError> {
        if self.names.is_empty() {
            self.names = self.index.names_by_group()?;
        }
        let place = self.names.partition_point(|(behind, _)| *behind <= group);
        let Some((_, name)) = self.names.get(place) else {
            return Err(self.damaged(Damage("a label is not in the table")));
        };
        let mut texts = Texts { text: String::new(), ends: Vec::with_capacity(GROUP_ROWS) };
        self.index.each_of_group(group, |value| {
            Labels::push_packed(&mut texts.text, name, value);
            texts.ends.push(texts.text.len());
        })?;
        if self.texts.len() >= TEXT_GROUPS_MAX {
            self.texts.clear();
        }
        self.texts.insert(group, texts);
        Ok(())
    }

    fn damaged(&self, damage: Damage) -> StorageError {
        self.index.series_table().damaged(&self.index.file, damage)
    }

    /// Makes the group of a series the present one; returns the series' place in it.
    fn seek(&mut self, ordinal: u32) -> Result<usize, StorageError> {
        if ordinal as usize >= self.index.len() {
            return Err(self.damaged(Damage("a series is not in the table")));
        }
        let (group, row) = (ordinal / GROUP_ROWS as u32, ordinal as usize % GROUP_ROWS);
        if self.group != Some(group) {
            self.group = None;
            self.load(group)?;
            self.group = Some(group);
        }
        if row >= self.term_ends.len() {
            return Err(self.damaged(Damage("a group of series is too short")));
        }
        Ok(row)
    }

    fn load(&mut self, group: u32) -> Result<(), StorageError> {
        self.terms.clear();
        self.term_ends.clear();
        self.chunks.clear();
        self.chunk_ends.clear();
        let bytes = self.index.series_table().group(&self.index.file, group)?;
        let mut reader = Reader(&bytes);
        let mut next_value = reader.uint().map_err(|d| self.damaged(d))?;
        let mut terms = Vec::new();
        while !reader.is_empty() {
            take_terms(&mut reader, &mut terms).map_err(|d| self.damaged(d))?;
            self.terms.extend_from_slice(&terms);
            self.term_ends.push(self.terms.len());
            self.take_chunks(&mut reader, &mut next_value)?;
            self.chunk_ends.push(self.chunks.len());
        }
        Ok(())
    }

    fn take_chunks(&mut self, reader: &mut Reader<'_>, next_value: &mut u64) -> Result<(), StorageError> {
        let head = reader.uint().map_err(|d| self.damaged(d))?;
        for _ in 0..head >> 1 {
            let row = RawChunk::take(reader, head & 1 == 1, *next_value).map_err(|d| self.damaged(d))?;
            let times = self.times(row.times)?;
            *next_value = row.values.end();
            self.chunks.push(ChunkRef {
                min_time: times.min_time,
                max_time: times.max_time,
                times: times.place,
                values: row.values,
                has_marker: row.has_marker,
            });
        }
        Ok(())
    }

    fn times(&mut self, number: u32) -> Result<TimesRow, StorageError> {
        let (group, row) = (number / GROUP_ROWS as u32, number as usize % GROUP_ROWS);
        let table = self.index.directory.times;
        let missing = Damage("a column of timestamps is not in the table");
        if let Some(rows) = self.times.get(&group) {
            return rows.get(row).copied().ok_or_else(|| table.damaged(&self.index.file, missing));
        }
        let bytes = table.group(&self.index.file, group)?;
        let rows = TimesRow::take_all(&bytes).map_err(|d| table.damaged(&self.index.file, d))?;
        let found = rows.get(row).copied().ok_or_else(|| table.damaged(&self.index.file, missing));
        if self.times.len() >= TIMES_GROUPS_MAX {
            self.times.clear();
        }
        self.times.insert(group, rows);
        found
    }
}

/// The part of a list of parts that end here and there.
fn part(ends: &[usize], at: usize) -> std::ops::Range<usize> {
    let start = if at == 0 { 0 } else { ends[at - 1] };
    start..ends[at]
}

/// A chunk as the series has it.
struct RawChunk {
    times: u32,
    values: Place,
    has_marker: bool,
}

impl RawChunk {
    fn take(reader: &mut Reader<'_>, has_gaps: bool, next_value: u64) -> Result<Self, Damage> {
        let times = reader.u32()?;
        let length = reader.uint()?;
        let gap = if has_gaps { reader.int()? } else { 0 };
        let has_marker = length & 1 == 1;
        let length = u32::try_from(length >> 1).map_err(|_| Damage("a column is too long"))?;
        Ok(Self { times, values: Place { offset: next_value.wrapping_add(gap as u64), length }, has_marker })
    }
}

impl TimesRow {
    fn take_all(group: &[u8]) -> Result<Vec<Self>, Damage> {
        let mut reader = Reader(group);
        let mut rows = Vec::with_capacity(GROUP_ROWS);
        let (mut end, mut last) = (0u64, 0);
        while !reader.is_empty() {
            let offset = end.wrapping_add(reader.int()? as u64);
            let place = Place { offset, length: reader.u32()? };
            let min_time = Timestamp::wrapping_add(last, reader.int()?);
            let max_time = min_time.wrapping_add(reader.uint()? as i64);
            (end, last) = (place.end(), min_time);
            rows.push(Self { place, min_time, max_time });
        }
        Ok(rows)
    }
}
