//! Reasons and directions of `cilium_metrics`, by number, in Cilium's own words.
//!
//! A number never changed its meaning or its words from Cilium 1.12 to 1.21-dev; versions only differ in how far the
//! list goes, so one table serves all of them. Where the words of a reason are Cilium's label values, they are kept as
//! they are, upper case included, so that they join with Cilium's and Hubble's own series.

use std::borrow::Cow;

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Reason(pub(super) u8);

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Direction(u8);

/// Numbers from here on are drops.
const FIRST_DROP: u8 = 130;
/// The only drop below.
const INVALID_PACKET: u8 = 2;

const TEXTS: &[(u8, &str)] = &[
    (0, "Success"),
    (2, "Invalid packet"),
    (3, "Interface"),
    (4, "Interface Decrypted"),
    (5, "LB, sock cgroup: No backend slot entry found"),
    (6, "LB, sock cgroup: No backend entry found"),
    (7, "LB, sock cgroup: Reverse entry update failed"),
    (8, "LB, sock cgroup: Reverse entry stale"),
    (9, "Fragmented packet"),
    (10, "Fragmented packet entry update failed"),
    (11, "Missed tail call to custom program"),
    (12, "Interface Decrypting"),
    (13, "Interface Encrypting"),
    (14, "LB: sock cgroup: Reverse entry delete succeeded"),
    (15, "MTU error message"),
    (130, "Invalid source mac"),
    (131, "Invalid destination mac"),
    (132, "Invalid source ip"),
    (133, "Policy denied"),
    (134, "Invalid packet"),
    (135, "CT: Truncated or invalid header"),
    (136, "Fragmentation needed"),
    (137, "CT: Unknown L4 protocol"),
    (138, "CT: Can't create entry from packet"),
    (139, "Unsupported L3 protocol"),
    (140, "Missed tail call"),
    (141, "Error writing to packet"),
    (142, "Unknown L4 protocol"),
    (143, "Unknown ICMPv4 code"),
    (144, "Unknown ICMPv4 type"),
    (145, "Unknown ICMPv6 code"),
    (146, "Unknown ICMPv6 type"),
    (147, "Error retrieving tunnel key"),
    (148, "Error retrieving tunnel options"),
    (149, "Invalid Geneve option"),
    (150, "Unknown L3 target address"),
    (151, "Stale or unroutable IP"),
    (152, "No matching local container found"),
    (153, "Error while correcting L3 checksum"),
    (154, "Error while correcting L4 checksum"),
    (155, "CT: Map insertion failed"),
    (156, "Invalid IPv6 extension header"),
    (157, "IP fragmentation not supported"),
    (158, "Service backend not found"),
    (160, "No tunnel/encapsulation endpoint (datapath BUG!)"),
    (161, "NAT 46/64 not enabled"),
    (162, "Reached EDT rate-limiting drop horizon"),
    (163, "Unknown connection tracking state"),
    (164, "Local host is unreachable"),
    (165, "No configuration available to perform policy decision"),
    (166, "Unsupported L2 protocol"),
    (167, "No mapping for NAT masquerade"),
    (168, "Unsupported protocol for NAT masquerade"),
    (169, "FIB lookup failed"),
    (170, "Encapsulation traffic is prohibited"),
    (171, "Invalid identity"),
    (172, "Unknown sender"),
    (173, "NAT not needed"),
    (174, "Is a ClusterIP"),
    (175, "First logical datagram fragment not found"),
    (176, "Forbidden ICMPv6 message"),
    (177, "Denied by LB src range check"),
    (178, "Socket lookup failed"),
    (179, "Socket assign failed"),
    (180, "Proxy redirection not supported for protocol"),
    (181, "Policy denied by denylist"),
    (182, "VLAN traffic disallowed by VLAN filter"),
    (183, "Incorrect VNI from VTEP"),
    (184, "Failed to update or lookup TC buffer"),
    (185, "No SID was found for the IP address"),
    (186, "SRv6 state was removed during tail call"),
    (187, "L3 translation from IPv4 to IPv6 failed (NAT46)"),
    (188, "L3 translation from IPv6 to IPv4 failed (NAT64)"),
    (189, "Authentication required"),
    (190, "No conntrack map found"),
    (191, "No nat map found"),
    (192, "Invalid ClusterID"),
    (193, "Unsupported packet protocol for DSR encapsulation"),
    (194, "No egress gateway found"),
    (195, "Traffic is unencrypted"),
    (196, "TTL exceeded"),
    (197, "No node ID found"),
    (198, "Rate limited"),
    (199, "IGMP handled"),
    (200, "IGMP subscribed"),
    (201, "Multicast handled"),
    (202, "Host datapath not ready"),
    (203, "Endpoint policy program not available"),
    (204, "No Egress IP configured"),
    (205, "Punt to proxy"),
    (206, "No device"),
    (207, "First logical datagram fragment not found from world"),
];

impl Reason {
    /// Counted beside the forwards, of which Cilium 1.19 and later make a metric of its own.
    pub(super) const FRAGMENTED: Self = Self(9);
    pub(super) const MTU_ERROR: Self = Self(15);

    /// Whether Cilium counts it as a drop; all others are forwards to it, even those that tell of failures.
    pub(super) fn is_drop(self) -> bool {
        self.0 == INVALID_PACKET || self.0 >= FIRST_DROP
    }

    /// The words of Cilium; a number without words looks as Cilium shows it.
    pub(super) fn text(self) -> Cow<'static, str> {
        match TEXTS.binary_search_by_key(&self.0, |(number, _)| *number) {
            Ok(at) => Cow::Borrowed(TEXTS[at].1),
            Err(_) => Cow::Owned(format!("{}, 0", self.0)),
        }
    }
}

impl Direction {
    /// The two bits that the byte holds; the others are not in use.
    pub(super) fn of(byte: u8) -> Self {
        Self(byte & 3)
    }

    /// The word of Cilium's label.
    pub(super) fn text(self) -> &'static str {
        ["UNKNOWN", "INGRESS", "EGRESS", "SERVICE"][usize::from(self.0 & 3)]
    }

    /// The word of our label.
    pub(super) fn lower(self) -> &'static str {
        ["unknown", "ingress", "egress", "service"][usize::from(self.0 & 3)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: u8, text: &str, is_drop: bool) {
        assert_eq!((Reason(number).text().as_ref(), Reason(number).is_drop()), (text, is_drop), "{number}");
    }

    #[test]
    fn reasons() {
        check(0, "Success", false);
        check(1, "1, 0", false);
        check(2, "Invalid packet", true);
        check(3, "Interface", false);
        check(15, "MTU error message", false);
        check(129, "129, 0", false);
        check(130, "Invalid source mac", true);
        check(133, "Policy denied", true);
        check(158, "Service backend not found", true);
        check(159, "159, 0", true);
        check(161, "NAT 46/64 not enabled", true);
        check(181, "Policy denied by denylist", true);
        check(203, "Endpoint policy program not available", true);
        check(207, "First logical datagram fragment not found from world", true);
        check(255, "255, 0", true);
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(TEXTS.is_sorted_by(|(a, _), (b, _)| a < b));
        assert_eq!(TEXTS.iter().filter(|(number, _)| Reason(*number).is_drop()).count(), 78);
    }

    #[test]
    fn directions() {
        let check = |byte, text: &str| assert_eq!(Direction::of(byte).text(), text, "{byte}");
        check(0, "UNKNOWN");
        check(1, "INGRESS");
        check(2, "EGRESS");
        check(3, "SERVICE");
        check(0xfe, "EGRESS");
    }
}
