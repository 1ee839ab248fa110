//! The probe `xdp`: what arrives at network devices: packets and bytes by IP family and transport protocol, sizes, TCP
//! flags, fragments, malformed packets, and the busiest destination ports and sources.
//!
//! The program runs on every packet before the rest of the network stack sees it, so it counts what a firewall drops
//! later. Bytes are those of the frame at the hook: Ethernet header in, frame check sequence out; a VLAN tag that the
//! network card took off is not seen. A packet that a virtual device passes on in one piece (a TCP burst between
//! containers, say) is one packet. While a program sits on a device in generic mode the kernel does not merge received
//! packets (GRO), which costs some CPU time on fast links; native mode does not have that cost.

mod counters;
mod layout;
mod occupant;

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use model::status::ProbeState;
use model::Families;
use thiserror::Error as ThisError;
use yaml::Section;

use crate::capability::{BPF, NET_ADMIN, PERFMON};
use crate::meter::Meter;
use crate::device::{self, Device};
use crate::packet::{self, combinations, is_usual};
use crate::{Capability, Config, Error, Loader, Metric, Running, Settings, Version, decode};
use counters::{Attached, Counters};
use layout::SIZE_BOUNDS;

const PACKETS: Metric = Metric::counter(
    "skep_xdp_packets_total",
    "packets",
    "Packets that arrived at a network device, counted by XDP.",
);
const BYTES: Metric = Metric::counter(
    "skep_xdp_bytes_total",
    "bytes",
    "Bytes of the frames that arrived at a network device, counted by XDP, frame header included.",
);
const SIZE: Metric = Metric::histogram(
    "skep_xdp_packet_size_bytes",
    "bytes",
    "Sizes of the frames that arrived at a network device, frame header included.",
);
const FLAGS: Metric = Metric::counter(
    "skep_xdp_tcp_flags_total",
    "packets",
    "TCP packets that carried a flag; syn is without ack, syn-ack with it, none has no flag at all.",
);
const FRAGMENTS: Metric =
    Metric::counter("skep_xdp_fragments_total", "packets", "Packets that were a fragment of a larger one.");
const MALFORMED: Metric = Metric::counter(
    "skep_xdp_malformed_total",
    "packets",
    "Packets whose headers make no sense, by the first part that does not.",
);
const PORT_PACKETS: Metric = Metric::counter(
    "skep_xdp_port_packets_total",
    "packets",
    "Packets by destination port, the busiest ports of each device and the rest as other.",
);
const PORT_BYTES: Metric = Metric::counter(
    "skep_xdp_port_bytes_total",
    "bytes",
    "Bytes by destination port, the busiest ports of each device and the rest as other.",
);
const SOURCE_PACKETS: Metric = Metric::counter(
    "skep_xdp_source_packets_total",
    "packets",
    "Packets by source address, the busiest sources of each device and the rest as other.",
);
const SOURCE_BYTES: Metric = Metric::counter(
    "skep_xdp_source_bytes_total",
    "bytes",
    "Bytes by source address, the busiest sources of each device and the rest as other.",
);
const DEVICE: Metric = Metric::gauge(
    "skep_xdp_device_info",
    "devices",
    "1 for a counted device; what arrives at one of the layer stacked arrived at another device before.",
);

/// The label value of what has no series of its own.
const OTHER: &str = "other";

/// Series of ports, and as many of sources, that a device may have: two kinds of as many series for 64 devices are
/// what a store on an edge box still takes without a thought.
const TOP_MAX: usize = 100;

/// The first kernel with BPF links for XDP; before, a killed process would leave its program on the device.
const KERNEL_MIN: Version = Version(5, 9);

/// The first kernel that hands over packets in several buffers, and tells their whole length.
pub(crate) const KERNEL_FRAGS: Version = Version(5, 18);

/// The verifier lets packet pointers move by what a header says only for holders of CAP_PERFMON.
const TO_LOAD: [Capability; 3] = [BPF, NET_ADMIN, PERFMON];

/// Devices that come later are taken up.
const TO_RUN: [Capability; 1] = [NET_ADMIN];

/// Section `probes.xdp` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpConfig {
    /// `probes.xdp.enabled`. Default: true.
    pub enabled: bool,
    /// `probes.xdp.devices`: patterns of device names (`*`, `?`). Default: empty, which means the physical devices and
    /// those that carry a default route.
    pub devices: Vec<String>,
    /// `probes.xdp.mode`. Default: generic.
    pub mode: XdpMode,
    /// `probes.xdp.details`: whether sizes, TCP flags, fragments and malformed packets are counted. Default: true.
    pub details: bool,
    /// `probes.xdp.top`: how many ports and how many sources of each device have series of their own; 0 counts neither.
    /// Default: 10.
    pub top: usize,
}

