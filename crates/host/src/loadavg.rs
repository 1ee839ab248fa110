//! The `loadavg` collector, from `/proc/loadavg`.

use model::Families;

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector =
    HostCollector { name: "loadavg", help: "Load averages.", open: |_| Box::new(collect) };

const METRICS: [(&str, &str); 3] = [
    ("node_load1", "Load average over one minute."),
    ("node_load5", "Load average over five minutes."),
    ("node_load15", "Load average over fifteen minutes."),
];

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let file = roots.proc("loadavg")?;
    let mut words = file.text.split_ascii_whitespace();
    for (name, help) in METRICS {
        let word = words.next().ok_or_else(|| file.error("three numbers were expected", &file.text))?;
        families.gauge(name, help, file.number(word)?);
    }
    Ok(())
}
