//! `cargo xtask bench probes`: what the programs on network devices cost a packet, and what they take from real traffic.
//!
//! First the kernel runs each program a million times on one packet (`BPF_PROG_TEST_RUN`), beside an empty program of
//! the same kind. Then UDP packets go over a wire between two network namespaces, in turns without a program, with an
//! empty one and with the probe `xdp` in the same mode, so that whatever else the machine does meets all three; in generic
//! mode and in native mode. At last all probes run while packets go both ways at a fixed rate, and the kernel tells how
//! long their programs ran.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::Array;
use aya::programs::{SchedClassifier, TestRun, TestRunOptions, Xdp, XdpMode};
use aya::sys::{Stats, enable_stats};
use aya::{Ebpf, EbpfLoader};
use model::status::{ProbeState, Probes as _};
use model::{Collector as _, Families};
use probes::{Config, Probes, TcConfig, XdpConfig};

use crate::machine::{execute, is_root, root};

/// Runs of a program whose average the kernel tells.
const REPEATS: u32 = 1_000_000;
/// Averages of which the smallest counts: whatever else the machine does only adds to one.
const ROUNDS: usize = 9;
/// The kernel runs XDP and tc programs as if the packet had come from the loopback device.
const LOOPBACK: u32 = 1;
/// Of the programs' table of devices.
const DEVICE_PLACES: usize = 1024;
/// What packets and bytes by family and protocol may cost a packet above an empty program, nanoseconds.
const COUNTERS_MAX: f64 = 5.0;
/// What the whole probe may cost a packet above an empty program, nanoseconds.
const XDP_MAX: f64 = 40.0;
/// Turns of real traffic.
const PAIRS: usize = 20;
/// Throughput that the probe may take, per cent.
const LOSS_MAX: f64 = 3.0;
/// Of a core that all probes may take at that rate of small packets each way, per cent; and for how long that is measured.
const SHARE_MAX: f64 = 1.5;
const PACKETS_A_SECOND: f64 = 100_000.0;
const SECONDS: u32 = 5;
const PAYLOAD_BYTES: u32 = 64;
/// One collection, milliseconds of processor time.
const COLLECTION_MAX: f64 = 5.0;
const COLLECTIONS: usize = 9;

pub(crate) fn run() -> Result<()> {
    ensure!(is_root(), "programs are loaded by root");
    programs()?;
    execute("ip", &["netns", "add", NAMESPACE])?;
    let inside = std::env::current_exe()?.to_string_lossy().into_owned();
    let result = execute("ip", &["netns", "exec", NAMESPACE, &inside, "bench", "probes", "traffic"]);
    execute("ip", &["netns", "del", NAMESPACE])?;
    result
}

const NAMESPACE: &str = "skep-bench";