/// Where in the kernel the program runs, `probes.xdp.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// In the network stack: works on every device.
    #[default]
    Generic,
    /// In the driver: cheaper, only where the driver can.
    Native,
    /// Native where the driver can, generic elsewhere.
    Auto,
}

/// The word names no mode.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("unknown XDP mode {0:?}; known are generic, native and auto")]
pub struct UnknownXdpMode(pub String);

/// The running probe.
struct Xdp {
    config: XdpConfig,
    counters: Counters,
    /// What became of each device that the configuration wants, by the last look.
    refused: Vec<(String, String)>,
}

impl Default for XdpConfig {
    fn default() -> Self {
        Self { enabled: true, devices: Vec::new(), mode: XdpMode::default(), details: true, top: 10 }
    }
}

impl XdpMode {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Native => "native",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for XdpMode {
    type Err = UnknownXdpMode;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let modes = [Self::Generic, Self::Native, Self::Auto];
        modes.into_iter().find(|mode| mode.as_str() == word).ok_or_else(|| UnknownXdpMode(word.to_owned()))
    }
}

impl Settings for XdpConfig {
    const HELP: &'static str = "Counts what arrives at network devices: packets and bytes by protocol, sizes, TCP flags, \
                               fragments, malformed packets, the busiest ports and sources.";
    const METRICS: &'static [Metric] = &[
        PACKETS,
        BYTES,
        SIZE,
        FLAGS,
        FRAGMENTS,
        MALFORMED,
        PORT_PACKETS,
        PORT_BYTES,
        SOURCE_PACKETS,
        SOURCE_BYTES,
        DEVICE,
    ];
    const KERNEL_MIN: Version = KERNEL_MIN;
    const TO_LOAD: &'static [Capability] = &TO_LOAD;
    const TO_RUN: &'static [Capability] = &TO_RUN;

    fn decode(section: &Section<'_>) -> Self {
        let mut config = Self { devices: section.strings("devices"), ..Self::default() };
        decode::switch(section, "enabled", &mut config.enabled);
        decode::word(section, "mode", &mut config.mode);
        decode::switch(section, "details", &mut config.details);
        decode::bounded(section, "top", TOP_MAX, &mut config.top);
        config
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn start(&self, loader: &Loader) -> Result<Box<dyn Running>, Error> {
        Ok(Box::new(Xdp::start(self.clone(), loader)?))
    }
}

impl Xdp {
    fn start(config: XdpConfig, loader: &Loader) -> Result<Self, Error> {
        let counters = Counters::load(&config, loader)?;
        let mut xdp = Self { config, counters, refused: Vec::new() };
        xdp.follow_devices()?;
        Ok(xdp)
    }

    /// Takes up devices that are new and lets go of those that are gone.
    fn follow_devices(&mut self) -> Result<(), Error> {
        let wanted = device::wanted(Path::new("/sys"), Path::new("/proc"), &self.config.devices)?;
        self.counters.retain(&wanted)?;
        self.refused.clear();
        for device in wanted {
            let name = device.name.clone();
            if let Err(refusal) = self.counters.add(device, self.config.mode) {
                self.refused.push((name, refusal.to_string()));
            }
        }
        Ok(())
    }

    fn expose_counters(&self, families: &mut Families) {
        for (metric, pick) in [(PACKETS, 0), (BYTES, 1)] {
            let family_of = metric.family(families);
            for attached in self.counters.attached() {
                for ((family, protocol), counter) in combinations().zip(&attached.stats.counters) {
                    if counter[0] > 0 || is_usual(family, protocol) {
                        let labels = [("device", attached.device.name.as_str()), ("family", family), ("protocol", protocol)];
                        family_of.with(labels, counter[pick] as f64);
                    }
                }
            }
        }
    }

    fn expose_details(&self, families: &mut Families) {
        let family = SIZE.family(families);
        for Attached { device, stats, .. } in self.counters.attached() {
            let buckets: Vec<(f64, u64)> = SIZE_BOUNDS.iter().map(|b| *b as f64).zip(stats.sizes).collect();
            let above = stats.sizes[SIZE_BOUNDS.len()];
            family.histogram(&[("device", &device.name)], &buckets, above, stats.bytes() as f64);
        }
        let family = FLAGS.family(families);
        for Attached { device, stats, .. } in self.counters.attached() {
            for (flag, packets) in stats.tcp_flags() {
                family.with([("device", device.name.as_str()), ("flag", flag)], packets as f64);
            }
        }
        let family = FRAGMENTS.family(families);
        for Attached { device, stats, .. } in self.counters.attached() {
            for (name, packets) in ["ipv4", "ipv6"].into_iter().zip(stats.fragments) {
                family.with([("device", device.name.as_str()), ("family", name)], packets as f64);
            }
        }
        let family = MALFORMED.family(families);
        for Attached { device, stats, .. } in self.counters.attached() {
            for (part, packets) in packet::MALFORMED.into_iter().zip(stats.malformed) {
                family.with([("device", device.name.as_str()), ("part", part)], packets as f64);
            }
        }
    }

