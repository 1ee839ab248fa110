//! The probe `xdp` in network namespaces: exact counts, foreign programs, kills, devices that come and go.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]
#![allow(unsafe_code, reason = "raw sockets")]

mod netns;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::time::Instant;

use model::status::ProbeState;
use probes::{Config, Probes, XdpConfig, XdpMode};

use netns::frame::{self, Case, ICMP, IPV4, TCP, UDP, cases, ethernet, ipv4};
use netns::packet_socket::{self, PacketSocket};
use netns::{
    DEADLINE, as_nobody, collect, expect_running, hold_in_child, is_root, off, play_in_namespace, player, run, silence,
    values, veth,
};

const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ebpf/objects/xdp.bpf.o");
const NOBODY: u32 = 65534;

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
    netns::play(&[
        ("generic", || count(XdpMode::Generic)),
        ("native", || count(XdpMode::Native)),
        ("foreign", foreign),
        ("kill", kill),
        ("hold", hold),
        ("devices", devices),
        ("capabilities", capabilities),
        ("detached", detached),
        ("loopback", loopback),
        ("tunnel", tunnel),
        ("nobody", nobody),
    ]);
}

fn start(devices: &[&str], mode: XdpMode) -> Probes {
    let devices = devices.iter().map(ToString::to_string).collect();
    Probes::start(&Config { xdp: XdpConfig { devices, mode, ..XdpConfig::default() }, ..off() })
}

fn state(probes: &Probes) -> ProbeState {
    netns::state(probes, "xdp")
}

/// Packets and bytes by device, family and protocol, those that are zero left out.
type Counts = BTreeMap<(String, String, String), [u64; 2]>;

fn read(probes: &Probes) -> Counts {
    let families = collect(probes);
    let mut counts = Counts::new();
    for (at, name) in ["skep_xdp_packets_total", "skep_xdp_bytes_total"].into_iter().enumerate() {
        for (labels, value) in values(&families, name, "", &["device", "family", "protocol"]) {
            let [device, family, protocol] = labels.try_into().unwrap();
            counts.entry((device, family, protocol)).or_default()[at] = value;
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
    expect_running(&probes, "xdp");
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
    let mut child = hold_in_child(player("hold"));
    assert!(program_of("sk1").is_some());
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    netns::poll("the end of a killed process's program", || program_of("sk1").is_none().then_some(()));
}

fn hold() {
    let probes = start(&["sk1"], XdpMode::Generic);
    assert_eq!(state(&probes), ProbeState::Running);
    netns::hold();
}

/// The same hold as before, by a user who is nobody and has just the capabilities that the state asks for.
fn capabilities() {
    veth();
    let _child = hold_in_child(as_nobody(&player("hold"), &["bpf", "net_admin", "perfmon"]));
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
    expect_running(&probes, "xdp");
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
    silence("sk2");
    run("ip link set sk2 up");
    let probes = start(&["sk2"], XdpMode::Generic);
    expect_running(&probes, "xdp");
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
    let probes = Probes::start(&Config { xdp: XdpConfig::default(), ..off() });
    match state(&probes) {
        ProbeState::Unsupported { reason } => {
            for part in ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "setcap"] {
                assert!(reason.contains(part), "{reason}");
            }
        }
        other => panic!("{other:?}"),
    }
    let exposed = values(&collect(&probes), "skep_probe_state", "", &["probe", "state"]);
    assert_eq!(exposed[&vec!["xdp".to_owned(), "unsupported".to_owned()]], 1, "{exposed:?}");
    let report = probes::doctor::examine();
    assert!(report.to_string().contains("CAP_BPF"), "{report}");
}
