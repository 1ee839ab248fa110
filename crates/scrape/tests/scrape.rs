//! Real servers, good and bad, scraped into a store in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../exposition/tests/messages/mod.rs"]
mod messages;
mod support;

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use messages::{double, family, label, message};
use model::status::{Health, TargetStatus, Targets};
use model::{Clock, CollectError, Collector, Families, Labels, MetricKind, SystemClock};
use scrape::{Manager, Options};
use support::{Memory, Reply, config, page, serve, until};

fn start(memory: &Arc<Memory>) -> Arc<Manager> {
    let options = Options {
        version: "1.2.3".to_owned(),
        body_size_bytes_max: 1 << 20,
        pages_bytes_max: 4 << 20,
        target_series_max: 1000,
        extra_metrics: false,
    };
    Manager::new(Arc::<Memory>::clone(memory), Arc::new(SystemClock), options)
}

fn job(address: &str, keys: &str) -> String {
    format!(
        "scrape_configs:\n- job_name: j\n  scrape_interval: 100ms\n  static_configs: [{{targets: ['{address}']}}]\n{keys}"
    )
}

const TIMEOUT: &str = "no complete answer within the scrape timeout";

/// Scrapes one server until the target is judged.
async fn judge(reply: impl Fn(&str) -> Reply + Send + Sync + 'static, keys: &str) -> (Arc<Memory>, TargetStatus) {
    // A busy machine may be too slow for the short timeout, which says nothing of the server.
    judge_when(reply, keys, |target| !target.last_error.contains(TIMEOUT)).await
}

async fn judge_when(
    reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
    keys: &str,
    counts: impl Fn(&TargetStatus) -> bool,
) -> (Arc<Memory>, TargetStatus) {
    let memory = Arc::new(Memory::default());
    let manager = start(&memory);
    let address = serve(reply).await;
    manager.apply(&config(&job(&address, keys)));
    let mut targets =
        until(|| manager.active(), |targets| targets[0].health != Health::Unknown && counts(&targets[0])).await;
    manager.shutdown().await;
    let status = targets.remove(0);
    let last_error = status.last_error.replace(&address, "ADDRESS");
    (memory, TargetStatus { last_error, ..status })
}

async fn check_good(reply: impl Fn(&str) -> Reply + Send + Sync + 'static, keys: &str, expected: &[(&str, f64)]) {
    let (memory, status) = judge(reply, keys).await;
    assert_eq!(status.last_error, "", "{keys}");
    for (name, value) in expected {
        assert_eq!(memory.last(name), Some(*value), "{keys}: {name}");
    }
}

async fn check_bad(reply: impl Fn(&str) -> Reply + Send + Sync + 'static, keys: &str, error: &str) {
    let expects_timeout = error.contains(TIMEOUT);
    let counts = |target: &TargetStatus| target.last_error.contains(TIMEOUT) == expects_timeout;
    let (memory, status) = judge_when(reply, keys, counts).await;
    assert_eq!((status.health, status.last_error.as_str()), (Health::Bad, error), "{keys}");
    assert_eq!(memory.last("up"), Some(0.0), "{keys}");
    assert_eq!(memory.last("a"), None, "{keys}");
}

fn with_head(head: &str, body: &[u8]) -> Reply {
    Reply::Body(format!("HTTP/1.1 {head}"), body.to_vec())
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest)
}

fn packed(encoding: &str) -> String {
    format!("200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: {encoding}")
}

