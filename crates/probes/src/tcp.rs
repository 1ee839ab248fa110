//! The probe `tcp`: how connections begin, end and fail, what is sent again, resets, and round-trip times.
//!
//! - `skep_tcp_retransmits_total{kind}`: segments, tracepoints `tcp:tcp_retransmit_skb` and `tcp:tcp_retransmit_synack`;
//!   together they are the kernel's `TcpRetransSegs`.
//! - `skep_tcp_resets_sent_total{reason}`, `skep_tcp_resets_received_total`: `tcp:tcp_send_reset`, by the kernel's own
//!   reason (from Linux 6.10 on, before it is `unknown`, and resets that answer a segment for no socket are not seen),
//!   and `tcp:tcp_receive_reset`.
//! - `skep_tcp_connections_{opened,accepted,closed}_total`, `skep_tcp_connections_failed_total{side,reason}`,
//!   `skep_tcp_connection_duration_seconds`, `skep_tcp_closed_{sent,received}_bytes_total`: `sock:inet_sock_set_state`.
//!   Bytes are payload, and are counted when a connection closes. The duration is that of connections which began after
//!   the probe. A request that never became a socket (a scan, say) is no failure here.
//! - `skep_tcp_rtt_seconds`: the kernel's smoothed round-trip time. Each connection is sampled when it closes and, while
//!   it is in use, once a window of 4096 ticks of the kernel (16 s at 250 ticks a second), at the first segment that
//!   arrives in it: tracepoint `tcp:tcp_probe`. The other ways were to sample on every segment, which costs a histogram
//!   update each and says of busy connections only; or to walk all sockets once an interval by a `tcp` iterator, which
//!   sees one network namespace and so no pod, and costs the more the more idle connections there are.
//! - `skep_tcp_zero_windows_total{change}`: `TCPFromZeroWindowAdv`, `TCPToZeroWindowAdv` and `TCPWantZeroWindowAdv` of
//!   `/proc/net/netstat`, which are those of the network namespace that skep runs in.
//! - `skep_tcp_peer_*{remote,port,side}`: the same by the other end's address and the port of the service, that is the
//!   remote port of connections that were opened here and the local one of those that were accepted. The heaviest
//!   peers have series of their own, everything else is `other`, see [`crate::top`].
//!
//! Tracepoints see the sockets of every network namespace; `namespaces: own` counts those of skep's alone.
//!
//! The kernel needed is 5.11, from which on such programs can keep data at a socket.

mod layout;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;

use aya::maps::{Array, HashMap as Map, MapData};
use model::{Families, Point};
use yaml::Section;

use crate::capability::{BPF, PERFMON};
use crate::entries::{self, Entries};
use crate::loader::{Object, object};
use crate::meter::Meter;
use crate::top::Top;
use crate::types::Types;
use crate::{Capability, Error, Loader, Metric, Namespaces, Running, Settings, Version, decode};
use layout::{
    Buckets, DURATION_BOUNDS, FAILURES, PEER_TOTALS, Peer, RESET_REASON_UNKNOWN, RETRANSMITS, RTT_BOUNDS, SIDES, TOTALS,
    Totals,
};

const RETRANSMITTED: Metric =
    Metric::counter("skep_tcp_retransmits_total", "segments", "TCP segments that were sent again.");
const RESETS_SENT: Metric =
    Metric::counter("skep_tcp_resets_sent_total", "resets", "TCP resets that were sent, by the kernel's reason.");
const RESETS_RECEIVED: Metric =
    Metric::counter("skep_tcp_resets_received_total", "resets", "TCP resets that came for a connection.");
const OPENED: Metric = Metric::counter(
    "skep_tcp_connections_opened_total",
    "connections",
    "TCP connections that were established from here.",
);
const ACCEPTED: Metric = Metric::counter(
    "skep_tcp_connections_accepted_total",
    "connections",
    "TCP connections that were established from elsewhere.",
);
const FAILED: Metric = Metric::counter(
    "skep_tcp_connections_failed_total",
    "connections",
    "TCP connections that ended before they were established.",
);
const CLOSED: Metric =
    Metric::counter("skep_tcp_connections_closed_total", "connections", "Established TCP connections that ended.");
const SENT_BYTES: Metric =
    Metric::counter("skep_tcp_closed_sent_bytes_total", "bytes", "Payload that TCP connections had sent when they ended.");
