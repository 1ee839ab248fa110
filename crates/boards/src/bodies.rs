//! Files named by the hash of what they hold.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use crate::Error;

/// The ending of the files; others in the folder are not ours.
const ENDING: &str = "json";

/// A file under this name is not written to its end.
const UNFINISHED: &str = "tmp";

/// A folder of bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    folder: PathBuf,
}

impl Bodies {
    /// Opens the folder, which is made if it is not there, and takes out what was not written to its end.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let bodies = Self::at(folder);
        for path in bodies.files(UNFINISHED)? {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(bodies)
    }

    /// The bodies that lie in a folder, whoever writes there.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Keeps a body, which is on the disk when it returns.
    pub(crate) fn write(&self, sha256: &str, body: &[u8]) -> Result<(), Error> {
        let path = self.path(sha256);
        if path.exists() && self.read(sha256).is_ok() {
            return Ok(());
        }
        let unfinished = path.with_extension(UNFINISHED);
        let written = write_synced(&unfinished, body).map_err(Error::io("write", &unfinished));
        let moved = written.and_then(|()| fs::rename(&unfinished, &path).map_err(Error::io("rename", &unfinished)));
        if let Err(error) = moved {
            // What is left of it takes space that a full disk lacks.
            drop(fs::remove_file(&unfinished));
            return Err(error);
        }
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(Error::io("fsync", &self.folder))
    }

    /// A body, if it is what was written.
    pub(crate) fn read(&self, sha256: &str) -> Result<Vec<u8>, Error> {
        let path = self.path(sha256);
        let body = match fs::read(&path) {
            Ok(body) => body,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Damaged { path, reason: "the file is missing".to_owned() });
            }
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        match hash(&body) == sha256 {
            true => Ok(body),
            false => Err(Error::Damaged { path, reason: "the file is not what was written".to_owned() }),
        }
    }

    /// Takes a body out. What cannot be taken out now goes at the next start.
    pub(crate) fn remove(&self, sha256: &str) {
        let path = self.path(sha256);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "a body that nothing names stays for now");
        }
    }

    /// The hashes of all bodies that lie here.
    pub(crate) fn all(&self) -> Result<BTreeSet<String>, Error> {
        let files = self.files(ENDING)?;
        Ok(files.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect())
    }

    pub(crate) fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(sha256).with_extension(ENDING)
    }

    fn files(&self, ending: &str) -> Result<Vec<PathBuf>, Error> {
        let entries = fs::read_dir(&self.folder).map_err(Error::io("read", &self.folder))?;
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let is_hash = |path: &Path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            stem.len() == 2 * SHA256.output_len() && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        Ok(paths.filter(|path| path.extension().is_some_and(|is| is == ending) && is_hash(path)).collect())
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hash(body: &[u8]) -> String {
    digest(&SHA256, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_synced(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(body)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_or_is_called_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let bodies = Bodies::open(folder.path()).unwrap();
        let sum = hash(b"{}");
        bodies.write(&sum, b"{}").unwrap();
        assert_eq!(bodies.read(&sum).unwrap(), b"{}");
        fs::write(bodies.path(&sum), b"[]").unwrap();
        assert!(bodies.read(&sum).unwrap_err().to_string().contains("the file is not what was written"));
        bodies.write(&sum, b"{}").unwrap();
        assert_eq!(bodies.read(&sum).unwrap(), b"{}", "the same body heals it");
        bodies.remove(&sum);
        assert!(bodies.read(&sum).unwrap_err().to_string().contains("the file is missing"));
    }

    #[test]
    fn what_was_not_written_to_its_end_goes() {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join(hash(b"x")).with_extension(UNFINISHED);
        fs::write(&unfinished, b"x").unwrap();
        fs::write(folder.path().join("notes.tmp"), b"not ours").unwrap();
        assert!(Bodies::open(folder.path()).unwrap().all().unwrap().is_empty());
        assert!(!unfinished.exists() && folder.path().join("notes.tmp").exists());
    }
}
