//! What the tests of all probes share: scenarios in network namespaces of their own, and what a probe counted there.
//!
//! They need root. Each scenario runs in a process of its own inside a namespace, because a thread cannot be trusted to
//! come back from one; the process is the same test binary, told by an environment variable what to play. A test binary
//! has one test for each scenario, which calls [`play_in_namespace`], and one called `play` that hands its table of
//! scenarios to [`play`].
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod counters;
pub(crate) mod frame;
pub(crate) mod packet_socket;
pub(crate) mod relay;
pub(crate) mod verdict;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::status::{ProbeState, Probes as _};
use model::{Collector as _, Families};
use probes::{Config, Probes};

const SCENARIO: &str = "SKEP_TEST_SCENARIO";
/// A machine under load takes its time; nothing here waits this long unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

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

/// A child that ends with the test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command of words without spaces in them, which must succeed.
pub(crate) fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap_or_else(|e| panic!("{line}: {e}"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether the test can run; it says so where it cannot.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: network namespaces and BPF need root");
    }
    root
}

/// This binary, in the part of a scenario.
pub(crate) fn player(scenario: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "play", "--nocapture"]).env(SCENARIO, scenario);
    command
}

/// Plays a scenario in a new namespace, which must succeed there.
pub(crate) fn play_in_namespace(scenario: &str) {
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

/// Plays the scenario that the environment names; without one there is nothing to play.
pub(crate) fn play(scenarios: &[(&str, fn())]) {
    let Ok(wanted) = std::env::var(SCENARIO) else { return };
    let scenario = scenarios.iter().find(|(name, _)| *name == wanted);
    let (_, scenario) = scenario.unwrap_or_else(|| panic!("unknown scenario {wanted}"));
    scenario();
}

/// The scenario's part in a child that says `holding` and then holds what it has until it is killed.
pub(crate) fn hold_in_child(mut command: Command) -> Killed {
    let mut child = Killed(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("holding")), "the child does not hold");
    child
}

/// Kills a child that holds programs, and waits until the kernel has none of them any more.
pub(crate) fn expect_gone(mut child: Killed) {
    let programs = programs_of(child.0.id());
    assert!(!programs.is_empty(), "the child holds no program");
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    for program in programs {
        poll("the end of a program of a killed process", || {
            let shown = Command::new("bpftool").args(["prog", "show", "id", &program]).output().unwrap();
            (!shown.status.success()).then_some(())
        });
    }
}

/// The ids of the programs that a process holds.
fn programs_of(process: u32) -> Vec<String> {
    let files = std::fs::read_dir(format!("/proc/{process}/fdinfo")).unwrap().map_while(Result::ok);
    let texts: Vec<String> = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
    let ids = texts.iter().filter_map(|text| text.lines().find_map(|line| line.strip_prefix("prog_id:")));
    ids.map(|id| id.trim().to_owned()).collect()
}

/// The child's side of [`hold_in_child`]: its standard input does not end before the kill.
pub(crate) fn hold() {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "holding").unwrap();
    stdout.flush().unwrap();
    let _ = std::io::stdin().lines().count();
}

/// A command that runs another as nobody with these capabilities (without `CAP_`) and no others.
pub(crate) fn as_nobody(command: &Command, capabilities: &[&str]) -> Command {
    const NOBODY: u32 = 65534;
    let list: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    let mut limited = Command::new("setpriv");
    limited.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()]);
    limited.args([format!("--bounding-set=-all{list}"), format!("--inh-caps=-all{list}")]);
    limited.args([format!("--ambient-caps=-all{list}"), "--no-new-privs".to_owned()]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    limited
}

/// Two devices on one wire, silent: what is sent on `sk0` arrives on `sk1`, and nothing else does.
pub(crate) fn veth() {
    run("ip link add sk0 mtu 9000 type veth peer name sk1 mtu 9000");
    for device in ["sk0", "sk1"] {
        silence(device);
        run(&format!("ip link set {device} up"));
    }
}

/// Another network namespace, at the other end of a wire; it goes with the test.
pub(crate) struct Peer(Killed);

impl Peer {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo ready; exec sleep 600"]).stdout(Stdio::piped());
        let mut child = Killed(command.spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        Self(child)
    }

    /// Moves a device there.
    pub(crate) fn take(&self, device: &str) {
        run(&format!("ip link set {device} netns {}", self.0.0.id()));
    }

    /// Runs a command there, as [`run`] does here.
    pub(crate) fn run(&self, line: &str) -> String {
        run(&format!("nsenter --target {} --net {line}", self.0.0.id()))
    }

    /// Starts a command there that goes on.
    pub(crate) fn spawn(&self, line: &str) -> Child {
        let target = self.0.0.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &target, "--net"]).args(line.split(' '));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }
}

/// The kernel sends nothing of its own through the device.
pub(crate) fn silence(device: &str) {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6"), "1").unwrap();
}

/// Polls until there is an answer.
pub(crate) fn poll<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A configuration with every probe off, to be extended by the one under test.
pub(crate) fn off() -> Config {
    Config::disabled()
}

/// The state of a probe.
pub(crate) fn state(probes: &Probes, name: &str) -> ProbeState {
    probes.probes().into_iter().find(|probe| probe.name == name).unwrap().state
}

/// Asserts that a probe runs.
pub(crate) fn expect_running(probes: &Probes, name: &str) {
    assert_eq!(state(probes, name), ProbeState::Running, "{:?}", probes.probes());
}

/// All that the probes expose now.
pub(crate) fn collect(probes: &Probes) -> Families {
    let mut families = Families::default();
    probes.collect(&mut families).unwrap();
    families
}

/// A counter of a device's own statistics.
pub(crate) fn statistic(device: &str, name: &str) -> u64 {
    let path = format!("/sys/class/net/{device}/statistics/{name}");
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

/// The values of a family by the values of these labels, in the order of the names; `suffix` is that of a histogram.
pub(crate) fn values(families: &Families, name: &str, suffix: &str, labels: &[&str]) -> BTreeMap<Vec<String>, u64> {
    let family = families.iter().find(|family| family.name == name);
    let points = family.into_iter().flat_map(|family| &family.points).filter(|point| point.suffix == suffix);
    let mut values = BTreeMap::new();
    for point in points {
        let label = |name: &&str| {
            point.labels.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        *values.entry(labels.iter().map(label).collect()).or_default() += point.value as u64;
    }
    values
}
