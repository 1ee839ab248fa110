//! The XDP probe in network namespaces of its own: exact counts, foreign programs, kills, devices that come and go.
//!
//! It needs root. Each scenario runs in a process of its own inside a namespace, because a thread cannot be trusted to
//! come back from one; the process is this same test binary, told by an environment variable what to play.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]
#![allow(unsafe_code, reason = "raw sockets")]

mod frame;
mod packet_socket;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::status::{ProbeState, Probes as _};
use model::{Collector as _, Families};
use probes::{Config, Probes, XdpConfig, XdpMode};

use frame::{Case, ICMP, IPV4, TCP, UDP, cases, ethernet, ipv4};
use packet_socket::PacketSocket;

const SCENARIO: &str = "SKEP_TEST_SCENARIO";
/// A machine under load takes its time; nothing here waits this long unless it is broken.
const DEADLINE: Duration = Duration::from_secs(60);
const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ebpf/objects/xdp_counters.bpf.o");
const NOBODY: u32 = 65534;

/// A namespace that is gone at the end of the test, also of one that failed.
struct Namespace(String);

impl Namespace {
    fn new(scenario: &str) -> Self {
        let name = format!("skep-{}-{scenario}", std::process::id());
        run(&format!("ip netns add {name}"));
        Self(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap_or_else(|e| panic!("{line}: {e}"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: network namespaces and XDP need root");
    }
    root
}

/// This binary, in the part of a scenario.
fn player(scenario: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "play", "--nocapture"]).env(SCENARIO, scenario);
    command
}

fn play_in_namespace(scenario: &str) {
    if !is_root() {
        return;
    }
    let namespace = Namespace::new(scenario);
    let player = player(scenario);
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &namespace.0]).arg(player.get_program()).args(player.get_args());
    let output = command.env(SCENARIO, scenario).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{scenario}:\n{text}");
    eprintln!("{text}");
}

#[test]
fn counts_are_exact_in_generic_mode() {
    play_in_namespace("generic");
}

#[test]
fn counts_are_exact_in_native_mode() {
    play_in_namespace("native");
}

#[test]
fn a_foreign_program_is_left_alone() {
    play_in_namespace("foreign");
}

#[test]
fn a_kill_leaves_nothing_behind() {
    play_in_namespace("kill");
}

#[test]
fn devices_come_and_go() {
    play_in_namespace("devices");
}

#[test]
fn tunnels_have_no_frame_header() {
    play_in_namespace("tunnel");
}

#[test]
fn the_loopback_device_has_an_ethernet_header() {
    play_in_namespace("loopback");
}

