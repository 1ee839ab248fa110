//! Columns of timestamps and of values, and the codecs that write them.
//!
//! A codec only ever sees bytes whose checksum was verified by the caller, and a count that the caller bounds.

use std::ops::Range;

use model::STALE_NAN_BITS;

use crate::bytes::{Damage, Reader, put_int, put_uint, unzigzag, zigzag};
use crate::{decimal, doubles, numbers, tsz};

/// A day at a sample every 15 s fits with room; a longer column would decode much that a short query does not want.
pub(crate) const COLUMN_SAMPLES_MAX: usize = 8192;

/// Up to here the stream may be shorter than packed numbers and their head.
const STREAM_SAMPLES_MAX: usize = 24;

/// Which effort a column is worth: the head encodes often and reads soon, a block is written once and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Frames of the head: tsz-compress or the stream.
    Head,
    /// Columns of a block that is to stay: packed numbers.
    Block,
}

/// Codec ids of both kinds of columns; `FORMAT.md` says what their bytes are.
pub(crate) mod codec {
    pub(crate) const STREAM: u8 = 0;
    pub(crate) const TSZ: u8 = 1;
    pub(crate) const NUMBERS: u8 = 2;
    pub(crate) const DOUBLES: u8 = 3;
    pub(crate) const CONSTANT: u8 = 4;

    /// The word of FORMAT.md.
    pub(crate) fn name(codec: u8) -> &'static str {
        match codec {
            STREAM => "stream",
            TSZ => "tsz",
            NUMBERS => "numbers",
            DOUBLES => "doubles",
            CONSTANT => "constant",
            _ => "unknown",
        }
    }
}

/// Timestamps one after the other: the first, the first difference, then differences of differences.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TimeState {
    seen: bool,
    last: i64,
    delta: i64,
}

impl TimeState {
    /// What has to be stored of the next timestamp.
    fn residual(&mut self, timestamp: i64) -> i64 {
        let delta = if self.seen { timestamp.wrapping_sub(self.last) } else { 0 };
        let residual = if self.seen { delta.wrapping_sub(self.delta) } else { timestamp };
        *self = Self { seen: true, last: timestamp, delta };
        residual
    }

    fn restore(&mut self, residual: i64) -> i64 {
        let delta = if self.seen { self.delta.wrapping_add(residual) } else { 0 };
        let timestamp = if self.seen { self.last.wrapping_add(delta) } else { residual };
        *self = Self { seen: true, last: timestamp, delta };
        timestamp
    }

    pub(crate) fn put(&mut self, out: &mut Vec<u8>, timestamp: i64) {
        let residual = self.residual(timestamp);
        put_int(out, residual);
    }

    pub(crate) fn take(&mut self, reader: &mut Reader<'_>) -> Result<i64, Damage> {
        let residual = reader.int()?;
        Ok(self.restore(residual))
    }
}

/// Values one after the other: an even number is twice the zigzag difference of the mantissas, an odd one an escape.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ValueState {
    mantissa: i64,
    exponent: u8,
    bits: u64,
    /// The last number had no decimal; the search for one is not repeated for each of its successors.
    raw: bool,
}

/// Followed by the bits XORed with the last value's.
const ESCAPE_RAW: u64 = 1;

impl ValueState {
    /// The bits of the last value.
    pub(crate) fn bits(&self) -> u64 {
        self.bits
    }

    pub(crate) fn put(&mut self, out: &mut Vec<u8>, value: f64) {
        let hinted = decimal::mantissa_at(value, self.exponent).map(|m| (m, self.exponent));
        let found = if self.raw { hinted } else { hinted.or_else(|| decimal::shortest(value, self.exponent)) };
        match found {
            Some((mantissa, exponent)) if exponent == self.exponent => {
                put_uint(out, zigzag(mantissa - self.mantissa) << 1);
                self.mantissa = mantissa;
            }
            Some((mantissa, exponent)) => {
                put_uint(out, (u64::from(exponent) + 1) << 1 | 1);
                put_int(out, mantissa);
                (self.mantissa, self.exponent) = (mantissa, exponent);
            }
            None => {
                put_uint(out, ESCAPE_RAW);
                put_uint(out, value.to_bits() ^ self.bits);
                self.raw = value.is_finite();
            }
        }
        self.bits = value.to_bits();
    }

