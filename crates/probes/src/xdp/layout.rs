//! What the program and user space agree on: `ebpf/include/xdp.h`, mirrored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::packet::{COUNTERS, FAMILIES, MALFORMED, PROTOCOLS};

/// Upper bounds of the buckets of packet sizes, bytes; above the last is one more bucket.
pub(super) const SIZE_BOUNDS: [u64; 8] = [64, 128, 256, 512, 1024, 1536, 4096, 9216];

const SIZES: usize = SIZE_BOUNDS.len() + 1;
const TCP_FLAGS: usize = 64;
pub(super) const PORTS: usize = 256 * 4;
pub(super) const SOURCES: usize = 128 * 4;

const KEY_USED: u32 = 0x8000_0000;
const KEY_SLOT_BITS: u32 = 24;
const KEY_PROTOCOL_BITS: u32 = 16;

/// `struct stats` in words of 64 bits; the last one is the program's own.
pub(super) type RawStats = [u64; 2 * COUNTERS + SIZES + TCP_FLAGS + 2 + 2 + MALFORMED.len() + 2 + 2 + 1];
/// `struct ports`: key and packets in one word, then bytes.
pub(super) type RawPorts = [[u64; 2]; PORTS];
/// `struct sources`: the address in two words, key and packets in one, then bytes.
pub(super) type RawSources = [[u64; 4]; SOURCES];

/// Whether a combination of flags counts under a name.
type HasFlag = fn(usize) -> bool;

/// Names of the flags that are counted, and whether a combination of FIN, SYN, RST, PSH, ACK and URG (from the lowest
/// bit up) counts under each.
const FLAGS: [(&str, HasFlag); 8] = [
    ("none", |flags| flags == 0),
    ("fin", |flags| flags & 1 != 0),
    ("syn", |flags| flags & 2 != 0 && flags & 16 == 0),
    ("syn-ack", |flags| flags & 2 != 0 && flags & 16 != 0),
    ("rst", |flags| flags & 4 != 0),
    ("psh", |flags| flags & 8 != 0),
    ("ack", |flags| flags & 16 != 0),
    ("urg", |flags| flags & 32 != 0),
];

/// What is counted of one device, summed over the CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stats {
    /// Packets and bytes in the order of [`crate::packet::combinations`].
    pub(super) counters: [[u64; 2]; COUNTERS],
    /// By [`SIZE_BOUNDS`], and above.
    pub(super) sizes: [u64; SIZES],
    /// Every combination of six flags.
    pub(super) flags: [u64; TCP_FLAGS],
    pub(super) ece: u64,
    pub(super) cwr: u64,
    /// Of IPv4 and IPv6.
    pub(super) fragments: [u64; 2],
    pub(super) malformed: [u64; MALFORMED.len()],
    /// Packets and bytes of ports that had to make room in their table.
    pub(super) other_ports: [u64; 2],
    /// Packets and bytes of sources that had to make room in their table.
    pub(super) other_sources: [u64; 2],
}

/// A transport protocol's name and a destination port.
pub(super) type Port = (&'static str, u16);

impl Stats {
    /// Sums the stats of all CPUs.
    pub(super) fn sum(cpus: &[RawStats]) -> Self {
        let mut words = (0..).map(|at: usize| cpus.iter().fold(0u64, |sum, cpu| sum.wrapping_add(cpu[at])));
        let mut next = || words.next().unwrap_or_default();
        Self {
            counters: std::array::from_fn(|_| [next(), next()]),
            sizes: std::array::from_fn(|_| next()),
            flags: std::array::from_fn(|_| next()),
            ece: next(),
            cwr: next(),
            fragments: std::array::from_fn(|_| next()),
            malformed: std::array::from_fn(|_| next()),
            other_ports: [next(), next()],
            other_sources: [next(), next()],
        }
    }

    /// Bytes of all packets.
    pub(super) fn bytes(&self) -> u64 {
        self.counters.iter().map(|[_, bytes]| bytes).sum()
    }

    /// Packets of TCP by the names of [`FLAGS`], and of those beyond.
    pub(super) fn tcp_flags(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = |has: HasFlag| {
            self.flags.iter().enumerate().filter(|(flags, _)| has(*flags)).map(|(_, packets)| packets).sum()
        };
        FLAGS.into_iter().map(move |(name, has)| (name, counted(has))).chain([("ece", self.ece), ("cwr", self.cwr)])
    }
}

/// Slot, port, packets and bytes of an entry of `ports`; none where it is free.
pub(super) fn port(raw: [u64; 2]) -> Option<(u32, Port, [u64; 2])> {
    let (key, packets) = key_and_packets(raw[0]);
    let protocol = PROTOCOLS.get((key >> KEY_PROTOCOL_BITS & 0xff) as usize)?;
    (key & KEY_USED != 0).then_some((slot(key), (*protocol, key as u16), [packets, raw[1]]))
}

/// Slot, address, packets and bytes of an entry of `sources`; none where it is free.
pub(super) fn source(raw: [u64; 4]) -> Option<(u32, IpAddr, [u64; 2])> {
    let (key, packets) = key_and_packets(raw[2]);
    let bytes: Vec<u8> = raw[..2].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let address = match FAMILIES.get((key & 0xff) as usize) {
        Some(&"ipv4") => Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[..4]).ok()?).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
    };
    (key & KEY_USED != 0).then_some((slot(key), address, [packets, raw[3]]))
}

