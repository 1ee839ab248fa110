//! Every selector of the official dashboards finds data on the pages.

#![allow(clippy::unwrap_used, clippy::panic)] // A test that cannot go on has failed.

use std::path::{Path, PathBuf};

use demo::{Endpoint, World};
use model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher};
use serde_json::Value;

const START: i64 = 1_795_197_600_000;

/// Metrics that the dashboards name and a node like this one does not have: a name that never existed, what is switched
/// off by default, and the key-value store of a cluster that keeps its state in Kubernetes.
const DEAD: [&str; 5] = [
    "kvstore_operations_total",
    "cilium_bpf_syscall_duration_seconds_count",
    "cilium_bpf_syscall_duration_seconds_sum",
    "cilium_kvstore_operations_duration_seconds",
    "cilium_kvstore_events_queue_seconds_count",
];

#[test]
fn every_selector_of_the_dashboards_finds_series() {
    let Some(folder) = shared("fixtures/grafana") else { return };
    let series = series();
    for file in ["cilium-dashboard.json", "hubble-dashboard.json", "hubble-network-overview-namespace.json"] {
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        let mut expressions = Vec::new();
        collect(&dashboard, "expr", &mut expressions);
        assert!(expressions.len() > 5, "{file}: {}", expressions.len());
        for expression in expressions {
            for selector in selectors(expression) {
                check(&series, &selector, expression);
            }
        }
    }
}

#[test]
fn every_selector_of_the_rules_finds_series() {
    let series = series();
    let shared = shared("fixtures/rules").map(|folder| folder.join("cilium-lb-alerts.yml"));
    let rules = shared.into_iter().map(|path| std::fs::read_to_string(path).unwrap()).chain([demo::RULES.to_owned()]);
    for file in rules {
        for expression in file.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
            let found = selectors(expression);
            assert!(!found.is_empty(), "{expression}");
            found.iter().for_each(|selector| check(&series, selector, expression));
        }
    }
}

fn check(series: &[Labels], selector: &Selector, expression: &str) {
    let dead = DEAD.iter().any(|dead| selector.metric.starts_with(dead));
    let found = series.iter().any(|labels| selector.matchers.iter().all(|m| m.matches_labels(labels)));
    assert_eq!(found, !dead, "{} in {expression}", selector.metric);
}

/// All series of the node with the labels that its targets have.
fn series() -> Vec<Labels> {
    let world = World::new(7, START);
    let mut series = Vec::new();
    for endpoint in Endpoint::ALL {
        for family in world.page(endpoint, START + 60_000).unwrap().iter() {
            for point in &family.points {
                let mut labels = LabelsBuilder::default();
                labels.set(METRIC_NAME, format!("{}{}", family.name, point.suffix));
                labels.set("pod", "cilium-edge").set("node", "edge").set("job", endpoint.job());
                if endpoint == Endpoint::Agent {
                    labels.set("k8s_app", "cilium");
                }
                for (name, value) in &point.labels {
                    labels.set(name, value);
                }
                series.push(labels.build());
            }
        }
    }
    series
}

/// A folder beside the workspace; says so where it is missing.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// The texts under a key, anywhere in a document.
fn collect<'a>(value: &'a Value, key: &str, texts: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, texts)),
        Value::Object(fields) => {
            texts.extend(fields.get(key).and_then(Value::as_str));
            fields.values().for_each(|item| collect(item, key, texts));
        }
        _ => {}
    }
}

/// A metric with its matchers; those with a dashboard variable match anything and are left out.
#[derive(Debug)]
struct Selector {
    metric: String,
    matchers: Vec<Matcher>,
}

/// Finds selectors by the prefixes of the metrics' names, which is enough for dashboards of these three kinds.
fn selectors(expression: &str) -> Vec<Selector> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(begin) = rest.find(is_name) {
        let name: String = rest[begin..].chars().take_while(|&c| is_name(c)).collect();
        rest = &rest[begin + name.len()..];
        if rest.starts_with('"') || !["cilium_", "hubble_", "kvstore_"].iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let mut matchers = vec![Matcher::equal(METRIC_NAME, &name)];
        if let Some((inside, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            matchers.extend(inside.split("\",").filter(|one| !one.contains('$')).filter_map(matcher));
            rest = after;
        }
        found.push(Selector { metric: name, matchers });
    }
    found
}

fn matcher(text: &str) -> Option<Matcher> {
    let (head, value) = text.split_once('"')?;
    let name = head.trim().trim_end_matches(['=', '!', '~']);
    let op = match &head.trim()[name.len()..] {
        "=" => MatchOp::Equal,
        "!=" => MatchOp::NotEqual,
        "=~" => MatchOp::Match,
        "!~" => MatchOp::NotMatch,
        other => panic!("{other} in {text}"),
    };
    Some(Matcher::new(op, name, value.trim_end_matches('"')).unwrap())
}
