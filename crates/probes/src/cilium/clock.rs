//! The clock of Cilium's datapath, against which conntrack entries expire.

use std::fs;
use std::path::PathBuf;

use rustix::time::{ClockId, clock_gettime};

/// Where the agent writes which clock its programs use.
const RUNTIME_CONFIG: &str = "var/run/cilium/state/agent-runtime-config.json";
const SCHEDSTAT: &str = "/proc/schedstat";
/// The agent's file has some tens of kilobytes; more than this is not the agent's.
const RUNTIME_CONFIG_BYTES_MAX: u64 = 4 << 20;
/// With `enable-bpf-clock-probe` the datapath counts in units of 256 jiffies.
const JIFFIES_SHIFT: u32 = 8;

/// Now, on the clock of the datapath. It is CLOCK_MONOTONIC in seconds unless the agent says otherwise.
///
/// # Errors
///
/// A sentence on what cannot be told, so that nobody counts by a wrong clock.
pub(super) fn now(roots: &[PathBuf]) -> Result<u32, String> {
    let configured = roots.iter().find_map(|root| {
        let path = root.join(RUNTIME_CONFIG);
        fs::metadata(&path).ok().filter(|file| file.len() <= RUNTIME_CONFIG_BYTES_MAX)?;
        fs::read_to_string(path).ok()
    });
    if configured.is_none_or(|text| !counts_jiffies(&text)) {
        return Ok(monotonic_seconds());
    }
    let schedstat = fs::read_to_string(SCHEDSTAT).map_err(|error| {
        format!("Cilium's datapath counts jiffies (enable-bpf-clock-probe), and {SCHEDSTAT} cannot be read: {error}")
    })?;
    jiffies(&schedstat).ok_or_else(|| format!("{SCHEDSTAT} holds no timestamp, and Cilium's datapath counts jiffies"))
}

fn monotonic_seconds() -> u32 {
    u32::try_from(clock_gettime(ClockId::Monotonic).tv_sec).unwrap_or(u32::MAX)
}

/// Whether `ClockSource` of the agent's JSON is 1. A file that does not parse says nothing.
fn counts_jiffies(json: &str) -> bool {
    let Ok(node) = yaml::parse(RUNTIME_CONFIG, json) else { return false };
    let report = yaml::Report::default();
    let root = yaml::Place::root(&node, RUNTIME_CONFIG, &report);
    root.section().and_then(|section| section.unsigned("ClockSource")) == Some(1)
}

/// The line `timestamp N`, in units of the datapath, whose numbers have 32 bits.
fn jiffies(schedstat: &str) -> Option<u32> {
    let line = schedstat.lines().find_map(|line| line.strip_prefix("timestamp "))?;
    let ticks: u64 = line.trim().parse().ok()?;
    Some((ticks >> JIFFIES_SHIFT) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let check = |json: &str, expected| assert_eq!(counts_jiffies(json), expected, "{json}");
        check("{\"ClockSource\": 1, \"KernelHz\": 250}", true);
        check("{\"ClockSource\":0}", false);
        check("{}", false);
        check("not json {", false);
    }

    #[test]
    fn timestamps() {
        let check = |text: &str, expected| assert_eq!(jiffies(text), expected, "{text}");
        check("version 17\ntimestamp 4294967552\ncpu0 0\n", Some(16_777_217));
        check("version 17\n", None);
        check("timestamp x\n", None);
    }

    #[test]
    fn without_an_agent_the_clock_is_monotonic() {
        let before = monotonic_seconds();
        let now = now(&[PathBuf::from("/nonexistent")]).unwrap();
        assert!(now >= before && now <= monotonic_seconds());
    }
}
