//! Which Cilium pinned these maps, told from their names and sizes. Layouts that look alike differ by version.

use std::fmt;

/// A version of Cilium, as far as its maps tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// 1.13 or earlier; 1.12 is the oldest that was looked at.
    Until1_13,
    /// 1.14 or 1.15, whose maps differ only in the width of a field that is not read.
    V1_14,
    V1_16,
    V1_17,
    V1_18,
    V1_19,
    /// 1.20 or later.
    Since1_20,
}

/// What the folder of pinned maps shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// Bytes of a value of the policy maps, by the newest naming that is there.
    pub(super) policy: Option<(PolicyNaming, u32)>,
    pub(super) node_map_v2: bool,
    pub(super) backends_v2: bool,
    pub(super) backends_v3: bool,
    pub(super) ipcache: bool,
    pub(super) ipcache_v2: bool,
}

/// How the policy maps are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PolicyNaming {
    /// `cilium_policy_00042`
    Plain,
    /// `cilium_policy_v2_00042`
    V2,
    /// `cilium_policy_v3_00042`
    V3,
}

/// Judges. Old maps linger after an upgrade, so what counts is the newest sign, and a sign that must be there with it.
///
/// # Errors
///
/// A sentence on what does not fit together.
pub(super) fn judge(signs: &Signs) -> Result<Version, String> {
    let Some((naming, value_bytes)) = signs.policy else {
        return Err("no policy map, so the version of Cilium cannot be told".to_owned());
    };
    let version = match (naming, value_bytes) {
        (PolicyNaming::V3, 12) => Version::Since1_20,
        (PolicyNaming::V2, 12) => Version::V1_19,
        (PolicyNaming::V2, 8) => Version::V1_18,
        (PolicyNaming::V2, 24) => Version::V1_17,
        (PolicyNaming::Plain, 24) if signs.node_map_v2 => Version::V1_16,
        (PolicyNaming::Plain, 24) if signs.backends_v3 => Version::V1_14,
        (PolicyNaming::Plain, 24) => Version::Until1_13,
        _ => return Err(format!("policy maps named as {naming} have values of {value_bytes} bytes, which no known version has")),
    };
    let lacks = |name: &str| Err(format!("the policy maps are those of Cilium {version}, but {name} is not there"));
    if version >= Version::V1_18 && signs.ipcache && !signs.ipcache_v2 {
        return lacks("cilium_ipcache_v2");
    }
    if version >= Version::V1_14 && signs.backends_v2 && !signs.backends_v3 {
        return lacks("cilium_lb4_backends_v3");
    }
    Ok(version)
}

impl PolicyNaming {
    /// The naming of a pinned policy map. The suffix is the endpoint's number, so that `cilium_policystats` is none.
    pub(super) fn of(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("cilium_policy_")?;
        let (naming, number) = if let Some(number) = rest.strip_prefix("v3_") {
            (Self::V3, number)
        } else if let Some(number) = rest.strip_prefix("v2_") {
            (Self::V2, number)
        } else {
            (Self::Plain, rest)
        };
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(naming)
    }
}

impl fmt::Display for PolicyNaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "cilium_policy_N",
            Self::V2 => "cilium_policy_v2_N",
            Self::V3 => "cilium_policy_v3_N",
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Until1_13 => "1.13 or earlier",
            Self::V1_14 => "1.14 or 1.15",
            Self::V1_16 => "1.16",
            Self::V1_17 => "1.17",
            Self::V1_18 => "1.18",
            Self::V1_19 => "1.19",
            Self::Since1_20 => "1.20 or later",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(signs: Signs, expected: &str) {
        let got = judge(&signs).map_or_else(|why| why, |version| version.to_string());
        assert!(got.starts_with(expected), "{signs:?}: {got}, not {expected}");
    }

    #[test]
    fn versions() {
        let old = Signs { ipcache: true, backends_v2: true, ..Signs::default() };
        let middle = Signs { ipcache: true, backends_v3: true, ..Signs::default() };
        let new = Signs { ipcache_v2: true, backends_v3: true, node_map_v2: true, ..Signs::default() };
        let with = |signs: Signs, naming, bytes| Signs { policy: Some((naming, bytes)), ..signs };
        check(with(old, PolicyNaming::Plain, 24), "1.13 or earlier");
        check(with(middle, PolicyNaming::Plain, 24), "1.14 or 1.15");
        check(with(Signs { node_map_v2: true, ..middle }, PolicyNaming::Plain, 24), "1.16");
        check(with(middle, PolicyNaming::V2, 24), "1.17");
        check(with(new, PolicyNaming::V2, 8), "1.18");
        check(with(new, PolicyNaming::V2, 12), "1.19");
        check(with(new, PolicyNaming::V3, 12), "1.20 or later");
        // After an upgrade both are there.
        check(with(Signs { ipcache: true, backends_v2: true, ..new }, PolicyNaming::V3, 12), "1.20 or later");
    }

    #[test]
    fn what_does_not_fit_is_no_version() {
        let new = Signs { policy: Some((PolicyNaming::V3, 12)), ..Signs::default() };
        check(Signs::default(), "no policy map");
        check(Signs { policy: Some((PolicyNaming::V3, 16)), ..new }, "policy maps named as cilium_policy_v3_N have values of 16");
        check(Signs { ipcache: true, ..new }, "the policy maps are those of Cilium 1.20 or later, but cilium_ipcache_v2");
        check(Signs { backends_v2: true, ..new }, "the policy maps are those of Cilium 1.20 or later, but cilium_lb4_backends_v3");
    }

    #[test]
    fn names_of_policy_maps() {
        let check = |name: &str, expected| assert_eq!(PolicyNaming::of(name), expected, "{name}");
        check("cilium_policy_00042", Some(PolicyNaming::Plain));
        check("cilium_policy_v2_00042", Some(PolicyNaming::V2));
        check("cilium_policy_v3_1", Some(PolicyNaming::V3));
        check("cilium_policy_v4_1", None);
        check("cilium_policy_", None);
        check("cilium_policy_v3_1:pending", None);
        check("cilium_policystats", None);
    }
}
