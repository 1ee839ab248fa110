//! The probe `tcp` in network namespaces: exact counts beside the kernel's own counters, and round-trip times beside
//! those that ss(8) shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]
#![allow(unsafe_code, reason = "socket options and raw sockets")]

mod netns;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use model::Families;
use probes::{Config, Namespaces, Probes, TcpConfig};

use netns::counters::counter;
use netns::relay::{Quality, Wire};
use netns::{
    Killed, as_nobody, collect, expect_gone, expect_running, hold, hold_in_child, off, play_in_namespace, player, poll,
    run, values,
};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// The other end of the wire.
const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2));

#[test]
fn connections_are_exact() {
    play_in_namespace("connections");
}

#[test]
fn failures_are_exact_by_reason() {
    play_with_timers("failures");
}

#[test]
fn resets_are_exact() {
    play_in_namespace("resets");
}

#[test]
fn retransmits_are_those_of_the_kernel() {
    play_with_timers("loss");
}

#[test]
fn requests_that_are_answered_again_are_those_of_the_kernel() {
    play_with_timers("syn-ack");
}

#[test]
fn round_trip_times_at_close_are_those_of_ss() {
    play_in_namespace("rtt-close");
}

#[test]
fn round_trip_times_of_a_running_connection_are_those_of_ss() {
    play_in_namespace("rtt-running");
}

#[test]
fn more_peers_than_fit_lose_nothing() {
    play_in_namespace("peers");
}

#[test]
fn other_namespaces_count_unless_excluded() {
    play_in_namespace("namespaces");
}

#[test]
fn windows_that_close() {
    play_in_namespace("windows");
}

/// The kernel's timers go off on top of whatever process a CPU is at, and there are sandboxes whose kernel runs no
/// tracing program on top of the process that supervises them. What a timer does there is seen by no program, so a
/// scenario that lives of timers has three attempts to be exact.
fn play_with_timers(scenario: &str) {
    for _ in 1..3 {
        if std::panic::catch_unwind(|| play_in_namespace(scenario)).is_ok() {
            return;
        }
        eprintln!("once more: {scenario}");
    }
    play_in_namespace(scenario);
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
        ("connections", connections),
        ("failures", failures),
        ("resets", resets),
        ("loss", loss),
        ("syn-ack", syn_ack),
        ("rtt-close", rtt_close),
        ("rtt-running", rtt_running),
        ("peers", peers),
        ("namespaces", namespaces),
        ("windows", windows),
        ("kill", kill),
        ("hold", held),
        ("far-sink", far_sink),
    ]);
}

fn start(namespaces: Namespaces, peers: usize) -> Probes {
    run("ip link set lo up");
    let probes = Probes::start(&Config { tcp: TcpConfig { enabled: true, namespaces, peers }, ..off() });
    expect_running(&probes, "tcp");
    probes
}

/// The series of a family that are not zero, by these labels joined by spaces.
fn by(families: &Families, name: &str, labels: &[&str]) -> BTreeMap<String, u64> {
    let values = values(families, name, "", labels).into_iter().filter(|(_, value)| *value > 0);
    values.map(|(labels, value)| (labels.join(" "), value)).collect()
}

fn total(families: &Families, name: &str) -> u64 {
    values(families, name, "", &[]).into_values().sum()
}

/// Counters without labels, each by the middle of its name.
fn check(families: &Families, expected: &[(&str, u64)]) {
    let counted = expected.iter().map(|(name, _)| (*name, total(families, &format!("skep_tcp_{name}_total"))));
    assert_eq!(counted.collect::<Vec<_>>(), expected);
}

fn map(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(labels, value)| ((*labels).to_owned(), *value)).collect()
}

