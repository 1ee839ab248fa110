//! The end of a segment: how records become the bytes that follow.

use crate::frame::{self, HEADER_BYTES};
use crate::parity::Group;
use crate::record::{Record, kind};

/// What a disk writes at least, whatever was asked of it.
const PAGE_BYTES: u64 = 4096;

/// A sync that brings so much to the disk may leave unused what is missing from its last page.
const PADDED_BYTES_MIN: u64 = 2 * PAGE_BYTES;

/// Where the next record goes.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) segment: u64,
    pub(crate) length: u64,
    /// How much of the segment is known to be on disk.
    pub(crate) synced: u64,
    group: Group,
}

/// Bytes for the end of a segment.
pub(crate) struct Frames {
    pub(crate) bytes: Vec<u8>,
    /// Whether a group was closed.
    pub(crate) closed: bool,
}

impl Tail {
    /// The end of a new segment.
    pub(crate) fn new(segment: u64) -> Self {
        Self { segment, ..Self::default() }
    }

    /// Frames of records, with what protects them. Once they stand in the file, [`Tail::wrote`] says so; if they do not,
    /// [`Tail::failed`].
    pub(crate) fn frames(&mut self, records: &[Record]) -> Frames {
        let mut frames = Frames { bytes: Vec::new(), closed: false };
        for record in records {
            if self.group.is_too_narrow(HEADER_BYTES + record.payload.len()) {
                self.close_group(&mut frames);
            }
            self.put(&mut frames, record.kind, &record.payload);
        }
        if self.group.is_full() {
            self.close_group(&mut frames);
        }
        frames
    }

    /// The parity of the records that have none yet.
    pub(crate) fn last_frames(&mut self) -> Option<Frames> {
        let mut frames = Frames { bytes: Vec::new(), closed: false };
        let open = !self.group.is_empty();
        open.then(|| self.close_group(&mut frames)).map(|()| frames)
    }

    /// What fills the last page before a sync, so that the next one does not write it again, where less is missing from it
    /// than stands in it.
    pub(crate) fn padding(&mut self) -> Option<Frames> {
        let missing = self.length.next_multiple_of(PAGE_BYTES) - self.length;
        let pays = missing < PAGE_BYTES / 2 && self.length - self.synced >= PADDED_BYTES_MIN;
        let payload = (missing as usize).checked_sub(HEADER_BYTES).filter(|_| pays)?;
        Some(self.frames(&[Record { kind: kind::PADDING, payload: vec![0; payload] }]))
    }

    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.length += bytes as u64;
    }

    /// The records of the open group that do stand in the file go without parity.
    pub(crate) fn failed(&mut self) {
        self.group.restart(self.length);
    }

    /// The disk has the segment up to here.
    pub(crate) fn synced(&mut self, length: u64) {
        self.synced = length;
    }

    fn put(&mut self, frames: &mut Frames, kind: u8, payload: &[u8]) {
        let start = frames.bytes.len();
        frame::push(&mut frames.bytes, self.segment, self.length, kind, payload);
        self.group.add(&frames.bytes[start..]);
    }

    fn close_group(&mut self, frames: &mut Frames) {
        let payload = self.group.payload();
        frame::push(&mut frames.bytes, self.segment, self.length, kind::PARITY, &payload);
        self.group.restart(self.length + frames.bytes.len() as u64);
        frames.closed = true;
    }
}
