//! Real exporters, scraped by skep and by Prometheus at once: what they expose is there, sample by sample.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testkit::{Exporter, Prometheus, Reply, Server, free_port, poll_until};

use crate::{ALONE, job, json, start};

/// A program that exposes metrics of itself.
struct Kind {
    /// Also the job of its page.
    name: &'static str,
    /// Its name among the peers.
    program: &'static str,
    /// A metric that tells its page from an empty one.
    metric: &'static str,
    /// Fewer series than these would be no real page.
    series_min: usize,
    /// How to start it at an address, with a folder of its own.
    arguments: fn(SocketAddr, &Path) -> Vec<String>,
}

/// Prometheus itself is started beside them, because it is also what they are compared with.
const PROMETHEUS: Kind = Kind {
    name: "prometheus",
    program: "prometheus",
    metric: "prometheus_build_info",
    series_min: 300,
    arguments: |_, _| Vec::new(),
};

const KINDS: [Kind; 3] = [
    Kind {
        name: "node",
        program: "prometheus-node-exporter",
        metric: "node_memory_MemTotal_bytes",
        series_min: 300,
        arguments: |address, _| vec![format!("--web.listen-address={address}")],
    },
    Kind {
        name: "victoria",
        program: "victoria-metrics",
        metric: "vm_app_version",
        series_min: 300,
        arguments: |address, folder| {
            vec![format!("-httpListenAddr={address}"), format!("-storageDataPath={}", folder.display())]
        },
    },
    Kind {
        name: "alertmanager",
        program: "prometheus-alertmanager",
        metric: "alertmanager_build_info",
        series_min: 100,
        arguments: |address, folder| {
            let file = folder.join("alertmanager.yml");
            std::fs::write(&file, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
            vec![
                format!("--web.listen-address={address}"),
                format!("--config.file={}", file.display()),
                format!("--storage.path={}", folder.display()),
                "--cluster.listen-address=".to_owned(),
            ]
        },
    },
];

/// A running program; dropping it kills it.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(kind: &Kind, program: &Path, folder: &Path) -> Self {
        let folder = folder.join(kind.name);
        std::fs::create_dir(&folder).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let mut command = Command::new(program);
        command.args((kind.arguments)(address, &folder)).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Self { child: command.spawn().unwrap(), address };
        poll_until(&format!("{} to listen", kind.program), || TcpStream::connect(address).ok());
        started
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fetch(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// A program's page as it is now.
fn page_of(kind: &Kind, address: SocketAddr) -> String {
    poll_until(&format!("the page of {}", kind.program), || {
        Some(fetch(address, "/metrics")).filter(|page| page.contains(kind.metric))
    })
}

#[test]
fn every_sample_of_real_exporters_is_stored_as_prometheus_stores_it() {
    let Some(prometheus) = testkit::peer(PROMETHEUS.program) else { return };
    let present = KINDS.iter().filter_map(|kind| Some((kind, testkit::peer(kind.program)?)));
    let folder = tempfile::tempdir().unwrap();
    let running: Vec<_> =
        present.map(|(kind, program)| (kind, Running::start(kind, &program, folder.path()))).collect();
    // Pages of the live programs, held still, so that both servers read the same values; and the programs themselves.
    let held = |page: String| Exporter::start(Reply::Page(page)).unwrap();
    let mut pages: Vec<_> = running.iter().map(|(kind, it)| (*kind, held(page_of(kind, it.address)))).collect();
    pages.push((&PROMETHEUS, held("starting 1\n".to_owned())));
    let jobs = pages.iter().map(|(kind, page)| job(kind.name, &page.target()));
    let live = running.iter().map(|(kind, it)| job(&live_name(kind), &it.address.to_string()));
    let jobs = format!("scrape_configs:\n{}", jobs.chain(live).collect::<String>());
    let theirs = Prometheus::start(&prometheus, folder.path(), &jobs, &[]).unwrap();
    let own_page = page_of(&PROMETHEUS, theirs.address());
    pages.last().unwrap().1.reply(Reply::Page(own_page));
    let ours = start(folder.path(), &format!("{ALONE}{jobs}"));
    for (kind, _) in &pages {
        check_page(kind, &ours, &theirs);
    }
    for (kind, _) in &running {
        check_live(kind, &ours, &theirs);
    }
}

/// Rules that watch a Prometheus for limits find the same counters.
#[test]
fn limits_are_counted_by_the_names_that_prometheus_has() {
    let folder = tempfile::tempdir().unwrap();
    let page = Exporter::start(Reply::Page("a{b=\"c\"} 1\na{b=\"d\"} 2\ntwice 1\ntwice 2\n".to_owned())).unwrap();
    let limited = |name: &str, limit: &str| format!("{}  {limit}\n", job(name, &page.target()));
    let jobs = [
        limited("samples", "sample_limit: 1"),
        limited("bytes", "body_size_limit: 5B"),
        limited("labels", "label_value_length_limit: 2"),
        limited("twice", "honor_labels: true"),
        "- job_name: targets\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  target_limit: 1\n  static_configs: \
         [{targets: ['127.0.0.1:1', '127.0.0.1:2']}]\n"
            .to_owned(),
    ];
    let config = format!("scrape_configs:\n{}", jobs.concat());
    let server = start(folder.path(), &format!("{ALONE}{config}"));
    let peer =
        testkit::peer("prometheus").map(|program| Prometheus::start(&program, folder.path(), &config, &[]).unwrap());
    let counters = [
        "prometheus_target_scrapes_exceeded_sample_limit_total",
        "prometheus_target_scrapes_exceeded_body_size_limit_total",
        "prometheus_target_scrape_pool_exceeded_label_limits_total",
        "prometheus_target_scrape_pool_exceeded_target_limit_total",
        "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    ];
    for counter in counters {
        let counts = |page: &str| {
            let value = page.lines().find_map(|line| line.strip_prefix(counter)?.trim().parse::<f64>().ok());
            value.is_some_and(|value| value >= 1.0).then_some(())
        };
        poll_until(counter, || counts(&server.get("/metrics").unwrap().body));
        if let Some(peer) = &peer {
            poll_until(&format!("{counter} of Prometheus"), || counts(&peer.get("/metrics").unwrap()));
        }
    }
}

fn live_name(kind: &Kind) -> String {
    format!("live_{}", kind.name)
}

/// A page that stays the same: the same series with the same values.
fn check_page(kind: &Kind, ours: &Server, theirs: &Prometheus) {
    let what = format!("the page of {} in both", kind.program);
    let (ours, theirs) = poll_until(&what, || {
        let both = (our_series(ours, kind.name), their_series(theirs, kind.name));
        (has_metric(&both.0, kind) && has_metric(&both.1, kind)).then_some(both)
    });
    assert!(theirs.len() >= kind.series_min, "{}: {}", kind.name, theirs.len());
    let (missing, wrong) = differences(&ours, &theirs);
    assert!(missing.is_empty() && wrong.is_empty(), "{}: missing {missing:?}, wrong {wrong:?}", kind.name);
    eprintln!("{}: {} series, the same in skep and Prometheus", kind.program, ours.len());
}

/// The program itself, in the format that it chooses for each of the two and with values that move: the same series.
fn check_live(kind: &Kind, ours: &Server, theirs: &Prometheus) {
    let names = |series: &Series| series.keys().cloned().collect::<BTreeSet<_>>();
    let what = format!("{} to have the same series in both", kind.program);
    let name = live_name(kind);
    let series = poll_until(&what, || {
        let both = (our_series(ours, &name), their_series(theirs, &name));
        (has_metric(&both.0, kind) && names(&both.0) == names(&both.1)).then_some(both.0)
    });
    eprintln!("{}: {} series of the live program, the same in skep and Prometheus", kind.program, series.len());
}

/// Labels as text, with the value.
type Series = BTreeMap<String, String>;

fn our_series(server: &Server, job: &str) -> Series {
    series(&json(&server.get(&query(job)).unwrap()))
}

fn their_series(server: &Prometheus, job: &str) -> Series {
    let text = fetch(server.address(), &query(job));
    series(&serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
}

fn query(job: &str) -> String {
    format!("/api/v1/query?query=%7Bjob%3D%22{job}%22%7D")
}

fn series(answer: &Value) -> Series {
    let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let entry =
        |series: &Value| (series["metric"].to_string(), series["value"][1].as_str().unwrap_or_default().to_owned());
    result.iter().map(entry).collect()
}

fn has_metric(series: &Series, kind: &Kind) -> bool {
    series.keys().any(|labels| labels.contains(kind.metric))
}

/// Series that only one side has, and values that differ, except those that say how a server scraped.
fn differences(ours: &Series, theirs: &Series) -> (Vec<String>, Vec<String>) {
    let own =
        |labels: &str| labels.contains("\"scrape_duration_seconds\"") || labels.contains("\"scrape_series_added\"");
    let missing =
        theirs.keys().filter(|k| !ours.contains_key(*k)).chain(ours.keys().filter(|k| !theirs.contains_key(*k)));
    let wrong = theirs.iter().filter(|(k, v)| !own(k) && ours.get(*k).is_some_and(|ours| ours != *v));
    (missing.cloned().collect(), wrong.map(|(k, v)| format!("{k}: {:?} is not {v:?}", ours.get(k))).collect())
}
