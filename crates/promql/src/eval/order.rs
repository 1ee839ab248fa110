//! The order in which Prometheus leaves equal elements.
//!
//! Go's sorts are not stable: which of two equal elements comes first follows from the moves of their algorithm, which is
//! Peters' pattern-defeating quicksort (<https://arxiv.org/abs/2106.05123>) with Go's thresholds. Its only randomness is
//! seeded by the number of elements, so the same input in the same order always ends in the same order, and the same moves
//! here end where they end there. That holds for comparisons that are no order, too, such as upstream's of NaN.

/// Stretches up to this length are sorted by insertion, which keeps equal elements in order.
const INSERTION_MAX: usize = 12;
/// From this length on the pivot is a median of medians, and a stretch that is nearly in order is mended.
const LONG: usize = 50;
/// Neighbours out of order that are moved before a stretch counts as not nearly in order.
const MENDED_MAX: usize = 5;
/// Comparisons that turn out the other way round where a pivot is chosen from a falling stretch: four medians of three.
const ALL_SWAPPED: usize = 12;

/// Sorts as Go's `sort.Sort` and `slices.SortFunc` do. `is_less` may contradict itself: no order is promised then, but it ends.
pub(super) fn sort_as_go<T>(items: &mut [T], is_less: impl Fn(&T, &T) -> bool) {
    let (end, depth) = (items.len(), usize::BITS - items.len().leading_zeros());
    Sorter { items, is_less }.sort(0, end, depth);
}

/// What a look at a few elements says of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    Rising,
    Falling,
    None,
}

struct Sorter<'i, T, L> {
    items: &'i mut [T],
    is_less: L,
}

impl<T, L: Fn(&T, &T) -> bool> Sorter<'_, T, L> {
    fn less(&self, a: usize, b: usize) -> bool {
        (self.is_less)(&self.items[a], &self.items[b])
    }

    /// Sorts a stretch. After so many lopsided splits as `patience` says it is sorted by a heap.
    fn sort(&mut self, mut start: usize, mut end: usize, mut patience: u32) {
        let (mut was_even, mut was_split) = (true, true);
        loop {
            let length = end - start;
            if length <= INSERTION_MAX {
                return self.insert_all(start, end);
            }
            if patience == 0 {
                return self.sort_by_heap(start, end);
            }
            if !was_even {
                self.scatter(start, end);
                patience -= 1;
            }
            let (mut pivot, pattern) = self.choose_pivot(start, end);
            if pattern == Pattern::Falling {
                self.items[start..end].reverse();
                pivot = end - 1 - (pivot - start);
            }
            if was_even && was_split && pattern != Pattern::None && self.mend(start, end) {
                return;
            }
            // What lies in front of the stretch is its lower bound: a pivot that is not above it has equals.
            if start > 0 && !self.less(start - 1, pivot) {
                start = self.split_off_equals(start, end, pivot);
                continue;
            }
            let (middle, is_split) = self.split(start, end, pivot);
            was_split = is_split;
            let (left, right) = (middle - start, end - middle);
            was_even = left.min(right) >= length / 8;
            // The shorter side on the stack, the longer one in this loop.
            if left < right {
                self.sort(start, middle, patience);
                start = middle + 1;
            } else {
                self.sort(middle + 1, end, patience);
                end = middle;
            }
        }
    }

    /// Moves what is less than the pivot to its left; where the pivot lies then, and whether nothing else had to be moved.
    fn split(&mut self, start: usize, end: usize, pivot: usize) -> (usize, bool) {
        self.items.swap(start, pivot);
        let (mut left, mut right, mut is_split) = (start + 1, end - 1, true);
        loop {
            while left <= right && self.less(left, start) {
                left += 1;
            }
            while left <= right && !self.less(right, start) {
                right -= 1;
            }
            if left > right {
                break;
            }
            self.items.swap(left, right);
            (left, right, is_split) = (left + 1, right - 1, false);
        }
        self.items.swap(right, start);
        (right, is_split)
    }

    /// Moves what equals the pivot to the left, where nothing is less than it; where the rest begins.
    fn split_off_equals(&mut self, start: usize, end: usize, pivot: usize) -> usize {
        self.items.swap(start, pivot);
        let (mut left, mut right) = (start + 1, end - 1);
        loop {
            while left <= right && !self.less(start, left) {
                left += 1;
            }
            while left <= right && self.less(start, right) {
                right -= 1;
            }
            if left > right {
                return left;
            }
            self.items.swap(left, right);
            (left, right) = (left + 1, right - 1);
        }
    }

    fn insert_all(&mut self, start: usize, end: usize) {
        (start + 1..end).for_each(|at| self.sink_left(at, start));
    }

    /// Moves an element to the left while it is less than its neighbour, no further than to `bound`.
    fn sink_left(&mut self, mut at: usize, bound: usize) {
        while at > bound && self.less(at, at - 1) {
            self.items.swap(at, at - 1);
            at -= 1;
        }
    }

    /// Whether a stretch is in order, after some neighbours changed places if it is long.
    fn mend(&mut self, start: usize, end: usize) -> bool {
        let mut at = start + 1;
        for _ in 0..MENDED_MAX {
            while at < end && !self.less(at, at - 1) {
                at += 1;
            }
            if at == end {
                return true;
            }
            if end - start < LONG {
                return false;
            }
            self.items.swap(at, at - 1);
            if at - start >= 2 {
                // In an order the stretch's own start would do as the bound.
                self.sink_left(at - 1, 0);
            }
            let mut greater = at + 1;
            while greater < end && self.less(greater, greater - 1) {
                self.items.swap(greater, greater - 1);
                greater += 1;
            }
        }
        false
    }

    /// Swaps the three elements in the middle with any, so that a pattern that made for a lopsided split is gone.
    fn scatter(&mut self, start: usize, end: usize) {
        let length = end - start;
        let mask = (1 << (usize::BITS - length.leading_zeros())) - 1;
        let first = start + length / 4 * 2 - 1;
        let mut random = length as u64;
        for place in first..first + 3 {
            random = xorshift(random);
            let other = random as usize & mask;
            let other = if other >= length { other - length } else { other };
            self.items.swap(place, start + other);
        }
    }

    fn choose_pivot(&self, start: usize, end: usize) -> (usize, Pattern) {
        let mut swaps = 0;
        let mut places = [1, 2, 3].map(|quarter| start + (end - start) / 4 * quarter);
        if end - start >= LONG {
            places = places.map(|place| self.median([place - 1, place, place + 1], &mut swaps));
        }
        let pattern = |swaps| match swaps {
            0 => Pattern::Rising,
            ALL_SWAPPED => Pattern::Falling,
            _ => Pattern::None,
        };
        let pivot = self.median(places, &mut swaps);
        (pivot, pattern(swaps))
    }

    /// The place of the median of three; counts what was out of order.
    fn median(&self, [a, b, c]: [usize; 3], swaps: &mut usize) -> usize {
        let mut ordered = |a, b| {
            let is_swapped = self.less(b, a);
            *swaps += usize::from(is_swapped);
            if is_swapped { (b, a) } else { (a, b) }
        };
        let (a, b) = ordered(a, b);
        let (b, _) = ordered(b, c);
        ordered(a, b).1
    }

    fn sort_by_heap(&mut self, start: usize, end: usize) {
        let length = end - start;
        (0..length.div_ceil(2)).rev().for_each(|root| self.sift(start, root, length));
        for last in (0..length).rev() {
            self.items.swap(start, start + last);
            self.sift(start, 0, last);
        }
    }

    /// Moves an element of the heap that begins at `start` below what is greater.
    fn sift(&mut self, start: usize, mut root: usize, length: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(start + child, start + child + 1) {
                child += 1;
            }
            if !self.less(start + root, start + child) {
                return;
            }
            self.items.swap(start + root, start + child);
            root = child;
        }
    }
}

