//! The program in the kernel, its maps, and the devices it sits on.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;

use aya::maps::{HashMap, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::programs::{ProgramFd, Xdp};
use thiserror::Error as ThisError;

use super::device::Device;
use super::layout::{COUNTERS_PER_DEVICE, DEVICES_MAX, FAMILIES, PROTOCOLS, is_usual};
use super::{KERNEL_FRAGS, XdpMode, occupant};
use crate::loader::{Loader, Object, object};
use crate::meter::Meter;
use crate::syscall::XdpLink;
use crate::{Error, Version};

const DEVICES: &str = "devices";
const COUNTERS: &str = "counters";

/// Takes packets in several buffers.
const PROGRAM_FRAGS: &str = "xdp_counters_frags";
/// Takes packets in one buffer.
const PROGRAM_LINEAR: &str = "xdp_counters";

// Flags of linux/if_link.h.
const FLAG_GENERIC: u32 = 1 << 1;
const FLAG_NATIVE: u32 = 1 << 2;

/// Everything that lives in the kernel. Dropping it leaves nothing behind.
pub(super) struct Counters {
    object: Object,
    program: ProgramFd,
    devices: HashMap<MapData, u32, [u32; 2]>,
    counters: PerCpuArray<MapData, [u64; 2]>,
    attached: Vec<Attached>,
    /// Slots of the map of counters, the longest unused first, so that a packet still on its way through a program
    /// that was just taken off cannot land in another device's sums.
    free_slots: VecDeque<u32>,
}

struct Attached {
    device: Device,
    slot: u32,
    mode: XdpMode,
    link: XdpLink,
    /// False once somebody took the program off while the device lives. That was meant, so it is not put back.
    alive: bool,
}

/// One counter, summed over the CPUs.
pub(super) struct Reading<'a> {
    pub(super) device: &'a str,
    pub(super) family: &'static str,
    pub(super) protocol: &'static str,
    pub(super) packets_bytes: [u64; 2],
}

/// Why a device is not counted.
#[derive(Debug, ThisError)]
pub(super) enum Refusal {
    #[error("left alone, another XDP program sits there{}", id_in_words(*.program))]
    Occupied { program: Option<u32> },
    #[error("the driver has no native XDP; set probes.xdp.mode to generic or auto")]
    NoNative,
    #[error("more than {DEVICES_MAX} devices; name those that matter in probes.xdp.devices")]
    TooMany,
    #[error("somebody took the program off; restart to count again")]
    TakenOff,
    #[error("attach: {0}")]
    Attach(io::Error),
    #[error(transparent)]
    Map(Error),
}

impl Counters {
    /// Loads the program; it sits on no device yet.
    pub(super) fn load(loader: &Loader) -> Result<Self, Error> {
        let mut object = loader.plain(object!("xdp_counters.bpf.o"))?;
        let name = if Version::current() >= KERNEL_FRAGS { PROGRAM_FRAGS } else { PROGRAM_LINEAR };
        let program = object.start(name, |program: &mut Xdp| {
            program.load()?;
            Ok(program.fd()?.try_clone()?)
        })?;
        Ok(Self {
            program,
            devices: object.map(DEVICES)?,
            counters: object.map(COUNTERS)?,
            object,
            attached: Vec::new(),
            free_slots: (0..DEVICES_MAX).collect(),
        })
    }

    pub(super) fn meter(&self) -> &Meter {
        self.object.meter()
    }

