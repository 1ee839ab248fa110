//! Writing a block: from front to back, a series at a time, in bounded memory.

use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

use hashbrown::{DefaultHashBuilder, HashMap};
use model::{Labels, Samples, StorageError, Timestamp, is_stale};

use super::{FILE_NAME, MAGIC, Meta, VERSION, kind};
use crate::bytes::put_uint;
use crate::column::{self, Tier};
use crate::error::io as io_error;
use crate::frame::{self, checksum};
use crate::index::{self, ChunkRef, Place};
use crate::{Disk, DiskFile};

/// A column gets this many samples where the series has them: six hours at 15 s. Longer ones are no smaller, because
/// what a series does changes over a day, and a short query would decode more that it does not want.
const COLUMN_SAMPLES: usize = 1440;

/// Written in pieces of this size; several blocks may be open at once.
const WRITE_BYTES: usize = 64 << 10;

/// Shorter columns of values are not looked for among those that were written: the place of a shared one takes as much.
const SHARED_VALUES_MIN: usize = 16;

/// Columns that are remembered as possible twins of later ones, at some fifty bytes each. The buckets of a histogram
/// stand this near to its count.
const TWINS_MAX: usize = 16 << 10;

/// Writes a block into a temporary folder; series come in the order of their labels.
pub(crate) struct BlockWriter {
    number: u64,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    tier: Tier,
    buffer: Vec<u8>,
    written: u64,
    index: index::Writer,
    meta: Meta,
    /// Samples of the series that wait for their column, and its columns so far.
    pending: Samples,
    chunks: Vec<ChunkRef>,
    times: Twins,
    values: Twins,
}

impl BlockWriter {
    pub(crate) fn create(disk: &dyn Disk, folder: &Path, number: u64, tier: Tier) -> Result<Self, StorageError> {
        disk.create_dir(folder).map_err(io_error("create", folder))?;
        let path = folder.join(FILE_NAME);
        let file = disk.create(&path).map_err(io_error("create", &path))?;
        let mut header = Vec::new();
        put_uint(&mut header, u64::from(VERSION));
        // Samples as they came. Downsampled ones are to stand in blocks of their own, which say their resolution here.
        put_uint(&mut header, 0);
        let mut writer = Self {
            number,
            path,
            file,
            tier,
            buffer: Vec::new(),
            written: 0,
            index: index::Writer::default(),
            meta: Meta { is_loose: tier == Tier::Head, ..Meta::default() },
            pending: Samples::default(),
            chunks: Vec::new(),
            times: Twins::default(),
            values: Twins::default(),
        };
        writer.push_frame(kind::HEADER, &header)?;
        Ok(writer)
    }

    /// Adds a series with at least one sample, timestamps strictly rising.
    pub(crate) fn add(&mut self, labels: &Labels, samples: &Samples) -> Result<(), StorageError> {
        self.extend(samples);
        self.end_series(labels)
    }

