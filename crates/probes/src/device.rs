//! Network devices of this machine, from `/sys/class/net` and the routing tables in `/proc/net`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use model::status::ProbeState;

use crate::packet::Header;
use crate::{Error, glob};

/// A route that drops what matches it (`RTF_REJECT` of `linux/route.h`) carries nothing.
const ROUTE_REJECT: u32 = 0x0200;
const ROUTE_UP: u32 = 0x0001;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) header: Header,
    /// It has hardware, or a virtual machine's idea of it, behind it.
    pub(crate) physical: bool,
    pub(crate) default_route: bool,
    /// What arrives on it arrived on another device before, as a part of a bond or bridge or inside of a tunnel's
    /// packets; who adds up devices leaves it out.
    pub(crate) stacked: bool,
    /// The devices that it stands on, as far as the kernel names them.
    pub(crate) below: Vec<String>,
}

impl Device {
    /// Whether it is counted when nothing is configured.
    pub(crate) fn is_default(&self) -> bool {
        self.physical || self.default_route
    }
}

/// The state of a probe that counts no device: `refused` has the name of each wanted one and why it is not counted.
pub(crate) fn nothing_counted(probe: &str, patterns: &[String], refused: &[(String, String)]) -> ProbeState {
    let patterns = patterns.join(", ");
    match refused {
        // A machine without such a device is not broken.
        [] if patterns.is_empty() => ProbeState::Unsupported {
            reason: format!("no physical device and none with a default route; name devices in probes.{probe}.devices"),
        },
        [] => ProbeState::Unsupported { reason: format!("no device matches probes.{probe}.devices ({patterns})") },
        refused => ProbeState::Failed { error: in_words(refused).join("; ") },
    }
}

/// A sentence for each device that is not counted, and one for those that are too many to be named.
pub(crate) fn in_words(refused: &[(String, String)]) -> Vec<String> {
    /// A machine with hundreds of containers has as many devices, and one reason for nearly all of them.
    const NAMED_MAX: usize = 16;
    let named = refused.iter().take(NAMED_MAX).map(|(name, why)| format!("{name}: {why}"));
    let more = refused.len().saturating_sub(NAMED_MAX);
    named.chain((more > 0).then(|| format!("{more} more devices are not counted"))).collect()
}

/// The kernel stacks devices no deeper (`MAX_NEST_DEV`).
const DEPTH_MAX: usize = 8;

/// How many devices it stands on, one above the other.
fn depth(device: &Device, devices: &[Device], levels: usize) -> usize {
    let below = devices.iter().filter(|other| levels > 0 && device.below.contains(&other.name));
    below.map(|other| 1 + depth(other, devices, levels - 1)).max().unwrap_or(0)
}

/// Where the kernel tells of devices.
struct Source {
    /// `class/net` of the mount of sysfs.
    folder: PathBuf,
    routes: BTreeSet<String>,
}

/// All devices by name. A device that goes away while it is looked at is left out.
pub(crate) fn list(sys: &Path, proc: &Path) -> Result<Vec<Device>, Error> {
    let source = Source::new(sys, proc);
    let mut devices: Vec<Device> = source.names()?.into_iter().filter_map(|name| source.device(name)).collect();
    devices.sort_by_cached_key(|device| device.name.clone());
    Ok(devices)
}

/// The devices that these patterns mean (none mean the default), those first that others stand on, then by name. Of the
/// others no more than the name is looked at: there may be hundreds.
pub(crate) fn wanted(sys: &Path, proc: &Path, patterns: &[String]) -> Result<Vec<Device>, Error> {
    let source = Source::new(sys, proc);
    let names: BTreeSet<String> = source.names()?.into_iter().filter(|name| source.is_wanted(name, patterns)).collect();
    let mut devices: Vec<Device> = names.iter().cloned().filter_map(|name| source.device(name)).collect();
    // A device between two that are wanted is needed to know which of them is the lower one.
    for _ in 0..DEPTH_MAX {
        let is_known = |name: &String| devices.iter().any(|device| device.name == *name);
        let below = devices.iter().flat_map(|device| &device.below);
        let missing: BTreeSet<String> = below.filter(|name| !is_known(name)).cloned().collect();
        devices.extend(missing.into_iter().filter_map(|name| source.device(name)));
    }
    // The kernel allows no XDP program below a device that has one.
    let depths: Vec<usize> = devices.iter().map(|device| depth(device, &devices, DEPTH_MAX)).collect();
    let mut ordered: Vec<(usize, Device)> = depths.into_iter().zip(devices).collect();
    ordered.retain(|(_, device)| names.contains(&device.name));
    ordered.sort_by_cached_key(|(depth, device)| (*depth, device.name.clone()));
    Ok(ordered.into_iter().map(|(_, device)| device).collect())
}

