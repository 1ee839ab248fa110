//! What is kept of a map's entries while it is read: sums, never entries. Keys and values are decoded by offset, because
//! Cilium packs them; numbers are in the machine's byte order unless a comment says network order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::layout::Family;
use super::reason::{Direction, Reason};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// `cilium_metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Metrics(pub(super) BTreeMap<(Reason, Direction), Traffic>);

/// A services map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Services {
    /// Frontends by type, wildcard ones left out.
    pub(super) frontends: BTreeMap<&'static str, u64>,
    /// Those that should have a backend and have none, by type.
    pub(super) without_backend: BTreeMap<&'static str, u64>,
    /// Those without a backend on this node that may well have some on others, by type.
    pub(super) without_local_backend: BTreeMap<&'static str, u64>,
    /// The first few of those that should have a backend and have none, as people write them.
    pub(super) named: Vec<String>,
    /// Backends that are held back, summed over the frontends.
    pub(super) quarantined: u64,
    /// Numbers of services.
    ids: BTreeSet<u16>,
}

/// A backends map: backends by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Backends(pub(super) BTreeMap<&'static str, u64>);

/// The map of endpoints: the numbers of those that are pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoints(pub(super) BTreeSet<u16>);

/// `cilium_policystats`, an LRU map, which forgets what was not counted for long: only what is more than at the reading
/// before is added, so that no total falls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PolicyStats {
    read: BTreeMap<EndpointSide, Traffic>,
    pub(super) totals: BTreeMap<EndpointSide, Traffic>,
}

/// The number of an endpoint and a direction.
pub(super) type EndpointSide = (u16, &'static str);

/// Lost events by what lost them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RateLimit(pub(super) BTreeMap<&'static str, u64>);

/// A conntrack map. A full one has half a million entries, so that each is counted by numbers and not by names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conntrack {
    /// By protocol, kind, and whether they live or only wait to be collected.
    entries: [[[u64; 2]; KINDS.len()]; PROTOCOLS.len()],
    /// TCP connections of pods by how far they are, without those of the load balancer.
    tcp: [u64; TCP_STATES.len()],
    /// Active connections of the load balancer by protocol.
    active: [u64; PROTOCOLS.len()],
    /// The same by the number of the service; empty until there is one.
    by_service: Vec<u64>,
}

const PROTOCOLS: [&str; 6] = ["icmp", "tcp", "udp", "icmpv6", "sctp", "other"];
const TCP: usize = 1;
const KINDS: [&str; 4] = ["out", "in", "related", "service"];
const KIND_RELATED: usize = 2;
const KIND_SERVICE: usize = 3;
const LIVES: [&str; 2] = ["alive", "expired"];
const TCP_STATES: [&str; 4] = ["half_open", "established", "closing", "closed"];
/// Numbers of services have 16 bits.
const SERVICES_MAX: usize = 1 << 16;

/// Frontends without a backend that are named.
const NAMED_MAX: usize = 10;

// Flags of a service, `flags` and `flags2` of its value.
const EXTERNAL_IP: u8 = 1;
const NODE_PORT: u8 = 2;
const EXTERNAL_LOCAL: u8 = 4;
const HOST_PORT: u8 = 8;
const LOAD_BALANCER: u8 = 0x20;
const LOCAL_REDIRECT: u8 = 1;
const L7: u8 = 4;
const INTERNAL_LOCAL: u8 = 0x10;
const TWO_SCOPES: u8 = 0x20;

// Flags of a conntrack key.
const IN: u8 = 1;
const RELATED: u8 = 2;
const SERVICE: u8 = 4;
// Flags of a conntrack value.
const CLOSING: u16 = 3;
const SEEN_NON_SYN: u16 = 1 << 4;

impl Metrics {
    /// Key: reason at 0, two bits of direction at 1, since 1.16 line and file, over which the sum goes. Value for each
    /// CPU: packets at 0, bytes at 8.
    pub(super) fn add(&mut self, key: &[u8], values: &[u8]) {
        self.0.entry((Reason(u8_at(key, 0)), Direction::of(u8_at(key, 1)))).or_default().add(values);
    }
}

impl Traffic {
    /// For each CPU packets at 0, bytes at 8. What somebody else writes there may be any number, so that sums turn over as
    /// the kernel's do.
    fn add(&mut self, values: &[u8]) {
        for cpu in values.chunks_exact(16) {
            self.packets = self.packets.wrapping_add(u64_at(cpu, 0));
            self.bytes = self.bytes.wrapping_add(u64_at(cpu, 8));
        }
    }

