//! One batch on its way into the log and the head.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{
    AppendError, Appendable, Appender, Committed, Durability, Exemplar, Labels, Metadata, Sample, SeriesRef,
    StorageError, Timestamp,
};

use crate::Db;
use crate::exemplars::LABEL_CHARS_MAX;
use crate::head::{Fate, HeadSeries};
use crate::log::UNSYNCED_BYTES_MAX;
use crate::options::millis;
use crate::writer::Writer;

/// The samples of one scrape or write request.
struct Batch<'a> {
    db: &'a Db,
    oldest: Timestamp,
    newest: Timestamp,
    samples: Vec<(Arc<HeadSeries>, Sample)>,
    exemplars: Vec<(Arc<HeadSeries>, Exemplar)>,
    metadata: Vec<(String, Metadata)>,
}

impl Appendable for Db {
    fn appender(&self) -> Box<dyn Appender + '_> {
        let now = self.options.clock.now();
        Box::new(Batch {
            db: self,
            oldest: self.oldest_taken(now),
            newest: now.saturating_add(millis(crate::FUTURE_MAX)),
            samples: Vec::new(),
            exemplars: Vec::new(),
            metadata: Vec::new(),
        })
    }
}

impl Db {
    /// What is older than retention and than all that is kept would be removed at once. The second part is for a clock
    /// that stands ahead: what others send with the right time is still taken.
    fn oldest_taken(&self, now: Timestamp) -> Timestamp {
        let Some(kept) = self.options.retention_time else { return 0 };
        let in_blocks = self.blocks.read().iter().map(|b| b.meta.min_time).min();
        let in_head = self.head.totals.min_time.load(Ordering::Relaxed);
        now.saturating_sub(millis(kept)).min(in_head).min(in_blocks.unwrap_or(Timestamp::MAX)).max(0)
    }
}

impl Batch<'_> {
    fn add(&mut self, series: Arc<HeadSeries>, sample: Sample) -> Result<(), AppendError> {
        if series.state.lock().fate(sample) == Fate::Conflict {
            self.db.counters.conflicting.fetch_add(1, Ordering::Relaxed);
            return Err(AppendError::DuplicateTimestamp);
        }
        self.samples.push((series, sample));
        Ok(())
    }

    fn check_time(&self, sample: Sample) -> Result<(), AppendError> {
        let error = if sample.timestamp > self.newest {
            AppendError::TooFarInFuture
        } else if sample.timestamp < self.oldest {
            AppendError::OutOfBounds
        } else {
            return Ok(());
        };
        self.db.counters.out_of_bounds.fetch_add(1, Ordering::Relaxed);
        Err(error)
    }

    /// A series that was forgotten since it was looked up is asked for again.
    fn revive(&mut self) -> Result<(), AppendError> {
        let held = self.samples.iter_mut().map(|(s, _)| s).chain(self.exemplars.iter_mut().map(|(s, _)| s));
        for series in held {
            if series.state.lock().dead {
                *series = self.db.head.get_or_create(&series.labels)?;
            }
        }
        Ok(())
    }

    /// Sorts out what is there already, and gives the log the rest.
    fn plan(&self, writer: &mut Writer) -> Plan {
        let mut plan = Plan::default();
        for (at, (series, sample)) in self.samples.iter().enumerate() {
            let mut state = series.state.lock();
            match state.fate(*sample) {
                Fate::Same => plan.committed.samples += 1,
                Fate::Conflict => plan.committed.conflicting += 1,
                Fate::New => {
                    writer.add(series.id, &series.labels, &mut state.logged, &[*sample]);
                    plan.places.push(at);
                }
            }
        }
        for (series, exemplar) in &self.exemplars {
            writer.add_exemplar(series.id, &series.labels, &mut series.state.lock().logged, exemplar);
        }
        for (family, metadata) in &self.metadata {
            writer.add_metadata(family, metadata);
        }
        plan
    }

    /// Makes what was logged visible, all at once.
    fn apply(self, plan: &mut Plan) {
        let _snapshots_wait = self.db.visible.write();
        let head = &self.db.head;
        for &at in &plan.places {
            let (series, sample) = &self.samples[at];
            let mut state = series.state.lock();
            // The batch itself may say a timestamp twice.
            match state.fate(*sample) {
                Fate::New => {
                    let grown = state.insert(*sample);
                    head.totals.add(*sample, grown);
                    plan.committed.samples += 1;
                }
                Fate::Same => plan.committed.samples += 1,
                Fate::Conflict => plan.committed.conflicting += 1,
            }
        }
        for (series, exemplar) in self.exemplars {
            self.db.exemplars.push(series.labels.clone(), exemplar);
        }
        for (family, metadata) in self.metadata {
            self.db.families.set(family, metadata);
        }
    }
}

/// What a commit will do.
#[derive(Default)]
struct Plan {
    /// Where the samples that are new stand in the batch.
    places: Vec<usize>,
    committed: Committed,
}

impl Appender for Batch<'_> {
    fn append(&mut self, labels: &Labels, sample: Sample) -> Result<SeriesRef, AppendError> {
        self.check_time(sample)?;
        let series = self.db.head.get_or_create(labels)?;
        let reference = series.reference();
        self.add(series, sample)?;
        Ok(reference)
    }

    fn append_ref(&mut self, series: SeriesRef, sample: Sample) -> Result<(), AppendError> {
        let series = self.db.head.by_ref(series).ok_or(AppendError::UnknownSeries)?;
        self.check_time(sample)?;
        self.add(series, sample)
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError> {
        let series = self.db.head.by_ref(series).ok_or(AppendError::UnknownSeries)?;
        let chars = exemplar.labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum::<usize>();
        if chars > LABEL_CHARS_MAX {
            let message = format!("the labels of an exemplar have {chars} characters, more than {LABEL_CHARS_MAX}");
            return Err(AppendError::Limit(message));
        }
        let of_sample = || self.samples.iter().rev().find(|(s, _)| s.id == series.id).map(|(_, s)| s.timestamp);
        let timestamp = exemplar.timestamp.or_else(of_sample);
        let exemplar = Exemplar { timestamp, ..exemplar.clone() };
        if self.db.exemplars.is_news(&series.labels, &exemplar) {
            self.exemplars.push((series, exemplar));
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
        let ready = db.relieve().and_then(|()| db.log.make_room());
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
            self.revive()?;
            let plan = self.plan(&mut writer);
            Ok((plan, db.log.append(&mut writer)?))
        });
        db.note_write(&logged);
        let (mut plan, ticket) = logged?;
        self.apply(&mut plan);
        let unsynced = writer.unsynced_bytes();
        drop(writer);
        db.note_commit(plan.committed);
        if durability == Durability::Disk || db.options.sync_interval.is_zero() {
            db.log.wait(ticket)?;
        } else if unsynced > UNSYNCED_BYTES_MAX {
            db.log.sync()?;
        }
        Ok(plan.committed)
    }
}
