//! Remote write 2.0: `io.prometheus.write.v2.Request`, whose texts stand once in a table that everything refers to.
//!
//! `Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5 }`
//! `TimeSeries { repeated uint32 labels_refs = 1; repeated Sample samples = 2; repeated Histogram histograms = 3;
//! repeated Exemplar exemplars = 4; Metadata metadata = 5; int64 created_timestamp = 6 }`
//! `Exemplar { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3 }`
//! `Metadata { MetricType type = 1; uint32 help_ref = 3; uint32 unit_ref = 4 }`, samples as in 1.0.
//!
//! The labels of a series are put together as 1.0 sends them: their bytes then name the series for senders of both
//! versions, and a series that comes again costs a hash and no parse. Created timestamps are passed over, as by a
//! Prometheus without the feature `created-timestamp-zero-ingestion`.

use std::collections::HashSet;

use model::{AppendError, Appender, Durability, Labels, MetricKind};
use parking_lot::RwLock;

use crate::Error;
use crate::counters::Reason;
use crate::ingest::{Batch, LabelsError, Outcome, Target, collect_labels, whole_batch};
use crate::known::KnownSeries;
use crate::put::put_label;
use crate::wire::{self, Field, Fields, Label, TimeSeries, Value, WireError};

/// Writes a `Request`, as far as `durability` says, as [`crate::ingest::write`] does; labels that name no series are complained
/// of, too. The labels of all series may take `labels_max` bytes: a short request can refer to a long text very often.
pub(crate) fn write(
    appender: Box<dyn Appender + '_>,
    known: &RwLock<KnownSeries>,
    message: &[u8],
    labels_max: usize,
    durability: Durability,
) -> Result<Outcome, Error> {
    let symbols = symbols(message)?;
    whole_batch(appender, known, durability, |batch| {
        let mut request = Request {
            batch,
            symbols: &symbols,
            labels_max,
            labels_left: labels_max,
            told: HashSet::new(),
            parts: Parts::default(),
        };
        series(message).try_for_each(|series| request.series(series?))
    })
}

/// The table of texts. Errors: the message is damaged, or one of 1.0, in which its fields mean something else.
fn symbols(message: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut symbols = Vec::new();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1..=3 => return Err(Error::OtherMessage),
            4 => symbols.push(field.bytes()?),
            _ => {}
        }
    }
    Ok(symbols)
}

