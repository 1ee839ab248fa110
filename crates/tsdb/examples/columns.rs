//! Prints what columns of values cost by codec and length: bytes a sample, and samples a CPU second to write and read.
//!
//! `cargo run --release -p tsdb --example columns FOLDER`, the data folder of a store that nobody has open: whatever was
//! scraped or loaded into it is measured, so that no figure is that of one generator.

// The derive of tsz-compress names the crate.
extern crate alloc;

#[allow(dead_code)]
#[path = "../src/bytes.rs"]
mod bytes;
#[allow(dead_code)]
#[path = "../src/column.rs"]
mod column;
#[allow(dead_code)]
#[path = "../src/decimal.rs"]
mod decimal;
#[allow(dead_code)]
#[path = "../src/doubles.rs"]
mod doubles;
#[allow(dead_code)]
#[path = "../src/numbers.rs"]
mod numbers;
#[allow(dead_code)]
#[path = "../src/tokens.rs"]
mod tokens;
#[allow(dead_code)]
#[path = "../src/tsz.rs"]
mod tsz;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use column::Tier;
use model::{Hints, Queryable, Samples, Selection};
use tsdb::{Db, Options};

/// Half an hour, two hours, six hours and a day at 15 s.
const LENGTHS: [usize; 4] = [120, 480, 1440, 5760];

/// Columns, samples and bytes of a codec.
#[derive(Default)]
struct Share {
    columns: usize,
    samples: usize,
    bytes: usize,
}

#[derive(Default)]
struct Tally {
    shares: BTreeMap<&'static str, Share>,
    writing: Duration,
    reading: Duration,
}

/// Each column is read so many times, and the clock once for all columns of a series: it takes as long as a short column.
const READS: u32 = 8;

impl Tally {
    fn add(&mut self, series: &[f64], length: usize, tier: Tier) -> Result<(), Box<dyn Error>> {
        let begin = cpu_time();
        let columns: Vec<(u8, Vec<u8>, &[f64])> = series
            .chunks(length)
            .map(|values| {
                let mut bytes = Vec::new();
                (column::encode_values(values, tier, &mut bytes), bytes, values)
            })
            .collect();
        let written = cpu_time();
        let mut back = Vec::with_capacity(length);
        for _ in 0..READS {
            for (codec, bytes, values) in &columns {
                back.clear();
                let all = 0..values.len();
                column::decode_values(*codec, bytes, values.len(), all, &mut back)
                    .map_err(|damage| damage.to_string())?;
            }
        }
        self.writing += written - begin;
        self.reading += (cpu_time() - written) / READS;
        columns.iter().try_for_each(|(codec, bytes, values)| self.count(*codec, bytes, values))
    }

    fn count(&mut self, codec: u8, bytes: &[u8], values: &[f64]) -> Result<(), Box<dyn Error>> {
        let mut back = Vec::new();
        let all = 0..values.len();
        column::decode_values(codec, bytes, values.len(), all, &mut back).map_err(|damage| damage.to_string())?;
        let is_same = back.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits()));
        if !is_same {
            return Err("a column came back with other bits".into());
        }
        let share = self.shares.entry(column::codec::name(codec)).or_default();
        share.columns += 1;
        share.samples += values.len();
        share.bytes += bytes.len();
        Ok(())
    }

    fn print(&self, length: usize, tier: Tier) {
        let samples: usize = self.shares.values().map(|share| share.samples).sum();
        let bytes: usize = self.shares.values().map(|share| share.bytes).sum();
        let rate = |time: Duration| samples as f64 / time.as_secs_f64() / 1e6;
        let (per_sample, writing, reading) = (bytes as f64 / samples as f64, rate(self.writing), rate(self.reading));
        println!(
            "{length:>5} {tier:?}: {per_sample:.4} B/sample, M samples per CPU second: written {writing:.1}, read {reading:.1}"
        );
        for (codec, share) in &self.shares {
            let per_sample = share.bytes as f64 / share.samples as f64;
            println!(
                "        {codec:<10} {:>8} columns {:>10} samples {per_sample:.4} B/sample",
                share.columns, share.samples
            );
        }
    }
}

/// CPU time of this thread, in nanoseconds of the scheduler.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().next().and_then(|t| t.parse().ok()).unwrap_or_default())
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which data folder?")?.into();
    let db = Db::open(Options { path, retention_time: None, ..Options::default() })?;
    let all = Selection { matchers: &[], min_time: i64::MIN, max_time: i64::MAX, hints: Hints::default() };
    let mut tallies: Vec<(usize, Tier, Tally)> = LENGTHS
        .iter()
        .flat_map(|&length| [Tier::Head, Tier::Block].map(|tier| (length, tier, Tally::default())))
        .collect();
    let mut samples = Samples::default();
    for series in &db.select(&all)?.series {
        samples.clear();
        series.read(&mut samples)?;
        for (length, tier, tally) in &mut tallies {
            tally.add(&samples.values, *length, *tier)?;
        }
    }
    tallies.iter().for_each(|(length, tier, tally)| tally.print(*length, *tier));
    Ok(())
}
