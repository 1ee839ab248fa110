//! From matchers to series: sets of series numbers by label.

use std::collections::BTreeMap;
use std::ops::Bound;

use model::{Labels, MatchOp, Matcher, StorageError};
use roaring::{MultiOps, RoaringBitmap};

/// An index of series by label, of the head or of a block.
pub(crate) trait Index {
    /// All series.
    fn all(&self) -> RoaringBitmap;

    /// Series that have the label.
    fn with_label(&self, name: &str) -> Result<RoaringBitmap, StorageError>;

    /// Series with this value of this label.
    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, StorageError>;

    /// Walks the values of a label that begin with `prefix`, in order.
    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        each: &mut dyn FnMut(&str, &dyn Postings),
    ) -> Result<(), StorageError>;

    /// Label names, sorted.
    fn names(&self) -> Result<Vec<String>, StorageError>;

    /// Whether one of these series has the label.
    fn is_carried(&self, name: &str, series: &RoaringBitmap) -> Result<bool, StorageError>;
}

/// The series of one label value, read only when wanted.
pub(crate) trait Postings {
    /// Adds them to a set.
    fn add_to(&self, set: &mut RoaringBitmap) -> Result<(), StorageError>;

    /// Whether one of them is in a set.
    fn meets(&self, set: &RoaringBitmap) -> Result<bool, StorageError>;
}

/// The series that satisfy all matchers. Those that cost least are asked first, and none is asked once nothing is left.
pub(crate) fn evaluate(index: &dyn Index, matchers: &[Matcher]) -> Result<RoaringBitmap, StorageError> {
    let mut order: Vec<(bool, Cost, &Matcher)> =
        matchers.iter().map(|matcher| (matcher.matches_empty(), Cost::of(matcher), matcher)).collect();
    order.sort_by_key(|&(matches_empty, cost, _)| (matches_empty, cost));
    let mut found: Option<RoaringBitmap> = None;
    for (matches_empty, _, matcher) in order {
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            break;
        }
        found = Some(if matches_empty {
            found.unwrap_or_else(|| index.all()) - refused(index, matcher)?
        } else {
            let wanted = accepted(index, matcher)?;
            match found {
                Some(found) => found & wanted,
                None => wanted,
            }
        });
    }
    Ok(found.unwrap_or_else(|| index.all()))
}

/// What it takes to answer a matcher from an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    /// A few values are looked up.
    Lookup,
    /// The list of those that have the label at all.
    Presence,
    /// The values that begin alike are tried.
    Prefix,
    /// All values are tried.
    Scan,
}

impl Cost {
    fn of(matcher: &Matcher) -> Self {
        match matcher.pattern() {
            None => Self::Lookup,
            Some(pattern) if pattern.literals().is_some() => Self::Lookup,
            Some(pattern) if pattern.matches_any_text() => Self::Presence,
            Some(pattern) if !pattern.prefix().is_empty() => Self::Prefix,
            Some(_) => Self::Scan,
        }
    }
}

/// Series that have the label with a value that satisfies the matcher.
fn accepted(index: &dyn Index, matcher: &Matcher) -> Result<RoaringBitmap, StorageError> {
    let named = named(index, matcher)?;
    Ok(if is_positive(matcher) { named } else { index.with_label(matcher.name())? - named })
}

/// Series that have the label with a value that does not satisfy the matcher.
fn refused(index: &dyn Index, matcher: &Matcher) -> Result<RoaringBitmap, StorageError> {
    let named = named(index, matcher)?;
    Ok(if is_positive(matcher) { index.with_label(matcher.name())? - named } else { named })
}

fn is_positive(matcher: &Matcher) -> bool {
    matches!(matcher.op(), MatchOp::Equal | MatchOp::Match)
}

