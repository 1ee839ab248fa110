//! A page becomes a batch: samples, staleness markers of what is gone, and the target's own series.

use std::sync::Arc;
use std::time::{Duration, Instant};

use exposition::{Event, ParseError, Series, openmetrics, text};
use model::{AppendError, Appendable, Appender, Durability, Exemplar, Labels, Sample, SeriesRef, Timestamp, stale_nan};

use crate::cache::{Cache, Kept, Known};
use crate::config::Format;
use crate::counters::Counters;
use crate::error::ScrapeError;
use crate::mapping::{Mapped, map, own_series};
use crate::metadata::Families;
use crate::target::Target;

/// The series that every target has beside those of its page, in the order of [`Counts::own_values`].
const OWN_SERIES: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// What a target's pages leave behind for the next one.
pub(crate) struct Pipeline {
    target: Arc<Target>,
    cache: Cache,
    families: Families,
    own: Vec<OwnSeries>,
    counters: Arc<Counters>,
}

/// A page, decompressed.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) format: Format,
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
    pub(crate) duration: Duration,
    pub(crate) error: Option<ScrapeError>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    scraped: u64,
    /// After relabelling, samples that the store did not want included.
    kept: u64,
    added: u64,
    appended: u64,
}

impl Counts {
    fn own_values(self, up: bool, duration: Duration) -> [f64; 5] {
        let up = if up { 1.0 } else { 0.0 };
        [up, duration.as_secs_f64(), self.scraped as f64, self.kept as f64, self.added as f64]
    }
}

impl Pipeline {
    pub(crate) fn new(target: Arc<Target>, counters: Arc<Counters>) -> Self {
        let own = own_series_of(&target);
        Self { target, cache: Cache::new(), families: Families::default(), own, counters }
    }

    /// Goes on with a target whose settings changed. What it knows of series stays if they map to the same ones.
    pub(crate) fn retarget(&mut self, target: Arc<Target>) {
        if !self.target.maps_alike(&target) {
            self.cache = Cache::new();
            self.own = own_series_of(&target);
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
        let mut counts = Counts::default();
        let mut batch = store.appender();
        let complete = page.as_ref().is_ok_and(|page| !page.bytes.is_empty());
        let mut error = match page.and_then(|page| self.append_page(batch.as_mut(), page, at, &mut counts)) {
            Ok(()) => None,
            Err(error) => {
                batch = store.appender();
                Some(error)
            }
        };
        if let Err(stale) = self.append_gone(batch.as_mut(), at) {
            batch = store.appender();
            error = error.or(Some(stale.into()));
        }
        self.cache.finish(complete && error.is_none(), self.families.len());
        let duration = began.elapsed();
        let values = counts.own_values(error.is_none(), duration);
        let stored = self.append_own(batch.as_mut(), at, values).and_then(|()| batch.commit(Durability::Kernel));
        match stored {
            Ok(committed) => self.counters.conflicting(committed.conflicting),
            Err(failure) => error = error.or(Some(failure.into())),
        }
        Outcome { samples: counts.scraped, duration, error }
    }

    /// Marks everything stale: the target is gone.
    pub(crate) fn end(&mut self, store: &dyn Appendable, at: Timestamp) -> Result<(), AppendError> {
        let mut batch = store.appender();
        self.append_gone(batch.as_mut(), at)?;
        self.append_own(batch.as_mut(), at, [stale_nan(); 5])?;
        batch.commit(Durability::Kernel).map(drop)
    }

    fn append_page(
        &mut self,
        batch: &mut dyn Appender,
        page: Body<'_>,
        at: Timestamp,
        counts: &mut Counts,
    ) -> Result<(), ScrapeError> {
        let limited = match page.format {
            Format::Text => self.append_events(batch, page.bytes, text::Parser::new(page.bytes), at, counts)?,
            Format::OpenMetrics => {
                self.append_events(batch, page.bytes, openmetrics::Parser::new(page.bytes), at, counts)?
            }
        };
        if let Some(limit) = self.target.job.limits.samples.filter(|_| limited) {
            return Err(ScrapeError::SampleLimit(limit));
        }
        self.families.append(batch, page.format)?;
        self.families.finish();
        Ok(())
    }

    /// Whether there are too many samples. Then the page was still read to its end, so that the count says by how
    /// much it is too large.
    fn append_events<'a>(
        &mut self,
        batch: &mut dyn Appender,
        page: &[u8],
        events: impl Iterator<Item = Result<Event<'a>, ParseError>>,
        at: Timestamp,
        counts: &mut Counts,
    ) -> Result<bool, ScrapeError> {
        let mut limited = false;
        for event in events {
            match event.map_err(ScrapeError::Parse)? {
                Event::Type { family, kind } => self.families.set_kind(family, kind),
                Event::Help { family, text } => self.families.set_help(family, text),
                Event::Unit { family, unit } => self.families.set_unit(family, unit),
                Event::Comment(_) => {}
                Event::Series(series) => {
                    counts.scraped += 1;
                    limited |= self.append_series(batch, page, &series, at, counts)?;
                }
            }
        }
        Ok(limited)
    }

