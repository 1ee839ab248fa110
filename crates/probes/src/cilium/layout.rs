//! The pinned maps that are known, by name, and the shapes they may have.

use crate::bpf::{MapKind, Shape};

use super::version::PolicyNaming;

/// What is read of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Drops and forwards.
    Metrics,
    /// Frontends and their slots of backends.
    Services(Family),
    Backends(Family),
    Conntrack(Family),
    /// Addresses of endpoints.
    Endpoints,
    /// Traffic of endpoints by the policy entry that let it pass.
    PolicyStats,
    /// Events that the agent's rate limit kept from Hubble.
    RateLimit,
    /// Sockets that were translated at connect().
    Sockets(Family),
    /// One endpoint's policy.
    Policy,
    /// How many entries there are, and nothing else.
    Count,
}

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

/// A name and its shapes.
#[derive(Debug)]
pub(super) struct Layout {
    /// The name of the pin, without `cilium_`.
    pub(super) name: &'static str,
    pub(super) role: Role,
    kinds: &'static [MapKind],
    /// Bytes of key and value of every version that is known.
    sizes: &'static [(u32, u32)],
}

const HASH: &[MapKind] = &[MapKind::HASH];
const LRU: &[MapKind] = &[MapKind::LRU_HASH];
const TRIE: &[MapKind] = &[MapKind::LPM_TRIE];
const PERCPU: &[MapKind] = &[MapKind::PERCPU_HASH];
const LRU_PERCPU: &[MapKind] = &[MapKind::LRU_PERCPU_HASH];
/// Tries since 1.14.
const HASH_OR_TRIE: &[MapKind] = &[MapKind::HASH, MapKind::LPM_TRIE];

use Family::{V4, V6};

/// Maps with one name. Perf event arrays are not in it, so that nothing ever opens them: whoever attaches to one takes
/// the place of the agent, and Hubble goes blind.
const LAYOUTS: &[Layout] = &[
    layout("metrics", Role::Metrics, PERCPU, &[(8, 16)]),
    layout("lb4_services_v2", Role::Services(V4), HASH, &[(12, 12)]),
    layout("lb6_services_v2", Role::Services(V6), HASH, &[(24, 12)]),
    layout("lb4_backends_v3", Role::Backends(V4), HASH, &[(4, 12)]),
    layout("lb6_backends_v3", Role::Backends(V6), HASH, &[(4, 24)]),
    layout("lb4_backends_v2", Role::Backends(V4), HASH, &[(4, 8)]),
    layout("lb6_backends_v2", Role::Backends(V6), HASH, &[(4, 20)]),
    layout("ratelimit_metrics", Role::RateLimit, HASH, &[(4, 8)]),
    layout("lxc", Role::Endpoints, HASH, &[(20, 48)]),
    layout("ct4_global", Role::Conntrack(V4), LRU, &[(14, 56)]),
    layout("ct_any4_global", Role::Conntrack(V4), LRU, &[(14, 56)]),
    layout("ct6_global", Role::Conntrack(V6), LRU, &[(38, 56)]),
    layout("ct_any6_global", Role::Conntrack(V6), LRU, &[(38, 56)]),
    layout("lb4_reverse_nat", Role::Count, HASH, &[(2, 6)]),
    layout("lb6_reverse_nat", Role::Count, HASH, &[(2, 18)]),
    layout("lb4_reverse_sk", Role::Sockets(V4), LRU, &[(16, 8)]),
    layout("lb6_reverse_sk", Role::Sockets(V6), LRU, &[(32, 20)]),
    layout("lb_affinity_match", Role::Count, HASH, &[(8, 1)]),
    layout("lb4_affinity", Role::Count, LRU, &[(16, 16)]),
    layout("lb6_affinity", Role::Count, LRU, &[(24, 16)]),
    layout("lb4_source_range", Role::Count, TRIE, &[(12, 1)]),
    layout("lb6_source_range", Role::Count, TRIE, &[(24, 1)]),
    layout("snat_v4_external", Role::Count, LRU, &[(14, 40)]),
    layout("snat_v6_external", Role::Count, LRU, &[(38, 56)]),
    layout("ipcache", Role::Count, TRIE, &[(24, 12)]),
    layout("ipcache_v2", Role::Count, TRIE, &[(24, 24)]),
    layout("policystats", Role::PolicyStats, LRU_PERCPU, &[(12, 16)]),
    layout("lb_act", Role::Count, LRU, &[(4, 8)]),
    layout("auth_map", Role::Count, HASH, &[(12, 8)]),
    layout("node_map_v2", Role::Count, HASH, &[(20, 4)]),
];

