//! What the program and user space agree on: `ebpf/include/tcp.h` and the bounds in `tcp.bpf.c`, mirrored.

use std::net::{IpAddr, Ipv6Addr};

/// Kinds of segments that are sent again, by their number.
pub(super) const RETRANSMITS: [&str; 3] = ["data", "syn", "syn_ack"];

/// Which end opened a connection, by its number.
pub(super) const SIDES: [&str; 2] = ["client", "server"];

/// Why a connection failed to be established, by its number.
pub(super) const FAILURES: [&str; 5] = ["other", "refused", "timeout", "unreachable", "aborted"];

pub(super) const RESET_REASONS: usize = 32;

/// The place of resets whose reason the kernel does not tell.
pub(super) const RESET_REASON_UNKNOWN: u32 = 31;

/// Upper bounds of the round-trip time, in microseconds.
pub(super) const RTT_BOUNDS: [u64; 14] =
    [100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000];

/// Upper bounds of the time that connections last, in microseconds.
pub(super) const DURATION_BOUNDS: [u64; 10] = [
    1000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    60_000_000,
    600_000_000,
    3_600_000_000,
    21_600_000_000,
    86_400_000_000,
];

/// Words of `struct totals`.
pub(super) const TOTALS: usize = RETRANSMITS.len()
    + RESET_REASONS
    + 1
    + SIDES.len()
    + SIDES.len() * FAILURES.len()
    + 3
    + (RTT_BOUNDS.len() + 2)
    + (DURATION_BOUNDS.len() + 2);

/// Words of `struct peer_totals`.
pub(super) const PEER_TOTALS: usize = 8;

/// `struct totals`, read in its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Totals<'a> {
    pub(super) retransmits: &'a [u64],
    pub(super) resets_sent: &'a [u64],
    pub(super) resets_received: u64,
    /// By side.
    pub(super) established: &'a [u64],
    /// By side, then by reason.
    pub(super) failed: &'a [u64],
    pub(super) closed: u64,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) rtt: Buckets<'a>,
    pub(super) duration: Buckets<'a>,
}

/// A histogram as the program counts it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Buckets<'a> {
    /// Each bucket alone, the last above all bounds.
    pub(super) counts: &'a [u64],
    pub(super) microseconds: u64,
}

/// `struct peer`: the other end of connections, and the port of the service that they are with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) side: &'static str,
}

impl<'a> Totals<'a> {
    pub(super) fn new(words: &'a [u64; TOTALS]) -> Self {
        let mut rest = words.as_slice();
        let mut take = |count: usize| rest.split_off(..count).unwrap_or_default();
        let first = |words: &[u64]| words.first().copied().unwrap_or_default();
        Self {
            retransmits: take(RETRANSMITS.len()),
            resets_sent: take(RESET_REASONS),
            resets_received: first(take(1)),
            established: take(SIDES.len()),
            failed: take(SIDES.len() * FAILURES.len()),
            closed: first(take(1)),
            sent_bytes: first(take(1)),
            received_bytes: first(take(1)),
            rtt: Buckets { counts: take(RTT_BOUNDS.len() + 1), microseconds: first(take(1)) },
            duration: Buckets { counts: take(DURATION_BOUNDS.len() + 1), microseconds: first(take(1)) },
        }
    }

    /// The sums over all peers, in the order of `struct peer_totals`.
    pub(super) fn of_all_peers(&self) -> [u64; PEER_TOTALS] {
        [
            self.retransmits.iter().sum(),
            self.resets_sent.iter().sum::<u64>() + self.resets_received,
            self.established.iter().sum(),
            self.failed.iter().sum(),
            self.sent_bytes,
            self.received_bytes,
            self.rtt.counts.iter().sum(),
            self.rtt.microseconds,
        ]
    }
}

impl Peer {
    /// From a key of the map.
    pub(super) fn decode(key: [u8; 20]) -> Option<Self> {
        let (address, rest) = key.split_first_chunk::<16>()?;
        let [low, high, side, _] = *rest else { return None };
        let address = Ipv6Addr::from(*address).to_canonical();
        Some(Self { address, port: u16::from_ne_bytes([low, high]), side: SIDES.get(usize::from(side))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_FILE: &str = include_str!("../../../../ebpf/include/tcp.h");
    const PROGRAM: &str = include_str!("../../../../ebpf/src/tcp.bpf.c");

    fn check(name: &str, expected: usize) {
        let line = format!("#define {name} {expected}");
        assert!(HEADER_FILE.lines().any(|l| l == line), "tcp.h lacks {line:?}");
    }

    fn check_bounds(name: &str, bounds: &[u64]) {
        let words: Vec<String> = bounds.iter().map(ToString::to_string).collect();
        let line = format!("\t{},", words.join(", "));
        assert!(PROGRAM.lines().any(|l| l == line), "tcp.bpf.c lacks the bounds of {name}: {line:?}");
        check(name, bounds.len());
    }

    #[test]
    fn numbers_are_those_of_the_program() {
        let numbered = [("RETRANSMIT", &RETRANSMITS[..]), ("SIDE", &SIDES), ("FAILED", &FAILURES)];
        for (prefix, names) in numbered {
            for (number, name) in names.iter().enumerate() {
                check(&format!("{prefix}_{}", name.to_uppercase()), number);
            }
        }
        check("RETRANSMITS", RETRANSMITS.len());
        check("SIDES", SIDES.len());
        check("FAILURES", FAILURES.len());
        check("RESET_REASONS", RESET_REASONS);
        check("RESET_REASON_UNKNOWN", RESET_REASON_UNKNOWN as usize);
        check_bounds("RTT_BOUNDS", &RTT_BOUNDS);
        check_bounds("DURATION_BOUNDS", &DURATION_BOUNDS);
    }

    #[test]
    fn totals_are_read_in_their_order() {
        let words: [u64; TOTALS] = std::array::from_fn(|at| at as u64);
        let totals = Totals::new(&words);
        assert_eq!(totals.retransmits, [0, 1, 2]);
        assert_eq!((totals.resets_sent[0], totals.resets_received, totals.established), (3, 35, &words[36..38]));
        assert_eq!((totals.failed[0], totals.closed, totals.sent_bytes, totals.received_bytes), (38, 48, 49, 50));
        assert_eq!((totals.rtt.counts[0], totals.rtt.counts[14], totals.rtt.microseconds), (51, 65, 66));
        assert_eq!((totals.duration.counts[0], totals.duration.counts[10], totals.duration.microseconds), (67, 77, 78));
    }

    #[test]
    fn peers() {
        let check = |address: &str, expected: &str| {
            let mut key = [0; 20];
            key[..16].copy_from_slice(&address.parse::<Ipv6Addr>().unwrap().octets());
            key[16..18].copy_from_slice(&443u16.to_ne_bytes());
            key[18] = 1;
            let peer = Peer::decode(key).unwrap();
            assert_eq!((peer.address.to_string().as_str(), peer.port, peer.side), (expected, 443, "server"));
        };
        check("::ffff:192.0.2.1", "192.0.2.1");
        check("2001:db8::1", "2001:db8::1");
        assert_eq!(Peer::decode([9; 20]), None);
    }
}
