//! Types of the running kernel, from its type information (BTF) in `/sys/kernel/btf`: names of enum values, ids of
//! tracepoints, and the few structures that a program reads.
//!
//! The kernel tells of more than a hundred thousand types, which a library's tree of them holds in tens of megabytes. So
//! the file is kept as it is with a table of where each record begins, and the loader gets what its object names. The
//! format is a header, records of types, and a section of strings; a module's strings go on where the kernel's end. See
//! `Documentation/bpf/btf.rst` of the kernel.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Error;

/// Where the kernel shows its types and those of its modules.
const FOLDER: &str = "/sys/kernel/btf";
const KERNEL: &str = "vmlinux";

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
/// Name, kind with count, and size or another type.
const HEAD_BYTES: usize = 12;

const KIND_POINTER: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCTURE: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_ENUM_64: u32 = 19;
/// Of no size and no members: what stands in for types that are left out.
const VOID: u32 = 0;

/// Each tracepoint has a typedef of its function under its name with this before it.
const TRACEPOINT_PREFIX: &str = "btf_trace_";

/// What a flavour of a structure is told apart by in a program; the kernel's has the name before it.
const FLAVOUR: &str = "___";

/// A value of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) value: u32,
}

/// The types of the kernel, of a module or of an object.
pub(crate) struct Types {
    bytes: Vec<u8>,
    /// Where in `bytes` the record of each type begins, from that of id 1 on.
    starts: Vec<u32>,
    strings: Range<usize>,
}

/// One type: its head and what follows it, which depends on the kind.
#[derive(Clone, Copy)]
struct Record<'a> {
    bytes: &'a [u8],
}

/// The variants of all enums of the modules that are loaded now whose name is wanted.
pub(crate) fn variants_of_modules(wanted: impl Fn(&str) -> bool) -> Result<Vec<Variant>, Error> {
    let kernel = Types::of_kernel()?;
    let mut variants = Vec::new();
    for module in modules()? {
        // A module may go while this looks at it.
        let Ok(bytes) = read(&module) else { continue };
        if let Some(types) = Types::parse(bytes) {
            variants.extend(types.variants_behind(kernel.strings(), &wanted));
        }
    }
    Ok(variants)
}

fn modules() -> Result<Vec<PathBuf>, Error> {
    let fail = |source| Error::Read { path: FOLDER.to_owned(), source };
    let files = fs::read_dir(FOLDER).map_err(fail)?.filter_map(Result::ok);
    Ok(files.filter(|file| file.file_name() != KERNEL).map(|file| file.path()).collect())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.display().to_string(), source })
}

impl Types {
    /// Those of the running kernel; none are in it where the file is of another format.
    pub(crate) fn of_kernel() -> Result<Self, Error> {
        let bytes = read(&Path::new(FOLDER).join(KERNEL))?;
        Ok(Self::parse(bytes).unwrap_or(Self { bytes: Vec::new(), starts: Vec::new(), strings: 0..0 }))
    }

