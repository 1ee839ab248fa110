//! Clients that are too slow or too many, with real sockets. Limits are short so that tests are; no test asserts on time.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::{get, post};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Nothing takes so long, except what does not end.
const DEADLINE: Duration = Duration::from_secs(60);

/// Between two bytes of a client that trickles.
const TRICKLE: Duration = Duration::from_millis(5);

const QUICK: Pace = Pace { grace: Duration::from_millis(200), bytes_per_second: 1 << 20 };

/// Endless answers that the server holds.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// A body without end.
struct Endless;

impl Endless {
    fn new() -> Self {
        HELD.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::SeqCst);
    }
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 8192])))))
    }
}

/// A server with these limits; it ends with the runtime of its test.
async fn start(limits: Limits) -> SocketAddr {
    let app = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/endless", get(|| async { Body::new(Endless::new()) }))
        .route("/said", get(async |uri: axum::http::Uri| uri.to_string()))
        .route("/length", post(length));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, stop) = watch::channel(false);
    tokio::spawn(async move {
        serve_within(limits, listener, app, Lane::start().unwrap(), Front::default(), stop).await;
        drop(end);
    });
    address
}

async fn length(body: Body) -> (StatusCode, String) {
    match axum::body::to_bytes(body, usize::MAX).await {
        Ok(body) => (StatusCode::OK, body.len().to_string()),
        Err(error) => (StatusCode::REQUEST_TIMEOUT, error.to_string()),
    }
}

/// Sends a text byte by byte, the last one again and again, until the server answers or hangs up. Gives what it said.
async fn trickle(address: SocketAddr, text: &str) -> String {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let sending = async {
        let last = text.as_bytes().last().copied().unwrap_or_default();
        for byte in text.bytes().chain(std::iter::repeat(last)) {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(TRICKLE).await;
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    let hearing = async {
        // A reset after the answer is an end, too.
        let _ = reader.read_to_end(&mut said).await;
    };
    tokio::select! {
        () = sending => {}
        () = hearing => {}
        () = tokio::time::sleep(DEADLINE) => panic!("the server still listens to {text:?}"),
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Sends a text at once and gives the answer until the server hangs up.
async fn ask(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said)).await.expect("an answer");
    String::from_utf8_lossy(&said).into_owned()
}

#[track_caller]
fn check(got: &str, expected: &[&str]) {
    match expected {
        [] => assert_eq!(got, ""),
        parts => assert!(parts.iter().all(|part| got.contains(part)), "{got:?} lacks one of {parts:?}"),
    }
}

const HERE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn addresses_as_they_are_typed() {
    let address = start(LIMITS).await;
    let long = "\"".repeat(4000);
    let cases = [
        ("?q=up{job=\"a\"}>0", "?q=up{job=%22a%22}%3E0".to_owned()),
        ("?q=%22<", "?q=%22%3C".to_owned()),
        ("", String::new()),
        (&format!("?{long}"), format!("?{}", "%22".repeat(4000))),
    ];
    for (typed, read) in cases {
        let head = format!("GET /said{typed} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Note: \"<>\"\r\n\r\n");
        check(&ask(address, &head).await, &["200 OK", &format!("\r\n\r\n/said{read}")]);
    }
}

#[tokio::test]
async fn clients_that_send_byte_by_byte() {
    let short = Duration::from_millis(200);
    let address = start(Limits { header: short, header_crowded: short, body: QUICK, ..LIMITS }).await;
    check(&trickle(address, "GET /aaaa").await, &[]);
    check(&trickle(address, "GET / HTTP/1.1\r\nHost: a").await, &[]);
    check(&trickle(address, "POST /api/v1/write HTTP/1.1\r\nHost: a").await, &[]);
    check(&ask(address, HERE).await, &["200 OK", "here"]);

    let address = start(Limits { body: QUICK, ..LIMITS }).await;
    let head = "POST /length HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let timed_out = ["408 Request Timeout", "the client is too slow"];
    check(&trickle(address, &format!("{head}Content-Length: 1000000\r\n\r\na")).await, &timed_out);
    check(&ask(address, &format!("{head}Content-Length: 2\r\n\r\na")).await, &timed_out);
    check(&ask(address, &format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\na")).await, &timed_out);

    // Slow, but not too slow.
    let address = start(LIMITS).await;
    check(&trickle(address, &format!("{head}Content-Length: 20\r\n\r\na")).await, &["200 OK", "20"]);
    check(&trickle(address, HERE).await, &["200 OK", "here"]);
}

/// The memory of an answer comes back, though nobody reads it.
#[tokio::test]
async fn clients_that_do_not_read() {
    let address = start(Limits { answer: QUICK, ..LIMITS }).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut first = [0; 8];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1");
    let released = async {
        while HELD.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(TRICKLE).await;
        }
    };
    tokio::time::timeout(DEADLINE, released).await.expect("the answer is given up");
    check(&ask(address, HERE).await, &["200 OK", "here"]);
}

#[tokio::test]
async fn too_many_connections() {
    let short = Duration::from_millis(200);
    let address = start(Limits { connections: 4, header_crowded: short, header: short, ..LIMITS }).await;
    let mut open = Vec::new();
    for number in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Some send nothing at all.
        stream.write_all(&b"GET / HT"[..number % 8]).await.unwrap();
        open.push(stream);
    }
    check(&ask(address, HERE).await, &["200 OK", "here"]);
    drop(open);
}

#[test]
fn one_address_does_not_take_all_connections() {
    let addresses = Addresses::default();
    let count = |address: &str| {
        let address = address.parse().unwrap();
        let admitted: Vec<_> = (0..CONNECTIONS_MAX).map_while(|_| addresses.admit(address)).collect();
        admitted.len()
    };
    let cases =
        [("192.0.2.1", CONNECTIONS_PER_ADDRESS_MAX), ("2001:db8::1", 32), ("127.0.0.1", CONNECTIONS_MAX), ("::1", 256)];
    for (address, expected) in cases {
        assert_eq!(count(address), expected, "{address}");
    }
    // All are released.
    assert_eq!(count("192.0.2.1"), CONNECTIONS_PER_ADDRESS_MAX);
}

#[tokio::test]
async fn heads_without_end() {
    let address = start(LIMITS).await;
    let (path, header) = ("p".repeat(70 << 10), "h".repeat(4 * REQUEST_HEAD_BYTES_MAX));
    check(&ask(address, &format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n")).await, &["414 URI Too Long"]);
    check(
        &ask(address, &format!("GET / HTTP/1.1\r\nA: {header}\r\n\r\n")).await,
        &["431 Request Header Fields Too Large"],
    );
    let fits = "h".repeat(16 << 10);
    let close = "Connection: close";
    check(
        &ask(address, &format!("GET /?{} HTTP/1.1\r\nHost: a\r\nA: {fits}\r\n{close}\r\n\r\n", &path[..60_000])).await,
        &["200 OK"],
    );
}