#[tokio::test(flavor = "multi_thread")]
async fn good_pages() {
    let own = [
        ("up", 1.0),
        ("scrape_samples_scraped", 3.0),
        ("scrape_samples_post_metric_relabeling", 3.0),
        ("scrape_series_added", 3.0),
        ("a", 1.0),
    ];
    check_good(|_| page("a 1\nb 2\nc{d=\"e\"} 3\n"), "", &own).await;
    check_good(
        |_| page("a 1\na 2\n"),
        "",
        &[("a", 1.0), ("scrape_samples_scraped", 2.0), ("scrape_series_added", 1.0)],
    )
    .await;
    let rules = "  metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]\n";
    let kept = [("scrape_samples_scraped", 2.0), ("scrape_samples_post_metric_relabeling", 1.0)];
    check_good(|_| page("a 1\nb 2\n"), rules, &kept).await;
    check_good(
        |_| with_head("200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip", &gzip(b"a 1\n")),
        "",
        &[("a", 1.0)],
    )
    .await;
    check_good(|_| with_head(&packed("zstd"), &zstd(b"a 1\n")), "", &[("a", 1.0)]).await;
    check_good(|_| with_head("200 OK", b"a 1\n"), "  fallback_scrape_protocol: PrometheusText0.0.4\n", &[("a", 1.0)])
        .await;
    check_good(|_| page(""), "", &[("up", 1.0), ("scrape_samples_scraped", 0.0)]).await;
    // Nothing is a page without samples, whatever its headers say.
    check_good(|_| with_head("200 OK", b""), "", &[("up", 1.0)]).await;
    check_good(|_| with_head("200 OK\r\nContent-Type: text/html", b""), "", &[("up", 1.0)]).await;
    check_good(|_| with_head("200 OK\r\nContent-Type: application/openmetrics-text", b""), "", &[("up", 1.0)]).await;
    // An exporter's mistake that Prometheus lets pass.
    let utf8 = "200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: utf-8";
    check_good(move |_| with_head(utf8, b"a 1\n"), "", &[("a", 1.0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openmetrics_pages() {
    let head = "200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = "# TYPE a counter\n# HELP a Say \\\"x\\\".\na_total 1 # {trace_id=\"t\"} 0.5 1.25\n# EOF\n";
    let (memory, status) = judge(move |_| with_head(head, text.as_bytes()), "").await;
    assert_eq!((status.last_error.as_str(), memory.last("a_total")), ("", Some(1.0)));
    assert_eq!(memory.metadata("a").map(|metadata| metadata.help), Some("Say \"x\".".to_owned()));
    let (series, exemplar) = memory.exemplar().unwrap();
    assert_eq!((series.metric_name(), exemplar.labels.to_string()), ("a_total", "{trace_id=\"t\"}".to_owned()));
    assert_eq!((exemplar.value, exemplar.timestamp), (0.5, Some(1250)));
    check_bad(move |_| with_head(head, b"a 1\n"), "", "line 2, column 1: data does not end with # EOF").await;
    check_good(
        |_| with_head("200 OK", b"a 1\n# EOF\n"),
        "  fallback_scrape_protocol: OpenMetricsText1.0.0\n",
        &[("a", 1.0)],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_pages_say_why() {
    check_bad(
        |_| page("a 1\nb{c=\"d} 2\n"),
        "",
        "line 2, column 5: expected label value in quotation marks, got \"\\\"d} 2\"",
    )
    .await;
    check_bad(|_| page("a 1\nb{c=\"1\",c=\"2\"} 2\n"), "", "line 2: label name \"c\" is not unique: invalid sample")
        .await;
    check_bad(
        |_| with_head("500 Internal Server Error", b"a 1\n"),
        "",
        "server returned HTTP status 500 Internal Server Error",
    )
    .await;
    let blank =
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target";
    check_bad(|_| with_head("200 OK", b"a 1\n"), "", blank).await;
    let html = "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol specified for target";
    check_bad(|_| with_head("200 OK\r\nContent-Type: text/html", b"a 1\n"), "", html).await;
    let encoding = "unknown Content-Encoding \"br\"; skep reads gzip, zstd and identity";
    check_bad(
        |_| with_head("200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: br", b"\x8b\x01\x80a 1\n\x03"),
        "",
        encoding,
    )
    .await;
    let damaged = "the page is not valid gzip: invalid gzip header";
    check_bad(
        |_| with_head("200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip", b"a 1\na 1\na 1\n"),
        "",
        damaged,
    )
    .await;
    check_bad(
        |_| page("a 1\nb 2\n"),
        "  sample_limit: 1\n",
        "sample limit exceeded: the page has more than 1 samples after relabelling (sample_limit)",
    )
    .await;
    check_bad(
        |_| page("a 1\nb{c=\"d\"} 2\n"),
        "  label_limit: 3\n",
        "label_limit exceeded (metric: b, number of labels: 4, limit: 3)",
    )
    .await;
}

/// The error of a page that a limit refused, and what it says there is too much of.
async fn check_excess(reply: impl Fn(&str) -> Reply + Send + Sync + 'static, keys: &str, expected: &str) {
    let (memory, status) = judge(reply, keys).await;
    let mut told = status.last_error.clone();
    if let Some(excess) = status.excess {
        let cut = if excess.cut { "beginning" } else { "whole" };
        write!(told, "; {cut}: {} samples, {:?} {:?}", excess.samples, excess.labels, excess.metrics).unwrap();
    }
    assert_eq!(told, expected, "{keys}");
    assert_eq!(memory.last("up"), Some(0.0), "{keys}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_pages_say_what_there_is_too_much_of() {
    let lines = |count: usize| -> String { (0..count).map(|i| format!("a{{user=\"{i:03}\"}} 1\n")).collect() };
    let metric = |i: usize| [label("user", &i.to_string()), message(2, &double(1, 1.0))].concat();
    let messages = family("a", 1, &(0..9).map(metric).collect::<Vec<_>>());
    let protobuf = "200 OK\r\nContent-Type: application/vnd.google.protobuf; \
        proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let samples = "sample limit exceeded: the page has more than 5 samples after relabelling (sample_limit)";
    let counted = format!("{samples}; whole: 9 samples, [(\"user\", 9)] [(\"a\", 9)]");
    let (text, of_messages) = (lines(9), messages.clone());
    check_excess(move |_| page(&text), "  sample_limit: 5\n", &counted).await;
    check_excess(move |_| with_head(protobuf, &of_messages), "  sample_limit: 5\n", &counted).await;
    // The beginning of a page that is too long has sixteen bytes a line.
    let bytes = "body size limit exceeded: the page has 160 bytes or more (body_size_limit)";
    let counted = format!("{bytes}; beginning: 10 samples, [(\"user\", 10)] [(\"a\", 10)]");
    let (text, zipped) = (lines(99), gzip(lines(99).as_bytes()));
    check_excess(move |_| page(&text), "  body_size_limit: 160B\n", &counted).await;
    let gzipped = move |_: &str| with_head(&packed("gzip"), &zipped);
    check_excess(gzipped, "  body_size_limit: 600B\n", &counted.replace("160", "600").replace("10", "37")).await;
    // Limits of labels name the label.
    let instance = "label_limit exceeded (metric: a, number of labels: 4, limit: 3)";
    check_excess(move |_| with_head(protobuf, &messages), "  label_limit: 3\n", instance).await;
    let long = family("a", 1, &[[label("user", "0123456789012345678901"), message(2, &double(1, 1.0))].concat()]);
    let length = "label_value_length_limit exceeded \
        (metric: a, label name: user, value: \"0123456789012345678901\", length: 22, limit: 21)";
    check_excess(move |_| with_head(protobuf, &long), "  label_value_length_limit: 21\n", length).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_servers_are_bounded() {
    let ceiling = "body size limit exceeded: the page has 1048576 bytes or more (a ceiling of --memory-budget)";
    check_bad(|_| Reply::Endless("a 1\n".repeat(1000)), "", ceiling).await;
    let limit = "body size limit exceeded: the page has 1024 bytes or more (body_size_limit)";
    check_bad(|_| Reply::Endless("a 1\n".repeat(1000)), "  body_size_limit: 1KB\n", limit).await;
    let bomb = gzip(&b"a 1\n".repeat(5_000_000));
    check_bad(move |_| with_head("200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip", &bomb), "", ceiling)
        .await;
    let bomb = zstd(&b"a 1\n".repeat(5_000_000));
    check_bad(move |_| with_head(&packed("zstd"), &bomb), "", ceiling).await;
    // A frame whose header asks for a window of 2 GiB.
    let window = "the page is not valid zstd: it asks for a window of 2147483648 bytes, 8388608 are the most";
    check_bad(|_| with_head(&packed("zstd"), &[0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 0, 0]), "", window).await;
    let layers = "unknown Content-Encoding \"gzip, gzip\"; skep reads gzip, zstd and identity";
    check_bad(|_| with_head(&packed("gzip, gzip"), &gzip(&gzip(b"a 1\n"))), "", layers).await;
    let many = format!("a{{{}}} 1\n", (0..60_000).map(|i| format!("l{i}=\"x\",")).collect::<String>());
    check_bad(move |_| page(&many), "", "line 1: a series with more than 4096 labels").await;
    let wild: String = (0..1001).map(|i| format!("a{{b=\"{i}\"}} 1\n")).collect();
    let budget = "sample limit exceeded: the page has more than 1000 series, which is what --memory-budget leaves for one \
                  target; raise it, or drop series by metric_relabel_configs";
    let page_of = wild.clone();
    check_bad(move |_| page(&page_of), "", budget).await;
    let rules = "  metric_relabel_configs: [{regex: x, action: labeldrop}]\n";
    check_bad(move |_| page(&wild), rules, budget).await;
    let hang = "Get \"http://ADDRESS/metrics\": no complete answer within the scrape timeout of 100ms";
    check_bad(|_| Reply::Hang, "", hang).await;
    let no_tls = "Get \"https://ADDRESS/metrics\": TLS with ADDRESS: the server closed the connection";
    check_bad(|_| page("a 1\n"), "  scheme: https\n", no_tls).await;
    let cut = "Get \"http://ADDRESS/metrics\": error reading a body from connection: end of file before message length reached";
    check_bad(|_| Reply::CutOff("a 1\n".to_owned()), "", cut).await;
    check_bad(|_| with_head("302 Found\r\nLocation: /metrics", b""), "", "stopped after 10 redirects").await;
    check_bad(
        |_| with_head("302 Found\r\nLocation: /x", b""),
        "  follow_redirects: false\n",
        "server returned HTTP status 302 Found",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_never_ends_is_given_up() {
    // The kernel accepts the connection, and nobody ever answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let memory = Arc::new(Memory::default());
    let manager = start(&memory);
    let address = listener.local_addr().unwrap().to_string();
    manager.apply(&config(&job(&address, "  scheme: https\n")));
    let target = until(|| manager.active().remove(0), |target| target.health != Health::Unknown).await;
    assert!(target.last_error.contains(TIMEOUT), "{}", target.last_error);
    manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_cached_like_text() {
    // The family `g` with the series `g{l="v"} 1`.
    let series = b"\x1a\x0a\x01g\x18\x01\"\x13\x0a\x06\x0a\x01l\x12\x01v\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf0?";
    let head = "200 OK\r\nContent-Type: application/vnd.google.protobuf; encoding=delimited";
    let (memory, manager, _) = sequence(vec![with_head(head, series), with_head(head, series), page("")]).await;
    until(|| memory.values("g").len(), |&count| count >= 3).await;
    manager.shutdown().await;
    assert_eq!(memory.values("g")[..3], [Some(1.0), Some(1.0), None]);
    let added = memory.values("scrape_series_added");
    assert_eq!(added[..3], [Some(1.0), Some(0.0), Some(0.0)]);
    let (labels, _) = memory.samples("{__name__=\"g\"").remove(0);
    assert!(labels.contains("l=\"v\""), "{labels}");
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_as_prometheus_does() {
    let keys = "  params: {m: [x y]}\n  basic_auth: {username: u, password: p}\n";
    let asked = |head: &str| {
        let lower = head.to_lowercase();
        let wanted = [
            "get /metrics?m=x%20y http/1.1\r\n",
            "user-agent: skep/1.2.3\r\n",
            "accept-encoding: gzip, zstd\r\n",
            "x-prometheus-scrape-timeout-seconds: 0.1\r\n",
            "authorization: basic dtpw\r\n",
            "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n",
        ];
        match wanted.iter().find(|part| !lower.contains(*part)) {
            None => page("a 1\n"),
            Some(missing) => with_head(&format!("500 {}", missing.trim()), head.as_bytes()),
        }
    };
    check_good(asked, keys, &[("a", 1.0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_stay_with_their_host() {
    let other = serve(|head| {
        let leaked = head.to_lowercase().contains("authorization");
        if leaked { with_head("500 Leaked", b"") } else { page("a 1\n") }
    })
    .await;
    let redirect = move |_: &str| with_head(&format!("302 Found\r\nLocation: http://{other}/metrics"), b"");
    check_good(redirect, "  authorization: {credentials: s}\n", &[("a", 1.0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_page_and_target() {
    let series = |keys: &'static str| async move {
        let (memory, _) = judge(|_| page("a{job=\"x\",instance=\"\",b=\"c\"} 1\n"), keys).await;
        let (labels, _) = memory.samples("{__name__=\"a\"").remove(0);
        let instance = labels.find("instance=\"127").map_or("absent", |_| "of the target");
        format!("{instance} {}", labels.replace(|c: char| c.is_ascii_digit() || c == '.' || c == ':', ""))
    };
    let taken = r#"of the target {__name__="a", b="c", exported_job="x", instance="", job="j"}"#;
    assert_eq!(series("").await, taken);
    assert_eq!(series("  honor_labels: true\n").await, r#"absent {__name__="a", b="c", job="x"}"#);
}

/// The values of `up` in order; every request takes the next answer.
async fn check_up(replies: Vec<Reply>, expected: &[f64]) {
    let (memory, manager, _) = sequence(replies).await;
    let values = until(|| memory.values("up"), |values| values.len() >= expected.len()).await;
    manager.shutdown().await;
    let expected: Vec<_> = expected.iter().map(|value| Some(*value)).collect();
    assert_eq!(&values[..expected.len()], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_closed_while_idle_is_no_failure() {
    let good = || page("a 1\n");
    // The request is sent again over a fresh connection, and takes the answer after the closing.
    check_up(vec![good(), Reply::Close, good(), Reply::Close, good()], &[1.0, 1.0, 1.0]).await;
    // A fresh connection that is closed is the target's fault, and it is asked once.
    check_up(vec![Reply::Close, good()], &[0.0, 1.0]).await;
    check_up(vec![good(), Reply::Close, Reply::Close, good()], &[1.0, 0.0, 1.0]).await;
    // Half an answer over a kept connection is told as what it is.
    check_up(vec![good(), Reply::CutOff("a 2\n".to_owned()), good()], &[1.0, 0.0, 1.0]).await;
}

/// Serves the pages one after the other; the last one stays.
async fn sequence(pages: Vec<Reply>) -> (Arc<Memory>, Arc<Manager>, Arc<AtomicUsize>) {
    let memory = Arc::new(Memory::default());
    let manager = start(&memory);
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let address = serve(move |_| pages[count.fetch_add(1, Ordering::SeqCst).min(pages.len() - 1)].clone()).await;
    manager.apply(&config(&job(&address, "")));
    (memory, manager, served)
}

async fn check_values(pages: Vec<Reply>, name: &str, expected: &[Option<f64>]) {
    let (memory, manager, served) = sequence(pages.clone()).await;
    until(|| served.load(Ordering::SeqCst), |&served| served > pages.len()).await;
    manager.shutdown().await;
    let got = memory.values(name);
    assert_eq!(&got[..expected.len().min(got.len())], expected, "{name}: {got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_becomes_stale() {
    let bad = || with_head("500 X", b"");
    check_values(vec![page("a 1\nb 1\n"), page("b 2\n"), page("a 3\nb 3\n")], "a", &[Some(1.0), None, Some(3.0)]).await;
    check_values(vec![page("a 1\n"), bad(), bad(), page("a 3\n")], "a", &[Some(1.0), None, Some(3.0)]).await;
    // What stands before the error of a damaged page stays visible, the rest becomes stale; both come back.
    let damaged = || page("a 2\n!\nb 2\n");
    check_values(vec![page("a 1\nb 1\n"), damaged(), page("a 3\nb 3\n")], "a", &[Some(1.0), Some(3.0)]).await;
    check_values(vec![page("a 1\nb 1\n"), damaged(), page("a 3\nb 3\n")], "b", &[Some(1.0), None, Some(3.0)]).await;
    // After two failures what stood before the error is stale too.
    check_values(vec![page("a 1\n"), damaged(), bad(), page("a 3\n")], "a", &[Some(1.0), None, Some(3.0)]).await;
    // Another spelling of the same series is the same series.
    check_values(vec![page("a{x=\"1\",y=\"2\"} 1\n"), page("a{y=\"2\",x=\"1\"} 2\n")], "a", &[Some(1.0), Some(2.0)])
        .await;
    // A page that says the time itself gets no markers.
    let now = SystemClock.now();
    let timed = |value: i64| page(&format!("a {value} {}\nb {value}\n", now + value));
    check_values(vec![timed(1), page("b 2\n"), timed(3)], "a", &[Some(1.0), Some(3.0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_come_and_go() {
    let memory = Arc::new(Memory::default());
    let manager = start(&memory);
    let address = serve(|_| page("# HELP a Some \\\\ help.\n# TYPE a gauge\na 1\n")).await;
    manager.apply(&config(&job(&address, "")));
    until(|| memory.values("a").len(), |&count| count >= 2).await;
    assert_eq!(memory.metadata("a").map(|m| (m.kind, m.help)), Some((MetricKind::Gauge, "Some \\ help.".to_owned())));
    // The same configuration again changes nothing.
    manager.apply(&config(&job(&address, "")));
    let before = memory.values("a").len();
    until(|| memory.values("a").len(), |&count| count > before + 1).await;
    assert!(memory.values("a").iter().all(Option::is_some));
    // The target goes: its series end, its own ones too.
    manager.apply(&config(""));
    until(|| memory.values("a").last().copied(), |last| *last == Some(None)).await;
    until(|| memory.values("up").last().copied(), |last| *last == Some(None)).await;
    assert!(manager.active().is_empty());
    // It comes back.
    manager.apply(&config(&job(&address, "")));
    until(|| memory.values("a").last().copied(), |last| *last == Some(Some(1.0))).await;
    // The store forgets its references, as after a restart of its head.
    memory.forget_references();
    until(|| memory.values("a").len(), |&count| count >= 1).await;
    // A stop writes no markers.
    manager.shutdown().await;
    assert!(memory.values("a").iter().all(Option::is_some));
}

/// Scrapes two pages of histogram and summary, the second without their series, after the store forgot its references: the
/// markers stand in the series that the samples went to, and no other series is there.
async fn check_markers(content_type: &'static str, end: &'static str) {
    let memory = Arc::new(Memory::default());
    let manager = start(&memory);
    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let types = "# TYPE g gauge\ng{le=\"1\",quantile=\"1\"} 1\n";
    let rest = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum 1\n\
                # TYPE s summary\ns{quantile=\"1\"} 1\n";
    let address = serve(move |_| {
        let series = if is_gone.load(Ordering::SeqCst) { "" } else { rest };
        with_head(&format!("200 OK\r\nContent-Type: {content_type}"), format!("{types}{series}{end}").as_bytes())
    })
    .await;
    manager.apply(&config(&job(&address, "")));
    until(|| memory.values("s").len(), |&count| count >= 1).await;
    let names = |memory: &Memory| -> Vec<String> {
        let all = memory.all().into_iter().map(|(labels, _)| labels);
        let mut names: Vec<_> = all.filter(|l| l.get("forgotten").is_none()).map(|l| l.to_string()).collect();
        names.sort();
        names
    };
    let before = names(&memory);
    assert!(before.iter().any(|labels| labels.contains("le=\"1.0\"")), "{before:?}");
    assert!(before.iter().any(|labels| labels.contains("quantile=\"1.0\"")), "{before:?}");
    assert!(before.iter().any(|labels| labels.contains("le=\"1\"")), "{before:?}");
    // In this order a page on its way may give the series samples by their labels, which changes nothing below.
    memory.forget_references();
    gone.store(true, Ordering::SeqCst);
    until(|| memory.values("s").last().copied(), |last| *last == Some(None)).await;
    manager.shutdown().await;
    assert_eq!(names(&memory), before);
    let ended = memory.all().into_iter().filter(|(labels, _)| labels.get("forgotten").is_none());
    for (labels, samples) in ended.filter(|(labels, _)| labels.metric_name().starts_with(['h'])) {
        assert!(samples.last().is_some_and(|sample| model::is_stale(sample.value)), "{labels}: {samples:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_go_where_samples_went() {
    check_markers("text/plain; version=0.0.4", "").await;
    check_markers("application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_target_delays_no_other() {
    let memory = Arc::new(Memory::default());
    let manager = start(&memory);
    let (good, hang, endless) = (
        serve(|_| page("a 1\n")).await,
        serve(|_| Reply::Hang).await,
        serve(|_| Reply::Endless("a 1\n".repeat(100))).await,
    );
    let jobs = format!(
        "scrape_configs:\n- job_name: j\n  scrape_interval: 100ms\n  static_configs: [{{targets: ['{good}']}}]\n\
         - job_name: k\n  scrape_interval: 100ms\n  static_configs: [{{targets: ['{hang}', '{endless}', '127.0.0.1:1']}}]\n\
         - job_name: l\n  target_limit: 1\n  scrape_interval: 100ms\n  static_configs: [{{targets: ['{good}', 'x:1']}}]\n"
    );
    manager.apply(&config(&jobs));
    until(|| memory.values("a").len(), |&count| count >= 10).await;
    let targets = until(|| manager.active(), |targets| targets.iter().all(|t| t.health != Health::Unknown)).await;
    let health: Vec<_> = targets.iter().map(|target| (target.job.as_str(), target.health)).collect();
    let bad = Health::Bad;
    assert_eq!(health, [("j", Health::Good), ("k", bad), ("k", bad), ("k", bad), ("l", bad), ("l", bad)]);
    assert_eq!(targets[5].last_error, "target_limit exceeded (number of targets: 2, limit: 1)");
    manager.shutdown().await;
}

struct Counting(AtomicBool);

impl Collector for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(CollectError("no such file".to_owned()));
        }
        families.family("h", MetricKind::Histogram, "Help.").with([("le", "1")], 5.0);
        Ok(())
    }
}

struct Panicking;

impl Collector for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn collect(&self, _: &mut Families) -> Result<(), CollectError> {
        panic!("on purpose")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_go_the_same_way() {
    let memory = Arc::new(Memory::default());
    let manager = start(&memory);
    let labels = Labels::from_pairs([("instance", "box")]);
    let counting = Arc::new(Counting(AtomicBool::new(false)));
    let set = |collectors| manager.set_collectors("node", &labels, Duration::from_millis(100), collectors);
    set(vec![Arc::<Counting>::clone(&counting), Arc::new(Panicking)]);
    until(|| memory.last("h"), |value| *value == Some(5.0)).await;
    let (series, _) = memory.samples("{__name__=\"h\"").remove(0);
    assert_eq!(series, r#"{__name__="h", instance="box", job="node", le="1.0"}"#);
    assert_eq!(memory.last("up"), Some(1.0));
    let target = until(|| manager.active().remove(0), |target| target.health == Health::Good).await;
    assert_eq!(target.url, "in-process:counting,panicking");
    assert_eq!(target.note, "panicking: it panicked; this is a fault of skep");
    counting.0.store(true, Ordering::SeqCst);
    let target = until(|| manager.active().remove(0), |target| target.health == Health::Bad).await;
    assert!(target.last_error.contains("counting: no such file"), "{}", target.last_error);
    until(|| memory.values("h").last().copied(), |last| *last == Some(None)).await;
    let mut families = Families::default();
    manager.collect(&mut families).unwrap();
    assert!(families.iter().any(|family| family.name == "skep_scrape_failures_total"));
    set(Vec::new());
    until(|| memory.values("up").last().copied(), |last| *last == Some(None)).await;
    assert!(manager.active().is_empty());
    manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cilium_is_found_and_lost() {
    let memory = Arc::new(Memory::default());
    let manager = start(&memory);
    let agent = serve(|_| page("cilium_version{version=\"1\"} 1\ncilium_drop_count_total{pod=\"own\"} 2\n")).await;
    let etcd = serve(|_| page("etcd_server_has_leader 1\n")).await;
    let other = serve(|_| page("other_total 1\n")).await;
    let web = serve(|_| with_head("404 Not Found", b"")).await;
    let cilium = discovery::cilium::Config {
        addresses: vec![agent.clone(), etcd.clone(), other.clone(), web, "127.0.0.1:1".to_owned()],
        interval: Duration::from_millis(100),
        node: Some("n1".to_owned()),
        ..discovery::cilium::Config::default()
    };
    manager.set_cilium(&cilium);
    until(|| memory.last("cilium_version"), |value| *value == Some(1.0)).await;
    let (series, _) = memory.samples("{__name__=\"cilium_version\"").remove(0);
    let expected = format!(
        "{{__name__=\"cilium_version\", cluster=\"default\", instance=\"{agent}\", job=\"cilium-agent\", k8s_app=\"cilium\", \
         namespace=\"kube-system\", node=\"n1\", pod=\"cilium-n1\", version=\"1\"}}"
    );
    assert_eq!(series, expected);
    // The page's own labels win.
    let (series, _) = memory.samples("{__name__=\"cilium_drop_count_total\"").remove(0);
    assert!(series.contains("pod=\"own\""), "{series}");
    let jobs = || {
        let mut jobs: Vec<_> = manager.active().iter().map(|target| target.job.clone()).collect();
        jobs.sort();
        jobs
    };
    assert_eq!(jobs(), ["cilium-agent", "clustermesh-etcd"]);
    let notes = manager.notes();
    assert!(notes.iter().any(|note| note.contains("cilium.relay")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains(&other) && note.contains("not known")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("404")), "{notes:?}");
    // A configured job for the same page takes it over.
    manager.apply(&config(&job(&agent, "")));
    assert_eq!(jobs(), ["clustermesh-etcd", "j"]);
    manager.shutdown().await;
}
