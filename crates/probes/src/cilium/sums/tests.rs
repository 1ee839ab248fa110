//! Entries written by hand, byte for byte as the layouts say, in the order of a little-endian machine.
#![cfg(target_endian = "little")]

use super::*;

/// Numbers as the machine writes them, and raw bytes, one after the other.
macro_rules! bytes {
    ($($part:expr),* $(,)?) => {{
        let mut bytes: Vec<u8> = Vec::new();
        $(bytes.extend_from_slice(&$part[..]);)*
        bytes
    }};
}

const VIP: [u8; 4] = [10, 96, 0, 1];
const POD: [u8; 4] = [10, 0, 1, 7];

#[test]
fn a_counter_that_was_dumped_on_a_cluster() {
    let mut metrics = Metrics::default();
    let denied = [0x85, 2, 0, 0, 0, 0, 0, 0];
    metrics.add(&denied, &bytes![0x15_u64.to_le_bytes(), 0x0612_u64.to_le_bytes()]);
    let expected = Traffic { packets: 21, bytes: 1554 };
    let entry = ((Reason(133), Direction::of(2)), expected);
    assert_eq!(metrics.0.into_iter().collect::<Vec<_>>(), [entry]);
}

#[test]
fn counters_are_summed_over_cpus_lines_and_files() {
    let mut metrics = Metrics::default();
    let cpus = |packets: [u64; 2]| {
        bytes![packets[0].to_le_bytes(), 100_u64.to_le_bytes(), packets[1].to_le_bytes(), 10_u64.to_le_bytes()]
    };
    metrics.add(&[0, 1, 0, 0, 0, 0, 0, 0], &cpus([1, 2]));
    metrics.add(&[0, 1, 0x34, 0x12, 2, 0, 0, 0], &cpus([3, 4]));
    // The six upper bits of the direction's byte are not its own.
    metrics.add(&[0, 0xfd, 0x35, 0x12, 2, 0, 0, 0], &cpus([5, 6]));
    let expected = Traffic { packets: 21, bytes: 330 };
    assert_eq!(metrics.0.into_iter().collect::<Vec<_>>(), [((Reason(0), Direction::of(1)), expected)]);
}

struct Frontend {
    port: u16,
    slot: u16,
    protocol: u8,
    count: u16,
    id: u16,
    flags: [u8; 2],
    quarantined: u16,
}

const FRONTEND: Frontend = Frontend { port: 443, slot: 0, protocol: 6, count: 2, id: 7, flags: [0, 0], quarantined: 0 };

impl Frontend {
    fn key(&self, address: &[u8]) -> Vec<u8> {
        bytes![address, self.port.to_be_bytes(), self.slot.to_le_bytes(), [self.protocol, 0, 0, 0]]
    }

    fn value(&self) -> Vec<u8> {
        bytes![[0; 4], self.count.to_le_bytes(), self.id.to_be_bytes(), self.flags, self.quarantined.to_le_bytes()]
    }
}

fn services(family: Family, address: &[u8], frontends: &[Frontend]) -> Services {
    let mut services = Services::default();
    for frontend in frontends {
        services.add(family, &frontend.key(address), &frontend.value());
    }
    services
}

/// One frontend: its type, and how it is counted where it has no backend.
#[track_caller]
fn check_frontend(frontend: Frontend, kind: &'static str, without: &str) {
    let services = services(Family::V4, &VIP, &[frontend]);
    assert_eq!(services.frontends, BTreeMap::from([(kind, 1)]));
    let got = match (services.without_backend.get(kind), services.without_local_backend.get(kind)) {
        (None, None) => "has one",
        (Some(1), None) => "broken",
        (None, Some(1)) => "elsewhere",
        other => panic!("{other:?}"),
    };
    assert_eq!(got, without, "{kind}");
}

#[test]
fn types_of_frontends() {
    let typed = |flags| Frontend { flags, ..FRONTEND };
    check_frontend(typed([0, 0]), "cluster_ip", "has one");
    check_frontend(typed([1 | 2, 0]), "external_ip", "has one");
    check_frontend(typed([2, 0]), "node_port", "has one");
    check_frontend(typed([0x20, 0]), "load_balancer", "has one");
    check_frontend(typed([8, 0]), "host_port", "has one");
    check_frontend(typed([0, 1]), "local_redirect", "has one");
}

