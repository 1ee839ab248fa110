//! Hubble's flow metrics, as configured with the handlers `dns:query`, `drop`, `flow`, `http`, `icmp`, `policy`,
//! `port-distribution` and `tcp`, with pods as context and namespaces and workloads as labels.

use crate::activity::Activity::{self, Denied, Faults, Lookups, NoBackend, Packets, Requests, Timers};
use crate::schema::{FamilyRows, Life, Model, Page, SECONDS, durations, flow};
use crate::timeline::Event;

/// Somebody who talks: a pod, or what Cilium calls a reserved identity.
struct Peer {
    /// What `source` and `destination` say: `namespace/pod`.
    context: &'static str,
    namespace: &'static str,
    workload: &'static str,
    /// The deployment replaces or brings the pod.
    life: Life,
}

const fn peer(context: &'static str, namespace: &'static str, workload: &'static str) -> Peer {
    Peer { context, namespace, workload, life: Life::Always }
}

const WORLD: Peer = peer("reserved:world", "", "");
const HOST: Peer = peer("reserved:host", "", "");
const NODE: Peer = peer("reserved:remote-node", "", "");
const GATEWAY: Peer = peer("ingress/gateway-6bd4f97c5-8vxqn", "ingress", "gateway");
const WEB: Peer = peer("shop/web-7c9d5b6f48-m2kdz", "shop", "web");
const API: Peer = peer("shop/api-5f7b8c6d9c-t9w4h", "shop", "api");
const DB: Peer = peer("shop/db-0", "shop", "db");
const QUEUE: Peer = peer("shop/queue-0", "shop", "queue");
const DNS: Peer = peer("kube-system/coredns-66bc5c9577-z5jlp", "kube-system", "coredns");
const SCANNER: Peer = peer("lab/scanner-58c7df4b6-q7rns", "lab", "scanner");
/// The pod of `shop/orders` before the deployment, and the one after.
const ORDERS: [Peer; 2] = [
    Peer { life: Life::Until(Event::Deployment), ..peer("shop/orders-6d8f9b7c54-fj6xw", "shop", "orders") },
    Peer { life: Life::Since(Event::Deployment), ..peer("shop/orders-79c4d6b8f5-p3bgk", "shop", "orders") },
];

/// Who opens connections to whom: port, connections a second.
const TALKS: [(&Peer, &Peer, &str, Activity, f64); 11] = [
    (&WORLD, &GATEWAY, "443", Requests, 6.1),
    (&GATEWAY, &WEB, "8080", Requests, 3.4),
    (&WEB, &API, "8080", Requests, 2.9),
    (&API, &ORDERS[0], "9000", Requests, 1.1),
    (&API, &ORDERS[1], "9000", Requests, 1.1),
    (&ORDERS[0], &DB, "5432", Requests, 0.9),
    (&ORDERS[1], &DB, "5432", Requests, 0.9),
    (&ORDERS[0], &QUEUE, "4222", Requests, 0.3),
    (&ORDERS[1], &QUEUE, "4222", Requests, 0.3),
    (&HOST, &WEB, "8080", Timers, 0.4),
    (&NODE, &API, "8080", Packets, 0.7),
];

/// Trace events that the flow handler counts for a connection, and how many a connection brings.
const TRACES: [(&str, f64); 3] = [("to-endpoint", 5.2), ("to-stack", 2.6), ("to-overlay", 1.4)];

pub(crate) fn describe(page: &mut Page) {
    flows(page);
    drops(page);
    connections(page);
    pings(page);
    lookups(page);
    requests(page);
    verdicts(page);
    itself(page);
}

