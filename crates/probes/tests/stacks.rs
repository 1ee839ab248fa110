//! The probes `xdp` and `tc` together on what machines are built of: bridges, VXLAN, macvlan, TUN, and real flows of TCP
//! and UDP over both IP families. The devices' own statistics are the witness.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]
#![allow(unsafe_code, reason = "raw sockets")]

mod netns;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

use model::Families;
use probes::{Config, Probes, TcConfig, XdpConfig};

use netns::frame::{self, Case, IPV4, UDP, cases, ipv4};
use netns::packet_socket::{self, PacketSocket};
use netns::{
    DEADLINE, Peer, collect, expect_running, off, play_in_namespace, poll, run, silence, statistic, values, veth,
};

#[test]
fn a_bridge_and_its_port_count_the_same() {
    play_in_namespace("bridge");
}

#[test]
fn a_macvlan_counts_what_is_sent_to_it() {
    play_in_namespace("macvlan");
}

#[test]
fn a_tun_counts_bare_packets_both_ways() {
    play_in_namespace("tun");
}

#[test]
fn flows_are_exact_on_a_wire() {
    play_in_namespace("flows");
}

#[test]
fn flows_are_exact_inside_and_outside_of_a_vxlan() {
    play_in_namespace("vxlan");
}

/// Not a test of its own: the part that a scenario plays in its process.
#[test]
fn play() {
    netns::play(&[("bridge", bridge), ("macvlan", macvlan), ("tun", tun), ("flows", flows), ("vxlan", vxlan)]);
}

fn start(devices: &[&str]) -> Probes {
    let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
    let xdp = XdpConfig { devices: devices.clone(), ..XdpConfig::default() };
    let tc = TcConfig { devices, ingress: true, ..TcConfig::default() };
    let probes = Probes::start(&Config { xdp, tc, ..off() });
    expect_running(&probes, "xdp");
    expect_running(&probes, "tc");
    probes
}

/// Packets and bytes of a device as a hook saw them, by family and protocol.
fn counted(families: &Families, hook: &str, device: &str) -> BTreeMap<(String, String), [u64; 2]> {
    let (probe, direction) = hook.split_once(' ').unwrap_or((hook, ""));
    let mut counts: BTreeMap<(String, String), [u64; 2]> = BTreeMap::new();
    for (at, unit) in ["packets", "bytes"].into_iter().enumerate() {
        let labels = ["device", "direction", "family", "protocol"];
        for (labels, value) in values(families, &format!("skep_{probe}_{unit}_total"), "", &labels) {
            if labels[0] == device && labels[1] == direction && value > 0 {
                counts.entry((labels[2].clone(), labels[3].clone())).or_default()[at] += value;
            }
        }
    }
    counts
}

fn sum(families: &Families, hook: &str, device: &str) -> [u64; 2] {
    let all = counted(families, hook, device);
    all.values().fold([0; 2], |sum, value| [sum[0] + value[0], sum[1] + value[1]])
}

/// Reads until a hook saw exactly this.
fn wait_for(probes: &Probes, hook: &str, device: &str, expected: [u64; 2]) -> Families {
    let begin = Instant::now();
    loop {
        let families = collect(probes);
        let seen = sum(&families, hook, device);
        if seen == expected {
            return families;
        }
        assert!(begin.elapsed() < DEADLINE, "{device}: {hook} saw {seen:?}, not {expected:?}\n{families:#?}");
    }
}

/// What is known of the devices: layer, and what they stand on.
fn layers(probes: &Probes) -> Vec<[String; 3]> {
    let info = values(&collect(probes), "skep_xdp_device_info", "", &["device", "layer", "below"]);
    info.into_keys().map(|labels| labels.try_into().unwrap()).collect()
}

fn up(device: &str) {
    silence(device);
    run(&format!("ip link set {device} up"));
    poll("the device", || run(&format!("ip link show dev {device}")).contains("LOWER_UP").then_some(()));
}

fn bridge() {
    veth();
    run("ip link add br0 type bridge mcast_snooping 0");
    run("ip link set br0 mtu 9000");
    // Where the bridge filters, it drops packets with wrong checksums.
    for table in ["arptables", "iptables", "ip6tables"] {
        let _ = std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{table}"), "0");
    }
    run("ip link set sk1 master br0");
    up("br0");
    poll("the port", || run("ip -d link show dev sk1").contains("state forwarding").then_some(()));
    let probes = start(&["sk1", "br0"]);
    // To everybody, so that the bridge passes them up.
    let frames: Vec<Case> = cases()
        .into_iter()
        .map(|mut case| {
            case.frame[..6].fill(0xff);
            case
        })
        .filter(|case| ![[0x81, 0], [0x88, 0xa8]].contains(&[case.frame[12], case.frame[13]]))
        .collect();
    let socket = PacketSocket::open("sk0").unwrap();
    for case in &frames {
        socket.send(&case.frame).unwrap();
    }
    let expected: [u64; 2] = [frames.len() as u64, frames.iter().map(|case| case.frame.len() as u64).sum()];
    wait_for(&probes, "xdp", "sk1", expected);
    let families = wait_for(&probes, "xdp", "br0", expected);
    assert_eq!(counted(&families, "xdp", "sk1"), counted(&families, "xdp", "br0"));
    let expected = [["br0", "stacked", "sk1"], ["sk1", "base", ""]];
    assert_eq!(layers(&probes), expected.map(|labels| labels.map(str::to_owned)));
}

