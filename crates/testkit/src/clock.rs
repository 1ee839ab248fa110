//! A clock that a test sets.

use std::sync::atomic::{AtomicI64, Ordering};

use model::{Clock, Timestamp};

/// Stands where it was set last.
#[derive(Debug, Default)]
pub struct TestClock(AtomicI64);

impl TestClock {
    /// A clock that stands at this time.
    pub fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now))
    }

    /// Sets it.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.load(Ordering::Relaxed)
    }
}
