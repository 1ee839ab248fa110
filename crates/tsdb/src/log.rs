//! The write-ahead log: numbered segments of checked frames.
//!
//! Within a segment a series number means one label set, said by a definition before its first use and once more a
//! little later. Values are told from those before them (`chain`, `pack`), and groups of records are followed by their
//! parity (`tail`, `parity`), so that a damaged record is rebuilt. A segment needs no other one and is removed as a whole
//! when a block holds its samples; only one that takes the place of a segment that could not be synced goes on
//! where that one was sound.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::StorageError;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::io as io_error;
use crate::frame::{PAYLOAD_BYTES_MAX, Scanned, Scanner};
use crate::record::{Record, decode_continuation, kind};
use crate::tail::{Frames, Tail};
use crate::writer::Writer;
use crate::{Disk, DiskFile};

/// A longer segment is followed by a new one. Each repeats the definitions that it needs, so short ones waste bytes;
/// long ones are freed late.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// Records that the disk has not confirmed stay in memory to be written again if it refuses; past this the log is
/// synced early.
pub(crate) const UNSYNCED_BYTES_MAX: usize = 1 << 20;

const SUFFIX: &str = ".log";

/// A segment that takes the place of another one says so in its first two frames.
const CONTINUATION_FRAMES: usize = 2;

/// The log of a data folder.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    writer: Mutex<Writer>,
    synced: Mutex<Synced>,
    turn: Condvar,
    pub(crate) counters: Counters,
}

/// What the log did since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) fsyncs: AtomicU64,
    pub(crate) fsync_failures: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) write_failures: AtomicU64,
}

struct Synced {
    ticket: u64,
    busy: bool,
}

/// The right to fsync, given back when dropped.
struct Turn<'a>(&'a Log);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.synced.lock().busy = false;
        self.0.turn.notify_all();
    }
}

/// A segment found on disk.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
}

/// Segments of a folder in their order.
pub(crate) fn segments(disk: &dyn Disk, folder: &Path) -> Result<Vec<Segment>, StorageError> {
    let names = disk.list(folder).map_err(io_error("list", folder))?;
    let number = |name: &str| name.strip_suffix(SUFFIX)?.parse::<u64>().ok();
    let mut found: Vec<Segment> =
        names.iter().filter_map(|name| Some(Segment { number: number(name)?, path: folder.join(name) })).collect();
    found.sort_by_key(|s| s.number);
    Ok(found)
}

/// Where the segment before this one stops being sound, if this one takes its place.
pub(crate) fn continues(disk: &dyn Disk, segment: &Segment) -> Result<Option<(u64, u64)>, StorageError> {
    let file = disk.open(&segment.path).map_err(io_error("open", &segment.path))?;
    let mut scanner = Scanner::new(&*file, segment.number).map_err(io_error("read", &segment.path))?;
    for _ in 0..CONTINUATION_FRAMES {
        match scanner.next().map_err(io_error("read", &segment.path))? {
            Some(Scanned::Frame { kind: kind::CONTINUATION, payload }) => return Ok(decode_continuation(&payload).ok()),
            Some(Scanned::Rebuilt { .. } | Scanned::Damaged { .. }) => {}
            Some(Scanned::Frame { .. }) | None => break,
        }
    }
    Ok(None)
}

/// Runs through a segment, no further than `limit`, and returns its length. It is synced, because what it says becomes
/// visible again.
pub(crate) fn replay(
    disk: &dyn Disk,
    segment: &Segment,
    limit: u64,
    mut each: impl FnMut(Scanned),
) -> Result<u64, StorageError> {
    let file = disk.open(&segment.path).map_err(io_error("open", &segment.path))?;
    let mut read = || -> io::Result<u64> {
        let mut scanner = Scanner::new(&*file, segment.number)?;
        scanner.limit(limit);
        while let Some(scanned) = scanner.next()? {
            each(scanned);
        }
        file.sync()?;
        file.len()
    };
    read().map_err(io_error("read", &segment.path))
}