    /// With what `now` has more than `before`.
    fn grown(self, before: Self, now: Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(now.packets.saturating_sub(before.packets)),
            bytes: self.bytes.wrapping_add(now.bytes.saturating_sub(before.bytes)),
        }
    }
}

impl PolicyStats {
    /// Key: number of the endpoint at 0, the lowest bit at 8 is set for egress; peers, protocols and ports, over which the
    /// sum goes. Value as in the map of metrics.
    pub(super) fn add(&mut self, key: &[u8], values: &[u8]) {
        let direction = if u8_at(key, 8) & 1 == 1 { "egress" } else { "ingress" };
        self.read.entry((u16_at(key, 0), direction)).or_default().add(values);
    }

    /// Makes totals of a complete reading and that before it. Endpoints that are gone from the map are forgotten.
    pub(super) fn follow(&mut self, before: Option<&Self>) {
        let nothing = Self::default();
        let before = before.unwrap_or(&nothing);
        let total = |(side, now): (&EndpointSide, &Traffic)| {
            let of = |sums: &BTreeMap<EndpointSide, Traffic>| sums.get(side).copied().unwrap_or_default();
            (*side, of(&before.totals).grown(of(&before.read), *now))
        };
        self.totals = self.read.iter().map(total).collect();
    }
}

impl Services {
    /// Key: address and port in network order, slot (0 is the frontend itself), protocol, scope. Value: count of
    /// backends at 4, number of the service in network order at 6, flags at 8 and 9, held back backends at 10.
    pub(super) fn add(&mut self, family: Family, key: &[u8], value: &[u8]) {
        let at = family.address_bytes();
        let (port, slot, protocol) = (u16_be_at(key, at), u16_at(key, at + 2), u8_at(key, at + 4));
        if slot != 0 {
            return;
        }
        // Since 1.19 one such entry an address catches ports that no service has.
        if port == 0 && protocol == 0 {
            return;
        }
        let (count, flags, flags2) = (u16_at(value, 4), u8_at(value, 8), u8_at(value, 9));
        let kind = service_type(flags, flags2);
        self.ids.insert(u16_be_at(value, 6));
        self.quarantined += u64::from(u16_at(value, 10));
        *self.frontends.entry(kind).or_default() += 1;
        // The proxy stands in for the backends of an L7 service.
        if count != 0 || flags2 & L7 != 0 {
            return;
        }
        if flags & EXTERNAL_LOCAL != 0 || flags2 & (INTERNAL_LOCAL | TWO_SCOPES) != 0 {
            *self.without_local_backend.entry(kind).or_default() += 1;
            return;
        }
        *self.without_backend.entry(kind).or_default() += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(frontend(family, key, port, protocol, kind));
        }
    }

    /// How many services the frontends belong to.
    pub(super) fn services(&self) -> usize {
        self.ids.len()
    }
}

impl Backends {
    /// Value: address, port, protocol, then the state.
    pub(super) fn add(&mut self, family: Family, value: &[u8]) {
        let state = match u8_at(value, family.address_bytes() + 3) {
            0 => "active",
            1 => "terminating",
            2 => "quarantined",
            3 => "maintenance",
            _ => "other",
        };
        *self.0.entry(state).or_default() += 1;
    }
}

impl Endpoints {
    /// Value: number of the endpoint at 6, flags at 8, of which the lowest means the host itself.
    pub(super) fn add(&mut self, value: &[u8]) {
        if u32_at(value, 8) & 1 == 0 {
            self.0.insert(u16_at(value, 6));
        }
    }
}

impl RateLimit {
    /// Key: usage. Value: dropped events.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        let usage = match u32_at(key, 0) {
            1 => "icmpv6",
            2 => "events_map",
            3 => "socket_events",
            _ => "other",
        };
        let events = self.0.entry(usage).or_default();
        *events = events.wrapping_add(u64_at(value, 0));
    }
}

