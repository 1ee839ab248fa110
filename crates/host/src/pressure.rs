//! The `pressure` collector, from `/proc/pressure`.

use model::Families;

use crate::roots::Roots;
use crate::text::File;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "pressure",
    help: "Time lost because CPU, memory or disks were short.",
    open: |_| Box::new(collect),
};

/// File, line, metric, help. `some` means that at least one task waited, `full` that all did.
const METRICS: [(&str, &str, &str, &str); 6] = [
    ("cpu", "some", "node_pressure_cpu_waiting_seconds_total", "Seconds in which a task waited for a CPU."),
    ("io", "some", "node_pressure_io_waiting_seconds_total", "Seconds in which a task waited for input or output."),
    ("io", "full", "node_pressure_io_stalled_seconds_total", "Seconds in which all tasks waited for input or output."),
    ("memory", "some", "node_pressure_memory_waiting_seconds_total", "Seconds in which a task waited for memory."),
    ("memory", "full", "node_pressure_memory_stalled_seconds_total", "Seconds in which all tasks waited for memory."),
    ("irq", "full", "node_pressure_irq_stalled_seconds_total", "Seconds in which interrupts held all tasks up."),
];

/// Only kernels that account for interrupt time have this file.
const OPTIONAL: &str = "irq";

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    for (resource, line, metric, help) in METRICS {
        match roots.proc(&format!("pressure/{resource}")) {
            Ok(file) => families.counter(metric, help, seconds(&file, line)?),
            Err(_) if resource == OPTIONAL => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `total=` counts microseconds. Dividing twice by a thousand gives node_exporter's last bit.
fn seconds(file: &File, name: &str) -> Result<f64, Error> {
    let line = file.lines().find(|line| line.starts_with(name));
    let total = line.and_then(|line| line.split_once("total=")).map(|(_, total)| total.trim());
    let total = total.ok_or_else(|| file.error("a line with total= was expected", &file.text))?;
    Ok(file.number(total)? / 1000.0 / 1000.0)
}
