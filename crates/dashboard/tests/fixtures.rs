//! The four dashboards of `../shared/fixtures/grafana`, when they are there: how much of each is read, and that the
//! report names what it is known to name.

use std::path::Path;

use dashboard::{
    Choice, Dashboard, Imported, Scope, Screen, Selected, Selection, Syntax, TimeRange, VariableKind, VariableQuery,
    Visual, ask, import, order, query_choices, select,
};

/// What a fixture holds: panels, queries, variables, losses.
fn check(name: &str, expected: [usize; 4], losses: &[&str]) {
    let Some(imported) = read(name) else { return };
    let dashboard = &imported.dashboard;
    let queries = dashboard.panels().map(|panel| panel.targets.len()).sum();
    let found = [dashboard.panels().count(), queries, dashboard.variables.len(), imported.report.count()];
    println!("{name}: {found:?}\n{}", imported.report);
    assert_eq!(found, expected, "{name}");
    assert!(!dashboard.panels().any(|panel| matches!(panel.visual, Visual::Unsupported { .. })), "{name}");
    ask_all(name, dashboard);
    let report = imported.report.to_string();
    for loss in losses {
        assert!(report.contains(loss), "{name}: {loss}");
    }
}

fn read(name: &str) -> Option<Imported> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/grafana").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    let imported = import(&text);
    assert!(imported.is_ok(), "{name}: {:?}", imported.err());
    imported.ok()
}

/// Every variable has values, every query is PromQL with them.
fn ask_all(name: &str, dashboard: &Dashboard) {
    let range = TimeRange { from_ms: 1_594_671_549_254, to_ms: 1_594_675_149_254 };
    let scope = scope(name, dashboard, &range);
    for panel in dashboard.panels() {
        for target in &panel.targets {
            let question = ask(panel, target, &scope, &range, Screen { width: 600, scrape_interval_ms: None });
            let expr = question.map(|question| question.expr).unwrap_or_default();
            assert!(promql::parse(&expr).is_ok(), "{name}: {}: {expr}: {:?}", panel.title, promql::parse(&expr).err());
            // `$1` is label_replace's.
            assert!(!expr.replace("$1", "").contains('$'), "{name}: {}: {expr}", panel.title);
        }
    }
}

/// The variables in their order, with answers that need to be escaped; of those that may have several, two.
fn scope(name: &str, dashboard: &Dashboard, range: &TimeRange) -> Scope {
    let mut scope = Scope::new(range.clone(), jiff::tz::TimeZone::UTC);
    let answers = ["kube-system/a.b", "c|d \"e\"", "prometheus"].map(str::to_owned);
    for at in order(&dashboard.variables).unwrap_or_default() {
        let variable = &dashboard.variables[at];
        if let VariableKind::Query(query) = &variable.kind {
            let query = scope.fill(query, Syntax::PromQl).unwrap_or_default();
            let read = VariableQuery::parse(&query);
            assert!(matches!(read, Ok(VariableQuery::LabelValues { .. })), "{name}: {query}: {read:?}");
            if let Ok(VariableQuery::LabelValues { selector: Some(selector), .. }) = read {
                assert!(promql::parse(&selector).is_ok(), "{name}: {selector}");
            }
        }
        let choices = query_choices(&answers, &variable.regex, variable.sort).unwrap_or_default();
        let wanted = Selection::Values(answers[..2].iter().map(Choice::same).collect());
        let selection = select(variable, &choices, &wanted);
        scope.set(&variable.name, Selected::of(variable, &selection, &choices));
    }
    assert_eq!(order(&dashboard.variables).map(|order| order.len()), Ok(dashboard.variables.len()), "{name}");
    scope
}

#[test]
fn real_dashboards_are_read() {
    check("cilium-dashboard.json", [77, 108, 2, 0], &[]);
    check("hubble-dashboard.json", [33, 35, 1, 4], &["panel 62 \"Missing TCPv4 SYN-ACKs\": panels[11].alert"]);
    check("hubble-network-overview-namespace.json", [8, 8, 4, 0], &[]);
    check("node-exporter-full.json", [125, 286, 4, 0], &[]);
}