const RECEIVED_BYTES: Metric = Metric::counter(
    "skep_tcp_closed_received_bytes_total",
    "bytes",
    "Payload that TCP connections had received when they ended.",
);
const DURATION: Metric = Metric::histogram(
    "skep_tcp_connection_duration_seconds",
    "seconds",
    "Time from the establishment of TCP connections to their end.",
);
const RTT: Metric = Metric::histogram(
    "skep_tcp_rtt_seconds",
    "seconds",
    "Smoothed round-trip time of TCP connections, sampled while they are in use and when they end.",
);
const ZERO_WINDOWS: Metric = Metric::counter(
    "skep_tcp_zero_windows_total",
    "changes",
    "Changes of the advertised TCP receive window to zero, from zero, and that were wanted and not possible.",
);
const PEER_RTT: Metric = Metric::summary(
    "skep_tcp_peer_rtt_seconds",
    "seconds",
    "Smoothed round-trip time of TCP connections by peer.",
);

/// By their place in `struct peer_totals`; the last two of that make [`PEER_RTT`].
const PEER_COUNTERS: [Metric; PEER_TOTALS - 2] = [
    Metric::counter("skep_tcp_peer_retransmits_total", "segments", "TCP segments that were sent again, by peer."),
    Metric::counter("skep_tcp_peer_resets_total", "resets", "TCP resets sent and received, by peer."),
    Metric::counter("skep_tcp_peer_connections_total", "connections", "Established TCP connections, by peer."),
    Metric::counter("skep_tcp_peer_failures_total", "connections", "Failed TCP connections, by peer."),
    Metric::counter("skep_tcp_peer_sent_bytes_total", "bytes", "Payload sent by ended TCP connections, by peer."),
    Metric::counter("skep_tcp_peer_received_bytes_total", "bytes", "Payload received by ended TCP connections, by peer."),
];

const OBJECT: (&str, &[u8]) = object!("tcp.bpf.o");
const TOTALS_MAP: &str = "totals";
const PEERS_MAP: &str = "peers";
const NETSTAT: &str = "/proc/self/net/netstat";

/// Program and tracepoint of the same name.
const PROGRAMS: [&str; 5] =
    ["inet_sock_set_state", "tcp_retransmit_synack", "tcp_send_reset", "tcp_receive_reset", "tcp_probe"];
/// Its arguments differ between kernels, so it has two programs, the one for newer kernels first.
const RETRANSMIT: &str = "tcp_retransmit_skb";
const RETRANSMIT_PROGRAMS: [&str; 2] = ["tcp_retransmit_skb_error", "tcp_retransmit_skb"];

/// Every peer is eight or so series; the store keeps 400 days of each.
const PEERS_DEFAULT: usize = 20;
/// Half of what the kernel's map holds, or the map would forget peers that are shown.
const PEERS_LIMIT: usize = 1024;

/// How many bytes weigh as much as a connection when peers are ranked.
const BYTES_A_CONNECTION: f64 = 65_536.0;

/// Section `probes.tcp` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpConfig {
    /// `probes.tcp.enabled`. Default: true.
    pub enabled: bool,
    /// `probes.tcp.namespaces`. Default: all.
    pub namespaces: Namespaces,
    /// `probes.tcp.peers`: how many peers have series of their own, at most 1024. Default: 20.
    pub peers: usize,
}

/// The running probe.
struct Tcp {
    object: Object,
    totals: Array<MapData, [u64; TOTALS]>,
    peers: Entries,
    top: Top<Peer, PEER_TOTALS>,
    reset_reasons: HashMap<u32, String>,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self { enabled: true, namespaces: Namespaces::default(), peers: PEERS_DEFAULT }
    }
}

impl Settings for TcpConfig {
    const HELP: &'static str = "Counts TCP connections, retransmits and resets, and samples round-trip times.";
    const METRICS: &'static [Metric] = &METRICS;
    const KERNEL_MIN: Version = Version(5, 11);
    const TO_LOAD: &'static [Capability] = &[BPF, PERFMON];
    const TO_RUN: &'static [Capability] = &[];
    const READS_TYPES: bool = true;

