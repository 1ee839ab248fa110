//! The probe `udp`: datagrams that arrived and that nobody got, by local port.
//!
//! - `skep_udp_receive_drops_total{port,reason}`: a socket of the port was there, and its receive buffer was full
//!   (`buffer`, the kernel's `RcvbufErrors`) or the memory of all sockets was used up (`memory`, `MemErrors`):
//!   tracepoint `udp:udp_fail_queue_rcv_skb`, which IPv6 has from Linux 6.5 on.
//! - `skep_udp_no_port_total{port}`: no socket has the port (the kernel's `NoPorts`): tracepoint `skb:kfree_skb` with
//!   the reason `NO_SOCKET`.
//!
//! The ports that lose most have series of their own, everything else is `other`, see [`crate::top`].
//!
//! Tracepoints see the sockets of every network namespace; `namespaces: own` counts those of skep's alone.
//!
//! The kernel needed is 5.17, the first that says why it drops a packet.

mod layout;

use aya::maps::{HashMap as Map, MapData, PerCpuArray};
use model::Families;
use yaml::Section;

use crate::capability::{BPF, PERFMON};
use crate::entries::{self, Entries};
use crate::loader::{Object, object};
use crate::meter::Meter;
use crate::top::Top;
use crate::{Capability, Error, Loader, Metric, Namespaces, Running, Settings, Version, decode};
use layout::{LOSSES, Loss};

const RECEIVE_DROPS: Metric = Metric::counter(
    "skep_udp_receive_drops_total",
    "datagrams",
    "UDP datagrams that were dropped because there was no room for them at their socket, by local port.",
);
const NO_PORT: Metric =
    Metric::counter("skep_udp_no_port_total", "datagrams", "UDP datagrams for a port that no socket has.");

const OBJECT: (&str, &[u8]) = object!("udp.bpf.o");
const PROGRAMS: [&str; 2] = ["udp_fail_queue_rcv_skb", "kfree_skb"];
const TOTALS_MAP: &str = "totals";
const PORTS_MAP: &str = "ports";

/// A machine has about as many UDP ports in use.
const PORTS_DEFAULT: usize = 20;
/// Half of what the kernel's map holds, or the map would forget ports that are shown.
const PORTS_LIMIT: usize = 512;

/// Section `probes.udp` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    /// `probes.udp.enabled`. Default: true.
    pub enabled: bool,
    /// `probes.udp.namespaces`. Default: all.
    pub namespaces: Namespaces,
    /// `probes.udp.ports`: how many ports have series of their own, for each kind of loss, at most 512. Default: 20.
    pub ports: usize,
}

/// The running probe.
struct Udp {
    object: Object,
    totals: PerCpuArray<MapData, u64>,
    ports: Entries,
    /// One for each kind of loss.
    tops: [Top<u16, 1>; LOSSES.len()],
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self { enabled: true, namespaces: Namespaces::default(), ports: PORTS_DEFAULT }
    }
}

impl Settings for UdpConfig {
    const HELP: &'static str = "Counts UDP datagrams that nobody got, by local port.";
    const METRICS: &'static [Metric] = &[RECEIVE_DROPS, NO_PORT];
    const KERNEL_MIN: Version = Version(5, 17);
    const TO_LOAD: &'static [Capability] = &[BPF, PERFMON];
    const TO_RUN: &'static [Capability] = &[];
    const READS_TYPES: bool = true;
    const READS_MEMORY: bool = true;

    fn decode(section: &Section<'_>) -> Self {
        let mut config = Self::default();
        decode::switch(section, "enabled", &mut config.enabled);
        decode::word(section, "namespaces", &mut config.namespaces);
        decode::bounded(section, "ports", PORTS_LIMIT, &mut config.ports);
        config
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn start(&self, loader: &Loader) -> Result<Box<dyn Running>, Error> {
        Ok(Box::new(Udp::start(self, loader)?))
    }
}

impl Udp {
    fn start(config: &UdpConfig, loader: &Loader) -> Result<Self, Error> {
        let types = loader.types()?;
        let (namespace, number) = config.namespaces.global()?;
        let mut object = loader.load(OBJECT, &[(namespace, &number.to_ne_bytes())])?;
        let totals = object.map(TOTALS_MAP)?;
        let ports: Map<MapData, [u8; 4], u64> = object.map(PORTS_MAP)?;
        for name in PROGRAMS {
            object.tracepoint(name, name, types)?;
        }
        let ports = Entries::of(PORTS_MAP, &ports)?;
        let tops = LOSSES.map(|_| Top::new(config.ports, |[count]| *count as f64));
        Ok(Self { object, totals, ports, tops })
    }

    /// Totals first, as [`Top::update`] needs them.
    fn read(&mut self) -> Result<(), Error> {
        let mut totals = [0; LOSSES.len()];
        for (kind, total) in (0..).zip(&mut totals) {
            *total = self.totals.get(&kind, 0).map_err(|source| Error::Map { map: TOTALS_MAP, source })?.iter().sum();
        }
        let mut readings = LOSSES.map(|_| Vec::new());
        self.ports.each(|key, value| {
            let loss = key.try_into().map(Loss::decode);
            if let Some((loss, of_kind)) = loss.ok().and_then(|loss| Some((loss.port, readings.get_mut(loss.kind)?))) {
                of_kind.push((loss, entries::words(value)));
            }
        })?;
        for ((top, readings), total) in self.tops.iter_mut().zip(readings).zip(totals) {
            top.update(readings, [total]);
        }
        Ok(())
    }
}

impl Running for Udp {
    fn collect(&mut self, families: &mut Families) -> Result<(), Error> {
        self.read()?;
        let [buffer, memory, no_port] = &self.tops;
        let family = RECEIVE_DROPS.family(families);
        for (top, reason) in [(buffer, "buffer"), (memory, "memory")] {
            for (port, [count]) in top.series() {
                family.with([("port", port_name(port)), ("reason", reason.to_owned())], count as f64);
            }
        }
        let family = NO_PORT.family(families);
        for (port, [count]) in no_port.series() {
            family.with([("port", port_name(port))], count as f64);
        }
        Ok(())
    }

    fn meter(&self) -> &Meter {
        self.object.meter()
    }
}

fn port_name(port: Option<u16>) -> String {
    port.map_or_else(|| "other".to_owned(), |port| port.to_string())
}
