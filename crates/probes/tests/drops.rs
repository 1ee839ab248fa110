//! The probe `drops` in network namespaces: every packet that the test gets dropped is counted under the kernel's reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]
#![allow(unsafe_code, reason = "raw sockets and bpf(2)")]

mod netns;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket};

use probes::{Config, DropsConfig, Namespaces, Probes};

use netns::counters::counter;
use netns::frame::{IPV4, UDP, ethernet, ipv4};
use netns::packet_socket::PacketSocket;
use netns::verdict::Verdict;
use netns::{
    as_nobody, collect, expect_gone, expect_running, hold, hold_in_child, off, play_in_namespace, player, poll, run,
    values, veth,
};

const DROPS: &str = "skep_kernel_drops_total";
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// Numbers of protocols that nothing else in the namespace speaks.
const GRE: u8 = 47;
const ESP: u8 = 50;
const SCTP: u8 = 132;

#[test]
fn a_firewall_shows_as_such() {
    play_in_namespace("firewall");
}

#[test]
fn nobody_listens() {
    play_in_namespace("nobody");
}

#[test]
fn packets_from_a_wire_by_reason() {
    play_in_namespace("wire");
}

#[test]
fn verdicts_that_come_to_nothing() {
    play_in_namespace("verdicts");
}

/// What the state asks for is all that is needed, and a kill leaves nothing.
#[test]
fn two_capabilities_are_enough() {
    play_in_namespace("kill");
}

/// Not a test of its own: the part that a scenario plays in its process.
#[test]
fn play() {
    netns::play(&[
        ("firewall", firewall),
        ("nobody", nobody),
        ("wire", wire),
        ("verdicts", verdicts),
        ("kill", kill),
        ("hold", held),
    ]);
}

fn start(namespaces: Namespaces) -> Probes {
    run("ip link set lo up");
    let probes = Probes::start(&Config { drops: DropsConfig { enabled: true, namespaces }, ..off() });
    expect_running(&probes, "drops");
    probes
}

/// Counts by these labels joined by spaces.
fn by(probes: &Probes, name: &str, labels: &[&str]) -> BTreeMap<String, u64> {
    let values = values(&collect(probes), name, "", labels).into_iter().filter(|(_, value)| *value > 0);
    values.map(|(labels, value)| (labels.join(" "), value)).collect()
}

fn drops(probes: &Probes) -> BTreeMap<String, u64> {
    by(probes, DROPS, &["reason", "family", "protocol"])
}

fn map(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(labels, value)| ((*labels).to_owned(), *value)).collect()
}

/// Sends datagrams, and says how many of them the system refused to send.
fn send(address: IpAddr, port: u16, datagrams: usize) -> usize {
    let sender = UdpSocket::bind((address, 0)).unwrap();
    (0..datagrams).filter(|_| sender.send_to(b"?", (address, port)).is_err()).count()
}

fn firewall() {
    let probes = start(Namespaces::Own);
    run("nft add table inet t");
    run("nft add chain inet t i { type filter hook input priority 0 ; }");
    run("nft add chain inet t o { type filter hook output priority 0 ; }");
    run("nft add rule inet t i udp dport 1001 counter drop");
    run("nft add rule inet t o udp dport 1002 counter drop");
    run("nft add rule inet t o tcp dport 1003 counter drop");
    for (address, port, datagrams, refused) in
        [(V4, 1001, 30, 0), (V6, 1001, 12, 0), (V4, 1002, 7, 7), (V6, 1002, 5, 5)]
    {
        assert_eq!(send(address, port, datagrams), refused, "{address} {port}");
    }
    let counted = drops(&probes);
    assert_eq!(counted, map(&[("netfilter_drop ipv4 udp", 37), ("netfilter_drop ipv6 udp", 17)]));
    let rules = run("nft list ruleset");
    assert!(rules.contains("counter packets 42") && rules.contains("counter packets 12"), "{rules}");
    // Another program of the same kind on the same machine sees the same, and more.
    let all = start(Namespaces::All);
    send(V4, 1001, 3);
    let all = drops(&all);
    assert!(all["netfilter_drop ipv4 udp"] >= 3, "{all:?}");
    assert_eq!(drops(&probes)["netfilter_drop ipv4 udp"], 40);
}

fn nobody() {
    let probes = start(Namespaces::Own);
    for (address, datagrams, connections) in [(V4, 25, 8), (V6, 9, 3)] {
        for _ in 0..datagrams {
            assert_eq!(send(address, 7, 1), 0);
        }
        for _ in 0..connections {
            TcpStream::connect((address, 7)).unwrap_err();
        }
    }
    let counted: BTreeMap<_, _> =
        drops(&probes).into_iter().filter(|(labels, _)| labels.starts_with("no_socket")).collect();
    let expected =
        [("no_socket ipv4 tcp", 8), ("no_socket ipv4 udp", 25), ("no_socket ipv6 tcp", 3), ("no_socket ipv6 udp", 9)];
    assert_eq!(counted, map(&expected));
    assert_eq!(counter("Udp", "NoPorts"), 25);
}

