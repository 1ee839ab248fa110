//! Properties of the parser: it never panics, reads back what it prints, and takes chains of any length.

#![expect(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use std::thread;

use promql::script::MemoryStore;
use promql::{Engine, EngineOptions, QueryLimits, Value, parse};
use proptest::prelude::*;

fn reads_back(text: &str) {
    let Ok(expr) = parse(text) else {
        return;
    };
    let printed = expr.to_string();
    let again = parse(&printed).unwrap_or_else(|e| unreachable!("{text:?} prints as {printed:?}: {e}"));
    assert!(expr == again, "{text:?} prints as {printed:?}, which prints as {again}");
    assert_eq!(again.to_string(), printed);
}

/// Pieces that make expressions, right ones and wrong ones.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "foo",
        "up",
        "{a=\"b\"}",
        "{\"x.y\"!~\"z|\"}",
        "1",
        "0x1f",
        "1e3",
        "5m",
        "\"s\\xff\"",
        "`r`",
        "NaN",
        "Inf",
        "+",
        "-",
        "*",
        "/",
        "^",
        "%",
        "atan2",
        "==",
        "> bool",
        "and",
        "or",
        "unless",
        "on (a)",
        "ignoring (b)",
        "group_left",
        "group_right (c)",
        "(",
        ")",
        "(",
        ")",
        "[5m]",
        "[5m:1m]",
        "[1h:]",
        "offset 5m",
        "offset -1m",
        "@ 10",
        "@ start()",
        "sum",
        "sum by (a)",
        "topk without (b)",
        "rate(",
        "abs(",
        "label_replace(",
        ",",
        "#c\n",
        "time()",
        "[",
        "]",
        "{",
        "}",
        "=",
        "=~",
        "!",
        "count_values(\"v\",",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn never_panics_on_any_text(text in ".{0,60}") {
        reads_back(&text);
    }

    #[test]
    fn never_panics_on_pieces(pieces in prop::collection::vec(piece(), 0..12)) {
        reads_back(&pieces.join(" "));
    }

    #[test]
    fn prints_what_it_reads(operands in prop::collection::vec(
        prop::sample::select(vec!["a", "-b", "sum by (x) (c)", "(d)", "e offset 5m", "rate(f[1m])", "2", "-3", "+g"]), 1..8),
        operators in prop::collection::vec(
        prop::sample::select(vec!["+", "-", "*", "^", "%", "/", "atan2", "> bool", "!=  on (a)", "* on () group_left (x)"]), 8)) {
        let mut text = operands[0].to_owned();
        for (operator, operand) in operators.iter().zip(&operands[1..]) {
            text = format!("{text} {operator} {operand}");
        }
        reads_back(&text);
    }
}

/// Runs on a stack as small as any that a query gets.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

fn evaluate(text: &str) -> Value {
    let engine = Engine::new(EngineOptions::default());
    engine.instant(&MemoryStore::default(), text, 0, &QueryLimits::default()).unwrap().value
}

#[test]
fn long_chains_take_no_stack() {
    on_a_small_stack(|| {
        // Building and dropping the longest chain is the test; the others are shorter to keep a debug build quick.
        for (operator, operand, operands) in
            [("+", "1", 100_000), ("^", "1", 20_000), ("or", "foo", 20_000), ("- -", "1", 20_000)]
        {
            let text = vec![operand; operands].join(&format!(" {operator} "));
            let expr = parse(&text).unwrap();
            assert_eq!(parse(&expr.to_string()).unwrap(), expr);
            evaluate(&text);
        }
        evaluate(&format!("{}foo", "-".repeat(20_000)));
        evaluate(&format!("{}1", "- ".repeat(20_000)));
    });
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    on_a_small_stack(|| {
        for (open, close) in [
            ("(", ")"),
            ("abs(", ")"),
            ("sum(", ")"),
            ("-(", ")"),
            ("sum_over_time((", ")[5m:1m])"),
            ("1 + vector(scalar(", "))"),
        ] {
            let nested = |levels: usize| format!("{}vector(1){}", open.repeat(levels), close.repeat(levels));
            let levels = (1..=200).rev().find(|levels| parse(&nested(*levels)).is_ok()).unwrap();
            assert!(levels > 60, "{open}: {levels}");
            evaluate(&nested(levels));
            let error = parse(&nested(100_000)).unwrap_err().to_string();
            assert!(error.contains("nested more than"), "{error}");
        }
    });
}
