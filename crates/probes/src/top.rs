//! Counters by a key without bounds (addresses, ports) as a bounded number of series: those that matter have one each,
//! everything else is `other`, and nothing is lost or counted twice.
//!
//! The kernel's map of sums by key forgets keys when it is full, so what it holds is no more than a hint; the totals
//! beside it are exact. A key that gets a series of its own starts at what it did in the interval before; what it did
//! earlier stays in `other`, so that no counter ever falls. A key that loses its series ends it, and goes on in `other`.

use std::collections::HashMap;
use std::hash::Hash;

/// What a key's weight keeps from one reading to the next: half of it after a minute of readings every 15 s.
const MEMORY: f64 = 0.84;

/// A key takes the place of a shown one only if it weighs this many times as much, or two that are alike would take
/// turns and leave a trail of short series.
const ADVANTAGE: f64 = 2.0;

/// A bounded set of series, each of `N` counters.
pub(crate) struct Top<K, const N: usize> {
    shown_max: usize,
    weigh: fn(&[u64; N]) -> f64,
    keys: HashMap<K, Entry<N>>,
    /// What was ever counted under a key of its own, also under those that lost it.
    attributed: [u64; N],
    other: [u64; N],
}

struct Entry<const N: usize> {
    /// The map's sums at the last reading.
    read: [u64; N],
    /// What was counted since the reading before.
    counted: [u64; N],
    weight: f64,
    /// The counters of its series, if it has one.
    shown: Option<[u64; N]>,
}

impl<K: Copy + Eq + Hash + Ord, const N: usize> Top<K, N> {
    /// At most `shown_max` series beside `other`; `weigh` says how much an interval's counts matter.
    pub(crate) fn new(shown_max: usize, weigh: fn(&[u64; N]) -> f64) -> Self {
        Self { shown_max, weigh, keys: HashMap::new(), attributed: [0; N], other: [0; N] }
    }

    /// Takes a reading of the map, and totals that were read before it. The program counts an event in the map first, so
    /// what is in the totals is in the reading as well.
    pub(crate) fn update(&mut self, readings: impl IntoIterator<Item = (K, [u64; N])>, totals: [u64; N]) {
        self.take(readings);
        self.choose();
        for entry in self.keys.values_mut() {
            if let Some(values) = &mut entry.shown {
                *values = plus(*values, entry.counted);
                self.attributed = plus(self.attributed, entry.counted);
            }
        }
        // What happened between the two readings may be missing from the totals, and is there at the next.
        let rest = zip(totals, self.attributed, u64::saturating_sub);
        self.other = zip(self.other, rest, u64::max);
    }

    /// Takes what was counted since the reading before, of a map that was emptied by that.
    pub(crate) fn add(&mut self, counted: impl IntoIterator<Item = (K, [u64; N])>, totals: [u64; N]) {
        for entry in self.keys.values_mut() {
            entry.read = [0; N];
        }
        self.update(counted, totals);
    }

    /// The series by key, then that of all other keys.
    pub(crate) fn series(&self) -> impl Iterator<Item = (Option<K>, [u64; N])> {
        let mut shown: Vec<_> = self.keys.iter().filter_map(|(key, entry)| Some((*key, entry.shown?))).collect();
        shown.sort_unstable_by_key(|(key, _)| *key);
        shown.into_iter().map(|(key, values)| (Some(key), values)).chain([(None, self.other)])
    }

    fn take(&mut self, readings: impl IntoIterator<Item = (K, [u64; N])>) {
        let mut before = std::mem::take(&mut self.keys);
        for (key, read) in readings {
            // A map that changes while it is read may show a key again.
            if self.keys.contains_key(&key) {
                continue;
            }
            let entry = match before.remove(&key) {
                Some(entry) => Entry { read, counted: since(entry.read, read), ..entry },
                None => Entry { read, counted: read, weight: 0.0, shown: None },
            };
            let weight = entry.weight * MEMORY + (self.weigh)(&entry.counted);
            self.keys.insert(key, Entry { weight, ..entry });
        }
        // The map forgot the rest; a series goes on without a change until another key needs its place.
        for (key, entry) in before.into_iter().filter(|(_, entry)| entry.shown.is_some()) {
            self.keys.insert(key, Entry { read: [0; N], counted: [0; N], weight: entry.weight * MEMORY, ..entry });
        }
    }