impl Source {
    fn new(sys: &Path, proc: &Path) -> Self {
        Self { folder: sys.join("class/net"), routes: default_route_devices(proc) }
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let failed = |source| Error::Read { path: self.folder.display().to_string(), source };
        let entries = fs::read_dir(&self.folder).map_err(failed)?.flatten();
        Ok(entries.filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    fn is_physical(&self, name: &str) -> bool {
        self.folder.join(name).join("device").exists()
    }

    fn is_wanted(&self, name: &str, patterns: &[String]) -> bool {
        match patterns {
            [] => self.routes.contains(name) || self.is_physical(name),
            patterns => patterns.iter().any(|pattern| glob::matches(pattern, name)),
        }
    }

    fn device(&self, name: String) -> Option<Device> {
        let path = self.folder.join(&name);
        let hardware_type = number(&path.join("type"))?;
        let below = below(&path);
        Some(Device {
            index: number(&path.join("ifindex"))?,
            header: Header::of_hardware_type(hardware_type),
            stacked: !below.is_empty() || is_tunnel(&path, hardware_type),
            below,
            physical: self.is_physical(&name),
            default_route: self.routes.contains(&name),
            name,
        })
    }
}

/// The kernel links a bond, a bridge, a VLAN or a macvlan to what it stands on.
fn below(device: &Path) -> Vec<String> {
    let names = fs::read_dir(device).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("lower_").map(str::to_owned));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// What comes out of a tunnel went through another device inside of something else, and a bridge or bond without
/// members is one that will have some.
fn is_tunnel(device: &Path, hardware_type: u32) -> bool {
    const KINDS: [&str; 10] =
        ["bond", "bridge", "geneve", "hsr", "ipvlan", "macvlan", "team", "vlan", "vxlan", "wireguard"];
    let event = fs::read_to_string(device.join("uevent")).unwrap_or_default();
    let kind = event.lines().find_map(|line| line.strip_prefix("DEVTYPE="));
    Header::is_tunnel(hardware_type)
        || kind.is_some_and(|kind| KINDS.contains(&kind))
        || device.join("tun_flags").exists()
}

fn number<T: FromStr>(path: &Path) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A table that cannot be read (IPv6 may be switched off) has no route.
fn default_route_devices(proc: &Path) -> BTreeSet<String> {
    let read = |name: &str| fs::read_to_string(proc.join("net").join(name)).unwrap_or_default();
    let mut devices: BTreeSet<String> = read("route").lines().filter_map(ipv4_default).map(str::to_owned).collect();
    devices.extend(read("ipv6_route").lines().filter_map(ipv6_default).map(str::to_owned));
    devices
}

/// The device of a line of `/proc/net/route` (device, destination, gateway, flags, three numbers, mask, ...) that is a
/// default route.
fn ipv4_default(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [device, destination, _, flags, _, _, _, mask, ..] = fields.as_slice() else { return None };
    let is_default = *destination == "00000000" && *mask == "00000000";
    (is_default && is_usable(flags)).then_some(*device)
}

/// The device of a line of `/proc/net/ipv6_route` (destination, its length, source, its length, next hop, metric, two
/// counts, flags, device) that is a default route.
fn ipv6_default(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [destination, length, _, _, _, _, _, _, flags, device] = fields.as_slice() else { return None };
    let is_default = *length == "00" && destination.bytes().all(|digit| digit == b'0');
    (is_default && is_usable(flags)).then_some(*device)
}

fn is_usable(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & ROUTE_UP != 0 && flags & ROUTE_REJECT == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<'a>(read: fn(&'a str) -> Option<&'a str>, line: &'a str, expected: Option<&str>) {
        assert_eq!(read(line), expected, "{line}");
    }

    #[test]
    fn ipv4_routes() {
        check(
            ipv4_default,
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
            None,
        );
        check(ipv4_default, "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0", Some("eth0"));
        check(ipv4_default, "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0", None);
        check(ipv4_default, "wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0", None);
        check(ipv4_default, "*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0", None);
        check(ipv4_default, "eth0", None);
    }

    #[test]
    fn devices_are_read_as_far_as_they_are_wanted() {
        let root = tempfile::tempdir().unwrap();
        let add = |name: &str, index: u32, below: &[&str]| {
            let folder = root.path().join("class/net").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("type"), "1\n").unwrap();
            fs::write(folder.join("ifindex"), format!("{index}\n")).unwrap();
            below.iter().for_each(|lower| fs::write(folder.join(format!("lower_{lower}")), "").unwrap());
        };
        add("a_bridge", 4, &["vlan"]);
        add("vlan", 3, &["eth0"]);
        add("eth0", 2, &[]);
        add("lo", 1, &[]);
        fs::create_dir(root.path().join("class/net/eth0/device")).unwrap();
        // What is no folder of a device, as `bonding_masters`.
        fs::write(root.path().join("class/net/bonding_masters"), "").unwrap();
        let check = |patterns: &[&str], expected: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            let devices = wanted(root.path(), root.path(), &patterns).unwrap();
            assert_eq!(devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), expected, "{patterns:?}");
        };
        check(&[], &["eth0"]);
        check(&["*"], &["eth0", "lo", "vlan", "a_bridge"]);
        // The one between them is not wanted, and still tells which is below.
        check(&["a_*", "eth?"], &["eth0", "a_bridge"]);
        check(&["none"], &[]);
        assert_eq!(list(root.path(), root.path()).unwrap().len(), 4);
        let error = wanted(&root.path().join("nowhere"), root.path(), &[]).unwrap_err();
        assert!(error.to_string().contains("nowhere/class/net"), "{error}");
    }

    #[test]
    fn what_is_refused_stays_short() {
        let refused = |count: usize| (0..count).map(|at| (format!("d{at}"), "no".to_owned())).collect::<Vec<_>>();
        assert_eq!(in_words(&refused(2)), ["d0: no", "d1: no"]);
        let words = in_words(&refused(500));
        assert_eq!((words.len(), words.last().unwrap().as_str()), (17, "484 more devices are not counted"));
    }

    #[test]
    fn ipv6_routes() {
        const ANY: &str = "00000000000000000000000000000000";
        let line = |destination: &str, flags: &str, device: &str| {
            format!(
                "{destination} {ANY} 00 fe800000000000000000000000000001 00000400 00000002 00000000 {flags} {device}"
            )
        };
        check(ipv6_default, &line(&format!("{ANY} 00"), "00000003", "    eth0"), Some("eth0"));
        check(ipv6_default, &line(&format!("{ANY} 00"), "00200200", "      lo"), None);
        check(ipv6_default, &line("fe800000000000000000000000000000 40", "00000001", "    eth0"), None);
    }
}
