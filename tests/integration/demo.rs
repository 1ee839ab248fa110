//! `skep demo`: charts are full at once, all five endpoints are found, and an alert fires.

use testkit::{ServerBuilder, poll_until};

use crate::{SKEP, json, value, vector, wait_for_value};

#[test]
fn the_demo_has_history_live_data_and_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerBuilder::with_command(SKEP, "demo", folder.path()).start().unwrap();

    let hours = "count_over_time(sum(cilium_forward_count_total)[23h:1h])";
    let points = value(&server, hours).unwrap_or_default();
    assert!(points >= 22.0, "a day of history, hour by hour: {points}");

    for job in ["cilium-agent", "cilium-operator", "cilium-envoy", "hubble", "hubble-relay"] {
        wait_for_value(&server, &format!("max by (job) (up{{job=\"{job}\"}})"), 1.0);
    }
    // History and live scrapes are the same series: one agent, not two.
    assert_eq!(vector(&server, "cilium_version{k8s_app=\"cilium\"}").len(), 1);

    poll_until("a firing alert", || {
        let alerts = json(&server.get("/api/v1/alerts").unwrap());
        let alerts = alerts["data"]["alerts"].as_array()?.clone();
        alerts.iter().any(|alert| alert["state"] == "firing").then_some(())
    });
    assert!(server.stop().unwrap().success());
}
