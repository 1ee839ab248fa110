//! The charts of the overview and of the eBPF page. `$node` is the selector of this machine's own collector.

use std::time::Duration;

use model::format_duration;

use crate::Ui;
use crate::format::Unit;
use crate::range::TimeRange;

/// Where a chart stands: a part of the overview, or the eBPF page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// This machine.
    Host,
    /// Counted by the XDP probe.
    Network,
    /// Cilium and Hubble.
    Cilium,
    /// The eBPF page.
    Bpf,
}

/// One chart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    /// Its name in addresses.
    pub(crate) id: &'static str,
    /// Where it stands.
    pub(crate) section: Section,
    /// Its title.
    pub(crate) title: &'static str,
    /// What it shows, in a few words.
    pub(crate) note: &'static str,
    /// What its values count.
    pub(crate) unit: Unit,
    /// What it means that there is nothing to show, and what to do.
    pub(crate) empty: &'static str,
    /// Whether its series are parts of a whole.
    pub(crate) stacked: bool,
    /// Legends and expressions.
    pub(crate) queries: &'static [(&'static str, &'static str)],
}

/// All charts, in the order of the page. Shares of CPU time are parts of all CPU time rather than of the cores: `rate` tells too
/// little of a series that is younger than its window, and the quotient does not. What is usual stands first where it is one of
/// several, so that it has the first colour and the bottom of the stack.
pub(crate) const ALL: &[Panel] = &[
    Panel {
        id: "cpu",
        section: Section::Host,
        title: "CPU",
        note: "share of all cores, by what they do",
        unit: Unit::Percent,
        empty: "No CPU time yet: a rate needs two collections. If it stays so, host.enabled is off.",
        stacked: true,
        queries: &[
            (
                "user",
                r#"100 * sum(rate(node_cpu_seconds_total{$node, mode=~"user|nice"}[$__rate_interval])) / sum(rate(node_cpu_seconds_total{$node}[$__rate_interval]))"#,
            ),
            (
                "system",
                r#"100 * sum(rate(node_cpu_seconds_total{$node, mode=~"system"}[$__rate_interval])) / sum(rate(node_cpu_seconds_total{$node}[$__rate_interval]))"#,
            ),
            (
                "interrupts",
                r#"100 * sum(rate(node_cpu_seconds_total{$node, mode=~"irq|softirq"}[$__rate_interval])) / sum(rate(node_cpu_seconds_total{$node}[$__rate_interval]))"#,
            ),
            (
                "waiting for disk",
                r#"100 * sum(rate(node_cpu_seconds_total{$node, mode=~"iowait"}[$__rate_interval])) / sum(rate(node_cpu_seconds_total{$node}[$__rate_interval]))"#,
            ),
            (
                "stolen",
                r#"100 * sum(rate(node_cpu_seconds_total{$node, mode=~"steal"}[$__rate_interval])) / sum(rate(node_cpu_seconds_total{$node}[$__rate_interval]))"#,
            ),
        ],
    },
    Panel {
        id: "memory",
        section: Section::Host,
        title: "Memory",
        note: "used, and what the kernel can give back",
        unit: Unit::Bytes,
        empty: "No memory figures: host.enabled is off, or this range is older than the store.",
        stacked: true,
        queries: &[
            ("used", "node_memory_MemTotal_bytes{$node} - node_memory_MemAvailable_bytes{$node}"),
            ("reclaimable", "node_memory_MemAvailable_bytes{$node} - node_memory_MemFree_bytes{$node}"),
            ("free", "node_memory_MemFree_bytes{$node}"),
        ],
    },
    Panel {
        id: "load",
        section: Section::Host,
        title: "Load",
        note: "processes that run or wait for the disk",
        unit: Unit::Short,
        empty: "No load figures: host.enabled is off, or this range is older than the store.",
        stacked: false,
        queries: &[
            ("1 min", "node_load1{$node}"),
            ("5 min", "node_load5{$node}"),
            ("15 min", "node_load15{$node}"),
            ("cores", r#"count(node_cpu_seconds_total{$node, mode="idle"})"#),
        ],
    },
    Panel {
        id: "disk",
        section: Section::Host,
        title: "Disk",
        note: "bytes read and written, by device",
        unit: Unit::BytesPerSecond,
        empty: "No disk was counted: containers often see none, and a rate needs two collections.",
        stacked: false,
        queries: &[
            (
                "{{device}} read",
                r#"rate(node_disk_read_bytes_total{$node, device!~"loop.*|ram.*|zram.*|dm-.*|sr.*"}[$__rate_interval])"#,
            ),
            (
                "{{device}} written",
                r#"rate(node_disk_written_bytes_total{$node, device!~"loop.*|ram.*|zram.*|dm-.*|sr.*"}[$__rate_interval])"#,
            ),
        ],
    },
    Panel {
        id: "interfaces",
        section: Section::Host,
        title: "Interfaces",
        note: "bytes as the kernel counts them, by device",
        unit: Unit::BytesPerSecond,
        empty: "No interface was counted: a rate needs two collections.",
        stacked: false,
        queries: &[
            (
                "{{device}} in",
                r#"rate(node_network_receive_bytes_total{$node, device!~"lo|veth.*|lxc.*|cali.*|docker.*|br-.*"}[$__rate_interval])"#,
            ),
            (
                "{{device}} out",
                r#"rate(node_network_transmit_bytes_total{$node, device!~"lo|veth.*|lxc.*|cali.*|docker.*|br-.*"}[$__rate_interval])"#,
            ),
        ],
    },
    Panel {
        id: "interface-drops",
        section: Section::Host,
        title: "Errors and drops",
        note: "packets the kernel lost, by device",
        unit: Unit::PacketsPerSecond,
        empty: "No interface was counted: a rate needs two collections.",
        stacked: false,
        queries: &[
            (
                "{{device}} dropped in",
                r#"rate(node_network_receive_drop_total{$node, device!~"lo|veth.*|lxc.*"}[$__rate_interval])"#,
            ),
            (
                "{{device}} dropped out",
                r#"rate(node_network_transmit_drop_total{$node, device!~"lo|veth.*|lxc.*"}[$__rate_interval])"#,
            ),
            (
                "{{device}} errors in",
                r#"rate(node_network_receive_errs_total{$node, device!~"lo|veth.*|lxc.*"}[$__rate_interval])"#,
            ),
        ],
    },
    Panel {
        id: "xdp-packets",
        section: Section::Network,
        title: "Packets by protocol",
        note: "received, each packet at the lowest device that it arrived at",
        unit: Unit::PacketsPerSecond,
        empty: "No packet was counted: the probe's state above says whether it runs; a rate needs two collections.",
        stacked: true,
        queries: &[(
            "{{family}} {{protocol}}",
            "sum by (family, protocol) (rate(skep_xdp_packets_total[$__rate_interval]) * on (instance, device) group_left () skep_xdp_device_info{layer=\"base\"}) > 0",
        )],
    },
    Panel {
        id: "xdp-bytes",
        section: Section::Network,
        title: "Bytes by protocol",
        note: "whole frames, each at the lowest device that it arrived at",
        unit: Unit::BytesPerSecond,
        empty: "No packet was counted: the probe's state above says whether it runs; a rate needs two collections.",
        stacked: true,
        queries: &[(
            "{{family}} {{protocol}}",
            "sum by (family, protocol) (rate(skep_xdp_bytes_total[$__rate_interval]) * on (instance, device) group_left () skep_xdp_device_info{layer=\"base\"}) > 0",
        )],
    },
    Panel {
        id: "xdp-devices",
        section: Section::Network,
        title: "Packets by device",
        note: "received, all protocols",
        unit: Unit::PacketsPerSecond,
        empty: "No packet was counted: the probe's state above says whether it runs; a rate needs two collections.",
        stacked: false,
        queries: &[("{{device}}", "sum by (device) (rate(skep_xdp_packets_total[$__rate_interval]))")],
    },
    Panel {
        id: "cilium-forward",
        section: Section::Cilium,
        title: "Forwarded",
        note: "packets the datapath passed, by direction",
        unit: Unit::PacketsPerSecond,
        empty: "No packet was forwarded, or the agent is not collected: the targets page says why.",
        stacked: false,
        queries: &[("{{direction}}", "sum by (direction) (rate(cilium_forward_count_total[$__rate_interval]))")],
    },
    Panel {
        id: "cilium-drops",
        section: Section::Cilium,
        title: "Dropped",
        note: "packets the datapath refused, by reason",
        unit: Unit::PacketsPerSecond,
        empty: "No packet was dropped in this range.",
        stacked: true,
        queries: &[("{{reason}}", "sum by (reason) (rate(cilium_drop_count_total[$__rate_interval]))")],
    },
    Panel {
        id: "cilium-endpoints",
        section: Section::Cilium,
        title: "Endpoints",
        note: "by state",
        unit: Unit::Short,
        empty: "The agent told of no endpoint: the targets page says whether it is collected.",
        stacked: true,
        queries: &[
            ("{{endpoint_state}}", r#"sum by (endpoint_state) (cilium_endpoint_state{endpoint_state="ready"})"#),
            ("{{endpoint_state}}", r#"sum by (endpoint_state) (cilium_endpoint_state{endpoint_state!="ready"})"#),
        ],
    },
    Panel {
        id: "hubble-flows",
        section: Section::Cilium,
        title: "Hubble flows",
        note: "by verdict",
        unit: Unit::PerSecond,
        empty: "No flow was counted. Hubble counts flows when hubble.metrics.enabled of the Helm chart lists flow.",
        stacked: true,
        queries: &[
            (
                "{{verdict}}",
                r#"sum by (verdict) (rate(hubble_flows_processed_total{verdict="FORWARDED"}[$__rate_interval]))"#,
            ),
            (
                "{{verdict}}",
                r#"sum by (verdict) (rate(hubble_flows_processed_total{verdict!="FORWARDED"}[$__rate_interval]))"#,
            ),
        ],
    },
    Panel {
        id: "hubble-drops",
        section: Section::Cilium,
        title: "Hubble drops",
        note: "by reason",
        unit: Unit::PerSecond,
        empty: "No drop was counted. Hubble counts drops when hubble.metrics.enabled of the Helm chart lists drop.",
        stacked: true,
        queries: &[("{{reason}}", "sum by (reason) (rate(hubble_drop_total[$__rate_interval]))")],
    },
    Panel {
        id: "bpf-pressure",
        section: Section::Cilium,
        title: "BPF map pressure",
        note: "share in use; nearly empty maps are not told",
        unit: Unit::Percent,
        empty: "No map is full enough to be told: below a threshold the agent leaves a map out.",
        stacked: false,
        queries: &[("{{map_name}}", "100 * max by (map_name) (cilium_bpf_map_pressure)")],
    },
    Panel {
        id: "bpf-programs",
        section: Section::Bpf,
        title: "Busiest programs",
        note: "share of a core, while runs are counted",
        unit: Unit::Percent,
        empty: "No run was counted in this range: the kernel counts them while this page is open, or always with probes.bpf.run_statistics: always.",
        stacked: false,
        queries: &[(
            "{{name}} {{attachment}}",
            "topk(6, 100 * sum by (name, attachment) (rate(skep_bpf_program_run_seconds_total[$__rate_interval])) > 0)",
        )],
    },
    Panel {
        id: "bpf-maps",
        section: Section::Bpf,
        title: "Fullest maps",
        note: "share of their room; those that drop what was not used for long are left out",
        unit: Unit::Percent,
        empty: "No entry of a map was counted in this range.",
        stacked: false,
        queries: &[("{{name}}", r#"topk(6, 100 * max by (name) (skep_bpf_map_pressure{type!~"lru_.*"}) > 0)"#)],
    },
];

/// Collections after which a chart that is still empty has another reason than its youth: a rate needs two, and not every
/// target is found at the first look.
const YOUNG_INTERVALS: u32 = 4;

/// The chart of this name.
pub(crate) fn find(id: &str) -> Option<&'static Panel> {
    ALL.iter().find(|panel| panel.id == id)
}

impl Panel {
    /// What the chart says where there is nothing to show.
    pub(crate) fn empty_note(&self, young: bool, interval: Duration) -> String {
        if !young {
            return self.empty.to_owned();
        }
        let every = format_duration(interval);
        format!("Collecting began a moment ago. The chart fills from now on, every {every}.")
    }
}

impl Ui {
    /// Whether what a range lacks may be missing because collecting has just begun.
    pub(crate) fn is_young(&self, range: &TimeRange) -> bool {
        range.end >= self.started && self.has_just_begun(self.state.config.interval)
    }

    /// Whether what is collected once in so long may not have come twice yet.
    pub(crate) fn has_just_begun(&self, interval: Duration) -> bool {
        let age = self.state.clock.now().saturating_sub(self.started);
        u128::try_from(age).is_ok_and(|age| age < (interval * YOUNG_INTERVALS).as_millis())
    }

    /// Matchers of the series that this machine's own host collector writes: its job and, where a target says so, its
    /// instance, so that node_exporters of other machines under the same job do not mix in.
    pub(crate) fn node_selector(&self) -> String {
        let targets = self.state.targets.active();
        let own = targets.iter().find(|target| target.job == "node" && target.url.starts_with("in-process:"));
        match own.and_then(|target| target.labels.get("instance")) {
            Some(instance) => format!(r#"job="node", instance={}"#, crate::format::literal(instance)),
            None => r#"job="node""#.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_expression_parses() {
        for panel in ALL {
            for (_, expr) in panel.queries {
                let expr = expr.replace("$node", r#"job="node""#).replace("$__rate_interval", "1m");
                assert!(promql::parse(&expr).is_ok(), "{}: {expr}: {:?}", panel.id, promql::parse(&expr).err());
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = ALL.iter().map(|panel| panel.id).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
