//! The router as a client meets it, over an empty store.

#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use model::status::{
    DroppedTarget, Later, Memory, MemoryStatus, Notifications, NotificationsView, ProbeStatus, Probes, RuleGroupStatus,
    Rules, SilenceView, Store, StoreStatus, TargetStatus, Targets,
};
use model::{
    Change, Clock, Exemplar, KeyValue, Labels, Metadata, Queryable, Selection, SeriesSet, StorageError, Timestamp,
};
use tokio::sync::watch;
use tower::ServiceExt;

/// A machine on which nothing has happened yet.
struct Nothing;

impl Queryable for Nothing {
    fn select(&self, _: &Selection<'_>) -> Result<SeriesSet, StorageError> {
        Ok(SeriesSet::default())
    }
    fn label_names(&self, _: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
    fn label_values(&self, _: &str, _: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
    fn exemplars(&self, _: &Selection<'_>) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        Ok(Vec::new())
    }
    fn metadata(&self, _: Option<&str>) -> Vec<(String, Metadata)> {
        Vec::new()
    }
}

impl Targets for Nothing {
    fn active(&self) -> Vec<TargetStatus> {
        Vec::new()
    }
    fn dropped(&self) -> Vec<DroppedTarget> {
        Vec::new()
    }
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Rules for Nothing {
    fn groups(&self) -> Vec<RuleGroupStatus> {
        Vec::new()
    }
}

impl Notifications for Nothing {
    fn view(&self) -> Later<Option<NotificationsView>> {
        Box::pin(async { None })
    }
    fn set_silence(&self, _: SilenceView) -> Later<Result<String, String>> {
        Box::pin(async { Err("nobody is told".to_owned()) })
    }
    fn expire_silence(&self, _: String) -> Later<Result<(), String>> {
        Box::pin(async { Err("nobody is told".to_owned()) })
    }
}

impl Probes for Nothing {
    fn probes(&self) -> Vec<ProbeStatus> {
        Vec::new()
    }
}

impl Store for Nothing {
    fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }
}

impl Memory for Nothing {
    fn memory(&self) -> MemoryStatus {
        MemoryStatus::default()
    }
}

impl KeyValue for Nothing {
    fn entries(&self, _: &str) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
    fn write(&self, _: &str, _: &[Change]) -> Result<(), StorageError> {
        Ok(())
    }
}

impl Clock for Nothing {
    fn now(&self) -> Timestamp {
        1_700_000_000_000
    }
}

fn router(stopping: watch::Receiver<bool>) -> Router {
    let folder = tempfile::tempdir().unwrap();
    let nothing = Arc::new(Nothing);
    let boards = boards::Shelf::open(folder.path(), nothing.clone(), nothing, boards::Unnamed::Leave).unwrap();
    ui::router(ui::State {
        storage: Arc::new(Nothing),
        engine: Arc::new(promql::Engine::new(promql::EngineOptions::default())),
        targets: Arc::new(Nothing),
        rules: Arc::new(Nothing),
        notifications: Arc::new(Nothing),
        probes: Arc::new(Nothing),
        store: Arc::new(Nothing),
        memory: Arc::new(Nothing),
        boards: Arc::new(boards),
        clock: Arc::new(Nothing),
        stopping,
        reload_problem: watch::channel(String::new()).1,
        config: ui::Config {
            prefix: String::new(),
            open_to_network: true,
            version: "0.1.0".to_owned(),
            node: "box".to_owned(),
            interval: Duration::from_secs(15),
        },
    })
}

async fn get(path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let (_keep, stopping) = watch::channel(false);
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router(stopping).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Status, and a part of the text.
async fn check(path: &str, status: u16, part: &str) {
    let response = get(path, &[]).await;
    assert_eq!(response.status().as_u16(), status, "{path}");
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("require-trusted-types-for 'script'") && !policy.contains("unsafe"), "{path}: {policy}");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
    let text = text(response).await;
    assert!(text.contains(part), "{path}: {part:?} is not in\n{text}");
}

#[tokio::test]
async fn pages_of_an_empty_machine_explain_themselves() {
    check("/", 200, "Cilium was not found on this machine").await;
    check("/", 200, "Probes are off").await;
    check("/", 200, "Open to the network without a login").await;
    check("/query", 200, "Start from").await;
    check("/targets", 200, "Nothing is collected").await;
    check("/targets/inspect?id=1", 404, "There is no such target").await;
    check("/ui/targets", 200, r#""targets":[]"#).await;
    check("/cilium", 200, "No metrics of Cilium here").await;
    check("/alerts", 200, "No rules are loaded").await;
}

#[tokio::test]
async fn mistakes_are_named() {
    check("/nowhere", 404, "Nothing is served at /nowhere").await;
    check("/?from=x", 400, "from=&#34;x&#34; is neither relative").await;
    check("/?from=now&to=now-1h", 400, "ends before it begins").await;
    check("/query?expr=sum(", 200, "<mark>").await;
    check("/ui/data?panels=nope", 400, "There is no such panel").await;
    check("/ui/data?expr=1&from=0&to=99999999999&step=1", 400, "Too many points").await;
    check(&format!("/ui/data?{}", "expr=1&".repeat(9)), 400, "Too many expressions").await;
    check("/assets/app.js", 404, "no such file").await;
    check("/assets/..%2f..%2fCargo.toml", 404, "no such file").await;
}

#[tokio::test]
async fn data_is_columnar() {
    check("/ui/data?expr=vector(7)&from=0&to=60000&step=30000", 200, r#""start":0,"step":30000,"count":3"#).await;
    check("/ui/data?expr=vector(7)&from=0&to=60000&step=30000", 200, r#""v":[7.0,7.0,7.0]"#).await;
    check("/ui/data?expr=nope(&from=0&to=60000", 200, "parse error").await;
    check("/ui/data?panels=cpu,memory", 200, r#""id":"memory""#).await;
    check("/ui/data?panels=memory", 200, "Collecting began a moment ago").await;
    check("/ui/data?panels=memory&from=0&to=60000", 200, "this range is older than the store").await;
}

#[tokio::test]
async fn answers_are_compressed_where_that_is_taken() {
    let response = get("/", &[("accept-encoding", "gzip")]).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut html = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut html).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("skep"));

    let response = get(&format!("/assets/{}", assets::SCRIPT), &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(response.headers()["content-encoding"], "br");
    assert!(response.headers()["cache-control"].to_str().unwrap().contains("immutable"));
}

#[tokio::test]
async fn streams_begin_at_once_are_limited_and_end_with_the_process() {
    let (stop, stopping) = watch::channel(false);
    let router = router(stopping);
    let open = || async {
        let request = Request::get("/ui/live").body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(open().await);
    }
    assert_eq!(open().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(streams.pop());
    let mut last = open().await;
    assert_eq!(last.status(), StatusCode::OK);
    let first = last.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    let first = String::from_utf8(first.to_vec()).unwrap();
    for part in ["event: state\n", "retry: ", "id: ", r#""firing":0"#] {
        assert!(first.contains(part), "{part:?} is not in {first:?}");
    }
    stop.send(true).unwrap();
    assert!(last.body_mut().frame().await.is_none(), "the stream goes on");
}