/// Policy maps: one an endpoint.
const POLICY: Layout = layout("policy", Role::Policy, HASH_OR_TRIE, &[(8, 24), (12, 24), (12, 8), (12, 12)]);

const fn layout(
    name: &'static str,
    role: Role,
    kinds: &'static [MapKind],
    sizes: &'static [(u32, u32)],
) -> Layout {
    Layout { name, role, kinds, sizes }
}

/// The layout of a pinned map. Names that end in `:pending` are maps that are being replaced, and are none of these.
pub(super) fn of(pin: &str) -> Option<&'static Layout> {
    if PolicyNaming::of(pin).is_some() {
        return Some(&POLICY);
    }
    let name = pin.strip_prefix("cilium_")?;
    LAYOUTS.iter().find(|layout| layout.name == name)
}

/// The older one of two names of the same thing, which may linger after an upgrade and is left out then.
pub(super) fn replaced_by(pin: &str) -> Option<&'static str> {
    match pin {
        "cilium_lb4_backends_v2" => Some("cilium_lb4_backends_v3"),
        "cilium_lb6_backends_v2" => Some("cilium_lb6_backends_v3"),
        "cilium_ipcache" => Some("cilium_ipcache_v2"),
        _ => None,
    }
}

impl Layout {
    /// What is wrong with a shape, in a sentence.
    pub(super) fn check(&self, shape: &Shape) -> Result<(), String> {
        let Shape { kind, key_bytes, value_bytes, .. } = *shape;
        if !self.kinds.contains(&kind) {
            let known = self.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ");
            return Err(format!("it is a {}, and every known version has a {known}", kind.name()));
        }
        if !self.sizes.contains(&(key_bytes, value_bytes)) {
            let known = self.sizes.iter().map(|(key, value)| format!("{key}/{value}")).collect::<Vec<_>>().join(", ");
            return Err(format!("keys and values of {key_bytes}/{value_bytes} bytes are unknown (known: {known})"));
        }
        Ok(())
    }
}

impl Family {
    pub(super) fn name(self) -> &'static str {
        match self {
            V4 => "ipv4",
            V6 => "ipv6",
        }
    }

    /// Bytes of an address.
    pub(super) fn address_bytes(self) -> usize {
        match self {
            V4 => 4,
            V6 => 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(kind: MapKind, key_bytes: u32, value_bytes: u32) -> Shape {
        Shape { kind, id: 1, key_bytes, value_bytes, entries_max: 1, flags: 0, name: String::new() }
    }

    fn check(pin: &str, shape: &Shape, expected: &str) {
        let got = match of(pin) {
            None => "no".to_owned(),
            Some(layout) => layout.check(shape).err().unwrap_or_else(|| "ok".to_owned()),
        };
        assert_eq!(got, expected, "{pin}");
    }

    #[test]
    fn recognition() {
        check("cilium_metrics", &shape(MapKind::PERCPU_HASH, 8, 16), "ok");
        check("cilium_metrics", &shape(MapKind::HASH, 8, 16), "it is a hash, and every known version has a percpu_hash");
        check("cilium_ct4_global", &shape(MapKind::LRU_HASH, 14, 56), "ok");
        check(
            "cilium_ct4_global",
            &shape(MapKind::LRU_HASH, 14, 64),
            "keys and values of 14/64 bytes are unknown (known: 14/56)",
        );
        check("cilium_policy_v3_00042", &shape(MapKind::LPM_TRIE, 12, 12), "ok");
        check("cilium_policy_00042", &shape(MapKind::HASH, 8, 24), "ok");
        check("cilium_policystats", &shape(MapKind::LRU_PERCPU_HASH, 12, 16), "ok");
        for unknown in ["cilium_events", "cilium_signals", "cilium_ct4_global:pending", "cilium_call_policy", "metrics"] {
            check(unknown, &shape(MapKind::HASH, 4, 4), "no");
        }
    }

    #[test]
    fn names_are_there_once() {
        for layout in LAYOUTS {
            assert_eq!(LAYOUTS.iter().filter(|other| other.name == layout.name).count(), 1, "{}", layout.name);
        }
    }
}
