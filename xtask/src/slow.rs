//! `cargo xtask bench slow` (R12): how long pages take while clients hold connections that they hardly use.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::{Server, ServerBuilder};

use crate::bench::status_bytes;
use crate::hostile::visit_pages;
use crate::machine::{execute, target};

/// More than the server takes at one time, so that it turns some away.
const CLIENTS: usize = 1200;
/// Time between two signs of life of a client; shorter than any limit of the server's.
const PAUSE: Duration = Duration::from_secs(5);
const SECONDS: u64 = 60;
/// What a page must take at most.
const GOAL_MS: u128 = 100;

/// What a slow client does.
#[derive(Clone, Copy)]
enum Kind {
    /// Says nothing.
    Silent,
    /// Sends a head byte by byte.
    Head,
    /// Sends a body byte by byte.
    Body,
    /// Reads an answer byte by byte.
    Reader,
}

const KINDS: [Kind; 4] = [Kind::Silent, Kind::Head, Kind::Body, Kind::Reader];

pub(crate) fn run() -> Result<()> {
    execute("cargo", &["build", "--release", "--quiet"])?;
    let folder = tempfile::tempdir()?;
    let server = start(&target().join("release/skep"), folder.path())?;
    let calm = told(visit_for(&server, Duration::from_secs(5)), "calm");
    let before = status_bytes(server.pid(), "VmRSS:")?;
    let (stop, opened) = (AtomicBool::new(false), AtomicU64::new(0));
    let pages = thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, stop, opened) = (&server, &stop, &opened);
            let slow = move || hold(server, KINDS[client % KINDS.len()], stop, opened);
            // A thousand threads that sleep need little of the stack that is the default.
            let _ = thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, slow);
        }
        let pages = visit_for(&server, Duration::from_secs(SECONDS));
        stop.store(true, Ordering::Relaxed);
        pages
    });
    println!("{CLIENTS} slow clients opened {} connections in {SECONDS} s", opened.load(Ordering::Relaxed));
    let flooded = told(pages, "flooded");
    let grown = status_bytes(server.pid(), "VmHWM:")?.saturating_sub(before);
    println!("p99 {flooded} ms beside {calm} ms without them (goal: {GOAL_MS}); grown by {} MiB at most", grown >> 20);
    Ok(())
}

fn start(skep: &Path, folder: &Path) -> Result<Server> {
    Ok(ServerBuilder::new(skep, folder.join("data")).start()?)
}

fn visit_for(server: &Server, time: Duration) -> Vec<Duration> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let pages = scope.spawn(|| visit_pages(server, &stop));
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        pages.join().unwrap_or_default()
    })
}

/// Prints how long pages took and gives the milliseconds of the slowest of a hundred.
fn told(mut pages: Vec<Duration>, what: &str) -> u128 {
    pages.sort();
    let part = |hundredths: usize| pages.get(pages.len() * hundredths / 100).map_or(0, Duration::as_millis);
    let slowest = pages.last().map_or(0, Duration::as_millis);
    println!("{what}: {} pages, milliseconds: median {}, p99 {}, slowest {slowest}", pages.len(), part(50), part(99));
    part(99)
}

/// Keeps a connection as long as the server lets it, and opens another one then.
fn hold(server: &Server, kind: Kind, stop: &AtomicBool, opened: &AtomicU64) {
    let address = server.url().trim_start_matches("http://");
    while !stop.load(Ordering::Relaxed) {
        if let Ok(stream) = TcpStream::connect(address) {
            opened.fetch_add(1, Ordering::Relaxed);
            // It ends with an error when the server has had enough.
            let _ = trickle(stream, kind, stop);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn trickle(mut stream: TcpStream, kind: Kind, stop: &AtomicBool) -> std::io::Result<()> {
    let head: &[u8] = match kind {
        Kind::Silent => b"",
        Kind::Head => b"GET / HTTP/1.1\r\nX-Long: ",
        Kind::Body => b"POST /api/v1/query HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\nquery=",
        Kind::Reader => b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    };
    stream.write_all(head)?;
    stream.set_read_timeout(Some(PAUSE))?;
    let begun = Instant::now();
    let mut byte = [0];
    while !stop.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(SECONDS) {
        match kind {
            Kind::Head | Kind::Body => {
                stream.write_all(b"a")?;
                thread::sleep(PAUSE);
            }
            // Both end when the server closes.
            Kind::Silent | Kind::Reader => match stream.read(&mut byte) {
                Ok(0) => return Ok(()),
                Ok(_) => thread::sleep(PAUSE),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            },
        }
    }
    Ok(())
}
