//! Clients that ask what no dashboard should: every path that makes a server hold much, work long or recurse.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::server::escape;

/// A reader that is not answered for this long gives up; it is longer than a query may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// Steps of a range query that are still allowed.
const STEPS: i64 = 10_999;

/// Bytes of an answer that are kept: the others are read and forgotten.
const KEPT_BYTES: usize = 4096;

/// Lasting longer than the data, so that every sample is asked for.
const LONG_SECONDS: i64 = 6 * 3600;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A whole answer of status 200.
    Answered,
    /// An error with its status and its beginning.
    Refused(u16, String),
    /// The client hung up before there was an answer.
    Left,
    /// The connection ended without a whole answer.
    Broken(String),
}

/// Paths with queries that ask for too much of series named `load` (labels `number`, `device`, `le`) and of everything
/// else, up to this time in seconds.
pub fn hostile_requests(end: i64) -> Vec<String> {
    let ranges =
        range_queries().into_iter().map(|query| range(&query, end, LONG_SECONDS, LONG_SECONDS as f64 / STEPS as f64));
    let instants =
        instant_queries().into_iter().map(|query| format!("/api/v1/query?query={}&time={end}", escape(&query)));
    ranges.chain(instants).chain(other_requests(end)).collect()
}

fn range(query: &str, end: i64, seconds: i64, step: f64) -> String {
    format!("/api/v1/query_range?query={}&start={}&end={end}&step={step:.3}&nocache=1", escape(query), end - seconds)
}

/// Asked at nearly as many steps as are allowed.
fn range_queries() -> Vec<String> {
    let storm = (0..20).fold("load".to_owned(), |inner, i| {
        format!("label_replace({inner}, \"x{i}\", \"$1-$1-$1\", \"number\", \"(.*)\")")
    });
    let chain = (1..100).fold("load".to_owned(), |mut text, i| {
        let _ = write!(text, " + load offset {i}s");
        text
    });
    let union = (1..100).fold("load".to_owned(), |mut text, i| {
        let _ = write!(text, " or label_replace(load offset {i}s, \"x\", \"{i}\", \"\", \"\")");
        text
    });
    let fixed = [
        "{__name__=~\".+\"}",
        "sum by (number, device, le, instance) ({__name__=~\".+\"})",
        "label_join({__name__=~\".+\"}, \"x\", \",\", \"number\", \"device\", \"le\", \"number\", \"device\", \"le\")",
        "count_values(\"v\", {__name__=~\".+\"})",
        "count_values(\"v\", rate(load[1m]) + on(number, device, le) load)",
        "quantile_over_time(0.99, {__name__=~\".+\"}[6h])",
        "sum(quantile_over_time(0.99, load[6h]))",
        "quantile by (device) (0.5, load)",
        "predict_linear({__name__=~\".+\"}[6h], 3600)",
        "max_over_time(rate(load[5m])[6h:1s])",
        "max_over_time(max_over_time(max_over_time(load[1h:1s])[1h:1s])[1h:1s])",
        "absent_over_time({__name__=~\".+\"}[6h:1s])",
        "topk(1000000, {__name__=~\".+\"})",
        "load * on(device) group_left load",
        "load * on(number, device, le) group_left(x) label_replace(load, \"x\", \"$1\", \"number\", \"(.*)\")",
        "load unless on(number) (load offset 5m) or load",
        "sort_desc(stddev_over_time(load[6h]))",
        "histogram_quantile(0.9, {__name__=~\".+\"})",
        "sum_over_time(vector(1)[1000d:1s])",
        "{__name__=~\"((.*l.*)*o.*)*(.*a.*){20}d?.*\"}",
    ];
    fixed.map(str::to_owned).into_iter().chain([storm, chain, union]).collect()
}

/// Asked at one time.
fn instant_queries() -> Vec<String> {
    let alternatives = (0..5000).map(|i| format!("v{i}")).collect::<Vec<_>>().join("|");
    vec![
        "{__name__=~\".+\"}[6h]".to_owned(),
        "{__name__=~\".+\"}[6h:1s]".to_owned(),
        "load * on() group_left() load".to_owned(),
        "load{number=~\"((((a{100}){100}){100}){100}){100}\"}".to_owned(),
        format!("load{{number=~\"{alternatives}\"}}"),
        format!("{}load{}", "(".repeat(3000), ")".repeat(3000)),
        format!("{}load", "-".repeat(30_000)),
        "sum_over_time(quantile_over_time(0.5, load[6h:1s])[6h:1s])".to_owned(),
    ]
}

fn other_requests(end: i64) -> Vec<String> {
    let everything = escape("{__name__=~\".+\"}");
    let begin = end - LONG_SECONDS;
    vec![
        // A million steps.
        range("load", end, LONG_SECONDS, 0.021),
        format!("/api/v1/series?match[]={everything}&start=0&end={end}"),
        format!("/api/v1/labels?match[]={everything}&match[]={everything}"),
        format!("/api/v1/query_exemplars?query={everything}&start={begin}&end={end}"),
        format!("/federate?match[]={everything}&match[]=load"),
    ]
}

/// Asks, and reads the answer as fast as it comes. A client with little patience hangs up after it.
pub fn ask_hostile(address: &str, request: &str, leaves_after: Option<Duration>) -> Ending {
    let outcome = TcpStream::connect(address).and_then(|mut stream| {
        let head = format!("GET {request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.set_read_timeout(Some(leaves_after.unwrap_or(PATIENCE)))?;
        read(&mut stream)
    });
    match outcome {
        Ok(answer) => answer.ending(),
        Err(error) if leaves_after.is_some() && is_timeout(&error) => Ending::Left,
        Err(error) => Ending::Broken(error.to_string()),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Both ends of an answer.
struct Answer {
    first: Vec<u8>,
    last: Vec<u8>,
    bytes: usize,
}

fn read(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut answer = Answer { first: Vec::new(), last: Vec::new(), bytes: 0 };
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(answer);
        }
        answer.bytes += read;
        let room = KEPT_BYTES - answer.first.len();
        answer.first.extend_from_slice(&buffer[..read.min(room)]);
        answer.last.extend_from_slice(&buffer[..read]);
        let surplus = answer.last.len().saturating_sub(KEPT_BYTES);
        answer.last.drain(..surplus);
    }
}

impl Answer {
    fn ending(&self) -> Ending {
        let text = String::from_utf8_lossy(&self.first);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Ending::Broken(format!("{} bytes: {text}", self.bytes));
        };
        let lower = head.to_ascii_lowercase();
        let declared = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let is_whole = match declared {
            Some(length) => self.bytes == head.len() + 4 + length,
            None => self.last.ends_with(b"\r\n0\r\n\r\n"),
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        match (status, is_whole) {
            (_, false) => Ending::Broken(format!("{} bytes without their end: {head}", self.bytes)),
            (200, true) => Ending::Answered,
            (status, true) => Ending::Refused(status, body.to_owned()),
        }
    }
}
