//! Linux capabilities of this process, as `/proc/self/status` tells them.

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
pub(crate) const NET_ADMIN: u8 = 12;
/// Held instead of the newer, smaller ones.
pub(crate) const SYS_ADMIN: u8 = 21;
/// Read kernel memory and tracepoints from programs.
pub(crate) const PERFMON: u8 = 38;
/// Load programs and make maps; Linux 5.8 and later.
pub(crate) const BPF: u8 = 39;

/// A set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(pub(crate) u64);

/// The name of one.
pub(crate) fn name(number: u8) -> &'static str {
    NAMES.get(usize::from(number)).copied().unwrap_or("an unknown capability")
}

impl Capabilities {
    /// The effective set in the text of `/proc/self/status`; empty where the text does not say.
    pub(crate) fn from_status(status: &str) -> Self {
        let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Self(hex.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or_default())
    }

    /// The effective set of this process.
    pub(crate) fn effective() -> Self {
        Self::from_status(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    pub(crate) fn has(self, number: u8) -> bool {
        self.0 >> number & 1 == 1
    }

    /// Those of `wanted` that are missing, where CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON.
    pub(crate) fn missing(self, wanted: &[u8]) -> Vec<&'static str> {
        let covered = |number| self.has(number) || (matches!(number, BPF | PERFMON) && self.has(SYS_ADMIN));
        wanted.iter().filter(|number| !covered(**number)).map(|number| name(*number)).collect()
    }

    /// Names of all that are held, by number.
    pub(crate) fn names(self) -> Vec<String> {
        let held = (0..u64::BITS as u8).filter(|number| self.has(*number));
        held.map(|number| NAMES.get(usize::from(number)).map_or_else(|| format!("CAP_{number}"), ToString::to_string))
            .collect()
    }

    /// Names of those that this table knows and that are not held, by number.
    pub(crate) fn lacking(self) -> Vec<&'static str> {
        (0u8..).zip(NAMES).filter(|(number, _)| !self.has(*number)).map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cap_eff: &str, expected_missing: &[&str]) {
        let held = Capabilities::from_status(&format!("Name:\tskep\nCapEff:\t{cap_eff}\nCapBnd:\t0\n"));
        assert_eq!(held.missing(&[BPF, NET_ADMIN]), expected_missing, "{cap_eff}");
    }

    #[test]
    fn what_xdp_needs() {
        check("0000000000000000", &["CAP_BPF", "CAP_NET_ADMIN"]);
        check("000001ffffffffff", &[]);
        check("0000008000001000", &[]);
        check("0000000000201000", &[]);
        check("0000000000200000", &["CAP_NET_ADMIN"]);
        check("0000000000001000", &["CAP_BPF"]);
        check("not hex", &["CAP_BPF", "CAP_NET_ADMIN"]);
    }

    #[test]
    fn names() {
        assert_eq!(Capabilities(1 << 12 | 1 << 39).names(), ["CAP_NET_ADMIN", "CAP_BPF"]);
        assert_eq!(Capabilities(1 << 50).names(), ["CAP_50"]);
    }
}
