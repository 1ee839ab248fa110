//! What stands around the API: pages of other sites, paths of proxies, methods.

use std::io::{Read, Write};
use std::net::TcpStream;

use testkit::{Server, poll_until};

use crate::{ALONE, builder};

/// An answer: its status, its head in lower case, its body. Nothing is followed.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn address(server: &Server) -> String {
    server.url().strip_prefix("http://").unwrap().to_owned()
}

fn ask(server: &Server, request: &str) -> Answer {
    let address = address(server);
    let mut stream = TcpStream::connect(&address).unwrap();
    let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
    let headers: String = headers.lines().map(|header| format!("{}\r\n", header.trim())).collect();
    write!(stream, "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// Status, words of the body, headers that are there.
fn check(server: &Server, request: &str, expected: (u16, &str), headers: &[&str]) {
    let Answer { status, head, body } = ask(server, request);
    assert!(status == expected.0 && body.contains(expected.1), "{request}: {head}\n{body}");
    for header in headers {
        assert!(head.contains(header), "{request}: no {header} in {head}");
    }
}

/// Events come as they happen, so that only the head is waited for.
fn check_stream(server: &Server, path: &str) {
    let mut stream = TcpStream::connect(address(server)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", address(server)).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"), "{path}: {head}");
}

fn lacks(server: &Server, request: &str, header: &str) {
    let head = ask(server, request).head;
    assert!(!head.contains(header), "{request}: {head}");
}

#[test]
fn pages_of_other_sites() {
    let folder = tempfile::tempdir().unwrap();
    let query = "/api/v1/query?query=1&time=1";
    let closed = builder(folder.path(), ALONE).start().unwrap();
    let evil = format!("GET {query}\nOrigin: http://evil.example");
    check(&closed, &evil, (200, "success"), &["cross-origin-resource-policy: same-origin"]);
    lacks(&closed, &evil, "access-control");
    check(&closed, "OPTIONS /api/v1/query\nOrigin: http://evil.example", (204, ""), &[]);
    lacks(&closed, "OPTIONS /api/v1/query\nOrigin: http://evil.example", "access-control");
    drop(closed);

    let cors = r"--web.cors.origin=https?://(grafana|dash)\.example";
    let server = builder(folder.path(), ALONE).arg(cors).arg("--web.enable-admin-api").start().unwrap();
    let allowed = [
        "access-control-allow-origin: http://dash.example",
        "access-control-allow-methods: get, post, options",
        "access-control-allow-headers: accept, authorization, content-type, origin",
        "access-control-expose-headers: date",
        "vary: origin",
    ];
    check(&server, &format!("GET {query}\nOrigin: http://dash.example"), (200, "success"), &allowed);
    check(&server, "OPTIONS /api/v1/nothing\nOrigin: http://dash.example", (204, ""), &allowed);
    let post = "POST /api/v1/query?query=1\nOrigin: http://dash.example\nSec-Fetch-Site: cross-site\nContent-Length: 0";
    check(&server, post, (200, "success"), &allowed);
    for origin in ["http://evil.example", "http://dash.example.evil", "http://xdash.example", "null"] {
        let request = format!("GET {query}\nOrigin: {origin}");
        check(&server, &request, (200, "success"), &["vary: origin"]);
        lacks(&server, &request, "access-control");
        let post = format!("POST /api/v1/query?query=1\nOrigin: {origin}\nContent-Length: 0");
        check(&server, &post, (403, "comes from the origin"), &[]);
    }
    for write in ["/api/v1/admin/tsdb/snapshot", "/api/v1/write", "/-/quit"] {
        let request = format!("POST {write}\nOrigin: http://dash.example\nContent-Length: 0");
        check(&server, &request, (403, "comes from the origin"), &[]);
    }
}

#[test]
fn methods() {
    let folder = tempfile::tempdir().unwrap();
    let server = builder(folder.path(), ALONE).start().unwrap();
    for path in ["/-/healthy", "/-/ready"] {
        check(&server, &format!("GET {path}"), (200, "skep is"), &[]);
        check(&server, &format!("HEAD {path}"), (200, ""), &[]);
        check(&server, &format!("POST {path}\nContent-Length: 0"), (405, "Method Not Allowed\n"), &[]);
    }
    for path in ["/-/quit", "/-/reload"] {
        check(&server, &format!("GET {path}"), (405, "Only POST or PUT requests allowed\n"), &[]);
        check(&server, &format!("DELETE {path}"), (405, "Method Not Allowed\n"), &[]);
        for method in ["POST", "PUT"] {
            let closed = (403, "Lifecycle API is not enabled");
            check(&server, &format!("{method} {path}\nContent-Length: 0"), closed, &[]);
        }
    }
    for path in ["/api/v1/write", "/api/v1/read", "/api/v1/admin/tsdb/snapshot"] {
        check(&server, &format!("GET {path}"), (405, "Method Not Allowed\n"), &["allow: "]);
    }
    drop(server);
    let server = builder(folder.path(), ALONE).arg("--web.enable-lifecycle").start().unwrap();
    check(&server, "PUT /-/reload\nContent-Length: 0", (200, ""), &[]);
    check(&server, "POST /-/quit\nContent-Length: 0", (200, "Requesting termination... Goodbye!"), &[]);
    let address = address(&server);
    poll_until("skep to end", || TcpStream::connect(&address).is_err().then_some(()));
}

#[test]
fn behind_proxies() {
    let folder = tempfile::tempdir().unwrap();
    let query = "api/v1/query?query=1&time=1";
    let scalar = (200, r#""result":[1,"1"]"#);
    let external = || builder(folder.path(), ALONE).arg("--web.external-url=https://box.example/skep/");
    let server = external().start().unwrap();
    for top in ["/", "/skep/"] {
        check(&server, &format!("GET {top}{query}"), scalar, &[]);
        check(&server, &format!("GET {top}-/ready"), (200, "Ready"), &[]);
        check(&server, &format!("GET {top}"), (200, "/skep/"), &["text/html"]);
        check_stream(&server, &format!("{top}ui/live"));
        check(&server, &format!("GET {top}metrics"), (200, "skep_build_info"), &[]);
    }
    drop(server);
    let server = external().arg("--web.route-prefix=/inner").start().unwrap();
    check(&server, &format!("GET /inner/{query}"), scalar, &[]);
    check_stream(&server, "/inner/ui/live");
    check(&server, "GET /inner/", (200, "/skep/"), &["text/html"]);
    check(&server, "GET /", (302, ""), &["location: /inner/"]);
    for path in [format!("/{query}"), format!("/skep/{query}"), "/-/ready".to_owned(), "/innermost".to_owned()] {
        check(&server, &format!("GET {path}"), (404, ""), &[]);
    }
}
