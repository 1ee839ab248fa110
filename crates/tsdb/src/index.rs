//! The index of a block: which labels there are, which series carry them, and where a series' columns stand.
//!
//! It is read where it lies. Its sections are cut into pages, each a checked frame; a query reads the pages that it
//! needs and keeps nothing but what fits into the bounded [`PageCache`]. `Writer` takes the series in the order of
//! their labels one at a time and remembers a few tens of bytes of each.

mod cursor;
#[cfg(any(fuzzing, test))]
mod hostile;
mod lists;
mod page;
mod read;
mod table;
mod write;

use model::{Labels, Timestamp};

pub(crate) use cursor::Cursor;
#[cfg(any(fuzzing, test))]
pub use hostile::fuzz;
pub(crate) use lists::{ListWriter, read as read_list};
pub(crate) use page::{BlockFile, PageCache};
pub(crate) use read::BlockIndex;
pub(crate) use write::Writer;

use crate::bytes::{Damage, Reader, put_uint};
use page::Section;
use table::{GROUP_ROWS, Table};

/// Where one column stands in the file, checksum included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

impl Place {
    fn end(self) -> u64 {
        self.offset.wrapping_add(u64::from(self.length))
    }
}

/// A pair of columns of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) times: Place,
    pub(crate) values: Place,
    /// Whether a staleness marker is among the values.
    pub(crate) has_marker: bool,
}

impl ChunkRef {
    /// Whether it may have samples in the time.
    pub(crate) fn touches(&self, (min_time, max_time): (Timestamp, Timestamp)) -> bool {
        self.min_time <= max_time && self.max_time >= min_time
    }
}

/// A series and its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) labels: Labels,
    pub(crate) chunks: Vec<ChunkRef>,
}

/// Kinds of the frames that an index is made of.
mod kind {
    pub(super) const TIMES: u8 = 17;
    pub(super) const SERIES: u8 = 18;
    pub(super) const NAMES: u8 = 19;
    pub(super) const VALUES: u8 = 20;
    pub(super) const POSTINGS: u8 = 21;
}

/// Where the sections of an index stand: all that an open block keeps of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    /// Columns of timestamps.
    times: Table,
    /// Series in the order of their labels.
    series: Table,
    /// Label values, each group of one name.
    values: Table,
    /// Label names, each with the place of its values.
    names: Section,
    /// Lists of series.
    postings: Section,
}

impl Directory {
    fn tables(&self) -> [Table; 3] {
        [self.times, self.series, self.values]
    }

    fn sections(&self) -> [(Section, u8); 5] {
        let [times, series, values] = self.tables().map(|table| (table.section, table.kind));
        [times, series, values, (self.names, kind::NAMES), (self.postings, kind::POSTINGS)]
    }

