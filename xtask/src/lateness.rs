//! `cargo xtask bench lateness`: how punctual scrapes of very many targets are, and how evenly they spread.
//!
//! One exporter of [`TARGETS`] paths notes when each is asked for. skep and, where it is at hand, Prometheus scrape it at the
//! same time, so that whatever else the machine does meets both. A target's schedule is its earliest phase in the interval;
//! what a scrape comes after it is its lateness, which is measured from outside and by the same rule for both.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::{Prometheus, ServerBuilder};

use crate::bench::{mebibytes, resident_bytes};
use crate::machine::{execute, target};

const TARGETS: usize = 1000;

/// Series of each target.
const SERIES: usize = 100;

const INTERVAL: Duration = Duration::from_secs(15);

/// Six scrapes of each target, and the interval over which the first ones spread.
const LENGTH: Duration = Duration::from_secs(105);

/// Parts of the interval whose scrapes are counted for the spread.
const PARTS: usize = 15;

/// When each path was asked for, since the exporter's start.
type Arrivals = Arc<Mutex<HashMap<String, Vec<Duration>>>>;

pub(crate) fn run() -> Result<()> {
    execute("cargo", &["build", "--release", "--quiet", "--package", "skep"])?;
    let skep = target().join("release/skep");
    let peer = testkit::peer("prometheus");
    let folder = tempfile::tempdir()?;
    let (ours, theirs) = (exporter()?, exporter()?);
    let config = folder.path().join("skep.yml");
    let alone = "probes: {enabled: false}\nhost: {enabled: false}\ncilium: {enabled: false}\n";
    fs::write(&config, format!("{alone}{}", jobs(ours.0)))?;
    let server = ServerBuilder::new(&skep, folder.path().join("data")).arg("--config").arg(&config).start()?;
    let beside = tempfile::tempdir()?;
    let running = match &peer {
        Some(peer) => Some(Prometheus::start(peer, beside.path(), &jobs(theirs.0), &[])?),
        None => None,
    };
    thread::sleep(LENGTH);
    tell("skep", &ours.1, resident_bytes(server.pid())?)?;
    if let Some(running) = &running {
        tell("Prometheus", &theirs.1, resident_bytes(running.pid())?)?;
    }
    Ok(())
}

/// Targets that differ in their path.
fn jobs(port: u16) -> String {
    let mut text =
        format!("scrape_configs:\n- job_name: many\n  scrape_interval: {}s\n  static_configs:\n", INTERVAL.as_secs());
    for i in 0..TARGETS {
        let labels = format!("{{__metrics_path__: /t/{i}, target: t{i}}}");
        let _ = writeln!(text, "  - {{targets: ['127.0.0.1:{port}'], labels: {labels}}}");
    }
    text
}

/// Serves one page under every path, a thread a connection.
fn exporter() -> Result<(u16, Arrivals)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (port, arrivals, start) = (listener.local_addr()?.port(), Arrivals::default(), Instant::now());
    let page: String = (0..SERIES).map(|i| format!("bench_total{{part=\"p{i}\",mode=\"m\"}} {}\n", i * 37)).collect();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n", page.len());
    let answer: Arc<str> = format!("{head}{page}").into();
    let noted = Arc::clone(&arrivals);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
            thread::spawn(move || serve(&stream, &answer, &noted, start));
        }
    });
    Ok((port, arrivals))
}

/// Answers until the other side closes; nobody is told why.
fn serve(stream: &TcpStream, answer: &str, noted: &Arrivals, start: Instant) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let first = lines.next()?.ok()?;
        let at = start.elapsed();
        while !lines.next()?.ok()?.is_empty() {}
        let path = first.split(' ').nth(1)?.to_owned();
        noted.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default().push(at);
        (&*stream).write_all(answer.as_bytes()).ok()?;
    }
}

fn tell(name: &str, arrivals: &Arrivals, resident: u64) -> Result<()> {
    let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(arrivals.len() == TARGETS, "{name} asked for {} of {TARGETS} targets", arrivals.len());
    let mut late: Vec<Duration> = Vec::new();
    let mut parts = [0usize; PARTS];
    for times in arrivals.values() {
        let phase = phase(times).context("a target without scrapes")?;
        late.extend(times.iter().map(|time| remainder(*time, phase)));
        parts[((phase.as_nanos() % INTERVAL.as_nanos()) * PARTS as u128 / INTERVAL.as_nanos()) as usize % PARTS] += 1;
    }
    late.sort();
    let at = |part: f64| late[((late.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e3;
    println!(
        "{name}: {} scrapes of {TARGETS} targets with {SERIES} series, late p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms; \
         {}..{} targets in each of {PARTS} parts of the interval (even: {:.0}); resident {:.1} MiB",
        late.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        parts.iter().min().unwrap_or(&0),
        parts.iter().max().unwrap_or(&0),
        TARGETS as f64 / PARTS as f64,
        mebibytes(resident),
    );
    Ok(())
}

/// The place in the interval that no scrape comes before. Phases near the end of an interval and those after its begin are
/// compared around the first scrape, half an interval to both sides.
fn phase(times: &[Duration]) -> Option<Duration> {
    let first = *times.first()?;
    let half = INTERVAL / 2;
    let earliest = times.iter().map(|time| remainder(*time + half, first)).min()?;
    Some((first + INTERVAL + earliest).saturating_sub(half))
}

/// How far after the schedule that `phase` lies in a time is.
fn remainder(time: Duration, phase: Duration) -> Duration {
    let interval = INTERVAL.as_nanos();
    let nanos = (time.as_nanos() + interval - phase.as_nanos() % interval) % interval;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
