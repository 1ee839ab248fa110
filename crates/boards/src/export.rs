//! The bodies in a backup.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::bodies::Bodies;

/// Puts every body of a shelf's folder into the folder `target` and gives their paths there. A body never changes, so that
/// both folders share it where one file system holds them. The shelf's own process is not asked.
pub fn export(folder: &Path, target: &Path) -> Result<Vec<PathBuf>, Error> {
    let bodies = Bodies::at(folder);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    fs::create_dir_all(target).map_err(Error::io("create", target))?;
    let mut files = Vec::new();
    for sha256 in bodies.all()? {
        let (from, to) = (bodies.path(&sha256), Bodies::at(target).path(&sha256));
        match fs::hard_link(&from, &to).or_else(|_| copy(&from, &to)) {
            Ok(()) => files.push(to),
            // Its dashboard was deleted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("write", &to)(error)),
        }
    }
    File::open(target).and_then(|folder| folder.sync_all()).map_err(Error::io("fsync", target))?;
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}
