//! The `cpufreq` collector, from `/sys/devices/system/cpu/cpu*/cpufreq`.

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "cpufreq",
    help: "Clock rates of the CPUs and the governors that choose them.",
    open: |_| Box::new(collect),
};

const FOLDER: &str = "devices/system/cpu";
const HERTZ_PER_KILOHERTZ: f64 = 1000.0;

/// File, metric, help. Virtual machines usually have none of the files.
const METRICS: [(&str, &str, &str); 6] = [
    ("cpuinfo_cur_freq", "node_cpu_frequency_hertz", "Clock rate that the hardware reports."),
    ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "Lowest clock rate of the hardware."),
    ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "Highest clock rate of the hardware."),
    ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "Clock rate that the kernel chose."),
    ("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz", "Lowest clock rate that the kernel may choose."),
    ("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz", "Highest clock rate that the kernel may choose."),
];

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let entries = roots.names(FOLDER)?;
    let cpus: Vec<&str> = entries.iter().filter_map(|entry| entry.strip_prefix("cpu")).filter(is_number).collect();
    let attribute = |cpu: &str, file: &str| roots.attribute(&format!("{FOLDER}/cpu{cpu}/cpufreq/{file}"));
    for (file, metric, help) in METRICS {
        let values = cpus.iter().filter_map(|cpu| Some((*cpu, attribute(cpu, file)?.parse::<f64>().ok()?)));
        let values: Vec<_> = values.collect();
        if values.is_empty() {
            continue;
        }
        let family = families.family(metric, MetricKind::Gauge, help);
        for (cpu, kilohertz) in values {
            family.with([("cpu", cpu)], kilohertz * HERTZ_PER_KILOHERTZ);
        }
    }
    let help = "1 for the governor that chooses the clock rate, 0 for the others that could.";
    let family = families.family("node_cpu_scaling_governor", MetricKind::Gauge, help);
    for cpu in cpus {
        let chosen = attribute(cpu, "scaling_governor").unwrap_or_default();
        for governor in attribute(cpu, "scaling_available_governors").unwrap_or_default().split_ascii_whitespace() {
            family.with([("cpu", cpu), ("governor", governor)], f64::from(u8::from(governor == chosen)));
        }
    }
    Ok(())
}

/// The folder holds other entries too, such as `cpufreq` and `cpuidle`.
fn is_number(text: &&str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
