//! Walks over maps that the test makes, with batches and without. They need root, and say so where they skip.

#[path = "../../../tests/pinned/mod.rs"]
mod pinned;

use std::collections::BTreeSet;

use super::*;
use pinned::{Bpffs, HASH, LPM_TRIE, LRU_HASH, PERCPU_HASH, is_root};

/// All keys with the first byte of their value, in pieces.
fn walk(map: &Map, mut walk: Walk) -> io::Result<BTreeSet<(Vec<u8>, u8)>> {
    walk_on(map, &mut walk)
}

fn walk_on(map: &Map, walk: &mut Walk) -> io::Result<BTreeSet<(Vec<u8>, u8)>> {
    let mut entries = BTreeSet::new();
    while walk.step(map, |key, value| assert!(entries.insert((key.to_vec(), value[0]))))? == Piece::Some {}
    assert_eq!(walk.seen(), entries.len() as u64);
    Ok(entries)
}

fn key(number: u32) -> Vec<u8> {
    [32_u32.to_ne_bytes(), number.to_be_bytes()].concat()
}

#[test]
fn entries_are_the_same_with_batches_and_without() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("walk");
    for (name, kind) in [("hash", HASH), ("percpu", PERCPU_HASH), ("lru", LRU_HASH), ("trie", LPM_TRIE)] {
        for count in [0, 1, 9000_u32] {
            let name = format!("{name}{count}");
            let pinned = bpffs.pin(&name, kind, (8, 3), 20_000);
            (0..count).for_each(|number| pinned.put(&key(number), &[number as u8, 1, 2]));
            let map = Map::at(&bpffs.globals().join(&name)).unwrap();
            let expected: BTreeSet<_> = (0..count).map(|number| (key(number), number as u8)).collect();
            assert!(walk(&map, Walk::default()).unwrap() == expected, "{name} with batches");
            let by_key = Walk { by_key: true, ..Walk::default() };
            assert!(walk(&map, by_key).unwrap() == expected, "{name} key by key");
        }
    }
}

/// The kernel hands over whole buckets and refuses where one does not fit (ENOSPC): the buffers grow and nothing is lost.
#[test]
fn buckets_that_do_not_fit_double_the_buffers() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("double");
    for (name, kind) in [("hash", HASH), ("percpu", PERCPU_HASH), ("lru", LRU_HASH)] {
        let pinned = bpffs.pin(name, kind, (8, 3), 20_000);
        (0..9000).for_each(|number| pinned.put(&key(number), &[number as u8, 1, 2]));
        let map = Map::at(&bpffs.globals().join(name)).unwrap();
        let expected: BTreeSet<_> = (0..9000).map(|number| (key(number), number as u8)).collect();
        let mut walk = Walk { entries: 1, ..Walk::default() };
        assert!(walk_on(&map, &mut walk).unwrap() == expected, "{name}");
        // Among so many keys some share a bucket.
        assert!(walk.doubled > 0, "{name}");
    }
}

/// A kernel without batches gets no walk that takes longer than anybody waits.
#[test]
fn without_batches_large_maps_are_refused() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("refuse");
    let count = u32::try_from(ENTRIES_BY_KEY_MAX).unwrap() + 1;
    let pinned = bpffs.pin("large", HASH, (8, 1), count);
    (0..count).for_each(|number| pinned.put(&key(number), &[1]));
    let map = Map::at(&bpffs.globals().join("large")).unwrap();
    let error = walk(&map, Walk { by_key: true, ..Walk::default() }).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
    assert_eq!(walk(&map, Walk::default()).unwrap().len(), count as usize);
}

/// One for each CPU, of a size that sixteen of them would be too much memory.
#[test]
fn large_values_are_read_one_by_one() {
    if !is_root() {
        return;
    }
    let bpffs = Bpffs::mount("large");
    let cpus = aya::util::nr_cpus().unwrap();
    let kind = if cpus > 16 { PERCPU_HASH } else { HASH };
    let value = if kind == HASH { 600_000 } else { 32_000 };
    let pinned = bpffs.pin("large", kind, (8, value), 4);
    (0..3).for_each(|number| pinned.put(&key(number), &vec![number as u8; value as usize]));
    let map = Map::at(&bpffs.globals().join("large")).unwrap();
    let mut reading = Walk::default();
    let expected: BTreeSet<_> = (0..3).map(|number| (key(number), number as u8)).collect();
    assert!(walk_on(&map, &mut reading).unwrap() == expected);
    assert_eq!(reading.by_key, map.stride() * BATCH_ENTRIES_MIN > BATCH_BYTES_MAX);
}
