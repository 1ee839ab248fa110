//! Where imported samples go: batches for a server, or for the store of a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use model::{AppendError, Appendable, Clock, Durability, Exemplar, Labels, Metadata, SystemClock, Timestamp};
use remote::{Message, SendError, Sender};
use tokio::runtime::{self, Runtime};
use tsdb::Db;

use super::batch::Batch;

/// A batch is written at one of these: large enough that an fsync for each costs little, small in memory. A server whose
/// memory budget allows less says so; from then on batches are no larger than what it took.
const BATCH_SAMPLES: usize = 50_000;
const BATCH_BYTES: usize = 1 << 20;

/// Takes series by series what was read.
pub(super) trait Sink {
    /// What was not sent yet.
    fn batch(&mut self) -> &mut Batch;

    /// Sends it where it is large enough.
    fn make_room(&mut self) -> Result<()>;

    /// Sends the rest and waits until all of it is on the disk.
    fn finish(self) -> Result<Outcome>;

    /// What follows belongs to this series.
    fn series(&mut self, labels: &Labels) -> Result<()> {
        self.make_room()?;
        self.batch().begin(labels);
        Ok(())
    }

    fn sample(&mut self, timestamp: Timestamp, value: f64) -> Result<()> {
        self.make_room()?;
        self.batch().sample(timestamp, value);
        Ok(())
    }

    /// An example behind the sample of this time, in whose batch it stays.
    fn exemplar(&mut self, timestamp: Timestamp, exemplar: &Exemplar) {
        self.batch().exemplar(timestamp, exemplar);
    }

    fn metadata(&mut self, family: &str, metadata: &Metadata) -> Result<()> {
        self.make_room()?;
        self.batch().metadata(family, metadata);
        Ok(())
    }
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
    batch: Batch,
    /// What the server takes at once, as far as it is known.
    bytes_max: Arc<AtomicUsize>,
    batches: Option<SyncSender<Batch>>,
    sending: Option<JoinHandle<Result<Outcome>>>,
}

impl ServerSink {
    pub(super) fn new(url: &str) -> Result<Self> {
        let bytes_max = Arc::new(AtomicUsize::new(BATCH_BYTES));
        let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        let courier = Courier {
            sender: Sender::new(url)?,
            runtime,
            bytes_max: Arc::clone(&bytes_max),
            outcome: Outcome::default(),
        };
        let (batches, waiting) = sync_channel(1);
        let sending = thread::spawn(move || courier.send_all(&waiting));
        Ok(Self { batch: Batch::default(), bytes_max, batches: Some(batches), sending: Some(sending) })
    }

    fn send(&mut self) -> Result<()> {
        let batches = self.batches.as_ref().ok_or_else(|| anyhow!("the import is over"))?;
        match batches.send(self.batch.take()) {
            Ok(()) => Ok(()),
            // The other side ended early, which is its error.
            Err(_) => self.end().map(drop),
        }
    }

    fn end(&mut self) -> Result<Outcome> {
        self.batches.take();
        let sending = self.sending.take().ok_or_else(|| anyhow!("the import is over"))?;
        sending.join().map_err(|_| anyhow!("sending broke off"))?
    }
}

/// The thread that sends.
struct Courier {
    sender: Sender,
    runtime: Runtime,
    bytes_max: Arc<AtomicUsize>,
    outcome: Outcome,
}

impl Courier {
    fn send_all(mut self, batches: &Receiver<Batch>) -> Result<Outcome> {
        while let Ok(batch) = batches.recv() {
            self.send(batch)?;
        }
        Ok(self.outcome)
    }

    /// Sends a batch, by halves where the server does not take it whole.
    fn send(&mut self, batch: Batch) -> Result<(), SendError> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.runtime.block_on(self.sender.send(body(&batch))) {
            Ok(answer) => {
                for (reason, count) in answer.left_out {
                    self.outcome.refuse(&reason, count, || answer.complaint.clone());
                }
                Ok(())
            }
            Err(error) if error.is_too_large() && batch.can_be_halved() => {
                self.bytes_max.fetch_min(batch.bytes() / 2, Ordering::Relaxed);
                let (first, second) = batch.halves();
                self.send(first)?;
                self.send(second)
            }
            Err(error) => Err(error),
        }
    }
}

fn body(batch: &Batch) -> Vec<u8> {
    let mut message = Message::default();
    for (family, metadata) in &batch.metadata {
        message.metadata(family, metadata);
    }
    for series in &batch.series {
        message.series(&series.labels);
        series.samples.iter().for_each(|sample| message.sample(sample.timestamp, sample.value));
        series.exemplars.iter().for_each(|exemplar| message.exemplar(exemplar, 0));
    }
    message.take_body()
}

impl Sink for ServerSink {
    fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    fn make_room(&mut self) -> Result<()> {
        match self.batch.reaches(BATCH_SAMPLES, self.bytes_max.load(Ordering::Relaxed)) {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Outcome> {
        if self.sending.is_some() {
            self.send()?;
        }
        self.end()
    }
}

/// The store of a folder that no server has open.
pub(super) struct FolderSink {
    db: Db,
    clock: Arc<dyn Clock>,
    batch: Batch,
    outcome: Outcome,
}

impl FolderSink {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // What is too old for the server is its business when it starts.
        let options = tsdb::Options { path: folder.to_owned(), retention_time: None, ..tsdb::Options::default() };
        let db = Db::open(options).context("a server that runs takes an import by --url")?;
        Ok(Self { db, clock, batch: Batch::default(), outcome: Outcome::default() })
    }

    fn flush(&mut self) -> Result<()> {
        let batch = self.batch.take();
        let mut appender = self.db.appender();
        for (family, metadata) in batch.metadata {
            appender.set_metadata(&family, &metadata)?;
        }
        for series in batch.series {
            let mut known = None;
            for sample in series.samples {
                let appended = match known {
                    Some(known) => appender.append_ref(known, sample),
                    None => appender.append(&series.labels, sample).map(|series| known = Some(series)),
                };
                if let Err(error) = appended {
                    let reason = reason(&error).ok_or(error.clone())?;
                    let words = || format!("{error}: timestamp {} of {}", sample.timestamp, series.labels);
                    self.outcome.refuse(reason, 1, words);
                }
            }
            for (exemplar, series) in series.exemplars.iter().zip(std::iter::repeat(known)) {
                // An extra that cannot be kept, such as one with too long labels, fails nothing.
                let _ = series.map(|series| appender.append_exemplar(series, exemplar));
            }
        }
        let committed = appender.commit(Durability::Kernel)?;
        if committed.conflicting > 0 {
            let words = || AppendError::DuplicateTimestamp.to_string();
            self.outcome.refuse("conflicting_value", committed.conflicting, words);
        }
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
    fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    fn make_room(&mut self) -> Result<()> {
        if self.batch.reaches(BATCH_SAMPLES, BATCH_BYTES) { self.flush() } else { Ok(()) }
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
