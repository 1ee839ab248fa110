//! The state behind the one lock that orders commits: what a commit adds, and how it becomes bytes of a segment.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Exemplar, Labels, Metadata, Sample};

use crate::DiskFile;
use crate::chain::Chain;
use crate::frame::HEADER_BYTES;
use crate::pack::{BatchEncoder, RECORD_SAMPLES_MAX};
use crate::parity::STRIDE_MAX;
use crate::record::{
    DefinitionEncoder, RECORD_EXEMPLARS_MAX, RECORD_FAMILIES_MAX, Record, encode_continuation, encode_exemplars,
    encode_metadata, kind,
};
use crate::tail::Tail;

/// Every so many bytes each series is written in full again, so that what a lost record took with it has an end.
const EPOCH_BYTES: u64 = 4 << 20;

/// Nothing is told from a record that parity would not bring back, so that it loses only itself.
const ALONE_BYTES_MIN: usize = STRIDE_MAX - HEADER_BYTES;

/// What the log knows of a series: its number in the segment, and what its next value is told from. By default it knows
/// nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Logged {
    number: u32,
    chain: Chain,
}

/// What a commit adds until it is appended.
#[derive(Default)]
struct Pending {
    definitions: DefinitionEncoder,
    metadata: Vec<(String, Metadata)>,
    exemplars: Vec<(u32, Exemplar)>,
    batch: BatchEncoder,
    /// Records of a commit that is larger than one record of samples may be.
    complete: Vec<Record>,
}

/// The right to commit.
pub(crate) struct Writer {
    /// `None` when the segment cannot be trusted: a new one must take over what is not synced.
    pub(crate) file: Option<Arc<dyn DiskFile>>,
    pub(crate) tail: Tail,
    /// Grows with each thing that makes states of series doubtful, so that values are written in full again.
    epoch: u32,
    /// The first epoch of this segment: a series that was defined in an earlier one has to be defined again.
    defined_since: u32,
    epoch_began_at: u64,
    /// The number of the next series that is defined. It outlives what makes states doubtful, and begins again with a
    /// segment that needs no other one.
    next_number: u32,
    pending: Pending,
    /// Definitions of the open group. They are said a second time in the next one, because most is lost with them.
    definitions: Vec<Record>,
    copies: Vec<Record>,
    unsynced: Vec<Record>,
    unsynced_bytes: usize,
    /// Counts appends; what `Log::wait` waits for.
    pub(crate) ticket: u64,
    /// Bytes of the segments before this one.
    pub(crate) sealed_lengths: BTreeMap<u64, u64>,
}

impl Writer {
    /// A writer whose first segment is the one after this.
    pub(crate) fn new(segment: u64, sealed_lengths: BTreeMap<u64, u64>) -> Self {
        Self {
            file: None,
            tail: Tail::new(segment),
            epoch: 1,
            defined_since: 1,
            epoch_began_at: 0,
            next_number: 0,
            pending: Pending::default(),
            definitions: Vec::new(),
            copies: Vec::new(),
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            ticket: 0,
            sealed_lengths,
        }
    }

    /// Adds samples of a series to the commit. A reader gets them in the order in which they were added. The labels are
    /// asked for where the segment does not have them yet.
    pub(crate) fn add(&mut self, labels: impl FnOnce() -> Labels, logged: &mut Logged, samples: &[Sample]) {
        self.define(labels, logged);
        for some in samples.chunks(RECORD_SAMPLES_MAX) {
            if self.pending.batch.samples() + some.len() > RECORD_SAMPLES_MAX {
                self.pending.end_batch(self.epoch);
            }
            self.pending.batch.add(logged.number, self.epoch, &mut logged.chain, some);
        }
    }

    /// Adds an exemplar of a series to the commit.
    pub(crate) fn add_exemplar(&mut self, labels: impl FnOnce() -> Labels, logged: &mut Logged, exemplar: &Exemplar) {
        self.define(labels, logged);
        self.pending.exemplars.push((logged.number, exemplar.clone()));
    }

    /// Adds the metadata of a family to the commit.
    pub(crate) fn add_metadata(&mut self, family: &str, metadata: &Metadata) {
        self.pending.metadata.push((family.to_owned(), metadata.clone()));
    }

    /// Numbers follow each other in the order in which a commit names its series, so that the next one, which names them
    /// in the same order, says no number but the first.
    fn define(&mut self, labels: impl FnOnce() -> Labels, logged: &mut Logged) {
        if logged.chain.epoch < self.defined_since {
            *logged = Logged { number: self.next_number, chain: Chain::defined(self.epoch) };
            self.next_number += 1;
            self.pending.definitions.add(logged.number, &labels());
        }
    }

    /// Forgets what a commit added that was never appended.
    pub(crate) fn discard(&mut self) {
        if !self.pending.is_empty() {
            self.pending.clear();
            self.doubt();
        }
    }

    /// The states of series are no longer those of the segment: all is defined and written in full again.
    pub(crate) fn doubt(&mut self) {
        self.epoch += 1;
        self.defined_since = self.epoch;
        self.epoch_began_at = self.tail.length;
        self.definitions.clear();
        self.copies.clear();
    }

