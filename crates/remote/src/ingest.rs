//! One decoded request into one batch of the store.

use model::{AppendError, Appender, Durability, Labels, Sample, SeriesRef};
use parking_lot::RwLock;

use crate::Error;
use crate::counters::{Reason, Tally};
use crate::known::{Cursor, Fingerprint, KnownSeries};
use crate::wire::{self, Entry, Item, Label, TimeSeries, WireError};

/// What became of a request that was read to its end.
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// What the sender is told, though everything else was stored.
    pub(crate) complaint: Option<Error>,
}

/// Writes a `WriteRequest`, as far as `durability` says. Samples that cannot be taken are left out and the first of them is
/// complained of; a damaged message or a store that fails keeps everything out.
pub(crate) fn write(
    appender: Box<dyn Appender + '_>,
    known: &RwLock<KnownSeries>,
    message: &[u8],
    durability: Durability,
) -> Result<Outcome, Error> {
    whole_batch(appender, known, durability, |batch| {
        wire::entries(message).try_for_each(|entry| match entry? {
            Entry::Series(message) => batch.series(message),
            Entry::Metadata(metadata) => batch.metadata(&metadata),
        })
    })
}

/// Commits what `fill` adds to a batch, and learns which series it named.
pub(crate) fn whole_batch<'s>(
    appender: Box<dyn Appender + 's>,
    known: &RwLock<KnownSeries>,
    durability: Durability,
    fill: impl FnOnce(&mut Batch<'s, '_>) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let (appender, learnt, mut outcome) = {
        let known = known.read();
        let (learnt, run, outcome) = (Vec::new(), Vec::new(), Outcome::empty());
        let cursor = Cursor::default();
        let mut batch = Batch { appender, known: &known, cursor, learnt, run, outcome };
        fill(&mut batch)?;
        (batch.appender, batch.learnt, batch.outcome)
    };
    let committed = appender.commit(durability)?;
    if !learnt.is_empty() {
        known.write().learn(learnt);
    }
    outcome.tally.samples = committed.samples;
    if committed.conflicting > 0 {
        outcome.tally.leave_out(Reason::Conflict, committed.conflicting);
        let text = AppendError::DuplicateTimestamp.to_string();
        outcome.complaint.get_or_insert(Error::Rejected(text));
    }
    Ok(outcome)
}

pub(crate) struct Batch<'s, 'k> {
    pub(crate) appender: Box<dyn Appender + 's>,
    pub(crate) known: &'k KnownSeries,
    pub(crate) cursor: Cursor,
    pub(crate) learnt: Vec<(Fingerprint, SeriesRef)>,
    /// Samples of one series that follow each other.
    pub(crate) run: Vec<Sample>,
    pub(crate) outcome: Outcome,
}

/// The series of which samples are being written.
pub(crate) struct Target<'a> {
    pub(crate) series: TimeSeries<'a>,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) reference: Option<SeriesRef>,
    pub(crate) labels: Option<Labels>,
}

/// Why a label list names no series.
pub(crate) enum LabelsError {
    Wire(WireError),
    Invalid,
}

impl Outcome {
    pub(crate) fn empty() -> Self {
        Self { tally: Tally::default(), complaint: None }
    }
}

impl Batch<'_, '_> {
    fn series(&mut self, message: &[u8]) -> Result<(), Error> {
        if let Some((fingerprint, labels_end, reference)) = self.known.expected(&mut self.cursor, message)
            && let Some(series) = TimeSeries::after(message, labels_end)
        {
            let (fingerprint, reference) = (Some(fingerprint), Some(reference));
            return self.items(&mut Target { series, fingerprint, reference, labels: None });
        }
        let series = TimeSeries::new(message)?;
        let fingerprint = series.label_bytes().and_then(|bytes| self.known.fingerprint(bytes));
        let found = fingerprint.and_then(|fingerprint| self.known.get(fingerprint, &mut self.cursor));
        let reference = found.map(|(reference, _)| reference);
        if let (Some(fingerprint), Some((reference, true))) = (fingerprint, found) {
            self.learnt.push((fingerprint, reference));
        }
        let mut target = Target { series, fingerprint, reference, labels: None };
        if reference.is_none() && !self.resolve(&mut target)? {
            return Ok(());
        }
        self.items(&mut target)
    }

    fn items(&mut self, target: &mut Target<'_>) -> Result<(), Error> {
        let mut items = target.series.items();
        loop {
            items.take_samples(&mut self.run);
            let Some(item) = items.next() else { break };
            match item? {
                Item::Sample(sample) => self.run.push(sample),
                Item::Exemplar(exemplar) => {
                    self.end_run(target)?;
                    self.exemplar(target, &exemplar)?;
                }
                Item::Histogram => self.histogram(),
            }
        }
        self.end_run(target)
    }

    /// Parses the labels. `false` if they name no series: its samples are counted and left out, as in Prometheus.
    fn resolve(&mut self, target: &mut Target<'_>) -> Result<bool, Error> {
        match parse_labels(&target.series) {
            Ok(labels) => target.labels = Some(labels),
            Err(LabelsError::Wire(error)) => return Err(error.into()),
            Err(LabelsError::Invalid) => {
                let samples = target.series.items().filter(|item| matches!(item, Ok(Item::Sample(_)))).count();
                self.outcome.tally.leave_out(Reason::Labels, samples as u64);
            }
        }
        Ok(target.labels.is_some())
    }

    /// Appends the samples read so far.
    pub(crate) fn end_run(&mut self, target: &mut Target<'_>) -> Result<(), Error> {
        let mut run = std::mem::take(&mut self.run);
        let outcome = self.append(target, &run);
        run.clear();
        self.run = run;
        outcome
    }

