//! What the receiver counts.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use model::{CollectError, Collector, Families, MetricKind};

use crate::State;

/// The statuses a sender can get, so that every series of the counter is there from the start.
const STATUSES: [StatusCode; 8] = [
    StatusCode::NO_CONTENT,
    StatusCode::BAD_REQUEST,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Why samples were left out of a request; the order is that of [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Future,
    OutOfBounds,
    Conflict,
    Labels,
    Limit,
    Histogram,
}

const REASONS: [(Reason, &str); 6] = [
    (Reason::Future, "too_far_in_future"),
    (Reason::OutOfBounds, "out_of_bounds"),
    (Reason::Conflict, "conflicting_value"),
    (Reason::Labels, "invalid_labels"),
    (Reason::Limit, "limit"),
    (Reason::Histogram, "native_histogram"),
];

/// What one request did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) samples: u64,
    pub(crate) exemplars: u64,
    pub(crate) left_out: [u64; REASONS.len()],
}

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: [AtomicU64; STATUSES.len()],
    samples: AtomicU64,
    exemplars: AtomicU64,
    left_out: [AtomicU64; REASONS.len()],
    received_bytes: AtomicU64,
}

/// What of a request is stored, as receivers of remote write 2.0 say it; senders of 1.0 are told, too.
pub(crate) const WRITTEN_HEADER: &str = "x-prometheus-remote-write-samples-written";
const HISTOGRAMS_HEADER: &str = "x-prometheus-remote-write-histograms-written";
const EXEMPLARS_HEADER: &str = "x-prometheus-remote-write-exemplars-written";

/// Samples of a request that were left out, by reason: `conflicting_value=3;limit=1`.
pub(crate) const LEFT_OUT_HEADER: &str = "x-skep-samples-left-out";

impl Tally {
    /// Tells the sender, who then need not count by the words of a complaint.
    pub(crate) fn say(&self, headers: &mut HeaderMap) {
        headers.insert(WRITTEN_HEADER, HeaderValue::from(self.samples));
        headers.insert(HISTOGRAMS_HEADER, HeaderValue::from(0));
        headers.insert(EXEMPLARS_HEADER, HeaderValue::from(self.exemplars));
        let left_out = REASONS.iter().zip(&self.left_out).filter(|(_, count)| **count > 0);
        let texts: Vec<String> = left_out.map(|((_, reason), count)| format!("{reason}={count}")).collect();
        if let Some(value) = HeaderValue::from_str(&texts.join(";")).ok().filter(|value| !value.is_empty()) {
            headers.insert(LEFT_OUT_HEADER, value);
        }
    }

    pub(crate) fn leave_out(&mut self, reason: Reason, samples: u64) {
        self.left_out[reason as usize] += samples;
    }
}

impl Counters {
    pub(crate) fn request(&self, status: StatusCode) {
        if let Some(i) = STATUSES.iter().position(|&s| s == status) {
            self.requests[i].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, tally: &Tally) {
        self.samples.fetch_add(tally.samples, Ordering::Relaxed);
        self.exemplars.fetch_add(tally.exemplars, Ordering::Relaxed);
        for (total, &more) in self.left_out.iter().zip(&tally.left_out) {
            total.fetch_add(more, Ordering::Relaxed);
        }
    }
}

impl Collector for State {
    fn name(&self) -> &'static str {
        "remote_write"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let counters = self.counters();
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let requests = families.family(
            "skep_remote_write_requests_total",
            MetricKind::Counter,
            "Remote write requests answered, by HTTP status.",
        );
        for (status, count) in STATUSES.iter().zip(&counters.requests) {
            requests.with([("code", status.as_str())], get(count));
        }
        families.counter(
            "skep_remote_write_samples_total",
            "Samples acknowledged after they reached the disk, exact repetitions included.",
            get(&counters.samples),
        );
        let left_out = families.family(
            "skep_remote_write_samples_left_out_total",
            MetricKind::Counter,
            "Samples left out of remote write requests, by reason.",
        );
        for ((_, reason), count) in REASONS.iter().zip(&counters.left_out) {
            left_out.with([("reason", *reason)], get(count));
        }
        families.counter("skep_remote_write_exemplars_total", "Exemplars stored.", get(&counters.exemplars));
        families.counter(
            "skep_remote_write_received_bytes_total",
            "Compressed bytes of remote write requests.",
            get(&counters.received_bytes),
        );
        families.gauge(
            "skep_remote_write_requests_in_flight",
            "Remote write requests being read or written.",
            self.in_flight() as f64,
        );
        families.gauge(
            "skep_remote_write_known_series",
            "Label lists whose series is known without parsing.",
            self.known_series() as f64,
        );
        Ok(())
    }
}
