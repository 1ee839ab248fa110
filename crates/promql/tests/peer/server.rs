//! A Prometheus of our own: started on a free port in a folder of its own, killed by its id.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use model::{Labels, Sample, Timestamp};
use promql::Range;
use serde_json::Value as Json;

/// How long the peer may take to start.
const START_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    pub(crate) fn start(binary: &str, features: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(folder.path().join("prometheus.yml"), "global: {evaluation_interval: 1m}\n").unwrap();
        let process = Command::new(binary)
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100y"])
            .arg(format!("--enable-feature=promql-experimental-functions,{features}"))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, port, _folder: folder };
        let deadline = Instant::now() + START_MAX;
        while !server.is_ready() {
            assert!(Instant::now() < deadline, "the peer did not start");
            thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn is_ready(&self) -> bool {
        self.request("GET", "/-/ready", "text/plain", b"").is_some_and(|(status, _)| status == 200)
    }

    fn request(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Encoding: {}\r\nContent-Length: {}\r\n\r\n",
            if kind == "application/x-protobuf" { "snappy" } else { "identity" },
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let split = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
        let status = std::str::from_utf8(&answer[9..12]).ok()?.parse().ok()?;
        Some((status, answer[split + 4..].to_vec()))
    }

    fn ask(&self, path: &str, params: &[(&str, String)]) -> Json {
        let pairs: Vec<String> = params.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let body = pairs.join("&");
        let (_, answer) =
            self.request("POST", path, "application/x-www-form-urlencoded", body.as_bytes()).expect("the peer answers");
        serde_json::from_slice(&answer).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&answer)))
    }

    pub(crate) fn instant(&self, query: &str, at: Timestamp) -> Json {
        self.ask("/api/v1/query", &[("query", query.to_owned()), ("time", seconds(at))])
    }

    pub(crate) fn range(&self, query: &str, range: &Range) -> Json {
        let step = range.step.as_millis() as i64;
        let params = [
            ("query", query.to_owned()),
            ("start", seconds(range.start)),
            ("end", seconds(range.end)),
            ("step", seconds(step)),
        ];
        self.ask("/api/v1/query_range", &params)
    }

    /// How the peer formats an expression, or its error.
    pub(crate) fn format(&self, query: &str) -> Json {
        self.ask("/api/v1/format_query", &[("query", query.to_owned())])
    }

    /// Remote write, one request a time, so that the peer's order of series is ours.
    pub(crate) fn write(&self, data: &[(Labels, Vec<Sample>)]) {
        let mut times: Vec<Timestamp> = data.iter().flat_map(|(_, s)| s.iter().map(|s| s.timestamp)).collect();
        times.sort_unstable();
        times.dedup();
        for time in times {
            let mut request = Vec::new();
            for (labels, samples) in data {
                if let Some(sample) = samples.iter().find(|sample| sample.timestamp == time) {
                    field(&mut request, 1, &time_series(labels, sample));
                }
            }
            let (status, body) = self
                .request("POST", "/api/v1/write", "application/x-protobuf", &snappy(&request))
                .expect("the peer takes samples");
            assert!(status < 300, "remote write: {status} {}", String::from_utf8_lossy(&body));
        }
    }
}

fn seconds(millis: i64) -> String {
    format!("{}", millis as f64 / 1e3)
}

fn escape(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn time_series(labels: &Labels, sample: &Sample) -> Vec<u8> {
    let mut series = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        field(&mut label, 1, name.as_bytes());
        field(&mut label, 2, value.as_bytes());
        field(&mut series, 1, &label);
    }
    let mut encoded = vec![1 << 3 | 1];
    encoded.extend(sample.value.to_le_bytes());
    encoded.push(2 << 3);
    varint(&mut encoded, sample.timestamp as u64);
    field(&mut series, 2, &encoded);
    series
}

/// Snappy's block format with literals only.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, bytes.len() as u64);
    for chunk in bytes.chunks(1 << 16) {
        out.push(61 << 2);
        out.extend(((chunk.len() - 1) as u16).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out
}
