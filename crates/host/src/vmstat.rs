//! The `vmstat` collector, from `/proc/vmstat`.

use model::{Families, MetricKind};

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "vmstat",
    help: "Paging, swapping, page faults and kills for lack of memory.",
    open: |_| Box::new(collect),
};

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let file = roots.proc("vmstat")?;
    for line in file.lines() {
        let (name, number) =
            line.split_once(' ').ok_or_else(|| file.error("a name and a number were expected", line))?;
        if is_wanted(name) {
            let help = format!("The field {name} of /proc/vmstat.");
            let value = file.number(number.trim())?;
            families.family(format!("node_vmstat_{name}"), MetricKind::Unknown, help).value(value);
        }
    }
    Ok(())
}

/// node_exporter's default selection out of more than a hundred fields.
fn is_wanted(name: &str) -> bool {
    ["oom_kill", "pgpg", "pswp"].iter().any(|prefix| name.starts_with(prefix))
        || name.strip_prefix("pg").is_some_and(|rest| rest.contains("fault"))
}
