//! A snapshot of a catalog that another process may have open.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::{Catalog, Error, State, snapshot};

/// A copy that was taken while the database wrote may be torn, which its checksums tell; then another one is taken.
const ATTEMPTS_MAX: u32 = 5;

/// The database writes for a few milliseconds at a time.
const PAUSE: Duration = Duration::from_millis(50);

/// What [`export`] wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// The files, none where there is no catalog or nothing was ever changed.
    pub files: Vec<PathBuf>,
    /// Why not all of the catalog may be in them, in words; `None` if all is.
    pub incomplete: Option<String>,
}

/// Writes everything that the catalog of `folder` holds to the folder `target`, from which it opens as a catalog. The
/// catalog's own process is not asked and not disturbed: the database is copied, and the copy is opened.
pub fn export(folder: &Path, target: &Path) -> Result<Export, Error> {
    if !folder.is_dir() {
        return Ok(Export::default());
    }
    fs::create_dir_all(target).map_err(Error::io("create", target))?;
    let scratch = target.join("copy.tmp");
    let outcome = settled_copy(folder, &scratch).and_then(|incomplete| {
        let (made, file) = (snapshot::path(&scratch), snapshot::path(target));
        if !made.exists() {
            return Ok(Export { files: Vec::new(), incomplete });
        }
        fs::copy(made, &file).map_err(Error::io("write", &file))?;
        let sync = |path: &Path| fs::File::open(path).and_then(|file| file.sync_all());
        sync(&file).and_then(|()| sync(target)).map_err(Error::io("fsync", &file))?;
        Ok(Export { files: vec![file], incomplete })
    });
    let removed = remove(&scratch);
    outcome.and_then(|done| removed.map(|()| done))
}

/// Removes a folder in which the threads of a database that was just closed may still write.
fn remove(scratch: &Path) -> Result<(), Error> {
    let mut attempts = 0;
    loop {
        match fs::remove_dir_all(scratch) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) if attempts < 10 * ATTEMPTS_MAX => thread::sleep(PAUSE),
            outcome => return outcome.map_err(Error::io("remove", scratch)),
        }
        attempts += 1;
    }
}

/// Copies until the copy is sound; the last one is taken as it is, with what its snapshot fills in, and says so.
fn settled_copy(folder: &Path, scratch: &Path) -> Result<Option<String>, Error> {
    for attempt in 1..=ATTEMPTS_MAX {
        remove(scratch)?;
        copy(folder, scratch).map_err(Error::io("copy", folder))?;
        let catalog = Catalog::open(scratch)?;
        let incomplete = match catalog.state() {
            State::Open => None,
            State::Recovered(reason) | State::ReadOnly(reason) => Some(reason),
        };
        if incomplete.is_none() || attempt == ATTEMPTS_MAX {
            catalog.save()?;
            return Ok(incomplete);
        }
        drop(catalog);
        thread::sleep(PAUSE);
    }
    Ok(None)
}

/// Snapshot first, so that the database is not older.
fn copy(folder: &Path, scratch: &Path) -> io::Result<()> {
    fs::create_dir_all(scratch.join("db"))?;
    copy_file(&snapshot::path(folder), &snapshot::path(scratch))?;
    copy_folder(&folder.join("db"), &scratch.join("db"))
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Files may go meanwhile, and the snapshot may not be there yet.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
