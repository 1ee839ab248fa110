//! Frames byte by byte, with what the probe must count them as.

pub(crate) const UDP: u8 = 17;
pub(crate) const TCP: u8 = 6;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ESP: u8 = 50;
const AUTHENTICATION: u8 = 51;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const LLDP: u16 = 0x88cc;
const VLAN: u16 = 0x8100;
const PROVIDER_VLAN: u16 = 0x88a8;

/// A frame, and the family and protocol that it counts as.
pub(crate) struct Case {
    pub(crate) frame: Vec<u8>,
    pub(crate) family: &'static str,
    pub(crate) protocol: &'static str,
}

/// Addresses that no device has, so that no network stack answers.
pub(crate) fn ethernet(tags: &[u16], protocol: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0xee, 1, 0x02, 0, 0, 0, 0xee, 2];
    for (number, tag) in (1u16..).zip(tags) {
        frame.extend(tag.to_be_bytes());
        frame.extend(number.to_be_bytes());
    }
    frame.extend(protocol.to_be_bytes());
    frame.extend(packet);
    frame
}

/// `fragment` is the field of flags and offset; `options` are 32-bit words.
pub(crate) fn ipv4(protocol: u8, fragment: u16, options: u8, payload: usize) -> Vec<u8> {
    let header = 20 + usize::from(options) * 4;
    let length = u16::try_from(header + payload).unwrap().to_be_bytes();
    let [high, low] = fragment.to_be_bytes();
    let mut packet = vec![0x45 + options, 0, length[0], length[1], 0, 1, high, low, 64, protocol, 0, 0];
    packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    packet.resize(header + payload, 0);
    packet
}

/// Headers are numbers with the bytes that follow their first; each names the next.
pub(crate) fn ipv6(headers: &[(u8, Vec<u8>)], protocol: u8, payload: usize) -> Vec<u8> {
    let mut next: Vec<u8> = headers.iter().map(|(number, _)| *number).collect();
    next.push(protocol);
    let length = headers.iter().map(|(_, rest)| rest.len() + 1).sum::<usize>() + payload;
    let length = u16::try_from(length).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next[0], 64];
    packet.extend([0xfd; 32]);
    for ((_, rest), next) in headers.iter().zip(&next[1..]) {
        packet.push(*next);
        packet.extend(rest);
    }
    packet.resize(packet.len() + payload, 0);
    packet
}

/// An extension header of `units` eight-byte units beyond the first.
fn extension(number: u8, units: u8) -> (u8, Vec<u8>) {
    let mut rest = vec![units];
    rest.resize(7 + usize::from(units) * 8, 0);
    (number, rest)
}

/// Its length counts four-byte units beyond the first two.
fn authentication(units: u8) -> (u8, Vec<u8>) {
    let mut rest = vec![units];
    rest.resize((usize::from(units) + 2) * 4 - 1, 0);
    (AUTHENTICATION, rest)
}

pub(crate) fn fragment(offset: u16) -> (u8, Vec<u8>) {
    let [high, low] = (offset << 3 | 1).to_be_bytes();
    (FRAGMENT, vec![0, high, low, 0, 0, 0, 1])
}

/// Every kind of frame that the probe tells apart, and those it must not be fooled by.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |frame, family, protocol| cases.push(Case { frame, family, protocol });
    ipv4_cases(&mut add);
    ipv6_cases(&mut add);
    link_cases(&mut add);
    cases
}

type Add<'a> = &'a mut dyn FnMut(Vec<u8>, &'static str, &'static str);

fn ipv4_cases(add: Add<'_>) {
    let numbers = [
        (TCP, "tcp"),
        (UDP, "udp"),
        (ICMP, "icmp"),
        (132, "sctp"),
        (2, "igmp"),
        (47, "gre"),
        (ESP, "esp"),
        (89, "other"),
        (ICMPV6, "icmpv6"),
        // In IPv4 these are no extension headers.
        (HOP_BY_HOP, "other"),
        (AUTHENTICATION, "other"),
    ];
    for (number, protocol) in numbers {
        add(ethernet(&[], IPV4, &ipv4(number, 0, 0, 64)), "ipv4", protocol);
    }
    add(ethernet(&[], IPV4, &ipv4(UDP, 0, 10, 64)), "ipv4", "udp");
    add(ethernet(&[], IPV4, &ipv4(UDP, 0x2000, 0, 512)), "ipv4", "udp");
    add(ethernet(&[], IPV4, &ipv4(UDP, 64, 0, 100)), "ipv4", "udp");
    add(ethernet(&[], IPV4, &ipv4(TCP, 0, 0, 40)[..19]), "ipv4", "other");
    add(ethernet(&[], IPV4, &ipv4(TCP, 0, 0, 40)[..20]), "ipv4", "tcp");
    add(ethernet(&[], IPV4, &[]), "ipv4", "other");
}

