//! The samples of one commit as the payload of one record.
//!
//! Series that follow each other by number and have the same timestamps are one stretch; each value is told from what
//! [`Chain`] expects. A checksum of all values keeps a value from being told from the wrong expectation where a record
//! before this one was lost.

use model::{Sample, Timestamp};

use crate::bytes::{Damage, Reader, fixed32_at, put_int, put_uint};
use crate::chain::{Chain, ValueReader, ValueWriter};
use crate::column::TimeState;

/// Samples of one record. Whoever reads needs memory for so many: a quiet series takes no bytes, so that the length of a
/// record says nothing.
pub(crate) const RECORD_SAMPLES_MAX: usize = 1 << 20;

/// Mixes a value into the checksum of all values.
fn mix(check: u64, value: f64) -> u64 {
    (check.rotate_left(23) ^ value.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn folded(check: u64) -> u32 {
    (check >> 32) as u32 ^ check as u32
}

/// Makes the payload of one commit. Keeps its memory from commit to commit.
#[derive(Debug, Default)]
pub(crate) struct BatchEncoder {
    /// Stretches that are complete.
    stretches: Vec<u8>,
    count: u64,
    open: Stretch,
    /// Timestamps of the open stretch.
    times: Vec<Timestamp>,
    samples: usize,
    check: u64,
    values: ValueWriter,
}

/// Series that follow each other by number.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    first: u32,
    length: u32,
    /// Told when the stretch ends: its timestamps are others than those of the stretch before, of which this is the first.
    new_times: Option<Timestamp>,
    /// Where the stretch before ended.
    after: u32,
}

impl BatchEncoder {
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// Adds samples of a series. An empty list adds nothing.
    pub(crate) fn add(&mut self, series: u32, epoch: u32, chain: &mut Chain, samples: &[Sample]) {
        if samples.is_empty() {
            return;
        }
        let times = samples.iter().map(|s| s.timestamp);
        let same_times = times.clone().eq(self.times.iter().copied());
        if same_times && self.open.length > 0 && self.open.first.wrapping_add(self.open.length) == series {
            self.open.length += 1;
        } else {
            self.end_stretch();
            let last = self.times.first().copied().unwrap_or_default();
            self.open = Stretch { first: series, length: 1, new_times: None, after: self.open.after };
            if !same_times {
                self.open.new_times = Some(last);
                self.times.clear();
                self.times.extend(times);
            }
        }
        for sample in samples {
            chain.put(sample.value, epoch, &mut self.values);
            self.check = mix(self.check, sample.value);
        }
        self.samples += samples.len();
    }

    fn end_stretch(&mut self) {
        let Stretch { first, length, new_times, after } = self.open;
        if length == 0 {
            return;
        }
        let out = &mut self.stretches;
        put_int(out, i64::from(first) - i64::from(after));
        put_uint(out, u64::from(length) << 1 | u64::from(new_times.is_some()));
        if let Some(last) = new_times {
            put_uint(out, self.times.len() as u64);
            let mut state = TimeState::default();
            self.times.iter().for_each(|time| state.put(out, time.wrapping_sub(last)));
        }
        self.open = Stretch { after: first.wrapping_add(length), ..Stretch::default() };
        self.count += 1;
    }

    /// The payload of what was added; forgets all but the memory.
    pub(crate) fn finish(&mut self, epoch: u32) -> Vec<u8> {
        self.end_stretch();
        let mut out = Vec::with_capacity(self.stretches.len() + self.samples + 32);
        put_uint(&mut out, u64::from(epoch));
        out.extend_from_slice(&folded(self.check).to_le_bytes());
        put_uint(&mut out, self.count);
        out.extend_from_slice(&self.stretches);
        self.values.finish(&mut out);
        self.clear();
        out
    }

    pub(crate) fn clear(&mut self) {
        self.stretches.clear();
        self.times.clear();
        self.values.clear();
        (self.count, self.samples, self.check, self.open) = (0, 0, 0, Stretch::default());
    }
}

/// States of the series of a segment, as its reader keeps them.
pub(crate) trait Chains {
    /// The state of a series; that of an unknown one begins anew.
    fn chain(&mut self, series: u32) -> &mut Chain;
}

#[cfg(any(fuzzing, test))]
impl Chains for std::collections::HashMap<u32, Chain> {
    fn chain(&mut self, series: u32) -> &mut Chain {
        self.entry(series).or_default()
    }
}

/// Reads what [`BatchEncoder`] wrote. Keeps its memory from record to record.
#[derive(Debug, Default)]
pub(crate) struct BatchDecoder {
    runs: Vec<Run>,
    times: Vec<Timestamp>,
    /// Where the lists of timestamps begin.
    lists: Vec<usize>,
    values: Vec<f64>,
}

/// Series that have the same timestamps.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    length: u32,
    /// Where its timestamps stand, and how many they are.
    times: usize,
    count: usize,
}

