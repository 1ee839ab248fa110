//! What a query took, node by node, and that equal nodes are computed once.

#![expect(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use std::time::Duration;

use model::{Labels, Sample};
use promql::script::MemoryStore;
use promql::{Engine, EngineOptions, Explained, Held, PlanNode, QueryLimits, Range, Value};

const MINUTE: Duration = Duration::from_secs(60);
const SERIES: u64 = 100;
/// Of each series in the range.
const SAMPLES: u64 = 100;

fn store() -> MemoryStore {
    let mut store = MemoryStore::default();
    for name in ["a", "b"] {
        for i in 0..SERIES {
            let labels =
                Labels::from_pairs([("__name__", name.to_owned()), ("i", i.to_string()), ("j", (i % 2).to_string())]);
            store.append(&labels, (0..SAMPLES as i64).map(|t| Sample { timestamp: t * 60_000, value: (t + 1) as f64 }));
        }
    }
    store
}

fn explain_with(options: EngineOptions, query: &str) -> Explained {
    let range = Range { start: 0, end: 99 * 60_000, step: MINUTE };
    let engine = Engine::new(options);
    let mut explained = engine.explain_range(&store(), query, range, &QueryLimits::default()).unwrap();
    let plain = engine.range(&store(), query, range, &QueryLimits::default()).unwrap();
    assert!(explained.answer.value == plain.value, "{query}");
    assert_eq!((&explained.answer.warnings, &explained.answer.infos), (&plain.warnings, &plain.infos), "{query}");
    assert_eq!(explained.answer.stats.samples_total, plain.stats.samples_total, "{query}");
    let value = matches!(&plain.value, Value::Matrix(series) if !series.is_empty());
    assert_eq!(engine.held_bytes() > 0, value, "{query}: answers count until they are dropped");
    drop(plain);
    explained.answer.held = Held::default();
    assert_eq!(engine.held_bytes(), 0, "{query}: everything is given back");
    explained
}

fn explain(query: &str) -> Explained {
    explain_with(EngineOptions::default(), query)
}

fn row(node: &PlanNode) -> String {
    let PlanNode { title, series, points, own_samples, samples, evaluations, recalled, .. } = node;
    let depth = "  ".repeat(node.depth);
    format!(
        "{depth}{title}: {series} series, {points} points, {own_samples}/{samples} samples, {evaluations} + {recalled}"
    )
}

#[test]
fn plans() {
    let check = |query: &str, expected: &[&str]| {
        let plan = explain(query).plan;
        assert_eq!(plan.nodes.iter().map(row).collect::<Vec<_>>(), expected, "{query}");
        let total = plan.nodes[0].time;
        assert_eq!(total, plan.nodes.iter().map(|node| node.own_time).sum(), "{query}");
        assert!(total <= plan.took, "{query}");
    };
    check("a", &["a: 100 series, 10000 points, 10000/10000 samples, 1 + 0"]);
    check(
        "sum by (j) ((a)) / 2",
        &[
            "/: 2 series, 200 points, 0/10000 samples, 1 + 0",
            "  sum by (j): 2 series, 200 points, 0/10000 samples, 1 + 0",
            "    a: 100 series, 10000 points, 10000/10000 samples, 1 + 0",
            "  2: 0 series, 1 points, 0/0 samples, 1 + 0",
        ],
    );
    check(
        "topk(1, max_over_time(a[5m]))",
        &[
            "topk: 1 series, 100 points, 0/10000 samples, 1 + 0",
            "  1: 0 series, 1 points, 0/0 samples, 1 + 0",
            "  max_over_time: 100 series, 10000 points, 0/10000 samples, 1 + 0",
            "    a[5m]: 100 series, 0 points, 10000/10000 samples, 1 + 0",
        ],
    );
    check(
        "sum(a) + sum(a)",
        &[
            "+: 1 series, 100 points, 0/10000 samples, 1 + 0",
            "  sum: 1 series, 100 points, 0/10000 samples, 1 + 0",
            "    a: 100 series, 10000 points, 10000/10000 samples, 1 + 0",
            "  sum: 1 series, 100 points, 0/0 samples, 0 + 1",
            "    a: 0 series, 0 points, 0/0 samples, 0 + 0",
        ],
    );
    check(
        "-max_over_time(sum(b)[10m:5m])",
        &[
            "-: 1 series, 100 points, 0/9600 samples, 1 + 0",
            "  max_over_time: 1 series, 100 points, 0/9600 samples, 1 + 0",
            "    [10m:5m]: 1 series, 0 points, 0/9600 samples, 1 + 0",
            "      sum: 1 series, 20 points, 0/9600 samples, 1 + 0",
            "        b: 100 series, 2000 points, 9600/9600 samples, 1 + 0",
        ],
    );
}

