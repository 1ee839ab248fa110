//! Dashboards inside the program.

use std::sync::LazyLock;

use crate::entry::{Entry, Origin, Version};
use crate::offer::{Inputs, Offer};

/// The folder that they are listed in.
pub(crate) const FOLDER: &str = "skep";

/// One for each file of `builtin/`.
const FILES: &[&str] = &[
    include_str!("../builtin/overview.json"),
    include_str!("../builtin/host.json"),
    include_str!("../builtin/network.json"),
    include_str!("../builtin/cilium-agent.json"),
    include_str!("../builtin/cilium-operator.json"),
    include_str!("../builtin/cilium-envoy.json"),
    include_str!("../builtin/cilium-clustermesh.json"),
    include_str!("../builtin/hubble.json"),
    include_str!("../builtin/hubble-relay.json"),
    include_str!("../builtin/skep-itself.json"),
];

/// A dashboard inside the program.
pub(crate) struct BuiltIn {
    pub(crate) uid: String,
    pub(crate) entry: Entry,
    pub(crate) json: &'static str,
}

/// All of them, read when somebody first asks.
pub(crate) static ALL: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| FILES.iter().filter_map(|json| read(json)).collect());

/// A test sees to it that each can be read.
fn read(json: &'static str) -> Option<BuiltIn> {
    let offer = Offer::read(json.as_bytes(), None, &Inputs::new()).ok()?;
    let version = Version {
        number: 1,
        sha256: offer.sha256,
        bytes: json.len() as u64,
        saved: 0,
        note: String::new(),
        inputs: Inputs::new(),
    };
    let entry = Entry {
        title: offer.title,
        folder: FOLDER.to_owned(),
        tags: offer.dashboard.tags.clone(),
        origin: Origin::BuiltIn,
        versions: vec![version],
        panels: offer.dashboard.panels().count(),
        losses: offer.report.count(),
    };
    Some(BuiltIn { uid: offer.uid, entry, json })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each file of the folder is in the list, is read whole, and has a uid of its own.
    #[test]
    fn every_file_is_carried_whole() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/builtin");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(FILES.len(), files, "a file of {folder} is not in FILES");
        assert_eq!(ALL.len(), files, "a file of {folder} cannot be read");
        let mut uids: Vec<&str> = ALL.iter().map(|builtin| builtin.uid.as_str()).collect();
        uids.sort_unstable();
        uids.dedup();
        assert_eq!(uids.len(), files);
        for builtin in ALL.iter() {
            let offer = Offer::read(builtin.json.as_bytes(), None, &Inputs::new()).unwrap();
            assert!(offer.report.is_empty(), "{}:\n{}", builtin.uid, offer.report);
        }
    }
}
