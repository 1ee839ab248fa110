//! Beside the real node_exporter on the same machine: the same names and labels, and the same constant values.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use model::{Collector as _, Families, MetricKind};

const DEFAULT_PATH: &str = "/tmp/peers/prometheus-node-exporter";

/// Collectors of the peer that skep has.
fn names() -> Vec<&'static str> {
    host::ALL.iter().map(|collector| collector.name).collect()
}

/// What both show as long as nobody changes the machine. Others count or measure. `node_filesystem_readonly` is not
/// here because the peer sees "ro" only where it is a mount's single option.
const CONSTANT: [&str; 25] = [
    "node_boot_time_seconds",
    "node_disk_info",
    "node_entropy_pool_size_bits",
    "node_filefd_maximum",
    "node_filesystem_mount_info",
    "node_filesystem_size_bytes",
    "node_filesystem_files",
    "node_filesystem_device_error",
    "node_memory_MemTotal_bytes",
    "node_memory_CommitLimit_bytes",
    "node_memory_Hugepagesize_bytes",
    "node_netstat_Ip_Forwarding",
    "node_network_address_assign_type",
    "node_network_flags",
    "node_network_info",
    "node_network_mtu_bytes",
    "node_network_speed_bytes",
    "node_network_up",
    "node_network_iface_id",
    "node_nf_conntrack_entries_limit",
    "node_os_info",
    "node_os_version",
    "node_time_clocksource_current_info",
    "node_time_zone_offset_seconds",
    "node_uname_info",
];

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn peer_path() -> Option<PathBuf> {
    let path = std::env::var_os("SKEP_PEER_NODE_EXPORTER").map_or_else(|| PathBuf::from(DEFAULT_PATH), PathBuf::from);
    path.exists().then_some(path)
}

/// Starts it with just our collectors and with upstream's defaults where distributions change them.
fn start(path: &PathBuf) -> (Peer, String) {
    let mut command = Command::new(path);
    command.args([
        "--web.listen-address=127.0.0.1:0",
        "--web.disable-exporter-metrics",
        "--collector.disable-defaults",
    ]);
    let config = host::Config::default();
    command.arg(format!("--collector.filesystem.mount-points-exclude={}", config.mount_points_exclude.pattern()));
    command.arg(format!("--collector.filesystem.fs-types-exclude={}", config.fs_types_exclude.pattern()));
    command.args(names().iter().map(|name| format!("--collector.{name}")));
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.by_ref().map_while(Result::ok).find(|line| line.contains("Listening on")).unwrap();
    let address = line.split("address=").nth(1).unwrap().trim().to_owned();
    std::thread::spawn(move || lines.for_each(drop));
    (Peer(child), address)
}

fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: peer\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

type Page = BTreeMap<String, f64>;

/// On kernels that lack one of the queue files the peer gives up on all of them and says that the disk does not turn;
/// we read the one file that says it.
fn without_rotational(series: &str) -> String {
    series.replace("rotational=\"0\"", "").replace("rotational=\"1\"", "")
}

/// Series with sorted labels, and types by name.
fn parse(page: &str) -> (Page, BTreeMap<String, String>) {
    let mut series = Page::new();
    let mut types = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.to_owned());
        } else if line.starts_with("node_") && !line.starts_with("node_exporter_build_info") {
            let (labels, value) = line.rsplit_once(' ').unwrap();
            series.insert(without_rotational(labels), value.parse().unwrap());
        }
    }
    (series, types)
}

fn ours() -> (Page, BTreeMap<String, String>) {
    let host = host::Host::new(&host::Config::default());
    let mut families = Families::default();
    host.collect(&mut families).unwrap();
    let mut series = Page::new();
    let mut types = BTreeMap::new();
    for family in families.iter().filter(|family| !family.points.is_empty()) {
        let word = if family.kind == MetricKind::Unknown { "untyped" } else { family.kind.as_str() };
        assert_eq!(types.insert(family.name.to_string(), word.to_owned()), None, "{} comes twice", family.name);
        for point in &family.points {
            let mut labels = point.labels.clone();
            labels.sort();
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let old = series.insert(without_rotational(&format!("{}{labels}", family.name)), point.value);
            assert_eq!(old, None, "{}{labels} comes twice", family.name);
        }
    }
    (series, types)
}

fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

fn keys(page: &Page) -> BTreeSet<&str> {
    page.keys().map(String::as_str).collect()
}

#[test]
fn shows_what_node_exporter_shows() {
    let Some(path) = peer_path() else {
        eprintln!("SKIPPED: no node_exporter at {DEFAULT_PATH} and SKEP_PEER_NODE_EXPORTER is not set");
        return;
    };
    let (_peer, address) = start(&path);
    let (theirs, their_types) = parse(&get(&address));
    let (ours, our_types) = ours();
    assert!(theirs.len() > 200, "the peer shows only {} series", theirs.len());

    let missing: Vec<&str> = keys(&theirs).difference(&keys(&ours)).copied().collect();
    assert!(missing.is_empty(), "missing: {missing:#?}");
    // We show every line of meminfo; the peer shows those it has a list of.
    let is_known = |series: &&str| series.starts_with("node_memory_");
    let more: Vec<&str> = keys(&ours).difference(&keys(&theirs)).copied().filter(|series| !is_known(series)).collect();
    assert!(more.is_empty(), "the peer does not show: {more:#?}");

    let mut compared = 0;
    for (series, value) in &theirs {
        let name = name_of(series);
        assert_eq!(our_types.get(name), their_types.get(name), "type of {name}");
        let is_state = name == "node_scrape_collector_success";
        if is_state || CONSTANT.contains(&name) {
            assert_eq!(ours[series].to_bits(), value.to_bits(), "{series}: ours {}, theirs {value}", ours[series]);
            compared += 1;
        }
    }
    eprintln!("{} series of the peer are there, {compared} constant values are equal to the bit", theirs.len());
}
