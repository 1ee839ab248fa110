//! The two doors of the store: samples go in by [`Appender`], series come out by [`Queryable`].

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::{Exemplar, Labels, Matcher, Metadata, Sample, Timestamp};

/// Names a series of the head until the process ends; a collector keeps it to skip the label lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub NonZeroU64);

/// How far a batch must have come when `commit` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Written to the kernel: a kill of the process loses nothing, a power cut may lose up to the sync interval.
    Kernel,
    /// On the disk: `fsync` came back. Waiting batches share one.
    Disk,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Samples that are now visible, exact repetitions included.
    pub samples: u64,
    /// Samples found only at commit to carry another value than the one stored at their time; they were left out.
    pub conflicting: u64,
}

/// Takes batches of samples.
pub trait Appendable: Send + Sync {
    /// A new batch: the samples of one scrape or of one write request.
    fn appender(&self) -> Box<dyn Appender + '_>;

    /// Brings all that was committed to the disk, by waiting for a batch without samples.
    fn sync(&self) -> Result<(), StorageError> {
        match self.appender().commit(Durability::Disk) {
            Ok(_) => Ok(()),
            Err(AppendError::Storage(error)) => Err(error),
            Err(error) => Err(StorageError::Limit(error.to_string())),
        }
    }
}

/// One batch. Nothing is visible before `commit`; dropping it discards all. An error of one sample leaves the batch usable.
pub trait Appender: Send {
    /// Adds a sample of a series, which is created if it is new.
    fn append(&mut self, labels: &Labels, sample: Sample) -> Result<SeriesRef, AppendError>;

    /// Adds a sample of a series known by an earlier `append`. [`AppendError::UnknownSeries`] asks for the labels again.
    fn append_ref(&mut self, series: SeriesRef, sample: Sample) -> Result<(), AppendError>;

    /// Adds samples of one series known by an earlier `append`, as many calls of `append_ref` would: each is taken or
    /// refused on its own, and `refused` is told its place and why. Errors: [`AppendError::UnknownSeries`], and nothing
    /// was added; [`AppendError::Storage`], which ends the batch.
    fn append_run(
        &mut self,
        series: SeriesRef,
        samples: &[Sample],
        refused: &mut dyn FnMut(usize, AppendError),
    ) -> Result<(), AppendError> {
        for (at, &sample) in samples.iter().enumerate() {
            match self.append_ref(series, sample) {
                Ok(()) => {}
                Err(error @ (AppendError::UnknownSeries | AppendError::Storage(_))) => return Err(error),
                Err(error) => refused(at, error),
            }
        }
        Ok(())
    }

    /// Adds a sample to each of some series known by an earlier `append`, as many calls of `append_ref` would: `refused` is
    /// told the places of those that were not taken, in their order, and why. Error: [`AppendError::Storage`], which ends
    /// the batch.
    fn append_refs(
        &mut self,
        samples: &[(SeriesRef, Sample)],
        refused: &mut dyn FnMut(usize, AppendError),
    ) -> Result<(), AppendError> {
        for (at, &(series, sample)) in samples.iter().enumerate() {
            match self.append_ref(series, sample) {
                Ok(()) => {}
                Err(error @ AppendError::Storage(_)) => return Err(error),
                Err(error) => refused(at, error),
            }
        }
        Ok(())
    }

    /// Adds an exemplar to a series of this batch.
    fn append_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError>;

    /// Says what a metric family is.
    fn set_metadata(&mut self, family: &str, metadata: &Metadata) -> Result<(), AppendError>;

    /// Logs the batch and makes it visible, all of it or nothing.
    fn commit(self: Box<Self>, durability: Durability) -> Result<Committed, AppendError>;
}

/// Why a sample or a batch was not taken. The texts are Prometheus'.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    /// Further in the future than the store accepts.
    #[error("timestamp is too far in the future")]
    TooFarInFuture,
    /// Older than retention keeps, or before 1970.
    #[error("out of bounds")]
    OutOfBounds,
    /// Another value stands at this timestamp; the first one stays.
    #[error("duplicate sample for timestamp")]
    DuplicateTimestamp,
    /// The reference is not, or no longer, known.
    #[error("unknown series reference")]
    UnknownSeries,
    /// A label name is empty or the set has none.
    #[error("invalid label set: {0}")]
    InvalidLabels(String),
    /// A ceiling of the memory budget was reached.
    #[error("{0}")]
    Limit(String),
    /// The log or the disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why the store could not answer or keep.
