//! The `filefd` collector, from `/proc/sys/fs/file-nr`.

use model::Families;

use crate::roots::Roots;
use crate::{Error, HostCollector};

pub(crate) const COLLECTOR: HostCollector = HostCollector {
    name: "filefd",
    help: "Open files of the whole machine and their limit.",
    open: |_| Box::new(collect),
};

fn collect(roots: &Roots, families: &mut Families) -> Result<(), Error> {
    let file = roots.proc("sys/fs/file-nr")?;
    // The second number is always 0 since Linux 2.6.
    let [allocated, _, maximum] = file.numbers(&file.text)?[..] else {
        return Err(file.error("three numbers were expected", &file.text));
    };
    families.gauge("node_filefd_allocated", "Open file handles.", allocated);
    families.gauge("node_filefd_maximum", "Most file handles that may be open.", maximum);
    Ok(())
}