#[test]
fn what_was_pushed() {
    let check = |query: &str, expected: &[&str]| {
        let plan = explain(query).plan;
        let pushed = plan.nodes.iter().flat_map(|node| &node.selections).map(|selected| {
            let matchers: Vec<String> = selected.matchers.iter().map(ToString::to_string).collect();
            let hints = &selected.hints;
            format!(
                "{} {}..{} {}{}{}: {}",
                matchers.join(","),
                selected.min_time,
                selected.max_time,
                hints.function,
                if hints.presence { " presence" } else { "" },
                if hints.unnamed { " unnamed" } else { "" },
                selected.series
            )
        });
        assert_eq!(pushed.collect::<Vec<_>>(), expected, "{query}");
    };
    check("a", &["__name__=\"a\" -299999..5940000 : 100"]);
    check("a @ 60", &["__name__=\"a\" -239999..60000 : 100"]);
    check("count(a)", &["__name__=\"a\" -299999..5940000  presence unnamed: 100"]);
    check(
        r#"rate(a{i="1"}[10m]) / rate(a{i="2"}[10m] offset 1m)"#,
        &["i=\"1\",__name__=\"a\" -599999..5940000 rate: 1", "i=\"2\",__name__=\"a\" -659999..5880000 rate: 1"],
    );
}

#[test]
fn samples_of_one_evaluation() {
    let all = SERIES * SAMPLES;
    let check = |query: &str, evaluations: u64| {
        assert_eq!(explain(query).answer.stats.samples_total, evaluations * all, "{query}");
    };
    check("a + a", 1);
    check("a + (a) * a", 1);
    check("a + b", 2);
    check("(a - b) / (a + b)", 2);
    check("sum(a) / sum(a)", 1);
    check("abs(sum(a)) + sum(a) + abs(sum(a))", 1);
    check("rate(a[5m]) / rate(a[5m])", 2);
    check("max_over_time(a[5m]) / max_over_time(a[5m])", 1);
    check("max_over_time(a[5m]) / max_over_time(a[6m])", 2);
    check("a / a offset 0m", 1);
    // Those of the lookback.
    assert_eq!(explain("a @ 5940 + a @ 5940").answer.stats.samples_total, 5 * SERIES);
}

#[test]
fn nodes_with_notes_are_computed_each() {
    let infos = explain("rate(a[5m]) + rate(a[5m])").answer.infos;
    assert_eq!(infos.len(), 1);
    assert!(infos[0].ends_with("\"a\" (1:20)"), "{infos:?}: the place of the last");
}

#[test]
fn other_grids_are_not_mixed_up() {
    let all = SERIES * SAMPLES;
    let check = |query: &str, evaluations: u64| {
        let answer = explain(query).answer;
        let reads = answer.stats.samples_total;
        assert_eq!(reads.div_ceil(all), evaluations, "{query}: {reads} samples");
    };
    check("sum(a) + max_over_time(sum(a)[10m:5m])", 2);
    check("max_over_time(sum(a)[10m:5m]) - min_over_time(sum(a)[10m:5m])", 1);
    check("max_over_time(sum(a)[10m:5m]) - max_over_time(sum(a)[10m:2m])", 2);
}

#[test]
fn values_of_equal_nodes() {
    let range = Range { start: 0, end: 99 * 60_000, step: MINUTE };
    let engine = Engine::new(EngineOptions::default());
    // The right side of each is the same without an equal node.
    for (repeated, single) in [
        ("a + a", "a * 2"),
        ("sum(a) - sum(a)", "sum(a) * 0"),
        ("max_over_time(sum(a)[10m:5m]) - max_over_time(sum(a)[10m:5m])", "sum(a) * 0"),
        ("sum(a) + max_over_time(sum(a)[10m:1m]) - sum(a)", "max_over_time(sum(a)[10m:1m])"),
        ("a @ 600 + a @ 600 - a @ 1200", "a @ 60 - 1"),
    ] {
        let value = |query: &str| engine.range(&store(), query, range, &QueryLimits::default()).unwrap().value;
        assert!(value(repeated) == value(single), "{repeated}");
    }
}

#[test]
fn what_is_shared_goes_first() {
    let samples_max = 25_000;
    let tight = EngineOptions { samples_max, ..EngineOptions::default() };
    // The copy of `a` has no place beside the operands.
    let answer = explain_with(tight.clone(), "(a - on (i) b) + on (i) a").answer;
    let roomy = explain("(a - on (i) b) + on (i) a").answer;
    assert!(answer.value == roomy.value);
    assert!(answer.stats.samples_total > roomy.stats.samples_total, "it was read again");
}

#[test]
fn the_store_is_told_what_comes_again() {
    let (engine, store) = (Engine::new(EngineOptions::default()), store());
    let check = |query: &str, expected: bool| {
        let explained = engine.explain_instant(&store, query, 60_000, &QueryLimits::default()).unwrap();
        let mut pushed = explained.plan.nodes.iter().flat_map(|node| &node.selections);
        assert!(pushed.all(|selected| selected.hints.again == expected), "{query}");
    };
    for round in [false, true, true] {
        check("sum(rate(a[5m]))", round);
        check("sum(a) / sum(b)", round);
        // Counting reads less than what would be kept.
        check("count(a)", false);
    }
}
