//! What the fuzz targets call: each function takes any bytes and panics where a decoder answers wrongly.
//!
//! The targets give the decoders what only a matching checksum lets through in the store, because whoever makes a
//! backup can make checksums too.

use std::collections::HashMap;

use model::Samples;

use crate::backup::Backup;
use crate::block::Meta;
use crate::bytes::Reader;
use crate::column::{self, COLUMN_SAMPLES_MAX, Tier};
pub use crate::index::fuzz as index;
use crate::pack::BatchDecoder;
use crate::record::{decode_continuation, decode_definitions, decode_exemplars, decode_metadata};
use crate::tombstones::{Target, Tombstones};

/// Series of the block whose tombstones are read.
const SERIES: u32 = 100;

/// Codec, count, content: as a column of timestamps.
pub fn times(bytes: &[u8]) {
    let Some((codec, count, content)) = column_parts(bytes) else { return };
    let mut times = Vec::new();
    if column::decode_times(codec, content, count, &mut times).is_ok() {
        assert_eq!(times.len(), count);
    }
}

/// Codec, count, content: as a column of values.
pub fn values(bytes: &[u8]) {
    let Some((codec, count, content)) = column_parts(bytes) else { return };
    let mut values = Vec::new();
    if column::decode_values(codec, content, count, 0..count, &mut values).is_ok() {
        assert_eq!(values.len(), count);
        let (range, mut part) = (count / 3..count / 2, Vec::new());
        assert!(column::decode_values(codec, content, count, range.clone(), &mut part).is_ok());
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&part), bits(&values[range]), "a part of a column by codec {codec}");
    }
}

fn column_parts(bytes: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (&codec, rest) = bytes.split_first()?;
    let mut reader = Reader(rest);
    let count = usize::try_from(reader.uint().ok()?).ok().filter(|&count| count <= COLUMN_SAMPLES_MAX)?;
    Some((codec, count, reader.0))
}

/// Words of eight bytes as timestamps and as values, whole or small by the first byte.
pub fn columns(bytes: &[u8]) {
    let Some((&mode, rest)) = bytes.split_first() else { return };
    let words: Vec<u64> = rest.chunks_exact(if mode & 1 == 0 { 8 } else { 2 }).map(word).collect();
    if words.is_empty() || words.len() > COLUMN_SAMPLES_MAX {
        return;
    }
    let numbers = |w: u64| if mode & 2 == 0 { f64::from_bits(w) } else { w as f64 / 100.0 };
    let values: Vec<f64> = words.iter().map(|&w| numbers(w)).collect();
    let times: Vec<i64> = words.iter().map(|&w| w as i64).collect();
    for tier in [Tier::Head, Tier::Block] {
        round_trip(&times, &values, tier);
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn round_trip(times: &[i64], values: &[f64], tier: Tier) {
    let (mut out, mut back) = (Vec::new(), Vec::new());
    let codec = column::encode_times(times, tier, &mut out);
    let decoded = column::decode_times(codec, &out, times.len(), &mut back);
    assert!(decoded.is_ok() && back == times, "timestamps by codec {codec}: {times:?}");
    let (mut out, mut back) = (Vec::new(), Vec::new());
    let codec = column::encode_values(values, tier, &mut out);
    let decoded = column::decode_values(codec, &out, values.len(), 0..values.len(), &mut back);
    let same = back.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits()));
    assert!(decoded.is_ok() && same, "values by codec {codec}: {values:?}");
}

/// The payload of any log record.
pub fn records(bytes: &[u8]) {
    let _ = decode_definitions(bytes);
    let _ = decode_metadata(bytes);
    let _ = decode_exemplars(bytes);
    let _ = decode_continuation(bytes);
    let _ = BatchDecoder::default().read(bytes, &mut HashMap::new());
}

/// The payloads of a block's meta frame, of a backup's list and of a list of tombstones.
pub fn small_files(bytes: &[u8]) {
    if let Ok(meta) = Meta::decode(bytes) {
        assert_eq!(Meta::decode(&meta.encode()).ok(), Some(meta));
    }
    if let Ok(backup) = Backup::decode(bytes) {
        assert_eq!(Backup::decode(&backup.record().payload).ok(), Some(backup));
    }
    let mut reader = Reader(bytes);
    let (Ok(size_bytes), Ok(samples)) = (reader.uint(), reader.uint()) else { return };
    let target = Target { size_bytes, samples, series: SERIES };
    if let Ok(tombstones) = Tombstones::decode(bytes, target) {
        assert_eq!(Tombstones::decode(&tombstones.encode(target), target).ok().as_ref(), Some(&tombstones));
        for series in 0..SERIES {
            let deleted = tombstones.of(series);
            let mut left = Samples { timestamps: (0..20).collect(), values: vec![0.0; 20] };
            deleted.remove_from(&mut left, 0);
            assert!(left.timestamps.iter().all(|&time| !deleted.contains(time)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The name of a target and what it runs.
    type Run = (&'static str, fn(&[u8]));

    /// What the fuzzers found worth keeping runs with every test, on the stable toolchain.
    #[test]
    fn the_corpora_replay() {
        let runs: [Run; 6] = [
            ("times", times),
            ("values", values),
            ("columns", columns),
            ("records", records),
            ("index", index),
            ("small_files", small_files),
        ];
        for (target, run) in runs {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
            let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(!files.is_empty(), "{} has no inputs", folder.display());
            for file in files {
                run(&std::fs::read(&file).unwrap());
            }
        }
    }
}
