//! Looks again and again, and tells what changed.

use std::sync::Arc;
use std::time::Duration;

use model::status::AddressLook;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::endpoint::Recognized;
use super::probe::{Answer, probe};
use super::{Config, Endpoint};
use crate::{Found, Group, Updates};

/// How patient the search is.
#[derive(Clone, Copy, Debug)]
struct Pace {
    recheck_after: Duration,
    lost_after: Duration,
}

/// What answered once is read again only this often: rendering a page costs the other side as much as a scrape.
const RECHECK_AFTER: Duration = Duration::from_secs(60);

/// An endpoint that stops answering stays a target for so long, so that a restart shows as `up` 0 and not as nothing.
const LOST_AFTER: Duration = Duration::from_secs(300);

const PACE: Pace = Pace { recheck_after: RECHECK_AFTER, lost_after: LOST_AFTER };

/// A running search.
#[derive(Debug)]
pub struct Search {
    /// What was found, as targets.
    pub updates: Updates,
    /// What each address answered the last time.
    pub looks: Looks,
}

/// What each address answered the last time it was looked at.
pub type Looks = watch::Receiver<Arc<Vec<AddressLook>>>;

/// An address that is looked at.
#[derive(Clone, Debug)]
struct Watched {
    address: String,
    found: Option<Endpoint>,
    /// When it last was what it was found to be.
    answered: Instant,
    /// When to look again.
    due: Instant,
    /// What it answered.
    answer: String,
    /// What else is to say of it, empty if nothing.
    remark: String,
}

/// Starts looking; it ends when nobody listens to the updates any more.
pub fn spawn(config: Config, runtime: &Handle) -> Search {
    start(config, PACE, runtime)
}

fn start(config: Config, pace: Pace, runtime: &Handle) -> Search {
    let (found, updates) = watch::channel(Arc::default());
    let (told, looks) = watch::channel(Arc::default());
    runtime.spawn(look(config, pace, found, told));
    Search { updates, looks }
}

async fn look(
    config: Config,
    pace: Pace,
    found: watch::Sender<Arc<Found>>,
    told: watch::Sender<Arc<Vec<AddressLook>>>,
) {
    let node = node_name(&config);
    let mut watched: Vec<Watched> = config.places().iter().map(|address| Watched::new(address)).collect();
    let mut ticks = tokio::time::interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = found.closed() => return,
            _ = ticks.tick() => {}
        }
        look_once(&mut watched, pace).await;
        told.send_replace(Arc::new(watched.iter().map(Watched::tell).collect()));
        let now = describe(&watched, &node, &config);
        found.send_if_modified(|before| {
            let changed = **before != now;
            if changed {
                // A machine without Cilium need not hear of it.
                if !(before.groups.is_empty() && now.groups.is_empty()) {
                    tracing::info!(targets = now.groups.len(), "Cilium's endpoints changed.");
                }
                *before = Arc::new(now);
            }
            changed
        });
    }
}

async fn look_once(watched: &mut [Watched], pace: Pace) {
    let start = Instant::now();
    let mut probes = JoinSet::new();
    for (i, watched) in watched.iter().enumerate().filter(|(_, watched)| watched.due <= start) {
        let address = watched.address.clone();
        probes.spawn(async move { (i, probe(&address).await) });
    }
    while let Some(done) = probes.join_next().await {
        if let Ok((i, answer)) = done {
            watched[i].heard(answer, Instant::now(), pace);
        }
    }
}

impl Watched {
    fn new(address: &str) -> Self {
        let now = Instant::now();
        Self {
            address: address.to_owned(),
            found: None,
            answered: now,
            due: now,
            answer: String::new(),
            remark: String::new(),
        }
    }

    fn heard(&mut self, answer: Answer, now: Instant, pace: Pace) {
        self.remark.clear();
        self.due = now;
        self.answer = answer.to_string();
        match answer {
            Answer::Page(Recognized::Endpoint(endpoint)) => {
                self.found = Some(endpoint);
                self.answered = now;
                self.due = now + pace.recheck_after;
            }
            Answer::Page(Recognized::Unknown) => {
                self.found = None;
                self.due = now + pace.recheck_after;
                self.remark = format!("{} shows metrics of a program that is not known, not of Cilium", self.address);
            }
            Answer::Closed => self.forget_if_lost(now, pace),
            Answer::Unreadable(reason) => {
                self.forget_if_lost(now, pace);
                self.due = now + pace.recheck_after;
                self.remark = format!("{} answers, but shows no metrics: {reason}", self.address);
            }
        }
    }