#[test]
fn without_capabilities_the_state_says_what_is_missing() {
    if !is_root() {
        return;
    }
    let output = player("nobody").uid(NOBODY).gid(NOBODY).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the state and the doctor ask for is all that is needed.
#[test]
fn three_capabilities_are_enough() {
    play_in_namespace("capabilities");
}

#[test]
fn a_program_that_an_administrator_took_off_stays_off() {
    play_in_namespace("detached");
}

/// Not a test of its own: the part that a scenario plays in its process.
#[test]
fn play() {
    match std::env::var(SCENARIO).as_deref() {
        Ok("generic") => count(XdpMode::Generic),
        Ok("native") => count(XdpMode::Native),
        Ok("foreign") => foreign(),
        Ok("kill") => kill(),
        Ok("hold") => hold(),
        Ok("devices") => devices(),
        Ok("capabilities") => capabilities(),
        Ok("detached") => detached(),
        Ok("loopback") => loopback(),
        Ok("tunnel") => tunnel(),
        Ok("nobody") => nobody(),
        Ok(other) => panic!("unknown scenario {other}"),
        Err(_) => {}
    }
}

/// Two devices on one wire, silent: what is sent on `sk0` arrives on `sk1`, and nothing else does.
fn veth() {
    run("ip link add sk0 mtu 9000 type veth peer name sk1 mtu 9000");
    for device in ["sk0", "sk1"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6"), "1").unwrap();
        run(&format!("ip link set {device} up"));
    }
}

fn start(devices: &[&str], mode: XdpMode) -> Probes {
    let devices = devices.iter().map(ToString::to_string).collect();
    Probes::start(&Config { xdp: XdpConfig { devices, mode, ..XdpConfig::default() }, ..Config::default() })
}

fn state(probes: &Probes) -> ProbeState {
    probes.probes().remove(0).state
}

/// Packets and bytes by device, family and protocol, those that are zero left out.
type Counts = BTreeMap<(String, String, String), [u64; 2]>;

fn read(probes: &Probes) -> Counts {
    let mut families = Families::default();
    probes.collect(&mut families).unwrap();
    let mut counts = Counts::new();
    for (at, name) in ["skep_xdp_packets_total", "skep_xdp_bytes_total"].into_iter().enumerate() {
        let family = families.iter().find(|family| family.name == name).unwrap();
        for point in &family.points {
            let label = |name: &str| point.labels.iter().find(|(n, _)| n == name).unwrap().1.clone();
            counts.entry((label("device"), label("family"), label("protocol"))).or_default()[at] = point.value as u64;
        }
    }
    counts.retain(|_, values| *values != [0, 0]);
    counts
}

fn packets(counts: &Counts) -> u64 {
    counts.values().map(|[packets, _]| packets).sum()
}

/// Reads until all packets that were sent have arrived.
fn read_until(probes: &Probes, sent: u64) -> Counts {
    let begin = Instant::now();
    loop {
        let counts = read(probes);
        if packets(&counts) >= sent {
            return counts;
        }
        assert!(begin.elapsed() < DEADLINE, "{sent} packets were sent, counted are {counts:#?}");
        std::thread::yield_now();
    }
}

/// More than this many packets in flight could overflow the kernel's queue between the devices (1000 packets).
const BATCH: usize = 250;

fn send_all(cases: &[Case], device: &str, expected: &mut Counts, probes: &Probes) {
    let socket = PacketSocket::open("sk0").unwrap();
    for batch in cases.chunks(BATCH) {
        for case in batch {
            socket.send(&case.frame).unwrap();
            let key = (device.to_owned(), case.family.to_owned(), case.protocol.to_owned());
            let values = expected.entry(key).or_default();
            values[0] += 1;
            values[1] += case.frame.len() as u64;
        }
        read_until(probes, packets(expected));
    }
}

/// Sizes go round through all that fit, so that bytes cannot be right by chance.
fn many(number: u8, protocol: &'static str, count: usize) -> Vec<Case> {
    let frame = |at: usize| ethernet(&[], IPV4, &ipv4(number, 0, 0, 8 + at * 7 % 1400));
    (0..count).map(|at| Case { frame: frame(at), family: "ipv4", protocol }).collect()
}

fn count(mode: XdpMode) {
    veth();
    let probes = start(&["sk1"], mode);
    assert_eq!(state(&probes), ProbeState::Running, "{:?}", probes.probes());
    let mut expected = Counts::new();
    for (number, protocol, count) in [(UDP, "udp", 10_000), (TCP, "tcp", 5_000), (ICMP, "icmp", 1_000)] {
        send_all(&many(number, protocol, count), "sk1", &mut expected, &probes);
    }
    for _ in 0..10 {
        send_all(&cases(), "sk1", &mut expected, &probes);
    }
    // Larger than a memory page, so it lies in several buffers.
    let jumbo = |length| Case { frame: ethernet(&[], IPV4, &ipv4(UDP, 0, 0, length)), family: "ipv4", protocol: "udp" };
    send_all(&[jumbo(5_000), jumbo(8_900)], "sk1", &mut expected, &probes);

    let counted = read(&probes);
    assert_eq!(counted, expected);
    eprintln!("{} packets and {} bytes are exact in {mode} mode", packets(&counted), bytes(&counted));
    drop(probes);
    assert_eq!(program_of("sk1"), None);
}

fn bytes(counts: &Counts) -> u64 {
    counts.values().map(|[_, bytes]| bytes).sum()
}

/// The id of the XDP program on a device, as `ip link` tells.
fn program_of(device: &str) -> Option<String> {
    let text = run(&format!("ip -d link show dev {device}"));
    let (_, rest) = text.split_once("prog/xdp id ")?;
    rest.split_ascii_whitespace().next().map(str::to_owned)
}

fn expect_left_alone(probes: &Probes, program: &str) {
    let expected = format!("sk1: left alone, another XDP program sits there (`bpftool prog show id {program}`");
    match state(probes) {
        ProbeState::Failed { error } => assert!(error.contains(&expected), "{error}"),
        other => panic!("{other:?}"),
    }
}

fn foreign() {
    veth();
    // Attached the old way, without a link.
    run(&format!("ip link set dev sk1 xdpgeneric obj {OBJECT} sec xdp"));
    let program = program_of("sk1").expect("ip(8) attached a program");
    for mode in [XdpMode::Generic, XdpMode::Native, XdpMode::Auto] {
        let probes = start(&["sk1"], mode);
        expect_left_alone(&probes, &program);
        read(&probes);
        expect_left_alone(&probes, &program);
        drop(probes);
        assert_eq!(program_of("sk1").as_ref(), Some(&program), "{mode}");
    }
    run("ip link set dev sk1 xdpgeneric off");
    assert_eq!(program_of("sk1"), None);

    // Attached by a link, which is what another skep does.
    let owner = start(&["sk1"], XdpMode::Generic);
    assert_eq!(state(&owner), ProbeState::Running);
    let program = program_of("sk1").expect("a link");
    let late = start(&["sk1"], XdpMode::Generic);
    expect_left_alone(&late, &program);
    assert_eq!(program_of("sk1"), Some(program));
    // Once the owner is gone the place is free.
    drop(owner);
    read(&late);
    assert_eq!(state(&late), ProbeState::Running);
}

fn kill() {
    veth();
    let mut child = Killed(player("hold").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("holding")));
    assert!(program_of("sk1").is_some());
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    let begin = Instant::now();
    while program_of("sk1").is_some() {
        assert!(begin.elapsed() < DEADLINE, "the program of a killed process is still there");
        std::thread::yield_now();
    }
}

