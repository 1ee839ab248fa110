//! The probe `xdp`: packets and bytes that arrive at network devices, by IP family and transport protocol.
//!
//! The program runs on every packet before the rest of the network stack sees it, so it counts what a firewall drops
//! later. Bytes are those of the frame at the hook: Ethernet header in, frame check sequence out; a VLAN tag that the
//! network card took off is not seen. A packet that a virtual device passes on in one piece (a TCP burst between
//! containers, say) is one packet. While a program sits on a device in generic mode the kernel does not merge received
//! packets (GRO), which costs some CPU time on fast links; native mode does not have that cost.

mod counters;
mod device;
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
use crate::{Capability, Error, Loader, Metric, Running, Settings, Version, decode, glob};
use counters::Counters;
use device::Device;

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
        Self { enabled: true, devices: Vec::new(), mode: XdpMode::default() }
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
    const HELP: &'static str =
        "Counts packets and bytes that arrive at network devices, by IP family and transport protocol.";
    const METRICS: &'static [Metric] = &[PACKETS, BYTES];
    const KERNEL_MIN: Version = KERNEL_MIN;
    const TO_LOAD: &'static [Capability] = &TO_LOAD;
    const TO_RUN: &'static [Capability] = &TO_RUN;

    fn decode(section: &Section<'_>) -> Self {
        let mut config = Self { devices: section.strings("devices"), ..Self::default() };
        decode::switch(section, "enabled", &mut config.enabled);
        decode::word(section, "mode", &mut config.mode);
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
        let mut xdp = Self { config, counters: Counters::load(loader)?, refused: Vec::new() };
        xdp.follow_devices()?;
        Ok(xdp)
    }

    /// Takes up devices that are new and lets go of those that are gone.
    fn follow_devices(&mut self) -> Result<(), Error> {
        let devices = device::list(Path::new("/sys"), Path::new("/proc"))?;
        let wanted: Vec<Device> = devices.into_iter().filter(|device| self.wants(device)).collect();
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

    fn wants(&self, device: &Device) -> bool {
        if self.config.devices.is_empty() {
            return device.is_default();
        }
        self.config.devices.iter().any(|pattern| glob::matches(pattern, &device.name))
    }

    fn nothing_counted(&self) -> String {
        match self.refused.as_slice() {
            [] if self.config.devices.is_empty() => {
                "no physical device and none with a default route; name devices in probes.xdp.devices".to_owned()
            }
            [] => format!("no device matches probes.xdp.devices ({})", self.config.devices.join(", ")),
            refused => refused.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; "),
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
        let readings = self.counters.read()?;
        for (metric, pick) in [PACKETS, BYTES].into_iter().zip([0, 1]) {
            let family = metric.family(families);
            for reading in &readings {
                let labels = [("device", reading.device), ("family", reading.family), ("protocol", reading.protocol)];
                family.with(labels, reading.packets_bytes[pick] as f64);
            }
        }
        Ok(())
    }

    fn meter(&self) -> &Meter {
        self.counters.meter()
    }

    fn state(&self) -> ProbeState {
        if self.counters.devices().next().is_some() {
            return ProbeState::Running;
        }
        let why = self.nothing_counted();
        // A machine without such a device is not broken.
        if self.refused.is_empty() {
            ProbeState::Unsupported { reason: why }
        } else {
            ProbeState::Failed { error: why }
        }
    }

    fn details(&self) -> Vec<String> {
        let counted = self.counters.devices().map(|(name, mode)| format!("{name}: counted in {mode} mode"));
        counted.chain(self.refused.iter().map(|(name, why)| format!("{name}: {why}"))).collect()
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
