//! The index of a block: symbols, series and postings, kept as the bytes that the file holds.

use std::collections::{BTreeMap, BTreeSet};

use model::{Labels, Timestamp};
use roaring::RoaringBitmap;

use crate::bytes::{Damage, Reader, put_bytes, put_int, put_uint};
use crate::postings::{Index, Postings};
use crate::record::shared_prefix;

/// Where one column stands in the file, checksum included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// A pair of columns of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) times: Place,
    pub(crate) values: Place,
}

/// A series and its chunks, as the writer collects them.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) labels: Labels,
    pub(crate) chunks: Vec<ChunkRef>,
}

/// The payloads of the three index frames.
pub(crate) struct Encoded {
    pub(crate) symbols: Vec<u8>,
    pub(crate) series: Vec<u8>,
    pub(crate) postings: Vec<u8>,
}

/// Writes the index of these series, which are sorted by their labels. Times are told from `min_time` on.
pub(crate) fn encode(entries: &[Entry], min_time: Timestamp) -> Encoded {
    let words: BTreeSet<&str> = entries.iter().flat_map(|e| e.labels.iter()).flat_map(|(n, v)| [n, v]).collect();
    let numbers: BTreeMap<&str, u64> = words.iter().copied().zip(0..).collect();
    let number = |word: &str| numbers.get(word).copied().unwrap_or_default();
    let mut postings: BTreeMap<u64, BTreeMap<u64, Vec<u32>>> = BTreeMap::new();
    let mut series = Vec::new();
    let mut next_value = 0;
    put_uint(&mut series, entries.len() as u64);
    for (ordinal, entry) in entries.iter().enumerate() {
        put_uint(&mut series, entry.labels.len() as u64);
        for (name, value) in &entry.labels {
            let (name, value) = (number(name), number(value));
            put_uint(&mut series, name);
            put_uint(&mut series, value);
            postings.entry(name).or_default().entry(value).or_default().push(ordinal as u32);
        }
        put_chunks(&mut series, &entry.chunks, min_time, &mut next_value);
    }
    Encoded { symbols: encode_symbols(&words), series, postings: encode_postings(&postings) }
}

fn encode_symbols(words: &BTreeSet<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    put_uint(&mut out, words.len() as u64);
    let mut last = "";
    for word in words {
        let shared = shared_prefix(last.as_bytes(), word.as_bytes());
        put_uint(&mut out, shared as u64);
        put_bytes(&mut out, &word.as_bytes()[shared..]);
        last = word;
    }
    out
}

fn put_chunks(out: &mut Vec<u8>, chunks: &[ChunkRef], min_time: Timestamp, next_value: &mut u64) {
    put_uint(out, chunks.len() as u64);
    for chunk in chunks {
        put_uint(out, chunk.min_time.wrapping_sub(min_time) as u64);
        put_uint(out, chunk.max_time.wrapping_sub(chunk.min_time) as u64);
        put_uint(out, chunk.times.offset);
        put_uint(out, u64::from(chunk.times.length));
        put_int(out, chunk.values.offset.wrapping_sub(*next_value) as i64);
        put_uint(out, u64::from(chunk.values.length));
        *next_value = chunk.values.offset + u64::from(chunk.values.length);
    }
}

fn encode_postings(postings: &BTreeMap<u64, BTreeMap<u64, Vec<u32>>>) -> Vec<u8> {
    let mut out = Vec::new();
    put_uint(&mut out, postings.len() as u64);
    for (&name, values) in postings {
        let mut section = Vec::new();
        put_uint(&mut section, values.len() as u64);
        for (&value, ids) in values {
            let mut list = Vec::new();
            let mut next = 0;
            for &id in ids {
                put_uint(&mut list, u64::from(id - next));
                next = id + 1;
            }
            put_uint(&mut section, value);
            put_bytes(&mut section, &list);
        }
        put_uint(&mut out, name);
        put_bytes(&mut out, &section);
    }
    out
}

/// The index of an open block.
#[derive(Debug)]
pub(crate) struct BlockIndex {
    words: String,
    word_ends: Vec<u32>,
    series: Vec<u8>,
    series_starts: Vec<Start>,
    postings: Vec<u8>,
    min_time: Timestamp,
}

/// Where a series begins, and what its first value column is told from.
#[derive(Clone, Copy, Debug)]
struct Start {
    at: u32,
    next_value: u64,
}

impl BlockIndex {
    /// Takes the payloads of the three frames; every byte is looked at once, so that later reads cannot fail halfway.
    pub(crate) fn decode(encoded: Encoded, min_time: Timestamp) -> Result<Self, Damage> {
        let (words, word_ends) = decode_symbols(&encoded.symbols)?;
        let mut index = Self {
            words,
            word_ends,
            series: encoded.series,
            series_starts: Vec::new(),
            postings: encoded.postings,
            min_time,
        };
        index.series_starts = index.find_series()?;
        Ok(index)
    }

    fn find_series(&self) -> Result<Vec<Start>, Damage> {
        let mut reader = Reader(&self.series);
        let count = reader.count()?;
        let mut starts = Vec::with_capacity(count);
        let mut next_value = 0;
        for _ in 0..count {
            let at = u32::try_from(self.series.len() - reader.0.len()).map_err(|_| Damage("too many series"))?;
            starts.push(Start { at, next_value });
            for _ in 0..reader.count()? {
                self.word(reader.uint()?)?;
                self.word(reader.uint()?)?;
            }
            self.take_chunks(&mut reader, &mut next_value)?;
        }
        Ok(starts)
    }