/// Holds the device until its standard input ends, which it does not before the kill.
fn hold() {
    let probes = start(&["sk1"], XdpMode::Generic);
    assert_eq!(state(&probes), ProbeState::Running);
    let mut stdout = std::io::stdout();
    writeln!(stdout, "holding").unwrap();
    stdout.flush().unwrap();
    let _ = std::io::stdin().lines().count();
}

/// The same hold as before, by a user who is nobody and has just the capabilities that the state asks for.
fn capabilities() {
    veth();
    let hold = player("hold");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+bpf,+net_admin,+perfmon"]);
    command.args([
        "--inh-caps=-all,+bpf,+net_admin,+perfmon",
        "--ambient-caps=-all,+bpf,+net_admin,+perfmon",
        "--no-new-privs",
    ]);
    command.arg(hold.get_program()).args(hold.get_args()).env(SCENARIO, "hold");
    let mut child = Killed(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("holding")), "the probe does not run");
    assert!(program_of("sk1").is_some());
}

fn detached() {
    veth();
    let probes = start(&["sk1"], XdpMode::Generic);
    let program = program_of("sk1").expect("a link");
    let links = run("bpftool link show");
    let line = links.lines().find(|line| line.split_ascii_whitespace().skip(1).eq(["xdp", "prog", &program]));
    let link = line.and_then(|line| line.split(':').next());
    run(&format!("bpftool link detach id {}", link.unwrap_or_else(|| panic!("no link of {program} in\n{links}"))));
    for _ in 0..2 {
        assert_eq!(read(&probes), Counts::new());
        assert_eq!(program_of("sk1"), None);
        match state(&probes) {
            ProbeState::Failed { error } => assert!(error.contains("somebody took the program off"), "{error}"),
            other => panic!("{other:?}"),
        }
    }
}

