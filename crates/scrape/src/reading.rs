//! One page on its way into a batch: each sample to its series, by the cache where it is known.

use exposition::{Event, Format, Series, openmetrics, protobuf, text};
use model::{AppendError, Appender, Exemplar, Labels, MetricKind, Sample, SeriesRef, Timestamp};

use crate::cache::{Cache, Known, Slot};
use crate::counters::Counters;
use crate::error::ScrapeError;
use crate::fetch::BodyLimit;
use crate::mapping::{Mapped, map};
use crate::metadata::Families;
use crate::target::Target;

/// A page, decompressed.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) format: Format,
    /// The page is longer than it may be, and this is its beginning.
    pub(crate) cut: Option<BodyLimit>,
}

/// What was on a page.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Samples, before relabelling.
    pub(crate) scraped: u64,
    /// After relabelling, samples that the store did not want included.
    pub(crate) kept: u64,
    /// Native histograms, which are not stored.
    pub(crate) native: u64,
    /// Of series that the page before did not have.
    pub(crate) added: u64,
    /// Samples that count for the sample limit.
    appended: u64,
}

/// The reading of one page.
pub(crate) struct Reading<'r> {
    pub(crate) target: &'r Target,
    pub(crate) cache: &'r mut Cache,
    pub(crate) families: &'r mut Families,
    pub(crate) counters: &'r Counters,
    /// Most series that the target may have, whatever its job allows.
    pub(crate) series_max: u64,
    pub(crate) batch: &'r mut dyn Appender,
    pub(crate) page: Body<'r>,
    pub(crate) at: Timestamp,
    pub(crate) counts: Counts,
    pub(crate) waiting: Waiting,
}

/// Samples of known series are given to the batch so many at once: then it looks for all of them in one go.
const WAITING_MAX: usize = 256;

/// Samples that the batch was not given yet.
#[derive(Default)]
pub(crate) struct Waiting {
    samples: Vec<(SeriesRef, Sample)>,
    /// In the same order.
    entries: Vec<Entry>,
}

/// What follows once a sample of a known series was taken.
struct Entry {
    slot: Slot,
    /// The kind that its labels are read with.
    kind: MetricKind,
    tracked: bool,
    returned: bool,
}

/// What becomes of a sample of the page.
struct Item<'a> {
    series: &'a Series<'a>,
    sample: Sample,
    /// Whether the page says its time.
    timed: bool,
    /// Whether the absence of its series from the next page will be marked.
    tracked: bool,
}

