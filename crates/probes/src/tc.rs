//! The probe `tc`: packets and bytes that leave network devices, and on request those that arrive, by IP family and
//! transport protocol, at the hook of traffic control.
//!
//! From Linux 6.6 on the program is a BPF link at the head of the hook's list, before the programs of others, whose order
//! it does not change; the link goes with the process, however that ends. Older kernels have the queueing discipline
//! clsact, where the program is a filter with a handle of its own in the first priority. A filter outlives a process that
//! was killed, so those with our handle and name are taken off when a device is taken up. It goes when somebody removes
//! clsact, as those do who set up a device anew; so that is looked at before each reading, and it is put back. A program
//! there that others put before ours, and that decides on a packet, hides the packet from us.
//!
//! A packet is what the stack hands over: one that the device cuts into many later counts once.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::str::FromStr;

use aya::maps::{MapData, PerCpuArray};
use model::Families;
use model::status::ProbeState;
use thiserror::Error as ThisError;
use yaml::Section;

use crate::capability::{BPF, NET_ADMIN, PERFMON};
use crate::device::{self, Device};
use crate::filter::{Filter, Side};
use crate::loader::{Object, clear, object};
use crate::meter::Meter;
use crate::packet::{COUNTERS, combinations, is_usual};
use crate::seats::{DEVICES_MAX, Seat, Seats};
use crate::syscall::{DeviceLink, Hook};
use crate::{Capability, Config, Error, Loader, Metric, Running, Settings, Version, decode};

const PACKETS: Metric = Metric::counter(
    "skep_tc_packets_total",
    "packets",
    "Packets that a network device was given to send, or that it received, counted at the hook of traffic control.",
);
const BYTES: Metric = Metric::counter(
    "skep_tc_bytes_total",
    "bytes",
    "Bytes of the packets that a network device was given to send, or that it received, frame header included.",
);

/// The first kernel with the capabilities that are asked for.
const KERNEL_MIN: Version = Version(5, 8);
/// The first kernel with BPF links at this hook.
const KERNEL_TCX: Version = Version(6, 6);

/// Puts a link before all others; of linux/bpf.h.
const FLAG_BEFORE: u32 = 1 << 3;

const STATS: &str = "stats";

/// `struct stats` of `ebpf/include/tc.h` in words of 64 bits; the last one is the program's own.
type RawStats = [u64; 2 * COUNTERS + 1];

/// Section `probes.tc` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcConfig {
    /// `probes.tc.enabled`. Default: true.
    pub enabled: bool,
    /// `probes.tc.devices`: patterns of device names (`*`, `?`). Default: empty, which means the physical devices and
    /// those that carry a default route.
    pub devices: Vec<String>,
    /// `probes.tc.ingress`: whether packets that arrive are counted too. Default: false, because `xdp` counts them.
    pub ingress: bool,
    /// `probes.tc.attach`. Default: auto.
    pub attach: TcAttach,
}

/// How the program sits on a device, `probes.tc.attach`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcAttach {
    /// By a link where the kernel has them, as a filter elsewhere.
    #[default]
    Auto,
    /// By a BPF link; Linux 6.6 and later.
    Tcx,
    /// As a filter of the queueing discipline clsact.
    Clsact,
}

/// The word names no way.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("unknown way to attach {0:?}; known are auto, tcx and clsact")]
pub struct UnknownTcAttach(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Egress = 0,
    Ingress = 1,
}

/// The running probe.
struct Tc {
    config: TcConfig,
    object: Object,
    egress: OwnedFd,
    /// Where it is wanted: the kernel takes a while to verify a program.
    ingress: Option<OwnedFd>,
    seats: Seats,
    stats: PerCpuArray<MapData, RawStats>,
    counted: Vec<Counted>,
    /// What became of each device that the configuration wants and that is not counted, by the last look.
    refused: Vec<(String, String)>,
}

/// A device that is counted.
struct Counted {
    device: Device,
    seat: Seat,
    directions: Vec<(Direction, Attachment)>,
}

/// A program on a device. Dropping it takes the program off.
enum Attachment {
    Link(DeviceLink),
    Filter(Filter),
}

/// Why a device is not counted.
#[derive(Debug, ThisError)]
enum Refusal {
    #[error("more than {DEVICES_MAX} devices; name those that matter in probes.tc.devices")]
    TooMany,
    #[error("somebody took the program off; restart to count again")]
    TakenOff,
    #[error("no program for this direction is loaded; restart skep")]
    NotLoaded,
    #[error("attach a link: {0}")]
    Link(io::Error),
    #[error("attach a filter: {0}")]
    Filter(io::Error),
    #[error(transparent)]
    Other(#[from] Error),
}

impl Default for TcConfig {
    fn default() -> Self {
        Self { enabled: true, devices: Vec::new(), ingress: false, attach: TcAttach::default() }
    }
}

impl Settings for TcConfig {
    const HELP: &'static str = "Counts packets and bytes that network devices are given to send, by IP family and \
                               transport protocol.";
    const METRICS: &'static [Metric] = &[PACKETS, BYTES];
    const KERNEL_MIN: Version = KERNEL_MIN;
    const TO_LOAD: &'static [Capability] = &[BPF, NET_ADMIN, PERFMON];
    /// Devices that come later are taken up.
    const TO_RUN: &'static [Capability] = &[NET_ADMIN];

