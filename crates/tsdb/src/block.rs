//! Sealed blocks: one immutable file each, written once from front to back.

use std::fmt;
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::{DefaultHashBuilder, HashMap};
use model::{Labels, Matcher, Samples, StorageError, Timestamp};
use parking_lot::Mutex;

use crate::bytes::{Damage, Reader, fixed32_at, put_int, put_uint};
use crate::column::{self, COLUMN_SAMPLES_MAX, Tier};
use crate::error::io as io_error;
use crate::frame::{self, HEADER_BYTES, checksum};
use crate::index::{self, BlockIndex, ChunkRef, Encoded, Entry, Place};
use crate::postings::evaluate;
use crate::{Disk, DiskFile};

/// The format that this program writes and the newest that it reads.
pub(crate) const VERSION: u32 = 1;

/// The file in a block's folder; what is added to a block later gets a file of its own.
pub(crate) const FILE_NAME: &str = "block";

const MAGIC: &[u8; 8] = b"skepblk\n";

/// Offset of the meta frame and the magic.
const FOOTER_BYTES: u64 = 16;

/// Written in pieces of this size; several blocks may be open at once.
const WRITE_BYTES: usize = 64 << 10;

/// Kinds of frames in a block.
mod kind {
    pub(super) const HEADER: u8 = 16;
    pub(super) const SYMBOLS: u8 = 17;
    pub(super) const SERIES: u8 = 18;
    pub(super) const POSTINGS: u8 = 19;
    pub(super) const META: u8 = 20;
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
    symbols: u64,
    entries: u64,
    postings: u64,
}

impl Meta {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_int(&mut out, self.min_time);
        put_int(&mut out, self.max_time);
        for number in [self.series, self.samples, self.covers, self.symbols, self.entries, self.postings] {
            put_uint(&mut out, number);
        }
        out
    }

    fn decode(payload: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader(payload);
        Ok(Self {
            min_time: reader.int()?,
            max_time: reader.int()?,
            series: reader.uint()?,
            samples: reader.uint()?,
            covers: reader.uint()?,
            symbols: reader.uint()?,
            entries: reader.uint()?,
            postings: reader.uint()?,
        })
    }
}

/// Writes a block into a temporary folder; series come in the order of their labels.
pub(crate) struct BlockWriter {
    number: u64,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
    entries: Vec<Entry>,
    samples: u64,
    times: SharedTimes,
}

/// Columns of timestamps that were written already, by two independent hashes of 64 bits, their length and first time.
#[derive(Default)]
struct SharedTimes {
    hashers: [DefaultHashBuilder; 2],
    places: HashMap<(u64, u64, usize, Timestamp), Place>,
}

impl BlockWriter {
    pub(crate) fn create(disk: &dyn Disk, folder: &Path, number: u64) -> Result<Self, StorageError> {
        disk.create_dir(folder).map_err(io_error("create", folder))?;
        let path = folder.join(FILE_NAME);
        let file = disk.create(&path).map_err(io_error("create", &path))?;
        let mut header = Vec::new();
        put_uint(&mut header, u64::from(VERSION));
        let mut writer = Self {
            number,
            path,
            file,
            buffer: Vec::new(),
            written: 0,
            entries: Vec::new(),
            samples: 0,
            times: SharedTimes::default(),
        };
        writer.push_frame(kind::HEADER, &header)?;
        Ok(writer)
    }

