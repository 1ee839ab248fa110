//! Keeping up: the head into blocks, old blocks away, the log shortened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Samples, StorageError, Timestamp};

use crate::block::{Block, BlockWriter};
use crate::chunk::{View, settle};
use crate::column::Tier;
use crate::head::Frozen;
use crate::options::millis;
use crate::publish::{Unnamed, Waiting};
use crate::reserve::says_full;
use crate::retention::{Candidate, expired, partition_millis, recorded_since};
use crate::{Db, Error};

/// When the head takes this many times its budget, whoever commits seals it first.
const HEAD_OVERRUN: usize = 2;

/// A page of an index that no query asked for in this time gives its memory back; dashboards that refresh ask more often.
const PAGES_IDLE_MILLIS: i64 = 5 * 60_000;

/// What a call of [`Db::maintain`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Blocks written from the head.
    pub sealed_blocks: u64,
    /// Blocks that became one.
    pub merged_blocks: u64,
    /// Blocks removed by retention.
    pub removed_blocks: u64,
    /// Log segments removed.
    pub removed_segments: u64,
}

/// Samples set aside in the head until their blocks are on disk.
pub(crate) struct Sealing {
    /// Log segments before this one hold nothing else.
    next_segment: u64,
    /// How its blocks are written.
    tier: Tier,
    frozen: Arc<Frozen>,
    /// Places of the series in the frozen list, in the order of their labels.
    order: Vec<u32>,
    /// Its blocks once they are written: how many there are, and those that have no name yet.
    written: Option<(u64, Waiting)>,
}

impl Db {
    /// Syncs the log, applies retention, seals the head, shortens the log and merges blocks, where it is time. What
    /// fails is tried again by the next call; nothing is lost by it.
    pub fn maintain(&self, now: Timestamp) -> Result<Maintained, Error> {
        let mut done = self.work(now, false)?;
        done.merged_blocks = self.compact(now)?;
        Ok(done)
    }

    /// Seals the head now, as [`Db::maintain`] does when it is time, and merges what is to be merged.
    pub fn seal(&self) -> Result<Maintained, Error> {
        let now = self.options.clock.now();
        let mut done = self.work(now, true)?;
        done.merged_blocks = self.compact(now)?;
        Ok(done)
    }

    fn work(&self, now: Timestamp, seal_now: bool) -> Result<Maintained, Error> {
        self.work_on(&mut self.maintenance.lock(), now, seal_now)
    }

    /// As [`Db::maintain`], by who holds the right to it.
    pub(crate) fn work_on(
        &self,
        pending: &mut Option<Sealing>,
        now: Timestamp,
        seal_now: bool,
    ) -> Result<Maintained, Error> {
        self.check_open()?;
        self.check_folder().inspect_err(|error| self.note_failure(error))?;
        self.set_damaged_aside();
        self.make_up();
        self.forget_idle_pages(now);
        let done = self.keep_up(pending, now, seal_now);
        if done.as_ref().is_err_and(says_full) && self.reserve.spend(self.disk()) {
            return self.keep_up(pending, now, seal_now);
        }
        if done.is_ok() {
            self.reserve.restore(self.disk());
        }
        done
    }

    /// Merges what is to be merged, unless somebody else does, and cleans what is to be cleaned; returns how many blocks
    /// became fewer.
    fn compact(&self, now: Timestamp) -> Result<u64, Error> {
        let mut merged = 0;
        loop {
            // Sealing and each merge take their time.
            let more = match self.merge_some(now.max(self.options.clock.now())) {
                Err(StorageError::Closed) => 0,
                outcome => outcome?,
            };
            merged += more;
            if more == 0 {
                self.clean_much_deleted()?;
                return Ok(merged);
            }
        }
    }

    /// Merges one group of blocks, if there is one.
    fn merge_some(&self, now: Timestamp) -> Result<u64, StorageError> {
        let merge = {
            let sealing = self.maintenance.lock();
            if sealing.is_some() || self.stopping.load(Ordering::Relaxed) {
                return Ok(0);
            }
            self.begin_merge(now)?
        };
        merge.map_or(Ok(0), |merge| self.finish_merge(merge))
    }

