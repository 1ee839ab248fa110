//! An expression against its threshold: `x > 5` is `x`, and a line at 5.

use model::is_valid_label_name;
use promql::{BinaryOp, Expr, Kind, NodeId};

use crate::format::literal;
use crate::params::encode;

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

    /// The expressions of the chart, and what asks for its data.
    pub(super) fn expressions(&self) -> (Vec<String>, String) {
        let texts = [&self.value, &self.threshold].into_iter().filter(|text| !text.is_empty());
        let texts: Vec<String> = texts.cloned().collect();
        let query = encode(texts.iter().map(|expr| ("expr", expr.as_str())));
        (texts, query)
    }

    /// The line in the chart: `> 0.9`.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.op, self.threshold).trim().to_owned()
    }

    /// The same of the series alone that have these labels.
    pub(super) fn only(self, labels: &[(String, String)]) -> Self {
        let labels: Vec<&(String, String)> = labels.iter().filter(|(name, _)| is_valid_label_name(name)).collect();
        if labels.is_empty() {
            return self;
        }
        let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
        let one = labels.iter().fold("vector(1)".to_owned(), |inner, (name, value)| {
            // A dollar would stand for a group of the pattern.
            let value = literal(&value.replace('$', "$$"));
            format!("label_replace({inner}, \"{name}\", {value}, \"\", \"\")")
        });
        let value = format!("({}) and on ({}) {one}", self.value, names.join(", "));
        Self { value, ..self }
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

    #[test]
    fn one_series_is_charted() {
        let check = |expr: &str, labels: &[(&str, &str)], expected: &str| {
            let labels: Vec<(String, String)> =
                labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let (expressions, _) = Split::new(expr, false).only(&labels).expressions();
            assert_eq!(expressions[0], expected);
            assert!(promql::parse(&expressions[0]).is_ok(), "{expected}");
        };
        check("vector(7) > 5", &[], "vector(7)");
        check("x > 5", &[("a", "b$1")], r#"(x) and on (a) label_replace(vector(1), "a", "b$$1", "", "")"#);
        check(
            "x or y > 5",
            &[("a", "q\""), ("b", "2")],
            r#"(x or y > 5) and on (a, b) label_replace(label_replace(vector(1), "a", "q\"", "", ""), "b", "2", "", "")"#,
        );
    }
}
