//! The table of devices that a program counts: `ebpf/include/devices.h`, mirrored. Each device that is counted has a seat:
//! a slot in the program's sums, and a place in the table where the program finds the slot by the device's index.

use std::collections::{BTreeSet, VecDeque};

use aya::maps::{Array, MapData};

use crate::Error;
use crate::device::Device;
use crate::loader::Object;

/// How many devices can be counted at once.
pub(crate) const DEVICES_MAX: u32 = 64;

/// A device stands at its index modulo this number, or at one of the next few places.
const DEVICE_PLACES: u32 = 1024;
/// How many places a device may stand at.
const DEVICE_STEPS: u32 = 8;

const DEVICES: &str = ".data.devices";

/// Index, slot and frame header of a device, at each place.
type Table = [[u32; 3]; DEVICE_PLACES as usize];

/// The table in the kernel and what is free in it.
pub(crate) struct Seats {
    /// It holds one value, which is the table.
    map: Array<MapData, Table>,
    taken: BTreeSet<u32>,
    /// The longest unused first, so that a packet still on its way through a program that was just taken off cannot
    /// land in another device's sums.
    free_slots: VecDeque<u32>,
}

/// Where a device is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) slot: u32,
    place: u32,
}

impl Seats {
    /// The table of a loaded object.
    pub(crate) fn of(object: &mut Object) -> Result<Self, Error> {
        let map = object.map(DEVICES)?;
        Ok(Self { map, taken: BTreeSet::new(), free_slots: (0..DEVICES_MAX).collect() })
    }

    /// A seat that nobody has; the program does not know of it yet.
    pub(crate) fn reserve(&mut self, index: u32) -> Option<Seat> {
        let mut places = (0..DEVICE_STEPS).map(|step| (index % DEVICE_PLACES + step) % DEVICE_PLACES);
        let place = places.find(|place| !self.taken.contains(place))?;
        let slot = self.free_slots.pop_front()?;
        self.taken.insert(place);
        Some(Seat { slot, place })
    }

    /// From now on the program counts the device there.
    pub(crate) fn seat(&mut self, device: &Device, seat: Seat) -> Result<(), Error> {
        self.write(seat.place, [device.index, seat.slot, device.header as u32])
    }

    /// Gives a seat back. No device has the index zero.
    pub(crate) fn release(&mut self, seat: Seat) -> Result<(), Error> {
        self.free_slots.push_back(seat.slot);
        self.taken.remove(&seat.place);
        self.write(seat.place, [0; 3])
    }

    /// Programs go on reading meanwhile: for all other places what is written is what was there.
    fn write(&mut self, place: u32, device: [u32; 3]) -> Result<(), Error> {
        let fail = |source| Error::Map { map: DEVICES, source };
        let mut table = self.map.get(&0, 0).map_err(fail)?;
        table[place as usize] = device;
        self.map.set(0, table, 0).map_err(fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_FILE: &str = include_str!("../../../ebpf/include/devices.h");

    fn check(name: &str, expected: u32) {
        let line = format!("#define {name} {expected}");
        assert!(HEADER_FILE.lines().any(|l| l == line), "devices.h lacks {line:?}");
    }

    #[test]
    fn numbers_are_those_of_the_programs() {
        check("DEVICES_MAX", DEVICES_MAX);
        check("DEVICE_PLACES", DEVICE_PLACES);
        check("DEVICE_STEPS", DEVICE_STEPS);
    }
}
