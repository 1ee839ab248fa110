//! Whole numbers of a column, packed as small as they get: what is left of them after differences, an offset and a
//! common divisor, in the narrowest type that holds it.
//!
//! The entropy coder's tables cost as much a column as the type is wide, so that a column of two hours of small
//! differences takes three quarters of what it would in 64 bits; and the differences are chosen here, because trying
//! them out is what takes the coder's time.

use pco::data_types::Number;
use pco::errors::PcoResult;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use crate::bytes::{Damage, Reader, put_int, put_uint};

/// The level at which the sizes of all column lengths stop falling.
const LEVEL: usize = 8;

/// The header of pco's wrapped format as its version 1.1 writes it. A column leaves it out.
const PCO_HEADER: [u8; 2] = [4, 1];

/// pco's variants of modes and of differences that a column may have, as its format numbers them.
const MODE_CLASSIC: u8 = 0;
const MODE_FLOAT_MULT: u8 = 2;
const MODE_FLOAT_QUANT: u8 = 3;
const DELTA_CONSECUTIVE: u8 = 1;

/// A list of exceptions this short is not worth trying the entropy coder against.
const SPARSE_BYTES_SURE: usize = 24;

/// Residuals looked at for the middle one.
const PROBES: usize = 31;

/// Differences of differences are the most: a column is a level, a rate or a schedule.
const ORDER_MAX: usize = 2;

/// What the first byte says: two bits of order, two of packing, two of width, one of a header.
struct Form {
    order: usize,
    packing: Packing,
    width: Width,
    /// Whether pco's own header precedes its bytes.
    headed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// All residuals are the base.
    Equal,
    /// A list of the few that are not.
    Sparse,
    /// pco of all.
    Entropy,
}

/// The unsigned type that pco is given.
#[derive(Clone, Copy)]
enum Width {
    Bits8,
    Bits16,
    Bits32,
    Bits64,
}

impl Form {
    fn encode(&self) -> u8 {
        self.order as u8 | (self.packing as u8) << 2 | (self.width as u8) << 4 | u8::from(self.headed) << 6
    }

    fn decode(byte: u8) -> Result<Self, Damage> {
        let order = usize::from(byte & 3);
        let packing = match byte >> 2 & 3 {
            0 => Packing::Equal,
            1 => Packing::Sparse,
            2 => Packing::Entropy,
            _ => return Err(Damage("unknown packing of numbers")),
        };
        let width = [Width::Bits8, Width::Bits16, Width::Bits32, Width::Bits64][usize::from(byte >> 4 & 3)];
        if order > ORDER_MAX || byte >= 0x80 {
            return Err(Damage("unknown form of numbers"));
        }
        Ok(Self { order, packing, width, headed: byte & 0x40 != 0 })
    }
}

impl Width {
    fn of(most: u64) -> Self {
        match most {
            0..=0xff => Self::Bits8,
            0x100..=0xffff => Self::Bits16,
            0x1_0000..=0xffff_ffff => Self::Bits32,
            _ => Self::Bits64,
        }
    }
}

/// Writes numbers. `None` if the entropy coder refuses them; nothing is written then.
pub(crate) fn pack(numbers: &[i64], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    let (firsts, residuals) = smallest_residuals(numbers);
    let packed = pack_residuals(&firsts, &residuals, out);
    if packed.is_none() {
        out.truncate(start);
    }
    packed
}

/// The firsts of each order of differences that was taken, and what is left.
fn smallest_residuals(numbers: &[i64]) -> (Vec<i64>, Vec<i64>) {
    let mut best = (Vec::new(), numbers.to_vec());
    let mut best_spread = spread(numbers);
    let (mut firsts, mut residuals) = (Vec::new(), numbers.to_vec());
    while firsts.len() < ORDER_MAX && residuals.len() > 1 {
        firsts.push(residuals[0]);
        residuals = residuals.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
        let spread = spread(&residuals);
        if spread < best_spread {
            (best, best_spread) = ((firsts.clone(), residuals.clone()), spread);
        }
    }
    best
}

/// How many bits the distances from the middle number have in all: near to what an entropy coder needs, at a
/// nanosecond a number.
fn spread(residuals: &[i64]) -> u64 {
    let step = residuals.len().div_ceil(PROBES).max(1);
    let mut probes: Vec<i64> = residuals.iter().copied().step_by(step).collect();
    probes.sort_unstable();
    let middle = probes.get(probes.len() / 2).copied().unwrap_or_default();
    residuals.iter().map(|r| u64::from(64 - r.wrapping_sub(middle).unsigned_abs().leading_zeros())).sum()
}

