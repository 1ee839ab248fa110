//! The heap that `topk` and `bottomk` choose with. Which of equal values are chosen, Prometheus leaves to the moves of Go's
//! `container/heap`; these are the same moves.

use std::cmp::Ordering;

use super::order::sort_as_go;
use super::quantile::is_before;

/// The best values so far, the worst of them on top, each with its place.
#[derive(Debug)]
pub(super) struct Best {
    /// The lowest values are the best, instead of the highest.
    lowest: bool,
    most: usize,
    heap: Vec<(f64, usize)>,
}

impl Best {
    pub(super) fn new(lowest: bool, most: usize) -> Self {
        Self { lowest, most, heap: Vec::new() }
    }

    /// Takes part in the choice; NaN is worse than every number.
    pub(super) fn offer(&mut self, value: f64, place: usize) {
        if self.heap.len() < self.most {
            self.heap.push((value, place));
            self.rise(self.heap.len() - 1);
        } else if self.heap.first().is_some_and(|top| is_worse(top.0, value, self.lowest)) {
            self.heap[0] = (value, place);
            self.sink();
        }
    }

    /// Places of the chosen, best first.
    pub(super) fn into_places(mut self) -> Vec<usize> {
        let lowest = self.lowest;
        sort_as_go(&mut self.heap, |a, b| is_before(a.0, b.0, !lowest));
        self.heap.into_iter().map(|(_, place)| place).collect()
    }

    /// Places of all that were offered, as the heap holds them.
    pub(super) fn into_heap(self) -> Vec<usize> {
        self.heap.into_iter().map(|(_, place)| place).collect()
    }

    fn goes_above(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.heap[a].0, self.heap[b].0);
        a.is_nan() || order(a, b, self.lowest) == Some(Ordering::Less)
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.goes_above(at, parent) {
                return;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    fn sink(&mut self) {
        let mut at = 0;
        loop {
            let left = 2 * at + 1;
            if left >= self.heap.len() {
                return;
            }
            let right = left + 1;
            let child = if right < self.heap.len() && self.goes_above(right, left) { right } else { left };
            if !self.goes_above(child, at) {
                return;
            }
            self.heap.swap(child, at);
            at = child;
        }
    }
}

fn is_worse(a: f64, b: f64, lowest: bool) -> bool {
    a.is_nan() && !b.is_nan() || order(a, b, lowest) == Some(Ordering::Less)
}

/// `Less` where the first is the worse one.
fn order(a: f64, b: f64, lowest: bool) -> Option<Ordering> {
    if lowest { b.partial_cmp(&a) } else { a.partial_cmp(&b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lowest: bool, most: usize, values: &[f64], expected: &[usize]) {
        let mut best = Best::new(lowest, most);
        values.iter().enumerate().for_each(|(place, value)| best.offer(*value, place));
        assert_eq!(best.into_places(), expected, "{most} of {values:?}");
    }

    #[test]
    fn choices() {
        let nan = f64::NAN;
        check(false, 2, &[1.0, 3.0, 2.0], &[1, 2]);
        check(true, 2, &[1.0, 3.0, 2.0], &[0, 2]);
        check(false, 2, &[nan, 1.0, nan, 0.0], &[1, 3]);
        check(true, 3, &[nan, 1.0, nan, 0.0], &[3, 1, 0]);
        check(false, 0, &[1.0], &[]);
        // Of two equal values the one on top of the heap goes.
        check(false, 2, &[1.0, 1.0, 2.0], &[2, 1]);
    }
}