    /// What the commit added, as records; nothing if it added nothing.
    pub(crate) fn take_records(&mut self) -> Vec<Record> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        let added = self.pending.take(self.epoch);
        let mut records = std::mem::take(&mut self.copies);
        self.definitions.extend(added.iter().filter(|r| r.kind == kind::DEFINITIONS).cloned());
        records.extend(added);
        records
    }

    /// Frames for records of this commit.
    pub(crate) fn frames(&mut self, records: &[Record]) -> Vec<u8> {
        let frames = self.tail.frames(records);
        if frames.closed {
            self.copies.append(&mut self.definitions);
        }
        frames.bytes
    }

    /// The frames stand in the file.
    pub(crate) fn wrote(&mut self, bytes: usize, records: Vec<Record>) {
        self.tail.wrote(bytes);
        let is_alone = records.iter().any(|r| r.payload.len() > ALONE_BYTES_MIN);
        if is_alone || self.tail.length - self.epoch_began_at >= EPOCH_BYTES {
            (self.epoch, self.epoch_began_at) = (self.epoch + 1, self.tail.length);
        }
        self.unsynced_bytes += records.iter().map(|r| r.payload.len()).sum::<usize>();
        self.unsynced.extend(records);
        self.ticket += 1;
    }

    /// The frames do not stand in the file: cuts it to what it was, or gives it up.
    pub(crate) fn take_back(&mut self, file: &dyn DiskFile) {
        self.tail.failed();
        self.doubt();
        if file.truncate(self.tail.length).is_err() {
            self.file = None;
        }
    }

    /// The disk confirmed the segment up to this length, with so many of the records that it had not confirmed.
    pub(crate) fn synced(&mut self, length: u64, records: usize) {
        self.tail.synced(length);
        self.unsynced.drain(..records);
        self.unsynced_bytes = self.unsynced.iter().map(|r| r.payload.len()).sum();
    }

    /// What a segment has to begin with that takes the place of this one. Its records are told from those that are known
    /// to be on disk; that this is so is said twice, because all the others depend on it.
    pub(crate) fn to_take_over(&self) -> Vec<Record> {
        if self.unsynced.is_empty() {
            return Vec::new();
        }
        let continuation = encode_continuation(self.tail.segment, self.tail.synced);
        let mut records = vec![continuation.clone(), continuation];
        records.extend(self.unsynced.iter().cloned());
        records
    }

    /// Goes on in a segment that holds all that the disk has not confirmed, and is on disk as far as it goes.
    pub(crate) fn go_on(&mut self, mut tail: Tail, file: Arc<dyn DiskFile>) {
        tail.synced(tail.length);
        let next_number = self.next_number;
        self.end_segment();
        (self.tail, self.file, self.next_number) = (tail, Some(file), next_number);
        self.doubt();
        self.unsynced.clear();
        self.unsynced_bytes = 0;
    }

    /// Nothing is added to this segment any more.
    pub(crate) fn end_segment(&mut self) {
        if self.tail.length > 0 {
            self.sealed_lengths.insert(self.tail.segment, self.tail.length);
        }
        self.file = None;
        self.tail = Tail::new(self.tail.segment);
        self.next_number = 0;
        self.doubt();
    }

    /// The last append; waiting for it waits for all.
    pub(crate) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Bytes that only memory and the kernel are known to hold.
    pub(crate) fn unsynced_bytes(&self) -> usize {
        self.unsynced_bytes
    }

    /// Records that only memory and the kernel are known to hold.
    pub(crate) fn unsynced_records(&self) -> usize {
        self.unsynced.len()
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        let Self { definitions, metadata, exemplars, batch, complete } = self;
        definitions.is_empty()
            && metadata.is_empty()
            && exemplars.is_empty()
            && batch.samples() == 0
            && complete.is_empty()
    }

    /// Ends the record of samples; the definitions that it needs come before it.
    fn end_batch(&mut self, epoch: u32) {
        self.complete.extend(self.definitions.finish());
        if self.batch.samples() > 0 {
            self.complete.push(Record { kind: kind::BATCH, payload: self.batch.finish(epoch) });
        }
    }

    /// All records, the samples last.
    fn take(&mut self, epoch: u32) -> Vec<Record> {
        self.complete.extend(self.definitions.finish());
        let metadata = std::mem::take(&mut self.metadata);
        for some in metadata.chunks(RECORD_FAMILIES_MAX) {
            self.complete.push(encode_metadata(some.iter().map(|(family, metadata)| (family.as_str(), metadata))));
        }
        let exemplars = std::mem::take(&mut self.exemplars);
        self.complete.extend(exemplars.chunks(RECORD_EXEMPLARS_MAX).map(encode_exemplars));
        self.end_batch(epoch);
        std::mem::take(&mut self.complete)
    }

    fn clear(&mut self) {
        self.definitions.clear();
        self.metadata.clear();
        self.exemplars.clear();
        self.batch.clear();
        self.complete.clear();
    }
}