fn pack_residuals(firsts: &[i64], residuals: &[i64], out: &mut Vec<u8>) -> Option<()> {
    let base = residuals.iter().copied().min().unwrap_or_default();
    let head = |out: &mut Vec<u8>, form: Form, base: i64| {
        out.push(form.encode());
        firsts.iter().for_each(|&first| put_int(out, first));
        put_int(out, base);
    };
    let order = firsts.len();
    if residuals.iter().all(|&r| r == base) {
        head(out, Form { order, packing: Packing::Equal, width: Width::Bits8, headed: false }, base);
        return Some(());
    }
    let start = out.len();
    if let Some(common) = common(residuals) {
        head(out, Form { order, packing: Packing::Sparse, width: Width::Bits8, headed: false }, common);
        put_sparse(residuals, common, out);
        if out.len() - start <= SPARSE_BYTES_SURE {
            return Some(());
        }
    }
    let sparse = out.split_off(start);
    let quotients = Quotients::of(residuals, base);
    let (headed, bytes) = quotients.entropy_coded()?;
    head(out, Form { order, packing: Packing::Entropy, width: quotients.width, headed }, base);
    put_uint(out, quotients.divisor);
    out.extend_from_slice(&bytes);
    if !sparse.is_empty() && sparse.len() <= out.len() - start {
        out.truncate(start);
        out.extend_from_slice(&sparse);
    }
    Some(())
}

/// The residual that all but a few are, if there is one.
fn common(residuals: &[i64]) -> Option<i64> {
    let (mut candidate, mut votes) = (0, 0usize);
    for &residual in residuals {
        match votes {
            0 => (candidate, votes) = (residual, 1),
            _ if residual == candidate => votes += 1,
            _ => votes -= 1,
        }
    }
    let others = residuals.iter().filter(|&&r| r != candidate).count();
    (others * 8 <= residuals.len()).then_some(candidate)
}

fn put_sparse(residuals: &[i64], common: i64, out: &mut Vec<u8>) {
    let mut next = 0;
    for (at, residual) in residuals.iter().enumerate().filter(|(_, r)| **r != common) {
        put_uint(out, (at - next) as u64);
        put_int(out, residual.wrapping_sub(common));
        next = at + 1;
    }
}

/// Residuals as multiples of what divides them all, counted from the smallest.
struct Quotients {
    divisor: u64,
    width: Width,
    numbers: Vec<u64>,
}

impl Quotients {
    fn of(residuals: &[i64], base: i64) -> Self {
        let mut numbers: Vec<u64> = residuals.iter().map(|r| r.wrapping_sub(base) as u64).collect();
        let divisor = common_divisor(&numbers);
        if divisor > 1 {
            numbers.iter_mut().for_each(|n| *n /= divisor);
        }
        let width = Width::of(numbers.iter().copied().max().unwrap_or_default());
        Self { divisor, width, numbers }
    }

    fn entropy_coded(&self) -> Option<(bool, Vec<u8>)> {
        fn plain<T: Number>(numbers: &[T]) -> Option<(bool, Vec<u8>)> {
            encode(numbers, ModeSpec::Classic, DeltaSpec::NoOp)
        }
        match self.width {
            Width::Bits8 => plain(&self.numbers.iter().map(|&n| n as u8).collect::<Vec<_>>()),
            Width::Bits16 => plain(&self.numbers.iter().map(|&n| n as u16).collect::<Vec<_>>()),
            Width::Bits32 => plain(&self.numbers.iter().map(|&n| n as u32).collect::<Vec<_>>()),
            Width::Bits64 => plain(&self.numbers),
        }
    }
}

fn common_divisor(numbers: &[u64]) -> u64 {
    let mut divisor = 0;
    for &number in numbers {
        if divisor == 1 {
            break;
        }
        if divisor == 0 || number % divisor != 0 {
            let (mut a, mut b) = (number, divisor);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            divisor = a;
        }
    }
    divisor.max(1)
}

/// Writes doubles by pco's own ways of looking at them: multiples of something, or few significant bits. `None` if it
/// refuses them or does not give back every bit.
pub(crate) fn pack_doubles(values: &[f64], out: &mut Vec<u8>) -> Option<()> {
    let places: Vec<i64> = values.iter().map(|v| ordered(v.to_bits() as i64)).collect();
    let order = smallest_residuals(&places).0.len();
    let delta = if order == 0 { DeltaSpec::NoOp } else { DeltaSpec::TryConsecutive(order) };
    let (headed, bytes) = encode(values, ModeSpec::Auto, delta)?;
    let back = decode::<f64>(headed, &bytes, values.len()).ok()?;
    let exact = back.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits());
    exact.then(|| {
        out.push(u8::from(headed));
        out.extend_from_slice(&bytes);
    })
}

