//! All probes as they are by default, while packets go both ways at a fixed rate: the kernel tells how long their programs
//! ran, and this thread's clock how long one collection takes.
//!
//! With the kernel's statistics on, every run is timed by two readings of its clock, which are not there otherwise. So
//! empty programs sit at the other end of the wire and meet the same packets: what their runs are said to take is the
//! reading of the clock.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::sys::{Stats, enable_stats};
use model::{Collector as _, Families};
use probes::{Config, Probes, TcConfig, XdpConfig};

use super::{goal, load, median};

/// Of a core that all probes may take at that rate of small packets each way, per cent; and for how long that is measured.
const SHARE_MAX: f64 = 1.5;
const PACKETS_A_SECOND: u32 = 100_000;
const MEASURED: Duration = Duration::from_secs(5);
/// What a datagram carries.
const PAYLOAD_BYTES: usize = 64;
/// One collection, milliseconds of processor time.
const COLLECTION_MAX: f64 = 5.0;
const COLLECTIONS: usize = 9;
/// A sender wakes this often and sends what is due.
const BEAT: Duration = Duration::from_micros(500);

const HERE: &str = "10.9.0.1:7001";
const THERE: &str = "10.9.0.2:7001";

/// Runs and seconds of a probe's program.
#[derive(Clone, Debug)]
struct Cost {
    program: String,
    runs: f64,
    seconds: f64,
}

/// On this side of the wire, whose other side is the network namespace of a process.
pub(super) fn measure(pid: &str) -> Result<()> {
    let devices = || vec!["b0".to_owned()];
    let xdp = XdpConfig { devices: devices(), ..XdpConfig::default() };
    let tc = TcConfig { devices: devices(), ..TcConfig::default() };
    let probes = Probes::start(&Config { xdp, tc, ..Config::default() });
    let _statistics = enable_stats(Stats::RunTime)?;
    let end = AtomicBool::new(false);
    let socket = UdpSocket::bind(HERE)?;
    let itself = std::env::current_exe()?;
    let mut other = Command::new("nsenter");
    other.args(["--target", pid, "--net"]).arg(itself).args(["bench", "probes", "other-side"]);
    let mut other = other.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start nsenter")?;
    let (before, after, took) = thread::scope(|scope| -> Result<_> {
        let traffic = scope.spawn(|| traffic(&socket, THERE, &end));
        let result = (|| {
            wait_for(|| Ok(packets(&probes)?[0] > f64::from(PACKETS_A_SECOND)))?;
            let (before, begin) = (reading(&probes)?, Instant::now());
            thread::sleep(MEASURED);
            let took = begin.elapsed().as_secs_f64();
            Ok((before, reading(&probes)?, took))
        })();
        end.store(true, Ordering::Relaxed);
        traffic.join().map_err(|_| anyhow::anyhow!("the traffic broke off"))??;
        result
    })?;
    // Its standard input ends, and so does it.
    drop(other.stdin.take());
    let output = other.wait_with_output()?;
    ensure!(output.status.success(), "the other side: {}", output.status);
    let told = String::from_utf8_lossy(&output.stdout);
    let clock: Vec<f64> = told.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [clock_xdp, clock_tc] = clock.as_slice() else { anyhow::bail!("the other side says {told:?}") };
    report(&before, &after, took, [*clock_xdp, *clock_tc]);
    collections(&probes)
}

/// What was counted: packets in and out, and what each program ran.
type Reading = ([f64; 2], Vec<Cost>);

fn report((before, costs_before): &Reading, (after, costs): &Reading, took: f64, clock: [f64; 2]) {
    let rates: [f64; 2] = std::array::from_fn(|at| (after[at] - before[at]) / took);
    println!("all probes at {:.0} packets/s in and {:.0} out, for {took:.1} s", rates[0], rates[1]);
    let (mut told, mut own) = (0.0, 0.0);
    for cost in costs {
        let earlier = costs_before.iter().find(|earlier| earlier.program == cost.program);
        let (runs, seconds) =
            earlier.map_or((cost.runs, cost.seconds), |e| (cost.runs - e.runs, cost.seconds - e.seconds));
        if runs < 1.0 {
            continue;
        }
        let clock = if cost.program.contains("xdp") { clock[0] } else { clock[1] };
        let each = 1e9 * seconds / runs;
        println!("  {:28} {runs:9.0} runs, {each:5.1} ns each, of which the clock {clock:.1}", cost.program);
        told += 100.0 * seconds / took;
        own += 100.0 * (seconds - runs * clock / 1e9).max(0.0) / took;
    }
    println!("  {told:.2} % of a core with the kernel's reading of the clock, {own:.2} % without");
    goal("programs of all probes, per cent of a core", own, SHARE_MAX);
}