    fn word(&self, number: u64) -> Result<&str, Damage> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let end = *self.word_ends.get(number).ok_or(Damage("a symbol is not in the table"))? as usize;
        let start = if number == 0 { 0 } else { self.word_ends[number - 1] as usize };
        self.words.get(start..end).ok_or(Damage("a symbol is not in the table"))
    }

    fn take_chunks(&self, reader: &mut Reader<'_>, next_value: &mut u64) -> Result<Vec<ChunkRef>, Damage> {
        let count = reader.count()?;
        let mut chunks = Vec::with_capacity(count);
        for _ in 0..count {
            let min_time = self.min_time.wrapping_add(reader.uint()? as i64);
            let max_time = min_time.wrapping_add(reader.uint()? as i64);
            let times = Place { offset: reader.uint()?, length: reader.u32()? };
            let offset = next_value.wrapping_add(reader.int()? as u64);
            let values = Place { offset, length: reader.u32()? };
            *next_value = offset.wrapping_add(u64::from(values.length));
            chunks.push(ChunkRef { min_time, max_time, times, values });
        }
        Ok(chunks)
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.series_starts.len()
    }

    /// A series by its place in the order of labels.
    pub(crate) fn entry(&self, ordinal: u32) -> Result<Entry, Damage> {
        let start = self.series_starts.get(ordinal as usize).ok_or(Damage("a series is not in the table"))?;
        let mut reader = Reader(&self.series[start.at as usize..]);
        let count = reader.count()?;
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            pairs.push((self.word(reader.uint()?)?, self.word(reader.uint()?)?));
        }
        let mut next_value = start.next_value;
        let chunks = self.take_chunks(&mut reader, &mut next_value)?;
        Ok(Entry { labels: Labels::from_pairs(pairs), chunks })
    }

    /// Walks the values of a label with their lists until `each` says that it has enough.
    fn walk<'a>(&'a self, name: &str, mut each: impl FnMut(&str, List<'a>) -> bool) -> Result<(), Damage> {
        let mut reader = Reader(&self.postings);
        for _ in 0..reader.count()? {
            let found = self.word(reader.uint()?)? == name;
            let section = reader.bytes()?;
            if !found {
                continue;
            }
            let mut section = Reader(section);
            for _ in 0..section.count()? {
                let value = self.word(section.uint()?)?;
                if !each(value, List(section.bytes()?)) {
                    break;
                }
            }
            break;
        }
        Ok(())
    }
}

fn decode_symbols(payload: &[u8]) -> Result<(String, Vec<u32>), Damage> {
    let mut reader = Reader(payload);
    let count = reader.count()?;
    let mut words: Vec<u8> = Vec::with_capacity(payload.len());
    let mut ends = Vec::with_capacity(count);
    let mut last = 0..0;
    for _ in 0..count {
        let shared = reader.u32()? as usize;
        if shared > last.len() {
            return Err(Damage("a symbol shares more than its predecessor has"));
        }
        let start = words.len();
        words.extend_from_within(last.start..last.start + shared);
        words.extend_from_slice(reader.bytes()?);
        last = start..words.len();
        ends.push(u32::try_from(words.len()).map_err(|_| Damage("the symbols are too long"))?);
    }
    let words = String::from_utf8(words).map_err(|_| Damage("a symbol is not UTF-8"))?;
    Ok((words, ends))
}

/// Series of one label value, as differences.
#[derive(Clone, Copy)]
struct List<'a>(&'a [u8]);

impl Postings for List<'_> {
    fn add_to(&self, set: &mut RoaringBitmap) -> Result<(), Damage> {
        let mut reader = Reader(self.0);
        let mut next = 0u32;
        while !reader.is_empty() {
            let id = next.checked_add(reader.u32()?).ok_or(Damage("a posting is out of range"))?;
            set.insert(id);
            next = id.checked_add(1).ok_or(Damage("a posting is out of range"))?;
        }
        Ok(())
    }
}

impl Index for BlockIndex {
    fn all(&self) -> RoaringBitmap {
        (0..self.len() as u32).collect()
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, Damage> {
        let mut set = RoaringBitmap::new();
        let mut outcome = Ok(());
        self.walk(name, |found, list| {
            if found == value {
                outcome = list.add_to(&mut set);
            }
            found < value
        })?;
        outcome.map(|()| set)
    }

    fn each_value(&self, name: &str, prefix: &str, each: &mut dyn FnMut(&str, &dyn Postings)) -> Result<(), Damage> {
        self.walk(name, |value, list| {
            let fits = value.starts_with(prefix);
            if fits {
                each(value, &list);
            }
            fits || value < prefix
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postings::evaluate;
    use model::Matcher;

    fn entries() -> Vec<Entry> {
        let place = |offset| Place { offset, length: 30 };
        (0..100u64)
            .map(|i| {
                let labels =
                    Labels::from_pairs([("__name__", format!("m{}", i / 10)), ("x", format!("{:03}", i % 10))]);
                let min_time = 1_000 + i as i64;
                let chunk =
                    ChunkRef { min_time, max_time: min_time + 500, times: place(12), values: place(50 + i * 30) };
                Entry { labels, chunks: vec![chunk; 1 + (i % 2) as usize] }
            })
            .collect()
    }

    #[test]
    fn entries_and_postings_round_trip() {
        let entries = entries();
        let index = BlockIndex::decode(encode(&entries, 1_000), 1_000).unwrap();
        assert_eq!(index.len(), 100);
        for (i, entry) in entries.iter().enumerate() {
            let got = index.entry(i as u32).unwrap();
            assert_eq!((got.labels, got.chunks), (entry.labels.clone(), entry.chunks.clone()));
        }
        let found = evaluate(&index, &[Matcher::equal("__name__", "m3"), Matcher::equal("x", "004")]).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), [34]);
        assert!(index.postings("x", "nothing").unwrap().is_empty());
    }
}
