//! Whole numbers of a column, packed as small as they get and so that a part of them can be read alone: what is left of
//! them after differences, the middle one and a common divisor.

use std::cell::Cell;
use std::ops::Range;

use crate::bytes::{Damage, Reader, put_int, put_uint, unzigzag, zigzag};
use crate::tokens::{Code, LANES, Lane, Pages, RUN_MAX, Written};

/// Reading may begin at each so many numbers, two hours at 15 s. What a page says of its beginning is a hundredth of a
/// column, at half as long ones twice that; decoding a page takes less than looking for its column.
pub(crate) const PAGE: usize = 480;

const _: () = assert!(PAGE <= RUN_MAX);

/// A list of exceptions this short is not worth trying tokens against.
const SPARSE_BYTES_SURE: usize = 24;

/// Residuals looked at for the middle one.
const PROBES: usize = 31;

/// Differences of differences are the most: a column is a level, a rate or a schedule.
const ORDER_MAX: usize = 2;

/// What the first byte says: two bits of order, two of packing.
struct Form {
    order: usize,
    packing: Packing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// All residuals are the base.
    Equal,
    /// A list of the few that are not.
    Sparse,
    /// Pages of tokens.
    Tokens,
}

impl Form {
    fn encode(&self) -> u8 {
        self.order as u8 | (self.packing as u8) << 2
    }

    fn decode(byte: u8) -> Result<Self, Damage> {
        let order = usize::from(byte & 3);
        let packing = match byte >> 2 {
            0 => Packing::Equal,
            1 => Packing::Sparse,
            2 => Packing::Tokens,
            _ => return Err(Damage("unknown packing of numbers")),
        };
        if order > ORDER_MAX {
            return Err(Damage("unknown form of numbers"));
        }
        Ok(Self { order, packing })
    }
}

/// Writes numbers.
pub(crate) fn pack(numbers: &[i64], out: &mut Vec<u8>) {
    let (firsts, residuals) = smallest_residuals(numbers);
    let order = firsts.len();
    let head = |out: &mut Vec<u8>, packing: Packing, base: i64| {
        out.push(Form { order, packing }.encode());
        firsts.iter().for_each(|&first| put_int(out, first));
        put_int(out, base);
    };
    let start = out.len();
    if let Some(common) = common(&residuals) {
        if residuals.iter().all(|&r| r == common) {
            return head(out, Packing::Equal, common);
        }
        head(out, Packing::Sparse, common);
        put_sparse(&residuals, common, out);
        if out.len() - start <= SPARSE_BYTES_SURE {
            return;
        }
    }
    let sparse = out.split_off(start);
    let base = median(residuals.clone());
    head(out, Packing::Tokens, base);
    put_tokens(numbers, &residuals, order, base, out);
    if !sparse.is_empty() && sparse.len() <= out.len() - start {
        out.truncate(start);
        out.extend_from_slice(&sparse);
    }
}

/// How many times differences are best taken.
pub(crate) fn best_order(numbers: &[i64]) -> usize {
    smallest_residuals(numbers).0.len()
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
    let middle = middle(residuals);
    residuals.iter().map(|r| u64::from(64 - r.wrapping_sub(middle).unsigned_abs().leading_zeros())).sum()
}

/// About the middle one in size.
fn middle(residuals: &[i64]) -> i64 {
    let step = residuals.len().div_ceil(PROBES).max(1);
    let mut probes: Vec<i64> = residuals.iter().copied().step_by(step).collect();
    probes.sort_unstable();
    probes.get(probes.len() / 2).copied().unwrap_or_default()
}

