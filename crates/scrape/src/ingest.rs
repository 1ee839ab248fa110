//! A page becomes a batch: samples, staleness markers of what is gone, and the target's own series.

use std::sync::Arc;
use std::time::{Duration, Instant};

use exposition::Series;
use model::status::Excess;
use model::{AppendError, Appendable, Appender, Durability, Labels, Sample, SeriesRef, Timestamp, stale_nan};

use crate::cache::{Cache, Slot};
use crate::counters::Counters;
use crate::error::ScrapeError;
use crate::excess::excess;
use crate::mapping::{Mapped, map, own_series};
use crate::metadata::Families;
use crate::reading::{Body, Counts, Reading, Waiting};
use crate::target::Target;

/// The series that every target has beside those of its page, in the order of [`own_values`].
const OWN_SERIES: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// What `extra-scrape-metrics` adds, in the order of [`own_values`].
const EXTRA_SERIES: [&str; 3] = ["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"];

/// Values of [`OWN_SERIES`] and [`EXTRA_SERIES`].
type OwnValues = [f64; OWN_SERIES.len() + EXTRA_SERIES.len()];

/// What a target's pages leave behind for the next one.
pub(crate) struct Pipeline {
    target: Arc<Target>,
    cache: Cache,
    families: Families,
    own: Vec<OwnSeries>,
    counters: Arc<Counters>,
    series_max: u64,
    /// Whether [`EXTRA_SERIES`] are written where the job does not say.
    extra: bool,
    /// Told when a page is refused for its size and kept while the next ones are, so that they need not be read twice.
    excess: Option<Excess>,
}

struct OwnSeries {
    labels: Labels,
    series: Option<SeriesRef>,
}

/// How a scrape went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Samples on the page, before relabelling.
    pub(crate) samples: u64,
    /// Native histograms, which are not stored.
    pub(crate) native: u64,
    pub(crate) duration: Duration,
    pub(crate) error: Option<ScrapeError>,
    /// What the page has too much of, if it was refused for its size.
    pub(crate) excess: Option<Excess>,
}

impl Pipeline {
    /// Pages with more than `series_max` series will be refused.
    pub(crate) fn new(target: Arc<Target>, counters: Arc<Counters>, series_max: u64, extra: bool) -> Self {
        let (cache, families, own) = (Cache::new(), Families::default(), own_series_of(&target, extra));
        Self { target, cache, families, own, counters, series_max, extra, excess: None }
    }

    /// Goes on with a target whose settings changed. What it knows of series stays if they map to the same ones.
    pub(crate) fn retarget(&mut self, target: Arc<Target>) {
        if !self.target.maps_alike(&target) {
            self.cache = Cache::new();
            self.own = own_series_of(&target, self.extra);
        }
        self.target = target;
    }

    /// Appends what a scrape gave, which began at the instant `began` and counts as of `at`. The error of a page that
    /// could not be fetched comes in and goes out again, with all its series marked stale.
    pub(crate) fn ingest(
        &mut self,
        store: &dyn Appendable,
        page: Result<Body<'_>, ScrapeError>,
        at: Timestamp,
        began: Instant,
    ) -> Outcome {
        let mut batch = store.appender();
        let complete = page.as_ref().is_ok_and(|page| !page.bytes.is_empty());
        let body_bytes = body_bytes(page.as_ref());
        let (counts, mut error) = match page {
            Ok(page) => self.append_page(batch.as_mut(), page, at),
            Err(error) => (Counts::default(), Some(error)),
        };
        if error.is_some() {
            batch = store.appender();
        }
        if !error.as_ref().is_some_and(ScrapeError::is_of_size) {
            self.excess = None;
        }
        if let Err(stale) = self.append_gone(batch.as_mut(), at) {
            batch = store.appender();
            error = error.or(Some(stale.into()));
        }
        self.cache.finish(complete && error.is_none(), self.families.len());
        let duration = began.elapsed();
        let values = own_values(counts, error.is_none(), duration, &self.target, body_bytes);
        let stored = self.append_own(batch.as_mut(), at, values).and_then(|()| batch.commit(Durability::Kernel));
        match stored {
            Ok(committed) => self.counters.conflicting(committed.conflicting),
            Err(failure) => error = error.or(Some(failure.into())),
        }
        Outcome { samples: counts.scraped, native: counts.native, duration, error, excess: self.excess.clone() }
    }

