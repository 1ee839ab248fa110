//! What the log knows of a series: enough to tell the next value by a few bits.
//!
//! A value is a whole number of some unit: of a power of ten, of a page of memory, or, where neither is exact, of the
//! order of doubles. What is written is how far the number lies from what was expected: the last one, or the last one
//! plus the usual step, whichever came closer of late. The code adapts to how far off the expectation usually is. A
//! series that is nearly always as expected is quiet: of such only the lengths of runs without surprise are written.

use crate::bits::{BitReader, BitWriter};
use crate::bytes::{Damage, Reader, put_bytes, unzigzag, zigzag};
use crate::decimal;
use crate::numbers::ordered;

/// The state of one series within an epoch of the log, the same for who writes and who reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The last value, in units.
    number: i64,
    /// The usual step, in sixteenths of a unit.
    trend: i64,
    /// The epoch that all this belongs to; 0 if none.
    pub(crate) epoch: u32,
    unit_and_misses: UnitAndMisses,
}

/// In 4, 14 and 14 bits: the unit, and how many bits the distance from the last number and from the last number plus
/// the usual step had of late, in 256ths of a bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct UnitAndMisses(u32);

/// Units by their number in the format; those up to [`decimal::EXPONENT_MAX`] are powers of ten.
mod unit {
    use crate::decimal::EXPONENT_MAX;

    /// 4096: sizes of memory are counted in pages.
    pub(super) const PAGE: u32 = EXPONENT_MAX as u32 + 1;
    /// Neighbouring doubles are one apart.
    pub(super) const ORDER: u32 = PAGE + 1;
    pub(super) const MAX: u32 = ORDER;
    /// No value was written yet.
    pub(super) const NONE: u32 = 15;
}

const PAGE_SHIFT: u32 = 12;

/// How fast misses and trend follow: an eighth of the way with each sample.
const PACE: u32 = 3;

/// Sixteenths of a unit.
const TREND_SHIFT: u32 = 4;

/// Steps of the trend are cut at this size, so that they fit with their sixteenths.
const STEP_MAX: i64 = 1 << 57;

/// Bits of a miss.
const MISS_SHIFT: u32 = 8;

/// Misses that are expected of a series of which nothing is known: some bits of a number, most of a double.
const FIRST_MISS: u32 = 4 << MISS_SHIFT;
const FIRST_MISS_OF_ORDER: u32 = 50 << MISS_SHIFT;

/// A series whose misses are below a quarter of a bit is quiet.
const QUIET: u32 = 1 << (MISS_SHIFT - 2);

/// Surprises of a quiet series are small, but not one.
const SURPRISE_PARAMETER: u32 = 1;

/// Runs without surprise are expected to be this long in bits when a batch begins.
const FIRST_RUN_MISS: u32 = 4 << MISS_SHIFT;

/// Bits for the number of a unit, and for the length of a number in bits.
const UNIT_BITS: u32 = 4;
const LENGTH_BITS: u32 = 7;

