//! The `netdev` collector, from `/proc/net/dev`.

use model::{Families, MetricKind};

use crate::exclude::Exclude;
use crate::roots::Roots;
use crate::{Error, HostCollector, Source};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "netdev",
    help: "Bytes, packets and errors of network devices.",
    open: |config| Box::new(Netdev { exclude: config.net_exclude.clone() }),
};

/// Metrics in the order of the columns.
const METRICS: [(&str, &str); 16] = [
    ("node_network_receive_bytes_total", "Bytes received."),
    ("node_network_receive_packets_total", "Packets received."),
    ("node_network_receive_errs_total", "Packets received with an error."),
    ("node_network_receive_drop_total", "Packets received and dropped."),
    ("node_network_receive_fifo_total", "Packets lost because the device's buffer was full."),
    ("node_network_receive_frame_total", "Packets received with a framing error."),
    ("node_network_receive_compressed_total", "Compressed packets received."),
    ("node_network_receive_multicast_total", "Multicast packets received."),
    ("node_network_transmit_bytes_total", "Bytes sent."),
    ("node_network_transmit_packets_total", "Packets sent."),
    ("node_network_transmit_errs_total", "Packets that could not be sent because of an error."),
    ("node_network_transmit_drop_total", "Packets dropped instead of sent."),
    ("node_network_transmit_fifo_total", "Packets not sent because the device's buffer was full or empty."),
    ("node_network_transmit_colls_total", "Collisions while sending."),
    ("node_network_transmit_carrier_total", "Packets not sent because the carrier was lost."),
    ("node_network_transmit_compressed_total", "Compressed packets sent."),
];

struct Netdev {
    exclude: Exclude,
}

impl Source for Netdev {
    fn collect(&mut self, roots: &Roots, families: &mut Families) -> Result<(), Error> {
        let file = roots.proc("net/dev")?;
        let mut devices = Vec::new();
        for line in file.lines().skip(2) {
            let (device, rest) = line.rsplit_once(':').ok_or_else(|| file.error("a colon was expected", line))?;
            let device = device.trim();
            if self.exclude.matches(device) {
                continue;
            }
            let columns = file.numbers(rest)?;
            if columns.len() < METRICS.len() {
                return Err(file.error("sixteen columns were expected", line));
            }
            devices.push((device, columns));
        }
        for (column, (name, help)) in METRICS.into_iter().enumerate() {
            let family = families.family(name, MetricKind::Counter, help);
            for (device, columns) in &devices {
                family.with([("device", *device)], columns[column]);
            }
        }
        nohandler(devices.iter().map(|(device, _)| *device), roots, families);
        Ok(())
    }
}

/// `/proc/net/dev` lacks this one.
fn nohandler<'a>(devices: impl Iterator<Item = &'a str>, roots: &Roots, families: &mut Families) {
    let help = "Packets received that nobody wanted.";
    let family = families.family("node_network_receive_nohandler_total", MetricKind::Counter, help);
    for device in devices {
        let count = roots.attribute(&format!("class/net/{device}/statistics/rx_nohandler"));
        if let Some(count) = count.and_then(|count| count.parse().ok()) {
            family.with([("device", device)], count);
        }
    }
}
