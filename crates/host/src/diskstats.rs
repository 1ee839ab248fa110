//! The `diskstats` collector, from `/proc/diskstats`, `/sys/block` and what udev knows in `/run/udev/data`.

use std::collections::HashMap;

use model::{Families, MetricKind};

use crate::exclude::Exclude;
use crate::roots::Roots;
use crate::text::File;
use crate::{Error, HostCollector, Source};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "diskstats",
    help: "Input and output of block devices.",
    open: |config| Box::new(Diskstats { exclude: config.disk_exclude.clone() }),
};

/// Always 512 here, whatever the device's own sector size is.
const SECTOR_BYTES: f64 = 512.0;
const SECONDS_PER_MILLISECOND: f64 = 1.0 / 1000.0;

use MetricKind::{Counter, Gauge};

/// Metrics in the order of the columns, with the factor to the unit. A kernel that lacks the last columns lacks the metrics.
const METRICS: [(&str, MetricKind, f64, &str); 17] = [
    ("node_disk_reads_completed_total", Counter, 1.0, "Reads that completed."),
    ("node_disk_reads_merged_total", Counter, 1.0, "Reads that were merged with a neighbour."),
    ("node_disk_read_bytes_total", Counter, SECTOR_BYTES, "Bytes read."),
    ("node_disk_read_time_seconds_total", Counter, SECONDS_PER_MILLISECOND, "Seconds that all reads took together."),
    ("node_disk_writes_completed_total", Counter, 1.0, "Writes that completed."),
    ("node_disk_writes_merged_total", Counter, 1.0, "Writes that were merged with a neighbour."),
    ("node_disk_written_bytes_total", Counter, SECTOR_BYTES, "Bytes written."),
    ("node_disk_write_time_seconds_total", Counter, SECONDS_PER_MILLISECOND, "Seconds that all writes took together."),
    ("node_disk_io_now", Gauge, 1.0, "Operations in flight."),
    ("node_disk_io_time_seconds_total", Counter, SECONDS_PER_MILLISECOND, "Seconds with an operation in flight."),
    (
        "node_disk_io_time_weighted_seconds_total",
        Counter,
        SECONDS_PER_MILLISECOND,
        "Seconds with operations in flight, each operation counted.",
    ),
    ("node_disk_discards_completed_total", Counter, 1.0, "Discards that completed."),
    ("node_disk_discards_merged_total", Counter, 1.0, "Discards that were merged with a neighbour."),
    ("node_disk_discarded_sectors_total", Counter, 1.0, "Sectors discarded."),
    (
        "node_disk_discard_time_seconds_total",
        Counter,
        SECONDS_PER_MILLISECOND,
        "Seconds that all discards took together.",
    ),
    ("node_disk_flush_requests_total", Counter, 1.0, "Flushes that completed."),
    (
        "node_disk_flush_requests_time_seconds_total",
        Counter,
        SECONDS_PER_MILLISECOND,
        "Seconds that all flushes took together.",
    ),
];

/// Properties of udev that are numbers of ATA disks.
const ATA_METRICS: [(&str, &str, &str); 3] = [
    ("ID_ATA_WRITE_CACHE", "node_disk_ata_write_cache", "1 where the disk has a write cache."),
    ("ID_ATA_WRITE_CACHE_ENABLED", "node_disk_ata_write_cache_enabled", "1 where the write cache is on."),
    ("ID_ATA_ROTATION_RATE_RPM", "node_disk_ata_rotation_rate_rpm", "Turns a minute, 0 for a disk that does not turn."),
];

struct Diskstats {
    exclude: Exclude,
}

struct Disk<'a> {
    name: &'a str,
    major: &'a str,
    minor: &'a str,
    columns: Vec<f64>,
    /// What udev knows; empty where it does not run.
    properties: HashMap<String, String>,
}

impl Source for Diskstats {
    fn collect(&mut self, roots: &Roots, families: &mut Families) -> Result<(), Error> {
        let file = roots.proc("diskstats")?;
        let disks = self.disks(&file, roots)?;
        info(&disks, roots, families);
        for (column, (name, kind, factor, help)) in METRICS.into_iter().enumerate() {
            let family = families.family(name, kind, help);
            for disk in disks.iter().filter(|disk| disk.columns.len() > column) {
                family.with([("device", disk.name)], disk.columns[column] * factor);
            }
        }
        filesystem_info(&disks, families);
        device_mapper_info(&disks, families);
        ata(&disks, families);
        Ok(())
    }
}

