//! Alertmanager and skep with the same configuration, each with a receiver that records.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use catalog::Catalog;
use model::{Clock, SystemClock, Timestamp};
use notify::{Notifier, decode, router};
use serde_json::Value;
use testkit::Web;
use tokio::net::TcpListener;

pub(crate) const EXTERNAL_URL: &str = "http://am.example:9093";

pub(crate) struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's build does not start without its templates in `/usr/share`. The peers are unpacked, not installed, so it
/// gets a mount namespace of its own, in which its package's `share` lies there. `None` where none may be made.
pub(crate) fn command(program: &Path) -> Option<Command> {
    let unpacked = program.canonicalize().unwrap();
    let share = unpacked.ancestors().nth(2).unwrap().join("share");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-ec", "mount --bind \"$0\" /usr/share; exec \"$@\""]).arg(share);
    let output = Command::new("unshare").args(["--mount", "--", "true"]).output();
    if !output.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: Alertmanager needs a mount namespace, which may not be made here");
        return None;
    }
    command.arg(program);
    Some(command)
}

/// A receiver of webhooks that takes everything and keeps what it hears, and when.
pub(crate) struct Hook {
    web: Web,
    heard: Arc<Mutex<Vec<(Timestamp, Value)>>>,
}

impl Hook {
    fn start() -> Self {
        let heard: Arc<Mutex<Vec<(Timestamp, Value)>>> = Arc::default();
        let keep = heard.clone();
        let web = Web::start(None, move |asked| {
            keep.lock().unwrap().push((SystemClock.now(), serde_json::from_str(&asked.body).unwrap()));
            (200, Vec::new(), Vec::new())
        });
        Self { web: web.unwrap(), heard }
    }

    /// What it heard at which time, the oldest first.
    pub(crate) fn heard(&self) -> Vec<(Timestamp, Value)> {
        self.heard.lock().unwrap().clone()
    }
}

/// A server of Alertmanager's API with its receiver.
pub(crate) struct Side {
    pub(crate) address: String,
    pub(crate) hook: Hook,
    _peer: Option<Peer>,
    _folder: tempfile::TempDir,
}

/// Both of them, the peer first; `None` where there is no peer. `config` makes the text for a receiver's address.
pub(crate) async fn sides(config: impl Fn(&str) -> String) -> Option<[Side; 2]> {
    let command = testkit::peer("prometheus-alertmanager").as_deref().and_then(command)?;
    Some([start_peer(command, &config), start_own(&config).await])
}

fn start_peer(mut command: Command, config: impl Fn(&str) -> String) -> Side {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start();
    std::fs::write(folder.path().join("am.yml"), config(&hook.web.address())).unwrap();
    let address = format!("127.0.0.1:{}", testkit::free_port().unwrap());
    let child = command
        .arg(format!("--config.file={}", folder.path().join("am.yml").display()))
        .arg(format!("--storage.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        // Its log is not cleared while a test runs, whenever that began.
        .arg("--data.maintenance-interval=2h")
        .arg(format!("--web.external-url={EXTERNAL_URL}"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peer = Some(Peer(child));
    testkit::poll_until("Alertmanager to listen", || TcpStream::connect(&address).ok());
    Side { address, hook, _peer: peer, _folder: folder }
}

pub(crate) async fn start_own(config: impl Fn(&str) -> String) -> Side {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start();
    let report = yaml::Report::default();
    let config = decode("am.yml", &config(&hook.web.address()), &report);
    let config = config.unwrap_or_else(|| unreachable!("{:?}", report.problems()));
    let store = Arc::new(Catalog::open(&folder.path().join("catalog")).unwrap());
    let notifier = Arc::new(Notifier::start(config, EXTERNAL_URL.to_owned(), Arc::new(SystemClock), store));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let routes = router(Arc::new(move || Some(notifier.clone())));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Side { address, hook, _peer: None, _folder: folder }
}

impl Side {
    /// Status and body of an answer.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (address, length) = (&self.address, body.len());
        // The older version, so that no answer comes in chunks.
        let head = format!(
            "{method} /api/v2{path} HTTP/1.0\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// Sends what must be taken; gives the answer.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.request("POST", path, &body.to_string());
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// What each group of each receiver heard, in order.
    pub(crate) fn heard(&self) -> BTreeMap<String, Vec<Value>> {
        let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (_, body) in self.hook.heard() {
            let key = format!("{} {}", body["receiver"].as_str().unwrap(), body["groupKey"].as_str().unwrap());
            groups.entry(key).or_default().push(body);
        }
        groups
    }

    /// How many groups have ended.
    fn over(&self) -> usize {
        let last = |heard: &Vec<Value>| heard.last().unwrap()["notification_reason"] == "all alerts resolved";
        self.heard().values().filter(|heard| last(heard)).count()
    }
}

/// Waits until so many groups have ended on both sides, then compares what was heard.
pub(crate) async fn compare(sides: &[Side; 2], groups: usize) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while sides.iter().any(|side| side.over() < groups) {
        let [peer, own] = sides.each_ref().map(Side::heard);
        assert!(std::time::Instant::now() < deadline, "peer {peer:#?}\nown {own:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let [peer, own] = sides.each_ref().map(Side::heard);
    println!("{} notifications in {} groups", peer.values().map(Vec::len).sum::<usize>(), peer.len());
    assert_eq!(peer.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>());
    for (key, bodies) in &peer {
        assert_eq!(bodies, &own[key], "{key}");
    }
}
