//! What the maps say, as metrics: ours, and those of Cilium's agent.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Families;

use crate::Metric;

use super::layout::{Family, Role};
use super::reader::{Held, Reader, Sum};
use super::reason::{Direction, Reason};
use super::sums::Traffic;
use super::version::Version;

const DROP_PACKETS: Metric = Metric::counter(
    "skep_cilium_drop_packets_total",
    "packets",
    "Packets that Cilium dropped, by Cilium's own words for the reason.",
);
const DROP_BYTES: Metric =
    Metric::counter("skep_cilium_drop_bytes_total", "bytes", "Bytes of packets that Cilium dropped, by reason.");
const FORWARD_PACKETS: Metric = Metric::counter(
    "skep_cilium_forward_packets_total",
    "packets",
    "Packets that Cilium passed on or took note of, by Cilium's own words for what it saw.",
);
const FORWARD_BYTES: Metric =
    Metric::counter("skep_cilium_forward_bytes_total", "bytes", "Bytes of packets that Cilium passed on.");
const SERVICES: Metric =
    Metric::gauge("skep_cilium_lb_services", "services", "Services in Cilium's load balancer that have a frontend.");
const FRONTENDS: Metric =
    Metric::gauge("skep_cilium_lb_frontends", "frontends", "Frontends of Cilium's load balancer by type of service.");
const WITHOUT_BACKEND: Metric = Metric::gauge(
    "skep_cilium_lb_frontends_without_backend",
    "frontends",
    "Frontends that should have a backend and have none: every connection to them fails.",
);
const WITHOUT_LOCAL_BACKEND: Metric = Metric::gauge(
    "skep_cilium_lb_frontends_without_local_backend",
    "frontends",
    "Frontends without a backend that only take those of their own node, where having none is usual.",
);
const BACKENDS: Metric =
    Metric::gauge("skep_cilium_lb_backends", "backends", "Backends of Cilium's load balancer by state.");
const QUARANTINED: Metric = Metric::gauge(
    "skep_cilium_lb_quarantined_slots",
    "slots",
    "Backends that frontends hold back because they are unhealthy, summed over the frontends.",
);
const SOCKETS: Metric = Metric::gauge(
    "skep_cilium_lb_socket_entries",
    "entries",
    "Sockets that Cilium translated at connect(); before Cilium 1.18 closed ones stay until they are displaced.",
);
const SERVICE_CONNECTIONS: Metric = Metric::gauge(
    "skep_cilium_lb_service_connections",
    "connections",
    "Active connections of the services that have most of them on this node; the others are summed.",
);
const CONNTRACK: Metric = Metric::gauge(
    "skep_cilium_conntrack_entries",
    "entries",
    "Entries of Cilium's conntrack maps; expired ones wait for the agent to collect them.",
);
const TCP: Metric = Metric::gauge(
    "skep_cilium_tcp_connections",
    "connections",
    "Live TCP entries of Cilium's conntrack by state, each side of a connection within the node counted for itself.",
);
const ENDPOINTS: Metric = Metric::gauge("skep_cilium_endpoints", "endpoints", "Endpoints of this node, its host left out.");
const ENDPOINT_PACKETS: Metric = Metric::counter(
    "skep_cilium_endpoint_packets_total",
    "packets",
    "Packets that policy let pass to and from an endpoint of this node, since Cilium 1.18.",
);
const ENDPOINT_BYTES: Metric = Metric::counter(
    "skep_cilium_endpoint_bytes_total",
    "bytes",
    "Bytes that policy let pass to and from an endpoint of this node, since Cilium 1.18.",
);
const RATE_LIMITED: Metric = Metric::counter(
    "skep_cilium_rate_limited_events_total",
    "events",
    "Events that Cilium's datapath kept back by its rate limit, which Hubble never saw.",
);
const ENTRIES: Metric =
    Metric::gauge("skep_cilium_map_entries", "entries", "Entries of Cilium's maps; policy maps are summed.");
const CAPACITY: Metric = Metric::gauge("skep_cilium_map_capacity", "entries", "Entries that Cilium's maps have room for.");
const PRESSURE: Metric = Metric::gauge(
    "skep_cilium_map_pressure",
    "ratio",
    "Entries by capacity of Cilium's maps, 0 to 1; of policy maps the fullest.",
);
const AGE: Metric = Metric::gauge("skep_cilium_map_age_seconds", "seconds", "Time since a map was read, the longest.");
const READ_SECONDS: Metric =
    Metric::counter("skep_cilium_map_read_cpu_seconds_total", "seconds", "CPU time that reading a map took.");