impl Diskstats {
    fn disks<'a>(&self, file: &'a File, roots: &Roots) -> Result<Vec<Disk<'a>>, Error> {
        let mut disks = Vec::new();
        for line in file.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(major), Some(minor), Some(name)) = (words.next(), words.next(), words.next()) else {
                return Err(file.error("major, minor and a name were expected", line));
            };
            if self.exclude.matches(name) {
                continue;
            }
            let columns = words.map(|word| file.number(word)).collect::<Result<_, _>>()?;
            disks.push(Disk { name, major, minor, columns, properties: udev(roots, major, minor) });
        }
        Ok(disks)
    }
}

impl Disk<'_> {
    fn property(&self, name: &str) -> String {
        self.properties.get(name).cloned().unwrap_or_default()
    }

    /// What is printed on the disk's label if it is known, otherwise what the bus or virtio tells.
    fn serial(&self) -> String {
        let names = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"];
        names.into_iter().map(|name| self.property(name)).find(|value| !value.is_empty()).unwrap_or_default()
    }
}

/// Lines `E:NAME=value` of udev's database; other lines are about links and tags.
fn udev(roots: &Roots, major: &str, minor: &str) -> HashMap<String, String> {
    let Ok(file) = roots.root(&format!("run/udev/data/b{major}:{minor}")) else { return HashMap::new() };
    let pairs = file.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn info(disks: &[Disk<'_>], roots: &Roots, families: &mut Families) {
    let family = families.family("node_disk_info", Gauge, "What is known of a block device; always 1.");
    for disk in disks {
        let rotational = roots.attribute(&format!("block/{}/queue/rotational", disk.name));
        let labels = [
            ("device", disk.name.to_owned()),
            ("major", disk.major.to_owned()),
            ("minor", disk.minor.to_owned()),
            ("path", disk.property("ID_PATH")),
            ("wwn", disk.property("ID_WWN")),
            ("model", disk.property("ID_MODEL")),
            ("serial", disk.serial()),
            ("revision", disk.property("ID_REVISION")),
            ("rotational", rotational.unwrap_or_else(|| "0".to_owned())),
        ];
        family.with(labels, 1.0);
    }
}

fn filesystem_info(disks: &[Disk<'_>], families: &mut Families) {
    const LABELS: [(&str, &str); 4] =
        [("type", "ID_FS_TYPE"), ("usage", "ID_FS_USAGE"), ("uuid", "ID_FS_UUID"), ("version", "ID_FS_VERSION")];
    let help = "The file system that lies on a block device; always 1.";
    info_of_properties("node_disk_filesystem_info", help, "ID_FS_TYPE", &LABELS, disks, families);
}

fn device_mapper_info(disks: &[Disk<'_>], families: &mut Families) {
    const LABELS: [(&str, &str); 5] = [
        ("name", "DM_NAME"),
        ("uuid", "DM_UUID"),
        ("vg_name", "DM_VG_NAME"),
        ("lv_name", "DM_LV_NAME"),
        ("lv_layer", "DM_LV_LAYER"),
    ];
    let help = "What the device mapper knows of a block device; always 1.";
    info_of_properties("node_disk_device_mapper_info", help, "DM_NAME", &LABELS, disks, families);
}

/// A family of those disks that have the property `key`; nothing where none has it.
fn info_of_properties(
    name: &'static str,
    help: &'static str,
    key: &str,
    labels: &[(&'static str, &str)],
    disks: &[Disk<'_>],
    families: &mut Families,
) {
    let mut found = disks.iter().filter(|disk| !disk.property(key).is_empty()).peekable();
    if found.peek().is_none() {
        return;
    }
    let family = families.family(name, Gauge, help);
    for disk in found {
        let device = [("device", disk.name.to_owned())];
        family.with(device.into_iter().chain(labels.iter().map(|(label, from)| (*label, disk.property(from)))), 1.0);
    }
}

fn ata(disks: &[Disk<'_>], families: &mut Families) {
    for (property, metric, help) in ATA_METRICS {
        let values = disks.iter().filter(|disk| !disk.property("ID_ATA").is_empty());
        let mut values =
            values.filter_map(|disk| Some((disk.name, disk.property(property).parse::<f64>().ok()?))).peekable();
        if values.peek().is_none() {
            continue;
        }
        let family = families.family(metric, Gauge, help);
        for (device, value) in values {
            family.with([("device", device)], value);
        }
    }
}
