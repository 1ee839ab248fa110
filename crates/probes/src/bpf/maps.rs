//! The maps of this machine: how large each is, and how full.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::Duration;

use model::status::BpfMap;

use super::budget::Stopwatch;
use super::syscall::{Map, Object, Shape};
use super::walk::{Piece, Walk};
use super::{GROUPS_MAX, OBJECTS_MAX, OTHER};

/// CPU time a collection that counting entries may take, looked at after every piece of at most 4096 entries, which is
/// another millisecond.
const COUNTING_BUDGET: Duration = Duration::from_millis(1);
/// Maps with more room than this are not counted: a full one would take a quarter of an hour of pieces, and reading it
/// 60 milliseconds of CPU time. The large maps of Cilium are read by the probe `cilium`.
const COUNTED_CAPACITY_MAX: u32 = 65_536;

/// All maps.
#[derive(Default)]
pub(super) struct Maps {
    maps: BTreeMap<u32, Known>,
    /// Maps beyond the limit, which are only counted.
    beyond: usize,
    /// Maps that wait for their entries to be counted, by id.
    queue: VecDeque<u32>,
    /// The count that is under way.
    counting: Option<(u32, Walk)>,
    /// CPU time that counting took since the start.
    spent: Duration,
}

/// What is known of a map.
#[derive(Clone, Debug)]
struct Known {
    shape: Shape,
    memory_bytes: Option<u64>,
    /// Of the last count that came to its end.
    entries: Option<u64>,
}

/// Sums over maps that share type and name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) capacity: u64,
    pub(super) memory_bytes: u64,
    /// None where no map of the group can be counted, or was yet.
    pub(super) entries: Option<u64>,
    /// The fullest map's share, 0 to 1.
    pub(super) pressure: Option<f64>,
}

impl Maps {
    /// Takes up new maps, forgets those that are gone, and goes on counting entries.
    pub(super) fn follow(&mut self) -> io::Result<()> {
        let alive = self.ids()?;
        self.maps.retain(|id, _| alive.contains(id));
        for id in alive {
            if let Entry::Vacant(place) = self.maps.entry(id) {
                // One that went away between the two calls is none.
                let Ok(map) = Map::by_id(id) else { continue };
                let known = Known { shape: map.shape().clone(), memory_bytes: map.memory_bytes(), entries: None };
                place.insert(known);
            }
        }
        self.count();
        Ok(())
    }

    /// CPU time that counting took since the start.
    pub(super) fn spent(&self) -> Duration {
        self.spent
    }

    /// Each map, by id.
    pub(super) fn list(&self) -> Vec<BpfMap> {
        let map = |(id, known): (&u32, &Known)| BpfMap {
            id: *id,
            kind: known.shape.kind.name().into_owned(),
            name: known.shape.name.clone(),
            sizes: (known.shape.key_bytes, known.shape.value_bytes),
            entries: known.entries,
            capacity: known.shape.entries_max,
            memory_bytes: known.memory_bytes,
        };
        self.maps.iter().map(map).collect()
    }

    /// How many there are beyond the limit.
    pub(super) fn beyond(&self) -> usize {
        self.beyond
    }

    /// Maps by kind; those beyond the limit as [`OTHER`].
    pub(super) fn by_kind(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for map in self.maps.values() {
            *counts.entry(map.shape.kind.name().into_owned()).or_default() += 1;
        }
        if self.beyond > 0 {
            counts.insert(OTHER.to_owned(), self.beyond);
        }
        counts
    }

    /// Sums by type and name. The oldest maps come first, so that a flood of new ones does not move the others.
    pub(super) fn groups(&self) -> BTreeMap<(String, String), Sum> {
        let mut groups: BTreeMap<(String, String), Sum> = BTreeMap::new();
        for map in self.maps.values() {
            let mut group = (map.shape.kind.name().into_owned(), map.shape.name.clone());
            if groups.len() >= GROUPS_MAX && !groups.contains_key(&group) {
                group = (OTHER.to_owned(), OTHER.to_owned());
            }
            groups.entry(group).or_default().add(map);
        }
        groups
    }

    fn ids(&mut self) -> io::Result<BTreeSet<u32>> {
        let mut ids = BTreeSet::new();
        let mut after = 0;
        self.beyond = 0;
        while let Some(id) = Object::Map.next(after)? {
            after = id;
            if ids.len() < OBJECTS_MAX {
                ids.insert(id);
            } else {
                self.beyond += 1;
            }
        }
        Ok(ids)
    }

    /// Counts until the budget is used or every map had its turn.
    fn count(&mut self) {
        let stopwatch = Stopwatch::start();
        let mut turns = self.maps.values().filter(|map| map.is_counted()).count();
        while turns > 0 && stopwatch.elapsed() < COUNTING_BUDGET {
            let Some((id, walk)) = self.counting.take().or_else(|| self.next_to_count()) else { break };
            match self.step(id, walk) {
                Some(walk) => self.counting = Some((id, walk)),
                None => turns -= 1,
            }
        }
        self.spent += stopwatch.elapsed();
    }

    fn next_to_count(&mut self) -> Option<(u32, Walk)> {
        if self.queue.is_empty() {
            self.queue = self.maps.iter().filter(|(_, map)| map.is_counted()).map(|(id, _)| *id).collect();
        }
        Some((self.queue.pop_front()?, Walk::default()))
    }

    /// One piece of one map; none where it came to its end, or cannot be read.
    fn step(&mut self, id: u32, mut walk: Walk) -> Option<Walk> {
        let known = self.maps.get_mut(&id)?;
        let map = Map::by_id(id).ok()?;
        match walk.step(&map, |_, _| ()) {
            Ok(Piece::Some) => return Some(walk),
            Ok(Piece::Last) => known.entries = Some(walk.seen()),
            Err(_) => known.entries = None,
        }
        // The kernel's account of a map whose entries are not allocated beforehand follows its entries.
        known.memory_bytes = map.memory_bytes();
        None
    }
}

impl Known {
    fn is_counted(&self) -> bool {
        self.shape.kind.is_counted() && self.shape.entries_max <= COUNTED_CAPACITY_MAX
    }
}

impl Sum {
    fn add(&mut self, map: &Known) {
        self.capacity += u64::from(map.shape.entries_max);
        self.memory_bytes += map.memory_bytes.unwrap_or_default();
        let Some(entries) = map.entries else { return };
        self.entries = Some(self.entries.unwrap_or_default() + entries);
        let share = entries as f64 / f64::from(map.shape.entries_max.max(1));
        self.pressure = Some(self.pressure.unwrap_or_default().max(share));
    }
}
