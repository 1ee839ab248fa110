//! What rules in circulation ask for and no release of the program in question writes. A rule that asks for it loads and
//! works on data that have it; where there are none, its page says why and what shows the same.

use model::{MatchOp, Timestamp};

use crate::ask::Asker;

/// How far back data are looked for that have it after all.
const LOOK_BACK: &str = "1d";

/// A value that nothing writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unheard {
    /// How the metrics begin that would have it.
    metrics: &'static str,
    label: &'static str,
    value: &'static str,
    /// Why there is none.
    pub(super) why: &'static str,
    /// The built-in rule that watches what is meant.
    pub(super) instead: &'static str,
}

const ALL: [Unheard; 1] = [Unheard {
    metrics: "cilium_drop_",
    label: "reason",
    value: "NoEndpoint",
    why: "No release of Cilium has the drop reason NoEndpoint, and no series in the store has it: this rule cannot fire \
          here. Since Cilium 1.15 a service without backends is answered with an ICMP error that no counter sees. Where \
          packets are dropped instead (service-no-backend-response=drop, the default up to 1.14) the reason is \
          \"Service backend not found\". What shows it in any case is the service map: frontends without a backend.",
    instead: "CiliumServiceWithoutBackend",
}];

/// What an expression asks for in vain.
pub(super) fn remark(asker: &Asker, query: &str, at: Timestamp) -> Option<&'static Unheard> {
    let (found, selector) = asked(query)?;
    let count = format!("count(last_over_time({{{selector}}}[{LOOK_BACK}]))");
    asker.value(&count, at).is_none().then_some(found)
}

/// The first selector that asks for such a value, as its matchers.
fn asked(query: &str) -> Option<(&'static Unheard, String)> {
    let expr = promql::parse(query).ok()?;
    expr.selectors().find_map(|selector| {
        let has = |unheard: &&Unheard| {
            selector.name.starts_with(unheard.metrics)
                && selector.matchers.iter().any(|matcher| {
                    matcher.op() == MatchOp::Equal
                        && (matcher.name(), matcher.value()) == (unheard.label, unheard.value)
                })
        };
        let matchers: Vec<String> = selector.matchers.iter().map(ToString::to_string).collect();
        Some((ALL.iter().find(has)?, matchers.join(",")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_in_vain() {
        let check = |query: &str, expected: Option<&str>| {
            assert_eq!(asked(query).map(|(_, selector)| selector).as_deref(), expected, "{query}");
        };
        check(
            r#"sum(rate(cilium_drop_count_total{reason="NoEndpoint"}[5m])) > 100"#,
            Some(r#"reason="NoEndpoint",__name__="cilium_drop_count_total""#),
        );
        check(r#"cilium_drop_count_total{reason="Policy denied"} > 0"#, None);
        check(r#"cilium_drop_count_total{reason!="NoEndpoint"} > 0"#, None);
        check(r#"other{reason="NoEndpoint"}"#, None);
        check("sum(", None);
    }

    #[test]
    fn what_is_meant_is_watched() {
        for unheard in &ALL {
            let runbooks = include_str!("../../../rules/builtin/cilium.txt");
            assert!(runbooks.lines().any(|line| line.strip_prefix("# ") == Some(unheard.instead)), "{unheard:?}");
        }
    }
}