#[test]
fn frontends_without_a_backend() {
    let empty = |flags| Frontend { count: 0, flags, ..FRONTEND };
    check_frontend(empty([0, 0]), "cluster_ip", "broken");
    check_frontend(empty([0x10 | 0x40, 0]), "cluster_ip", "broken");
    check_frontend(empty([0x20 | 4, 0]), "load_balancer", "elsewhere");
    check_frontend(empty([0, 0x10]), "cluster_ip", "elsewhere");
    check_frontend(empty([2, 0x20]), "node_port", "elsewhere");
    check_frontend(empty([0x20, 4]), "load_balancer", "has one");
    let named = services(Family::V4, &VIP, &[empty([0, 0]), Frontend { protocol: 0, ..empty([2, 0]) }]).named;
    assert_eq!(named, ["10.96.0.1:443/tcp (cluster_ip)", "10.96.0.1:443 (node_port)"]);
}

#[test]
fn slots_and_wildcards_are_no_frontends() {
    let slot = Frontend { slot: 1, count: 0, ..FRONTEND };
    let wildcard = Frontend { port: 0, protocol: 0, count: 0, ..FRONTEND };
    assert_eq!(services(Family::V4, &VIP, &[slot, wildcard]), Services::default());
}

#[test]
fn frontends_of_ipv6() {
    let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).octets();
    let other = Frontend { port: 53, protocol: 17, count: 0, quarantined: 3, id: 8, ..FRONTEND };
    let services = services(Family::V6, &address, &[FRONTEND, Frontend { port: 80, ..FRONTEND }, other]);
    assert_eq!(services.frontends, BTreeMap::from([("cluster_ip", 3)]));
    assert_eq!(services.services(), 2);
    assert_eq!(services.quarantined, 3);
    assert_eq!(services.named, ["[fd00::1]:53/udp (cluster_ip)"]);
}

#[test]
fn a_flood_of_broken_frontends_is_counted_and_not_named() {
    let broken: Vec<_> = (1..=100).map(|port| Frontend { port, count: 0, ..FRONTEND }).collect();
    let services = services(Family::V4, &VIP, &broken);
    assert_eq!((services.without_backend["cluster_ip"], services.named.len()), (100, NAMED_MAX));
}

#[test]
fn backends_by_state() {
    let mut backends = Backends::default();
    for state in [0, 0, 1, 2, 3, 9] {
        backends.add(Family::V4, &bytes![POD, 8080_u16.to_be_bytes(), [6, state, 0, 0, 0, 0]]);
        // Of 1.13 and earlier: it ends with the state.
        backends.add(Family::V4, &bytes![POD, 8080_u16.to_be_bytes(), [6, state]]);
        backends.add(Family::V6, &bytes![[0; 16], 8080_u16.to_be_bytes(), [6, state, 0, 0, 0, 0]]);
    }
    let expected = [("active", 6), ("maintenance", 3), ("other", 3), ("quarantined", 3), ("terminating", 3)];
    assert_eq!(backends.0, BTreeMap::from(expected));
}

#[test]
fn endpoints_are_counted_once_and_the_host_is_none() {
    let mut endpoints = Endpoints::default();
    for (id, flags) in [(7_u16, 0_u32), (7, 0), (8, 2), (1, 1)] {
        endpoints.add(&bytes![[9, 0, 0, 0, 0, 0], id.to_le_bytes(), flags.to_le_bytes(), [0; 36]]);
    }
    assert_eq!(endpoints.0, BTreeSet::from([7, 8]));
}

#[test]
fn lost_events() {
    let mut events = RateLimit::default();
    for (usage, count) in [(1_u32, 4_u64), (2, 5), (3, 6), (77, 7), (78, 8)] {
        events.add(&usage.to_le_bytes(), &count.to_le_bytes());
    }
    assert_eq!(events.0, BTreeMap::from([("events_map", 5), ("icmpv6", 4), ("other", 15), ("socket_events", 6)]));
}

const NOW: u32 = 100_000;

fn tuple(family: Family, protocol: u8, flags: u8) -> Vec<u8> {
    bytes![vec![10; 2 * family.address_bytes()], 443_u16.to_be_bytes(), 50_000_u16.to_be_bytes(), [protocol, flags]]
}

/// Everything that versions disagree about is filled with ones.
fn entry(lifetime: u32, flags: u16, id: u16) -> Vec<u8> {
    bytes![[0xff; 32], lifetime.to_le_bytes(), flags.to_le_bytes(), id.to_be_bytes(), [0xff; 16]]
}

