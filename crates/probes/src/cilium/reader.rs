//! Reads the pinned maps: which one when, how far, and what came out of it.
//!
//! Small maps that change are read every time. Conntrack is read once a minute, each of its maps in one go. All others
//! are read once a minute in pieces, as far as the budget of a collection goes, and so are maps of foreign layouts under
//! the names of those that are read otherwise: nobody knows how large they are. Every map is opened by its path again
//! each time, because the agent replaces maps and a descriptor that is kept would show the dead one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bpf::{Map, Piece, Shape, Stopwatch, Walk};

use super::layout::{self, Family, Layout, Role};
use super::pins::Pins;
use super::sums::{self, Backends, Conntrack, Endpoints, Metrics, PolicyStats, RateLimit, Services};

/// Time between two readings of what is not read each time.
const PERIOD: Duration = Duration::from_mins(1);
/// A map that had more entries is read once a minute in place of each time: 4096 entries take about a millisecond.
const SMALL_ENTRIES_MAX: u64 = 4096;
/// CPU time that a collection gives to what is read once a minute, without conntrack.
const BUDGET: Duration = Duration::from_millis(2);
/// Services that are named with their connections; the others are summed.
const SERVICES_MAX: usize = 20;

/// What the maps say.
#[derive(Default)]
pub(super) struct Reader {
    maps: BTreeMap<String, Held>,
    /// Connections of the services that have most of them, and of all others.
    services: Vec<(String, u64)>,
}

/// A pinned map.
pub(super) struct Held {
    pub(super) layout: &'static Layout,
    /// Room for entries, and the last complete reading.
    pub(super) capacity: Option<u32>,
    pub(super) reading: Option<Reading>,
    /// Why its entries are not understood.
    pub(super) refused: Option<String>,
    /// It is not laid out as any known version has it, and only counted.
    foreign: bool,
    /// CPU time of all readings.
    pub(super) spent: Duration,
    /// Complete readings.
    pub(super) readings: u64,
    under_way: Option<UnderWay>,
    tried: Option<Instant>,
}

/// A complete reading.
pub(super) struct Reading {
    pub(super) sum: Sum,
    pub(super) entries: u64,
    pub(super) at: Instant,
}

/// A reading that will go on at the next collection.
struct UnderWay {
    map_id: u32,
    walk: Walk,
    sum: Sum,
}

/// What is kept of the entries.
pub(super) enum Sum {
    Metrics(Metrics),
    Services(Family, Services),
    Backends(Family, Backends),
    /// With the second on the clock of the datapath at which the reading began.
    Conntrack(Family, u32, Box<Conntrack>),
    Endpoints(Endpoints),
    RateLimit(RateLimit),
    PolicyStats(PolicyStats),
    Count,
}

impl Reader {
    /// Reads what is due. `now` is the time on the clock of the datapath, or why conntrack cannot be understood.
    pub(super) fn follow(&mut self, pins: &Pins, now: &Result<u32, String>) {
        self.take_up(pins);
        for (name, held) in self.maps.iter_mut().filter(|(_, held)| held.is_read_each_time()) {
            held.read(&pins.folder.join(name), now, || false);
        }
        if self.read_conntrack(pins, now) {
            self.services = self.name_services(&pins.folder);
        }
        self.read_rest(pins, now);
    }

    /// All maps that are known, by the names of their pins.
    pub(super) fn maps(&self) -> impl Iterator<Item = (&str, &Held)> {
        self.maps.iter().map(|(name, held)| (name.as_str(), held))
    }

    /// What came out of the maps that were read.
    pub(super) fn sums(&self) -> impl Iterator<Item = &Sum> {
        self.maps.values().filter_map(|held| Some(&held.reading.as_ref()?.sum))
    }

    /// Active connections of the services that have most, and of the others.
    pub(super) fn services(&self) -> &[(String, u64)] {
        &self.services
    }

    /// Takes up new pins and forgets those that are gone.
    fn take_up(&mut self, pins: &Pins) {
        let wanted = |name: &str| {
            pins.names.contains(name) && layout::replaced_by(name).is_none_or(|newer| !pins.names.contains(newer))
        };
        self.maps.retain(|name, _| wanted(name));
        for name in pins.names.iter().filter(|name| wanted(name)) {
            if let Some(layout) = layout::of(name) {
                self.maps.entry(name.clone()).or_insert_with(|| Held::new(layout));
            }
        }
    }