/// Both lie in one word, the key first.
fn key_and_packets(word: u64) -> (u32, u64) {
    let [a, b, c, d, packets @ ..] = word.to_ne_bytes();
    (u32::from_ne_bytes([a, b, c, d]), u64::from(u32::from_ne_bytes(packets)))
}

fn slot(key: u32) -> u32 {
    (key & !KEY_USED) >> KEY_SLOT_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_FILE: &str = include_str!("../../../../ebpf/include/xdp.h");
    const PROGRAM_FILE: &str = include_str!("../../../../ebpf/src/xdp.bpf.c");

    fn check(name: &str, expected: impl std::fmt::Display) {
        let line = format!("#define {name} {expected}");
        assert!(HEADER_FILE.lines().any(|l| l == line), "xdp.h lacks {line:?}");
    }

    #[test]
    fn numbers_are_those_of_the_program() {
        check("SIZES", SIZES);
        check("TCP_FLAGS", TCP_FLAGS);
        check("WAYS", 4);
        check("PORT_SETS", PORTS / 4);
        check("SOURCE_SETS", SOURCES / 4);
        check("KEY_USED", format!("{KEY_USED:#x}"));
        check("KEY_SLOT_BITS", KEY_SLOT_BITS);
        check("KEY_PROTOCOL_BITS", KEY_PROTOCOL_BITS);
        let (last, rest) = SIZE_BOUNDS.split_last().unwrap();
        let bounds: Vec<String> = rest.iter().map(u64::to_string).collect();
        let sentence = format!("by the upper bounds {} and {last} bytes", bounds.join(", "));
        assert!(PROGRAM_FILE.contains(&sentence), "xdp.bpf.c lacks {sentence:?}");
    }

    #[test]
    fn entries() {
        let word = |key: u32, packets: u32| {
            let [a, b, c, d] = key.to_ne_bytes();
            let [e, f, g, h] = packets.to_ne_bytes();
            u64::from_ne_bytes([a, b, c, d, e, f, g, h])
        };
        assert_eq!(port([0, 0]), None);
        assert_eq!(port([word(KEY_USED | 5 << 24 | 1 << 16 | 443, 7), 9]), Some((5, ("tcp", 443), [7, 9])));
        let four = u64::from_ne_bytes([192, 0, 2, 1, 0, 0, 0, 0]);
        assert_eq!(source([four, 0, word(1, 1), 1]), None);
        let expected = Some((63, "192.0.2.1".parse().unwrap(), [1, 60]));
        assert_eq!(source([four, 0, word(KEY_USED | 63 << 24 | 1, 1), 60]), expected);
        let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0].map(|byte: u8| byte);
        let expected = Some((0, "2001:db8::1".parse().unwrap(), [2, 80]));
        let last = u64::from_ne_bytes([0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(source([u64::from_ne_bytes(six), last, word(KEY_USED | 2, 2), 80]), expected);
    }

    #[test]
    fn flags_have_names() {
        let mut stats = Stats::sum(&[]);
        for (flags, packets) in [(0b01_0010, 3), (0b00_0010, 5), (0b01_1000, 7), (0, 11)] {
            stats.flags[flags] = packets;
        }
        let named: Vec<(&str, u64)> = stats.tcp_flags().filter(|(_, packets)| *packets > 0).collect();
        assert_eq!(named, [("none", 11), ("syn", 5), ("syn-ack", 3), ("psh", 7), ("ack", 10)]);
    }
}
