//! Network devices of this machine, from `/sys/class/net` and the routing tables in `/proc/net`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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

    /// Whether these patterns mean it; none mean the default.
    pub(crate) fn is_wanted(&self, patterns: &[String]) -> bool {
        if patterns.is_empty() { self.is_default() } else { patterns.iter().any(|p| glob::matches(p, &self.name)) }
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
        refused => {
            let refused: Vec<String> = refused.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            ProbeState::Failed { error: refused.join("; ") }
        }
    }
}

/// The kernel stacks devices no deeper (`MAX_NEST_DEV`).
const DEPTH_MAX: usize = 8;

/// How many devices it stands on, one above the other.
fn depth(device: &Device, devices: &[Device], levels: usize) -> usize {
    let below = devices.iter().filter(|other| levels > 0 && device.below.contains(&other.name));
    below.map(|other| 1 + depth(other, devices, levels - 1)).max().unwrap_or(0)
}

/// All devices, those first that others stand on, then by name. A device that goes away while it is looked at is left out.
pub(crate) fn list(sys: &Path, proc: &Path) -> Result<Vec<Device>, Error> {
    let folder = sys.join("class/net");
    let entries = fs::read_dir(&folder).map_err(|source| Error::Read { path: folder.display().to_string(), source })?;
    let routes = default_route_devices(proc);
    let mut devices: Vec<Device> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let path = entry.path();
            let hardware_type = number(&path.join("type"))?;
            let below = below(&path);
            Some(Device {
                index: number(&path.join("ifindex"))?,
                header: Header::of_hardware_type(hardware_type),
                stacked: !below.is_empty() || is_tunnel(&path, hardware_type),
                below,
                physical: path.join("device").exists(),
                default_route: routes.contains(&name),
                name,
            })
        })
        .collect();
    devices.sort_by_cached_key(|device| device.name.clone());
    // The kernel allows no XDP program below a device that has one.
    let depths: Vec<usize> = devices.iter().map(|device| depth(device, &devices, DEPTH_MAX)).collect();
    let mut ordered: Vec<(usize, Device)> = depths.into_iter().zip(devices).collect();
    ordered.sort_by_key(|(depth, _)| *depth);
    Ok(ordered.into_iter().map(|(_, device)| device).collect())
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
