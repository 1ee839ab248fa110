//! A day that the node never lived, written as if it had been scraped.

use std::ops::ControlFlow;
use std::time::Duration;

use model::{
    AppendError, Appendable, Appender, BUCKET_BOUND, Durability, Labels, LabelsBuilder, METRIC_NAME, Metadata,
    SCRAPE_SERIES, Sample, SeriesRef, Timestamp, stale_nan,
};

use crate::noise::unit;
use crate::schema::FamilyRows;
use crate::{DemoError, Endpoint, World};

/// So many scrapes of a target share a batch: the log is written in larger pieces, and a batch stays below 20,000
/// samples, a few hundred kilobytes.
const SCRAPES_PER_BATCH: usize = 16;
/// History begins this long before the start.
const DAY: Duration = Duration::from_hours(24);
/// The last hours are written at the pace of a live scrape, the time before at half of it. A `[1m]` window holds two
/// samples at the slower pace too, which is what `rate` needs.
const FINE: Duration = Duration::from_hours(6);
const FINE_STEP: Duration = Duration::from_secs(15);
const COARSE_STEP: Duration = Duration::from_secs(30);
/// A scrape that found nobody took this long, in seconds.
const REFUSED_SECONDS: f64 = 0.000_41;
/// A page costs this many seconds, and this many for each of its samples.
const SCRAPE_SECONDS: (f64, f64) = (0.0016, 0.000_004);

/// A target whose history is wanted.
#[derive(Clone, Debug)]
pub struct DemoTarget {
    /// What it serves.
    pub endpoint: Endpoint,
    /// The labels that the live scrape adds to its series: `job`, `instance`, `node`, ...
    pub labels: Labels,
}

/// A part of the history with one pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistorySpan {
    /// The first scrape.
    pub from: Timestamp,
    /// No scrape is at or after this time.
    pub to: Timestamp,
    /// Time between scrapes, at least a millisecond.
    pub step: Duration,
}

/// How far the writing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryProgress {
    /// Scrapes written, over all targets.
    pub scrapes: u64,
    /// Scrapes to be written in all.
    pub scrapes_total: u64,
    /// Samples written.
    pub samples: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples that the store took, staleness markers included.
    pub samples: u64,
    /// Samples that it refused because another value stands at their time or retention does not keep them.
    pub refused: u64,
}

/// The spans of a day before the start, oldest first, as [`write_history`] takes them.
pub fn history_spans(start: Timestamp) -> [HistorySpan; 2] {
    let before = |duration: Duration| start - millis(duration);
    [
        HistorySpan { from: before(DAY), to: before(FINE), step: COARSE_STEP },
        HistorySpan { from: before(FINE), to: start, step: FINE_STEP },
    ]
}

/// Writes what scrapes of the targets would have written in the spans, `progress` being told after each batch; its
/// `Break` ends the writing.
///
/// The last batch is committed to the disk, the others to the kernel. Samples that the store refuses for their time
/// are counted and left out; every other refusal ends the writing.
pub fn write_history(
    world: &World,
    appendable: &dyn Appendable,
    targets: &[DemoTarget],
    spans: &[HistorySpan],
    progress: &mut dyn FnMut(HistoryProgress) -> ControlFlow<()>,
) -> Result<Written, DemoError> {
    let times = scrape_times(spans)?;
    let scrapes_total = (times.len() * targets.len()) as u64;
    let mut writers: Vec<_> = targets.iter().map(|target| Writer::new(world, target)).collect();
    let mut batches = times.chunks(SCRAPES_PER_BATCH).peekable();
    let (mut written, mut scrapes) = (Written::default(), 0);
    while let Some(batch) = batches.next() {
        let durability = if batches.peek().is_none() { Durability::Disk } else { Durability::Kernel };
        for writer in &mut writers {
            writer.write(appendable, batch, durability, &mut written)?;
            scrapes += batch.len() as u64;
            if progress(HistoryProgress { scrapes, scrapes_total, samples: written.samples }).is_break() {
                return Ok(written);
            }
        }
    }
    Ok(written)
}

fn scrape_times(spans: &[HistorySpan]) -> Result<Vec<Timestamp>, DemoError> {
    let mut times = Vec::new();
    for span in spans {
        let step = usize::try_from(millis(span.step)).unwrap_or(usize::MAX);
        if step == 0 {
            return Err(DemoError::ZeroStep);
        }
        times.extend((span.from..span.to).step_by(step));
    }
    Ok(times)
}

/// A duration in milliseconds; the spans here are days at most.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Writes one target's scrapes.
struct Writer<'w> {
    world: &'w World,
    endpoint: Endpoint,
    metadata: Vec<(&'w str, Metadata)>,
    /// The page's series in the order of its description.
    columns: Vec<Column>,
    /// The series of [`SCRAPE_SERIES`].
    own: Vec<Column>,
    /// Values of the scrape in work, by column.
    values: Vec<Option<f64>>,
    described: bool,
}

/// One series of a target.
struct Column {
    labels: Labels,
    /// What the store calls it, once it has a sample.
    series: Option<SeriesRef>,
    /// Whether the last scrape had it.
    present: bool,
}

