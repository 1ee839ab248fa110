//! Which bodies are forms, as the real Prometheus reads them.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::peer::Peer;
use crate::server::Server;

const FORM: &str = "application/x-www-form-urlencoded";

/// Method, path, media type, body, and what the answer's status and body are or hold.
type Case = (&'static str, &'static str, &'static str, &'static str, u16, &'static str);

const CASES: [Case; 21] = [
    ("POST", "query", FORM, "query=1&time=1", 200, "[1,\"1\"]"),
    ("POST", "query?query=2&time=1", FORM, "query=1", 200, "[1,\"1\"]"),
    ("POST", "query?query=2&time=1", "", "query=1", 200, "[1,\"2\"]"),
    ("POST", "query?query=2&time=1", "text/plain", "query=1", 200, "[1,\"2\"]"),
    ("POST", "query?query=2&time=1", "application/json", "{\"query\":1}", 200, "[1,\"2\"]"),
    ("POST", "query?query=2&time=1", "Application/X-WWW-form-URLENCODED; charset=utf-8", "query=1", 200, "[1,\"1\"]"),
    ("POST", "query?query=2&time=1", "application/x-www-form-urlencoded;", "query=1", 200, "[1,\"1\"]"),
    ("POST", "query?query=2&time=1", "application/x-www-form-urlencoded ; a=b", "query=1", 200, "[1,\"1\"]"),
    ("POST", "query", "multipart/form-data; boundary=x", "query=1", 400, "no expression found"),
    ("GET", "query?query=2&time=1", FORM, "query=1", 200, "[1,\"2\"]"),
    ("PUT", "query?query=2&time=1", FORM, "query=1", 405, "Method Not Allowed"),
    ("POST", "query", FORM, "", 400, "no expression found"),
    ("POST", "query", FORM, "&=&", 400, "no expression found"),
    ("POST", "query", FORM, "time=1&query=1+1", 400, "unexpected number"),
    ("POST", "query", FORM, "time=1&query=1%2B1", 200, "[1,\"2\"]"),
    ("POST", "query", FORM, "time=1&query=1%", 400, "no expression found"),
    ("POST", "query", FORM, "query=1;time=1", 400, "no expression found"),
    ("POST", "series", FORM, "match[]=up&x=%zz", 400, "invalid URL escape"),
    ("POST", "series", FORM, "match[]=up", 200, "\"data\":[]"),
    ("POST", "labels", FORM, "match[]=up{", 400, "unexpected end of input"),
    ("POST", "label/job/values", FORM, "match[]=up", 405, "Method Not Allowed"),
];

/// Status and body of the answer.
fn ask(url: &str, (method, path, media, body): (&str, &str, &str, &str)) -> (u16, String) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let media = if media.is_empty() { String::new() } else { format!("Content-Type: {media}\r\n") };
    let length = body.len();
    let head =
        format!("{method} /api/v1/{path} HTTP/1.0\r\nHost: {address}\r\n{media}Content-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn bodies() {
    let (server, peer) = (Server::start(), Peer::start());
    for (method, path, media, body, status, holds) in CASES {
        let request = (method, path, media, body);
        let ours = ask(server.url(), request);
        assert!(ours.0 == status && ours.1.contains(holds), "{request:?}: {ours:?}");
        if let Some(peer) = &peer {
            assert_eq!(ours, ask(peer.url(), request), "{request:?}");
        }
    }
}
