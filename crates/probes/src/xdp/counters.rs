//! The program in the kernel, its maps, and the devices it sits on.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use aya::maps::{Array, MapData, PerCpuArray};
use rustix::thread::{MembarrierCommand, membarrier};
use thiserror::Error as ThisError;

use super::layout::{
    self, PORTS, Port, RawPorts, RawSources, RawStats, SOURCES, Stats,
};
use super::{KERNEL_FRAGS, XdpConfig, XdpMode, occupant};
use crate::device::Device;
use crate::loader::{Loader, Object, clear, object};
use crate::meter::Meter;
use crate::seats::{DEVICES_MAX, Seat, Seats};
use crate::syscall::{DeviceLink, Hook};
use crate::top::Top;
use crate::{Error, Version};

const STATS: &str = "stats";
const EPOCH: &str = "epoch";
const PORTS_MAP: &str = "ports";
const SOURCES_MAP: &str = "sources";

/// Takes packets in several buffers.
const PROGRAM_FRAGS: &str = "skep_xdp_frags";
/// Takes packets in one buffer.
const PROGRAM_LINEAR: &str = "skep_xdp";

// Flags of linux/if_link.h.
const FLAG_GENERIC: u32 = 1 << 1;
const FLAG_NATIVE: u32 = 1 << 2;

/// A program works on one packet at a time and takes less than a microsecond for it.
const PROGRAM_ENDS_WITHIN: Duration = Duration::from_millis(20);

/// Everything that lives in the kernel. Dropping it leaves nothing behind.
pub(super) struct Counters {
    object: Object,
    /// Those that the mode does not ask for are not loaded: the kernel takes a while to verify one.
    ///
    /// For generic mode. It takes packets in one buffer, and the kernel makes them so: a program that takes several gets
    /// a copy whose link-layer length Linux (seen in 6.18) forgets, and the programs of traffic control behind it, of
    /// whoever they are, then find no frame header.
    generic: Option<OwnedFd>,
    /// For native mode, where the driver hands over several buffers as they are.
    native: Option<OwnedFd>,
    seats: Seats,
    stats: PerCpuArray<MapData, RawStats>,
    tables: Tables,
    attached: Vec<Attached>,
    /// How many ports and sources of a device have series of their own.
    top: usize,
}

/// Ports and sources: two tables of each, of which the program counts into one.
struct Tables {
    epoch: Array<MapData, u32>,
    ports: PerCpuArray<MapData, RawPorts>,
    sources: PerCpuArray<MapData, RawSources>,
    current: u32,
}

/// A device that is counted, and what was counted by the last reading.
pub(super) struct Attached {
    pub(super) device: Device,
    pub(super) mode: XdpMode,
    pub(super) stats: Stats,
    pub(super) ports: Breakdown<Port>,
    pub(super) sources: Breakdown<IpAddr>,
    seat: Seat,
    link: DeviceLink,
    /// False once somebody took the program off while the device lives. That was meant, so it is not put back.
    alive: bool,
}

/// Packets and bytes by a key: the busiest and the rest.
pub(super) struct Breakdown<K> {
    top: Top<K, 2>,
    /// What ever stood in the tables when they were read.
    drained: [u64; 2],
}

/// Packets and bytes since the last reading, by slot and key.
type Drained<K> = HashMap<u32, HashMap<K, [u64; 2]>>;

/// Why a device is not counted.
#[derive(Debug, ThisError)]
pub(super) enum Refusal {
    #[error("left alone, another XDP program sits there{}", id_in_words(*.program))]
    Occupied { program: Option<u32> },
    #[error("a device that stands on it has an XDP program, and the kernel allows none below; restart to count both")]
    Below,
    #[error("the driver has no native XDP; set probes.xdp.mode to generic or auto")]
    NoNative,
    #[error("more than {DEVICES_MAX} devices; name those that matter in probes.xdp.devices")]
    TooMany,
    #[error("somebody took the program off; restart to count again")]
    TakenOff,
    #[error("no program for this mode is loaded; restart skep")]
    NotLoaded,
    #[error("attach: {0}")]
    Attach(io::Error),
    #[error(transparent)]
    Other(Error),
}