    fn decode(section: &Section<'_>) -> Self {
        let mut config = Self::default();
        decode::switch(section, "enabled", &mut config.enabled);
        decode::word(section, "namespaces", &mut config.namespaces);
        decode::bounded(section, "peers", PEERS_LIMIT, &mut config.peers);
        config
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn start(&self, loader: &Loader) -> Result<Box<dyn Running>, Error> {
        Ok(Box::new(Tcp::start(self, loader)?))
    }
}

const METRICS: [Metric; 19] = {
    let [a, b, c, d, e, f] = PEER_COUNTERS;
    [
        RETRANSMITTED, RESETS_SENT, RESETS_RECEIVED, OPENED, ACCEPTED, FAILED, CLOSED, SENT_BYTES, RECEIVED_BYTES, DURATION,
        RTT, ZERO_WINDOWS, a, b, c, d, e, f, PEER_RTT,
    ]
};

impl Tcp {
    fn start(config: &TcpConfig, loader: &Loader) -> Result<Self, Error> {
        let types = loader.types()?;
        let (namespace, number) = config.namespaces.global()?;
        let peers_wanted = u32::from(config.peers > 0).to_ne_bytes();
        let globals: [(_, &[u8]); 2] = [(namespace, &number.to_ne_bytes()), ("peers_wanted", &peers_wanted)];
        let mut object = loader.load(OBJECT, &globals)?;
        let totals = object.map(TOTALS_MAP)?;
        let peers: Map<MapData, [u8; 20], [u64; PEER_TOTALS]> = object.map(PEERS_MAP)?;
        for name in PROGRAMS {
            object.tracepoint(name, name, types)?;
        }
        let [newer, older] = RETRANSMIT_PROGRAMS;
        object.tracepoint(newer, RETRANSMIT, types).or_else(|_| object.tracepoint(older, RETRANSMIT, types))?;
        let peers = Entries::of(PEERS_MAP, &peers)?;
        let top = Top::new(config.peers, weight);
        Ok(Self { object, totals, peers, top, reset_reasons: reset_reasons(types) })
    }

    /// Totals first, as [`Top::update`] needs them.
    fn read(&mut self) -> Result<[u64; TOTALS], Error> {
        let words = self.totals.get(&0, 0).map_err(|source| Error::Map { map: TOTALS_MAP, source })?;
        let mut readings = Vec::new();
        self.peers.each(|key, values| {
            let peer = key.try_into().ok().and_then(Peer::decode);
            readings.extend(peer.map(|peer| (peer, entries::words(values))));
        })?;
        self.top.update(readings, Totals::new(&words).of_all_peers());
        Ok(words)
    }

    fn expose(&self, totals: &Totals<'_>, families: &mut Families) {
        let labelled = |families: &mut Families, metric: Metric, label: &'static str, values: &[u64], names: &[&str]| {
            let family = metric.family(families);
            for (name, value) in names.iter().zip(values) {
                family.with([(label, *name)], *value as f64);
            }
        };
        labelled(families, RETRANSMITTED, "kind", totals.retransmits, &RETRANSMITS);
        let family = RESETS_SENT.family(families);
        for (reason, count) in (0..).zip(totals.resets_sent).filter(|(_, count)| **count > 0) {
            let name = self.reset_reasons.get(&reason).cloned().unwrap_or_else(|| format!("reason_{reason}"));
            family.with([("reason", name)], *count as f64);
        }
        let [opened, accepted] = [0, 1].map(|side| totals.established.get(side).copied().unwrap_or_default());
        let plain = [
            (RESETS_RECEIVED, totals.resets_received),
            (OPENED, opened),
            (ACCEPTED, accepted),
            (CLOSED, totals.closed),
            (SENT_BYTES, totals.sent_bytes),
            (RECEIVED_BYTES, totals.received_bytes),
        ];
        for (metric, value) in plain {
            metric.family(families).value(value as f64);
        }
        let family = FAILED.family(families);
        for (side, counts) in SIDES.iter().zip(totals.failed.chunks(FAILURES.len())) {
            for (reason, count) in FAILURES.iter().zip(counts) {
                family.with([("side", *side), ("reason", *reason)], *count as f64);
            }
        }
        expose_histogram(RTT, &RTT_BOUNDS, &totals.rtt, families);
        expose_histogram(DURATION, &DURATION_BOUNDS, &totals.duration, families);
    }

    fn expose_peers(&self, families: &mut Families) {
        let series: Vec<_> = self.top.series().map(|(peer, values)| (labels(peer), values)).collect();
        for (at, metric) in PEER_COUNTERS.iter().enumerate() {
            let family = metric.family(families);
            for (labels, values) in &series {
                family.with(labels.clone(), values[at] as f64);
            }
        }
        let family = PEER_RTT.family(families);
        for (labels, [.., samples, microseconds]) in series {
            for (suffix, value) in [("_sum", seconds(microseconds)), ("_count", samples as f64)] {
                let labels = labels.clone().map(|(name, value)| (Cow::Borrowed(name), value)).to_vec();
                family.points.push(Point { suffix, labels, value });
            }
        }
    }
}

