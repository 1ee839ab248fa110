//! Equal subexpressions: computed once, and copied where they stand again.
//!
//! Nodes of equal structure have the same value on the same grid. What several of them share is kept until the last one
//! took it. It counts against the query's limits, and goes first where they are reached, so that no query fails for it.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::mem::discriminant;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Evaluation;
use super::budget::Cost;
use super::grid::Grid;
use super::moving::Places;
use super::series::Series;
use crate::syntax::{Aggregation, Expr, Kind, NodeId, Type, children};

/// What all nodes equal to one share: that one, and how often its value is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    /// The first of the nodes.
    first: u32,
    /// How many evaluations there would be.
    uses: u32,
}

/// Values that are still to be used.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<HashMap<(u32, Grid), Kept>>);

#[derive(Debug)]
struct Kept {
    series: Vec<Series>,
    cost: Cost,
    /// How many times it may yet be taken.
    uses: u32,
}

impl Shared {
    /// Forgets everything and gives back what it cost, before another thread finds that there is nothing to forget.
    pub(super) fn clear(&self, give_back: impl FnOnce(Cost)) {
        let mut kept = self.lock();
        let mut freed = Cost::default();
        kept.drain().for_each(|(_, kept)| freed += kept.cost);
        give_back(freed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u32, Grid), Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Evaluation<'_> {
    /// The value of a node, if that of an equal one was kept.
    pub(super) fn recall(&self, id: NodeId, grid: Grid) -> Option<Vec<Series>> {
        let key = (self.shared_class(id)?.first, grid);
        let mut shared = self.budget.shared().lock();
        let kept = shared.get_mut(&key)?;
        kept.uses -= 1;
        let series = if kept.uses > 0 {
            kept.series.clone()
        } else {
            let kept = shared.remove(&key)?;
            self.budget.give_back(kept.cost);
            kept.series
        };
        drop(shared);
        self.trace_recall(id, &series);
        Some(series)
    }

    /// Keeps the value of a node for others that are equal. Where computing it added notes each of them is computed, as
    /// notes tell places.
    pub(super) fn keep(&self, id: NodeId, grid: Grid, series: &[Series], notes_before: u64) {
        let Some(class) = self.shared_class(id).filter(|_| self.notes.count() == notes_before) else { return };
        let mut cost = Cost::default();
        series.iter().for_each(|series| cost += series.cost());
        let key = (class.first, grid);
        if self.budget.shared().lock().contains_key(&key) || self.budget.take(cost).is_err() {
            return;
        }
        let kept = Kept { series: series.to_vec(), cost, uses: class.uses - 1 };
        self.budget.shared().lock().insert(key, kept);
    }

    /// Whether the value of a node is asked for more than once.
    pub(super) fn is_shared(&self, id: NodeId) -> bool {
        self.shared_class(id).is_some()
    }

    fn shared_class(&self, id: NodeId) -> Option<Class> {
        // What misses `@` is equal to nothing.
        self.classes.get(id.0 as usize).copied().filter(|class| class.uses > 1 && self.missed.is_none())
    }
}

/// The classes of all nodes; none where no two selectors are equal.
pub(super) fn classes(expr: &Expr, places: &Places) -> Vec<Class> {
    if expr.selectors().nth(1).is_none() {
        return Vec::new();
    }
    let first = first_equals(expr, places);
    let is_repeated = |(id, node): (NodeId, &crate::syntax::Node)| {
        matches!(node.kind, Kind::Vector(_)) && first[id.0 as usize] != id.0
    };
    if !expr.nodes().any(is_repeated) {
        return Vec::new();
    }
    let uses = uses(expr, &first);
    first.iter().map(|&first| Class { first, uses: uses[first as usize] }).collect()
}

/// For each node the first that equals it.
fn first_equals(expr: &Expr, places: &Places) -> Vec<u32> {
    let mut first: Vec<u32> = Vec::new();
    let mut seen: HashMap<u64, Vec<NodeId>> = HashMap::new();
    for (id, node) in expr.nodes() {
        if let Kind::Paren(inner) = node.kind {
            first.push(first[inner.0 as usize]);
            continue;
        }
        let alike = seen.entry(hash_of(&node.kind, &first)).or_default();
        let is_known =
            |known: &&NodeId| places.are_alike(**known, id) && is_equal(expr.kind(**known), &node.kind, &first);
        let known = alike.iter().find(is_known).copied();
        if known.is_none() {
            alike.push(id);
        }
        first.push(known.unwrap_or(id).0);
    }
    first
}

/// Of what tells most nodes apart.
fn hash_of(kind: &Kind, first: &[u32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    discriminant(kind).hash(&mut hasher);
    match kind {
        Kind::Number { value, .. } => value.to_bits().hash(&mut hasher),
        Kind::Text(text) => text.hash(&mut hasher),
        Kind::Vector(selector) => {
            selector.matchers.iter().for_each(|matcher| (matcher.name(), matcher.value()).hash(&mut hasher));
            selector.modifiers.offset.hash(&mut hasher);
        }
        Kind::Matrix { range, .. } | Kind::Subquery { range, .. } => range.hash(&mut hasher),
        Kind::Call { function, .. } => function.name.hash(&mut hasher),
        Kind::Aggregate { op, grouping, .. } => (op, &grouping.labels).hash(&mut hasher),
        Kind::Unary { negative, .. } => negative.hash(&mut hasher),
        Kind::Binary { op, .. } => op.hash(&mut hasher),
        Kind::Paren(_) => {}
    }
    children(kind).iter().for_each(|child| first[child.0 as usize].hash(&mut hasher));
    hasher.finish()
}

/// Whether two nodes say the same of children that are equal.
fn is_equal(a: &Kind, b: &Kind, first: &[u32]) -> bool {
    if let (Kind::Number { value: a, .. }, Kind::Number { value: b, .. }) = (a, b) {
        // Zeros differ by their sign, NaNs do not.
        return a.to_bits() == b.to_bits();
    }
    childless(a, first) == childless(b, first)
}

/// A node whose children are the first ones equal to them.
fn childless(kind: &Kind, first: &[u32]) -> Kind {
    let mut kind = kind.clone();
    let of = |id: &mut NodeId| *id = NodeId(first[id.0 as usize]);
    match &mut kind {
        Kind::Matrix { selector: expr, .. }
        | Kind::Subquery { expr, .. }
        | Kind::Unary { expr, .. }
        | Kind::Paren(expr) => of(expr),
        Kind::Call { args, .. } => args.iter_mut().for_each(of),
        Kind::Aggregate { expr, param, .. } => {
            of(expr);
            param.iter_mut().for_each(of);
        }
        Kind::Binary { lhs, rhs, .. } => {
            of(lhs);
            of(rhs);
        }
        Kind::Number { .. } | Kind::Text(_) | Kind::Vector(_) => {}
    }
    kind
}

/// How often each first node is asked for, where what is kept is computed once.
fn uses(expr: &Expr, first: &[u32]) -> Vec<u32> {
    let mut uses = vec![0_u32; first.len()];
    uses[first[expr.root().0 as usize] as usize] = 1;
    for place in (0..first.len()).rev().filter(|place| first[*place] as usize == *place) {
        let kind = expr.kind(NodeId(place as u32));
        let is_kept = uses[place] > 1 && expr.type_of(NodeId(place as u32)) == Type::Vector && is_gathered(kind);
        let times = if is_kept { 1 } else { uses[place] };
        for child in children(kind) {
            if reads_otherwise(kind) && matches!(expr.kind(expr.unwrapped(child)), Kind::Vector(_)) {
                continue;
            }
            let child = first[child.0 as usize] as usize;
            uses[child] = uses[child].saturating_add(times);
        }
    }
    uses
}

/// Nodes that are evaluated in one piece; operators are what their operands make of them.
fn is_gathered(kind: &Kind) -> bool {
    matches!(kind, Kind::Vector(_) | Kind::Call { .. } | Kind::Aggregate { .. })
}

/// Whether the node does not ask for the values of a selector directly inside, which are never known then.
fn reads_otherwise(kind: &Kind) -> bool {
    match kind {
        Kind::Aggregate { op, .. } => matches!(op, Aggregation::Count | Aggregation::Group),
        Kind::Call { function, .. } => matches!(function.name, "absent" | "timestamp"),
        Kind::Matrix { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The uses of nodes that are asked for more than once, in the order of the nodes.
    fn check(text: &str, expected: &[(&str, u32)]) {
        let expr = crate::parse(text).unwrap();
        let classes = classes(&expr, &Places::of(&expr));
        let repeated = expr.nodes().filter_map(|(id, node)| {
            let class = *classes.get(id.0 as usize)?;
            let gathered = is_gathered(&node.kind) && class.first == id.0 && class.uses > 1;
            let position = node.position.start as usize..node.position.end as usize;
            gathered.then(|| (text[position].trim(), class.uses))
        });
        assert_eq!(repeated.collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn equal_nodes() {
        check("a", &[]);
        check("a + b", &[]);
        check("a + a", &[("a", 2)]);
        check("a + (a) * (((a)))", &[("a", 3)]);
        check("a + a offset 1m", &[]);
        check("topk(scalar(a @ 10), a @ 10)", &[]);
        check("a @ 10 + a @ 20", &[]);
        check(r#"a{x="1"} + a{x=~"1"} + a{x!="1"}"#, &[]);
        check(r#"a{x="1"} + {__name__="a",x="1"}"#, &[]);
        check("sum(a) / sum(a)", &[("sum(a)", 2)]);
        check("sum by (x) (a) / sum by (y) (a)", &[("a", 2)]);
        check("clamp(a, 0, 1) + clamp(a, -0, 1) + clamp(a, 0, 1)", &[("a", 2), ("clamp(a, 0, 1)", 2)]);
        check("count(a) / count(a)", &[("count(a)", 2)]);
        check("a / count(a)", &[]);
        check("rate(a[5m]) + rate(a[5m]) + increase(a[5m])", &[("rate(a[5m])", 2)]);
        check("(a - b) / (a - b)", &[("a", 2), ("b", 2)]);
        check("max_over_time(sum(a)[1h:1m]) - min_over_time(sum(a)[1h:1m])", &[("sum(a)", 2)]);
    }

    #[test]
    fn many_nodes_take_little() {
        let chain = (0..20_000).map(|i| format!("a{{x=\"{i}\"}}")).collect::<Vec<_>>().join("+");
        let of = |text: &str| crate::parse(text).map(|expr| classes(&expr, &Places::of(&expr))).unwrap();
        assert!(of(&chain).is_empty());
        let chain = vec!["a"; 20_000].join("+");
        assert_eq!(of(&chain)[0].uses, 20_000);
    }
}
