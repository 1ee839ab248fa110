//! The samples of one series in memory: compressed frames, an open stream, and what came late.

use std::sync::Arc;

use model::{Sample, Samples, Timestamp};

use crate::bytes::{Damage, Reader, fixed32_at, put_int, put_uint};
use crate::column::{self, COLUMN_SAMPLES_MAX, Tier, TimeState, ValueState};
use crate::frame::checksum;

/// An open stream is re-encoded at this length: half an hour at 15 s, a few hundred bytes a series until then.
const FRAME_SAMPLES: u32 = 120;

/// Late samples are kept sorted one by one up to here; inserting into a longer list would cost more than a frame.
const LATE_SAMPLES_MAX: usize = 512;

/// Samples of one series between two sealings. No timestamp occurs twice; the parts may overlap in time.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    frames: Arc<Vec<Frame>>,
    stream: Stream,
    late: Vec<Sample>,
    newest: Timestamp,
    oldest: Timestamp,
}

/// Compressed samples, sorted; immutable.
#[derive(Clone, Debug)]
struct Frame {
    min_time: Timestamp,
    max_time: Timestamp,
    bytes: Arc<[u8]>,
}

/// Samples in rising order, each encoded as it comes.
#[derive(Clone, Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    count: u32,
    first: Timestamp,
    last: Timestamp,
    times: TimeState,
    values: ValueState,
}

impl Default for Chunks {
    fn default() -> Self {
        Self {
            frames: Arc::default(),
            stream: Stream::default(),
            late: Vec::new(),
            newest: Timestamp::MIN,
            oldest: Timestamp::MAX,
        }
    }
}

impl Chunks {
    pub(crate) fn is_empty(&self) -> bool {
        self.newest < self.oldest
    }

    /// First and last timestamp; `None` if there is no sample.
    pub(crate) fn range(&self) -> Option<(Timestamp, Timestamp)> {
        (!self.is_empty()).then_some((self.oldest, self.newest))
    }

    pub(crate) fn overlaps(&self, min_time: Timestamp, max_time: Timestamp) -> bool {
        !self.is_empty() && self.oldest <= max_time && self.newest >= min_time
    }

    /// Whether there is a sample in the time. Decodes only where the samples begin before it and end after it.
    pub(crate) fn has_sample_in(&self, min_time: Timestamp, max_time: Timestamp) -> bool {
        if !self.overlaps(min_time, max_time) {
            return false;
        }
        if self.oldest >= min_time || self.newest <= max_time {
            return true;
        }
        let mut samples = Samples::default();
        // Damage is told by whoever reads.
        self.read(min_time, max_time, &mut samples).is_err()
            || samples.timestamps.iter().any(|t| (min_time..=max_time).contains(t))
    }

    /// Adds a sample whose timestamp is not there yet; returns by how much the memory grew.
    pub(crate) fn insert(&mut self, sample: Sample) -> isize {
        let open = self.open_bytes();
        let mut framed = 0;
        if sample.timestamp > self.newest {
            self.stream.push(sample);
            if self.stream.count >= FRAME_SAMPLES {
                framed = self.close_stream();
            }
        } else {
            let at = self.late.partition_point(|s| s.timestamp < sample.timestamp);
            self.late.insert(at, sample);
            if self.late.len() >= LATE_SAMPLES_MAX {
                framed = self.close_late();
            }
        }
        self.newest = self.newest.max(sample.timestamp);
        self.oldest = self.oldest.min(sample.timestamp);
        (self.open_bytes() + framed) as isize - open as isize
    }

    /// Memory of what is not in a frame yet.
    fn open_bytes(&self) -> usize {
        self.stream.bytes.capacity() + self.late.capacity() * size_of::<Sample>()
    }

    /// The value at a timestamp. Fails only if memory was damaged.
    pub(crate) fn lookup(&self, timestamp: Timestamp) -> Result<Option<f64>, Damage> {
        if !self.overlaps(timestamp, timestamp) {
            return Ok(None);
        }
        if let Ok(at) = self.late.binary_search_by_key(&timestamp, |s| s.timestamp) {
            return Ok(Some(self.late[at].value));
        }
        let mut samples = Samples::default();
        self.read_sorted_parts(timestamp, timestamp, &mut samples)?;
        let at = samples.timestamps.iter().position(|&t| t == timestamp);
        Ok(at.map(|at| samples.values[at]))
    }

    /// Adds the samples of a time, part by part, not sorted between the parts and with some outside of the time.
    pub(crate) fn read(&self, min_time: Timestamp, max_time: Timestamp, into: &mut Samples) -> Result<(), Damage> {
        self.read_sorted_parts(min_time, max_time, into)?;
        self.late.iter().for_each(|&s| into.push(s));
        Ok(())
    }

    fn read_sorted_parts(&self, min_time: Timestamp, max_time: Timestamp, into: &mut Samples) -> Result<(), Damage> {
        for frame in self.frames.iter().filter(|f| f.min_time <= max_time && f.max_time >= min_time) {
            decode(&frame.bytes, into)?;
        }
        let stream = &self.stream;
        if stream.count > 0 && stream.first <= max_time && stream.last >= min_time {
            stream.read(into)?;
        }
        Ok(())
    }

    /// Returns the memory of the new frame.
    fn close_stream(&mut self) -> usize {
        let mut samples = Samples::default();
        if self.stream.read(&mut samples).is_err() {
            return 0;
        }
        self.stream.clear();
        self.push_frame(&samples)
    }

    fn close_late(&mut self) -> usize {
        let mut samples = Samples::default();
        self.late.drain(..).for_each(|s| samples.push(s));
        self.push_frame(&samples)
    }

