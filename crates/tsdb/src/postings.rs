//! From matchers to series: sets of series numbers by label.

use std::collections::BTreeMap;
use std::ops::Bound;

use model::{Labels, MatchOp, Matcher};
use roaring::RoaringBitmap;

use crate::bytes::Damage;

/// An index of series by label, of the head or of a block.
pub(crate) trait Index {
    /// All series.
    fn all(&self) -> RoaringBitmap;

    /// Series with this value of this label.
    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, Damage>;

    /// Walks the values of a label that begin with `prefix`, in order.
    fn each_value(&self, name: &str, prefix: &str, each: &mut dyn FnMut(&str, &dyn Postings)) -> Result<(), Damage>;
}

/// The series of one label value, read only when wanted.
pub(crate) trait Postings {
    /// Adds them to a set.
    fn add_to(&self, set: &mut RoaringBitmap) -> Result<(), Damage>;
}

/// The series that satisfy all matchers.
pub(crate) fn evaluate(index: &dyn Index, matchers: &[Matcher]) -> Result<RoaringBitmap, Damage> {
    let mut found: Option<RoaringBitmap> = None;
    for matcher in matchers.iter().filter(|m| !m.matches_empty()) {
        let set = with_value(index, matcher, true)?;
        found = Some(found.map_or_else(|| set.clone(), |found| found & &set));
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(RoaringBitmap::new());
        }
    }
    let mut found = found.unwrap_or_else(|| index.all());
    for matcher in matchers.iter().filter(|m| m.matches_empty()) {
        found -= with_value(index, matcher, false)?;
    }
    Ok(found)
}

/// Series that carry the label with a value that does, or does not, satisfy the matcher.
fn with_value(index: &dyn Index, matcher: &Matcher, satisfies: bool) -> Result<RoaringBitmap, Damage> {
    if let Some(words) = literals(matcher).filter(|_| satisfies == is_positive(matcher)) {
        return words
            .iter()
            .try_fold(RoaringBitmap::new(), |set, word| Ok(set | index.postings(matcher.name(), word)?));
    }
    let prefix = if satisfies && matcher.op() == MatchOp::Match { literal_prefix(matcher.value()) } else { "" };
    let mut set = RoaringBitmap::new();
    let mut outcome = Ok(());
    index.each_value(matcher.name(), prefix, &mut |value, postings| {
        if outcome.is_ok() && matcher.matches(value) == satisfies {
            outcome = postings.add_to(&mut set);
        }
    })?;
    outcome.map(|()| set)
}

fn is_positive(matcher: &Matcher) -> bool {
    matches!(matcher.op(), MatchOp::Equal | MatchOp::Match)
}

/// The values that a matcher names one by one: that of `=`, or the words of `a|b|c`.
fn literals(matcher: &Matcher) -> Option<Vec<&str>> {
    match matcher.op() {
        MatchOp::Equal | MatchOp::NotEqual => Some(vec![matcher.value()]),
        MatchOp::Match | MatchOp::NotMatch => {
            let words: Vec<&str> = matcher.value().split('|').collect();
            words.iter().all(|word| !word.contains(is_meta)).then_some(words)
        }
    }
}

fn is_meta(c: char) -> bool {
    r"\.+*?()|[]{}^$".contains(c)
}

/// What every value that matches begins with.
fn literal_prefix(pattern: &str) -> &str {
    let Some(end) = pattern.find(is_meta) else { return pattern };
    if pattern.contains('|') {
        return "";
    }
    let repeats = pattern[end..].starts_with(['*', '?', '{']);
    let keep = if repeats { pattern[..end].char_indices().next_back().map_or(0, |(at, _)| at) } else { end };
    &pattern[..keep]
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
    fn add_to(&self, set: &mut RoaringBitmap) -> Result<(), Damage> {
        set.extend(self.iter().copied());
        Ok(())
    }
}

impl Index for HeadIndex {
    fn all(&self) -> RoaringBitmap {
        self.all.iter().copied().collect()
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, Damage> {
        let ids = self.labels.get(name).and_then(|values| values.get(value));
        Ok(ids.map(|ids| ids.iter().copied().collect()).unwrap_or_default())
    }

    fn each_value(&self, name: &str, prefix: &str, each: &mut dyn FnMut(&str, &dyn Postings)) -> Result<(), Damage> {
        let Some(values) = self.labels.get(name) else { return Ok(()) };
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (value, ids) in values.range::<str, _>(from).take_while(|(value, _)| value.starts_with(prefix)) {
            each(value, ids);
        }
        Ok(())
    }
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
        let cases: [Case<'_>; 17] = [
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
