//! Files that root reaches only because it may pass over permissions, which is among the capabilities that a running
//! process gives up: a home folder that is closed to others, the data of a user under whom skep ran before.

use std::path::{Path, PathBuf};

use probes::Capability;
use rustix::fs::{Access, AtFlags, CWD, accessat};

/// What to keep, so that the data folder stays writable and the files of the configuration readable after the start.
pub(crate) fn needed(data_dir: &Path, files: &[PathBuf]) -> Vec<Capability> {
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    // Looked for with all capabilities: what is closed to others seems not to be there without them.
    let Some(folder) = data_dir.ancestors().find(|folder| folder.exists()) else { return Vec::new() };
    let overriding = [Capability::DAC_OVERRIDE, Capability::DAC_READ_SEARCH];
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    // What no capability opens, such as a file system that is mounted to be read, is told where it fails.
    let is_folder_open = allows(folder, all);
    let readable: Vec<&PathBuf> = files.iter().filter(|file| allows(file, Access::READ_OK)).collect();
    let closed = probes::without(&overriding, || {
        (is_folder_open && !allows(folder, all), readable.into_iter().find(|file| !allows(file, Access::READ_OK)))
    });
    let Ok((is_folder_closed, unreadable)) = closed else { return Vec::new() };
    if let Some(file) = unreadable {
        say(file, Capability::DAC_READ_SEARCH, "read");
    }
    if is_folder_closed {
        say(folder, Capability::DAC_OVERRIDE, "write to");
        return vec![Capability::DAC_OVERRIDE];
    }
    unreadable.map(|_| Capability::DAC_READ_SEARCH).into_iter().collect()
}

fn allows(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

fn say(path: &Path, kept: Capability, verb: &str) {
    tracing::warn!(
        "{} is kept to {verb} {}, which its permissions do not allow; give it to the user that runs skep, or run skep as its owner",
        kept.name(),
        path.display()
    );
}