fn bit_length(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// Moves an average of lengths towards the length of this number.
fn follow(miss: u32, value: u64) -> u32 {
    let length = (bit_length(value) << MISS_SHIFT) as i32;
    (miss as i32 + ((length - miss as i32) >> PACE)) as u32
}

/// The parameter of the code for numbers of this average length.
fn parameter(miss: u32) -> u32 {
    ((miss + (1 << (MISS_SHIFT - 1))) >> MISS_SHIFT).saturating_sub(1)
}

impl UnitAndMisses {
    fn new(unit: u32, plain: u32, trend: u32) -> Self {
        Self(unit | plain << 4 | trend << 18)
    }

    fn unit(self) -> u32 {
        self.0 & 15
    }

    fn plain(self) -> u32 {
        self.0 >> 4 & 0x3fff
    }

    fn trend(self) -> u32 {
        self.0 >> 18
    }
}

fn number_in(value: f64, unit: u32) -> Option<i64> {
    match unit {
        unit::ORDER => Some(ordered(value.to_bits() as i64)),
        unit::PAGE => decimal::mantissa_at(value, 0).filter(|n| n % (1 << PAGE_SHIFT) == 0).map(|n| n >> PAGE_SHIFT),
        exponent => decimal::mantissa_at(value, exponent as u8),
    }
}

fn value_in(number: i64, unit: u32) -> f64 {
    match unit {
        unit::ORDER => f64::from_bits(ordered(number) as u64),
        unit::PAGE => decimal::value(number.wrapping_shl(PAGE_SHIFT), 0),
        exponent => decimal::value(number, exponent as u8),
    }
}

/// The unit that makes a value a short number.
fn choose(value: f64) -> (i64, u32) {
    match decimal::shortest(value, 0) {
        Some((pages, 0)) if pages != 0 && pages % (1 << PAGE_SHIFT) == 0 => (pages >> PAGE_SHIFT, unit::PAGE),
        Some((mantissa, exponent)) => (mantissa, u32::from(exponent)),
        None => (ordered(value.to_bits() as i64), unit::ORDER),
    }
}

/// What was expected of a series.
struct Expected {
    step: i64,
    miss: u32,
}

impl Chain {
    /// A series that the log knows by its number, without a value yet.
    pub(crate) fn defined(epoch: u32) -> Self {
        Self { number: 0, trend: 0, epoch, unit_and_misses: UnitAndMisses::new(unit::NONE, 0, 0) }
    }

    /// A series whose state is lost for the rest of the epoch.
    pub(crate) fn broken(epoch: u32) -> Self {
        Self { number: i64::MIN, ..Self::defined(epoch) }
    }

    pub(crate) fn is_broken(&self, epoch: u32) -> bool {
        *self == Self::broken(epoch)
    }

    fn start(number: i64, unit: u32, epoch: u32) -> Self {
        let miss = if unit == unit::ORDER { FIRST_MISS_OF_ORDER } else { FIRST_MISS };
        Self { number, trend: 0, epoch, unit_and_misses: UnitAndMisses::new(unit, miss, miss) }
    }

    fn is_started(&self, epoch: u32) -> bool {
        self.epoch == epoch && self.unit_and_misses.unit() != unit::NONE
    }

    fn usual_step(&self) -> i64 {
        (self.trend + (1 << (TREND_SHIFT - 1))) >> TREND_SHIFT
    }

    fn expected(&self) -> Expected {
        let (plain, trend) = (self.unit_and_misses.plain(), self.unit_and_misses.trend());
        if trend < plain {
            Expected { step: self.usual_step(), miss: trend }
        } else {
            Expected { step: 0, miss: plain }
        }
    }

    /// Goes on to the number that lies this far from the last one.
    fn advance(&mut self, step: i64) {
        let plain = follow(self.unit_and_misses.plain(), zigzag(step));
        let trend = follow(self.unit_and_misses.trend(), zigzag(step.wrapping_sub(self.usual_step())));
        self.unit_and_misses = UnitAndMisses::new(self.unit_and_misses.unit(), plain, trend);
        let parts = step.clamp(-STEP_MAX, STEP_MAX) << TREND_SHIFT;
        self.trend += (parts - self.trend) >> PACE;
        self.number = self.number.wrapping_add(step);
    }

    /// Writes the next value of the series.
    pub(crate) fn put(&mut self, value: f64, epoch: u32, out: &mut ValueWriter) {
        if !self.is_started(epoch) {
            *self = out.put_whole(value, epoch);
            return;
        }
        let expected = self.expected();
        let step = number_in(value, self.unit_and_misses.unit()).map(|number| number.wrapping_sub(self.number));
        match step.map(|step| (step, zigzag(step.wrapping_sub(expected.step)))) {
            Some((step, miss)) if miss != u64::MAX => {
                out.put_miss(miss, expected.miss);
                self.advance(step);
            }
            _ => *self = out.put_escape(value, expected.miss, epoch),
        }
    }

    /// Reads it back.
    pub(crate) fn take(&mut self, epoch: u32, from: &mut ValueReader<'_>) -> Result<f64, Damage> {
        if !self.is_started(epoch) {
            *self = from.whole(epoch)?;
        } else {
            let expected = self.expected();
            match from.miss(expected.miss)? {
                Some(miss) => self.advance(unzigzag(miss).wrapping_add(expected.step)),
                None => *self = from.whole(epoch)?,
            }
        }
        Ok(value_in(self.number, self.unit_and_misses.unit()))
    }
}

/// Writes values into two streams, of the quiet series and of the others.
#[derive(Debug)]
pub(crate) struct ValueWriter {
    busy: BitWriter,
    quiet: BitWriter,
    /// Quiet series without surprise since the last one with.
    run: u64,
    run_miss: u32,
}

impl Default for ValueWriter {
    fn default() -> Self {
        Self { busy: BitWriter::default(), quiet: BitWriter::default(), run: 0, run_miss: FIRST_RUN_MISS }
    }
}

impl ValueWriter {
    /// Forgets all but the memory.
    pub(crate) fn clear(&mut self) {
        self.busy.clear();
        self.quiet.clear();
        (self.run, self.run_miss) = (0, FIRST_RUN_MISS);
    }

    fn put_miss(&mut self, miss: u64, usual: u32) {
        if usual >= QUIET {
            self.busy.put_golomb(miss, parameter(usual));
        } else if miss == 0 {
            self.run += 1;
        } else {
            self.end_run();
            self.quiet.put_golomb(miss - 1, SURPRISE_PARAMETER);
        }
    }

    fn end_run(&mut self) {
        self.quiet.put_golomb(self.run, parameter(self.run_miss));
        self.run_miss = follow(self.run_miss, self.run);
        self.run = 0;
    }

    fn put_escape(&mut self, value: f64, usual: u32, epoch: u32) -> Chain {
        if usual >= QUIET {
            self.busy.put_escape();
        } else {
            self.end_run();
            self.quiet.put_escape();
        }
        self.put_whole(value, epoch)
    }

    fn put_whole(&mut self, value: f64, epoch: u32) -> Chain {
        let (number, unit) = choose(value);
        let folded = zigzag(number);
        self.busy.put(u64::from(unit), UNIT_BITS);
        self.busy.put(u64::from(bit_length(folded)), LENGTH_BITS);
        self.busy.put(folded, bit_length(folded));
        Chain::start(number, unit, epoch)
    }

    /// Both streams, the quiet one with its length in front.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.run > 0 {
            self.end_run();
        }
        put_bytes(out, self.quiet.finish());
        out.extend_from_slice(self.busy.finish());
    }
}