/// The messages of the series.
fn series(message: &[u8]) -> impl Iterator<Item = Result<&[u8], WireError>> {
    Fields::new(message).filter_map(|field| match field {
        Ok(field) if field.number == 5 => Some(field.bytes()),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// A request that is being written.
struct Request<'b, 's, 'k, 'm> {
    batch: &'b mut Batch<'s, 'k>,
    symbols: &'b [&'m [u8]],
    labels_max: usize,
    labels_left: usize,
    /// Families whose metadata this request told.
    told: HashSet<&'m [u8]>,
    parts: Parts,
}

/// Memory that each series uses again.
#[derive(Default)]
struct Parts {
    refs: Vec<u32>,
    labels: Vec<u8>,
}

/// What a series says of its family.
#[derive(Default)]
struct Metadata {
    kind: MetricKind,
    help: u32,
    unit: u32,
}

impl<'m> Request<'_, '_, '_, 'm> {
    fn series(&mut self, message: &'m [u8]) -> Result<(), Error> {
        let mut parts = std::mem::take(&mut self.parts);
        parts.refs.clear();
        let metadata = read_head(message, &mut parts.refs)?;
        let outcome = self.resolved(&parts.refs, &mut parts.labels).and_then(|()| {
            let series = TimeSeries::of_labels(&parts.labels);
            let mut target = Target { series, fingerprint: None, reference: None, labels: None };
            if self.find(&mut target, &parts.labels, message)? {
                self.items(&mut target, message)?;
                self.metadata(&parts.refs, &metadata)?;
            }
            Ok(())
        });
        self.parts = parts;
        outcome
    }

    /// Puts labels together.
    fn resolved(&mut self, refs: &[u32], into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        let (pairs, rest) = refs.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Error::OddRefs(refs.len()));
        }
        for [name, value] in pairs {
            let before = into.len();
            put_label(into, self.symbol(*name)?, self.symbol(*value)?);
            let more = into.len() - before;
            self.labels_left = self.labels_left.checked_sub(more).ok_or(Error::LabelsTooLarge(self.labels_max))?;
        }
        Ok(())
    }

    fn symbol(&self, at: u32) -> Result<&'m [u8], Error> {
        let symbol = usize::try_from(at).ok().and_then(|at| self.symbols.get(at)).copied();
        symbol.ok_or(Error::UnknownSymbol { symbol: at, count: self.symbols.len() })
    }

    /// Finds the series, or reads its labels. `false` if they name none: its samples are left out.
    fn find(&mut self, target: &mut Target<'_>, labels: &[u8], message: &[u8]) -> Result<bool, Error> {
        let batch = &mut *self.batch;
        target.fingerprint = batch.known.fingerprint(labels);
        let found = target.fingerprint.and_then(|fingerprint| batch.known.get(fingerprint, &mut batch.cursor));
        target.reference = found.map(|(reference, _)| reference);
        if let (Some(fingerprint), Some((reference, true))) = (target.fingerprint, found) {
            batch.learnt.push((fingerprint, reference));
        }
        if target.reference.is_some() {
            return Ok(true);
        }
        match collect_labels(target.series.labels()) {
            Ok(labels) if !labels.metric_name().is_empty() => target.labels = Some(labels),
            Err(LabelsError::Wire(error)) => return Err(error.into()),
            Ok(_) | Err(LabelsError::Invalid) => {
                let samples = Fields::new(message).filter(|field| field.is_ok_and(|field| field.number == 2)).count();
                batch.outcome.tally.leave_out(Reason::Labels, samples as u64);
                batch.outcome.complaint.get_or_insert_with(|| Error::Rejected(complaint(&target.series)));
            }
        }
        Ok(target.labels.is_some())
    }

    /// Appends samples and exemplars.
    fn items(&mut self, target: &mut Target<'_>, message: &'m [u8]) -> Result<(), Error> {
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                2 => self.batch.run.push(wire::read_sample(field.bytes()?)?),
                3 => {
                    field.bytes()?;
                    self.batch.histogram();
                }
                4 => {
                    self.batch.end_run(target)?;
                    self.exemplar(target, field.bytes()?)?;
                }
                _ => {}
            }
        }
        self.batch.end_run(target)
    }

    /// An exemplar that is not taken is complained of; unlike in 1.0, senders are told how many were.
    fn exemplar(&mut self, target: &Target<'_>, message: &[u8]) -> Result<(), Error> {
        let (mut refs, mut bytes) = (Vec::new(), Vec::new());
        let mut exemplar = model::Exemplar { labels: Labels::empty(), value: 0.0, timestamp: Some(0) };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => read_refs(field, &mut refs)?,
                2 => exemplar.value = field.double()?,
                3 => exemplar.timestamp = Some(field.integer()?),
                _ => {}
            }
        }
        self.resolved(&refs, &mut bytes)?;
        exemplar.labels = match collect_labels(TimeSeries::of_labels(&bytes).labels()) {
            Ok(labels) => labels,
            Err(LabelsError::Wire(error)) => return Err(error.into()),
            Err(LabelsError::Invalid) => {
                self.complain("an exemplar has labels that are none");
                return Ok(());
            }
        };
        // Without a sample in this request the series may be known all the same.
        let Some(reference) = target.reference else {
            self.complain("an exemplar's series has no samples");
            return Ok(());
        };
        match self.batch.appender.append_exemplar(reference, &exemplar) {
            Ok(()) => self.batch.outcome.tally.exemplars += 1,
            Err(AppendError::Storage(error)) => return Err(AppendError::Storage(error).into()),
            Err(error) => self.complain(&format!("{error}: exemplar of {}", exemplar.labels)),
        }
        Ok(())
    }

    fn complain(&mut self, text: &str) {
        self.batch.outcome.complaint.get_or_insert_with(|| Error::Rejected(text.to_owned()));
    }

    /// Tells what the family is, once a request.
    fn metadata(&mut self, refs: &[u32], metadata: &Metadata) -> Result<(), Error> {
        let Metadata { kind, help, unit } = *metadata;
        // The first symbol is empty, whatever the sender says.
        let text = |at| if at == 0 { Ok(&b""[..]) } else { self.symbol(at) };
        let (help, unit) = (text(help)?, text(unit)?);
        if kind == MetricKind::Unknown && help.is_empty() && unit.is_empty() {
            return Ok(());
        }
        for pair in refs.as_chunks::<2>().0 {
            if self.symbol(pair[0])? == model::METRIC_NAME.as_bytes() {
                let family = family(self.symbol(pair[1])?, kind);
                if self.told.insert(family) {
                    self.batch.metadata(&wire::Metadata { kind, family, help, unit })?;
                }
            }
        }
        Ok(())
    }
}