fn ipv6_cases(add: Add<'_>) {
    let mut ip = |headers: &[(u8, Vec<u8>)], number, protocol| {
        add(ethernet(&[], IPV6, &ipv6(headers, number, 64)), "ipv6", protocol);
    };
    let plain =
        [(TCP, "tcp"), (UDP, "udp"), (ICMPV6, "icmpv6"), (132, "sctp"), (47, "gre"), (ESP, "esp"), (ICMP, "icmp")];
    for (number, protocol) in plain {
        ip(&[], number, protocol);
    }
    ip(&[], NO_NEXT, "other");
    ip(&[extension(HOP_BY_HOP, 0), extension(DESTINATION, 3)], UDP, "udp");
    for number in [ROUTING, MOBILITY, HOST_IDENTITY, SHIM6] {
        ip(&[extension(number, 2)], TCP, "tcp");
    }
    ip(&[authentication(4)], TCP, "tcp");
    ip(&[authentication(5), extension(DESTINATION, 0)], UDP, "udp");
    ip(&[extension(HOP_BY_HOP, 150)], UDP, "udp");
    ip(&vec![extension(DESTINATION, 0); 8], TCP, "tcp");
    ip(&vec![extension(DESTINATION, 0); 9], TCP, "other");
    ip(&[fragment(0)], UDP, "udp");
    ip(&[fragment(0), extension(DESTINATION, 0)], UDP, "udp");
    ip(&[fragment(185)], UDP, "udp");
    // What follows a later fragment's header is payload, even where it looks like a header.
    ip(&[fragment(185), extension(DESTINATION, 0)], UDP, "other");
    let packet = ipv6(&[extension(HOP_BY_HOP, 0)], UDP, 0);
    add(ethernet(&[], IPV6, &packet[..39]), "ipv6", "other");
    add(ethernet(&[], IPV6, &packet[..47]), "ipv6", "other");
    add(ethernet(&[], IPV6, &packet), "ipv6", "udp");
    // The extension header claims more than there is.
    add(ethernet(&[], IPV6, &ipv6(&[(DESTINATION, vec![200, 0, 0, 0, 0, 0, 0])], UDP, 8)), "ipv6", "udp");
}

fn link_cases(add: Add<'_>) {
    add(ethernet(&[VLAN], IPV4, &ipv4(TCP, 0, 0, 100)), "ipv4", "tcp");
    add(ethernet(&[PROVIDER_VLAN, VLAN], IPV4, &ipv4(UDP, 0, 0, 100)), "ipv4", "udp");
    add(ethernet(&[PROVIDER_VLAN, VLAN], IPV6, &ipv6(&[], ICMPV6, 100)), "ipv6", "icmpv6");
    add(ethernet(&[VLAN, VLAN, VLAN], IPV4, &ipv4(UDP, 0, 0, 100)), "other", "other");
    add(ethernet(&[VLAN], ARP, &[0; 28]), "arp", "other");
    add(ethernet(&[], ARP, &[0; 28]), "arp", "other");
    add(ethernet(&[], LLDP, &[0; 46]), "other", "other");
    add(ethernet(&[], 0x0040, &[0; 64]), "other", "other");
    add(ethernet(&[], VLAN, &[0, 1]), "other", "other");
}

/// A whole packet of TCP or UDP in IPv4 with 20 bytes of payload.
pub(crate) fn segment(protocol: u8, source: [u8; 4], port: u16, flags: u8) -> Vec<u8> {
    let mut packet = ipv4(protocol, 0, 0, if protocol == TCP { 40 } else { 28 });
    packet[12..16].copy_from_slice(&source);
    packet[22..24].copy_from_slice(&port.to_be_bytes());
    if protocol == TCP {
        packet[32] = 5 << 4;
        packet[33] = flags;
    } else {
        packet[24..26].copy_from_slice(&28u16.to_be_bytes());
    }
    ethernet(&[], IPV4, &packet)
}

/// Frames that make no sense, with the part that does not.
pub(crate) fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    let whole = || segment(TCP, [192, 0, 2, 1], 80, 0x10);
    let changed = |at: usize, byte: u8| {
        let mut frame = whole();
        frame[at] = byte;
        frame
    };
    let udp_length_of_four = {
        let mut frame = segment(UDP, [192, 0, 2, 1], 53, 0);
        frame[38..40].copy_from_slice(&4u16.to_be_bytes());
        frame
    };
    let six = |packet: &[u8]| ethernet(&[], IPV6, packet);
    let mut ipv6_too_long = ipv6(&[], UDP, 20);
    ipv6_too_long[5] = 21;
    vec![
        (ethernet(&[], VLAN, &[0, 1]), "frame"),
        (whole()[..14 + 19].to_vec(), "ip_header"),
        // Another version, a header of four words, and one that is longer than the frame.
        (changed(14, 0x65), "ip_header"),
        (changed(14, 0x44), "ip_header"),
        (ethernet(&[], IPV4, &[0x4f; 22]), "ip_header"),
        (six(&[0x60; 39]), "ip_header"),
        (six(&[&[0x40][..], &ipv6(&[], 59, 20)[1..]].concat()), "ip_header"),
        // One byte more than there is, and fewer than the header has.
        (changed(17, 61), "ip_length"),
        (changed(17, 19), "ip_length"),
        (six(&ipv6_too_long), "ip_length"),
        (six(&ipv6(&vec![extension(DESTINATION, 0); 9], TCP, 64)), "ip_extensions"),
        (six(&ipv6(&[extension(HOP_BY_HOP, 0)], UDP, 0)[..47]), "ip_length"),
        (ethernet(&[], IPV4, &ipv4(TCP, 0, 0, 19)), "transport"),
        (ethernet(&[], IPV4, &ipv4(UDP, 0, 0, 7)), "transport"),
        (ethernet(&[], IPV4, &ipv4(ICMP, 0, 0, 7)), "transport"),
        (changed(46, 4 << 4), "transport"),
        (udp_length_of_four, "transport"),
    ]
}
