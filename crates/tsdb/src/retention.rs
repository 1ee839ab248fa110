//! Which blocks to remove, and how a sealing is cut into blocks: plans from metadata alone.

use model::Timestamp;

/// The stretch of time that a block is meant to hold in the end.
pub(crate) const DAY_MILLIS: i64 = 24 * 3_600_000;

/// One sealing writes at most this many blocks, whatever the timestamps; each is a few open buffers.
const PARTITIONS_MAX: i64 = 64;

/// What the plan knows of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) number: u64,
    pub(crate) max_time: Timestamp,
    pub(crate) size_bytes: u64,
}

/// Numbers of the blocks that end before `cutoff`, and of the oldest ones for which there is no room.
pub(crate) fn expired(
    mut blocks: Vec<Candidate>,
    cutoff: Option<Timestamp>,
    size_max: Option<u64>,
    log_bytes: u64,
) -> Vec<u64> {
    blocks.sort_by_key(|b| (b.max_time, b.number));
    let mut total = blocks.iter().map(|b| b.size_bytes).sum::<u64>() + log_bytes;
    let mut gone = Vec::new();
    for block in blocks {
        let old = cutoff.is_some_and(|cutoff| block.max_time < cutoff);
        if old || size_max.is_some_and(|most| total > most) {
            total -= block.size_bytes;
            gone.push(block.number);
        }
    }
    gone
}

/// The width of the aligned stretches of time that get a block each: a day, or the power of two of days that keeps
/// their number within bounds.
pub(crate) fn partition_millis(min_time: Timestamp, max_time: Timestamp) -> i64 {
    let mut width = DAY_MILLIS;
    while max_time.div_euclid(width) - min_time.div_euclid(width) >= PARTITIONS_MAX {
        width *= 2;
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_blocks_go_first() {
        let block = |number, max_time| Candidate { number, max_time, size_bytes: 10 };
        let check = |cutoff: Option<i64>, size_max: Option<u64>, log_bytes, expected: &[u64]| {
            let blocks = vec![block(1, 200), block(2, 300), block(3, 100)];
            assert_eq!(expired(blocks, cutoff, size_max, log_bytes), expected, "{cutoff:?} {size_max:?} {log_bytes}");
        };
        check(None, None, 0, &[]);
        check(Some(150), None, 0, &[3]);
        check(Some(1000), None, 0, &[3, 1, 2]);
        check(None, Some(30), 0, &[]);
        check(None, Some(30), 1, &[3]);
        check(Some(150), Some(15), 0, &[3, 1]);
    }

    #[test]
    fn partitions_stay_few() {
        let cases = [(0, 0, 1), (0, 63 * DAY_MILLIS, 1), (0, 64 * DAY_MILLIS, 2), (0, 1_700_000_000_000, 512)];
        for (min_time, max_time, days) in cases {
            assert_eq!(partition_millis(min_time, max_time), days * DAY_MILLIS, "{max_time}");
        }
    }
}