impl Run {
    fn series(self) -> std::ops::Range<u32> {
        self.first..self.first.saturating_add(self.length)
    }
}

/// Why the samples of a record cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The bytes break the format.
    Damaged,
    /// A record that it builds upon was lost. So many samples are lost by it.
    Unfounded(u64),
}

impl From<Damage> for Unreadable {
    fn from(_: Damage) -> Self {
        Self::Damaged
    }
}

impl BatchDecoder {
    /// Reads a record. After an error there are no samples.
    pub(crate) fn read(&mut self, payload: &[u8], chains: &mut impl Chains) -> Result<(), Unreadable> {
        let mut reader = Reader(payload);
        let epoch = reader.u32()?;
        let check = fixed32_at(reader.take(4)?, 0);
        let samples = self.read_stretches(&mut reader).inspect_err(|_| self.runs.clear())?;
        if self.read_values(reader, epoch, chains) == Ok(check) {
            return Ok(());
        }
        for run in self.runs.drain(..) {
            run.series().for_each(|series| *chains.chain(series) = Chain::broken(epoch));
        }
        Err(Unreadable::Unfounded(samples as u64))
    }

    /// Samples of the record that was read: number of a series, its timestamps, its values.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, &[Timestamp], &[f64])> {
        let mut at = 0;
        let each = self.runs.iter().flat_map(|run| run.series().map(move |series| (series, *run)));
        each.map(move |(series, run)| {
            let values = &self.values[at..at + run.count];
            at += run.count;
            (series, &self.times[run.times..run.times + run.count], values)
        })
    }

    fn read_stretches(&mut self, reader: &mut Reader<'_>) -> Result<usize, Damage> {
        self.runs.clear();
        self.times.clear();
        self.lists.clear();
        let (mut after, mut samples) = (0, 0usize);
        for _ in 0..reader.count()? {
            let first = i64::from(after).wrapping_add(reader.int()?);
            let first = u32::try_from(first).map_err(|_| Damage("a series number is out of range"))?;
            let word = reader.uint()?;
            let length = u32::try_from(word >> 1).map_err(|_| Damage("a stretch of series is too long"))?;
            if word & 1 == 1 {
                self.read_times(reader)?;
            }
            let (times, count) = self.last_times();
            if length == 0 || count == 0 {
                return Err(Damage("a stretch without samples"));
            }
            samples = samples.saturating_add((length as usize).saturating_mul(count));
            if samples > RECORD_SAMPLES_MAX {
                return Err(Damage("a record has too many samples"));
            }
            after = first.wrapping_add(length);
            self.runs.push(Run { first, length, times, count });
        }
        Ok(samples)
    }

    fn read_times(&mut self, reader: &mut Reader<'_>) -> Result<(), Damage> {
        let last = self.times.get(self.last_times().0).copied().unwrap_or_default();
        let mut state = TimeState::default();
        self.lists.push(self.times.len());
        for _ in 0..reader.count()? {
            let time = state.take(reader)?.wrapping_add(last);
            self.times.push(time);
        }
        Ok(())
    }

    /// Where the newest list of timestamps stands, and how many they are.
    fn last_times(&self) -> (usize, usize) {
        let start = self.lists.last().copied().unwrap_or_default();
        (start, self.times.len() - start)
    }

    fn read_values(&mut self, reader: Reader<'_>, epoch: u32, chains: &mut impl Chains) -> Result<u32, Damage> {
        self.values.clear();
        let mut values = ValueReader::new(reader)?;
        let mut check = 0;
        for &run in &self.runs {
            for series in run.series() {
                let chain = chains.chain(series);
                if chain.is_broken(epoch) {
                    return Err(Damage("what a value was told from is lost"));
                }
                for _ in 0..run.count {
                    let value = chain.take(epoch, &mut values)?;
                    check = mix(check, value);
                    self.values.push(value);
                }
            }
        }
        Ok(folded(check))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    type Row = (u32, Vec<(i64, u64)>);

    fn encode(rows: &[Row], states: &mut HashMap<u32, Chain>, epoch: u32) -> Vec<u8> {
        let mut encoder = BatchEncoder::default();
        for (series, samples) in rows {
            let sample = |&(timestamp, bits): &(i64, u64)| Sample { timestamp, value: f64::from_bits(bits) };
            let samples: Vec<Sample> = samples.iter().map(sample).collect();
            encoder.add(*series, epoch, states.chain(*series), &samples);
        }
        encoder.finish(epoch)
    }

    fn decode(payload: &[u8], states: &mut HashMap<u32, Chain>) -> Result<Vec<Row>, Unreadable> {
        let mut decoder = BatchDecoder::default();
        decoder.read(payload, states)?;
        let row = |(series, times, values): (u32, &[i64], &[f64])| {
            (series, times.iter().copied().zip(values.iter().map(|v| v.to_bits())).collect())
        };
        Ok(decoder.runs().map(row).collect())
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let bits = prop_oneof![any::<u64>(), (0u16..500).prop_map(|n| f64::from(n).to_bits())];
        let time = prop_oneof![any::<i64>(), 0i64..3];
        prop::collection::vec((0u32..20, prop::collection::vec((time, bits), 1..4)), 0..30)
    }

    proptest! {
        #[test]
        fn batches_round_trip(batches in prop::collection::vec((rows(), 1u32..3), 1..6)) {
            let (mut writing, mut reading) = (HashMap::new(), HashMap::new());
            for (rows, epoch) in batches {
                let payload = encode(&rows, &mut writing, epoch);
                prop_assert_eq!(decode(&payload, &mut reading), Ok(rows));
            }
        }

        #[test]
        fn a_lost_batch_is_noticed(batches in prop::collection::vec(rows(), 2..8), lost in 0usize..8) {
            let (mut writing, mut reading) = (HashMap::new(), HashMap::new());
            for (at, rows) in batches.into_iter().enumerate() {
                let payload = encode(&rows, &mut writing, 1);
                if at == lost {
                    continue;
                }
                let count = rows.iter().map(|(_, samples)| samples.len() as u64).sum();
                match decode(&payload, &mut reading) {
                    Ok(got) => prop_assert_eq!(got, rows),
                    Err(error) => prop_assert_eq!((error, at > lost), (Unreadable::Unfounded(count), true)),
                }
            }
            let rows = vec![(3, vec![(5, 1.5f64.to_bits())])];
            let payload = encode(&rows, &mut writing, 2);
            prop_assert_eq!(decode(&payload, &mut reading), Ok(rows));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = BatchDecoder::default().read(&bytes, &mut HashMap::new());
        }
    }

    #[test]
    fn a_stretch_without_samples_is_damage() {
        // Epoch, check, one stretch of very many series, a list of no timestamps, no values.
        let mut payload = vec![1, 0, 0, 0, 0, 1, 0];
        put_uint(&mut payload, u64::from(u32::MAX) << 1 | 1);
        payload.extend([0, 0]);
        assert_eq!(decode(&payload, &mut HashMap::new()), Err(Unreadable::Damaged));
    }

    #[test]
    fn a_steady_page_costs_little() {
        let (mut states, mut size) = (HashMap::new(), 0);
        for scrape in 0..50 {
            let row = |series| (series, vec![(1_700_000_000_000 + scrape * 15_000, 5f64.to_bits())]);
            size = encode(&(0..1000).map(row).collect::<Vec<_>>(), &mut states, 1).len();
        }
        assert!(size < 30, "{size}");
    }
}
