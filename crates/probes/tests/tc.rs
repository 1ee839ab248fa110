//! The probe `tc` in network namespaces: exact counts in both directions, beside programs of others, by links and by
//! filters, after kills and reloads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]
#![allow(unsafe_code, reason = "raw sockets")]

mod netns;

use std::collections::BTreeMap;

use aya::programs::links::LinkOrder;
use aya::programs::tc::{NlOptions, TcAttachOptions, TcHandle, qdisc_add_clsact};
use aya::programs::{SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader};
use model::status::ProbeState;
use probes::{Config, Probes, TcAttach, TcConfig};

use netns::frame::{Case, IPV4, TCP, UDP, cases, ethernet, ipv4};
use netns::packet_socket::PacketSocket;
use netns::{
    collect, expect_running, hold_in_child, off, play_in_namespace, player, poll, run, statistic, values, veth,
};

const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ebpf/objects/tc.bpf.o");

#[test]
fn counts_are_exact_by_links() {
    play_in_namespace("links");
}

#[test]
fn counts_are_exact_by_filters() {
    play_in_namespace("filters");
}

#[test]
fn links_leave_the_order_of_others() {
    play_in_namespace("order");
}

#[test]
fn filters_live_beside_those_of_others() {
    play_in_namespace("beside");
}

#[test]
fn a_killed_process_leaves_no_link() {
    play_in_namespace("killed-link");
}

#[test]
fn the_filters_of_a_killed_process_are_taken_off_by_the_next() {
    play_in_namespace("killed-filter");
}

#[test]
fn filters_that_went_with_clsact_are_put_back() {
    play_in_namespace("cleared");
}

#[test]
fn devices_come_and_go_and_reloads_apply() {
    play_in_namespace("tc-devices");
}

/// Not a test of its own: the part that a scenario plays in its process.
#[test]
fn play() {
    netns::play(&[
        ("links", || count(TcAttach::Tcx)),
        ("filters", || count(TcAttach::Clsact)),
        ("order", order),
        ("beside", beside),
        ("killed-link", killed_link),
        ("killed-filter", killed_filter),
        ("cleared", cleared),
        ("hold-link", || hold(TcAttach::Tcx)),
        ("hold-filter", || hold(TcAttach::Clsact)),
        ("tc-devices", devices),
    ]);
}

fn config(devices: &[&str], attach: TcAttach, ingress: bool) -> Config {
    let devices = devices.iter().map(ToString::to_string).collect();
    Config { tc: TcConfig { enabled: true, devices, ingress, attach }, ..off() }
}

fn start(attach: TcAttach) -> Probes {
    let probes = Probes::start(&config(&["sk0"], attach, true));
    expect_running(&probes, "tc");
    probes
}

/// Packets and bytes by device, direction, family and protocol, those that are zero left out.
type Counts = BTreeMap<Vec<String>, [u64; 2]>;

fn read(probes: &Probes) -> Counts {
    let families = collect(probes);
    let mut counts = Counts::new();
    for (at, name) in ["skep_tc_packets_total", "skep_tc_bytes_total"].into_iter().enumerate() {
        for (labels, value) in values(&families, name, "", &["device", "direction", "family", "protocol"]) {
            counts.entry(labels).or_default()[at] = value;
        }
    }
    counts.retain(|_, values| *values != [0, 0]);
    counts
}

fn packets(counts: &Counts) -> u64 {
    counts.values().map(|[packets, _]| packets).sum()
}

fn expect(expected: &mut Counts, device: &str, direction: &str, case: &Case) {
    let key = [device, direction, case.family, case.protocol].map(str::to_owned).to_vec();
    let values = expected.entry(key).or_default();
    values[0] += 1;
    values[1] += case.frame.len() as u64;
}

fn vlan_tags(frame: &[u8]) -> usize {
    frame[12..].chunks(4).take_while(|tag| [&[0x81, 0][..], &[0x88, 0xa8][..]].contains(&&tag[..2])).count()
}

/// Sends frames over `sk0` and over its other end, and waits until both directions have been counted.
fn send(cases: &[Case], directions: &[&str], expected: &mut Counts, probes: &Probes) {
    for (from, direction) in [("sk0", "egress"), ("sk1", "ingress")] {
        if !directions.contains(&direction) {
            continue;
        }
        let socket = PacketSocket::queued(from).unwrap();
        for case in cases {
            let tags = vlan_tags(&case.frame);
            // The stack takes the outer tag off before the hook, and drops what ends within it. Behind it a third tag is
            // the second, which is read.
            if direction == "ingress" && (tags > 2 || case.frame.len() < 18) {
                continue;
            }
            socket.send(&case.frame).unwrap();
            expect(expected, "sk0", direction, case);
            if direction == "ingress" && tags > 0 {
                let key = ["sk0", direction, case.family, case.protocol].map(str::to_owned);
                expected.get_mut(&key[..]).unwrap()[1] -= 4;
            }
        }
    }
    poll("all packets to be counted", || (packets(&read(probes)) >= packets(expected)).then_some(()));
}

