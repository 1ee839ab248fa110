//! How much memory this process may take: the limits of its control groups, else the memory of the machine.
//!
//! The files are those of cgroups(7) and proc_pid_mountinfo(5). Both versions are read, since a machine may have both
//! mounted; a limit of a group binds those below it, so that the smallest on the way to the root counts.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Version 1 writes the largest multiple of a page for "no limit"; nobody limits a process to four exbibytes.
const LIMIT_MEANT_MAX: u64 = 1 << 62;

/// Files of a group that hold a limit: the first two are version 2, the last one version 1.
const LIMIT_FILES: [&str; 3] = ["memory.max", "memory.high", "memory.limit_in_bytes"];

/// Version 1 says the smallest limit of the groups above here, also of those that a container does not see.
const HIERARCHY_FILE: &str = "memory.stat";
const HIERARCHY_KEY: &str = "hierarchical_memory_limit ";

/// Most memory that the process can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) bytes: u64,
    pub(crate) source: Source,
}

/// What sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Cgroup,
    Machine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cgroup => "the limit of its control group",
            Self::Machine => "the memory of the machine",
        })
    }
}

/// Reads a file to its end; `None` where that is not possible.
type Read<'r> = &'r dyn Fn(&Path) -> Option<String>;

/// What this process may have; `None` where the system does not say.
pub(crate) fn memory() -> Option<Memory> {
    find(&|path| fs::read_to_string(path).ok())
}

fn find(read: Read<'_>) -> Option<Memory> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total(&text));
    let machine = machine.map(|bytes| Memory { bytes, source: Source::Machine });
    let group = group_limit(read).map(|bytes| Memory { bytes, source: Source::Cgroup });
    [group, machine].into_iter().flatten().min_by_key(|memory| memory.bytes)
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes << 10)
}

fn group_limit(read: Read<'_>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    let folders = mounts.lines().filter_map(Mount::parse).filter_map(|mount| {
        let group = groups.lines().find_map(|line| group_of(line, mount.version))?;
        Some(folders(&mount, group))
    });
    folders.flatten().filter_map(|folder| limit_of(&folder, read)).min()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A mounted hierarchy that may hold limits of memory.
struct Mount {
    version: Version,
    /// The group that is seen at the mount point.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// `36 35 0:31 ROOT POINT OPTIONS... - TYPE SOURCE SUPER-OPTIONS`
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let version = match (after.next()?, after.nth(1)?) {
            ("cgroup2", _) => Version::Two,
            ("cgroup", options) if options.split(',').any(|option| option == "memory") => Version::One,
            _ => return None,
        };
        let mut before = before.split(' ').skip(3);
        Some(Self { version, root: unescape(before.next()?), point: unescape(before.next()?) })
    }
}

/// Spaces, tabs, newlines and backslashes stand as `\040` and so on.
fn unescape(path: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    PathBuf::from(escapes.iter().fold(path.to_owned(), |path, (escape, plain)| path.replace(escape, plain)))
}

/// The path of `ID:CONTROLLERS:PATH`, where it is of that version's hierarchy of memory.
fn group_of(line: &str, version: Version) -> Option<&Path> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let is_meant = match version {
        Version::One => controllers.split(',').any(|controller| controller == "memory"),
        Version::Two => controllers.is_empty(),
    };
    is_meant.then(|| Path::new(path))
}

/// The folder of a group and those above it, up to the mount point. A group that lies outside of what is mounted, as a
/// container's own path may, is the mount point itself.
fn folders(mount: &Mount, group: &Path) -> Vec<PathBuf> {
    let below = group.strip_prefix(&mount.root).unwrap_or(Path::new(""));
    let below = if below.components().any(|part| part.as_os_str() == "..") { Path::new("") } else { below };
    let folder = mount.point.join(below);
    folder.ancestors().take_while(|folder| folder.starts_with(&mount.point)).map(Path::to_path_buf).collect()
}

