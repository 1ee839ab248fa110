//! The agent's datapath, endpoints, policies and proxy.

use super::{NODES, VERSION};
use crate::activity::Activity::{Churn, Cluster, Denied, Faults, Lookups, NoBackend, Packets, Requests, Timers};
use crate::schema::{Gauge, Page, SECONDS, constant, durations, during, flow, fraction, level};
use crate::timeline::Event;

/// Most packets a second that die for want of a backend, at the height of an incident.
const NO_BACKEND_PACKETS: f64 = 620.0;
/// Packets a second that policy denies on a quiet day.
const DENIED_PACKETS: f64 = 1.3;

pub(crate) fn describe(page: &mut Page) {
    identity(page);
    traffic(page);
    conntrack(page);
    maps(page);
    endpoints(page);
    policies(page);
    proxy(page);
    health(page);
    controllers(page);
}

fn identity(page: &mut Page) {
    page.gauge("cilium_version", "The agent's version.")
        .row(&[("version", VERSION), ("revision", "5c1f3a9e"), ("arch", "amd64")], constant(1.0));
    page.gauge("cilium_identity", "Security identities known, by type.")
        .row(&[("type", "cluster_local")], level(Cluster, 58.0, 1.2, 1.0))
        .row(&[("type", "reserved")], constant(9.0))
        .row(&[("type", "node_local")], constant(6.0));
    page.gauge("cilium_ip_addresses", "IP addresses given out, by family.")
        .row(&[("family", "ipv4")], during(Event::Deployment, 31.0, 4.0))
        .row(&[("family", "ipv6")], during(Event::Deployment, 31.0, 4.0));
    page.gauge("cilium_ipam_capacity", "Addresses of the node's pools, by family.")
        .row(&[("family", "ipv4")], constant(254.0))
        .row(&[("family", "ipv6")], constant(65_534.0));
    page.counter("cilium_ipam_events_total", "Address allocations and releases.")
        .row(&[("action", "allocate"), ("family", "ipv4")], flow(Churn, 0.002))
        .row(&[("action", "release"), ("family", "ipv4")], flow(Churn, 0.002));
    page.counter("cilium_ipcache_errors_total", "Changes of the IP cache that failed.")
        .row(&[("type", "upsert"), ("error", "cannot_overwrite_by_source")], flow(Churn, 0.004));
    page.counter("cilium_errors_warnings_total", "Log lines of level warning and error.")
        .row(&[("level", "error"), ("subsystem", "daemon")], flow(Faults, 0.000_6))
        .row(&[("level", "warning"), ("subsystem", "endpoint-manager")], flow(Faults, 0.003))
        .row(&[("level", "warning"), ("subsystem", "hubble")], flow(Faults, 0.002))
        .row(&[("level", "warning"), ("subsystem", "k8s-client")], flow(Faults, 0.004));
    page.counter("cilium_subprocess_start_total", "Programs that the agent started.")
        .row(&[("subsystem", "cilium-health")], flow(Churn, 0.000_02));
}

fn traffic(page: &mut Page) {
    page.counter("cilium_forward_count_total", "Packets the datapath passed on.")
        .row(&[("direction", "INGRESS")], flow(Packets, 2_640.0).pinned())
        .row(&[("direction", "EGRESS")], flow(Packets, 2_380.0).pinned());
    page.counter("cilium_forward_bytes_total", "Bytes the datapath passed on.")
        .row(&[("direction", "INGRESS")], flow(Packets, 1_986_000.0).pinned())
        .row(&[("direction", "EGRESS")], flow(Packets, 1_702_000.0).pinned());
    drops(page, "cilium_drop_count_total", "Packets the datapath dropped, by reason.", |_| 1.0);
    drops(
        page,
        "cilium_drop_bytes_total",
        "Bytes of packets the datapath dropped, by reason.",
        |reason| match reason {
            "Unsupported L3 protocol" => 86.0,
            "Stale or unroutable IP" => 154.0,
            _ => 74.0,
        },
    );
    page.gauge("cilium_lb_active_connections", "Connections through service addresses that are open.")
        .row(&[("family", "ipv4")], level(Packets, 380.0, 2_100.0, 90.0))
        .row(&[("family", "ipv6")], level(NoBackend, 60.0, 11_500.0, 12.0));
    page.counter("cilium_services_events_total", "Changes of services that were handled.")
        .row(&[("action", "add")], flow(Cluster, 0.000_8))
        .row(&[("action", "update")], flow(Cluster, 0.021))
        .row(&[("action", "delete")], flow(Cluster, 0.000_6));
    page.counter("cilium_bpf_ratelimit_dropped_total", "Events dropped by a rate limit in the datapath.")
        .row(&[("usage", "icmpv6")], flow(Denied, 0.01).pinned());
}

