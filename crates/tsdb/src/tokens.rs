//! Pages of numbers as tokens of a prefix code that is made for their column.
//!
//! A token is a number, or a run of zeros. Small numbers have codes of their own, larger ones share one with those of
//! nearly the same size and say their low bits behind it. A table of two kilobytes decodes a column, so that starting
//! in the middle costs little, and a run costs one look-up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::bytes::{Damage, Reader, put_uint};

/// Longest code. One bit less makes columns 0.3 % larger, one more 0.1 % smaller and the table twice as large.
const LENGTH_MAX: u32 = 9;

/// Entries of the table.
const ENTRIES: usize = 1 << LENGTH_MAX;

/// Symbols of runs: one of 2 or 3 zeros, of 4 to 7, and so on.
const RUNS: usize = 8;

/// The longest run that they can say.
pub(crate) const RUN_MAX: usize = (1 << (RUNS + 1)) - 1;

/// Numbers below this one have a symbol each.
const EXACT: u64 = 16;

/// Larger numbers have so many symbols for each of their lengths in bits.
const STEPS: u64 = 4;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Symbols of all kinds.
const SYMBOLS: usize = RUNS + EXACT as usize + (u64::BITS - EXACT.trailing_zeros()) as usize * STEPS as usize;

/// Symbols whose code lengths stand in a byte.
const LENGTHS_A_BYTE: usize = 2;

/// A symbol and the bits behind its code.
#[derive(Clone, Copy)]
struct Token {
    symbol: u16,
    extra_bits: u8,
    extra: u64,
}

impl Token {
    fn number(number: u64) -> Self {
        if number < EXACT {
            return Self { symbol: (RUNS + number as usize) as u16, extra_bits: 0, extra: 0 };
        }
        let length = number.ilog2();
        let extra_bits = length - STEP_BITS;
        let step = number >> extra_bits & (STEPS - 1);
        let symbol = u64::from(length - EXACT.ilog2()) * STEPS + step + EXACT + RUNS as u64;
        Self { symbol: symbol as u16, extra_bits: extra_bits as u8, extra: number & ((1 << extra_bits) - 1) }
    }

    /// At least two zeros.
    fn run(zeros: usize) -> Self {
        let length = zeros.ilog2();
        Self { symbol: length as u16 - 1, extra_bits: length as u8, extra: (zeros as u64) & ((1 << length) - 1) }
    }
}

/// Collects the pages of a column.
pub(crate) struct Pages {
    tokens: Vec<Token>,
    /// Where the tokens of each page end.
    ends: Vec<usize>,
    counts: [u32; SYMBOLS],
}

/// The pages of a column, written.
pub(crate) struct Written {
    /// What [`Code::take`] reads.
    pub(crate) code: Vec<u8>,
    /// How many bits each page has.
    pub(crate) lengths: Vec<usize>,
    pub(crate) bits: Vec<u8>,
}

impl Pages {
    pub(crate) fn with_capacity(numbers: usize) -> Self {
        Self { tokens: Vec::with_capacity(numbers), ends: Vec::new(), counts: [0; SYMBOLS] }
    }

    /// Adds a page of at most [`RUN_MAX`] numbers.
    pub(crate) fn add(&mut self, mut numbers: &[u64]) {
        while let Some((&number, rest)) = numbers.split_first() {
            let zeros = numbers.iter().take_while(|&&n| n == 0).count();
            let token = if zeros > 1 { Token::run(zeros) } else { Token::number(number) };
            numbers = if zeros > 1 { &numbers[zeros..] } else { rest };
            self.counts[usize::from(token.symbol)] += 1;
            self.tokens.push(token);
        }
        self.ends.push(self.tokens.len());
    }

    pub(crate) fn write(&self) -> Written {
        let lengths = code_lengths(&self.counts);
        let codes = codes(&lengths);
        let mut sink = BitSink::default();
        let (mut begin, mut begin_bit, mut page_lengths) = (0, 0, Vec::with_capacity(self.ends.len()));
        for &end in &self.ends {
            for token in &self.tokens[begin..end] {
                let (code, length) = codes[usize::from(token.symbol)];
                sink.put(u64::from(code), length);
                sink.put_long(token.extra, u32::from(token.extra_bits));
            }
            page_lengths.push(sink.bits - begin_bit);
            (begin, begin_bit) = (end, sink.bits);
        }
        Written { code: put_lengths(&lengths), lengths: page_lengths, bits: sink.finish() }
    }
}