    fn expose_breakdown(&self, families: &mut Families) {
        for (metric, pick) in [(PORT_PACKETS, 0), (PORT_BYTES, 1)] {
            let family = metric.family(families);
            for Attached { device, ports, .. } in self.counters.attached() {
                for (key, counter) in ports.series() {
                    let (protocol, port) =
                        key.map_or((OTHER, OTHER.to_owned()), |(protocol, port)| (protocol, port.to_string()));
                    let labels = [("device", device.name.as_str()), ("protocol", protocol), ("port", &port)];
                    family.with(labels, counter[pick] as f64);
                }
            }
        }
        for (metric, pick) in [(SOURCE_PACKETS, 0), (SOURCE_BYTES, 1)] {
            let family = metric.family(families);
            for Attached { device, sources, .. } in self.counters.attached() {
                for (key, counter) in sources.series() {
                    let source = key.map_or(OTHER.to_owned(), |address| address.to_string());
                    family.with([("device", device.name.as_str()), ("source", &source)], counter[pick] as f64);
                }
            }
        }
    }

    fn expose_devices(&self, families: &mut Families) {
        let family = DEVICE.family(families);
        for Attached { device, mode, .. } in self.counters.attached() {
            let layer = if device.stacked { "stacked" } else { "base" };
            let (name, below) = (device.name.as_str(), device.below.join(","));
            family.with([("device", name), ("mode", mode.as_str()), ("layer", layer), ("below", &below)], 1.0);
        }
    }
}

/// A device, for the doctor.
#[derive(Clone, Debug)]
pub(crate) struct InspectedDevice {
    pub(crate) name: String,
    /// The driver's name; none where there is no hardware.
    pub(crate) driver: Option<String>,
    /// Whether it is counted when nothing is configured.
    pub(crate) is_default: bool,
    /// The id of the XDP program that sits there, whoever put it there.
    pub(crate) program: Option<u32>,
}

/// All devices of this machine.
pub(crate) fn inspect_devices() -> Result<Vec<InspectedDevice>, Error> {
    let inspect = |device: Device| {
        let driver = fs::read_link(format!("/sys/class/net/{}/device/driver", device.name)).ok();
        InspectedDevice {
            driver: driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
            is_default: device.is_default(),
            program: occupant::program_id(device.index),
            name: device.name,
        }
    };
    Ok(device::list(Path::new("/sys"), Path::new("/proc"))?.into_iter().map(inspect).collect())
}

impl Running for Xdp {
    fn collect(&mut self, families: &mut Families) -> Result<(), Error> {
        self.follow_devices()?;
        self.counters.read()?;
        self.expose_counters(families);
        if self.config.details {
            self.expose_details(families);
        }
        if self.config.top > 0 {
            self.expose_breakdown(families);
        }
        self.expose_devices(families);
        Ok(())
    }

    /// Devices and mode; what is counted of a packet is fixed when the program is loaded.
    fn apply(&mut self, config: &Config) -> bool {
        let config = &config.xdp;
        let same_program = config.details == self.config.details && config.top == self.config.top;
        if !same_program || !self.counters.can(config.mode) {
            return false;
        }
        if config.mode != self.config.mode && self.counters.clear().is_err() {
            return false;
        }
        config.clone_into(&mut self.config);
        // What fails here is tried again, and told, at the next reading.
        let _ = self.follow_devices();
        true
    }

    fn meter(&self) -> &Meter {
        self.counters.meter()
    }

    fn state(&self) -> ProbeState {
        if self.counters.attached().next().is_some() {
            return ProbeState::Running;
        }
        device::nothing_counted("xdp", &self.config.devices, &self.refused)
    }

    fn details(&self) -> Vec<String> {
        let counted = self.counters.attached();
        let counted = counted.map(|Attached { device, mode, .. }| format!("{}: counted in {mode} mode", device.name));
        counted.chain(device::in_words(&self.refused)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for mode in [XdpMode::Generic, XdpMode::Native, XdpMode::Auto] {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert_eq!("offload".parse::<XdpMode>(), Err(UnknownXdpMode("offload".to_owned())));
    }
}