impl Counters {
    /// Makes the maps; no device is counted yet.
    pub(super) fn load(config: &XdpConfig, loader: &Loader) -> Result<Self, Error> {
        let [details, breakdown] = [config.details, config.top > 0].map(|wanted| u32::from(wanted).to_ne_bytes());
        let seed = RandomState::new().hash_one(0).to_ne_bytes();
        let globals: [(_, &[u8]); 3] = [("details", &details), ("breakdown", &breakdown), ("seed", &seed)];
        let mut object = loader.load(object!("xdp.bpf.o"), &globals)?;
        let several = Version::current() >= KERNEL_FRAGS;
        let mut start = |wanted: bool, name| wanted.then(|| object.program(name)).transpose();
        let generic = start(config.mode != XdpMode::Native, PROGRAM_LINEAR)?;
        let native = if several { PROGRAM_FRAGS } else { PROGRAM_LINEAR };
        let native = start(config.mode != XdpMode::Generic, native)?;
        let tables = Tables {
            epoch: object.map(EPOCH)?,
            ports: object.map(PORTS_MAP)?,
            sources: object.map(SOURCES_MAP)?,
            current: 0,
        };
        Ok(Self {
            generic,
            native,
            seats: Seats::of(&mut object)?,
            stats: object.map(STATS)?,
            tables,
            object,
            attached: Vec::new(),
            top: config.top,
        })
    }

    /// Whether programs are loaded for a mode.
    pub(super) fn can(&self, mode: XdpMode) -> bool {
        (mode == XdpMode::Native || self.generic.is_some()) && (mode == XdpMode::Generic || self.native.is_some())
    }

    pub(super) fn meter(&self) -> &Meter {
        self.object.meter()
    }

    /// The devices that are counted.
    pub(super) fn attached(&self) -> impl Iterator<Item = &Attached> {
        self.attached.iter().filter(|attached| attached.alive)
    }