    /// Adds samples to the series whose labels come with [`BlockWriter::end_series`]; all are later than those before.
    pub(crate) fn extend(&mut self, samples: &Samples) {
        self.pending.timestamps.extend_from_slice(&samples.timestamps);
        self.pending.values.extend_from_slice(&samples.values);
        if self.pending.len() < 2 * COLUMN_SAMPLES {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        let whole = (pending.len() - COLUMN_SAMPLES) / COLUMN_SAMPLES * COLUMN_SAMPLES;
        let (times, values) = (&pending.timestamps[..whole], &pending.values[..whole]);
        for (times, values) in times.chunks(COLUMN_SAMPLES).zip(values.chunks(COLUMN_SAMPLES)) {
            self.put_chunk(times, values);
        }
        self.pending.timestamps.extend_from_slice(&pending.timestamps[whole..]);
        self.pending.values.extend_from_slice(&pending.values[whole..]);
    }

    /// Samples so far.
    pub(crate) fn samples(&self) -> u64 {
        self.meta.samples
    }

    /// Ends the series that samples were added to. One without samples is left out.
    pub(crate) fn end_series(&mut self, labels: &Labels) -> Result<(), StorageError> {
        if self.pending.is_empty() && self.chunks.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        // What is left after the last whole column joins it if it is little.
        let columns = pending.len().saturating_sub(COLUMN_SAMPLES / 4).div_ceil(COLUMN_SAMPLES).max(1);
        let length = pending.len().div_ceil(columns).max(1);
        for (times, values) in pending.timestamps.chunks(length).zip(pending.values.chunks(length)) {
            self.put_chunk(times, values);
        }
        self.pending = pending;
        self.pending.clear();
        self.index.add(labels, &self.chunks);
        self.chunks.clear();
        self.meta.series += 1;
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn put_chunk(&mut self, times: &[Timestamp], values: &[f64]) {
        let (min_time, max_time) = (times[0], times[times.len() - 1]);
        let meta = &mut self.meta;
        (meta.min_time, meta.max_time) = match meta.samples {
            0 => (min_time, max_time),
            _ => (meta.min_time.min(min_time), meta.max_time.max(max_time)),
        };
        meta.samples += times.len() as u64;
        let has_marker = values.iter().any(|&value| is_stale(value));
        let times = self.put_times(times);
        let values = self.put_values(values);
        self.chunks.push(ChunkRef { min_time, max_time, times, values, has_marker });
    }

    fn put_times(&mut self, times: &[Timestamp]) -> Place {
        let key = self.times.key(times);
        if let Some(place) = self.times.find(key) {
            return place;
        }
        let tier = self.tier;
        let place = self.put_column(times.len(), |out| column::encode_times(times, tier, out));
        self.times.remember(key, place);
        place
    }

    /// The count of a histogram is its last bucket, and many a series does what its neighbour does.
    fn put_values(&mut self, values: &[f64]) -> Place {
        let tier = self.tier;
        if values.len() < SHARED_VALUES_MIN || tier == Tier::Head {
            return self.put_column(values.len(), |out| column::encode_values(values, tier, out));
        }
        let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        let key = self.values.key(&bits);
        if let Some(place) = self.values.find(key) {
            return place;
        }
        let place = self.put_column(values.len(), |out| column::encode_values(values, tier, out));
        // A constant one is as short as its place would be.
        if place.length as usize >= SHARED_VALUES_MIN {
            self.values.remember(key, place);
        }
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
        let offset = self.written + self.buffer.len() as u64;
        frame::push(&mut self.buffer, self.number, self.written, kind, payload);
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(offset)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.file.append(&self.buffer).map_err(io_error("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes index, meta and footer, and syncs the file; the caller syncs and renames the folder. `covers` and
    /// `replaces` are as in [`Meta`].
    pub(crate) fn finish(mut self, covers: u64, replaces: Vec<u64>) -> Result<u64, StorageError> {
        let index = std::mem::take(&mut self.index).finish(&mut |kind, payload| self.push_frame(kind, payload))?;
        let meta = Meta { covers, replaces, index, ..std::mem::take(&mut self.meta) };
        let meta_at = self.push_frame(kind::META, &meta.encode())?;
        self.buffer.extend_from_slice(&meta_at.to_le_bytes());
        self.buffer.extend_from_slice(MAGIC);
        self.flush()?;
        self.file.sync().map_err(io_error("fsync", &self.path))?;
        Ok(self.written)
    }
}

/// Columns that were written, by two independent hashes of 64 bits and their length. Two generations: when the young
/// one is full it becomes the old one, which is forgotten with the next.
#[derive(Default)]
struct Twins {
    hashers: [DefaultHashBuilder; 2],
    young: HashMap<TwinKey, Place>,
    old: HashMap<TwinKey, Place>,
}

type TwinKey = (u64, u64, u32);

impl Twins {
    fn key<T: std::hash::Hash>(&self, column: &[T]) -> TwinKey {
        let [a, b] = &self.hashers;
        (a.hash_one(column), b.hash_one(column), column.len() as u32)
    }

    fn find(&mut self, key: TwinKey) -> Option<Place> {
        if let Some(&place) = self.young.get(&key) {
            return Some(place);
        }
        let place = self.old.remove(&key)?;
        self.remember(key, place);
        Some(place)
    }

    fn remember(&mut self, key: TwinKey, place: Place) {
        if self.young.len() >= TWINS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, place);
    }
}
