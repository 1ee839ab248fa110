//! The engine never panics, whatever is asked at whatever time.

use std::time::Duration;

use model::{Labels, Sample, stale_nan};
use promql::script::MemoryStore;
use promql::{Engine, EngineOptions, FUNCTIONS, QueryLimits, Range, Type};
use proptest::prelude::*;

fn store() -> MemoryStore {
    let mut store = MemoryStore::default();
    let values = [1.0, f64::NAN, f64::INFINITY, -1.5, stale_nan(), 1e308, 0.0, -0.0];
    for le in ["0.1", "1", "+Inf", "x"] {
        let labels = Labels::from_pairs([("__name__", "m"), ("le", le), ("job", "a")]);
        store.append(
            &labels,
            values.iter().enumerate().map(|(i, v)| Sample { timestamp: i as i64 * 15_000, value: *v }),
        );
    }
    let far = Labels::from_pairs([("__name__", "far"), ("job", "a")]);
    store.append(&far, [i64::MIN, i64::MAX].map(|timestamp| Sample { timestamp, value: 1.0 }));
    store
}

fn selector() -> impl Strategy<Value = String> {
    let modifiers = ["", " offset 1m", " offset -1000d", " @ 60", " @ end()", " @ -9e15", " @ 9e15 offset -200y"];
    let name = prop::sample::select(vec!["m", "far", "nothing", "m{le!=\"x\"}", "{job=\"a\"}"]);
    (name, prop::sample::select(modifiers.to_vec())).prop_map(|(name, modifiers)| format!("{name}{modifiers}"))
}

fn number() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["0", "-1", "0.5", "NaN", "Inf", "1e300", "5m", "time()"]).prop_map(str::to_owned)
}

/// A call with arguments of the right types.
fn call(vector: &str, number: &str, function: usize) -> String {
    let function = &FUNCTIONS[function % FUNCTIONS.len()];
    let args = function.args.iter().enumerate().map(|(i, of)| match of {
        Type::Scalar => number.to_owned(),
        Type::String => format!("\"text{i}\""),
        Type::Vector if function.name == "info" && i == 1 => "{version=\"1\"}".to_owned(),
        Type::Vector => format!("({vector})"),
        Type::Matrix => format!("({vector})[1m:13s]"),
    });
    let call = format!("{}({})", function.name, args.collect::<Vec<_>>().join(", "));
    if function.returns == Type::Scalar { format!("vector({call})") } else { call }
}

fn vector() -> impl Strategy<Value = String> {
    selector().prop_recursive(4, 16, 2, |inner| {
        let op = prop::sample::select(vec![
            "+",
            "/",
            "%",
            "^",
            "atan2",
            "==",
            "> bool",
            "and",
            "or on ()",
            "unless",
            "* on (job) group_left (le)",
        ]);
        let aggregation = prop::sample::select(vec![
            "sum by (job)",
            "avg",
            "topk(3, ",
            "quantile(0.5, ",
            "count_values(\"v\", ",
            "stddev",
            "limit_ratio(0.5, ",
        ]);
        prop_oneof![
            (inner.clone(), number(), 0..FUNCTIONS.len()).prop_map(|(v, n, f)| call(&v, &n, f)),
            (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            (inner.clone(), aggregation).prop_map(|(v, op)| {
                let open = if op.ends_with(' ') { "" } else { "(" };
                format!("{op}{open}{v})")
            }),
            (inner, number()).prop_map(|(v, n)| format!("-({v}) * {n}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn never_panics(query in vector(), at in prop_oneof![Just(60_000i64), any::<i64>()], delayed in any::<bool>()) {
        let options = EngineOptions {
            experimental_functions: true,
            delayed_name_removal: delayed,
            samples_max: 100_000,
            ..EngineOptions::default()
        };
        let engine = Engine::new(options);
        let limits = QueryLimits::default();
        let _ = engine.instant(&store(), &query, at, &limits);
        let range = Range { start: at, end: at.saturating_add(600_000), step: Duration::from_millis(17_000) };
        let _ = engine.range(&store(), &query, range, &limits);
    }
}

#[test]
fn the_generator_makes_expressions() {
    for (i, function) in FUNCTIONS.iter().enumerate() {
        promql::parse(&call("m", "1", i)).map_err(|e| format!("{}: {e}", function.name)).unwrap();
    }
}
