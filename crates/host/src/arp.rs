//! The `arp` collector, from `/proc/net/arp`.

use std::collections::BTreeMap;

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector =
    HostCollector { name: "arp", help: "Entries of the ARP table by device.", open: |_| Box::new(collect) };

/// Columns: address, hardware type, flags, hardware address, mask, device.
const DEVICE_COLUMN: usize = 5;

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let file = roots.proc("net/arp")?;
    let mut entries: BTreeMap<&str, u32> = BTreeMap::new();
    for line in file.lines().skip(1) {
        let device = line.split_ascii_whitespace().nth(DEVICE_COLUMN);
        *entries.entry(device.ok_or_else(|| file.error("six columns were expected", line))?).or_default() += 1;
    }
    let family = families.family("node_arp_entries", MetricKind::Gauge, "Entries of the ARP table.");
    for (device, count) in entries {
        family.with([("device", device)], f64::from(count));
    }
    Ok(())
}
