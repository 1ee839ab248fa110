//! Names of the running kernel's enum values, from its type information (BTF) in `/sys/kernel/btf`.
//!
//! The loader's library finds types by name but does not tell what an enum holds, so the format is read here: a header,
//! records of types, and a section of strings; a module's strings go on where the kernel's end. See
//! `Documentation/bpf/btf.rst` of the kernel.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// Where the kernel shows its types and those of its modules.
const FOLDER: &str = "/sys/kernel/btf";
const KERNEL: &str = "vmlinux";

const MAGIC: u16 = 0xeb9f;
const KIND_ENUM: u32 = 6;

/// A value of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) value: u32,
}

/// The types of the kernel or of a module.
struct Types<'a> {
    records: &'a [u8],
    strings: &'a [u8],
}

/// The variants of all enums of the kernel whose name is wanted.
pub(crate) fn of_kernel(wanted: impl Fn(&str) -> bool) -> Result<Vec<Variant>, Error> {
    let bytes = read(&Path::new(FOLDER).join(KERNEL))?;
    Ok(Types::parse(&bytes).map(|types| types.variants(&[], wanted)).unwrap_or_default())
}

/// The same of all modules that are loaded now.
pub(crate) fn of_modules(wanted: impl Fn(&str) -> bool) -> Result<Vec<Variant>, Error> {
    let kernel = read(&Path::new(FOLDER).join(KERNEL))?;
    let Some(kernel) = Types::parse(&kernel) else { return Ok(Vec::new()) };
    let mut variants = Vec::new();
    for module in modules()? {
        // A module may go while this looks at it.
        let Ok(bytes) = read(&module) else { continue };
        if let Some(types) = Types::parse(&bytes) {
            variants.extend(types.variants(kernel.strings, &wanted));
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

impl<'a> Types<'a> {
    /// None where the bytes are not of this format.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let magic = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
        let [header, types, types_length, strings, strings_length] =
            [1, 2, 3, 4, 5].map(|word| word_at(bytes, word * 4));
        let body = bytes.get(header? as usize..)?;
        let section = |start: u32, length: u32| body.get(start as usize..)?.get(..length as usize);
        let parsed = Self { records: section(types?, types_length?)?, strings: section(strings?, strings_length?)? };
        (magic == MAGIC).then_some(parsed)
    }

    /// `before` are the strings that come first in a module's count.
    fn variants(&self, before: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<Variant> {
        let mut found = Vec::new();
        let mut records = self.records;
        while let Some(record) = take(&mut records, 12) {
            let [name, info] = [0, 4].map(|at| word_at(record, at).unwrap_or_default());
            let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            let Some(more) = length_after(kind, count).and_then(|length| take(&mut records, length)) else { break };
            if kind == KIND_ENUM && self.string(before, name).is_some_and(&wanted) {
                found.extend(more.chunks_exact(8).filter_map(|pair| {
                    let name = self.string(before, word_at(pair, 0)?)?.to_owned();
                    Some(Variant { name, value: word_at(pair, 4)? })
                }));
            }
        }
        found
    }

    fn string(&self, before: &'a [u8], offset: u32) -> Option<&'a str> {
        let offset = offset as usize;
        let text = before.get(offset..).filter(|text| !text.is_empty());
        let text = text.or_else(|| self.strings.get(offset.checked_sub(before.len())?..))?;
        std::str::from_utf8(text.split(|byte| *byte == 0).next()?).ok()
    }
}

/// The bytes that follow a type's record; none for a kind that is newer than this list, behind which nothing can be found.
fn length_after(kind: u32, count: usize) -> Option<usize> {
    match kind {
        // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
        2 | 7..=12 | 16 | 18 => Some(0),
        // Integer, variable, declaration tag.
        1 | 14 | 17 => Some(4),
        // Array.
        3 => Some(12),
        // Enum, function prototype.
        KIND_ENUM | 13 => Some(8 * count),
        // Structure, union, section, enum of 64 bits.
        4 | 5 | 15 | 19 => Some(12 * count),
        _ => None,
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
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
        let variants = Types::parse(bytes).map(|types| types.variants(before.as_bytes(), |name| name == "colour"));
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
}
