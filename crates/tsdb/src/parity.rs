//! Parity over stretches of a log segment, so that a damaged place is rebuilt.
//!
//! A record of samples is told from the records before it, so that losing one would cost more than itself. Therefore
//! each group of records is followed by the exclusive or of its bytes, taken at a stride: any damaged stretch of the
//! group that is no longer than the stride comes back, whatever records it hit.

use std::io;

use crate::DiskFile;
use crate::bytes::{Damage, Reader, put_uint};

/// The shortest stride: a page of a disk, wherever it lies among records of ordinary size.
const STRIDE_MIN: usize = 8 << 10;

/// The longest stride. A record that is longer is told from nothing after it, so that it loses only itself.
pub(crate) const STRIDE_MAX: usize = 1 << 20;

/// A group is closed when it has so many bytes for each byte of parity. More of them cost less, and are more likely to
/// be hit twice.
const GROUP_STRIDES: usize = 16;

/// Bytes of the segment that are read at once to rebuild others.
const READ_BYTES: usize = 64 << 10;

/// The group that is being written.
#[derive(Debug, Default)]
pub(crate) struct Group {
    from: u64,
    bytes: usize,
    longest: usize,
    /// The exclusive or of all bytes at a stride that is a multiple of the final one.
    sums: Vec<u8>,
}

fn stride(longest: usize) -> usize {
    longest.next_power_of_two().clamp(STRIDE_MIN, STRIDE_MAX)
}

impl Group {
    /// Forgets all but the memory; the next record stands at `from`.
    pub(crate) fn restart(&mut self, from: u64) {
        (self.from, self.bytes, self.longest) = (from, 0, 0);
        self.sums.fill(0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether the group has to be closed before a record of this length joins it.
    pub(crate) fn is_too_narrow(&self, length: usize) -> bool {
        !self.is_empty() && length.min(STRIDE_MAX) > self.sums.len()
    }

    /// Whether it is time to close the group.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= GROUP_STRIDES * stride(self.longest)
    }

    /// Takes up the record that follows.
    pub(crate) fn add(&mut self, record: &[u8]) {
        if self.is_empty() {
            let width = stride(record.len()).max(self.sums.len());
            self.sums.resize(width, 0);
        }
        add_at(&mut self.sums, self.bytes, record);
        self.bytes += record.len();
        self.longest = self.longest.max(record.len());
    }

    /// The payload of the parity record that stands behind the group.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_uint(&mut out, self.bytes as u64);
        let stride = stride(self.longest);
        let mut folded = vec![0; stride];
        self.sums.chunks(stride).for_each(|part| add_at(&mut folded, 0, part));
        out.extend_from_slice(&folded);
        out
    }
}

/// Adds bytes, the first of which stands at this place of the group.
fn add_at(sums: &mut [u8], at: usize, mut bytes: &[u8]) {
    let mut start = at % sums.len();
    while !bytes.is_empty() {
        let (now, later) = bytes.split_at(bytes.len().min(sums.len() - start));
        sums[start..].iter_mut().zip(now).for_each(|(sum, byte)| *sum ^= byte);
        (bytes, start) = (later, 0);
    }
}

/// The bytes that stood in a damaged stretch of a file, by the parity record that stands at `parity_at`. They are right
/// if nothing else of its group is damaged; the caller verifies them.
pub(crate) fn rebuild(
    file: &dyn DiskFile,
    payload: &[u8],
    parity_at: u64,
    damaged: std::ops::Range<u64>,
) -> io::Result<Option<Vec<u8>>> {
    let Ok((from, mut sums)) = decode(payload, parity_at) else { return Ok(None) };
    let length = (damaged.end - damaged.start) as usize;
    if damaged.start < from || length > sums.len() {
        return Ok(None);
    }
    for part in [from..damaged.start, damaged.end..parity_at] {
        add_file(&mut sums, file, from, part)?;
    }
    let start = (damaged.start - from) as usize % sums.len();
    sums.rotate_left(start);
    sums.truncate(length);
    Ok(Some(sums))
}

/// Where the group begins, and its parity.
fn decode(payload: &[u8], parity_at: u64) -> Result<(u64, Vec<u8>), Damage> {
    let mut reader = Reader(payload);
    let from = parity_at.checked_sub(reader.uint()?).ok_or(Damage("a group begins before its file"))?;
    let sums = reader.0.to_vec();
    if sums.is_empty() { Err(Damage("a group without parity")) } else { Ok((from, sums)) }
}

fn add_file(sums: &mut [u8], file: &dyn DiskFile, from: u64, range: std::ops::Range<u64>) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut at = range.start;
    while at < range.end {
        buffer.resize(READ_BYTES.min((range.end - at) as usize), 0);
        file.read_at(&mut buffer, at)?;
        add_at(sums, (at - from) as usize, &buffer);
        at += buffer.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::tempdir;

    use super::*;
    use crate::{Disk, FileDisk};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_stretch_comes_back(
            lengths in prop::collection::vec(1usize..5_000, 1..40),
            before in 0usize..100,
            place in any::<u64>(),
            damaged in 1u64..8_192,
            seed in any::<u8>(),
        ) {
            let mut group = Group::default();
            let mut content = vec![7; before];
            group.restart(before as u64);
            for (at, &length) in lengths.iter().enumerate() {
                let record: Vec<u8> = (0..length).map(|i| (i * at) as u8 ^ seed).collect();
                prop_assert!(!group.is_too_narrow(length));
                group.add(&record);
                content.extend(record);
            }
            let start = before as u64 + place % (content.len() - before) as u64;
            let end = (start + damaged).min(content.len() as u64);
            let range = start as usize..end as usize;
            let expected = content[range.clone()].to_vec();
            content[range].fill(0xee);
            let folder = tempdir().unwrap();
            let path = folder.path().join("f");
            FileDisk.create(&path).unwrap().append(&content).unwrap();
            let file = FileDisk.open(&path).unwrap();
            let got = rebuild(&*file, &group.payload(), content.len() as u64, start..end).unwrap();
            prop_assert_eq!(got, Some(expected));
        }

        #[test]
        fn any_payload_is_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..50), damaged in 0u64..100) {
            let folder = tempdir().unwrap();
            let path = folder.path().join("f");
            FileDisk.create(&path).unwrap().append(&[1; 200]).unwrap();
            let file = FileDisk.open(&path).unwrap();
            let _ = rebuild(&*file, &payload, 200, damaged..150);
        }
    }

    #[test]
    fn groups_are_bounded() {
        // Length of each record, and how many fit into a group before it is closed.
        for (length, expected) in [(100, 1_311), (8_192, 16), (9_000, 30), (STRIDE_MAX, 16), (STRIDE_MAX * 3, 6)] {
            let record = vec![1; length];
            let mut group = Group::default();
            let mut records = 0;
            while !group.is_full() {
                assert!(records == 0 || !group.is_too_narrow(length), "{length}");
                group.add(&record);
                records += 1;
            }
            assert_eq!(records, expected, "{length}");
        }
    }
}
