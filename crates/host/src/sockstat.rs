//! The `sockstat` collector, from `/proc/net/sockstat` and `/proc/net/sockstat6`.

use model::Families;

use crate::roots::Roots;
use crate::text::File;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector =
    HostCollector { name: "sockstat", help: "Sockets by protocol and state.", open: |_| Box::new(collect) };

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    protocols(&roots.proc("net/sockstat")?, families)?;
    // Absent where IPv6 is switched off.
    match roots.proc("net/sockstat6") {
        Ok(file) => protocols(&file, families),
        Err(_) => Ok(()),
    }
}

/// Lines such as `TCP: inuse 5 orphan 0`. Memory is counted in pages, and told in bytes too.
fn protocols(file: &File, families: &mut Families) -> Result<(), Error> {
    for line in file.lines() {
        let (protocol, rest) = line.split_once(':').ok_or_else(|| file.error("a colon was expected", line))?;
        let mut words = rest.split_ascii_whitespace();
        while let (Some(name), Some(number)) = (words.next(), words.next()) {
            let value = file.number(number)?;
            let help = format!("{protocol} sockets: the field {name}.");
            families.gauge(format!("node_sockstat_{protocol}_{name}"), help, value);
            if name == "mem" {
                let help = format!("Bytes that {protocol} sockets use for buffers.");
                let bytes = value * rustix::param::page_size() as f64;
                families.gauge(format!("node_sockstat_{protocol}_mem_bytes"), help, bytes);
            }
        }
    }
    Ok(())
}
