//! Remote write 2.0: requests made by hand, sent to skep and to a real Prometheus, and a real Prometheus that sends.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::{Exporter, Prometheus, Reply, Server, poll_until};

use crate::{ALONE, builder, json, start, value};

const TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// A message, or a part of one.
type Bytes = Vec<u8>;

fn varint(mut number: u64) -> Bytes {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn bytes(field: u64, content: &[u8]) -> Bytes {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn number(field: u64, value: i64) -> Bytes {
    [varint(field << 3), varint(value.cast_unsigned())].concat()
}

fn double(field: u64, value: f64) -> Bytes {
    [varint(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn refs(refs: &[u64]) -> Bytes {
    bytes(1, &refs.iter().flat_map(|&at| varint(at)).collect::<Vec<u8>>())
}

fn sample(time: i64, value: f64) -> Bytes {
    bytes(2, &[double(1, value), number(2, time)].concat())
}

fn histogram(time: i64) -> Bytes {
    bytes(3, &[number(1, 5), double(3, 3.0), number(15, time)].concat())
}

fn exemplar(labels: &[u64], time: i64) -> Bytes {
    bytes(4, &[refs(labels), double(2, 1.5), number(3, time)].concat())
}

fn metadata(kind: i64, help: i64, unit: i64) -> Bytes {
    bytes(5, &[number(1, kind), number(3, help), number(4, unit)].concat())
}

fn created(time: i64) -> Bytes {
    number(6, time)
}

fn request(series: &[&[Bytes]]) -> Bytes {
    let symbols = ["", "__name__", "m", "job", "j", "trace_id", "abc", "what it is", "seconds", "m_bucket", "le", "1"];
    let symbols = symbols.iter().flat_map(|symbol| bytes(4, symbol.as_bytes()));
    symbols.chain(series.iter().flat_map(|parts| bytes(5, &parts.concat()))).collect()
}

/// A snappy block of literals.
fn pack(message: &[u8]) -> Bytes {
    let literals = message.chunks(60).flat_map(|part| [vec![((part.len() - 1) << 2) as u8], part.to_vec()].concat());
    varint(message.len() as u64).into_iter().chain(literals).collect()
}

/// Status, samples, histograms and exemplars written, and the text.
type Answer = (u16, [Option<u64>; 3], String);

fn send(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut post = agent.post(format!("{url}/api/v1/write"));
    for (name, value) in headers {
        post = post.header(*name, *value);
    }
    // Prometheus hangs up on requests that make it panic.
    let mut answer = post.send(body).ok()?;
    let count = |what: &str| {
        let header = answer.headers().get(format!("x-prometheus-remote-write-{what}-written"))?;
        header.to_str().unwrap().parse().ok()
    };
    let counts = [count("samples"), count("histograms"), count("exemplars")];
    Some((answer.status().as_u16(), counts, answer.body_mut().read_to_string().unwrap()))
}

/// What Prometheus does with a request.
#[derive(Clone, Copy, PartialEq)]
enum Peer {
    /// The same.
    Same,
    /// Something else, for this reason.
    Differs(&'static str),
}
use Peer::{Differs, Same};

/// A request, and what skep does with it: status, samples and exemplars written, words of the text.
struct Case(&'static str, Bytes, (u16, u64, u64, &'static str), Peer);

fn cases(t: i64) -> Vec<Case> {
    let m = || refs(&[1, 2, 3, 4]);
    let panics = Differs("it panics and hangs up");
    let name = "invalid metric name or labels, got {";
    vec![
        Case("nothing", request(&[]), (204, 0, 0, ""), Same),
        Case("two samples", request(&[&[m(), sample(t, 1.0), sample(t + 1000, 2.0)]]), (204, 2, 0, ""), Same),
        Case("a repetition", request(&[&[m(), sample(t + 1000, 2.0)]]), (204, 1, 0, ""), Same),
        Case(
            "another value",
            request(&[&[m(), sample(t + 1000, 3.0)]]),
            (400, 0, 0, "duplicate sample for timestamp"),
            Same,
        ),
        Case(
            "another value among others",
            request(&[&[m(), sample(t + 1000, 3.0), sample(t + 2000, 3.0)], &[refs(&[1, 2]), sample(t, 1.0)]]),
            (400, 2, 0, "duplicate sample for timestamp"),
            Same,
        ),
        Case(
            "an older sample",
            request(&[&[m(), sample(t - 5000, 3.0)]]),
            (204, 1, 0, ""),
            Differs("skep takes what is out of order"),
        ),
        Case(
            "an hour ahead",
            request(&[&[m(), sample(t + 3_600_000, 3.0)]]),
            (400, 0, 0, "out of bounds: timestamp is too far in the future"),
            Same,
        ),
        Case("no name", request(&[&[refs(&[3, 4]), sample(t, 3.0)]]), (400, 0, 0, name), Same),
        Case("no labels", request(&[&[sample(t, 3.0)]]), (400, 0, 0, name), Same),
        Case("an empty label name", request(&[&[refs(&[1, 2, 0, 4]), sample(t, 3.0)]]), (400, 0, 0, name), Same),
        Case(
            "a label twice, and a good series",
            request(&[&[refs(&[1, 2, 3, 4, 3, 4]), sample(t, 3.0)], &[refs(&[1, 2, 10, 11]), sample(t, 3.0)]]),
            (
                400,
                1,
                0,
                "invalid labels for series, labels {__name__=\"m\", job=\"j\", job=\"j\"}, duplicated label job",
            ),
            Same,
        ),
        Case("labels out of order", request(&[&[refs(&[3, 6, 1, 2]), sample(t, 3.0)]]), (204, 1, 0, ""), Same),
        Case("an empty value", request(&[&[refs(&[1, 2, 3, 0]), sample(t + 5, 3.0)]]), (204, 1, 0, ""), Same),
        Case("no samples", request(&[&[m()]]), (204, 0, 0, ""), Same),
        Case(
            "a histogram beside a sample",
            request(&[&[refs(&[1, 2, 3, 8]), histogram(t), sample(t, 1.0)]]),
            (400, 1, 0, "native histograms are not stored"),
            Differs("without the feature native-histograms it answers 500, so that senders try for ever"),
        ),
        Case(
            "an exemplar",
            request(&[&[m(), sample(t + 5000, 2.0), exemplar(&[5, 6], t + 5000)]]),
            (204, 1, 1, ""),
            Same,
        ),
        Case("an exemplar alone", request(&[&[m(), exemplar(&[5, 6], t + 6000)]]), (204, 0, 1, ""), Same),
        Case(
            "metadata",
            request(&[&[refs(&[1, 9, 10, 11]), sample(t, 2.0), metadata(3, 7, 8)]]),
            (204, 1, 0, ""),
            Same,
        ),
        Case(
            "a created timestamp",
            request(&[&[m(), sample(t + 7000, 2.0), created(t - 100_000)]]),
            (204, 1, 0, ""),
            Same,
        ),
        Case(
            "references without a pair",
            request(&[&[refs(&[1, 2, 3]), sample(t, 3.0)]]),
            (400, 0, 0, "3 references to symbols are no pairs"),
            panics,
        ),
        Case(
            "a reference past the end",
            request(&[&[refs(&[1, 2, 3, 99]), sample(t, 3.0)]]),
            (400, 0, 0, "there is no symbol 99, the request has 12"),
            panics,
        ),
        Case(
            "an exemplar's reference past the end",
            request(&[&[m(), sample(t + 9000, 2.0), exemplar(&[5, 66], t + 9000)]]),
            (400, 0, 0, "there is no symbol 66"),
            panics,
        ),
        Case(
            "metadata past the end",
            request(&[&[m(), sample(t + 9000, 2.0), metadata(1, 77, 8)]]),
            (400, 0, 0, "there is no symbol 77"),
            panics,
        ),
        Case(
            "no symbols",
            bytes(5, &[refs(&[1, 2]), sample(t, 1.0)].concat()),
            (400, 0, 0, "there is no symbol 1, the request has 0"),
            panics,
        ),
        Case(
            "a message of 1.0",
            bytes(1, &bytes(1, &[bytes(1, b"__name__"), bytes(2, b"m")].concat())),
            (400, 0, 0, "the body is no io.prometheus.write.v2.Request"),
            Differs("it finds nothing in it and acknowledges that"),
        ),
        Case("a length past the end", vec![0x2a, 5], (400, 0, 0, "unexpected EOF"), Same),
    ]
}

#[test]
fn requests_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let peer_folder = tempfile::tempdir().unwrap();
    let args = ["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"];
    let peer = testkit::peer("prometheus");
    let peer = peer.map(|program| Prometheus::start(&program, peer_folder.path(), "", &args).unwrap());
    let t = value(&server, "vector(time())").unwrap() as i64 * 1000;
    let headers = [("Content-Type", TYPE), ("Content-Encoding", "snappy")];
    for Case(name, message, (status, samples, exemplars, words), upstream) in cases(t) {
        let body = pack(&message);
        let (got, counts, text) = send(server.url(), &headers, &body).unwrap();
        assert!(got == status && text.contains(words), "{name}: {got} {text}");
        assert!(
            [Some(samples), None].contains(&counts[0]) && [Some(exemplars), None].contains(&counts[2]),
            "{name}: {counts:?}"
        );
        let Some(peer) = &peer else { continue };
        let theirs = send(&peer.url(), &headers, &body);
        let same = theirs.as_ref().is_some_and(|(status, theirs, _)| (*status, *theirs) == (got, counts));
        assert_eq!(same, upstream == Same, "{name}: skep {got} {counts:?} {text}, Prometheus {theirs:?}");
    }
    let metadata = json(&server.get("/api/v1/metadata?metric=m").unwrap());
    assert_eq!(metadata["data"]["m"][0]["help"], "what it is", "{metadata}");
    let media = |media: &str, encoding: &str| {
        let headers = [("Content-Type", media), ("Content-Encoding", encoding)];
        let answers = [Some(server.url().to_owned()), peer.as_ref().map(Prometheus::url)];
        let answers: Vec<Answer> =
            answers.iter().flatten().map(|url| send(url, &headers, &pack(b"")).unwrap()).collect();
        assert!(answers.windows(2).all(|two| (two[0].0, &two[0].2) == (two[1].0, &two[1].2)), "{answers:?}");
        answers[0].0
    };
    assert_eq!(media(TYPE, "snappy"), 204);
    assert_eq!(media(TYPE, ""), 204);
    assert_eq!(media(TYPE, "gzip"), 415);
    assert_eq!(media("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy"), 415);
    assert_eq!(media("application/x-protobuf;foo", "snappy"), 415);
    assert_eq!(media("application/json", "snappy"), 415);
    assert_eq!(media(&format!("{TYPE};a=b"), "snappy"), 204);
}

/// A request of 2.0 that calls itself one of 1.0 is refused; upstream finds nothing in it and acknowledges that.
#[test]
fn requests_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let now = value(&server, "vector(time())").unwrap() as i64 * 1000;
    let body = pack(&request(&[&[refs(&[1, 2]), sample(now, 1.0)]]));
    for media in ["", "application/x-protobuf", "application/x-protobuf;proto=prometheus.WriteRequest"] {
        let (status, _, text) = send(server.url(), &[("Content-Type", media)], &body).unwrap();
        assert!(
            status == 400 && text.contains("which the proto parameter of Content-Type has to name"),
            "{status} {text}"
        );
    }
    let spaced = TYPE.replace(';', "; ");
    assert_eq!(send(server.url(), &[("Content-Type", &spaced)], &body).unwrap().0, 204);
}

/// Few bytes that stand for many are refused before they are put together.
#[test]
fn symbols_do_not_multiply() {
    let folder = tempfile::tempdir().unwrap();
    let server = builder(folder.path(), ALONE).arg("--memory-budget=64MB").start().unwrap();
    let mut message = [bytes(4, b""), bytes(4, b"__name__"), bytes(4, &vec![b'x'; 100_000])].concat();
    for _ in 0..20_000 {
        message.extend(bytes(5, &[refs(&[1, 2]), sample(1, 1.0)].concat()));
    }
    let headers = [("Content-Type", TYPE), ("Content-Encoding", "snappy")];
    let (status, _, text) = send(server.url(), &headers, &pack(&message)).unwrap();
    assert!(status == 400 && text.contains("labels exceed limit"), "{status} {text}");
}

fn samples(answer: &Value) -> BTreeMap<String, String> {
    let series = answer["data"]["result"].as_array().unwrap().iter();
    series.map(|series| (series["metric"].to_string(), series["values"].to_string())).collect()
}

/// What a real Prometheus scraped, it sends, and skep has it.
#[test]
fn prometheus_sends_to_skep() {
    let Some(program) = testkit::peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server: Server = start(folder.path(), ALONE);
    let page = "# TYPE work_total counter\n# HELP work_total Work done.\nwork_total{a=\"b\"} 5\n\
                # TYPE t histogram\nt_bucket{le=\"1\"} 3\nt_bucket{le=\"+Inf\"} 4\nt_sum 4.5\nt_count 4\n# TYPE g gauge\ng NaN\n";
    let exporter = Exporter::start(Reply::Page(page.to_owned())).unwrap();
    let config = format!(
        "scrape_configs:\n{}remote_write: [{{url: '{}/api/v1/write', protobuf_message: io.prometheus.write.v2.Request, \
         queue_config: {{batch_send_deadline: 100ms}}}}]\n",
        crate::job("page", &exporter.target()),
        server.url(),
    );
    let peer_folder = tempfile::tempdir().unwrap();
    let args = ["--enable-feature=exemplar-storage,metadata-wal-records"];
    let peer = Prometheus::start(&program, peer_folder.path(), &config, &args).unwrap();
    poll_until("three scrapes to be sent", || {
        (value(&server, "count_over_time(work_total[5m])")? >= 3.0).then_some(())
    });
    let until = value(&server, "timestamp(work_total)").unwrap();
    let query = format!("/api/v1/query?query=%7Bjob%3D%22page%22%7D%5B5m%5D&time={until}");
    let theirs: Value = serde_json::from_str(&peer.get(&query).unwrap()).unwrap();
    let theirs = samples(&theirs);
    assert!(theirs.len() > 9, "{theirs:?}");
    poll_until("all samples to be sent", || (samples(&json(&server.get(&query).unwrap())) == theirs).then_some(()));
    let metadata = poll_until("metadata", || {
        let metadata = json(&server.get("/api/v1/metadata?metric=work_total").unwrap());
        metadata["data"]["work_total"][0].as_object().cloned()
    });
    assert_eq!((&metadata["type"], &metadata["help"]), (&"counter".into(), &"Work done.".into()));
    let failed = peer.get("/metrics").unwrap();
    let failed: Vec<&str> =
        failed.lines().filter(|line| line.starts_with("prometheus_remote_storage_samples_failed_total")).collect();
    assert!(failed.iter().all(|line| line.ends_with(" 0")), "{failed:?}");
}
