//! Alerts in, requests out: to a recording server, over minutes that pass at once.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use catalog::Catalog;
use model::{Alert, AlertSink, Clock, Labels, Timestamp};
use notify::{Config, Notifier, decode};
use serde_json::Value;
use testkit::{Asked, Authority, Web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that keeps bodies and answers with the codes it is given, then with 200.
#[derive(Clone)]
struct Recorder {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Recorder {
    async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let recorder = Self {
            address: listener.local_addr().unwrap(),
            bodies: Arc::default(),
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        };
        let shared = recorder.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let body = read_body(&mut stream).await;
                shared.bodies.lock().unwrap().push(body);
                let code = shared.answers.lock().unwrap().pop_front().unwrap_or(200);
                let answer = format!(
                    "HTTP/1.1 {code} X\r\nconnection: close\r\nlocation: /else\r\ncontent-length: 4\r\n\r\nwhy?"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        recorder
    }

    /// Waits until there are so many bodies, and gives them as `reason status alert=status...`.
    async fn told(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.bodies.lock().unwrap().len() < count {
            assert!(Instant::now() < deadline, "{:?}", self.bodies.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.bodies.lock().unwrap().iter().map(summary).collect()
    }
}

fn summary(body: &Value) -> String {
    let alerts = body["alerts"].as_array().unwrap().iter().map(|alert| {
        format!(" {}={}", alert["labels"]["alertname"].as_str().unwrap(), alert["status"].as_str().unwrap())
    });
    format!("{}:{}", body["notification_reason"].as_str().unwrap(), alerts.collect::<String>())
}

async fn read_body(stream: &mut tokio::net::TcpStream) -> Value {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.unwrap().trim().parse::<usize>().unwrap() {
                assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
                return serde_json::from_str(body).unwrap();
            }
        }
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the request ended early");
        bytes.extend_from_slice(&chunk[..read]);
    }
}

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.0.load(Ordering::Relaxed)
    }
}

const START: Timestamp = 1_700_000_000_000;

fn config(address: SocketAddr, extra: &str) -> Config {
    let text = format!(
        "route: {{receiver: r, group_by: [job], group_wait: 0s, group_interval: 100ms, repeat_interval: 1h}}\nreceivers:\n- name: r\n  webhook_configs:\n  - url: http://{address}/hook\n{extra}"
    );
    let report = yaml::Report::default();
    let config = decode("am.yml", &text, &report);
    assert_eq!(report.into_problems(), []);
    config.unwrap()
}

fn alert(name: &str, ends_in: i64) -> Alert {
    Alert {
        labels: Labels::from_pairs([("alertname", name), ("job", "j")]),
        annotations: Labels::empty(),
        starts_at: START - 60_000,
        ends_at: START + ends_in,
        generator_url: String::new(),
    }
}

