//! A journal: records in the order in which they were written, in files that are only appended to.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Look, StorageError, Timestamp};

use crate::Error;

/// Begins each record. After damage the next record is found by it; the checksum says whether it is one.
const MAGIC: [u8; 4] = *b"skJ1";

/// Magic, length, checksum, time.
const HEAD_LEN: usize = 4 + 4 + 4 + 8;

/// A record is a line of a history; one that is larger was made by mistake, and a damaged length must not ask for memory.
const RECORD_BYTES_MAX: usize = 64 << 10;

/// A file is read as a whole and removed as a whole: small enough for the memory of a small box, large enough that a full
/// journal is a few dozen files.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a journal may keep.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Files whose newest record is older go.
    pub age: Duration,
    /// All files together, up to one file more; the oldest give way.
    pub bytes: u64,
}

/// A journal in a folder of its own. Share it by `Arc`.
pub struct Journal {
    folder: PathBuf,
    bounds: Bounds,
    inner: Mutex<Inner>,
}

struct Inner {
    /// The oldest first; the last one is appended to.
    files: VecDeque<Part>,
    /// The last file, open; none before the first record and after a failed write.
    open: Option<File>,
    unsynced: bool,
}

/// A file of the journal.
#[derive(Clone, Copy, Debug)]
struct Part {
    number: u64,
    bytes: u64,
    newest: Timestamp,
}

impl Journal {
    /// Opens the journal in a folder, which is made if it is not there. A last record that was not written whole is cut off;
    /// damage elsewhere costs the records that it lies in.
    pub fn open(folder: &Path, bounds: Bounds) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let mut files = VecDeque::new();
        for number in numbers(folder)? {
            let path = path(folder, number);
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            let mut newest = Timestamp::MIN;
            let end = records(&bytes).fold(0, |_, record| {
                newest = newest.max(record.time);
                record.end
            });
            files.push_back((Part { number, bytes: bytes.len() as u64, newest }, end as u64));
        }
        // Only the last file can end in a record that was being written; what lies behind a good one there is cut off, so that
        // the next record begins where a reader looks for it.
        if let Some((part, end)) = files.back_mut().filter(|(part, end)| part.bytes > *end) {
            let path = path(folder, part.number);
            tracing::warn!(path = %path.display(), bytes = part.bytes - *end, "the end of a journal was not whole and is cut off");
            let file = OpenOptions::new().write(true).open(&path).map_err(Error::io("open", &path))?;
            file.set_len(*end).and_then(|()| file.sync_all()).map_err(Error::io("cut", &path))?;
            part.bytes = *end;
        }
        let files = files.into_iter().map(|(part, _)| part).collect();
        Ok(Self { folder: folder.to_owned(), bounds, inner: Mutex::new(Inner { files, open: None, unsynced: false }) })
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.lock().files.iter().map(|part| part.bytes).sum()
    }

    /// Adds records; see [`model::Journal::append`].
    pub fn append(&self, records: &[(Timestamp, Vec<u8>)]) -> Result<(), Error> {
        let Some(newest) = records.iter().map(|(time, _)| *time).max() else { return Ok(()) };
        let mut bytes = Vec::new();
        for (time, body) in records {
            if body.len() > RECORD_BYTES_MAX {
                let reason = format!("a record of {} bytes is larger than {RECORD_BYTES_MAX}", body.len());
                return Err(Error::Limit(reason));
            }
            frame(*time, body, &mut bytes);
        }
        let mut inner = self.lock();
        self.make_room(&mut inner, newest)?;
        let folder = &self.folder;
        let Inner { files, open, unsynced } = &mut *inner;
        let (Some(part), Some(file)) = (files.back_mut(), open.as_mut()) else { return Ok(()) };
        if let Err(error) = file.write_all(&bytes) {
            let path = path(folder, part.number);
            // What was written of it must not stand before the next record.
            let cut = file.set_len(part.bytes);
            *open = None;
            cut.map_err(Error::io("cut", &path))?;
            return Err(Error::io("write", &path)(error));
        }
        part.bytes += bytes.len() as u64;
        part.newest = part.newest.max(newest);
        *unsynced = true;
        Ok(())
    }

    /// Puts onto the disk what was added; see [`model::Journal::sync`].
    pub fn sync(&self) -> Result<(), Error> {
        let mut inner = self.lock();
        if !std::mem::take(&mut inner.unsynced) {
            return Ok(());
        }
        let number = inner.files.back().map_or(0, |part| part.number);
        // A failed sync is told and not tried again as if nothing had happened: the kernel may have dropped the pages.
        let synced = inner.open.as_ref().map_or(Ok(()), File::sync_data);
        synced.map_err(|error| {
            inner.open = None;
            Error::io("sync", &path(&self.folder, number))(error)
        })
    }

    /// Shows records; see [`model::Journal::newest_first`].
    pub fn newest_first(&self, from: Timestamp, look: &mut Look<'_>) -> Result<(), Error> {
        let files: Vec<Part> = self.lock().files.iter().rev().filter(|part| part.newest >= from).copied().collect();
        for part in files {
            let path = path(&self.folder, part.number);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                // It gave way since.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("read", &path)(error)),
            };
            let all: Vec<Record<'_>> = records(&bytes).filter(|record| record.time >= from).collect();
            if !all.iter().rev().all(|record| look(record.time, record.body)) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Opens the file for the next record, and lets old ones go.
    fn make_room(&self, inner: &mut Inner, now: Timestamp) -> Result<(), Error> {
        let is_full = inner.files.back().is_none_or(|part| part.bytes >= FILE_BYTES_MAX);
        if inner.open.is_some() && !is_full {
            return Ok(());
        }
        if std::mem::take(&mut inner.unsynced)
            && let Some(file) = &inner.open
        {
            file.sync_data().map_err(Error::io("sync", &self.folder))?;
        }
        inner.open = None;
        self.retire(inner, now);
        let number = match inner.files.back() {
            Some(part) if !is_full && part.newest > Timestamp::MIN => part.number,
            part => part.map_or(1, |part| part.number + 1),
        };
        let path = path(&self.folder, number);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io("open", &path))?;
        if inner.files.back().is_none_or(|part| part.number != number) {
            inner.files.push_back(Part { number, bytes: 0, newest: Timestamp::MIN });
            File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", &self.folder))?;
        }
        inner.open = Some(file);
        Ok(())
    }

    /// Removes files that are too old or too much. One that cannot be removed is tried again with the next file.
    fn retire(&self, inner: &mut Inner, now: Timestamp) {
        let age = i64::try_from(self.bounds.age.as_millis()).unwrap_or(i64::MAX);
        let oldest = now.saturating_sub(age);
        while let Some(part) = inner.files.front().copied() {
            let bytes: u64 = inner.files.iter().map(|part| part.bytes).sum();
            if part.newest >= oldest && bytes <= self.bounds.bytes {
                return;
            }
            let path = path(&self.folder, part.number);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an old file of a journal could not be removed");
                return;
            }
            inner.files.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.sync() {
            tracing::warn!(%error, "the end of a journal may not be on the disk");
        }
    }
}

