//! A walk over all entries of a map, a piece at a time, so that a large map can be read over several collections.

use std::io;

use super::syscall::{Map, Read};

/// What the buffers of a batch take together. More gains nothing: a batch of 4096 conntrack entries costs as much an
/// entry as one of 16384.
const BATCH_BYTES: usize = 256 << 10;
/// A bucket that does not fit doubles the buffers up to here. Buckets of that size need keys made to collide.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Entries of a batch at most, so that a caller with a budget of time looks at it about every millisecond.
const BATCH_ENTRIES: usize = 4096;
/// Entries of a batch at least. Smaller ones meet a bucket that does not fit all the time.
const BATCH_ENTRIES_MIN: usize = 16;
/// Entries that are read one by one where the kernel has no batches: at about 1.5 microseconds each.
const ENTRIES_BY_KEY_MAX: u64 = 20_000;
/// ENOTSUPP of the kernel, which no C library names: the map's kind has no batches on this kernel.
const ENOTSUPP: i32 = 524;

/// How far a map was read. It belongs to one map; another one needs another walk.
#[derive(Debug)]
pub(crate) struct Walk {
    cursor: Vec<u8>,
    seen: u64,
    by_key: bool,
    /// Entries of a batch at most, before the buffers are doubled.
    entries: usize,
    /// Times that the buffers were doubled.
    doubled: u32,
}

impl Default for Walk {
    fn default() -> Self {
        Self { cursor: Vec::new(), seen: 0, by_key: false, entries: BATCH_ENTRIES, doubled: 0 }
    }
}

/// What a piece was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// There is more.
    Some,
    /// The map ended.
    Last,
}

impl Walk {
    /// Entries so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Reads the next piece. Entries that come or go meanwhile may be missed or met twice, others not.
    pub(crate) fn step(&mut self, map: &Map, mut entry: impl FnMut(&[u8], &[u8])) -> io::Result<Piece> {
        if self.seen > 2 * u64::from(map.shape().entries_max) {
            return Err(io::Error::other("it changes faster than it can be read"));
        }
        let entry_bytes = (map.shape().key_bytes as usize).saturating_add(map.stride());
        // Values may have megabytes, one for each CPU; one at a time is all that is kept of those.
        if self.by_key || entry_bytes.saturating_mul(BATCH_ENTRIES_MIN) > BATCH_BYTES_MAX {
            self.by_key = true;
            return self.step_by_key(map, &mut entry);
        }
        let (mut keys, mut values) = self.buffers(map);
        match map.batch(&mut self.cursor, &mut keys, &mut values) {
            Ok(Read { count, last }) => {
                self.seen += count as u64;
                let entries = keys.chunks_exact(map.shape().key_bytes as usize).zip(values.chunks_exact(map.stride()));
                entries.take(count).for_each(|(key, value)| entry(key, value));
                Ok(if last { Piece::Last } else { Piece::Some })
            }
            Err(error) => self.recover(map, error),
        }
    }

    fn recover(&mut self, map: &Map, error: io::Error) -> io::Result<Piece> {
        let kind = map.shape().kind;
        match error.raw_os_error() {
            Some(libc::ENOSPC) if BATCH_BYTES << self.doubled < BATCH_BYTES_MAX => self.doubled += 1,
            Some(libc::EINTR | libc::EAGAIN) => {}
            // Kernels without the command say EINVAL, those without it for this kind ENOTSUPP.
            Some(libc::EINVAL | ENOTSUPP) if self.seen == 0 && kind.is_counted() => self.by_key = true,
            _ => return Err(error),
        }
        Ok(Piece::Some)
    }

    /// Buffers for keys and values of a batch.
    fn buffers(&self, map: &Map) -> (Vec<u8>, Vec<u8>) {
        let (key, value) = (map.shape().key_bytes as usize, map.stride());
        let most = (map.shape().entries_max as usize).clamp(1, self.entries);
        let entries = (BATCH_BYTES / (key + value).max(1)).max(BATCH_ENTRIES_MIN).min(most) << self.doubled;
        (vec![0; key * entries], vec![0; value * entries])
    }

    fn step_by_key(&mut self, map: &Map, entry: &mut impl FnMut(&[u8], &[u8])) -> io::Result<Piece> {
        let mut value = vec![0; map.stride()];
        let mut next = vec![0; map.shape().key_bytes as usize];
        for _ in 0..BATCH_ENTRIES {
            let after = (!self.cursor.is_empty()).then_some(self.cursor.as_slice());
            if !map.next_key(after, &mut next)? {
                return Ok(Piece::Last);
            }
            if self.seen == ENTRIES_BY_KEY_MAX {
                let text = format!("more than {ENTRIES_BY_KEY_MAX} entries, and this kernel cannot read them in batches");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            self.cursor.clone_from(&next);
            self.seen += 1;
            // An entry that went away since is none.
            if map.lookup(&next, &mut value)? {
                entry(&next, &value);
            }
        }
        Ok(Piece::Some)
    }
}

#[cfg(test)]
mod tests;
