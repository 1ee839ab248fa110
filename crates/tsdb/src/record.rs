//! What the payloads of log frames say.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use model::{Exemplar, Labels, Metadata, MetricKind};

use crate::bytes::{Damage, Reader, put_bytes, put_int, put_uint};

/// Kinds of log frames.
pub(crate) mod kind {
    pub(crate) const DEFINITIONS: u8 = 1;
    pub(crate) const BATCH: u8 = 2;
    pub(crate) const METADATA: u8 = 3;
    pub(crate) const EXEMPLARS: u8 = 4;
    pub(crate) const PARITY: u8 = 5;
    pub(crate) const PADDING: u8 = 6;
    pub(crate) const CONTINUATION: u8 = 7;
}

/// A payload and its kind, ready to be framed.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

/// Binds a number to a label set for the rest of the segment.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) id: u32,
    pub(crate) labels: Labels,
}

/// Label sets in one record, before they are compressed. Each may take 64 KiB, so their number alone would not keep a
/// record below the limit of a frame; damage that cannot be rebuilt costs no more than this.
const DEFINITIONS_BYTES_MAX: usize = 128 << 10;

/// More than a record of definitions can have: the limit and one label set. Whoever reads stops here.
const DEFINITIONS_BYTES_READ: u64 = 256 << 10;

/// Families in one record; each takes up to 16 KiB, so that the record is below the limit of a frame.
pub(crate) const RECORD_FAMILIES_MAX: usize = 1_000;

/// Exemplars in one record; each has up to 128 characters of labels.
pub(crate) const RECORD_EXEMPLARS_MAX: usize = 10_000;

/// Collects definitions. Label sets repeat each other in most of their bytes, and not only in the first ones, so that
/// each record is compressed.
#[derive(Debug, Default)]
pub(crate) struct DefinitionEncoder {
    plain: Vec<u8>,
    last_id: u32,
    records: Vec<Record>,
}

impl DefinitionEncoder {
    pub(crate) fn add(&mut self, id: u32, labels: &Labels) {
        let packed = labels.as_packed();
        if !self.plain.is_empty() && self.plain.len() + packed.len() > DEFINITIONS_BYTES_MAX {
            self.end_record();
        }
        put_int(&mut self.plain, i64::from(id) - i64::from(self.last_id));
        put_bytes(&mut self.plain, packed.as_bytes());
        self.last_id = id;
    }

    fn end_record(&mut self) {
        self.records.push(Record { kind: kind::DEFINITIONS, payload: compress(&self.plain) });
        self.plain.clear();
        self.last_id = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.records.is_empty()
    }

    /// Records of what was added, in as many as they need.
    pub(crate) fn finish(&mut self) -> Vec<Record> {
        if !self.plain.is_empty() {
            self.end_record();
        }
        std::mem::take(&mut self.records)
    }

    pub(crate) fn clear(&mut self) {
        self.plain.clear();
        self.records.clear();
        self.last_id = 0;
    }
}

fn compress(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail; were it to, the record would not decode, and the batch be counted as lost.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}

fn decompress(compressed: &[u8]) -> Result<Vec<u8>, Damage> {
    let mut plain = Vec::new();
    let read = DeflateDecoder::new(compressed).take(DEFINITIONS_BYTES_READ).read_to_end(&mut plain);
    read.map_err(|_| Damage("compressed bytes do not decode"))?;
    Ok(plain)
}

pub(crate) fn decode_definitions(payload: &[u8]) -> Result<Vec<Definition>, Damage> {
    let plain = decompress(payload)?;
    let mut reader = Reader(&plain);
    let mut definitions = Vec::new();
    let mut last_id = 0i64;
    while !reader.is_empty() {
        last_id = last_id.wrapping_add(reader.int()?);
        let id = u32::try_from(last_id).map_err(|_| Damage("a series number is out of range"))?;
        let labels = Labels::from_packed(reader.text()?).ok_or(Damage("a label set does not decode"))?;
        definitions.push(Definition { id, labels });
    }
    Ok(definitions)
}

/// A segment that goes on where another one stopped being trusted: its records are told from those that stand in the
/// other one before this offset.
pub(crate) fn encode_continuation(segment: u64, offset: u64) -> Record {
    let mut out = Vec::new();
    put_uint(&mut out, segment);
    put_uint(&mut out, offset);
    Record { kind: kind::CONTINUATION, payload: out }
}

