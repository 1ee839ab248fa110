//! The `meminfo` collector, from `/proc/meminfo`.

use model::Families;

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector =
    HostCollector { name: "meminfo", help: "What memory is used for.", open: |_| Box::new(collect) };

const BYTES_PER_KB: f64 = 1024.0;

/// Every line becomes a metric, those of newer kernels too.
fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let file = roots.proc("meminfo")?;
    for line in file.lines() {
        let (field, rest) = line.split_once(':').ok_or_else(|| file.error("a colon was expected", line))?;
        let mut words = rest.split_ascii_whitespace();
        let value = file.number(words.next().ok_or_else(|| file.error("a number was expected", line))?)?;
        let name = metric_name(field);
        let help = format!("The field {field} of /proc/meminfo.");
        match words.next() {
            Some("kB") => families.gauge(format!("{name}_bytes"), help, value * BYTES_PER_KB),
            None => families.gauge(name, help, value),
            Some(unit) => return Err(file.error("an unknown unit", unit)),
        }
    }
    Ok(())
}

/// `Active(anon)` becomes `node_memory_Active_anon`.
fn metric_name(field: &str) -> String {
    format!("node_memory_{}", field.replace('(', "_").replace(')', ""))
}