    fn keep_up(&self, pending: &mut Option<Sealing>, now: Timestamp, seal_now: bool) -> Result<Maintained, Error> {
        // Retention first: on a full disk it makes the room that sealing needs.
        let mut done = Maintained { removed_blocks: self.apply_retention(now)?, ..Maintained::default() };
        // A full disk has room again when the log becomes a block, which is smaller.
        let full = self.full.load(Ordering::Relaxed) && self.head.totals.samples.load(Ordering::Relaxed) > 0;
        let mut is_last = seal_now;
        if pending.is_none() && (seal_now || full || self.is_sealing_due(now)) {
            let is_quick = self.pace.is_quick(self.head_since.load(Ordering::Relaxed), now);
            is_last |= self.has_left_history(now);
            let tier = if is_quick && !seal_now { Tier::Head } else { Tier::Block };
            *pending = Some(self.freeze(tier)?);
        }
        if let Some(sealing) = pending {
            // The block will release the log, which until then is what remembers metadata and exemplars.
            self.families.save(self.disk(), &self.options.path)?;
            self.exemplars.save(self.disk(), &self.options.path)?;
            done.sealed_blocks = self.write_sealing(sealing)?;
            let (tier, next_segment) = (sealing.tier, sealing.next_segment);
            match tier {
                _ if is_last => self.pace.end_rush(),
                Tier::Head => self.pace.note_loose(now.max(self.options.clock.now())),
                Tier::Block => {}
            }
            *pending = None;
            done.removed_segments = self.log.remove_before(next_segment)?;
            done.removed_blocks += self.apply_retention(now)?;
        } else if self.is_sync_due(now) {
            self.sync()?;
        }
        Ok(done)
    }

    fn forget_idle_pages(&self, now: Timestamp) {
        let since = now - self.pages_aged.load(Ordering::Relaxed);
        if !(0..PAGES_IDLE_MILLIS).contains(&since) {
            self.pages_aged.store(now, Ordering::Relaxed);
            self.pages.age();
        }
        self.pages.warm.age(now);
    }

    /// A little before the interval is over, because the caller's timer is not exact either.
    pub(crate) fn is_sync_due(&self, now: Timestamp) -> bool {
        let interval = millis(self.policy().sync_interval);
        let since = now - self.synced_at.load(Ordering::Relaxed);
        !(0..interval - interval / 10).contains(&since)
    }

    /// Seals on the spot when the head has outgrown its budget and nobody else did it in time.
    pub(crate) fn relieve(&self) -> Result<(), StorageError> {
        let is_large = self.head_bytes() >= self.options.head_bytes_max.saturating_mul(HEAD_OVERRUN);
        if !is_large && !self.head.is_crowded() {
            return Ok(());
        }
        match self.work(self.options.clock.now(), false) {
            Ok(_) => Ok(()),
            Err(Error::Storage(error)) => Err(error),
            Err(other) => Err(StorageError::Limit(other.to_string())),
        }
    }

    /// Memory of the head's samples.
    pub(crate) fn head_bytes(&self) -> usize {
        usize::try_from(self.head.totals.bytes.load(Ordering::Relaxed)).unwrap_or_default()
    }

    fn is_sealing_due(&self, now: Timestamp) -> bool {
        if self.head.is_crowded() {
            return true;
        }
        let since = self.head_since.load(Ordering::Relaxed);
        if since > now {
            // The clock was set back, or nothing was committed; in the first case the wait begins again.
            if since != Timestamp::MAX {
                self.head_since.store(now, Ordering::Relaxed);
            }
            return false;
        }
        let is_large = self.head_bytes() >= self.options.head_bytes_max;
        is_large || now - since >= millis(self.options.seal_interval) || self.has_left_history(now)
    }

    fn has_left_history(&self, now: Timestamp) -> bool {
        let since = self.head_since.load(Ordering::Relaxed);
        self.pace.has_left_history(since, self.head.totals.max_time.load(Ordering::Relaxed), now)
    }

    /// Ends the log's segment and sets aside what it and those before it hold.
    fn freeze(&self, tier: Tier) -> Result<Sealing, StorageError> {
        let (next_segment, frozen) = self.log.rotate(|_| {
            let _snapshots_wait = self.visible.write();
            self.head_since.store(Timestamp::MAX, Ordering::Relaxed);
            self.head.freeze()
        })?;
        let order = self.head.label_order(&frozen);
        Ok(Sealing { next_segment, tier, frozen, order, written: None })
    }