    /// Names and modes of the devices that are counted.
    pub(super) fn devices(&self) -> impl Iterator<Item = (&str, XdpMode)> {
        self.attached.iter().filter(|a| a.alive).map(|a| (a.device.name.as_str(), a.mode))
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
                attached.device.name.clone_from(&device.name);
            }
        }
        gone.into_iter().try_for_each(|attached| {
            drop(attached.link);
            self.forget(attached.device.index, attached.slot)
        })
    }

    /// Counts a device from now on, from zero. One that is counted already goes on.
    pub(super) fn add(&mut self, device: Device, mode: XdpMode) -> Result<(), Refusal> {
        if let Some(attached) = self.attached.iter().find(|attached| attached.device.index == device.index) {
            return if attached.alive { Ok(()) } else { Err(Refusal::TakenOff) };
        }
        let slot = self.free_slots.pop_front().ok_or(Refusal::TooMany)?;
        let prepared = self.prepare(&device, slot).map_err(Refusal::Map);
        match prepared.and_then(|()| self.attach(device.index, mode)) {
            Ok((link, mode)) => self.attached.push(Attached { device, slot, mode, link, alive: true }),
            Err(refusal) => {
                self.forget(device.index, slot).map_err(Refusal::Map)?;
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Reads every counter that is exposed.
    pub(super) fn read(&self) -> Result<Vec<Reading<'_>>, Error> {
        let mut readings = Vec::new();
        for attached in self.attached.iter().filter(|attached| attached.alive) {
            for (index, (family, protocol)) in (attached.slot * COUNTERS_PER_DEVICE..).zip(combinations()) {
                let values = self.counters.get(&index, 0).map_err(|source| map_error(COUNTERS, source))?;
                let sum = values.iter().fold([0u64; 2], |[packets, bytes], cpu| [packets + cpu[0], bytes + cpu[1]]);
                if sum[0] > 0 || is_usual(family, protocol) {
                    readings.push(Reading { device: &attached.device.name, family, protocol, packets_bytes: sum });
                }
            }
        }
        Ok(readings)
    }

    fn prepare(&mut self, device: &Device, slot: u32) -> Result<(), Error> {
        let cpus = aya::util::nr_cpus().map_err(|(path, source)| Error::Read { path: path.to_owned(), source })?;
        for index in slot * COUNTERS_PER_DEVICE..(slot + 1) * COUNTERS_PER_DEVICE {
            let zeros = PerCpuValues::try_from(vec![[0u64; 2]; cpus])
                .map_err(|source| Error::Read { path: "/sys/devices/system/cpu/possible".to_owned(), source })?;
            self.counters.set(index, zeros, 0).map_err(|source| map_error(COUNTERS, source))?;
        }
        let value = [slot, device.header as u32];
        self.devices.insert(device.index, value, 0).map_err(|source| map_error(DEVICES, source))
    }

    fn attach(&self, device: u32, mode: XdpMode) -> Result<(XdpLink, XdpMode), Refusal> {
        let create = |mode| {
            let flag = if mode == XdpMode::Native { FLAG_NATIVE } else { FLAG_GENERIC };
            XdpLink::create(self.program.as_fd(), device, flag).map(|link| (link, mode))
        };
        match mode {
            XdpMode::Generic | XdpMode::Native => create(mode).map_err(|error| refusal(error, device, mode)),
            XdpMode::Auto => create(XdpMode::Native)
                .or_else(|_| create(XdpMode::Generic))
                .map_err(|error| refusal(error, device, XdpMode::Generic)),
        }
    }

    fn forget(&mut self, device: u32, slot: u32) -> Result<(), Error> {
        self.free_slots.push_back(slot);
        match self.devices.remove(&device) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            Err(source) => Err(map_error(DEVICES, source)),
        }
    }
}

/// Family and protocol of a device's counters, in the order of their index.
fn combinations() -> impl Iterator<Item = (&'static str, &'static str)> {
    FAMILIES.into_iter().flat_map(|family| PROTOCOLS.into_iter().map(move |protocol| (family, protocol)))
}

fn map_error(map: &'static str, source: MapError) -> Error {
    Error::Map { map, source }
}

fn refusal(error: io::Error, device: u32, mode: XdpMode) -> Refusal {
    match error.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => Refusal::Occupied { program: occupant::program_id(device) },
        Some(libc::EOPNOTSUPP) if mode == XdpMode::Native => Refusal::NoNative,
        _ => Refusal::Attach(error),
    }
}

fn id_in_words(program: Option<u32>) -> String {
    program.map(|id| format!(" (`bpftool prog show id {id}` tells which)")).unwrap_or_default()
}
