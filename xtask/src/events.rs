//! `cargo xtask bench events`: what the probes of tracepoints cost an event.
//!
//! Their programs run in real traffic on the loopback device of a network namespace, each beside an empty program at the
//! same tracepoint, and the kernel times every run. Most of what it then tells is the reading of its clock, which the
//! empty program has as well.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use aya::programs::{BtfTracePoint, ProgramInfo};
use aya::sys::{Stats, enable_stats};
use aya::{Btf, Ebpf};
use model::{Collector as _, Families};
use probes::{Config, DropsConfig, Namespaces, Probes, TcpConfig, UdpConfig};

use crate::machine::{execute, is_root, root};

/// Makes events of one kind.
type Work = fn() -> Result<()>;

const NAMESPACE: &str = "skep-bench-events";
const TRACEPOINTS: [&str; 4] = ["kfree_skb", "udp_fail_queue_rcv_skb", "inet_sock_set_state", "tcp_probe"];

/// Runs and nanoseconds, by probe and program.
type Costs = BTreeMap<(String, String), [f64; 2]>;

pub(crate) fn run() -> Result<()> {
    ensure!(is_root(), "programs are loaded by root");
    execute("ip", &["netns", "add", NAMESPACE])?;
    let inside = std::env::current_exe()?.to_string_lossy().into_owned();
    let result = execute("ip", &["netns", "exec", NAMESPACE, &inside, "bench", "events", "inside"]);
    execute("ip", &["netns", "del", NAMESPACE])?;
    result
}

/// Inside of the namespace.
pub(crate) fn inside() -> Result<()> {
    execute("ip", &["link", "set", "lo", "up"])?;
    let empty = Empty::attach()?;
    let namespaces = Namespaces::All;
    let probes = Probes::start(&Config {
        drops: DropsConfig { enabled: true, namespaces },
        tcp: TcpConfig { enabled: true, namespaces, ..TcpConfig::default() },
        udp: UdpConfig { enabled: true, namespaces, ..UdpConfig::default() },
        ..Config::disabled()
    });
    let _statistics = enable_stats(Stats::RunTime)?;
    println!("nanoseconds an event above an empty program at the same tracepoint");
    let works: [(&str, Work); 4] = [
        ("datagrams that nobody wants", unwanted),
        ("datagrams that do not fit", overflowing),
        ("connections", connections),
        ("segments of connections", segments),
    ];
    for (name, work) in works {
        let (before, nothing_before) = (costs(&probes)?, empty.costs()?);
        work()?;
        report(name, &since(&costs(&probes)?, &before), &since(&empty.costs()?, &nothing_before));
    }
    many_peers(&probes)
}

/// The empty programs, by tracepoint.
struct Empty(Ebpf);

impl Empty {
    fn attach() -> Result<Self> {
        let types = Btf::from_sys_fs()?;
        let path = root().join("ebpf/objects/empty_events.bpf.o");
        let mut ebpf = Ebpf::load_file(&path).with_context(|| format!("load {}", path.display()))?;
        for tracepoint in TRACEPOINTS {
            let program = ebpf.program_mut(&format!("empty_{tracepoint}")).context("no such program")?;
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(tracepoint, &types)?;
            program.attach()?;
        }
        Ok(Self(ebpf))
    }

    fn costs(&self) -> Result<Costs> {
        let mut costs = Costs::new();
        for tracepoint in TRACEPOINTS {
            let program = self.0.program(&format!("empty_{tracepoint}")).context("no such program")?;
            let info: ProgramInfo = program.info()?;
            let cost = [info.run_count() as f64, info.run_time().as_nanos() as f64];
            costs.insert((String::new(), tracepoint.to_owned()), cost);
        }
        Ok(costs)
    }
}

/// As the probes expose them.
fn costs(probes: &Probes) -> Result<Costs> {
    let mut families = Families::default();
    probes.collect(&mut families)?;
    let mut costs = Costs::new();
    let metrics = [("skep_probe_program_runs_total", 0, 1.0), ("skep_probe_program_run_seconds_total", 1, 1e9)];
    for (name, at, unit) in metrics {
        for point in families.iter().filter(|family| family.name == name).flat_map(|family| &family.points) {
            let label = |name: &str| point.labels.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
            let key = (label("probe").unwrap_or_default(), label("program").unwrap_or_default());
            costs.entry(key).or_default()[at] = point.value * unit;
        }
    }
    Ok(costs)
}

fn since(now: &Costs, before: &Costs) -> Costs {
    let difference = |key: &(String, String), now: &[f64; 2]| {
        let before = before.get(key).copied().unwrap_or_default();
        (key.clone(), [now[0] - before[0], now[1] - before[1]])
    };
    now.iter().map(|(key, now)| difference(key, now)).collect()
}

/// A program that ran less often has no part in this work; something else on the machine woke it.
fn report(work: &str, costs: &Costs, nothing: &Costs) {
    const RUNS_MIN: f64 = 1000.0;
    println!("{work}");
    for ((probe, program), [runs, time]) in costs.iter().filter(|(_, [runs, _])| *runs >= RUNS_MIN) {
        let Some([idle_runs, idle]) = nothing.get(&(String::new(), program.clone())) else { continue };
        let (each, empty) = (time / runs, idle / idle_runs);
        println!("  {probe:6} {program:24} {:6.0} ({each:.0} beside {empty:.0}), {runs} runs", each - empty);
    }
}

fn unwanted() -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let nobody = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    for _ in 0..50_000 {
        // What came before is answered with an error, which this reports.
        let _ = socket.send_to(&[0; 64], nobody);
    }
    Ok(())
}

fn overflowing() -> Result<()> {
    let full = UdpSocket::bind("127.0.0.1:0")?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for _ in 0..50_000 {
        socket.send_to(&[0; 64], full.local_addr()?)?;
    }
    Ok(())
}

fn connections() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    for _ in 0..5000 {
        let client = TcpStream::connect(listener.local_addr()?)?;
        drop(listener.accept()?);
        drop(client);
    }
    Ok(())
}

/// One little question and answer after the other.
fn segments() -> Result<()> {
    const ROUNDS: usize = 50_000;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let answers = thread::spawn(move || -> std::io::Result<()> {
        for _ in 0..ROUNDS {
            server.read_exact(&mut [0; 64])?;
            server.write_all(&[0; 64])?;
        }
        Ok(())
    });
    for _ in 0..ROUNDS {
        client.write_all(&[0; 64])?;
        client.read_exact(&mut [0; 64])?;
    }
    answers.join().map_err(|_| anyhow::anyhow!("the server's thread failed"))??;
    Ok(())
}

/// How long one collection takes when the map of peers is full.
fn many_peers(probes: &Probes) -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    for at in 0..4096u16 {
        let [high, low] = at.to_be_bytes();
        let _ = TcpStream::connect((Ipv4Addr::new(127, 1, high, low), port));
    }
    let mut times = Vec::new();
    for _ in 0..9 {
        let begin = Instant::now();
        probes.collect(&mut Families::default())?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    println!("one collection with all peers that the kernel's map holds: {:.1?}, median of 9", times[4]);
    Ok(())
}
