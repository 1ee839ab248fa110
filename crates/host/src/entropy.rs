//! The `entropy` collector, from `/proc/sys/kernel/random`.

use model::Families;

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector =
    HostCollector { name: "entropy", help: "The kernel's pool of randomness.", open: |_| Box::new(collect) };

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let available = roots.proc("sys/kernel/random/entropy_avail")?.value()?;
    families.gauge("node_entropy_available_bits", "Bits of randomness in the pool.", available);
    let size = roots.proc("sys/kernel/random/poolsize")?.value()?;
    families.gauge("node_entropy_pool_size_bits", "Bits that the pool can hold.", size);
    Ok(())
}
