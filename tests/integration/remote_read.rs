//! A real Prometheus without samples of its own reads them from skep, and answers as skep does.

use serde_json::Value;
use testkit::{Prometheus, Server, WriteRequest};

use crate::{ALONE, builder, json, value};

/// Gauges, counters, gaps, staleness markers, infinities and times that are not even, for an hour.
fn fill(server: &Server, now: i64) {
    let mut request = WriteRequest::default();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    for instance in 0..20 {
        let name = format!("i{instance:02}");
        let labels = |metric| [("__name__", metric), ("instance", &*name), ("job", "sender")];
        let times = (0..240).map(|i| (now - 3_600_000) + i * 15_000 + i * i * instance % 977);
        let gauge: Vec<(i64, f64)> = times.clone().zip(0..).map(|(t, i)| (t, f64::from(i).sin())).collect();
        let counter: Vec<(i64, f64)> = times.zip(0..).map(|(t, i)| (t, f64::from(i % 100) * 3.0)).collect();
        let odd: Vec<(i64, f64)> = gauge
            .iter()
            .enumerate()
            .map(|(i, &(t, v))| (t, [v, f64::INFINITY, f64::NAN, stale, -0.0, 5e-324][i % 6]))
            .filter(|(t, _)| t % 5 > 0)
            .collect();
        request = request
            .series(&labels("gauge"), &gauge)
            .series(&labels("requests_total"), &counter)
            .series(&labels("odd"), &odd);
    }
    let answer = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body()).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.body);
}

/// The result of an answer, series in order.
fn result(text: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(answer["status"], "success", "{text}");
    let mut series: Vec<String> = answer["data"]["result"].as_array().unwrap().iter().map(Value::to_string).collect();
    series.sort();
    series
}

#[test]
fn prometheus_reads_from_skep() {
    let Some(program) = testkit::peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = format!("global: {{external_labels: {{cluster: c1, replica: a}}}}\n{ALONE}");
    // Frames of three chunks, so that series come in parts.
    let server = builder(folder.path(), &config).arg("--storage.remote.read-max-bytes-in-frame=2000").start().unwrap();
    let now = value(&server, "vector(time())").unwrap() as i64 * 1000;
    fill(&server, now);
    for chunks in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let reads = format!(
            "global: {{external_labels: {{cluster: c1}}}}\nremote_read: [{{url: '{}/api/v1/read', read_recent: true}}]\n",
            server.url(),
        );
        let reads =
            if chunks { reads } else { reads.replace("read_recent", "required_matchers: {cluster: c1}, read_recent") };
        let reader = Prometheus::start(&program, folder.path(), &reads, &[]).unwrap();
        let seconds = now / 1000;
        let cluster = if chunks { "" } else { "cluster=\"c1\"," };
        for query in [
            "gauge{SELECT}",
            "{__name__=~\"gauge|odd\",SELECT instance!~\"i1.\"}",
            "sum by (job) (rate(requests_total{SELECT}[5m]))",
            "increase(requests_total{SELECT instance=\"i07\"}[40m])",
            "count_over_time(odd{SELECT}[1h])",
            "last_over_time(gauge{SELECT}[3m] offset 10m)",
            "nothing{SELECT}",
        ] {
            for kind in ["query?time=", "query_range?step=77&start="] {
                let start = if kind.starts_with("query_range") { seconds - 3500 } else { seconds - 100 };
                let path = |select: &str| {
                    let query = query.replace("SELECT", select);
                    let query: String = query.bytes().map(|b| format!("%{b:02x}")).collect();
                    format!("/api/v1/{kind}{start}&end={seconds}&query={query}")
                };
                // skep has no cluster of its own in its series; what it hands out, it has. The reader takes off what it knows.
                let ours = server
                    .get(&path(""))
                    .unwrap()
                    .body
                    .replace("\"job\":\"sender\"", "\"job\":\"sender\",\"replica\":\"a\"");
                let theirs = reader.get(&path(cluster)).unwrap();
                let theirs = theirs.replace("\"cluster\":\"c1\",", "");
                if query.starts_with("sum") {
                    assert_eq!(result(&ours.replace(",\"replica\":\"a\"", "")), result(&theirs), "{query} {kind}");
                } else {
                    assert_eq!(result(&ours), result(&theirs), "{query} {kind}");
                }
            }
        }
    }
}

#[test]
fn limits_of_remote_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = builder(folder.path(), ALONE).arg("--storage.remote.read-sample-limit=4799").start().unwrap();
    let now = value(&server, "vector(time())").unwrap() as i64 * 1000;
    fill(&server, now);
    let check = |start: i64, end: i64, status: u16, words: &str| {
        let mut matcher = vec![0x12, 8];
        matcher.extend(b"__name__");
        matcher.extend([0x1a, 5]);
        matcher.extend(b"gauge");
        let mut query = vec![0x08];
        varint(&mut query, start);
        query.push(0x10);
        varint(&mut query, end);
        query.extend([0x1a, matcher.len() as u8]);
        query.extend(&matcher);
        let mut request = vec![0x0a, query.len() as u8];
        request.extend(&query);
        let mut packed = vec![request.len() as u8, ((request.len() - 1) << 2) as u8];
        packed.extend(&request);
        let answer = server.post("/api/v1/read", &[], &packed).unwrap();
        assert!(answer.status == status && answer.body.contains(words), "{answer:?}");
    };
    check(0, now + 1_000_000, 400, "exceeded sample limit (4799)");
    check(now - 1_800_000, now, 200, "instance");
    check(5, 1, 200, "");
    let answer = server.get("/api/v1/read").unwrap();
    assert_eq!((answer.status, &*answer.body), (405, "Method Not Allowed\n"));
    assert_eq!(json(&server.query("1", None).unwrap())["status"], "success");
}

fn varint(into: &mut Vec<u8>, number: i64) {
    let mut number = number.cast_unsigned();
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}
