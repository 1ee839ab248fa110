//! The samples of one series in memory: an open stream, and beside it what came late or at times of its own.

use std::ops::Range;
use std::sync::Arc;

use model::{Sample, Samples, Timestamp};

use crate::bytes::{Damage, Reader, fixed32_at, put_int, put_uint};
use crate::column::{self, COLUMN_SAMPLES_MAX, Tier, ValueState};
use crate::frame::checksum;
use crate::stream::{Column, Encoded, Mark, Stream};
use crate::timeline::{LineId, Timelines, row_of};
use crate::warm::HEAD;

/// A stream whose timestamps no other series shares becomes a frame at this length, which compresses them.
const FRAME_SAMPLES: usize = 120;

/// Late samples are kept sorted one by one up to here; inserting into a longer list would cost more than a frame.
const LATE_SAMPLES_MAX: usize = 512;

/// A stream this many samples long that has to end becomes late samples: a frame would mostly be overhead.
const SHORT_SAMPLES: usize = 16;

/// A series that missed this many rows of its timeline goes on with it: series of one target that miss some of its
/// scrapes stay together, those of other targets part.
const ROWS_MISSED_MAX: usize = 8;

/// Samples of one series since the last sealing. No timestamp occurs twice; the parts may overlap in time.
#[derive(Debug, Default)]
pub(crate) struct Open {
    stream: Stream,
    /// The timeline of the stream, of which it is a user, if the stream is not empty.
    line: LineId,
    /// How many streams ended before this one.
    ended: u32,
    late: Option<Box<Late>>,
}

/// What does not follow a timeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late {
    frames: Vec<Frame>,
    /// Sorted.
    samples: Vec<Sample>,
}

/// Compressed samples, sorted; immutable.
#[derive(Clone, Debug)]
struct Frame {
    min_time: Timestamp,
    max_time: Timestamp,
    bytes: Arc<[u8]>,
}

/// What an [`Open`] held at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    times: Arc<Vec<Timestamp>>,
    bytes: Box<[u8]>,
    repeats: u32,
    start: u32,
    end: u32,
    values: ValueState,
    late: Option<Box<Late>>,
}

/// Samples of a series, wherever they are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    column: Column<'a>,
    late: Option<&'a Late>,
}

impl Open {
    pub(crate) fn is_empty(&self) -> bool {
        self.stream.is_empty() && self.late.is_none()
    }

    pub(crate) fn view<'a>(&'a self, lines: &'a Timelines) -> View<'a> {
        let times: &[Timestamp] = if self.stream.is_empty() { &[] } else { lines.times(self.line) };
        View { column: self.stream.column(times, &lines.pool), late: self.late.as_deref() }
    }

    /// A copy of all that it holds.
    pub(crate) fn snapshot(&self, lines: &Timelines) -> Chunks {
        let times = if self.stream.is_empty() { Arc::default() } else { Arc::clone(lines.times(self.line)) };
        let Column { bytes, repeats, start, end, values, .. } = self.stream.column(&[], &lines.pool);
        Chunks { times, bytes: bytes.whole().into(), repeats, start, end, values, late: self.late.clone() }
    }

    /// As [`Open::snapshot`] for who wants nothing before a time and read the stream up to a mark before. Also where it
    /// begins.
    pub(crate) fn snapshot_from(&self, lines: &Timelines, min_time: Timestamp, mark: Mark) -> (Chunks, Mark) {
        let begin = Mark { stream: self.ended, ..Mark::default() };
        let times: &[Timestamp] = if self.stream.is_empty() { &[] } else { lines.times(self.line) };
        let is_unwanted = |row: u32| row.checked_sub(1).and_then(|row| times.get(row as usize)) < Some(&min_time);
        let is_before = mark.stream == self.ended && is_unwanted(mark.row);
        let Some(bytes) = is_before.then(|| self.stream.bytes_from(&mark, &lines.pool)).flatten() else {
            return (self.snapshot(lines), begin);
        };
        let Column { repeats, end, .. } = self.stream.column(&[], &lines.pool);
        let (times, late) = (Arc::clone(lines.times(self.line)), self.late.clone());
        let chunks = Chunks { times, bytes: bytes.into(), repeats, start: mark.row, end, values: mark.values, late };
        (chunks, mark)
    }

