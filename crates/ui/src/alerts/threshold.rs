//! An expression against its threshold: `x > 5` is `x`, and a line at 5.

use promql::{BinaryOp, Expr, Kind, NodeId};

/// What is charted of an alert's expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// What is compared.
    pub(super) value: String,
    /// `>`, `<`, ...; empty where nothing is compared with a number.
    pub(super) op: &'static str,
    /// The number as it is written.
    pub(super) threshold: String,
}

impl Split {
    /// Looks for the comparison with a number, on the left of `and` and `unless` where it does not stand alone. `whole` are
    /// comparisons only that are the whole expression, so that it can be put together again.
    pub(super) fn new(expr: &str, whole: bool) -> Self {
        let found = promql::parse(expr).ok().and_then(|parsed| comparison(&parsed, parsed.root(), whole));
        found.unwrap_or_else(|| Self { value: expr.to_owned(), op: "", threshold: String::new() })
    }

    /// The expressions of the chart.
    pub(super) fn expressions(&self) -> Vec<&str> {
        [self.value.as_str(), self.threshold.as_str()].into_iter().filter(|text| !text.is_empty()).collect()
    }
}

fn comparison(expr: &Expr, at: NodeId, whole: bool) -> Option<Split> {
    match &expr.node(at).kind {
        Kind::Paren(inner) if !whole => comparison(expr, *inner, whole),
        Kind::Binary { op: BinaryOp::And | BinaryOp::Unless, lhs, .. } if !whole => comparison(expr, *lhs, whole),
        Kind::Binary { op, lhs, rhs, returns_bool: false, .. } if op.is_comparison() && is_number(expr, *rhs) => {
            Some(Split { value: text(expr, *lhs), op: op.symbol(), threshold: text(expr, *rhs) })
        }
        _ => None,
    }
}

fn is_number(expr: &Expr, at: NodeId) -> bool {
    match &expr.node(at).kind {
        Kind::Number { .. } => true,
        Kind::Unary { expr: inner, .. } | Kind::Paren(inner) => is_number(expr, *inner),
        _ => false,
    }
}

fn text(expr: &Expr, at: NodeId) -> String {
    let position = expr.node(at).position;
    expr.text().get(position.start as usize..position.end as usize).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        let check = |expr: &str, whole: bool, expected: (&str, &str, &str)| {
            let split = Split::new(expr, whole);
            assert_eq!((split.value.as_str(), split.op, split.threshold.as_str()), expected, "{expr}");
        };
        check("up == 0", true, ("up", "==", "0"));
        check("sum by (a) (rate(x[5m])) > 1e3", true, ("sum by (a) (rate(x[5m]))", ">", "1e3"));
        check("x < -5", true, ("x", "<", "-5"));
        check("x / y > 0.9 and z > 1", false, ("x / y", ">", "0.9"));
        check("x / y > 0.9 and z > 1", true, ("x / y > 0.9 and z > 1", "", ""));
        check("(x > 1) unless y", false, ("x", ">", "1"));
        check("x > y", false, ("x > y", "", ""));
        check("x > bool 1", false, ("x > bool 1", "", ""));
        check("absent(up)", false, ("absent(up)", "", ""));
        check("nonsense(", true, ("nonsense(", "", ""));
    }
}
