//! The probe `drops`: packets that the kernel drops, by the reason it gives, and XDP verdicts that came to nothing.
//!
//! - `skep_kernel_drops_total{reason,family,protocol}`: tracepoint `skb:kfree_skb`. Reasons are the kernel's own names
//!   in lower case without their prefix, from the type information of the running kernel and its modules.
//!   `not_specified` is a drop whose place in the kernel gives no reason, which is the field's reading too; a packet
//!   that was consumed is no drop. What is dropped is a buffer: a burst that the card or the stack put together is one.
//! - `skep_kernel_xdp_exceptions_total{action}`: tracepoint `xdp:xdp_exception`.
//! - `skep_kernel_xdp_redirect_errors_total{error}`: tracepoint `xdp:xdp_redirect_err`, by the number of `errno.h`.
//! - `skep_kernel_softnet_drops_total{reason}`: `/proc/net/softnet_stat`, which is the whole machine's.
//!
//! A reason is exposed from its first drop on: there are over a hundred, and a machine meets a dozen.
//!
//! Tracepoints see the packets of every network namespace; `namespaces: own` counts those whose device, or else socket,
//! is in that of skep.
//!
//! The kernel takes programs of tracepoints with typed arguments from Linux 5.5 on, and tells reasons from 5.17 on; in
//! between, every drop counts as `unknown`.

mod layout;
mod reason;

use std::collections::BTreeMap;
use std::fs;

use aya::maps::{MapData, MapError, PerCpuArray, PerCpuHashMap};
use model::Families;
use yaml::Section;

use crate::capability::{BPF, PERFMON};
use crate::entries::{self, Entries};
use crate::loader::{Object, object};
use crate::meter::Meter;
use crate::{Capability, Error, Loader, Metric, Namespaces, Running, Settings, Version, decode};
use layout::{Drop, KINDS, Kind};
use reason::Reasons;

const DROPS: Metric = Metric::counter(
    "skep_kernel_drops_total",
    "packets",
    "Packets that the kernel dropped, by its own reason, IP family and transport protocol.",
);
const XDP_EXCEPTIONS: Metric = Metric::counter(
    "skep_kernel_xdp_exceptions_total",
    "packets",
    "Packets that were lost because an XDP program aborted or its verdict could not be carried out.",
);
const XDP_REDIRECT_ERRORS: Metric = Metric::counter(
    "skep_kernel_xdp_redirect_errors_total",
    "packets",
    "Packets that an XDP program could not redirect, by error number.",
);
const SOFTNET_DROPS: Metric = Metric::counter(
    "skep_kernel_softnet_drops_total",
    "packets",
    "Packets that were dropped before the network stack saw them, because a CPU's backlog was full or a flow's share of it.",
);

const OBJECT: (&str, &[u8]) = object!("drops.bpf.o");
const PROGRAMS: [&str; 3] = ["kfree_skb", "xdp_exception", "xdp_redirect_err"];
const MAP: &str = "drops";
const OVERFLOW: &str = "overflow";
const SOFTNET: &str = "/proc/net/softnet_stat";

/// The first kernel that says why a packet is dropped.
const KERNEL_REASONS: Version = Version(5, 17);

/// Section `probes.drops` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropsConfig {
    /// `probes.drops.enabled`. Default: true.
    pub enabled: bool,
    /// `probes.drops.namespaces`. Default: all.
    pub namespaces: Namespaces,
}

/// The running probe.
struct Drops {
    object: Object,
    drops: Entries,
    overflow: PerCpuArray<MapData, u64>,
    reasons: Reasons,
}

impl Default for DropsConfig {
    fn default() -> Self {
        Self { enabled: true, namespaces: Namespaces::default() }
    }
}

impl Settings for DropsConfig {
    const HELP: &'static str = "Counts packets that the kernel drops, by its own reason.";
    const METRICS: &'static [Metric] = &[DROPS, XDP_EXCEPTIONS, XDP_REDIRECT_ERRORS, SOFTNET_DROPS];
    const KERNEL_MIN: Version = Version(5, 8);
    const TO_LOAD: &'static [Capability] = &[BPF, PERFMON];
    const TO_RUN: &'static [Capability] = &[];
    const READS_TYPES: bool = true;
    const READS_MEMORY: bool = true;