/// References of the labels, and the metadata.
fn read_head(message: &[u8], refs: &mut Vec<u32>) -> Result<Metadata, Error> {
    let mut metadata = Metadata::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => read_refs(field, refs)?,
            5 => metadata = read_metadata(field.bytes()?)?,
            _ => {}
        }
    }
    Ok(metadata)
}

fn read_metadata(message: &[u8]) -> Result<Metadata, Error> {
    let mut metadata = Metadata::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => metadata.kind = wire::kind(field.integer()?),
            3 => metadata.help = reference(field.integer()?.cast_unsigned()),
            4 => metadata.unit = reference(field.integer()?.cast_unsigned()),
            _ => {}
        }
    }
    Ok(metadata)
}

/// References, packed or one by one.
fn read_refs(field: Field<'_>, into: &mut Vec<u32>) -> Result<(), WireError> {
    let Value::Bytes(bytes) = field.value else {
        into.push(reference(field.integer()?.cast_unsigned()));
        return Ok(());
    };
    let mut numbers = Fields::new(bytes);
    while let Some(number) = numbers.next_number()? {
        into.push(reference(number));
    }
    Ok(())
}

/// No table is so long that a larger number were another one.
fn reference(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The family that a series belongs to: histograms and summaries have series with suffixes.
fn family(name: &[u8], kind: MetricKind) -> &[u8] {
    let suffixes: &[&[u8]] = match kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => &[b"_bucket", b"_count", b"_sum"],
        MetricKind::Summary => &[b"_count", b"_sum"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(*suffix)).unwrap_or(name)
}

/// Why labels name no series, in Prometheus' words.
fn complaint(series: &TimeSeries<'_>) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut pairs: Vec<(String, String)> =
        series.labels().flatten().map(|Label { name, value }| (text(name), text(value))).collect();
    pairs.sort();
    let name = |name: &str| if model::is_valid_label_name(name) { name.to_owned() } else { format!("{name:?}") };
    let shown: Vec<String> = pairs.iter().map(|(n, value)| format!("{}={value:?}", name(n))).collect();
    let shown = format!("{{{}}}", shown.join(", "));
    let has_name = pairs.iter().any(|(name, value)| name == model::METRIC_NAME && !value.is_empty());
    match pairs.windows(2).find(|two| two[0].0 == two[1].0) {
        Some(two) if has_name => format!("invalid labels for series, labels {shown}, duplicated label {}", two[0].0),
        _ => format!("invalid metric name or labels, got {shown}"),
    }
}
