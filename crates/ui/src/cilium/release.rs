//! Releases of Cilium, as far as they decide which families there are.

use std::fmt;

/// `1.19`: major and minor number; families come and go with these alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release {
    major: u32,
    minor: u32,
}

/// The releases that have a family, where they are not all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// The first one.
    pub(super) since: Option<Release>,
    /// The last one.
    pub(super) until: Option<Release>,
}

impl Release {
    /// Reads `1.19`, `v1.19.2` and `1.20.0-pre.1`; nothing where a text does not begin like this.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim_start_matches('v').split(['.', '-']).map(|part| part.parse().ok());
        Some(Self { major: numbers.next()??, minor: numbers.next()?? })
    }

    fn next(self) -> Self {
        Self { minor: self.minor + 1, ..self }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Span {
    /// Why a running release cannot have the family; where the release is not known, which ones have it.
    pub(super) fn sentence(self, running: Option<Release>) -> String {
        let too_old = self.since.filter(|since| running.is_none_or(|running| running < *since));
        let gone = self.until.filter(|until| running.is_none_or(|running| running > *until));
        let too_old = too_old.map(|since| format!("Needs Cilium \u{2265} {since}."));
        let gone = gone.map(|until| format!("Gone since {}.", until.next()));
        [too_old, gone].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Whether a running release cannot have the family, whatever is set.
    pub(super) fn excludes(self, running: Option<Release>) -> bool {
        running.is_some() && !self.sentence(running).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_told_where_they_matter() {
        let check = |since: &str, until: &str, running: &str, expected: &str, excluded: bool| {
            let span = Span { since: Release::parse(since), until: Release::parse(until) };
            let running = Release::parse(running);
            assert_eq!((&*span.sentence(running), span.excludes(running)), (expected, excluded), "{since} {until}");
        };
        check("", "", "1.18.3", "", false);
        check("1.19", "", "v1.18.3", "Needs Cilium \u{2265} 1.19.", true);
        check("1.19", "", "1.19.0-rc.1", "", false);
        check("1.9", "", "1.18.0", "", false);
        check("", "1.19", "1.20.0", "Gone since 1.20.", true);
        check("", "1.19", "1.19.6", "", false);
        check("1.14", "1.18", "", "Needs Cilium \u{2265} 1.14. Gone since 1.19.", false);
        check("1.14", "", "master", "Needs Cilium \u{2265} 1.14.", false);
    }
}
