//! A store in memory that rules can write to.

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{
    AppendError, Appendable, Appender, Committed, Durability, Exemplar, Labels, Metadata, Queryable, Sample, Selection,
    SeriesRef, SeriesSet, StorageError,
};
use promql::script::MemoryStore;

/// Series of one test group. What a batch adds is visible at once: nobody reads beside the batch.
#[derive(Default)]
pub(super) struct Store(Mutex<MemoryStore>);

impl Store {
    fn lock(&self) -> MutexGuard<'_, MemoryStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queryable for Store {
    fn select(&self, selection: &Selection<'_>) -> Result<SeriesSet, StorageError> {
        self.lock().select(selection)
    }

    fn label_names(&self, selection: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        self.lock().label_names(selection)
    }

    fn label_values(&self, name: &str, selection: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        self.lock().label_values(name, selection)
    }

    fn exemplars(&self, selection: &Selection<'_>) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        self.lock().exemplars(selection)
    }

    fn metadata(&self, metric: Option<&str>) -> Vec<(String, Metadata)> {
        self.lock().metadata(metric)
    }
}

impl Appendable for Store {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(Batch { store: self, samples: 0 })
    }
}

struct Batch<'a> {
    store: &'a Store,
    samples: u64,
}

impl Appender for Batch<'_> {
    fn append(&mut self, labels: &Labels, sample: Sample) -> Result<SeriesRef, AppendError> {
        self.store.lock().append(labels, [sample]);
        self.samples += 1;
        // Nobody asks for it again: `append_ref` knows no series.
        Ok(SeriesRef(NonZeroU64::MIN))
    }

    fn append_ref(&mut self, _: SeriesRef, _: Sample) -> Result<(), AppendError> {
        Err(AppendError::UnknownSeries)
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: &Exemplar) -> Result<(), AppendError> {
        Ok(())
    }

    fn set_metadata(&mut self, _: &str, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>, _: Durability) -> Result<Committed, AppendError> {
        Ok(Committed { samples: self.samples, conflicting: 0 })
    }
}
