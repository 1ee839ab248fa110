//! The probe `udp` in network namespaces: losses exact beside the kernel's own counters, by port and in all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]
#![allow(unsafe_code, reason = "socket options and raw sockets")]

mod netns;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use probes::{Config, Namespaces, Probes, UdpConfig};

use netns::counters::{counter, counter6};
use netns::{collect, expect_gone, expect_running, hold, hold_in_child, off, play_in_namespace, player, run, values};

const DROPS: &str = "skep_udp_receive_drops_total";
const NO_PORT: &str = "skep_udp_no_port_total";
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

#[test]
fn full_receive_buffers_are_exact() {
    play_in_namespace("buffer");
}

#[test]
fn ports_that_nobody_has_are_exact() {
    play_in_namespace("no-port");
}

#[test]
fn a_scan_of_all_ports_loses_nothing() {
    play_in_namespace("scan");
}

#[test]
fn a_kill_leaves_nothing_behind() {
    play_in_namespace("kill");
}

/// Not a test of its own: the part that a scenario plays in its process.
#[test]
fn play() {
    netns::play(&[("buffer", buffer), ("no-port", no_port), ("scan", scan), ("kill", kill), ("hold", held)]);
}

fn start(ports: usize) -> Probes {
    run("ip link set lo up");
    let udp = UdpConfig { enabled: true, namespaces: Namespaces::Own, ports };
    let probes = Probes::start(&Config { udp, ..off() });
    expect_running(&probes, "udp");
    probes
}

/// The series of a family that are not zero, by port; of drops those of one reason.
fn by_port(probes: &Probes, name: &str, reason: &str) -> BTreeMap<String, u64> {
    let values = values(&collect(probes), name, "", &["port", "reason"]).into_iter();
    let wanted = values.filter(|(labels, count)| labels[1] == reason && *count > 0);
    wanted.map(|(labels, count)| (labels[0].clone(), count)).collect()
}

fn map(counts: &[(u16, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(port, count)| (port.to_string(), *count)).collect()
}

fn receive_buffer(socket: &UdpSocket, bytes: libc::c_int) {
    let size = size_of::<libc::c_int>() as u32;
    // SAFETY: the option's value is live and its size is given with it.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, (&raw const bytes).cast(), size)
    };
    assert_eq!(result, 0);
}

/// Sends more than fits, and then takes out what did.
fn overflow(address: IpAddr, datagrams: u64) -> (u16, u64) {
    let receiver = UdpSocket::bind((address, 0)).unwrap();
    receive_buffer(&receiver, 8192);
    receiver.set_nonblocking(true).unwrap();
    let target = receiver.local_addr().unwrap();
    let sender = UdpSocket::bind((address, 0)).unwrap();
    for _ in 0..datagrams {
        sender.send_to(&[0; 500], target).unwrap();
    }
    let mut taken = 0;
    while receiver.recv(&mut [0; 500]).is_ok() {
        taken += 1;
    }
    assert!(0 < taken && taken < datagrams);
    (target.port(), datagrams - taken)
}

fn buffer() {
    let probes = start(20);
    let (first, lost) = overflow(V4, 1000);
    let (second, lost_more) = overflow(V4, 5000);
    assert_eq!(by_port(&probes, DROPS, "buffer"), map(&[(first, lost), (second, lost_more)]));
    assert_eq!(counter("Udp", "RcvbufErrors"), lost + lost_more);
    let (third, lost6) = overflow(V6, 3000);
    assert_eq!(by_port(&probes, DROPS, "buffer"), map(&[(first, lost), (second, lost_more), (third, lost6)]));
    assert_eq!(counter6("Udp6RcvbufErrors"), lost6);
    assert_eq!(by_port(&probes, DROPS, "memory"), map(&[]));
    eprintln!("{lost} + {lost_more} + {lost6} datagrams beyond receive buffers are exact");
}

fn send(address: IpAddr, port: u16, datagrams: usize) {
    let sender = UdpSocket::bind((address, 0)).unwrap();
    for _ in 0..datagrams {
        // Earlier datagrams may have been answered with an error, which a socket reports once.
        let _ = sender.send_to(b"?", SocketAddr::new(address, port)).or_else(|_| sender.send_to(b"?", (address, port)));
    }
}

fn no_port() {
    let probes = start(20);
    for (address, port, datagrams) in [(V4, 7, 300), (V4, 9, 20), (V6, 13, 100)] {
        send(address, port, datagrams);
    }
    assert_eq!(by_port(&probes, NO_PORT, ""), map(&[(7, 300), (9, 20), (13, 100)]));
    assert_eq!([counter("Udp", "NoPorts"), counter6("Udp6NoPorts")], [320, 100]);
}

fn scan() {
    let probes = start(3);
    for port in 1..=5000 {
        send(V4, port, 1);
    }
    send(V4, 4242, 50);
    let counts = by_port(&probes, NO_PORT, "");
    assert_eq!(counts.get("4242"), Some(&51));
    assert_eq!(counts.len(), 4, "{counts:?}");
    assert_eq!(counts.values().sum::<u64>(), 5050);
    assert_eq!(counter("Udp", "NoPorts"), 5050);
}

fn kill() {
    expect_gone(hold_in_child(player("hold")));
}

fn held() {
    let _probes = start(20);
    hold();
}