fn devices() {
    let probes = start(&["sk1", "wire*"], XdpMode::Generic);
    match state(&probes) {
        ProbeState::Unsupported { reason } => assert!(reason.contains("no device matches"), "{reason}"),
        other => panic!("{other:?}"),
    }
    veth();
    assert_eq!(read(&probes), Counts::new());
    assert_eq!(state(&probes), ProbeState::Running);

    let mut expected = Counts::new();
    send_all(&many(UDP, "udp", 100), "sk1", &mut expected, &probes);
    assert_eq!(read(&probes), expected);

    // A renamed device goes on counting under its new name.
    run("ip link set sk1 down");
    run("ip link set sk1 name wire1");
    run("ip link set wire1 up");
    let mut expected: Counts = expected
        .into_iter()
        .map(|((_, family, protocol), values)| (("wire1".to_owned(), family, protocol), values))
        .collect();
    send_all(&many(TCP, "tcp", 100), "wire1", &mut expected, &probes);
    assert_eq!(read(&probes), expected);

    // A device of the same name that comes after it is another one and starts from zero.
    run("ip link del wire1");
    assert_eq!(read(&probes), Counts::new());
    veth();
    assert_eq!(read(&probes), Counts::new());
    let mut expected = Counts::new();
    send_all(&many(ICMP, "icmp", 100), "sk1", &mut expected, &probes);
    assert_eq!(read(&probes), expected);
}

/// The loopback device shows an Ethernet header of zeros before each packet.
fn loopback() {
    run("ip link set lo up");
    let probes = start(&["lo"], XdpMode::Generic);
    assert_eq!(state(&probes), ProbeState::Running, "{:?}", probes.probes());
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..10 {
        sender.send_to(&[0; 100], receiver.local_addr().unwrap()).unwrap();
    }
    let key = ("lo".to_owned(), "ipv4".to_owned(), "udp".to_owned());
    assert_eq!(read_until(&probes, 10)[&key], [10, 10 * (14 + 20 + 8 + 100)]);
}

/// A tunnel device shows bare IP packets. Written into its file, they arrive on the device.
fn tunnel() {
    let tunnel = packet_socket::tunnel("sk2").unwrap();
    std::fs::write("/proc/sys/net/ipv6/conf/sk2/disable_ipv6", "1").unwrap();
    run("ip link set sk2 up");
    let probes = start(&["sk2"], XdpMode::Generic);
    assert_eq!(state(&probes), ProbeState::Running, "{:?}", probes.probes());
    let packets = [
        (ipv4(UDP, 0, 0, 100), "ipv4", "udp"),
        (frame::ipv6(&[], TCP, 100), "ipv6", "tcp"),
        (ipv4(TCP, 0, 2, 40), "ipv4", "tcp"),
    ];
    let mut expected = Counts::new();
    for (packet, family, protocol) in packets {
        (&tunnel).write_all(&packet).unwrap();
        expected.insert(("sk2".to_owned(), family.to_owned(), protocol.to_owned()), [1, packet.len() as u64]);
    }
    assert_eq!(read_until(&probes, 3), expected);
}

fn nobody() {
    let probes = Probes::start(&Config::default());
    match state(&probes) {
        ProbeState::Unsupported { reason } => {
            for part in ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "setcap"] {
                assert!(reason.contains(part), "{reason}");
            }
        }
        other => panic!("{other:?}"),
    }
    let mut families = Families::default();
    probes.collect(&mut families).unwrap();
    assert_eq!(families.iter().count(), 0);
    let report = probes::doctor::examine();
    assert!(report.to_string().contains("CAP_BPF"), "{report}");
}
