//! Text to tree and back.

use model::Matcher;
use promql::{AtTime, Expr, Kind, Modifiers, ParseError, Position, VectorSelector, parse};

/// Times beyond lose digits when they are printed as seconds.
const EXACT_MILLIS_MAX: u64 = 1 << 53;

/// An offset of NaN seconds in milliseconds, which is printed with a sign too many, as upstream prints it.
const OFFSET_OF_NAN: i64 = i64::MIN / 1_000_000;

/// Reads the bytes as an expression: positions lie inside the text, and what is printed is read again as the same tree.
pub fn syntax(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let expr = match parse(&text) {
        Ok(expr) => expr,
        Err(error) => return check_error(&text, &error),
    };
    for (_, node) in expr.nodes() {
        check_position(&text, node.position);
    }
    for printed in [expr.to_string(), expr.pretty()] {
        let again = parse(&printed).unwrap_or_else(|error| panic!("{text:?} is printed as {printed:?}: {error}"));
        assert!(is_same(&expr, &again), "{text:?} is printed as {printed:?}, which is another expression");
    }
}

fn check_error(text: &str, error: &ParseError) {
    check_position(text, error.position);
    assert!(!error.message.is_empty());
    let lines = text.split('\n').count();
    assert!(error.line <= lines && error.column <= text.len() + 1, "{text:?}: {error}");
}

fn check_position(text: &str, Position { start, end }: Position) {
    assert!(start <= end && end as usize <= text.len(), "{start}..{end} of {text:?}");
}

fn is_same(a: &Expr, b: &Expr) -> bool {
    let (a, b): (Vec<_>, Vec<_>) = (a.nodes().collect(), b.nodes().collect());
    a.len() == b.len() && a.iter().zip(&b).all(|((_, a), (_, b))| is_same_node(&a.kind, &b.kind))
}

fn is_same_node(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::Number { value: x, duration: p }, Kind::Number { value: y, duration: q }) => {
            p == q && (x == y || x.is_nan() && y.is_nan())
        }
        (Kind::Vector(a), Kind::Vector(b)) => is_same_selector(a, b),
        (Kind::Subquery { modifiers: a, .. }, Kind::Subquery { modifiers: b, .. }) => is_same_time(a, b),
        _ => a == b,
    }
}

/// Conditions are printed in an order of their own.
fn is_same_selector(a: &VectorSelector, b: &VectorSelector) -> bool {
    let sorted = |selector: &VectorSelector| {
        let mut matchers: Vec<String> = selector.matchers.iter().map(Matcher::to_string).collect();
        matchers.sort();
        matchers
    };
    a.name == b.name && sorted(a) == sorted(b) && is_same_time(&a.modifiers, &b.modifiers)
}

fn is_same_time(a: &Modifiers, b: &Modifiers) -> bool {
    let is_exact = |at: i64| at.unsigned_abs() <= EXACT_MILLIS_MAX;
    (a.offset == b.offset || a.offset == OFFSET_OF_NAN && b.offset == -OFFSET_OF_NAN)
        && match (a.at, b.at) {
            (Some(AtTime::Fixed(x)), Some(AtTime::Fixed(y))) => x == y || !is_exact(x) && !is_exact(y),
            (x, y) => x == y,
        }
}