/// A packet that is counted, and its name.
fn packets() -> [(&'static str, Vec<u8>); 4] {
    let frame =
        |protocol: [u8; 2], packet: &[u8]| [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &protocol, packet].concat();
    let ipv4 = |number: u8, payload: &[u8]| {
        let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, number, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        ip.extend(payload);
        let length = (ip.len() as u16).to_be_bytes();
        ip[2..4].copy_from_slice(&length);
        frame([8, 0], &ip)
    };
    let mut tcp = vec![0; 20];
    tcp[..4].copy_from_slice(&[0x1f, 0x90, 1, 0xbb]);
    (tcp[12], tcp[13]) = (0x50, 0x10);
    let mut udp = vec![0; 8 + 512];
    udp[..4].copy_from_slice(&[0x1f, 0x90, 0, 53]);
    udp[4..6].copy_from_slice(&520u16.to_be_bytes());
    let mut ipv6 = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
    ipv6[4..6].copy_from_slice(&20u16.to_be_bytes());
    ipv6.extend([0xfd; 32]);
    ipv6.extend(&tcp);
    [
        ("TCP in IPv4, 54 bytes", ipv4(6, &tcp)),
        ("UDP in IPv4, 554 bytes", ipv4(17, &udp)),
        ("TCP in IPv6, 74 bytes", frame([0x86, 0xdd], &ipv6)),
        ("ARP", frame([8, 6], &[0; 46])),
    ]
}

fn load(object: &str, globals: &[(&str, u32)]) -> Result<Ebpf> {
    let path = root().join("ebpf/objects").join(object);
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    for (name, value) in globals {
        loader.override_global(name, value, true);
    }
    let mut ebpf = loader.load_file(&path).with_context(|| format!("load {}", path.display()))?;
    if let Some(map) = ebpf.map_mut(".data.devices") {
        // Counted in slot 0 as an Ethernet device.
        let mut table = [[0; 3]; DEVICE_PLACES];
        table[LOOPBACK as usize] = [LOOPBACK, 0, 0];
        Array::<_, [[u32; 3]; DEVICE_PLACES]>::try_from(map)?.set(0, table, 0)?;
    }
    Ok(ebpf)
}

/// Nanoseconds a packet.
fn smallest(mut measure: impl FnMut() -> Result<f64>) -> Result<f64> {
    let times = (0..ROUNDS).map(|_| measure()).collect::<Result<Vec<f64>>>()?;
    Ok(times.into_iter().fold(f64::INFINITY, f64::min))
}

fn xdp(object: &str, program: &str, globals: &[(&str, u32)], packet: &[u8]) -> Result<f64> {
    let mut ebpf = load(object, globals)?;
    let program: &mut Xdp = ebpf.program_mut(program).context("no such program")?.try_into()?;
    program.load()?;
    smallest(|| Ok(program.test_run(options(packet))?.duration.as_nanos() as f64))
}

fn tc(object: &str, program: &str, packet: &[u8]) -> Result<f64> {
    let mut ebpf = load(object, &[])?;
    let program: &mut SchedClassifier = ebpf.program_mut(program).context("no such program")?.try_into()?;
    program.load()?;
    smallest(|| Ok(program.test_run(options(packet))?.duration.as_nanos() as f64))
}

fn options(packet: &[u8]) -> TestRunOptions<'_> {
    TestRunOptions { data_in: Some(packet), repeat: REPEATS, ..TestRunOptions::new() }
}

fn programs() -> Result<()> {
    println!("nanoseconds a packet above an empty program, smallest of {ROUNDS} averages of {REPEATS} runs");
    println!("{:26} {:>8} {:>8} {:>8} {:>8} {:>8}", "", "empty", "counters", "details", "all", "tc");
    let (mut worst, mut worst_counters) = (0.0f64, 0.0f64);
    for (name, packet) in packets() {
        for (kind, program, empty) in
            [("generic", "skep_xdp", "empty_xdp"), ("native", "skep_xdp_frags", "empty_xdp_frags")]
        {
            let nothing = xdp("empty.bpf.o", empty, &[], &packet)?;
            let ours = |details, breakdown| {
                let globals = [("details", details), ("breakdown", breakdown)];
                Ok::<f64, anyhow::Error>(xdp("xdp.bpf.o", program, &globals, &packet)? - nothing)
            };
            let (counters, details, all) = (ours(0, 0)?, ours(1, 0)?, ours(1, 1)?);
            let traffic_control = tc("tc.bpf.o", "skep_tc_egress", &packet)? - tc("empty.bpf.o", "empty_tc", &packet)?;
            worst = worst.max(all);
            worst_counters = worst_counters.max(counters);
            println!(
                "{:26} {nothing:8} {counters:8} {details:8} {all:8} {traffic_control:8}",
                format!("{name}, {kind}")
            );
        }
    }
    if worst_counters > COUNTERS_MAX {
        println!("  counting by family and protocol alone costs up to {worst_counters} ns, more than {COUNTERS_MAX}");
    }
    ensure!(worst <= XDP_MAX, "the probe xdp costs {worst} ns a packet, more than {XDP_MAX}");
    Ok(())
}