    /// All that it holds; it is empty after it. The timelines are taken by the caller.
    pub(crate) fn take(&mut self) -> Self {
        let next = Self { ended: self.ended + 1, ..Self::default() };
        std::mem::replace(self, next)
    }

    /// Adds samples whose timestamps rise and are not there yet. `out` is memory to work in. Returns by how much its
    /// own memory grew.
    pub(crate) fn insert(&mut self, samples: &[Sample], lines: &mut Timelines, out: &mut Vec<u8>) -> isize {
        let before = self.bytes();
        out.clear();
        for &sample in samples {
            match self.row(sample.timestamp, lines, out) {
                Some(row) => self.stream.push(out, row, sample.value),
                None => self.insert_late(sample),
            }
        }
        self.stream.extend(out, &mut lines.pool);
        if !self.stream.is_empty() {
            lines.note(self.line);
        }
        self.bytes() as isize - before as isize
    }

    /// The row that the stream gets for this timestamp, after it has changed its timeline if it has to. `None` if the
    /// stream is past it.
    fn row(&mut self, timestamp: Timestamp, lines: &mut Timelines, out: &mut Vec<u8>) -> Option<u32> {
        if self.stream.is_empty() {
            return Some(self.join(timestamp, lines));
        }
        let times = lines.times(self.line);
        let end = self.stream.end() as usize;
        if times.get(end) == Some(&timestamp) {
            return Some(end as u32);
        }
        if timestamp <= times[end - 1] {
            return None;
        }
        let missed = times.len() - end;
        if missed > 0
            && let Some(row) = row_of(&times[end..], timestamp)
        {
            return Some(row + end as u32);
        }
        let is_next = times.last().is_none_or(|&last| last < timestamp) && missed <= ROWS_MISSED_MAX;
        if is_next && !(lines.is_private(self.line) && times.len() >= FRAME_SAMPLES) {
            return Some(lines.push(self.line, timestamp));
        }
        self.leave(lines, out);
        Some(self.join(timestamp, lines))
    }

    fn join(&mut self, timestamp: Timestamp, lines: &mut Timelines) -> u32 {
        let (line, row) = lines.join(timestamp);
        self.line = line;
        row
    }

    /// Ends the stream; what it holds goes to the frames.
    fn leave(&mut self, lines: &mut Timelines, out: &mut Vec<u8>) {
        self.stream.extend(out, &mut lines.pool);
        out.clear();
        let mut samples = Samples::default();
        // Memory that was damaged cannot be read by anybody.
        let _ = self.stream.column(lines.times(self.line), &lines.pool).read(&mut samples);
        lines.leave(self.line);
        self.stream.clear(&mut lines.pool);
        self.ended += 1;
        if samples.len() <= SHORT_SAMPLES {
            samples.iter().for_each(|sample| self.insert_late(sample));
        } else {
            self.late.get_or_insert_default().frames.push(Frame::of(&samples));
        }
    }

    fn insert_late(&mut self, sample: Sample) {
        self.late.get_or_insert_default().insert(sample);
    }

    /// Memory beside the struct itself and what it shares with others.
    pub(crate) fn bytes(&self) -> usize {
        self.late.as_ref().map_or(0, |late| late.bytes())
    }
}

impl Late {
    fn insert(&mut self, sample: Sample) {
        let at = self.samples.partition_point(|s| s.timestamp < sample.timestamp);
        self.samples.insert(at, sample);
        if self.samples.len() >= LATE_SAMPLES_MAX {
            let mut samples = Samples::default();
            std::mem::take(&mut self.samples).into_iter().for_each(|s| samples.push(s));
            self.frames.push(Frame::of(&samples));
        }
    }

