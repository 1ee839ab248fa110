//! `cargo xtask bench hostile` (R11): how late scrapes and pages are, and how much memory the process takes, while clients
//! ask for everything.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use testkit::{
    Ending, Exporter, Reply, Server, ServerBuilder, WriteRequest, ask_hostile, hostile_requests, poll_until,
};

use crate::bench::{mebibytes, status_bytes};
use crate::machine::{execute, target};

const CLIENTS: usize = 8;
const BUDGET_MIB: u64 = 256;
const SECONDS: u64 = 60;

/// Two hours of so many series at 15 s.
const SERIES: usize = 10_000;
const SAMPLES: i64 = 480;
const INTERVAL_MS: i64 = 15_000;
/// Series of a request, and how many samples of each.
const SERIES_SENT: usize = 500;
const SAMPLES_SENT: usize = 120;

const EXPORTERS: usize = 10;
/// How often each is read.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);

/// A client hangs up on one request of so many.
const LEAVES_EVERY: usize = 4;

/// What a person looks at meanwhile.
const PAGES: [&str; 3] = ["/", "/-/healthy", "/targets"];
const PAGE_PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn run() -> Result<()> {
    execute("cargo", &["build", "--release", "--quiet"])?;
    let exporters: Vec<Exporter> =
        (0..EXPORTERS).map(|_| Exporter::start(Reply::Page(page()))).collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir()?;
    let server = start(&target().join("release/skep"), folder.path(), &exporters)?;
    let end = write(&server)?;
    let scraped = |exporter: &Exporter| exporter.requests() > 2;
    poll_until("scrapes", || exporters.iter().all(scraped).then_some(()));
    println!("{} MiB before", status_bytes(server.pid(), "VmRSS:")? >> 20);
    let stop = AtomicBool::new(false);
    let (mut pages, endings) = thread::scope(|scope| {
        let pages = scope.spawn(|| visit_pages(&server, &stop));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| (client, &server, &stop))
            .map(|(client, server, stop)| scope.spawn(move || attack(server, client, end, stop)))
            .collect();
        thread::sleep(Duration::from_secs(SECONDS));
        stop.store(true, Ordering::Relaxed);
        let endings: Vec<Ending> = clients.into_iter().flat_map(|client| client.join().unwrap_or_default()).collect();
        (pages.join().unwrap_or_default(), endings)
    });
    let late = exporters.iter().map(Exporter::longest_pause).max().unwrap_or_default().saturating_sub(SCRAPE_INTERVAL);
    tell_endings(&endings);
    println!("the latest scrape came {} ms late (goal: 1000)", late.as_millis());
    pages.sort();
    let part = |hundredths: usize| pages.get(pages.len() * hundredths / 100).copied().unwrap_or_default().as_millis();
    println!(
        "{} pages, milliseconds: median {}, p99 {} (goal: 250), slowest {}",
        pages.len(),
        part(50),
        part(99),
        part(100).max(pages.last().map_or(0, Duration::as_millis))
    );
    let peak = status_bytes(server.pid(), "VmHWM:")?;
    println!("at most {:.1} MiB resident of a budget of {BUDGET_MIB} MiB", mebibytes(peak));
    Ok(())
}

fn start(skep: &Path, folder: &Path, exporters: &[Exporter]) -> Result<Server> {
    let targets: Vec<String> = exporters.iter().map(|exporter| format!("'{}'", exporter.target())).collect();
    let config = folder.join("skep.yml");
    let text = format!(
        "probes: {{enabled: false}}\nhost: {{enabled: false}}\ncilium: {{enabled: false}}\nscrape_configs:\n- job_name: \
         bench\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs:\n  - targets: [{}]\n",
        targets.join(", ")
    );
    fs::write(&config, text)?;
    let builder = ServerBuilder::new(skep, folder.join("data")).arg("--config").arg(config);
    Ok(builder.arg("--memory-budget").arg(format!("{BUDGET_MIB}MiB")).start()?)
}

fn page() -> String {
    (0..100).map(|i| format!("scraped{{number=\"{i}\"}} {i}\n")).collect()
}

/// Writes the series and gives the time of their last samples in seconds.
fn write(server: &Server) -> Result<i64> {
    let newest = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().cast_signed();
    for request in loads(newest) {
        let response = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body())?;
        ensure!(response.status == 204, "{}", response.body);
    }
    Ok(newest)
}

/// Series of two hours before this second, all of them up to one time after the other, as some servers want it.
pub(crate) fn loads(newest: i64) -> impl Iterator<Item = WriteRequest> {
    let parts = (0..SAMPLES).step_by(SAMPLES_SENT);
    let requests = parts.flat_map(|begin| (0..SERIES).step_by(SERIES_SENT).map(move |first| (begin, first)));
    requests.map(move |(begin, first)| {
        (first..first + SERIES_SENT).fold(WriteRequest::default(), |request, number| {
            let at = |i: i64| newest * 1000 - (SAMPLES - i) * INTERVAL_MS;
            let samples = begin..begin + SAMPLES_SENT as i64;
            let samples: Vec<(i64, f64)> = samples.map(|i| (at(i), (i * number as i64) as f64)).collect();
            let (le, device) = ((number % 10).to_string(), format!("d{}", number % 97));
            let labels = [("__name__", "load"), ("device", &*device), ("le", &*le), ("number", &number.to_string())];
            request.series(&labels, &samples)
        })
    })
}

/// How long pages took.
pub(crate) fn visit_pages(server: &Server, stop: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    for page in PAGES.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        if server.get(page).is_ok_and(|response| response.status == 200) {
            times.push(begun.elapsed());
        } else {
            println!("{page} failed after {} ms", begun.elapsed().as_millis());
        }
        thread::sleep(PAGE_PAUSE);
    }
    times
}

/// Asks everything in turn until told to stop.
fn attack(server: &Server, client: usize, end: i64, stop: &AtomicBool) -> Vec<Ending> {
    let address = server.url().trim_start_matches("http://");
    let requests = hostile_requests(end);
    let first = client * requests.len() / CLIENTS;
    let mut endings = Vec::new();
    for (number, request) in requests.iter().cycle().skip(first).enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let leaves = (number % LEAVES_EVERY == 0).then(|| Duration::from_millis(20 + 10 * (number % 50) as u64));
        endings.push(ask_hostile(address, request, leaves));
    }
    endings
}

fn tell_endings(endings: &[Ending]) {
    let count = |is: fn(&Ending) -> bool| endings.iter().filter(|ending| is(ending)).count();
    let answered = count(|ending| *ending == Ending::Answered);
    let left = count(|ending| *ending == Ending::Left);
    let broken = count(|ending| matches!(ending, Ending::Broken(_)));
    println!("{} requests: {answered} answered, {left} left, {broken} broken, the others refused", endings.len());
}