/// Puts the right checksum into the header of a packet.
fn sealed(mut packet: Vec<u8>) -> Vec<u8> {
    let words = packet[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn between(from: [u8; 4], to: [u8; 4], protocol: u8) -> Vec<u8> {
    let mut packet = ipv4(protocol, 0, 0, 64);
    packet[12..16].copy_from_slice(&from);
    packet[16..20].copy_from_slice(&to);
    packet
}

/// A frame for the device `sk1`.
fn to_us(packet: &[u8]) -> Vec<u8> {
    let address = std::fs::read_to_string("/sys/class/net/sk1/address").unwrap();
    let mut frame = ethernet(&[], IPV4, packet);
    for (byte, hex) in frame.iter_mut().zip(address.trim().split(':')) {
        *byte = u8::from_str_radix(hex, 16).unwrap();
    }
    frame
}

fn wire() {
    veth();
    run("ip addr add 10.78.0.1/24 dev sk1");
    run("ip route add unreachable 192.0.2.0/24");
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    let probes = start(Namespaces::Own);
    let socket = PacketSocket::open("sk0").unwrap();
    let (far, us, nowhere) = ([10, 78, 0, 2], [10, 78, 0, 1], [192, 0, 2, 1]);
    let frames = [
        (40, ethernet(&[], IPV4, &sealed(between(far, us, GRE)))),
        (15, ethernet(&[], 0x88b5, &[0; 64])),
        (20, to_us(&between(far, us, ESP))),
        (9, to_us(&sealed(between(far, us, 253)))),
        (6, to_us(&sealed(between(far, nowhere, SCTP)))),
        (5, to_us(&sealed(between([127, 0, 0, 1], us, UDP)))),
    ];
    for (count, frame) in &frames {
        for _ in 0..*count {
            socket.send(frame).unwrap();
        }
    }
    let sent = frames.iter().map(|(count, _)| count).sum::<u64>();
    let is_from_wire = |labels: &str| !labels.starts_with("neigh");
    let counted = poll("all drops", || {
        let counted: BTreeMap<_, _> = drops(&probes).into_iter().filter(|(labels, _)| is_from_wire(labels)).collect();
        (counted.values().sum::<u64>() >= sent).then_some(counted)
    });
    let expected = [
        ("ip_csum ipv4 esp", 20),
        ("ip_localnet ipv4 udp", 5),
        ("ip_noproto ipv4 other", 9),
        // What has no route is answered, and then let go without a reason.
        ("not_specified ipv4 sctp", 6),
        ("otherhost ipv4 gre", 40),
        ("unhandled_proto other other", 15),
    ];
    assert_eq!(counted, map(&expected), "as Linux 6.18 says");
    assert_eq!(counter("IpExt", "InCsumErrors"), 20);
}

fn verdicts() {
    const NO_DEVICE: u32 = 4242;
    veth();
    let probes = start(Namespaces::Own);
    let socket = PacketSocket::open("sk0").unwrap();
    let send = |count| {
        for _ in 0..count {
            socket.send(&ethernet(&[], IPV4, &ipv4(GRE, 0, 0, 64))).unwrap();
        }
    };
    let wait = |name: &str, labels: &[&str], expected: &[(&str, u64)]| {
        let all = expected.iter().map(|(_, count)| count).sum::<u64>();
        let counted = poll(name, || Some(by(&probes, name, labels)).filter(|got| got.values().sum::<u64>() >= all));
        assert_eq!(counted, map(expected));
    };
    let aborts = Verdict::number("sk1", 0);
    send(11);
    wait("skep_kernel_xdp_exceptions_total", &["action"], &[("aborted", 11)]);
    drop(aborts);
    let means_nothing = Verdict::number("sk1", 77);
    send(4);
    wait("skep_kernel_xdp_exceptions_total", &["action"], &[("aborted", 11), ("unknown", 4)]);
    drop(means_nothing);
    let redirects = Verdict::redirect("sk1", NO_DEVICE);
    send(6);
    wait("skep_kernel_xdp_redirect_errors_total", &["error"], &[("22", 6)]);
    drop(redirects);
    let drops = Verdict::number("sk1", 1);
    send(5);
    poll("drops by XDP", || (drops_by_xdp(&probes) >= 5).then_some(()));
    drop(drops);
}

fn drops_by_xdp(probes: &Probes) -> u64 {
    drops(probes).iter().filter(|(labels, _)| labels.starts_with("xdp ")).map(|(_, count)| count).sum()
}

fn kill() {
    expect_gone(hold_in_child(as_nobody(&player("hold"), &["bpf", "perfmon"])));
}

fn held() {
    let probes = Probes::start(&Config { drops: DropsConfig::default(), ..off() });
    expect_running(&probes, "drops");
    hold();
}
