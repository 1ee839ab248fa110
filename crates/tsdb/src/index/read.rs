//! Reading an index where it lies.

use std::sync::Arc;

use model::StorageError;
use roaring::RoaringBitmap;

use super::cursor::Cursor;
use super::page::{BlockFile, Bytes};
use super::table::{GROUP_ROWS, Table};
use super::{Directory, kind, lists};
use crate::bytes::{Damage, Reader};
use crate::postings::{Index, Postings};

/// The index of an open block. It holds no bytes of it; cloning copies a pointer and the places of the sections.
#[derive(Clone, Debug)]
pub(crate) struct BlockIndex {
    pub(super) file: Arc<BlockFile>,
    pub(super) directory: Directory,
    series: u32,
}

/// A label name of the block.
struct Name<'a> {
    name: &'a str,
    first_group: u32,
    groups: u32,
    list: ListPlace,
}

/// Where a list of series stands among the postings.
#[derive(Clone, Copy)]
struct ListPlace {
    offset: u64,
    head: u64,
}

/// A list that is read when it is wanted.
struct ListAt<'a> {
    index: &'a BlockIndex,
    place: ListPlace,
}

impl Postings for ListAt<'_> {
    fn add_to(&self, set: &mut RoaringBitmap) -> Result<(), StorageError> {
        let (index, place) = (self.index, self.place);
        let end = place.offset.saturating_add(lists::length(place.head));
        let bytes = index.file.read(index.directory.postings, kind::POSTINGS, place.offset..end)?;
        lists::read(place.head, &bytes, index.series, set)
            .map_err(|damage| index.file.corrupt(index.directory.postings.start, damage))
    }

    fn meets(&self, set: &RoaringBitmap) -> Result<bool, StorageError> {
        let mut list = RoaringBitmap::new();
        self.add_to(&mut list)?;
        Ok(!list.is_disjoint(set))
    }
}

impl BlockIndex {
    pub(crate) fn new(file: Arc<BlockFile>, directory: Directory, series: u32) -> Self {
        Self { file, directory, series }
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.series as usize
    }

