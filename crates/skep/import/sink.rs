//! Where imported samples go: batches for a server, or for the store of a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use model::{AppendError, Appendable, Clock, Durability, Exemplar, Labels, Metadata, Sample, SystemClock, Timestamp};
use remote::{Message, Sender};
use tsdb::Db;

/// A request or batch is sent at one of these: large enough that an fsync for each costs little, small against the
/// limits of receivers, which the smallest memory budgets set to a few MiB.
const BATCH_SAMPLES: usize = 50_000;
const BATCH_BYTES: usize = 1 << 20;

/// Takes series by series what was read.
pub(super) trait Sink {
    /// What follows belongs to this series.
    fn series(&mut self, labels: &Labels) -> Result<()>;
    fn sample(&mut self, timestamp: Timestamp, value: f64) -> Result<()>;
    /// An example behind the sample of this time.
    fn exemplar(&mut self, timestamp: Timestamp, exemplar: &Exemplar) -> Result<()>;
    fn metadata(&mut self, family: &str, metadata: &Metadata) -> Result<()>;
    /// Sends the rest and waits until all of it is on the disk.
    fn finish(self) -> Result<Outcome>;
}

/// What became of the samples.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// By reason.
    pub(super) refused: BTreeMap<String, u64>,
    /// The first one, in words.
    pub(super) complaint: String,
}

impl Outcome {
    pub(super) fn left_out(&self) -> u64 {
        self.refused.values().sum()
    }

    fn refuse(&mut self, reason: &str, count: u64, complaint: impl FnOnce() -> String) {
        *self.refused.entry(reason.to_owned()).or_default() += count;
        if self.complaint.is_empty() {
            self.complaint = complaint();
        }
    }
}

/// A server that receives remote write. One request is written while the next is read.
pub(super) struct ServerSink {
    message: Message,
    series: Labels,
    bodies: Option<SyncSender<Vec<u8>>>,
    sending: Option<JoinHandle<Result<Outcome>>>,
}

impl ServerSink {
    pub(super) fn new(url: &str) -> Result<Self> {
        let sender = Sender::new(url)?;
        let (bodies, waiting) = sync_channel(1);
        let sending = thread::spawn(move || send_all(&sender, &waiting));
        let series = Labels::empty();
        Ok(Self { message: Message::default(), series, bodies: Some(bodies), sending: Some(sending) })
    }

    fn send_if(&mut self, full: bool) -> Result<()> {
        if !full || self.message.is_empty() {
            return Ok(());
        }
        let body = self.message.take_body();
        let bodies = self.bodies.as_ref().ok_or_else(|| anyhow!("the import is over"))?;
        if bodies.send(body).is_err() {
            // The other side ended early, which is its error.
            return self.end().map(|_| ());
        }
        self.message.series(&self.series);
        Ok(())
    }

    fn end(&mut self) -> Result<Outcome> {
        self.bodies.take();
        let sending = self.sending.take().ok_or_else(|| anyhow!("the import is over"))?;
        sending.join().map_err(|_| anyhow!("sending broke off"))?
    }
}

fn send_all(sender: &Sender, bodies: &Receiver<Vec<u8>>) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let mut outcome = Outcome::default();
    while let Ok(body) = bodies.recv() {
        let answer = runtime.block_on(sender.send(body))?;
        for (reason, count) in answer.left_out {
            outcome.refuse(&reason, count, || answer.complaint.clone());
        }
    }
    Ok(outcome)
}

impl Sink for ServerSink {
    fn series(&mut self, labels: &Labels) -> Result<()> {
        self.series = labels.clone();
        self.message.series(labels);
        Ok(())
    }

    fn sample(&mut self, timestamp: Timestamp, value: f64) -> Result<()> {
        self.message.sample(timestamp, value);
        self.send_if(self.message.samples() >= BATCH_SAMPLES || self.message.len() >= BATCH_BYTES)
    }

    fn exemplar(&mut self, timestamp: Timestamp, exemplar: &Exemplar) -> Result<()> {
        self.message.exemplar(exemplar, timestamp);
        Ok(())
    }

    fn metadata(&mut self, family: &str, metadata: &Metadata) -> Result<()> {
        self.message.metadata(family, metadata);
        Ok(())
    }

    fn finish(mut self) -> Result<Outcome> {
        self.send_if(true)?;
        self.end()
    }
}