fn drops(page: &mut Page, name: &'static str, help: &'static str, weight: fn(&str) -> f64) {
    let rows = [
        ("Policy denied", "INGRESS", Denied, DENIED_PACKETS),
        ("Policy denied", "EGRESS", Denied, DENIED_PACKETS * 0.35),
        ("NoEndpoint", "EGRESS", NoBackend, NO_BACKEND_PACKETS),
        ("Stale or unroutable IP", "INGRESS", Churn, 0.09),
        ("Unsupported L3 protocol", "EGRESS", Timers, 0.031),
        ("CT: Map insertion failed", "INGRESS", Faults, 0.004),
        ("Invalid source ip", "EGRESS", Faults, 0.012),
    ];
    let family = page.counter(name, help);
    for (reason, direction, activity, rate) in rows {
        let model = flow(activity, rate * weight(reason)).pinned().tied(&format!("{reason}{direction}"));
        family.row(&[("reason", reason), ("direction", direction)], model);
    }
}

fn conntrack(page: &mut Page) {
    const KINDS: [(&str, &str, f64); 4] =
        [("ipv4", "TCP", 4_100.0), ("ipv4", "non-TCP", 1_250.0), ("ipv6", "TCP", 640.0), ("ipv6", "non-TCP", 210.0)];
    let entries =
        page.gauge("cilium_datapath_conntrack_gc_entries", "Connections seen by the last sweep of the table.");
    for (family, protocol, alive) in KINDS {
        let labels = |status| [("family", family), ("protocol", protocol), ("status", status)];
        entries.row(&labels("alive"), level(Packets, alive * 0.3, alive * 0.7, alive * 0.08));
        entries.row(&labels("deleted"), level(Packets, alive * 0.02, alive * 0.21, alive * 0.06));
    }
    let runs = page.counter("cilium_datapath_conntrack_gc_runs_total", "Sweeps of the connection table.");
    for (family, protocol, _) in KINDS {
        let labels = [("family", family), ("protocol", protocol), ("status", "completed")];
        runs.row(&labels, flow(Timers, 1.0 / 37.0));
    }
    let fallbacks = page.counter("cilium_datapath_conntrack_gc_key_fallbacks_total", "Sweeps that lost their place.");
    for (family, protocol, _) in KINDS {
        fallbacks.row(&[("family", family), ("protocol", protocol)], flow(Faults, 0.000_3));
    }
    let took = page.histogram("cilium_datapath_conntrack_gc_duration_seconds", "Time a sweep took, in seconds.");
    for (protocol, median) in [("TCP", 0.028), ("non-TCP", 0.011)] {
        let labels = [("family", "ipv4"), ("protocol", protocol), ("status", "completed")];
        took.row(&labels, durations(Timers, 1.0 / 37.0, SECONDS, median));
    }
    let resets = page.counter("cilium_datapath_conntrack_dump_resets_total", "Dumps of a table that began again.");
    for family in ["ipv4", "ipv6"] {
        let labels = [("area", "conntrack"), ("name", "dump_interrupts"), ("family", family)];
        resets.row(&labels, flow(Faults, 0.000_4));
    }
    page.gauge("cilium_datapath_conntrack_gc_interval_seconds", "Time between sweeps, in seconds.")
        .row(&[("global", "global")], constant(37.0));
    page.gauge("cilium_nat_endpoint_max_connection", "Most NAT ports in use towards one remote address.")
        .row(&[("family", "ipv4")], level(Packets, 6.0, 38.0, 5.0))
        .row(&[("family", "ipv6")], level(Packets, 1.0, 7.0, 1.0));
}

