//! The `cpu` collector, from `/proc/stat` and `/sys/devices/system/cpu`.

use std::collections::{BTreeMap, BTreeSet};

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::{Error, HostCollector, Source};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "cpu",
    help: "Time that each CPU spent in each mode, and thermal throttling.",
    open: |_| Box::new(Cpu::default()),
};

/// The kernel exports times in this unit on every architecture that Rust's standard library supports (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Modes in the order of the columns; guest time is contained in user and nice, so it has a metric of its own.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const COLUMNS: usize = MODES.len() + GUEST_MODES.len();
const IDLE: usize = 3;

/// A CPU that comes back from hotplug starts from zero; a smaller step back is the kernel's idle accounting, which
/// is known to jitter. node_exporter draws the line at the same place.
const IDLE_STEP_BACK_SECONDS_MAX: f64 = 3.0;

type Times = [f64; COLUMNS];

/// Keeps the greatest times seen, because counters must not go back.
#[derive(Default)]
struct Cpu {
    times: BTreeMap<u32, Times>,
}

impl Source for Cpu {
    fn collect(&mut self, roots: &Roots, families: &mut Families) -> Result<(), Error> {
        self.update(read(roots)?);
        let family =
            families.family("node_cpu_seconds_total", MetricKind::Counter, "Seconds that a CPU spent in a mode.");
        for (cpu, times) in &self.times {
            for (mode, seconds) in MODES.iter().zip(times) {
                family.with([("cpu", cpu.to_string()), ("mode", (*mode).to_owned())], *seconds);
            }
        }
        let family = families.family(
            "node_cpu_guest_seconds_total",
            MetricKind::Counter,
            "Seconds that a CPU spent in virtual machines, by mode.",
        );
        for (cpu, times) in &self.times {
            for (mode, seconds) in GUEST_MODES.iter().zip(&times[MODES.len()..]) {
                family.with([("cpu", cpu.to_string()), ("mode", (*mode).to_owned())], *seconds);
            }
        }
        isolated(roots, families);
        throttles(roots, families)
    }
}

impl Cpu {
    fn update(&mut self, now: BTreeMap<u32, Times>) {
        self.times.retain(|cpu, _| now.contains_key(cpu));
        for (cpu, now) in now {
            let kept = self.times.entry(cpu).or_insert(now);
            if kept[IDLE] - now[IDLE] >= IDLE_STEP_BACK_SECONDS_MAX {
                *kept = now;
            }
            for (kept, now) in kept.iter_mut().zip(now) {
                *kept = kept.max(now);
            }
        }
    }
}

/// Older kernels have fewer columns; what is missing is zero.
fn read(roots: &Roots) -> Result<BTreeMap<u32, Times>, Error> {
    let file = roots.proc("stat")?;
    let mut cpus = BTreeMap::new();
    for line in file.lines() {
        let Some((number, rest)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' ')) else { continue };
        // The line `cpu ` without a number holds the sum.
        if number.is_empty() {
            continue;
        }
        let number = number.parse().map_err(|_| file.error("a CPU number was expected", line))?;
        let mut times = [0.0; COLUMNS];
        for (time, ticks) in times.iter_mut().zip(file.numbers(rest)?) {
            *time = ticks / TICKS_PER_SECOND;
        }
        cpus.insert(number, times);
    }
    Ok(cpus)
}

fn isolated(roots: &Roots, families: &mut Families) {
    let list = roots.attribute("devices/system/cpu/isolated").unwrap_or_default();
    let cpus = cpu_list(&list);
    if cpus.is_empty() {
        return;
    }
    let help = "1 for a CPU that the scheduler leaves alone.";
    let family = families.family("node_cpu_isolated", MetricKind::Gauge, help);
    for cpu in cpus {
        family.with([("cpu", cpu.to_string())], 1.0);
    }
}

/// No kernel is built for more CPUs; a damaged list must not become billions of series.
const CPUS_MAX: u32 = 8192;

/// Reads a list such as `0-2,5`; parts that make no sense are left out.
fn cpu_list(list: &str) -> BTreeSet<u32> {
    let parts = list.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u32>().ok()?, last.trim().parse::<u32>().ok()?);
        (last < CPUS_MAX).then_some(first..=last)
    });
    parts.flatten().collect()
}

/// CPUs of a core share its counter, cores of a package the package's; each is told once.
fn throttles(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let mut cores = BTreeMap::new();
    let mut packages = BTreeMap::new();
    for name in roots.names("devices/system/cpu")? {
        let is_cpu = name.strip_prefix("cpu").is_some_and(|n| n.bytes().next().is_some_and(|b| b.is_ascii_digit()));
        let number = |path: &str| roots.attribute(&format!("devices/system/cpu/{name}/{path}"))?.parse::<u64>().ok();
        let ids = (number("topology/physical_package_id"), number("topology/core_id"));
        let (true, (Some(package), Some(core))) = (is_cpu, ids) else { continue };
        if let Some(count) = number("thermal_throttle/core_throttle_count") {
            cores.entry((package, core)).or_insert(count);
        }
        if let Some(count) = number("thermal_throttle/package_throttle_count") {
            packages.entry(package).or_insert(count);
        }
    }
    if !packages.is_empty() {
        let help = "How often a CPU package was slowed down because of heat.";
        let family = families.family("node_cpu_package_throttles_total", MetricKind::Counter, help);
        for (package, count) in packages {
            family.with([("package", package.to_string())], count as f64);
        }
    }
    if !cores.is_empty() {
        let help = "How often a CPU core was slowed down because of heat.";
        let family = families.family("node_cpu_core_throttles_total", MetricKind::Counter, help);
        for ((package, core), count) in cores {
            family.with([("package", package.to_string()), ("core", core.to_string())], count as f64);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(steps: &[[f64; 2]], expected: [f64; 2]) {
        let mut cpu = Cpu::default();
        for [user, idle] in steps {
            let mut times = [0.0; COLUMNS];
            (times[0], times[IDLE]) = (*user, *idle);
            cpu.update(BTreeMap::from([(0, times)]));
        }
        assert_eq!([cpu.times[&0][0], cpu.times[&0][IDLE]], expected, "{steps:?}");
    }

    #[test]
    fn counters_do_not_go_back_but_start_anew_after_hotplug() {
        check(&[[1.0, 10.0], [2.0, 11.0]], [2.0, 11.0]);
        check(&[[1.0, 10.0], [0.9, 9.5]], [1.0, 10.0]);
        check(&[[5.0, 10.0], [0.1, 0.5]], [0.1, 0.5]);
    }

    #[test]
    fn lists() {
        let list = |text| cpu_list(text).into_iter().collect::<Vec<_>>();
        assert_eq!(list("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(list("3"), [3]);
        assert_eq!(list(""), [0; 0]);
        assert_eq!(list("(null)"), [0; 0]);
        assert_eq!(list("0-4294967295,7"), [7]);
    }
}