/// Reads `count` doubles, which take all bytes that are left.
pub(crate) fn unpack_doubles(mut reader: Reader<'_>, count: usize) -> Result<Vec<f64>, Damage> {
    let headed = match reader.byte()? {
        0 => false,
        1 => true,
        _ => return Err(Damage("unknown form of doubles")),
    };
    decode(headed, reader.0, count)
}

/// The place of a double in the order of all doubles, from its bits; its own inverse.
pub(crate) fn ordered(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// Whether pco's header is in front, and its bytes: the chunk's tables and one page.
fn encode<T: Number>(numbers: &[T], mode: ModeSpec, delta: DeltaSpec) -> Option<(bool, Vec<u8>)> {
    let config = ChunkConfig::default()
        .with_compression_level(LEVEL)
        .with_mode_spec(mode)
        .with_delta_spec(delta)
        .with_enable_8_bit(true);
    let file = FileCompressor::default();
    let mut out = Vec::new();
    file.write_header(&mut out).ok()?;
    let headed = out != PCO_HEADER;
    if !headed {
        out.clear();
    }
    let mut chunk = file.chunk_compressor(numbers, &config).ok()?;
    chunk.write_meta(&mut out).ok()?;
    chunk.write_page(0, &mut out).ok()?;
    Some((headed, out))
}

/// Whether the chunk's first bits, behind the header, are of the kinds that [`encode`] makes: no dictionary of up to
/// 2^25 values, and no window of up to 2^24 numbers to look back at. pco makes room for both before it has read anything,
/// a quarter of a gigabyte for a column of a few bytes.
fn is_bounded(chunk: &[u8]) -> bool {
    let mode = chunk.first().map_or(u8::MAX, |first| first & 0xf);
    // The mode's variant takes four bits, what it says more none, 64 or 8, and then four bits tell the differences.
    let delta_at = match mode {
        MODE_CLASSIC => 0,
        MODE_FLOAT_MULT => 8,
        MODE_FLOAT_QUANT => 1,
        _ => return false,
    };
    chunk.get(delta_at).is_some_and(|byte| byte >> 4 <= DELTA_CONSECUTIVE)
}

fn decode<T: Number + Default>(headed: bool, bytes: &[u8], count: usize) -> Result<Vec<T>, Damage> {
    let mut numbers = vec![T::default(); count];
    let undecodable = Damage("pco column does not decode");
    let (file, after) = FileDecompressor::new(if headed { bytes } else { &PCO_HEADER }).map_err(|_| undecodable)?;
    let rest = if headed { after } else { bytes };
    if !is_bounded(rest) {
        return Err(Damage("pco column is of a kind that no column has"));
    }
    let mut decode = || -> PcoResult<usize> {
        let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest)?;
        let progress = chunk.page_decompressor(rest, count)?.read(&mut numbers)?;
        Ok(progress.n_processed)
    };
    match decode() {
        Ok(processed) if processed == count => Ok(numbers),
        Ok(_) => Err(Damage("pco column has another length")),
        Err(_) => Err(undecodable),
    }
}

/// Reads `count` numbers, which take all bytes that are left.
pub(crate) fn unpack(mut reader: Reader<'_>, count: usize) -> Result<Vec<i64>, Damage> {
    let form = Form::decode(reader.byte()?)?;
    let mut firsts = [0; ORDER_MAX];
    for first in &mut firsts[..form.order] {
        *first = reader.int()?;
    }
    let base = reader.int()?;
    let left = count.checked_sub(form.order).ok_or(Damage("a column has fewer numbers than its form says"))?;
    let mut numbers = vec![0; form.order];
    numbers.reserve_exact(left);
    match form.packing {
        Packing::Equal => numbers.resize(count, base),
        Packing::Sparse => {
            numbers.resize(count, base);
            take_sparse(reader, base, &mut numbers[form.order..])?;
        }
        Packing::Entropy => {
            let divisor = reader.uint()?;
            match form.width {
                Width::Bits8 => restore::<u8>(&form, reader, base, divisor, left, &mut numbers)?,
                Width::Bits16 => restore::<u16>(&form, reader, base, divisor, left, &mut numbers)?,
                Width::Bits32 => restore::<u32>(&form, reader, base, divisor, left, &mut numbers)?,
                Width::Bits64 => restore::<u64>(&form, reader, base, divisor, left, &mut numbers)?,
            }
        }
    }
    for order in (0..form.order).rev() {
        let mut sum = firsts[order];
        numbers[order] = sum;
        for number in &mut numbers[order + 1..] {
            sum = sum.wrapping_add(*number);
            *number = sum;
        }
    }
    Ok(numbers)
}

