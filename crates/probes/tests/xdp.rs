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

use netns::frame::{self, Case, ICMP, IPV4, TCP, UDP, cases, ethernet, ipv4, malformed, segment};
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

#[test]
fn sizes_flags_fragments_and_malformed_packets_are_exact() {
    play_in_namespace("details");
}

#[test]
fn a_scan_of_all_ports_loses_no_count() {
    play_in_namespace("scan");
}

#[test]
fn reloads_apply_without_loading_anew() {
    play_in_namespace("reload");
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
        ("details", details),
        ("scan", scan),
        ("reload", reload),
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
    let families = collect(&probes);
    let sizes =
        |suffix| values(&families, "skep_xdp_packet_size_bytes", suffix, &["device"]).into_values().sum::<u64>();
    assert_eq!((sizes("_count"), sizes("_sum")), (packets(&counted), bytes(&counted)));
    eprintln!("{} packets and {} bytes are exact in {mode} mode", packets(&counted), bytes(&counted));
    drop(probes);
    assert_eq!(program_of("sk1"), None);
}

/// The values of a family by the value of one label, those that are zero left out.
fn by(probes: &Probes, family: &str, label: &str) -> BTreeMap<String, u64> {
    let values = values(&collect(probes), family, "", &[label]).into_iter();
    values.filter(|(_, value)| *value > 0).map(|(mut labels, value)| (labels.remove(0), value)).collect()
}

fn named<const N: usize>(pairs: [(&str, u64); N]) -> BTreeMap<String, u64> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Sends frames and waits until all packets since the probe began, `sent`, are counted.
fn send_frames(frames: impl IntoIterator<Item = Vec<u8>>, sent: &mut u64, probes: &Probes) {
    let socket = PacketSocket::open("sk0").unwrap();
    for (at, frame) in frames.into_iter().enumerate() {
        socket.send(&frame).unwrap();
        *sent += 1;
        if at % BATCH == BATCH - 1 {
            read_until(probes, *sent);
        }
    }
    read_until(probes, *sent);
}

const SOURCE: [u8; 4] = [192, 0, 2, 1];

fn details() {
    veth();
    let probes = start(&["sk1"], XdpMode::Generic);
    expect_running(&probes, "xdp");
    let mut sent = 0;

    // FIN, SYN, RST, PSH, ACK, URG, ECE and CWR from the lowest bit up.
    let flags = [0x02, 0x02, 0x12, 0x10, 0x18, 0x11, 0x14, 0x04, 0x38, 0x00, 0xc2, 0x52, 0xff];
    send_frames(flags.map(|flags| segment(TCP, SOURCE, 80, flags)), &mut sent, &probes);
    let expected = [
        ("none", 1),
        ("fin", 2),
        ("syn", 3),
        ("syn-ack", 3),
        ("rst", 3),
        ("psh", 3),
        ("ack", 8),
        ("urg", 2),
        ("ece", 3),
        ("cwr", 2),
    ];
    assert_eq!(by(&probes, "skep_xdp_tcp_flags_total", "flag"), named(expected));
    assert_eq!(by(&probes, "skep_xdp_malformed_total", "part"), named([]));

    let frames = malformed();
    send_frames(frames.iter().map(|(frame, _)| frame.clone()), &mut sent, &probes);
    let mut expected = BTreeMap::new();
    for (_, part) in &frames {
        *expected.entry((*part).to_owned()).or_default() += 1;
    }
    assert_eq!(by(&probes, "skep_xdp_malformed_total", "part"), expected);

    let later = ethernet(&[], IPV4, &ipv4(UDP, 64, 0, 100));
    let first = ethernet(&[], IPV4, &ipv4(UDP, 0x2000, 0, 512));
    let six = |offset| ethernet(&[], frame::IPV6, &frame::ipv6(&[frame::fragment(offset)], UDP, 64));
    send_frames([later, first, six(0), six(185), six(200)], &mut sent, &probes);
    assert_eq!(by(&probes, "skep_xdp_fragments_total", "family"), named([("ipv4", 2), ("ipv6", 3)]));

    let sizes = [60, 64, 65, 128, 129, 256, 512, 513, 1024, 1025, 1514, 1536, 1537, 4096, 4097, 9014];
    let before = buckets(&probes);
    let frame = |length: usize| ethernet(&[], IPV4, &ipv4(UDP, 0, 0, length - 34));
    send_frames(sizes.map(frame), &mut sent, &probes);
    let mut grown = buckets(&probes);
    for (bound, count) in &mut grown {
        *count -= before[bound];
    }
    let at_most = |bound: usize| sizes.iter().filter(|size| **size <= bound).count() as u64;
    let expected = [64, 128, 256, 512, 1024, 1536, 4096, 9216].map(|bound| (format!("{bound}.0"), at_most(bound)));
    let expected = expected.into_iter().chain([("+Inf".to_owned(), at_most(usize::MAX))]);
    assert_eq!(grown, expected.collect::<BTreeMap<_, _>>());

    let info = values(&collect(&probes), "skep_xdp_device_info", "", &["device", "mode", "layer", "below"]);
    assert_eq!(info.into_keys().collect::<Vec<_>>(), [["sk1", "generic", "base", ""].map(str::to_owned).to_vec()]);
}

