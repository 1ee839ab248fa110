//! The same alerts at the same times to Alertmanager and to skep: the receivers must hear the same.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use catalog::Catalog;
use model::{Alert, AlertSink, Clock, Labels, SystemClock};
use notify::{Notifier, decode};
use serde_json::{Value, json};

/// Names the folder of the peers.
const VARIABLE: &str = "SKEP_PEERS";
const DEFAULT_FOLDER: &str = "/tmp/peers";

const EXTERNAL_URL: &str = "http://am.example:9093";

/// Debian's package reads its default templates from here and does not start without them.
const TEMPLATES: &str = "/usr/share/prometheus/alertmanager/default.tmpl";

fn program() -> Option<PathBuf> {
    let folder = std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(DEFAULT_FOLDER), PathBuf::from);
    let path = folder.join("prometheus-alertmanager");
    if !path.is_file() {
        println!("SKIPPED: {} is not here to compare with", path.display());
        return None;
    }
    Some(path)
}

/// Keeps what is posted to it.
fn recorder() -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bodies: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = bodies.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let kept = kept.clone();
            thread::spawn(move || serve(stream, &kept));
        }
    });
    (address, bodies)
}

/// Serves one connection, which may carry several requests.
fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Value>>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(start) = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) {
            let head = String::from_utf8_lossy(&bytes[..start]).to_ascii_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let end = start + length.unwrap();
            if bytes.len() >= end {
                kept.lock().unwrap().push(serde_json::from_slice(&bytes[start..end]).unwrap());
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                bytes.drain(..end);
                continue;
            }
        }
        let mut chunk = [0; 8192];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

fn config(address: SocketAddr) -> String {
    let hook = |name: &str, extra: &str| {
        format!("- name: {name}\n  webhook_configs: [{{url: 'http://{address}/{name}'{extra}}}]\n")
    };
    format!(
        "route:\n  receiver: all\n  group_by: [alertname]\n  group_wait: 1s\n  group_interval: 2s\n  repeat_interval: 5s\n  routes:\n  \
         - {{matchers: [team=\"x\"], receiver: each, group_by: ['...'], continue: true}}\n  - {{matchers: ['team=~\"x|y\"'], receiver: quiet}}\n\
         receivers:\n{}{}{}",
        hook("all", ", max_alerts: 2"),
        hook("each", ""),
        hook("quiet", ", send_resolved: false")
    )
}

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start_peer(program: &Path, folder: &Path, config: &str) -> (Peer, String) {
    std::fs::write(folder.join("am.yml"), config).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let child = Command::new(program)
        .arg(format!("--config.file={}", folder.join("am.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .arg(format!("--web.external-url={EXTERNAL_URL}"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peer = Peer(child);
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < deadline, "Alertmanager does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    (peer, address)
}

fn post(address: &str, alerts: &[Alert]) {
    let time = |millis: i64| jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
    let map = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect::<BTreeMap<_, _>>();
    let body: Vec<Value> = alerts
        .iter()
        .map(|a| {
            json!({ "labels": map(&a.labels), "annotations": map(&a.annotations), "startsAt": time(a.starts_at),
                "endsAt": time(a.ends_at), "generatorURL": a.generator_url })
        })
        .collect();
    let body = Value::from(body).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "POST /api/v2/alerts HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// What each group of each receiver heard, in order.
fn heard(bodies: &Mutex<Vec<Value>>) -> BTreeMap<String, Vec<Value>> {
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for body in bodies.lock().unwrap().iter() {
        let key = format!("{} {}", body["receiver"].as_str().unwrap(), body["groupKey"].as_str().unwrap());
        groups.entry(key).or_default().push(body.clone());
    }
    groups
}

#[tokio::test(flavor = "multi_thread")]
async fn hears_what_alertmanagers_receivers_hear() {
    let Some(program) = program() else { return };
    if !Path::new(TEMPLATES).is_file() {
        println!("SKIPPED: {TEMPLATES} is not here, Debian's Alertmanager does not start without");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (peer_hook, peer_bodies) = recorder();
    let (own_hook, own_bodies) = recorder();
    let (_peer, address) = start_peer(&program, folder.path(), &config(peer_hook));
    let report = yaml::Report::default();
    let own = decode("am.yml", &config(own_hook), folder.path(), &report).unwrap();
    let store = Arc::new(Catalog::open(&folder.path().join("catalog")).unwrap());
    let notifier = Notifier::start(own, EXTERNAL_URL.to_owned(), Arc::new(SystemClock), store);

    let start = SystemClock.now();
    let alert = |labels: &[(&str, &str)], ends_in: i64| Alert {
        labels: Labels::from_pairs(labels.iter().copied()),
        annotations: Labels::from_pairs([("summary", "1 < 2 & \"3\""), ("n", labels[labels.len() - 1].1)]),
        starts_at: start,
        ends_at: start + ends_in,
        generator_url: "http://p/graph?g0.expr=up&g0.tab=1".to_owned(),
    };
    let hour = 3_600_000;
    let (a, b) = ([("alertname", "A"), ("instance", "i1")], [("alertname", "A"), ("instance", "i0")]);
    let (c, d) = ([("alertname", "A"), ("job", "z")], [("alertname", "T"), ("team", "x")]);
    let e = [("alertname", "T"), ("team", "y")];
    // What is sent at which second. Both look at their groups at odd ones.
    let script: [(u64, Vec<Alert>); 4] = [
        (0, vec![alert(&a, hour), alert(&b, hour), alert(&d, hour)]),
        (2, vec![alert(&c, hour), alert(&e, hour)]),
        (4, vec![alert(&b, 3900), alert(&d, 3900)]),
        (12, vec![alert(&a, 11900), alert(&c, 11900), alert(&e, 11900)]),
    ];
    let began = Instant::now();
    for (second, alerts) in script {
        tokio::time::sleep_until((began + Duration::from_secs(second)).into()).await;
        post(&address, &alerts);
        notifier.send(alerts);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let over = |bodies: &Mutex<Vec<Value>>| {
        heard(bodies)
            .values()
            .filter(|heard| heard.last().unwrap()["notification_reason"] == "all alerts resolved")
            .count()
    };
    // The group of the quiet receiver ends unheard.
    while over(&peer_bodies) < 2 || over(&own_bodies) < 2 {
        assert!(Instant::now() < deadline, "peer {:#?}\nown {:#?}", heard(&peer_bodies), heard(&own_bodies));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (peer, own) = (heard(&peer_bodies), heard(&own_bodies));
    println!("{} notifications in {} groups", peer.values().map(Vec::len).sum::<usize>(), peer.len());
    assert_eq!(peer.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>());
    for (key, bodies) in &peer {
        assert_eq!(bodies, &own[key], "{key}");
    }
    notifier.stop().await;
}