    /// At the start all conntrack maps, so that sums over them are whole at once; then one a collection at most, so that
    /// their cost is spread. Whether any was read.
    fn read_conntrack(&mut self, pins: &Pins, now: &Result<u32, String>) -> bool {
        let mut due: Vec<_> = self.maps.iter_mut().filter(|(_, held)| held.is_conntrack() && held.is_due()).collect();
        due.sort_by_key(|(_, held)| held.tried);
        let first = due.iter().filter(|(_, held)| held.tried.is_none()).count();
        let due = due.into_iter().take(first.max(1));
        due.map(|(name, held)| held.read(&pins.folder.join(name), now, || false)).count() > 0
    }

    /// What was begun comes first, then what waits longest.
    fn read_rest(&mut self, pins: &Pins, now: &Result<u32, String>) {
        let stopwatch = Stopwatch::start();
        let is_over = || stopwatch.elapsed() >= BUDGET;
        let rest = |held: &Held| !held.is_read_each_time() && !held.is_conntrack();
        let mut due: Vec<_> = self.maps.iter_mut().filter(|(_, held)| rest(held) && held.is_due()).collect();
        due.sort_by_key(|(_, held)| (held.under_way.is_none(), held.tried));
        for (name, held) in due {
            if is_over() {
                return;
            }
            held.read(&pins.folder.join(name), now, is_over);
        }
    }

    /// Numbers of services become addresses by the maps for answers. Only those with most connections are looked up.
    fn name_services(&self, folder: &Path) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<(Family, u16), u64> = BTreeMap::new();
        for sum in self.sums() {
            if let Sum::Conntrack(family, _, sum) = sum {
                sum.by_service().for_each(|(id, count)| *counts.entry((*family, id)).or_default() += count);
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let others: u64 = counts.iter().skip(SERVICES_MAX).map(|(_, count)| count).sum();
        counts.truncate(SERVICES_MAX);
        let mut named: BTreeMap<String, u64> = BTreeMap::new();
        for ((family, id), count) in counts {
            *named.entry(service_name(folder, family, id)).or_default() += count;
        }
        if others > 0 {
            *named.entry("other".to_owned()).or_default() += others;
        }
        named.into_iter().collect()
    }
}

impl Held {
    fn new(layout: &'static Layout) -> Self {
        Self {
            layout,
            capacity: None,
            reading: None,
            refused: None,
            foreign: false,
            spent: Duration::ZERO,
            readings: 0,
            under_way: None,
            tried: None,
        }
    }

    fn is_read_each_time(&self) -> bool {
        let small = self.reading.as_ref().is_none_or(|reading| reading.entries <= SMALL_ENTRIES_MAX);
        let roles = matches!(self.layout.role, Role::Metrics | Role::Services(_) | Role::Backends(_) | Role::RateLimit);
        roles && small && !self.foreign
    }

    fn is_conntrack(&self) -> bool {
        matches!(self.layout.role, Role::Conntrack(_)) && !self.foreign
    }

    fn is_due(&self) -> bool {
        self.under_way.is_some() || self.tried.is_none_or(|tried| tried.elapsed() >= PERIOD)
    }

    /// Reads until the map ends or `is_over`.
    fn read(&mut self, path: &Path, now: &Result<u32, String>, is_over: impl Fn() -> bool) {
        let stopwatch = Stopwatch::start();
        self.tried = Some(Instant::now());
        if let Err(reason) = self.try_read(path, now, is_over) {
            self.refused = Some(reason);
            self.under_way = None;
            self.reading = None;
        }
        self.spent += stopwatch.elapsed();
    }