    /// None where the bytes are not of this format. Records from the first of an unknown kind on are not there.
    pub(crate) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let magic = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
        let word = |at| word_at(&bytes, at).and_then(|word| usize::try_from(word).ok());
        let [header, types, types_length, strings, strings_length] = [1, 2, 3, 4, 5].map(|at| word(at * 4));
        let section = |start: usize, length: usize| {
            let start = header?.checked_add(start)?;
            let end = start.checked_add(length)?;
            (end <= bytes.len()).then_some(start..end)
        };
        let (records, strings) = (section(types?, types_length?)?, section(strings?, strings_length?)?);
        let starts = starts(&bytes[records.clone()], records.start);
        (magic == MAGIC).then_some(Self { bytes, starts, strings })
    }

    /// The variants of all enums whose name is wanted.
    pub(crate) fn variants(&self, wanted: impl Fn(&str) -> bool) -> Vec<Variant> {
        self.variants_behind(&[], wanted)
    }

    /// The type by which a program says that it belongs to a tracepoint.
    pub(crate) fn tracepoint(&self, name: &str) -> Option<u32> {
        let is_it = |record: &Record<'_>| {
            record.kind() == KIND_TYPEDEF
                && self.name(record).and_then(|typedef| typedef.strip_prefix(TRACEPOINT_PREFIX)) == Some(name)
        };
        (1..).zip(self.records()).find(|(_, record)| is_it(record)).map(|(id, _)| id)
    }

    /// Names of structures, unions and enums, without flavours.
    pub(crate) fn names(&self) -> HashSet<&str> {
        let named = self.records().filter(Record::is_named_by_programs).filter_map(|record| self.name(&record));
        named
            .map(|name| name.split_once(FLAVOUR).map_or(name, |(name, _)| name))
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// Structures, unions and enums of these names with all that lies inside of them, in the same format. Pointers in them
    /// point to nothing: what they point to has a place of its own here if it is wanted.
    pub(crate) fn subset(&self, names: &HashSet<&str>) -> Vec<u8> {
        let is_wanted = |record: &Record<'_>| {
            record.is_named_by_programs() && self.name(record).is_some_and(|name| names.contains(name))
        };
        let wanted = (1..).zip(self.records()).filter(|(_, record)| is_wanted(record)).map(|(id, _)| id);
        let mut ids: Vec<u32> = wanted.collect();
        let mut places: HashMap<u32, u32> = ids.iter().copied().zip(1..).collect();
        let mut records = Vec::new();
        let mut next = 0;
        while let Some(record) = ids.get(next).and_then(|id| self.record(*id)) {
            record.copy(&mut records, |inside| {
                *places.entry(inside).or_insert_with(|| {
                    ids.push(inside);
                    ids.len() as u32
                })
            });
            next += 1;
        }
        let strings = self.strings();
        let (types_length, strings_length) = (records.len() as u32, strings.len() as u32);
        let words = [HEADER_BYTES as u32, 0, types_length, types_length, strings_length];
        let magic = u32::from(MAGIC) | 1 << 16;
        let header = [magic].into_iter().chain(words).flat_map(u32::to_ne_bytes);
        header.chain(records).chain(strings.iter().copied()).collect()
    }

    fn strings(&self) -> &[u8] {
        &self.bytes[self.strings.clone()]
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (1..=self.starts.len() as u32).filter_map(|id| self.record(id))
    }

    fn record(&self, id: u32) -> Option<Record<'_>> {
        let start = *self.starts.get(usize::try_from(id).ok()?.checked_sub(1)?)? as usize;
        let head = Record { bytes: self.bytes.get(start..start + HEAD_BYTES)? };
        let length = HEAD_BYTES + length_after(head.kind(), head.count())?;
        Some(Record { bytes: self.bytes.get(start..start + length)? })
    }

    fn name(&self, record: &Record<'_>) -> Option<&str> {
        self.string(&[], record.word(0))
    }

    /// `before` are the strings that come first in a module's count.
    fn variants_behind(&self, before: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<Variant> {
        let enums = self.records().filter(|record| record.kind() == KIND_ENUM);
        let enums = enums.filter(|record| self.string(before, record.word(0)).is_some_and(&wanted));
        let variants = enums.flat_map(|record| record.bytes[HEAD_BYTES..].chunks_exact(8));
        let read = |pair: &[u8]| {
            Some(Variant { name: self.string(before, word_at(pair, 0)?)?.to_owned(), value: word_at(pair, 4)? })
        };
        variants.filter_map(read).collect()
    }

    fn string<'a>(&'a self, before: &'a [u8], offset: u32) -> Option<&'a str> {
        let offset = offset as usize;
        let text = before.get(offset..).filter(|text| !text.is_empty());
        let text = text.or_else(|| self.strings().get(offset.checked_sub(before.len())?..))?;
        std::str::from_utf8(text.split(|byte| *byte == 0).next()?).ok()
    }
}

impl<'a> Record<'a> {
    fn word(self, at: usize) -> u32 {
        word_at(self.bytes, at).unwrap_or_default()
    }

    fn kind(self) -> u32 {
        self.word(4) >> 24 & 0x1f
    }

    fn count(self) -> usize {
        (self.word(4) & 0xffff) as usize
    }

    /// Whether programs look for such a type by its name.
    fn is_named_by_programs(&self) -> bool {
        matches!(self.kind(), KIND_STRUCTURE | KIND_UNION | KIND_ENUM | KIND_ENUM_64)
    }

    /// Appends it with other ids for the types inside of it.
    fn copy(self, into: &mut Vec<u8>, mut id_of: impl FnMut(u32) -> u32) {
        let start = into.len();
        into.extend(self.bytes);
        for at in self.references() {
            let inside = self.word(at);
            let id = if inside == VOID || self.kind() == KIND_POINTER { VOID } else { id_of(inside) };
            into[start + at..start + at + 4].copy_from_slice(&id.to_ne_bytes());
        }
    }

    /// Where the ids of other types stand in it. Functions and variables are never inside of a structure.
    fn references(self) -> Vec<usize> {
        match self.kind() {
            // Pointer, typedef, volatile, const, restrict, type tag.
            KIND_POINTER | KIND_TYPEDEF..=11 | 18 => vec![8],
            KIND_ARRAY => vec![HEAD_BYTES, HEAD_BYTES + 4],
            KIND_STRUCTURE | KIND_UNION => (0..self.count()).map(|member| HEAD_BYTES + member * 12 + 4).collect(),
            _ => Vec::new(),
        }
    }
}

