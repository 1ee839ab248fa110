//! Groups of series that agree in some of their labels, found without making a label set for each series.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};
use model::{Labels, METRIC_NAME};

use crate::syntax::{Grouping, Matching};

/// The labels that tell groups apart.
#[derive(Clone, Debug)]
pub(super) struct Key<'k> {
    listed: Vec<&'k str>,
    /// The listed ones, or all others.
    wants_listed: bool,
}

/// Groups in the order in which their first series came. The hash is keyed at random, as labels are somebody else's.
#[derive(Debug)]
pub(super) struct Groups<'k, T> {
    key: Key<'k>,
    hasher: DefaultHashBuilder,
    places: HashTable<usize>,
    groups: Vec<Group<T>>,
    /// Place of the group that was asked for last.
    last: usize,
}

/// What series with the same labels of the key share.
#[derive(Debug)]
pub(super) struct Group<T> {
    /// The labels of the key.
    pub(super) labels: Labels,
    pub(super) state: T,
}

impl<'k> Key<'k> {
    /// These labels.
    pub(super) fn only(names: impl IntoIterator<Item = &'k str>) -> Self {
        Self { listed: names.into_iter().collect(), wants_listed: true }
    }

    /// All labels but these.
    pub(super) fn all_but(names: impl IntoIterator<Item = &'k str>) -> Self {
        Self { listed: names.into_iter().collect(), wants_listed: false }
    }

    /// Those of the group that a series belongs to.
    pub(super) fn of_grouping(grouping: &'k Grouping) -> Self {
        Self::with_or_without(!grouping.without, &grouping.labels)
    }

    /// Those by which series of two vectors are matched.
    pub(super) fn of_matching(matching: &'k Matching) -> Self {
        Self::with_or_without(matching.on, &matching.labels)
    }

    fn with_or_without(with: bool, names: &'k [String]) -> Self {
        let names = names.iter().map(String::as_str);
        if with { Self::only(names) } else { Self::all_but(names.chain([METRIC_NAME])) }
    }

    /// Whether it looks at a label.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.listed.contains(&name) == self.wants_listed
    }

    /// The labels of the set that it looks at.
    pub(super) fn labels(&self, of: &Labels) -> Labels {
        if self.is_none() { Labels::empty() } else { of.filter(|name| self.wants(name)) }
    }

    fn is_none(&self) -> bool {
        self.wants_listed && self.listed.is_empty()
    }

    fn pairs<'l>(&'l self, of: &'l Labels) -> impl Iterator<Item = (&'l str, &'l str)> {
        let most = if self.is_none() { 0 } else { usize::MAX };
        of.iter().take(most).filter(|(name, _)| self.wants(name))
    }

    fn hash(&self, of: &Labels, mut hasher: impl Hasher) -> u64 {
        self.pairs(of).for_each(|pair| pair.hash(&mut hasher));
        hasher.finish()
    }
}

impl<'k, T> Groups<'k, T> {
    pub(super) fn new(key: Key<'k>) -> Self {
        let (hasher, places, groups) = Default::default();
        Self { key, hasher, places, groups, last: 0 }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The state of the group that a set of labels belongs to; `empty` makes it if it is new.
    pub(super) fn of(&mut self, labels: &Labels, empty: impl FnOnce() -> T) -> &mut T {
        let place = self.place_of(labels, empty);
        self.at(place)
    }

    /// The state of the group at a place.
    pub(super) fn at(&mut self, place: usize) -> &mut T {
        &mut self.groups[place].state
    }

    /// The place of the group that a set of labels belongs to, which it keeps; `empty` makes it if it is new.
    pub(super) fn place_of(&mut self, labels: &Labels, empty: impl FnOnce() -> T) -> usize {
        let place = self.place(labels).unwrap_or_else(|hash| {
            let place = self.groups.len();
            let (key, hasher, groups) = (&self.key, &self.hasher, &self.groups);
            let hash_of = |at: &usize| key.hash(&groups[*at].labels, hasher.build_hasher());
            self.places.insert_unique(hash, place, hash_of);
            self.groups.push(Group { labels: self.key.labels(labels), state: empty() });
            place
        });
        self.last = place;
        place
    }

    /// The state of the group that a set of labels would belong to.
    pub(super) fn get(&self, labels: &Labels) -> Option<&T> {
        self.place(labels).ok().map(|place| &self.groups[place].state)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group<T>> {
        self.groups.iter()
    }

    /// Where the group is, or the hash of its labels where there is none.
    fn place(&self, labels: &Labels) -> Result<usize, u64> {
        let is_it = |at: &usize| self.groups[*at].labels.iter().eq(self.key.pairs(labels));
        // Neighbours often share a group.
        if self.last < self.groups.len() && is_it(&self.last) {
            return Ok(self.last);
        }
        let hash = self.key.hash(labels, self.hasher.build_hasher());
        self.places.find(hash, is_it).copied().ok_or(hash)
    }
}

impl<T> IntoIterator for Groups<'_, T> {
    type Item = Group<T>;
    type IntoIter = std::vec::IntoIter<Group<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.groups.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels of the groups of three series, and how many belong to each.
    fn check(key: Key<'_>, expected: &[(&str, usize)]) {
        let mut groups = Groups::new(key);
        for (code, path) in [("200", "/a"), ("500", "/a"), ("200", "/b")] {
            let labels = Labels::from_pairs([("__name__", "m"), ("code", code), ("path", path)]);
            *groups.of(&labels, || 0) += 1;
        }
        let same = Labels::from_pairs([("__name__", "m"), ("code", "200"), ("path", "/b")]);
        assert!(groups.get(&same).is_some());
        let found: Vec<_> = groups.into_iter().map(|group| (group.labels.to_string(), group.state)).collect();
        let expected: Vec<_> = expected.iter().map(|(labels, count)| ((*labels).to_owned(), *count)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn series_with_equal_labels_share_a_group() {
        check(Key::only([]), &[("{}", 3)]);
        check(Key::only(["code"]), &[("{code=\"200\"}", 2), ("{code=\"500\"}", 1)]);
        check(Key::only(["path", "none"]), &[("{path=\"/a\"}", 2), ("{path=\"/b\"}", 1)]);
        check(Key::all_but(["path", METRIC_NAME]), &[("{code=\"200\"}", 2), ("{code=\"500\"}", 1)]);
        check(Key::all_but(["path"]), &[("{__name__=\"m\", code=\"200\"}", 2), ("{__name__=\"m\", code=\"500\"}", 1)]);
    }

    #[test]
    fn labels_that_were_never_seen_have_no_group() {
        let mut groups = Groups::new(Key::only(["a"]));
        *groups.of(&Labels::from_pairs([("a", "1")]), || 0) += 1;
        assert_eq!(groups.get(&Labels::from_pairs([("a", "2")])), None);
        assert_eq!(groups.get(&Labels::from_pairs([("a", "1"), ("b", "2")])), Some(&1));
    }
}