    fn push_frame(&mut self, samples: &Samples) -> usize {
        let frame = Frame::of(samples);
        let bytes = frame.bytes.len() + size_of::<Frame>();
        Arc::make_mut(&mut self.frames).push(frame);
        bytes
    }
}

impl Stream {
    fn push(&mut self, sample: Sample) {
        if self.count == 0 {
            self.first = sample.timestamp;
        }
        self.times.put(&mut self.bytes, sample.timestamp);
        self.values.put(&mut self.bytes, sample.value);
        self.last = sample.timestamp;
        self.count += 1;
    }

    fn read(&self, into: &mut Samples) -> Result<(), Damage> {
        let mut reader = Reader(&self.bytes);
        let (mut times, mut values) = (TimeState::default(), ValueState::default());
        for _ in 0..self.count {
            let timestamp = times.take(&mut reader)?;
            into.push(Sample { timestamp, value: values.take(&mut reader)? });
        }
        Ok(())
    }

    /// Keeps the memory for the next half hour.
    fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        *self = Self { bytes, ..Self::default() };
    }
}

impl Frame {
    fn of(samples: &Samples) -> Self {
        let (min_time, max_time) = (samples.timestamps[0], samples.timestamps[samples.len() - 1]);
        Self { min_time, max_time, bytes: encode(samples).into() }
    }
}

/// A frame of the head: codecs, count, first time, time to the last, length of the timestamps, both columns, checksum.
fn encode(samples: &Samples) -> Vec<u8> {
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let time_codec = column::encode_times(&samples.timestamps, Tier::Head, &mut times);
    let value_codec = column::encode_values(&samples.values, Tier::Head, &mut values);
    let (min_time, max_time) = (samples.timestamps[0], samples.timestamps[samples.len() - 1]);
    let mut out = vec![time_codec, value_codec];
    put_uint(&mut out, samples.len() as u64);
    put_int(&mut out, min_time);
    put_uint(&mut out, max_time.wrapping_sub(min_time) as u64);
    put_uint(&mut out, times.len() as u64);
    out.extend_from_slice(&times);
    out.extend_from_slice(&values);
    let crc = checksum(0, 0, &[&out]);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8], into: &mut Samples) -> Result<(), Damage> {
    let body_length = bytes.len().checked_sub(4).ok_or(Damage("a frame of the head is cut"))?;
    let body = &bytes[..body_length];
    if checksum(0, 0, &[body]) != fixed32_at(bytes, body_length) {
        return Err(Damage("a frame of the head does not match its checksum"));
    }
    let mut reader = Reader(body);
    let (time_codec, value_codec) = (reader.byte()?, reader.byte()?);
    let count = reader.uint()?;
    if count > COLUMN_SAMPLES_MAX as u64 {
        return Err(Damage("a frame of the head has too many samples"));
    }
    let (_min_time, _span) = (reader.int()?, reader.uint()?);
    let times = reader.bytes()?;
    column::decode_times(time_codec, times, count as usize, &mut into.timestamps)?;
    column::decode_values(value_codec, reader.0, count as usize, &mut into.values)
}

/// Sorts what was added from `start` on, keeps the first of equal timestamps and what lies within the time.
pub(crate) fn settle(samples: &mut Samples, start: usize, min_time: Timestamp, max_time: Timestamp) {
    let times = &samples.timestamps[start..];
    if !times.is_sorted_by(|a, b| a < b) {
        let mut rows: Vec<Sample> = samples.iter().skip(start).collect();
        rows.sort_by_key(|s| s.timestamp);
        rows.dedup_by_key(|s| s.timestamp);
        truncate(samples, start);
        rows.into_iter().for_each(|s| samples.push(s));
    }
    let times = &samples.timestamps[start..];
    let begin = times.partition_point(|&t| t < min_time);
    let end = times.partition_point(|&t| t <= max_time).max(begin);
    truncate(samples, start + end);
    samples.timestamps.drain(start..start + begin);
    samples.values.drain(start..start + begin);
}

fn truncate(samples: &mut Samples, length: usize) {
    samples.timestamps.truncate(length);
    samples.values.truncate(length);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &Chunks, min_time: i64, max_time: i64) -> Vec<(i64, u64)> {
        let mut samples = Samples::default();
        chunks.read(min_time, max_time, &mut samples).unwrap();
        settle(&mut samples, 0, min_time, max_time);
        samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect()
    }

    #[test]
    fn a_damaged_frame_is_refused() {
        let samples = Samples { timestamps: (0..50).collect(), values: vec![1.5; 50] };
        let bytes = encode(&samples);
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(decode(&bytes, &mut Samples::default()).is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn answers_as_a_map(steps in prop::collection::vec((-50i64..2000, 0u8..4, any::<u64>()), 1..1500)) {
            let mut model = BTreeMap::new();
            let mut chunks = Chunks::default();
            let mut clock = 0;
            for (jump, mode, bits) in steps {
                clock += if mode == 0 { jump } else { 10 };
                let known = chunks.lookup(clock).unwrap().map(f64::to_bits);
                prop_assert_eq!(known, model.get(&clock).copied());
                if known.is_none() {
                    let bits = if mode == 3 { bits } else { f64::from(bits as u16).to_bits() };
                    model.insert(clock, bits);
                    chunks.insert(Sample { timestamp: clock, value: f64::from_bits(bits) });
                }
            }
            prop_assert_eq!(read(&chunks, i64::MIN, i64::MAX), model.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(read(&chunks, 100, 900), model.range(100..=900).map(|(t, v)| (*t, *v)).collect::<Vec<_>>());
        }
    }
}