    /// Marks everything stale: the target is gone.
    pub(crate) fn end(&mut self, store: &dyn Appendable, at: Timestamp) -> Result<(), AppendError> {
        let mut batch = store.appender();
        self.append_gone(batch.as_mut(), at)?;
        self.append_own(batch.as_mut(), at, [stale_nan(); OWN_SERIES.len() + EXTRA_SERIES.len()])?;
        batch.commit(Durability::Kernel).map(drop)
    }

    fn append_page(
        &mut self,
        batch: &mut dyn Appender,
        page: Body<'_>,
        at: Timestamp,
    ) -> (Counts, Option<ScrapeError>) {
        let Self { target, cache, families, counters, series_max, .. } = self;
        let (series_max, counts, waiting) = (*series_max, Counts::default(), Waiting::default());
        let mut reading = Reading { target, cache, families, counters, series_max, batch, page, at, counts, waiting };
        let error = reading.read().err();
        let counts = reading.counts;
        if error.as_ref().is_some_and(ScrapeError::is_of_size) {
            self.excess.get_or_insert_with(|| excess(&page));
        }
        (counts, error)
    }

    fn append_gone(&self, batch: &mut dyn Appender, at: Timestamp) -> Result<(), AppendError> {
        let marker = Sample { timestamp: at, value: stale_nan() };
        for (slot, series) in self.cache.gone() {
            ignore_time(match batch.append_ref(series, marker) {
                Err(AppendError::UnknownSeries) => match self.labels(slot) {
                    Some(labels) => batch.append(&labels, marker).map(drop),
                    None => Ok(()),
                },
                other => other,
            })?;
        }
        Ok(())
    }

    /// The labels of a series that the page before had, which the store forgot since. They are read as they were when its
    /// samples were stored: the kind decides how `le` and `quantile` are spelt.
    fn labels(&self, slot: Slot) -> Option<Labels> {
        let (raw, kind) = (&*self.cache.text(slot), self.cache.kind(slot));
        match map(&self.target, &Series { raw, value: 0.0, timestamp: None, exemplar: None, kind }) {
            Mapped::Kept(labels) => Some(labels),
            _ => None,
        }
    }

    fn append_own(&mut self, batch: &mut dyn Appender, at: Timestamp, values: OwnValues) -> Result<(), AppendError> {
        for (own, value) in self.own.iter_mut().zip(values) {
            let sample = Sample { timestamp: at, value };
            let known = own.series.map(|series| batch.append_ref(series, sample));
            ignore_time(match known {
                None | Some(Err(AppendError::UnknownSeries)) => {
                    batch.append(&own.labels, sample).map(|series| own.series = Some(series))
                }
                Some(other) => other,
            })?;
        }
        Ok(())
    }
}

fn own_series_of(target: &Target, extra: bool) -> Vec<OwnSeries> {
    let extra = target.job.extra_metrics.unwrap_or(extra);
    let extra = EXTRA_SERIES.iter().filter(|_| extra);
    OWN_SERIES.iter().chain(extra).map(|name| OwnSeries { labels: own_series(target, name), series: None }).collect()
}

fn own_values(counts: Counts, up: bool, duration: Duration, target: &Target, body_bytes: f64) -> OwnValues {
    let up = if up { 1.0 } else { 0.0 };
    let samples_max = target.job.limits.samples.unwrap_or(0) as f64;
    let (scraped, kept, added) = (counts.scraped as f64, counts.kept as f64, counts.added as f64);
    [up, duration.as_secs_f64(), scraped, kept, added, target.timeout.as_secs_f64(), samples_max, body_bytes]
}

/// Bytes of a page, decompressed; as in Prometheus -1 for one that is too long and 0 where there is none.
fn body_bytes(page: Result<&Body<'_>, &ScrapeError>) -> f64 {
    match page {
        Ok(Body { cut: Some(_), .. }) | Err(ScrapeError::BodySize { .. }) => -1.0,
        Ok(page) => page.bytes.len() as f64,
        Err(_) => 0.0,
    }
}

/// Markers and own series give way to what already stands at their time.
fn ignore_time(appended: Result<(), AppendError>) -> Result<(), AppendError> {
    match appended {
        Err(AppendError::DuplicateTimestamp | AppendError::OutOfBounds | AppendError::TooFarInFuture) => Ok(()),
        other => other,
    }
}