/// Inside of the namespace: a wire to another one, and flows over it.
pub(crate) fn traffic() -> Result<()> {
    let peer = Peer::start()?;
    let pid = peer.0.id().to_string();
    ip("link add b0 type veth peer name b1")?;
    ip(&format!("link set b1 netns {pid}"))?;
    ip("addr add 10.9.0.1/24 dev b0")?;
    ip("link set b0 up")?;
    nsenter(&pid, "ip addr add 10.9.0.2/24 dev b1")?;
    nsenter(&pid, "ip link set b1 up")?;
    for mode in [probes::XdpMode::Generic, probes::XdpMode::Native] {
        pairs(mode, &pid)?;
    }
    share(&pid)
}

/// Nothing, an empty program and the probe in turns.
fn pairs(mode: probes::XdpMode, pid: &str) -> Result<()> {
    let mut rates: [Vec<f64>; 3] = Default::default();
    for turn in 0..PAIRS {
        // Each stands first as often as the others.
        for step in 0..3 {
            let kind = (turn + step) % 3;
            let program = Program::put(kind, mode)?;
            rates[kind].push(flow(pid)?);
            drop(program);
        }
    }
    println!("packets/s received in {mode} mode, median of {PAIRS}, and of the ratio of each turn");
    for (kind, name) in ["no program", "an empty one", "the probe xdp"].into_iter().enumerate() {
        let against = |other: usize| {
            let mut ratios: Vec<f64> = rates[kind].iter().zip(&rates[other]).map(|(a, b)| a / b).collect();
            ratios.sort_by(f64::total_cmp);
            (ratios[PAIRS / 2] - 1.0) * 100.0
        };
        let mut sorted = rates[kind].clone();
        sorted.sort_by(f64::total_cmp);
        let rate = sorted[PAIRS / 2];
        println!("{name:16} {rate:9.0}, {:+.1} % of none, {:+.1} % of an empty one", against(0), against(1));
        if kind == 2 && -against(1) > LOSS_MAX {
            println!("  more than {LOSS_MAX} % below an empty program; the machine may be busy");
        }
    }
    Ok(())
}

/// All probes as they are by default, on this device, while packets go both ways.
fn share(pid: &str) -> Result<()> {
    let devices = || vec!["b0".to_owned()];
    let xdp = XdpConfig { devices: devices(), ..XdpConfig::default() };
    let tc = TcConfig { devices: devices(), ..TcConfig::default() };
    let probes = Probes::start(&Config { xdp, tc, ..Config::default() });
    let _statistics = enable_stats(Stats::RunTime)?;
    let sums = || -> Result<[f64; 4]> {
        let mut families = Families::default();
        probes.collect(&mut families)?;
        let sum = |name: &str| {
            let families = families.iter().filter(|family| family.name == name);
            families.flat_map(|family| &family.points).map(|point| point.value).sum::<f64>()
        };
        Ok([
            sum("skep_probe_program_run_seconds_total"),
            sum("skep_probe_program_runs_total"),
            sum("skep_xdp_packets_total"),
            sum("skep_tc_packets_total"),
        ])
    };
    let mut server = Server::start()?;
    let (before, begin) = (sums()?, Instant::now());
    let bits = PACKETS_A_SECOND * f64::from(PAYLOAD_BYTES) * 8.0;
    nsenter(
        pid,
        &format!(
            "iperf3 --client 10.9.0.1 --udp --bidir --bitrate {bits:.0} --length {PAYLOAD_BYTES} --time {SECONDS}"
        ),
    )?;
    let (after, took) = (sums()?, begin.elapsed().as_secs_f64());
    server.0.wait()?;
    let [time, runs, arrived, sent] = std::array::from_fn(|at| after[at] - before[at]);
    let share = 100.0 * time / took;
    println!(
        "all probes at {:.0} packets/s in and {:.0} out: their programs take {share:.2} % of a core, {:.0} ns in each of \
         {runs:.0} runs, the kernel's reading of the clock around it included",
        arrived / took,
        sent / took,
        1e9 * time / runs
    );
    if share > SHARE_MAX {
        println!("  more than {SHARE_MAX} %");
    }
    let mut times = Vec::new();
    for _ in 0..COLLECTIONS {
        let before = processor_ms()?;
        probes.collect(&mut Families::default())?;
        times.push(processor_ms()? - before);
    }
    times.sort_by(f64::total_cmp);
    let median = times[COLLECTIONS / 2];
    println!("one collection of all probes: {median:.2} ms of processor time, median of {COLLECTIONS}");
    if median > COLLECTION_MAX {
        println!("  more than {COLLECTION_MAX} ms");
    }
    Ok(())
}

