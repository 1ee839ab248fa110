//! Whether a group has something to tell a receiver.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Timestamp;

use crate::group::Told;
use crate::log::{Entry, Kept};

/// Why something is told; the words are those of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    First,
    NewAlerts,
    SomeResolved,
    AllResolved,
    Repeat,
}

impl Reason {
    /// As the payload's `notification_reason` says it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::First => "first notification",
            Self::NewAlerts => "new alerts added",
            Self::SomeResolved => "some alerts resolved",
            Self::AllResolved => "all alerts resolved",
            Self::Repeat => "repeat interval elapsed",
        }
    }
}

/// Decides by what was told last, as Alertmanager does.
pub(crate) fn decide(
    last: Option<&Entry>,
    told: &[Told],
    send_resolved: bool,
    repeat: Duration,
    now: Timestamp,
) -> Option<Reason> {
    let prints = |resolved| told.iter().filter(move |t| t.resolved == resolved).map(|t| t.fingerprint);
    let firing: BTreeSet<u64> = prints(false).collect();
    let resolved: BTreeSet<u64> = prints(true).collect();
    let Some(last) = last else { return (!firing.is_empty()).then_some(Reason::First) };
    let was_firing: BTreeSet<u64> = last.firing.iter().map(Kept::fingerprint).collect();
    let was_resolved: BTreeSet<u64> = last.resolved.iter().copied().collect();
    if !firing.is_subset(&was_firing) {
        // After all had ended it begins anew.
        return Some(if was_firing.is_empty() { Reason::First } else { Reason::NewAlerts });
    }
    if firing.is_empty() {
        return (!was_firing.is_empty()).then_some(Reason::AllResolved);
    }
    if send_resolved && !resolved.is_subset(&was_resolved) {
        return Some(Reason::SomeResolved);
    }
    let repeat = i64::try_from(repeat.as_millis()).unwrap_or(i64::MAX);
    // A last time in the future was written before the clock was set back.
    let elapsed = last.timestamp < now.saturating_sub(repeat) || last.timestamp > now;
    elapsed.then_some(Reason::Repeat)
}

#[cfg(test)]
mod tests {
    use model::{Alert, Labels};

    use super::*;

    fn alert(name: &str) -> Alert {
        Alert {
            labels: Labels::from_pairs([("alertname", name)]),
            annotations: Labels::empty(),
            starts_at: 0,
            ends_at: 0,
            generator_url: String::new(),
        }
    }

    /// `a` fires, `A` is resolved; a last entry of the same letters at minute 0, repeated after 60.
    fn check(last: Option<&str>, now: &str, send_resolved: bool, minute: i64, expected: Option<Reason>) {
        let name = |c: char| c.to_lowercase().to_string();
        let print = |c: char| crate::fingerprint(&alert(&name(c)).labels);
        let last = last.map(|letters| Entry {
            timestamp: 0,
            expires: i64::MAX,
            firing: letters.chars().filter(|c| c.is_lowercase()).map(|c| Kept::new(&alert(&name(c)))).collect(),
            resolved: letters.chars().filter(|c| c.is_uppercase()).map(print).collect(),
        });
        let told: Vec<Told> = now
            .chars()
            .map(|c| Told { alert: alert(&name(c)), fingerprint: print(c), resolved: c.is_uppercase() })
            .collect();
        let got = decide(last.as_ref(), &told, send_resolved, Duration::from_secs(3600), minute * 60_000);
        assert_eq!(got, expected, "{last:?} {now}");
    }

    #[test]
    fn decides_as_alertmanager() {
        check(None, "a", true, 0, Some(Reason::First));
        check(None, "A", true, 0, None);
        check(Some("a"), "a", true, 30, None);
        check(Some("a"), "a", true, 61, Some(Reason::Repeat));
        check(Some("a"), "ab", true, 1, Some(Reason::NewAlerts));
        check(Some("ab"), "aB", true, 1, Some(Reason::SomeResolved));
        check(Some("ab"), "aB", false, 1, None);
        check(Some("aB"), "aB", true, 1, None);
        check(Some("a"), "A", true, 1, Some(Reason::AllResolved));
        check(Some("a"), "A", false, 1, Some(Reason::AllResolved));
        check(Some("A"), "A", true, 100, None);
        check(Some("A"), "a", true, 1, Some(Reason::First));
        // The clock was set back.
        check(Some("a"), "a", true, -1, Some(Reason::Repeat));
    }
}
