//! What the payloads of log frames say.

use model::{Exemplar, Labels, Metadata, MetricKind, Sample, Timestamp};

use crate::bytes::{Damage, Reader, put_bytes, put_int, put_uint};
use crate::decimal;

/// Kinds of log frames.
pub(crate) mod kind {
    pub(crate) const DEFINITIONS: u8 = 1;
    pub(crate) const BATCH: u8 = 2;
    pub(crate) const METADATA: u8 = 3;
    pub(crate) const EXEMPLARS: u8 = 4;
}

/// A payload and its kind, ready to be framed.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

/// Binds a number to a label set for the rest of the segment, and gives the value that samples are compared with.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) id: u32,
    pub(crate) base: f64,
    pub(crate) labels: Labels,
}

/// A sample on its way to the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u32,
    pub(crate) base: f64,
    pub(crate) sample: Sample,
}

/// Label sets in one record. Each may take 64 KiB, so their number alone would not keep a record below the limit of a
/// frame; damage costs no more than this.
const DEFINITIONS_BYTES_MAX: usize = 256 << 10;

/// Families in one record; each takes up to 16 KiB, so that the record is below the limit of a frame.
pub(crate) const RECORD_FAMILIES_MAX: usize = 1_000;

/// Exemplars in one record; each has up to 128 characters of labels.
pub(crate) const RECORD_EXEMPLARS_MAX: usize = 10_000;

/// Definitions in as many records as they need.
pub(crate) fn encode_definitions(mut definitions: &[Definition]) -> Vec<Record> {
    let mut records = Vec::new();
    while !definitions.is_empty() {
        let mut bytes = 0;
        let fits = |definition: &&Definition| {
            bytes += definition.labels.as_packed().len();
            bytes <= DEFINITIONS_BYTES_MAX
        };
        let (some, rest) = definitions.split_at(definitions.iter().take_while(fits).count().max(1));
        records.push(encode_some_definitions(some));
        definitions = rest;
    }
    records
}

fn encode_some_definitions(definitions: &[Definition]) -> Record {
    let mut out = Vec::new();
    put_uint(&mut out, definitions.len() as u64);
    let (mut last_id, mut last_text) = (0, "");
    for definition in definitions {
        let text = definition.labels.as_packed();
        let shared = shared_prefix(last_text.as_bytes(), text.as_bytes());
        put_int(&mut out, i64::from(definition.id) - last_id);
        put_uint(&mut out, definition.base.to_bits().reverse_bits());
        put_uint(&mut out, shared as u64);
        put_bytes(&mut out, &text.as_bytes()[shared..]);
        (last_id, last_text) = (i64::from(definition.id), text);
    }
    Record { kind: kind::DEFINITIONS, payload: out }
}

pub(crate) fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

pub(crate) fn decode_definitions(payload: &[u8]) -> Result<Vec<Definition>, Damage> {
    let mut reader = Reader(payload);
    let count = reader.count()?;
    let mut definitions = Vec::with_capacity(count);
    let (mut last_id, mut text) = (0i64, Vec::new());
    for _ in 0..count {
        last_id = last_id.wrapping_add(reader.int()?);
        let base = f64::from_bits(reader.uint()?.reverse_bits());
        text.truncate(reader.u32()? as usize);
        text.extend_from_slice(reader.bytes()?);
        let labels = std::str::from_utf8(&text).ok().and_then(Labels::from_packed);
        let labels = labels.ok_or(Damage("a label set does not decode"))?;
        let id = u32::try_from(last_id).map_err(|_| Damage("a series number is out of range"))?;
        definitions.push(Definition { id, base, labels });
    }
    Ok(definitions)
}

/// How a value of a batch is written; two bits each.
mod control {
    pub(crate) const BASE: u8 = 0;
    pub(crate) const DELTA: u8 = 1;
    pub(crate) const DECIMAL: u8 = 2;
    pub(crate) const RAW: u8 = 3;
}

