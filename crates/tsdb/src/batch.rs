//! One batch on its way into the log and the head.

use std::sync::atomic::Ordering;

use model::{
    AppendError, Appendable, Appender, Committed, Durability, Exemplar, Labels, Metadata, Sample, SeriesRef,
    StorageError, Timestamp,
};

use crate::Db;
use crate::exemplars::LABEL_CHARS_MAX;
use crate::head::{Began, Checked, Run};
use crate::log::UNSYNCED_BYTES_MAX;
use crate::options::millis;
use crate::series::Slot;
use crate::writer::Writer;

/// The lists of a batch of so many samples are kept for the next one: memory of a quarter of a mebibyte that would go back
/// to the kernel and be asked for again with each batch. Larger ones come less often.
const SPARE_SAMPLES_MAX: usize = 16 << 10;

/// Lists of a batch that ended, empty.
pub(crate) type Spare = (Vec<Run>, Vec<Sample>);

/// The samples of one scrape or write request.
struct Batch<'a> {
    db: &'a Db,
    began: Began,
    /// Whether all samples were new without a look.
    is_ahead: bool,
    oldest: Timestamp,
    newest: Timestamp,
    /// Which series the samples belong to, in their order.
    runs: Vec<Run>,
    samples: Vec<Sample>,
    exemplars: Vec<(Slot, Exemplar)>,
    metadata: Vec<(String, Metadata)>,
}

impl Appendable for Db {
    fn appender(&self) -> Box<dyn Appender + '_> {
        let now = self.options.clock.now();
        let (runs, samples) = self.spare.lock().take().unwrap_or_default();
        Box::new(Batch {
            db: self,
            began: self.head.begin(),
            is_ahead: true,
            oldest: self.oldest_taken(now),
            newest: now.saturating_add(millis(crate::FUTURE_MAX)),
            runs,
            samples,
            exemplars: Vec::new(),
            metadata: Vec::new(),
        })
    }

    fn sync(&self) -> Result<(), StorageError> {
        Db::sync(self)
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.db.head.end(self.began);
        if self.samples.capacity() <= SPARE_SAMPLES_MAX {
            self.runs.clear();
            self.samples.clear();
            *self.db.spare.lock() = Some((std::mem::take(&mut self.runs), std::mem::take(&mut self.samples)));
        }
    }
}

impl Db {
    /// What is older than retention and than all that is kept would be removed at once. The second part is for a clock
    /// that stands ahead: what others send with the right time is still taken.
    fn oldest_taken(&self, now: Timestamp) -> Timestamp {
        let Some(kept) = self.policy().retention_time else { return 0 };
        let in_blocks = self.blocks.read().iter().map(|b| b.meta.min_time).min();
        let in_head = self.head.totals.min_time.load(Ordering::Relaxed);
        now.saturating_sub(millis(kept)).min(in_head).min(in_blocks.unwrap_or(Timestamp::MAX)).max(0)
    }
}

impl Batch<'_> {
    /// Adds the samples that can be taken; `refused` is told the places of the others.
    fn add(
        &mut self,
        series: SeriesRef,
        samples: &[Sample],
        refused: &mut dyn FnMut(usize, AppendError),
    ) -> Result<(), AppendError> {
        let first = self.samples.len();
        let (mut late, mut conflicting) = (0, Vec::new());
        let slot = self.db.head.check(series, samples, &mut |at| conflicting.push(at));
        let (slot, is_ahead) = slot.ok_or(AppendError::UnknownSeries)?;
        self.is_ahead &= is_ahead;
        if conflicting.is_empty() && samples.iter().all(|sample| self.time_error(*sample).is_none()) {
            self.samples.extend_from_slice(samples);
        } else {
            for (at, &sample) in samples.iter().enumerate() {
                if let Some(error) = self.time_error(sample) {
                    late += 1;
                    refused(at, error);
                } else if conflicting.binary_search(&at).is_ok() {
                    refused(at, AppendError::DuplicateTimestamp);
                } else {
                    self.samples.push(sample);
                }
            }
        }
        let counters = &self.db.counters;
        let added = self.samples.len() - first;
        if added < samples.len() {
            counters.out_of_bounds.fetch_add(late, Ordering::Relaxed);
            counters.conflicting.fetch_add((samples.len() - added) as u64 - late, Ordering::Relaxed);
        }
        self.add_run(slot, added as u32);
        Ok(())
    }

    /// Adds a sample if it can be taken.
    fn add_checked(&mut self, sample: Sample, checked: Checked) -> Result<(), AppendError> {
        if let Some(error) = self.time_error(sample) {
            self.db.counters.out_of_bounds.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
        if checked.conflicts {
            self.db.counters.conflicting.fetch_add(1, Ordering::Relaxed);
            return Err(AppendError::DuplicateTimestamp);
        }
        self.is_ahead &= checked.is_ahead;
        self.samples.push(sample);
        self.add_run(checked.slot, 1);
        Ok(())
    }

    fn add_run(&mut self, slot: Slot, added: u32) {
        match self.runs.last_mut() {
            _ if added == 0 => {}
            Some(last) if last.slot == slot => last.count += added,
            _ => self.runs.push(Run { slot, count: added }),
        }
    }

    fn add_one(&mut self, series: SeriesRef, sample: Sample) -> Result<(), AppendError> {
        let mut outcome = Ok(());
        self.add(series, &[sample], &mut |_, error| outcome = Err(error))?;
        outcome
    }

    fn time_error(&self, sample: Sample) -> Option<AppendError> {
        if sample.timestamp > self.newest {
            Some(AppendError::TooFarInFuture)
        } else if sample.timestamp < self.oldest {
            Some(AppendError::OutOfBounds)
        } else {
            None
        }
    }

    /// When the batch itself says of a series last.
    fn last_time(&self, slot: Slot) -> Option<Timestamp> {
        let mut end = self.samples.len();
        for run in self.runs.iter().rev() {
            if run.slot == slot {
                return self.samples.get(end - 1).map(|sample| sample.timestamp);
            }
            end -= run.count as usize;
        }
        None
    }

    /// Leaves what is new, and gives it to the log.
    fn log(&mut self, writer: &mut Writer) -> Committed {
        let known = if self.is_ahead && self.db.head.is_unchanged(self.began) {
            Committed::default()
        } else {
            self.db.head.sift(&mut self.runs, &mut self.samples)
        };
        self.db.head.log(writer, &self.runs, &self.samples, &self.exemplars);
        self.metadata.iter().for_each(|(family, metadata)| writer.add_metadata(family, metadata));
        known
    }

    /// Makes what was logged visible, all at once.
    fn apply(&mut self) -> Committed {
        let db = self.db;
        let oldest = self.samples.iter().map(|sample| sample.timestamp).min();
        let _snapshots_wait = db.visible.write();
        oldest.into_iter().for_each(|oldest| db.news.note(oldest));
        let committed = db.head.apply(&self.runs, &self.samples);
        for (slot, exemplar) in self.exemplars.drain(..) {
            db.exemplars.push(db.head.labels(slot), exemplar);
        }
        for (family, metadata) in self.metadata.drain(..) {
            db.families.set(family, metadata);
        }
        committed
    }
}

