//! A page as the HTTP server sends it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use demo::{Endpoint, Ports, World};
use model::{Clock, Timestamp};

/// A clock that stands.
struct Stopped(Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// The answer to a request: its head and its body.
pub(crate) fn ask(world: World, endpoint: Endpoint, at: Timestamp, request: &str) -> (String, String) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let servers = runtime.block_on(demo::serve(Arc::new(world), Arc::new(Stopped(at)), Ports::Any)).unwrap();
    let find = |(served, address): &(Endpoint, SocketAddr)| (*served == endpoint).then_some(*address);
    let mut stream = TcpStream::connect(servers.addresses().iter().find_map(find).unwrap()).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// The endpoint's page at a time.
pub(crate) fn text(seed: u64, start: Timestamp, endpoint: Endpoint, at: Timestamp) -> String {
    let (head, body) = ask(World::new(seed, start), endpoint, at, "GET /metrics");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    body
}
