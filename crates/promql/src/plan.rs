//! The plan of an evaluated expression, with what each of its nodes took.

use std::time::Duration;

use model::{Hints, Matcher, Selection, Timestamp, format_duration};

use crate::eval::Record;
use crate::syntax::{Grouped, Kind, NodeId, Type, children};
use crate::{Answer, Expr, Position};

/// An answer, and how it came about.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The answer that the query would have without this.
    pub answer: Answer,
    /// How it was computed.
    pub plan: Plan,
}

/// How an expression was computed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The nodes, each before its children, those in the order of the text. Parentheses are no nodes, nor is the selector
    /// inside a range selector.
    pub nodes: Vec<PlanNode>,
    /// Wall time of the whole, waiting for its turn included.
    pub took: Duration,
    /// The last step that a kept answer had already; the nodes tell of the steps after it.
    pub kept_until: Option<Timestamp>,
}

/// A node of a plan. Of a range vector under a function, time and samples of reading are its, and so is the time of the
/// function: both are done series by series, by the threads that read.
#[derive(Clone, Debug)]
pub struct PlanNode {
    /// How many nodes it lies under.
    pub depth: usize,
    /// What it is: `aggregation`, `binary`, `call`, `number`, `range selector`, `selector`, `string`, `subquery`, `unary`.
    pub kind: &'static str,
    /// What it does, without its operands: `sum by (job)`, `rate`, `/`, `up{job="a"}`.
    pub title: String,
    /// Where it stands.
    pub position: Position,
    /// Type of its value.
    pub of: Type,
    /// How often it was computed; zero where its value was taken from an equal node, or was not needed.
    pub evaluations: u64,
    /// How often its value was copied from an equal node.
    pub recalled: u64,
    /// Steps at which it was computed, one where the value is the same at all.
    pub steps: usize,
    /// Wall time of the node without its children.
    pub own_time: Duration,
    /// Wall time of the node and all below it.
    pub time: Duration,
    /// Samples that the node read from the store.
    pub own_samples: u64,
    /// Samples that the node and all below it read from the store.
    pub samples: u64,
    /// Series of its value.
    pub series: u64,
    /// Numbers in its value; zero for range vectors, which are not held.
    pub points: u64,
    /// Threads that worked on its series, 1 where it was the query's own.
    pub threads: usize,
    /// What was pushed to the store, usually once.
    pub selections: Vec<Selected>,
}

/// What was asked of the store.
#[derive(Clone, Debug)]
pub struct Selected {
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// First timestamp, inclusive.
    pub min_time: Timestamp,
    /// Last timestamp, inclusive.
    pub max_time: Timestamp,
    /// What else the store was told.
    pub hints: Hints,
    /// How many series it found.
    pub series: u64,
}

impl Selected {
    pub(crate) fn new(selection: &Selection<'_>, series: u64) -> Self {
        let Selection { matchers, min_time, max_time, hints } = selection.clone();
        Self { matchers: matchers.to_vec(), min_time, max_time, hints, series }
    }
}

impl Plan {
    pub(crate) fn new(expr: &Expr, mut records: Vec<Record>, took: Duration, kept_until: Option<Timestamp>) -> Self {
        let mut nodes = Vec::new();
        let mut waiting = vec![(expr.root(), 0)];
        while let Some((id, depth)) = waiting.pop() {
            let id = expr.unwrapped(id);
            let record = std::mem::take(&mut records[id.0 as usize]);
            nodes.push(PlanNode::new(expr, id, depth, record));
            if !matches!(expr.kind(id), Kind::Matrix { .. }) {
                waiting.extend(children(expr.kind(id)).into_iter().rev().map(|child| (child, depth + 1)));
            }
        }
        add_up(&mut nodes);
        Self { nodes, took, kept_until }
    }
}

/// Sums what lies below each node. Children stand behind their parents.
fn add_up(nodes: &mut [PlanNode]) {
    // By depth: the sum over the children of the next node that is one less deep.
    let mut below: Vec<(Duration, u64)> = vec![Default::default(); 2];
    for node in nodes.iter_mut().rev() {
        below.resize(below.len().max(node.depth + 2), Default::default());
        let (time, samples) = std::mem::take(&mut below[node.depth + 1]);
        node.time = node.own_time + time;
        node.samples = node.own_samples + samples;
        below[node.depth].0 += node.time;
        below[node.depth].1 += node.samples;
    }
}

impl PlanNode {
    fn new(expr: &Expr, id: NodeId, depth: usize, record: Record) -> Self {
        let kind = expr.kind(id);
        Self {
            depth,
            kind: word(kind),
            title: title(expr, id),
            position: expr.position(id),
            of: expr.type_of(id),
            evaluations: record.evaluations,
            recalled: record.recalled,
            steps: record.steps,
            own_time: record.own_time,
            time: Duration::ZERO,
            own_samples: record.own_samples,
            samples: 0,
            series: record.series,
            points: record.points,
            threads: record.threads.max(1),
            selections: record.selections,
        }
    }
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Number { .. } => "number",
        Kind::Text(_) => "string",
        Kind::Vector(_) => "selector",
        Kind::Matrix { .. } => "range selector",
        Kind::Subquery { .. } => "subquery",
        Kind::Call { .. } => "call",
        Kind::Aggregate { .. } => "aggregation",
        Kind::Unary { .. } => "unary",
        Kind::Binary { .. } => "binary",
        Kind::Paren(_) => "parentheses",
    }
}

fn title(expr: &Expr, id: NodeId) -> String {
    match expr.kind(id) {
        Kind::Subquery { range, step, .. } => {
            let duration = |millis: i64| format_duration(Duration::from_millis(millis.unsigned_abs()));
            format!("[{}:{}]", duration(*range), step.map(duration).unwrap_or_default())
        }
        Kind::Call { function, .. } => function.name.to_owned(),
        Kind::Aggregate { op, grouping, .. } => format!("{}{}", op.name(), Grouped(grouping)).trim_end().to_owned(),
        Kind::Unary { negative, .. } => if *negative { "-" } else { "+" }.to_owned(),
        Kind::Binary { .. } => expr.operator(id).trim().to_owned(),
        _ => expr.one_line(id),
    }
}
