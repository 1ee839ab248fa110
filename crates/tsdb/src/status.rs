//! What the store says of itself: to the pages and as metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use model::status::{Store, StoreStatus};
use model::{CollectError, Collector, Families, MetricKind, Timestamp};

use crate::Db;

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
            min_time: known.then_some(whole.0),
            max_time: known.then_some(whole.1),
            blocks: blocks.len() as u64,
            quarantined: self.quarantined() + self.recovery().damaged_records,
            size_bytes,
            read_only_reason: self.read_only_reason(),
            sync_interval: self.options.sync_interval,
        }
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
    }

    fn collect_blocks(&self, families: &mut Families) {
        let counters = &self.counters;
        let blocks = self.blocks.read();
        let samples: u64 = blocks.iter().map(|b| b.meta.samples).sum();
        let bytes: u64 = blocks.iter().map(|b| b.size_bytes).sum();
        families.gauge("skep_tsdb_blocks", "Sealed blocks.", blocks.len() as f64);
        families.gauge("skep_tsdb_blocks_bytes", "Size of the sealed blocks.", bytes as f64);
        let index: u64 = blocks.iter().map(|b| b.meta.index.size_bytes()).sum();
        families.gauge("skep_tsdb_blocks_index_bytes", "Size of the indexes in them.", index as f64);
        let tombstones: u64 = blocks.iter().map(|b| b.tombstones().len()).sum();
        families.gauge("skep_tsdb_tombstones", "Deleted stretches of series that still take space.", tombstones as f64);
        families.gauge("skep_tsdb_blocks_samples", "Samples in sealed blocks.", samples as f64);
        families
            .family("skep_tsdb_blocks_quarantined", MetricKind::Gauge, "Damaged blocks that were set aside.")
            .value(self.quarantined() as f64);
        let mut counter = |name, help, value| families.counter(name, help, load(value));
        counter("skep_tsdb_blocks_sealed_total", "Blocks written from the head.", &counters.sealed_blocks);
        counter(
            "skep_tsdb_blocks_written_bytes_total",
            "Bytes written to blocks, merging included.",
            &counters.sealed_bytes,
        );
        counter("skep_tsdb_compactions_total", "Times blocks of a day were merged into one.", &counters.compactions);
        counter("skep_tsdb_blocks_removed_total", "Blocks removed by retention.", &counters.removed_blocks);
        counter("skep_tsdb_seal_failures_total", "Sealings that failed and are tried again.", &counters.seal_failures);
    }
}