    fn append(&mut self, target: &mut Target<'_>, mut samples: &[Sample]) -> Result<(), Error> {
        while target.reference.is_none()
            && let [first, rest @ ..] = samples
        {
            samples = rest;
            if let Err(error) = self.append_new(target, *first) {
                self.refuse(target, *first, error)?;
            }
        }
        let Some(reference) = target.reference.filter(|_| !samples.is_empty()) else { return Ok(()) };
        let mut refused = Vec::new();
        match self.appender.append_run(reference, samples, &mut |at, error| refused.push((samples[at], error))) {
            Err(AppendError::UnknownSeries) => {
                target.reference = None;
                if target.labels.is_some() || self.resolve(target)? { self.append(target, samples) } else { Ok(()) }
            }
            Err(error) => Err(error.into()),
            Ok(()) => refused.into_iter().try_for_each(|(sample, error)| self.refuse(target, sample, error)),
        }
    }

    fn append_new(&mut self, target: &mut Target<'_>, sample: Sample) -> Result<(), AppendError> {
        let labels = target.labels.as_ref().ok_or(AppendError::UnknownSeries)?;
        let reference = self.appender.append(labels, sample)?;
        target.reference = Some(reference);
        self.learnt.extend(target.fingerprint.map(|fingerprint| (fingerprint, reference)));
        Ok(())
    }

    /// Leaves a sample out, or ends the request where the store itself failed.
    fn refuse(&mut self, target: &mut Target<'_>, sample: Sample, error: AppendError) -> Result<(), Error> {
        let (reason, prefix) = match &error {
            AppendError::TooFarInFuture => (Reason::Future, "out of bounds: "),
            AppendError::OutOfBounds => (Reason::OutOfBounds, ""),
            AppendError::DuplicateTimestamp => (Reason::Conflict, ""),
            AppendError::InvalidLabels(_) => (Reason::Labels, ""),
            AppendError::Limit(_) => (Reason::Limit, ""),
            AppendError::UnknownSeries | AppendError::Storage(_) => return Err(error.into()),
        };
        self.outcome.tally.leave_out(reason, 1);
        if reason == Reason::Labels || self.outcome.complaint.is_some() {
            return Ok(());
        }
        let labels = target.labels.clone().or_else(|| parse_labels(&target.series).ok()).unwrap_or_default();
        let text = format!("{prefix}{error}: timestamp {} of {labels}", sample.timestamp);
        self.outcome.complaint = Some(if reason == Reason::Limit { Error::Limit(text) } else { Error::Rejected(text) });
        Ok(())
    }

    /// Exemplars are an extra: one that cannot be kept does not fail the request, as in Prometheus.
    fn exemplar(&mut self, target: &Target<'_>, exemplar: &wire::Exemplar<'_>) -> Result<(), Error> {
        let Some(reference) = target.reference else { return Ok(()) };
        let labels = match collect_labels(exemplar.labels()) {
            Ok(labels) => labels,
            Err(LabelsError::Wire(error)) => return Err(error.into()),
            Err(LabelsError::Invalid) => return Ok(()),
        };
        let exemplar = model::Exemplar { labels, value: exemplar.value, timestamp: Some(exemplar.timestamp) };
        match self.appender.append_exemplar(reference, &exemplar) {
            Ok(()) => self.outcome.tally.exemplars += 1,
            Err(AppendError::Storage(error)) => return Err(AppendError::Storage(error).into()),
            Err(_) => {}
        }
        Ok(())
    }

    pub(crate) fn histogram(&mut self) {
        self.outcome.tally.leave_out(Reason::Histogram, 1);
        self.outcome.complaint.get_or_insert_with(|| {
            let text = "native histograms are not stored; set send_native_histograms: false in remote_write";
            Error::Rejected(text.to_owned())
        });
    }

    /// Texts that are not UTF-8 are passed over, as are families without a name.
    pub(crate) fn metadata(&mut self, metadata: &wire::Metadata<'_>) -> Result<(), Error> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let (Some(family), Some(help), Some(unit)) = (text(metadata.family), text(metadata.help), text(metadata.unit))
        else {
            return Ok(());
        };
        if family.is_empty() {
            return Ok(());
        }
        let metadata = model::Metadata { kind: metadata.kind, help: help.to_owned(), unit: unit.to_owned() };
        match self.appender.set_metadata(family, &metadata) {
            Err(AppendError::Storage(error)) => Err(AppendError::Storage(error).into()),
            _ => Ok(()),
        }
    }
}

/// The labels of a series: a metric name, no empty or repeated name, all UTF-8. Labels without value are dropped.
fn parse_labels(series: &TimeSeries<'_>) -> Result<Labels, LabelsError> {
    let labels = collect_labels(series.labels())?;
    if labels.metric_name().is_empty() { Err(LabelsError::Invalid) } else { Ok(labels) }
}

pub(crate) fn collect_labels<'a>(
    labels: impl Iterator<Item = Result<Label<'a>, WireError>>,
) -> Result<Labels, LabelsError> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| LabelsError::Invalid);
    let mut pairs = Vec::new();
    for label in labels {
        let label = label.map_err(LabelsError::Wire)?;
        pairs.push((text(label.name)?, text(label.value)?));
    }
    pairs.sort_unstable_by_key(|(name, _)| *name);
    let repeated = pairs.windows(2).any(|two| two[0].0 == two[1].0);
    if repeated || pairs.first().is_some_and(|(name, _)| name.is_empty()) {
        return Err(LabelsError::Invalid);
    }
    Ok(Labels::from_pairs(pairs))
}
