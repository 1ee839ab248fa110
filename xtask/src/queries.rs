//! `cargo xtask bench queries`: how much memory heavy queries take at most, beside Prometheus where it is at hand.
//!
//! Both hold the same samples and answer the same query, each in a process of its own that answered nothing before. What counts
//! is the most that was resident while the query ran; what was resident before it is told, too.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use testkit::{Prometheus, ServerBuilder, WriteRequest};

use crate::bench::{mebibytes, status_bytes};
use crate::hostile::loads;
use crate::machine::{execute, target};

/// Over the two hours that there are.
const QUERIES: [&str; 4] = [
    "histogram_quantile(0.99, sum by (le, device) (rate(load[5m])))",
    "max_over_time(load[2h])",
    "sum by (device) (load) / on (device) group_right () load",
    "load",
];

const STEP_SECONDS: i64 = 15;

/// What `/proc/PID/clear_refs` takes to forget the most that was resident.
const FORGET_PEAK: &str = "5";

/// Resident bytes before a query, and the most while it ran.
struct Took {
    before: u64,
    peak: u64,
}

pub(crate) fn run() -> Result<()> {
    execute("cargo", &["build", "--release", "--quiet", "--package", "skep"])?;
    let skep = target().join("release/skep");
    let peer = testkit::peer("prometheus");
    for query in QUERIES {
        println!("{query}");
        let newest = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().cast_signed();
        let ours = skep_takes(&skep, query, newest)?;
        tell("skep", &ours);
        if let Some(peer) = &peer {
            let theirs = prometheus_takes(peer, query, newest)?;
            tell("Prometheus", &theirs);
            println!("  {:.2} of it (goal: 0.25)", ours.peak as f64 / theirs.peak as f64);
        }
    }
    Ok(())
}

fn skep_takes(skep: &Path, query: &str, newest: i64) -> Result<Took> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("skep.yml");
    fs::write(&config, "probes: {enabled: false}\nhost: {enabled: false}\ncilium: {enabled: false}\n")?;
    let server = ServerBuilder::new(skep, folder.path().join("data")).arg("--config").arg(config).start()?;
    for request in loads(newest) {
        let response = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body())?;
        ensure!(response.status == 204, "{}", response.body);
    }
    measure(server.pid(), || {
        let response = server.get(&path(query, newest))?;
        ensure!(response.status == 200, "{}", response.body);
        Ok(())
    })
}

fn prometheus_takes(program: &Path, query: &str, newest: i64) -> Result<Took> {
    let folder = tempfile::tempdir()?;
    let args = ["--web.enable-remote-write-receiver"];
    let running = Prometheus::start(program, folder.path(), "global: {}\n", &args)?;
    for request in loads(newest) {
        let status = running.post("/api/v1/write", &WriteRequest::HEADERS, &request.body())?;
        ensure!(status == 204, "Prometheus refuses samples: {status}");
    }
    measure(running.pid(), || Ok(running.get(&path(query, newest)).map(drop)?))
}

fn path(query: &str, newest: i64) -> String {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/api/v1/query_range?query={encoded}&start={}&end={newest}&step={STEP_SECONDS}", newest - 7_200)
}

fn measure(pid: u32, ask: impl FnOnce() -> Result<()>) -> Result<Took> {
    fs::write(format!("/proc/{pid}/clear_refs"), FORGET_PEAK)?;
    let before = status_bytes(pid, "VmRSS:")?;
    ask()?;
    Ok(Took { before, peak: status_bytes(pid, "VmHWM:")? })
}

fn tell(name: &str, took: &Took) {
    println!("  {name}: {:.1} MiB at most, {:.1} MiB before", mebibytes(took.peak), mebibytes(took.before));
}
