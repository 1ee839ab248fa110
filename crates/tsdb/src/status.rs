//! What the store says of itself: to the pages and as metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use model::status::{Costs, Store, StoreDetails, StoreStatus, WorkStatus};
use model::{CollectError, Collector, Families, MetricKind, StorageError, Timestamp};
use parking_lot::Mutex;

use crate::Db;
use crate::costs::Tally;

/// What series cost changes slowly, and adding it up takes a walk over the newest block.
const COSTS_KEPT_MILLIS: i64 = 60_000;

/// Entries of each list of costs: more than a page shows, as many as the API gives by default.
const COSTS_MAX: usize = 100;

/// Long work, step by step.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Option<WorkStatus>>);

/// Ends the work when dropped.
pub(crate) struct Working<'a>(&'a Progress);

impl Progress {
    /// Begins work of so many steps.
    pub(crate) fn begin(&self, what: &'static str, total: u64, since: Timestamp) -> Working<'_> {
        *self.0.lock() = Some(WorkStatus { what, done: 0, total, since });
        Working(self)
    }
}

impl Working<'_> {
    /// Says that so many more steps are done.
    pub(crate) fn step(&self, steps: u64) {
        if let Some(work) = &mut *self.0.0.lock() {
            work.done = work.done.saturating_add(steps).min(work.total);
        }
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.0.lock().take();
    }
}

fn load(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

impl Store for Db {
    fn status(&self) -> StoreStatus {
        let totals = &self.head.totals;
        let size_bytes = self.size_bytes();
        let blocks = self.blocks.read();
        let ranges = blocks.iter().map(|b| (b.meta.min_time, b.meta.max_time));
        let head = (totals.min_time.load(Ordering::Relaxed), totals.max_time.load(Ordering::Relaxed));
        let whole = ranges.chain([head]).fold((Timestamp::MAX, Timestamp::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)));
        let known = whole.0 <= whole.1;
        StoreStatus {
            head_series: self.head.len() as u64,
            head_samples: totals.samples.load(Ordering::Relaxed),
            head_times: (head.0 <= head.1).then_some(head),
            min_time: known.then_some(whole.0),
            max_time: known.then_some(whole.1),
            blocks: blocks.len() as u64,
            quarantined: self.quarantine.len() + self.recovery().damaged_records,
            size_bytes,
            read_only_reason: self.read_only_reason(),
            sync_interval: self.policy().sync_interval,
        }
    }

    fn details(&self) -> StoreDetails {
        let (options, policy) = (&self.options, self.policy());
        let (counters, log) = (&self.counters, &self.log.counters);
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let blocks: Vec<_> = self.blocks.read().iter().map(|block| block.status()).collect();
        let log_bytes = self.log.size_bytes();
        let block_bytes = blocks.iter().map(|block| block.bytes).sum();
        let others = self.size_bytes_beside_blocks().saturating_sub(log_bytes);
        let memory = self.head.memory();
        let parts = [
            ("samples", memory.samples),
            ("being sealed", memory.frozen),
            ("series", memory.series),
            ("label texts", memory.labels),
            ("index", memory.index),
        ];
        StoreDetails {
            opened: self.opened,
            retention_time: policy.retention_time,
            retention_size: policy.retention_size,
            seal_interval: options.seal_interval,
            disk: vec![("blocks", block_bytes), ("log", log_bytes), ("other", others)],
            free_bytes: self.disk().free(&options.path).ok(),
            log_segments: self.log.segments(),
            log_written_bytes: get(&log.bytes_written),
            blocks_written_bytes: get(&counters.sealed_bytes),
            appended: get(&counters.appended),
            conflicting: get(&counters.conflicting),
            fsyncs: (get(&log.fsyncs), get(&log.fsync_failures)),
            seal_failures: get(&counters.seal_failures),
            blocks,
            work: self.progress.0.lock().clone().into_iter().collect(),
            set_aside: self.quarantine.told(),
            damaged_records: self.recovery().damaged_records,
            memory: parts.into_iter().map(|(name, bytes)| (name, bytes as u64)).collect(),
            head_bytes_max: options.head_bytes_max as u64,
            head_series_max: options.head_series_max as u64,
        }
    }

    fn costs(&self) -> Costs {
        let now = self.options.clock.now();
        let mut kept = self.costs.lock();
        if let Some((at, costs)) = &*kept
            && (0..COSTS_KEPT_MILLIS).contains(&(now - at))
        {
            return costs.clone();
        }
        let costs = self.count_costs().unwrap_or_else(|error| {
            tracing::warn!(%error, "what series cost could not be told");
            Costs::default()
        });
        *kept = Some((now, costs.clone()));
        costs
    }
}

impl Db {
    fn count_costs(&self) -> Result<Costs, StorageError> {
        let newest = self.blocks.read().iter().max_by_key(|block| (block.meta.max_time, block.number)).cloned();
        let mut tally = Tally::default();
        if let Some(block) = newest {
            tally.add_block(&block)?;
        }
        if self.head.len() > 0 {
            self.head.with_index(|index| tally.count(index));
        }
        Ok(tally.costs(COSTS_MAX))
    }
}

impl Db {
    /// Memory of the head: of its samples, those being sealed included, and of its series with their labels and index.
    pub fn head_memory_bytes(&self) -> (u64, u64) {
        let memory = self.head.memory();
        let samples = memory.samples + memory.frozen;
        (samples as u64, (memory.series + memory.labels + memory.index) as u64)
    }
}

impl Collector for Db {
    fn name(&self) -> &'static str {
        "tsdb"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        self.collect_head(families);
        self.collect_log(families);
        self.collect_blocks(families);
        Ok(())
    }
}

