//! A value as it lies in the database: a checksum over key and value, then the value.

use std::collections::BTreeMap;

/// Everything the catalog holds, by full key.
pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

/// Separates the space from the key; it can stand in neither.
pub(crate) const SEPARATOR: char = '\0';

const CHECKSUM_LEN: usize = 4;

/// The key under which an entry of a space lies.
pub(crate) fn full_key(space: &str, key: &str) -> String {
    format!("{space}{SEPARATOR}{key}")
}

/// Checksum and value. The key is part of the checksum, so that a value under a damaged key is noticed too.
pub(crate) fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CHECKSUM_LEN + value.len());
    bytes.extend_from_slice(&checksum(key, value).to_le_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// The value, if the checksum holds.
pub(crate) fn unseal<'a>(key: &[u8], bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (stored, value) = bytes.split_first_chunk::<CHECKSUM_LEN>()?;
    (u32::from_le_bytes(*stored) == checksum(key, value)).then_some(value)
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

/// A number that says whether entries went missing: independent of order, changed by any lost or foreign entry.
pub(crate) fn digest(entries: &Entries) -> u32 {
    entries.iter().fold(0, |sum, (key, value)| sum ^ share(key, value))
}

/// What one entry adds to the digest, and what takes it out again.
pub(crate) fn share(key: &str, value: &[u8]) -> u32 {
    checksum(key.as_bytes(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_every_flipped_bit() {
        let (key, value) = (b"space\0key", b"value");
        let sealed = seal(key, value);
        assert_eq!(unseal(key, &sealed), Some(&value[..]));
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(key, &damaged), None, "bit {bit}");
        }
        assert_eq!(unseal(b"space\0kez", &sealed), None);
        assert_eq!(unseal(key, &sealed[..3]), None);
    }
}