impl Appender for Batch<'_> {
    fn append(&mut self, labels: &Labels, sample: Sample) -> Result<SeriesRef, AppendError> {
        if let Some(error) = self.time_error(sample) {
            self.db.counters.out_of_bounds.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
        let series = self.db.head.get_or_create(labels)?;
        self.add_one(series, sample)?;
        Ok(series)
    }

    fn append_ref(&mut self, series: SeriesRef, sample: Sample) -> Result<(), AppendError> {
        self.add_one(series, sample)
    }

    fn append_run(
        &mut self,
        series: SeriesRef,
        samples: &[Sample],
        refused: &mut dyn FnMut(usize, AppendError),
    ) -> Result<(), AppendError> {
        self.add(series, samples, refused)
    }

    fn append_refs(
        &mut self,
        samples: &[(SeriesRef, Sample)],
        refused: &mut dyn FnMut(usize, AppendError),
    ) -> Result<(), AppendError> {
        let mut places = samples.iter().enumerate();
        self.db.head.check_each(samples, |checked| {
            let Some((at, &(_, sample))) = places.next() else { return };
            let added = checked.map_or(Err(AppendError::UnknownSeries), |checked| self.add_checked(sample, checked));
            added.unwrap_or_else(|error| refused(at, error));
        });
        Ok(())
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError> {
        let slot = self.db.head.by_ref(series).ok_or(AppendError::UnknownSeries)?;
        let chars = exemplar.labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum::<usize>();
        if chars > LABEL_CHARS_MAX {
            let message = format!("the labels of an exemplar have {chars} characters, more than {LABEL_CHARS_MAX}");
            return Err(AppendError::Limit(message));
        }
        let timestamp = exemplar.timestamp.or_else(|| self.last_time(slot));
        let exemplar = Exemplar { timestamp, ..exemplar.clone() };
        if self.db.exemplars.is_news(&self.db.head.labels(slot), &exemplar) {
            self.exemplars.push((slot, exemplar));
        }
        Ok(())
    }

    fn set_metadata(&mut self, family: &str, metadata: &Metadata) -> Result<(), AppendError> {
        if self.db.families.is_news(family, metadata)? {
            self.metadata.push((family.to_owned(), metadata.clone()));
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>, durability: Durability) -> Result<Committed, AppendError> {
        let db = self.db;
        let ready = db.check_folder_seen().and_then(|()| db.relieve()).and_then(|()| db.log.make_room());
        if ready.is_err() {
            db.note_write(&ready.clone().map_err(AppendError::from));
        }
        ready?;
        let mut writer = db.log.lock();
        if db.closed.load(Ordering::Acquire) {
            return Err(StorageError::Closed.into());
        }
        let ready = db.reserve.check(db.disk()).and_then(|()| db.log.prepare(&mut writer));
        let logged = ready.map_err(AppendError::from).and_then(|()| {
            let known = self.log(&mut writer);
            Ok((known, db.log.append(&mut writer)?))
        });
        db.note_write(&logged);
        let (known, ticket) = logged?;
        let new = self.apply();
        let unsynced = writer.unsynced_bytes();
        drop(writer);
        let committed =
            Committed { samples: known.samples + new.samples, conflicting: known.conflicting + new.conflicting };
        db.note_commit(committed);
        if durability == Durability::Disk || db.policy().sync_interval.is_zero() {
            db.log.wait(ticket)?;
        } else if unsynced > UNSYNCED_BYTES_MAX {
            db.log.sync()?;
        }
        Ok(committed)
    }
}
