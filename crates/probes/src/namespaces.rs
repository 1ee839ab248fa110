//! Which network namespaces a probe of tracepoints counts; `ebpf/include/namespace.h` is the programs' side.

use std::os::unix::fs::MetadataExt as _;
use std::str::FromStr;

use thiserror::Error as ThisError;

use crate::Error;

const OWN: &str = "/proc/self/ns/net";

/// Network namespaces, the key `namespaces` of a probe. Tracepoints see those of the whole machine, pods and
/// containers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// All of the machine.
    #[default]
    All,
    /// The one that skep runs in.
    Own,
}

/// The word names no choice of namespaces.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("unknown choice of network namespaces {0:?}; known are all and own")]
pub struct UnknownNamespaces(pub String);

impl FromStr for Namespaces {
    type Err = UnknownNamespaces;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "all" => Ok(Self::All),
            "own" => Ok(Self::Own),
            _ => Err(UnknownNamespaces(word.to_owned())),
        }
    }
}

impl Namespaces {
    /// The global that the programs compare with, and its value: the namespace's number, or 0 for all.
    pub(crate) fn global(self) -> Result<(&'static str, u32), Error> {
        let number = match self {
            Self::All => 0,
            Self::Own => number_of(OWN)?,
        };
        Ok(("namespace_wanted", number))
    }
}

/// The inode of the file that stands for a namespace; the kernel numbers namespaces by 32 bits.
fn number_of(path: &str) -> Result<u32, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(metadata.ino() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let check = |word: &str, expected| assert_eq!(word.parse::<Namespaces>().ok(), expected, "{word}");
        check("all", Some(Namespaces::All));
        check("own", Some(Namespaces::Own));
        check("host", None);
        assert_eq!(Namespaces::All.global().unwrap().1, 0);
        assert_ne!(Namespaces::Own.global().unwrap().1, 0);
    }
}
