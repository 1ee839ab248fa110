//! Patterns for device names: `*` stands for any text, `?` for one character.

/// Whether the whole name matches. Device names have at most 15 bytes, so backtracking costs nothing.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            let tails = name.char_indices().map(|(at, _)| &name[at..]).chain([""]);
            tails.into_iter().any(|tail| matches(rest.as_str(), tail))
        }
        Some(wanted) => {
            let mut name = name.chars();
            name.next().is_some_and(|found| wanted == '?' || wanted == found) && matches(rest.as_str(), name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }

    #[test]
    fn patterns() {
        check("eth0", "eth0", true);
        check("eth0", "eth01", false);
        check("eth*", "eth0", true);
        check("eth*", "eth", true);
        check("*", "wlan0", true);
        check("*0", "eth0", true);
        check("*0", "eth1", false);
        check("en?s*", "enps3", true);
        check("en?s*", "ens3", false);
        check("", "", true);
        check("", "lo", false);
        check("?", "", false);
    }
}