/// How many symbols have lengths, then these, the length of the first of two in the upper half of a byte.
fn put_lengths(lengths: &[u8; SYMBOLS]) -> Vec<u8> {
    let used = lengths.iter().rposition(|&length| length > 0).map_or(0, |last| last + 1);
    let mut out = Vec::with_capacity(used / LENGTHS_A_BYTE + 3);
    put_uint(&mut out, used as u64);
    out.extend(lengths[..used].chunks(LENGTHS_A_BYTE).map(|two| two[0] << 4 | two.get(1).copied().unwrap_or(0)));
    out
}

/// Lengths of Huffman's codes. Where one gets too long, frequencies are made more alike until none is.
fn code_lengths(counts: &[u32; SYMBOLS]) -> [u8; SYMBOLS] {
    let mut counts = *counts;
    loop {
        let lengths = huffman(&counts);
        if lengths.iter().all(|&length| u32::from(length) <= LENGTH_MAX) {
            return lengths;
        }
        counts.iter_mut().filter(|count| **count > 0).for_each(|count| *count = *count >> 1 | 1);
    }
}

fn huffman(counts: &[u32; SYMBOLS]) -> [u8; SYMBOLS] {
    let symbols: Vec<usize> = (0..SYMBOLS).filter(|&symbol| counts[symbol] > 0).collect();
    let mut lengths = [0; SYMBOLS];
    let mut waiting: BinaryHeap<_> = symbols.iter().enumerate().map(|(node, &s)| Reverse((counts[s], node))).collect();
    let mut parents = vec![0; 2 * symbols.len()];
    let mut next = symbols.len();
    while let (Some(Reverse((a, left))), Some(&Reverse((b, right)))) = (waiting.pop(), waiting.peek()) {
        (parents[left], parents[right]) = (next, next);
        waiting.pop();
        waiting.push(Reverse((a + b, next)));
        next += 1;
    }
    // The root is the last node; the loop took it without finding another one.
    let mut depths = vec![0u8; next];
    for node in (0..next.saturating_sub(1)).rev() {
        depths[node] = depths[parents[node]].saturating_add(1);
    }
    symbols.iter().zip(&depths).for_each(|(&symbol, &depth)| lengths[symbol] = depth.max(1));
    lengths
}

/// Canonical codes: shorter ones first, those of one length in the order of the symbols.
fn codes(lengths: &[u8; SYMBOLS]) -> [(u16, u32); SYMBOLS] {
    let mut codes = [(0, 0); SYMBOLS];
    let mut next = first_places(lengths);
    for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
        let (place, length) = (&mut next[usize::from(length)], u32::from(length));
        codes[symbol] = ((*place >> (LENGTH_MAX - length)) as u16, length);
        *place += 1 << (LENGTH_MAX - length);
    }
    codes
}

/// Where in the table the codes of each length begin.
fn first_places(lengths: &[u8]) -> [usize; LENGTH_MAX as usize + 1] {
    let mut first = [0; LENGTH_MAX as usize + 1];
    for &length in lengths.iter().filter(|&&length| length > 0 && u32::from(length) < LENGTH_MAX) {
        first[usize::from(length) + 1] += ENTRIES >> length;
    }
    for length in 1..first.len() {
        first[length] += first[length - 1];
    }
    first
}

/// Writes bits, the highest of a byte first.
#[derive(Default)]
struct BitSink {
    out: Vec<u8>,
    /// Bits that are no whole byte yet, lowest last.
    open: u64,
    bits: usize,
}

impl BitSink {
    /// At most 32 bits.
    fn put(&mut self, value: u64, length: u32) {
        let held = (self.bits & 7) as u32;
        self.open = self.open << length | value;
        self.bits += length as usize;
        let mut left = held + length;
        while left >= 8 {
            left -= 8;
            self.out.push((self.open >> left) as u8);
        }
    }