impl model::Journal for Journal {
    fn append(&self, records: &[(Timestamp, Vec<u8>)]) -> Result<(), StorageError> {
        Ok(Self::append(self, records)?)
    }

    fn sync(&self) -> Result<(), StorageError> {
        Ok(Self::sync(self)?)
    }

    fn newest_first(&self, from: Timestamp, look: &mut Look<'_>) -> Result<(), StorageError> {
        Ok(Self::newest_first(self, from, look)?)
    }
}

/// A record as it lies in a file.
struct Record<'a> {
    time: Timestamp,
    body: &'a [u8],
    /// Where the next one begins.
    end: usize,
}

/// All whole records of a file, in order; bytes between them that are none are passed over.
fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            if let Some(record) = record(bytes, at) {
                at = record.end;
                return Some(record);
            }
            at += 1;
        }
        None
    })
}

/// The record that begins at `at`, if one does.
fn record(bytes: &[u8], at: usize) -> Option<Record<'_>> {
    let rest = bytes.get(at..)?.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let checked = rest.get(..8 + length)?;
    let (time, body) = checked.split_first_chunk::<8>()?;
    let time = i64::from_le_bytes(*time);
    (u32::from_le_bytes(*sum) == checksum(time, body)).then_some(Record { time, body, end: at + HEAD_LEN + length })
}

fn frame(time: Timestamp, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(time, body).to_le_bytes());
    out.extend_from_slice(&time.to_le_bytes());
    out.extend_from_slice(body);
}

fn checksum(time: Timestamp, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(body.len() as u32).to_le_bytes());
    hasher.update(&time.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.journal"))
}

