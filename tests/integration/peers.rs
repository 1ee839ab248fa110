//! Real exporters, scraped by skep and by Prometheus at once: what they expose is there, sample by sample.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testkit::{Exporter, Prometheus, Reply, free_port, poll_until};

use crate::{ALONE, job, json, start, value};

/// A running node_exporter; dropping it kills it.
struct NodeExporter {
    child: Child,
    address: SocketAddr,
}

impl NodeExporter {
    fn start(program: &Path) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Self { child: command.spawn().unwrap(), address };
        poll_until("node_exporter to listen", || TcpStream::connect(address).ok());
        started
    }
}

impl Drop for NodeExporter {
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

#[test]
fn every_sample_of_real_exporters_is_stored_as_prometheus_stores_it() {
    let programs = (testkit::peer("prometheus"), testkit::peer("prometheus-node-exporter"));
    let (Some(prometheus), Some(node_exporter)) = programs else { return };
    let folder = tempfile::tempdir().unwrap();
    let node = NodeExporter::start(&node_exporter);
    // Pages of the live programs, held still, so that both servers read the same values.
    let node_page = Exporter::start(Reply::Page(poll_page(node.address))).unwrap();
    let self_page = Exporter::start(Reply::Page("starting 1\n".to_owned())).unwrap();
    let jobs = format!("scrape_configs:\n{}{}", job("node", &node_page.target()), job("self", &self_page.target()));
    let prometheus = Prometheus::start(&prometheus, folder.path(), &jobs, &[]).unwrap();
    self_page.reply(Reply::Page(poll_page(prometheus.address())));
    let server = start(folder.path(), &format!("{ALONE}{jobs}"));
    for (name, metric) in [("node", "node_memory_MemTotal_bytes"), ("self", "prometheus_build_info")] {
        poll_until(&format!("{metric} in both"), || {
            let theirs = series(&json_text(&fetch(prometheus.address(), &format!("/api/v1/query?query={metric}"))));
            (!theirs.is_empty() && value(&server, metric).is_some()).then_some(())
        });
        let query = format!("/api/v1/query?query=%7Bjob%3D%22{name}%22%7D");
        let theirs = series(&json_text(&fetch(prometheus.address(), &query)));
        let ours = series(&json(&server.get(&query).unwrap()));
        assert!(theirs.len() > 300, "{name}: {}", theirs.len());
        let (missing, wrong) = differences(&ours, &theirs);
        assert!(missing.is_empty() && wrong.is_empty(), "{name}: missing {missing:?}, wrong {wrong:?}");
        eprintln!("{name}: {} series, the same in skep and Prometheus", ours.len());
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

fn poll_page(address: SocketAddr) -> String {
    poll_until("a metrics page", || Some(fetch(address, "/metrics")).filter(|page| page.contains("# TYPE")))
}

fn json_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Series of an instant query: labels as text, with the value.
fn series(answer: &Value) -> BTreeMap<String, String> {
    let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let entry =
        |series: &Value| (series["metric"].to_string(), series["value"][1].as_str().unwrap_or_default().to_owned());
    result.iter().map(entry).collect()
}

type Series = BTreeMap<String, String>;

/// Series that only one side has, and values that differ, except those that say how a server scraped.
fn differences(ours: &Series, theirs: &Series) -> (Vec<String>, Vec<String>) {
    let own =
        |labels: &str| labels.contains("\"scrape_duration_seconds\"") || labels.contains("\"scrape_series_added\"");
    let missing =
        theirs.keys().filter(|k| !ours.contains_key(*k)).chain(ours.keys().filter(|k| !theirs.contains_key(*k)));
    let wrong = theirs.iter().filter(|(k, v)| !own(k) && ours.get(*k).is_some_and(|ours| ours != *v));
    (missing.cloned().collect(), wrong.map(|(k, v)| format!("{k}: {:?} is not {v:?}", ours.get(k))).collect())
}
