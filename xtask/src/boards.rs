//! `cargo xtask bench dashboards`: what a dashboard's data weighs and how long its pages take, the browser's part left out.
//!
//! Two dashboards: one of 12 panels with 10 random walks of 721 points each, which compresses as badly as data can, and the
//! 77 panels of Cilium's agent over the demo's samples (`../shared/fixtures/grafana`, where it is at hand).

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use testkit::{Server, ServerBuilder, WriteRequest, poll_until};

use crate::machine::{execute, target};

const PANELS: usize = 12;
const SERIES: usize = 10;
const POINTS: i64 = 721;
const STEP_MS: i64 = 15_000;
/// What the data of the walks may weigh, compressed.
const BYTES_MAX: usize = 200 << 10;
/// From the click to the last panel of Cilium's dashboard, the browser's work left out.
const CILIUM_MAX: Duration = Duration::from_millis(1500);
/// Requests whose median is printed.
const ROUNDS: usize = 7;
/// Panels of one request of a page whose panels are all in sight.
const TOGETHER: usize = 60;

pub(crate) fn run() -> Result<()> {
    execute("cargo", &["build", "--release", "--quiet"])?;
    let skep = target().join("release/skep");
    walks(&skep)?;
    cilium(&skep)
}

/// An answer's body as it came over the wire, and how long it took.
struct Answer {
    body: Vec<u8>,
    took: Duration,
}

fn get(server: &Server, path: &str, encoding: &str) -> Result<Answer> {
    let begun = Instant::now();
    let host = server.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: {encoding}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no answer")?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer[..end]));
    Ok(Answer { body: answer.split_off(end + 4), took: begun.elapsed() })
}

fn walks(skep: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let boards = folder.path().join("dashboards");
    fs::create_dir(&boards)?;
    fs::write(boards.join("walks.json"), dashboard())?;
    let config = folder.path().join("skep.yml");
    fs::write(&config, "probes: {enabled: false}\nhost: {enabled: false}\ncilium: {enabled: false}\n")?;
    let data = folder.path().join("data");
    let server = ServerBuilder::new(skep, data).arg("--config").arg(config).arg("--dashboards").arg(boards).start()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let to = (now - STEP_MS).div_euclid(STEP_MS) * STEP_MS;
    let from = to - (POINTS - 1) * STEP_MS;
    for panel in 0..PANELS {
        let answer = server.post("/api/v1/write", &WriteRequest::HEADERS, &walk(panel, from).body())?;
        ensure!(answer.status == 204, "{}", answer.body);
    }
    let time = format!("from={from}&to={to}");
    poll_until("the dashboard", || server.get("/d/walks").ok().filter(|page| page.status == 200));
    let page = get(&server, &format!("/d/walks?{time}"), "gzip")?;
    println!("12 panels: page {:.1} KiB compressed, {} ms", kibibytes(&page), page.took.as_millis());
    let keys = (1..=PANELS).map(|key| key.to_string()).collect::<Vec<_>>().join(",");
    let path = format!("/ui/board/walks?{time}&panels={keys}&w=1600");
    let first = get(&server, &path, "gzip")?;
    let plain = get(&server, &path, "identity")?;
    let text = String::from_utf8_lossy(&plain.body);
    let counts = text.matches(&format!("\"count\":{POINTS}")).count();
    ensure!(counts == PANELS, "{counts} panels of {POINTS} points");
    let mut later = Vec::new();
    for _ in 0..ROUNDS {
        later.push(get(&server, &path, "gzip")?.took);
    }
    later.sort();
    println!(
        "12 panels x {SERIES} series x {POINTS} points: {:.1} KiB, compressed {:.1} KiB (at most {}); first {} ms, later {} ms",
        kibibytes(&plain),
        kibibytes(&first),
        BYTES_MAX >> 10,
        first.took.as_millis(),
        later[ROUNDS / 2].as_millis(),
    );
    let tail = get(&server, &format!("{path}&tail={}", to - STEP_MS), "gzip")?;
    println!("  the tail of a refresh: {:.1} KiB, {} ms", kibibytes(&tail), tail.took.as_millis());
    ensure!(first.body.len() <= BYTES_MAX, "the data is too heavy");
    Ok(())
}

fn cilium(skep: &Path) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/grafana/cilium-dashboard.json");
    if !file.is_file() {
        println!("SKIPPED: {} is not there", file.display());
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let boards = folder.path().join("dashboards");
    fs::create_dir(&boards)?;
    fs::copy(&file, boards.join("cilium.json"))?;
    let server = ServerBuilder::with_command(skep, "demo", folder.path().join("data"))
        .arg("--dashboards")
        .arg(boards)
        .start()?;
    let uid = "vtuWtdumz";
    let path = format!("/d/{uid}?from=now-1h&to=now");
    poll_until("the dashboard", || server.get(&path).ok().filter(|page| page.status == 200));
    let page = get(&server, &path, "gzip")?;
    let html = get(&server, &path, "identity")?;
    let html = String::from_utf8_lossy(&html.body);
    let panels = html.split("data-panel=\"").skip(1).filter(|panel| !panel.contains("data-kind=\"text\""));
    let keys: Vec<&str> = panels.filter_map(|panel| panel.split('"').next()).collect();
    println!("Cilium's {} panels: page {:.1} KiB, {} ms", keys.len(), kibibytes(&page), page.took.as_millis());
    for round in ["first", "later"] {
        let begun = Instant::now();
        let mut bytes = 0.0;
        for keys in keys.chunks(TOGETHER) {
            let path = format!("/ui/board/{uid}?from=now-1h&to=now&panels={}&w=1600", keys.join(","));
            bytes += kibibytes(&get(&server, &path, "gzip")?);
        }
        let took = begun.elapsed() + page.took;
        println!(
            "  {round} data of all panels with the page: {bytes:.1} KiB, {} ms (at most {})",
            took.as_millis(),
            CILIUM_MAX.as_millis()
        );
        ensure!(round == "first" || took <= CILIUM_MAX, "too slow");
    }
    Ok(())
}

fn kibibytes(answer: &Answer) -> f64 {
    answer.body.len() as f64 / 1024.0
}

fn dashboard() -> String {
    let panel = |at: usize| {
        let (x, y) = (at % 3 * 8, at / 3 * 8);
        format!(
            r#"{{"id": {}, "type": "timeseries", "title": "Walk {at}", "maxDataPoints": 5000, "gridPos": {{"x": {x}, "y": {y}, "w": 8, "h": 8}},
                "targets": [{{"refId": "A", "expr": "walk{{panel=\"{at}\"}}", "legendFormat": "{{{{series}}}}"}}]}}"#,
            at + 1
        )
    };
    let panels: Vec<String> = (0..PANELS).map(panel).collect();
    format!(r#"{{"uid": "walks", "title": "Walks", "schemaVersion": 39, "panels": [{}]}}"#, panels.join(","))
}

/// Random walks, the same in each run.
fn walk(panel: usize, from: i64) -> WriteRequest {
    let mut state = panel as u64 + 1;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31) - 0.5
    };
    let mut request = WriteRequest::default();
    for series in 0..SERIES {
        let (panel, series) = (panel.to_string(), format!("s{series}"));
        let mut value = 100.0;
        let samples: Vec<(i64, f64)> = (0..POINTS)
            .map(|at| {
                value += random() * 4.0;
                (from + at * STEP_MS, value)
            })
            .collect();
        request = request.series(&[("__name__", "walk"), ("panel", &panel), ("series", &series)], &samples);
    }
    request
}