/// One batch: runs of series numbers, one timestamp or one each, two control bits a sample, then the values.
pub(crate) fn encode_batch(entries: &[Entry]) -> Record {
    let mut out = Vec::with_capacity(16 + entries.len() * 4);
    put_uint(&mut out, entries.len() as u64);
    put_runs(&mut out, entries);
    put_times(&mut out, entries);
    let controls = out.len();
    out.resize(controls + entries.len().div_ceil(4), 0);
    for (i, entry) in entries.iter().enumerate() {
        let control = put_value(&mut out, entry.sample.value, entry.base);
        out[controls + i / 4] |= control << (i % 4 * 2);
    }
    Record { kind: kind::BATCH, payload: out }
}

fn put_runs(out: &mut Vec<u8>, entries: &[Entry]) {
    let mut next = 0i64;
    for run in entries.chunk_by(|a, b| a.id.checked_add(1) == Some(b.id)) {
        let first = i64::from(run[0].id);
        put_int(out, first - next);
        put_uint(out, run.len() as u64);
        next = first + run.len() as i64;
    }
}

fn put_times(out: &mut Vec<u8>, entries: &[Entry]) {
    let Some(first) = entries.first().map(|e| e.sample.timestamp) else { return };
    let shared = entries.iter().all(|e| e.sample.timestamp == first);
    out.push(u8::from(!shared));
    put_int(out, first);
    if !shared {
        let times = entries.iter().map(|e| e.sample.timestamp);
        times.clone().zip(times.skip(1)).for_each(|(last, time)| put_int(out, time.wrapping_sub(last)));
    }
}

fn put_value(out: &mut Vec<u8>, value: f64, base: f64) -> u8 {
    if value.to_bits() == base.to_bits() {
        return control::BASE;
    }
    let delta = decimal::shortest(base, 0)
        .and_then(|(base, exponent)| decimal::mantissa_at(value, exponent).map(|mantissa| mantissa - base));
    if let Some(delta) = delta {
        put_int(out, delta);
        return control::DELTA;
    }
    if let Some((mantissa, exponent)) = decimal::shortest(value, 0) {
        out.push(exponent);
        put_int(out, mantissa);
        return control::DECIMAL;
    }
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    control::RAW
}

/// Reads a batch. `base` gives the base of a series, `None` where its definition was lost; `each` gets the number of
/// each series and its sample, `None` where the base is needed and lost.
pub(crate) fn decode_batch(
    payload: &[u8],
    base: impl Fn(u32) -> Option<f64>,
    mut each: impl FnMut(u32, Option<Sample>),
) -> Result<(), Damage> {
    let mut reader = Reader(payload);
    let count = usize::try_from(reader.uint()?).unwrap_or(usize::MAX);
    if count / 4 > payload.len() {
        return Err(Damage("a batch promises more samples than it has bytes"));
    }
    let ids = take_runs(&mut reader, count)?;
    let times = take_times(&mut reader, count)?;
    let controls = reader.take(count.div_ceil(4))?;
    for (i, (&id, &timestamp)) in ids.iter().zip(&times).enumerate() {
        let value = take_value(&mut reader, controls[i / 4] >> (i % 4 * 2) & 3, base(id))?;
        each(id, value.map(|value| Sample { timestamp, value }));
    }
    Ok(())
}

