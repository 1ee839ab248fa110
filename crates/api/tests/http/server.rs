//! skep's routes over a real store, without the program around them.

use std::sync::Arc;

use api::{Build, Process, Runtime};
use model::status::{DroppedTarget, RuleGroupStatus, Rules, TargetStatus, Targets};
use model::{Clock, Labels, SystemClock};
use testkit::WriteRequest;

/// A running server; it ends with the test.
pub(crate) struct Server {
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
    url: String,
}

/// Nothing is collected and nothing judged, as in the peer.
struct Nothing;

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

impl Process for Nothing {
    fn is_ready(&self) -> bool {
        true
    }
    fn config(&self) -> String {
        "global: {}\n".to_owned()
    }
    fn flags(&self) -> Vec<(String, String)> {
        vec![("web.listen-address".to_owned(), "127.0.0.1:0".to_owned())]
    }
    fn build(&self) -> Build {
        Build { version: "3.5.3".to_owned(), ..Build::default() }
    }
    fn runtime(&self) -> Runtime {
        Runtime { hostname: "box".to_owned(), retention: "400d".to_owned(), ..Runtime::default() }
    }
    fn alertmanagers(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Now, in seconds.
pub(crate) fn now_seconds() -> i64 {
    SystemClock.now() / 1000
}

impl Server {
    /// Starts it on a free port.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// Starts it with the administration switched on.
    pub(crate) fn start_with_admin() -> Self {
        struct Refuse;
        impl api::Snapshots for Refuse {
            fn take(&self, _: bool) -> Result<String, String> {
                Err("not here".to_owned())
            }
        }
        Self::start_over(|state, db| state.admin = Some(api::Admin { data: db, snapshots: Arc::new(Refuse) }))
    }

    /// Starts it with another state.
    pub(crate) fn start_with(change: impl FnOnce(&mut api::State)) -> Self {
        Self::start_over(|state, _| change(state))
    }

    fn start_over(change: impl FnOnce(&mut api::State, Arc<tsdb::Db>)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options =
            tsdb::Options { path: folder.path().join("data"), retention_time: None, ..tsdb::Options::default() };
        let db = Arc::new(tsdb::Db::open(options).unwrap());
        let mut state = api::State {
            storage: db.clone(),
            engine: Arc::new(promql::Engine::new(promql::EngineOptions {
                per_step_stats: true,
                ..promql::EngineOptions::default()
            })),
            targets: Arc::new(Nothing),
            rules: Arc::new(Nothing),
            store: db.clone(),
            process: Arc::new(Nothing),
            collectors: vec![db.clone()],
            external_labels: Labels::empty().into(),
            admin: None,
            clock: Arc::new(SystemClock),
        };
        change(&mut state, db.clone());
        let router = api::router(state).merge(remote::router(remote::State::new(db, remote::Limits::default())));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { _runtime: runtime, _folder: folder, url }
    }

    /// `http://ADDRESS:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Sends samples; the status.
pub(crate) fn write(url: &str, request: &WriteRequest) -> u16 {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut post = agent.post(format!("{url}/api/v1/write"));
    for (name, value) in WriteRequest::HEADERS {
        post = post.header(name, value);
    }
    post.send(request.body()).unwrap().status().as_u16()
}
