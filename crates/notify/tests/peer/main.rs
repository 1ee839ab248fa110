//! The same alerts at the same times to Alertmanager and to skep: the receivers must hear the same.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::Catalog;
use model::{Alert, AlertSink, Clock, Labels, SystemClock};
use notify::{Notifier, decode};
use serde_json::{Value, json};
use testkit::{Exporter, Reply};

const EXTERNAL_URL: &str = "http://am.example:9093";

fn config(address: &str) -> String {
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

/// Debian's build does not start without its templates in `/usr/share`. The peers are unpacked, not installed, so it
/// gets a mount namespace of its own, in which its package's `share` lies there. `None` where none may be made.
fn command(program: &Path) -> Option<Command> {
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

fn start_peer(mut command: Command, folder: &Path, config: &str) -> (Peer, String) {
    std::fs::write(folder.join("am.yml"), config).unwrap();
    let address = format!("127.0.0.1:{}", testkit::free_port().unwrap());
    let child = command
        .arg(format!("--config.file={}", folder.join("am.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .arg(format!("--web.external-url={EXTERNAL_URL}"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peer = Peer(child);
    testkit::poll_until("Alertmanager to listen", || TcpStream::connect(&address).ok());
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
fn heard(receiver: &Exporter) -> BTreeMap<String, Vec<Value>> {
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for body in receiver.bodies() {
        let body: Value = serde_json::from_str(&body).unwrap();
        let key = format!("{} {}", body["receiver"].as_str().unwrap(), body["groupKey"].as_str().unwrap());
        groups.entry(key).or_default().push(body);
    }
    groups
}

/// How many groups have ended.
fn over(receiver: &Exporter) -> usize {
    let last = |heard: &Vec<Value>| heard.last().unwrap()["notification_reason"] == "all alerts resolved";
    heard(receiver).values().filter(|heard| last(heard)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn hears_what_alertmanagers_receivers_hear() {
    let Some(command) = testkit::peer("prometheus-alertmanager").as_deref().and_then(command) else { return };
    let folder = tempfile::tempdir().unwrap();
    let [peer_hook, own_hook] = [(); 2].map(|()| Exporter::start(Reply::Status(200)).unwrap());
    let (_peer, address) = start_peer(command, folder.path(), &config(&peer_hook.target()));
    let report = yaml::Report::default();
    let own = decode("am.yml", &config(&own_hook.target()), &report).unwrap();
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
    // The group of the quiet receiver ends unheard.
    while over(&peer_hook) < 2 || over(&own_hook) < 2 {
        assert!(Instant::now() < deadline, "peer {:#?}\nown {:#?}", heard(&peer_hook), heard(&own_hook));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (peer, own) = (heard(&peer_hook), heard(&own_hook));
    println!("{} notifications in {} groups", peer.values().map(Vec::len).sum::<usize>(), peer.len());
    assert_eq!(peer.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>());
    for (key, bodies) in &peer {
        assert_eq!(bodies, &own[key], "{key}");
    }
    notifier.stop().await;
}