    pub(crate) fn take(&mut self, reader: &mut Reader<'_>) -> Result<f64, Damage> {
        let word = reader.uint()?;
        self.take_word(word, reader)
    }

    /// As [`ValueState::take`] for a number whose first word was read.
    pub(crate) fn take_word(&mut self, word: u64, reader: &mut Reader<'_>) -> Result<f64, Damage> {
        let value = if word & 1 == 0 {
            self.mantissa = self.mantissa.wrapping_add(unzigzag(word >> 1));
            decimal::value(self.mantissa, self.exponent)
        } else if word == ESCAPE_RAW {
            f64::from_bits(self.bits ^ reader.uint()?)
        } else {
            self.exponent = exponent((word >> 1) - 1)?;
            self.mantissa = reader.int()?;
            decimal::value(self.mantissa, self.exponent)
        };
        self.bits = value.to_bits();
        Ok(value)
    }
}

fn exponent(number: u64) -> Result<u8, Damage> {
    u8::try_from(number)
        .ok()
        .filter(|&e| e <= decimal::EXPONENT_MAX)
        .ok_or(Damage("a decimal exponent is out of range"))
}

/// Writes timestamps; returns the codec.
pub(crate) fn encode_times(times: &[i64], tier: Tier, out: &mut Vec<u8>) -> u8 {
    let dense = match tier {
        Tier::Head => tsz_times(times).map(|b| (codec::TSZ, b)),
        Tier::Block => Some(packed_times(times)),
    };
    shorter(dense, tier, times.len(), out, |out| {
        let mut state = TimeState::default();
        times.iter().for_each(|&t| state.put(out, t));
    })
}

/// Writes what is shorter, the stream or the dense form; the stream is not tried where it cannot be.
fn shorter(
    dense: Option<(u8, Vec<u8>)>,
    tier: Tier,
    count: usize,
    out: &mut Vec<u8>,
    put_stream: impl FnOnce(&mut Vec<u8>),
) -> u8 {
    let start = out.len();
    if dense.is_none() || tier == Tier::Head || count <= STREAM_SAMPLES_MAX {
        put_stream(out);
    }
    match dense {
        Some((codec, bytes)) if out.len() == start || bytes.len() < out.len() - start => {
            out.truncate(start);
            out.extend_from_slice(&bytes);
            codec
        }
        _ => codec::STREAM,
    }
}

fn packed_times(times: &[i64]) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    numbers::pack(times, &mut out);
    (codec::NUMBERS, out)
}

fn tsz_times(times: &[i64]) -> Option<Vec<u8>> {
    let mut state = TimeState::default();
    let (first, rest) = times.split_first_chunk::<2>()?;
    let mut out = Vec::new();
    first.iter().for_each(|&t| state.put(&mut out, t));
    let residuals: Vec<i64> = rest.iter().map(|&t| state.residual(t)).collect();
    tsz::encode(&residuals, &mut out)?;
    Some(out)
}

/// Reads `count` timestamps and adds them to `into`.
pub(crate) fn decode_times(codec: u8, bytes: &[u8], count: usize, into: &mut Vec<i64>) -> Result<(), Damage> {
    let mut reader = Reader(bytes);
    let mut state = TimeState::default();
    match codec {
        codec::STREAM => {
            for _ in 0..count {
                into.push(state.take(&mut reader)?);
            }
        }
        codec::TSZ => {
            for _ in 0..count.min(2) {
                into.push(state.take(&mut reader)?);
            }
            let residuals = tsz::decode(reader.0, count.saturating_sub(2))?;
            into.extend(residuals.iter().map(|&r| state.restore(i64::from(r))));
        }
        codec::NUMBERS => numbers::unpack(reader, count, 0..count, |page| into.extend_from_slice(page))?,
        _ => return Err(Damage("unknown codec of timestamps")),
    }
    Ok(())
}

