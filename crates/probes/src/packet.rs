//! What the programs at the hooks XDP and tc tell packets apart by: `ebpf/include/packet.h`, mirrored.

/// Names of the families by their number.
pub(crate) const FAMILIES: [&str; 4] = ["other", "ipv4", "ipv6", "arp"];

/// Names of the protocols by their number.
pub(crate) const PROTOCOLS: [&str; 9] = ["other", "tcp", "udp", "icmp", "icmpv6", "sctp", "igmp", "gre", "esp"];

/// Names of what may be wrong with a packet by their number.
pub(crate) const MALFORMED: [&str; 5] = ["frame", "ip_header", "ip_length", "ip_extensions", "transport"];

/// Counters of packets and bytes by family and protocol.
pub(crate) const COUNTERS: usize = FAMILIES.len() * PROTOCOLS.len();

/// The header in front of the network packet, as the hook shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Ethernet, with or without VLAN tags.
    Ethernet = 0,
    /// None: the packet begins with the IP header.
    None = 1,
    /// One that the program cannot read; everything counts as `other`.
    Opaque = 2,
}

impl Header {
    /// By the hardware type of `linux/if_arp.h`, for the types whose frames generic XDP shows in that way.
    ///
    /// Loopback carries an Ethernet header of zeros. GRE and SIT tunnels are not in the list: there the hook sees
    /// the outer packet, and counting it as the tunnel's own traffic would be wrong.
    pub(crate) fn of_hardware_type(number: u32) -> Self {
        const ETHER: u32 = 1;
        const PPP: u32 = 512;
        const RAW_IP: u32 = 519;
        const TUNNEL: u32 = 768;
        const TUNNEL6: u32 = 769;
        const LOOPBACK: u32 = 772;
        const NONE: u32 = 65534;
        match number {
            ETHER | LOOPBACK => Self::Ethernet,
            PPP | RAW_IP | TUNNEL | TUNNEL6 | NONE => Self::None,
            _ => Self::Opaque,
        }
    }

    /// Whether devices of this hardware type are ends of tunnels.
    pub(crate) fn is_tunnel(number: u32) -> bool {
        /// PPP, raw IP, IPIP, IPv6 in IPv6, SIT, GRE over IPv4 and IPv6, and devices without a frame header (TUN,
        /// WireGuard).
        const TUNNELS: [u32; 8] = [512, 519, 768, 769, 776, 778, 823, 65534];
        TUNNELS.contains(&number)
    }
}

/// Whether a combination is exposed before its first packet. The others, such as ICMPv6 in IPv4, are exposed from
/// their first packet on, so that a device does not show a dozen series that stay at zero for ever.
pub(crate) fn is_usual(family: &str, protocol: &str) -> bool {
    match family {
        "ipv4" => protocol != "icmpv6",
        "ipv6" => !matches!(protocol, "icmp" | "igmp"),
        _ => protocol == "other",
    }
}

/// Family and protocol of a device's counters, in the order of their index.
pub(crate) fn combinations() -> impl Iterator<Item = (&'static str, &'static str)> {
    FAMILIES.into_iter().flat_map(|family| PROTOCOLS.into_iter().map(move |protocol| (family, protocol)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_FILE: &str = include_str!("../../../ebpf/include/packet.h");

    fn check(name: &str, expected: u32) {
        let line = format!("#define {name} {expected}");
        assert!(HEADER_FILE.lines().any(|l| l == line), "packet.h lacks {line:?}");
    }

    #[test]
    fn numbers_are_those_of_the_programs() {
        check("HEADER_ETHERNET", Header::Ethernet as u32);
        check("HEADER_NONE", Header::None as u32);
        check("HEADER_OPAQUE", Header::Opaque as u32);
        check("FAMILIES", FAMILIES.len() as u32);
        check("PROTOCOLS", PROTOCOLS.len() as u32);
        for (number, name) in (0..).zip(FAMILIES) {
            check(&format!("FAMILY_{}", name.to_uppercase()), number);
        }
        for (number, name) in (0..).zip(PROTOCOLS) {
            check(&format!("PROTOCOL_{}", name.to_uppercase()), number);
        }
        check("MALFORMED", MALFORMED.len() as u32);
        for (number, name) in (0..).zip(MALFORMED) {
            check(&format!("MALFORMED_{}", name.to_uppercase()), number);
        }
    }
}
