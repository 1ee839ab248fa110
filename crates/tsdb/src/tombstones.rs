//! What was deleted from a block and still stands in it.
//!
//! A block is never changed; its tombstones lie in a small file beside it, which is written anew as a whole. They name
//! series by their places in this block, so that samples that come later at a deleted time are new ones.

use std::path::Path;

use model::{Samples, StorageError, Timestamp};
use roaring::RoaringBitmap;

use crate::Disk;
use crate::bytes::{Damage, Reader, put_bytes, put_int, put_uint};
use crate::frame::{self, Scanned};
use crate::index::{ListWriter, read_list};
use crate::record::Record;

/// The file in a block's folder.
pub(crate) const FILE_NAME: &str = "tombstones";

/// The kind of its frame.
const KIND: u8 = 23;

/// A block is written anew when about this share of its samples is deleted. Prometheus does it when a twentieth of its
/// series has tombstones; here narrow ones count for what they are wide, so that deleting a minute does not write a day.
const SHARE_MAX: f64 = 0.05;

/// Each stretch costs every query of the block a look, so that more of them are reason enough.
const STRETCHES_MAX: usize = 64;

/// Deleted samples of one block.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tombstones {
    stretches: Vec<Stretch>,
    /// Bytes of the file.
    size_bytes: u64,
}

/// Some series lost what they had in this time.
#[derive(Clone, Debug, PartialEq)]
struct Stretch {
    min_time: Timestamp,
    max_time: Timestamp,
    series: RoaringBitmap,
}

/// The stretches of time, ends included, in which one series lost its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deleted(Vec<(Timestamp, Timestamp)>);

/// Which state of a block the tombstones are about; one that was written anew has fewer samples, and none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) size_bytes: u64,
    pub(crate) samples: u64,
    pub(crate) series: u32,
}

impl Deleted {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, timestamp: Timestamp) -> bool {
        self.0.iter().any(|&(min_time, max_time)| (min_time..=max_time).contains(&timestamp))
    }

    /// Removes what is deleted of the samples from `start` on.
    pub(crate) fn remove_from(&self, samples: &mut Samples, start: usize) {
        if self.is_empty() {
            return;
        }
        let mut kept = start;
        for at in start..samples.len() {
            if !self.contains(samples.timestamps[at]) {
                samples.timestamps[kept] = samples.timestamps[at];
                samples.values[kept] = samples.values[at];
                kept += 1;
            }
        }
        samples.timestamps.truncate(kept);
        samples.values.truncate(kept);
    }
}

impl Tombstones {
    pub(crate) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Bytes of the file.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether so much is deleted of a block of this time that it is to be written anew.
    pub(crate) fn is_much(&self, series: u64, min_time: Timestamp, max_time: Timestamp) -> bool {
        let width = |min_time: Timestamp, max_time: Timestamp| max_time.saturating_sub(min_time) as f64 + 1.0;
        let buried = |stretch: &Stretch| width(stretch.min_time, stretch.max_time) * stretch.series.len() as f64;
        let all = width(min_time, max_time) * series as f64;
        self.stretches.len() > STRETCHES_MAX || self.stretches.iter().map(buried).sum::<f64>() > all * SHARE_MAX
    }

