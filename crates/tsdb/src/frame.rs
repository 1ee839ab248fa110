//! The checked frame that the log, the metadata file and a block's index are made of.
//!
//! The checksum covers the file's number and the frame's place in it beside the content, so that bytes that landed
//! in the wrong place, or a copy of a frame inside somebody's label value, do not pass.

use std::io::{self, ErrorKind};
use std::path::Path;

use model::StorageError;

use crate::bytes::fixed32_at;
use crate::error::io as io_error;
use crate::record::{Record, kind};
use crate::{Disk, DiskFile, parity};

/// `0xf5` never occurs in UTF-8, so that no label value looks like the start of a frame.
const MAGIC: [u8; 3] = [0xf5, b's', b'k'];

/// Magic, kind, length, checksum.
pub(crate) const HEADER_BYTES: usize = 12;

/// In a file that is scanned, such as the log, a larger length is damage. One write request is at most 32 MiB of
/// decompressed protobuf, and its frame is smaller. The index of a block is found by its place, not by a scan, and may be
/// larger.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 32 << 20;

/// The scanner reads the file in pieces of this size; larger only where a frame is.
const WINDOW_BYTES: usize = 256 << 10;

/// CRC-32C of what identifies a place and of what stands there.
pub(crate) fn checksum(file: u64, offset: u64, parts: &[&[u8]]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&file.to_le_bytes()), &offset.to_le_bytes());
    parts.iter().fold(place, |crc, part| crc32c::crc32c_append(crc, part))
}

/// Adds a frame to bytes whose first one stands at `start` in the file. The payload is under 4 GiB.
pub(crate) fn push(out: &mut Vec<u8>, file: u64, start: u64, kind: u8, payload: &[u8]) {
    let offset = start + out.len() as u64;
    let length = (payload.len() as u32).to_le_bytes();
    let crc = checksum(file, offset, &[&[kind], &length, payload]);
    out.extend_from_slice(&MAGIC);
    out.push(kind);
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Bytes of the frame that begins with this header; `None` if none does.
fn whole_length(header: &[u8]) -> Option<usize> {
    let begins = header.len() >= HEADER_BYTES && header[..3] == MAGIC;
    begins.then(|| HEADER_BYTES.saturating_add(fixed32_at(header, 4) as usize))
}

/// Kind and payload of a whole frame that stands at `offset`; `None` if it does not check.
pub(crate) fn check(frame: &[u8], file: u64, offset: u64) -> Option<(u8, &[u8])> {
    let payload = frame.get(HEADER_BYTES..whole_length(frame)?)?;
    let crc = checksum(file, offset, &[&frame[3..4], &frame[4..8], payload]);
    (crc == fixed32_at(frame, 8)).then_some((frame[3], payload))
}

/// Frames of a file; a damaged stretch is rebuilt where its group has a parity record, else passed over.
pub(crate) struct Scanner<'a> {
    disk_file: &'a dyn DiskFile,
    file: u64,
    length: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
    /// The stretch that was rebuilt last, and where it stands.
    rebuilt: Vec<u8>,
    rebuilt_at: u64,
}

