//! Thresholds: the colour of a value by the limits it has passed.

use crate::color::Rgba;

/// Limits and their colours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// Whether limits are parts of a hundred between the column's ends.
    pub percentage: bool,
    /// From the lowest limit on.
    pub steps: Vec<Step>,
}

/// A limit and the colour from it on.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The limit; the first step's is minus infinity.
    pub from: f64,
    /// A name or CSS colour, see [`Rgba::parse`].
    pub color: String,
}

impl Thresholds {
    /// The steps in their order, the first without a lower limit.
    pub fn new(percentage: bool, mut steps: Vec<Step>) -> Self {
        steps.sort_by(|a, b| a.from.total_cmp(&b.from));
        if let Some(first) = steps.first_mut() {
            first.from = f64::NEG_INFINITY;
        }
        Self { percentage, steps }
    }

    /// The step that a value has reached. `ends` are the column's, where limits are percentages.
    pub fn step(&self, value: f64, ends: (f64, f64)) -> Option<&Step> {
        let (min, max) = ends;
        let place = match self.percentage {
            true if max > min => (value - min) / (max - min) * 100.0,
            true => 0.0,
            false => value,
        };
        self.steps.iter().rev().find(|step| place >= step.from).or(self.steps.first())
    }

    /// The colour of a value.
    pub fn color(&self, value: f64, ends: (f64, f64)) -> Option<Rgba> {
        Rgba::parse(&self.step(value, ends)?.color)
    }

    /// The limit of a step as a value of the column.
    pub fn limit(&self, step: &Step, ends: (f64, f64)) -> f64 {
        let (min, max) = ends;
        if self.percentage { min + (max - min) * step.from / 100.0 } else { step.from }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reach_steps() {
        let steps = [(0.0, "green"), (80.0, "red"), (70.0, "orange")];
        let steps = || steps.iter().map(|(from, color)| Step { from: *from, color: (*color).to_owned() }).collect();
        let check = |percentage: bool, value: f64, expected: &str| {
            let thresholds = Thresholds::new(percentage, steps());
            let color = thresholds.step(value, (0.0, 1000.0)).map(|step| step.color.as_str());
            assert_eq!(color, Some(expected), "{value}");
        };
        check(false, -5.0, "green");
        check(false, 69.9, "green");
        check(false, 70.0, "orange");
        check(false, 80.0, "red");
        check(false, f64::NAN, "green");
        check(true, 80.0, "green");
        check(true, 700.0, "orange");
        check(true, 900.0, "red");
        assert_eq!(Thresholds::default().step(1.0, (0.0, 1.0)), None);
    }
}