/// The numbers of the files in a folder, rising.
fn numbers(folder: &Path) -> Result<Vec<u64>, Error> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let name = entry.map_err(Error::io("read", folder))?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(".journal")).and_then(|stem| stem.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { age: Duration::from_secs(1000), bytes: 4 << 20 };

    fn body(n: usize) -> Vec<u8> {
        format!("{n}:{}", "x".repeat(n % 37)).into_bytes()
    }

    fn write(journal: &Journal, numbers: std::ops::Range<usize>) {
        for n in numbers {
            journal.append(&[(n as i64, body(n))]).unwrap();
        }
    }

    /// The numbers of the records from a time on, the oldest first; each is as it was written.
    fn read(journal: &Journal, from: i64) -> Vec<usize> {
        let mut seen = Vec::new();
        journal
            .newest_first(from, &mut |time, bytes| {
                assert_eq!(bytes, body(time as usize));
                seen.push(time as usize);
                true
            })
            .unwrap();
        seen.reverse();
        seen
    }

    #[test]
    fn keeps_order_and_looks_back() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), BOUNDS).unwrap();
        assert_eq!(read(&journal, 0), [0usize; 0]);
        write(&journal, 0..10);
        assert_eq!(read(&journal, 7), [7, 8, 9]);
        drop(journal);
        let journal = Journal::open(folder.path(), BOUNDS).unwrap();
        write(&journal, 10..12);
        assert_eq!(read(&journal, 0), (0..12).collect::<Vec<_>>());
        let mut first = None;
        journal.newest_first(0, &mut |time, _| first.replace(time).is_some()).unwrap();
        assert_eq!(first, Some(11));
        assert!(matches!(journal.append(&[(0, vec![0; RECORD_BYTES_MAX + 1])]), Err(Error::Limit(_))));
    }

    /// Wherever a crash cuts the file, whole records before the cut are there, and what is written then is there too.
    #[test]
    fn every_cut_keeps_whole_records() {
        let folder = tempfile::tempdir().unwrap();
        write(&Journal::open(folder.path(), BOUNDS).unwrap(), 0..5);
        let file = path(folder.path(), 1);
        let whole = fs::read(&file).unwrap();
        let ends: Vec<usize> = records(&whole).map(|record| record.end).collect();
        for cut in 0..=whole.len() {
            fs::write(&file, &whole[..cut]).unwrap();
            let journal = Journal::open(folder.path(), BOUNDS).unwrap();
            let kept = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(read(&journal, 0), (0..kept).collect::<Vec<_>>(), "cut at {cut}");
            write(&journal, 100..102);
            drop(journal);
            let journal = Journal::open(folder.path(), BOUNDS).unwrap();
            assert_eq!(read(&journal, 100), [100, 101], "cut at {cut}");
            fs::read_dir(folder.path()).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
        }
    }

    /// A flipped bit costs the record that it lies in, never gives a wrong one, and leaves the others.
    #[test]
    fn every_flipped_bit_costs_one_record() {
        let folder = tempfile::tempdir().unwrap();
        write(&Journal::open(folder.path(), BOUNDS).unwrap(), 0..4);
        let file = path(folder.path(), 1);
        let whole = fs::read(&file).unwrap();
        let ends: Vec<usize> = records(&whole).map(|record| record.end).collect();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &damaged).unwrap();
            let hit = ends.iter().filter(|end| **end <= bit / 8).count();
            let left: Vec<usize> = (0..4).filter(|n| *n != hit).collect();
            assert_eq!(read(&Journal::open(folder.path(), BOUNDS).unwrap(), 0), left, "bit {bit}");
        }
    }

    #[test]
    fn old_files_give_way() {
        let folder = tempfile::tempdir().unwrap();
        let bounds = Bounds { age: Duration::from_secs(1), bytes: 3 << 20 };
        let journal = Journal::open(folder.path(), bounds).unwrap();
        let large = |n: i64| (n, vec![b'x'; 60_000]);
        for n in 0..200 {
            journal.append(&[large(n)]).unwrap();
        }
        assert!(journal.bytes() <= bounds.bytes + FILE_BYTES_MAX + 60_000, "{}", journal.bytes());
        let count = |journal: &Journal| {
            let mut count = 0;
            journal
                .newest_first(0, &mut |_, _| {
                    count += 1;
                    true
                })
                .unwrap();
            count
        };
        assert!((36..60).contains(&count(&journal)), "{}", count(&journal));
        // What is too old goes with the next file.
        for n in 0..19 {
            journal.append(&[large(10_000 + n)]).unwrap();
        }
        assert!(count(&journal) <= 40, "{}", count(&journal));
    }

    #[test]
    fn a_full_disk_refuses_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), BOUNDS).unwrap();
        write(&journal, 0..3);
        // A file that cannot be opened stands for a disk that refuses.
        journal.lock().open = Some(File::open(path(folder.path(), 1)).unwrap());
        assert!(journal.append(&[(3, body(3))]).is_err());
        write(&journal, 4..6);
        assert_eq!(read(&journal, 0), [0, 1, 2, 4, 5]);
    }
}