    fn put_long(&mut self, value: u64, length: u32) {
        if length > 32 {
            self.put(value >> 32, length - 32);
        }
        self.put(value & 0xffff_ffff, length.min(32));
    }

    fn finish(mut self) -> Vec<u8> {
        let held = self.bits & 7;
        if held > 0 {
            self.out.push((self.open << (8 - held)) as u8);
        }
        self.out
    }
}

/// What a code stands for: `head << extra_bits` and the extra bits.
#[derive(Clone, Copy, Default)]
struct Entry {
    head: u8,
    extra_bits: u8,
    /// Bits of code and extra; zero where no code is.
    bits: u8,
    is_run: bool,
}

impl Entry {
    fn of(symbol: usize, length: u8) -> Self {
        let (head, extra_bits) = match symbol.checked_sub(RUNS) {
            None => (1, symbol as u8 + 1),
            Some(number) if number < EXACT as usize => (number as u8, 0),
            Some(number) => {
                let (octave, step) = ((number - EXACT as usize) / STEPS as usize, number as u64 % STEPS);
                ((STEPS + step) as u8, (octave as u32 + EXACT.ilog2() - STEP_BITS) as u8)
            }
        };
        Self { head, extra_bits, bits: length + extra_bits, is_run: symbol < RUNS }
    }
}

/// The code of a column, for reading.
pub(crate) struct Code([Entry; ENTRIES]);

impl Code {
    pub(crate) fn take(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        let used = usize::try_from(reader.uint()?).ok().filter(|&used| used <= SYMBOLS);
        let used = used.ok_or(Damage("a code has more symbols than there are"))?;
        let packed = reader.take(used.div_ceil(LENGTHS_A_BYTE))?;
        let mut lengths = [0; SYMBOLS + 1];
        for (two, byte) in lengths.chunks_exact_mut(LENGTHS_A_BYTE).zip(packed) {
            (two[0], two[1]) = (byte >> 4, byte & 0xf);
        }
        let lengths = &lengths[..used];
        if lengths.iter().any(|&length| u32::from(length) > LENGTH_MAX) {
            return Err(Damage("a code is too long"));
        }
        let mut next = first_places(lengths);
        let mut entries = [Entry::default(); ENTRIES];
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let place = &mut next[usize::from(length)];
            let end = *place + (ENTRIES >> length);
            entries.get_mut(*place..end).ok_or(Damage("a code has too many symbols"))?.fill(Entry::of(symbol, length));
            *place = end;
        }
        Ok(Self(entries))
    }

    /// Reads `count` numbers from this bit on: passes on each with how many of it follow each other, and returns where the
    /// next bit is. Bits past the end are zeros.
    pub(crate) fn read(
        &self,
        bits: &[u8],
        mut at: usize,
        mut count: usize,
        mut each: impl FnMut(u64, usize),
    ) -> Result<usize, Damage> {
        while count > 0 {
            let mut word = word_at(bits, at);
            // One less than there is, so that no shift is by a whole word.
            let held = u64::BITS - 1 - (at & 7) as u32;
            let mut left = held;
            // A code of which some bits are not in the word cannot look like a shorter one that is.
            while count > 0 {
                let entry = self.0[(word >> (u64::BITS - LENGTH_MAX)) as usize];
                let used = u32::from(entry.bits);
                if used > left {
                    break;
                }
                if used == 0 {
                    return Err(Damage("a column has a code without a meaning"));
                }
                let extra_bits = u32::from(entry.extra_bits);
                let extra = word << (used - extra_bits) >> 1 >> (u64::BITS - 1 - extra_bits);
                let number = (u64::from(entry.head) << extra_bits) | extra;
                if entry.is_run {
                    let zeros = count.min(number as usize);
                    each(0, zeros);
                    count -= zeros;
                } else {
                    each(number, 1);
                    count -= 1;
                }
                word <<= used;
                left -= used;
            }
            at += (held - left) as usize;
            if left == held {
                let (number, used) = self.read_long(bits, at);
                each(number, 1);
                count -= 1;
                at += used;
            }
        }
        Ok(at)
    }

    /// A number that does not fit a word with its code, and its bits.
    #[cold]
    fn read_long(&self, bits: &[u8], at: usize) -> (u64, usize) {
        let entry = self.0[(word_at(bits, at) >> (u64::BITS - LENGTH_MAX)) as usize];
        let (used, extra_bits) = (usize::from(entry.bits), u32::from(entry.extra_bits));
        let high = word_at(bits, at + used - extra_bits as usize) >> 32;
        let low = word_at(bits, at + used - extra_bits as usize + 32) >> 32;
        let extra = (high << 32 | low) >> (u64::BITS - extra_bits);
        (u64::from(entry.head) << extra_bits | extra, used)
    }
}

