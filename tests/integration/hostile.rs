//! Queries of death (R11): clients that ask for everything at once get answers or clear errors, the process stays within
//! its memory budget, and afterwards it answers as before.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use testkit::{Ending, Exporter, Reply, Server, WriteRequest, ask_hostile, hostile_requests, poll_until};

use crate::{ALONE, builder, job, value, wait_for_value};

const CLIENTS: usize = 8;

/// What `--memory-budget` says.
const BUDGET_BYTES: u64 = 64 << 20;

/// An hour of so many series at 15 s.
const SERIES: usize = 1500;
const SAMPLES: i64 = 240;
const INTERVAL_MS: i64 = 15_000;

/// Series of a request.
const SERIES_SENT: usize = 100;

/// Every so many requests a client hangs up.
const LEAVES_EVERY: usize = 4;

/// Kinds of errors that Prometheus knows, by status.
const KINDS: [(u16, &str); 5] =
    [(400, "bad_data"), (422, "execution"), (499, "canceled"), (503, "timeout"), (500, "unavailable")];

#[test]
fn hostile_queries_are_answered_or_refused_within_the_budget() {
    let exporter = Exporter::start(Reply::Page("scraped 1\n".to_owned())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &exporter);
    let end = write(&server);
    wait_for_value(&server, "up", 1.0);

    let stop = AtomicBool::new(false);
    let peak = thread::scope(|scope| {
        let server = &server;
        let watcher = scope.spawn(|| watch_memory(server, &stop));
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || run_client(server, client, end))).collect();
        let endings: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        stop.store(true, Ordering::Relaxed);
        tell(&endings);
        watcher.join().unwrap()
    });
    eprintln!("at most {} KiB of {} KiB", peak >> 10, BUDGET_BYTES >> 10);
    assert!(peak <= BUDGET_BYTES, "the process took {peak} bytes");
    poll_until("all queries to have ended", || (running(&server) == 0.0).then_some(()));
    assert_eq!(value(&server, "count(load)"), Some(SERIES as f64));
    let scrapes = exporter.requests();
    poll_until("a scrape", || (exporter.requests() > scrapes).then_some(()));
    assert!(!server.errors().contains("panicked"), "{}", server.errors());
    server.stop().unwrap();
}

#[test]
fn a_query_whose_client_went_away_stops() {
    let exporter = Exporter::start(Reply::Page("scraped 1\n".to_owned())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // No limit of time ends it.
    let server = start_with(folder.path(), &exporter, "1h");
    let end = write(&server);
    let request = hostile_requests(end).into_iter().find(|request| request.contains("sum%28quantile_over_time"));
    let request = request.expect("a query that takes long");
    let address = address(&server).to_owned();
    thread::scope(|scope| {
        let asking = scope.spawn(|| ask_hostile(&address, &request, Some(Duration::from_secs(2))));
        poll_until("the query to run", || (running(&server) == 1.0).then_some(()));
        assert_eq!(asking.join().unwrap(), Ending::Left);
    });
    poll_until("the query to stop", || (running(&server) == 0.0).then_some(()));
    server.stop().unwrap();
}

fn start(folder: &std::path::Path, exporter: &Exporter) -> Server {
    start_with(folder, exporter, "1s")
}

fn start_with(folder: &std::path::Path, exporter: &Exporter, timeout: &str) -> Server {
    let config = format!("{ALONE}scrape_configs:\n{}", job("good", &exporter.target()));
    let builder = builder(folder, &config).arg("--memory-budget").arg(format!("{}MiB", BUDGET_BYTES >> 20));
    builder.arg("--query.timeout").arg(timeout).start().unwrap()
}

/// Writes the series and gives the time of their last samples in seconds.
fn write(server: &Server) -> i64 {
    let newest = value(server, "vector(time())").unwrap() as i64;
    for first in (0..SERIES).step_by(SERIES_SENT) {
        let request = (first..first + SERIES_SENT).fold(WriteRequest::default(), |request, number| {
            let at = |i: i64| newest * 1000 - (SAMPLES - i) * INTERVAL_MS;
            let samples: Vec<(i64, f64)> = (0..SAMPLES).map(|i| (at(i), (i * number as i64) as f64)).collect();
            let (le, device) = ((number % 10).to_string(), format!("d{}", number % 7));
            let labels = [("__name__", "load"), ("device", &*device), ("le", &*le), ("number", &number.to_string())];
            request.series(&labels, &samples)
        });
        let response = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body()).unwrap();
        assert_eq!(response.status, 204, "{}", response.body);
    }
    newest
}

/// Asks everything once, each client in another order.
fn run_client(server: &Server, client: usize, end: i64) -> Vec<(String, Ending)> {
    let mut requests = hostile_requests(end);
    let first = client * requests.len() / CLIENTS;
    requests.rotate_left(first);
    let ask = |(number, request): (usize, String)| {
        let leaves =
            (number % LEAVES_EVERY == client % LEAVES_EVERY).then(|| Duration::from_millis(20 + 10 * number as u64));
        let ending = ask_hostile(address(server), &request, leaves);
        (request, ending)
    };
    requests.into_iter().enumerate().map(ask).collect()
}

fn address(server: &Server) -> &str {
    server.url().trim_start_matches("http://")
}

/// Prints how requests ended, and checks that each ended as Prometheus' would.
fn tell(endings: &[(String, Ending)]) {
    let count = |is: fn(&Ending) -> bool| endings.iter().filter(|(_, ending)| is(ending)).count();
    let answered = count(|ending| *ending == Ending::Answered);
    let left = count(|ending| *ending == Ending::Left);
    eprintln!("{} requests: {answered} answered, {left} left, the others refused", endings.len());
    assert!(answered > 0 && left > 0);
    for (request, ending) in endings {
        let request: String = request.chars().take(200).collect();
        match ending {
            Ending::Answered | Ending::Left => {}
            Ending::Refused(status, body) => assert!(is_clear(*status, body), "{request}: {status} {body}"),
            Ending::Broken(what) => panic!("{request}: {what}"),
        }
    }
}

/// Whether it is an error in Prometheus' words; `/federate` answers in plain text.
fn is_clear(status: u16, body: &str) -> bool {
    let kind = KINDS.iter().find(|(of, _)| *of == status).map(|(_, kind)| *kind);
    let json = kind.is_some_and(|kind| body.contains(&format!("\"errorType\":\"{kind}\",\"error\":\"")));
    json || (kind.is_some() && !body.starts_with('{') && !body.is_empty())
}

/// The most memory beside that of files that the process took until told to stop.
pub(crate) fn watch_memory(server: &Server, stop: &AtomicBool) -> u64 {
    let mut peak = 0;
    while !stop.load(Ordering::Relaxed) {
        peak = peak.max(anonymous_memory(server));
        thread::sleep(Duration::from_millis(5));
    }
    peak
}

/// Memory beside that of files, in bytes.
pub(crate) fn anonymous_memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes << 10
}

/// Queries that are being evaluated.
fn running(server: &Server) -> f64 {
    let page = server.get("/metrics").unwrap().body;
    let line = page.lines().find_map(|line| line.strip_prefix("skep_queries_running ")).unwrap();
    line.parse().unwrap()
}
