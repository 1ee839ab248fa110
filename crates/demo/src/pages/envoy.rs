//! The Envoy proxy. Its durations are in milliseconds, and its counters often lack `_total`.

use crate::activity::Activity::{self, Churn, Denied, Faults, Requests, Timers};
use crate::schema::{Gauge, Page, constant, durations, during, flow, level};
use crate::timeline::Event;

/// Envoy's own bounds of histograms, in milliseconds.
const MILLISECONDS: &[f64] = &[
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Name (`namespace/configuration/backend`), requests a second, median of the reply in milliseconds, hosts.
const CLUSTERS: [(&str, f64, f64, f64); 3] = [
    ("shop/gateway/shop:web:8080", 31.0, 24.0, 3.0),
    ("shop/gateway/shop:api:8080", 12.0, 37.0, 2.0),
    ("shop/gateway/shop:orders:9000", 3.1, 58.0, 2.0),
];
const LISTENER: (&str, &str) = ("envoy_http_conn_manager_prefix", "shop/gateway/listener");

/// Requests by class of the answer.
const CLASSES: [(&str, Activity, f64); 4] =
    [("2", Requests, 0.962), ("3", Requests, 0.021), ("4", Requests, 0.015), ("5", Faults, 0.004)];

pub(crate) fn describe(page: &mut Page) {
    cilium_filter(page);
    upstream(page);
    upstream_requests(page);
    downstream(page);
    server(page);
}

fn cilium_filter(page: &mut Page) {
    page.counter("envoy_cilium_access_denied", "Requests that policy denied.").row(&[], flow(Denied, 0.02));
    page.counter("envoy_cilium_policy_updates_total", "Policies that were received.").row(&[], flow(Churn, 0.06));
    page.counter("envoy_cilium_policy_updates_rejected", "Policies that were refused.")
        .row(&[], flow(Faults, 0.000_01));
    page.counter("envoy_cilium_npds_update_attempt", "Attempts to get policies.").row(&[], flow(Churn, 0.06));
    page.counter("envoy_cilium_npds_update_success", "Policies that were taken.").row(&[], flow(Churn, 0.06));
    page.counter("envoy_cilium_npds_update_failure", "Attempts that failed.").row(&[], flow(Faults, 0.000_4));
}

/// Connections to the services behind the proxy.
fn upstream(page: &mut Page) {
    let total = page.counter("envoy_cluster_upstream_cx_total", "Connections that were opened.");
    for (cluster, rate, ..) in CLUSTERS {
        total.row(&named(cluster), flow(Requests, rate * 0.04));
    }
    let active = page.gauge("envoy_cluster_upstream_cx_active", "Connections that are open.");
    for (cluster, rate, ..) in CLUSTERS {
        active.row(&named(cluster), level(Requests, rate * 0.3, rate * 0.5, rate * 0.1));
    }
    let failed = page.counter("envoy_cluster_upstream_cx_connect_fail", "Connections that could not be opened.");
    for (cluster, ..) in CLUSTERS {
        failed.row(&named(cluster), flow(Faults, 0.004));
    }
    let received = page.counter("envoy_cluster_upstream_cx_rx_bytes_total", "Bytes received.");
    for (cluster, rate, ..) in CLUSTERS {
        received.row(&named(cluster), flow(Requests, rate * 9_300.0));
    }
    let sent = page.counter("envoy_cluster_upstream_cx_tx_bytes_total", "Bytes sent.");
    for (cluster, rate, ..) in CLUSTERS {
        sent.row(&named(cluster), flow(Requests, rate * 1_150.0));
    }
    for (name, help, lost) in [
        ("envoy_cluster_membership_total", "Hosts of the service.", 0.0),
        ("envoy_cluster_membership_healthy", "Hosts of the service that are healthy.", 1.0),
    ] {
        let family = page.gauge(name, help);
        for (cluster, _, _, hosts) in CLUSTERS {
            let lost = if cluster.contains("orders") { lost * hosts } else { 0.0 };
            family.row(&named(cluster), during(Event::Incident, hosts, -lost));
        }
    }
}

fn upstream_requests(page: &mut Page) {
    let total = page.counter("envoy_cluster_upstream_rq_total", "Requests that were passed on.");
    for (cluster, rate, ..) in CLUSTERS {
        total.row(&named(cluster), flow(Requests, rate).tied(cluster));
    }
    let classes = page.counter("envoy_cluster_upstream_rq_xx", "Requests by class of the answer.");
    for (cluster, rate, ..) in CLUSTERS {
        for (class, activity, share) in CLASSES {
            let [label] = named(cluster);
            classes.row(&[("envoy_response_code_class", class), label], flow(activity, rate * share).tied(cluster));
        }
    }
    for (name, help, activity, share) in [
        ("envoy_cluster_upstream_rq_retry", "Requests that were tried again.", Faults, 0.004),
        ("envoy_cluster_upstream_rq_timeout", "Requests that took too long.", Faults, 0.001),
        ("envoy_cluster_upstream_rq_pending_total", "Requests that waited for a connection.", Requests, 0.04),
        ("envoy_cluster_upstream_rq_pending_overflow", "Requests refused because too many waited.", Faults, 0.000_2),
    ] {
        let family = page.counter(name, help);
        for (cluster, rate, ..) in CLUSTERS {
            family.row(&named(cluster), flow(activity, rate * share));
        }
    }
    let active = page.gauge("envoy_cluster_upstream_rq_active", "Requests that wait for their answer.");
    for (cluster, rate, median, _) in CLUSTERS {
        active.row(&named(cluster), level(Requests, 0.0, rate * median / 1_000.0, 0.6));
    }
    let took = page.histogram("envoy_cluster_upstream_rq_time", "Time that requests took, in milliseconds.");
    for (cluster, rate, median, _) in CLUSTERS {
        took.row(&named(cluster), durations(Requests, rate, MILLISECONDS, median).tied(cluster));
    }
}

/// Connections and requests of the clients.
fn downstream(page: &mut Page) {
    page.counter("envoy_http_downstream_cx_total", "Connections of clients.").row(&[LISTENER], flow(Requests, 6.1));
    page.gauge("envoy_http_downstream_cx_active", "Connections of clients that are open.")
        .row(&[LISTENER], level(Requests, 22.0, 84.0, 9.0));
    page.counter("envoy_http_downstream_cx_rx_bytes_total", "Bytes received from clients.")
        .row(&[LISTENER], flow(Requests, 47_000.0));
    page.counter("envoy_http_downstream_cx_tx_bytes_total", "Bytes sent to clients.")
        .row(&[LISTENER], flow(Requests, 412_000.0));
    page.counter("envoy_http_downstream_rq_total", "Requests of clients.")
        .row(&[LISTENER], flow(Requests, 46.1).tied(LISTENER.1));
    let classes = page.counter("envoy_http_downstream_rq_xx", "Requests of clients by class of the answer.");
    for (class, activity, share) in CLASSES {
        classes.row(&[("envoy_response_code_class", class), LISTENER], flow(activity, 46.1 * share).tied(LISTENER.1));
    }
    page.gauge("envoy_http_downstream_rq_active", "Requests of clients that wait for their answer.")
        .row(&[LISTENER], level(Requests, 0.0, 1.4, 0.9));
    page.histogram("envoy_http_downstream_rq_time", "Time that requests of clients took, in milliseconds.")
        .row(&[LISTENER], durations(Requests, 46.1, MILLISECONDS, 29.0).tied(LISTENER.1));
    page.counter("envoy_listener_downstream_cx_total", "Connections of a listener.")
        .row(&[("envoy_listener_address", "127.0.0.1_17382")], flow(Requests, 6.1));
}

fn server(page: &mut Page) {
    page.gauge("envoy_server_live", "Whether the server serves.").row(&[], constant(1.0));
    page.gauge("envoy_server_state", "The server's state; 0 is live.").row(&[], constant(0.0));
    page.gauge("envoy_server_uptime", "Time since the server started, in seconds.").row(&[], Gauge::Uptime);
    page.gauge("envoy_server_concurrency", "Worker threads.").row(&[], constant(4.0));
    page.gauge("envoy_server_memory_allocated", "Memory in use, in bytes.")
        .row(&[], level(Requests, 9_200_000.0, 1_900_000.0, 300_000.0));
    page.gauge("envoy_server_memory_heap_size", "Memory reserved for the heap, in bytes.")
        .row(&[], level(Requests, 17_800_000.0, 1_200_000.0, 0.0));
    page.gauge("envoy_server_total_connections", "Connections that are open.")
        .row(&[], level(Requests, 40.0, 120.0, 12.0));
    page.counter("envoy_server_watchdog_miss", "Times that a thread answered late.").row(&[], flow(Faults, 0.000_3));
    page.gauge("envoy_server_days_until_first_cert_expiring", "Days until the first certificate expires.")
        .row(&[], constant(211.0));
    page.gauge("envoy_listener_manager_total_listeners_active", "Listeners in use.").row(&[], constant(6.0));
    page.counter("envoy_listener_manager_lds_update_success", "Changes of listeners that were taken.")
        .row(&[], flow(Churn, 0.002));
    page.gauge("envoy_cluster_manager_active_clusters", "Services that the proxy knows.").row(&[], constant(14.0));
    page.counter("envoy_cluster_manager_cds_update_success", "Changes of services that were taken.")
        .row(&[], flow(Churn, 0.002));
    page.counter("envoy_filesystem_flushed_by_timer", "Log flushes by a timer.").row(&[], flow(Timers, 0.1));
}

fn named(cluster: &str) -> [(&'static str, &str); 1] {
    [("envoy_cluster_name", cluster)]
}
