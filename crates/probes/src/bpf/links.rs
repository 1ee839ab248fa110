//! Where programs sit, as the links of this machine tell: a device, a cgroup, a tracepoint.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::devices;
use super::syscall::{self, Info, NameAt, Object};

/// Links that are described. A node with a few hundred pods has some thousands at most; more are left out, and their
/// programs show no attachment.
const LINKS_MAX: usize = 8192;
/// Folders of cgroups that are looked at for the path of an id. Those that Cilium and systemd attach to lie at the top.
const CGROUPS_MAX: usize = 1024;
const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// Attachments of a program that its label names; the number of the others follows.
const NAMED_MAX: usize = 3;

/// The attachments of all links.
#[derive(Default)]
pub(super) struct Links {
    links: BTreeMap<u32, Link>,
    cgroups: HashMap<u64, String>,
}

struct Link {
    program: u32,
    place: Place,
}

/// Where a link puts its program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A hook of a device by its index, whose name may change.
    Device(&'static str, u32),
    /// Anything else, in words.
    Named(String),
}

impl Links {
    /// Takes up new links and forgets those that are gone.
    pub(super) fn follow(&mut self) -> io::Result<()> {
        let mut alive = BTreeSet::new();
        let mut after = 0;
        while let Some(id) = Object::Link.next(after)? {
            after = id;
            alive.insert(id);
            if !self.links.contains_key(&id) && self.links.len() < LINKS_MAX {
                // One that went away between the two calls is none.
                if let Ok(link) = self.describe(id) {
                    self.links.insert(id, link);
                }
            }
        }
        self.links.retain(|id, _| alive.contains(id));
        Ok(())
    }

    /// What each program is attached to, such as `tcx_ingress eth0`, by a link or by a device without one.
    pub(super) fn by_program(&self) -> BTreeMap<u32, String> {
        let mut places: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for link in self.links.values() {
            places.entry(link.program).or_default().push(link.place.to_string());
        }
        // Without netlink what links say has to be enough.
        for (program, place) in devices::attached().unwrap_or_default() {
            places.entry(program).or_default().push(place);
        }
        places.into_iter().map(|(program, places)| (program, in_words(places))).collect()
    }

    fn describe(&mut self, id: u32) -> io::Result<Link> {
        let fd = Object::Link.open(id)?;
        let info = syscall::info(&fd)?;
        let named = |at| syscall::info_with_name(&fd, at).map(|info| info.name);
        Ok(Link { program: info.u32(8), place: self.place(&info, named)? })
    }

    /// By the offsets of `struct bpf_link_info`, whose part by type begins at 16.
    fn place(&mut self, info: &Info, named: impl Fn(NameAt) -> io::Result<String>) -> io::Result<Place> {
        const RAW_TRACEPOINT: NameAt = NameAt { address: 16, length: 24 };
        const PERF_EVENT: NameAt = NameAt { address: 24, length: 32 };
        Ok(match info.u32(0) {
            1 => Place::Named(format!("raw_tracepoint {}", named(RAW_TRACEPOINT)?)),
            2 => Place::Named(attach_type(info.u32(16)).to_owned()),
            3 => Place::Named(format!("{} {}", attach_type(info.u32(24)), self.cgroup(info.u64(16)))),
            4 => Place::Named("iter".to_owned()),
            5 => Place::Named(attach_type(info.u32(20)).to_owned()),
            6 => Place::Device("xdp", info.u32(16)),
            7 => Place::Named(match info.u32(16) {
                1 | 2 => format!("uprobe {}", named(PERF_EVENT)?),
                3 | 4 => format!("kprobe {}", named(PERF_EVENT)?),
                5 => format!("tracepoint {}", named(PERF_EVENT)?),
                _ => "perf_event".to_owned(),
            }),
            8 => Place::Named("kprobe_multi".to_owned()),
            9 => Place::Named("struct_ops".to_owned()),
            10 => Place::Named("netfilter".to_owned()),
            11 | 13 => Place::Device(attach_type(info.u32(20)), info.u32(16)),
            12 => Place::Named("uprobe_multi".to_owned()),
            14 => Place::Named(attach_type(info.u32(20)).to_owned()),
            other => Place::Named(format!("link_type_{other}")),
        })
    }

