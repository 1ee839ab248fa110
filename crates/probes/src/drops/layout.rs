//! What the program and user space agree on: `ebpf/include/drops.h`, mirrored.

/// What was dropped, by whom, and what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Drop {
    pub(super) kind: Kind,
    /// Reason, verdict or error number, by the kind; none where the map had no place for it.
    pub(super) code: Option<u32>,
    pub(super) family: &'static str,
    pub(super) protocol: &'static str,
}

/// What the code of a drop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Packet,
    XdpException,
    XdpRedirect,
}

/// By their number.
pub(super) const KINDS: [Kind; 3] = [Kind::Packet, Kind::XdpException, Kind::XdpRedirect];

/// The reason on kernels that do not tell any.
pub(super) const CODE_UNKNOWN: u32 = 0xffff_ffff;

const OTHER: &str = "other";

impl Drop {
    /// From a key of the map.
    pub(super) fn decode([a, b, c, d, kind, family, protocol, _]: [u8; 8]) -> Option<Self> {
        Some(Self {
            kind: *KINDS.get(usize::from(kind))?,
            code: Some(u32::from_ne_bytes([a, b, c, d])),
            family: family_name(family),
            protocol: protocol_name(protocol),
        })
    }

    /// What the map had no place for.
    pub(super) fn overflow(kind: Kind) -> Self {
        Self { kind, code: None, family: OTHER, protocol: OTHER }
    }
}

/// The name of an XDP verdict.
pub(super) fn action(code: Option<u32>) -> &'static str {
    const ACTIONS: [&str; 5] = ["aborted", "drop", "pass", "tx", "redirect"];
    code.and_then(|code| ACTIONS.get(code as usize)).copied().unwrap_or("unknown")
}

fn family_name(family: u8) -> &'static str {
    match family {
        1 => "arp",
        4 => "ipv4",
        6 => "ipv6",
        _ => OTHER,
    }
}

/// By the number of IP. The program passes on no others.
fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        47 => "gre",
        50 => "esp",
        58 => "icmpv6",
        132 => "sctp",
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_FILE: &str = include_str!("../../../../ebpf/include/drops.h");

    fn check(name: &str, expected: &str) {
        let line = format!("#define {name} {expected}");
        assert!(HEADER_FILE.lines().any(|l| l == line), "drops.h lacks {line:?}");
    }

    #[test]
    fn numbers_are_those_of_the_program() {
        for (name, kind) in [("PACKET", Kind::Packet), ("XDP_EXCEPTION", Kind::XdpException), ("XDP_REDIRECT", Kind::XdpRedirect)] {
            check(&format!("KIND_{name}"), &(kind as u8).to_string());
        }
        check("KINDS", &KINDS.len().to_string());
        check("CODE_UNKNOWN", &format!("{CODE_UNKNOWN:#x}"));
        for (family, name) in [(0, "other"), (1, "arp"), (4, "ipv4"), (6, "ipv6")] {
            check(&format!("FAMILY_{}", name.to_uppercase()), &family.to_string());
            assert_eq!(family_name(family), name);
        }
    }

    #[test]
    fn keys() {
        let key = |code: u32, rest: [u8; 4]| [code.to_ne_bytes(), rest].concat().try_into().unwrap();
        let packet = Drop { kind: Kind::Packet, code: Some(12), family: "ipv4", protocol: "tcp" };
        assert_eq!(Drop::decode(key(12, [0, 4, 6, 0])), Some(packet));
        assert_eq!(Drop::decode(key(12, [3, 4, 6, 0])), None);
        assert_eq!(action(Some(4)), "redirect");
        assert_eq!(action(Some(5)), "unknown");
    }
}
