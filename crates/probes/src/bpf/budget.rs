//! CPU time that a piece of work may take, so that reading large maps never shows.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A stopwatch of this thread's CPU time: time in which another process ran does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Duration);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(thread_time())
    }

    /// CPU time since the start, on the same thread.
    pub(crate) fn elapsed(self) -> Duration {
        thread_time().saturating_sub(self.0)
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