/// Counts and sum, in seconds, of a histogram or summary with these values of labels.
fn distribution(families: &Families, name: &str, wanted: &[(&str, &str)]) -> (f64, f64) {
    let points = &families.iter().find(|family| family.name == name).unwrap().points;
    let is_wanted = |labels: &[(std::borrow::Cow<'static, str>, String)]| {
        wanted.iter().all(|(name, value)| labels.iter().any(|(n, v)| n == name && v == value))
    };
    let value = |suffix: &str| {
        points.iter().find(|point| point.suffix == suffix && is_wanted(&point.labels)).map_or(0.0, |point| point.value)
    };
    (value("_count"), value("_sum"))
}

/// Reads until a counter has come to what it must be: the kernel closes connections by itself, somewhat later.
fn wait_for(probes: &Probes, name: &str, value: u64) -> Families {
    poll(name, || Some(collect(probes)).filter(|families| total(families, name) >= value))
}

/// Opens, moves payload in both directions, and closes in order.
fn converse(listener: &TcpListener, sent: usize, received: usize) {
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&vec![1; sent]).unwrap();
    server.read_exact(&mut vec![0; sent]).unwrap();
    server.write_all(&vec![1; received]).unwrap();
    client.read_exact(&mut vec![0; received]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

fn connections() {
    let probes = start(Namespaces::Own, 20);
    let listeners = [V4, V6].map(|address| TcpListener::bind((address, 0)).unwrap());
    for (listener, count) in listeners.iter().zip([50, 20]) {
        for _ in 0..count {
            converse(listener, 1000, 300);
        }
    }
    let families = wait_for(&probes, "skep_tcp_connections_closed_total", 140);
    check(
        &families,
        &[
            ("connections_opened", 70),
            ("connections_accepted", 70),
            ("connections_closed", 140),
            ("closed_sent_bytes", 70 * 1300),
            ("closed_received_bytes", 70 * 1300),
            ("connections_failed", 0),
            ("retransmits", 0),
        ],
    );
    assert_eq!([counter("Tcp", "ActiveOpens"), counter("Tcp", "PassiveOpens")], [70, 70]);
    let (count, sum) = distribution(&families, "skep_tcp_connection_duration_seconds", &[]);
    assert!((count - 140.0).abs() < 0.5 && sum > 0.0, "{count} durations, {sum} s");
    // Where a window of time began meanwhile, both ends of the connection of that moment were sampled once more.
    let (count, sum) = distribution(&families, "skep_tcp_rtt_seconds", &[]);
    assert!((140.0..=142.0).contains(&count) && sum > 0.0, "{count} round-trip times, {sum} s");
    let [v4, v6] = listeners.map(|listener| listener.local_addr().unwrap().port());
    let peers = |at: [u64; 4]| {
        let names = [format!("127.0.0.1 {v4}"), format!("::1 {v6}")];
        let series = names.iter().zip(at.chunks(2)).flat_map(|(name, values)| {
            ["client", "server"].into_iter().zip(values).map(move |(side, value)| (format!("{name} {side}"), *value))
        });
        series.collect::<BTreeMap<_, _>>()
    };
    let labels = ["remote", "port", "side"];
    let expected = [
        ("connections", peers([50, 50, 20, 20])),
        ("sent_bytes", peers([50_000, 15_000, 20_000, 6000])),
        ("received_bytes", peers([15_000, 50_000, 6000, 20_000])),
        ("failures", BTreeMap::new()),
    ];
    for (what, expected) in expected {
        assert_eq!(by(&families, &format!("skep_tcp_peer_{what}_total"), &labels), expected, "{what}");
    }
}

/// A port of this address that nobody has: it was free, and stays so in a namespace of one's own.
fn closed_port(address: IpAddr) -> SocketAddr {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}

fn option(socket: &impl std::os::fd::AsFd, level: libc::c_int, name: libc::c_int, value: &[libc::c_int]) {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the option's value is live and its size is given with it.
    let result = unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), size_of_val(value) as u32) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// A socket that has sent its request and does not wait for the answer.
fn begin(address: [u8; 4], port: u16, requests: libc::c_int) -> TcpStream {
    use std::os::fd::{FromRawFd as _, OwnedFd};
    // SAFETY: the call takes three numbers, and the descriptor that it makes is nobody else's.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd)
    };
    option(&socket, libc::IPPROTO_TCP, libc::TCP_SYNCNT, &[requests]);
    // SAFETY: all bytes zero is a valid address structure.
    let mut to: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    to.sin_family = libc::AF_INET as u16;
    to.sin_port = port.to_be();
    to.sin_addr.s_addr = u32::from_ne_bytes(address);
    // SAFETY: the address is live and its size is given with it.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const to).cast(), size_of_val(&to) as u32) };
    assert!(result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINPROGRESS));
    TcpStream::from(socket)
}