    fn decode(section: &Section<'_>) -> Self {
        let mut config = Self { devices: section.strings("devices"), ..Self::default() };
        decode::switch(section, "enabled", &mut config.enabled);
        decode::switch(section, "ingress", &mut config.ingress);
        decode::word(section, "attach", &mut config.attach);
        config
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn start(&self, loader: &Loader) -> Result<Box<dyn Running>, Error> {
        Ok(Box::new(Tc::start(self.clone(), loader)?))
    }
}

impl TcAttach {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }

    fn uses_links(self) -> bool {
        self == Self::Tcx || self == Self::Auto && Version::current() >= KERNEL_TCX
    }
}

impl fmt::Display for TcAttach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TcAttach {
    type Err = UnknownTcAttach;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let ways = [Self::Auto, Self::Tcx, Self::Clsact];
        ways.into_iter().find(|way| way.as_str() == word).ok_or_else(|| UnknownTcAttach(word.to_owned()))
    }
}

impl Direction {
    const ALL: [Self; 2] = [Self::Egress, Self::Ingress];

    fn as_str(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Egress => "skep_tc_egress",
            Self::Ingress => "skep_tc_ingress",
        }
    }

    fn hook(self) -> Hook {
        match self {
            Self::Egress => Hook::TcxEgress,
            Self::Ingress => Hook::TcxIngress,
        }
    }

    fn side(self) -> Side {
        match self {
            Self::Egress => Side::Egress,
            Self::Ingress => Side::Ingress,
        }
    }
}

impl Attachment {
    fn is_alive(&self) -> bool {
        match self {
            Self::Link(link) => link.is_attached().unwrap_or(false),
            Self::Filter(filter) => filter.is_attached(),
        }
    }
}

impl Counted {
    fn is_alive(&self) -> bool {
        self.directions.iter().all(|(_, attachment)| attachment.is_alive())
    }
}

impl Tc {
    fn start(config: TcConfig, loader: &Loader) -> Result<Self, Error> {
        let mut object = loader.load(object!("tc.bpf.o"), &[])?;
        let egress = object.program(Direction::Egress.program())?;
        let ingress = config.ingress.then(|| object.program(Direction::Ingress.program())).transpose()?;
        let (seats, stats) = (Seats::of(&mut object)?, object.map(STATS)?);
        let (counted, refused) = (Vec::new(), Vec::new());
        let mut tc = Self { config, object, egress, ingress, seats, stats, counted, refused };
        tc.follow_devices()?;
        Ok(tc)
    }

    /// Takes up devices that are new and lets go of those that are gone.
    fn follow_devices(&mut self) -> Result<(), Error> {
        let wanted = device::wanted(Path::new("/sys"), Path::new("/proc"), &self.config.devices)?;
        self.retain(&wanted)?;
        self.refused.clear();
        for device in wanted {
            let name = device.name.clone();
            if let Err(refusal) = self.add(device) {
                self.refused.push((name, refusal.to_string()));
            }
        }
        Ok(())
    }

    /// Lets go of all devices but these, and learns their new names.
    fn retain(&mut self, wanted: &[Device]) -> Result<(), Error> {
        for mut counted in std::mem::take(&mut self.counted) {
            match wanted.iter().find(|device| device.index == counted.device.index) {
                Some(device) => {
                    device.clone_into(&mut counted.device);
                    self.counted.push(counted);
                }
                None => {
                    drop(counted.directions);
                    self.seats.release(counted.seat)?;
                }
            }
        }
        Ok(())
    }