impl Reading<'_> {
    /// Appends the whole page. After an error the batch must not be committed.
    pub(crate) fn read(&mut self) -> Result<(), ScrapeError> {
        if let Some(limit) = self.page.cut {
            return Err(limit.exceeded());
        }
        self.check_budget()?;
        let read = self.read_events();
        // Where a page breaks off, what came before it still tells which series are not gone.
        let flushed = self.flush();
        read?;
        flushed?;
        // Past the limit the page is read to its end, so that the count says by how much it is too large.
        if let Some(limit) = self.target.job.limits.samples.filter(|&limit| self.counts.appended > limit) {
            return Err(ScrapeError::SampleLimit(limit));
        }
        if self.counts.appended > self.series_max {
            return Err(ScrapeError::SeriesBudget(self.series_max));
        }
        self.families.append(self.batch, self.page.format)?;
        self.families.finish();
        Ok(())
    }

    fn read_events(&mut self) -> Result<(), ScrapeError> {
        let page = self.page.bytes;
        match self.page.format {
            Format::Text => {
                let mut events = text::Parser::new(page);
                while let Some(event) = events.next_expecting(self.cache.guess()) {
                    self.append_event(event?, events.met_expectation())?;
                }
            }
            Format::Protobuf => self.read_messages(page)?,
            Format::OpenMetrics => {
                for event in openmetrics::Parser::new(page) {
                    self.append_event(event?, false)?;
                }
            }
        }
        Ok(())
    }

    fn read_messages(&mut self, page: &[u8]) -> Result<(), ScrapeError> {
        let mut events = protobuf::Parser::new(page);
        let mut outcome = Ok(());
        while outcome.is_ok()
            && let Some(event) = events.next_event()
        {
            outcome = event.map_err(ScrapeError::from).and_then(|event| self.append_event(event, false));
        }
        self.counts.native = events.native_histograms();
        // As in Prometheus, one that is not stored is a sample of the page, but none after relabelling.
        self.counts.scraped += events.native_histograms_alone();
        outcome
    }

    /// `guessed` says that the text of a series is what the cache guessed.
    fn append_event(&mut self, event: Event<'_>, guessed: bool) -> Result<(), ScrapeError> {
        match event {
            Event::Type { family, kind } => self.families.set_kind(family, kind),
            Event::Help { family, text } => self.families.set_help(family, text),
            Event::Unit { family, unit } => self.families.set_unit(family, unit),
            Event::Comment(_) => {}
            Event::Series(series) => return self.append_series(&series, guessed),
        }
        Ok(())
    }

    fn append_series(&mut self, series: &Series<'_>, guessed: bool) -> Result<(), ScrapeError> {
        self.counts.scraped += 1;
        let own_time = series.timestamp.filter(|_| self.target.job.honor_timestamps);
        let item = Item {
            series,
            sample: Sample { timestamp: own_time.unwrap_or(self.at), value: series.value },
            timed: own_time.is_some(),
            tracked: own_time.is_none() || self.target.job.track_timestamps_staleness,
        };
        match self.cache.look_up(series.raw, guessed) {
            Known::Dropped => Ok(()),
            Known::Kept { again: true, .. } if !item.timed => {
                self.counts.kept += 1;
                self.counters.duplicate();
                Ok(())
            }
            Known::Kept { slot, series, returned, .. } => self.append_known(&item, slot, series, returned),
            Known::New => self.append_new(&item),
        }
    }

    fn append_known(
        &mut self,
        item: &Item<'_>,
        slot: Slot,
        series: SeriesRef,
        returned: bool,
    ) -> Result<(), ScrapeError> {
        self.counts.kept += 1;
        if self.is_over_limit() {
            return Ok(());
        }
        self.waiting.samples.push((series, item.sample));
        let (kind, tracked) = (item.series.kind, item.tracked);
        self.waiting.entries.push(Entry { slot, kind, tracked, returned });
        if item.series.exemplar.is_some() {
            if self.flush()?
                && let Some(stored) = self.cache.series(slot)
            {
                self.append_exemplar(item, stored);
            }
        } else if self.waiting.entries.len() == WAITING_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Gives the batch what waits. Returns whether the last sample was taken.
    fn flush(&mut self) -> Result<bool, ScrapeError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut refused = Vec::new();
        self.batch.append_refs(&waiting.samples, &mut |at, error| refused.push((at, error)))?;
        let mut refused = refused.into_iter().peekable();
        let mut taken = true;
        for (at, entry) in waiting.entries.iter().enumerate() {
            taken = match refused.next_if(|(place, _)| *place == at) {
                None => true,
                Some((_, AppendError::UnknownSeries)) => self.append_forgotten(entry, waiting.samples[at].1)?,
                Some((_, error)) => self.took(Err(error))?.is_some(),
            };
            self.counts.added += u64::from(taken && entry.returned);
            if taken && entry.tracked {
                self.cache.track(entry.slot);
            }
        }
        waiting.samples.clear();
        waiting.entries.clear();
        self.waiting = waiting;
        Ok(taken)
    }

    /// A sample of a series that the store forgot; its labels are read from its text again. Returns whether it was taken.
    fn append_forgotten(&mut self, entry: &Entry, sample: Sample) -> Result<bool, ScrapeError> {
        let raw = self.cache.text(entry.slot);
        let series = Series { raw: &raw, value: sample.value, timestamp: None, exemplar: None, kind: entry.kind };
        // It was kept before, by the same rules.
        let Mapped::Kept(labels) = map(self.target, &series) else { return Ok(false) };
        let appended = self.batch.append(&labels, sample);
        let Some(stored) = self.took(appended)? else { return Ok(false) };
        self.cache.moved(entry.slot, entry.kind, stored);
        Ok(true)
    }

    fn append_new(&mut self, item: &Item<'_>) -> Result<(), ScrapeError> {
        let labels = match map(self.target, item.series) {
            Mapped::Kept(labels) => labels,
            Mapped::Refused(reason) => return Err(self.refusal(item.series, reason)),
            Mapped::Repeated(_) if self.is_over_limit() => {
                self.counts.kept += 1;
                return Ok(());
            }
            Mapped::Repeated(reason) => return Err(self.refusal(item.series, reason)),
            Mapped::Dropped => {
                self.cache.insert(item.series.raw, item.series.kind, None);
                return Ok(());
            }
        };
        self.counts.kept += 1;
        if self.is_over_limit() {
            return Ok(());
        }
        // The log knows series by the order in which they came.
        self.flush()?;
        let appended = self.batch.append(&labels, item.sample);
        let Some(stored) = self.took(appended)? else { return Ok(()) };
        self.counts.added += 1;
        if let Some(slot) = self.cache.insert(item.series.raw, item.series.kind, Some(stored)) {
            if item.tracked {
                self.cache.track(slot);
            }
            self.append_exemplar(item, stored);
        }
        Ok(())
    }

    fn append_exemplar(&mut self, item: &Item<'_>, stored: SeriesRef) {
        let Some(raw) = item.series.exemplar else { return };
        let exemplar =
            Exemplar { labels: Labels::from_pairs(raw.labels()), value: raw.value, timestamp: raw.timestamp };
        // An exemplar that the store does not want is no reason to lose the sample.
        if let Err(error) = self.batch.append_exemplar(stored, &exemplar) {
            tracing::debug!(%error, "An exemplar was not stored.");
        }
    }

    fn is_over_limit(&mut self) -> bool {
        self.counts.appended += 1;
        self.counts.appended > self.target.job.limits.samples.unwrap_or(u64::MAX).min(self.series_max)
    }

    /// Refuses a page that is too large for the budget before any of its series takes memory in the store. Where rules may
    /// drop series, only the reading itself can tell.
    fn check_budget(&self) -> Result<(), ScrapeError> {
        // The shortest line of a sample, with its end, has four bytes.
        let may_exceed = self.page.bytes.len() as u64 / 4 >= self.series_max;
        let has_lines = self.page.format != Format::Protobuf;
        if may_exceed && has_lines && self.target.job.metric_relabel.is_empty() {
            let is_sample = |line: &&[u8]| line.first().is_some_and(|&first| first != b'#' && first != b'\r');
            let lines = self.page.bytes.split(|&byte| byte == b'\n');
            if lines.filter(is_sample).count() as u64 > self.series_max {
                return Err(ScrapeError::SeriesBudget(self.series_max));
            }
        }
        Ok(())
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

    /// Limits name the metric; for the rest the line says where to look.
    fn refusal(&self, series: &Series<'_>, reason: String) -> ScrapeError {
        if reason.contains("_limit exceeded") {
            return ScrapeError::LabelLimit(reason);
        }
        if self.page.format == Format::Protobuf {
            return ScrapeError::InvalidMessage { series: series.raw.to_owned(), reason };
        }
        let page = self.page.bytes;
        let before = page.get(..series.raw.as_ptr() as usize - page.as_ptr() as usize).unwrap_or_default();
        ScrapeError::InvalidSeries { line: before.iter().filter(|&&byte| byte == b'\n').count() + 1, reason }
    }
}
