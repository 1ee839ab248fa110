//! The `thermal_zone` collector, from `/sys/class/thermal`.

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "thermal_zone",
    help: "Temperatures and cooling devices; small boards tell their CPU's temperature here.",
    open: |_| Box::new(collect),
};

const FOLDER: &str = "class/thermal";
const MILLIDEGREES: f64 = 1000.0;

/// A sensor that does not answer now, as some do while their device sleeps, is left out.
fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let entries = roots.names(FOLDER)?;
    let readings = |prefix: &str, file: &str| -> Vec<(String, String, f64)> {
        let numbered = entries.iter().filter_map(|entry| Some((entry, entry.strip_prefix(prefix)?)));
        numbered
            .filter_map(|(entry, number)| {
                let attribute = |file: &str| roots.attribute(&format!("{FOLDER}/{entry}/{file}"));
                Some((number.to_owned(), attribute("type")?, attribute(file)?.parse().ok()?))
            })
            .collect()
    };
    let families_of = [
        ("thermal_zone", "temp", "node_thermal_zone_temp", "zone", MILLIDEGREES, "Temperature in degrees Celsius."),
        ("cooling_device", "cur_state", "node_cooling_device_cur_state", "name", 1.0, "How hard the device cools now."),
        ("cooling_device", "max_state", "node_cooling_device_max_state", "name", 1.0, "How hard the device can cool."),
    ];
    for (prefix, file, metric, label, divisor, help) in families_of {
        let readings = readings(prefix, file);
        if readings.is_empty() {
            continue;
        }
        let family = families.family(metric, MetricKind::Gauge, help);
        for (number, kind, value) in readings {
            family.with([(label, number), ("type", kind)], value / divisor);
        }
    }
    Ok(())
}