/// Marsaglia's generator with the shifts 13, 7 and 17.
fn xorshift(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ state << 17
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Sorts numbers with their places, and looks whether the numbers rise.
    fn check(values: &[u64]) {
        let mut items: Vec<(u64, usize)> = values.iter().copied().zip(0..).collect();
        sort_as_go(&mut items, |a, b| a.0 < b.0);
        assert!(items.is_sorted_by_key(|(value, _)| *value), "{values:?}");
        let mut places: Vec<usize> = items.iter().map(|(_, place)| *place).collect();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..values.len()), "{values:?}");
    }

    #[test]
    fn everything_is_sorted() {
        for length in (0..=130).chain([500, 1000]) {
            let value = |f: &dyn Fn(u64) -> u64| check(&(0..length).map(f).collect::<Vec<_>>());
            value(&|i| i);
            value(&|i| length - i);
            value(&|_| 0);
            value(&|i| i % 3);
            value(&|i| i.abs_diff(length / 2));
            value(&|i| length - i.abs_diff(length / 2));
            value(&|i| i * 7919 % 101);
            value(&|i| i * 48_271 % 8191);
            value(&|i| if i % 17 == 0 { i + 40 } else { i });
        }
    }

    #[test]
    fn comparisons_that_contradict_themselves_end() {
        for length in 0..400usize {
            let mut items: Vec<usize> = (0..length).collect();
            sort_as_go(&mut items, |_, _| true);
            items.sort_unstable();
            assert!(items.into_iter().eq(0..length));
            let mut items: Vec<usize> = (0..length).collect();
            sort_as_go(&mut items, |a, b| b % 3 == 0 || a < b);
            items.sort_unstable();
            assert!(items.into_iter().eq(0..length));
        }
    }

    /// Whoever decides what is less while it is sorted (McIlroy, "A Killer Adversary for Quicksort") makes every split lopsided.
    #[test]
    fn no_input_takes_long() {
        const LENGTH: usize = 5000;
        let values = RefCell::new(vec![LENGTH; LENGTH]);
        let (frozen, candidate, comparisons) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let is_less = |a: &usize, b: &usize| {
            let mut values = values.borrow_mut();
            comparisons.set(comparisons.get() + 1);
            if values[*a] == LENGTH && values[*b] == LENGTH {
                values[if *a == candidate.get() { *a } else { *b }] = frozen.get();
                frozen.set(frozen.get() + 1);
            }
            match (values[*a], values[*b]) {
                (LENGTH, _) => candidate.set(*a),
                (_, LENGTH) => candidate.set(*b),
                _ => {}
            }
            values[*a] < values[*b]
        };
        sort_as_go(&mut (0..LENGTH).collect::<Vec<_>>(), is_less);
        let most = LENGTH * LENGTH.ilog2() as usize * 6;
        assert!(comparisons.get() < most, "{} comparisons, {most} are the most", comparisons.get());
    }
}
