//! Where the host's files are, and reading them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::text::File;
use crate::{Config, Error};

/// The folders under which everything is looked up.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    proc: PathBuf,
    sys: PathBuf,
    root: PathBuf,
}

impl Roots {
    pub(crate) fn new(config: &Config) -> Self {
        Self { proc: config.proc_path.clone(), sys: config.sys_path.clone(), root: config.root_path.clone() }
    }

    pub(crate) fn proc(&self, path: &str) -> Result<File, Error> {
        read(&self.proc.join(path))
    }

    pub(crate) fn sys(&self, path: &str) -> Result<File, Error> {
        read(&self.sys.join(path))
    }

    /// A file of the host's own tree; `path` may begin with a slash.
    pub(crate) fn root(&self, path: &str) -> Result<File, Error> {
        read(&self.root_path(path))
    }

    pub(crate) fn root_path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A mount point as the host names it: in a container the host's tree lies below the root folder.
    pub(crate) fn strip(&self, mount_point: String) -> String {
        match Path::new(&mount_point).strip_prefix(&self.root) {
            Ok(rest) => format!("/{}", rest.display()),
            Err(_) => mount_point,
        }
    }

    /// The trimmed text of a file below `/sys`; `None` where there is none or the driver refuses to tell.
    pub(crate) fn attribute(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.sys.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    /// Names in a folder below `/sys`, sorted.
    pub(crate) fn names(&self, path: &str) -> Result<Vec<String>, Error> {
        let folder = self.sys.join(path);
        let entries = fs::read_dir(&folder).map_err(|source| read_error(&folder, source))?;
        let mut names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }
}

fn read(path: &Path) -> Result<File, Error> {
    let bytes = fs::read(path).map_err(|source| read_error(path, source))?;
    Ok(File { path: path.display().to_string(), text: String::from_utf8_lossy(&bytes).into_owned() })
}

fn read_error(path: &Path, source: io::Error) -> Error {
    Error::Read { path: path.display().to_string(), source }
}