    fn bytes(&self) -> usize {
        let frames: usize = self.frames.iter().map(|frame| frame.bytes.len() + size_of::<Frame>()).sum();
        frames + self.samples.capacity() * size_of::<Sample>() + size_of::<Self>()
    }

    fn ranges(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let samples = self.samples.first().zip(self.samples.last());
        let frames = self.frames.iter().map(|frame| (frame.min_time, frame.max_time));
        frames.chain(samples.map(|(first, last)| (first.timestamp, last.timestamp)))
    }

    fn frames_in(&self, min_time: Timestamp, max_time: Timestamp) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(move |frame| frame.min_time <= max_time && frame.max_time >= min_time)
    }
}

impl Chunks {
    /// Rows of the timeline in the time that the stream covers, and the first one that is in it.
    fn rows(&self, (min_time, max_time): (Timestamp, Timestamp)) -> (Range<u32>, u32) {
        let first = self.times.partition_point(|&time| time < min_time) as u32;
        let behind = self.times.partition_point(|&time| time <= max_time) as u32;
        let start = self.start.max(first);
        (start..self.end.min(behind).max(start), first)
    }

    /// Adds what tells the timestamps in a time, provided that no row is missing and that they are behind the last time, which
    /// becomes theirs.
    pub(crate) fn times_key(&self, range: (Timestamp, Timestamp), last: &mut Timestamp, key: &mut Vec<u64>) -> bool {
        if self.late.is_some() {
            return false;
        }
        let (rows, _) = self.rows(range);
        let Some(times) = self.times.get(rows.start as usize..rows.end as usize) else { return false };
        let (Some(&oldest), Some(&newest)) = (times.first(), times.last()) else { return true };
        let is_behind = oldest > *last;
        *last = newest;
        // A timeline stays where it is for as long as somebody reads it.
        key.extend([HEAD, Arc::as_ptr(&self.times) as usize as u64, rows.start.into(), rows.end.into()]);
        is_behind
    }

    /// Adds the values alone in a time. Whether no row is missing, and the last mark before it where the stream was read.
    pub(crate) fn read_values(
        &self,
        range: (Timestamp, Timestamp),
        into: &mut Vec<f64>,
    ) -> Result<(bool, Option<Mark>), Damage> {
        let (rows, first) = self.rows(range);
        if rows.is_empty() {
            return Ok((true, None));
        }
        let begin = into.len();
        let mark = self.view().column.walk_from(first, |row, value| {
            if row < rows.end {
                into.push(value);
            }
            true
        })?;
        Ok((into.len() - begin == rows.len(), Some(mark)))
    }

    pub(crate) fn view(&self) -> View<'_> {
        let Self { times, bytes, repeats, start, end, values, late } = self;
        let bytes = Encoded::Whole(bytes);
        let column = Column { times, bytes, repeats: *repeats, start: *start, end: *end, values: *values };
        View { column, late: late.as_deref() }
    }
}

impl Column<'_> {
    /// Adds all samples.
    fn read(&self, into: &mut Samples) -> Result<(), Damage> {
        self.read_from(Timestamp::MIN, into).map(drop)
    }

    /// Adds the samples from a time on; returns the last mark before them.
    fn read_from(&self, min_time: Timestamp, into: &mut Samples) -> Result<Mark, Damage> {
        if !self.is_empty() && self.times.len() < self.end as usize {
            return Err(Damage("a timeline of the head is cut"));
        }
        let first = self.times.partition_point(|&time| time < min_time) as u32;
        self.walk_from(first, |row, value| {
            into.push(Sample { timestamp: self.times[row as usize], value });
            true
        })
    }

    /// The value at a timestamp.
    fn lookup(&self, timestamp: Timestamp) -> Result<Option<f64>, Damage> {
        let wanted = self.times.binary_search(&timestamp).unwrap_or(usize::MAX);
        if !(self.start as usize..self.end as usize).contains(&wanted) {
            return Ok(None);
        }
        let mut found = None;
        self.walk(|row, value| {
            found = (row as usize == wanted).then_some(value);
            (row as usize) < wanted
        })?;
        Ok(found)
    }
}

