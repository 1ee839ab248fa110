//! Machines that lack something, or have very much of it: every probe says what is missing and the others go on. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it must be"
)]
#![allow(unsafe_code, reason = "packets are sent by a raw socket")]

mod netns;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use model::status::{ProbeState, Probes as _};
use netns::frame::{Case, IPV4, UDP, ethernet, ipv4};
use netns::packet_socket::PacketSocket;
use netns::{Peer, as_nobody, collect, off, play_in_namespace, player, run, silence, values, veth};
use probes::{ALL, Config, Probes, TcAttach, TcConfig, XdpConfig, doctor};

#[test]
fn a_kernel_that_does_not_tell_its_types() {
    play_in_namespace("no-types");
}

#[test]
fn no_file_systems_of_bpf_and_tracing() {
    play_in_namespace("no-mounts");
}

#[test]
fn a_machine_without_sysfs() {
    play_in_namespace("no-sysfs");
}

#[test]
fn no_capabilities() {
    play_in_namespace("no-capabilities");
}

#[test]
fn a_user_namespace() {
    play_in_namespace("user-namespace");
}

#[test]
fn nothing_but_a_loopback_device() {
    play_in_namespace("no-devices");
}

#[test]
fn hundreds_of_devices_come_and_go() {
    play_in_namespace("many-devices");
}

#[test]
fn a_device_moves_to_another_namespace_and_back() {
    play_in_namespace("moved-links");
    play_in_namespace("moved-filters");
}

/// Not a test of its own: the part that a scenario plays in its process.
#[test]
fn play() {
    netns::play(&[
        ("no-types", no_types),
        ("no-mounts", no_mounts),
        ("no-sysfs", no_sysfs),
        ("no-capabilities", || run_in_child(as_nobody(&player("powerless"), &[]))),
        ("powerless", powerless),
        ("user-namespace", user_namespace),
        ("fenced", fenced),
        ("no-devices", no_devices),
        ("many-devices", many_devices),
        ("moved-links", || moved(TcAttach::Auto)),
        ("moved-filters", || moved(TcAttach::Clsact)),
    ]);
}

/// All probes, those of devices on these.
fn start(devices: &[&str]) -> Probes {
    let devices = || devices.iter().map(ToString::to_string).collect();
    let xdp = XdpConfig { devices: devices(), ..XdpConfig::default() };
    let tc = TcConfig { devices: devices(), ..TcConfig::default() };
    Probes::start(&Config { xdp, tc, ..Config::default() })
}

/// The states in which these probes are and what they say, after a collection that must not fail for lack of something.
fn expect(probes: &Probes, names: &[&str], word: &str, parts: &[&str]) {
    let mut families = model::Families::default();
    let _ = model::Collector::collect(probes, &mut families);
    let exposed = values(&families, "skep_probe_state", "", &["probe", "state"]);
    for status in probes.probes().iter().filter(|status| names.contains(&status.name.as_str())) {
        let (found, text) = match &status.state {
            ProbeState::Running => ("running", String::new()),
            ProbeState::Unsupported { reason } => ("unsupported", reason.clone()),
            ProbeState::Failed { error } => ("failed", error.clone()),
            other => panic!("{}: {other:?}", status.name),
        };
        assert_eq!(found, word, "{}: {text}", status.name);
        assert_eq!(exposed[&vec![status.name.clone(), word.to_owned()]], 1, "{exposed:?}");
        for part in parts {
            assert!(text.contains(part), "{}: {text} lacks {part}", status.name);
        }
    }
}

/// What the doctor says of these things, and to do about them.
fn expect_doctor(healthy: bool, expected: &[(&str, &str)]) {
    let report = doctor::examine();
    assert_eq!(report.is_healthy(), healthy, "{report}");
    for (key, part) in expected {
        let finding = report.machine.iter().chain(&report.features).find(|finding| finding.key == *key);
        let finding = finding.unwrap_or_else(|| panic!("no {key} in\n{report}"));
        let text = format!("{}; {}", finding.seen, finding.advice);
        assert!(text.contains(part), "{key}: {text} lacks {part}");
    }
}

/// The mounts of the scenario's process are its own.
fn no_types() {
    run("mount -t tmpfs none /sys/kernel/btf");
    run("ip link set lo up");
    let probes = start(&["lo"]);
    expect(&probes, &["drops", "tcp", "udp"], "unsupported", &["does not tell its types", "CONFIG_DEBUG_INFO_BTF"]);
    expect(&probes, &["xdp", "tc", "bpf"], "running", &[]);
    let to_do = "a kernel with CONFIG_DEBUG_INFO_BTF=y";
    expect_doctor(false, &[("btf", to_do), ("probe:drops", to_do), ("probe:tcp", to_do), ("probe:udp", to_do)]);
}

fn no_mounts() {
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains("/sys/fs/bpf"));
    run("ip link set lo up");
    let probes = start(&["lo"]);
    expect(&probes, &["xdp", "tc", "drops", "tcp", "udp", "bpf"], "running", &[]);
    expect(&probes, &["cilium"], "unsupported", &["no pinned maps of Cilium"]);
    expect_doctor(true, &[("bpffs", "mount -t bpf bpf /sys/fs/bpf"), ("tracefs", "no probe needs it")]);
}

fn no_sysfs() {
    run("mount -t tmpfs none /sys");
    let probes = start(&[]);
    expect(&probes, &["xdp", "tc"], "failed", &["/sys"]);
    expect(&probes, &["drops", "tcp", "udp"], "unsupported", &["/sys/kernel/btf/vmlinux"]);
    expect_doctor(false, &[("probe:xdp", "mount /sys")]);
}

