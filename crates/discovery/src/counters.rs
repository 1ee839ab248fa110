//! What discoveries count of themselves.
//!
//! The names are Prometheus', because rules and dashboards that watch a Prometheus ask for them and the meaning is the same:
//! one look-up a name and look, one failure an answer that could not be used, one error a file that could not be read.

use std::sync::atomic::{AtomicU64, Ordering};

use model::{Families, MetricKind};

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    dns_lookups: AtomicU64,
    dns_failures: AtomicU64,
    http_failures: AtomicU64,
    file_errors: AtomicU64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn dns_lookup(&self, failed: bool) {
        add(&self.dns_lookups, 1);
        add(&self.dns_failures, u64::from(failed));
    }

    pub(crate) fn http_failure(&self) {
        add(&self.http_failures, 1);
    }

    pub(crate) fn file_error(&self) {
        add(&self.file_errors, 1);
    }

    /// Tells the counts.
    pub fn collect(&self, families: &mut Families) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let failures = get(&self.http_failures);
        let counters = [
            ("prometheus_sd_dns_lookups_total", "Names that dns_sd_configs looked up.", get(&self.dns_lookups)),
            (
                "prometheus_sd_dns_lookup_failures_total",
                "Names that dns_sd_configs could not look up.",
                get(&self.dns_failures),
            ),
            ("prometheus_sd_http_failures_total", "Answers that http_sd_configs could not use.", failures),
            (
                "prometheus_sd_file_read_errors_total",
                "Files that file_sd_configs could not read.",
                get(&self.file_errors),
            ),
        ];
        for (name, help, count) in counters {
            families.counter(name, help, count);
        }
        let help = "Looks of a discovery that failed as a whole.";
        let family = families.family("prometheus_sd_refresh_failures_total", MetricKind::Counter, help);
        family.with([("mechanism", "http")], failures);
    }
}
