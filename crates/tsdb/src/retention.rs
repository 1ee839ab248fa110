//! Which blocks to remove, and how a sealing is cut into blocks: plans from metadata alone.

use model::Timestamp;

/// The stretch of time that a block is meant to hold in the end.
pub(crate) const DAY_MILLIS: i64 = 24 * 3_600_000;

/// One sealing writes at most this many blocks, whatever the timestamps; each is a few open buffers.
const PARTITIONS_MAX: i64 = 64;

/// Blocks this close to each other count as one recording: longer than any scrape interval, short against any retention.
const GAP_MILLIS_MAX: i64 = 3_600_000;

/// What the plan knows of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) number: u64,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) size_bytes: u64,
}

/// Numbers of the blocks that end before `cutoff`, and of the oldest ones for which there is no room
/// beside the other files of the folder.
pub(crate) fn expired(
    mut blocks: Vec<Candidate>,
    cutoff: Option<Timestamp>,
    size_max: Option<u64>,
    bytes_beside: u64,
) -> Vec<u64> {
    blocks.sort_by_key(|b| (b.max_time, b.number));
    let mut total = blocks.iter().map(|b| b.size_bytes).sum::<u64>() + bytes_beside;
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

/// The time after which the blocks hold `kept` milliseconds of recorded time; `None` if they hold less.
///
/// No clock is believed for this: recording takes as long as what was recorded, wherever the clock stood meanwhile. So
/// a block that ends before this time is as old as it claims, and a clock that jumps a year ahead, with samples that
/// say so, makes no block go a day early. A machine that was off keeps its blocks longer for it.
pub(crate) fn recorded_since(blocks: &[Candidate], kept: i64) -> Option<Timestamp> {
    let mut spans: Vec<(Timestamp, Timestamp)> = blocks.iter().map(|b| (b.max_time, b.min_time)).collect();
    spans.sort_unstable_by(|a, b| b.cmp(a));
    let mut reached = spans.first()?.0;
    let mut left = kept;
    for (end, start) in spans {
        if reached.saturating_sub(end) > GAP_MILLIS_MAX {
            reached = end;
        }
        let recorded = reached.saturating_sub(start).max(0);
        if recorded >= left {
            return Some(reached - left);
        }
        left -= recorded;
        reached = reached.min(start);
    }
    None
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
        let block = |number, max_time| Candidate { number, min_time: 0, max_time, size_bytes: 10 };
        let check = |cutoff: Option<i64>, size_max: Option<u64>, bytes_beside, expected: &[u64]| {
            let blocks = vec![block(1, 200), block(2, 300), block(3, 100)];
            assert_eq!(
                expired(blocks, cutoff, size_max, bytes_beside),
                expected,
                "{cutoff:?} {size_max:?} {bytes_beside}"
            );
        };
        check(None, None, 0, &[]);
        check(Some(150), None, 0, &[3]);
        check(Some(1000), None, 0, &[3, 1, 2]);
        check(None, Some(30), 0, &[]);
        check(None, Some(30), 1, &[3]);
        check(Some(150), Some(15), 0, &[3, 1]);
    }

    #[test]
    fn recorded_time_is_counted_from_the_newest() {
        const HOUR: i64 = 3_600_000;
        let check = |hours: &[(i64, i64)], kept: i64, expected: Option<i64>| {
            let block = |&(from, to): &(i64, i64)| Candidate {
                number: 0,
                min_time: from * HOUR,
                max_time: to * HOUR,
                size_bytes: 0,
            };
            let blocks: Vec<Candidate> = hours.iter().map(block).collect();
            assert_eq!(recorded_since(&blocks, kept * HOUR), expected.map(|h| h * HOUR), "{hours:?} {kept}");
        };
        check(&[], 1, None);
        check(&[(0, 10)], 11, None);
        check(&[(0, 10)], 10, Some(0));
        check(&[(0, 10)], 4, Some(6));
        check(&[(0, 10), (11, 20)], 15, Some(5));
        // A gap counts for nothing, however long.
        check(&[(0, 10), (8_766, 8_768)], 2, Some(8_766));
        check(&[(0, 10), (8_766, 8_768)], 5, Some(7));
        check(&[(0, 10), (8_766, 8_768)], 13, None);
        // Late samples in the same time count once.
        check(&[(0, 10), (2, 9), (2, 10)], 9, Some(1));
    }

    #[test]
    fn partitions_stay_few() {
        let cases = [(0, 0, 1), (0, 63 * DAY_MILLIS, 1), (0, 64 * DAY_MILLIS, 2), (0, 1_700_000_000_000, 512)];
        for (min_time, max_time, days) in cases {
            assert_eq!(partition_millis(min_time, max_time), days * DAY_MILLIS, "{max_time}");
        }
    }
}