fn failures() {
    let probes = start(Namespaces::Own, 20);
    let refused = [(V4, 7), (V6, 4)].map(|(address, count)| {
        let target = closed_port(address);
        for _ in 0..count {
            assert_eq!(TcpStream::connect(target).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        target
    });
    assert_eq!(counter("Tcp", "AttemptFails"), 11);

    // Nobody answers the search for neighbours on this wire, and a firewall keeps one address from being asked.
    netns::veth();
    run("ip addr add 10.78.0.1/24 dev sk0");
    run("ip neigh add 10.78.0.3 lladdr 02:00:00:00:00:03 dev sk0");
    let unreachable: Vec<TcpStream> = (0..3).map(|_| begin([10, 78, 0, 2], 99, 4)).collect();
    let unanswered: Vec<TcpStream> = (0..2).map(|_| begin([10, 78, 0, 3], 99, 1)).collect();
    for _ in 0..5 {
        drop(begin([10, 78, 0, 3], 99, 1));
    }
    let families = wait_for(&probes, "skep_tcp_connections_failed_total", 11 + 3 + 2 + 5);
    drop((unreachable, unanswered));
    let failed = by(&families, "skep_tcp_connections_failed_total", &["side", "reason"]);
    let expected = [("client aborted", 5), ("client refused", 11), ("client timeout", 2), ("client unreachable", 3)];
    assert_eq!(failed, map(&expected));
    check(&families, &[("connections_opened", 0), ("connections_accepted", 0), ("connections_closed", 0)]);
    assert_eq!(counter("Tcp", "AttemptFails"), 16);

    let kinds = by(&families, "skep_tcp_retransmits_total", &["kind"]);
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["syn"]);
    assert_eq!(kinds["syn"], counter("Tcp", "RetransSegs"));
    assert!(kinds["syn"] >= 2, "each of the unanswered was asked twice");
    let peers = by(&families, "skep_tcp_peer_failures_total", &["remote", "port", "side"]);
    let [v4, v6] = refused.map(|target| target.port());
    let expected = [
        (&*format!("127.0.0.1 {v4} client"), 7),
        (&*format!("::1 {v6} client"), 4),
        ("10.78.0.2 99 client", 3),
        ("10.78.0.3 99 client", 7),
    ];
    assert_eq!(peers, map(&expected));
}

fn resets() {
    let probes = start(Namespaces::Own, 20);
    let target = closed_port(V4);
    for _ in 0..6 {
        TcpStream::connect(target).unwrap_err();
    }
    let listener = TcpListener::bind((V4, 0)).unwrap();
    for _ in 0..4 {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        // Closed with nothing to linger for, the connection is reset.
        option(&client, libc::SOL_SOCKET, libc::SO_LINGER, &[1, 0]);
        drop(client);
        assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let families = wait_for(&probes, "skep_tcp_connections_closed_total", 8);
    assert_eq!(total(&families, "skep_tcp_resets_received_total"), 10);
    assert_eq!(total(&families, "skep_tcp_resets_sent_total"), counter("Tcp", "OutRsts"));
    let sent = by(&families, "skep_tcp_resets_sent_total", &["reason"]);
    assert_eq!(sent, map(&[("no_socket", 6), ("tcp_state", 4)]), "as Linux 6.18 says");
    // A reset that no socket sends has no peer, and neither side is known of what was refused.
    let port = listener.local_addr().unwrap().port();
    let peers = by(&families, "skep_tcp_peer_resets_total", &["remote", "port", "side"]);
    assert_eq!(peers[&format!("127.0.0.1 {port} client")], 4);
    assert_eq!(peers[&format!("127.0.0.1 {port} server")], 4);
    assert_eq!(peers.values().sum::<u64>(), 20);
}

/// A server at the other end of the wire that takes everything that comes, and its port.
fn sink(wire: &Wire) -> (Killed, u16) {
    let player = player("far-sink");
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &wire.namespace]).arg(player.get_program()).args(player.get_args());
    for (name, value) in player.get_envs() {
        command.env(name, value.unwrap());
    }
    let mut child = Killed(command.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.into_iter().find_map(|line| line.split_once("sink on ")?.1.parse().ok());
    (child, port.expect("the far end says its port"))
}

/// Answers each connection's end of stream by one of its own.
fn far_sink() {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    println!("sink on {}", listener.local_addr().unwrap().port());
    for stream in listener.incoming() {
        std::thread::spawn(move || std::io::copy(&mut stream.unwrap(), &mut std::io::sink()));
    }
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn loss() {
    let wire = Wire::new(Quality { delay: milliseconds(2), one_lost_of: 0 });
    let probes = start(Namespaces::Own, 20);
    let (_far, port) = sink(&wire);
    for address in [FAR_V4, FAR_V6] {
        let mut stream = TcpStream::connect((address, port)).unwrap();
        wire.set(Quality { delay: milliseconds(2), one_lost_of: 40 });
        stream.write_all(&vec![7; 3_000_000]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    let families = wait_for(&probes, "skep_tcp_connections_closed_total", 2);
    let counted = by(&families, "skep_tcp_retransmits_total", &["kind"]);
    assert!(counted["data"] > 50, "a fortieth of 4,000 packets is lost: {counted:?}");
    assert_eq!(counted.values().sum::<u64>(), counter("Tcp", "RetransSegs"));
    check(&families, &[("closed_sent_bytes", 6_000_000), ("closed_received_bytes", 0)]);
    let peers = by(&families, "skep_tcp_peer_retransmits_total", &["remote", "port", "side"]);
    let names = [FAR_V4, FAR_V6].map(|address| format!("{address} {port} client"));
    assert_eq!(peers.keys().cloned().collect::<Vec<_>>(), names);
    assert_eq!(peers.values().sum::<u64>(), counter("Tcp", "RetransSegs"));
    eprintln!("{counted:?} retransmits are the kernel's");
}

/// The near end is the server, and its answers to the far end's requests are lost.
fn syn_ack() {
    let wire = Wire::new(Quality::default());
    let probes = start(Namespaces::Own, 20);
    let listener = TcpListener::bind(("10.77.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let nft = |line: &str| run(&format!("ip netns exec {} nft {line}", wire.namespace));
    nft("add table inet t");
    nft("add chain inet t i { type filter hook input priority 0 ; }");
    nft("add rule inet t i tcp flags & (syn | ack) == syn | ack drop");
    let mut far = Command::new("ip");
    far.args(["netns", "exec", &wire.namespace, "bash", "-c", &format!("exec 3<>/dev/tcp/10.77.0.1/{port}; sleep 60")]);
    let _far = Killed(far.stdin(Stdio::null()).spawn().unwrap());
    let families = wait_for(&probes, "skep_tcp_retransmits_total", 1);
    assert_eq!(by(&families, "skep_tcp_retransmits_total", &["kind"]).keys().collect::<Vec<_>>(), ["syn_ack"]);
    nft("flush ruleset");
    let (_stream, _) = listener.accept().unwrap();
    let families = wait_for(&probes, "skep_tcp_connections_accepted_total", 1);
    let again = by(&families, "skep_tcp_retransmits_total", &["kind"])["syn_ack"];
    assert_eq!(again, counter("Tcp", "RetransSegs"));
    let peer = format!("10.77.0.2 {port} server");
    let peers = by(&families, "skep_tcp_peer_retransmits_total", &["remote", "port", "side"]);
    assert_eq!(peers, map(&[(&peer, again)]));
}

/// The smoothed round-trip time that ss(8) shows for connections to this port, in seconds.
fn rtt_by_ss(port: u16) -> f64 {
    let text = run(&format!("ss -tinH dport = :{port}"));
    let rtt = text.split_ascii_whitespace().find_map(|word| word.strip_prefix("rtt:")?.split('/').next());
    rtt.unwrap_or_else(|| panic!("no rtt in {text:?}")).parse::<f64>().unwrap() / 1000.0
}

fn expect_close(what: &str, got: f64, expected: f64) {
    assert!((got / expected - 1.0).abs() < 0.1, "{what}: {got} is not {expected} within a tenth");
    eprintln!("{what}: {got:.6} s, ss says {expected:.6} s");
}

/// Sends little things one after the other, each after the answer to the one before.
fn chat(stream: &mut TcpStream, times: usize) {
    stream.set_nodelay(true).unwrap();
    for _ in 0..times {
        stream.write_all(b"hello").unwrap();
        poll("an acknowledgement", || (queued(stream) == 0).then_some(()));
    }
}

/// Bytes that were sent and not yet acknowledged.
fn queued(stream: &TcpStream) -> libc::c_int {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one number to where the pointer shows.
    assert_eq!(unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) }, 0);
    bytes
}

fn rtt_close() {
    let wire = Wire::new(Quality { delay: milliseconds(20), one_lost_of: 0 });
    let probes = start(Namespaces::Own, 20);
    let (_far, port) = sink(&wire);
    for (at, address) in (1..).zip([FAR_V4, FAR_V6]) {
        let mut stream = TcpStream::connect((address, port)).unwrap();
        chat(&mut stream, 20);
        let rtt = rtt_by_ss(port);
        drop(stream);
        let families = wait_for(&probes, "skep_tcp_connections_closed_total", at);
        // One more where a window of time began meanwhile.
        let remote = address.to_string();
        let (count, sum) = distribution(&families, "skep_tcp_peer_rtt_seconds", &[("remote", &remote)]);
        assert!((1.0..=2.0).contains(&count), "{count} samples");
        expect_close(&remote, sum / count, rtt);
    }
    let families = collect(&probes);
    let (count, sum) = distribution(&families, "skep_tcp_rtt_seconds", &[]);
    let (peer_count, peer_sum) = [FAR_V4, FAR_V6].into_iter().fold((0.0, 0.0), |(count, sum), address| {
        let remote = address.to_string();
        let (more, more_sum) = distribution(&families, "skep_tcp_peer_rtt_seconds", &[("remote", &remote)]);
        (count + more, sum + more_sum)
    });
    assert!((count - peer_count).abs() < 0.5 && (sum - peer_sum).abs() < 1e-9);
}

fn rtt_running() {
    let wire = Wire::new(Quality { delay: milliseconds(30), one_lost_of: 0 });
    let probes = start(Namespaces::Own, 20);
    let (_far, port) = sink(&wire);
    let mut stream = TcpStream::connect((FAR_V4, port)).unwrap();
    chat(&mut stream, 10);
    let (rtt, sum) = poll("a sample of a connection that goes on", || {
        chat(&mut stream, 1);
        let rtt = rtt_by_ss(port);
        let (count, sum) = distribution(&collect(&probes), "skep_tcp_rtt_seconds", &[]);
        (count > 0.5).then_some((rtt, sum / count))
    });
    expect_close("running", sum, rtt);
    check(&collect(&probes), &[("connections_closed", 0)]);
}

/// More peers than the kernel's map holds, of which three are shown.
fn peers() {
    let probes = start(Namespaces::Own, 3);
    let target = closed_port(V4).port();
    for at in 0..3000u32 {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + at);
        TcpStream::connect((address, target)).unwrap_err();
        if at % 1000 == 0 {
            collect(&probes);
        }
    }
    for _ in 0..100 {
        TcpStream::connect((Ipv4Addr::new(127, 9, 9, 9), target)).unwrap_err();
    }
    let families = collect(&probes);
    let counted = by(&families, "skep_tcp_peer_failures_total", &["remote", "port", "side"]);
    assert_eq!(counted[&format!("127.9.9.9 {target} client")], 100);
    assert_eq!(counted.len(), 4, "{counted:?}");
    // One whose series began at the first reading has made place, and its failure went with its series.
    assert_eq!(counted.values().sum::<u64>(), 3099);
    assert_eq!(total(&families, "skep_tcp_connections_failed_total"), 3100);
    assert_eq!(counter("Tcp", "AttemptFails"), 3100);
}

fn namespaces() {
    let wire = Wire::new(Quality::default());
    let own = start(Namespaces::Own, 20);
    let all = start(Namespaces::All, 1000);
    let (_far, port) = sink(&wire);
    drop(TcpStream::connect((FAR_V4, port)).unwrap());
    wait_for(&own, "skep_tcp_connections_closed_total", 1);
    let labels = ["remote", "port", "side"];
    let (near, far) = (format!("10.77.0.2 {port} client"), format!("10.77.0.1 {port} server"));
    let connections = |probes: &Probes| by(&collect(probes), "skep_tcp_peer_connections_total", &labels);
    assert_eq!(connections(&own), map(&[(&near, 1)]));
    let seen = poll("the far end's side", || Some(connections(&all)).filter(|seen| seen.contains_key(&far)));
    assert_eq!([seen[&near], seen[&far]], [1, 1]);
}

fn windows() {
    let probes = start(Namespaces::Own, 0);
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.set_nonblocking(true).unwrap();
    poll("a window that is closed", || {
        while client.write(&[0; 65536]).is_ok() {}
        (counter("TcpExt", "TCPToZeroWindowAdv") > 0).then_some(())
    });
    drop(client);
    std::io::copy(&mut server, &mut std::io::sink()).unwrap();
    let counted = by(&collect(&probes), "skep_tcp_zero_windows_total", &["change"]);
    assert!(counted["to_zero"] > 0 && counted["from_zero"] > 0, "{counted:?}");
    assert_eq!(counted["to_zero"], counter("TcpExt", "TCPToZeroWindowAdv"));
    assert_eq!(counted["from_zero"], counter("TcpExt", "TCPFromZeroWindowAdv"));
}

fn kill() {
    expect_gone(hold_in_child(as_nobody(&player("hold"), &["bpf", "perfmon"])));
}

fn held() {
    let probes = Probes::start(&Config { tcp: TcpConfig::default(), ..off() });
    expect_running(&probes, "tcp");
    hold();
}
