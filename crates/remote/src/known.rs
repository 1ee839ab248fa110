//! Which series the raw bytes of a label list name, so that a series that comes again is not parsed again.
//!
//! A sender mostly sends the same series in the same order. So the entries stand in the order in which they were
//! learnt, and the one behind the last hit is looked at first: walking through a list is quicker than jumping about in
//! a table that is larger than the processor's caches.

use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::HashTable;
use model::SeriesRef;
use siphasher::sip128::SipHasher13;

/// Entries of one of the two generations. Together they take some 8 MiB when full, enough for 131,072 series that
/// come again and again; beyond that the oldest are parsed anew, which is slower and nothing else.
pub(crate) const GENERATION_ENTRIES_MAX: usize = 1 << 17;

/// The fingerprint of a label list. It is keyed with secret random numbers and 128 bits wide, so that nobody can
/// make two lists share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u64; 2]);

/// The fingerprints seen last, in two generations: a full one becomes the older one, and the older one is dropped.
#[derive(Debug)]
pub(crate) struct KnownSeries {
    entries_max: usize,
    key: [u8; 16],
    recent: Generation,
    older: Generation,
}

/// In the order in which they were learnt, and a table of their places.
#[derive(Debug, Default)]
struct Generation {
    entries: Vec<(Fingerprint, SeriesRef)>,
    table: HashTable<u32>,
}

/// Where a request stands in the list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor(u32);

impl Generation {
    fn find(&self, fingerprint: Fingerprint, cursor: &mut Cursor) -> Option<SeriesRef> {
        let is_same = |place: u32| self.entries.get(place as usize).is_some_and(|(known, _)| *known == fingerprint);
        let place = match cursor.0 {
            guess if is_same(guess) => guess,
            _ => *self.table.find(fingerprint.0[0], |&place| is_same(place))?,
        };
        cursor.0 = place + 1;
        Some(self.entries[place as usize].1)
    }

    fn insert(&mut self, fingerprint: Fingerprint, series: SeriesRef) {
        let Self { entries, table } = self;
        let known = table.find(fingerprint.0[0], |&place| entries[place as usize].0 == fingerprint);
        if let Some(&place) = known {
            entries[place as usize].1 = series;
            return;
        }
        let place = entries.len() as u32;
        entries.push((fingerprint, series));
        table.insert_unique(fingerprint.0[0], place, |&place| entries[place as usize].0.0[0]);
    }
}

impl KnownSeries {
    /// None is known, with a new key; each generation will have at most so many entries.
    pub(crate) fn new(entries_max: usize) -> Self {
        let number = || RandomState::new().build_hasher().finish();
        let key = (u128::from(number()) << 64 | u128::from(number())).to_le_bytes();
        Self { entries_max, key, recent: Generation::default(), older: Generation::default() }
    }

    /// The fingerprint of a label list.
    pub(crate) fn fingerprint(&self, label_bytes: &[u8]) -> Fingerprint {
        let hash = SipHasher13::new_with_key(&self.key).hash(label_bytes);
        Fingerprint([hash.h1, hash.h2])
    }

    /// The series, and whether it should be learnt again to stay known.
    pub(crate) fn get(&self, fingerprint: Fingerprint, cursor: &mut Cursor) -> Option<(SeriesRef, bool)> {
        let recent = self.recent.find(fingerprint, cursor).map(|series| (series, false));
        recent.or_else(|| Some((self.older.find(fingerprint, &mut cursor.clone())?, true)))
    }

    /// Adds what was learnt.
    pub(crate) fn learn(&mut self, learnt: impl IntoIterator<Item = (Fingerprint, SeriesRef)>) {
        for (fingerprint, series) in learnt {
            if self.recent.entries.len() >= self.entries_max {
                self.older = std::mem::take(&mut self.recent);
            }
            self.recent.insert(fingerprint, series);
        }
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.recent.entries.len() + self.older.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_the_used_stay() {
        let mut known = KnownSeries::new(GENERATION_ENTRIES_MAX);
        let entry = |known: &KnownSeries, i: usize| {
            (known.fingerprint(&i.to_le_bytes()), SeriesRef(NonZeroU64::new(i as u64 + 1).unwrap()))
        };
        for i in 0..3 * GENERATION_ENTRIES_MAX {
            let (first, series) = entry(&known, 0);
            if known.get(first, &mut Cursor::default()).is_none_or(|(_, again)| again) {
                known.learn([(first, series)]);
            }
            let learnt = entry(&known, i);
            known.learn([learnt]);
        }
        assert_eq!(
            known.get(entry(&known, 0).0, &mut Cursor::default()).map(|(series, _)| series),
            Some(entry(&known, 0).1)
        );
        assert_eq!(known.get(entry(&known, 1).0, &mut Cursor::default()), None);
        assert!(known.len() <= 2 * GENERATION_ENTRIES_MAX);
    }
}