#[track_caller]
fn check_conntrack(protocol: u8, direction: u8, lifetime: u32, flags: u16, expected: &str) {
    for family in [Family::V4, Family::V6] {
        let mut conntrack = Conntrack::default();
        conntrack.add(family, NOW, &tuple(family, protocol, direction), &entry(lifetime, flags, 513));
        let ([protocol, kind, life], _) = conntrack.entries().next().unwrap();
        let got = format!(
            "{protocol} {kind} {life} tcp={} active={} service={:?}",
            conntrack.tcp().map(|(state, _)| state).collect::<String>(),
            conntrack.active().map(|(protocol, _)| protocol).collect::<String>(),
            conntrack.by_service().map(|(id, _)| id).collect::<Vec<_>>(),
        );
        assert_eq!(got, expected);
    }
}

#[test]
fn conntrack_entries() {
    check_conntrack(6, 4, NOW, 0x10, "tcp service alive tcp= active=tcp service=[513]");
    check_conntrack(6, 4, NOW - 1, 0x10, "tcp service expired tcp= active= service=[]");
    // One bit up to 1.14, both since.
    check_conntrack(6, 4, NOW + 8000, 0x12, "tcp service alive tcp= active= service=[]");
    check_conntrack(6, 4, NOW + 10, 0x13, "tcp service alive tcp= active= service=[]");
    check_conntrack(17, 4, NOW + 60, 0, "udp service alive tcp= active=udp service=[513]");
    check_conntrack(132, 5, NOW + 60, 0, "sctp service alive tcp= active=sctp service=[513]");
    check_conntrack(6, 0, NOW + 60, 0, "tcp out alive tcp=half_open active= service=[]");
    check_conntrack(6, 0, NOW + 60, 0x10, "tcp out alive tcp=established active= service=[]");
    check_conntrack(6, 1, NOW + 60, 0x11, "tcp in alive tcp=closing active= service=[]");
    check_conntrack(6, 1, NOW + 60, 0x13, "tcp in alive tcp=closed active= service=[]");
    check_conntrack(6, 1, 0, 0x10, "tcp in expired tcp= active= service=[]");
    check_conntrack(1, 2, NOW + 60, 0, "icmp related alive tcp= active= service=[]");
    check_conntrack(58, 3, NOW + 60, 0, "icmpv6 related alive tcp= active= service=[]");
    check_conntrack(47, 0, NOW + 60, 0, "other out alive tcp= active= service=[]");
}

#[test]
fn addresses_of_services() {
    assert_eq!(virtual_ip(Family::V4, &bytes![VIP, 443_u16.to_be_bytes()]), "10.96.0.1:443");
    let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).octets();
    assert_eq!(virtual_ip(Family::V6, &bytes![address, 53_u16.to_be_bytes()]), "[fd00::1]:53");
}

#[test]
fn what_is_too_short_reads_as_zeros() {
    Metrics::default().add(&[], &[1, 2, 3]);
    Services::default().add(Family::V6, &[0; 3], &[]);
    Conntrack::default().add(Family::V6, NOW, &[6; 37], &[1; 33]);
    assert_eq!(virtual_ip(Family::V4, &[]), "0.0.0.0:0");
}

#[test]
fn traffic_of_endpoints_never_falls() {
    let key = |endpoint: u16, side: u8| [&endpoint.to_ne_bytes()[..], &[0; 6], &[side], &[0; 3]].concat();
    let reading = |entries: &[(u16, u8, u64)], before: Option<&PolicyStats>| {
        let mut sum = PolicyStats::default();
        for (endpoint, side, packets) in entries {
            let cpu = [packets.to_ne_bytes(), (100 * packets).to_ne_bytes()].concat();
            sum.add(&key(*endpoint, *side), &cpu.repeat(2));
        }
        sum.follow(before);
        sum
    };
    let check = |sum: &PolicyStats, expected: &[(EndpointSide, u64)]| {
        let totals: Vec<_> = sum.totals.iter().map(|(side, traffic)| (*side, traffic.packets)).collect();
        assert_eq!(totals, expected);
        assert!(sum.totals.values().all(|traffic| traffic.bytes == 100 * traffic.packets));
    };
    // Two peers of endpoint 7, and two CPUs.
    let first = reading(&[(7, 0, 10), (7, 0, 5), (7, 1, 1)], None);
    check(&first, &[((7, "egress"), 2), ((7, "ingress"), 30)]);
    // The map forgot one peer, and then counts on.
    let second = reading(&[(7, 0, 11), (7, 1, 3)], Some(&first));
    check(&second, &[((7, "egress"), 6), ((7, "ingress"), 30)]);
    let third = reading(&[(7, 0, 13), (8, 0, 1)], Some(&second));
    check(&third, &[((7, "ingress"), 34), ((8, "ingress"), 2)]);
}