fn collections(probes: &Probes) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..COLLECTIONS {
        let before = processor_ms()?;
        probes.collect(&mut Families::default())?;
        times.push(processor_ms()? - before);
    }
    goal("one collection of all probes, milliseconds of processor time", median(times), COLLECTION_MAX);
    Ok(())
}

/// The other side of the wire, until its standard input ends: empty programs on the device, and the same traffic. It
/// prints the nanoseconds that a run of each is said to take.
pub(crate) fn other_side() -> Result<()> {
    let mut ebpf = load("empty.bpf.o", &[])?;
    let xdp: &mut Xdp = ebpf.program_mut("empty_xdp").context("no such program")?.try_into()?;
    xdp.load()?;
    xdp.attach("b1", XdpMode::Skb)?;
    let tc: &mut SchedClassifier = ebpf.program_mut("empty_tc").context("no such program")?.try_into()?;
    tc.load()?;
    tc.attach("b1", TcAttachType::Egress)?;
    let socket = UdpSocket::bind(THERE)?;
    let end = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let traffic = scope.spawn(|| traffic(&socket, HERE, &end));
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        end.store(true, Ordering::Relaxed);
        traffic.join().map_err(|_| anyhow::anyhow!("the traffic broke off"))?
    })?;
    println!("{} {}", each(&ebpf, "empty_xdp")?, each(&ebpf, "empty_tc")?);
    Ok(())
}

/// Nanoseconds of a run.
fn each(ebpf: &Ebpf, program: &str) -> Result<f64> {
    let info: ProgramInfo = ebpf.program(program).context("no such program")?.info()?;
    ensure!(info.run_count() > 0, "{program} did not run");
    Ok(info.run_time().as_nanos() as f64 / info.run_count() as f64)
}

/// Sends at the rate and takes what comes, until the end.
fn traffic(socket: &UdpSocket, other: &str, end: &AtomicBool) -> Result<()> {
    let other: SocketAddr = other.parse()?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut datagram = [0; 2 * PAYLOAD_BYTES];
            while !end.load(Ordering::Relaxed) {
                // Nothing may come for a while.
                let _ = socket.recv(&mut datagram);
            }
        });
        let (begin, mut sent) = (Instant::now(), 0);
        while !end.load(Ordering::Relaxed) {
            let due = (begin.elapsed().as_secs_f64() * f64::from(PACKETS_A_SECOND)) as u64;
            while sent < due {
                // Nobody may listen there yet, or any more.
                let _ = socket.send_to(&[0; PAYLOAD_BYTES], other);
                sent += 1;
            }
            thread::sleep(BEAT);
        }
    });
    Ok(())
}

fn reading(probes: &Probes) -> Result<Reading> {
    let mut families = Families::default();
    probes.collect(&mut families)?;
    let points = |name: &str| {
        let families = families.iter().filter(|family| family.name == name);
        families.flat_map(|family| &family.points).collect::<Vec<_>>()
    };
    let runs = points("skep_probe_program_runs_total");
    let seconds = points("skep_probe_program_run_seconds_total");
    let name = |at: usize| {
        let labels = runs[at].labels.iter().map(|(_, value)| value.as_str());
        labels.collect::<Vec<_>>().join(" ")
    };
    let cost = |(at, (runs, seconds)): (usize, (&&model::Point, &&model::Point))| Cost {
        program: name(at),
        runs: runs.value,
        seconds: seconds.value,
    };
    let costs = runs.iter().zip(&seconds).enumerate().map(cost).collect();
    Ok((packets_of(&families), costs))
}

fn packets(probes: &Probes) -> Result<[f64; 2]> {
    let mut families = Families::default();
    probes.collect(&mut families)?;
    Ok(packets_of(&families))
}

fn packets_of(families: &Families) -> [f64; 2] {
    ["skep_xdp_packets_total", "skep_tc_packets_total"].map(|name| {
        let families = families.iter().filter(|family| family.name == name);
        families.flat_map(|family| &family.points).map(|point| point.value).sum()
    })
}

fn wait_for(mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let begin = Instant::now();
    while !is_so()? {
        ensure!(begin.elapsed() < PATIENCE, "no packets come from the other side");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// What this thread ran.
fn processor_ms() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split(' ').next().context("an empty schedstat")?.parse()?;
    Ok(nanoseconds / 1e6)
}
