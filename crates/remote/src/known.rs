//! Which series the raw bytes of a label list name, so that a series that comes again is not parsed again.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use model::SeriesRef;
use siphasher::sip128::{Hasher128, SipHasher13};

/// Entries of one of the two generations. Together they take some 12 MiB when full, enough for 131,072 series that
/// come again and again; beyond that the oldest are parsed anew, which is slower and nothing else.
pub(crate) const GENERATION_ENTRIES_MAX: usize = 1 << 17;

/// The fingerprint of a label list. It is keyed with secret random numbers and 128 bits wide, so that nobody can
/// make two lists share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u128);

/// The fingerprints seen last, in two generations: a full one becomes the older one, and the older one is dropped.
#[derive(Debug)]
pub(crate) struct KnownSeries {
    entries_max: usize,
    key: [u8; 16],
    recent: Generation,
    older: Generation,
}

type Generation = HashMap<Fingerprint, SeriesRef, BuildHasherDefault<Taken>>;

/// Takes the low half of a fingerprint for its hash.
#[derive(Default)]
pub(crate) struct Taken(u64);

impl KnownSeries {
    /// None is known, with a new key; each generation will have at most so many entries.
    pub(crate) fn new(entries_max: usize) -> Self {
        let number = || RandomState::new().build_hasher().finish();
        let key = (u128::from(number()) << 64 | u128::from(number())).to_le_bytes();
        Self { entries_max, key, recent: Generation::default(), older: Generation::default() }
    }

    /// The fingerprint of a label list.
    pub(crate) fn fingerprint(&self, label_bytes: &[u8]) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(label_bytes);
        Fingerprint(hasher.finish128().as_u128())
    }

    /// The series, and whether it should be learnt again to stay known.
    pub(crate) fn get(&self, fingerprint: Fingerprint) -> Option<(SeriesRef, bool)> {
        let recent = self.recent.get(&fingerprint).map(|&series| (series, false));
        recent.or_else(|| self.older.get(&fingerprint).map(|&series| (series, true)))
    }

    /// Adds what was learnt.
    pub(crate) fn learn(&mut self, learnt: impl IntoIterator<Item = (Fingerprint, SeriesRef)>) {
        for (fingerprint, series) in learnt {
            if self.recent.len() >= self.entries_max {
                self.older = std::mem::take(&mut self.recent);
            }
            self.recent.insert(fingerprint, series);
        }
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }
}

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
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
            if known.get(first).is_none_or(|(_, again)| again) {
                known.learn([(first, series)]);
            }
            let learnt = entry(&known, i);
            known.learn([learnt]);
        }
        assert_eq!(known.get(entry(&known, 0).0).map(|(series, _)| series), Some(entry(&known, 0).1));
        assert_eq!(known.get(entry(&known, 1).0), None);
        assert!(known.len() <= 2 * GENERATION_ENTRIES_MAX);
    }
}