/// Adds a row for a pair: the context labels come after the metric's own.
fn pair(family: &mut FamilyRows, from: &Peer, to: &Peer, own: &[(&'static str, &str)], model: impl Into<Model>) {
    let context = [
        ("source", from.context),
        ("destination", to.context),
        ("source_namespace", from.namespace),
        ("source_workload", from.workload),
        ("destination_namespace", to.namespace),
        ("destination_workload", to.workload),
    ];
    // Both directions of a conversation rise and fall together.
    let ends = (from.context.min(to.context), from.context.max(to.context));
    let model = model.into().tied(&format!("{ends:?}"));
    let life = if from.life == Life::Always { to.life } else { from.life };
    let labels: Vec<_> = own.iter().chain(&context).copied().collect();
    family.row_for(life, &labels, model);
}

fn flows(page: &mut Page) {
    let family = page.counter("hubble_flows_processed_total", "Flows that were seen.");
    let own = |kind, subtype, verdict, protocol| {
        [("protocol", protocol), ("type", kind), ("subtype", subtype), ("verdict", verdict)]
    };
    for (from, to, _, activity, rate) in TALKS {
        for (subtype, share) in TRACES {
            pair(family, from, to, &own("Trace", subtype, "FORWARDED", "TCP"), flow(activity, rate * share));
        }
    }
    for (from, to, rate) in [(&WORLD, &GATEWAY, 46.0), (&GATEWAY, &WEB, 31.0), (&WEB, &API, 28.0)] {
        pair(family, from, to, &own("L7", "HTTP", "FORWARDED", "HTTP"), flow(Requests, rate));
    }
    for from in [&WEB, &API] {
        pair(family, from, &DNS, &own("Trace", "to-endpoint", "FORWARDED", "UDP"), flow(Lookups, 24.0));
        pair(family, from, &DNS, &own("L7", "DNS", "FORWARDED", "DNS"), flow(Lookups, 12.0));
    }
    pair(family, &WEB, &API, &own("PolicyVerdict", "", "FORWARDED", "TCP"), flow(Requests, 2.9));
    pair(family, &SCANNER, &DB, &own("PolicyVerdict", "", "DROPPED", "TCP"), flow(Denied, 1.1));
    for (from, to, protocol, _, activity, rate) in DROPS {
        pair(family, from, to, &own("Drop", "", "DROPPED", protocol), flow(activity, rate));
    }
    pair(family, &NODE, &HOST, &own("Trace", "to-stack", "FORWARDED", "ICMPv4"), flow(Timers, 0.1));
}

/// Who loses packets on the way to whom, why, and how many a second.
const DROPS: [(&Peer, &Peer, &str, &str, Activity, f64); 6] = [
    (&SCANNER, &DB, "TCP", "POLICY_DENIED", Denied, 0.9),
    (&SCANNER, &QUEUE, "TCP", "POLICY_DENIED", Denied, 0.3),
    (&WORLD, &API, "UDP", "POLICY_DENIED", Denied, 0.35),
    (&API, &ORDERS[0], "TCP", "SERVICE_BACKEND_NOT_FOUND", NoBackend, 560.0),
    (&API, &ORDERS[1], "TCP", "SERVICE_BACKEND_NOT_FOUND", NoBackend, 560.0),
    (&NODE, &WEB, "TCP", "STALE_OR_UNROUTABLE_IP", Faults, 0.05),
];

fn drops(page: &mut Page) {
    let family = page.counter("hubble_drop_total", "Packets that were dropped.");
    for (from, to, protocol, reason, activity, rate) in DROPS {
        pair(family, from, to, &[("reason", reason), ("protocol", protocol)], flow(activity, rate));
    }
}

/// TCP flags and ports. An answer comes from the other side; a few openings get none.
fn connections(page: &mut Page) {
    let flags = page.counter("hubble_tcp_flags_total", "TCP flags that were seen.");
    for (from, to, _, activity, rate) in TALKS {
        let own = |flag| [("flag", flag), ("family", "IPv4")];
        pair(flags, from, to, &own("SYN"), flow(activity, rate));
        pair(flags, to, from, &own("SYN-ACK"), flow(activity, rate * 0.991));
        pair(flags, from, to, &own("FIN"), flow(activity, rate * 0.96));
        pair(flags, to, from, &own("RST"), flow(Faults, rate * 0.01));
    }
    for (from, to, flag, rate) in
        [(&WEB, &API, "SYN", 0.6), (&API, &WEB, "SYN-ACK", 0.59), (&WEB, &API, "FIN", 0.57), (&WEB, &API, "RST", 0.01)]
    {
        pair(flags, from, to, &[("flag", flag), ("family", "IPv6")], flow(Requests, rate));
    }
    let ports = page.counter("hubble_port_distribution_total", "Packets by destination port.");
    for (from, to, port, activity, rate) in TALKS {
        pair(ports, from, to, &[("protocol", "TCP"), ("port", port)], flow(activity, rate * 4.0));
    }
    pair(ports, &WEB, &DNS, &[("protocol", "UDP"), ("port", "53")], flow(Lookups, 24.0));
    pair(ports, &NODE, &HOST, &[("protocol", "ICMPv4"), ("port", "0")], flow(Timers, 0.1));
}

fn pings(page: &mut Page) {
    let family = page.counter("hubble_icmp_total", "ICMP messages by type.");
    for version in ["IPv4", "IPv6"] {
        let own = |kind| [("family", version), ("type", kind)];
        pair(family, &NODE, &HOST, &own("EchoRequest"), flow(Timers, 0.1));
        pair(family, &HOST, &NODE, &own("EchoReply"), flow(Timers, 0.098));
        pair(family, &WORLD, &GATEWAY, &own("DestinationUnreachable"), flow(Faults, 0.02));
    }
}

fn lookups(page: &mut Page) {
    const QUERIES: [(&Peer, &str, &str, f64); 5] = [
        (&WEB, "api.shop.svc.cluster.local.", "A", 5.2),
        (&WEB, "api.shop.svc.cluster.local.", "AAAA", 5.1),
        (&API, "orders.shop.svc.cluster.local.", "A", 4.4),
        (&API, "db.shop.svc.cluster.local.", "A", 2.3),
        (&API, "pay.example.net.", "A", 0.8),
    ];
    let asked = page.counter("hubble_dns_queries_total", "DNS queries.");
    for (from, query, kind, rate) in QUERIES {
        let own = [("query", query), ("rcode", ""), ("qtypes", kind), ("ips_returned", "0")];
        pair(asked, from, &DNS, &own, flow(Lookups, rate));
    }
    let answered = page.counter("hubble_dns_responses_total", "DNS answers.");
    for (to, query, kind, rate) in QUERIES {
        let own = |rcode, ips| [("query", query), ("rcode", rcode), ("qtypes", kind), ("ips_returned", ips)];
        pair(answered, &DNS, to, &own("No Error", "1"), flow(Lookups, rate * 0.985));
        pair(answered, &DNS, to, &own("Non-Existent Domain", "0"), flow(Lookups, rate * 0.012));
    }
    let own = [("query", "pay.example.net."), ("rcode", "Server Failure"), ("qtypes", "A"), ("ips_returned", "0")];
    pair(answered, &DNS, &API, &own, flow(Faults, 0.01));
    let types = page.counter("hubble_dns_response_types_total", "Records of DNS answers by type.");
    for (to, query, kind, rate) in QUERIES {
        pair(types, &DNS, to, &[("query", query), ("type", kind), ("qtypes", kind)], flow(Lookups, rate * 0.985));
    }
}

fn requests(page: &mut Page) {
    const ROUTES: [(&Peer, &Peer, f64, f64); 2] = [(&GATEWAY, &WEB, 31.0, 0.023), (&WEB, &API, 28.0, 0.031)];
    const REPORTER: (&str, &str) = ("reporter", "server");
    let asked = page.counter("hubble_http_requests_total", "HTTP requests.");
    for (from, to, rate, _) in ROUTES {
        for (method, share) in [("GET", 0.81), ("POST", 0.16), ("DELETE", 0.03)] {
            let own = [("method", method), ("protocol", "HTTP/1.1"), REPORTER];
            pair(asked, from, to, &own, flow(Requests, rate * share));
        }
    }
    let answered = page.counter("hubble_http_responses_total", "HTTP answers.");
    for (from, to, rate, _) in ROUTES {
        for (status, activity, share) in
            [("200", Requests, 0.95), ("304", Requests, 0.02), ("404", Requests, 0.014), ("503", NoBackend, 0.4)]
        {
            let own = [("method", "GET"), ("status", status), REPORTER];
            pair(answered, to, from, &own, flow(activity, rate * share));
        }
    }
    let took = page.histogram("hubble_http_request_duration_seconds", "Time that HTTP requests took, in seconds.");
    for (from, to, rate, median) in ROUTES {
        pair(took, to, from, &[("method", "GET"), REPORTER], durations(Requests, rate * 0.81, SECONDS, median));
    }
}

fn verdicts(page: &mut Page) {
    let family = page.counter("hubble_policy_verdicts_total", "Verdicts of network policy.");
    let own = |direction, matched, action| [("direction", direction), ("match", matched), ("action", action)];
    pair(family, &WEB, &API, &own("ingress", "l3-l4", "forwarded"), flow(Requests, 2.9));
    pair(family, &API, &DNS, &own("egress", "l7/dns", "redirected"), flow(Lookups, 12.0));
    pair(family, &SCANNER, &DB, &own("ingress", "none", "dropped"), flow(Denied, 1.1));
}

fn itself(page: &mut Page) {
    let lost = page.counter("hubble_lost_events_total", "Events that Hubble lost.");
    for (source, rate) in
        [("perf_event_ring_buffer", 0.002), ("observer_events_queue", 0.0), ("hubble_ring_buffer", 0.0)]
    {
        lost.row(&[("source", source)], flow(Faults, rate));
    }
    page.counter("hubble_metrics_http_handler_requests_total", "Scrapes that were answered.")
        .row(&[("code", "200")], flow(Timers, 0.1));
}
