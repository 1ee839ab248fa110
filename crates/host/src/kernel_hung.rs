//! The `kernel_hung` collector, from `/proc/sys/kernel/hung_task_detect_count`.

use model::Families;

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "kernel_hung",
    help: "Tasks that the kernel found hanging; Linux 6.13 and later.",
    open: |_| Box::new(collect),
};

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let count = roots.proc("sys/kernel/hung_task_detect_count")?.value()?;
    families.counter("node_kernel_hung_tasks_total", "Tasks that were found hanging since boot.", count);
    Ok(())
}