impl<'w> Writer<'w> {
    fn new(world: &'w World, target: &DemoTarget) -> Self {
        let families = &world.description(target.endpoint).families;
        let mut columns = Vec::new();
        for family in families {
            for row in &family.rows {
                let own: Vec<_> = row.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
                columns.extend(row.series().into_iter().map(|(suffix, bound)| {
                    let name = format!("{}{suffix}", family.name);
                    let bound = bound.map(stored_bound);
                    let bound = bound.as_deref().map(|bound| (BUCKET_BOUND, bound));
                    Column::new(&target.labels, &name, own.iter().copied().chain(bound))
                }));
            }
        }
        let metadata = |family: &'w FamilyRows| {
            (&*family.name, Metadata { kind: family.kind, help: family.help.to_owned(), unit: String::new() })
        };
        Self {
            world,
            endpoint: target.endpoint,
            metadata: families.iter().map(metadata).collect(),
            columns,
            own: SCRAPE_SERIES.iter().map(|name| Column::new(&target.labels, name, [])).collect(),
            values: Vec::new(),
            described: false,
        }
    }

    /// Writes a batch of scrapes.
    fn write(
        &mut self,
        appendable: &dyn Appendable,
        times: &[Timestamp],
        durability: Durability,
        written: &mut Written,
    ) -> Result<(), DemoError> {
        let endpoint = self.endpoint;
        let mut batch = Batch { appender: appendable.appender(), refused: 0 };
        let failed = |at: Timestamp| move |source| DemoError::Append { endpoint, at, source };
        let last = times.last().copied().unwrap_or_default();
        self.describe(&mut *batch.appender).map_err(failed(last))?;
        for &at in times {
            self.scrape(&mut batch, at).map_err(failed(at))?;
        }
        let committed = batch.appender.commit(durability).map_err(failed(last))?;
        written.samples += committed.samples;
        written.refused += batch.refused + committed.conflicting;
        Ok(())
    }

    fn describe(&mut self, appender: &mut dyn Appender) -> Result<(), AppendError> {
        if !self.described {
            self.metadata.iter().try_for_each(|(family, metadata)| appender.set_metadata(family, metadata))?;
        }
        self.described = true;
        Ok(())
    }

    fn scrape(&mut self, batch: &mut Batch<'_>, at: Timestamp) -> Result<(), AppendError> {
        let up = self.world.is_up(self.endpoint, at);
        if up {
            self.world.evaluate(self.endpoint, at, &mut self.values);
        } else {
            self.values.clear();
            self.values.resize(self.columns.len(), None);
        }
        let (mut scraped, mut added) = (0u32, 0u32);
        for (column, &value) in self.columns.iter_mut().zip(&self.values) {
            scraped += u32::from(value.is_some());
            added += u32::from(value.is_some() && !column.present);
            column.write(batch, at, value)?;
        }
        let scraped = f64::from(scraped);
        let duration = if up { scrape_seconds(at, scraped) } else { REFUSED_SECONDS };
        let own = [f64::from(u8::from(up)), duration, scraped, scraped, f64::from(added)];
        self.own.iter_mut().zip(own).try_for_each(|(column, value)| column.write(batch, at, Some(value)))
    }
}

/// A bucket's bound as a scrape stores it, which is `1.0` where a page says `1`.
fn stored_bound(bound: f64) -> String {
    let mut text = String::new();
    exposition::format_float_with_point(bound, &mut text);
    text
}

/// How long a scrape seems to have taken.
fn scrape_seconds(at: Timestamp, scraped: f64) -> f64 {
    let (page, sample) = SCRAPE_SECONDS;
    (page + sample * scraped) * (0.8 + 0.5 * unit(0, at))
}

impl Column {
    /// A label of the page that the target has too is kept as `exported_<name>`, as a scrape without `honor_labels`
    /// does.
    fn new<'a>(target: &Labels, name: &str, own: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut labels = LabelsBuilder::default();
        for (own_name, value) in own {
            let prefix = if target.get(own_name).is_some() { "exported_" } else { "" };
            labels.set(&format!("{prefix}{own_name}"), value);
        }
        for (target_name, value) in target {
            labels.set(target_name, value);
        }
        labels.set(METRIC_NAME, name);
        Self { labels: labels.build(), series: None, present: false }
    }

    /// Writes a value, or a staleness marker where the series was there at the last scrape.
    fn write(&mut self, batch: &mut Batch<'_>, at: Timestamp, value: Option<f64>) -> Result<(), AppendError> {
        let was_present = std::mem::replace(&mut self.present, value.is_some());
        let Some(value) = value.or_else(|| was_present.then(stale_nan)) else { return Ok(()) };
        match self.append(&mut *batch.appender, Sample { timestamp: at, value }) {
            Err(AppendError::DuplicateTimestamp | AppendError::OutOfBounds) => {
                batch.refused += 1;
                Ok(())
            }
            result => result,
        }
    }

    fn append(&mut self, appender: &mut dyn Appender, sample: Sample) -> Result<(), AppendError> {
        if let Some(series) = self.series {
            match appender.append_ref(series, sample) {
                Err(AppendError::UnknownSeries) => {}
                result => return result,
            }
        }
        self.series = Some(appender.append(&self.labels, sample)?);
        Ok(())
    }
}

/// A batch and how many samples it had to leave out.
struct Batch<'a> {
    appender: Box<dyn Appender + 'a>,
    refused: u64,
}