    fn forget_if_lost(&mut self, now: Instant, pace: Pace) {
        if now.duration_since(self.answered) >= pace.lost_after {
            self.found = None;
        }
    }

    fn tell(&self) -> AddressLook {
        let job = self.found.map(|endpoint| endpoint.job().to_owned());
        AddressLook { address: self.address.clone(), job, answer: self.answer.clone() }
    }
}

fn describe(watched: &[Watched], node: &str, config: &Config) -> Found {
    let group = |endpoint: Endpoint, address: &str, note: &str| Group {
        job: endpoint.job().to_owned(),
        source: format!("cilium/{address}"),
        targets: vec![endpoint.labels(address, node, config)],
        note: note.to_owned(),
    };
    let seen = watched.iter().filter_map(|watched| Some((watched.found?, watched.address.as_str())));
    let mut groups: Vec<Group> =
        seen.map(|(endpoint, address)| group(endpoint, address, "found by its metric families")).collect();
    if let Some(relay) = &config.relay {
        groups.retain(|group| group.source != format!("cilium/{relay}"));
        groups.push(group(Endpoint::Relay, relay, "set by cilium.relay"));
    }
    let notes = notes(watched, &groups, config);
    Found { groups, notes, ..Found::default() }
}

fn notes(watched: &[Watched], groups: &[Group], config: &Config) -> Vec<String> {
    let mut notes: Vec<String> =
        watched.iter().map(|watched| watched.remark.clone()).filter(|remark| !remark.is_empty()).collect();
    let has = |endpoint: Endpoint| groups.iter().any(|group| group.job == endpoint.job());
    if groups.is_empty() {
        notes.push(format!("no metrics of Cilium at {}", config.places().join(", ")));
    } else if !has(Endpoint::Relay) {
        notes.push(
            "Hubble relay is not on this node's loopback: it usually runs in the pod network. Set cilium.relay to the \
             host:port of its metrics, usually port 9966"
                .to_owned(),
        );
    }
    notes
}

/// The name that Kubernetes has for this machine is its host name, unless configured otherwise.
fn node_name(config: &Config) -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    config.node.clone().unwrap_or_else(host)
}

#[cfg(test)]
mod tests {
    use testkit::{Exporter, Reply};

    use super::*;

    fn watched(answers: &[(u64, Answer)]) -> Watched {
        let mut watched = Watched::new("127.0.0.1:9962");
        let start = watched.due;
        for (seconds, answer) in answers {
            watched.heard(answer.clone(), start + Duration::from_secs(*seconds), PACE);
        }
        watched
    }

    #[test]
    fn found_and_lost() {
        let agent = || Answer::Page(Recognized::Endpoint(Endpoint::Agent));
        let check = |answers: &[(u64, Answer)], expected| assert_eq!(watched(answers).found, expected, "{answers:?}");
        check(&[(0, Answer::Closed)], None);
        check(&[(0, agent())], Some(Endpoint::Agent));
        check(&[(0, agent()), (60, Answer::Closed)], Some(Endpoint::Agent));
        check(&[(0, agent()), (60, Answer::Closed), (299, Answer::Unreadable(String::new()))], Some(Endpoint::Agent));
        check(&[(0, agent()), (300, Answer::Closed)], None);
        check(&[(0, agent()), (60, Answer::Page(Recognized::Unknown))], None);
        check(&[(0, agent()), (60, Answer::Page(Recognized::Endpoint(Endpoint::Hubble)))], Some(Endpoint::Hubble));
    }