    fn write_sealing(&self, sealing: &mut Sealing) -> Result<u64, StorageError> {
        if sealing.order.is_empty() {
            return Ok(0);
        }
        self.name_sealed(sealing).inspect_err(|error| {
            tracing::error!(%error, "the head could not be sealed, it is tried again");
            self.counters.seal_failures.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Writes the blocks, unless an earlier call did, and gives them their names.
    fn name_sealed(&self, sealing: &mut Sealing) -> Result<u64, StorageError> {
        let (count, mut waiting) = match sealing.written.take() {
            Some(written) => written,
            None => self.write_unnamed(sealing)?,
        };
        let outcome = self.name_blocks(&mut waiting, || self.head.drop_sealed());
        if outcome.is_err() {
            sealing.written = Some((count, waiting));
        }
        outcome?;
        self.counters.sealed_blocks.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }

    fn write_unnamed(&self, sealing: &Sealing) -> Result<(u64, Waiting), StorageError> {
        let mut written = Vec::new();
        let outcome = self.write_blocks(sealing, &mut written).and_then(|()| self.open_written(&written));
        let waiting = outcome.inspect_err(|_| self.discard(&written))?;
        Ok((waiting.len() as u64, waiting))
    }

    /// Writes one block for each stretch of time, the newest last: only that one says that the log may go.
    fn write_blocks(&self, sealing: &Sealing, written: &mut Vec<Unnamed>) -> Result<(), StorageError> {
        let width = sealing.partition_millis();
        let mut writers: BTreeMap<i64, BlockWriter> = BTreeMap::new();
        let working = self.progress.begin("sealing the head", sealing.order.len() as u64, self.options.clock.now());
        for &at in &sealing.order {
            working.step(1);
            let (slot, view) = sealing.frozen.get(at as usize);
            let (labels, samples) = (self.head.labels(slot), sealed_samples(&view)?);
            for part in split(&samples, width) {
                let key = part.timestamps[0].div_euclid(width);
                if let std::collections::btree_map::Entry::Vacant(vacant) = writers.entry(key) {
                    vacant.insert(self.create_block(sealing.tier, written)?);
                }
                if let Some(writer) = writers.get_mut(&key) {
                    writer.add(&labels, &part)?;
                }
            }
        }
        let last = writers.keys().next_back().copied();
        for (key, writer) in writers {
            let covers = if Some(key) == last { sealing.next_segment } else { 0 };
            let bytes = writer.finish(covers, Vec::new())?;
            self.counters.sealed_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    fn apply_retention(&self, now: Timestamp) -> Result<u64, StorageError> {
        let blocks = self.blocks.read().clone();
        let candidates: Vec<Candidate> = blocks.iter().map(|b| candidate(b)).collect();
        let cutoff = self.policy().retention_time.and_then(|kept| self.cutoff(&candidates, millis(kept), now));
        let damaged = self.empty_quarantine(&candidates, cutoff);
        self.counters.removed_damaged.fetch_add(damaged, Ordering::Relaxed);
        let gone = expired(candidates, cutoff, self.policy().retention_size, self.size_bytes_beside_blocks());
        for block in blocks.iter().filter(|b| gone.contains(&b.number)) {
            self.remove_block(block)?;
            self.counters.removed_blocks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(gone.len() as u64)
    }

    /// Blocks that end before this time are too old: by the clock, by the newest sample, and by what was recorded since.
    fn cutoff(&self, blocks: &[Candidate], kept: i64, now: Timestamp) -> Option<Timestamp> {
        let newest = blocks.iter().map(|b| b.max_time).max()?;
        let newest = newest.max(self.head.totals.max_time.load(Ordering::Relaxed)).min(now);
        Some(recorded_since(blocks, kept)?.min(newest.saturating_sub(kept)))
    }
}

fn candidate(block: &Block) -> Candidate {
    let (min_time, max_time) = (block.meta.min_time, block.meta.max_time);
    Candidate { number: block.number, min_time, max_time, size_bytes: block.folder_bytes() }
}

impl Sealing {
    fn partition_millis(&self) -> i64 {
        let ranges = (0..self.frozen.len()).filter_map(|at| self.frozen.get(at).1.range());
        let whole = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        whole.map_or(1, |(min_time, max_time)| partition_millis(min_time, max_time))
    }
}

fn sealed_samples(view: &View<'_>) -> Result<Samples, StorageError> {
    let mut samples = Samples::default();
    view.read(Timestamp::MIN, Timestamp::MAX, &mut samples).map_err(|damage| StorageError::Corrupt {
        path: "the head in memory".to_owned(),
        offset: 0,
        reason: damage.to_string(),
    })?;
    settle(&mut samples, 0, Timestamp::MIN, Timestamp::MAX);
    Ok(samples)
}

/// Cuts sorted samples at the borders of stretches of this width.
fn split(samples: &Samples, width: i64) -> impl Iterator<Item = Samples> {
    let mut start = 0;
    samples.timestamps.chunk_by(move |a, b| a.div_euclid(width) == b.div_euclid(width)).map(move |times| {
        let range = start..start + times.len();
        start = range.end;
        Samples { timestamps: times.to_vec(), values: samples.values[range].to_vec() }
    })
}
