//! Linux capabilities of this process: what is held, and giving up what is not needed.

use std::fmt;
use std::fs;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

use crate::Error;

/// Names by number, from `linux/capability.h` of Linux 6.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Attach programs to network devices.
pub(crate) const NET_ADMIN: Capability = Capability(12);
/// Look at objects of the kernel that others own, by their ids.
pub(crate) const SYS_ADMIN: Capability = Capability(21);
/// Read kernel memory and tracepoints from programs.
pub(crate) const PERFMON: Capability = Capability(38);
/// Load programs and make maps; Linux 5.8 and later.
pub(crate) const BPF: Capability = Capability(39);

/// One capability, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability(u8);

/// A set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(pub(crate) u64);

/// What is left after giving up the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduced {
    before: Capabilities,
    after: Capabilities,
}

impl Capability {
    /// Listen on ports below 1024.
    pub const NET_BIND_SERVICE: Self = Self(10);
    /// Read and write files whatever their permissions are.
    pub const DAC_OVERRIDE: Self = Self(1);
    /// Read files and search folders whatever their permissions are.
    pub const DAC_READ_SEARCH: Self = Self(2);

    /// The kernel's name for it.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("an unknown capability")
    }
}

impl Reduced {
    /// Whether anything was given up.
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }
}

impl fmt::Display for Reduced {
    /// The names of what is left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.after.names();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(" "))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::default(), |set, capability| set.with(&[capability]))
    }
}

impl Capabilities {
    /// The effective set of the calling thread; empty where the kernel does not tell.
    pub(crate) fn effective() -> Self {
        Self(capabilities(None).map(|sets| sets.effective.bits()).unwrap_or_default())
    }

    pub(crate) fn with(self, more: &[Capability]) -> Self {
        more.iter().fold(self, |set, capability| Self(set.0 | 1 << capability.0))
    }

    pub(crate) fn has(self, capability: Capability) -> bool {
        self.0 >> capability.0 & 1 == 1
    }

    /// Those of `wanted` that are missing, where CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON.
    pub(crate) fn missing(self, wanted: &[Capability]) -> Vec<&'static str> {
        let covered = |capability| self.has(capability) || (matches!(capability, BPF | PERFMON) && self.has(SYS_ADMIN));
        wanted.iter().filter(|capability| !covered(**capability)).map(|capability| capability.name()).collect()
    }

    /// Names of all that are held, by number.
    pub(crate) fn names(self) -> Vec<String> {
        let held = (0..u64::BITS as u8).filter(|number| self.has(Capability(*number)));
        held.map(|number| NAMES.get(usize::from(number)).map_or_else(|| format!("CAP_{number}"), ToString::to_string))
            .collect()
    }

    /// Names of those that this table knows and that are not held, by number.
    pub(crate) fn lacking(self) -> Vec<&'static str> {
        (0u8..).zip(NAMES).filter(|(number, _)| !self.has(Capability(*number))).map(|(_, name)| name).collect()
    }
}

/// `a, b and c`.
pub(crate) fn in_words(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

/// Does some work as a thread that does not have these capabilities; afterwards it has them again.
///
/// # Errors
/// The kernel refuses to change the capabilities of the thread; then nothing was done, or it goes on without them.
pub fn without<T>(capabilities_left_out: &[Capability], work: impl FnOnce() -> T) -> Result<T, Error> {
    let fail = |source: rustix::io::Errno| Error::GiveUp { source: source.into() };
    let before = capabilities(None).map_err(fail)?;
    let left_out = CapabilitySet::from_bits_retain(Capabilities::default().with(capabilities_left_out).0);
    let effective = before.effective.difference(left_out);
    set_capabilities(None, CapabilitySets { effective, ..before }).map_err(fail)?;
    let done = work();
    set_capabilities(None, before).map_err(fail)?;
    Ok(done)
}

/// The kernel keeps capabilities thread by thread: what one gives up, others that are there already keep.
pub(crate) fn ensure_alone() -> Result<(), Error> {
    match fs::read_dir("/proc/self/task").map_or(0, Iterator::count) {
        1 => Ok(()),
        threads => Err(Error::Threads { threads }),
    }
}

/// Gives up what is held beyond `wanted`, in every set that could give it back, for this thread and those it makes.
pub(crate) fn reduce_to(wanted: Capabilities) -> Result<Reduced, Error> {
    let fail = |source: rustix::io::Errno| Error::GiveUp { source: source.into() };
    let before = capabilities(None).map_err(fail)?;
    let kept = CapabilitySet::from_bits_retain(wanted.0) & before.permitted;
    // A program that skep might ever run gets none of them either. Without CAP_SETPCAP the bounding set stays as it is,
    // which no_new_privs makes harmless.
    for capability in before.permitted.difference(kept).iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = clear_ambient_capability_set();
    set_no_new_privs(true).map_err(fail)?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(fail)?;
    Ok(Reduced { before: Capabilities(before.permitted.bits()), after: Capabilities(kept.bits()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(held: u64, expected_missing: &[&str]) {
        assert_eq!(Capabilities(held).missing(&[BPF, NET_ADMIN]), expected_missing, "{held:x}");
    }

    #[test]
    fn what_xdp_needs() {
        check(0, &["CAP_BPF", "CAP_NET_ADMIN"]);
        check(0x1ff_ffff_ffff, &[]);
        check(0x80_0000_1000, &[]);
        check(0x20_1000, &[]);
        check(0x20_0000, &["CAP_NET_ADMIN"]);
        check(0x1000, &["CAP_BPF"]);
    }

    #[test]
    fn names() {
        assert_eq!(Capabilities(1 << 12 | 1 << 39).names(), ["CAP_NET_ADMIN", "CAP_BPF"]);
        assert_eq!(Capabilities(1 << 50).names(), ["CAP_50"]);
        assert_eq!(in_words(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn it_refuses_beside_other_threads() {
        // Tests run on threads of their own.
        assert!(matches!(ensure_alone(), Err(Error::Threads { .. })));
    }
}
