//! The values of one series since the last sealing, encoded as they come.
//!
//! A stream covers consecutive rows of a timeline. It is a list of words, variable-length integers: those of
//! [`ValueState`], which are even, or odd and at most [`ESCAPE_LAST`], and above them odd ones that say by how much the
//! last value is repeated, or how many rows the series misses. A repetition at the end is a counter beside the bytes, so
//! that a series that does not change costs nothing.

use std::borrow::Cow;

use model::Timestamp;

use crate::bytes::{Damage, Reader, put_uint};
use crate::column::ValueState;
use crate::decimal::EXPONENT_MAX;
use crate::pool::{Pieces, Pool};

/// The largest odd word of a value.
const ESCAPE_LAST: u64 = (EXPONENT_MAX as u64 + 1) << 1 | 1;

/// The open stream of a series.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    bytes: Pieces,
    values: ValueState,
    /// Repetitions of the last value that the bytes do not say yet.
    repeats: u32,
    /// First row, and the one behind the last.
    start: u32,
    end: u32,
}

/// A place in a stream from which it can be read: where a value is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// Which stream of its series it is.
    pub(crate) stream: u32,
    pub(crate) row: u32,
    /// Offset in the bytes.
    pub(crate) at: u32,
    /// What the words before it left.
    pub(crate) values: ValueState,
}

/// A stream, from its start or a mark on, and the timestamps that it refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column<'a> {
    pub(crate) times: &'a [Timestamp],
    pub(crate) bytes: Encoded<'a>,
    pub(crate) repeats: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// What the words before the bytes left.
    pub(crate) values: ValueState,
}

/// The words of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoded<'a> {
    Whole(&'a [u8]),
    Pieces(&'a Pool, Pieces),
}

impl Encoded<'_> {
    /// All of them at once.
    pub(crate) fn whole(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Whole(bytes) => Cow::Borrowed(bytes),
            Self::Pieces(pool, pieces) => Cow::Owned(pool.read(*pieces)),
        }
    }
}

impl Stream {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The row behind the last one.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    pub(crate) fn column<'a>(&self, times: &'a [Timestamp], pool: &'a Pool) -> Column<'a> {
        let (bytes, values) = (Encoded::Pieces(pool, self.bytes), ValueState::default());
        Column { times, bytes, repeats: self.repeats, start: self.start, end: self.end, values }
    }

    /// A copy of the words from a mark on; `None` where the mark is not of it.
    pub(crate) fn bytes_from(&self, mark: &Mark, pool: &Pool) -> Option<Vec<u8>> {
        let is_of = (self.start..self.end).contains(&mark.row) && mark.at as usize <= self.bytes.len();
        is_of.then(|| pool.read_from(self.bytes, mark.at as usize))
    }

    /// Forgets all that it holds.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        pool.give_back(&mut self.bytes);
        *self = Self::default();
    }

    /// Adds the value of a row that is not before the end. The bytes lie in `out` until [`Stream::extend`].
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, row: u32, value: f64) {
        if self.is_empty() {
            (self.start, self.end) = (row, row);
        }
        if row > self.end {
            self.say_repeats(out);
            put_uint(out, gap(row - self.end));
        }
        if value.to_bits() == self.values.bits() {
            self.repeats += 1;
        } else {
            self.say_repeats(out);
            self.values.put(out, value);
        }
        self.end = row + 1;
    }

    fn say_repeats(&mut self, out: &mut Vec<u8>) {
        if self.repeats > 0 {
            put_uint(out, repeat(self.repeats));
            self.repeats = 0;
        }
    }

    /// Keeps what was encoded.
    pub(crate) fn extend(&mut self, encoded: &[u8], pool: &mut Pool) {
        pool.extend(&mut self.bytes, encoded);
    }
}

fn repeat(count: u32) -> u64 {
    ESCAPE_LAST + 2 + (u64::from(count - 1) << 2)
}

fn gap(rows: u32) -> u64 {
    repeat(rows) + 2
}

/// What a word says.
enum Word {
    Value,
    Repeat(u64),
    Gap(u64),
}

impl Word {
    fn of(word: u64) -> Self {
        if word & 1 == 0 || word <= ESCAPE_LAST {
            return Self::Value;
        }
        let above = word - ESCAPE_LAST - 2;
        let count = (above >> 2) + 1;
        if above & 2 == 0 { Self::Repeat(count) } else { Self::Gap(count) }
    }
}

