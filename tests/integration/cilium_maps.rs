//! Cilium's pinned maps, from the kernel to the user's alert: the whole program on a node that scrapes no agent.

#[path = "../../crates/probes/tests/pinned/mod.rs"]
mod pinned;

use std::fs;
use std::path::Path;

use testkit::poll_until;

use crate::{builder, json, value, wait_for_value};
use pinned::{Bpffs, LPM_TRIE, LRU_HASH, conntrack, is_root, monotonic_seconds, tuple};

/// More than the 10,000 of the user's alert.
const CONNECTIONS: u32 = 10_050;

/// `sum(cilium_lb_active_connections) > 10000` for a minute, by a metric that no Cilium exports. The user's file is used as
/// it is, so the test takes that minute; others run beside it.
#[test]
fn too_many_active_connections_fires_from_the_conntrack_maps() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/rules/cilium-lb-alerts.yml");
    if !rules.exists() {
        eprintln!("SKIPPED: {} is not there", rules.display());
        return;
    }
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("alert");
    bpffs.pin("cilium_policy_v3_00042", LPM_TRIE, (12, 12), 16_384);
    let map = bpffs.pin("cilium_ct4_global", LRU_HASH, (14, 56), 131_072);
    let now = monotonic_seconds();
    for number in 0..CONNECTIONS {
        map.put(&tuple(number, 6, 4), &conntrack(now + 3600, 0x10, 7));
    }
    // Those that Cilium has not collected yet, and the pods' own entries, are no connections of the load balancer.
    for number in CONNECTIONS..2 * CONNECTIONS {
        map.put(&tuple(number, 6, 4), &conntrack(now - 1, 0x10, 7));
        map.put(&tuple(number, 6, 0), &conntrack(now + 3600, 0x10, 7));
    }

    let folder = tempfile::tempdir().unwrap();
    fs::copy(&rules, folder.path().join("rules.yml")).unwrap();
    let config = format!(
        "global: {{evaluation_interval: 1s}}\nrule_files: [rules.yml]\nhost: {{enabled: false}}\ncilium: {{enabled: false}}\n\
         probes:\n  xdp: {{enabled: false}}\n  drops: {{enabled: false}}\n  tcp: {{enabled: false}}\n  udp: {{enabled: false}}\n  \
         cilium: {{path: {}}}\n",
        bpffs.globals().display()
    );
    let server = builder(folder.path(), &config).start().unwrap();
    wait_for_value(&server, "sum(cilium_lb_active_connections)", f64::from(CONNECTIONS));
    let alert = |state: &str| {
        format!("ALERTS{{alertname=\"TooManyActiveConnections\",alertstate=\"{state}\",severity=\"warning\"}}")
    };
    let since = "ALERTS_FOR_STATE{alertname=\"TooManyActiveConnections\"}";
    wait_for_value(&server, &alert("pending"), 1.0);
    wait_for_value(&server, &format!("count({since} < time() - 40)"), 1.0);
    wait_for_value(&server, &alert("firing"), 1.0);
    let waited = format!("min_over_time(timestamp({})[5m:1s]) - on () {since}", alert("firing"));
    // The steps of the subquery fall on whole seconds, so the next one is the first that sees it.
    let waited = poll_until("the first second of firing", || value(&server, &waited));
    assert!(waited >= 60.0, "it fired after {waited} s");
    assert_eq!(value(&server, "ALERTS{alertname=\"HighLoadBalancingDrops\"}"), None);
    let alerts = json(&server.get("/api/v1/alerts").unwrap());
    assert_eq!(alerts["data"]["alerts"][0]["value"], "1.005e+04", "{alerts}");
}
