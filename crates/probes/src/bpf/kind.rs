//! Kinds of maps and programs by their numbers in `linux/bpf.h`, under the names of `bpftool`.

use std::borrow::Cow;

/// A kind of map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MapKind(pub(crate) u32);

/// A kind of program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProgramKind(pub(crate) u32);

const MAPS: [&str; 34] = [
    "unspec",
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "lru_percpu_hash",
    "lpm_trie",
    "array_of_maps",
    "hash_of_maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup_storage",
    "reuseport_sockarray",
    "percpu_cgroup_storage",
    "queue",
    "stack",
    "sk_storage",
    "devmap_hash",
    "struct_ops",
    "ringbuf",
    "inode_storage",
    "task_storage",
    "bloom_filter",
    "user_ringbuf",
    "cgrp_storage",
    "arena",
];

const PROGRAMS: [&str; 33] = [
    "unspec",
    "socket_filter",
    "kprobe",
    "sched_cls",
    "sched_act",
    "tracepoint",
    "xdp",
    "perf_event",
    "cgroup_skb",
    "cgroup_sock",
    "lwt_in",
    "lwt_out",
    "lwt_xmit",
    "sock_ops",
    "sk_skb",
    "cgroup_device",
    "sk_msg",
    "raw_tracepoint",
    "cgroup_sock_addr",
    "lwt_seg6local",
    "lirc_mode2",
    "sk_reuseport",
    "flow_dissector",
    "cgroup_sysctl",
    "raw_tracepoint_writable",
    "cgroup_sockopt",
    "tracing",
    "struct_ops",
    "ext",
    "lsm",
    "sk_lookup",
    "syscall",
    "netfilter",
];

impl MapKind {
    pub(crate) const HASH: Self = Self(1);
    pub(crate) const PERCPU_HASH: Self = Self(5);
    pub(crate) const PERCPU_ARRAY: Self = Self(6);
    pub(crate) const LRU_HASH: Self = Self(9);
    pub(crate) const LRU_PERCPU_HASH: Self = Self(10);
    pub(crate) const LPM_TRIE: Self = Self(11);
    const PERCPU_CGROUP_STORAGE: Self = Self(21);

    pub(crate) fn name(self) -> Cow<'static, str> {
        name(&MAPS, self.0)
    }

    pub(crate) fn is_per_cpu(self) -> bool {
        let kinds = [Self::PERCPU_HASH, Self::PERCPU_ARRAY, Self::LRU_PERCPU_HASH, Self::PERCPU_CGROUP_STORAGE];
        kinds.contains(&self)
    }

    /// Whether entries come and go and can be read in batches without a side effect. Arrays are always full, reading a
    /// queue or a map of sockets means something else, and perf event arrays are never touched.
    pub(crate) fn is_counted(self) -> bool {
        [Self::HASH, Self::PERCPU_HASH, Self::LRU_HASH, Self::LRU_PERCPU_HASH, Self::LPM_TRIE].contains(&self)
    }
}

impl ProgramKind {
    pub(crate) fn name(self) -> Cow<'static, str> {
        name(&PROGRAMS, self.0)
    }
}

/// A kind that is newer than this table shows its number.
fn name(names: &'static [&'static str], number: u32) -> Cow<'static, str> {
    let known = usize::try_from(number).ok().and_then(|number| names.get(number));
    known.map_or_else(|| Cow::Owned(format!("type_{number}")), |name| Cow::Borrowed(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |number: u32, map: &str, program: &str| {
            assert_eq!((MapKind(number).name().as_ref(), ProgramKind(number).name().as_ref()), (map, program));
        };
        check(1, "hash", "socket_filter");
        check(9, "lru_hash", "cgroup_sock");
        check(11, "lpm_trie", "lwt_out");
        check(32, "cgrp_storage", "netfilter");
        check(99, "type_99", "type_99");
    }
}
