//! Network devices of this machine, from `/sys/class/net` and the routing tables in `/proc/net`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use super::layout::Header;
use crate::Error;

/// A route that drops what matches it (`RTF_REJECT` of `linux/route.h`) carries nothing.
const ROUTE_REJECT: u32 = 0x0200;
const ROUTE_UP: u32 = 0x0001;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) header: Header,
    /// It has hardware, or a virtual machine's idea of it, behind it.
    pub(super) physical: bool,
    pub(super) default_route: bool,
}

impl Device {
    /// Whether it is counted when nothing is configured.
    pub(super) fn is_default(&self) -> bool {
        self.physical || self.default_route
    }
}

/// All devices, by name. A device that goes away while it is looked at is left out.
pub(super) fn list(sys: &Path, proc: &Path) -> Result<Vec<Device>, Error> {
    let folder = sys.join("class/net");
    let entries = fs::read_dir(&folder).map_err(|source| Error::Read { path: folder.display().to_string(), source })?;
    let routes = default_route_devices(proc);
    let mut devices: Vec<Device> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let path = entry.path();
            Some(Device {
                index: number(&path.join("ifindex"))?,
                header: Header::of_hardware_type(number(&path.join("type"))?),
                physical: path.join("device").exists(),
                default_route: routes.contains(&name),
                name,
            })
        })
        .collect();
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(devices)
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