fn run_in_child(mut command: Command) {
    let output = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

fn powerless() {
    let probes = start(&[]);
    for probe in ALL {
        let missing = probe.to_load.iter().map(|capability| capability.name());
        expect(&probes, &[probe.name], "unsupported", &["setcap", "AmbientCapabilities", "securityContext"]);
        expect(&probes, &[probe.name], "unsupported", &missing.collect::<Vec<_>>());
    }
    expect_doctor(false, &[("bpf_call", "not tried"), ("probe:bpf", "CAP_SYS_ADMIN"), ("probe:cilium", "CAP_BPF")]);
}

/// As in a container without root outside: all capabilities, and none that the kernel accepts for BPF.
fn user_namespace() {
    let inside = player("fenced");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net"]);
    if !command.arg("true").status().unwrap().success() {
        eprintln!("SKIPPED: this machine allows no user namespaces");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net"]).arg(inside.get_program()).args(inside.get_args());
    for (name, value) in inside.get_envs() {
        command.env(name, value.unwrap());
    }
    run_in_child(command);
}

fn fenced() {
    let probes = start(&["lo"]);
    let names = ["xdp", "tc", "drops", "tcp", "udp", "bpf"];
    expect(&probes, &names, "unsupported", &["refuses bpf(2) although the capabilities are there", "user namespace"]);
    expect_doctor(false, &[("bpf_call", "user namespace"), ("probe:xdp", "refuses bpf(2)"), ("probe:bpf", "refuses")]);
}

fn no_devices() {
    let probes = start(&[]);
    expect(&probes, &["xdp"], "unsupported", &["no physical device", "probes.xdp.devices"]);
    expect(&probes, &["tc"], "unsupported", &["no physical device", "probes.tc.devices"]);
    expect_doctor(true, &[("probe:xdp", "name devices in probes.xdp.devices")]);
}

/// Devices that a namespace has beside the loopback device, in pairs.
const PAIRS: usize = 250;
/// What the programs have room for.
const COUNTED_MAX: usize = 64;

fn many_devices() {
    let probes = start(&["many*"]);
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let mut open = Vec::new();
    for _ in 0..3 {
        let lines: String = (0..PAIRS)
            .map(|at| format!("link add many{at}a group 7 type veth peer name many{at}b group 7\n"))
            .collect();
        let batch = std::env::temp_dir().join(format!("skep-links-{}", std::process::id()));
        fs::write(&batch, lines).unwrap();
        run(&format!("ip -batch {}", batch.display()));
        fs::remove_file(batch).unwrap();
        let before = cpu_time();
        let families = collect(&probes);
        let took = cpu_time() - before;
        for name in ["skep_xdp_packets_total", "skep_tc_packets_total"] {
            let devices: BTreeSet<_> = values(&families, name, "", &["device"]).into_keys().collect();
            assert_eq!(devices.len(), COUNTED_MAX, "{name}");
        }
        for status in probes.probes().iter().filter(|status| ["xdp", "tc"].contains(&status.name.as_str())) {
            assert_eq!(status.state, ProbeState::Running);
            assert!(status.details.len() <= COUNTED_MAX + 17, "{:?}", status.details);
            let last = status.details.last().unwrap();
            assert!(last.contains("more devices are not counted"), "{last}");
            let told =
                format!("more than {COUNTED_MAX} devices; name those that matter in probes.{}.devices", status.name);
            assert!(status.details.iter().any(|detail| detail.contains(&told)), "{:?}", status.details);
        }
        let again = cpu_time();
        collect(&probes);
        eprintln!("{} devices: taken up in {took:?}, then {:?} a collection", 2 * PAIRS, cpu_time() - again);
        run("ip link delete group 7");
        let families = collect(&probes);
        assert!(values(&families, "skep_xdp_packets_total", "", &["device"]).is_empty());
        expect(&probes, &["xdp", "tc"], "unsupported", &["no device matches"]);
        open.push(descriptors());
    }
    assert!(open.iter().all(|count| *count == open[0]), "descriptors that stay open: {open:?}");
}

fn cpu_time() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn counted(probes: &Probes) -> [u64; 2] {
    let families = collect(probes);
    ["skep_xdp_packets_total", "skep_tc_packets_total"].map(|name| values(&families, name, "", &[]).into_values().sum())
}

/// What arrives on a device is counted by `xdp`, and by `tc` at ingress.
fn send(probes: &Probes, expected: u64) {
    let case = Case { frame: ethernet(&[], IPV4, &ipv4(UDP, 0, 0, 100)), family: "ipv4", protocol: "udp" };
    let socket = PacketSocket::open("sk0").unwrap();
    for _ in 0..expected {
        socket.send(&case.frame).unwrap();
    }
    netns::poll("the packets to be counted", || (counted(probes) == [expected, expected]).then_some(()));
}

/// A container takes a device and gives it back.
fn moved(attach: TcAttach) {
    veth();
    let devices = || vec!["sk1".to_owned()];
    let xdp = XdpConfig { devices: devices(), ..XdpConfig::default() };
    let tc = TcConfig { devices: devices(), ingress: true, attach, ..TcConfig::default() };
    let probes = Probes::start(&Config { xdp, tc, ..off() });
    send(&probes, 10);
    let peer = Peer::new();
    peer.take("sk1");
    assert_eq!(counted(&probes), [0, 0]);
    expect(&probes, &["xdp", "tc"], "unsupported", &["no device matches"]);
    let there = peer.run("ip -d link show dev sk1");
    assert!(!there.contains("prog/xdp"), "a program went along: {there}");
    peer.run(&format!("ip link set sk1 netns {}", std::process::id()));
    silence("sk1");
    run("ip link set sk1 up");
    expect(&probes, &["xdp", "tc"], "running", &[]);
    send(&probes, 5);
}
