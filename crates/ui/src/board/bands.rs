//! The lowest and the highest values between the points of a chart that is thinner than what was collected, so that a spike is
//! seen in every range: the query is asked once more at a finer step, as a reader who zooms in would ask it.

use std::collections::{BTreeMap, HashMap};

use dashboard::{Format, Panel, Question, Scope, Screen, Target, TimeRange, Visual, ask};
use model::Timestamp;

use super::fetch::{Fetcher, pairs};
use super::vars::with_matchers;

/// Lines of a panel from which on bands would only cover each other.
const LINES_MAX: usize = 6;
/// Points of the finer question: a day of samples at fifteen seconds. Over longer times a point stands for several samples; the
/// windows of rates still hold them all.
const POINTS: u32 = 5_760;

/// Letter of the query and labels of the series.
type Key = (String, Vec<(String, String)>);
/// Lowest and highest by the times of the chart.
pub(super) type Band = BTreeMap<Timestamp, (f64, f64)>;

/// Bands of a panel's series.
#[derive(Debug, Default)]
pub(super) struct Bands(HashMap<Key, Band>);

impl Bands {
    /// The band of a column.
    pub(super) fn of(&self, ref_id: &str, labels: &[(String, String)]) -> Option<&Band> {
        self.0.get(&(ref_id.to_owned(), labels.to_vec()))
    }

    /// Asks for the bands of a panel whose queries found so many series.
    pub(super) fn read(
        fetcher: &mut Fetcher<'_>,
        panel: &Panel,
        asked: &[(&Target, Question)],
        (scope, matchers, range): (&Scope, &[String], &TimeRange),
        lines: usize,
    ) -> Self {
        let is_drawn = matches!(panel.visual, Visual::TimeSeries(_)) && panel.transforms.is_empty();
        if !is_drawn || lines == 0 || lines > LINES_MAX {
            return Self::default();
        }
        let finer = Panel { points_max: Some(POINTS), ..panel.clone() };
        let mut bands = HashMap::new();
        for (target, coarse) in asked.iter().filter(|(target, _)| target.format == Format::TimeSeries) {
            let Ok(fine) = ask(
                &finer,
                target,
                scope,
                range,
                Screen { scrape_interval_ms: fetcher.scrape_ms, ..Screen::default() },
            ) else {
                continue;
            };
            let (step, part) = (coarse.steps.step_ms, fine.steps.step_ms);
            if part == 0 || step < part.saturating_mul(2) {
                continue;
            }
            let from = floor(coarse.range.from_ms.saturating_sub_unsigned(step), part).saturating_add_unsigned(part);
            let range = TimeRange { from_ms: from, to_ms: coarse.range.to_ms };
            let question = Question { expr: with_matchers(&fine.expr, matchers), range, ..fine };
            let found = fetcher.fetch(&question, part);
            let Ok(found) = &*found else { continue };
            for (labels, samples) in &found.series {
                let band = reduce(samples.iter().map(|sample| (sample.timestamp, sample.value)), &coarse.range, step);
                bands.insert((target.ref_id.clone(), pairs(labels)), band);
            }
        }
        Self(bands)
    }
}

/// A point of the chart stands for the time since the point before.
fn reduce(samples: impl Iterator<Item = (Timestamp, f64)>, range: &TimeRange, step: u64) -> Band {
    let mut band = Band::new();
    for (at, value) in samples.filter(|(_, value)| value.is_finite()) {
        let place = ceil(at.saturating_sub(range.from_ms), step).saturating_add(range.from_ms);
        let (low, high) = band.entry(place).or_insert((value, value));
        (*low, *high) = (low.min(value), high.max(value));
    }
    band
}

fn floor(time: i64, step: u64) -> i64 {
    let step = i64::try_from(step).unwrap_or(i64::MAX).max(1);
    time.div_euclid(step).saturating_mul(step)
}

fn ceil(time: i64, step: u64) -> i64 {
    let below = floor(time, step);
    if below == time { time } else { below.saturating_add_unsigned(step) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_stands_for_the_time_before_it() {
        let samples = [(5, 1.0), (10, 9.0), (11, 2.0), (20, f64::NAN), (30, -3.0)];
        let range = TimeRange { from_ms: 0, to_ms: 30 };
        let band = reduce(samples.into_iter(), &range, 10);
        assert_eq!(band, Band::from([(10, (1.0, 9.0)), (20, (2.0, 2.0)), (30, (-3.0, -3.0))]));
    }

    #[test]
    fn steps_hold_times() {
        let check = |time, below, above| assert_eq!((floor(time, 15), ceil(time, 15)), (below, above), "{time}");
        check(0, 0, 0);
        check(31, 30, 45);
        check(-1, -15, 0);
    }
}