/// The wire's ends are up, and their queues in use; before, frames are dropped without a word.
fn wire() {
    veth();
    poll("the wire", || run("ip link show dev sk0").contains("state UP").then_some(()));
    poll("the wire", || run("ip link show dev sk1").contains("state UP").then_some(()));
}

fn count(attach: TcAttach) {
    wire();
    let before = ["tx_packets", "tx_bytes", "rx_packets", "rx_bytes"].map(|name| statistic("sk0", name));
    let probes = start(attach);
    let mut expected = Counts::new();
    for _ in 0..5 {
        send(&cases(), &["egress", "ingress"], &mut expected, &probes);
    }
    let jumbo = |length| Case { frame: ethernet(&[], IPV4, &ipv4(UDP, 0, 0, length)), family: "ipv4", protocol: "udp" };
    send(&[jumbo(5_000), jumbo(8_900)], &["egress", "ingress"], &mut expected, &probes);
    let counted = read(&probes);
    assert_eq!(counted, expected);
    // The device's own statistics say the same, where no tag is taken off.
    let sum = |direction: &str, at: usize| -> u64 {
        counted.iter().filter(|(labels, _)| labels[1] == direction).map(|(_, values)| values[at]).sum()
    };
    let after = ["tx_packets", "tx_bytes", "rx_packets", "rx_bytes"].map(|name| statistic("sk0", name));
    let grown: [u64; 4] = std::array::from_fn(|at| after[at] - before[at]);
    let is_untagged = |case: &&Case| (1..=2).contains(&vlan_tags(&case.frame)) && case.frame.len() >= 18;
    let received = sum("ingress", 1) + 5 * 4 * cases().iter().filter(is_untagged).count() as u64;
    assert_eq!(grown, [sum("egress", 0), sum("egress", 1), sum("ingress", 0), received]);
    eprintln!("{} packets are exact by {attach}", packets(&counted));
    drop(probes);
    assert_eq!(links("sk0"), 0);
    assert!(!filters("sk0").contains("skep_tc"), "{}", filters("sk0"));
}

fn filters(device: &str) -> String {
    run(&format!("tc filter show dev {device} egress")) + &run(&format!("tc filter show dev {device} ingress"))
}

/// Links at the egress of a device, by the ids of their programs.
fn programs(device: &str) -> Vec<u32> {
    let (_, programs) = SchedClassifier::query_tcx(device, TcAttachType::Egress).unwrap();
    programs.iter().map(aya::programs::ProgramInfo::id).collect()
}

fn links(device: &str) -> usize {
    programs(device).len()
}

/// A program of somebody else's: ours with an empty table of devices, so that it counts nothing.
fn foreign() -> Ebpf {
    let mut ebpf = EbpfLoader::new().btf(None).load_file(OBJECT).unwrap();
    let program: &mut SchedClassifier = ebpf.program_mut("skep_tc_egress").unwrap().try_into().unwrap();
    program.load().unwrap();
    ebpf
}

fn order() {
    wire();
    let others: Vec<Ebpf> = (0..3)
        .map(|_| {
            let mut ebpf = foreign();
            let program: &mut SchedClassifier = ebpf.program_mut("skep_tc_egress").unwrap().try_into().unwrap();
            let options = TcAttachOptions::TcxOrder(LinkOrder::default());
            program.attach_with_options("sk0", TcAttachType::Egress, options).unwrap();
            ebpf
        })
        .collect();
    let before = programs("sk0");
    assert_eq!(before.len(), 3);
    let probes = start(TcAttach::Auto);
    let with = programs("sk0");
    assert_eq!(with[1..], before, "ours is the first, the others are as they were");
    let mut expected = Counts::new();
    send(&cases(), &["egress", "ingress"], &mut expected, &probes);
    assert_eq!(read(&probes), expected);
    drop(probes);
    assert_eq!(programs("sk0"), before);
    drop(others);
}

