//! All entries of a map of ours, read in batches: one system call for thousands of them instead of two for each.

use aya::Pod;
use aya::maps::{IterableMap, MapError};

use crate::Error;
use crate::bpf::{Map, Piece, Walk};

/// A map by a descriptor of its own.
pub(crate) struct Entries {
    name: &'static str,
    map: Map,
}

impl Entries {
    /// Of a map whose programs are loaded: before, they know it by the descriptor that is given up after this.
    pub(crate) fn of<K: Pod, V>(name: &'static str, map: &impl IterableMap<K, V>) -> Result<Self, Error> {
        let map =
            Map::of(map.map().fd()).map_err(|source| Error::Map { map: name, source: MapError::IoError(source) })?;
        Ok(Self { name, map })
    }

    /// Keys and values as they lie in the map; where it has a value for each CPU, all of them in a row. An entry that
    /// comes or goes meanwhile may be missed.
    pub(crate) fn each(&self, mut entry: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        let mut walk = Walk::default();
        loop {
            match walk.step(&self.map, &mut entry) {
                Ok(Piece::Last) => return Ok(()),
                Ok(Piece::Some) => {}
                Err(source) => return Err(Error::Map { map: self.name, source: MapError::IoError(source) }),
            }
        }
    }
}

/// Numbers of 64 bits in the order of the machine, as many as there are or as fit.
pub(crate) fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

/// The sum of a value that each CPU has its own of.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    bytes.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let bytes: Vec<u8> = [7u64, 1 << 40, 3].iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(words(&bytes), [7, 1 << 40, 3]);
        assert_eq!(words(&bytes[..9]), [7, 0]);
        assert_eq!(sum(&bytes), (1 << 40) + 10);
    }
}
