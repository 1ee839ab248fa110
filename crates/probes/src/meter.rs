//! What the probes cost: run time of their programs and memory of their maps, as the kernel accounts them.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use model::Families;

use crate::Metric;
use crate::syscall;

const RUNS: Metric =
    Metric::counter("skep_probe_program_runs_total", "runs", "Runs of a probe's program while BPF statistics were on.");
const RUN_SECONDS: Metric = Metric::counter(
    "skep_probe_program_run_seconds_total",
    "seconds",
    "Time that a probe's program ran while BPF statistics were on.",
);
const MISSES: Metric = Metric::counter(
    "skep_probe_program_misses_total",
    "events",
    "Events that a probe's program did not see, because its CPU was at that program already.",
);
const MAP_BYTES: Metric =
    Metric::gauge("skep_probe_map_memory_bytes", "bytes", "Kernel memory of a probe's map, as the kernel accounts it.");

/// The programs and maps of a probe, by descriptors of their own.
#[derive(Default)]
pub(crate) struct Meter {
    programs: Vec<(String, OwnedFd)>,
    maps: Vec<(String, OwnedFd)>,
}

/// What the programs and maps of one probe cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Name, runs and nanoseconds of each program.
    programs: Vec<(String, syscall::Runs)>,
    /// Name and bytes of each map.
    maps: Vec<(String, u64)>,
}

impl Meter {
    /// Takes up a program that was loaded.
    pub(crate) fn program(&mut self, name: &str, program: impl AsFd) -> io::Result<()> {
        self.programs.push((name.to_owned(), program.as_fd().try_clone_to_owned()?));
        Ok(())
    }

    /// Takes up a map.
    pub(crate) fn map(&mut self, name: &str, map: impl AsFd) -> io::Result<()> {
        self.maps.push((name.to_owned(), map.as_fd().try_clone_to_owned()?));
        Ok(())
    }

    /// What they cost now; what the kernel does not tell is left out.
    pub(crate) fn read(&self) -> Cost {
        let programs = self.programs.iter();
        let programs = programs.filter_map(|(name, fd)| Some((name.clone(), syscall::program_runs(fd.as_fd()).ok()?)));
        let maps = self.maps.iter().filter_map(|(name, fd)| Some((name.clone(), map_bytes(fd)?)));
        Cost { programs: programs.collect(), maps: maps.collect() }
    }
}

/// Adds the families of all probes. Runs are left out while they are zero: the kernel counts them only while BPF
/// statistics are on, and zero would say that the program does not run. So are misses, which hardly ever happen.
pub(crate) fn expose(costs: &[(&'static str, Cost)], families: &mut Families) {
    let programs =
        || costs.iter().flat_map(|(probe, cost)| cost.programs.iter().map(move |(name, runs)| (*probe, name, runs)));
    let counted = || programs().filter(|(.., runs)| runs.count > 0);
    let family = RUNS.family(families);
    for (probe, program, runs) in counted() {
        family.with([("probe", probe), ("program", program)], runs.count as f64);
    }
    let family = RUN_SECONDS.family(families);
    for (probe, program, runs) in counted() {
        family.with([("probe", probe), ("program", program)], runs.time.as_secs_f64());
    }
    let family = MISSES.family(families);
    for (probe, program, runs) in programs().filter(|(.., runs)| runs.misses > 0) {
        family.with([("probe", probe), ("program", program)], runs.misses as f64);
    }
    let family = MAP_BYTES.family(families);
    for (probe, cost) in costs {
        for (map, bytes) in &cost.maps {
            family.with([("probe", *probe), ("map", map)], *bytes as f64);
        }
    }
}

/// The kernel's own account, an estimate from entries and sizes before Linux 6.4.
fn map_bytes(map: &OwnedFd) -> Option<u64> {
    parse_memory(&fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_raw_fd())).ok()?)
}

fn parse_memory(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_map() {
        let check = |text: &str, expected| assert_eq!(parse_memory(text), expected, "{text}");
        check("pos:\t0\nmap_type:\t1\nmemlock:\t36864\nmap_id:\t7\n", Some(36864));
        check("pos:\t0\n", None);
        check("memlock:\tmuch\n", None);
    }
}