/// What this thread ran.
fn processor_ms() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split(' ').next().context("an empty schedstat")?.parse()?;
    Ok(nanoseconds / 1e6)
}

struct Peer(Child);

impl Peer {
    fn start() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo ready; exec sleep 3600"]).stdout(Stdio::piped());
        let mut peer = Self(command.spawn().context("cannot start unshare")?);
        let output = peer.0.stdout.take().context("no output")?;
        BufReader::new(output).lines().next().context("no other namespace")??;
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What sits on the device that receives. Dropping it takes it off.
enum Program {
    Nothing,
    Empty { _ebpf: Ebpf },
    Probe { _probes: Probes },
}

impl Program {
    fn put(kind: usize, mode: probes::XdpMode) -> Result<Self> {
        match kind {
            0 => Ok(Self::Nothing),
            1 => {
                let mut ebpf = load("empty.bpf.o", &[])?;
                let program: &mut Xdp = ebpf.program_mut("empty_xdp").context("no such program")?.try_into()?;
                program.load()?;
                let native = mode == probes::XdpMode::Native;
                program.attach("b0", if native { XdpMode::Driver } else { XdpMode::Skb })?;
                Ok(Self::Empty { _ebpf: ebpf })
            }
            _ => {
                let xdp = XdpConfig { devices: vec!["b0".to_owned()], mode, ..XdpConfig::default() };
                let probes = Probes::start(&Config { xdp, ..Config::disabled() });
                let state = probes.probes().into_iter().find(|probe| probe.name == "xdp").map(|probe| probe.state);
                ensure!(state == Some(ProbeState::Running), "{state:?}");
                Ok(Self::Probe { _probes: probes })
            }
        }
    }
}

/// An iperf3 that waits for one client, and what it prints from then on.
struct Server(Child, Lines<BufReader<ChildStdout>>);

impl Server {
    fn start() -> Result<Self> {
        let mut server = Command::new("iperf3");
        server.args(["--server", "--one-off", "--forceflush"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = server.spawn().context("cannot start iperf3")?;
        let mut lines = BufReader::new(server.stdout.take().context("no output")?).lines();
        ensure!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("listening")), "iperf3 does not listen");
        Ok(Self(server, lines))
    }
}

/// Packets a second that arrive here from the other namespace, which sends small ones as fast as it can.
fn flow(pid: &str) -> Result<f64> {
    let mut server = Server::start()?;
    nsenter(pid, "iperf3 --client 10.9.0.1 --udp --bitrate 0 --length 64 --time 1")?;
    let lines = server.1.by_ref().map_while(Result::ok);
    let line = lines.into_iter().find(|line| line.contains("receiver")).context("iperf3 tells nothing")?;
    server.0.wait()?;
    // Lost and all datagrams stand as `lost/all`.
    let word = line.split_whitespace().filter(|word| !word.contains("sec")).find_map(|word| word.split_once('/'));
    let (lost, all) = word.with_context(|| line.clone())?;
    Ok(all.parse::<f64>()? - lost.parse::<f64>()?)
}

fn ip(line: &str) -> Result<()> {
    output("ip", line.split(' '))
}

fn nsenter(pid: &str, line: &str) -> Result<()> {
    output("nsenter", ["--target", pid, "--net"].into_iter().chain(line.split(' ')))
}

fn output<'a>(program: &str, args: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let output = Command::new(program).args(args).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