    /// The path of a cgroup below the root of the hierarchy; its id is the number of its folder.
    fn cgroup(&mut self, id: u64) -> String {
        if !self.cgroups.contains_key(&id) {
            self.cgroups = cgroup_paths(Path::new(CGROUP_ROOT));
        }
        self.cgroups.get(&id).cloned().unwrap_or_else(|| format!("cgroup_{id}"))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // The kernel clears the index when the device is gone.
            Self::Device(hook, 0) => f.write_str(hook),
            Self::Device(hook, index) => write!(f, "{hook} {}", device_name(*index)),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// The name of a device of this network namespace. A link into another one tells only an index, which may name another
/// device here.
pub(super) fn device_name(index: u32) -> String {
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM, None);
    let name = socket.and_then(|socket| rustix::net::netdevice::index_to_name(socket, index));
    name.unwrap_or_else(|_| format!("ifindex_{index}"))
}

fn in_words(mut places: Vec<String>) -> String {
    places.sort();
    places.dedup();
    let more = places.len().saturating_sub(NAMED_MAX);
    places.truncate(NAMED_MAX);
    if more > 0 {
        places.push(format!("{more} more"));
    }
    places.join(", ")
}

/// Breadth first, so that what is left out of a huge hierarchy lies deep.
fn cgroup_paths(root: &Path) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    let mut folders = std::collections::VecDeque::from([PathBuf::new()]);
    while let Some(folder) = folders.pop_front().filter(|_| found.len() < CGROUPS_MAX) {
        let path = root.join(&folder);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        found.insert(metadata.ino(), format!("/{}", folder.display()));
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(below.map(|entry| folder.join(entry.file_name())));
    }
    found
}

/// The hook of an attachment, by its number in `linux/bpf.h`.
fn attach_type(number: u32) -> &'static str {
    const NAMES: [&str; 58] = [
        "cgroup_inet_ingress",
        "cgroup_inet_egress",
        "cgroup_inet_sock_create",
        "cgroup_sock_ops",
        "sk_skb_stream_parser",
        "sk_skb_stream_verdict",
        "cgroup_device",
        "sk_msg_verdict",
        "cgroup_inet4_bind",
        "cgroup_inet6_bind",
        "cgroup_inet4_connect",
        "cgroup_inet6_connect",
        "cgroup_inet4_post_bind",
        "cgroup_inet6_post_bind",
        "cgroup_udp4_sendmsg",
        "cgroup_udp6_sendmsg",
        "lirc_mode2",
        "flow_dissector",
        "cgroup_sysctl",
        "cgroup_udp4_recvmsg",
        "cgroup_udp6_recvmsg",
        "cgroup_getsockopt",
        "cgroup_setsockopt",
        "trace_raw_tp",
        "trace_fentry",
        "trace_fexit",
        "modify_return",
        "lsm_mac",
        "trace_iter",
        "cgroup_inet4_getpeername",
        "cgroup_inet6_getpeername",
        "cgroup_inet4_getsockname",
        "cgroup_inet6_getsockname",
        "xdp_devmap",
        "cgroup_inet_sock_release",
        "xdp_cpumap",
        "sk_lookup",
        "xdp",
        "sk_skb_verdict",
        "sk_reuseport_select",
        "sk_reuseport_select_or_migrate",
        "perf_event",
        "trace_kprobe_multi",
        "lsm_cgroup",
        "struct_ops",
        "netfilter",
        "tcx_ingress",
        "tcx_egress",
        "trace_uprobe_multi",
        "cgroup_unix_connect",
        "cgroup_unix_sendmsg",
        "cgroup_unix_recvmsg",
        "cgroup_unix_getpeername",
        "cgroup_unix_getsockname",
        "netkit_primary",
        "netkit_peer",
        "trace_kprobe_session",
        "trace_uprobe_session",
    ];
    usize::try_from(number).ok().and_then(|number| NAMES.get(number)).copied().unwrap_or("unknown_hook")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let check = |places: &[&str], expected: &str| {
            assert_eq!(in_words(places.iter().map(ToString::to_string).collect()), expected, "{places:?}");
        };
        check(&[], "");
        check(&["xdp eth0"], "xdp eth0");
        check(&["b", "a", "b"], "a, b");
        check(&["e", "d", "c", "b", "a"], "a, b, c, 2 more");
    }

    #[test]
    fn hooks() {
        let check = |number, expected: &str| assert_eq!(attach_type(number), expected);
        check(10, "cgroup_inet4_connect");
        check(37, "xdp");
        check(46, "tcx_ingress");
        check(54, "netkit_primary");
        check(1000, "unknown_hook");
    }

    #[test]
    fn cgroups_have_the_paths_of_their_folders() {
        let root = Path::new("/proc/self/fdinfo");
        let id = fs::metadata(root).unwrap().ino();
        assert_eq!(cgroup_paths(root).get(&id).map(String::as_str), Some("/"));
    }

    #[test]
    fn devices() {
        assert_eq!(device_name(1), "lo");
        assert_eq!(device_name(0x7fff_ffff), "ifindex_2147483647");
    }
}
