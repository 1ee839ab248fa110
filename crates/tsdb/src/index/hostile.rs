//! An index whose checksums hold and whose content is anything, as in a folder that somebody else made.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::page::{BlockFile, PageCache, Section};
use super::table::Table;
use super::{BlockIndex, Directory, kind};
use crate::bytes::{Damage, Reader};
use crate::postings::Index;
use crate::{Disk, DiskFile, frame};

/// The number of the block.
const NUMBER: u64 = 7;

/// Series of the index; more say nothing new and take time.
const SERIES_MAX: u32 = 64;

/// Reads everything that the index of these bytes says; panics where an answer cannot be right.
///
/// The bytes are the number of series, the numbers of groups of the three tables, and the lengths of the first four of
/// the five sections, then the sections: times, series, values, names, postings.
pub fn fuzz(bytes: &[u8]) {
    let Ok((bytes, directory, series)) = laid_out(bytes) else { return };
    if directory.check(u64::from(series), bytes.len() as u64).is_err() {
        return;
    }
    let (disk, cache) = (OneFile(bytes.into()), Arc::new(PageCache::new(1 << 20)));
    let Ok(file) = BlockFile::open(&disk, Path::new("block"), NUMBER, &cache) else { return };
    read_all(&BlockIndex::new(Arc::new(file), directory, series), series);
}

fn laid_out(bytes: &[u8]) -> Result<(Vec<u8>, Directory, u32), Damage> {
    let mut reader = Reader(bytes);
    let series = reader.u32()?.min(SERIES_MAX);
    let groups = [reader.u32()?, reader.u32()?, reader.u32()?];
    let lengths = [reader.count()?, reader.count()?, reader.count()?, reader.count()?];
    let mut file = Vec::new();
    let kinds = [kind::TIMES, kind::SERIES, kind::VALUES, kind::NAMES, kind::POSTINGS];
    let mut sections = [Section::default(); 5];
    for (at, section) in sections.iter_mut().enumerate() {
        let content = match lengths.get(at) {
            Some(&length) => reader.take(length)?,
            None => reader.0,
        };
        let mut put = |kind, payload: &[u8]| {
            let offset = file.len() as u64;
            frame::push(&mut file, NUMBER, 0, kind, payload);
            Ok(offset)
        };
        *section = Section::write(kinds[at], content, &mut put).map_err(|_| Damage("a section is too long"))?;
    }
    let table = |at: usize| Table { section: sections[at], kind: kinds[at], groups: groups[at] };
    let (names, postings) = (sections[3], sections[4]);
    Ok((file, Directory { times: table(0), series: table(1), values: table(2), names, postings }, series))
}

fn read_all(index: &BlockIndex, series: u32) {
    let mut cursor = index.cursor();
    for at in 0..series {
        let (once, again) = (cursor.entry(at), index.cursor().entry(at));
        assert_eq!(once.ok(), again.ok(), "series {at}");
    }
    let is_sound = |set: &RoaringBitmap| set.max().is_none_or(|most| most < series);
    for name in index.names().unwrap_or_default() {
        assert!(index.with_label(&name).is_ok_and(|set| is_sound(&set)) || index.with_label(&name).is_err());
        let mut values = Vec::new();
        let _ = index.each_value(&name, "", &mut |value, list| {
            let mut set = RoaringBitmap::new();
            assert!(list.add_to(&mut set).is_err() || is_sound(&set));
            values.push(value.to_owned());
        });
        for value in values {
            assert!(index.postings(&name, &value).map_or(true, |set| is_sound(&set)));
        }
    }
}

/// A disk that has one file, whatever it is called.
struct OneFile(Arc<[u8]>);

fn refused<T>() -> io::Result<T> {
    Err(ErrorKind::Unsupported.into())
}

impl Disk for OneFile {
    fn open(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OneFile(Arc::clone(&self.0))))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        refused()
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn create(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn reserve(&self, _: &Path, _: u64) -> io::Result<()> {
        refused()
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        refused()
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Send + Sync>> {
        refused()
    }
}

impl DiskFile for OneFile {
    fn append(&self, _: &[u8]) -> io::Result<()> {
        refused()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        refused()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = self.0.get(start..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bytes::put_uint;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn hostile_sections_are_refused_or_read(
            contents in prop::array::uniform5(prop::collection::vec(prop_oneof![3 => 0u8..4, 1 => any::<u8>()], 0..120)),
            groups in prop::array::uniform3(0u32..4),
            series in 0u32..40,
        ) {
            let mut bytes = Vec::new();
            [series].iter().chain(&groups).for_each(|&number| put_uint(&mut bytes, u64::from(number)));
            contents[..4].iter().for_each(|content| put_uint(&mut bytes, content.len() as u64));
            fuzz(&[bytes, contents.concat()].concat());
        }
    }
}
