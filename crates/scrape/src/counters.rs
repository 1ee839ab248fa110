//! What collection counts of itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Families, MetricKind};

use crate::error::ScrapeError;

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
    over_sample_limit: AtomicU64,
    over_body_size_limit: AtomicU64,
    over_label_limit: AtomicU64,
    over_target_limit: AtomicU64,
}

/// A scrape that begins this much after its time counts as late; below it the timer's own grain shows.
pub(crate) const LATE_AFTER: Duration = Duration::from_millis(100);

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn scrape(&self, samples: u64, error: Option<&ScrapeError>) {
        add(&self.scrapes, 1);
        add(&self.samples, samples);
        add(&self.failures, u64::from(error.is_some()));
        match error {
            Some(ScrapeError::SampleLimit(_) | ScrapeError::SeriesBudget(_)) => add(&self.over_sample_limit, 1),
            Some(ScrapeError::BodySize { .. }) => add(&self.over_body_size_limit, 1),
            Some(ScrapeError::LabelLimit(_)) => add(&self.over_label_limit, 1),
            _ => {}
        }
    }

    pub(crate) fn over_target_limit(&self, jobs: u64) {
        add(&self.over_target_limit, jobs);
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
        self.collect_alerted(families);
    }

    /// What the rules that people have for Prometheus ask for, under its names, because it means the same here.
    fn collect_alerted(&self, families: &mut Families) {
        let counters = [
            (
                "prometheus_target_scrapes_exceeded_sample_limit_total",
                "Scrapes that sample_limit refused.",
                &self.over_sample_limit,
            ),
            (
                "prometheus_target_scrapes_exceeded_body_size_limit_total",
                "Scrapes that body_size_limit refused.",
                &self.over_body_size_limit,
            ),
            (
                "prometheus_target_scrape_pool_exceeded_label_limits_total",
                "Scrapes that a limit of labels refused.",
                &self.over_label_limit,
            ),
            (
                "prometheus_target_scrape_pool_exceeded_target_limit_total",
                "How often a job was found to have more targets than target_limit.",
                &self.over_target_limit,
            ),
            (
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                "Samples with another value at a time that has one.",
                &self.duplicates,
            ),
            (
                "prometheus_target_scrapes_sample_out_of_bounds_total",
                "Samples of a time that is not taken.",
                &self.out_of_bounds,
            ),
        ];
        for (name, help, counter) in counters {
            families.counter(name, help, counter.load(Ordering::Relaxed) as f64);
        }
    }
}