impl Running for Tcp {
    fn collect(&mut self, families: &mut Families) -> Result<(), Error> {
        let words = self.read()?;
        self.expose(&Totals::new(&words), families);
        self.expose_peers(families);
        let text = fs::read_to_string(NETSTAT).map_err(|source| Error::Read { path: NETSTAT.to_owned(), source })?;
        let family = ZERO_WINDOWS.family(families);
        for (change, value) in zero_windows(&text) {
            family.with([("change", change)], value as f64);
        }
        Ok(())
    }

    fn meter(&self) -> &Meter {
        self.object.meter()
    }
}

/// What a peer did in an interval, in connections: those that are in trouble count as much as those that are busy.
fn weight(&[retransmits, resets, established, failed, sent, received, ..]: &[u64; PEER_TOTALS]) -> f64 {
    (retransmits + resets + established + failed) as f64 + (sent + received) as f64 / BYTES_A_CONNECTION
}

/// Why the kernel sends resets, by number; empty on kernels that do not tell.
fn reset_reasons(types: &Types) -> HashMap<u32, String> {
    const PREFIX: &str = "SK_RST_REASON_";
    let variants = types.variants(|name| name == "sk_rst_reason").into_iter();
    let named = variants.map(|v| (v.value, v.name.strip_prefix(PREFIX).unwrap_or(&v.name).to_lowercase()));
    named.chain([(RESET_REASON_UNKNOWN, "unknown".to_owned())]).collect()
}

fn labels(peer: Option<Peer>) -> [(&'static str, String); 3] {
    const OTHER: &str = "other";
    let [remote, port, side] = match peer {
        Some(peer) => [peer.address.to_string(), peer.port.to_string(), peer.side.to_owned()],
        None => [OTHER; 3].map(str::to_owned),
    };
    [("remote", remote), ("port", port), ("side", side)]
}

fn expose_histogram(metric: Metric, bounds: &[u64], buckets: &Buckets<'_>, families: &mut Families) {
    let inside: Vec<(f64, u64)> = bounds.iter().map(|bound| seconds(*bound)).zip(buckets.counts.iter().copied()).collect();
    let above = buckets.counts.get(bounds.len()).copied().unwrap_or_default();
    metric.family(families).histogram(&[], &inside, above, seconds(buckets.microseconds));
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

/// From a line of names and one of values, as `/proc/net/netstat` has them.
fn zero_windows(text: &str) -> Vec<(&'static str, u64)> {
    const CHANGES: [(&str, &str); 3] =
        [("TCPFromZeroWindowAdv", "from_zero"), ("TCPToZeroWindowAdv", "to_zero"), ("TCPWantZeroWindowAdv", "wanted")];
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:")).map(str::split_ascii_whitespace);
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return Vec::new() };
    let change = |name: &str| CHANGES.iter().find(|(kernel, _)| *kernel == name).map(|(_, change)| *change);
    names.zip(values).filter_map(|(name, value)| Some((change(name)?, value.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_kernel_without_reasons_of_resets() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: BPF needs root");
            return;
        }
        let mut probe = Tcp::start(&TcpConfig::default(), &Loader::before("sk_rst_reason")).unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        TcpStream::connect(nobody).unwrap_err();
        let words = probe.read().unwrap();
        let totals = Totals::new(&words);
        let unknown = totals.resets_sent[RESET_REASON_UNKNOWN as usize];
        assert!(unknown > 0 && totals.resets_sent.iter().sum::<u64>() == unknown, "{totals:?}");
    }

    #[test]
    fn zero_windows_of_netstat() {
        let check = |text: &str, expected: &[(&'static str, u64)]| assert_eq!(zero_windows(text), expected, "{text}");
        check("", &[]);
        let text = "TcpExt: A TCPToZeroWindowAdv TCPFromZeroWindowAdv\nTcpExt: 1 2 3\nIpExt: A\nIpExt: 5\n";
        check(text, &[("to_zero", 2), ("from_zero", 3)]);
        check("TcpExt: TCPWantZeroWindowAdv\nTcpExt: many\n", &[]);
    }

    #[test]
    fn reset_reasons_of_this_kernel() {
        let reasons = reset_reasons(&Types::of_kernel().unwrap());
        assert_eq!(reasons.get(&RESET_REASON_UNKNOWN).map(String::as_str), Some("unknown"));
        if Version::current() >= Version(6, 10) {
            assert_eq!(reasons.get(&1).map(String::as_str), Some("no_socket"));
        }
    }
}