impl Conntrack {
    /// Key: both addresses, both ports, protocol, flags. Value: the second in which it expires at 32, flags at 36,
    /// number of the service in network order at 38; these are the same in all versions.
    pub(super) fn add(&mut self, family: Family, now: u32, key: &[u8], value: &[u8]) {
        let at = 2 * family.address_bytes() + 4;
        let (protocol, kind) = (protocol(u8_at(key, at)), conntrack_kind(u8_at(key, at + 1)));
        let is_expired = u32_at(value, 32) < now;
        let flags = u16_at(value, 36);
        self.entries[protocol][kind][usize::from(is_expired)] += 1;
        // A FIN or RST of a connection of the load balancer sets both bits since 1.15, one of them before.
        if kind == KIND_SERVICE && !is_expired && flags & CLOSING == 0 {
            self.active[protocol] += 1;
            self.by_service.resize(SERVICES_MAX, 0);
            self.by_service[usize::from(u16_be_at(value, 38))] += 1;
        }
        if protocol == TCP && kind < KIND_RELATED && !is_expired {
            self.tcp[tcp_state(flags)] += 1;
        }
    }

    /// Entries by protocol, kind and life, where there are any.
    pub(super) fn entries(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> {
        let kinds = |(protocol, kinds): (&'static str, &'_ [[u64; 2]; 4])| {
            let lives = move |(kind, counts): (&'static str, [u64; 2])| {
                LIVES.into_iter().zip(counts).map(move |(life, count)| ([protocol, kind, life], count))
            };
            KINDS.into_iter().zip(*kinds).flat_map(lives)
        };
        PROTOCOLS.into_iter().zip(&self.entries).flat_map(kinds).filter(|(_, count)| *count > 0)
    }

    /// TCP connections of pods by state, where there are any.
    pub(super) fn tcp(&self) -> impl Iterator<Item = (&'static str, u64)> {
        TCP_STATES.into_iter().zip(self.tcp).filter(|(_, count)| *count > 0)
    }

    /// Active connections of the load balancer by protocol, where there are any.
    pub(super) fn active(&self) -> impl Iterator<Item = (&'static str, u64)> {
        PROTOCOLS.into_iter().zip(self.active).filter(|(_, count)| *count > 0)
    }

    /// The same by the number of the service.
    pub(super) fn by_service(&self) -> impl Iterator<Item = (u16, u64)> {
        (0..=u16::MAX).zip(&self.by_service).map(|(id, count)| (id, *count)).filter(|(_, count)| *count > 0)
    }
}

/// The number of the state in [`TCP_STATES`].
fn tcp_state(flags: u16) -> usize {
    match flags & CLOSING {
        0 => usize::from(flags & SEEN_NON_SYN != 0),
        CLOSING => 3,
        _ => 2,
    }
}

/// The number of the kind in [`KINDS`].
fn conntrack_kind(direction: u8) -> usize {
    if direction & SERVICE != 0 {
        KIND_SERVICE
    } else if direction & RELATED != 0 {
        KIND_RELATED
    } else {
        usize::from(direction & IN)
    }
}

/// The first that matches, as Cilium itself decides.
fn service_type(flags: u8, flags2: u8) -> &'static str {
    if flags & EXTERNAL_IP != 0 {
        "external_ip"
    } else if flags & NODE_PORT != 0 {
        "node_port"
    } else if flags & LOAD_BALANCER != 0 {
        "load_balancer"
    } else if flags & HOST_PORT != 0 {
        "host_port"
    } else if flags2 & LOCAL_REDIRECT != 0 {
        "local_redirect"
    } else {
        "cluster_ip"
    }
}

/// The number of the protocol in [`PROTOCOLS`].
fn protocol(number: u8) -> usize {
    match number {
        1 => 0,
        6 => TCP,
        17 => 2,
        58 => 3,
        132 => 4,
        _ => 5,
    }
}

fn frontend(family: Family, key: &[u8], port: u16, number: u8, kind: &str) -> String {
    let address = address(family, key, 0);
    let end = std::net::SocketAddr::new(address, port);
    if number == 0 { format!("{end} ({kind})") } else { format!("{end}/{} ({kind})", PROTOCOLS[protocol(number)]) }
}

/// Address and port in a value of a reverse_nat map, as people write them.
pub(super) fn virtual_ip(family: Family, value: &[u8]) -> String {
    std::net::SocketAddr::new(address(family, value, 0), u16_be_at(value, family.address_bytes())).to_string()
}

fn address(family: Family, bytes: &[u8], at: usize) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from(array_at::<4>(bytes, at)).into(),
        Family::V6 => Ipv6Addr::from(array_at::<16>(bytes, at)).into(),
    }
}

/// Bytes at an offset; where there are none, zeros. Shapes were checked before, so that none are missing.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

fn u8_at(bytes: &[u8], at: usize) -> u8 {
    array_at::<1>(bytes, at)[0]
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(array_at(bytes, at))
}

/// In network order.
fn u16_be_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests;