    /// Lets go of all devices but these, and learns their new names.
    pub(super) fn retain(&mut self, wanted: &[Device]) -> Result<(), Error> {
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.attached)
            .into_iter()
            .partition(|attached| wanted.iter().any(|device| device.index == attached.device.index));
        self.attached = kept;
        for attached in &mut self.attached {
            attached.alive &= attached.link.is_attached().unwrap_or(false);
            if let Some(device) = wanted.iter().find(|device| device.index == attached.device.index) {
                device.clone_into(&mut attached.device);
            }
        }
        gone.into_iter().try_for_each(|attached| {
            drop(attached.link);
            self.seats.release(attached.seat)
        })
    }

    /// Counts a device from now on, from zero. One that is counted already goes on.
    pub(super) fn add(&mut self, device: Device, mode: XdpMode) -> Result<(), Refusal> {
        if let Some(attached) = self.attached.iter().find(|attached| attached.device.index == device.index) {
            return if attached.alive { Ok(()) } else { Err(Refusal::TakenOff) };
        }
        let seat = self.seats.reserve(device.index).ok_or(Refusal::TooMany)?;
        let cleared = clear(&mut self.stats, STATS, seat.slot, [0; _]);
        let prepared = cleared.and_then(|()| self.seats.seat(&device, seat)).map_err(Refusal::Other);
        match prepared.and_then(|()| self.attach(device.index, mode)) {
            Ok((link, mode)) => self.attached.push(Attached {
                device,
                mode,
                stats: Stats::sum(&[]),
                ports: Breakdown::new(self.top),
                sources: Breakdown::new(self.top),
                seat,
                link,
                alive: true,
            }),
            Err(refusal) => {
                self.seats.release(seat).map_err(Refusal::Other)?;
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Takes every program off its device, and counts all from zero where it is added again.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        self.retain(&[])
    }

    /// Reads what was counted.
    pub(super) fn read(&mut self) -> Result<(), Error> {
        let (mut ports, mut sources) = if self.top > 0 { self.tables.drain()? } else { Default::default() };
        for attached in &mut self.attached {
            let cpus = self.stats.get(&attached.seat.slot, 0).map_err(|source| Error::map(STATS, source))?;
            attached.stats = Stats::sum(&cpus);
            attached.ports.add(ports.remove(&attached.seat.slot), attached.stats.other_ports);
            attached.sources.add(sources.remove(&attached.seat.slot), attached.stats.other_sources);
        }
        Ok(())
    }

    fn attach(&self, device: u32, mode: XdpMode) -> Result<(DeviceLink, XdpMode), Refusal> {
        match mode {
            XdpMode::Generic | XdpMode::Native => self.link(device, mode),
            XdpMode::Auto => self.link(device, XdpMode::Native).or_else(|_| self.link(device, XdpMode::Generic)),
        }
    }

    fn link(&self, device: u32, mode: XdpMode) -> Result<(DeviceLink, XdpMode), Refusal> {
        let is_native = mode == XdpMode::Native;
        let (program, flag) = if is_native { (&self.native, FLAG_NATIVE) } else { (&self.generic, FLAG_GENERIC) };
        let program = program.as_ref().ok_or(Refusal::NotLoaded)?;
        let link = DeviceLink::create(program.as_fd(), device, Hook::Xdp, flag);
        link.map(|link| (link, mode)).map_err(|error| refusal(error, device, mode))
    }
}

impl Tables {
    /// Makes the program count into the other tables, reads those that are left, and empties them for the next time.
    fn drain(&mut self) -> Result<(Drained<Port>, Drained<IpAddr>), Error> {
        let left = self.current;
        self.current = 1 - left;
        self.epoch.set(0, self.current, 0).map_err(|source| Error::map(EPOCH, source))?;
        wait_for_programs();
        let ports = self.ports.get(&left, 0).map_err(|source| Error::map(PORTS_MAP, source))?;
        let sources = self.sources.get(&left, 0).map_err(|source| Error::map(SOURCES_MAP, source))?;
        clear(&mut self.ports, PORTS_MAP, left, [[0; 2]; PORTS])?;
        clear(&mut self.sources, SOURCES_MAP, left, [[0; 4]; SOURCES])?;
        let ports = gather(ports.iter().flatten().filter_map(|raw| layout::port(*raw)));
        let sources = gather(sources.iter().flatten().filter_map(|raw| layout::source(*raw)));
        Ok((ports, sources))
    }
}

impl<K: Copy + Eq + Hash + Ord> Breakdown<K> {
    fn new(top: usize) -> Self {
        Self { top: Top::new(top, |[packets, _]| *packets as f64), drained: [0; 2] }
    }

    /// `other` is the sum of what had to make room in the tables.
    fn add(&mut self, counted: Option<HashMap<K, [u64; 2]>>, other: [u64; 2]) {
        let counted = counted.unwrap_or_default();
        for [packets, bytes] in counted.values() {
            self.drained[0] += packets;
            self.drained[1] += bytes;
        }
        let totals = [self.drained[0] + other[0], self.drained[1] + other[1]];
        self.top.add(counted, totals);
    }

    /// Packets and bytes by key, then those of all other keys.
    pub(super) fn series(&self) -> impl Iterator<Item = (Option<K>, [u64; 2])> {
        self.top.series()
    }
}

/// Sums the entries of all CPUs.
fn gather<K: Eq + Hash>(entries: impl Iterator<Item = (u32, K, [u64; 2])>) -> Drained<K> {
    let mut drained = Drained::new();
    for (slot, key, [packets, bytes]) in entries {
        let sum = drained.entry(slot).or_default().entry(key).or_default();
        sum[0] += packets;
        sum[1] += bytes;
    }
    drained
}

/// Waits until every program that began before has ended: the barrier waits for all readers of the kernel's RCU, and
/// programs are such readers. Where it is not to be had (tickless CPUs) time stands in for it.
fn wait_for_programs() {
    if membarrier(MembarrierCommand::Global).is_err() {
        std::thread::sleep(PROGRAM_ENDS_WITHIN);
    }
}

fn refusal(error: io::Error, device: u32, mode: XdpMode) -> Refusal {
    match error.raw_os_error() {
        Some(libc::EEXIST) if occupant::program_id(device).is_none() => Refusal::Below,
        Some(libc::EBUSY | libc::EEXIST) => Refusal::Occupied { program: occupant::program_id(device) },
        Some(libc::EOPNOTSUPP) if mode == XdpMode::Native => Refusal::NoNative,
        _ => Refusal::Attach(error),
    }
}

fn id_in_words(program: Option<u32>) -> String {
    program.map(|id| format!(" (`bpftool prog show id {id}` tells which)")).unwrap_or_default()
}