    /// Reads series, best in their order.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor::new(self.clone())
    }

    /// Reads every page of it from the disk.
    pub(crate) fn verify(&self) -> Result<(), StorageError> {
        self.directory.sections().iter().try_for_each(|&(section, kind)| self.file.verify(section, kind))
    }

    /// The first name that `is_wanted` takes.
    fn find_name(&self, mut is_wanted: impl FnMut(&Name<'_>) -> bool) -> Result<Option<NamePlace>, StorageError> {
        let section = self.directory.names;
        let bytes = self.file.read(section, kind::NAMES, 0..section.length)?;
        let mut reader = Reader(&bytes);
        let mut find = || {
            let mut first_group = 0;
            for _ in 0..reader.count()? {
                let name = Name::take(&mut reader, first_group)?;
                if name.groups > self.directory.values.groups - first_group {
                    return Err(Damage("a label has more values than there are"));
                }
                if is_wanted(&name) {
                    return Ok(Some(NamePlace { first_group, groups: name.groups, list: name.list }));
                }
                first_group += name.groups;
            }
            Ok(None)
        };
        find().map_err(|damage| self.file.corrupt(section.start, damage))
    }

    fn name(&self, name: &str) -> Result<Option<NamePlace>, StorageError> {
        self.find_name(|found| found.name == name)
    }

    fn group(&self, group: u32) -> Result<Bytes, StorageError> {
        self.directory.values.group(&self.file, group)
    }

    fn damaged(&self, damage: Damage) -> StorageError {
        self.directory.values.damaged(&self.file, damage)
    }

    /// The group in which a value stands, if it stands anywhere: the last that begins with it or with a smaller one.
    fn group_of(&self, name: NamePlace, value: &str) -> Result<u32, StorageError> {
        let (mut low, mut high) = (name.first_group, name.first_group + name.groups);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let bytes = self.group(middle)?;
            let mut values = Values::new(&bytes).map_err(|d| self.damaged(d))?;
            let first = values.next().map_err(|d| self.damaged(d))?;
            if first.is_some_and(|(first, _)| first <= value) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Walks the values of a name from one on until `each` says that it has enough.
    fn walk(
        &self,
        name: NamePlace,
        from: &str,
        each: &mut dyn FnMut(&str, ListPlace) -> bool,
    ) -> Result<(), StorageError> {
        for group in self.group_of(name, from)?..name.first_group + name.groups {
            let bytes = self.group(group)?;
            let mut values = Values::new(&bytes).map_err(|d| self.damaged(d))?;
            while let Some((value, list)) = values.next().map_err(|d| self.damaged(d))? {
                if (from.is_empty() || value >= from) && !each(value, list) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Passes on the values of a group, in order, for series that name them by number.
    pub(super) fn each_of_group(&self, group: u32, mut each: impl FnMut(&str)) -> Result<(), StorageError> {
        let bytes = self.group(group)?;
        let mut read = || {
            let mut values = Values::new(&bytes)?;
            while let Some((value, _)) = values.next()? {
                each(value);
            }
            Ok(())
        };
        read().map_err(|d| self.damaged(d))
    }

    /// The names, each with the group behind its last one.
    pub(super) fn names_by_group(&self) -> Result<Vec<(u32, String)>, StorageError> {
        let mut names = Vec::new();
        self.find_name(|name| {
            names.push((name.first_group + name.groups, name.name.to_owned()));
            false
        })?;
        Ok(names)
    }

    pub(super) fn series_table(&self) -> Table {
        self.directory.series
    }

    #[cfg(test)]
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }
}

/// A name without its text.
#[derive(Clone, Copy)]
struct NamePlace {
    first_group: u32,
    groups: u32,
    list: ListPlace,
}

impl<'a> Name<'a> {
    fn take(reader: &mut Reader<'a>, first_group: u32) -> Result<Self, Damage> {
        let name = reader.text()?;
        let groups = reader.uint()?.div_ceil(GROUP_ROWS as u64);
        let groups = u32::try_from(groups).map_err(|_| Damage("a label has too many values"))?;
        let list = ListPlace { offset: reader.uint()?, head: reader.uint()? };
        Ok(Self { name, first_group, groups, list })
    }
}

/// Walks the values of a group.
struct Values<'a> {
    reader: Reader<'a>,
    last: Vec<u8>,
    offset: u64,
}

impl<'a> Values<'a> {
    fn new(group: &'a [u8]) -> Result<Self, Damage> {
        let mut reader = Reader(group);
        let offset = reader.uint()?;
        Ok(Self { reader, last: Vec::new(), offset })
    }

    fn next(&mut self) -> Result<Option<(&str, ListPlace)>, Damage> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let shared = self.reader.u32()? as usize;
        if shared > self.last.len() {
            return Err(Damage("a label value shares more than its predecessor has"));
        }
        self.last.truncate(shared);
        self.last.extend_from_slice(self.reader.bytes()?);
        let list = ListPlace { offset: self.offset, head: self.reader.uint()? };
        self.offset = self.offset.saturating_add(lists::length(list.head));
        let value = str::from_utf8(&self.last).map_err(|_| Damage("a label value is not UTF-8"))?;
        Ok(Some((value, list)))
    }
}

impl Index for BlockIndex {
    fn all(&self) -> RoaringBitmap {
        let mut set = RoaringBitmap::new();
        set.insert_range(0..self.series);
        set
    }

    fn with_label(&self, name: &str) -> Result<RoaringBitmap, StorageError> {
        let mut set = RoaringBitmap::new();
        if let Some(name) = self.name(name)? {
            ListAt { index: self, place: name.list }.add_to(&mut set)?;
        }
        Ok(set)
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, StorageError> {
        let mut set = RoaringBitmap::new();
        let Some(name) = self.name(name)? else { return Ok(set) };
        let mut found = None;
        self.walk(name, value, &mut |at, place| {
            found = (at == value).then_some(place);
            false
        })?;
        found.map_or(Ok(()), |place| ListAt { index: self, place }.add_to(&mut set))?;
        Ok(set)
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        each: &mut dyn FnMut(&str, &dyn Postings),
    ) -> Result<(), StorageError> {
        let Some(name) = self.name(name)? else { return Ok(()) };
        self.walk(name, prefix, &mut |value, place| {
            let fits = value.starts_with(prefix);
            if fits {
                each(value, &ListAt { index: self, place });
            }
            fits
        })
    }

    fn names(&self) -> Result<Vec<String>, StorageError> {
        let mut names = Vec::new();
        self.find_name(|name| {
            names.push(name.name.to_owned());
            false
        })?;
        Ok(names)
    }

    fn is_carried(&self, name: &str, series: &RoaringBitmap) -> Result<bool, StorageError> {
        Ok(!self.with_label(name)?.is_disjoint(series))
    }
}