    fn decode(section: &Section<'_>) -> Self {
        let mut config = Self::default();
        decode::switch(section, "enabled", &mut config.enabled);
        decode::word(section, "namespaces", &mut config.namespaces);
        config
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn start(&self, loader: &Loader) -> Result<Box<dyn Running>, Error> {
        Ok(Box::new(Drops::start(self, loader)?))
    }
}

impl Drops {
    fn start(config: &DropsConfig, loader: &Loader) -> Result<Self, Error> {
        let types = loader.types()?;
        let reasons = Reasons::of_kernel(types);
        let (namespace, number) = config.namespaces.global()?;
        let mut object = loader.load(OBJECT, &[(namespace, &number.to_ne_bytes())])?;
        let drops: PerCpuHashMap<MapData, [u8; 8], u64> = object.map(MAP)?;
        let overflow = object.map(OVERFLOW)?;
        for name in PROGRAMS {
            object.tracepoint(name, name, types)?;
        }
        let drops = Entries::of(MAP, &drops)?;
        Ok(Self { object, drops, overflow, reasons })
    }

    fn read(&self) -> Result<BTreeMap<Drop, u64>, Error> {
        let fail = |map| move |source: MapError| Error::Map { map, source };
        let mut sums = BTreeMap::new();
        self.drops.each(|key, values| {
            let drop = key.try_into().ok().and_then(Drop::decode);
            sums.extend(drop.map(|drop| (drop, entries::sum(values))));
        })?;
        for (kind, index) in KINDS.into_iter().zip(0..) {
            let count = self.overflow.get(&index, 0).map_err(fail(OVERFLOW))?.iter().sum();
            if count > 0 {
                sums.insert(Drop::overflow(kind), count);
            }
        }
        Ok(sums)
    }
}

impl Running for Drops {
    fn collect(&mut self, families: &mut Families) -> Result<(), Error> {
        let sums = self.read()?;
        let of_kind = |kind| sums.iter().filter(move |(drop, _)| drop.kind == kind);
        let family = DROPS.family(families);
        for (drop, count) in of_kind(Kind::Packet) {
            let reason = drop.code.map_or_else(|| "other".to_owned(), |code| self.reasons.name(code));
            let labels = [("reason", reason.as_str()), ("family", drop.family), ("protocol", drop.protocol)];
            family.with(labels, *count as f64);
        }
        let family = XDP_EXCEPTIONS.family(families);
        for (drop, count) in of_kind(Kind::XdpException) {
            family.with([("action", layout::action(drop.code))], *count as f64);
        }
        let family = XDP_REDIRECT_ERRORS.family(families);
        for (drop, count) in of_kind(Kind::XdpRedirect) {
            family.with([("error", drop.code.map_or_else(|| "other".to_owned(), |code| code.to_string()))], *count as f64);
        }
        let text = fs::read_to_string(SOFTNET).map_err(|source| Error::Read { path: SOFTNET.to_owned(), source })?;
        let [backlog, flow_limit] = softnet_drops(&text);
        let family = SOFTNET_DROPS.family(families);
        family.with([("reason", "backlog")], backlog as f64);
        family.with([("reason", "flow_limit")], flow_limit as f64);
        Ok(())
    }

    fn meter(&self) -> &Meter {
        self.object.meter()
    }

    fn details(&self) -> Vec<String> {
        let kernel = Version::current();
        if kernel >= KERNEL_REASONS {
            return Vec::new();
        }
        vec![format!("Linux {kernel} does not say why it drops a packet; from {KERNEL_REASONS} on it does")]
    }
}

/// Both kinds of drops, summed over the CPUs: a line for each, of hexadecimal numbers.
fn softnet_drops(text: &str) -> [u64; 2] {
    const BACKLOG: usize = 1;
    const FLOW_LIMIT: usize = 10;
    let sum = |column| {
        let words = text.lines().filter_map(|line| line.split_ascii_whitespace().nth(column));
        words.filter_map(|word| u64::from_str_radix(word, 16).ok()).sum()
    };
    [sum(BACKLOG), sum(FLOW_LIMIT)]
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_kernel_without_reasons() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: BPF needs root");
            return;
        }
        let probe = Drops::start(&DropsConfig::default(), &Loader::before("skb_drop_reason")).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        socket.send_to(b"?", nobody).unwrap();
        let sums = probe.read().unwrap();
        assert!(sums.keys().all(|drop| drop.code == Some(layout::CODE_UNKNOWN)), "{sums:?}");
        assert!(sums.iter().any(|(drop, count)| drop.protocol == "udp" && *count > 0), "{sums:?}");
    }

    #[test]
    fn softnet() {
        let check = |text: &str, expected| assert_eq!(softnet_drops(text), expected, "{text}");
        let cpu = |dropped: &str, limited: &str| format!("0a {dropped} 01 0 0 0 0 0 0 00 {limited} 00 00\n");
        check("", [0, 0]);
        check(&(cpu("0000000f", "00000001") + &cpu("1", "ff")), [16, 256]);
        check("0a 02 01\n", [2, 0]);
    }
}