/// Writes values; returns the codec.
pub(crate) fn encode_values(values: &[f64], tier: Tier, out: &mut Vec<u8>) -> u8 {
    if let Some(first) = constant(values) {
        put_uint(out, first.reverse_bits());
        return codec::CONSTANT;
    }
    let dense = match tier {
        Tier::Head => Scaled::of(values).and_then(|s| s.tsz()).map(|b| (codec::TSZ, b)),
        Tier::Block => packed_values(values),
    };
    shorter(dense, tier, values.len(), out, |out| {
        let mut state = ValueState::default();
        values.iter().for_each(|&v| state.put(out, v));
    })
}

/// The bits that all values share.
fn constant(values: &[f64]) -> Option<u64> {
    let first = values.first()?.to_bits();
    values.iter().all(|v| v.to_bits() == first).then_some(first)
}

fn packed_values(values: &[f64]) -> Option<(u8, Vec<u8>)> {
    let mut out = Vec::new();
    if let Some(scaled) = Scaled::of(values) {
        scaled.put_head(&mut out);
        numbers::pack(&scaled.mantissas, &mut out);
        return Some((codec::NUMBERS, out));
    }
    doubles::pack(values, &mut out)?;
    Some((codec::DOUBLES, out))
}

/// Reads those of `count` values that lie in the range, which ends at `count` or before, and adds them to `into`.
pub(crate) fn decode_values(
    codec: u8,
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    into: &mut Vec<f64>,
) -> Result<(), Damage> {
    let mut reader = Reader(bytes);
    into.reserve(range.len());
    match codec {
        codec::STREAM => {
            let mut state = ValueState::default();
            for at in 0..range.end {
                let value = state.take(&mut reader)?;
                if at >= range.start {
                    into.push(value);
                }
            }
        }
        codec::TSZ => {
            let scaled = Scaled::from_tsz(reader, count)?;
            let start = into.len();
            scaled.restore(&scaled.mantissas[range.clone()], into);
            scaled.put_exceptions(range, &mut into[start..]);
        }
        codec::NUMBERS => {
            let scaled = Scaled::take_head(&mut reader, count)?;
            let start = into.len();
            numbers::unpack(reader, count, range.clone(), |page| scaled.restore(page, into))?;
            scaled.put_exceptions(range, &mut into[start..]);
        }
        codec::DOUBLES => into.extend_from_slice(&doubles::unpack(reader, count)?[range]),
        codec::CONSTANT => {
            let value = f64::from_bits(reader.uint()?.reverse_bits());
            into.extend(std::iter::repeat_n(value, range.len()));
        }
        _ => return Err(Damage("unknown codec of values")),
    }
    Ok(())
}

/// Values as integers at one power of ten, and the few that are none.
pub(crate) struct Scaled {
    exponent: u8,
    mantissas: Vec<i64>,
    /// Where a value is not `mantissa / 10^exponent`, and its bits: staleness markers, NaN, infinities, -0.0.
    exceptions: Vec<(usize, u64)>,
}