impl Db {
    fn collect_head(&self, families: &mut Families) {
        let (totals, counters) = (&self.head.totals, &self.counters);
        let gauge = |families: &mut Families, name, help, value| families.gauge(name, help, value);
        gauge(families, "skep_tsdb_head_series", "Series in memory.", self.head.len() as f64);
        gauge(families, "skep_tsdb_head_samples", "Samples not sealed yet.", load(&totals.samples));
        gauge(families, "skep_tsdb_head_bytes", "Memory of the samples not sealed yet.", self.head_bytes() as f64);
        let memory = self.head.memory();
        let part = |families: &mut Families, name, help, bytes: usize| families.gauge(name, help, bytes as f64);
        part(families, "skep_tsdb_head_sealing_bytes", "Memory of samples that are being sealed.", memory.frozen);
        part(families, "skep_tsdb_head_series_bytes", "Memory of the series, without labels.", memory.series);
        part(families, "skep_tsdb_head_labels_bytes", "Memory of the texts of labels.", memory.labels);
        part(families, "skep_tsdb_head_index_bytes", "Memory of the index of the series.", memory.index);
        gauge(families, "skep_tsdb_exemplars", "Exemplars in memory.", self.exemplars.len() as f64);
        let mut counter = |name, help, value| families.counter(name, help, load(value));
        counter("skep_tsdb_head_series_created_total", "Series that appeared.", &totals.created);
        counter("skep_tsdb_head_series_removed_total", "Series forgotten for want of samples.", &totals.removed);
        counter("skep_tsdb_samples_appended_total", "Samples taken.", &counters.appended);
        counter(
            "skep_tsdb_samples_conflicting_total",
            "Samples refused because another value stands at their time.",
            &counters.conflicting,
        );
        counter(
            "skep_tsdb_samples_out_of_bounds_total",
            "Samples refused because they are too old or too far in the future.",
            &counters.out_of_bounds,
        );
    }

    fn collect_log(&self, families: &mut Families) {
        let counters = &self.log.counters;
        families.gauge("skep_tsdb_log_bytes", "Size of the log on disk.", self.log.size_bytes() as f64);
        let read_only = f64::from(u8::from(!self.read_only_reason().is_empty()));
        families.gauge("skep_tsdb_folder_bytes", "Size of all that the store keeps.", self.size_bytes() as f64);
        families.gauge("skep_tsdb_read_only", "Whether the log refuses writes now.", read_only);
        let mut counter = |name, help, value| families.counter(name, help, load(value));
        counter("skep_tsdb_log_written_bytes_total", "Bytes written to the log.", &counters.bytes_written);
        counter("skep_tsdb_log_fsyncs_total", "Times the log was synced to the disk.", &counters.fsyncs);
        counter("skep_tsdb_log_fsync_failures_total", "Times the disk refused to sync.", &counters.fsync_failures);
        counter("skep_tsdb_log_write_failures_total", "Writes that the log refused.", &counters.write_failures);
        let recovery = self.recovery();
        let damaged = recovery.damaged_records as f64;
        families.counter("skep_tsdb_log_damaged_records_total", "Damaged stretches of the log at the start.", damaged);
        families.counter(
            "skep_tsdb_log_rebuilt_records_total",
            "Damaged stretches of the log that their parity brought back at the start.",
            recovery.rebuilt_records as f64,
        );
        families.counter(
            "skep_tsdb_log_lost_samples_total",
            "Samples of the log that could not be told at the start, because a record before theirs is lost.",
            recovery.lost_samples as f64,
        );
    }

    fn collect_blocks(&self, families: &mut Families) {
        let counters = &self.counters;
        let blocks = self.blocks.read();
        let samples: u64 = blocks.iter().map(|b| b.meta.samples).sum();
        let bytes: u64 = blocks.iter().map(|b| b.folder_bytes()).sum();
        families.gauge("skep_tsdb_blocks", "Sealed blocks.", blocks.len() as f64);
        families.gauge("skep_tsdb_blocks_bytes", "Size of the sealed blocks.", bytes as f64);
        let index: u64 = blocks.iter().map(|b| b.meta.index.size_bytes()).sum();
        families.gauge("skep_tsdb_blocks_index_bytes", "Size of the indexes in them.", index as f64);
        let warm = self.pages.warm.bytes() as f64;
        families.gauge("skep_tsdb_refresh_cache_bytes", "Memory of what queries that come again read of blocks.", warm);
        let tombstones: u64 = blocks.iter().map(|b| b.tombstones().len()).sum();
        families.gauge("skep_tsdb_tombstones", "Deleted stretches of series that still take space.", tombstones as f64);
        families.gauge("skep_tsdb_blocks_samples", "Samples in sealed blocks.", samples as f64);
        families
            .family(
                "skep_tsdb_blocks_quarantined",
                MetricKind::Gauge,
                "Damaged blocks that were set aside and are kept.",
            )
            .value(self.quarantine.len() as f64);
        let mut counter = |name, help, value| families.counter(name, help, load(value));
        counter("skep_tsdb_blocks_sealed_total", "Blocks written from the head.", &counters.sealed_blocks);
        counter(
            "skep_tsdb_blocks_written_bytes_total",
            "Bytes written to blocks, merging included.",
            &counters.sealed_bytes,
        );
        counter("skep_tsdb_compactions_total", "Times blocks of a day were merged into one.", &counters.compactions);
        counter("skep_tsdb_blocks_removed_total", "Blocks removed by retention.", &counters.removed_blocks);
        counter(
            "skep_tsdb_blocks_quarantined_removed_total",
            "Damaged blocks removed by retention after they were set aside.",
            &counters.removed_damaged,
        );
        counter("skep_tsdb_seal_failures_total", "Sealings that failed and are tried again.", &counters.seal_failures);
    }
}
