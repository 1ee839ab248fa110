//! The `conntrack` collector, from `/proc/sys/net/netfilter` and `/proc/net/stat/nf_conntrack`.

use model::Families;

use crate::roots::Roots;
use crate::text::File;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "conntrack",
    help: "Connection tracking: entries, limit and what went wrong.",
    open: |_| Box::new(collect),
};

/// Column of the file, metric, help. A kernel that lacks a column has its metric at zero, as node_exporter shows it.
const STATISTICS: [(&str, &str, &str); 8] = [
    ("found", "node_nf_conntrack_stat_found", "Lookups that found an entry."),
    ("invalid", "node_nf_conntrack_stat_invalid", "Packets that could not be tracked."),
    ("ignore", "node_nf_conntrack_stat_ignore", "Packets that belong to an entry already or need none."),
    ("insert", "node_nf_conntrack_stat_insert", "Entries inserted."),
    ("insert_failed", "node_nf_conntrack_stat_insert_failed", "Insertions that failed because the entry was there."),
    ("drop", "node_nf_conntrack_stat_drop", "Packets dropped because tracking failed."),
    ("early_drop", "node_nf_conntrack_stat_early_drop", "Entries dropped to make room in a full table."),
    ("search_restart", "node_nf_conntrack_stat_search_restart", "Lookups started anew because the table was resized."),
];

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let entries = roots.proc("sys/net/netfilter/nf_conntrack_count")?.value()?;
    let limit = roots.proc("sys/net/netfilter/nf_conntrack_max")?.value()?;
    families.gauge("node_nf_conntrack_entries", "Connections that are tracked.", entries);
    families.gauge("node_nf_conntrack_entries_limit", "Most connections that can be tracked.", limit);
    let file = roots.proc("net/stat/nf_conntrack")?;
    for (column, metric, help) in STATISTICS {
        families.gauge(metric, help, sum(&file, column)?);
    }
    Ok(())
}

/// A column summed over the CPUs; each has a line.
fn sum(file: &File, column: &str) -> Result<f64, Error> {
    let Some(at) = file.lines().next().and_then(|names| names.split_ascii_whitespace().position(|n| n == column))
    else {
        return Ok(0.0);
    };
    let words = file.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(at));
    words.map(|word| file.hex(word)).sum()
}