/// Series that have the label with a value that the matcher's text or pattern means, be it wanted or not.
fn named(index: &dyn Index, matcher: &Matcher) -> Result<RoaringBitmap, StorageError> {
    let name = matcher.name();
    let Some(pattern) = matcher.pattern() else { return index.postings(name, matcher.value()) };
    if pattern.matches_any_text() {
        return index.with_label(name);
    }
    let mut set = RoaringBitmap::new();
    if let Some(literals) = pattern.literals() {
        for literal in literals.iter().filter(|literal| !literal.is_empty()) {
            set |= index.postings(name, literal)?;
        }
        return Ok(set);
    }
    let mut outcome = Ok(());
    index.each_value(name, pattern.prefix(), &mut |value, postings| {
        if outcome.is_ok() && pattern.is_match(value) {
            outcome = postings.add_to(&mut set);
        }
    })?;
    outcome.map(|()| set)
}

/// The head's index. Numbers only grow, so each list is sorted by being appended to.
#[derive(Debug, Default)]
pub(crate) struct HeadIndex {
    labels: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<u32>>>,
    all: Vec<u32>,
}

impl HeadIndex {
    pub(crate) fn add(&mut self, id: u32, labels: &Labels) {
        insert_sorted(&mut self.all, id);
        for (name, value) in labels {
            if !self.labels.contains_key(name) {
                self.labels.insert(name.into(), BTreeMap::new());
            }
            let Some(values) = self.labels.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(ids) => insert_sorted(ids, id),
                None => drop(values.insert(value.into(), vec![id])),
            }
        }
    }

    /// The numbers of all series, rising.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.all
    }

    /// Label names and values, with the numbers of the series that have them.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (&str, &str, &[u32])> {
        let named = self.labels.iter().map(|(name, values)| (&**name, values));
        named.flat_map(|(name, values)| values_of(values).map(move |(value, ids)| (name, value, ids)))
    }

    /// The values of a label, with the numbers of the series that have them.
    pub(crate) fn lists_of(&self, name: &str) -> impl Iterator<Item = (&str, &[u32])> {
        self.labels.get(name).into_iter().flat_map(values_of)
    }

    /// Memory of all lists.
    pub(crate) fn bytes(&self) -> usize {
        let lists = |values: &BTreeMap<Box<str>, Vec<u32>>| -> usize {
            let list = |value: &str, ids: &Vec<u32>| value.len() + 64 + ids.capacity() * size_of::<u32>();
            values.iter().map(|(value, ids)| list(value, ids)).sum()
        };
        self.labels.iter().map(|(name, values)| name.len() + lists(values)).sum()
    }

    /// Forgets series; `gone` is sorted.
    pub(crate) fn remove(&mut self, gone: &RoaringBitmap) {
        let keep = |id: &u32| !gone.contains(*id);
        self.all.retain(keep);
        for values in self.labels.values_mut() {
            values.retain(|_, ids| {
                ids.retain(keep);
                ids.shrink_to_fit();
                !ids.is_empty()
            });
        }
        self.labels.retain(|_, values| !values.is_empty());
    }
}

fn values_of(values: &BTreeMap<Box<str>, Vec<u32>>) -> impl Iterator<Item = (&str, &[u32])> {
    values.iter().map(|(value, ids)| (&**value, ids.as_slice()))
}

/// Two threads may finish their new series in the other order than they got their numbers.
fn insert_sorted(ids: &mut Vec<u32>, id: u32) {
    match ids.last() {
        Some(&last) if last >= id => {
            if let Err(at) = ids.binary_search(&id) {
                ids.insert(at, id);
            }
        }
        _ => ids.push(id),
    }
}

impl Postings for Vec<u32> {
    fn add_to(&self, set: &mut RoaringBitmap) -> Result<(), StorageError> {
        set.extend(self.iter().copied());
        Ok(())
    }

    fn meets(&self, set: &RoaringBitmap) -> Result<bool, StorageError> {
        Ok(self.iter().any(|&id| set.contains(id)))
    }
}

impl Index for HeadIndex {
    fn all(&self) -> RoaringBitmap {
        set_of(&self.all)
    }

