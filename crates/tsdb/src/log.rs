//! The write-ahead log: numbered segments of checked frames.
//!
//! Within a segment a series number means one label set and one base value, said by a definition before its first
//! use and once more a little later, so that a damaged record loses only itself. A segment therefore needs no other
//! one, and is removed as a whole when a block holds its samples.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::StorageError;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::io as io_error;
use crate::frame::{self, PAYLOAD_BYTES_MAX, Scanned, Scanner};
use crate::record::{Definition, Record, encode_definitions, kind};
use crate::{Disk, DiskFile};

/// A longer segment is followed by a new one. Each repeats the definitions that it needs, so short ones waste bytes;
/// long ones are freed late.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// Records that the disk has not confirmed stay in memory to be written again if it refuses; past this the log is
/// synced early.
pub(crate) const UNSYNCED_BYTES_MAX: usize = 1 << 20;

const SUFFIX: &str = ".log";

/// Tells which series a segment has defined, for the segment that takes its place.
pub(crate) trait Defined {
    /// Definitions made in this segment.
    fn defined_in(&self, segment: u64) -> Vec<Definition>;
}

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

/// The state behind the one lock that orders commits.
pub(crate) struct Writer {
    segment: u64,
    /// `None` when the segment cannot be trusted: a new one must take over what is not synced.
    file: Option<Arc<dyn DiskFile>>,
    length: u64,
    /// Grows with each thing that makes earlier definitions doubtful, so that series define themselves again.
    epoch: u32,
    unsynced: Vec<Record>,
    unsynced_bytes: usize,
    /// Definitions to be said a second time.
    copies: Vec<Record>,
    /// Counts appends; what `wait` waits for.
    ticket: u64,
    sealed_lengths: BTreeMap<u64, u64>,
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

/// Runs through a segment and returns its length. It is synced, because what it says becomes visible again.
pub(crate) fn replay(disk: &dyn Disk, segment: &Segment, mut each: impl FnMut(Scanned)) -> Result<u64, StorageError> {
    let file = disk.open(&segment.path).map_err(io_error("open", &segment.path))?;
    let mut read = || -> io::Result<u64> {
        let mut scanner = Scanner::new(&*file, segment.number)?;
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
        let writer = Writer {
            segment,
            file: None,
            length: 0,
            epoch: 1,
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            copies: Vec::new(),
            ticket: 0,
            sealed_lengths: found,
        };
        Self {
            disk,
            folder,
            writer: Mutex::new(writer),
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
    pub(crate) fn make_room(&self, defined: &dyn Defined) -> Result<(), StorageError> {
        if self.writer.lock().length < SEGMENT_BYTES_MAX {
            return Ok(());
        }
        self.rotate(defined, |_| ()).map(|_| ())
    }

    /// Makes sure that there is a trusted segment. To be called before records are encoded, because a new segment
    /// wants its series defined again.
    pub(crate) fn prepare(&self, writer: &mut Writer, defined: &dyn Defined) -> Result<(), StorageError> {
        if writer.file.is_none() { self.take_over(writer, defined) } else { Ok(()) }
    }

    /// Adds records with one write. After an error nothing was added, and series must be defined again.
    pub(crate) fn append(&self, writer: &mut Writer, records: Vec<Record>) -> Result<u64, StorageError> {
        let Some(file) = writer.file.clone() else { return Err(StorageError::Closed) };
        if let Some(large) = records.iter().find(|r| r.payload.len() > PAYLOAD_BYTES_MAX) {
            writer.epoch += 1;
            let (size, most) = (large.payload.len(), PAYLOAD_BYTES_MAX);
            return Err(StorageError::Limit(format!("a batch takes {size} bytes of log, more than {most}: split it")));
        }
        let mut all = writer.copies.clone();
        all.extend(records);
        let bytes = framed(&all, writer.segment, writer.length);
        if let Err(error) = file.append(&bytes) {
            self.counters.write_failures.fetch_add(1, Ordering::Relaxed);
            writer.take_back(&*file);
            return Err(io_error("write", &self.path(writer.segment))(error));
        }
        self.counters.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let copied = writer.copies.len();
        writer.copies = all[copied..].iter().filter(|r| r.kind == kind::DEFINITIONS).cloned().collect();
        writer.length += bytes.len() as u64;
        writer.keep(all);
        writer.ticket += 1;
        Ok(writer.ticket)
    }

    /// Waits until the append of this ticket is on disk. Those who wait share one fsync.
    pub(crate) fn wait(&self, ticket: u64, defined: &dyn Defined) -> Result<(), StorageError> {
        let mut synced = self.synced.lock();
        while synced.ticket < ticket {
            if synced.busy {
                self.turn.wait(&mut synced);
                continue;
            }
            synced.busy = true;
            drop(synced);
            let turn = Turn(self);
            let reached = self.sync_now(defined)?;
            self.synced.lock().ticket = reached;
            drop(turn);
            synced = self.synced.lock();
        }
        Ok(())
    }

    /// Brings all that was appended to the disk.
    pub(crate) fn sync(&self, defined: &dyn Defined) -> Result<(), StorageError> {
        let ticket = self.writer.lock().ticket;
        self.wait(ticket, defined)
    }

    fn sync_now(&self, defined: &dyn Defined) -> Result<u64, StorageError> {
        let mut writer = self.writer.lock();
        let Some(file) = writer.file.clone() else {
            self.take_over(&mut writer, defined)?;
            return Ok(writer.ticket);
        };
        let (segment, ticket, records) = (writer.segment, writer.ticket, writer.unsynced.len());
        drop(writer);
        let outcome = self.fsync(&*file);
        let mut writer = self.writer.lock();
        if writer.segment != segment || writer.file.is_none() {
            // A commit found the segment dead meanwhile; what takes its place holds all of it and is synced.
            self.prepare(&mut writer, defined)?;
            return Ok(ticket);
        }
        match outcome {
            Ok(()) => writer.forget(records),
            Err(error) => {
                tracing::error!(segment, %error, "fsync of the log failed, its records are written again to a new segment");
                writer.file = None;
                self.take_over(&mut writer, defined)?;
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
    pub(crate) fn rotate<T>(
        &self,
        defined: &dyn Defined,
        under_lock: impl FnOnce(&mut Writer) -> T,
    ) -> Result<(u64, T), StorageError> {
        let turn = self.turn();
        let mut writer = self.writer.lock();
        self.say_copies(&mut writer);
        self.finish_segment(&mut writer, defined)?;
        let (ticket, next) = (writer.ticket, writer.segment + 1);
        let outcome = under_lock(&mut writer);
        drop(writer);
        let mut synced = self.synced.lock();
        synced.ticket = synced.ticket.max(ticket);
        drop(synced);
        drop(turn);
        Ok((next, outcome))
    }

    /// The last definitions of a segment are said twice too; without room for that they are as safe as other records.
    fn say_copies(&self, writer: &mut Writer) {
        if !writer.copies.is_empty() && self.append(writer, Vec::new()).is_err() {
            writer.copies.clear();
        }
    }

    fn finish_segment(&self, writer: &mut Writer, defined: &dyn Defined) -> Result<(), StorageError> {
        if let Some(file) = writer.file.clone() {
            match self.fsync(&*file) {
                Ok(()) => writer.forget(writer.unsynced.len()),
                Err(error) => {
                    tracing::error!(segment = writer.segment, %error, "fsync of the log failed, its records are written again");
                    writer.file = None;
                }
            }
        }
        if !writer.unsynced.is_empty() {
            self.take_over(writer, defined)?;
        }
        if writer.length > 0 {
            writer.sealed_lengths.insert(writer.segment, writer.length);
        }
        (writer.file, writer.length) = (None, 0);
        writer.copies.clear();
        writer.epoch += 1;
        Ok(())
    }

    /// Starts a segment with all that is not known to be on disk. Only when that is synced is it trusted.
    fn take_over(&self, writer: &mut Writer, defined: &dyn Defined) -> Result<(), StorageError> {
        let number = writer.segment + 1;
        let path = self.path(number);
        let file = self.disk.create(&path).map_err(io_error("create", &path))?;
        let length = self.fill(&*file, writer, number, defined).inspect_err(|_| {
            // Nothing of it was acknowledged; what cannot be removed is read as damage and does no harm.
            let _ = self.disk.remove(&path);
        })?;
        if writer.length > 0 {
            writer.sealed_lengths.insert(writer.segment, writer.length);
        }
        (writer.segment, writer.length, writer.file) = (number, length, Some(file.into()));
        writer.epoch += 1;
        writer.copies.clear();
        writer.forget(writer.unsynced.len());
        Ok(())
    }

    fn fill(
        &self,
        file: &dyn DiskFile,
        writer: &Writer,
        number: u64,
        defined: &dyn Defined,
    ) -> Result<u64, StorageError> {
        let path = self.path(number);
        let mut length = 0;
        if !writer.unsynced.is_empty() {
            let definitions = defined.defined_in(writer.segment);
            let mut records = encode_definitions(&definitions);
            records.extend(writer.unsynced.iter().cloned());
            let bytes = framed(&records, number, 0);
            file.append(&bytes).map_err(io_error("write", &path))?;
            self.counters.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            length = bytes.len() as u64;
            self.fsync(file).map_err(io_error("fsync", &path))?;
        }
        self.disk.sync_dir(&self.folder).map_err(io_error("fsync", &self.folder))?;
        Ok(length)
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
        writer.segment = writer.segment.max(covered.saturating_sub(1));
        writer.sealed_lengths = lengths;
    }

    /// Bytes of all segments.
    pub(crate) fn size_bytes(&self) -> u64 {
        let writer = self.writer.lock();
        writer.length + writer.sealed_lengths.values().sum::<u64>()
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:010}{SUFFIX}"))
    }
}

impl Writer {
    /// The segment that the next append goes to.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    /// A series that was not defined in this epoch has to be defined before its next sample.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The last append; waiting for it waits for all.
    pub(crate) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Bytes that only memory and the kernel are known to hold.
    pub(crate) fn unsynced_bytes(&self) -> usize {
        self.unsynced_bytes
    }

    /// After a failed append: cuts the file to what it was, or gives it up.
    fn take_back(&mut self, file: &dyn DiskFile) {
        self.epoch += 1;
        if file.truncate(self.length).is_err() {
            self.file = None;
        }
    }

    fn keep(&mut self, records: Vec<Record>) {
        self.unsynced_bytes += records.iter().map(|r| r.payload.len()).sum::<usize>();
        self.unsynced.extend(records);
    }

    fn forget(&mut self, records: usize) {
        self.unsynced.drain(..records);
        self.unsynced_bytes = self.unsynced.iter().map(|r| r.payload.len()).sum();
    }
}

fn framed(records: &[Record], segment: u64, start: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        frame::push(&mut bytes, segment, start, record.kind, &record.payload);
    }
    bytes
}