fn buckets(probes: &Probes) -> BTreeMap<String, u64> {
    let values = values(&collect(probes), "skep_xdp_packet_size_bytes", "_bucket", &["le"]).into_iter();
    values.map(|(mut labels, value)| (labels.remove(0), value)).collect()
}

/// What a server of metrics adds up: the increments of every series from reading to reading. A series that ended keeps
/// what it had, and one that begins again begins at zero.
#[derive(Default)]
struct Ledger {
    last: BTreeMap<String, u64>,
    sums: BTreeMap<String, u64>,
}

impl Ledger {
    fn add(&mut self, now: BTreeMap<String, u64>) {
        for (key, value) in &now {
            let before = self.last.get(key).filter(|last| *last <= value).unwrap_or(&0);
            *self.sums.entry(key.clone()).or_default() += value - before;
        }
        self.last = now;
    }

    fn total(&self) -> u64 {
        self.sums.values().sum()
    }
}

/// A talker beside a scan of ports from thousands of sources: it keeps its series, and every packet and byte is in one.
fn scan() {
    veth();
    let probes = start(&["sk1"], XdpMode::Generic);
    let talker = || segment(TCP, SOURCE, 443, 0x10);
    let probe_of = |port: u16| segment(TCP, [10, 0, (port >> 8) as u8, port as u8], port, 0x02);
    let kinds = [("port", "packets"), ("port", "bytes"), ("source", "packets"), ("source", "bytes")];
    let mut ledgers = kinds.map(|_| Ledger::default());
    let socket = PacketSocket::open("sk0").unwrap();
    let (mut sent, mut last) = (0, Vec::new());
    for ports in (1..=u16::MAX).step_by(5).collect::<Vec<_>>().chunks(BATCH / 2) {
        for frame in ports.iter().flat_map(|port| [probe_of(*port), talker()]) {
            socket.send(&frame).unwrap();
            sent += 1;
        }
        netns::poll("the scan to be counted", || {
            let families = collect(&probes);
            for (ledger, (label, unit)) in ledgers.iter_mut().zip(kinds) {
                let family = format!("skep_xdp_{label}_{unit}_total");
                let series = values(&families, &family, "", &[label]).into_iter();
                ledger.add(series.map(|(mut labels, value)| (labels.remove(0), value)).collect());
            }
            last.push(ledgers[0].last.len());
            (ledgers[0].total() >= sent).then_some(())
        });
    }
    let length = talker().len() as u64;
    assert_eq!(ledgers.each_ref().map(Ledger::total), [sent, sent * length, sent, sent * length]);
    assert!(last.iter().all(|series| *series <= 11), "{last:?}");
    for (ledger, key) in [(&ledgers[0], "443"), (&ledgers[2], "192.0.2.1")] {
        assert_eq!(ledger.sums[key], sent / 2, "{:?}", ledger.last);
    }
}

fn reload() {
    veth();
    let config = |devices: &str, mode, top| Config {
        xdp: XdpConfig { devices: vec![devices.to_owned()], mode, top, ..XdpConfig::default() },
        ..off()
    };
    let probes = Probes::start(&config("sk1", XdpMode::Generic, 10));
    let mut expected = Counts::new();
    send_all(&many(UDP, "udp", 100), "sk1", &mut expected, &probes);
    let program = program_of("sk1");
    // Another device more: the first goes on.
    probes.apply(&config("sk*", XdpMode::Generic, 10));
    assert_eq!(read(&probes), expected);
    assert_eq!(program_of("sk1"), program_of("sk0"));
    assert_eq!(program_of("sk1"), program);
    // Another mode counts from zero.
    probes.apply(&config("sk1", XdpMode::Native, 10));
    assert_eq!(program_of("sk0"), None);
    let program = program_of("sk1");
    assert!(program.is_some());
    let mut expected = Counts::new();
    send_all(&many(UDP, "udp", 100), "sk1", &mut expected, &probes);
    assert_eq!(read(&probes), expected);
    // What is fixed at load takes another program.
    probes.apply(&config("sk1", XdpMode::Native, 0));
    assert_ne!(program_of("sk1"), program);
    assert!(by(&probes, "skep_xdp_port_packets_total", "port").is_empty());
    probes.apply(&off());
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
