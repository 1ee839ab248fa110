//! The `netstat` collector, from `/proc/net/netstat`, `/proc/net/snmp` and `/proc/net/snmp6`.

use std::collections::BTreeMap;

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::text::File;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector =
    HostCollector { name: "netstat", help: "Counters of the network protocols.", open: |_| Box::new(collect) };

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let mut values = BTreeMap::new();
    for path in ["net/netstat", "net/snmp"] {
        tables(&roots.proc(path)?, &mut values)?;
    }
    // Absent where IPv6 is switched off.
    if let Ok(file) = roots.proc("net/snmp6") {
        list(&file, &mut values)?;
    }
    for (name, value) in values {
        let help = format!("The counter {name} of the kernel's network statistics.");
        families.family(format!("node_netstat_{name}"), MetricKind::Unknown, help).value(value);
    }
    Ok(())
}

/// Pairs of lines, `Protocol: names` and `Protocol: values`.
fn tables(file: &File, values: &mut BTreeMap<String, f64>) -> Result<(), Error> {
    let mut lines = file.lines();
    while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
        let (protocol, names) = names.split_once(':').ok_or_else(|| file.error("a colon was expected", names))?;
        let numbers = numbers
            .strip_prefix(protocol)
            .and_then(|rest| rest.strip_prefix(':'))
            .ok_or_else(|| file.error("a line of values of the same protocol was expected", numbers))?;
        for (name, number) in names.split_ascii_whitespace().zip(numbers.split_ascii_whitespace()) {
            if is_wanted(protocol, name) {
                values.insert(format!("{protocol}_{name}"), file.number(number)?);
            }
        }
    }
    Ok(())
}

/// Lines such as `Ip6InReceives 12`; the protocol's name ends with the 6.
fn list(file: &File, values: &mut BTreeMap<String, f64>) -> Result<(), Error> {
    for line in file.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(number)) = (words.next(), words.next()) else {
            return Err(file.error("a name and a number were expected", line));
        };
        let Some(end) = name.find('6').map(|at| at + 1) else { continue };
        let (protocol, name) = name.split_at(end);
        if is_wanted(protocol, name) {
            values.insert(format!("{protocol}_{name}"), file.number(number)?);
        }
    }
    Ok(())
}

/// node_exporter's default selection out of several hundred counters.
fn is_wanted(protocol: &str, name: &str) -> bool {
    if matches!(name, "InErrors" | "InErrs") {
        return true;
    }
    match protocol {
        "Ip" => name == "Forwarding",
        "Ip6" | "IpExt" => matches!(name, "InOctets" | "OutOctets"),
        "Icmp" | "Icmp6" => matches!(name, "InMsgs" | "OutMsgs"),
        "Tcp" => matches!(
            name,
            "ActiveOpens" | "InSegs" | "OutSegs" | "OutRsts" | "PassiveOpens" | "RetransSegs" | "CurrEstab"
        ),
        "TcpExt" => {
            name.starts_with("Listen")
                || name.starts_with("Syncookies")
                || matches!(name, "TCPSynRetrans" | "TCPTimeouts" | "TCPOFOQueue" | "TCPRcvQDrop")
        }
        "Udp" | "Udp6" => {
            matches!(name, "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors")
        }
        _ => false,
    }
}