#[derive(Clone, Debug, Error)]
pub enum StorageError {
    /// An operation on a file failed.
    #[error("{operation} {path}: {source}")]
    Io {
        /// The verb: `write`, `fsync`, `rename`, ...
        operation: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// Bytes that do not carry their checksum or break the format.
    #[error("{path}: damaged at byte {offset}: {reason}")]
    Corrupt {
        /// The file.
        path: String,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A ceiling of the query or of the memory budget was reached.
    #[error("{0}")]
    Limit(String),
    /// The caller gave up or the time is over.
    #[error("query was canceled")]
    Canceled,
    /// The store is shut.
    #[error("the store is closed")]
    Closed,
}

/// What a caller will do with the series, so that the store can skip work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    /// Evaluation step; `None` for an instant query.
    pub step: Option<Duration>,
    /// The range of a range selector; zero for an instant selector.
    pub range: Duration,
    /// The function or aggregation directly around the selector, empty if none.
    pub function: &'static str,
    /// Labels are asked for, samples are not.
    pub labels_only: bool,
    /// Of a value only matters whether it is a staleness marker: any other number may stand for those that are not.
    pub presence: bool,
    /// Nobody looks at the labels: series may come without them, still each once.
    pub unnamed: bool,
    /// Only matters how many series there are whose newest sample in the time is no staleness marker: of those that the store
    /// knows to be so, it may tell the number instead ([`SeriesSet::counted`]).
    pub counted: bool,
    /// The same was asked for before and will be asked for again, with the time moved on: what it takes to answer is worth
    /// keeping. Series without a sample in the time may come, too.
    pub again: bool,
}

/// Which series, and which part of their time.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// All must hold.
    pub matchers: &'a [Matcher],
    /// First timestamp wanted, inclusive.
    pub min_time: Timestamp,
    /// Last timestamp wanted, inclusive.
    pub max_time: Timestamp,
    /// What it is for.
    pub hints: Hints,
}

/// A place in the history of a store: how much was written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

/// Answers selections. Every method may be called from many threads and may block on the disk.
pub trait Queryable: Send + Sync {
    /// The series that match and have samples in the time asked for, in no order, each once. Blocks and head are merged.
    fn select(&self, selection: &Selection<'_>) -> Result<SeriesSet, StorageError>;

    /// Label names of the series that match, sorted; all series where there are no matchers. As in Prometheus the time
    /// chooses among blocks and head as a whole, so that series without a sample in it may be named too.
    fn label_names(&self, selection: &Selection<'_>) -> Result<Vec<String>, StorageError>;

    /// Values of a label among the series that match, sorted; the time as for [`Queryable::label_names`].
    fn label_values(&self, name: &str, selection: &Selection<'_>) -> Result<Vec<String>, StorageError>;

    /// Exemplars of the series that match, by series, oldest first.
    fn exemplars(&self, selection: &Selection<'_>) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError>;

    /// Where the store stands now; `None` where it cannot tell what changes, so that no answer may be kept.
    fn moment(&self) -> Option<Moment> {
        None
    }

    /// The oldest timestamp at which samples came or went since then; `None` if none did.
    fn changed_since(&self, moment: Moment) -> Option<Timestamp> {
        let _ = moment;
        Some(Timestamp::MIN)
    }

    /// What is known of metric families, of one or of all, sorted by name.
    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)>;
}

/// Takes samples away again. Both methods may block on the disk for long.
pub trait Deletable: Send + Sync {
    /// Deletes the samples of the series that match in this time, ends included. They stay deleted when it returns, and
    /// what is appended later at their times is new.
    fn delete_series(&self, matchers: &[Matcher], min_time: Timestamp, max_time: Timestamp)
    -> Result<(), StorageError>;

    /// Gives back the space of what was deleted.
    fn clean_tombstones(&self) -> Result<(), StorageError>;
}

/// The answer to a selection.
#[derive(Default)]
pub struct SeriesSet {
    /// The series, samples not decoded yet.
    pub series: Vec<Box<dyn Series>>,
    /// Further series that were counted only, as [`Hints::counted`] allows.
    pub counted: u64,
    /// Whether they stand in the order of their labels.
    pub ordered: bool,
    /// Parts that could not be read, such as a damaged block, in words for the reader of the answer.
    pub warnings: Vec<String>,
}

/// One series of an answer; decodes when asked.
pub trait Series: Send + Sync {
    /// Its labels.
    fn labels(&self) -> &Labels;

    /// Appends the samples of the time asked for to the columns, oldest first, timestamps strictly rising, staleness
    /// markers included.
    fn read(&self, into: &mut Samples) -> Result<(), StorageError>;

    /// Adds numbers that tell the timestamps which [`Series::read`] would give, where they can be told without reading: of
    /// series of one answer that add the same numbers and for which [`Series::read_values`] is true, they are equal.
    fn times_key(&self, _key: &mut Vec<u64>) -> bool {
        false
    }

    /// Appends the values alone of what [`Series::read`] would give. False where the numbers of its key do not tell its
    /// timestamps after all; what was appended then means nothing.
    fn read_values(&self, _into: &mut Vec<f64>) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Whether staleness markers may be among its samples.
    fn has_markers(&self) -> bool {
        true
    }
}

/// Samples in columns of equal length. Native histograms will be a further column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Milliseconds since 1970, strictly rising.
    pub timestamps: Vec<Timestamp>,
    /// Values, bits kept.
    pub values: Vec<f64>,
}

impl Samples {
    /// Adds a sample at the end.
    pub fn push(&mut self, sample: Sample) {
        self.timestamps.push(sample.timestamp);
        self.values.push(sample.value);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Forgets the samples, keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
    }

    /// Walks the samples.
    pub fn iter(&self) -> impl Iterator<Item = Sample> + '_ {
        self.timestamps.iter().zip(&self.values).map(|(&timestamp, &value)| Sample { timestamp, value })
    }
}
