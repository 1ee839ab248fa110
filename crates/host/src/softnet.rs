//! The `softnet` collector, from `/proc/net/softnet_stat`.

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "softnet",
    help: "Packets that each CPU took from network devices.",
    open: |_| Box::new(collect),
};

use MetricKind::{Counter, Gauge};

/// Column, metric, type, help. Kernels differ in the number of columns; a missing one has no metric.
const METRICS: [(usize, &str, MetricKind, &str); 7] = [
    (0, "node_softnet_processed_total", Counter, "Packets processed."),
    (1, "node_softnet_dropped_total", Counter, "Packets dropped because the backlog was full."),
    (2, "node_softnet_times_squeezed_total", Counter, "How often processing ended with packets left."),
    (8, "node_softnet_cpu_collision_total", Counter, "Collisions while sending."),
    (9, "node_softnet_received_rps_total", Counter, "How often another CPU asked for packets to be processed."),
    (10, "node_softnet_flow_limit_count_total", Counter, "How often the limit of a flow was reached."),
    (11, "node_softnet_backlog_len", Gauge, "Packets in the backlog."),
];
/// The CPU's number; before Linux 5.10 lines are counted.
const CPU_COLUMN: usize = 12;

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let file = roots.proc("net/softnet_stat")?;
    let mut cpus = Vec::new();
    for (line_number, line) in file.lines().enumerate() {
        let columns: Vec<f64> = line.split_ascii_whitespace().map(|word| file.hex(word)).collect::<Result<_, _>>()?;
        let cpu = columns.get(CPU_COLUMN).copied().unwrap_or(line_number as f64);
        cpus.push((cpu.to_string(), columns));
    }
    for (column, name, kind, help) in METRICS {
        let mut values = cpus.iter().filter_map(|(cpu, columns)| Some((cpu, *columns.get(column)?))).peekable();
        if values.peek().is_none() {
            continue;
        }
        let family = families.family(name, kind, help);
        for (cpu, value) in values {
            family.with([("cpu", cpu.as_str())], value);
        }
    }
    Ok(())
}
