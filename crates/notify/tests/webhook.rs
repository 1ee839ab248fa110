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
                let text = if code == 200 { "ok" } else { "why?" };
                let answer = format!(
                    "HTTP/1.1 {code} X\r\nconnection: close\r\nlocation: /else\r\ncontent-length: {}\r\n\r\n{text}",
                    text.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        recorder
    }

    /// Waits until there are so many bodies.
    async fn heard(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.bodies.lock().unwrap().len() < count {
            assert!(Instant::now() < deadline, "{:?}", self.bodies.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until there are so many bodies, and gives them as `reason status alert=status...`.
    async fn told(&self, count: usize) -> Vec<String> {
        self.heard(count).await;
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

    /// Waits until what was told fits.
    async fn heard(&self, fits: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let told = self.recorder.told(0).await;
            if fits(&told) {
                return;
            }
            assert!(Instant::now() < deadline, "{told:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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

/// A configuration with a webhook and a Slack channel at the recorder.
fn troubled(address: SocketAddr, text: &str, templates: &str) -> Config {
    let text = format!(
        "templates: [{templates}]\nroute: {{receiver: r, group_by: [job], group_wait: 0s, group_interval: 100ms, repeat_interval: 1h}}\n\
         receivers:\n- name: r\n  slack_configs: [{{api_url: 'http://{address}/hook', text: '{text}', title: '{text}', username: '{{{{ .Receiver }}}}'}}]\n"
    );
    let report = yaml::Report::default();
    decode("am.yml", &text, &report).unwrap()
}

/// The notification goes out with the plain facts, and the list of receivers says why.
#[tokio::test(flavor = "multi_thread")]
async fn templates_that_fail_or_do_not_end_cost_their_words_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loop.tmpl");
    std::fs::write(
        &file,
        "{{ define \"loop\" }}\n{{ template \"loop\" . }}{{ end }}{{ define \"bad\" }}{{ .No }}{{ end }}",
    )
    .unwrap();
    let file = file.display().to_string();
    for (text, expected) in [
        ("{{ template \"loop\" . }}", "exceeded maximum template depth (200)"),
        (
            "{{ template \"bad\" . }}",
            "template: loop.tmpl:2:53: executing \"bad\" at <.No>: can't evaluate field No in type *template.Data",
        ),
        ("{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}", "more than 1000000 steps"),
        ("{{ $x := \"ab\" }}{{ range 64 }}{{ $x = print $x $x }}{{ end }}", "text longer than 1048576 bytes"),
        ("{{ .A", "unclosed action"),
        ("{{ template \"none\" . }}", "template \"none\" not defined"),
    ] {
        let scene = Scene::new(&[]).await;
        let config = troubled(scene.recorder.address, text, &file);
        let notifier = Notifier::start(config, "http://skep".to_owned(), scene.clock.clone(), scene.catalog.clone());
        notifier.send(vec![alert("A", 9 * HOUR)]);
        scene.recorder.heard(1).await;
        let body = scene.recorder.bodies.lock().unwrap()[0].clone();
        let attachment = &body["attachments"][0];
        assert_eq!((&body["username"], &attachment["title"]), (&"r".into(), &"[FIRING:1] j".into()), "{text}: {body}");
        let words = attachment["text"].as_str().unwrap();
        assert!(words.starts_with("[FIRING:1] j\nfiring {alertname=\"A\", job=\"j\"}"), "{text}: {words}");
        assert!(words.contains(expected), "{text}: {words}");
        let status = scene.until(&notifier, |status| status.attempts > 0).await;
        let problem = &status.last_error;
        assert!(problem.starts_with("sent, but a template failed: ") && problem.contains(expected), "{problem}");
        notifier.stop().await;
    }
}

/// A receiver that never answers keeps nobody else waiting, and is heard of in the list.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_holds_up_no_other() {
    let scene = Scene::new(&[]).await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = format!("  - {{url: 'http://{}/', timeout: 200ms}}\n", hanging.local_addr().unwrap());
    let notifier = scene.start(&keys);
    notifier.send(vec![alert("A", 9 * HOUR)]);
    assert_eq!(scene.recorder.told(1).await, ["first notification: A=firing"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while notifier.status()[1].last_error != "no answer within 200ms" {
        assert!(Instant::now() < deadline, "{:?}", notifier.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    notifier.stop().await;
}

/// Every one of a thousand alerts in groups of their own is told, and told once.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_alerts_at_once_are_told_once_each() {
    let scene = Scene::new(&[503; 40]).await;
    let mut config = config(scene.recorder.address, "");
    config.route.group_by = notify::GroupBy::All;
    config.route.group_interval = Duration::from_secs(60);
    let notifier = Notifier::start(config, "http://skep".to_owned(), scene.clock.clone(), scene.catalog.clone());
    let all: Vec<Alert> = (0..1000).map(|i| alert(&format!("A{i}"), 9 * HOUR)).collect();
    notifier.send(all.clone());
    notifier.send(all);
    scene.until(&notifier, |status| status.sent == 1000).await;
    let mut told = scene.recorder.told(1040).await;
    told.sort();
    told.dedup();
    // Forty were refused at first and told again.
    assert_eq!((told.len(), scene.recorder.bodies.lock().unwrap().len()), (1000, 1040));
    notifier.stop().await;
}

/// Whatever the clock does, what fires and ends is told, and nothing more than once too often.
#[tokio::test(flavor = "multi_thread")]
async fn clock_jumps_lose_nothing() {
    for jumps in [[-30 * 24 * 60, 60], [30 * 24 * 60, -30 * 24 * 60], [-1, 1]] {
        let scene = Scene::new(&[]).await;
        let notifier = scene.start("");
        notifier.send(vec![alert("A", 9 * HOUR)]);
        scene.recorder.told(1).await;
        scene.until(&notifier, |status| status.sent == 1).await;
        for minutes in jumps {
            scene.minutes(minutes);
            let now = scene.clock.now();
            let lasting = |name: &str| Alert { ends_at: now + HOUR, starts_at: now - 1000, ..alert(name, 0) };
            notifier.send(vec![lasting("A"), lasting(&format!("B{minutes}"))]);
            let named = format!("B{minutes}=firing");
            scene.heard(|told| told.iter().any(|told| told.contains(&named))).await;
        }
        let now = scene.clock.now();
        let ended = |name: &str| Alert { ends_at: now - 1, starts_at: now - 60_000, ..alert(name, 0) };
        notifier.send(vec![ended("A"), ended(&format!("B{}", jumps[0])), ended(&format!("B{}", jumps[1]))]);
        scene.heard(|told| told.last().is_some_and(|told| told.starts_with("all alerts resolved"))).await;
        let told = scene.recorder.told(1).await;
        let repeats = told.iter().filter(|told| told.starts_with("repeat")).count();
        assert!(repeats <= 2, "{jumps:?}: {told:?}");
        notifier.stop().await;
    }
}

/// The process ends while a notification is under way: the next one tells it, at most once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_firing_and_sending_loses_nothing() {
    let scene = Scene::new(&[]).await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let killed = tokio::runtime::Runtime::new().unwrap();
    let (address, clock, store) = (hanging.local_addr().unwrap(), scene.clock.clone(), scene.catalog.clone());
    let first = killed.spawn(async move {
        let notifier = Notifier::start(config(address, ""), "http://skep".to_owned(), clock, store);
        notifier.send(vec![alert("A", 9 * HOUR)]);
        std::future::pending::<()>().await;
    });
    let (mut stream, _) = hanging.accept().await.unwrap();
    read_body(&mut stream).await;
    first.abort();
    killed.shutdown_background();
    let notifier = scene.start("");
    // Rules say again what fires.
    notifier.send(vec![alert("A", 9 * HOUR)]);
    assert_eq!(scene.recorder.told(1).await, ["first notification: A=firing"]);
    scene.until(&notifier, |status| status.sent == 1).await;
    notifier.send(vec![alert("A", -1000)]);
    assert_eq!(scene.recorder.told(2).await[1], "all alerts resolved: A=resolved");
    notifier.stop().await;
}

/// A receiver that is away for many intervals hears, once it is back, what is so then.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_down_for_long_hears_once() {
    let scene = Scene::new(&[503; 30]).await;
    let notifier = scene.start("");
    notifier.send(vec![alert("A", 9 * HOUR)]);
    scene.until(&notifier, |status| status.attempts >= 3).await;
    notifier.send(vec![alert("A", 9 * HOUR), alert("B", 9 * HOUR)]);
    // The rest of the bad answers are for other clients, so that no time has to pass.
    scene.recorder.answers.lock().unwrap().clear();
    scene.until(&notifier, |status| status.sent == 2 || (status.sent == 1 && status.failed == 0)).await;
    scene.heard(|told| told.last().is_some_and(|told| told.ends_with("A=firing B=firing"))).await;
    let good = notifier.status().remove(0);
    assert!(good.sent <= 2 && good.last_error.is_empty(), "{good:?}");
    notifier.stop().await;
}

/// An hour in which the receiver is away, alerts begin, end, and do both: once it is back it hears how things stand and
/// nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_down_for_an_hour_hears_what_became_of_it() {
    let scene = Scene::new(&[]).await;
    let notifier = scene.start("");
    // What rules say of each alert in each minute: when it began, when it ends.
    let lives = [("A", -1, 30), ("B", 10, 90), ("C", 20, 40), ("D", -1, 90)];
    let say = |minute: i64| {
        let of_minute = |(name, from, to): &(&str, i64, i64)| {
            let ends_in = if minute < *to { (minute + 4).min(*to) } else { *to } * 60_000;
            (minute >= *from && minute < *to + 15)
                .then(|| Alert { starts_at: START + from * 60_000, ..alert(name, ends_in) })
        };
        notifier.send(lives.iter().filter_map(of_minute).collect());
    };
    say(0);
    assert_eq!(scene.recorder.told(1).await, ["first notification: A=firing D=firing"]);
    scene.until(&notifier, |status| status.sent == 1).await;
    scene.recorder.answers.lock().unwrap().extend([503; 100_000]);
    for minute in 1..=60 {
        scene.minutes(1);
        let before = notifier.status()[0].attempts;
        say(minute);
        if minute % 20 == 10 {
            scene.until(&notifier, |status| status.attempts > before).await;
        }
    }
    assert_eq!(notifier.status()[0].sent, 1);
    let away = scene.recorder.bodies.lock().unwrap().len();
    scene.recorder.answers.lock().unwrap().clear();
    scene.heard(|told| told[away..].iter().any(|told| told.contains("A=resolved") && told.contains("B=firing"))).await;
    say(61);
    scene.until(&notifier, |status| status.health == model::status::Health::Good && status.sent > 1).await;
    let status = notifier.status().remove(0);
    let told = scene.recorder.told(0).await.split_off(away);
    // One that was under way may tell how things stood when it was made.
    assert!(status.sent <= 3, "{told:?}");
    let ends = told.iter().filter(|told| told.contains("A=resolved")).count();
    assert_eq!(ends, 1, "{told:?}");
    notifier.stop().await;
}

/// Every attempt is in the log, also after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_kept() {
    let scene = Scene::new(&[503]).await;
    let bounds = catalog::Bounds { age: Duration::from_secs(90 * 86_400), bytes: 1 << 20 };
    let folder = tempfile::tempdir().unwrap();
    let journal = || Some(Arc::new(catalog::Journal::open(folder.path(), bounds).unwrap()) as Arc<dyn model::Journal>);
    let start = || {
        let (clock, store) = (scene.clock.clone(), scene.catalog.clone());
        let config = config(scene.recorder.address, "");
        Notifier::start_with_journal(config, "http://skep".to_owned(), clock, store, journal())
    };
    let notifier = start();
    notifier.send(vec![alert("A", 9 * HOUR), alert("B", -1000)]);
    scene.until(&notifier, |status| status.sent == 1).await;
    notifier.stop().await;
    drop(notifier);
    let notifier = start();
    let attempts = notifier.attempts(START - HOUR, 10).unwrap();
    let shown: Vec<String> = attempts
        .iter()
        .map(|a| {
            format!(
                "{} {} {} {} {}/{} {} {:?}",
                a.at - START,
                a.receiver,
                a.integration,
                a.reason,
                a.firing,
                a.resolved,
                a.taken,
                a.problem
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "0 r webhook[0] first notification 1/1 true \"\"",
            "0 r webhook[0] first notification 1/1 false \"unexpected status code 503: why?\"",
        ]
    );
    assert_eq!(notifier.attempts(START - HOUR, 1).unwrap().len(), 1);
    notifier.stop().await;
}