/// Reads what [`ValueWriter`] wrote.
pub(crate) struct ValueReader<'a> {
    busy: BitReader<'a>,
    quiet: BitReader<'a>,
    /// What is left of the run, if one was read.
    run: Option<u64>,
    run_miss: u32,
}

impl<'a> ValueReader<'a> {
    pub(crate) fn new(mut reader: Reader<'a>) -> Result<Self, Damage> {
        let quiet = BitReader::new(reader.bytes()?);
        Ok(Self { busy: BitReader::new(reader.0), quiet, run: None, run_miss: FIRST_RUN_MISS })
    }

    /// `None` announces a value in full.
    fn miss(&mut self, usual: u32) -> Result<Option<u64>, Damage> {
        if usual >= QUIET {
            return self.busy.golomb(parameter(usual));
        }
        let run = match self.run {
            Some(run) => run,
            None => self.next_run()?,
        };
        self.run = run.checked_sub(1);
        if run > 0 {
            return Ok(Some(0));
        }
        Ok(self.quiet.golomb(SURPRISE_PARAMETER)?.map(|miss| miss.saturating_add(1)))
    }

    fn next_run(&mut self) -> Result<u64, Damage> {
        let run = self.quiet.golomb(parameter(self.run_miss))?.ok_or(Damage("a run without a length"))?;
        self.run_miss = follow(self.run_miss, run);
        Ok(run)
    }

    fn whole(&mut self, epoch: u32) -> Result<Chain, Damage> {
        let unit = self.busy.get(UNIT_BITS)? as u32;
        let length = self.busy.get(LENGTH_BITS)? as u32;
        if unit > unit::MAX || length > 64 {
            return Err(Damage("a value in full is out of range"));
        }
        let number = unzigzag(self.busy.get(length)?);
        Ok(Chain::start(number, unit, epoch))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPOCH: u32 = 3;

    fn check(columns: &[Vec<f64>]) {
        let mut writing = vec![Chain::default(); columns.len()];
        let mut reading = vec![Chain::default(); columns.len()];
        let mut writer = ValueWriter::default();
        let rows = columns.iter().map(Vec::len).min().unwrap_or_default();
        for row in 0..rows {
            writer.clear();
            writing.iter_mut().zip(columns).for_each(|(state, column)| state.put(column[row], EPOCH, &mut writer));
            let mut bytes = Vec::new();
            writer.finish(&mut bytes);
            let mut reader = ValueReader::new(Reader(&bytes)).unwrap();
            for (state, column) in reading.iter_mut().zip(columns) {
                assert_eq!(state.take(EPOCH, &mut reader).unwrap().to_bits(), column[row].to_bits());
            }
            assert_eq!(writing, reading);
        }
    }

    fn hostile() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-100_000i64..100_000, 0u8..4).prop_map(|(m, e)| decimal::value(m, e)),
            (0i64..100_000).prop_map(|pages| (pages << PAGE_SHIFT) as f64),
            Just(0.0),
            Just(-0.0),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(f64::MAX),
            Just(f64::MIN),
        ]
    }

    #[test]
    fn a_state_is_small() {
        assert_eq!(size_of::<Chain>(), 24);
    }

    #[test]
    fn quiet_series_cost_little() {
        let mut states = vec![Chain::default(); 1000];
        let mut writer = ValueWriter::default();
        let mut bytes = Vec::new();
        for _ in 0..100 {
            writer.clear();
            states.iter_mut().for_each(|state| state.put(5.5, EPOCH, &mut writer));
            bytes.clear();
            writer.finish(&mut bytes);
        }
        assert!(bytes.len() < 8, "{}", bytes.len());
    }

    proptest! {
        #[test]
        fn any_values_round_trip(columns in prop::collection::vec(prop::collection::vec(hostile(), 40), 1..8)) {
            check(&columns);
        }

        #[test]
        fn steady_values_round_trip(steps in prop::collection::vec((0u64..5, 0u8..20, hostile()), 50..400)) {
            let mut count = 0;
            let column = |scale: f64| steps.iter().map(|&(step, kind, value)| {
                count += if kind > 15 { step } else { 0 };
                if kind == 1 { value } else { count as f64 / scale }
            }).collect::<Vec<f64>>();
            check(&[1.0, 100.0, 7.0].map(column));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut state = Chain::default();
            if let Ok(mut reader) = ValueReader::new(Reader(&bytes)) {
                for _ in 0..1000 {
                    if state.take(EPOCH, &mut reader).is_err() {
                        break;
                    }
                }
            }
        }
    }
}