fn take_sparse(mut reader: Reader<'_>, base: i64, residuals: &mut [i64]) -> Result<(), Damage> {
    let mut next = 0usize;
    while !reader.is_empty() {
        let at = next.saturating_add(usize::try_from(reader.uint()?).unwrap_or(usize::MAX));
        let residual = residuals.get_mut(at).ok_or(Damage("a number lies outside of its column"))?;
        *residual = base.wrapping_add(reader.int()?);
        next = at + 1;
    }
    Ok(())
}

fn restore<T: Number + Default + Into<u64>>(
    form: &Form,
    reader: Reader<'_>,
    base: i64,
    divisor: u64,
    count: usize,
    into: &mut Vec<i64>,
) -> Result<(), Damage> {
    let quotients = decode::<T>(form.headed, reader.0, count)?;
    into.extend(quotients.into_iter().map(|q| base.wrapping_add(q.into().wrapping_mul(divisor) as i64)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(numbers: &[i64]) -> (usize, u8, usize) {
        let mut out = Vec::new();
        pack(numbers, &mut out).unwrap();
        assert_eq!(unpack(Reader(&out), numbers.len()).unwrap(), numbers);
        let form = Form::decode(out[0]).unwrap();
        (form.order, form.packing as u8, out.len())
    }

    #[test]
    fn each_form_has_its_numbers() {
        let column = |f: fn(i64) -> i64| (0..480).map(f).collect::<Vec<_>>();
        let noise = |i: i64| {
            let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) as i64
        };
        const EQUAL: u8 = Packing::Equal as u8;
        const SPARSE: u8 = Packing::Sparse as u8;
        const ENTROPY: u8 = Packing::Entropy as u8;
        let cases: [(Vec<i64>, usize, u8, usize); 8] = [
            (vec![7], 0, EQUAL, 2),
            (column(|_| i64::MIN), 0, EQUAL, 11),
            (column(|i| 1_700_000_000_000 + i * 15_000), 1, EQUAL, 10),
            (column(|i| i64::from(i > 200)), 1, SPARSE, 6),
            (column(|i| i * i), 2, EQUAL, 4),
            ((0..480).map(|i| 5_000 + (noise(i) & 7)).collect(), 0, ENTROPY, 240),
            (
                (0..480)
                    .scan(0, |sum, i| {
                        *sum += noise(i) & 0xff;
                        Some(*sum)
                    })
                    .collect(),
                1,
                ENTROPY,
                520,
            ),
            ((0..480).map(|i| (noise(i) & 0xf) * 4096).collect(), 0, ENTROPY, 280),
        ];
        for (numbers, order, packing, bytes_max) in cases {
            let (got_order, got_packing, bytes) = check(&numbers);
            assert_eq!((got_order, got_packing), (order, packing), "{:?}", &numbers[..4.min(numbers.len())]);
            assert!(bytes <= bytes_max, "{bytes} bytes of {:?}", &numbers[..4.min(numbers.len())]);
        }
    }

    /// If this fails, pco writes another version of its format: columns carry the header from then on, and what is
    /// written without one still says the version above.
    #[test]
    fn the_header_is_the_known_one() {
        assert!(!encode(&[1u64, 2, 3], ModeSpec::Classic, DeltaSpec::NoOp).unwrap().0);
    }

    /// A dictionary of 2^25 values, windows of 2^24 numbers, and what pco does not know.
    #[test]
    fn what_takes_memory_without_bound_is_refused() {
        let refused = |chunk: &[u8]| {
            let bytes = [chunk, &[0xff; 40]].concat();
            assert_eq!(decode::<f64>(false, &bytes, 10), Err(Damage("pco column is of a kind that no column has")));
        };
        let mut behind_base = [0; 9];
        (behind_base[0], behind_base[8]) = (MODE_FLOAT_MULT, 0x20);
        let cases: [&[u8]; 7] = [&[4], &[1], &[5], &[0x20], &[0x30], &[MODE_FLOAT_QUANT, 0x20], &behind_base];
        cases.into_iter().for_each(refused);
        assert!(!is_bounded(&[]) && !is_bounded(&[MODE_FLOAT_MULT, 1, 2]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn numbers_round_trip(
            numbers in prop::collection::vec(prop_oneof![any::<i64>(), -300i64..300, Just(0), Just(i64::MAX)], 1..600),
            smooth in any::<bool>(),
        ) {
            let sums = numbers.iter().scan(0i64, |sum, n| { *sum = sum.wrapping_add(*n); Some(*sum) });
            check(&if smooth { sums.collect::<Vec<_>>() } else { numbers.clone() });
        }

        #[test]
        fn damage_is_refused_or_answered(byte in 0u8..8, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            // pco runs only behind a checksum; the other packings must stand on their own.
            let whole = [&[byte][..], &bytes].concat();
            let _ = unpack(Reader(&whole), 10);
        }
    }
}