fn macvlan() {
    veth();
    run("ip link add mv0 link sk1 type macvlan mode bridge");
    up("mv0");
    let address = std::fs::read_to_string("/sys/class/net/mv0/address").unwrap();
    let address: Vec<u8> = address.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let probes = start(&["sk1", "mv0"]);
    let socket = PacketSocket::open("sk0").unwrap();
    let mut expected = [0; 2];
    for length in [20, 100, 1400] {
        let mut frame = frame::ethernet(&[], IPV4, &ipv4(UDP, 0, 0, length));
        frame[..6].copy_from_slice(&address);
        socket.send(&frame).unwrap();
        expected = [expected[0] + 1, expected[1] + frame.len() as u64];
    }
    for device in ["sk1", "mv0"] {
        wait_for(&probes, "xdp", device, expected);
        // A program at XDP takes nothing from the packet that others behind it need.
        let families = wait_for(&probes, "tc ingress", device, expected);
        assert_eq!(counted(&families, "xdp", device), counted(&families, "tc ingress", device));
    }
    assert_eq!(layers(&probes)[0], ["mv0", "stacked", "sk1"].map(str::to_owned));
}

fn tun() {
    let mut tunnel = packet_socket::tunnel("tn0").unwrap();
    silence("tn0");
    run("ip addr add 10.9.1.1/24 dev tn0");
    run("ip link set tn0 up");
    let probes = start(&["tn0"]);
    let packets = [ipv4(UDP, 0, 0, 100), frame::ipv6(&[], UDP, 64)];
    for packet in &packets {
        tunnel.write_all(packet).unwrap();
    }
    let expected = packets.iter().fold([0, 0], |sum, packet| [sum[0] + 1, sum[1] + packet.len() as u64]);
    for hook in ["xdp", "tc ingress"] {
        wait_for(&probes, hook, "tn0", expected);
    }
    let socket = std::net::UdpSocket::bind("10.9.1.1:0").unwrap();
    socket.send_to(&[7; 200], "10.9.1.2:9").unwrap();
    let mut sent = [0; 2000];
    assert_eq!(tunnel.read(&mut sent).unwrap(), 20 + 8 + 200);
    let key = ("ipv4".to_owned(), "udp".to_owned());
    assert_eq!(counted(&collect(&probes), "tc egress", "tn0"), BTreeMap::from([(key, [1, 228])]));
    assert_eq!(layers(&probes), [["tn0", "stacked", ""].map(str::to_owned)]);
}

/// A wire to another namespace with addresses of both families, and without offloads, so that every packet that arrives
/// is one. It is down.
fn wire() -> Peer {
    run("ip link add sk0 type veth peer name sk1");
    let peer = Peer::new();
    peer.take("sk1");
    run("ip addr add 10.9.0.1/24 dev sk0");
    run("ip addr add fd09::1/64 dev sk0 nodad");
    peer.run("ip addr add 10.9.0.2/24 dev sk1");
    peer.run("ip addr add fd09::2/64 dev sk1 nodad");
    run("ethtool -K sk0 tso off gso off gro off");
    peer.run("ethtool -K sk1 tso off gso off gro off");
    peer
}

fn connect(peer: &Peer, device: &str, other: &str) {
    peer.run(&format!("ip link set {other} up"));
    run(&format!("ip link set {device} up"));
}

/// Sends some megabytes there and some back.
fn flow(peer: &Peer, address: &str, options: &str) {
    let mut server = peer.spawn("iperf3 --server --one-off --forceflush");
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("listening")), "no iperf3 server");
    run(&format!("iperf3 --client {address} {options}"));
    drop(lines);
    let _ = server.kill();
    server.wait().unwrap();
}

fn has_iperf3() -> bool {
    let there = ["/usr/bin/iperf3", "/usr/sbin/ethtool"].iter().all(|path| Path::new(path).exists());
    if !there {
        eprintln!("SKIPPED: flows need iperf3 and ethtool");
    }
    there
}

const STATISTICS: [&str; 4] = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"];

/// The device's own statistics. It was made by the test, so that they began at zero, as the hooks did.
fn statistics(device: &str) -> [u64; 4] {
    STATISTICS.map(|name| statistic(device, name))
}

