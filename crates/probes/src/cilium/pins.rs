//! The folder in which Cilium pins its maps.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;

use crate::bpf::Map;

use super::version::{PolicyNaming, Signs};

/// Where a root of the file system has the folder: as Cilium mounts bpffs, and where its agent falls back to.
const FOLDERS: [&str; 2] = ["sys/fs/bpf/tc/globals", "run/cilium/bpffs/tc/globals"];
/// The magic number of a bpffs.
const BPF_FS: u64 = 0xcafe_4a11;
/// Names that are looked at. A node with 250 pods has some 600; more are left out.
const NAMES_MAX: usize = 4096;

/// A folder of pinned maps as it is now.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    pub(super) folder: PathBuf,
    pub(super) names: BTreeSet<String>,
}

impl Pins {
    /// Looks at the folder that is configured, or at the places of Cilium below the roots.
    ///
    /// # Errors
    ///
    /// A sentence that names where was looked and what was found there.
    pub(super) fn find(configured: Option<&Path>, roots: &[PathBuf]) -> Result<Self, String> {
        let usual = || roots.iter().flat_map(|root| FOLDERS.map(|folder| root.join(folder))).collect();
        let folders: Vec<PathBuf> = configured.map_or_else(usual, |folder| vec![folder.to_owned()]);
        let mut reasons = Vec::new();
        for folder in folders {
            match Self::at(&folder) {
                Ok(pins) => return Ok(pins),
                Err(reason) => reasons.push(format!("{}: {reason}", folder.display())),
            }
        }
        Err(format!("no pinned maps of Cilium ({})", reasons.join("; ")))
    }

    fn at(folder: &Path) -> Result<Self, String> {
        let kind = statfs(folder).map_err(|error| error.to_string())?.f_type;
        if kind as u64 & u64::from(u32::MAX) != BPF_FS {
            return Err("not a bpffs; in a container, mount the host's /sys/fs/bpf with HostToContainer".to_owned());
        }
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?.flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let names: BTreeSet<_> = names.filter(|name| name.starts_with("cilium_")).take(NAMES_MAX).collect();
        if names.is_empty() { Err("empty".to_owned()) } else { Ok(Self { folder: folder.to_owned(), names }) }
    }

    /// What the names and one policy map tell of the version.
    pub(super) fn signs(&self) -> Signs {
        let has = |name: &str| self.names.contains(name);
        let named = self.names.iter().filter_map(|name| Some((PolicyNaming::of(name)?, name)));
        let newest = named.max_by_key(|(naming, _)| *naming);
        let value_bytes = |name: &String| Some(Map::at(&self.folder.join(name)).ok()?.shape().value_bytes);
        Signs {
            policy: newest.and_then(|(naming, name)| Some((naming, value_bytes(name)?))),
            node_map_v2: has("cilium_node_map_v2"),
            backends_v2: has("cilium_lb4_backends_v2") || has("cilium_lb6_backends_v2"),
            backends_v3: has("cilium_lb4_backends_v3") || has("cilium_lb6_backends_v3"),
            ipcache: has("cilium_ipcache"),
            ipcache_v2: has("cilium_ipcache_v2"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_none_are_named() {
        let check = |configured: Option<&str>, expected: &[&str]| {
            let reason = Pins::find(configured.map(Path::new), &[PathBuf::from("/nonexistent")]).unwrap_err();
            for part in expected {
                assert!(reason.contains(part), "{reason} lacks {part}");
            }
        };
        check(None, &["/nonexistent/sys/fs/bpf/tc/globals: ", "/nonexistent/run/cilium/bpffs/tc/globals: "]);
        check(Some("/proc"), &["/proc: not a bpffs"]);
    }
}