    /// How many there are: one for each series and stretch.
    pub(crate) fn len(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.series.len()).sum()
    }

    /// What a series has lost.
    pub(crate) fn of(&self, series: u32) -> Deleted {
        let touched = self.stretches.iter().filter(|stretch| stretch.series.contains(series));
        Deleted(touched.map(|stretch| (stretch.min_time, stretch.max_time)).collect())
    }

    /// Series that lost all they had in this time by one stretch.
    pub(crate) fn covering(&self, min_time: Timestamp, max_time: Timestamp) -> RoaringBitmap {
        let covers = |stretch: &&Stretch| stretch.min_time <= min_time && stretch.max_time >= max_time;
        self.stretches.iter().filter(covers).fold(RoaringBitmap::new(), |all, stretch| all | &stretch.series)
    }

    /// Adds a stretch. What an older one says already is not said again, what this one says too is forgotten there.
    /// Returns whether it says anything new.
    pub(crate) fn add(&mut self, series: RoaringBitmap, min_time: Timestamp, max_time: Timestamp) -> bool {
        let series = series - self.covering(min_time, max_time);
        if series.is_empty() {
            return false;
        }
        for older in self.stretches.iter_mut().filter(|older| older.min_time >= min_time && older.max_time <= max_time)
        {
            older.series -= &series;
        }
        if let Some(same) =
            self.stretches.iter_mut().find(|older| (older.min_time, older.max_time) == (min_time, max_time))
        {
            same.series |= &series;
        } else {
            self.stretches.push(Stretch { min_time, max_time, series });
        }
        self.stretches.retain(|stretch| !stretch.series.is_empty());
        true
    }

    pub(crate) fn encode(&self, target: Target) -> Vec<u8> {
        let mut out = Vec::new();
        put_uint(&mut out, target.size_bytes);
        put_uint(&mut out, target.samples);
        put_uint(&mut out, self.stretches.len() as u64);
        for stretch in &self.stretches {
            put_int(&mut out, stretch.min_time);
            put_uint(&mut out, stretch.max_time.wrapping_sub(stretch.min_time) as u64);
            let mut writer = ListWriter::default();
            stretch.series.iter().for_each(|series| writer.push(series));
            let mut list = Vec::new();
            put_uint(&mut out, writer.write(&mut list));
            put_bytes(&mut out, &list);
        }
        out
    }

    pub(crate) fn decode(payload: &[u8], target: Target) -> Result<Self, Damage> {
        let mut reader = Reader(payload);
        let mut read = Self::default();
        if (reader.uint()?, reader.uint()?) != (target.size_bytes, target.samples) {
            return Ok(read);
        }
        for _ in 0..reader.count()? {
            let min_time = reader.int()?;
            let max_time = min_time.wrapping_add(reader.uint()? as i64);
            let head = reader.uint()?;
            let mut series = RoaringBitmap::new();
            read_list(head, reader.bytes()?, target.series, &mut series)?;
            read.stretches.push(Stretch { min_time, max_time, series });
        }
        Ok(read)
    }

    /// Reads the file of a block. One that is about another state of the block is as none.
    pub(crate) fn load(disk: &dyn Disk, folder: &Path, target: Target) -> Result<Self, StorageError> {
        const DAMAGED: Damage = Damage("the list of deleted samples does not match its checksum");
        let mut read = Err(DAMAGED);
        let found = frame::read_file(disk, folder, FILE_NAME, |scanned| {
            read = match scanned {
                Scanned::Frame { kind: KIND, payload } => Self::decode(&payload, target),
                _ => Err(DAMAGED),
            };
        })?;
        let Some(size_bytes) = found else { return Ok(Self::default()) };
        let path = folder.join(FILE_NAME).display().to_string();
        let read = read.map_err(|damage| StorageError::Corrupt { path, offset: 0, reason: damage.to_string() })?;
        Ok(Self { size_bytes, ..read })
    }

    /// Writes the file of a block; it is durable when this returns.
    pub(crate) fn save(&mut self, disk: &dyn Disk, folder: &Path, target: Target) -> Result<(), StorageError> {
        let record = Record { kind: KIND, payload: self.encode(target) };
        self.size_bytes = frame::replace_file(disk, folder, FILE_NAME, &[record])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const TARGET: Target = Target { size_bytes: 1000, samples: 50, series: 40 };

    #[test]
    fn what_was_said_is_not_said_again() {
        let mut tombstones = Tombstones::default();
        let mut check = |series: &[u32], min_time, max_time, expected: u64| {
            let before = tombstones.clone();
            let is_news = tombstones.add(series.iter().copied().collect(), min_time, max_time);
            assert_eq!((tombstones.len(), is_news), (expected, tombstones != before), "{tombstones:?}");
        };
        check(&[1, 2], 10, 20, 2);
        check(&[2, 3], 10, 20, 3);
        check(&[3], 12, 18, 3);
        check(&[1, 2, 3], 0, 30, 3);
        check(&[], 0, 30, 3);
        check(&[4], 5, 6, 4);
        assert_eq!(tombstones.covering(0, 30).iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn much_is_a_twentieth_of_the_samples_or_many_stretches() {
        let check = |stretches: &[(u32, i64, i64)], expected: bool| {
            let mut tombstones = Tombstones::default();
            for &(series, min_time, max_time) in stretches {
                tombstones.add((0..series).collect(), min_time, max_time);
            }
            assert_eq!(tombstones.is_much(100, 0, 999), expected, "{stretches:?}");
        };
        check(&[], false);
        check(&[(5, 0, 999)], false);
        check(&[(6, 0, 999)], true);
        check(&[(100, 0, 49)], false);
        check(&[(100, 0, 50)], true);
        check(&[(100, 0, 24), (100, 30, 55)], true);
        let narrow: Vec<_> = (0..=64).map(|at| (1, 2 * at, 2 * at)).collect();
        check(&narrow[..64], false);
        check(&narrow, true);
    }

    #[test]
    fn another_state_of_the_block_has_none() {
        let mut tombstones = Tombstones::default();
        tombstones.add([7].into_iter().collect(), 1, 2);
        let bytes = tombstones.encode(TARGET);
        assert_eq!(Tombstones::decode(&bytes, TARGET).unwrap(), tombstones);
        assert!(Tombstones::decode(&bytes, Target { samples: 49, ..TARGET }).unwrap().is_empty());
        assert!(Tombstones::decode(&bytes, Target { series: 7, ..TARGET }).is_err());
    }

    proptest! {
        #[test]
        fn each_series_loses_what_was_deleted(
            deletions in prop::collection::vec((prop::collection::btree_set(0u32..40, 0..10), -20i64..20, 0i64..9), 0..12),
        ) {
            let mut tombstones = Tombstones::default();
            let mut model: BTreeSet<(u32, i64)> = BTreeSet::new();
            for (series, min_time, length) in deletions {
                tombstones.add(series.iter().copied().collect(), min_time, min_time + length);
                let times = || min_time..=min_time + length;
                model.extend(series.iter().flat_map(|&series| times().map(move |time| (series, time))));
            }
            let read = Tombstones::decode(&tombstones.encode(TARGET), TARGET).unwrap();
            prop_assert_eq!(&read, &tombstones);
            for series in 0..40 {
                let deleted = read.of(series);
                let mut samples = Samples { timestamps: (-25..35).collect(), values: vec![1.0; 60] };
                deleted.remove_from(&mut samples, 0);
                let left: Vec<i64> = (-25..35).filter(|&time| !model.contains(&(series, time))).collect();
                prop_assert_eq!(samples.timestamps, left);
            }
        }
    }
}