/// Reads until the hooks of a device, which soon stands still, saw what its statistics say: both hooks that see what
/// arrives, and the one that sees what is sent after `sent` made of it what goes over the wire.
fn expect_statistics(probes: &Probes, device: &str, sent: impl Fn([u64; 2], [u64; 2]) -> [u64; 2]) -> Families {
    let begin = Instant::now();
    loop {
        let families = collect(probes);
        let [received, ingress, egress] = ["xdp", "tc ingress", "tc egress"].map(|hook| sum(&families, hook, device));
        let [a, b, c, d] = statistics(device);
        if received == [a, b] && ingress == [a, b] && sent(egress, [c, d]) == [c, d] {
            eprintln!("{device}: {a} packets and {b} bytes received, {c} and {d} sent");
            return families;
        }
        let seen = format!("xdp saw {received:?}, ingress {ingress:?}, egress {egress:?}");
        assert!(begin.elapsed() < DEADLINE, "{device}: {seen}, statistics {:?}", [a, b, c, d]);
    }
}

fn as_sent(counted: [u64; 2], _: [u64; 2]) -> [u64; 2] {
    counted
}

/// TCP over IPv4 hands over segments in one piece; each more on the wire has headers of its own: Ethernet, IP, TCP and
/// its timestamp.
fn as_cut(counted: [u64; 2], wire: [u64; 2]) -> [u64; 2] {
    const HEADERS: u64 = 14 + 20 + 32;
    let more = wire[0].saturating_sub(counted[0]);
    [counted[0] + more, counted[1] + more * HEADERS]
}

fn flows() {
    if !has_iperf3() {
        return;
    }
    let peer = wire();
    let probes = start(&["sk0"]);
    connect(&peer, "sk0", "sk1");
    for address in ["10.9.0.2", "fd09::2"] {
        flow(&peer, address, "--udp --bytes 2M --bitrate 200M --length 1200");
        flow(&peer, address, "--udp --bytes 2M --bitrate 200M --length 1200 --reverse");
        flow(&peer, address, "--bytes 20M --reverse");
    }
    expect_statistics(&probes, "sk0", as_sent);
    flow(&peer, "10.9.0.2", "--bytes 20M");
    let families = expect_statistics(&probes, "sk0", as_cut);
    for hook in ["xdp", "tc egress"] {
        let kinds = counted(&families, hook, "sk0");
        for (family, protocol) in [("ipv4", "tcp"), ("ipv4", "udp"), ("ipv6", "tcp"), ("ipv6", "udp")] {
            assert!(kinds[&(family.to_owned(), protocol.to_owned())][0] > 200, "{kinds:?}");
        }
    }
    // The other end is the busiest source.
    let sources = values(&families, "skep_xdp_source_packets_total", "", &["source"]);
    assert!(
        sources[&vec!["10.9.0.2".to_owned()]] > 10_000 && sources[&vec!["fd09::2".to_owned()]] > 10_000,
        "{sources:?}"
    );
}

fn vxlan() {
    if !has_iperf3() {
        return;
    }
    let peer = wire();
    run("ip link add vx0 type vxlan id 7 dev sk0 remote 10.9.0.2 dstport 4789");
    peer.run("ip link add vx0 type vxlan id 7 dev sk1 remote 10.9.0.1 dstport 4789");
    run("ip addr add 10.9.2.1/24 dev vx0");
    peer.run("ip addr add 10.9.2.2/24 dev vx0");
    run("ethtool -K vx0 tso off gso off gro off");
    peer.run("ethtool -K vx0 tso off gso off gro off");
    let probes = start(&["sk0", "vx0"]);
    connect(&peer, "sk0", "sk1");
    connect(&peer, "vx0", "vx0");
    flow(&peer, "10.9.2.2", "--udp --bytes 2M --bitrate 200M --length 1200");
    flow(&peer, "10.9.2.2", "--bytes 10M --reverse");
    let families = expect_statistics(&probes, "sk0", as_sent);
    let (outer, inner) = (sum(&families, "xdp", "sk0"), sum(&families, "xdp", "vx0"));
    assert!(outer[0] >= inner[0] && inner[0] > 5000, "{outer:?} {inner:?}");
    assert_eq!(sum(&families, "xdp", "vx0"), sum(&families, "tc ingress", "vx0"));
    // What the statistics of a tunnel count as bytes differs from kernel to kernel.
    let sent = sum(&families, "tc egress", "vx0")[0];
    assert_eq!([inner[0], sent], ["rx_packets", "tx_packets"].map(|name| statistic("vx0", name)));
    let expected = [["sk0", "base", ""], ["vx0", "stacked", "sk0"]];
    assert_eq!(layers(&probes), expected.map(|labels| labels.map(str::to_owned)));
}
