//! The `stat` collector, from `/proc/stat`.

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "stat",
    help: "Boot time, context switches, interrupts, forks and runnable tasks.",
    open: |_| Box::new(collect),
};

use MetricKind::{Counter, Gauge};

/// First word of the line, metric, type, help.
const METRICS: [(&str, &str, MetricKind, &str); 6] = [
    ("intr", "node_intr_total", Counter, "Interrupts served."),
    ("ctxt", "node_context_switches_total", Counter, "Switches from one task to another."),
    ("processes", "node_forks_total", Counter, "Processes and threads started."),
    ("btime", "node_boot_time_seconds", Gauge, "When the machine booted, in seconds since 1970."),
    ("procs_running", "node_procs_running", Gauge, "Tasks that run or could run."),
    ("procs_blocked", "node_procs_blocked", Gauge, "Tasks that wait for input or output."),
];

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let file = roots.proc("stat")?;
    for (key, name, kind, help) in METRICS {
        let line = file.lines().find(|line| line.split_ascii_whitespace().next() == Some(key));
        let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
        let number = number.ok_or_else(|| file.error("a line was expected that begins with", key))?;
        families.family(name, kind, help).value(file.number(number)?);
    }
    Ok(())
}
