//! Patterns of what is left out.

use regex::Regex;

/// node_exporter's defaults.
const MOUNT_POINTS: &str = "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
const FS_TYPES: &str = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|\
                        mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|\
                        tracefs)$";
const DISKS: &str = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";

/// A regular expression that may match anywhere in a name, as node_exporter's flags do; write `^...$` to match all of it.
#[derive(Clone, Debug)]
pub struct Exclude(Option<Regex>);

impl PartialEq for Exclude {
    fn eq(&self, other: &Self) -> bool {
        self.pattern() == other.pattern()
    }
}

impl Exclude {
    /// Compiles a pattern; an empty one excludes nothing. The error is a sentence about the pattern.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Ok(Self(None));
        }
        // The crate draws the pattern over several lines; the last one says what is wrong with it.
        let reason = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().to_owned();
        let regex = Regex::new(pattern).map_err(|error| format!("{pattern:?}: {}", reason(error)))?;
        Ok(Self(Some(regex)))
    }

    /// The pattern, empty where nothing is excluded.
    pub fn pattern(&self) -> &str {
        self.0.as_ref().map_or("", Regex::as_str)
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(name))
    }

    pub(crate) fn nothing() -> Self {
        Self(None)
    }

    pub(crate) fn mount_points() -> Self {
        Self(Regex::new(MOUNT_POINTS).ok())
    }

    pub(crate) fn fs_types() -> Self {
        Self(Regex::new(FS_TYPES).ok())
    }

    pub(crate) fn disks() -> Self {
        Self(Regex::new(DISKS).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exclude: &Exclude, name: &str, expected: bool) {
        assert_eq!(exclude.matches(name), expected, "{} {name}", exclude.pattern());
    }

    #[test]
    fn defaults() {
        check(&Exclude::mount_points(), "/proc", true);
        check(&Exclude::mount_points(), "/dev/shm", true);
        check(&Exclude::mount_points(), "/", false);
        check(&Exclude::mount_points(), "/devices", false);
        check(&Exclude::fs_types(), "cgroup2", true);
        check(&Exclude::fs_types(), "ext4", false);
        check(&Exclude::disks(), "vda1", true);
        check(&Exclude::disks(), "vda", false);
        check(&Exclude::disks(), "nvme0n1p2", true);
        check(&Exclude::disks(), "nvme0n1", false);
        check(&Exclude::disks(), "zram0", true);
        check(&Exclude::nothing(), "anything", false);
    }

    #[test]
    fn patterns_of_people() {
        check(&Exclude::new("").unwrap(), "", false);
        check(&Exclude::new("^veth").unwrap(), "veth12", true);
        assert_eq!(Exclude::new("(").unwrap_err(), "\"(\": error: unclosed group");
    }
}