    /// Counts a device from now on, from zero. One that is counted already goes on.
    fn add(&mut self, device: Device) -> Result<(), Refusal> {
        if let Some(at) = self.counted.iter().position(|counted| counted.device.index == device.index) {
            return self.keep(at);
        }
        let seat = self.seats.reserve(device.index).ok_or(Refusal::TooMany)?;
        match self.attach(&device, seat) {
            Ok(directions) => self.counted.push(Counted { device, seat, directions }),
            Err(refusal) => {
                self.seats.release(seat)?;
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Puts back filters that went with the queueing discipline; they go on counting where they were. A link that somebody
    /// took off was meant.
    fn keep(&self, at: usize) -> Result<(), Refusal> {
        for (direction, attachment) in &self.counted[at].directions {
            match attachment {
                attachment if attachment.is_alive() => {}
                Attachment::Link(_) => return Err(Refusal::TakenOff),
                Attachment::Filter(filter) => {
                    let program = self.program(*direction)?;
                    filter.put(program.as_fd(), direction.program()).map_err(Refusal::Filter)?;
                }
            }
        }
        Ok(())
    }

    fn attach(&mut self, device: &Device, seat: Seat) -> Result<Vec<(Direction, Attachment)>, Refusal> {
        for direction in Direction::ALL {
            clear(&mut self.stats, STATS, stats_index(seat, direction), [0; _])?;
        }
        self.seats.seat(device, seat)?;
        let mut attachments = Vec::new();
        let directions: &[Direction] = if self.config.ingress { &Direction::ALL } else { &[Direction::Egress] };
        for direction in directions.iter().copied() {
            let attachment = match self.config.attach.uses_links() {
                true => self.link(device.index, direction)?,
                false => self.filter(device.index, direction)?,
            };
            attachments.push((direction, attachment));
        }
        Ok(attachments)
    }

    fn link(&self, device: u32, direction: Direction) -> Result<Attachment, Refusal> {
        let program = self.program(direction)?;
        let link = DeviceLink::create(program.as_fd(), device, direction.hook(), FLAG_BEFORE);
        link.map(Attachment::Link).map_err(Refusal::Link)
    }

    fn filter(&self, device: u32, direction: Direction) -> Result<Attachment, Refusal> {
        let program = self.program(direction)?;
        let filter = Filter::create(program.as_fd(), direction.program(), device, direction.side());
        filter.map(Attachment::Filter).map_err(Refusal::Filter)
    }

    fn program(&self, direction: Direction) -> Result<&OwnedFd, Refusal> {
        match direction {
            Direction::Egress => Ok(&self.egress),
            Direction::Ingress => self.ingress.as_ref().ok_or(Refusal::NotLoaded),
        }
    }

    /// Packets and bytes of a device by family and protocol.
    fn read(&self, seat: Seat, direction: Direction) -> Result<[[u64; 2]; COUNTERS], Error> {
        let cpus = self.stats.get(&stats_index(seat, direction), 0).map_err(|source| Error::map(STATS, source))?;
        let sum = |at: usize| cpus.iter().fold(0u64, |sum, cpu| sum.wrapping_add(cpu[at]));
        Ok(std::array::from_fn(|counter| [sum(2 * counter), sum(2 * counter + 1)]))
    }
}

impl Running for Tc {
    fn collect(&mut self, families: &mut Families) -> Result<(), Error> {
        self.follow_devices()?;
        let mut readings = Vec::new();
        for counted in self.counted.iter().filter(|counted| counted.is_alive()) {
            for (direction, _) in &counted.directions {
                readings.push((&counted.device, *direction, self.read(counted.seat, *direction)?));
            }
        }
        for (metric, pick) in [(PACKETS, 0), (BYTES, 1)] {
            let family_of = metric.family(families);
            for (device, direction, counters) in &readings {
                for ((family, protocol), counter) in combinations().zip(counters) {
                    if counter[0] > 0 || is_usual(family, protocol) {
                        let labels = [
                            ("device", device.name.as_str()),
                            ("direction", direction.as_str()),
                            ("family", family),
                            ("protocol", protocol),
                        ];
                        family_of.with(labels, counter[pick] as f64);
                    }
                }
            }
        }
        Ok(())
    }

    fn meter(&self) -> &Meter {
        self.object.meter()
    }

    fn state(&self) -> ProbeState {
        if self.counted.iter().any(Counted::is_alive) {
            return ProbeState::Running;
        }
        device::nothing_counted("tc", &self.config.devices, &self.refused)
    }

    fn details(&self) -> Vec<String> {
        let way = if self.config.attach.uses_links() { "a link" } else { "a filter" };
        let counted = self.counted.iter().filter(|counted| counted.is_alive()).map(|counted| {
            let directions: Vec<&str> = counted.directions.iter().map(|(direction, _)| direction.as_str()).collect();
            format!("{}: {} counted by {way}", counted.device.name, directions.join(" and "))
        });
        counted.chain(device::in_words(&self.refused)).collect()
    }

    fn apply(&mut self, config: &Config) -> bool {
        let config = &config.tc;
        if config.ingress && self.ingress.is_none() {
            return false;
        }
        let same_way = config.attach.uses_links() == self.config.attach.uses_links();
        if (!same_way || config.ingress != self.config.ingress) && self.retain(&[]).is_err() {
            return false;
        }
        config.clone_into(&mut self.config);
        // What fails here is tried again, and told, at the next reading.
        let _ = self.follow_devices();
        true
    }
}

fn stats_index(seat: Seat, direction: Direction) -> u32 {
    seat.slot * Direction::ALL.len() as u32 + direction as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_attach() {
        for way in [TcAttach::Auto, TcAttach::Tcx, TcAttach::Clsact] {
            assert_eq!(way.as_str().parse(), Ok(way));
        }
        assert_eq!("xdp".parse::<TcAttach>(), Err(UnknownTcAttach("xdp".to_owned())));
    }

    #[test]
    fn numbers_are_those_of_the_program() {
        let header = include_str!("../../../ebpf/include/tc.h");
        for direction in Direction::ALL {
            let line = format!("#define DIRECTION_{} {}", direction.as_str().to_uppercase(), direction as u32);
            assert!(header.lines().any(|l| l == line), "tc.h lacks {line:?}");
        }
    }
}