/// The store of a folder that no server has open.
pub(super) struct FolderSink {
    db: Db,
    clock: Arc<dyn Clock>,
    batch: Vec<(Labels, Vec<Sample>, Vec<Exemplar>)>,
    metadata: Vec<(String, Metadata)>,
    samples: usize,
    bytes: usize,
    outcome: Outcome,
}

impl FolderSink {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // What is too old for the server is its business when it starts.
        let options = tsdb::Options { path: folder.to_owned(), retention_time: None, ..tsdb::Options::default() };
        let db = Db::open(options).context("a server that runs takes an import by --url")?;
        let (batch, metadata) = Default::default();
        Ok(Self { db, clock, batch, metadata, samples: 0, bytes: 0, outcome: Outcome::default() })
    }

    fn flush(&mut self) -> Result<()> {
        let mut appender = self.db.appender();
        for (family, metadata) in self.metadata.drain(..) {
            appender.set_metadata(&family, &metadata)?;
        }
        for (labels, samples, exemplars) in self.batch.drain(..) {
            let mut known = None;
            for sample in samples {
                let appended = match known {
                    Some(series) => appender.append_ref(series, sample),
                    None => appender.append(&labels, sample).map(|series| known = Some(series)),
                };
                if let Err(error) = appended {
                    let reason = reason(&error).ok_or(error.clone())?;
                    self.outcome.refuse(reason, 1, || format!("{error}: timestamp {} of {labels}", sample.timestamp));
                }
            }
            for (exemplar, series) in exemplars.iter().zip(std::iter::repeat(known)) {
                // An extra that cannot be kept, such as one with too long labels, fails nothing.
                let _ = series.map(|series| appender.append_exemplar(series, exemplar));
            }
        }
        let committed = appender.commit(Durability::Kernel)?;
        if committed.conflicting > 0 {
            let words = || AppendError::DuplicateTimestamp.to_string();
            self.outcome.refuse("conflicting_value", committed.conflicting, words);
        }
        (self.samples, self.bytes) = (0, 0);
        self.db.maintain(self.clock.now())?;
        Ok(())
    }
}

/// The word for a sample that is left out; `None` where the store itself failed.
fn reason(error: &AppendError) -> Option<&'static str> {
    match error {
        AppendError::TooFarInFuture => Some("too_far_in_future"),
        AppendError::OutOfBounds => Some("out_of_bounds"),
        AppendError::DuplicateTimestamp => Some("conflicting_value"),
        AppendError::InvalidLabels(_) => Some("invalid_labels"),
        AppendError::Limit(_) => Some("limit"),
        AppendError::UnknownSeries | AppendError::Storage(_) => None,
    }
}

impl Sink for FolderSink {
    fn series(&mut self, labels: &Labels) -> Result<()> {
        self.bytes += labels.as_packed().len();
        self.batch.push((labels.clone(), Vec::new(), Vec::new()));
        Ok(())
    }

    fn sample(&mut self, timestamp: Timestamp, value: f64) -> Result<()> {
        let Some((labels, samples, _)) = self.batch.last_mut() else { return Ok(()) };
        samples.push(Sample { timestamp, value });
        self.samples += 1;
        self.bytes += size_of::<Sample>();
        if self.samples >= BATCH_SAMPLES || self.bytes >= BATCH_BYTES {
            let labels = labels.clone();
            self.flush()?;
            self.series(&labels)?;
        }
        Ok(())
    }

    fn exemplar(&mut self, timestamp: Timestamp, exemplar: &Exemplar) -> Result<()> {
        if let Some((_, _, exemplars)) = self.batch.last_mut() {
            let timestamp = exemplar.timestamp.or(Some(timestamp));
            exemplars.push(Exemplar { timestamp, ..exemplar.clone() });
        }
        Ok(())
    }

    fn metadata(&mut self, family: &str, metadata: &Metadata) -> Result<()> {
        self.metadata.push((family.to_owned(), metadata.clone()));
        Ok(())
    }

    /// Seals and merges, so that the server starts on finished blocks.
    fn finish(mut self) -> Result<Outcome> {
        self.flush()?;
        self.db.seal()?;
        while self.db.maintain(self.clock.now())?.merged_blocks > 0 {}
        self.db.close()?;
        Ok(self.outcome)
    }
}
