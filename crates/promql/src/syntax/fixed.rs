//! Expressions whose selectors all look at one time.

use model::Timestamp;

use super::tree::{AtTime, Expr, Kind, Modifiers, Node, NodeId};

impl Expr {
    /// The same expression with `@ at` at every selector and subquery that has none; what lies inside a subquery stays, as
    /// that is fixed by the subquery.
    pub(crate) fn fixed_at(&self, at: Timestamp) -> Self {
        let mut nodes: Vec<Node> = self.nodes().map(|(_, node)| node.clone()).collect();
        let mut inside = vec![false; nodes.len()];
        // Parents stand behind their children.
        for i in (0..nodes.len()).rev() {
            let is_subquery = matches!(nodes[i].kind, Kind::Subquery { .. });
            for child in children(&nodes[i].kind) {
                inside[child.0 as usize] = inside[i] || is_subquery;
            }
            if let Some(modifiers) = modifiers(&mut nodes[i].kind).filter(|_| !inside[i]) {
                modifiers.at = modifiers.at.or(Some(AtTime::Fixed(at)));
            }
        }
        let types = (0..nodes.len()).map(|i| self.type_of(NodeId(i as u32))).collect();
        Self::new(nodes, types, self.text())
    }
}

/// What a node is made of, in the order of evaluation.
pub(crate) fn children(kind: &Kind) -> Vec<NodeId> {
    match kind {
        Kind::Number { .. } | Kind::Text(_) | Kind::Vector(_) => Vec::new(),
        Kind::Matrix { selector: inner, .. }
        | Kind::Subquery { expr: inner, .. }
        | Kind::Unary { expr: inner, .. }
        | Kind::Paren(inner) => vec![*inner],
        Kind::Call { args, .. } => args.clone(),
        Kind::Aggregate { expr, param, .. } => param.iter().chain([expr]).copied().collect(),
        Kind::Binary { lhs, rhs, .. } => vec![*lhs, *rhs],
    }
}

fn modifiers(kind: &mut Kind) -> Option<&mut Modifiers> {
    match kind {
        Kind::Vector(selector) => Some(&mut selector.modifiers),
        Kind::Subquery { modifiers, .. } => Some(modifiers),
        _ => None,
    }
}