/// Where the records begin that stand in `records`, which begins at `offset`.
fn starts(records: &[u8], offset: usize) -> Vec<u32> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(head) = records.get(at..at + HEAD_BYTES).map(|bytes| Record { bytes }) {
        let Some(length) = length_after(head.kind(), head.count()) else { break };
        starts.push((offset + at) as u32);
        at += HEAD_BYTES + length;
        if at > records.len() {
            starts.pop();
        }
    }
    starts
}

/// The bytes that follow a type's record; none for a kind that is newer than this list, behind which nothing can be found.
fn length_after(kind: u32, count: usize) -> Option<usize> {
    match kind {
        // Forward, typedef, volatile, const, restrict, function, float, type tag.
        KIND_POINTER | 7..=12 | 16 | 18 => Some(0),
        // Integer, variable, declaration tag.
        1 | 14 | 17 => Some(4),
        KIND_ARRAY => Some(12),
        // Enum, function prototype.
        KIND_ENUM | 13 => Some(8 * count),
        // Section.
        KIND_STRUCTURE | KIND_UNION | 15 | KIND_ENUM_64 => Some(12 * count),
        _ => None,
    }
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn file(types: &[u32], strings: &str) -> Vec<u8> {
        let (types, length) = (words(types), strings.len() as u32);
        let magic = u32::from(MAGIC) | 1 << 16;
        let header = words(&[magic, 24, 0, types.len() as u32, types.len() as u32, length]);
        [header, types, strings.as_bytes().to_vec()].concat()
    }

    fn check(bytes: &[u8], before: &str, expected: &[(&str, u32)]) {
        let types = Types::parse(bytes.to_vec());
        let variants = types.map(|types| types.variants_behind(before.as_bytes(), |name| name == "colour"));
        let variants = variants.unwrap_or_default().into_iter().map(|v| (v.name, v.value)).collect::<Vec<_>>();
        assert_eq!(variants, expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect::<Vec<_>>());
    }

    const KERNEL_STRINGS: &str = "\0colour\0RED\0";

    #[test]
    fn enums_by_name() {
        // An integer, an enum of two, a pointer, an enum that is not wanted.
        let types = [0, 1 << 24, 4, 32, 1, 6 << 24 | 2, 4, 8, 0, 12, 7, 0, 2 << 24, 1, 8, 6 << 24 | 1, 4, 8, 1];
        let strings = "\0colour\0RED\0BLUE\0";
        check(&file(&types, strings), "", &[("RED", 0), ("BLUE", 7)]);
        // In a module, offsets count on from the end of the kernel's strings.
        let types = [1, 6 << 24 | 2, 4, 8, 3, 12, 1 << 16];
        check(&file(&types, "GREEN\0"), KERNEL_STRINGS, &[("RED", 3), ("GREEN", 1 << 16)]);
    }

    #[test]
    fn damaged_files_end_the_search() {
        let whole = file(&[1, 6 << 24 | 1, 4, 8, 3], KERNEL_STRINGS);
        check(&whole, "", &[("RED", 3)]);
        for length in 0..whole.len() {
            check(&whole[..length], "", &[]);
        }
        check(&file(&[1, 31 << 24, 0, 1, 6 << 24 | 1, 4, 8, 3], KERNEL_STRINGS), "", &[]);
    }

    #[test]
    fn subsets_hold_what_lies_inside() {
        // 1 an integer, 2 a pointer to 5, 3 a structure of 2 and 4, 4 an array of 1, 5 a structure, 6 a flavour.
        let types = [
            [0, 1 << 24, 4, 32].as_slice(),
            &[0, 2 << 24, 5],
            &[1, 4 << 24 | 2, 16, 6, 2, 0, 6, 4, 64],
            &[0, 3 << 24, 0, 1, 1, 2],
            &[3, 4 << 24 | 1, 4, 6, 1, 0],
            &[8, 4 << 24, 0],
        ];
        let types = Types::parse(file(&types.concat(), "\0a\0b\0 m\0b___old\0")).unwrap();
        assert_eq!(types.names(), ["a", "b"].into());
        let subset = Types::parse(types.subset(&["a"].into())).unwrap();
        let kinds: Vec<u32> = subset.records().map(Record::kind).collect();
        assert_eq!(kinds, [KIND_STRUCTURE, KIND_POINTER, KIND_ARRAY, 1]);
        let references: Vec<u32> = subset
            .records()
            .flat_map(|record| record.references().into_iter().map(move |at| record.word(at)))
            .collect();
        assert_eq!(references, [2, 3, VOID, 4, 4]);
    }
}