fn take_runs(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>, Damage> {
    let mut ids = Vec::with_capacity(count);
    let mut next = 0i64;
    while ids.len() < count {
        let first = next.wrapping_add(reader.int()?);
        let length = reader.uint()?;
        if length == 0 || length > (count - ids.len()) as u64 {
            return Err(Damage("a run of series does not fit its batch"));
        }
        for id in first..first.saturating_add(length as i64) {
            ids.push(u32::try_from(id).map_err(|_| Damage("a series number is out of range"))?);
        }
        next = first.wrapping_add(length as i64);
    }
    Ok(ids)
}

fn take_times(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Timestamp>, Damage> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let each = reader.byte()? != 0;
    let mut time = reader.int()?;
    if !each {
        return Ok(vec![time; count]);
    }
    let mut times = vec![time];
    for _ in 1..count {
        time = time.wrapping_add(reader.int()?);
        times.push(time);
    }
    Ok(times)
}

fn take_value(reader: &mut Reader<'_>, control: u8, base: Option<f64>) -> Result<Option<f64>, Damage> {
    Ok(match control {
        control::BASE => base,
        control::DELTA => {
            let delta = reader.int()?;
            let base = base.and_then(|base| decimal::shortest(base, 0));
            base.map(|(mantissa, exponent)| decimal::value(mantissa.wrapping_add(delta), exponent))
        }
        control::DECIMAL => {
            let exponent = reader.byte()?;
            if exponent > decimal::EXPONENT_MAX {
                return Err(Damage("a decimal exponent is out of range"));
            }
            Some(decimal::value(reader.int()?, exponent))
        }
        _ => Some(f64::from_bits(reader.fixed64()?)),
    })
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

    fn hostile() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-100_000i64..100_000, 0u8..4).prop_map(|(m, e)| decimal::value(m, e)),
            Just(0.0),
            Just(-0.0),
        ]
    }

    fn round_trip(entries: &[Entry]) -> Vec<(u32, i64, u64)> {
        let record = encode_batch(entries);
        let base = |id: u32| entries.iter().find(|e| e.id == id).map(|e| e.base);
        let mut got = Vec::new();
        decode_batch(&record.payload, base, |id, sample| {
            let sample = sample.unwrap();
            got.push((id, sample.timestamp, sample.value.to_bits()));
        })
        .unwrap();
        got
    }

    proptest! {
        #[test]
        fn batches_round_trip(
            rows in prop::collection::vec((0u32..50, any::<i64>(), hostile()), 0..80),
            bases in prop::collection::vec(hostile(), 50),
            shared in any::<bool>(),
        ) {
            let entries: Vec<Entry> = rows.iter().map(|&(id, timestamp, value)| {
                let timestamp = if shared { 5 } else { timestamp };
                Entry { id, base: bases[id as usize], sample: Sample { timestamp, value } }
            }).collect();
            let expected: Vec<_> = entries.iter().map(|e| (e.id, e.sample.timestamp, e.sample.value.to_bits())).collect();
            prop_assert_eq!(round_trip(&entries), expected);
        }

        #[test]
        fn decoders_refuse_or_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_definitions(&bytes);
            let _ = decode_metadata(&bytes);
            let _ = decode_exemplars(&bytes);
            let _ = decode_batch(&bytes, |_| Some(1.0), |_, _| {});
        }

        #[test]
        fn definitions_round_trip(sets in prop::collection::vec(prop::collection::btree_map("[a-zé]{1,3}", ".{1,5}", 1..4), 0..10)) {
            let definitions: Vec<_> = sets.iter().zip(7u32..).map(|(pairs, id)| {
                Definition { id: id * 13 % 17, base: f64::from(id) / 10.0, labels: Labels::from_pairs(pairs) }
            }).collect();
            let back = decode_definitions(&encode_some_definitions(&definitions).payload).unwrap();
            prop_assert_eq!(format!("{back:?}"), format!("{definitions:?}"));
        }
    }

    #[test]
    fn a_steady_page_costs_little() {
        let entries: Vec<Entry> = (0..1000u32)
            .map(|id| Entry { id, base: 5.0, sample: Sample { timestamp: 1_700_000_000_000, value: 5.0 } })
            .collect();
        assert!(encode_batch(&entries).payload.len() < 300);
    }

    #[test]
    fn a_lost_definition_loses_only_its_samples() {
        let entry = |id, value| Entry { id, base: 1.0, sample: Sample { timestamp: 5, value } };
        let record = encode_batch(&[entry(1, 1.0), entry(2, 3.0), entry(3, 0.123)]);
        let mut got = Vec::new();
        let base = |id| (id != 2).then_some(1.0);
        decode_batch(&record.payload, base, |id, sample| got.push((id, sample.map(|s| s.value)))).unwrap();
        assert_eq!(got, [(1, Some(1.0)), (2, None), (3, Some(0.123))]);
    }
}
