//! What collection counts of itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Families, MetricKind};

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    scrapes: AtomicU64,
    failures: AtomicU64,
    late: AtomicU64,
    late_nanos: AtomicU64,
    samples: AtomicU64,
    bytes: AtomicU64,
    duplicates: AtomicU64,
    out_of_bounds: AtomicU64,
}

/// A scrape that begins this much after its time counts as late; below it the timer's own grain shows.
pub(crate) const LATE_AFTER: Duration = Duration::from_millis(100);

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn scrape(&self, samples: u64, failed: bool) {
        add(&self.scrapes, 1);
        add(&self.samples, samples);
        add(&self.failures, u64::from(failed));
    }

    pub(crate) fn began(&self, late: Duration) {
        if late > LATE_AFTER {
            add(&self.late, 1);
            add(&self.late_nanos, u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn read(&self, bytes: usize) {
        add(&self.bytes, bytes as u64);
    }

    pub(crate) fn duplicate(&self) {
        add(&self.duplicates, 1);
    }

    pub(crate) fn conflicting(&self, samples: u64) {
        add(&self.duplicates, samples);
    }

    pub(crate) fn out_of_bounds(&self) {
        add(&self.out_of_bounds, 1);
    }

    pub(crate) fn collect(&self, families: &mut Families) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        families.counter("skep_scrapes_total", "Scrapes that ended.", get(&self.scrapes));
        families.counter("skep_scrape_failures_total", "Scrapes that failed.", get(&self.failures));
        families.counter("skep_scrape_late_total", "Scrapes that began more than 100 ms late.", get(&self.late));
        families.counter(
            "skep_scrape_late_seconds_total",
            "Time by which late scrapes were late.",
            get(&self.late_nanos) / 1e9,
        );
        families.counter("skep_scrape_samples_total", "Samples on pages, before relabelling.", get(&self.samples));
        families.counter("skep_scrape_bytes_total", "Bytes of pages, decompressed.", get(&self.bytes));
        families
            .family("skep_scrape_samples_dropped_total", MetricKind::Counter, "Samples that were not stored.")
            .with([("reason", "duplicate")], get(&self.duplicates))
            .with([("reason", "out_of_bounds")], get(&self.out_of_bounds));
    }
}
