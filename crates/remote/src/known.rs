//! Which series the raw bytes of a label list name, so that a series that comes again is not parsed again.
//!
//! A sender mostly sends the same series in the same order. So the entries stand in the order in which they were
//! learnt, and the one behind the last hit is looked at first, before it is known where the labels end: walking through a
//! list is quicker than jumping about in a table that is larger than the processor's caches.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use model::SeriesRef;

/// Entries of one of the two generations. Together they take some 10 MiB when full, enough for 131,072 series that
/// come again and again; beyond that the oldest are parsed anew, which is slower and nothing else.
pub(crate) const GENERATION_ENTRIES_MAX: usize = 1 << 17;

/// Bytes of the longest label list that is remembered, and of the key; usual ones take 250. A longer one is parsed each
/// time.
const LIST_BYTES_MAX: usize = 2048;

/// Bytes of a label list that are multiplied at once.
const BLOCK_BYTES: usize = 16;

/// The fingerprint of a label list: its length and the sum NH of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway:
/// "UMAC: Fast and Secure Message Authentication", 1999) with words of 64 bits. The chance that two lists have the same
/// one is 2^-64 at most, whoever chose them without knowing the key; and nobody is told what it was computed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    sum: [u64; 2],
    length: u32,
}

/// The fingerprints seen last, in two generations: a full one becomes the older one, and the older one is dropped.
#[derive(Debug)]
pub(crate) struct KnownSeries {
    entries_max: usize,
    key: Box<[[u64; 2]]>,
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

impl Fingerprint {
    /// Spread over all bits.
    fn hash(self) -> u64 {
        (self.sum[0] ^ self.sum[1]).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// A term of the sum: both halves of a block, each added to a word of the key, multiplied in full.
fn product(block: &[u8; BLOCK_BYTES], key: [u64; 2]) -> u128 {
    let block = u128::from_le_bytes(*block);
    u128::from((block as u64).wrapping_add(key[0])) * u128::from(((block >> 64) as u64).wrapping_add(key[1]))
}

impl Generation {
    fn find(&self, fingerprint: Fingerprint, cursor: &mut Cursor) -> Option<SeriesRef> {
        let is_same = |place: u32| self.entries.get(place as usize).is_some_and(|(known, _)| *known == fingerprint);
        let place = match cursor.0 {
            guess if is_same(guess) => guess,
            _ => *self.table.find(fingerprint.hash(), |&place| is_same(place))?,
        };
        cursor.0 = place + 1;
        Some(self.entries[place as usize].1)
    }

    fn insert(&mut self, fingerprint: Fingerprint, series: SeriesRef) {
        let Self { entries, table } = self;
        let known = table.find(fingerprint.hash(), |&place| entries[place as usize].0 == fingerprint);
        if let Some(&place) = known {
            entries[place as usize].1 = series;
            return;
        }
        let place = entries.len() as u32;
        entries.push((fingerprint, series));
        table.insert_unique(fingerprint.hash(), place, |&place| entries[place as usize].0.hash());
    }
}

impl KnownSeries {
    /// None is known, with a new key; each generation will have at most so many entries.
    pub(crate) fn new(entries_max: usize) -> Self {
        let random = RandomState::new();
        let word = |at: usize| random.hash_one(at);
        let key = (0..LIST_BYTES_MAX / BLOCK_BYTES).map(|at| [word(2 * at), word(2 * at + 1)]).collect();
        Self { entries_max, key, recent: Generation::default(), older: Generation::default() }
    }

    /// The fingerprint of a label list. `None` if it is too long to be remembered.
    pub(crate) fn fingerprint(&self, label_bytes: &[u8]) -> Option<Fingerprint> {
        if label_bytes.len() >= LIST_BYTES_MAX {
            return None;
        }
        let (blocks, rest) = label_bytes.as_chunks::<BLOCK_BYTES>();
        let mut last = [0; BLOCK_BYTES];
        last[..rest.len()].copy_from_slice(rest);
        let (keys, last_key) = self.key.split_at(blocks.len());
        let all = blocks.iter().zip(keys).fold(0, |sum: u128, (block, key)| sum.wrapping_add(product(block, *key)));
        let sum = all.wrapping_add(product(&last, last_key[0]));
        Some(Fingerprint { sum: [sum as u64, (sum >> 64) as u64], length: label_bytes.len() as u32 })
    }

    /// The series, and whether it should be learnt again to stay known.
    pub(crate) fn get(&self, fingerprint: Fingerprint, cursor: &mut Cursor) -> Option<(SeriesRef, bool)> {
        let recent = self.recent.find(fingerprint, cursor).map(|series| (series, false));
        recent.or_else(|| Some((self.older.find(fingerprint, &mut cursor.clone())?, true)))
    }

    /// The list that is expected at the cursor, how many bytes it takes, and the series, if the message begins with it.
    pub(crate) fn expected(&self, cursor: &mut Cursor, message: &[u8]) -> Option<(Fingerprint, usize, SeriesRef)> {
        let (fingerprint, series) = *self.recent.entries.get(cursor.0 as usize)?;
        let length = fingerprint.length as usize;
        if self.fingerprint(message.get(..length)?) != Some(fingerprint) {
            return None;
        }
        cursor.0 += 1;
        Some((fingerprint, length, series))
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
    fn every_bit_matters() {
        let known = KnownSeries::new(8);
        let list = vec![0; 250];
        let original = known.fingerprint(&list);
        for bit in 0..8 * list.len() {
            let mut other = list.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(known.fingerprint(&other), original, "bit {bit}");
        }
        assert_ne!(known.fingerprint(&list[1..]), original);
        assert_eq!(known.fingerprint(&list), original);
        assert_ne!(KnownSeries::new(8).fingerprint(&list), original);
        assert_eq!(known.fingerprint(&[0; LIST_BYTES_MAX]), None);
        assert!(known.fingerprint(&[0; LIST_BYTES_MAX - 1]).is_some());
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_used_stay() {
        let mut known = KnownSeries::new(GENERATION_ENTRIES_MAX);
        let entry = |known: &KnownSeries, i: usize| {
            (known.fingerprint(&i.to_le_bytes()).unwrap(), SeriesRef(NonZeroU64::new(i as u64 + 1).unwrap()))
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
