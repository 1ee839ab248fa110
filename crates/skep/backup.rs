//! `skep backup` and `skep restore`: the store by [`tsdb::backup`], the catalog by [`catalog::export`],
//! the dashboards by [`boards::export`].
//!
//! Both work on folders, not through a server: see [`tsdb::backup`] for why that is safe beside one that writes. The
//! files of the configuration are not in a backup: they are the user's own, and hold passwords.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use model::{Clock, SystemClock};
use tsdb::FileDisk;

/// Where the catalog lies in a data folder, and in a backup.
const CATALOG: &str = "catalog";

/// Where the bodies of dashboards lie in both.
pub(crate) const DASHBOARDS: &str = "dashboards";

/// What `skep backup` is told.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) data_dir: PathBuf,
    pub(crate) target: PathBuf,
}

/// What of a data folder is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All that was written.
    Whole,
    /// What is sealed in blocks.
    Sealed,
}

/// A copy that was made.
pub(crate) struct Copy {
    pub(crate) done: tsdb::Backup,
    /// Why the catalog may not be whole in it.
    incomplete: Option<String>,
}

impl Copy {
    /// What could not be copied, and why.
    pub(crate) fn missing(&self) -> impl Iterator<Item = String> {
        let catalog = |reason| format!("the catalog, with the state of alerts, may not be whole: {reason}");
        self.done.unreadable.iter().cloned().chain(self.incomplete.iter().map(catalog))
    }
}

/// Copies store, catalog and dashboards of a data folder.
pub(crate) fn copy(data_dir: &Path, target: &Path, part: Part) -> Result<Copy> {
    let mut incomplete = None;
    let extra = |folder: &Path| {
        let exported = catalog::export(&data_dir.join(CATALOG), &folder.join(CATALOG));
        let exported = exported.map_err(|error| tsdb::Error::Storage(error.into()))?;
        incomplete = exported.incomplete;
        // After the catalog, so that there is a body for all that it names.
        let bodies = boards::export(&data_dir.join(DASHBOARDS), &folder.join(DASHBOARDS));
        let bodies = bodies.map_err(|error| tsdb::Error::Storage(error.into()))?;
        Ok([exported.files, bodies].concat())
    };
    let now = SystemClock.now();
    let done = match part {
        Part::Whole => tsdb::backup(&FileDisk, data_dir, target, now, extra)?,
        Part::Sealed => tsdb::backup_sealed(&FileDisk, data_dir, target, now, extra)?,
    };
    Ok(Copy { done, incomplete })
}

/// Writes a backup and says what is in it; whether nothing had to be left out.
pub(crate) fn backup(options: &Options) -> Result<bool> {
    let Options { data_dir, target } = options;
    let copy =
        copy(data_dir, target, Part::Whole).with_context(|| format!("no backup of {} was made", data_dir.display()))?;
    for reason in copy.missing() {
        crate::complain(&format_args!("not in the backup: {reason}"));
    }
    crate::say(&format!(
        "{}: {} files, {}, {} of it shared with the data folder\n",
        target.display(),
        copy.done.files.len(),
        mebibytes(copy.done.bytes()),
        mebibytes(copy.done.shared_bytes),
    ));
    Ok(copy.missing().next().is_none())
}

/// Makes a data folder from a backup.
pub(crate) fn restore(options: &Options) -> Result<bool> {
    let Options { data_dir, target: backup } = options;
    let done = tsdb::restore(&FileDisk, backup, data_dir).context("nothing was restored")?;
    crate::say(&format!(
        "{}: {} files, {}, all as they were written; start `skep --data-dir {}`\n",
        data_dir.display(),
        done.files.len(),
        mebibytes(done.bytes()),
        data_dir.display(),
    ));
    Ok(true)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