fn maps(page: &mut Page) {
    let operations = page.counter("cilium_bpf_map_ops_total", "Operations on BPF maps.");
    let rows = [
        ("ct4_global", "delete", "success", Packets, 4.2),
        ("ct_any4_global", "delete", "success", Packets, 1.6),
        ("snat_v4_external", "delete", "success", Packets, 0.9),
        ("ipcache_v2", "update", "success", Cluster, 0.05),
        ("ipcache_v2", "delete", "success", Cluster, 0.03),
        ("ipcache_v2", "delete", "fail", Faults, 0.001),
        ("lb4_services_v2", "update", "success", Cluster, 0.04),
        ("lb4_services_v2", "delete", "success", Cluster, 0.01),
        ("lb4_backends_v3", "update", "success", Cluster, 0.02),
        ("lb4_reverse_nat", "update", "success", Cluster, 0.015),
        ("policy_v2", "update", "success", Churn, 0.30),
        ("policy_v2", "delete", "success", Churn, 0.11),
        ("lxc", "update", "success", Churn, 0.04),
        ("lxc", "delete", "fail", Faults, 0.000_5),
    ];
    for (map, operation, outcome, activity, rate) in rows {
        let labels = [("map_name", map), ("operation", operation), ("outcome", outcome)];
        operations.row(&labels, flow(activity, rate));
    }
    page.gauge("cilium_bpf_map_pressure", "How full a BPF map is, 0 to 1.")
        .row(&[("map_name", "policy_*")], fraction(Churn, 0.118, 0.003, 0.006))
        .row(&[("map_name", "ipcache_v2")], fraction(Cluster, 0.0021, 0.000_1, 0.000_2))
        .row(&[("map_name", "lb4_backends_v3")], fraction(Cluster, 0.0061, 0.000_2, 0.000_3))
        .row(&[("map_name", "lb4_services_v2")], fraction(Cluster, 0.0092, 0.000_2, 0.000_3))
        .row(&[("map_name", "ct4_global")], fraction(Packets, 0.011, 0.034, 0.004))
        .row(&[("map_name", "lxc")], fraction(Churn, 0.000_47, 0.0, 0.0));
    let capacity = page.gauge("cilium_bpf_map_capacity", "Most entries of maps, by group.");
    for (group, entries) in [
        ("default", 65_536.0),
        ("ct_v4_tcp", 524_288.0),
        ("ct_v4_any", 262_144.0),
        ("nat_v4", 524_288.0),
        ("policy", 16_384.0),
    ] {
        capacity.row(&[("map_group", group)], constant(entries));
    }
    page.gauge("cilium_bpf_maps", "BPF maps that the agent loaded.").row(&[], level(Churn, 132.0, 0.6, 2.0));
    page.gauge("cilium_bpf_progs", "BPF programs that the agent loaded.").row(&[], level(Churn, 784.0, 3.0, 8.0));
    page.gauge("cilium_bpf_maps_virtual_memory_max_bytes", "Most memory that BPF maps may take, in bytes.")
        .row(&[], level(Churn, 286_261_248.0, 98_304.0, 196_608.0));
    page.gauge("cilium_bpf_progs_virtual_memory_max_bytes", "Most memory that BPF programs may take, in bytes.")
        .row(&[], level(Churn, 7_188_480.0, 24_576.0, 49_152.0));
}

fn endpoints(page: &mut Page) {
    page.gauge("cilium_endpoint", "Endpoints on this node.").row(&[], during(Event::Deployment, 29.0, 4.0));
    page.gauge("cilium_endpoint_state", "Endpoints by state.")
        .row(&[("endpoint_state", "ready")], during(Event::Deployment, 29.0, 1.0))
        .row(&[("endpoint_state", "regenerating")], during(Event::Deployment, 0.0, 2.0))
        .row(&[("endpoint_state", "waiting-for-identity")], during(Event::Deployment, 0.0, 1.0))
        .row(&[("endpoint_state", "waiting-to-regenerate")], during(Event::Restart, 0.0, 6.0))
        .row(&[("endpoint_state", "disconnecting")], during(Event::Incident, 0.0, 1.0));
    page.counter("cilium_endpoint_regenerations_total", "Rebuilds of endpoints.")
        .row(&[("outcome", "success")], flow(Churn, 0.06))
        .row(&[("outcome", "fail")], flow(Faults, 0.000_3));
    let scopes = [
        ("bpfCompilation", 0.21),
        ("bpfLoadProg", 0.084),
        ("endpointPolicyCalculation", 0.0021),
        ("mapSync", 0.000_9),
        ("prepareBuild", 0.0014),
        ("proxyConfiguration", 0.0031),
        ("proxyPolicyCalculation", 0.0067),
        ("selectorPolicyCalculation", 0.0044),
        ("waitingForLock", 0.000_6),
        ("total", 0.33),
    ];
    let took = page.histogram(
        "cilium_endpoint_regeneration_time_stats_seconds",
        "Time that the parts of an endpoint's rebuild took, in seconds.",
    );
    for (scope, median) in scopes {
        took.row(&[("scope", scope), ("status", "success")], durations(Churn, 0.06, SECONDS, median));
    }
}