    /// Whether the sample is one too many.
    fn append_series(
        &mut self,
        batch: &mut dyn Appender,
        page: &[u8],
        series: &Series<'_>,
        at: Timestamp,
        counts: &mut Counts,
    ) -> Result<bool, ScrapeError> {
        let own_time = series.timestamp.filter(|_| self.target.job.honor_timestamps);
        let sample = Sample { timestamp: own_time.unwrap_or(at), value: series.value };
        let tracked = own_time.is_none() || self.target.job.track_timestamps_staleness;
        let known = self.cache.look_up(series.raw);
        if matches!(known, Known::Dropped) {
            return Ok(false);
        }
        if let Known::Kept { again: true, .. } = known
            && own_time.is_none()
        {
            counts.kept += 1;
            self.counters.duplicate();
            return Ok(false);
        }
        match known {
            Known::Dropped => {}
            Known::Kept { slot, series: known_series, .. } => {
                counts.kept += 1;
                if self.is_over_limit(counts) {
                    return Ok(true);
                }
                let appended = self.append_known(batch, slot, known_series, sample);
                if let Some(stored) = self.took(appended)? {
                    append_exemplar(batch, stored, series);
                    if tracked {
                        self.cache.track(slot);
                    }
                }
            }
            Known::New => match map(&self.target, series) {
                Mapped::Dropped => drop(self.cache.insert(series.raw, None)),
                Mapped::Refused(reason) => return Err(refusal(page, series, reason)),
                Mapped::Kept(labels) => {
                    counts.kept += 1;
                    if self.is_over_limit(counts) {
                        return Ok(true);
                    }
                    if let Some(stored) = self.append_new(batch, series.raw, labels, sample, tracked, counts)? {
                        append_exemplar(batch, stored, series);
                    }
                }
            },
        }
        Ok(false)
    }

    fn is_over_limit(&self, counts: &mut Counts) -> bool {
        counts.appended += 1;
        self.target.job.limits.samples.is_some_and(|limit| counts.appended > limit)
    }

    fn append_new(
        &mut self,
        batch: &mut dyn Appender,
        raw: &str,
        labels: Labels,
        sample: Sample,
        tracked: bool,
        counts: &mut Counts,
    ) -> Result<Option<SeriesRef>, ScrapeError> {
        let Some(series) = self.took(batch.append(&labels, sample))? else { return Ok(None) };
        counts.added += 1;
        let slot = self.cache.insert(raw, Some(Kept { series, labels }));
        if tracked {
            self.cache.track(slot);
        }
        Ok(Some(series))
    }

    fn append_known(
        &mut self,
        batch: &mut dyn Appender,
        slot: usize,
        series: SeriesRef,
        sample: Sample,
    ) -> Result<SeriesRef, AppendError> {
        match (batch.append_ref(series, sample), self.cache.labels(slot)) {
            (Err(AppendError::UnknownSeries), Some(labels)) => {
                let series = batch.append(labels, sample)?;
                self.cache.moved(slot, series);
                Ok(series)
            }
            (other, _) => other.map(|()| series),
        }
    }

    /// Where the store took a sample. One that it does not want is counted; other errors refuse the page.
    fn took(&self, appended: Result<SeriesRef, AppendError>) -> Result<Option<SeriesRef>, ScrapeError> {
        match appended {
            Ok(series) => return Ok(Some(series)),
            Err(AppendError::DuplicateTimestamp) => self.counters.duplicate(),
            Err(AppendError::OutOfBounds | AppendError::TooFarInFuture) => self.counters.out_of_bounds(),
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    }

    fn append_gone(&self, batch: &mut dyn Appender, at: Timestamp) -> Result<(), AppendError> {
        let marker = Sample { timestamp: at, value: stale_nan() };
        for kept in self.cache.gone() {
            ignore_time(match batch.append_ref(kept.series, marker) {
                Err(AppendError::UnknownSeries) => batch.append(&kept.labels, marker).map(drop),
                other => other,
            })?;
        }
        Ok(())
    }

    fn append_own(&mut self, batch: &mut dyn Appender, at: Timestamp, values: [f64; 5]) -> Result<(), AppendError> {
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

/// An exemplar that the store does not want is no reason to lose the sample.
fn append_exemplar(batch: &mut dyn Appender, stored: SeriesRef, series: &Series<'_>) {
    if let Some(raw) = series.exemplar {
        let exemplar =
            Exemplar { labels: Labels::from_pairs(raw.labels()), value: raw.value, timestamp: raw.timestamp };
        if let Err(error) = batch.append_exemplar(stored, &exemplar) {
            tracing::debug!(%error, "An exemplar was not stored.");
        }
    }
}

fn own_series_of(target: &Target) -> Vec<OwnSeries> {
    OWN_SERIES.iter().map(|name| OwnSeries { labels: own_series(target, name), series: None }).collect()
}

/// Markers and own series give way to what already stands at their time.
fn ignore_time(appended: Result<(), AppendError>) -> Result<(), AppendError> {
    match appended {
        Err(AppendError::DuplicateTimestamp | AppendError::OutOfBounds | AppendError::TooFarInFuture) => Ok(()),
        other => other,
    }
}

/// Limits name the metric; for the rest the line says where to look.
fn refusal(page: &[u8], series: &Series<'_>, reason: String) -> ScrapeError {
    if reason.contains("_limit exceeded") {
        return ScrapeError::LabelLimit(reason);
    }
    let offset = series.raw.as_ptr() as usize - page.as_ptr() as usize;
    let line = page.get(..offset).unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count() + 1;
    ScrapeError::InvalidSeries { line, reason }
}
