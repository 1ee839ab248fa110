//! The `time` collector: the clock, the time zone and `/sys/devices/system/clocksource`.

use std::time::{SystemTime, UNIX_EPOCH};

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector =
    HostCollector { name: "time", help: "The clock, its sources and the time zone.", open: |_| Box::new(collect) };

const CLOCKSOURCES: &str = "devices/system/clocksource";

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    families.gauge("node_time_seconds", "The clock, in seconds since 1970.", now);
    zone(families);
    clocksources(roots, families)
}

fn zone(families: &mut Families) {
    let now = jiff::Zoned::now();
    let info = now.time_zone().to_offset_info(now.timestamp());
    let help = "How far local time is ahead of UTC, in seconds.";
    let family = families.family("node_time_zone_offset_seconds", MetricKind::Gauge, help);
    family.with([("time_zone", info.abbreviation())], f64::from(info.offset().seconds()));
}

fn clocksources(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let names = roots.names(CLOCKSOURCES)?;
    let devices: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("clocksource")).collect();
    let words = |device: &str, file: &str| {
        roots.sys(&format!("{CLOCKSOURCES}/clocksource{device}/{file}")).map(|file| file.text)
    };
    let files = [
        ("node_time_clocksource_available_info", "available_clocksource", "A clock source that can be used; always 1."),
        ("node_time_clocksource_current_info", "current_clocksource", "The clock source in use; always 1."),
    ];
    for (metric, file, help) in files {
        let family = families.family(metric, MetricKind::Gauge, help);
        for device in &devices {
            for source in words(device, file)?.split_ascii_whitespace() {
                family.with([("device", *device), ("clocksource", source)], 1.0);
            }
        }
    }
    Ok(())
}
