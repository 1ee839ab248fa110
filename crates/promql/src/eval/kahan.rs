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
        let compensation = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= value.abs() {
            self.compensation + ((self.sum - sum) + value)
        } else {
            self.compensation + ((value - sum) + self.sum)
        };
        Self { sum, compensation }
    }

    pub(super) fn total(self) -> f64 {
        self.sum + self.compensation
    }
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
