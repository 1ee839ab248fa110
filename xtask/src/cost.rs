//! `cargo xtask bench probes`: what the programs on network devices cost a packet, and what they take from real traffic.
//!
//! First the kernel runs each program many times on one packet (`BPF_PROG_TEST_RUN`), beside an empty program of
//! the same kind. Then UDP packets go over a wire between two network namespaces, in turns without a program, with an
//! empty one and with the probe `xdp` in the same mode, so that whatever else the machine does meets all three; in generic
//! mode and in native mode. At last all probes run while packets go both ways at a fixed rate, and the kernel tells how
//! long their programs ran.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::Array;
use aya::programs::{Program, TestRun as _, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use model::status::{ProbeState, Probes as _};
use probes::{Config, Probes, XdpConfig};

use crate::machine::{execute, is_root, root};

pub(crate) mod share;

/// Runs of a program whose average the kernel tells: a few milliseconds, so that most averages are not interrupted.
const REPEATS: u32 = 100_000;
/// Averages of which the smallest counts: whatever else the machine does only adds to one.
const ROUNDS: usize = 20;
/// Times that the programs are loaded.
const LOADS: usize = 5;
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

/// A program that the kernel runs on a packet.
struct Trial {
    ebpf: Ebpf,
    program: &'static str,
    smallest: f64,
}

impl Trial {
    fn load(object: &str, program: &'static str, globals: &[(&str, u32)]) -> Result<Self> {
        let mut ebpf = load(object, globals)?;
        match ebpf.program_mut(program).context("no such program")? {
            Program::Xdp(xdp) => xdp.load()?,
            Program::SchedClassifier(classifier) => classifier.load()?,
            other => bail!("{program} is of the kind {:?}", other.prog_type()),
        }
        Ok(Self { ebpf, program, smallest: f64::INFINITY })
    }

    fn run(&mut self, packet: &[u8]) -> Result<()> {
        let options = || TestRunOptions { data_in: Some(packet), repeat: REPEATS, ..TestRunOptions::new() };
        let result = match self.ebpf.program(self.program).context("no such program")? {
            Program::Xdp(xdp) => xdp.test_run(options())?,
            Program::SchedClassifier(classifier) => classifier.test_run(options())?,
            other => bail!("{} is of the kind {:?}", self.program, other.prog_type()),
        };
        self.smallest = self.smallest.min(result.duration.as_nanos() as f64);
        Ok(())
    }
}

/// What the probes cost above an empty program: counters, with details, all of `xdp`, and `tc`. They are loaded together
/// and run in turns.
fn above_empty(frags: bool, packet: &[u8]) -> Result<[f64; 4]> {
    let (empty, program) = if frags { ("empty_xdp_frags", "skep_xdp_frags") } else { ("empty_xdp", "skep_xdp") };
    let xdp = |details, breakdown| Trial::load("xdp.bpf.o", program, &[("details", details), ("breakdown", breakdown)]);
    let mut trials = [
        Trial::load("empty.bpf.o", empty, &[])?,
        xdp(0, 0)?,
        xdp(1, 0)?,
        xdp(1, 1)?,
        Trial::load("empty.bpf.o", "empty_tc", &[])?,
        Trial::load("tc.bpf.o", "skep_tc_egress", &[])?,
    ];
    for _ in 0..ROUNDS {
        trials.iter_mut().try_for_each(|trial| trial.run(packet))?;
    }
    let [nothing, counters, details, all, no_tc, tc] = trials.map(|trial| trial.smallest);
    Ok([counters - nothing, details - nothing, all - nothing, tc - no_tc])
}

fn programs() -> Result<()> {
    println!(
        "nanoseconds a packet above an empty program: the smallest of {ROUNDS} averages of {REPEATS} runs, median of \
         {LOADS} loads"
    );
    println!("{:32} {:>8} {:>8} {:>8} {:>8}", "", "counters", "details", "all", "tc");
    let mut worst = [0.0f64; 4];
    for (name, packet) in packets() {
        for (kind, frags) in [("generic", false), ("native", true)] {
            // Where a program comes to lie in memory makes a difference of some nanoseconds.
            let loads = (0..LOADS).map(|_| above_empty(frags, &packet)).collect::<Result<Vec<_>>>()?;
            let medians: [f64; 4] = std::array::from_fn(|at| median(loads.iter().map(|load| load[at]).collect()));
            worst = std::array::from_fn(|at| worst[at].max(medians[at]));
            let [counters, details, all, tc] = medians;
            println!("{:32} {counters:8} {details:8} {all:8} {tc:8}", format!("{name}, {kind}"));
        }
    }
    goal("packets and bytes by family and protocol, nanoseconds", worst[0], COUNTERS_MAX);
    goal("the whole probe xdp, nanoseconds", worst[2], XDP_MAX);
    Ok(())
}

/// Says whether a figure is within its bound.
fn goal(what: &str, figure: f64, bound: f64) {
    let word = if figure <= bound { "met" } else { "MISSED" };
    println!("  goal {word}: {what}: {figure:.2}, at most {bound}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
    share::measure(&pid)
}

/// Nothing, an empty program and the probe in turns.
fn pairs(mode: probes::XdpMode, pid: &str) -> Result<()> {
    let mut rates: [Vec<f64>; 3] = Default::default();
    for turn in 0..PAIRS {
        // Each stands first as often as the others.
        for step in 0..3 {
            let kind = (turn + step) % 3;
            let occupant = Occupant::put(kind, mode)?;
            rates[kind].push(flow(pid)?);
            drop(occupant);
        }
    }
    println!("packets/s received in {mode} mode, median of {PAIRS}, and of the ratio of each turn");
    for (kind, name) in ["no program", "an empty one", "the probe xdp"].into_iter().enumerate() {
        let against = |other: usize| {
            let ratios = rates[kind].iter().zip(&rates[other]).map(|(a, b)| a / b);
            (median(ratios.collect()) - 1.0) * 100.0
        };
        let rate = median(rates[kind].clone());
        println!("{name:16} {rate:9.0}, {:+.1} % of none, {:+.1} % of an empty one", against(0), against(1));
        if kind == 2 {
            goal("throughput below that with an empty program, per cent", -against(1), LOSS_MAX);
        }
    }
    Ok(())
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
enum Occupant {
    Nothing,
    Empty { _ebpf: Ebpf },
    Probe { _probes: Probes },
}

impl Occupant {
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
