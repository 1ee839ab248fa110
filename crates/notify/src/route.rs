//! The tree of routes.

use std::time::Duration;

use model::{Labels, Matcher};

use crate::matchers;

/// Which labels alerts of one group share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// All of them: each alert is a group of its own. Written `...`.
    All,
    /// These, where an alert has them.
    Labels(Vec<String>),
}

/// A route, every setting filled in from its parents.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its place in the tree: routes with the same matchers have groups of their own.
    pub place: String,
    /// Its and its parents' matchers; a part of group keys.
    pub key: String,
    /// All must hold; the root has none.
    pub matchers: Vec<Matcher>,
    /// Who is told.
    pub receiver: String,
    /// How alerts are grouped.
    pub group_by: GroupBy,
    /// Time from a group's first alert to its first notification.
    pub group_wait: Duration,
    /// Time between looks at a group.
    pub group_interval: Duration,
    /// Time until something that did not change is told again.
    pub repeat_interval: Duration,
    /// Time intervals in which nobody is told.
    pub mute: Vec<String>,
    /// Time intervals outside of which nobody is told; none is always.
    pub active: Vec<String>,
    /// Whether the routes behind it are asked too when it matched.
    pub goes_on: bool,
    /// The first one that matches takes an alert away from its parent.
    pub routes: Vec<Route>,
}

impl Route {
    /// The root, with Alertmanager's defaults.
    pub fn root(receiver: impl Into<String>) -> Self {
        Self {
            place: "0".to_owned(),
            key: "{}".to_owned(),
            matchers: Vec::new(),
            receiver: receiver.into(),
            group_by: GroupBy::Labels(Vec::new()),
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(300),
            repeat_interval: Duration::from_secs(4 * 3600),
            mute: Vec::new(),
            active: Vec::new(),
            goes_on: false,
            routes: Vec::new(),
        }
    }

    /// The route at `index` below `self` with the settings it inherits.
    pub(crate) fn child(&self, index: usize, matchers: Vec<Matcher>) -> Self {
        let place = format!("{}.{index}", self.place);
        let key = format!("{}/{}", self.key, matchers::spell(&matchers));
        let (mute, active, routes) = (Vec::new(), Vec::new(), Vec::new());
        Self { place, key, matchers, mute, active, goes_on: false, routes, ..self.clone() }
    }

    /// The routes that take an alert: the deepest ones that match.
    pub fn matching<'a>(&'a self, labels: &Labels) -> Vec<&'a Route> {
        if !self.matchers.iter().all(|matcher| matcher.matches_labels(labels)) {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for route in &self.routes {
            let below = route.matching(labels);
            let matched = !below.is_empty();
            taken.extend(below);
            if matched && !route.goes_on {
                break;
            }
        }
        if taken.is_empty() { vec![self] } else { taken }
    }

    /// The labels that name an alert's group.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => labels.filter(|name| names.iter().any(|n| n == name)),
        }
    }

    /// The key of a group, as Alertmanager spells it.
    pub fn group_key(&self, group_labels: &Labels) -> String {
        let labels: Vec<String> =
            group_labels.iter().map(|(name, value)| format!("{name}={}", template::quote(value))).collect();
        format!("{}:{{{}}}", self.key, labels.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Route {
        let mut root = Route::root("default");
        let child = |parent: &Route, text: &str, receiver: &str| {
            let mut route = parent.child(0, matchers::parse(text).unwrap());
            route.receiver = receiver.to_owned();
            route
        };
        let mut team = child(&root, "team=x", "x");
        team.goes_on = true;
        team.routes = vec![child(&team, "severity=critical", "pager")];
        let all = child(&root, "severity=critical", "critical");
        root.routes = vec![team, all];
        root
    }

    fn check(labels: &[(&str, &str)], expected: &[&str]) {
        let tree = tree();
        let labels = Labels::from_pairs(labels.iter().copied());
        let got: Vec<&str> = tree.matching(&labels).iter().map(|route| route.receiver.as_str()).collect();
        assert_eq!(got, expected, "{labels}");
    }

    #[test]
    fn takes_the_deepest_and_goes_on_where_asked() {
        check(&[("a", "b")], &["default"]);
        check(&[("team", "x")], &["x"]);
        check(&[("team", "x"), ("severity", "critical")], &["pager", "critical"]);
        check(&[("severity", "critical")], &["critical"]);
    }

    #[test]
    fn spells_keys_as_alertmanager() {
        let route = &tree().routes[0].routes[0];
        let labels = Labels::from_pairs([("a b", "q\"<x>"), ("alertname", "A")]);
        assert_eq!(route.group_key(&labels), r#"{}/{team="x"}/{severity="critical"}:{a b="q\"<x>", alertname="A"}"#);
    }
}
