//! Requests as senders make them, against a real store.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use model::{
    AppendError, Appendable, Appender, Clock, Collector, Committed, Durability, Families, MatchOp, Matcher, Queryable,
    Samples, Selection, SeriesRef, StorageError, SystemClock,
};
use prost::Message;
use tower::ServiceExt;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<Series>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Exemplar>,
    #[prost(bytes, repeated, tag = "4")]
    histograms: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(bytes, tag = "1")]
    name: Vec<u8>,
    #[prost(bytes, tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    family: String,
    #[prost(string, tag = "4")]
    help: String,
}

type Headers<'a> = &'a [(&'a str, &'a str)];

struct Receiver {
    _folder: tempfile::TempDir,
    db: Arc<tsdb::Db>,
    state: remote::State,
    now: i64,
}

impl Receiver {
    fn start() -> Self {
        Self::start_with(tsdb::Options::default())
    }

    fn start_with(options: tsdb::Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Arc::new(tsdb::Db::open(tsdb::Options { path: folder.path().into(), ..options }).unwrap());
        let state = remote::State::new(db.clone(), remote::Limits::default());
        Self { _folder: folder, db, state, now: SystemClock.now() }
    }

    async fn send(&self, headers: &[(&str, &str)], body: Vec<u8>) -> (StatusCode, String) {
        let mut request = Request::post("/api/v1/write");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let router = remote::router(self.state.clone());
        let response = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    async fn write(&self, request: &WriteRequest) -> (StatusCode, String) {
        self.send(&[], pack(&request.encode_to_vec())).await
    }

    /// What the store holds, as `{labels} value@offset ...` a series, sorted.
    fn stored(&self) -> Vec<String> {
        let matchers = [Matcher::new(MatchOp::NotEqual, "__name__", "").unwrap()];
        let selection =
            Selection { matchers: &matchers, min_time: 0, max_time: i64::MAX, hints: model::Hints::default() };
        let mut lines = Vec::new();
        for series in self.db.select(&selection).unwrap().series {
            let mut samples = Samples::default();
            series.read(&mut samples).unwrap();
            let samples = samples.iter().map(|s| format!(" {}@{}", s.value, s.timestamp - self.now));
            lines.push(format!("{}{}", series.labels(), samples.collect::<String>()));
        }
        lines.sort();
        lines
    }

    fn counter(&self, wanted: &str) -> f64 {
        let mut families = Families::default();
        self.state.collect(&mut families).unwrap();
        let point = |name: &str, p: &model::Point| {
            let labels = p.labels.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
            format!("{name}{{{}}}", labels.join(","))
        };
        let found = families.iter().flat_map(|f| f.points.iter().map(|p| (point(&f.name, p), p.value)));
        found.into_iter().find(|(name, _)| name == wanted).unwrap().1
    }
}

fn pack(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

fn series<N: AsRef<[u8]>, V: AsRef<[u8]>>(labels: &[(N, V)], samples: &[(f64, i64)]) -> Series {
    let labels = labels.iter().map(|(n, v)| Label { name: n.as_ref().to_vec(), value: v.as_ref().to_vec() });
    let samples = samples.iter().map(|&(value, timestamp)| Sample { value, timestamp });
    Series { labels: labels.collect(), samples: samples.collect(), ..Series::default() }
}

fn request(timeseries: Vec<Series>) -> WriteRequest {
    WriteRequest { timeseries, metadata: vec![] }
}

/// Sends one series after `m{a="x"} 1` was stored now, and compares status, the start of the text and the store.
async fn check(labels: &[(&[u8], &[u8])], samples: &[(f64, i64)], expected: (u16, &str, &[&str])) {
    let receiver = Receiver::start();
    let now = receiver.now;
    let first = request(vec![series(&[("__name__", "m"), ("a", "x")], &[(1.0, now)])]);
    assert_eq!(receiver.write(&first).await, (StatusCode::NO_CONTENT, String::new()));
    let samples: Vec<_> = samples.iter().map(|&(value, offset)| (value, now + offset)).collect();
    let (status, text) = receiver.write(&request(vec![series(labels, &samples)])).await;
    let case = format!("{labels:?} {samples:?}: {status} {text}");
    assert_eq!(status.as_u16(), expected.0, "{case}");
    assert!(text.starts_with(expected.1), "{case}");
    assert_eq!(receiver.stored(), expected.2, "{case}");
}

#[tokio::test]
async fn samples() {
    let m: &[(&[u8], &[u8])] = &[(b"__name__", b"m"), (b"a", b"x")];
    let one = r#"{__name__="m", a="x"} 1@0"#;
    check(m, &[(1.0, 0)], (204, "", &[one])).await;
    check(m, &[(2.0, -1000), (3.0, 1000)], (204, "", &[r#"{__name__="m", a="x"} 2@-1000 1@0 3@1000"#])).await;
    check(m, &[(2.0, 0)], (400, "duplicate sample for timestamp", &[one])).await;
    let kept = r#"{__name__="m", a="x"} 1@0 5@5"#;
    check(m, &[(2.0, 0), (5.0, 5)], (400, "duplicate sample for timestamp", &[kept])).await;
    let ahead = 11 * 60_000;
    check(m, &[(5.0, 5), (2.0, ahead)], (400, "out of bounds: timestamp is too far in the future", &[kept])).await;
    let other: &[(&[u8], &[u8])] = &[(b"__name__", b"n")];
    check(other, &[(2.0, ahead), (2.0, 1)], (400, "out of bounds: ", &[one, r#"{__name__="n"} 2@1"#])).await;
    check(m, &[], (204, "", &[one])).await;
}

#[tokio::test]
async fn labels() {
    let one = r#"{__name__="m", a="x"} 1@0"#;
    let skipped: [&[(&[u8], &[u8])]; 7] = [
        &[(b"a", b"x")],
        &[],
        &[(b"__name__", b""), (b"a", b"x")],
        &[(b"__name__", b"m"), (b"", b"x")],
        &[(b"__name__", b"m"), (b"a", b"1"), (b"a", b"2")],
        &[(b"__name__", b"m"), (b"a", b"\xff")],
        &[(b"__name__", b"m"), (b"\xff", b"a")],
    ];
    for labels in skipped {
        check(labels, &[(1.0, 0)], (204, "", &[one])).await;
    }
    check(&[(b"z", b"1"), (b"__name__", b"m")], &[(1.0, 0)], (204, "", &[one, r#"{__name__="m", z="1"} 1@0"#])).await;
    check(&[(b"a", b""), (b"__name__", b"m")], &[(1.0, 0)], (204, "", &[one, r#"{__name__="m"} 1@0"#])).await;
    check(&[(b"__name__", b"m"), (b"a.b", b"1")], &[(1.0, 0)], (204, "", &[r#"{__name__="m", "a.b"="1"} 1@0"#, one]))
        .await;
}

#[tokio::test]
async fn known_series_are_found_again() {
    let receiver = Receiver::start();
    let now = receiver.now;
    let batch = |offset: i64| {
        let one = |i: usize| series(&[("__name__", "m".to_owned()), ("i", i.to_string())], &[(i as f64, now + offset)]);
        request((0..100).map(one).collect())
    };
    for offset in 0..3 {
        assert_eq!(receiver.write(&batch(offset)).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(receiver.counter("skep_remote_write_known_series{}"), 100.0);
    assert_eq!(receiver.counter("skep_remote_write_samples_total{}"), 300.0);
    assert_eq!(receiver.counter("skep_remote_write_requests_total{code=204}"), 3.0);
    assert!(receiver.stored().contains(&r#"{__name__="m", i="42"} 42@0 42@1 42@2"#.to_owned()));
}

#[tokio::test]
async fn metadata_is_kept_and_histograms_are_complained_of() {
    let receiver = Receiver::start();
    let mut sent = request(vec![series(&[("__name__", "m")], &[(1.0, receiver.now)])]);
    sent.metadata.push(Metadata { kind: 1, family: "m".into(), help: "What m counts.".into() });
    sent.timeseries[0].histograms.push(vec![]);
    let (status, text) = receiver.write(&sent).await;
    assert_eq!((status.as_u16(), text.starts_with("native histograms are not stored")), (400, true), "{text}");
    assert_eq!(receiver.stored(), [r#"{__name__="m"} 1@0"#]);
    let metadata = receiver.db.metadata(Some("m"));
    assert_eq!((metadata[0].1.kind.as_str(), metadata[0].1.help.as_str()), ("counter", "What m counts."));
    assert_eq!(receiver.counter("skep_remote_write_samples_left_out_total{reason=native_histogram}"), 1.0);
}

#[tokio::test]
async fn exemplars_are_kept() {
    let receiver = Receiver::start();
    let mut sent = series(&[("__name__", "m")], &[(1.0, receiver.now)]);
    let trace = Label { name: b"trace_id".to_vec(), value: b"abc".to_vec() };
    let bad = Label { name: b"trace_id".to_vec(), value: b"\xff".to_vec() };
    for labels in [vec![trace], vec![bad]] {
        sent.exemplars.push(Exemplar { labels, value: 0.5, timestamp: receiver.now - 1 });
    }
    assert_eq!(receiver.write(&request(vec![sent])).await.0, StatusCode::NO_CONTENT);
    let matchers = [Matcher::equal("__name__", "m")];
    let hints = model::Hints::default();
    let selection = Selection { matchers: &matchers, min_time: 0, max_time: i64::MAX, hints };
    let labels = model::Labels::from_pairs([("trace_id", "abc")]);
    let kept = model::Exemplar { labels, value: 0.5, timestamp: Some(receiver.now - 1) };
    let series = model::Labels::from_pairs([("__name__", "m")]);
    assert_eq!(receiver.db.exemplars(&selection).unwrap(), [(series, vec![kept])]);
    assert_eq!(receiver.counter("skep_remote_write_exemplars_total{}"), 1.0);
}

#[tokio::test]
async fn series_past_the_limit_are_refused_and_the_others_stored() {
    let receiver = Receiver::start_with(tsdb::Options { head_series_max: 1, ..tsdb::Options::default() });
    let now = receiver.now;
    let one = |name: &str| series(&[("__name__", name)], &[(1.0, now)]);
    let (status, text) = receiver.write(&request(vec![one("a"), one("b"), one("a")])).await;
    assert_eq!((status.as_u16(), text.ends_with("of {__name__=\"b\"}\n")), (429, true), "{text}");
    assert_eq!(receiver.stored(), [r#"{__name__="a"} 1@0"#]);
    assert_eq!(receiver.counter("skep_remote_write_samples_left_out_total{reason=limit}"), 1.0);
}

/// A store that fails at one step.
struct Failing {
    append: Option<AppendError>,
    commit: AppendError,
}

impl Appendable for Failing {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(FailingBatch(self))
    }
}

struct FailingBatch<'a>(&'a Failing);

impl Appender for FailingBatch<'_> {
    fn append(&mut self, _: &model::Labels, _: model::Sample) -> Result<SeriesRef, AppendError> {
        self.0.append.clone().map_or(Ok(SeriesRef(std::num::NonZeroU64::MIN)), Err)
    }
    fn append_ref(&mut self, _: SeriesRef, _: model::Sample) -> Result<(), AppendError> {
        Ok(())
    }
    fn append_exemplar(&mut self, _: SeriesRef, _: &model::Exemplar) -> Result<(), AppendError> {
        Ok(())
    }
    fn set_metadata(&mut self, _: &str, _: &model::Metadata) -> Result<(), AppendError> {
        Ok(())
    }
    fn commit(self: Box<Self>, durability: Durability) -> Result<Committed, AppendError> {
        match durability {
            Durability::Kernel => Ok(Committed::default()),
            Durability::Disk => Err(self.0.commit.clone()),
        }
    }
}

#[tokio::test]
async fn a_failing_store_is_never_acknowledged() {
    let io = |kind: std::io::ErrorKind| {
        let source = Arc::new(std::io::Error::from(kind));
        AppendError::Storage(StorageError::Io { operation: "fsync", path: "log/1".into(), source })
    };
    let full = || io(std::io::ErrorKind::StorageFull);
    let cases = [
        (None, full(), 503, Some("30")),
        (None, io(std::io::ErrorKind::Other), 500, None),
        (None, AppendError::Storage(StorageError::Closed), 503, Some("30")),
        (None, AppendError::Limit("the log is full".into()), 503, Some("30")),
        (Some(full()), full(), 503, Some("30")),
        (Some(AppendError::DuplicateTimestamp), full(), 503, Some("30")),
    ];
    for (append, commit, status, retry) in cases {
        let case = format!("{append:?} {commit:?}");
        let state = remote::State::new(Arc::new(Failing { append, commit }), remote::Limits::default());
        let sent = request(vec![series(&[("__name__", "m")], &[(1.0, 1)])]);
        let post = Request::post("/api/v1/write").body(Body::from(pack(&sent.encode_to_vec()))).unwrap();
        let response = remote::router(state).oneshot(post).await.unwrap();
        let answered = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!((response.status().as_u16(), answered), (status, retry), "{case}");
    }
}

#[tokio::test]
async fn requests_on_a_lane_share_syncs() {
    const SENDERS: usize = 8;
    const REQUESTS: i64 = 20;
    let receiver = Receiver::start();
    let lane = remote::Lane::start().unwrap();
    let post = |sender: usize, at: i64| {
        let labels = [("__name__", "m"), ("sender", &sender.to_string())];
        let body = pack(&request(vec![series(&labels, &[(at as f64, receiver.now - at)])]).encode_to_vec());
        Request::post("/api/v1/write").extension(lane.clone()).body(Body::from(body)).unwrap()
    };
    let senders = (0..SENDERS).map(|sender| (0..REQUESTS).map(|at| post(sender, at)).collect::<Vec<_>>());
    let (senders, router) = (senders.collect::<Vec<_>>(), remote::router(receiver.state.clone()));
    let (tell, told) = tokio::sync::oneshot::channel();
    lane.spawn(async move {
        let mut running = tokio::task::JoinSet::new();
        for posts in senders {
            let router = router.clone();
            running.spawn(async move {
                for post in posts {
                    assert_eq!(router.clone().oneshot(post).await.unwrap().status(), 204);
                }
            });
        }
        running.join_all().await;
        tell.send(()).unwrap();
    });
    told.await.unwrap();
    let stored: usize = receiver.stored().iter().map(|line| line.matches('@').count()).sum();
    assert_eq!(stored, SENDERS * REQUESTS as usize);
    let mut families = Families::default();
    receiver.db.collect(&mut families).unwrap();
    let syncs = families.iter().find(|f| f.name == "skep_tsdb_log_fsyncs_total").unwrap().points[0].value;
    assert!(syncs < 2.0 * REQUESTS as f64, "{syncs}");
}

#[tokio::test]
async fn a_failing_sync_on_a_lane_is_never_acknowledged() {
    let source = Arc::new(std::io::Error::from(std::io::ErrorKind::Other));
    let commit = AppendError::Storage(StorageError::Io { operation: "fsync", path: "log/1".into(), source });
    let lane = remote::Lane::start().unwrap();
    let state = remote::State::new(Arc::new(Failing { append: None, commit }), remote::Limits::default());
    let sent = request(vec![series(&[("__name__", "m")], &[(1.0, 1)])]);
    let body = Body::from(pack(&sent.encode_to_vec()));
    let post = Request::post("/api/v1/write").extension(lane.clone()).body(body).unwrap();
    assert_eq!(remote::router(state).oneshot(post).await.unwrap().status(), 500);
}

#[tokio::test]
async fn headers_and_bodies() {
    let receiver = Receiver::start();
    let protobuf = "application/x-protobuf";
    let empty = pack(b"");
    let bomb = |declared: &[u8]| [declared, &[0xfe; 64]].concat();
    let cases: [(Headers<'_>, Vec<u8>, u16, &str); 18] = [
        (&[], empty.clone(), 204, ""),
        (&[("content-type", protobuf), ("content-encoding", "snappy")], empty.clone(), 204, ""),
        (&[("content-type", "application/x-protobuf;proto=prometheus.WriteRequest")], empty.clone(), 204, ""),
        (&[("content-type", "application/x-protobuf;foo=bar")], empty.clone(), 204, ""),
        (&[("content-encoding", "SNAPPY")], empty.clone(), 204, ""),
        (&[("content-encoding", "gzip")], empty.clone(), 415, "gzip encoding (compression) is not accepted"),
        (&[("content-type", "application/json")], empty.clone(), 415, "expected application/x-protobuf as the first"),
        (&[("content-type", "application/x-protobuf;foo")], empty.clone(), 415, "as per https://www.rfc-editor.org"),
        (&[("content-type", "application/x-protobuf;proto=foo")], empty.clone(), 415, "got application/x-protobuf"),
        (&[("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")], empty.clone(), 204, ""),
        (&[], vec![], 400, "snappy: corrupt input"),
        (&[], b"\xff\xff\xff\xff\xff\xff".to_vec(), 400, "snappy: corrupt input"),
        (&[], bomb(b"\xff\xff\xff\xff\x0f"), 400, "snappy: decoded length 4294967295 exceeds limit 33554432"),
        (&[], bomb(b"\x81\x80\x80\x10"), 400, "snappy: decoded length 33554433 exceeds limit 33554432"),
        (&[], bomb(b"\x80\x80\x80\x10"), 400, "snappy: corrupt input"),
        (&[], pack(b"\x0a\xff\xff"), 400, "unexpected EOF"),
        (&[("content-length", "999999999")], empty, 413, "request body exceeds limit 16777216"),
        (&[], vec![0; (16 << 20) + 1], 413, "request body exceeds limit 16777216"),
    ];
    for (headers, body, status, text) in cases {
        let start: Vec<u8> = body.iter().copied().take(20).collect();
        let answer = receiver.send(headers, body).await;
        assert_eq!(answer.0.as_u16(), status, "{headers:?} {start:x?} {answer:?}");
        assert!(answer.1.starts_with(text), "{headers:?} {start:x?} {answer:?}");
    }
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_to_come_back() {
    let receiver = Receiver::start();
    let router = remote::router(receiver.state.clone());
    let never = || Body::from_stream(tokio_stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let request = Request::post("/api/v1/write").body(never()).unwrap();
        waiting.push(tokio::spawn(router.clone().oneshot(request)));
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while receiver.counter("skep_remote_write_requests_in_flight{}") < 100.0 {
        assert!(std::time::Instant::now() < deadline, "the requests never arrived");
        tokio::task::yield_now().await;
    }
    let request = Request::post("/api/v1/write").body(Body::from(pack(b""))).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    for task in waiting {
        task.abort();
        assert!(task.await.is_err());
    }
    assert_eq!(receiver.write(&request_of_nothing()).await.0, StatusCode::NO_CONTENT);
}

fn request_of_nothing() -> WriteRequest {
    request(vec![])
}

/// History that is sent arrives whole, and the answer says what was left out.
#[tokio::test]
async fn a_sender_hears_what_became_of_its_samples() {
    let receiver = Receiver::start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, remote::router(receiver.state.clone())).into_future());
    let sender = remote::Sender::new(&url).unwrap();
    let now = receiver.now;
    let mut message = remote::Message::default();
    message.metadata("m", &model::Metadata { help: "what".into(), ..model::Metadata::default() });
    message.series(&model::Labels::from_pairs([("__name__", "m"), ("a", &"x".repeat(300))]));
    message.sample(now, 1.0);
    message.sample(now - 5, -0.5);
    let labels = model::Labels::from_pairs([("trace_id", "t")]);
    message.exemplar(&model::Exemplar { labels, value: 0.5, timestamp: None }, now);
    message.series(&model::Labels::from_pairs([("__name__", "n")]));
    message.sample(now + 3_600_000, 7.0);
    message.sample(now, f64::INFINITY);
    assert_eq!(message.samples(), 4);
    let answer = sender.send(message.take_body()).await.unwrap();
    assert!(message.is_empty());
    assert_eq!((answer.written, &*answer.left_out), (Some(3), &[("too_far_in_future".to_owned(), 1)][..]));
    assert!(answer.complaint.starts_with("out of bounds: "), "{}", answer.complaint);
    let long = format!(r#"{{__name__="m", a="{}"}} -0.5@-5 1@0"#, "x".repeat(300));
    assert_eq!(receiver.stored(), [long, r#"{__name__="n"} inf@0"#.to_owned()]);
    assert_eq!(receiver.db.metadata(Some("m"))[0].1.help, "what");
    assert_eq!(receiver.counter("skep_remote_write_exemplars_total{}"), 1.0);
}
