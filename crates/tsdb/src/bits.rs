//! Streams of bits, lowest bit of a byte first, and the code for numbers that are mostly small.

use crate::bytes::Damage;

/// So many bits are put or taken at once.
const CHUNK_BITS: u32 = 32;

/// Zeros before the mark of a number: none has more than 63, so that 64 of them are free to mean something else.
const ESCAPE_ZEROS: u32 = 64;

const SHORT: Damage = Damage("a stream of bits ends too early");

/// The low `count` bits of a number.
fn low(value: u64, count: u32) -> u64 {
    if count >= 64 { value } else { value & ((1 << count) - 1) }
}

/// Writes bits; keeps its memory when it is cleared.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that are not in `bytes` yet, fewer than [`CHUNK_BITS`].
    held: u64,
    count: u32,
}

impl BitWriter {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        (self.held, self.count) = (0, 0);
    }

    /// Bytes so far, the last one filled with zeros.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let rest = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.held.to_le_bytes()[..rest]);
        (self.held, self.count) = (0, 0);
        &self.bytes
    }

    /// The low `count` bits of a value that has no others, at most [`CHUNK_BITS`].
    fn put_chunk(&mut self, value: u64, count: u32) {
        self.held |= value << self.count;
        self.count += count;
        if self.count >= CHUNK_BITS {
            self.bytes.extend_from_slice(&(self.held as u32).to_le_bytes());
            self.held >>= CHUNK_BITS;
            self.count -= CHUNK_BITS;
        }
    }

    /// The low `count` bits of a value, at most 64.
    pub(crate) fn put(&mut self, value: u64, count: u32) {
        let value = low(value, count);
        if count <= CHUNK_BITS {
            self.put_chunk(value, count);
        } else {
            self.put_chunk(low(value, CHUNK_BITS), CHUNK_BITS);
            self.put_chunk(value >> CHUNK_BITS, count - CHUNK_BITS);
        }
    }

    /// Exponential Golomb code with a parameter below 64. The largest number is not for it, see [`Self::put_escape`].
    pub(crate) fn put_golomb(&mut self, value: u64, parameter: u32) {
        let quotient = (value >> parameter) + 1;
        let zeros = quotient.ilog2();
        self.put(1 << zeros, zeros + 1);
        self.put(quotient, zeros);
        self.put(value, parameter);
    }

    /// What [`BitReader::golomb`] tells from all numbers.
    pub(crate) fn put_escape(&mut self) {
        self.put(0, ESCAPE_ZEROS);
        self.put(1, 1);
    }
}

/// Reads what [`BitWriter`] wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// At least 57 bits from here on; zeros after the end.
    fn peek(&self) -> u64 {
        let from = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match from.first_chunk::<8>() {
            Some(eight) => u64::from_le_bytes(*eight),
            None => from.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        word >> (self.at % 8)
    }

    fn skip(&mut self, count: u32) -> Result<(), Damage> {
        self.at += count as usize;
        if self.at <= self.bytes.len() * 8 { Ok(()) } else { Err(SHORT) }
    }

    pub(crate) fn get(&mut self, count: u32) -> Result<u64, Damage> {
        let first = count.min(CHUNK_BITS);
        let mut value = low(self.peek(), first);
        self.skip(first)?;
        if count > first {
            value |= low(self.peek(), count - first) << first;
            self.skip(count - first)?;
        }
        Ok(value)
    }

    fn zeros(&mut self) -> Result<u32, Damage> {
        let mut zeros = 0;
        loop {
            let here = self.peek().trailing_zeros().min(CHUNK_BITS);
            self.skip(here)?;
            zeros += here;
            if here < CHUNK_BITS {
                self.skip(1)?;
                return Ok(zeros);
            }
        }
    }

    /// `None` is the escape.
    pub(crate) fn golomb(&mut self, parameter: u32) -> Result<Option<u64>, Damage> {
        let zeros = self.zeros()?;
        if zeros >= ESCAPE_ZEROS {
            return if zeros == ESCAPE_ZEROS { Ok(None) } else { Err(Damage("a number is longer than 64 bits")) };
        }
        let quotient = (1 << zeros | self.get(zeros)?) - 1;
        if parameter > 0 && quotient >> (64 - parameter) != 0 {
            return Err(Damage("a number is longer than 64 bits"));
        }
        Ok(Some(quotient << parameter | self.get(parameter)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_round_trip(numbers in prop::collection::vec((any::<u64>(), 0u32..64, 0u32..64), 0..100)) {
            let mut writer = BitWriter::default();
            for &(value, shift, parameter) in &numbers {
                writer.put_golomb((value >> shift).min(u64::MAX - 1), parameter);
                writer.put(value, shift + 1);
                if parameter == 7 {
                    writer.put_escape();
                }
            }
            let bytes = writer.finish().to_vec();
            let mut reader = BitReader::new(&bytes);
            for &(value, shift, parameter) in &numbers {
                prop_assert_eq!(reader.golomb(parameter), Ok(Some((value >> shift).min(u64::MAX - 1))));
                prop_assert_eq!(reader.get(shift + 1), Ok(low(value, shift + 1)));
                if parameter == 7 {
                    prop_assert_eq!(reader.golomb(0), Ok(None));
                }
            }
            prop_assert!(reader.get(8).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), parameter in 0u32..64) {
            let mut reader = BitReader::new(&bytes);
            while reader.golomb(parameter).is_ok() {}
        }
    }
}
