//! What forbids BPF although the capabilities are there: a user namespace, a seccomp profile, kernel lockdown.

use std::fs;

/// What EPERM means to a process that has the capabilities, and what to do.
pub(crate) const REFUSED: &str = "the kernel refuses bpf(2) although the capabilities are there; a user namespace, a \
                                  container's seccomp profile, kernel lockdown or RLIMIT_MEMLOCK forbids it: allow it there";

/// What a probe lacks whose programs read kernel memory, and what to do.
pub(crate) const LOCKED: &str = "kernel lockdown is at confidentiality, which forbids programs that read kernel memory; boot \
                                 with lockdown=integrity, which is what Secure Boot asks for";

/// How the kernel is locked down: `none`, `integrity` or `confidentiality`. None where it does not tell.
pub(crate) fn lockdown() -> Option<String> {
    mode(&fs::read_to_string("/sys/kernel/security/lockdown").ok()?).map(str::to_owned)
}

/// The file lists all modes, the one in force in brackets.
fn mode(text: &str) -> Option<&str> {
    text.split_once('[')?.1.split_once(']').map(|(mode, _)| mode)
}

/// Whether programs may not call the helper that reads kernel memory.
pub(crate) fn forbids_reading(lockdown: Option<&str>) -> bool {
    lockdown == Some("confidentiality")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let check = |text: &str, expected| assert_eq!(mode(text), expected, "{text:?}");
        check("[none] integrity confidentiality\n", Some("none"));
        check("none integrity [confidentiality]\n", Some("confidentiality"));
        check("none", None);
        check("", None);
        assert_eq!([None, Some("integrity"), Some("confidentiality")].map(forbids_reading), [false, false, true]);
    }
}