fn limit_of(folder: &Path, read: Read<'_>) -> Option<u64> {
    let own = LIMIT_FILES.iter().filter_map(|file| read(&folder.join(file))?.trim().parse().ok());
    let above = read(&folder.join(HIERARCHY_FILE)).and_then(|stat| {
        let line = stat.lines().find_map(|line| line.strip_prefix(HIERARCHY_KEY))?;
        line.trim().parse().ok()
    });
    own.chain(above).filter(|&limit| limit < LIMIT_MEANT_MAX).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:         500000 kB\nMemFree:  1 kB\n");
    const V2: (&str, &str) = ("/proc/self/mountinfo", "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    const V1: (&str, &str) = (
        "/proc/self/mountinfo",
        "1 2 0:3 / / rw - ext4 /dev/vda rw\n33 32 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
         34 32 0:30 /docker/x /sys/fs/cgroup/my\\040memory rw shared:9 - cgroup cgroup rw,memory\n",
    );

    /// Files as path and text; the memory in bytes and whether a group sets it.
    fn check(files: &[(&str, &str)], expected: Option<(u64, Source)>) {
        let read = |path: &Path| files.iter().find(|(p, _)| Path::new(p) == path).map(|(_, text)| (*text).to_owned());
        assert_eq!(find(&read).map(|memory| (memory.bytes, memory.source)), expected, "{files:?}");
    }

    #[test]
    fn without_groups_the_machine_counts() {
        let machine = Some((512_000_000, Source::Machine));
        check(&[], None);
        check(&[MEMINFO], machine);
        check(&[MEMINFO, V2], machine);
        check(&[MEMINFO, V2, ("/proc/self/cgroup", "0::/\n")], machine);
        check(&[MEMINFO, V2, ("/proc/self/cgroup", "0::/a\n"), ("/sys/fs/cgroup/a/memory.max", "max\n")], machine);
        check(
            &[MEMINFO, V2, ("/proc/self/cgroup", "0::/a\n"), ("/sys/fs/cgroup/a/memory.max", "600000000\n")],
            machine,
        );
    }

    #[test]
    fn version_2_counts_every_group_above() {
        let group = ("/proc/self/cgroup", "1:name=systemd:/x\n0::/a/b\n");
        let (own, high) = ("/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/b/memory.high");
        let above = "/sys/fs/cgroup/a/memory.max";
        check(&[MEMINFO, V2, group, (own, "3000000\n"), (above, "max\n")], Some((3_000_000, Source::Cgroup)));
        check(&[MEMINFO, V2, group, (own, "3000000\n"), (above, "2000000\n")], Some((2_000_000, Source::Cgroup)));
        check(&[MEMINFO, V2, group, (own, "3000000\n"), (high, "1000000\n")], Some((1_000_000, Source::Cgroup)));
        check(&[V2, group, (own, "3000000\n")], Some((3_000_000, Source::Cgroup)));
        let outside = ("/proc/self/cgroup", "0::/../c\n");
        check(&[V2, outside, ("/sys/fs/cgroup/memory.max", "4000\n")], Some((4000, Source::Cgroup)));
    }

    #[test]
    fn version_1_counts_what_is_above_the_mount() {
        let group = ("/proc/self/cgroup", "7:cpu,cpuacct:/z\n6:memory:/docker/x/y\n");
        let own = "/sys/fs/cgroup/my memory/y/memory.limit_in_bytes";
        let root = "/sys/fs/cgroup/my memory/memory.limit_in_bytes";
        let stat = "/sys/fs/cgroup/my memory/y/memory.stat";
        let unlimited = "9223372036854771712\n";
        check(&[MEMINFO, V1, group, (own, unlimited)], Some((512_000_000, Source::Machine)));
        check(&[MEMINFO, V1, group, (own, unlimited), (root, "5000\n")], Some((5000, Source::Cgroup)));
        let hierarchy = (stat, "cache 1\nhierarchical_memory_limit 4000\nx 2\n");
        check(&[MEMINFO, V1, group, (own, "5000\n"), hierarchy], Some((4000, Source::Cgroup)));
        let elsewhere = ("/proc/self/cgroup", "6:memory:/other\n");
        check(&[V1, elsewhere, (root, "6000\n")], Some((6000, Source::Cgroup)));
    }
}