fn beside() {
    wire();
    qdisc_add_clsact("sk0").unwrap();
    let mut ebpf = foreign();
    let program: &mut SchedClassifier = ebpf.program_mut("skep_tc_egress").unwrap().try_into().unwrap();
    let options = NlOptions { priority: 1, handle: TcHandle::new(0, 1), classid: None };
    // It has the name of ours, and another handle; a real one has another name.
    let _kept = program
        .attach_with_options("sk0", TcAttachType::Ingress, TcAttachOptions::Netlink(options))
        .and_then(|id| program.take_link(id))
        .unwrap();
    let before = filters("sk0");
    assert!(before.contains("handle 0x1 "), "{before}");
    let probes = start(TcAttach::Clsact);
    assert!(filters("sk0").contains("handle 0x736b6570"), "{}", filters("sk0"));
    let mut expected = Counts::new();
    send(&cases(), &["egress", "ingress"], &mut expected, &probes);
    assert_eq!(read(&probes), expected);
    drop(probes);
    assert_eq!(filters("sk0"), before);
}

fn hold(attach: TcAttach) {
    let _probes = start(attach);
    netns::hold();
}

fn kill(scenario: &str) {
    let mut child = hold_in_child(player(scenario));
    child.0.kill().unwrap();
    child.0.wait().unwrap();
}

fn killed_link() {
    wire();
    kill("hold-link");
    poll("the end of a killed process's link", || (links("sk0") == 0).then_some(()));
}

fn killed_filter() {
    wire();
    kill("hold-filter");
    assert_eq!(filters("sk0").matches("handle 0x736b6570").count(), 2, "{}", filters("sk0"));
    let probes = start(TcAttach::Clsact);
    assert_eq!(filters("sk0").matches("handle 0x736b6570").count(), 2, "{}", filters("sk0"));
    let mut expected = Counts::new();
    send(&cases(), &["egress", "ingress"], &mut expected, &probes);
    assert_eq!(read(&probes), expected);
    drop(probes);
    assert!(!filters("sk0").contains("skep_tc"), "{}", filters("sk0"));
}

/// Somebody sets the device up anew, and what was counted goes on.
fn cleared() {
    wire();
    let probes = start(TcAttach::Clsact);
    let mut expected = Counts::new();
    send(&cases(), &["egress", "ingress"], &mut expected, &probes);
    run("tc qdisc del dev sk0 clsact");
    assert!(!filters("sk0").contains("skep_tc"), "{}", filters("sk0"));
    assert_eq!(read(&probes), expected);
    assert_eq!(filters("sk0").matches("handle 0x736b6570").count(), 2, "{}", filters("sk0"));
    send(&cases(), &["egress", "ingress"], &mut expected, &probes);
    assert_eq!(read(&probes), expected);
}

fn many(number: u8, protocol: &'static str) -> Vec<Case> {
    let frame = |at: usize| ethernet(&[], IPV4, &ipv4(number, 0, 0, 20 + at));
    (0..100).map(|at| Case { frame: frame(at), family: "ipv4", protocol }).collect()
}

fn devices() {
    let probes = Probes::start(&config(&["sk0", "dummy*"], TcAttach::Auto, false));
    match netns::state(&probes, "tc") {
        ProbeState::Unsupported { reason } => assert!(reason.contains("no device matches"), "{reason}"),
        other => panic!("{other:?}"),
    }
    wire();
    assert_eq!(read(&probes), Counts::new());
    expect_running(&probes, "tc");
    let mut expected = Counts::new();
    send(&many(UDP, "udp"), &["egress"], &mut expected, &probes);
    assert_eq!(read(&probes), expected);

    // A reload that asks for more devices goes on where the count was; one that asks for ingress begins anew.
    probes.apply(&config(&["sk*"], TcAttach::Auto, false));
    assert_eq!(read(&probes), expected);
    assert_eq!(links("sk1"), 1);
    probes.apply(&config(&["sk0"], TcAttach::Auto, true));
    assert_eq!(links("sk1"), 0);
    let mut expected = Counts::new();
    send(&many(TCP, "tcp"), &["egress", "ingress"], &mut expected, &probes);
    assert_eq!(read(&probes), expected);
    probes.apply(&off());
    assert_eq!(links("sk0"), 0);
    assert_eq!(netns::state(&probes, "tc"), ProbeState::Disabled);
    probes.apply(&config(&["sk0"], TcAttach::Auto, true));

    // A device of the same name that comes after it is another one and starts from zero.
    run("ip link del sk0");
    assert_eq!(read(&probes), Counts::new());
    wire();
    assert_eq!(read(&probes), Counts::new());
    let mut expected = Counts::new();
    send(&many(TCP, "tcp"), &["egress", "ingress"], &mut expected, &probes);
    assert_eq!(read(&probes), expected);
}