    /// Gives series to the heaviest keys without one, as long as there is place or a much lighter one to take it from.
    fn choose(&mut self) {
        let keys = |shown: bool| {
            let keys = self.keys.iter().filter(move |(_, entry)| entry.shown.is_some() == shown);
            keys.filter(move |(_, entry)| shown || entry.weight > 0.0).map(|(key, entry)| (entry.weight, *key))
        };
        let (mut shown, mut others): (Vec<_>, Vec<_>) = (keys(true).collect(), keys(false).collect());
        shown.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        others.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let free = self.shown_max.saturating_sub(shown.len());
        let (placed, waiting) = others.split_at(free.min(others.len()));
        let changes = shown.iter().zip(waiting).take_while(|(light, heavy)| heavy.0 > light.0 * ADVANTAGE);
        let gains = placed.iter().chain(changes.clone().map(|(_, heavy)| heavy)).map(|(_, key)| (*key, Some([0; N])));
        let losses = changes.map(|((_, key), _)| (*key, None));
        for (key, shown) in gains.chain(losses) {
            if let Some(entry) = self.keys.get_mut(&key) {
                entry.shown = shown;
            }
        }
    }
}

/// What was counted between two readings. Where a sum fell, the map forgot the key and took it up anew in between.
fn since<const N: usize>(before: [u64; N], now: [u64; N]) -> [u64; N] {
    let is_new = before.iter().zip(&now).any(|(before, now)| now < before);
    if is_new { now } else { zip(now, before, u64::wrapping_sub) }
}

fn plus<const N: usize>(a: [u64; N], b: [u64; N]) -> [u64; N] {
    zip(a, b, u64::wrapping_add)
}

fn zip<const N: usize>(a: [u64; N], b: [u64; N], with: fn(u64, u64) -> u64) -> [u64; N] {
    std::array::from_fn(|at| with(a[at], b[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reading of the map, the total beside it, and the series expected then.
    type Step<'a> = (&'a [(char, u64)], u64, &'a str);

    fn check(shown_max: usize, steps: &[Step<'_>]) {
        let mut top = Top::new(shown_max, |[count]: &[u64; 1]| *count as f64);
        for (readings, total, expected) in steps {
            top.update(readings.iter().map(|(key, count)| (*key, [*count])), [*total]);
            let series = top.series().map(|(key, [value])| format!("{}={value}", key.unwrap_or('*')));
            assert_eq!(&series.collect::<Vec<_>>().join(" "), expected, "{readings:?} of {total}");
        }
    }

    #[test]
    fn every_event_is_in_one_series() {
        check(2, &[(&[], 0, "*=0"), (&[('a', 1)], 1, "a=1 *=0"), (&[('a', 4), ('b', 2)], 7, "a=4 b=2 *=1")]);
    }

    #[test]
    fn what_was_counted_before_a_series_began_stays_in_other() {
        let full: Step<'_> = (&[('a', 10), ('b', 1)], 11, "a=10 *=1");
        let lighter: Step<'_> = (&[('a', 20), ('b', 9)], 29, "a=20 *=9");
        let heavier: Step<'_> = (&[('a', 20), ('b', 109)], 129, "b=100 *=9");
        check(1, &[full, lighter, heavier, (&[('a', 25), ('b', 110)], 135, "b=101 *=14")]);
    }

    #[test]
    fn a_forgotten_key_goes_on_and_its_lost_counts_are_in_other() {
        let steps: [Step<'_>; 4] = [
            (&[('a', 10)], 10, "a=10 *=0"),
            (&[], 12, "a=10 *=2"),
            (&[('a', 3)], 15, "a=13 *=2"),
            (&[('a', 1)], 17, "a=14 *=3"),
        ];
        check(1, &steps);
    }

    #[test]
    fn an_emptied_map_gives_differences() {
        let mut top = Top::new(1, |[count]: &[u64; 1]| *count as f64);
        for (counted, total, expected) in [(5, 5, "a=5 *=0"), (7, 14, "a=12 *=2"), (1, 15, "a=13 *=2")] {
            top.add([('a', [counted])], [total]);
            let series = top.series().map(|(key, [value])| format!("{}={value}", key.unwrap_or('*')));
            assert_eq!(series.collect::<Vec<_>>().join(" "), expected);
        }
    }

    #[test]
    fn a_key_without_weight_gets_no_series() {
        check(1, &[(&[('a', 0)], 0, "*=0"), (&[('a', 0), ('b', 1)], 1, "b=1 *=0")]);
        check(0, &[(&[('a', 5)], 5, "*=5")]);
    }

    #[test]
    fn other_never_falls() {
        // The last event of `a` came after the totals were read.
        let between: Step<'_> = (&[('a', 3), ('b', 1)], 3, "a=3 *=1");
        check(1, &[(&[('a', 1), ('b', 1)], 2, "a=1 *=1"), between, (&[('a', 3), ('b', 2)], 5, "a=3 *=2")]);
    }
}
