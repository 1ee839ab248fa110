//! The roots of file systems below which Cilium may have put its files.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// The root of the first process, which is the machine's own where skep runs in a container that shares its processes.
const FIRST: &str = "/proc/1/root";

/// This process's root, and the machine's where it is another one.
pub(super) struct Roots {
    /// Held open from the start, because looking it up takes CAP_SYS_PTRACE, which is given up afterwards.
    machine: Option<OwnedFd>,
}

impl Roots {
    pub(super) fn open() -> Self {
        let is_other = || {
            let (own, first) = (fs::metadata("/").ok()?, fs::metadata(FIRST).ok()?);
            Some((own.dev(), own.ino()) != (first.dev(), first.ino()))
        };
        let machine = || open(FIRST, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
        Self { machine: is_other().unwrap_or_default().then(machine).flatten() }
    }

    /// As paths; the machine's leads through the descriptor.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let machine = self.machine.iter().map(|fd| Path::new("/proc/self/fd").join(fd.as_raw_fd().to_string()));
        std::iter::once(PathBuf::from("/")).chain(machine).collect()
    }
}
