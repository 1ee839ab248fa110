//! What the index says of a dashboard.

use std::collections::BTreeMap;

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a dashboard came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Somebody imported it.
    #[default]
    Imported,
    /// It follows a file of the provisioning folder, named here from that folder on.
    File(String),
    /// It is part of the program.
    BuiltIn,
}

/// A state that a dashboard once had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// From 1, never used twice for a dashboard.
    pub number: u32,
    /// The hash of its body, in hexadecimal digits.
    pub sha256: String,
    /// The body's length.
    pub bytes: u64,
    /// When it was kept.
    pub saved: Timestamp,
    /// What whoever kept it said of it.
    #[serde(default)]
    pub note: String,
    /// Values of the file's inputs.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
}

/// A dashboard without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) title: String,
    /// Empty for none.
    pub(crate) folder: String,
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) origin: Origin,
    /// By rising number, never empty; the last one is shown.
    pub(crate) versions: Vec<Version>,
    pub(crate) panels: usize,
    /// How many things are not carried.
    pub(crate) losses: usize,
}

impl Entry {
    /// The version that is shown.
    pub(crate) fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }
}
