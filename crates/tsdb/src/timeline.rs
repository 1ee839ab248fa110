//! Timestamps that series share.
//!
//! The samples of one scrape carry one timestamp, and the same series come again with the next one. So a timeline is
//! a list of timestamps, each kept once, and the open streams of all series of a target say only which of its rows
//! they cover. Which series belong together shows in the batches: a series without a timeline joins one that a series
//! before it in the batch used, if that has its timestamp.

use std::sync::Arc;

use model::Timestamp;

use crate::pool::Pool;

/// The number of a timeline until the head is frozen.
pub(crate) type LineId = u32;

/// Timelines that a batch used last and a series may join; a page with this many different explicit timestamps at
/// once is rare, and then some series only have a timeline of their own.
const RECENT_MAX: usize = 64;

/// Rising timestamps. Who reads them holds them while more are added, which then copies them once.
#[derive(Debug, Default)]
struct Timeline {
    times: Arc<Vec<Timestamp>>,
    /// Open streams that refer to it.
    users: u32,
}

/// All timelines of the head.
#[derive(Debug, Default)]
pub(crate) struct Timelines {
    lines: Vec<Timeline>,
    free: Vec<LineId>,
    /// Used by the batch that is being applied, the last one at the end.
    recent: Vec<LineId>,
    rows: usize,
    /// The bytes of the streams that refer to them.
    pub(crate) pool: Pool,
}

impl Timelines {
    pub(crate) fn times(&self, line: LineId) -> &Arc<Vec<Timestamp>> {
        &self.lines[line as usize].times
    }

    /// Whether only one stream refers to it.
    pub(crate) fn is_private(&self, line: LineId) -> bool {
        self.lines[line as usize].users == 1
    }

    /// Adds a timestamp behind all others of the timeline; returns its row.
    pub(crate) fn push(&mut self, line: LineId, timestamp: Timestamp) -> u32 {
        let times = Arc::make_mut(&mut self.lines[line as usize].times);
        let row = times.len() as u32;
        times.push(timestamp);
        self.rows += 1;
        self.note(line);
        row
    }

    /// The batch used the timeline.
    pub(crate) fn note(&mut self, line: LineId) {
        if self.recent.last() == Some(&line) {
            return;
        }
        if let Some(at) = self.recent.iter().position(|&l| l == line) {
            self.recent.remove(at);
        } else if self.recent.len() >= RECENT_MAX {
            self.recent.remove(0);
        }
        self.recent.push(line);
    }

    /// A timeline that the batch used and that has the timestamp, and the row.
    pub(crate) fn find(&self, timestamp: Timestamp) -> Option<(LineId, u32)> {
        self.recent.iter().rev().find_map(|&line| Some((line, row_of(self.times(line), timestamp)?)))
    }

    /// A timeline for a stream that begins at this timestamp, and the row: one of the batch, or a new one.
    pub(crate) fn join(&mut self, timestamp: Timestamp) -> (LineId, u32) {
        let (line, row) = self.find(timestamp).unwrap_or_else(|| {
            let line = self.free.pop().unwrap_or_else(|| {
                self.lines.push(Timeline::default());
                (self.lines.len() - 1) as LineId
            });
            (line, self.push(line, timestamp))
        });
        self.lines[line as usize].users += 1;
        (line, row)
    }

    /// A stream refers to the timeline no longer.
    pub(crate) fn leave(&mut self, line: LineId) {
        let timeline = &mut self.lines[line as usize];
        timeline.users -= 1;
        if timeline.users == 0 {
            self.rows -= timeline.times.len();
            timeline.times = Arc::default();
            self.recent.retain(|&l| l != line);
            self.free.push(line);
        }
    }

    /// The next batch begins.
    pub(crate) fn begin(&mut self) {
        self.recent.clear();
    }

    /// Memory of the timestamps and of the streams' bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.rows * size_of::<Timestamp>() + self.lines.len() * size_of::<Timeline>() + self.pool.bytes()
    }
}

/// The row of a timestamp. It mostly is one of the last ones.
pub(crate) fn row_of(times: &[Timestamp], timestamp: Timestamp) -> Option<u32> {
    let row = match times.last() {
        Some(&last) if last == timestamp => times.len() - 1,
        Some(&last) if last > timestamp => times.binary_search(&timestamp).ok()?,
        _ => return None,
    };
    Some(row as u32)
}
