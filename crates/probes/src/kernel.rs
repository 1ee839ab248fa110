//! The version of the running kernel.

use std::fmt;

/// The first kernel that lets a process without CAP_BPF read maps by the descriptors that it holds, where unprivileged
/// BPF is off.
pub(crate) const KERNEL_MAPS_BY_DESCRIPTOR: Version = Version(5, 19);

/// Major and minor number; what distributions add behind does not tell what a kernel can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// Reads a release such as `6.1.0-18-amd64`.
    pub(crate) fn from_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// Of this machine; 0.0 where it cannot be read.
    pub(crate) fn current() -> Self {
        Self::from_release(&rustix::system::uname().release().to_string_lossy()).unwrap_or(Self(0, 0))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(release: &str, expected: Option<Version>) {
        assert_eq!(Version::from_release(release), expected, "{release}");
    }

    #[test]
    fn releases() {
        check("6.1.0-18-amd64", Some(Version(6, 1)));
        check("5.10", Some(Version(5, 10)));
        check("6.18.44-fc-v669", Some(Version(6, 18)));
        check("6.8-rc3", Some(Version(6, 8)));
        check("linux", None);
        assert!(Version(5, 9) < Version(5, 10));
    }
}
