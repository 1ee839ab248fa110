//! tsz-compress for a column of small numbers, with a walk over its words before it decodes.
//!
//! The crate's decoder trusts its input: a word of an unknown kind and a second row out of range end in a panic there.
//! The words are all of one width, so that looking at every ninth half byte is enough to know that it will not.

use tsz_compress::prelude::{TszCompressV2, TszDecompressV2};

use crate::bytes::Damage;

/// Numbers stay this far inside 32 bits, so that the differences that tsz-compress takes of them cannot wrap.
const NUMBER_MAX: u64 = 1 << 30;

/// The code that tsz-compress derives.
mod derived {
    #![allow(missing_docs, unreachable_pub, clippy::all, unused_qualifications, dead_code)]
    use tsz_compress::prelude::*;

    /// One number a row; the crate's derive makes the coder from it.
    #[derive(Copy, Clone, CompressV2, DecompressV2)]
    pub struct Row {
        pub delta: i32,
    }
    pub use compress::RowCompressorImpl as Encoder;
    pub use decompress::RowDecompressorImpl as Decoder;
}

/// `None` if a number does not fit.
pub(crate) fn encode(numbers: &[i64], out: &mut Vec<u8>) -> Option<()> {
    if numbers.iter().any(|n| n.unsigned_abs() >= NUMBER_MAX) {
        return None;
    }
    let mut encoder = derived::Encoder::new(numbers.len());
    numbers.iter().for_each(|&n| encoder.compress(derived::Row { delta: n as i32 }));
    out.extend_from_slice(&encoder.finish());
    Some(())
}

/// Reads exactly `count` numbers.
pub(crate) fn decode(bytes: &[u8], count: usize) -> Result<Vec<i32>, Damage> {
    if Nibbles::of_column(bytes).and_then(Nibbles::rows) != Some(count) {
        return Err(Damage("the words of a tsz column are of another number or of an unknown kind"));
    }
    let mut decoder = derived::Decoder::new();
    decoder.decompress(bytes).map_err(|_| Damage("tsz column does not decode"))?;
    let numbers = decoder.col_delta();
    if numbers.len() != count {
        return Err(Damage("tsz column has another length"));
    }
    Ok(numbers.to_vec())
}

/// The half bytes after the row count, high half first.
struct Nibbles<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Nibbles<'a> {
    const ROW_COUNT_BYTES: usize = 4;
    const COLUMN: u8 = 0b1001;
    const ROW: u8 = 0b0110;

    /// Behind the mark that every column begins with.
    fn of_column(bytes: &'a [u8]) -> Option<Self> {
        let mut nibbles = Self { bytes: bytes.get(Self::ROW_COUNT_BYTES..)?, at: 0 };
        (nibbles.next()? == Self::COLUMN).then_some(nibbles)
    }

    /// How many rows a decoder would find; `None` if it would fail.
    fn rows(mut self) -> Option<usize> {
        for rows in 0..2 {
            match self.next() {
                None | Some(Self::COLUMN) => return Some(rows),
                Some(Self::ROW) if rows == 0 => self.skip(8)?,
                Some(Self::ROW) => self.second_row()?,
                Some(_) => return None,
            }
        }
        let mut rows = 2;
        while let Some(kind) = self.next().filter(|&kind| kind != Self::COLUMN) {
            rows += rows_of_word(kind)?;
            self.skip(8)?;
        }
        Some(rows)
    }

    /// The second row is a difference of 64 bits, of numbers of 32.
    fn second_row(&mut self) -> Option<()> {
        let mut difference = 0u64;
        for _ in 0..16 {
            difference = difference << 4 | u64::from(self.next()?);
        }
        i32::try_from((difference as i64) >> 1).is_ok().then_some(())
    }

    fn skip(&mut self, nibbles: usize) -> Option<()> {
        self.at += nibbles;
        (self.at <= self.bytes.len() * 2).then_some(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at / 2)?;
        let nibble = if self.at.is_multiple_of(2) { byte >> 4 } else { byte & 0b1111 };
        self.at += 1;
        Some(nibble)
    }
}

/// Numbers in a word of 32 bits, by its mark.
fn rows_of_word(kind: u8) -> Option<usize> {
    match kind {
        0b1111 => Some(10),
        0b1110 => Some(5),
        0b1100 => Some(4),
        0b1010 => Some(3),
        0b1000 => Some(2),
        0b1011 => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(numbers: &[i64]) {
        let mut bytes = Vec::new();
        encode(numbers, &mut bytes).unwrap();
        let back: Vec<i64> = decode(&bytes, numbers.len()).unwrap().into_iter().map(i64::from).collect();
        assert_eq!(back, numbers);
        assert!(decode(&bytes, numbers.len() + 1).is_err());
    }

    #[test]
    fn widths_and_extremes() {
        let max = NUMBER_MAX as i64 - 1;
        for width in 0..30 {
            let numbers: Vec<i64> =
                (0..40).map(|i| (i * 7919 % (1 << width)) * if i % 2 == 0 { 1 } else { -1 }).collect();
            (0..numbers.len()).for_each(|n| check(&numbers[..n]));
        }
        check(&[max, -max, max, -max, 0, max]);
        assert!(encode(&[max + 1], &mut Vec::new()).is_none());
    }

    proptest! {
        #[test]
        fn numbers_round_trip(numbers in prop::collection::vec(-(1i64 << 30) + 1..1 << 30, 0..300)) {
            check(&numbers);
        }

        #[test]
        fn any_bytes_are_refused_or_read(count in 0usize..100, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&bytes, count);
        }

        /// Changed where the first check would not already refuse.
        #[test]
        fn a_changed_column_is_refused_or_read(
            numbers in prop::collection::vec(-5000i64..5000, 3..60),
            changes in prop::collection::vec((5usize..200, any::<u8>()), 1..4),
        ) {
            let mut bytes = Vec::new();
            encode(&numbers, &mut bytes).unwrap();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            for count in 0..80 {
                let _ = decode(&bytes, count);
            }
        }
    }
}