fn policies(page: &mut Page) {
    page.gauge("cilium_policy", "Network policies that are loaded.").row(&[], during(Event::Deployment, 17.0, 1.0));
    page.gauge("cilium_policy_max_revision", "The newest revision of the policies.")
        .row(&[], during(Event::Deployment, 143.0, 1.0));
    page.counter("cilium_policy_change_total", "Changes of policies.")
        .row(&[("outcome", "success")], flow(Cluster, 0.002))
        .row(&[("outcome", "failure")], flow(Faults, 0.000_05));
    let status = page.gauge("cilium_policy_endpoint_enforcement_status", "Endpoints by what policy is enforced on.");
    for (enforcement, endpoints) in [
        ("both", 8.0),
        ("egress", 2.0),
        ("ingress", 9.0),
        ("none", 10.0),
        ("audit-both", 0.0),
        ("audit-egress", 0.0),
        ("audit-ingress", 0.0),
    ] {
        status.row(&[("enforcement", enforcement)], constant(endpoints));
    }
    page.histogram("cilium_policy_implementation_delay", "Time until a policy is in force, in seconds.")
        .row(&[("source", "k8s")], durations(Cluster, 0.02, SECONDS, 0.16));
    page.histogram(
        "cilium_policy_incremental_update_duration",
        "Time until new identities are in the policies that select them, in seconds.",
    )
    .row(&[("scope", "global")], durations(Cluster, 0.04, &[1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0], 0.002));
    page.gauge("cilium_policy_selector_match_count_max", "Most identities that a selector matches.")
        .row(&[("class", "cluster")], level(Cluster, 41.0, 1.0, 1.0))
        .row(&[("class", "fqdn")], level(Lookups, 9.0, 3.0, 2.0));
    let verdicts = page.counter("cilium_policy_l7_total", "Requests that the proxies judged.");
    for (rule, share) in [("received", 1.0), ("forwarded", 0.994), ("denied", 0.004_6), ("parse_errors", 0.001_4)] {
        verdicts.row(&[("rule", rule), ("proxy_type", "fqdn")], flow(Lookups, 24.0 * share).tied("fqdn"));
        verdicts.row(&[("rule", rule), ("proxy_type", "envoy")], flow(Requests, 46.0 * share).tied("envoy"));
    }
}

fn proxy(page: &mut Page) {
    page.gauge("cilium_proxy_redirects", "Ports that are led through a proxy.")
        .row(&[("protocol_l7", "dns")], constant(14.0))
        .row(&[("protocol_l7", "http")], during(Event::Deployment, 5.0, 2.0));
    let took =
        page.histogram("cilium_proxy_upstream_reply_seconds", "Time the proxies waited for a reply, in seconds.");
    for (scope, median) in [
        ("upstreamTime", 0.0034),
        ("processingTime", 0.0009),
        ("policyCheckTime", 0.000_05),
        ("dataplaneTime", 0.000_7),
        ("totalTime", 0.0052),
    ] {
        let labels = [("error", "allow"), ("protocol_l7", "dns"), ("scope", scope)];
        took.row(&labels, durations(Lookups, 24.0, SECONDS, median).tied("fqdn"));
    }
    page.gauge("cilium_fqdn_selectors", "Selectors by DNS name.").row(&[], constant(11.0));
    page.counter("cilium_fqdn_gc_deletions_total", "DNS names that were forgotten.").row(&[], flow(Lookups, 0.014));
    page.counter("cilium_xds_events_count", "Messages of the proxies' configuration.")
        .row(&[("type_url", "type.googleapis.com/cilium.NetworkPolicy"), ("status", "ack")], flow(Churn, 0.06));
}