    fn try_read(&mut self, path: &Path, now: &Result<u32, String>, is_over: impl Fn() -> bool) -> Result<(), String> {
        let fail = |error: io::Error| error.to_string();
        let map = Map::at(path).map_err(fail)?;
        self.capacity = Some(map.shape().entries_max);
        let is_known = self.layout.check(map.shape());
        let was_foreign = std::mem::replace(&mut self.foreign, is_known.is_err());
        if !map.shape().kind.is_counted() {
            return is_known;
        }
        if let (Err(reason), false) = (&is_known, was_foreign) {
            // It is counted within the budget of this very collection, if that is not used up.
            (self.refused, self.reading, self.tried) = (Some(reason.clone()), None, None);
            return Ok(());
        }
        let same_map = |under_way: &UnderWay| under_way.map_id == map.shape().id;
        let mut under_way = self.under_way.take().filter(same_map).unwrap_or_else(|| self.begin(map.shape(), now));
        loop {
            let UnderWay { walk, sum, .. } = &mut under_way;
            if walk.step(&map, |key, value| sum.add(key, value)).map_err(fail)? == Piece::Last {
                break;
            }
            if is_over() {
                self.under_way = Some(under_way);
                return Ok(());
            }
        }
        let entries = under_way.walk.seen();
        if let Sum::PolicyStats(sum) = &mut under_way.sum {
            sum.follow(self.reading.as_ref().and_then(|reading| reading.sum.policy_stats()));
        }
        self.reading = Some(Reading { sum: under_way.sum, entries, at: Instant::now() });
        self.readings += 1;
        Ok(())
    }

    /// A map that is not laid out as it should be is counted and nothing else.
    fn begin(&mut self, shape: &Shape, now: &Result<u32, String>) -> UnderWay {
        let (sum, refused) = match self.layout.check(shape) {
            Ok(()) => Sum::new(self.layout.role, now),
            Err(reason) => (Sum::Count, Some(reason)),
        };
        self.refused = refused;
        UnderWay { map_id: shape.id, walk: Walk::default(), sum }
    }
}

impl Sum {
    /// Nothing yet, and why the entries are only counted where they should be understood.
    fn new(role: Role, now: &Result<u32, String>) -> (Self, Option<String>) {
        let sum = match (role, now) {
            (Role::Conntrack(_), Err(reason)) => return (Self::Count, Some(format!("only counted: {reason}"))),
            (Role::Conntrack(family), Ok(now)) => Self::Conntrack(family, *now, Box::default()),
            (Role::Metrics, _) => Self::Metrics(Metrics::default()),
            (Role::Services(family), _) => Self::Services(family, Services::default()),
            (Role::Backends(family), _) => Self::Backends(family, Backends::default()),
            (Role::Endpoints, _) => Self::Endpoints(Endpoints::default()),
            (Role::RateLimit, _) => Self::RateLimit(RateLimit::default()),
            (Role::PolicyStats, _) => Self::PolicyStats(PolicyStats::default()),
            (Role::Sockets(_) | Role::Policy | Role::Count, _) => Self::Count,
        };
        (sum, None)
    }

    fn policy_stats(&self) -> Option<&PolicyStats> {
        match self {
            Self::PolicyStats(sum) => Some(sum),
            _ => None,
        }
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        match self {
            Self::Metrics(sum) => sum.add(key, value),
            Self::Services(family, sum) => sum.add(*family, key, value),
            Self::Backends(family, sum) => sum.add(*family, value),
            Self::Conntrack(family, now, sum) => sum.add(*family, *now, key, value),
            Self::Endpoints(sum) => sum.add(value),
            Self::RateLimit(sum) => sum.add(key, value),
            Self::PolicyStats(sum) => sum.add(key, value),
            Self::Count => {}
        }
    }
}

/// `10.96.0.1:443`; the number of a service that is gone since, or whose map is not understood.
fn service_name(folder: &Path, family: Family, id: u16) -> String {
    let (pin, value_bytes) = match family {
        Family::V4 => ("cilium_lb4_reverse_nat", 6),
        Family::V6 => ("cilium_lb6_reverse_nat", 18),
    };
    let find = || {
        let map = Map::at(&folder.join(pin)).ok()?;
        layout::of(pin)?.check(map.shape()).ok()?;
        let mut value = vec![0; value_bytes];
        map.lookup(&id.to_be_bytes(), &mut value).ok()?.then_some(value)
    };
    find().map_or_else(|| format!("service {id}"), |value| sums::virtual_ip(family, &value))
}
