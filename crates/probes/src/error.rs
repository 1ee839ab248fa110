//! Why a probe does not run or could not be read.

use std::io;

use thiserror::Error;

/// What went wrong.
#[derive(Debug, Error)]
pub enum Error {
    /// This machine lacks something.
    #[error("{reason}")]
    Unsupported {
        /// What is missing and what to do.
        reason: String,
    },
    /// The kernel did not take the program.
    #[error("load {object}: {reason}")]
    Load {
        /// The name of the object or program.
        object: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// A map could not be read or written.
    #[error("map {map}: {source}")]
    Map {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        source: aya::maps::MapError,
    },
    /// A file of `/proc` or `/sys` could not be read.
    #[error("read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel did not list its objects.
    #[error("list BPF {what}: {source}")]
    List {
        /// Programs or maps.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The process may open no more files.
    #[error("open a descriptor: {0}")]
    Descriptor(io::Error),
    /// Capabilities belong to threads, and there are several already.
    #[error("cannot give up capabilities for all of {threads} threads")]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// The kernel did not let capabilities be given up.
    #[error("give up capabilities: {source}")]
    GiveUp {
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn map(map: &'static str, source: aya::maps::MapError) -> Self {
        Self::Map { map, source }
    }
}