const READINGS: Metric = Metric::counter("skep_cilium_map_readings_total", "readings", "Complete readings of a map.");
const UNKNOWN: Metric = Metric::gauge(
    "skep_cilium_maps_not_understood",
    "maps",
    "Pinned maps whose layout is not that of a known version of Cilium, or that could not be read.",
);
const INFO: Metric = Metric::gauge("skep_cilium_info", "", "1, with the version of Cilium that its maps look like.");
const ACTIVE: Metric = Metric::gauge(
    "cilium_lb_active_connections",
    "connections",
    "Active connections of Cilium's load balancer on this node, by the way they were balanced.",
);
const AGENT_DROP_PACKETS: Metric =
    Metric::counter("cilium_drop_count_total", "packets", "Dropped packets, as Cilium's agent counts them.");
const AGENT_DROP_BYTES: Metric =
    Metric::counter("cilium_drop_bytes_total", "bytes", "Dropped bytes, as Cilium's agent counts them.");
const AGENT_FORWARD_PACKETS: Metric =
    Metric::counter("cilium_forward_count_total", "packets", "Forwarded packets, as Cilium's agent counts them.");
const AGENT_FORWARD_BYTES: Metric =
    Metric::counter("cilium_forward_bytes_total", "bytes", "Forwarded bytes, as Cilium's agent counts them.");
const AGENT_FRAGMENTED: Metric =
    Metric::counter("cilium_fragmented_count_total", "packets", "Fragments, as Cilium's agent counts them since 1.19.");
const AGENT_MTU_ERRORS: Metric = Metric::counter(
    "cilium_mtu_error_message_total",
    "messages",
    "ICMP messages on packets that are too big, as Cilium's agent counts them since 1.19.",
);
const AGENT_PRESSURE: Metric =
    Metric::gauge("cilium_bpf_map_pressure", "ratio", "Entries by capacity of maps, as Cilium's agent names them.");

pub(super) const METRICS: &[Metric] = &[
    DROP_PACKETS,
    DROP_BYTES,
    FORWARD_PACKETS,
    FORWARD_BYTES,
    SERVICES,
    FRONTENDS,
    WITHOUT_BACKEND,
    WITHOUT_LOCAL_BACKEND,
    BACKENDS,
    QUARANTINED,
    SOCKETS,
    SERVICE_CONNECTIONS,
    CONNTRACK,
    TCP,
    ENDPOINTS,
    ENDPOINT_PACKETS,
    ENDPOINT_BYTES,
    RATE_LIMITED,
    ENTRIES,
    CAPACITY,
    PRESSURE,
    AGE,
    READ_SECONDS,
    READINGS,
    UNKNOWN,
    INFO,
    ACTIVE,
    AGENT_DROP_PACKETS,
    AGENT_DROP_BYTES,
    AGENT_FORWARD_PACKETS,
    AGENT_FORWARD_BYTES,
    AGENT_FRAGMENTED,
    AGENT_MTU_ERRORS,
    AGENT_PRESSURE,
];

/// Maps of which the agent shows the pressure.
const AGENT_MAPS: [&str; 14] = [
    "lb4_services_v2",
    "lb6_services_v2",
    "lb4_backends_v3",
    "lb6_backends_v3",
    "lb4_reverse_nat",
    "lb6_reverse_nat",
    "lb_affinity_match",
    "ct4_global",
    "ct6_global",
    "ct_any4_global",
    "ct_any6_global",
    "snat_v4_external",
    "snat_v6_external",
    "lxc",
];

/// Endpoints with series of their own, those with the lowest numbers: more than Kubernetes puts on a node (110, or 250 on
/// large ones).
const ENDPOINTS_MAX: usize = 256;