struct Scene {
    recorder: Recorder,
    clock: Arc<SetClock>,
    catalog: Arc<Catalog>,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new(answers: &[u16]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            recorder: Recorder::start(answers).await,
            clock: Arc::new(SetClock(AtomicI64::new(START))),
            catalog: Arc::new(Catalog::open(folder.path()).unwrap()),
            _folder: folder,
        }
    }

    fn start(&self, extra: &str) -> Notifier {
        let config = config(self.recorder.address, extra);
        Notifier::start(config, "http://skep".to_owned(), self.clock.clone(), self.catalog.clone())
    }

    fn minutes(&self, minutes: i64) {
        self.clock.0.fetch_add(minutes * 60_000, Ordering::Relaxed);
    }

    /// Waits until the receiver's status fits.
    async fn until(
        &self,
        notifier: &Notifier,
        fits: impl Fn(&notify::ReceiverStatus) -> bool,
    ) -> notify::ReceiverStatus {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let status = notifier.status().remove(0);
            if fits(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{status:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

const HOUR: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn tells_what_changed_and_repeats() {
    let scene = Scene::new(&[]).await;
    let notifier = scene.start("");
    notifier.send(vec![alert("A", 9 * HOUR)]);
    assert_eq!(scene.recorder.told(1).await, ["first notification: A=firing"]);
    notifier.send(vec![alert("A", 9 * HOUR), alert("B", 9 * HOUR)]);
    assert_eq!(scene.recorder.told(2).await[1], "new alerts added: A=firing B=firing");
    notifier.send(vec![alert("B", -1000)]);
    assert_eq!(scene.recorder.told(3).await[2], "some alerts resolved: A=firing B=resolved");
    // What was told counts from when it was logged: the clock moves on only after that.
    scene.until(&notifier, |status| status.sent == 3).await;
    scene.minutes(61);
    assert_eq!(scene.recorder.told(4).await[3], "repeat interval elapsed: A=firing");
    scene.until(&notifier, |status| status.sent == 4).await;
    // Nobody says any more that it fires.
    scene.minutes(9 * 60);
    assert_eq!(scene.recorder.told(5).await[4], "all alerts resolved: A=resolved");
    let status = scene.until(&notifier, |status| status.sent == 5).await;
    assert_eq!((status.failed, status.last_error.as_str()), (0, ""));
    notifier.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_neither_repeats_nor_forgets() {
    let scene = Scene::new(&[]).await;
    let notifier = scene.start("");
    notifier.send(vec![alert("A", 9 * HOUR)]);
    scene.recorder.told(1).await;
    scene.until(&notifier, |status| status.sent == 1).await;
    notifier.stop().await;
    drop(notifier);
    let notifier = scene.start("");
    notifier.send(vec![alert("A", 9 * HOUR), alert("C", 9 * HOUR)]);
    assert_eq!(scene.recorder.told(2).await[1], "new alerts added: A=firing C=firing");
    scene.until(&notifier, |status| status.sent == 1).await;
    notifier.stop().await;
    drop(notifier);
    // After another restart nobody fires: the ends are told without having been sent again.
    let notifier = scene.start("");
    scene.minutes(10 * 60);
    assert_eq!(scene.recorder.told(3).await[2], "all alerts resolved: A=resolved C=resolved");
    notifier.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_again_after_a_failure_but_not_after_a_refusal() {
    let scene = Scene::new(&[503, 500, 200]).await;
    let notifier = scene.start("");
    notifier.send(vec![alert("A", 9 * HOUR)]);
    assert_eq!(scene.recorder.told(3).await.len(), 3);
    let status = scene.until(&notifier, |status| status.sent == 1).await;
    assert_eq!((status.attempts, status.failed), (3, 0));
    notifier.stop().await;

    let scene = Scene::new(&[400]).await;
    let notifier = scene.start("    max_alerts: 1\n    send_resolved: false\n");
    notifier.send(vec![alert("A", 9 * HOUR)]);
    // A refusal is not tried again; the next look at the group is a new try.
    let status = scene.until(&notifier, |status| status.sent == 1).await;
    assert_eq!((status.attempts, status.failed), (2, 1));
    notifier.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_redirects() {
    let scene = Scene::new(&[302; 50]).await;
    let notifier = scene.start("");
    notifier.send(vec![alert("A", 9 * HOUR)]);
    let status = scene.until(&notifier, |status| status.failed > 0).await;
    assert_eq!(
        status.last_error,
        "unexpected status code 302: this redirect is not followed; write /else into the configuration"
    );
    notifier.stop().await;
}

/// Everything that `http_config` says is done, whether a webhook has one or all have the global one.
#[tokio::test(flavor = "multi_thread")]
async fn reaches_webhooks_as_configured() {
    let authority = Authority::new().unwrap();
    let tls = authority.sign(&["localhost"]).unwrap().server(Some(&authority), false).unwrap();
    let hook = Web::start(Some(tls), |asked| match asked.uri.path() {
        "/moved" => (307, vec![("location", "/hook".to_owned())], Vec::new()),
        _ => (200, Vec::new(), Vec::new()),
    });
    let hook = hook.unwrap();
    let tokens = |_: &Asked| {
        let headers = vec![("content-type", "application/json".to_owned())];
        (200, headers, b"{\"access_token\": \"t\", \"token_type\": \"bearer\"}".to_vec())
    };
    let tokens = Web::start(None, tokens).unwrap();
    let proxy = Web::proxy(None, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let client = authority.sign(&["client"]).unwrap();
    for (name, text) in [("ca", &authority.pem()), ("cert", &client.cert), ("key", &client.key)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("password"), "p\n").unwrap();
    let tls = "tls_config: {ca_file: ca, cert_file: cert, key_file: key}";
    let text = format!(
        "global: {{http_config: {{{tls}, basic_auth: {{username: u, password_file: password}}}}}}\n\
         route: {{receiver: r, group_by: [job], group_wait: 0s, group_interval: 100ms}}\n\
         receivers:\n- name: r\n  webhook_configs:\n  - url: https://localhost:{port}/moved\n  \
         - {{url: 'https://localhost:{port}/hook', http_config: {{{tls}, proxy_url: 'http://{}', http_headers: {{X-A: {{values: [b]}}}}, \
         oauth2: {{client_id: c, client_secret: s, token_url: 'http://{}/'}}}}}}\n",
        proxy.address(),
        tokens.address(),
        port = hook.port()
    );
    let report = yaml::Report::default();
    let config = decode(&folder.path().join("am.yml").display().to_string(), &text, &report);
    assert_eq!(report.into_problems(), []);
    let catalog = Arc::new(Catalog::open(folder.path()).unwrap());
    let clock = Arc::new(SetClock(AtomicI64::new(START)));
    let notifier = Notifier::start(config.unwrap(), "http://skep".to_owned(), clock, catalog);
    notifier.send(vec![alert("A", 9 * HOUR)]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while notifier.status().iter().any(|status| status.sent == 0) {
        assert!(Instant::now() < deadline, "{:?}", notifier.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    notifier.stop().await;
    let told =
        |asked: &Asked| format!("{} {} {}", asked.uri.path(), asked.header("authorization"), asked.header("x-a"));
    let mut asked: Vec<String> = hook.requests().iter().map(told).collect();
    asked.sort();
    assert_eq!(asked, ["/hook Basic dTpw ", "/hook Bearer t b", "/moved Basic dTpw "]);
    assert!(hook.requests().iter().all(|asked| asked.body.contains("\"alertname\":\"A\"")));
    assert_eq!(proxy.requests().len(), 1, "one of them has a proxy");
}
