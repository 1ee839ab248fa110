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
#[derive(Clone, Copy)]
struct Entry {
    /// The head, less the code.
    head: i16,
    /// [`IS_RUN`] is added where it is one.
    extra_bits: u8,
    /// Bits of code and extra; more than any has where no code is.
    bits: u8,
}

/// Above all numbers of extra bits, where no shift sees it.
const IS_RUN: u8 = 0x80;

impl Entry {
    /// No code.
    const NONE: Self = Self { head: 0, extra_bits: 0, bits: u8::MAX };

    fn of(symbol: usize, code: i16, length: u8) -> Self {
        let (head, extra_bits) = match symbol.checked_sub(RUNS) {
            None => (1, symbol as u8 + 1),
            Some(number) if number < EXACT as usize => (number as i16, 0),
            Some(number) => {
                let (octave, step) = ((number - EXACT as usize) / STEPS as usize, number as u64 % STEPS);
                ((STEPS + step) as i16, (octave as u32 + EXACT.ilog2() - STEP_BITS) as u8)
            }
        };
        let is_run = if symbol < RUNS { IS_RUN } else { 0 };
        Self { head: head - code, extra_bits: extra_bits | is_run, bits: length + extra_bits }
    }

    /// The number of the token that a word begins with, and which fits it: its bits, with the head in place of the code.
    fn number(self, word: u64) -> u64 {
        let token = word.wrapping_shr(u32::from(self.bits).wrapping_neg());
        token.wrapping_add(i64::from(self.head).wrapping_shl(self.extra_bits.into()) as u64)
    }

    fn is_run(self) -> bool {
        self.extra_bits >= IS_RUN
    }
}

/// Bits that are right in every word, wherever in a byte it begins.
const WORD_BITS: u8 = 57;

/// So many tokens may be taken from one word. The more they are, the shorter they have to be.
const TOKENS_OF_WORD: [u8; 4] = [6, 4, 3, 2];

/// Tokens that are too long to be taken together are read one by one, which takes several times as long: they may be this
/// part of a column.
const LONG_PART: usize = 32;

/// Pages that are read side by side: finding a token waits for the one before it, so that two take little longer than one.
pub(crate) const LANES: usize = 3;

/// Numbers of a page, and a place for what follows the last one.
const ROOM: usize = RUN_MAX + 1;

/// A page that is read.
pub(crate) struct Lane {
    /// Where its next bit is, or some tokens behind it once the page is read; past the end of the bits only where the page is.
    pub(crate) at: usize,
    /// How many numbers of it are wanted.
    count: usize,
    next: usize,
    numbers: [u64; ROOM],
}

impl Lane {
    pub(crate) const fn new() -> Self {
        Self { at: 0, count: 0, next: 0, numbers: [0; ROOM] }
    }

    /// Begins a page at a bit. At most [`RUN_MAX`] numbers are wanted.
    pub(crate) fn begin(&mut self, at: usize, count: usize) {
        (self.at, self.count, self.next) = (at, count.min(RUN_MAX), 0);
        // Runs are passed over.
        self.numbers[..self.count].fill(0);
    }

    /// The numbers, once they are read.
    pub(crate) fn numbers(&self) -> &[u64] {
        &self.numbers[..self.count]
    }

    fn is_done(&self) -> bool {
        self.next >= self.count
    }
}

/// Puts a number, or so many zeros, at the next place among numbers; returns the place behind it. Which tokens are runs
/// cannot be foreseen, so that there is no branch for them, and nothing at all where a column has none.
fn put<const RUNS: bool>(numbers: &mut [u64; ROOM], next: usize, number: u64, is_run: bool) -> usize {
    let run = u64::from(RUNS && is_run).wrapping_neg();
    if let Some(place) = numbers.get_mut(next) {
        *place = number & !run;
    }
    next + 1 + (number.wrapping_sub(1) & run) as usize
}

