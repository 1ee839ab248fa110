//! A Prometheus of our own: started on a free port in a folder of its own, killed by its id.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use model::{Labels, Sample, Timestamp};
use promql::Range;
use serde_json::Value as Json;
use testkit::{Prometheus, WriteRequest};

pub(crate) struct Server {
    process: Prometheus,
    _folder: tempfile::TempDir,
}

impl Server {
    /// `None` where there is no peer.
    pub(crate) fn start(features: &str) -> Option<Self> {
        let program = testkit::peer("prometheus")?;
        let folder = tempfile::tempdir().unwrap();
        let features = format!("--enable-feature=promql-experimental-functions,{features}");
        let args = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100y", &features];
        let config = "global: {evaluation_interval: 1m}\n";
        let process = Prometheus::start(&program, folder.path(), config, &args).unwrap();
        let build = process.get("/api/v1/status/buildinfo").unwrap();
        let build: Json = serde_json::from_str(&build).unwrap();
        println!("the peer is Prometheus {}", build["data"]["version"]);
        Some(Self { process, _folder: folder })
    }

    fn request(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.process.address()).ok()?;
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
        // Label values of the peer hold any bytes.
        let answer = String::from_utf8_lossy(&answer);
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"))
    }

    pub(crate) fn instant(&self, query: &str, at: Timestamp, lookback: Option<Duration>) -> Json {
        let mut params = vec![("query", query.to_owned()), ("time", seconds(at))];
        params.extend(lookback.map(lookback_param));
        self.ask("/api/v1/query", &params)
    }

    pub(crate) fn range(&self, query: &str, range: &Range, lookback: Option<Duration>) -> Json {
        let step = range.step.as_millis() as i64;
        let mut params = vec![
            ("query", query.to_owned()),
            ("start", seconds(range.start)),
            ("end", seconds(range.end)),
            ("step", seconds(step)),
        ];
        params.extend(lookback.map(lookback_param));
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
            let mut request = WriteRequest::default();
            for (labels, samples) in data {
                if let Some(sample) = samples.iter().find(|sample| sample.timestamp == time) {
                    let labels: Vec<_> = labels.iter().collect();
                    request = request.series(&labels, &[(sample.timestamp, sample.value)]);
                }
            }
            let (status, body) = self
                .request("POST", "/api/v1/write", "application/x-protobuf", &request.body())
                .expect("the peer takes samples");
            assert!(status < 300, "remote write: {status} {}", String::from_utf8_lossy(&body));
        }
    }
}

fn lookback_param(lookback: Duration) -> (&'static str, String) {
    ("lookback_delta", lookback.as_secs().to_string())
}

fn seconds(millis: i64) -> String {
    format!("{}", millis as f64 / 1e3)
}

fn escape(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}