    /// Adds a series with at least one sample, timestamps strictly rising.
    pub(crate) fn add(&mut self, labels: &Labels, samples: &Samples) -> Result<(), StorageError> {
        let mut chunks = Vec::new();
        let columns = samples.timestamps.chunks(COLUMN_SAMPLES_MAX).zip(samples.values.chunks(COLUMN_SAMPLES_MAX));
        for (times, values) in columns {
            let (min_time, max_time) = (times[0], times[times.len() - 1]);
            let times = self.put_times(times);
            let values = self.put_column(values.len(), |out| column::encode_values(values, Tier::Block, out));
            chunks.push(ChunkRef { min_time, max_time, times, values });
        }
        self.samples += samples.len() as u64;
        self.entries.push(Entry { labels: labels.clone(), chunks });
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn put_times(&mut self, times: &[Timestamp]) -> Place {
        let [a, b] = &self.times.hashers;
        let key = (a.hash_one(times), b.hash_one(times), times.len(), times[0]);
        if let Some(&place) = self.times.places.get(&key) {
            return place;
        }
        let place = self.put_column(times.len(), |out| column::encode_times(times, Tier::Block, out));
        self.times.places.insert(key, place);
        place
    }

    /// Codec, count, content, checksum.
    fn put_column(&mut self, count: usize, encode: impl FnOnce(&mut Vec<u8>) -> u8) -> Place {
        let offset = self.written + self.buffer.len() as u64;
        let start = self.buffer.len();
        self.buffer.push(0);
        put_uint(&mut self.buffer, count as u64);
        self.buffer[start] = encode(&mut self.buffer);
        let crc = checksum(self.number, offset, &[&self.buffer[start..]]);
        self.buffer.extend_from_slice(&crc.to_le_bytes());
        Place { offset, length: (self.buffer.len() - start) as u32 }
    }

    fn push_frame(&mut self, kind: u8, payload: &[u8]) -> Result<u64, StorageError> {
        if u32::try_from(payload.len()).is_err() {
            let message = format!("a part of a block's index takes {} bytes, 4 GiB are the most", payload.len());
            return Err(StorageError::Limit(message));
        }
        let offset = self.written + self.buffer.len() as u64;
        frame::push(&mut self.buffer, self.number, self.written, kind, payload);
        Ok(offset)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.file.append(&self.buffer).map_err(io_error("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes index, meta and footer, and syncs the file; the caller syncs and renames the folder.
    pub(crate) fn finish(mut self, covers: u64) -> Result<u64, StorageError> {
        let chunks = || self.entries.iter().flat_map(|e| &e.chunks);
        let min_time = chunks().map(|c| c.min_time).min().unwrap_or_default();
        let max_time = chunks().map(|c| c.max_time).max().unwrap_or_default();
        let index = index::encode(&self.entries, min_time);
        let meta = Meta {
            min_time,
            max_time,
            series: self.entries.len() as u64,
            samples: self.samples,
            covers,
            symbols: self.push_frame(kind::SYMBOLS, &index.symbols)?,
            entries: self.push_frame(kind::SERIES, &index.series)?,
            postings: self.push_frame(kind::POSTINGS, &index.postings)?,
        };
        let meta_at = self.push_frame(kind::META, &meta.encode())?;
        self.buffer.extend_from_slice(&meta_at.to_le_bytes());
        self.buffer.extend_from_slice(MAGIC);
        self.flush()?;
        self.file.sync().map_err(io_error("fsync", &self.path))?;
        Ok(self.written)
    }
}

/// An open block.
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) folder: PathBuf,
    pub(crate) meta: Meta,
    pub(crate) size_bytes: u64,
    file: Box<dyn DiskFile>,
    index: Mutex<Option<Arc<BlockIndex>>>,
    /// Whether the index was asked for since the last call of `forget_idle_index`.
    used: AtomicBool,
    damage: Mutex<Option<String>>,
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

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl Block {
    pub(crate) fn open(disk: &dyn Disk, folder: &Path, number: u64) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        let file = disk.open(&path).map_err(io_error("open", &path))?;
        let size_bytes = file.len().map_err(io_error("read", &path))?;
        let mut block = Self {
            number,
            folder: folder.to_owned(),
            meta: Meta::default(),
            size_bytes,
            file,
            index: Mutex::default(),
            used: AtomicBool::new(false),
            damage: Mutex::default(),
        };
        let header = block.frame_at(0, kind::HEADER)?;
        let version = Reader(&header).u32().map_err(|d| block.corrupt(0, d))?;
        if version > VERSION {
            return Err(OpenError::Version(version));
        }
        block.meta = block.read_meta()?;
        Ok(block)
    }

    fn read_meta(&self) -> Result<Meta, StorageError> {
        let at = self.size_bytes.checked_sub(FOOTER_BYTES).ok_or_else(|| self.corrupt(0, Damage("it is cut")))?;
        let footer = self.bytes_at(at, FOOTER_BYTES as usize)?;
        if footer[8..] != MAGIC[..] {
            return Err(self.corrupt(at, Damage("the footer is not a block's")));
        }
        let meta_at = Reader(&footer).fixed64().map_err(|d| self.corrupt(at, d))?;
        let payload = self.frame_at(meta_at, kind::META)?;
        Meta::decode(&payload).map_err(|d| self.corrupt(meta_at, d))
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE_NAME)
    }

    fn corrupt(&self, offset: u64, damage: Damage) -> StorageError {
        let path = self.path().display().to_string();
        let mut known = self.damage.lock();
        if known.is_none() {
            *known = Some(format!("{path}: damaged at byte {offset}: {damage}"));
        }
        StorageError::Corrupt { path, offset, reason: damage.0.to_owned() }
    }

    /// What was found to be wrong with it since it was opened.
    pub(crate) fn damage(&self) -> Option<String> {
        self.damage.lock().clone()
    }

    fn bytes_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, StorageError> {
        let fits = offset.checked_add(length as u64).is_some_and(|end| end <= self.size_bytes);
        if !fits {
            return Err(self.corrupt(offset, Damage("it points past its end")));
        }
        let mut bytes = vec![0; length];
        self.file.read_at(&mut bytes, offset).map_err(|error| {
            if is_damage(&error) {
                self.corrupt(offset, Damage("the disk cannot read it"));
            }
            io_error("read", &self.path())(error)
        })?;
        Ok(bytes)
    }

    fn frame_at(&self, offset: u64, expected: u8) -> Result<Vec<u8>, StorageError> {
        let header = self.bytes_at(offset, HEADER_BYTES)?;
        let length = fixed32_at(&header, 4) as usize;
        let mut bytes = self.bytes_at(offset, HEADER_BYTES.saturating_add(length))?;
        match frame::check(&bytes, self.number, offset) {
            Some((kind, _)) if kind == expected => Ok(bytes.split_off(HEADER_BYTES)),
            _ => Err(self.corrupt(offset, Damage("a frame does not match its checksum"))),
        }
    }

    /// Its index, read from disk if it is not in memory.
    pub(crate) fn index(&self) -> Result<Arc<BlockIndex>, StorageError> {
        let mut held = self.index.lock();
        self.used.store(true, Ordering::Relaxed);
        if let Some(index) = &*held {
            return Ok(Arc::clone(index));
        }
        let encoded = Encoded {
            symbols: self.frame_at(self.meta.symbols, kind::SYMBOLS)?,
            series: self.frame_at(self.meta.entries, kind::SERIES)?,
            postings: self.frame_at(self.meta.postings, kind::POSTINGS)?,
        };
        let index = BlockIndex::decode(encoded, self.meta.min_time);
        let index = Arc::new(index.map_err(|d| self.corrupt(self.meta.entries, d))?);
        *held = Some(Arc::clone(&index));
        Ok(index)
    }

    /// Gives the memory of the index back if nobody asked for it since the last call.
    pub(crate) fn forget_idle_index(&self) {
        if !self.used.swap(false, Ordering::Relaxed) {
            self.index.lock().take();
        }
    }

    pub(crate) fn overlaps(&self, min_time: Timestamp, max_time: Timestamp) -> bool {
        self.meta.min_time <= max_time && self.meta.max_time >= min_time
    }

    /// Series that match and have samples in the time, with the chunks that touch it.
    pub(crate) fn select(
        &self,
        matchers: &[Matcher],
        min_time: Timestamp,
        max_time: Timestamp,
        cache: &TimesCache,
    ) -> Result<Vec<Entry>, StorageError> {
        let index = self.index()?;
        let found = evaluate(&*index, matchers).map_err(|d| self.corrupt(self.meta.postings, d))?;
        let mut entries = Vec::new();
        for ordinal in found {
            let mut entry = self.entry(&index, ordinal)?;
            entry.chunks.retain(|c| c.min_time <= max_time && c.max_time >= min_time);
            if self.has_sample_in(&entry.chunks, min_time, max_time, cache)? {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// A series by its place in the order of labels.
    pub(crate) fn entry(&self, index: &BlockIndex, ordinal: u32) -> Result<Entry, StorageError> {
        index.entry(ordinal).map_err(|d| self.corrupt(self.meta.entries, d))
    }

    /// A chunk that begins or ends in the time has a sample there; only one that spans it has to be looked at.
    fn has_sample_in(
        &self,
        chunks: &[ChunkRef],
        min_time: Timestamp,
        max_time: Timestamp,
        cache: &TimesCache,
    ) -> Result<bool, StorageError> {
        if chunks.iter().any(|c| c.min_time >= min_time || c.max_time <= max_time) {
            return Ok(true);
        }
        for chunk in chunks {
            let times = self.times(chunk.times, cache)?;
            let first = times.partition_point(|&t| t < min_time);
            if times.get(first).is_some_and(|&t| t <= max_time) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn column(&self, place: Place) -> Result<Column, StorageError> {
        let bytes = self.bytes_at(place.offset, place.length as usize)?;
        let damaged = |d| self.corrupt(place.offset, d);
        let body = bytes.len().checked_sub(4).ok_or_else(|| damaged(Damage("a column is cut")))?;
        if checksum(self.number, place.offset, &[&bytes[..body]]) != fixed32_at(&bytes, body) {
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

    /// Adds the samples of a chunk.
    pub(crate) fn read(&self, chunk: &ChunkRef, cache: &TimesCache, into: &mut Samples) -> Result<(), StorageError> {
        let times = self.times(chunk.times, cache)?;
        let column = self.column(chunk.values)?;
        let damaged = |d| self.corrupt(chunk.values.offset, d);
        if column.count != times.len() {
            return Err(damaged(Damage("values and timestamps differ in number")));
        }
        column::decode_values(column.codec, column.content(), column.count, &mut into.values).map_err(damaged)?;
        into.timestamps.extend_from_slice(&times);
        Ok(())
    }

    fn times(&self, place: Place, cache: &TimesCache) -> Result<Arc<Vec<Timestamp>>, StorageError> {
        if let Some(times) = cache.0.lock().get(&place.offset) {
            return Ok(Arc::clone(times));
        }
        let column = self.column(place)?;
        let mut times = Vec::with_capacity(column.count);
        column::decode_times(column.codec, column.content(), column.count, &mut times)
            .map_err(|d| self.corrupt(place.offset, d))?;
        let times = Arc::new(times);
        let mut held = cache.0.lock();
        if held.len() < TIMES_CACHED_MAX {
            held.insert(place.offset, Arc::clone(&times));
        }
        Ok(times)
    }
}

/// Whether an error of reading will come again, unlike a lack of memory or of file descriptors.
fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// A column of the file whose checksum was verified.
struct Column {
    codec: u8,
    count: usize,
    bytes: Vec<u8>,
    content: std::ops::Range<usize>,
}

impl Column {
    fn content(&self) -> &[u8] {
        &self.bytes[self.content.clone()]
    }
}

/// A query holds this many decoded columns of timestamps a block; targets are fewer on the machines meant here, and at
/// 8,192 samples each this is four megabytes.
const TIMES_CACHED_MAX: usize = 64;

/// Timestamps that the series of one query share.
#[derive(Debug, Default)]
pub(crate) struct TimesCache(Mutex<HashMap<u64, Arc<Vec<Timestamp>>>>);

#[cfg(test)]
mod tests {
    use model::Sample;
    use tempfile::tempdir;

    use super::*;
    use crate::FileDisk;
    use crate::frame::PAYLOAD_BYTES_MAX;

    fn write(folder: &Path) -> Vec<(Labels, Samples)> {
        let mut writer = BlockWriter::create(&FileDisk, folder, 7).unwrap();
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
        writer.finish(5).unwrap();
        expected
    }

    fn read_all(folder: &Path) -> Result<Vec<(Labels, Samples)>, StorageError> {
        let block = Block::open(&FileDisk, folder, 7).map_err(|e| match e {
            OpenError::Storage(e) => e,
            OpenError::Version(v) => StorageError::Limit(format!("version {v}")),
        })?;
        let cache = TimesCache::default();
        let entries = block.select(&[], i64::MIN, i64::MAX, &cache)?;
        entries
            .into_iter()
            .map(|entry| {
                let mut samples = Samples::default();
                entry.chunks.iter().try_for_each(|c| block.read(c, &cache, &mut samples))?;
                Ok((entry.labels, samples))
            })
            .collect()
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
        let mut writer = BlockWriter::create(&FileDisk, folder.path(), 7).unwrap();
        let labels = |i: usize| Labels::from_pairs([("x", format!("{i:06}{}", "x".repeat(60_000)))]);
        let mut samples = Samples::default();
        samples.push(Sample { timestamp: 1, value: 1.0 });
        let series = PAYLOAD_BYTES_MAX / 60_000 + 1;
        (0..series).for_each(|i| writer.add(&labels(i), &samples).unwrap());
        writer.finish(5).unwrap();
        assert_eq!(read_all(folder.path()).unwrap().len(), series);
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
