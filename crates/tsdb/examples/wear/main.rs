//! Prints what a day of scraping writes to the disk: bytes a sample, by kind of file, in pages as a device gets them.
//!
//! `cargo run --release -p tsdb --example wear [SERIES] [SEED] [MIX] [HOURS]`. The clock is simulated: the store is
//! scraped, synced, sealed and merged as in the program, from midnight until the day is merged. Journal and metadata of
//! a file system come on top; the number of syncs says how often.

mod counted;
mod world;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use counted::{CountedDisk, Counts};
use model::{Appendable, Clock, Collector, Durability, Families, Sample};
use tsdb::{Db, Options};
use world::{MIXES, Target};

/// A midnight.
const START: i64 = 1_700_006_400_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const INTERVAL: i64 = 15_000;

/// As often as the program calls for maintenance when syncs are further apart.
const MAINTENANCE: i64 = 30_000;

struct Simulated(AtomicI64);

impl Clock for Simulated {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn metric(db: &Db, name: &str) -> u64 {
    let mut families = Families::default();
    let _ = db.collect(&mut families);
    families.iter().find(|f| f.name == name).and_then(|f| f.points.first()).map_or(0, |p| p.value as u64)
}

fn scrape(db: &Db, target: &mut Target, step: i64) -> Result<u64, Box<dyn Error>> {
    let mut found = Vec::new();
    let Some(time) = target.scrape(step, |labels, value| found.push((labels.clone(), value))) else { return Ok(0) };
    let mut batch = db.appender();
    for (labels, value) in &found {
        batch.append(labels, Sample { timestamp: START + time, value: *value })?;
    }
    Ok(batch.commit(Durability::Kernel)?.samples)
}

/// What was written, and of how many samples.
struct Outcome {
    counts: Counts,
    samples: u64,
    sealed_bytes: u64,
    merged_samples: u64,
}

fn live(folder: &Path, targets: &mut [Target], sync: Duration, hours: i64) -> Result<Outcome, Box<dyn Error>> {
    let (clock, disk) = (Arc::new(Simulated(AtomicI64::new(START))), CountedDisk::default());
    let options = Options {
        path: folder.to_owned(),
        sync_interval: sync,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        disk: Arc::new(disk.clone()),
        ..Options::default()
    };
    let db = Db::open(options)?;
    let (mut samples, mut merged_samples, mut written) = (0, 0, (0, 0));
    for step in 0.. {
        let now = START + step * INTERVAL;
        for target in &mut *targets {
            samples += scrape(&db, target, step)?;
        }
        clock.0.store(now + INTERVAL, Ordering::Relaxed);
        if (now + INTERVAL) % MAINTENANCE == 0 {
            let before = metric(&db, "skep_tsdb_blocks_written_bytes_total");
            let done = db.maintain(now + INTERVAL)?;
            let grown = metric(&db, "skep_tsdb_blocks_written_bytes_total") - before;
            if done.merged_blocks > 0 {
                written.1 += grown;
                merged_samples = metric(&db, "skep_tsdb_blocks_samples");
            } else {
                written.0 += grown;
            }
        }
        let is_merged = merged_samples > 0 || hours < 24;
        if now >= START + hours * HOUR && is_merged || now >= START + DAY + 4 * HOUR {
            break;
        }
    }
    db.close()?;
    Ok(Outcome { counts: disk.counts(), samples, sealed_bytes: written.0, merged_samples })
}

fn print(outcome: &Outcome) {
    let per_sample = |bytes: u64, samples: u64| bytes as f64 / samples.max(1) as f64;
    let blocks = outcome.counts.get("blocks").copied().unwrap_or_default();
    let sealed = per_sample(outcome.sealed_bytes, outcome.samples);
    let merged_bytes = blocks.page_bytes.saturating_sub(outcome.sealed_bytes);
    let merged = if outcome.merged_samples > 0 { per_sample(merged_bytes, outcome.merged_samples) } else { 0.0 };
    let log = outcome.counts.get("log").copied().unwrap_or_default();
    let other = outcome.counts.get("other").copied().unwrap_or_default();
    let (log_pages, other_pages) =
        (per_sample(log.page_bytes, outcome.samples), per_sample(other.page_bytes, outcome.samples));
    println!(
        "  log {log_pages:.3} ({:.3} as asked for, {} syncs), sealing {sealed:.3}, merging {merged:.3}, other {other_pages:.3}: {:.3} B/sample",
        per_sample(log.bytes, outcome.samples),
        log.syncs,
        log_pages + sealed + merged + other_pages,
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let series = arguments.next().map_or(Ok(10_000), |a| a.parse())?;
    let seed = arguments.next().map_or(Ok(1), |a| a.parse())?;
    let mix = arguments.next();
    let hours = arguments.next().map_or(Ok(24), |a| a.parse())?;
    for (at, name) in MIXES.iter().enumerate().filter(|(_, name)| mix.as_deref().is_none_or(|mix| mix == **name)) {
        for sync in [30, 600] {
            let mut targets: Vec<Target> = (0..16).map(|number| Target::new(number, series / 16, at, seed)).collect();
            let folder = tempfile::tempdir()?;
            let outcome = live(folder.path(), &mut targets, Duration::from_secs(sync), hours)?;
            println!("{name}, seed {seed}, {series} series at 15 s, synced every {sync} s:");
            print(&outcome);
        }
    }
    Ok(())
}
