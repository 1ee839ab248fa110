//! Compensated summation (Neumaier's variant of Kahan's), in the order of operations that Prometheus uses.

/// A sum and what rounding took from it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kahan {
    pub(super) sum: f64,
    pub(super) compensation: f64,
}

impl Kahan {
    pub(super) const fn new(sum: f64) -> Self {
        Self { sum, compensation: 0.0 }
    }

    pub(super) fn add(self, value: f64) -> Self {
        let sum = self.sum + value;
        let (large, small) = if self.sum.abs() >= value.abs() { (self.sum, value) } else { (value, self.sum) };
        let compensation = self.compensation + ((large - sum) + small);
        Self { sum, compensation: if sum.is_infinite() { 0.0 } else { compensation } }
    }

    pub(super) fn total(self) -> f64 {
        self.sum + self.compensation
    }
}

/// Windows that are summed side by side: each sum waits for the one before it, so that several take little longer than
/// one.
pub(super) const LANES: usize = 4;

/// The sum of each window, in its order, on top of what `begin` makes of its first value. No window is empty.
pub(super) fn sums(windows: [&[f64]; LANES], begin: impl Fn(f64) -> Kahan) -> [Kahan; LANES] {
    let mut sums = windows.map(|window| begin(window[0]));
    let together = windows.iter().map(|window| window.len()).min().unwrap_or_default();
    let heads = windows.map(|window| &window[1..together]);
    for i in 0..together - 1 {
        for (sum, head) in sums.iter_mut().zip(heads) {
            *sum = sum.add(head[i]);
        }
    }
    for (sum, window) in sums.iter_mut().zip(windows) {
        *sum = window[together..].iter().fold(*sum, |sum, value| sum.add(*value));
    }
    sums
}

/// An average that sums as long as the sum does not overflow, and then moves the mean step by step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    /// The sum, or the mean once `incremental` is set.
    acc: Kahan,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(super) const fn new(first: f64) -> Self {
        Self { acc: Kahan::new(first), count: 1.0, incremental: false }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = self.count - 1.0;
        if !self.incremental {
            let next = self.acc.add(value);
            if !next.sum.is_infinite() {
                self.acc = next;
                return;
            }
            self.incremental = true;
            self.acc = Kahan { sum: self.acc.sum / before, compensation: self.acc.compensation / before };
        }
        let share = before / self.count;
        let scaled = Kahan { sum: share * self.acc.sum, compensation: share * self.acc.compensation };
        self.acc = scaled.add(value / self.count);
    }

    /// The average of values whose sum this is, if no sum on the way overflowed.
    pub(super) fn of_sum(sum: Kahan, count: usize) -> Option<f64> {
        let mean = Self { acc: sum, count: count as f64, incremental: false };
        // Once infinite a sum never becomes finite again.
        sum.sum.is_finite().then(|| mean.value())
    }

    /// The sum, or the mean where the sum would overflow.
    pub(super) fn sum(&self) -> f64 {
        self.acc.sum
    }

    pub(super) fn value(&self) -> f64 {
        if self.incremental {
            return self.acc.total();
        }
        self.acc.sum / self.count + self.acc.compensation / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_side_by_side_are_those_of_each() {
        let values: Vec<f64> = (1..200).map(|i| f64::from(i * 7919 % 1000) * 1e-3 * 10_f64.powi(i % 40 - 20)).collect();
        let odd = [1.0, f64::INFINITY, 3.0, f64::NEG_INFINITY, f64::NAN, -0.0];
        for lengths in [[1, 1, 1, 1], [4, 3, 2, 1], [100, 120, 99, 100], [5, 1, 199, 80]] {
            let of = |length: usize, from: usize| &values[from.min(values.len() - length)..][..length];
            let windows = [of(lengths[0], 0), of(lengths[1], 3), of(lengths[2], 9), &odd];
            let bits = |sum: Kahan| (sum.sum.to_bits(), sum.compensation.to_bits());
            let expected = windows.map(|window| window[1..].iter().fold(Kahan::new(window[0]), |sum, v| sum.add(*v)));
            assert_eq!(sums(windows, Kahan::new).map(bits), expected.map(bits), "{lengths:?}");
        }
    }
}