/// The bits from this one on, the first one highest; at least 57 of them are right.
fn word_at(bits: &[u8], at: usize) -> u64 {
    let rest = bits.get(at >> 3..).unwrap_or_default();
    let word = match rest.first_chunk::<8>() {
        Some(eight) => u64::from_be_bytes(*eight),
        None => rest.iter().enumerate().fold(0, |word, (i, &byte)| word | u64::from(byte) << (56 - 8 * i)),
    };
    word << (at & 7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pages: &[Vec<u64>]) -> usize {
        let mut collected = Pages::with_capacity(0);
        pages.iter().for_each(|page| collected.add(page));
        let Written { code, lengths, bits } = collected.write();
        let table = Code::take(&mut Reader(&code)).unwrap();
        let mut at = 0;
        for (page, length) in pages.iter().zip(&lengths) {
            let mut back = Vec::new();
            let end = table.read(&bits, at, page.len(), |n, times| back.extend(std::iter::repeat_n(n, times)));
            assert_eq!((&back, end.unwrap()), (page, at + length));
            at += length;
        }
        assert_eq!(bits.len(), at.div_ceil(8));
        code.len() + bits.len()
    }

    #[test]
    fn what_is_frequent_is_short() {
        let every_bit = (0..64).flat_map(|bit| [1 << bit, (1 << bit) - 1, u64::MAX >> bit]).collect::<Vec<u64>>();
        let cases: [(Vec<Vec<u64>>, usize); 7] = [
            (vec![], 1),
            (vec![vec![], vec![]], 1),
            (vec![vec![3]; 2], 8),
            (vec![vec![0; 240]; 6], 11),
            (vec![(0..240).map(|i| u64::from(i % 16 == 0)).collect(); 6], 190),
            (vec![(0..240).map(|i| i * 7 % 16).collect(); 6], 733),
            (vec![every_bit], 1200),
        ];
        for (pages, bytes_max) in cases {
            let bytes = check(&pages);
            assert!(bytes <= bytes_max, "{bytes} bytes of {pages:?}");
        }
    }

    #[test]
    fn codes_that_cannot_be_are_refused() {
        let check = |bytes: &[u8], expected: &str| {
            let refused = Code::take(&mut Reader(bytes)).err().map_or("", |damage| damage.0);
            assert_eq!(refused, expected, "{bytes:?}");
        };
        check(&[0], "");
        check(&[4, 0x11, 0x00], "");
        check(&[4, 0x11, 0x10], "a code has too many symbols");
        check(&[4, 0x11, 0x02], "a code has too many symbols");
        check(&[2, 0xa0], "a code is too long");
        check(&[4, 0x11], "it ends too early");
        check(&[0xff, 0x7f], "a code has more symbols than there are");
        let code = Code::take(&mut Reader(&[2, 0x20])).unwrap();
        assert!(code.read(&[0xff], 0, 4, |_, _| ()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn pages_round_trip(
            pages in prop::collection::vec(
                prop::collection::vec((any::<u64>(), 0u32..72).prop_map(|(n, shift)| n.checked_shr(shift).unwrap_or(0)), 0..=RUN_MAX), 0..5)
        ) {
            check(&pages);
        }

        #[test]
        fn damage_is_refused_or_answered(bytes in prop::collection::vec(any::<u8>(), 0..80), count in 0usize..=RUN_MAX) {
            let mut reader = Reader(&bytes);
            if let Ok(code) = Code::take(&mut reader) {
                let mut got = 0;
                if code.read(reader.0, 0, count, |_, times| got += times).is_ok() {
                    prop_assert_eq!(got, count);
                }
            }
        }
    }
}