impl Column<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// First and last timestamp; of an empty column, none.
    pub(crate) fn range(&self) -> Option<(Timestamp, Timestamp)> {
        let rows = self.times.get(self.start as usize..self.end as usize)?;
        Some((*rows.first()?, *rows.last()?))
    }

    /// Walks the rows that have a value until `each` wants no more. Fails only if memory was damaged.
    pub(crate) fn walk(&self, each: impl FnMut(u32, f64) -> bool) -> Result<(), Damage> {
        self.walk_from(0, each).map(drop)
    }

    /// As [`Column::walk`] for rows that are not before `first`. Returns the last mark that is not behind it.
    pub(crate) fn walk_from(&self, first: u32, mut each: impl FnMut(u32, f64) -> bool) -> Result<Mark, Damage> {
        let bytes = self.bytes.whole();
        let mut reader = Reader(&bytes);
        let mut values = self.values;
        let mut mark = Mark { stream: 0, row: self.start, at: 0, values };
        let mut row = u64::from(self.start);
        let end = u64::from(self.end);
        let mut rows = |count: u64, value: f64, row: &mut u64| -> Result<bool, Damage> {
            let next = row.saturating_add(count);
            if next > end {
                return Err(Damage("a stream of the head has too many rows"));
            }
            let more = ((*row).max(first.into())..next).all(|row| each(row as u32, value));
            *row = next;
            Ok(more)
        };
        while !reader.is_empty() {
            let at = bytes.len() - reader.0.len();
            let word = reader.uint()?;
            let more = match Word::of(word) {
                Word::Value => {
                    if row <= first.into() {
                        mark = Mark { stream: 0, row: row as u32, at: at as u32, values };
                    }
                    let value = values.take_word(word, &mut reader)?;
                    rows(1, value, &mut row)?
                }
                Word::Repeat(count) => rows(count, f64::from_bits(values.bits()), &mut row)?,
                Word::Gap(count) => {
                    row = row.saturating_add(count);
                    true
                }
            };
            if !more {
                return Ok(mark);
            }
        }
        rows(u64::from(self.repeats), f64::from_bits(values.bits()), &mut row).map(|_| mark)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(rows: &[(u32, f64)]) -> (Stream, Pool, Vec<Timestamp>) {
        let (mut stream, mut pool) = (Stream::default(), Pool::default());
        for run in rows.chunks(7) {
            let mut out = Vec::new();
            run.iter().for_each(|&(row, value)| stream.push(&mut out, row, value));
            stream.extend(&out, &mut pool);
        }
        (stream, pool, (0..rows.last().map_or(0, |r| i64::from(r.0) + 1)).collect())
    }

    fn decode(column: &Column<'_>) -> Result<Vec<(u32, u64)>, Damage> {
        let mut got = Vec::new();
        column.walk(|row, value| {
            got.push((row, value.to_bits()));
            true
        })?;
        Ok(got)
    }

    #[test]
    fn what_does_not_change_costs_nothing() {
        for (value, bytes) in [(0.0, 0), (5.0, 1), (0.25, 2)] {
            let rows: Vec<_> = (3..1000).map(|row| (row, value)).collect();
            assert_eq!(encode(&rows).0.bytes.len(), bytes, "{value}");
        }
    }

    proptest! {
        #[test]
        fn rows_round_trip(steps in prop::collection::vec((0u32..3, 0u8..5, any::<u64>()), 0..300)) {
            let mut row = 0;
            let mut last = 0.0;
            let rows: Vec<(u32, f64)> = steps.iter().map(|&(gap, mode, bits)| {
                row += 1 + if gap == 2 { bits as u32 % 1000 } else { 0 };
                last = match mode {
                    0 => f64::from_bits(bits),
                    1 | 2 => last,
                    _ => f64::from(bits as u16) / 100.0,
                };
                (row, last)
            }).collect();
            let (stream, pool, times) = encode(&rows);
            let expected: Vec<_> = rows.iter().map(|(row, value)| (*row, value.to_bits())).collect();
            prop_assert_eq!(decode(&stream.column(&times, &pool)), Ok(expected));
        }

        #[test]
        fn reading_goes_on_from_marks(steps in prop::collection::vec((0u32..3, 0u8..5, any::<u16>()), 1..200), firsts in prop::collection::vec(0u32..400, 1..6)) {
            let mut row = 0;
            let mut value = 0.0;
            let rows: Vec<(u32, f64)> = steps.iter().map(|&(gap, mode, bits)| {
                row += 1 + if gap == 2 { u32::from(bits) % 5 } else { 0 };
                value = if mode < 2 { value } else { f64::from(bits) / if mode == 2 { 100.0 } else { 1.0 } };
                (row, value)
            }).collect();
            let (stream, pool, times) = encode(&rows);
            let mut firsts = firsts;
            firsts.sort_unstable();
            let mut mark = Mark::default();
            for first in firsts {
                let mut got = Vec::new();
                let whole = stream.column(&times, &pool);
                let bytes = stream.bytes_from(&mark, &pool);
                let column = match &bytes {
                    Some(bytes) => {
                        Column { bytes: Encoded::Whole(bytes), start: mark.row, values: mark.values, ..whole }
                    }
                    None => whole,
                };
                let next = column.walk_from(first, |row, value| {
                    got.push((row, value.to_bits()));
                    true
                }).unwrap();
                let begin = bytes.map_or(0, |_| mark.at);
                let expected: Vec<_> =
                    rows.iter().filter(|(row, _)| *row >= first).map(|(row, value)| (*row, value.to_bits())).collect();
                prop_assert_eq!(got, expected, "from {}", first);
                mark = Mark { at: begin + next.at, ..next };
            }
        }

        #[test]
        fn damage_is_refused_or_answered(bytes in prop::collection::vec(any::<u8>(), 0..60), repeats in 0u32..5) {
            let values = ValueState::default();
            let column = Column { times: &[1; 40], bytes: Encoded::Whole(&bytes), repeats, start: 3, end: 40, values };
            prop_assert!(decode(&column).is_err() || decode(&column).unwrap().iter().all(|(row, _)| *row < 40));
        }
    }
}