    /// Adds it to the block's meta frame.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (section, _) in self.sections() {
            put_uint(out, section.start);
            put_uint(out, section.length);
        }
        self.tables().iter().for_each(|table| put_uint(out, u64::from(table.groups)));
    }

    /// Reads what [`Directory::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        let mut section = || Ok(Section { start: reader.uint()?, length: reader.uint()? });
        let [times, series, values] = [section()?, section()?, section()?];
        let [names, postings] = [section()?, section()?];
        let mut table = |section, kind| Ok(Table { section, kind, groups: reader.u32()? });
        let times = table(times, kind::TIMES)?;
        let series = table(series, kind::SERIES)?;
        Ok(Self { times, series, values: table(values, kind::VALUES)?, names, postings })
    }

    /// Whether the sections lie inside a file of this length and have room for their groups and for so many series.
    /// What is read later is bounded by it.
    pub(crate) fn check(&self, series: u64, file_bytes: u64) -> Result<(), Damage> {
        let fits = |section: Section| {
            let bytes = section.start.checked_add(section.length);
            bytes.is_some_and(|end| end <= file_bytes)
        };
        let is_sound = self.sections().iter().all(|&(section, _)| fits(section))
            && self.tables().iter().all(|table| table.has_room())
            && series.div_ceil(GROUP_ROWS as u64) == u64::from(self.series.groups);
        if is_sound { Ok(()) } else { Err(Damage("the directory of its index makes no sense")) }
    }

    /// Bytes of the index in the file.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.sections().iter().map(|(section, _)| section.size_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{MatchOp, Matcher};
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::disk::{Disk, FileDisk};
    use crate::frame;
    use crate::postings::Postings;
    use crate::postings::{Index, evaluate};

    const NUMBER: u64 = 7;

    /// An index alone in a file.
    fn written(entries: &[Entry]) -> (TempDir, BlockIndex) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let mut writer = Writer::default();
        entries.iter().for_each(|e| writer.add(&e.labels, &e.chunks));
        let mut bytes = Vec::new();
        let directory = writer
            .finish(&mut |kind, payload| {
                let offset = bytes.len() as u64;
                frame::push(&mut bytes, NUMBER, 0, kind, payload);
                Ok(offset)
            })
            .unwrap();
        FileDisk.create(&path).unwrap().append(&bytes).unwrap();
        let file = BlockFile::open(&FileDisk, &path, NUMBER, &Arc::new(PageCache::new(1 << 20))).unwrap();
        let index = BlockIndex::new(Arc::new(file), directory, entries.len() as u32);
        (folder, index)
    }

    fn entries(count: u64) -> Vec<Entry> {
        let mut offset = 50;
        let mut entries: Vec<Entry> = (0..count)
            .map(|i| {
                let pairs = [
                    ("__name__", format!("m{:02}", i / 10)),
                    ("odd", if i % 2 == 0 { String::new() } else { "yes".to_owned() }),
                    ("pod", format!("pod-{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)),
                    ("x", format!("{:03}", i % 10)),
                ];
                Entry { labels: Labels::from_pairs(pairs), chunks: Vec::new() }
            })
            .collect();
        entries.sort_by(|a, b| a.labels.cmp(&b.labels));
        for (i, entry) in entries.iter_mut().enumerate() {
            for chunk in 0..1 + i as i64 % 2 {
                let target = i as u64 % 40;
                let min_time = 1_000 + target as i64 + chunk * 600;
                let times = Place { offset: 5_000_000 - target * 100 + chunk as u64 * 30, length: 30 };
                let values = Place { offset: offset + u64::from(i % 7 == 0), length: 20 + (i % 300) as u32 };
                offset = values.end();
                let has_marker = i % 5 == 0;
                entry.chunks.push(ChunkRef { min_time, max_time: min_time + 500, times, values, has_marker });
            }
        }
        entries
    }

    #[test]
    fn entries_round_trip_in_any_order() {
        let entries = entries(3000);
        let (_folder, index) = written(&entries);
        assert_eq!(index.len(), entries.len());
        let mut cursor = index.cursor();
        for (i, entry) in entries.iter().enumerate() {
            assert_eq!(cursor.entry(i as u32).unwrap(), *entry);
        }
        for i in (0..3000).rev().step_by(17) {
            assert_eq!(index.cursor().entry(i as u32).unwrap(), entries[i]);
            assert_eq!(cursor.entry(i as u32).unwrap(), entries[i]);
        }
        assert!(cursor.entry(3000).is_err());
    }

    #[test]
    fn an_empty_index_answers() {
        let (_folder, index) = written(&[]);
        assert_eq!((index.len(), index.names().unwrap()), (0, vec![]));
        assert!(evaluate(&index, &[]).unwrap().is_empty());
        assert!(evaluate(&index, &[Matcher::equal("x", "1")]).unwrap().is_empty());
    }

    #[test]
    fn names_and_values_are_listed() {
        let (_folder, index) = written(&entries(100));
        assert_eq!(index.names().unwrap(), ["__name__", "odd", "pod", "x"]);
        let mut values = Vec::new();
        index.each_value("x", "00", &mut |value, _| values.push(value.to_owned())).unwrap();
        assert_eq!(values, ["000", "001", "002", "003", "004", "005", "006", "007", "008", "009"]);
        values.clear();
        index.each_value("__name__", "m05", &mut |value, _| values.push(value.to_owned())).unwrap();
        assert_eq!(values, ["m05"]);
        values.clear();
        index.each_value("absent", "", &mut |value, _| values.push(value.to_owned())).unwrap();
        assert!(values.is_empty());
    }

    #[test]
    fn postings_are_those_of_the_labels() {
        let entries = entries(2000);
        let (_folder, index) = written(&entries);
        let found = |name: &str, value: &str| index.postings(name, value).unwrap().iter().collect::<Vec<_>>();
        let expected = |name: &str, value: &str| {
            let carries = |i: &u32| entries[*i as usize].labels.get(name) == Some(value);
            (0..2000u32).filter(carries).collect::<Vec<_>>()
        };
        let mut pairs: Vec<(&str, &str)> = entries.iter().flat_map(|e| e.labels.iter()).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.extend([("x", ""), ("x", "00"), ("x", "0000"), ("x", "zzz"), ("a", "000"), ("zzz", "000")]);
        for (name, value) in pairs {
            assert_eq!(found(name, value), expected(name, value), "{name}={value}");
        }
        let odd = index.with_label("odd").unwrap();
        assert_eq!(odd.len(), 1000);
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let entries = entries(60);
        let (folder, index) = written(&entries);
        let path = folder.path().join("index");
        let whole = std::fs::read(&path).unwrap();
        let directory = index.directory().clone();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            let file = BlockFile::open(&FileDisk, &path, NUMBER, &Arc::new(PageCache::new(1 << 20))).unwrap();
            let index = BlockIndex::new(Arc::new(file), directory.clone(), 60);
            assert!(index.verify().is_err(), "byte {at}");
        }
        assert!(index.verify().is_err());
        std::fs::write(&path, &whole).unwrap();
        assert!(index.verify().is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_labels_round_trip(sets in prop::collection::btree_set(
            prop::collection::btree_map("[a-cé_]{1,2}", "[x-z]{1,3}|.{1,40}", 1..20), 1..80,
        )) {
            let mut entries: Vec<Entry> =
                sets.iter().map(|set| Entry { labels: Labels::from_pairs(set), chunks: Vec::new() }).collect();
            entries.sort_by(|a, b| a.labels.cmp(&b.labels));
            let (_folder, index) = written(&entries);
            let mut cursor = index.cursor();
            for (i, entry) in entries.iter().enumerate() {
                prop_assert_eq!(&cursor.entry(i as u32).unwrap(), entry);
                for (name, value) in &entry.labels {
                    prop_assert!(index.postings(name, value).unwrap().contains(i as u32));
                    let matcher = Matcher::new(MatchOp::NotEqual, name, value).unwrap();
                    prop_assert!(!evaluate(&index, &[matcher]).unwrap().contains(i as u32));
                }
            }
            for name in index.names().unwrap() {
                let mut union = roaring::RoaringBitmap::new();
                let mut add = |_: &str, list: &dyn Postings| list.add_to(&mut union).unwrap();
                index.each_value(&name, "", &mut add).unwrap();
                prop_assert_eq!(union, index.with_label(&name).unwrap());
            }
        }
    }
}
