//! The `netclass` collector, from `/sys/class/net`.

use model::{Families, MetricKind};

use crate::exclude::Exclude;
use crate::roots::Roots;
use crate::{Error, HostCollector, Source};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "netclass",
    help: "State, addresses and settings of network devices.",
    open: |config| Box::new(Netclass { exclude: config.net_exclude.clone() }),
};

use MetricKind::{Counter, Gauge};

/// Bits a second are told in millions.
const BYTES_PER_MEGABIT: f64 = 125_000.0;
/// `IFF_UP` of `linux/if.h`.
const FLAG_UP: u64 = 1;

/// File, metric, type, help. A device that lacks the file, or refuses to tell, lacks the metric.
const METRICS: [(&str, &str, MetricKind, &str); 18] = [
    ("addr_assign_type", "node_network_address_assign_type", Gauge, "Where the hardware address comes from."),
    ("carrier", "node_network_carrier", Gauge, "1 where the link has a carrier."),
    ("carrier_changes", "node_network_carrier_changes_total", Counter, "How often the carrier came or went."),
    ("carrier_up_count", "node_network_carrier_up_changes_total", Counter, "How often the carrier came."),
    ("carrier_down_count", "node_network_carrier_down_changes_total", Counter, "How often the carrier went."),
    ("dev_id", "node_network_device_id", Gauge, "Tells devices apart that share a hardware address."),
    ("dormant", "node_network_dormant", Gauge, "1 where the device waits for something outside, such as a login."),
    ("flags", "node_network_flags", Gauge, "The device's flags as a number."),
    ("ifindex", "node_network_iface_id", Gauge, "The device's index."),
    ("iflink", "node_network_iface_link", Gauge, "The index of the device below."),
    ("link_mode", "node_network_iface_link_mode", Gauge, "1 where the link waits for a user-space supplicant."),
    ("mtu", "node_network_mtu_bytes", Gauge, "Largest packet."),
    ("name_assign_type", "node_network_name_assign_type", Gauge, "Where the name comes from."),
    ("netdev_group", "node_network_net_dev_group", Gauge, "The group of the device."),
    ("speed", "node_network_speed_bytes", Gauge, "Bytes a second that the link can carry; negative where unknown."),
    ("tx_queue_len", "node_network_transmit_queue_length", Gauge, "Packets that the send queue holds at most."),
    ("type", "node_network_protocol_type", Gauge, "The hardware type as a number."),
    ("operstate", "node_network_up", Gauge, "1 where the device is up and can carry packets."),
];

struct Netclass {
    exclude: Exclude,
}

impl Source for Netclass {
    fn collect(&mut self, roots: &Roots, families: &mut Families) -> Result<(), Error> {
        let mut devices = roots.names("class/net")?;
        // Bonding keeps a control file beside the devices.
        devices.retain(|device| device != "bonding_masters" && !self.exclude.matches(device));
        info(&devices, roots, families);
        for (file, metric, kind, help) in METRICS {
            let values = devices.iter().filter_map(|device| Some((device, read(roots, device, file)?)));
            let values: Vec<_> = values.collect();
            if values.is_empty() {
                continue;
            }
            let family = families.family(metric, kind, help);
            for (device, value) in values {
                family.with([("device", device.as_str())], value);
            }
        }
        Ok(())
    }
}

fn read(roots: &Roots, device: &str, file: &str) -> Option<f64> {
    let text = attribute(roots, device, file)?;
    match file {
        "operstate" => Some(f64::from(u8::from(text == "up"))),
        "speed" => text.parse::<f64>().ok().map(|megabits| megabits * BYTES_PER_MEGABIT),
        _ => number(&text),
    }
}

fn attribute(roots: &Roots, device: &str, file: &str) -> Option<String> {
    roots.attribute(&format!("class/net/{device}/{file}"))
}

/// Some files are hexadecimal, with the prefix.
fn number(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|number| number as f64),
        None => text.parse().ok(),
    }
}

fn info(devices: &[String], roots: &Roots, families: &mut Families) {
    let family = families.family("node_network_info", Gauge, "Texts that are known of a network device; always 1.");
    for device in devices {
        let text = |file| attribute(roots, device, file).unwrap_or_default();
        let labels = [
            ("device", device.clone()),
            ("address", text("address")),
            ("broadcast", text("broadcast")),
            ("duplex", text("duplex")),
            ("operstate", text("operstate")),
            ("adminstate", admin_state(&text("flags")).to_owned()),
            ("ifalias", text("ifalias")),
        ];
        family.with(labels, 1.0);
    }
}

fn admin_state(flags: &str) -> &'static str {
    match number(flags) {
        None => "unknown",
        Some(flags) if flags as u64 & FLAG_UP != 0 => "up",
        Some(_) => "down",
    }
}
