//! The `uname` collector, from uname(2).

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector =
    HostCollector { name: "uname", help: "Names of the machine and its kernel.", open: |_| Box::new(collect) };

fn collect(_: &Roots, families: &mut Families) -> Result<(), Error> {
    let uname = rustix::system::uname();
    let labels = [
        ("sysname", uname.sysname()),
        ("release", uname.release()),
        ("version", uname.version()),
        ("machine", uname.machine()),
        ("nodename", uname.nodename()),
        ("domainname", uname.domainname()),
    ];
    let labels = labels.map(|(label, text)| (label, text.to_string_lossy().into_owned()));
    families.family("node_uname_info", MetricKind::Gauge, "What uname(2) tells; always 1.").with(labels, 1.0);
    Ok(())
}
