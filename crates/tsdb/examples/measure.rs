//! Prints what the store costs: samples a second in and out, bytes a sample in memory, log and blocks.
//!
//! `cargo run --release -p tsdb --example measure [SERIES] [SAMPLES]`; figures depend on the machine, ratios less.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::status::Store;
use model::{Appendable, Clock, Collector, Durability, Families, Hints, Labels, Matcher, Queryable};
use model::{Sample, Samples, Selection, SeriesRef};
use tsdb::{Db, Options};

const START: i64 = 1_700_000_000_000;
const INTERVAL: i64 = 15_000;

/// Stands still in the year after the samples, so that all of them are taken.
struct After;

impl Clock for After {
    fn now(&self) -> i64 {
        START + 365 * 24 * 3_600_000
    }
}

/// Numbers that look random and are the same in each run.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// The kinds of series that a node shows, in turn.
fn step(kind: usize, last: f64, noise: &mut Noise) -> f64 {
    match kind % 8 {
        0 => last + noise.next(400) as f64,
        1 => ((last * 100.0).round() + noise.next(1500) as f64) / 100.0,
        2 => last + noise.next(3) as f64,
        3 => (noise.next(1 << 20) * 4096) as f64,
        4 => (4_000 + noise.next(300)) as f64 / 100.0,
        5 => last + f64::from(u8::from(noise.next(20) == 0)),
        6 => last + noise.next(1_000_000_007) as f64 / 1e9,
        _ => 1.0,
    }
}

struct Workload {
    labels: Vec<Labels>,
    values: Vec<f64>,
    noise: Noise,
}

impl Workload {
    fn new(series: usize) -> Self {
        let label = |i: usize| {
            Labels::from_pairs([
                ("__name__", format!("metric_{}_total", i / 20)),
                ("instance", "node-1:9100".to_owned()),
                ("job", "node".to_owned()),
                ("device", format!("device{}", i % 20)),
            ])
        };
        Self {
            labels: (0..series).map(label).collect(),
            values: vec![0.0; series],
            noise: Noise(0x9e37_79b9_7f4a_7c15),
        }
    }

    fn advance(&mut self) {
        for (kind, value) in self.values.iter_mut().enumerate() {
            *value = step(kind / 20, *value, &mut self.noise);
        }
    }
}

/// CPU time of the process so far: on a shared machine the wall clock says little. Ticks are 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

fn rate(samples: usize, time: Duration) -> String {
    format!("{:>8.2} M samples per CPU second", samples as f64 / time.as_secs_f64() / 1e6)
}

fn append(db: &Db, workload: &mut Workload, scrapes: usize, by_labels: bool) -> Result<Duration, Box<dyn Error>> {
    let mut references: Vec<Option<SeriesRef>> = vec![None; workload.labels.len()];
    let mut spent = Duration::ZERO;
    for scrape in 0..scrapes {
        workload.advance();
        let timestamp = START + scrape as i64 * INTERVAL + (workload.noise.next(7) as i64 - 3);
        let begin = cpu_time();
        let mut batch = db.appender();
        for ((labels, reference), &value) in workload.labels.iter().zip(&mut references).zip(&workload.values) {
            let sample = Sample { timestamp, value };
            match reference {
                Some(reference) if !by_labels => batch.append_ref(*reference, sample)?,
                _ => *reference = Some(batch.append(labels, sample)?),
            }
        }
        batch.commit(Durability::Kernel)?;
        spent += cpu_time() - begin;
    }
    Ok(spent)
}

fn read(db: &Db) -> Result<(usize, Duration), Box<dyn Error>> {
    let begin = cpu_time();
    let matchers = [Matcher::equal("job", "node")];
    let set =
        db.select(&Selection { matchers: &matchers, min_time: 0, max_time: i64::MAX, hints: Hints::default() })?;
    let (mut samples, mut total) = (Samples::default(), 0);
    for series in &set.series {
        samples.clear();
        series.read(&mut samples)?;
        total += samples.len();
    }
    Ok((total, cpu_time() - begin))
}

fn metric(db: &Db, name: &str) -> f64 {
    let mut families = Families::default();
    let _ = db.collect(&mut families);
    families.iter().find(|f| f.name == name).and_then(|f| f.points.first()).map_or(0.0, |p| p.value)
}

fn rss_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or_default() * 1024.0
}

fn run(folder: &Path, series: usize, scrapes: usize, by_labels: bool) -> Result<(), Box<dyn Error>> {
    let options = || Options {
        path: folder.to_owned(),
        retention_time: None,
        clock: Arc::new(After),
        head_bytes_max: usize::MAX / 4,
        ..Options::default()
    };
    let samples = series * scrapes;
    let per_sample = |bytes: f64| format!("{:.2} B/sample", bytes / samples as f64);
    let mut workload = Workload::new(series);
    let before = rss_bytes();
    let db = Db::open(options())?;
    let spent = append(&db, &mut workload, scrapes, by_labels)?;
    println!("append {:<14} {}", if by_labels { "by labels" } else { "by reference" }, rate(samples, spent));
    println!("  head memory         {}", per_sample(metric(&db, "skep_tsdb_head_bytes")));
    println!("  resident growth     {:.0} B/series", (rss_bytes() - before) / series as f64);
    println!("  log                 {}", per_sample(metric(&db, "skep_tsdb_log_written_bytes_total")));
    let (count, spent) = read(&db)?;
    println!("read head             {}", rate(count, spent));
    db.close()?;
    drop(db);

    let begin = cpu_time();
    let db = Db::open(options())?;
    println!("replay                {}", rate(samples, cpu_time() - begin));
    let begin = cpu_time();
    db.seal()?;
    println!("seal                  {}", rate(samples, cpu_time() - begin));
    println!("  blocks              {}", per_sample(metric(&db, "skep_tsdb_blocks_bytes")));
    println!("  folder              {}", per_sample(db.status().size_bytes as f64));
    for run in ["cold", "warm"] {
        let (count, spent) = read(&db)?;
        println!("read blocks, {run:<8} {}", rate(count, spent));
    }
    db.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let series = arguments.next().map_or(Ok(2_000), |a| a.parse())?;
    let scrapes = arguments.next().map_or(Ok(500), |a| a.parse())?;
    println!("{series} series × {scrapes} samples at 15 s, milliseconds of jitter");
    for by_labels in [true, false] {
        let folder = tempfile::tempdir()?;
        run(folder.path(), series, scrapes, by_labels)?;
    }
    Ok(())
}