/// What the scanner met.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A frame that checks.
    Frame {
        /// What its payload is.
        kind: u8,
        /// Its content.
        payload: Vec<u8>,
    },
    /// Bytes that were damaged; the frames that stood there follow.
    Rebuilt {
        /// Where they begin.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// Bytes that are no frame.
    Damaged {
        /// Where they begin.
        offset: u64,
        /// How many.
        bytes: u64,
        /// Whether they reach the end of the file.
        at_end: bool,
    },
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(disk_file: &'a dyn DiskFile, file: u64) -> io::Result<Self> {
        let length = disk_file.len()?;
        let (window, rebuilt) = (Vec::new(), Vec::new());
        Ok(Self { disk_file, file, length, at: 0, window, window_at: 0, rebuilt, rebuilt_at: 0 })
    }

    /// Goes no further than this.
    pub(crate) fn limit(&mut self, length: u64) {
        self.length = self.length.min(length);
    }

    /// The next frame or the next damaged stretch; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Scanned>> {
        let begin = self.at;
        while self.at < self.length {
            if let Some((kind, payload)) = self.frame_here()? {
                if self.at > begin {
                    return self.damaged(begin).map(Some);
                }
                self.at += (HEADER_BYTES + payload.len()) as u64;
                return Ok(Some(Scanned::Frame { kind, payload }));
            }
            self.skip_to_magic()?;
        }
        if self.at > begin { self.damaged(begin).map(Some) } else { Ok(None) }
    }

    /// What to say of the stretch from `begin` to here.
    fn damaged(&mut self, begin: u64) -> io::Result<Scanned> {
        let bytes = self.at - begin;
        let was_rebuilt = begin < self.rebuilt_at + self.rebuilt.len() as u64;
        match if was_rebuilt { None } else { self.rebuild(begin)? } {
            Some(rebuilt) => {
                (self.rebuilt, self.rebuilt_at, self.at) = (rebuilt, begin, begin);
                self.window.clear();
                Ok(Scanned::Rebuilt { offset: begin, bytes })
            }
            None => Ok(Scanned::Damaged { offset: begin, bytes, at_end: self.at >= self.length }),
        }
    }

    /// The bytes from `begin` to here as they were, if the frames from here on lead to their parity and they then are
    /// frames again.
    fn rebuild(&mut self, begin: u64) -> io::Result<Option<Vec<u8>>> {
        let end = self.at;
        let mut found = None;
        while let Some((kind, payload)) = self.frame_here()? {
            if kind == kind::PARITY {
                found = parity::rebuild(self.disk_file, &payload, self.at, begin..end)?;
                break;
            }
            self.at += (HEADER_BYTES + payload.len()) as u64;
        }
        self.at = end;
        Ok(found.filter(|bytes| are_frames(bytes, self.file, begin)))
    }

    fn frame_here(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let (at, file) = (self.at, self.file);
        let length = whole_length(self.bytes(HEADER_BYTES)?).filter(|&l| l <= HEADER_BYTES + PAYLOAD_BYTES_MAX);
        let Some(length) = length else { return Ok(None) };
        let frame = self.bytes(length)?;
        Ok(check(frame, file, at).map(|(kind, payload)| (kind, payload.to_vec())))
    }

    /// Moves to the next place after this one where a frame may begin.
    fn skip_to_magic(&mut self) -> io::Result<()> {
        self.at += 1;
        while self.at < self.length {
            let window = self.bytes(WINDOW_BYTES)?;
            let found = window.windows(MAGIC.len()).position(|three| three == MAGIC);
            let step = found.unwrap_or_else(|| window.len().saturating_sub(MAGIC.len() - 1).max(1));
            self.at += step as u64;
            if found.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lays what was rebuilt over what was read.
    fn put_rebuilt(&mut self) {
        let from = self.rebuilt_at.max(self.window_at);
        let end = (self.rebuilt_at + self.rebuilt.len() as u64).min(self.window_at + self.window.len() as u64);
        if from < end {
            let of_rebuilt = (from - self.rebuilt_at) as usize..(end - self.rebuilt_at) as usize;
            let of_window = (from - self.window_at) as usize..(end - self.window_at) as usize;
            self.window[of_window].copy_from_slice(&self.rebuilt[of_rebuilt]);
        }
    }

    /// Bytes from here on, `wanted` of them or as many as the file has.
    fn bytes(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let available = usize::try_from(self.length - self.at).unwrap_or(usize::MAX);
        let wanted = wanted.min(available);
        let held = self.at >= self.window_at && self.at + wanted as u64 <= self.window_at + self.window.len() as u64;
        if !held {
            self.window.resize(wanted.max(WINDOW_BYTES).min(available), 0);
            self.disk_file.read_at(&mut self.window, self.at)?;
            self.window_at = self.at;
            self.put_rebuilt();
        }
        let start = (self.at - self.window_at) as usize;
        Ok(&self.window[start..start + wanted])
    }
}

/// Whether bytes that stand at `offset` are whole frames one after the other.
fn are_frames(bytes: &[u8], file: u64, offset: u64) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        let here = &bytes[at..];
        match whole_length(here).and_then(|length| here.get(..length)) {
            Some(frame) if check(frame, file, offset + at as u64).is_some() => at += frame.len(),
            _ => return false,
        }
    }
    true
}