type Labels = Vec<(&'static str, String)>;

/// Values by their labels, so that maps of the same kind add up to one series.
#[derive(Default)]
struct Values(BTreeMap<Labels, f64>);

/// One map, or all policy maps together.
#[derive(Default)]
struct Fill {
    entries: Option<u64>,
    capacity: u64,
    pressure: Option<f64>,
    age: Option<Duration>,
    spent: Duration,
    readings: u64,
}

impl Values {
    fn add<const N: usize>(&mut self, labels: [(&'static str, &str); N], value: f64) {
        *self.0.entry(labels.map(|(name, value)| (name, value.to_owned())).into()).or_default() += value;
    }

    fn expose(self, metric: &Metric, families: &mut Families) {
        if self.0.is_empty() {
            return;
        }
        let family = metric.family(families);
        for (labels, value) in self.0 {
            family.with(labels, value);
        }
    }
}

/// Everything under our own names, and the connections of the load balancer, which nobody else exports.
pub(super) fn all(reader: &Reader, version: Option<Version>, families: &mut Families) {
    traffic(reader, families);
    balancer(reader, families);
    connections(reader, families);
    active(reader, version, families);
    others(reader, families);
    maps(reader, families);
    let version = version.map_or_else(|| "unknown".to_owned(), |version| version.to_string());
    INFO.family(families).with([("version", version)], 1.0);
}

/// What the agent exports, under its names and with its labels.
pub(super) fn as_agent(reader: &Reader, version: Option<Version>, families: &mut Families) {
    let mut values: [Values; 4] = Default::default();
    let [drops, drop_bytes, forwards, forward_bytes] = &mut values;
    for (reason, direction, traffic) in counters(reader) {
        if reason.is_drop() {
            let labels = [("reason", &*reason.text()), ("direction", direction.text())];
            drops.add(labels, traffic.packets as f64);
            drop_bytes.add(labels, traffic.bytes as f64);
        } else {
            forwards.add([("direction", direction.text())], traffic.packets as f64);
            forward_bytes.add([("direction", direction.text())], traffic.bytes as f64);
        }
    }
    let metrics = [&AGENT_DROP_PACKETS, &AGENT_DROP_BYTES, &AGENT_FORWARD_PACKETS, &AGENT_FORWARD_BYTES];
    for (metric, values) in metrics.into_iter().zip(values) {
        values.expose(metric, families);
    }
    if version.is_some_and(|version| version >= Version::V1_19) {
        for (metric, reason) in [(&AGENT_FRAGMENTED, Reason::FRAGMENTED), (&AGENT_MTU_ERRORS, Reason::MTU_ERROR)] {
            let mut values = Values::default();
            for (_, direction, traffic) in counters(reader).filter(|(found, ..)| *found == reason) {
                values.add([("direction", direction.text())], traffic.packets as f64);
            }
            values.expose(metric, families);
        }
    }
    let mut pressures = Values::default();
    for (name, fill) in fills(reader) {
        // The agent leaves out what is empty.
        let pressure = fill.pressure.filter(|pressure| *pressure > 0.0);
        if let Some(pressure) = pressure.filter(|_| AGENT_MAPS.contains(&name)) {
            pressures.add([("map_name", name)], pressure);
        }
    }
    pressures.expose(&AGENT_PRESSURE, families);
}

fn counters(reader: &Reader) -> impl Iterator<Item = (Reason, Direction, Traffic)> {
    let metrics = reader.sums().filter_map(|sum| if let Sum::Metrics(metrics) = sum { Some(metrics) } else { None });
    metrics.flat_map(|metrics| metrics.0.iter().map(|((reason, direction), traffic)| (*reason, *direction, *traffic)))
}

fn traffic(reader: &Reader, families: &mut Families) {
    let mut values: [Values; 4] = Default::default();
    let [drops, drop_bytes, forwards, forward_bytes] = &mut values;
    for (reason, direction, traffic) in counters(reader) {
        let labels = [("reason", &*reason.text()), ("direction", direction.lower())];
        let (packets, bytes) = if reason.is_drop() { (&mut *drops, &mut *drop_bytes) } else { (&mut *forwards, &mut *forward_bytes) };
        packets.add(labels, traffic.packets as f64);
        bytes.add(labels, traffic.bytes as f64);
    }
    for (metric, values) in [&DROP_PACKETS, &DROP_BYTES, &FORWARD_PACKETS, &FORWARD_BYTES].into_iter().zip(values) {
        values.expose(metric, families);
    }
}

fn balancer(reader: &Reader, families: &mut Families) {
    let [mut services, mut frontends, mut without, mut without_local, mut quarantined, mut backends]: [Values; 6] =
        Default::default();
    for sum in reader.sums() {
        match sum {
            Sum::Services(family, sum) => {
                let family = ("family", family.name());
                services.add([family], sum.services() as f64);
                quarantined.add([family], sum.quarantined as f64);
                let of = |counts: &BTreeMap<&str, u64>, kind| counts.get(kind).copied().unwrap_or_default() as f64;
                for (kind, count) in &sum.frontends {
                    let labels = [family, ("type", *kind)];
                    frontends.add(labels, *count as f64);
                    without.add(labels, of(&sum.without_backend, *kind));
                    without_local.add(labels, of(&sum.without_local_backend, *kind));
                }
            }
            Sum::Backends(family, sum) => {
                for (state, count) in &sum.0 {
                    backends.add([("family", family.name()), ("state", *state)], *count as f64);
                }
            }
            _ => {}
        }
    }
    services.expose(&SERVICES, families);
    frontends.expose(&FRONTENDS, families);
    without.expose(&WITHOUT_BACKEND, families);
    without_local.expose(&WITHOUT_LOCAL_BACKEND, families);
    backends.expose(&BACKENDS, families);
    quarantined.expose(&QUARANTINED, families);
}

fn connections(reader: &Reader, families: &mut Families) {
    let [mut entries, mut tcp, mut by_service]: [Values; 3] = Default::default();
    for sum in reader.sums() {
        let Sum::Conntrack(family, _, sum) = sum else { continue };
        let family = ("family", family.name());
        for ([protocol, kind, state], count) in sum.entries() {
            entries.add([family, ("protocol", protocol), ("kind", kind), ("state", state)], count as f64);
        }
        for (state, count) in sum.tcp() {
            tcp.add([family, ("state", state)], count as f64);
        }
    }
    for (service, count) in reader.services() {
        by_service.add([("service", service)], *count as f64);
    }
    entries.expose(&CONNTRACK, families);
    tcp.expose(&TCP, families);
    by_service.expose(&SERVICE_CONNECTIONS, families);
}

/// A connection is in one of the two: what was translated at connect() has no entry of the load balancer in conntrack.
fn active(reader: &Reader, version: Option<Version>, families: &mut Families) {
    let [mut active, mut sockets]: [Values; 2] = Default::default();
    for sum in reader.sums() {
        let Sum::Conntrack(family, _, sum) = sum else { continue };
        let labels = |protocol| [("family", family.name()), ("path", "per_packet"), ("protocol", protocol)];
        active.add(labels("tcp"), 0.0);
        for (protocol, count) in sum.active() {
            active.add(labels(protocol), count as f64);
        }
    }
    for (family, entries) in reader.maps().filter_map(|(_, held)| Some((sockets_of(held)?, held.reading.as_ref()?.entries))) {
        sockets.add([("family", family.name())], entries as f64);
        // Before, entries outlive their sockets, and the sum would grow until the map is full.
        if version.is_some_and(|version| version >= Version::V1_18) {
            active.add([("family", family.name()), ("path", "socket"), ("protocol", "any")], entries as f64);
        }
    }
    active.expose(&ACTIVE, families);
    sockets.expose(&SOCKETS, families);
}

fn sockets_of(held: &Held) -> Option<Family> {
    if let Role::Sockets(family) = held.layout.role { Some(family) } else { None }
}

fn others(reader: &Reader, families: &mut Families) {
    let [mut endpoints, mut events, mut packets, mut bytes]: [Values; 4] = Default::default();
    for sum in reader.sums() {
        match sum {
            Sum::Endpoints(sum) => endpoints.add([], sum.0.len() as f64),
            Sum::RateLimit(sum) => {
                for (usage, count) in &sum.0 {
                    events.add([("usage", *usage)], *count as f64);
                }
            }
            Sum::PolicyStats(sum) => {
                for ((endpoint, direction), traffic) in sum.totals.iter().take(2 * ENDPOINTS_MAX) {
                    let endpoint = endpoint.to_string();
                    let labels = [("endpoint", endpoint.as_str()), ("direction", *direction)];
                    packets.add(labels, traffic.packets as f64);
                    bytes.add(labels, traffic.bytes as f64);
                }
            }
            _ => {}
        }
    }
    endpoints.expose(&ENDPOINTS, families);
    packets.expose(&ENDPOINT_PACKETS, families);
    bytes.expose(&ENDPOINT_BYTES, families);
    events.expose(&RATE_LIMITED, families);
}

fn maps(reader: &Reader, families: &mut Families) {
    let fills = fills(reader);
    let mut expose = |metric: &Metric, pick: fn(&Fill) -> Option<f64>| {
        let mut values = Values::default();
        for (name, fill) in &fills {
            if let Some(value) = pick(fill) {
                values.add([("map", *name)], value);
            }
        }
        values.expose(metric, families);
    };
    expose(&ENTRIES, |fill| fill.entries.map(|entries| entries as f64));
    expose(&CAPACITY, |fill| (fill.capacity > 0).then_some(fill.capacity as f64));
    expose(&PRESSURE, |fill| fill.pressure);
    expose(&AGE, |fill| fill.age.map(|age| age.as_secs_f64()));
    expose(&READ_SECONDS, |fill| Some(fill.spent.as_secs_f64()));
    expose(&READINGS, |fill| Some(fill.readings as f64));
    let refused = reader.maps().filter(|(_, held)| held.refused.is_some()).count();
    UNKNOWN.family(families).value(refused as f64);
}

fn fills(reader: &Reader) -> BTreeMap<&'static str, Fill> {
    let mut fills: BTreeMap<&'static str, Fill> = BTreeMap::new();
    for (_, held) in reader.maps() {
        fills.entry(held.layout.name).or_default().add(held);
    }
    fills
}

impl Fill {
    fn add(&mut self, held: &Held) {
        self.capacity += u64::from(held.capacity.unwrap_or_default());
        self.spent += held.spent;
        self.readings += held.readings;
        let Some(reading) = &held.reading else { return };
        self.entries = Some(self.entries.unwrap_or_default() + reading.entries);
        let share = reading.entries as f64 / f64::from(held.capacity.unwrap_or_default().max(1));
        self.pressure = Some(self.pressure.unwrap_or_default().max(share));
        self.age = self.age.max(Some(reading.at.elapsed()));
    }
}
