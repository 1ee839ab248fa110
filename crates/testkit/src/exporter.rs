//! An exporter on a free port of the loopback that does what a test tells it, good or bad. It keeps the bodies that are
//! sent to it, so that it serves as the receiver of webhooks too.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What to answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A page in the text format.
    Page(String),
    /// A document in JSON, such as a list of targets.
    Json(String),
    /// The head of an answer and then nothing.
    Hang,
    /// A body without end, sent until the reader gives up.
    Endless,
    /// This status without a body.
    Status(u16),
}

/// A running exporter; dropping it ends it.
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    reply: Mutex<Reply>,
    requests: AtomicU64,
    /// When it was asked last, and the longest time from one request to the next.
    pauses: Mutex<(Option<Instant>, Duration)>,
    bodies: Mutex<Vec<String>>,
    stop: AtomicBool,
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nConnection: close\r\n";

/// A hanging or endless answer looks this often whether the test is over.
const TICK: Duration = Duration::from_millis(20);

impl Exporter {
    /// Starts one.
    pub fn start(reply: Reply) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            reply: Mutex::new(reply),
            requests: AtomicU64::new(0),
            pauses: Mutex::default(),
            bodies: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&serving);
                thread::spawn(move || answer(stream, &shared));
            }
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// `ADDR:PORT`, as a target.
    pub fn target(&self) -> String {
        self.address.to_string()
    }

    /// From now on it answers this.
    pub fn reply(&self, reply: Reply) {
        *self.shared.reply.lock().unwrap_or_else(PoisonError::into_inner) = reply;
    }

    /// How often it was asked.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The longest time from one request to the next, the last of which may be still to come.
    pub fn longest_pause(&self) -> Duration {
        let (last, longest) = *self.shared.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        longest.max(last.map(|last| last.elapsed()).unwrap_or_default())
    }

    /// Bodies that were sent to it, oldest first.
    pub fn bodies(&self) -> Vec<String> {
        self.shared.bodies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn note_arrival(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let (last, longest) = &mut *self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *longest = last.replace(now).map_or(*longest, |last| now.duration_since(last).max(*longest));
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // The accept loop looks at `stop` only after a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) {
    let Ok(body) = read_request(&mut stream) else { return };
    if !body.is_empty() {
        shared.bodies.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    }
    shared.note_arrival();
    let reply = shared.reply.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // A reader that gives up closes the connection; that is what some tests are about.
    let _ = match reply {
        Reply::Page(page) => write!(stream, "{HEAD}Content-Length: {}\r\n\r\n{page}", page.len()),
        Reply::Json(text) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            write!(stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len())
        }
        Reply::Hang => hang(&mut stream, shared),
        Reply::Endless => endless(&mut stream, shared),
        Reply::Status(status) => {
            write!(stream, "HTTP/1.1 {status} Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
    };
}

/// Reads head and body; the body's length must be declared.
fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).map(|text| text.trim().parse());
    let mut body = vec![0; length.and_then(Result::ok).unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn hang(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    write!(stream, "{HEAD}\r\n")?;
    while !shared.stop.load(Ordering::SeqCst) {
        thread::sleep(TICK);
    }
    Ok(())
}

fn endless(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    write!(stream, "{HEAD}\r\n")?;
    let lines = "endless 1\n".repeat(1000);
    while !shared.stop.load(Ordering::SeqCst) {
        stream.write_all(lines.as_bytes())?;
    }
    Ok(())
}