impl Log {
    /// A log whose next segment follows all that were found. The first append creates it.
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: PathBuf, found: BTreeMap<u64, u64>) -> Self {
        let segment = found.keys().next_back().copied().unwrap_or_default();
        Self {
            disk,
            folder,
            writer: Mutex::new(Writer::new(segment, found)),
            synced: Mutex::new(Synced { ticket: 0, busy: false }),
            turn: Condvar::new(),
            counters: Counters::default(),
        }
    }

    /// Waits for the turn to commit.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock()
    }

    /// Waits for the turn to fsync or to end a segment. An fsync reports an error once, to one caller: were two in
    /// flight, the other would take lost bytes for safe.
    fn turn(&self) -> Turn<'_> {
        let mut synced = self.synced.lock();
        while synced.busy {
            self.turn.wait(&mut synced);
        }
        synced.busy = true;
        Turn(self)
    }

    /// Ends a segment that is long enough. Not under the writer's lock, see [`Log::turn`].
    pub(crate) fn make_room(&self) -> Result<(), StorageError> {
        if self.writer.lock().tail.length < SEGMENT_BYTES_MAX {
            return Ok(());
        }
        self.rotate(|_| ()).map(|_| ())
    }

    /// Makes sure that there is a trusted segment. To be called before anything is added to a commit, because a new
    /// segment wants its series defined again.
    pub(crate) fn prepare(&self, writer: &mut Writer) -> Result<(), StorageError> {
        writer.discard();
        if writer.file.is_none() { self.take_over(writer) } else { Ok(()) }
    }

    /// Writes what was added to the commit, all with one write; the ticket is for [`Log::wait`]. After an error nothing
    /// was written, and the next commit starts from nothing.
    pub(crate) fn append(&self, writer: &mut Writer) -> Result<u64, StorageError> {
        let records = writer.take_records();
        if records.is_empty() {
            return Ok(writer.ticket());
        }
        self.write(writer, records)
    }

    fn write(&self, writer: &mut Writer, records: Vec<Record>) -> Result<u64, StorageError> {
        let Some(file) = writer.file.clone() else {
            writer.doubt();
            return Err(StorageError::Closed);
        };
        if let Some(large) = records.iter().find(|r| r.payload.len() > PAYLOAD_BYTES_MAX) {
            writer.doubt();
            let (size, most) = (large.payload.len(), PAYLOAD_BYTES_MAX);
            return Err(StorageError::Limit(format!("a batch takes {size} bytes of log, more than {most}: split it")));
        }
        let bytes = writer.frames(&records);
        self.append_bytes(writer, &*file, &bytes)?;
        writer.wrote(bytes.len(), records);
        Ok(writer.ticket())
    }

    fn append_bytes(&self, writer: &mut Writer, file: &dyn DiskFile, bytes: &[u8]) -> Result<(), StorageError> {
        if let Err(error) = file.append(bytes) {
            self.counters.write_failures.fetch_add(1, Ordering::Relaxed);
            writer.take_back(file);
            return Err(io_error("write", &self.path(writer.tail.segment))(error));
        }
        self.counters.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until the append of this ticket is on disk. Those who wait share one fsync.
    pub(crate) fn wait(&self, ticket: u64) -> Result<(), StorageError> {
        let mut synced = self.synced.lock();
        while synced.ticket < ticket {
            if synced.busy {
                self.turn.wait(&mut synced);
                continue;
            }
            synced.busy = true;
            drop(synced);
            let turn = Turn(self);
            let reached = self.sync_now()?;
            self.synced.lock().ticket = reached;
            drop(turn);
            synced = self.synced.lock();
        }
        Ok(())
    }

    /// Brings all that was appended to the disk.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        let ticket = self.writer.lock().ticket;
        self.wait(ticket)
    }

    /// Brings all to the disk, with the parity of the records that had none yet.
    pub(crate) fn close(&self) -> Result<(), StorageError> {
        self.close_group(&mut self.writer.lock());
        self.sync()
    }

    fn sync_now(&self) -> Result<u64, StorageError> {
        let mut writer = self.writer.lock();
        self.fill_page(&mut writer);
        let Some(file) = writer.file.clone() else {
            self.take_over(&mut writer)?;
            return Ok(writer.ticket);
        };
        let (segment, length) = (writer.tail.segment, writer.tail.length);
        let (ticket, records) = (writer.ticket, writer.unsynced_records());
        drop(writer);
        let outcome = self.fsync(&*file);
        let mut writer = self.writer.lock();
        if writer.tail.segment != segment || writer.file.is_none() {
            // A commit found the segment dead meanwhile; what takes its place holds all of it and is synced.
            self.prepare(&mut writer)?;
            return Ok(ticket);
        }
        match outcome {
            Ok(()) => writer.synced(length, records),
            Err(error) => {
                tracing::error!(segment, %error, "fsync of the log failed, its records are written again to a new segment");
                writer.file = None;
                self.take_over(&mut writer)?;
            }
        }
        Ok(ticket)
    }

    fn fsync(&self, file: &dyn DiskFile) -> io::Result<()> {
        self.counters.fsyncs.fetch_add(1, Ordering::Relaxed);
        file.sync().inspect_err(|_| {
            self.counters.fsync_failures.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Ends the segment. `under_lock` runs between the segments, when no commit does. The number returned is what
    /// [`Log::remove_before`] takes when all that was committed until now is in blocks.
    pub(crate) fn rotate<T>(&self, under_lock: impl FnOnce(&mut Writer) -> T) -> Result<(u64, T), StorageError> {
        let turn = self.turn();
        let mut writer = self.writer.lock();
        writer.discard();
        self.finish_segment(&mut writer)?;
        let (ticket, next) = (writer.ticket, writer.tail.segment + 1);
        let outcome = under_lock(&mut writer);
        drop(writer);
        let mut synced = self.synced.lock();
        synced.ticket = synced.ticket.max(ticket);
        drop(synced);
        drop(turn);
        Ok((next, outcome))
    }

    /// Records without parity are as safe as the disk keeps them, so that there need not be room for it.
    fn close_group(&self, writer: &mut Writer) {
        if let Some(frames) = writer.tail.last_frames() {
            self.append_beside(writer, &frames);
        }
    }

    fn fill_page(&self, writer: &mut Writer) {
        if let Some(frames) = writer.tail.padding() {
            self.append_beside(writer, &frames);
        }
    }

    /// Adds what no commit asked for. Whether it can be is not worth an error.
    fn append_beside(&self, writer: &mut Writer, frames: &Frames) {
        if let Some(file) = writer.file.clone()
            && self.append_bytes(writer, &*file, &frames.bytes).is_ok()
        {
            writer.wrote(frames.bytes.len(), Vec::new());
        }
    }

    fn finish_segment(&self, writer: &mut Writer) -> Result<(), StorageError> {
        self.close_group(writer);
        if let Some(file) = writer.file.clone() {
            match self.fsync(&*file) {
                Ok(()) => writer.synced(writer.tail.length, writer.unsynced_records()),
                Err(error) => {
                    let segment = writer.tail.segment;
                    tracing::error!(segment, %error, "fsync of the log failed, its records are written again");
                    writer.file = None;
                }
            }
        }
        if writer.unsynced_records() > 0 {
            self.take_over(writer)?;
        }
        writer.end_segment();
        Ok(())
    }

    /// Starts a segment with all that is not known to be on disk. Only when that is synced is it trusted.
    fn take_over(&self, writer: &mut Writer) -> Result<(), StorageError> {
        let mut tail = Tail::new(writer.tail.segment + 1);
        let path = self.path(tail.segment);
        let file = self.disk.create(&path).map_err(io_error("create", &path))?;
        self.fill(&*file, &mut tail, &writer.to_take_over()).inspect_err(|_| {
            // Nothing of it was acknowledged; what cannot be removed is read as damage and does no harm.
            let _ = self.disk.remove(&path);
        })?;
        writer.go_on(tail, file.into());
        Ok(())
    }

    fn fill(&self, file: &dyn DiskFile, tail: &mut Tail, records: &[Record]) -> Result<(), StorageError> {
        if !records.is_empty() {
            let path = self.path(tail.segment);
            let bytes = tail.frames(records).bytes;
            file.append(&bytes).map_err(io_error("write", &path))?;
            self.counters.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            tail.wrote(bytes.len());
            self.fsync(file).map_err(io_error("fsync", &path))?;
        }
        self.disk.sync_dir(&self.folder).map_err(io_error("fsync", &self.folder))
    }

    /// Removes the segments before this one.
    pub(crate) fn remove_before(&self, segment: u64) -> Result<u64, StorageError> {
        let mut removed = 0;
        for old in segments(&*self.disk, &self.folder)?.iter().filter(|s| s.number < segment) {
            self.disk.remove(&old.path).map_err(io_error("remove", &old.path))?;
            self.writer.lock().sealed_lengths.remove(&old.number);
            removed += 1;
        }
        self.disk.sync_dir(&self.folder).map_err(io_error("fsync", &self.folder))?;
        Ok(removed)
    }

    /// Lengths of the segments that were found, and the number below which none may be created again.
    pub(crate) fn set_lengths(&self, lengths: BTreeMap<u64, u64>, covered: u64) {
        let mut writer = self.writer.lock();
        writer.tail.segment = writer.tail.segment.max(covered.saturating_sub(1));
        writer.sealed_lengths = lengths;
    }

    /// Bytes of all segments.
    pub(crate) fn size_bytes(&self) -> u64 {
        let writer = self.writer.lock();
        writer.tail.length + writer.sealed_lengths.values().sum::<u64>()
    }

    /// How many segments there are.
    pub(crate) fn segments(&self) -> u64 {
        let writer = self.writer.lock();
        writer.sealed_lengths.len() as u64 + u64::from(writer.tail.length > 0)
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:010}{SUFFIX}"))
    }
}
