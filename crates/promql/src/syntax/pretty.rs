//! Expressions over several lines, as Prometheus' `format_query` prints those that are long.

use std::fmt::Write;

use super::tree::{Expr, Kind, NodeId};

/// What is longer than so many bytes is split.
const LINE_BYTES_MAX: usize = 100;

/// Larger expressions stay on one line: every level is printed as a whole first, to see whether it fits, and indented.
const NODES_MAX: usize = 1_000;

impl Expr {
    /// The expression as `format_query` of Prometheus prints it: on one line if it is short.
    pub fn pretty(&self) -> String {
        if self.nodes().count() > NODES_MAX {
            return self.to_string();
        }
        self.pretty_node(self.root(), 0)
    }

    /// Recurses as deep as operators, parentheses and calls nest, which [`NODES_MAX`] bounds.
    fn pretty_node(&self, id: NodeId, level: usize) -> String {
        let line = self.one_line(id);
        let indent = "  ".repeat(level);
        let fits = line.len() <= LINE_BYTES_MAX;
        match self.kind(id) {
            Kind::Subquery { .. } if fits => line,
            Kind::Subquery { expr, .. } => {
                let inner = self.one_line(*expr);
                format!("{}{}", self.pretty_node(*expr, level), &line[inner.len()..])
            }
            Kind::Unary { negative, expr } => {
                let inner = self.pretty_node(*expr, level);
                format!("{indent}{}{}", if *negative { '-' } else { '+' }, inner.trim())
            }
            _ if fits => indent + &line,
            Kind::Paren(inner) => format!("{indent}(\n{}\n{indent})", self.pretty_node(*inner, level + 1)),
            Kind::Binary { lhs, rhs, .. } => {
                let (lhs, rhs) = (self.pretty_node(*lhs, level + 1), self.pretty_node(*rhs, level + 1));
                format!("{lhs}\n{indent}{}\n{rhs}", self.operator(id).trim())
            }
            Kind::Call { function, args } => self.split(format!("{indent}{}(", function.name), args, level),
            Kind::Aggregate { op, param, expr, grouping } => {
                let args: Vec<NodeId> = param.iter().chain([expr]).copied().collect();
                self.split(format!("{indent}{op}{}(", super::display::Grouped(grouping)), &args, level)
            }
            _ => indent + &line,
        }
    }

    /// Arguments on lines of their own.
    fn split(&self, mut text: String, args: &[NodeId], level: usize) -> String {
        let args: Vec<String> = args.iter().map(|arg| self.pretty_node(*arg, level + 1)).collect();
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}\n{})", args.join(",\n"), "  ".repeat(level));
        text
    }
}
