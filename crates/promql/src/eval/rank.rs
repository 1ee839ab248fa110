//! Aggregations that choose series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use model::Labels;

use super::Evaluation;
use super::aggregate::bounds;
use super::elementwise::shortest;
use super::grid::Grid;
use super::groups::{Groups, Key};
use super::heap::Best;
use super::series::{ABSENT, Series, is_present};
use crate::QueryError;
use crate::hash::hash_labels;
use crate::syntax::{Aggregation, Grouping, NodeId};

/// What is chosen of every group at a step.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Highest(usize),
    Lowest(usize),
    First(usize),
    /// The part of all series whose labels hash into the ratio; negative ratios choose the complement.
    Ratio(f64),
}

impl Evaluation<'_> {
    pub(super) fn choose(
        &self,
        op: Aggregation,
        expr: NodeId,
        param: NodeId,
        grouping: &Grouping,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let params = self.scalar(param, grid)?;
        let mut hold = self.budget.hold();
        let mut series: Vec<Series> = Vec::new();
        self.stream(expr, grid, &mut |next| {
            hold.add(next.cost())?;
            series.push(next);
            Ok(())
        })?;
        let (lowest, highest) = bounds(&params);
        let nothing = if op == Aggregation::LimitRatio { lowest == 0.0 && highest == 0.0 } else { highest < 1.0 };
        if nothing {
            return Ok(Vec::new());
        }
        if op == Aggregation::LimitRatio {
            self.check_ratios(lowest, highest, param);
        }
        let groups = group_members(&series, grouping);
        let mut chosen: Vec<Vec<f64>> = series.iter().map(|_| vec![ABSENT; grid.count]).collect();
        let mut order = Vec::new();
        for (i, param) in params.iter().enumerate() {
            self.budget.check()?;
            // A parameter is judged at steps where there is something to choose from.
            if !series.iter().any(|series| is_present(series.values[i])) {
                continue;
            }
            let choice = choice(op, *param)?;
            for members in &groups {
                let present = members.iter().copied().filter(|m| is_present(series[*m].values[i]));
                for member in choose_of(choice, present.collect(), &series, i) {
                    chosen[member][i] = series[member].values[i];
                    order.push(member);
                }
            }
        }
        Ok(chosen_series(series, chosen, &order, grid))
    }

    /// Of all steps the highest and the lowest ratio are judged.
    fn check_ratios(&self, lowest: f64, highest: f64, param: NodeId) {
        for (is_outside, value, cap) in [(highest > 1.0, highest, "1"), (lowest < -1.0, lowest, "-1")] {
            if is_outside {
                let value = shortest(value);
                let message = format!("ratio value should be between -1 and 1, got {value}, capping to {cap}");
                self.warn(self.place(param), &message);
            }
        }
    }
}

fn choice(op: Aggregation, param: f64) -> Result<Choice, QueryError> {
    if op == Aggregation::LimitRatio {
        if param.is_nan() {
            return Err(QueryError::Execution("Ratio value NaN is NaN".to_owned()));
        }
        return Ok(Choice::Ratio(param.clamp(-1.0, 1.0)));
    }
    if param.is_nan() || param >= i64::MAX as f64 || param < i64::MIN as f64 {
        let message = format!("Scalar value {} overflows int64", shortest(param));
        return Err(QueryError::Execution(message));
    }
    let k = param.max(0.0) as usize;
    Ok(match op {
        Aggregation::Topk => Choice::Highest(k),
        Aggregation::Bottomk => Choice::Lowest(k),
        _ => Choice::First(k),
    })
}

/// Places of the series of each group.
fn group_members(series: &[Series], grouping: &Grouping) -> Vec<Vec<usize>> {
    let mut groups: Groups<'_, Vec<usize>> = Groups::new(Key::of_grouping(grouping));
    for (i, series) in series.iter().enumerate() {
        groups.of(&series.labels, Vec::new).push(i);
    }
    groups.into_iter().map(|group| group.state).collect()
}

/// The chosen of the members that have a value at step `i`, best first.
fn choose_of(choice: Choice, mut present: Vec<usize>, series: &[Series], i: usize) -> Vec<usize> {
    let offered = |lowest, k, members: &[usize]| {
        let mut best = Best::new(lowest, k);
        members.iter().for_each(|member| best.offer(series[*member].values[i], *member));
        best
    };
    match choice {
        Choice::Highest(k) => return offered(false, k, &present).into_places(),
        Choice::Lowest(k) => return offered(true, k, &present).into_places(),
        Choice::First(k) => present.truncate(k),
        Choice::Ratio(ratio) => present.retain(|m| is_in_ratio(&series[*m].labels, ratio)),
    }
    // Those that are not chosen by value come from a heap, too, in its own order.
    offered(false, present.len(), &present).into_heap()
}

fn is_in_ratio(labels: &Labels, ratio: f64) -> bool {
    let offset = hash_labels(labels) as f64 / u64::MAX as f64;
    if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio }
}

/// Series that were chosen somewhere: of one step in the order of the choice, else in their own.
fn chosen_series(series: Vec<Series>, chosen: Vec<Vec<f64>>, order: &[usize], grid: Grid) -> Vec<Series> {
    let mut result: Vec<Option<Series>> =
        series.into_iter().zip(chosen).map(|(series, values)| Some(Series { values, ..series })).collect();
    if grid.count == 1 {
        return order.iter().filter_map(|member| result[*member].take()).collect();
    }
    result.into_iter().flatten().filter(Series::has_values).collect()
}
