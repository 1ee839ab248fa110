//! The log, brought back into the head.

use std::collections::BTreeMap;

use model::{Sample, StorageError};

use crate::chain::Chain;
use crate::db::{Db, Recovery};
use crate::frame::Scanned;
use crate::head::Run;
use crate::log::{self, Segment};
use crate::pack::{BatchDecoder, Chains, Unreadable};
use crate::record::{decode_definitions, decode_exemplars, decode_metadata, kind};
use crate::series::{ById, Slot};

/// What is known of the series of a segment.
#[derive(Default)]
struct Known {
    all: Vec<One>,
    /// Places in `all`.
    by_number: ById<u32>,
    /// The place that was asked for last: a record names series mostly in the order in which they were defined.
    last: usize,
}

struct One {
    number: u32,
    chain: Chain,
    /// `None` where the definition was lost.
    series: Option<Slot>,
}

impl Known {
    fn get(&self, number: u32) -> Option<&One> {
        self.by_number.get(&number).and_then(|&at| self.all.get(at as usize))
    }

    /// The entry of a series, made if there is none.
    fn entry(&mut self, number: u32) -> &mut One {
        let next = self.last + 1;
        if self.all.get(next).is_some_and(|one| one.number == number) {
            self.last = next;
        } else {
            let all = &mut self.all;
            let at = *self.by_number.entry(number).or_insert_with(|| {
                all.push(One { number, chain: Chain::default(), series: None });
                (all.len() - 1) as u32
            });
            self.last = at as usize;
        }
        &mut self.all[self.last]
    }
}

impl Chains for Known {
    fn chain(&mut self, series: u32) -> &mut Chain {
        &mut self.entry(series).chain
    }
}

/// Brings segments back, one after the other.
pub(crate) struct Replay<'a> {
    db: &'a Db,
    known: Known,
    decoder: BatchDecoder,
    found: Recovery,
}

/// What was found, and the length of each segment.
pub(crate) fn replay(db: &Db, segments: &[Segment]) -> Result<(Recovery, BTreeMap<u64, u64>), StorageError> {
    let (known, decoder, found) = (Known::default(), BatchDecoder::default(), Recovery::default());
    let mut replay = Replay { db, known, decoder, found };
    let mut lengths = BTreeMap::new();
    let mut continued = None;
    for (at, segment) in segments.iter().enumerate() {
        let own = |(number, _): &(u64, u64)| *number == segment.number;
        let next = segments.get(at + 1).map(|next| log::continues(db.disk(), next)).transpose()?.flatten();
        let limit = next.filter(own).map_or(u64::MAX, |(_, offset)| offset);
        if continued != Some(segment.number) {
            replay.known = Known::default();
        }
        lengths.insert(segment.number, replay.segment(segment, limit)?);
        continued = (limit < u64::MAX).then(|| segments.get(at + 1).map(|next| next.number)).flatten();
    }
    Ok((replay.found, lengths))
}

impl Replay<'_> {
    fn segment(&mut self, segment: &Segment, limit: u64) -> Result<u64, StorageError> {
        self.found.segments += 1;
        let path = segment.path.display();
        log::replay(self.db.disk(), segment, limit, |scanned| match scanned {
            Scanned::Frame { kind, payload } => {
                if self.record(kind, &payload).is_none() {
                    self.found.damaged_records += 1;
                    self.found.damaged_bytes += payload.len() as u64;
                }
            }
            Scanned::Rebuilt { offset, bytes } => {
                tracing::warn!(%path, offset, bytes, "bytes of the log were unreadable and are rebuilt from their parity");
                self.found.rebuilt_records += 1;
            }
            Scanned::Damaged { offset, bytes, at_end } => {
                tracing::warn!(%path, offset, bytes, at_end, "bytes of the log are unreadable");
                self.found.damaged_records += 1;
                self.found.damaged_bytes += bytes;
            }
        })
    }

    /// `None` if the payload does not decode although its checksum holds.
    fn record(&mut self, kind: u8, payload: &[u8]) -> Option<()> {
        match kind {
            kind::DEFINITIONS => self.definitions(payload)?,
            kind::BATCH => self.batch(payload)?,
            kind::METADATA => {
                for (family, metadata) in decode_metadata(payload).ok()? {
                    self.db.families.set(family, metadata);
                }
            }
            kind::EXEMPLARS => {
                for (number, exemplar) in decode_exemplars(payload).ok()? {
                    if let Some(series) = self.known.get(number).and_then(|one| one.series) {
                        self.db.exemplars.replay(self.db.head.labels(series), exemplar);
                    }
                }
            }
            kind::PARITY | kind::PADDING | kind::CONTINUATION => {}
            _ => return None,
        }
        Some(())
    }

    fn definitions(&mut self, payload: &[u8]) -> Option<()> {
        for definition in decode_definitions(payload).ok()? {
            let series = self.db.head.restore(&definition.labels).ok()?;
            self.known.entry(definition.id).series = Some(series);
        }
        Some(())
    }

    fn batch(&mut self, payload: &[u8]) -> Option<()> {
        match self.decoder.read(payload, &mut self.known) {
            Ok(()) => {}
            Err(Unreadable::Damaged) => return None,
            Err(Unreadable::Unfounded(samples)) => self.found.lost_samples += samples,
        }
        let (mut runs, mut samples) = (Vec::new(), Vec::new());
        for (number, times, values) in self.decoder.runs() {
            let Some(slot) = self.known.entry(number).series else {
                self.found.lost_samples += times.len() as u64;
                continue;
            };
            runs.push(Run { slot, count: times.len() as u32 });
            samples.extend(times.iter().zip(values).map(|(&timestamp, &value)| Sample { timestamp, value }));
        }
        self.found.samples += self.db.head.replay(&runs, &samples);
        Some(())
    }
}
