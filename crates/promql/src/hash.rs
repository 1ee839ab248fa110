//! The hash of a label set that `limit_ratio` samples by: XXH64 (Yann Collet's specification) over the labels as
//! Prometheus lays them out, so that both choose the same series.

use model::Labels;

const PRIMES: [u64; 5] =
    [0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5];

/// Strings from this length on carry a three-byte length after a marker.
const LONG_STRING: usize = 255;

/// The hash of a label set.
pub(crate) fn hash_labels(labels: &Labels) -> u64 {
    let mut bytes = Vec::new();
    for (name, value) in labels {
        push_string(&mut bytes, name);
        push_string(&mut bytes, value);
    }
    xxh64(&bytes)
}

fn push_string(bytes: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if length < LONG_STRING {
        bytes.push(length as u8);
    } else {
        bytes.extend([LONG_STRING as u8, length as u8, (length >> 8) as u8, (length >> 16) as u8]);
    }
    bytes.extend_from_slice(text.as_bytes());
}

fn round(acc: u64, lane: u64) -> u64 {
    acc.wrapping_add(lane.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

fn merge(acc: u64, lane: u64) -> u64 {
    (acc ^ round(0, lane)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3])
}

fn read_u64(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn xxh64(input: &[u8]) -> u64 {
    let stripes = input.chunks_exact(32);
    let tail = stripes.remainder();
    let mut hash = if input.len() >= 32 { stripe_hash(stripes) } else { PRIMES[4] };
    hash = hash.wrapping_add(input.len() as u64);
    let words = tail.chunks_exact(8);
    let mut rest = words.remainder();
    for word in words {
        hash ^= round(0, read_u64(word));
        hash = hash.rotate_left(27).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
    }
    if rest.len() >= 4 {
        hash ^= read_u64(&rest[..4]).wrapping_mul(PRIMES[0]);
        hash = hash.rotate_left(23).wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
        rest = &rest[4..];
    }
    for byte in rest {
        hash ^= u64::from(*byte).wrapping_mul(PRIMES[4]);
        hash = hash.rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 32
}

fn stripe_hash<'a>(stripes: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut lanes = [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, 0u64.wrapping_sub(PRIMES[0])];
    for stripe in stripes {
        for (lane, word) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
            *lane = round(*lane, read_u64(word));
        }
    }
    let rotated = lanes[0].rotate_left(1).wrapping_add(lanes[1].rotate_left(7));
    let rotated = rotated.wrapping_add(lanes[2].rotate_left(12)).wrapping_add(lanes[3].rotate_left(18));
    lanes.into_iter().fold(rotated, merge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        let cases: [(&[u8], u64); 3] = [
            (b"", 0xef46_db37_51d8_e999),
            (b"a", 0xd24e_c4f1_a98c_6e5b),
            (b"Call me Ishmael. Some years ago--never mind how long precisely-", 0x02a2_e854_70d6_fd96),
        ];
        for (input, expected) in cases {
            assert_eq!(xxh64(input), expected);
        }
    }
}
