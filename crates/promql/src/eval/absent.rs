//! `absent` and `absent_over_time`: a one where there is nothing.

use model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp};

use super::Evaluation;
use super::batch::{Batch, Identity, Part};
use super::grid::Grid;
use super::series::{ABSENT, Series};
use super::spans::KnownSpans;
use super::window::RangeSeries;
use crate::QueryError;
use crate::syntax::{Kind, NodeId};

impl Evaluation<'_> {
    pub(super) fn absent(&self, arg: NodeId, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let mut present = vec![false; grid.count];
        self.stream_presence(arg, grid, true, &mut |part| {
            part.present().for_each(|(i, _)| present[i] = true);
            Ok(())
        })?;
        Ok(self.ones_where_absent(arg, &present))
    }

    pub(super) fn absent_over_time(&self, arg: NodeId, grid: Grid) -> Result<Vec<Series>, QueryError> {
        let mut present = vec![false; grid.count];
        let windows = self.windows(arg);
        let ones = |source: &RangeSeries<'_>, known: &mut KnownSpans, batch: &mut Batch| {
            batch.add(
                |into| source.slide(known, (&windows, grid), false, into, |_, _| Some(1.0)),
                || Identity::of(source.labels),
            );
            Ok(())
        };
        self.stream_ranges(arg, grid, "absent_over_time", ones, &mut |batch: Batch| {
            batch.parts().flat_map(Part::present).for_each(|(i, _)| present[i] = true);
            Ok(())
        })?;
        Ok(self.ones_where_absent(arg, &present))
    }

    fn ones_where_absent(&self, arg: NodeId, present: &[bool]) -> Vec<Series> {
        if present.iter().all(|p| *p) {
            return Vec::new();
        }
        let values = present.iter().map(|present| if *present { ABSENT } else { 1.0 }).collect();
        vec![Series::new(self.labels_of_absent(arg), values)]
    }

    /// Labels that a selector pins down by one equality each.
    fn labels_of_absent(&self, arg: NodeId) -> Labels {
        let mut id = self.expr.unwrapped(arg);
        if let Kind::Matrix { selector, .. } = self.expr.kind(id) {
            id = *selector;
        }
        let Kind::Vector(selector) = self.expr.kind(id) else {
            return Labels::empty();
        };
        let mut labels = LabelsBuilder::default();
        let mut pinned: Vec<&str> = Vec::new();
        for matcher in selector.matchers.iter().filter(|m| m.name() != METRIC_NAME) {
            if matcher.op() == MatchOp::Equal && !pinned.contains(&matcher.name()) {
                labels.set(matcher.name(), matcher.value());
                pinned.push(matcher.name());
            } else {
                labels.remove(matcher.name());
            }
        }
        labels.build()
    }
}