    fn with_label(&self, name: &str) -> Result<RoaringBitmap, StorageError> {
        let lists = self.labels.get(name).into_iter().flat_map(BTreeMap::values);
        Ok(lists.map(|ids| set_of(ids)).union())
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, StorageError> {
        let ids = self.labels.get(name).and_then(|values| values.get(value));
        Ok(ids.map(|ids| set_of(ids)).unwrap_or_default())
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        each: &mut dyn FnMut(&str, &dyn Postings),
    ) -> Result<(), StorageError> {
        let Some(values) = self.labels.get(name) else { return Ok(()) };
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (value, ids) in values.range::<str, _>(from).take_while(|(value, _)| value.starts_with(prefix)) {
            each(value, ids);
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, StorageError> {
        Ok(self.labels.keys().map(ToString::to_string).collect())
    }

    fn is_carried(&self, name: &str, series: &RoaringBitmap) -> Result<bool, StorageError> {
        let mut lists = self.labels.get(name).into_iter().flat_map(BTreeMap::values);
        Ok(lists.any(|ids| ids.iter().any(|&id| series.contains(id))))
    }
}

/// Sorted numbers as a set.
fn set_of(ids: &[u32]) -> RoaringBitmap {
    RoaringBitmap::from_sorted_iter(ids.iter().copied()).unwrap_or_else(|_| ids.iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> HeadIndex {
        let mut index = HeadIndex::default();
        let sets = [
            [("__name__", "up"), ("job", "node")],
            [("__name__", "up"), ("job", "api")],
            [("__name__", "load"), ("job", "")],
            [("__name__", "load.1"), ("job", "node2")],
        ];
        for (id, pairs) in sets.iter().enumerate() {
            index.add(id as u32, &Labels::from_pairs(pairs.iter().copied()));
        }
        index
    }

    /// Matchers and the series that satisfy them.
    type Case<'a> = (&'a [(MatchOp, &'a str, &'a str)], &'a [u32]);

    #[test]
    fn matchers_choose_series() {
        use MatchOp::{Equal, Match, NotEqual, NotMatch};
        let cases: [Case<'_>; 25] = [
            (&[], &[0, 1, 2, 3]),
            (&[(Equal, "__name__", "up")], &[0, 1]),
            (&[(Equal, "__name__", "up"), (NotEqual, "job", "api")], &[0]),
            (&[(Equal, "job", "")], &[2]),
            (&[(NotEqual, "job", "")], &[0, 1, 3]),
            (&[(Match, "job", "")], &[2]),
            (&[(Match, "job", "node|api")], &[0, 1]),
            (&[(Match, "job", "node|")], &[0, 2]),
            (&[(Match, "job", "node.*")], &[0, 3]),
            (&[(Match, "job", "nodex?")], &[0]),
            (&[(Match, "job", "a.+|node2")], &[1, 3]),
            (&[(NotMatch, "job", "node|api")], &[2, 3]),
            (&[(NotMatch, "job", "node.*")], &[1, 2]),
            (&[(NotMatch, "job", "")], &[0, 1, 3]),
            (&[(NotMatch, "job", ".*")], &[]),
            (&[(Equal, "absent", "")], &[0, 1, 2, 3]),
            (&[(Match, "__name__", "load.1")], &[3]),
            (&[(NotMatch, "job", "node|")], &[1, 3]),
            (&[(Match, "job", ".*")], &[0, 1, 2, 3]),
            (&[(Match, "job", ".+")], &[0, 1, 3]),
            (&[(NotMatch, "job", ".+")], &[2]),
            (&[(Match, "job", "x?|node")], &[0, 2]),
            (&[(NotMatch, "job", "x?|node")], &[1, 3]),
            (&[(Match, "job", ".*2"), (Match, "__name__", ".+"), (Equal, "absent", "x")], &[]),
            (&[(Match, "absent", ".*"), (NotMatch, "absent", ".+"), (Equal, "job", "api")], &[1]),
        ];
        for (matchers, expected) in cases {
            let matchers: Vec<_> = matchers.iter().map(|(op, n, v)| Matcher::new(*op, *n, *v).unwrap()).collect();
            let found = evaluate(&index(), &matchers).unwrap();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{matchers:?}");
        }
    }

    #[test]
    fn removed_series_are_gone() {
        let mut index = index();
        index.remove(&[0, 3].into_iter().collect());
        assert_eq!(index.all().iter().collect::<Vec<_>>(), [1, 2]);
        let mut values = Vec::new();
        index.each_value("job", "", &mut |value, _| values.push(value.to_owned())).unwrap();
        assert_eq!(values, ["api"]);
    }
}