pub(crate) fn decode_continuation(payload: &[u8]) -> Result<(u64, u64), Damage> {
    let mut reader = Reader(payload);
    Ok((reader.uint()?, reader.uint()?))
}

/// Kinds of families by their number in the format; the place in the list is the number.
const KINDS: [MetricKind; 8] = [
    MetricKind::Unknown,
    MetricKind::Counter,
    MetricKind::Gauge,
    MetricKind::Histogram,
    MetricKind::GaugeHistogram,
    MetricKind::Summary,
    MetricKind::Info,
    MetricKind::StateSet,
];

pub(crate) fn encode_metadata<'a>(families: impl ExactSizeIterator<Item = (&'a str, &'a Metadata)>) -> Record {
    let mut out = Vec::new();
    put_uint(&mut out, families.len() as u64);
    for (family, metadata) in families {
        put_bytes(&mut out, family.as_bytes());
        out.push(KINDS.iter().position(|&k| k == metadata.kind).unwrap_or_default() as u8);
        put_bytes(&mut out, metadata.help.as_bytes());
        put_bytes(&mut out, metadata.unit.as_bytes());
    }
    Record { kind: kind::METADATA, payload: out }
}

pub(crate) fn decode_metadata(payload: &[u8]) -> Result<Vec<(String, Metadata)>, Damage> {
    let mut reader = Reader(payload);
    let count = reader.count()?;
    let mut families = Vec::with_capacity(count);
    for _ in 0..count {
        let family = reader.text()?.to_owned();
        let kind = *KINDS.get(usize::from(reader.byte()?)).ok_or(Damage("unknown kind of family"))?;
        let (help, unit) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        families.push((family, Metadata { kind, help, unit }));
    }
    Ok(families)
}

pub(crate) fn encode_exemplars(exemplars: &[(u32, Exemplar)]) -> Record {
    let mut out = Vec::new();
    put_uint(&mut out, exemplars.len() as u64);
    for (id, exemplar) in exemplars {
        put_uint(&mut out, u64::from(*id));
        put_bytes(&mut out, exemplar.labels.as_packed().as_bytes());
        put_uint(&mut out, exemplar.value.to_bits().reverse_bits());
        out.push(u8::from(exemplar.timestamp.is_some()));
        put_int(&mut out, exemplar.timestamp.unwrap_or_default());
    }
    Record { kind: kind::EXEMPLARS, payload: out }
}

pub(crate) fn decode_exemplars(payload: &[u8]) -> Result<Vec<(u32, Exemplar)>, Damage> {
    let mut reader = Reader(payload);
    let count = reader.count()?;
    let mut exemplars = Vec::with_capacity(count);
    for _ in 0..count {
        let id = reader.u32()?;
        let labels = Labels::from_packed(reader.text()?).ok_or(Damage("a label set does not decode"))?;
        let value = f64::from_bits(reader.uint()?.reverse_bits());
        let known = reader.byte()? != 0;
        let timestamp = reader.int()?;
        exemplars.push((id, Exemplar { labels, value, timestamp: known.then_some(timestamp) }));
    }
    Ok(exemplars)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoders_refuse_or_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_definitions(&bytes);
            let _ = decode_metadata(&bytes);
            let _ = decode_exemplars(&bytes);
            let _ = decode_continuation(&bytes);
        }

        #[test]
        fn definitions_round_trip(sets in prop::collection::vec(prop::collection::btree_map("[a-zé]{1,3}", ".{1,5}", 1..4), 0..10)) {
            let mut encoder = DefinitionEncoder::default();
            let mut definitions = Vec::new();
            for (pairs, id) in sets.iter().zip(7u32..) {
                let definition = Definition { id: id * 13 % 17, labels: Labels::from_pairs(pairs) };
                encoder.add(definition.id, &definition.labels);
                definitions.push(definition);
            }
            let records = encoder.finish();
            let back: Vec<_> = records.iter().flat_map(|r| decode_definitions(&r.payload).unwrap()).collect();
            prop_assert_eq!(format!("{back:?}"), format!("{definitions:?}"));
        }
    }
}