impl Scaled {
    /// `None` if more than a sixteenth of the values are no decimals of one exponent.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut exponent = 0;
        loop {
            match Self::at(values, exponent) {
                Ok(scaled) => return scaled,
                Err(larger) => exponent = larger,
            }
        }
    }

    /// With this exponent, or the larger one that a value needs.
    fn at(values: &[f64], exponent: u8) -> Result<Option<Self>, u8> {
        let exceptions_max = values.len() / 16 + 1;
        let mut scaled = Self { exponent, mantissas: Vec::with_capacity(values.len()), exceptions: Vec::new() };
        for (i, &value) in values.iter().enumerate() {
            let last = scaled.mantissas.last().copied().unwrap_or_default();
            match decimal::shortest(value, exponent) {
                Some((mantissa, needed)) if needed == exponent => scaled.mantissas.push(mantissa),
                Some((_, larger)) if larger > exponent => return Err(larger),
                _ => {
                    scaled.mantissas.push(last);
                    scaled.exceptions.push((i, value.to_bits()));
                }
            }
            if scaled.exceptions.len() > exceptions_max {
                return Ok(None);
            }
        }
        Ok(Some(scaled))
    }

    /// The exponent and the integers, where they stand for all values.
    pub(crate) fn into_exact(self) -> Option<(u8, Vec<i64>)> {
        self.exceptions.is_empty().then_some((self.exponent, self.mantissas))
    }

    fn put_head(&self, out: &mut Vec<u8>) {
        out.push(self.exponent << 1 | u8::from(!self.exceptions.is_empty()));
        if self.exceptions.is_empty() {
            return;
        }
        put_uint(out, self.exceptions.len() as u64);
        let mut last = 0;
        for &(at, bits) in &self.exceptions {
            let is_marker = bits == STALE_NAN_BITS;
            put_uint(out, ((at - last) as u64) << 1 | u64::from(is_marker));
            if !is_marker {
                out.extend_from_slice(&bits.to_le_bytes());
            }
            last = at;
        }
    }

    fn take_head(reader: &mut Reader<'_>, count: usize) -> Result<Self, Damage> {
        let head = reader.byte()?;
        let exponent = exponent(u64::from(head >> 1))?;
        let mut exceptions = Vec::new();
        let mut at = 0usize;
        for _ in 0..if head & 1 == 1 { reader.count()? } else { 0 } {
            let step = reader.uint()?;
            at = at.saturating_add(usize::try_from(step >> 1).unwrap_or(usize::MAX));
            if at >= count {
                return Err(Damage("an exception lies outside of its column"));
            }
            exceptions.push((at, if step & 1 == 1 { STALE_NAN_BITS } else { reader.fixed64()? }));
        }
        Ok(Self { exponent, mantissas: Vec::new(), exceptions })
    }

    fn tsz(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.put_head(&mut out);
        put_int(&mut out, *self.mantissas.first()?);
        let deltas: Vec<i64> = self.mantissas.windows(2).map(|two| two[1] - two[0]).collect();
        tsz::encode(&deltas, &mut out)?;
        Some(out)
    }

    fn from_tsz(mut reader: Reader<'_>, count: usize) -> Result<Self, Damage> {
        let mut scaled = Self::take_head(&mut reader, count)?;
        let mut mantissa = reader.int()?;
        let differences = count.checked_sub(1).ok_or(Damage("a tsz column of values has at least one"))?;
        scaled.mantissas.reserve(count);
        scaled.mantissas.push(mantissa);
        for delta in tsz::decode(reader.0, differences)? {
            mantissa = mantissa.wrapping_add(i64::from(delta));
            scaled.mantissas.push(mantissa);
        }
        Ok(scaled)
    }

    /// Adds the values behind mantissas.
    fn restore(&self, mantissas: &[i64], into: &mut Vec<f64>) {
        match self.exponent {
            0 => into.extend(mantissas.iter().map(|&m| m as f64)),
            exponent => into.extend(mantissas.iter().map(|&m| decimal::value(m, exponent))),
        }
    }

    /// Puts those of a range in their places.
    fn put_exceptions(&self, range: Range<usize>, into: &mut [f64]) {
        for &(at, bits) in self.exceptions.iter().filter(|(at, _)| range.contains(at)) {
            into[at - range.start] = f64::from_bits(bits);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::stale_nan;
    use proptest::prelude::*;

    use super::*;

    fn check(times: &[i64], values: &[f64], tier: Tier) -> (u8, u8) {
        let (mut time_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        let codecs = (encode_times(times, tier, &mut time_bytes), encode_values(values, tier, &mut value_bytes));
        let (mut got_times, mut got_values) = (Vec::new(), Vec::new());
        decode_times(codecs.0, &time_bytes, times.len(), &mut got_times).unwrap();
        decode_values(codecs.1, &value_bytes, values.len(), 0..values.len(), &mut got_values).unwrap();
        let middle = values.len() / 3..values.len().div_ceil(2);
        let mut part = Vec::new();
        decode_values(codecs.1, &value_bytes, values.len(), middle.clone(), &mut part).unwrap();
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(got_times, times, "{tier:?} {codecs:?}");
        assert_eq!(bits(&got_values), bits(values), "{tier:?} {codecs:?}");
        assert_eq!(bits(&part), bits(&values[middle]), "{tier:?} {codecs:?}");
        codecs
    }

    #[test]
    fn each_codec_has_its_columns() {
        let times: Vec<i64> = (0..500).map(|i| 1_700_000_000_000 + i * 15_000).collect();
        let column = |f: fn(i64) -> f64| times.iter().map(|t| f((t - times[0]) / 15_000)).collect::<Vec<_>>();
        let noise =
            |i: i64| f64::from_bits(0x3ff0_0000_0000_0000 | (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12);
        let cases = [
            (column(|i| (i * 37 % 100) as f64), codec::TSZ, codec::NUMBERS),
            (column(|i| (i % 2) as f64 / 100.0), codec::TSZ, codec::NUMBERS),
            (column(|_| 1.0), codec::CONSTANT, codec::CONSTANT),
            (column(|_| stale_nan()), codec::CONSTANT, codec::CONSTANT),
            (times.iter().map(|t| noise(*t)).collect(), codec::STREAM, codec::DOUBLES),
        ];
        for (values, head, block) in cases {
            assert_eq!(check(&times, &values, Tier::Head), (codec::TSZ, head));
            assert_eq!(check(&times, &values, Tier::Block), (codec::NUMBERS, block));
        }
    }

    #[test]
    fn a_staleness_marker_does_not_cost_the_decimal() {
        let times: Vec<i64> = (0..100).collect();
        let mut values: Vec<f64> = (0..100).map(|i| f64::from(i) / 10.0).collect();
        values[40] = stale_nan();
        values[99] = -0.0;
        assert_eq!(check(&times, &values, Tier::Block).1, codec::NUMBERS);
        assert_eq!(check(&times, &values, Tier::Head).1, codec::TSZ);
    }

    fn hostile() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1_000_000i64..1_000_000, 0u8..5).prop_map(|(m, e)| decimal::value(m, e)),
            prop::sample::select(vec![
                0.0,
                -0.0,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::MIN_POSITIVE,
                f64::from_bits(1),
                f64::MAX,
                f64::from_bits(0xfff8_dead_beef_0001),
                stale_nan(),
                9_007_199_254_740_992.0,
                -9_007_199_254_740_993.0,
            ]),
        ]
    }

    proptest! {
        #[test]
        fn columns_round_trip(rows in prop::collection::vec((any::<i64>(), hostile()), 1..200), regular in any::<bool>()) {
            let times: Vec<i64> = rows.iter().enumerate().map(|(i, r)| if regular { i as i64 * 1000 + r.0 % 7 } else { r.0 }).collect();
            let values: Vec<f64> = rows.iter().map(|r| r.1).collect();
            check(&times, &values, Tier::Head);
            check(&times, &values, Tier::Block);
        }

        #[test]
        fn decoders_refuse_or_answer(codec in 0u8..6, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            // pco runs only behind a checksum; the others must stand on their own.
            prop_assume!(codec != codec::DOUBLES);
            let _ = decode_times(codec, &bytes, 10, &mut Vec::new());
            let _ = decode_values(codec, &bytes, 10, 2..9, &mut Vec::new());
        }
    }
}