impl View<'_> {
    /// First and last timestamp; `None` if there is no sample.
    pub(crate) fn range(&self) -> Option<(Timestamp, Timestamp)> {
        let late = self.late.into_iter().flat_map(Late::ranges);
        self.column.range().into_iter().chain(late).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Whether there is a sample in the time. Decodes only where the samples begin before it and end after it.
    pub(crate) fn has_sample_in(&self, min_time: Timestamp, max_time: Timestamp) -> bool {
        let Some((oldest, newest)) = self.range() else { return false };
        if oldest > max_time || newest < min_time {
            return false;
        }
        if oldest >= min_time || newest <= max_time {
            return true;
        }
        let mut samples = Samples::default();
        // Damage is told by whoever reads.
        self.read(min_time, max_time, &mut samples).is_err()
            || samples.timestamps.iter().any(|t| (min_time..=max_time).contains(t))
    }

    /// Whether the time from the first sample to the last one touches this one.
    pub(crate) fn overlaps(&self, min_time: Timestamp, max_time: Timestamp) -> bool {
        self.range().is_some_and(|(oldest, newest)| oldest <= max_time && newest >= min_time)
    }

    /// The value at a timestamp. Fails only if memory was damaged.
    pub(crate) fn lookup(&self, timestamp: Timestamp) -> Result<Option<f64>, Damage> {
        if let Some(value) = self.column.lookup(timestamp)? {
            return Ok(Some(value));
        }
        let Some(late) = self.late else { return Ok(None) };
        if let Ok(at) = late.samples.binary_search_by_key(&timestamp, |s| s.timestamp) {
            return Ok(Some(late.samples[at].value));
        }
        let mut samples = Samples::default();
        for frame in late.frames_in(timestamp, timestamp) {
            decode(&frame.bytes, &mut samples)?;
        }
        let at = samples.timestamps.iter().position(|&t| t == timestamp);
        Ok(at.map(|at| samples.values[at]))
    }

    /// Adds the samples of a time, part by part, not sorted between the parts and with some outside of the time.
    pub(crate) fn read(&self, min_time: Timestamp, max_time: Timestamp, into: &mut Samples) -> Result<(), Damage> {
        self.read_marked(min_time, max_time, into).map(drop)
    }

    /// As [`View::read`]; returns the last mark of the stream that is before the time, where it was read.
    pub(crate) fn read_marked(
        &self,
        min_time: Timestamp,
        max_time: Timestamp,
        into: &mut Samples,
    ) -> Result<Option<Mark>, Damage> {
        let touches = self.column.range().is_some_and(|(first, last)| first <= max_time && last >= min_time);
        let mark = if touches { Some(self.column.read_from(min_time, into)?) } else { None };
        let Some(late) = self.late else { return Ok(mark) };
        for frame in late.frames_in(min_time, max_time) {
            decode(&frame.bytes, into)?;
        }
        late.samples.iter().for_each(|&s| into.push(s));
        Ok(mark)
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
    column::decode_values(value_codec, reader.0, count as usize, 0..count as usize, &mut into.values)
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

    fn read(view: &View<'_>, min_time: i64, max_time: i64) -> Vec<(i64, u64)> {
        let mut samples = Samples::default();
        view.read(min_time, max_time, &mut samples).unwrap();
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

    fn timelines(scrapes: &[(i64, &[usize])]) -> usize {
        let mut lines = Timelines::default();
        let mut series: Vec<Open> = (0..8).map(|_| Open::default()).collect();
        for (timestamp, members) in scrapes {
            lines.begin();
            for &member in *members {
                let sample = Sample { timestamp: *timestamp, value: member as f64 };
                series[member].insert(&[sample], &mut lines, &mut Vec::new());
            }
        }
        let used: std::collections::BTreeSet<LineId> =
            series.iter().filter(|s| !s.stream.is_empty()).map(|s| s.line).collect();
        used.len()
    }

    /// Scrapes with the series that they have, and the number of timelines of the open streams.
    type Case<'a> = (&'a [(i64, &'a [usize])], usize);

    #[test]
    fn series_of_a_target_share_a_timeline() {
        let all: &[usize] = &[0, 1, 2, 3];
        let cases: [Case<'_>; 5] = [
            (&[(10, all), (20, all), (30, all)], 1),
            // A series that missed a scrape, or comes later, is with them.
            (&[(10, all), (20, &[0, 2, 3]), (30, all), (40, &[0, 1, 2, 3, 4])], 1),
            (&[(10, &[0, 1, 2]), (20, all), (30, &[3, 0, 1, 2])], 1),
            // Two targets.
            (&[(10, &[0, 1]), (13, &[2, 3]), (20, &[0, 1]), (23, &[2, 3])], 2),
            // Two targets that once came at the same time and part.
            (
                &[
                    (10, all),
                    (20, &[0, 1]),
                    (30, &[0, 1]),
                    (40, &[0, 1]),
                    (50, &[0, 1]),
                    (60, &[0, 1]),
                    (70, &[0, 1]),
                    (80, &[0, 1]),
                    (90, &[0, 1]),
                    (100, &[0, 1]),
                    (105, &[2, 3]),
                    (110, &[0, 1]),
                ],
                2,
            ),
        ];
        for (scrapes, expected) in cases {
            assert_eq!(timelines(scrapes), expected, "{scrapes:?}");
        }
    }

    proptest! {
        #[test]
        fn answers_as_a_map(steps in prop::collection::vec((-50i64..2000, 0u8..8, 0usize..3, any::<u64>()), 1..1500)) {
            let mut models = vec![BTreeMap::new(); 3];
            let mut series: Vec<Open> = (0..3).map(|_| Open::default()).collect();
            let mut lines = Timelines::default();
            let mut clock = 0;
            for (jump, mode, first, bits) in steps {
                clock += if mode == 0 { jump } else { 10 };
                lines.begin();
                for at in first..3 {
                    let known = series[at].view(&lines).lookup(clock).unwrap().map(f64::to_bits);
                    prop_assert_eq!(known, models[at].get(&clock).copied());
                    if known.is_none() {
                        let bits = if mode == 3 { bits } else { f64::from(bits as u16).to_bits() };
                        models[at].insert(clock, bits);
                        let sample = Sample { timestamp: clock, value: f64::from_bits(bits) };
                        series[at].insert(&[sample], &mut lines, &mut Vec::new());
                    }
                }
            }
            for (series, model) in series.iter_mut().zip(&models) {
                let all: Vec<_> = model.clone().into_iter().collect();
                let some: Vec<_> = model.range(100..=900).map(|(t, v)| (*t, *v)).collect();
                prop_assert_eq!(&read(&series.view(&lines), i64::MIN, i64::MAX), &all);
                prop_assert_eq!(read(&series.view(&lines), 100, 900), some);
                let range = all.first().zip(all.last()).map(|(first, last)| (first.0, last.0));
                prop_assert_eq!(series.view(&lines).range(), range);
                prop_assert_eq!(&read(&series.snapshot(&lines).view(), i64::MIN, i64::MAX), &all);
                let taken = std::mem::take(series);
                prop_assert_eq!(&read(&taken.view(&lines), i64::MIN, i64::MAX), &all);
                prop_assert!(series.is_empty());
            }
        }
    }
}
