//! Beside the real node_exporter: the same names, labels and types, and the same values to the bit.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use host::Config;

use crate::fixtures;
use crate::page::{Page, name_of};

/// What both show as long as nobody changes the machine. Others count or measure. `node_filesystem_readonly` is not
/// here because the peer sees "ro" only where it is a mount's single option.
const CONSTANT: [&str; 26] = [
    "node_boot_time_seconds",
    "node_disk_info",
    "node_entropy_pool_size_bits",
    "node_filefd_maximum",
    "node_filesystem_device_error",
    "node_filesystem_files",
    "node_filesystem_mount_info",
    "node_filesystem_size_bytes",
    "node_memory_CommitLimit_bytes",
    "node_memory_Hugepagesize_bytes",
    "node_memory_MemTotal_bytes",
    "node_netstat_Ip_Forwarding",
    "node_network_address_assign_type",
    "node_network_flags",
    "node_network_iface_id",
    "node_network_info",
    "node_network_mtu_bytes",
    "node_network_speed_bytes",
    "node_network_up",
    "node_nf_conntrack_entries_limit",
    "node_os_info",
    "node_os_version",
    "node_scrape_collector_success",
    "node_time_clocksource_current_info",
    "node_time_zone_offset_seconds",
    "node_uname_info",
];

struct Peer {
    child: Child,
    address: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// Starts it with just our collectors, and with upstream's defaults where distributions change them. None where
    /// there is no peer.
    fn start(config: &Config, more: &[&str]) -> Option<Self> {
        let mut command = Command::new(testkit::peer("prometheus-node-exporter")?);
        command.args(["--web.listen-address=127.0.0.1:0", "--web.disable-exporter-metrics"]);
        command.arg("--collector.disable-defaults").args(config.collectors.iter().map(|c| format!("--collector.{c}")));
        command.arg(format!("--collector.filesystem.mount-points-exclude={}", config.mount_points_exclude.pattern()));
        command.arg(format!("--collector.filesystem.fs-types-exclude={}", config.fs_types_exclude.pattern()));
        command.arg(format!("--path.procfs={}", config.proc_path.display()));
        command.arg(format!("--path.sysfs={}", config.sys_path.display()));
        command.arg(format!("--path.rootfs={}", config.root_path.display()));
        command.arg(format!("--path.udev.data={}", config.root_path.join("run/udev/data").display()));
        let mut child = command.args(more).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.by_ref().map_while(Result::ok).find(|line| line.contains("Listening on")).unwrap();
        // Someone has to read on, or the peer would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, address: line.split("address=").nth(1).unwrap().trim().to_owned() })
    }

    fn page(&self) -> Page {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: peer\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        Page::parse(&text)
    }
}

/// Compares names, labels and types, and the values that `is_equal` names.
fn compare(ours: &Page, theirs: &Page, is_equal: impl Fn(&str) -> bool) {
    assert!(theirs.series.len() > 200, "the peer shows only {} series", theirs.series.len());
    let missing: Vec<&str> = theirs.keys().difference(&ours.keys()).copied().collect();
    assert!(missing.is_empty(), "missing: {missing:#?}");
    // We show every line of meminfo; the peer shows those it has a list of.
    let more =
        ours.keys().difference(&theirs.keys()).copied().filter(|s| !s.starts_with("node_memory_")).collect::<Vec<_>>();
    assert!(more.is_empty(), "the peer does not show: {more:#?}");
    let mut compared = 0;
    for (series, value) in &theirs.series {
        let name = name_of(series);
        assert_eq!(ours.types.get(name), theirs.types.get(name), "type of {name}");
        if is_equal(series) {
            let ours = ours.series[series];
            assert_eq!(ours.to_bits(), value.to_bits(), "{series}: ours {ours}, theirs {value}");
            compared += 1;
        }
    }
    eprintln!("{} series of the peer are there, {compared} values are equal to the bit", theirs.series.len());
}

#[test]
fn this_machine() {
    let config = Config::default();
    let Some(peer) = Peer::start(&config, &[]) else { return };
    let (theirs, ours) = (peer.page().without_rotational(), Page::collect(&config).without_rotational());
    compare(&ours, &theirs, |series| CONSTANT.contains(&name_of(series)));
}

/// Files do not move, so everything can be compared.
#[test]
fn the_machine_of_files() {
    let config = fixtures::config();
    // Netlink would show this machine's devices.
    let more = ["--no-collector.arp.netlink", "--no-collector.netdev.netlink"];
    let Some(peer) = Peer::start(&config, &more) else { return };
    let (theirs, ours) = (peer.page().without_rotational(), Page::collect(&config).without_rotational());
    compare(&ours, &theirs, |series| !fixtures::is_live(series) && name_of(series) != "node_filesystem_readonly");
}