fn health(page: &mut Page) {
    page.gauge("cilium_nodes_all_num", "Nodes that the agent knows.").row(&[], constant(NODES));
    let events = page.counter("cilium_nodes_all_events_received_total", "Changes of nodes that were received.");
    for (event, rate) in [("add", 0.000_03), ("update", 0.006)] {
        events.row(&[("event_type", event), ("source", "custom-resource")], flow(Cluster, rate));
    }
    page.counter("cilium_nodes_all_datapath_validations_total", "Checks of nodes in the datapath.")
        .row(&[], flow(Timers, 0.05));
    page.gauge("cilium_unreachable_nodes", "Nodes that do not answer.").row(&[], during(Event::Restart, 0.0, 1.0));
    page.gauge("cilium_unreachable_health_endpoints", "Health endpoints that do not answer.")
        .row(&[], during(Event::DropBurst, 0.0, 1.0));
    let status = page.gauge("cilium_node_health_connectivity_status", "Nodes by whether they were reached.");
    for kind in ["node", "endpoint"] {
        status.row(&[("type", kind), ("status", "reachable")], during(Event::DropBurst, NODES - 1.0, -1.0));
        status.row(&[("type", kind), ("status", "unreachable")], during(Event::DropBurst, 0.0, 1.0));
        status.row(&[("type", kind), ("status", "unknown")], constant(0.0));
    }
    let latency = page.histogram("cilium_node_health_connectivity_latency_seconds", "Time to other nodes, in seconds.");
    for (kind, protocol, median) in [("node", "http", 0.0011), ("endpoint", "icmp", 0.000_6)] {
        let labels = [("type", kind), ("protocol", protocol), ("address_type", "primary")];
        latency.row(&labels, durations(Timers, 0.05, SECONDS, median));
    }
}

fn controllers(page: &mut Page) {
    page.gauge("cilium_controllers_failing", "Controllers whose last run failed.")
        .row(&[], during(Event::Incident, 0.0, 1.0));
    page.counter("cilium_controllers_runs_total", "Runs of controllers.")
        .row(&[("status", "success")], flow(Timers, 1.9).tied("controllers"))
        .row(&[("status", "failure")], flow(Faults, 0.002));
    page.histogram("cilium_controllers_runs_duration_seconds", "Time that runs of controllers took, in seconds.")
        .row(&[("status", "success")], durations(Timers, 1.9, SECONDS, 0.0021).tied("controllers"))
        .row(&[("status", "failure")], durations(Faults, 0.002, SECONDS, 0.31));
    page.counter("cilium_controllers_group_runs_total", "Runs of a named group of controllers.")
        .row(&[("group_name", "sync-policymap"), ("status", "success")], flow(Timers, 0.03));
    let calls = page.histogram("cilium_agent_api_process_time_seconds", "Time the agent's API took, in seconds.");
    for (method, path, code, activity, rate, median) in [
        ("GET", "/v1/healthz", "200", Timers, 0.33, 0.0024),
        ("GET", "/v1/config", "200", Churn, 0.12, 0.0031),
        ("PUT", "/v1/endpoint", "201", Churn, 0.03, 0.34),
        ("DELETE", "/v1/endpoint", "200", Churn, 0.02, 0.052),
    ] {
        let labels = [("path", path), ("method", method), ("return_code", code)];
        calls.row(&labels, durations(activity, rate, SECONDS, median));
    }
    let stamps = page.gauge("cilium_event_ts", "When the last event came, in seconds since 1970.");
    stamps.row(&[("source", "api"), ("scope", ""), ("action", "")], Gauge::LastTick(3.0));
    for (scope, action, period) in
        [("CiliumEndpoint", "update", 41.0), ("Pod", "update", 13.0), ("Node", "update", 61.0)]
    {
        stamps.row(&[("source", "k8s"), ("scope", scope), ("action", action)], Gauge::LastTick(period));
    }
}
