//! The kernel's own counters of this network namespace.

use std::fs;

/// A counter of `/proc/net/snmp` or `/proc/net/netstat`: lines of names and values in pairs, each under a group.
pub(crate) fn counter(group: &str, name: &str) -> u64 {
    let text = ["snmp", "netstat"].map(|file| fs::read_to_string(format!("/proc/self/net/{file}")).unwrap()).concat();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group)?.strip_prefix(": "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|found| found == name).unwrap_or_else(|| panic!("no {group} {name}"));
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// A counter of `/proc/net/snmp6`.
pub(crate) fn counter6(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/net/snmp6").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', '\t']));
    line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
}
