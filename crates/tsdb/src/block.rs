//! Sealed blocks: one immutable file each, written once from front to back.

mod writer;

use std::fmt;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use model::status::BlockStatus;
use model::{Matcher, Samples, StorageError, Timestamp};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
pub(crate) use writer::BlockWriter;

use crate::Disk;
use crate::bytes::{Damage, Reader, fixed32_at, put_int, put_uint};
use crate::column::{self, COLUMN_SAMPLES_MAX};
use crate::index::{BlockFile, BlockIndex, ChunkRef, Cursor, Directory, PageCache, Place};
use crate::numbers::PAGE;
use crate::postings::evaluate;
use crate::tombstones::{self, Deleted, Tombstones};
use crate::warm::{self, KeptColumn, Listing};

/// The format that this program writes and the newest that it reads.
pub(crate) const VERSION: u32 = 1;

/// The file in a block's folder; what is added to a block later gets a file of its own.
pub(crate) const FILE_NAME: &str = "block";

/// The name of a block's folder.
pub(crate) fn block_name(number: u64) -> String {
    format!("{number:010}")
}

const MAGIC: &[u8; 8] = b"skepblk\n";

/// Offset of the meta frame and the magic.
const FOOTER_BYTES: u64 = 16;

/// Kinds of frames in a block; the index has others.
mod kind {
    pub(super) const HEADER: u8 = 16;
    pub(super) const META: u8 = 22;
}

/// What a block says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) series: u64,
    pub(crate) samples: u64,
    /// All samples of log segments before this one are in blocks; zero says nothing.
    pub(crate) covers: u64,
    /// Written with the codecs of the head, which cost nothing: it is to be merged soon.
    pub(crate) is_loose: bool,
    /// Blocks that were merged into this one. Those that still stand are to go.
    pub(crate) replaces: Vec<u64>,
    pub(crate) index: Directory,
}

impl Meta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_int(&mut out, self.min_time);
        put_int(&mut out, self.max_time);
        for number in [self.series, self.samples, self.covers, u64::from(self.is_loose)] {
            put_uint(&mut out, number);
        }
        put_uint(&mut out, self.replaces.len() as u64);
        self.replaces.iter().for_each(|&number| put_uint(&mut out, number));
        self.index.encode(&mut out);
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader(payload);
        Ok(Self {
            min_time: reader.int()?,
            max_time: reader.int()?,
            series: reader.uint()?,
            samples: reader.uint()?,
            covers: reader.uint()?,
            is_loose: reader.uint()? != 0,
            replaces: (0..reader.count()?).map(|_| reader.uint()).collect::<Result<_, _>>()?,
            index: Directory::decode(&mut reader)?,
        })
    }

    /// Whether the store could have written it.
    fn check(&self) -> Result<(), Damage> {
        if self.min_time < 0 || self.min_time > self.max_time {
            return Err(Damage("its first time is before 1970 or after its last one"));
        }
        u32::try_from(self.series).map_err(|_| Damage("it has too many series")).map(drop)
    }
}

/// What a series has in a block.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) chunks: Box<[ChunkRef]>,
    pub(crate) deleted: Deleted,
}

/// A series of a block, whose labels are put together when asked for.
pub(crate) struct Named<'c> {
    cursor: &'c mut Cursor,
    series: u32,
}

impl Named<'_> {
    /// As [`model::Labels::as_packed`] has them.
    pub(crate) fn packed_labels(&mut self) -> Result<&str, StorageError> {
        self.cursor.packed_labels(self.series)
    }
}

/// An open block.
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) folder: PathBuf,
    pub(crate) meta: Meta,
    pub(crate) size_bytes: u64,
    file: Arc<BlockFile>,
    tombstones: Mutex<Arc<Tombstones>>,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("number", &self.number).field("meta", &self.meta).finish_non_exhaustive()
    }
}

/// Why a block could not be opened.
pub(crate) enum OpenError {
    /// A newer version wrote it.
    Version(u32),
    /// It cannot be read, or not trusted.
    Storage(StorageError),
}

