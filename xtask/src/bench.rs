//! `cargo xtask bench`: start-up time, memory and size of the release binary, beside Prometheus where it is at hand.
//!
//! The machines are shared, so absolute times mean little: read the ratio of one run. `SKEP_PEERS` names the
//! folder of the peer's program.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::{Exporter, Prometheus, Reply, ServerBuilder, poll_until};

use crate::machine::{execute, target};

/// Starts whose median is printed.
const STARTS: usize = 7;

/// The size of the workload the product page promises a memory figure for.
const SERIES: usize = 2000;

/// Scrapes before memory is read: a minute at the workload's interval.
const SCRAPES: u64 = 60;

pub(crate) fn run() -> Result<()> {
    execute("cargo", &["build", "--release", "--quiet"])?;
    let skep = target().join("release/skep");
    let size = fs::metadata(&skep)?.len();
    println!("binary: {:.1} MiB", size as f64 / f64::from(1 << 20));
    let peer = testkit::peer("prometheus");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let folder = tempfile::tempdir()?;
        starts.push(ServerBuilder::new(&skep, folder.path()).start()?.started());
    }
    let ours = median(starts);
    println!("start to `listening on`, empty folder, median of {STARTS}: {} ms", ours.as_millis());
    if let Some(peer) = &peer {
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            let folder = tempfile::tempdir()?;
            let begin = Instant::now();
            let _running = Prometheus::start(peer, folder.path(), "global: {}\n", &[])?;
            starts.push(begin.elapsed());
        }
        let theirs = median(starts);
        let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
        println!("  Prometheus to ready: {} ms, {ratio:.1} times as long", theirs.as_millis());
    }
    memory(&skep, peer.as_deref())
}

fn memory(skep: &Path, peer: Option<&Path>) -> Result<()> {
    let exporter = Exporter::start(Reply::Page(page()))?;
    let scrape = format!(
        "scrape_configs:\n- job_name: bench\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs:\n  - targets: ['{}']\n",
        exporter.target()
    );
    let folder = tempfile::tempdir()?;
    let alone = "probes: {enabled: false}\nhost: {enabled: false}\ncilium: {enabled: false}\n";
    let config = folder.path().join("skep.yml");
    fs::write(&config, format!("{alone}{scrape}"))?;
    let server = ServerBuilder::new(skep, folder.path().join("data")).arg("--config").arg(config).start()?;
    wait_for_scrapes(&exporter);
    let ours = resident_bytes(server.pid())?;
    drop(server);
    println!("resident at {SERIES} series after {SCRAPES} scrapes: {:.1} MiB", mebibytes(ours));
    if let Some(peer) = peer {
        let folder = tempfile::tempdir()?;
        let running = Prometheus::start(peer, folder.path(), &scrape, &[])?;
        wait_for_scrapes(&exporter);
        let theirs = resident_bytes(running.pid())?;
        println!("  Prometheus: {:.1} MiB, {:.1} times as much", mebibytes(theirs), theirs as f64 / ours as f64);
    }
    Ok(())
}

/// A page of [`SERIES`] counters and gauges.
fn page() -> String {
    let line =
        |i: usize| format!("bench_metric_{}{{device=\"eth{}\",mode=\"m{}\"}} {}\n", i % 100, i / 100, i % 7, i * 37);
    (0..SERIES).map(line).collect()
}

fn wait_for_scrapes(exporter: &Exporter) {
    let until = exporter.requests() + SCRAPES;
    for _ in 0..SCRAPES {
        // One poll waits a minute at most; the whole takes as many scrapes as are asked for.
        let seen = exporter.requests();
        poll_until("a scrape", || (exporter.requests() > seen || seen >= until).then_some(()));
    }
}

pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// A size of the process's status.
pub(crate) fn status_bytes(pid: u32, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).context("no such size")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes << 10)
}

pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