/// The code of a column, for reading.
pub(crate) struct Code {
    entries: [Entry; ENTRIES],
    /// How many tokens are taken from one word, and the most bits that each of them may have.
    tokens: u8,
    bits_max: u8,
    has_runs: bool,
}

impl Default for Code {
    /// Without a meaning for any code.
    fn default() -> Self {
        Self { entries: [Entry::NONE; ENTRIES], tokens: 1, bits_max: WORD_BITS, has_runs: false }
    }
}

impl Code {
    /// Becomes the code that is written here.
    pub(crate) fn take(&mut self, reader: &mut Reader<'_>) -> Result<(), Damage> {
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
        self.fill(lengths)?;
        self.has_runs = lengths.iter().take(RUNS).any(|&length| length > 0);
        Ok(())
    }

    fn fill(&mut self, lengths: &[u8]) -> Result<(), Damage> {
        let mut next = first_places(lengths);
        let (mut filled, mut long) = (0, [0; TOKENS_OF_WORD.len()]);
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let place = &mut next[usize::from(length)];
            let (end, code) = (*place + (ENTRIES >> length), (*place >> (LENGTH_MAX - u32::from(length))) as i16);
            let places = self.entries.get_mut(*place..end).ok_or(Damage("a code has too many symbols"))?;
            let entry = Entry::of(symbol, code, length);
            places.fill(entry);
            *place = end;
            filled += ENTRIES >> length;
            for (long, tokens) in long.iter_mut().zip(TOKENS_OF_WORD) {
                *long += if entry.bits > WORD_BITS / tokens { ENTRIES >> length } else { 0 };
            }
        }
        self.entries.get_mut(filled..).unwrap_or_default().fill(Entry::NONE);
        // A code is as frequent as it takes places.
        let most = TOKENS_OF_WORD.iter().zip(long).find(|(_, long)| long * LONG_PART <= filled);
        self.tokens = most.map_or(1, |(tokens, _)| *tokens);
        self.bits_max = WORD_BITS / self.tokens;
        Ok(())
    }

    /// Reads the numbers of at most [`LANES`] pages, and where the next bit of each is. Bits past the end are zeros.
    pub(crate) fn read(&self, bits: &[u8], lanes: &mut [Lane]) -> Result<(), Damage> {
        loop {
            // Those that are done make place for the others.
            let mut lanes = lanes.iter_mut().filter(|lane| !lane.is_done());
            let stopped = match (lanes.next(), lanes.next(), lanes.next()) {
                (Some(a), Some(b), Some(c)) => self.read_together(bits, [a, b, c]),
                (Some(a), Some(b), None) => self.read_together(bits, [a, b]),
                (Some(a), ..) => self.read_together(bits, [a]),
                _ => return Ok(()),
            };
            if let Some(lane) = stopped.filter(|lane| !lane.is_done()) {
                self.read_one(bits, lane)?;
            }
        }
    }

    /// Reads until a page is done, or returns one whose next token is to be read alone.
    fn read_together<'l, const N: usize>(&self, bits: &[u8], lanes: [&'l mut Lane; N]) -> Option<&'l mut Lane> {
        if self.has_runs { self.read_tokens::<N, true>(bits, lanes) } else { self.read_tokens::<N, false>(bits, lanes) }
    }

    fn read_tokens<'l, const N: usize, const RUNS: bool>(
        &self,
        bits: &[u8],
        mut lanes: [&'l mut Lane; N],
    ) -> Option<&'l mut Lane> {
        let (mut at, mut next) = (lanes.each_ref().map(|lane| lane.at), lanes.each_ref().map(|lane| lane.next));
        let counts = lanes.each_ref().map(|lane| lane.count);
        let mut stopped = None;
        'reading: while (0..N).all(|i| next[i] < counts[i]) {
            let mut words = [0; N];
            for i in 0..N {
                let Some(eight) = bits.get(at[i] >> 3..).and_then(<[u8]>::first_chunk::<8>) else {
                    stopped = Some(i);
                    break 'reading;
                };
                words[i] = u64::from_be_bytes(*eight) << (at[i] & 7);
            }
            for _ in 0..self.tokens {
                for i in 0..N {
                    let entry = self.entry(words[i]);
                    if entry.bits > self.bits_max {
                        stopped = Some(i);
                        break 'reading;
                    }
                    let number = entry.number(words[i]);
                    next[i] = put::<RUNS>(&mut lanes[i].numbers, next[i], number, entry.is_run());
                    at[i] += usize::from(entry.bits);
                    words[i] <<= entry.bits;
                }
            }
        }
        for (lane, (at, next)) in lanes.iter_mut().zip(at.into_iter().zip(next)) {
            (lane.at, lane.next) = (at, next);
        }
        stopped.and_then(|i| lanes.into_iter().nth(i))
    }

    /// Reads the next token, of any length.
    #[cold]
    fn read_one(&self, bits: &[u8], lane: &mut Lane) -> Result<(), Damage> {
        let word = word_at(bits, lane.at);
        let entry = self.entry(word);
        if entry.bits == Entry::NONE.bits {
            return Err(Damage("a column has a code without a meaning"));
        }
        let number = if entry.bits <= WORD_BITS {
            entry.number(word)
        } else {
            let more = usize::from(entry.bits) - 32;
            let (high, low) = (word_at(bits, lane.at), word_at(bits, lane.at + more) >> 32);
            let token = (high >> (u64::BITS - more as u32)) << 32 | low;
            token.wrapping_add(i64::from(entry.head).wrapping_shl(entry.extra_bits.into()) as u64)
        };
        lane.next = put::<true>(&mut lane.numbers, lane.next, number, entry.is_run());
        lane.at += usize::from(entry.bits);
        Ok(())
    }

    fn entry(&self, word: u64) -> Entry {
        self.entries[(word >> (u64::BITS - LENGTH_MAX)) as usize]
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
        let mut table = Code::default();
        table.take(&mut Reader(&code)).unwrap();
        let mut at = 0;
        for together in [1, 2, LANES] {
            at = 0;
            for (pages, lengths) in pages.chunks(together).zip(lengths.chunks(together)) {
                let begins = lengths.iter().scan(at, |next, length| Some(std::mem::replace(next, *next + length)));
                let mut lanes: Vec<Lane> = pages.iter().map(|_| Lane::new()).collect();
                lanes.iter_mut().zip(begins).zip(pages).for_each(|((lane, at), page)| lane.begin(at, page.len()));
                table.read(&bits, &mut lanes).unwrap();
                for ((lane, page), length) in lanes.iter().zip(pages).zip(lengths) {
                    at += length;
                    assert_eq!(lane.numbers(), &page[..]);
                    assert!((at..=8 * bits.len()).contains(&lane.at));
                }
            }
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
            let refused = Code::default().take(&mut Reader(bytes)).err().map_or("", |damage| damage.0);
            assert_eq!(refused, expected, "{bytes:?}");
        };
        check(&[0], "");
        check(&[4, 0x11, 0x00], "");
        check(&[4, 0x11, 0x10], "a code has too many symbols");
        check(&[4, 0x11, 0x02], "a code has too many symbols");
        check(&[2, 0xa0], "a code is too long");
        check(&[4, 0x11], "it ends too early");
        check(&[0xff, 0x7f], "a code has more symbols than there are");
        let mut code = Code::default();
        code.take(&mut Reader(&[2, 0x20])).unwrap();
        let mut lane = Lane::new();
        lane.begin(0, 4);
        assert!(code.read(&[0xff], &mut [lane]).is_err());
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
            let (mut reader, mut code) = (Reader(&bytes), Code::default());
            if code.take(&mut reader).is_ok() {
                let mut lanes = [Lane::new(), Lane::new()];
                lanes[0].begin(0, count);
                lanes[1].begin(3, count / 2);
                let _ = code.read(reader.0, &mut lanes);
            }
        }
    }
}
