//! The four dashboards of `../shared/fixtures/grafana`, when they are there: how much of each is read, and that the
//! report names what it is known to name.

use std::path::Path;

use dashboard::{Imported, Visual, import};

/// What a fixture holds: panels, queries, variables, losses.
fn check(name: &str, expected: [usize; 4], losses: &[&str]) {
    let Some(imported) = read(name) else { return };
    let dashboard = &imported.dashboard;
    let queries = dashboard.panels().map(|panel| panel.targets.len()).sum();
    let found = [dashboard.panels().count(), queries, dashboard.variables.len(), imported.report.count()];
    println!("{name}: {found:?}\n{}", imported.report);
    assert_eq!(found, expected, "{name}");
    assert!(!dashboard.panels().any(|panel| matches!(panel.visual, Visual::Unsupported { .. })), "{name}");
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

#[test]
fn real_dashboards_are_read() {
    check("cilium-dashboard.json", [77, 108, 2, 0], &[]);
    check("hubble-dashboard.json", [33, 35, 1, 4], &["panel 62 \"Missing TCPv4 SYN-ACKs\": panels[11].alert"]);
    check("hubble-network-overview-namespace.json", [8, 8, 4, 0], &[]);
    check("node-exporter-full.json", [125, 286, 4, 0], &[]);
}
