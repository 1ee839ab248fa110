//! What of Cilium is in the store now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::status::TargetStatus;
use model::{METRIC_NAME, SCRAPE_SERIES, Timestamp};

use super::catalogue::{CATALOGUE, ENDPOINTS, Family, owner};
use crate::ask::Asker;
use crate::format::literal;

/// A job and an instance: what a target's series have in common.
type Key = (String, String);
/// Series by metric name.
type Names = BTreeMap<String, u64>;

/// An endpoint's targets and families.
#[derive(Debug, Default)]
pub(super) struct Surveyed {
    pub(super) targets: Vec<TargetStatus>,
    /// Targets that are only known by their series.
    pub(super) others: usize,
    pub(super) series: u64,
    /// Series of each family of the catalogue, by its place there.
    pub(super) families: HashMap<usize, u64>,
    /// Series of names that the catalogue does not have.
    pub(super) unknown: Names,
}

/// All of them, in the order of [`ENDPOINTS`].
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) endpoints: Vec<Surveyed>,
    pub(super) version: String,
    /// Names of the past that are in the store.
    pub(super) old: BTreeSet<String>,
}

/// Names by which Cilium's programs are told from others.
const SIGNED: &str = r#"count by (__name__, job, instance) ({__name__=~"(cilium|hubble|envoy|etcd)_.+"})"#;

/// Asks the store which targets show Cilium's families, and counts all their series.
pub(super) fn survey(asker: &Asker, active: &[TargetStatus], now: Timestamp) -> Survey {
    let owners = owners(&by_target(asker, SIGNED, now), active);
    let all = by_target(asker, &all_of(owners.keys()), now);
    let mut endpoints: Vec<Surveyed> = ENDPOINTS.iter().map(|_| Surveyed::default()).collect();
    for (key, endpoint) in &owners {
        let target = active.iter().find(|target| key_of(target) == *key);
        let names = all.get(key).cloned().unwrap_or_default();
        endpoints[*endpoint].add(target.cloned(), *endpoint, names);
    }
    let version = asker.values("cilium_version", now);
    let version = version.first().and_then(|(labels, _)| labels.get("version")).unwrap_or_default();
    let names: BTreeSet<&str> = all.values().flatten().map(|(name, _)| name.as_str()).collect();
    let old = CATALOGUE.renamed.iter().map(|renamed| renamed.old);
    let old = old.filter(|old| names.iter().any(|name| name == old || super::catalogue::is_part(name, old)));
    let old = old.map(ToOwned::to_owned).collect();
    Survey { endpoints, version: version.split(' ').next().unwrap_or_default().to_owned(), old }
}

fn key_of(target: &TargetStatus) -> Key {
    let label = |name| target.labels.get(name).unwrap_or_default().to_owned();
    (label("job"), label("instance"))
}

/// Whose each target is: by its series, or by the job under which it was found where there are none.
fn owners(shown: &HashMap<Key, Names>, active: &[TargetStatus]) -> BTreeMap<Key, usize> {
    let mut owners = BTreeMap::new();
    for target in active {
        if let Some(endpoint) = ENDPOINTS.iter().position(|endpoint| endpoint.job == target.job) {
            owners.insert(key_of(target), endpoint);
        }
    }
    for (key, names) in shown {
        let Some(endpoint) = owner(&names.keys().map(String::as_str)) else { continue };
        if is_of_cilium(endpoint, &key.0, names) {
            owners.entry(key.clone()).or_insert(endpoint);
        }
    }
    owners
}

/// Envoy and etcd have other users.
fn is_of_cilium(endpoint: usize, job: &str, names: &Names) -> bool {
    match ENDPOINTS[endpoint].id {
        "envoy" => job.contains("cilium") || names.keys().any(|name| name.contains("_cilium_")),
        "etcd" => job.contains("clustermesh"),
        _ => true,
    }
}

fn by_target(asker: &Asker, expr: &str, now: Timestamp) -> HashMap<Key, Names> {
    let mut targets: HashMap<Key, Names> = HashMap::new();
    for (labels, count) in asker.values(expr, now) {
        let label = |name| labels.get(name).unwrap_or_default().to_owned();
        let names = targets.entry((label("job"), label("instance"))).or_default();
        names.insert(label(METRIC_NAME), count as u64);
    }
    targets
}

fn all_of<'a>(keys: impl Iterator<Item = &'a Key> + Clone) -> String {
    let any = |values: BTreeSet<&str>| {
        let values: Vec<String> = values.into_iter().map(escape).collect();
        literal(&values.join("|"))
    };
    let jobs = any(keys.clone().map(|(job, _)| job.as_str()).collect());
    let instances = any(keys.map(|(_, instance)| instance.as_str()).collect());
    // The first matcher does not match nothing, as a selector must.
    format!("count by (__name__, job, instance) ({{__name__=~\".+\",job=~{jobs},instance=~{instances}}})")
}

/// A text as an expression that matches only it.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() && c != '_' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

impl Surveyed {
    fn add(&mut self, target: Option<TargetStatus>, endpoint: usize, names: Names) {
        match target {
            Some(target) => self.targets.push(target),
            None => self.others += 1,
        }
        for (name, count) in names {
            if SCRAPE_SERIES.contains(&name.as_str()) {
                continue;
            }
            self.series += count;
            match place(&CATALOGUE.families, endpoint, &name) {
                Some(family) => *self.families.entry(family).or_default() += count,
                None => *self.unknown.entry(name).or_default() += count,
            }
        }
    }
}

/// The family of a name. Whole names come before those with an open end.
fn place(families: &[Family], endpoint: usize, name: &str) -> Option<usize> {
    let of = |open: bool| {
        let fits =
            |family: &Family| family.endpoint == endpoint && family.name.ends_with('*') == open && family.has(name);
        families.iter().position(fits)
    };
    of(false).or_else(|| of(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_exactly() {
        let keys = [("a.b".to_owned(), "h:1".to_owned()), ("c".to_owned(), "h:1".to_owned())];
        assert_eq!(
            all_of(keys.iter()),
            r#"count by (__name__, job, instance) ({__name__=~".+",job=~"a\\.b|c",instance=~"h\\:1"})"#
        );
    }
}
