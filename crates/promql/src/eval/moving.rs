//! `@` inside the parameters of aggregations, where Prometheus 3.5 fixes range vectors only.
//!
//! Of a parameter such as that of `topk(scalar(limit @ 60), up)` it forgets `@ start()` and `@ end()`. Of an instant
//! selector other times hold at the first step only: a later one looks as much later. Samples are read up to the time
//! of `@` and no further, so that the last one is found until the lookback ends.
//!
//! It also turns `@` into an offset from the first step of an evaluation, with what the subqueries around it are shifted
//! by, and does so anew for the inside of a subquery, unless that begins at the same step: there `@` is missed by the shift.

use std::sync::atomic::{AtomicI64, Ordering};

use model::Timestamp;

use super::Evaluation;
use super::grid::Grid;
use crate::syntax::{AtTime, Expr, Kind, Modifiers, NodeId, children};

/// Where nodes lie.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By node: whether it is inside the parameter of an aggregation.
    inside: Vec<bool>,
    /// By node: the innermost subquery around it, unless neither that nor one around that has `@`.
    subqueries: Vec<Option<NodeId>>,
}

impl Places {
    pub(super) fn of(expr: &Expr) -> Self {
        let count = expr.nodes().count();
        let (mut inside, mut subqueries) = (vec![false; count], vec![None; count]);
        // Parents stand behind their children.
        for place in (0..count).rev() {
            let kind = expr.kind(NodeId(place as u32));
            let param = match kind {
                Kind::Aggregate { param, .. } => *param,
                _ => None,
            };
            let is_bounded = match kind {
                Kind::Subquery { modifiers, .. } => modifiers.at.is_some() || subqueries[place].is_some(),
                _ => false,
            };
            for child in children(kind) {
                inside[child.0 as usize] = inside[place] || Some(child) == param;
                subqueries[child.0 as usize] = if is_bounded { Some(NodeId(place as u32)) } else { subqueries[place] };
            }
        }
        Self { inside, subqueries }
    }

    pub(super) fn contain(&self, id: NodeId) -> bool {
        self.inside[id.0 as usize]
    }

    fn subquery_around(&self, id: NodeId) -> Option<NodeId> {
        self.subqueries[id.0 as usize]
    }

    /// Whether equal nodes have equal values, as far as that depends on where they lie.
    pub(super) fn are_alike(&self, a: NodeId, b: NodeId) -> bool {
        self.contain(a) == self.contain(b) && self.subquery_around(a) == self.subquery_around(b)
    }
}

/// At which time a selector or a subquery looks for a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) at: Option<Timestamp>,
    pub(super) offset: i64,
}

impl Reach {
    pub(super) fn time(&self, step: Timestamp) -> Timestamp {
        self.at.unwrap_or(step).saturating_sub(self.offset)
    }
}

/// By how much what `@` fixes is missed where the evaluation stands. Changed by the evaluation's own thread, while none works
/// for it.
#[derive(Debug, Default)]
pub(super) struct Missed(AtomicI64);

impl Missed {
    fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn is_none(&self) -> bool {
        self.get() == 0
    }
}

/// Where a subquery with `@` and an offset looks, before that offset: Go counts the way there from the first step in nanoseconds,
/// of which 64 bits hold 292 years and begin anew beyond. A selector reads the samples of `@` itself all the same.
fn in_nanoseconds(start: Timestamp, at: Timestamp, offset: i64) -> Timestamp {
    const MILLISECOND: i64 = 1_000_000;
    let way = start.wrapping_sub(at).wrapping_add(offset).wrapping_mul(MILLISECOND) / MILLISECOND;
    start.wrapping_sub(way).wrapping_add(offset)
}

impl Evaluation<'_> {
    fn modifiers(&self, id: NodeId) -> Modifiers {
        match self.expr.kind(id) {
            Kind::Vector(selector) => selector.modifiers,
            Kind::Subquery { modifiers, .. } => *modifiers,
            _ => Modifiers::default(),
        }
    }

    /// Does the work inside of a subquery that begins at this step, for an evaluation whose first step is `start`.
    pub(super) fn inside<T>(
        &self,
        subquery: NodeId,
        (start, first): (Timestamp, Timestamp),
        work: impl FnOnce() -> T,
    ) -> T {
        let by = match self.reach_said(subquery) {
            _ if first != start => 0,
            Reach { at: Some(at), offset } => offset.saturating_add(start.saturating_sub(at)),
            Reach { at: None, offset } => offset.saturating_add(self.missed.get()),
        };
        self.missing(by, work)
    }

    /// Does work in which what `@` fixes is missed by so much.
    pub(super) fn missing<T>(&self, by: i64, work: impl FnOnce() -> T) -> T {
        let before = self.missed.0.swap(by, Ordering::Relaxed);
        let done = work();
        self.missed.0.store(before, Ordering::Relaxed);
        done
    }

    /// Where a selector inside of a range, or a subquery, looks.
    pub(super) fn reach(&self, id: NodeId) -> Reach {
        match self.reach_said(id) {
            Reach { at: Some(at), offset } => Reach { at: Some(at), offset: offset.saturating_sub(self.missed.get()) },
            reach => reach,
        }
    }

    fn is_subquery(&self, id: NodeId) -> bool {
        matches!(self.expr.kind(id), Kind::Subquery { .. })
    }

    /// Where it would look if `@` were not missed, which is where samples are read for it.
    pub(super) fn reach_said(&self, id: NodeId) -> Reach {
        let Modifiers { offset, at } = self.modifiers(id);
        let at = at.and_then(|at| match at {
            AtTime::Fixed(at) if self.is_subquery(id) => Some(in_nanoseconds(self.query_start, at, offset)),
            AtTime::Fixed(at) => Some(at),
            _ if self.places.contain(id) => None,
            AtTime::Start => Some(self.query_start),
            AtTime::End => Some(self.query_end),
        });
        Reach { at, offset }
    }

    /// Where an instant selector looks over the grid.
    pub(super) fn reach_over(&self, id: NodeId, grid: Grid) -> Reach {
        match self.reach(id) {
            Reach { at: Some(at), offset } if self.places.contain(id) => {
                Reach { at: None, offset: offset.saturating_add(grid.start.saturating_sub(at)) }
            }
            reach => reach,
        }
    }

    /// The first time of which a selector reads samples, if it looks back to this one.
    pub(super) fn first_read(&self, id: NodeId, wanted: Timestamp) -> Timestamp {
        if self.reach_said(id).at.is_none() {
            return wanted;
        }
        wanted.max(wanted.saturating_sub(self.missed.get()))
    }

    /// The last time of which a selector reads samples, if it looks up to this one: that of `@`, or what the innermost
    /// subquery around it with `@` makes of it.
    pub(super) fn last_read(&self, id: NodeId, wanted: Timestamp) -> Timestamp {
        let (mut end, mut around) = (None, Some(id));
        let mut offsets: i64 = 0;
        while let (None, Some(node)) = (end, around) {
            let Reach { at, offset } = self.reach_said(node);
            offsets = offsets.saturating_add(offset);
            end = at;
            around = self.places.subquery_around(node);
        }
        end.map_or(wanted, |end| wanted.min(end.saturating_sub(offsets)))
    }
}