    #[test]
    fn labels_for_the_dashboards() {
        let config = Config { relay: Some("10.0.0.1:9966".to_owned()), ..Config::default() };
        let mut all: Vec<Watched> = Vec::new();
        for endpoint in [Endpoint::Agent, Endpoint::Operator, Endpoint::Envoy, Endpoint::Hubble] {
            all.push(watched(&[(0, Answer::Page(Recognized::Endpoint(endpoint)))]));
        }
        let found = describe(&all, "n1", &config);
        let got: Vec<_> = found.groups.iter().map(|group| format!("{} {}", group.job, group.targets[0])).collect();
        let expected = [
            r#"cilium-agent {__address__="127.0.0.1:9962", cluster="default", k8s_app="cilium", namespace="kube-system", node="n1", pod="cilium-n1"}"#,
            r#"cilium-operator {__address__="127.0.0.1:9962", cluster="default", io_cilium_app="operator", namespace="kube-system", node="n1", pod="cilium-operator-n1"}"#,
            r#"cilium-envoy {__address__="127.0.0.1:9962", cluster="default", k8s_app="cilium-envoy", namespace="kube-system", node="n1", pod="cilium-envoy-n1"}"#,
            r#"hubble {__address__="127.0.0.1:9962", cluster="default", k8s_app="hubble", namespace="kube-system", node="n1", pod="cilium-n1"}"#,
            r#"hubble-relay {__address__="10.0.0.1:9966", cluster="default", k8s_app="hubble-relay", namespace="kube-system", node="10.0.0.1", pod="hubble-relay-10.0.0.1"}"#,
        ];
        assert_eq!(got, expected);
        assert!(found.notes.is_empty());
        let relay_missing = describe(&all, "n1", &Config::default());
        assert!(relay_missing.notes[0].contains("cilium.relay"), "{:?}", relay_missing.notes);
    }

    /// A page of the fixtures, or a line of it where they are absent.
    fn page(name: &str, line: &str) -> Reply {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/exposition");
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_else(|_| {
            eprintln!("SKIPPED: {name} is absent; a line stands in for it");
            line.to_owned()
        });
        Reply::Page(text)
    }

    /// Waits until exactly these jobs are found.
    async fn expect(updates: &mut Updates, jobs: &[&str]) {
        let is_so = |found: &Arc<Found>| found.groups.iter().map(|group| group.job.as_str()).eq(jobs.iter().copied());
        let waited = tokio::time::timeout(Duration::from_secs(30), updates.wait_for(is_so)).await.map(drop);
        assert!(waited.is_ok(), "{jobs:?} are not what was found: {:?}", updates.borrow().groups);
    }

    #[tokio::test]
    async fn endpoints_come_change_and_go() {
        let agent = Exporter::start(page("cilium-agent.txt", "cilium_version 1\n")).unwrap();
        let other = Exporter::start(Reply::Status(503)).unwrap();
        let config = Config {
            addresses: vec![agent.target(), other.target()],
            interval: Duration::from_millis(20),
            ..Config::default()
        };
        let pace = Pace { recheck_after: Duration::from_millis(20), lost_after: Duration::from_millis(200) };
        let Search { mut updates, mut looks } = start(config, pace, &Handle::current());
        expect(&mut updates, &["cilium-agent"]).await;
        let told = looks.wait_for(|looks| looks.len() == 2).await.unwrap().clone();
        let answers: Vec<_> = told.iter().map(|look| (look.job.as_deref(), look.answer.as_str())).collect();
        assert_eq!(
            answers,
            [(Some("cilium-agent"), "metrics of Cilium"), (None, "HTTP status 503 Service Unavailable")]
        );
        other.reply(page("cilium-operator.txt", "cilium_operator_version 1\n"));
        expect(&mut updates, &["cilium-agent", "cilium-operator"]).await;
        other.reply(page("envoy.txt", "envoy_server_live 1\n"));
        expect(&mut updates, &["cilium-agent", "cilium-envoy"]).await;
        agent.reply(Reply::Status(500));
        expect(&mut updates, &["cilium-envoy"]).await;
        agent.reply(page("cilium-agent.txt", "cilium_version 1\n"));
        expect(&mut updates, &["cilium-agent", "cilium-envoy"]).await;
        drop(other);
        expect(&mut updates, &["cilium-agent"]).await;
    }
}