/// The middle one in size, or 0 of none.
fn median(mut residuals: Vec<i64>) -> i64 {
    let half = residuals.len() / 2;
    if residuals.is_empty() { 0 } else { *residuals.select_nth_unstable(half).1 }
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

/// The divisor, the code, what each page but the first says of its beginning, and the pages.
fn put_tokens(numbers: &[i64], residuals: &[i64], order: usize, base: i64, out: &mut Vec<u8>) {
    let (divisor, quotients) = quotients(residuals, base);
    let mut pages = Pages::with_capacity(quotients.len());
    for start in (0..numbers.len()).step_by(PAGE) {
        let end = (start + PAGE).min(numbers.len());
        pages.add(quotients.get(start..end.saturating_sub(order)).unwrap_or_default());
    }
    let Written { code, lengths, bits } = pages.write();
    put_uint(out, divisor);
    out.extend_from_slice(&code);
    let mut last = firsts_at(numbers, 0);
    for (page, length) in lengths.iter().enumerate().take(lengths.len().saturating_sub(1)) {
        let firsts = firsts_at(numbers, (page + 1) * PAGE);
        put_uint(out, *length as u64);
        firsts.iter().zip(last).take(order).for_each(|(first, last)| put_int(out, first.wrapping_sub(last)));
        last = firsts;
    }
    out.extend_from_slice(&bits);
}

/// The number at this place and the difference to the next one, 0 where there is none.
fn firsts_at(numbers: &[i64], at: usize) -> [i64; ORDER_MAX] {
    let first = numbers.get(at).copied().unwrap_or_default();
    [first, numbers.get(at + 1).map_or(0, |next| next.wrapping_sub(first))]
}

/// Residuals as multiples of what divides all their distances from the base.
fn quotients(residuals: &[i64], base: i64) -> (u64, Vec<u64>) {
    let divisor = common_divisor(residuals.iter().map(|r| r.wrapping_sub(base).unsigned_abs()));
    let signed = i64::try_from(divisor).unwrap_or(1);
    (signed as u64, residuals.iter().map(|r| zigzag(r.wrapping_sub(base) / signed)).collect())
}

/// At least 1.
fn common_divisor(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut divisor = 0;
    for number in numbers {
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

/// The place of a double in the order of all doubles, from its bits; its own inverse.
pub(crate) fn ordered(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// Reads those of `count` numbers that lie in the range, which ends at `count` or before, and passes them on by pages.
pub(crate) fn unpack(
    mut reader: Reader<'_>,
    count: usize,
    range: Range<usize>,
    mut each: impl FnMut(&[i64]),
) -> Result<(), Damage> {
    let form = Form::decode(reader.byte()?)?;
    let mut firsts = [0; ORDER_MAX];
    for first in &mut firsts[..form.order] {
        *first = reader.int()?;
    }
    let base = reader.int()?;
    if count < form.order {
        return Err(Damage("a column has fewer numbers than its form says"));
    }
    if form.packing == Packing::Tokens {
        return Workspace::lend(|Workspace { code, lanes, page }| {
            Tokens::take(reader, count, form.order, firsts, base, code)?.read(range, lanes, page, each)
        });
    }
    let mut numbers = vec![base; range.end];
    if form.packing == Packing::Sparse {
        take_sparse(reader, base, count - form.order, numbers.get_mut(form.order..).unwrap_or_default())?;
    }
    for order in (0..form.order).rev() {
        let mut sum = firsts[order];
        for (at, number) in numbers.iter_mut().enumerate().skip(order) {
            sum = if at == order { sum } else { sum.wrapping_add(*number) };
            *number = sum;
        }
    }
    each(&numbers[range]);
    Ok(())
}

/// Those past the end of `residuals` are left out; `count` is how many there are.
fn take_sparse(mut reader: Reader<'_>, base: i64, count: usize, residuals: &mut [i64]) -> Result<(), Damage> {
    let mut next = 0usize;
    while !reader.is_empty() {
        let at = next.saturating_add(usize::try_from(reader.uint()?).unwrap_or(usize::MAX));
        if at >= count {
            return Err(Damage("a number lies outside of its column"));
        }
        let residual = base.wrapping_add(reader.int()?);
        let Some(place) = residuals.get_mut(at) else { break };
        *place = residual;
        next = at + 1;
    }
    Ok(())
}

/// What pages are read in, kept from one column to the next: to clear so much memory takes as long as to read a page.
struct Workspace {
    code: Code,
    lanes: [Lane; LANES],
    page: [i64; PAGE],
}

thread_local! {
    static WORKSPACE: Cell<Option<Box<Workspace>>> = const { Cell::new(None) };
}

impl Workspace {
    /// Lends that of the thread.
    fn lend<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let new = || Box::new(Self { code: Code::default(), lanes: [const { Lane::new() }; LANES], page: [0; PAGE] });
        let mut space = WORKSPACE.take().unwrap_or_else(new);
        let done = work(&mut space);
        WORKSPACE.set(Some(space));
        done
    }
}

/// Numbers packed as tokens.
struct Tokens<'a> {
    order: usize,
    base: i64,
    divisor: u64,
    code: &'a Code,
    /// Where the pages begin: in the bits, and with which number and difference.
    pages: Vec<(usize, [i64; ORDER_MAX])>,
    bits: &'a [u8],
}

impl<'a> Tokens<'a> {
    fn take(
        mut reader: Reader<'a>,
        count: usize,
        order: usize,
        mut firsts: [i64; ORDER_MAX],
        base: i64,
        code: &'a mut Code,
    ) -> Result<Self, Damage> {
        let divisor = reader.uint()?;
        code.take(&mut reader)?;
        let mut pages = Vec::with_capacity(count.div_ceil(PAGE));
        let mut at = 0usize;
        pages.push((at, firsts));
        for _ in 1..count.div_ceil(PAGE) {
            at = at.saturating_add(usize::try_from(reader.uint()?).unwrap_or(usize::MAX));
            for first in &mut firsts[..order] {
                *first = first.wrapping_add(reader.int()?);
            }
            pages.push((at, firsts));
        }
        let bits = reader.0;
        if at > 8 * bits.len() {
            return Err(Damage("a page lies outside of its column"));
        }
        Ok(Self { order, base, divisor, code, pages, bits })
    }

    fn read(
        &self,
        range: Range<usize>,
        lanes: &mut [Lane; LANES],
        page: &mut [i64; PAGE],
        mut each: impl FnMut(&[i64]),
    ) -> Result<(), Damage> {
        let (first, end) = (range.start / PAGE, range.end.div_ceil(PAGE));
        for numbers in (first..end).step_by(LANES).map(|from| from..end.min(from + LANES)) {
            let lanes = &mut lanes[..numbers.len()];
            let wanted =
                |number: usize| range.start.saturating_sub(number * PAGE)..(range.end - number * PAGE).min(PAGE);
            for (lane, number) in lanes.iter_mut().zip(numbers.clone()) {
                let &(at, _) = self.pages.get(number).ok_or(Damage("a page is missing"))?;
                lane.begin(at, wanted(number).end.saturating_sub(self.order));
            }
            self.code.read(self.bits, lanes)?;
            for (lane, number) in lanes.iter().zip(numbers) {
                if lane.at > 8 * self.bits.len() {
                    return Err(Damage("a page is cut"));
                }
                let wanted = wanted(number);
                let (firsts, page) = (self.pages[number].1, &mut page[..wanted.end]);
                let several = |number| unzigzag(number).wrapping_mul(self.divisor as i64);
                match self.divisor {
                    1 => self.add_up(firsts, lane.numbers(), unzigzag, page),
                    _ => self.add_up(firsts, lane.numbers(), several, page),
                }
                each(&page[wanted]);
            }
        }
        Ok(())
    }

    /// The first numbers of a page from its residuals.
    fn add_up(
        &self,
        [mut sum, mut step]: [i64; ORDER_MAX],
        residuals: &[u64],
        above_base: impl Fn(u64) -> i64,
        into: &mut [i64],
    ) {
        let residual = |number: u64| self.base.wrapping_add(above_base(number));
        let firsts = into.len() - residuals.len();
        let (head, tail) = into.split_at_mut(firsts);
        for (place, first) in head.iter_mut().zip([sum, sum.wrapping_add(step)]) {
            *place = first;
        }
        match self.order {
            0 => tail.iter_mut().zip(residuals).for_each(|(place, &number)| *place = residual(number)),
            1 => {
                for (place, &number) in tail.iter_mut().zip(residuals) {
                    sum = sum.wrapping_add(residual(number));
                    *place = sum;
                }
            }
            _ => {
                sum = sum.wrapping_add(step);
                for (place, &number) in tail.iter_mut().zip(residuals) {
                    step = step.wrapping_add(residual(number));
                    sum = sum.wrapping_add(step);
                    *place = sum;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(numbers: &[i64]) -> (usize, u8, usize) {
        let mut out = Vec::new();
        pack(numbers, &mut out);
        let read = |range: Range<usize>| {
            let mut back = Vec::new();
            unpack(Reader(&out), numbers.len(), range, |page| back.extend_from_slice(page)).unwrap();
            back
        };
        assert_eq!(read(0..numbers.len()), numbers);
        for range in [0..0, 0..1, PAGE - 1..PAGE + 1, 1..PAGE, PAGE..2 * PAGE, 5..17, numbers.len() / 2..numbers.len()]
        {
            let range = range.start.min(numbers.len())..range.end.min(numbers.len());
            assert_eq!(read(range.clone()), &numbers[range.clone()], "{range:?}");
        }
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
        const TOKENS: u8 = Packing::Tokens as u8;
        let cases: [(Vec<i64>, usize, u8, usize); 8] = [
            (vec![7], 0, EQUAL, 2),
            (column(|_| i64::MIN), 0, EQUAL, 11),
            (column(|i| 1_700_000_000_000 + i * 15_000), 1, EQUAL, 10),
            (column(|i| i64::from(i > 200)), 1, SPARSE, 6),
            (column(|i| i * i), 2, EQUAL, 4),
            ((0..480).map(|i| 5_000 + (noise(i) & 7)).collect(), 0, TOKENS, 240),
            (
                (0..480)
                    .scan(0, |sum, i| {
                        *sum += noise(i) & 0xff;
                        Some(*sum)
                    })
                    .collect(),
                1,
                TOKENS,
                520,
            ),
            ((0..480).map(|i| (noise(i) & 0xf) * 4096).collect(), 0, TOKENS, 280),
        ];
        for (numbers, order, packing, bytes_max) in cases {
            let (got_order, got_packing, bytes) = check(&numbers);
            assert_eq!((got_order, got_packing), (order, packing), "{:?}", &numbers[..4.min(numbers.len())]);
            assert!(bytes <= bytes_max, "{bytes} bytes of {:?}", &numbers[..4.min(numbers.len())]);
        }
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
        fn damage_is_refused_or_answered(byte in 0u8..16, count in 0usize..600, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let whole = [&[byte][..], &bytes].concat();
            let _ = unpack(Reader(&whole), count, count / 3..count, |_| ());
        }
    }
}
