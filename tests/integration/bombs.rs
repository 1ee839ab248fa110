//! Requests and pages that want to fill the memory (R12 to R15): each is refused, what the process holds stays bounded, and
//! afterwards it works as before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use testkit::{Exporter, Reply, Server, Web, WriteRequest, poll_until};

use crate::hostile::{anonymous_memory, watch_memory};
use crate::{ALONE, builder, job, wait_for_value};

const BUDGET: &str = "64MiB";

/// What bombs may take beside what the process took before them.
const GROWTH_BYTES_MAX: u64 = 40 << 20;

/// Clients that throw the same bomb at once.
const CLIENTS: usize = 8;

/// Connections that are opened and send half a request: more than four times as many as are admitted.
const HALF_OPEN: usize = 1000;

/// A bomb that is sent until the server has enough of it, and the statuses that may answer it; none where it hangs up.
struct Bomb {
    name: &'static str,
    head: String,
    body: Vec<u8>,
    repeat: bool,
    statuses: &'static [u16],
}

#[test]
fn bombs_are_refused_within_bounds() {
    let exporters = [Exporter::start(Reply::Page("fine 1\n".to_owned())), Exporter::start(Reply::Endless)];
    let [good, endless] = exporters.map(Result::unwrap);
    let labels: String = (0..1_000_000).map(|i| format!("l{i}=\"x\",")).collect();
    let wide = Exporter::start(Reply::Page(format!("wide{{{labels}}} 1\n"))).unwrap();
    let packed = gzip_bomb();
    let gzip = Web::start(None, move |_| {
        let headers = [("content-type", "text/plain; version=0.0.4"), ("content-encoding", "gzip")];
        (200, headers.map(|(name, value)| (name, value.to_owned())).to_vec(), packed.clone())
    })
    .unwrap();
    let refused = [("endless", endless.target()), ("wide", wide.target()), ("gzip", gzip.address().to_string())];
    let jobs: String = refused.iter().map(|(name, target)| job(name, target)).collect();
    let folder = tempfile::tempdir().unwrap();
    let config = |jobs: &str| format!("{ALONE}scrape_configs:\n{}{jobs}", job("good", &good.target()));
    let server = builder(folder.path(), &config("")).arg("--memory-budget").arg(BUDGET).start().unwrap();
    wait_for_value(&server, "fine", 1.0);
    let before = anonymous_memory(&server);

    let stop = AtomicBool::new(false);
    let peak = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_memory(&server, &stop));
        std::fs::write(folder.path().join("skep.yml"), config(&jobs)).unwrap();
        server.signal("HUP").unwrap();
        for bomb in request_bombs() {
            let statuses = throw_at_once(&server, &bomb);
            let allowed = |status: &Option<u16>| status.is_none_or(|status| bomb.statuses.contains(&status));
            assert!(statuses.iter().all(allowed), "{}: {statuses:?}", bomb.name);
        }
        for (name, _) in &refused {
            wait_for_value(&server, &format!("up{{job=\"{name}\"}}"), 0.0);
        }
        stop.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    let growth = peak.saturating_sub(before);
    eprintln!("{} KiB before the bombs, at most {} KiB more under them", before >> 10, growth >> 10);
    assert!(growth < GROWTH_BYTES_MAX, "bombs took {growth} bytes");
    works(&server, &good);
}

#[test]
fn half_open_connections_keep_nobody_out() {
    let good = Exporter::start(Reply::Page("fine 1\n".to_owned())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{ALONE}scrape_configs:\n{}", job("good", &good.target()));
    let server = builder(folder.path(), &config).arg("--memory-budget").arg(BUDGET).start().unwrap();
    wait_for_value(&server, "fine", 1.0);
    let address = address(&server);
    let open: Vec<TcpStream> = (0..HALF_OPEN)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            // Some say nothing at all.
            let _ = stream.write_all(&b"GET / HTTP/1.1\r\nHost"[..number % 20]);
            stream
        })
        .collect();
    works(&server, &good);
    drop(open);
}

/// Pages are answered, samples taken, targets scraped.
fn works(server: &Server, good: &Exporter) {
    let scrapes = good.requests();
    poll_until("further scrapes", || (good.requests() > scrapes + 1).then_some(()));
    wait_for_value(server, "fine", 1.0);
    let now = crate::value(server, "vector(time())").unwrap() as i64 * 1000;
    let request = WriteRequest::default().series(&[("__name__", "after")], &[(now, 2.0)]);
    let answer = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body()).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.body);
    wait_for_value(server, "after", 2.0);
    assert!(!server.errors().contains("panicked"), "{}", server.errors());
}

/// A gigabyte, in as many members as there are megabytes.
fn gzip_bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&b"# bomb\n".repeat((1 << 20) / 7)).unwrap();
    encoder.finish().unwrap().repeat(1024)
}

fn request_bombs() -> Vec<Bomb> {
    let zeros = vec![0; 31 << 20];
    let write = "POST /api/v1/write HTTP/1.1\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
                 X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
    let read = "POST /api/v1/read HTTP/1.1\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
                X-Prometheus-Remote-Read-Version: 0.1.0\r\n";
    let form = "POST /api/v1/query HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let declared = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 1000]].concat();
    let dense = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
    let whole = |name, head: &str, body: &[u8], statuses| Bomb {
        name,
        head: format!("{head}Host: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len()),
        body: body.to_vec(),
        repeat: false,
        statuses,
    };
    let chunk = [&b"10000\r\n"[..], &[b'a'; 0x10000], b"\r\n"].concat();
    let endless = |name, head: &str, statuses| Bomb {
        name,
        head: format!("{head}Host: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"),
        body: chunk.clone(),
        repeat: true,
        statuses,
    };
    vec![
        whole("snappy that declares 4 GiB, written", write, &declared, &[400, 413]),
        whole("snappy that declares 4 GiB, for a read", read, &declared, &[400, 413]),
        whole("dense snappy, written", write, &dense, &[400, 413, 429, 503]),
        whole("dense snappy, for a read", read, &dense, &[400, 413, 429, 503]),
        endless("a write without end", write, &[400, 413, 429, 503]),
        endless("a read without end", read, &[400, 413, 429, 503]),
        endless("a form without end", form, &[400, 413]),
        Bomb {
            name: "a head without end",
            head: "GET / HTTP/1.1\r\n".to_owned(),
            body: format!("A: {}\r\n", "a".repeat(1000)).into_bytes(),
            repeat: true,
            statuses: &[431],
        },
    ]
}

fn address(server: &Server) -> &str {
    server.url().trim_start_matches("http://")
}

fn throw_at_once(server: &Server, bomb: &Bomb) -> Vec<Option<u16>> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| throw(server, bomb))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// Sends a bomb until it is answered or the server hangs up. Gives the status, where it can still be read.
fn throw(server: &Server, bomb: &Bomb) -> Option<u16> {
    let mut stream = TcpStream::connect(address(server)).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut going = stream.write_all(bomb.head.as_bytes()).and_then(|()| stream.write_all(&bomb.body)).is_ok();
    while going && bomb.repeat {
        going = stream.write_all(&bomb.body).is_ok();
    }
    let mut answer = Vec::new();
    // After a hang-up in the middle of a bomb the kernel throws the answer away.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}