impl From<OpenError> for StorageError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Storage(error) => error,
            OpenError::Version(version) => Self::Limit(format!("a block has version {version}, which is too new")),
        }
    }
}

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl Block {
    /// Opens the block in this folder; the pages of its index that are asked for stay in `cache` for a while.
    pub(crate) fn open(disk: &dyn Disk, folder: &Path, number: u64, cache: &Arc<PageCache>) -> Result<Self, OpenError> {
        Self::open_before_rename(disk, folder, folder.to_owned(), number, cache)
    }

    /// Opens the block in this folder, which becomes `folder` later.
    pub(crate) fn open_before_rename(
        disk: &dyn Disk,
        temporary: &Path,
        folder: PathBuf,
        number: u64,
        cache: &Arc<PageCache>,
    ) -> Result<Self, OpenError> {
        let file = BlockFile::open(disk, &temporary.join(FILE_NAME), number, cache)?.named(folder.join(FILE_NAME));
        let header = file.frame_at(0, kind::HEADER)?;
        let mut header = Reader(&header);
        let version = header.u32().map_err(|d| file.corrupt(0, d))?;
        if version > VERSION {
            return Err(OpenError::Version(version));
        }
        if header.uint().map_err(|d| file.corrupt(0, d))? != 0 {
            return Err(file.corrupt(0, Damage("it holds downsampled samples, which version 1 has none of")).into());
        }
        let meta = read_meta(&file)?;
        let (size_bytes, file) = (file.size_bytes(), Arc::new(file));
        let block = Self { number, folder, meta, size_bytes, file, tombstones: Mutex::default() };
        block.set_tombstones(Tombstones::load(disk, temporary, block.target())?);
        Ok(block)
    }

    /// What is deleted of it.
    pub(crate) fn tombstones(&self) -> Arc<Tombstones> {
        Arc::clone(&self.tombstones.lock())
    }

    /// Reads that begin now heed these.
    pub(crate) fn set_tombstones(&self, tombstones: Tombstones) {
        *self.tombstones.lock() = Arc::new(tombstones);
    }

    /// Bytes of its files.
    pub(crate) fn folder_bytes(&self) -> u64 {
        self.size_bytes + self.tombstones().size_bytes()
    }

    /// Whether so much is deleted of it that it is to be written anew.
    pub(crate) fn is_much_deleted(&self) -> bool {
        self.tombstones().is_much(self.meta.series, self.meta.min_time, self.meta.max_time)
    }

    /// What its tombstones are about.
    pub(crate) fn target(&self) -> tombstones::Target {
        let (size_bytes, samples) = (self.size_bytes, self.meta.samples);
        tombstones::Target { size_bytes, samples, series: self.meta.series as u32 }
    }

    /// The error of damage found in it, which is remembered.
    pub(crate) fn corrupt(&self, offset: u64, damage: Damage) -> StorageError {
        self.file.corrupt(offset, damage)
    }

    /// What was found to be wrong with it since it was opened.
    pub(crate) fn damage(&self) -> Option<String> {
        self.file.damage()
    }

    /// Its index, which is read where it lies.
    pub(crate) fn index(&self) -> BlockIndex {
        BlockIndex::new(Arc::clone(&self.file), self.meta.index.clone(), self.meta.series as u32)
    }

    /// What pages and tools tell of it.
    pub(crate) fn status(&self) -> BlockStatus {
        let Meta { min_time, max_time, series, samples, .. } = self.meta;
        BlockStatus { number: self.number, min_time, max_time, series, samples, bytes: self.folder_bytes() }
    }

    pub(crate) fn overlaps(&self, min_time: Timestamp, max_time: Timestamp) -> bool {
        self.meta.min_time <= max_time && self.meta.max_time >= min_time
    }

    /// The series that match.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Result<RoaringBitmap, StorageError> {
        evaluate(&self.index(), matchers)
    }

    /// Passes on those of these series that have samples in the time, with the chunks that touch it.
    pub(crate) fn select(
        &self,
        series: impl IntoIterator<Item = u32>,
        (min_time, max_time): (Timestamp, Timestamp),
        reading: &Reading,
        each: &mut dyn FnMut(&mut Named<'_>, Part) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut cursor = self.index().cursor();
        let tombstones = self.tombstones();
        for series in series {
            let touching = cursor.chunks(series)?.iter().filter(|chunk| chunk.touches((min_time, max_time)));
            let chunks: Box<[ChunkRef]> = touching.copied().collect();
            let part = Part { chunks, deleted: tombstones.of(series) };
            if self.has_sample_in(&part, (min_time, max_time), reading)? {
                each(&mut Named { cursor: &mut cursor, series }, part)?;
            }
        }
        Ok(())
    }

    /// Of these series, how many surely have a sample in the time, and no chunk with a marker there; and which others may have
    /// samples. No samples are read.
    pub(crate) fn count(
        &self,
        series: &[u32],
        range: (Timestamp, Timestamp),
        reading: &Reading,
    ) -> Result<(u64, Vec<u32>), StorageError> {
        let (mut cursor, tombstones) = (self.index().cursor(), self.tombstones());
        let (mut counted, mut others) = (0, Vec::new());
        // By column of timestamps: whether one lies in the time.
        let mut known: HashMap<u64, bool> = HashMap::new();
        for &series in series {
            let mut chunks = cursor.chunks(series)?.iter().filter(|chunk| chunk.touches(range)).peekable();
            if chunks.peek().is_none() {
                continue;
            }
            if chunks.clone().any(|chunk| chunk.has_marker) || !tombstones.of(series).is_empty() {
                others.push(series);
                continue;
            }
            for chunk in chunks {
                let has_sample = match known.get(&chunk.times.offset) {
                    Some(&has_sample) => has_sample,
                    None => !within(&self.times(chunk.times, reading)?, range).is_empty(),
                };
                known.insert(chunk.times.offset, has_sample);
                if has_sample {
                    counted += 1;
                    break;
                }
            }
        }
        Ok((counted, others))
    }

    /// All series that match, kept for the next query that comes again; `None` where they are too many.
    pub(crate) fn listing(&self, matchers: &[Matcher]) -> Result<Option<Arc<Listing>>, StorageError> {
        if let Some(known) = self.file.known_listing(matchers) {
            return Ok(Some(known));
        }
        let matching = self.matching(matchers)?;
        if !self.file.may_keep(matching.len()) {
            return Ok(None);
        }
        let mut cursor = self.index().cursor();
        let mut found = warm::Found::default();
        for series in matching {
            let labels = cursor.labels(series)?;
            found.add(labels, series, cursor.chunks(series)?);
        }
        Ok(Some(self.file.remember_listing(matchers, found)))
    }

    /// A chunk that begins or ends in the time has a sample there; only one that spans it has to be looked at, or one
    /// that lost samples.
    fn has_sample_in(
        &self,
        part: &Part,
        (min_time, max_time): (Timestamp, Timestamp),
        reading: &Reading,
    ) -> Result<bool, StorageError> {
        let is_whole = part.deleted.is_empty();
        if is_whole && part.chunks.iter().any(|c| c.min_time >= min_time || c.max_time <= max_time) {
            return Ok(true);
        }
        for chunk in &part.chunks {
            let times = self.times(chunk.times, reading)?;
            let touched = &times[within(&times, (min_time, max_time))];
            if touched.iter().any(|&time| !part.deleted.contains(time)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds what a series has here in the time.
    pub(crate) fn read_part(
        &self,
        part: &Part,
        range: (Timestamp, Timestamp),
        reading: &Reading,
        into: &mut Samples,
    ) -> Result<(), StorageError> {
        let start = into.len();
        part.chunks.iter().try_for_each(|chunk| self.read_within(chunk, range, reading, into))?;
        part.deleted.remove_from(into, start);
        Ok(())
    }

    /// As [`Block::read_part`] for a series of a listing, which keeps what had to be decoded.
    pub(crate) fn read_row(
        &self,
        (listing, row): (&Listing, usize),
        deleted: &Deleted,
        range: (Timestamp, Timestamp),
        reading: &Reading,
        into: &mut Samples,
    ) -> Result<(), StorageError> {
        let start = into.len();
        for column in listing.columns(row, range) {
            let times = self.times_of(listing, column, reading)?;
            let wanted = within(&times, range);
            if wanted.is_empty() {
                continue;
            }
            if reading.presence && !column.chunk.has_marker {
                into.values.resize(into.values.len() + wanted.len(), 0.0);
            } else {
                self.decode_kept((listing, column), times.len(), wanted.clone(), reading, &mut into.values)?;
            }
            into.timestamps.extend_from_slice(&times[wanted]);
        }
        deleted.remove_from(into, start);
        Ok(())
    }

    /// As [`Block::read_row`] for the values alone, of which none is deleted.
    pub(crate) fn read_row_values(
        &self,
        (listing, row): (&Listing, usize),
        range: (Timestamp, Timestamp),
        reading: &Reading,
        into: &mut Vec<f64>,
    ) -> Result<(), StorageError> {
        for column in listing.columns(row, range) {
            let times = self.times_of(listing, column, reading)?;
            let wanted = within(&times, range);
            if !wanted.is_empty() {
                self.decode_kept((listing, column), times.len(), wanted, reading, into)?;
            }
        }
        Ok(())
    }

    /// Adds values of a column that has so many, and keeps what had to be decoded.
    fn decode_kept(
        &self,
        (listing, column): (&Listing, &KeptColumn),
        count: usize,
        wanted: Range<usize>,
        reading: &Reading,
        into: &mut Vec<f64>,
    ) -> Result<(), StorageError> {
        if column.read(wanted.clone(), into) {
            return Ok(());
        }
        let pages = wanted.start / PAGE..wanted.end.div_ceil(PAGE);
        let whole = pages.start * PAGE..count.min(pages.end * PAGE);
        let mut values = Vec::new();
        self.decode(&column.chunk, count, whole.clone(), reading, &mut values)?;
        listing.keep(column, count, pages.start, &values);
        into.extend_from_slice(&values[wanted.start - whole.start..wanted.end - whole.start]);
        Ok(())
    }

    fn times_of(
        &self,
        listing: &Listing,
        column: &KeptColumn,
        reading: &Reading,
    ) -> Result<Arc<[Timestamp]>, StorageError> {
        if let Some(times) = listing.times(column) {
            return Ok(times);
        }
        let times = self.times(column.chunk.times, reading)?;
        listing.keep_times(column, &times);
        Ok(times)
    }

    fn column(&self, place: Place, reading: &Reading) -> Result<Column, StorageError> {
        let bytes = reading.bytes(&self.file, place)?;
        let damaged = |d| self.corrupt(place.offset, d);
        let body = bytes.len().checked_sub(4).ok_or_else(|| damaged(Damage("a column is cut")))?;
        if !self.file.checks(place.offset, &bytes[..body], fixed32_at(&bytes, body)) {
            return Err(damaged(Damage("a column does not match its checksum")));
        }
        let mut reader = Reader(&bytes[..body]);
        let codec = reader.byte().map_err(damaged)?;
        let count = reader.uint().map_err(damaged)?;
        if count > COLUMN_SAMPLES_MAX as u64 {
            return Err(damaged(Damage("a column has too many samples")));
        }
        let content = body - reader.0.len()..body;
        Ok(Column { codec, count: count as usize, bytes, content })
    }

    /// The codec of a column, in a word, and how many numbers it has.
    pub(crate) fn codec_of(&self, place: Place) -> Result<(&'static str, usize), StorageError> {
        let column = self.column(place, &Reading::default())?;
        Ok((column::codec::name(column.codec), column.count))
    }

    /// Adds the samples of a chunk.
    pub(crate) fn read(&self, chunk: &ChunkRef, reading: &Reading, into: &mut Samples) -> Result<(), StorageError> {
        self.read_within(chunk, (Timestamp::MIN, Timestamp::MAX), reading, into)
    }

    /// Adds the samples of a chunk that lie in the time.
    fn read_within(
        &self,
        chunk: &ChunkRef,
        range: (Timestamp, Timestamp),
        reading: &Reading,
        into: &mut Samples,
    ) -> Result<(), StorageError> {
        let times = self.times(chunk.times, reading)?;
        let wanted = within(&times, range);
        if wanted.is_empty() {
            return Ok(());
        }
        if reading.presence && !chunk.has_marker {
            into.values.resize(into.values.len() + wanted.len(), 0.0);
        } else {
            self.decode(chunk, times.len(), wanted.clone(), reading, &mut into.values)?;
        }
        into.timestamps.extend_from_slice(&times[wanted]);
        Ok(())
    }

    /// Adds the values alone of a chunk in the time. Whoever knows its timestamps sees whether there are as many.
    pub(crate) fn read_values(
        &self,
        chunk: &ChunkRef,
        range: (Timestamp, Timestamp),
        reading: &Reading,
        into: &mut Vec<f64>,
    ) -> Result<(), StorageError> {
        if chunk.min_time >= range.0 && chunk.max_time <= range.1 {
            let column = self.column(chunk.values, reading)?;
            let decoded = column::decode_values(column.codec, column.content(), column.count, 0..column.count, into);
            return decoded.map_err(|d| self.corrupt(chunk.values.offset, d));
        }
        let times = self.times(chunk.times, reading)?;
        let wanted = within(&times, range);
        if wanted.is_empty() { Ok(()) } else { self.decode(chunk, times.len(), wanted, reading, into) }
    }

    /// Adds values of a chunk that has so many timestamps.
    fn decode(
        &self,
        chunk: &ChunkRef,
        count: usize,
        wanted: Range<usize>,
        reading: &Reading,
        into: &mut Vec<f64>,
    ) -> Result<(), StorageError> {
        let column = self.column(chunk.values, reading)?;
        let damaged = |d| self.corrupt(chunk.values.offset, d);
        if column.count != count {
            return Err(damaged(Damage("values and timestamps differ in number")));
        }
        column::decode_values(column.codec, column.content(), count, wanted, into).map_err(damaged)
    }

    fn times(&self, place: Place, reading: &Reading) -> Result<Arc<[Timestamp]>, StorageError> {
        if let Some(times) = reading.times.lock().get(&place.offset) {
            return Ok(Arc::clone(times));
        }
        let known = if reading.is_query { self.file.known_times(place.offset) } else { None };
        let times = match known {
            Some(times) => times,
            None => self.decode_times(place, reading)?,
        };
        let mut held = reading.times.lock();
        if held.len() >= TIMES_CACHED_MAX {
            held.clear();
        }
        held.insert(place.offset, Arc::clone(&times));
        Ok(times)
    }

    fn decode_times(&self, place: Place, reading: &Reading) -> Result<Arc<[Timestamp]>, StorageError> {
        let column = self.column(place, reading)?;
        let mut times = Vec::with_capacity(column.count);
        column::decode_times(column.codec, column.content(), column.count, &mut times)
            .map_err(|d| self.corrupt(place.offset, d))?;
        let times: Arc<[Timestamp]> = times.into();
        if reading.is_query {
            self.file.remember_times(place.offset, Arc::clone(&times));
        }
        Ok(times)
    }
}

/// Where the timestamps of this time are.
fn within(times: &[Timestamp], (min_time, max_time): (Timestamp, Timestamp)) -> Range<usize> {
    let begin = times.partition_point(|&t| t < min_time);
    begin..begin + times[begin..].partition_point(|&t| t <= max_time)
}

fn read_meta(file: &BlockFile) -> Result<Meta, StorageError> {
    let at = file.size_bytes().checked_sub(FOOTER_BYTES).ok_or_else(|| file.corrupt(0, Damage("it is cut")))?;
    let footer = file.bytes_at(at, FOOTER_BYTES as usize)?;
    if footer[8..] != MAGIC[..] {
        return Err(file.corrupt(at, Damage("the footer is not a block's")));
    }
    let meta_at = Reader(&footer).fixed64().map_err(|d| file.corrupt(at, d))?;
    let payload = file.frame_at(meta_at, kind::META)?;
    let meta = Meta::decode(&payload).map_err(|d| file.corrupt(meta_at, d))?;
    meta.check().map_err(|d| file.corrupt(meta_at, d))?;
    meta.index.check(meta.series, file.size_bytes()).map_err(|d| file.corrupt(meta_at, d))?;
    Ok(meta)
}

/// A column of the file whose checksum was verified.
struct Column {
    codec: u8,
    count: usize,
    bytes: Piece,
    content: Range<usize>,
}

impl Column {
    fn content(&self) -> &[u8] {
        &self.bytes[self.content.clone()]
    }
}

/// Decoded columns of timestamps that a query holds of a block: one for each of many targets and restarted pods. They take
/// four megabytes at 480 samples, which a sealed block has of two hours at 15 s, and twelve at the 1,440 of a merged
/// one; whole days of many pods make it begin anew.
const TIMES_CACHED_MAX: usize = 1024;

/// Columns that stand one after the other are read in pieces of this size, some twenty columns. A query holds as many pieces
/// of each block as there are windows.
const WINDOW_BYTES: usize = 16 << 10;

/// A column this far behind the one before it is as good as next to it: columns of timestamps stand in between.
const WINDOW_GAP_BYTES: u64 = 4 << 10;

/// Threads read stretches of their own; so many pieces are held, that each finds its own again.
const WINDOWS: usize = 4;

/// What the reads of one query in one block share.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Values are not wanted, see [`model::Hints::presence`].
    presence: bool,
    /// Timestamps are shared with the next queries. Whoever merges blocks reads each column once.
    is_query: bool,
    times: Mutex<HashMap<u64, Arc<[Timestamp]>>>,
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    held: [Window; WINDOWS],
    /// The one to be given up next.
    oldest: usize,
}

/// A piece of the file around the columns that were read last.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Arc<Vec<u8>>,
    /// Where the last column ended.
    next: u64,
}

/// Where a column is found.
enum Look {
    Held(Piece),
    /// It follows the last one of this window.
    Ahead(usize),
    Alone,
}

/// A part of bytes that others hold, too.
struct Piece {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl Reading {
    /// For a query.
    pub(crate) fn new(presence: bool) -> Self {
        Self { presence, is_query: true, ..Self::default() }
    }

    pub(crate) fn is_presence(&self) -> bool {
        self.presence
    }

    fn bytes(&self, file: &BlockFile, place: Place) -> Result<Piece, StorageError> {
        let length = place.length as usize;
        let ahead = match self.windows.lock().look(place) {
            Look::Held(piece) => return Ok(piece),
            Look::Ahead(window) => Some(window),
            Look::Alone => None,
        };
        let left = usize::try_from(file.size_bytes().saturating_sub(place.offset)).unwrap_or(usize::MAX);
        let Some(window) = ahead.filter(|_| length <= left) else {
            return Ok(Piece { bytes: Arc::new(file.bytes_at(place.offset, length)?), range: 0..length });
        };
        let bytes = Arc::new(file.bytes_at(place.offset, WINDOW_BYTES.max(length).min(left))?);
        let held = &mut self.windows.lock().held[window];
        (held.start, held.bytes) = (place.offset, Arc::clone(&bytes));
        Ok(Piece { bytes, range: 0..length })
    }
}

impl Windows {
    fn look(&mut self, place: Place) -> Look {
        let end = place.offset.saturating_add(u64::from(place.length));
        for window in &mut self.held {
            if let Some(range) = window.range(place) {
                window.next = end;
                return Look::Held(Piece { bytes: Arc::clone(&window.bytes), range });
            }
        }
        let follows = |window: &Window| place.offset >= window.next && place.offset - window.next <= WINDOW_GAP_BYTES;
        if let Some(at) = self.held.iter().position(follows) {
            self.held[at].next = end;
            return Look::Ahead(at);
        }
        self.held[self.oldest] = Window { next: end, ..Window::default() };
        self.oldest = (self.oldest + 1) % WINDOWS;
        Look::Alone
    }
}

impl Window {
    fn range(&self, place: Place) -> Option<Range<usize>> {
        let start = usize::try_from(place.offset.checked_sub(self.start)?).ok()?;
        let range = start..start.checked_add(place.length as usize)?;
        self.bytes.get(range.clone()).map(|_| range)
    }
}

#[cfg(test)]
mod tests {
    use model::{Labels, Sample};
    use tempfile::tempdir;

    use super::*;
    use crate::FileDisk;
    use crate::column::Tier;
    use crate::frame::PAYLOAD_BYTES_MAX;

    fn write(folder: &Path) -> Vec<(Labels, Samples)> {
        let mut writer = BlockWriter::create(&FileDisk, folder, 7, Tier::Block).unwrap();
        let mut expected = Vec::new();
        for series in 0..20 {
            let labels = Labels::from_pairs([("__name__", "m"), ("x", &format!("{series:02}"))]);
            let mut samples = Samples::default();
            for i in 0..if series == 3 { 9000 } else { 100 } {
                samples.push(Sample { timestamp: 1_000_000 + i * 15_000, value: (i * series) as f64 / 10.0 });
            }
            writer.add(&labels, &samples).unwrap();
            expected.push((labels, samples));
        }
        writer.finish(5, Vec::new()).unwrap();
        expected
    }

    fn read_all(folder: &Path) -> Result<Vec<(Labels, Samples)>, StorageError> {
        let block = Block::open(&FileDisk, folder, 7, &Arc::new(PageCache::new(1 << 20)))?;
        block.index().verify()?;
        let (all, reading) = ((i64::MIN, i64::MAX), Reading::default());
        let mut read = Vec::new();
        block.select(block.matching(&[])?, all, &reading, &mut |series, part| {
            let mut samples = Samples::default();
            block.read_part(&part, all, &reading, &mut samples)?;
            read.push((Labels::from_packed(series.packed_labels()?).unwrap(), samples));
            Ok(())
        })?;
        Ok(read)
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempdir().unwrap();
        let expected = write(folder.path());
        assert_eq!(read_all(folder.path()).unwrap(), expected);
    }

    /// Blocks of many series had an index that was written but not read again: it was held to the limit of the log.
    #[test]
    fn an_index_may_be_larger_than_a_record_of_the_log() {
        let folder = tempdir().unwrap();
        let mut writer = BlockWriter::create(&FileDisk, folder.path(), 7, Tier::Block).unwrap();
        let labels = |i: usize| Labels::from_pairs([("x", format!("{i:06}{}", "x".repeat(60_000)))]);
        let mut samples = Samples::default();
        samples.push(Sample { timestamp: 1, value: 1.0 });
        let series = PAYLOAD_BYTES_MAX / 60_000 + 1;
        (0..series).for_each(|i| writer.add(&labels(i), &samples).unwrap());
        writer.finish(5, Vec::new()).unwrap();
        assert_eq!(read_all(folder.path()).unwrap().len(), series);
    }

    #[test]
    fn only_times_that_the_store_takes_are_believed() {
        let check = |min_time, max_time, expected: bool| {
            let meta = Meta { min_time, max_time, ..Meta::default() };
            assert_eq!(meta.check().is_ok(), expected, "{min_time} {max_time}");
        };
        check(0, 0, true);
        check(5, i64::MAX, true);
        check(5, 4, false);
        check(-1, 4, false);
        check(i64::MIN, i64::MAX, false);
    }

    #[test]
    fn flipped_bits_are_noticed() {
        let folder = tempdir().unwrap();
        write(folder.path());
        let path = folder.path().join(FILE_NAME);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert!(read_all(folder.path()).is_err(), "byte {at}");
        }
    }
}