/// Reads a small file of the data folder, frame by frame; returns its length, `None` where there is no such file.
pub(crate) fn read_file(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    mut each: impl FnMut(Scanned),
) -> Result<Option<u64>, StorageError> {
    let path = folder.join(name);
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", &path)(error)),
    };
    let mut scanner = Scanner::new(&*file, 0).map_err(io_error("read", &path))?;
    while let Some(scanned) = scanner.next().map_err(io_error("read", &path))? {
        each(scanned);
    }
    file.len().map(Some).map_err(io_error("read", &path))
}

/// Writes a small file of the data folder anew, so that it is there as before or as a whole; returns its length. Errors:
/// the disk, and a record that no reader would take.
pub(crate) fn replace_file(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    records: &[Record],
) -> Result<u64, StorageError> {
    let (path, temporary) = (folder.join(name), folder.join(format!("{name}.tmp")));
    let mut bytes = Vec::new();
    for record in records {
        let (size, most) = (record.payload.len(), PAYLOAD_BYTES_MAX);
        if size > most {
            let path = path.display();
            return Err(StorageError::Limit(format!("{path} would have a record of {size} bytes, more than {most}")));
        }
        push(&mut bytes, 0, 0, record.kind, &record.payload);
    }
    let write = || {
        let file = disk.create(&temporary).map_err(io_error("create", &temporary))?;
        file.append(&bytes).map_err(io_error("write", &temporary))?;
        file.sync().map_err(io_error("fsync", &temporary))?;
        disk.rename(&temporary, &path).map_err(io_error("rename", &temporary))
    };
    write().inspect_err(|_| drop(disk.remove(&temporary)))?;
    disk.sync_dir(folder).map_err(io_error("fsync", folder))?;
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;
    use crate::{Disk, FileDisk};

    const FILE: u64 = 7;

    fn three_frames() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, payload) in [(1, &b"one"[..]), (2, b"two\xf5sk"), (3, b"three")] {
            push(&mut bytes, FILE, 0, kind, payload);
        }
        bytes
    }

    fn kinds(bytes: &[u8]) -> Vec<u8> {
        let folder = tempdir().unwrap();
        let path = folder.path().join("f");
        FileDisk.create(&path).unwrap().append(bytes).unwrap();
        let file = FileDisk.open(&path).unwrap();
        let mut scanner = Scanner::new(&*file, FILE).unwrap();
        let mut kinds = Vec::new();
        while let Some(scanned) = scanner.next().unwrap() {
            match scanned {
                Scanned::Frame { kind, .. } => kinds.push(kind),
                Scanned::Rebuilt { .. } => kinds.push(200),
                Scanned::Damaged { .. } => kinds.push(0),
            }
        }
        kinds
    }

    #[test]
    fn a_flipped_bit_loses_one_frame() {
        let whole = three_frames();
        assert_eq!(kinds(&whole), [1, 2, 3]);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let expected: &[u8] = match at {
                0..15 => &[0, 2, 3],
                15..33 => &[1, 0, 3],
                _ => &[1, 2, 0],
            };
            assert_eq!(kinds(&bytes), expected, "byte {at}");
        }
    }

    #[test]
    fn a_torn_end_loses_one_frame() {
        let whole = three_frames();
        for end in 34..whole.len() {
            assert_eq!(kinds(&whole[..end]), [1, 2, 0], "cut at {end}");
        }
        assert_eq!(kinds(&[0; 100]), [0]);
        assert_eq!(kinds(&[]), [0; 0]);
    }

    #[test]
    fn what_no_reader_would_take_is_not_written() {
        let folder = tempdir().unwrap();
        let check = |length: usize, expected: bool| {
            let record = Record { kind: 9, payload: vec![1; length] };
            let written = replace_file(&FileDisk, folder.path(), "small", &[record]);
            assert_eq!(written.is_ok(), expected, "{length}");
            let mut read = Vec::new();
            read_file(&FileDisk, folder.path(), "small", |scanned| read.push(scanned)).unwrap();
            let is_whole =
                matches!(&read[..], [Scanned::Frame { kind: 9, payload }] if payload.len() <= PAYLOAD_BYTES_MAX);
            assert!(is_whole, "{length}");
            assert_eq!(FileDisk.list(folder.path()).unwrap(), ["small"], "{length}");
        };
        check(3, true);
        check(PAYLOAD_BYTES_MAX + 1, false);
        check(PAYLOAD_BYTES_MAX, true);
    }

    #[test]
    fn a_moved_frame_is_damage() {
        let whole = three_frames();
        assert_eq!(kinds(&whole[15..]), [0]);
    }
}
