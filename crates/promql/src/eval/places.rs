//! Which group each series of an aggregation belongs to, remembered for the next time the same is asked.
//!
//! A store gives the series of a query that comes again with the same label sets as the time before, not with equal ones, and
//! in the same order. Finding a group is then a look at a pointer instead of a walk through the labels.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, TryLockError};

use model::Labels;

use super::groups::Groups;
use crate::syntax::NodeId;

/// Series that are passed in search of one. Those that have no value this time stand in between.
const PASSED_MAX: usize = 64;

/// More series that are not where they were mean that the store has others now: what was remembered is given up.
const STRANGERS_MAX: usize = 64;

/// Series that are remembered of one aggregation, a megabyte and a half of them.
const SERIES_MAX: usize = 1 << 16;

/// What is remembered of the aggregations of an expression.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<HashMap<NodeId, Numbered>>);

/// Series in their order, with the numbers of their groups.
#[derive(Debug, Default)]
struct Numbered {
    series: Vec<(Labels, u32)>,
    groups: u32,
}

/// What was remembered of one aggregation while it is computed.
#[derive(Debug, Default)]
pub(super) struct Finder {
    known: Numbered,
    /// How far the series are passed.
    at: usize,
    strangers: usize,
    /// Where the groups are this time, by their numbers.
    places: Vec<Option<usize>>,
    /// And their numbers, by where they are.
    numbers: Vec<Option<u32>>,
}

impl Remembered {
    /// What takes memory.
    pub(crate) fn bytes(&self) -> usize {
        let of = |(labels, _): &(Labels, u32)| size_of::<(Labels, u32)>() + labels.as_packed().len();
        let aggregations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        aggregations.values().flat_map(|numbered| &numbered.series).map(of).sum()
    }

    /// What is known of an aggregation. It is gone until [`Remembered::put`], so that of two equal queries one goes without.
    pub(super) fn take(&self, id: NodeId) -> Finder {
        let known = match self.0.try_lock() {
            Ok(mut aggregations) => aggregations.remove(&id).unwrap_or_default(),
            Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => Numbered::default(),
        };
        // Groups that no series is in any more have their numbers, too.
        let is_worn = known.groups as usize > 2 * known.series.len() + STRANGERS_MAX;
        let known = if is_worn { Numbered::default() } else { known };
        Finder { places: vec![None; known.groups as usize], known, ..Finder::default() }
    }

    /// Remembers an aggregation.
    pub(super) fn put(&self, id: NodeId, finder: Finder) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, finder.known);
    }
}

impl Finder {
    /// The state of the group that a set of labels belongs to, as of [`Groups::of`].
    pub(super) fn of<'g, T>(
        &mut self,
        groups: &'g mut Groups<'_, T>,
        labels: &Labels,
        empty: impl FnOnce() -> T,
    ) -> &'g mut T {
        let Some(number) = self.number(labels) else {
            let place = groups.place_of(labels, empty);
            self.meet(labels, place);
            return groups.at(place);
        };
        let place = match self.places[number as usize] {
            Some(place) => place,
            None => {
                let place = groups.place_of(labels, empty);
                self.pair(number, place);
                place
            }
        };
        groups.at(place)
    }

    fn pair(&mut self, number: u32, place: usize) {
        self.places[number as usize] = Some(place);
        self.numbers.resize(self.numbers.len().max(place + 1), None);
        self.numbers[place] = Some(number);
    }

    /// The number of the group of the series with these labels, if it stands in front of the next ones.
    fn number(&mut self, labels: &Labels) -> Option<u32> {
        let ahead = self.known.series.get(self.at..)?;
        let passed = ahead.iter().take(PASSED_MAX).position(|(known, _)| known.is_clone_of(labels))?;
        let number = ahead[passed].1;
        self.at += passed + 1;
        Some(number)
    }

    /// Remembers a series that was not known, behind those that were passed.
    fn meet(&mut self, labels: &Labels, place: usize) {
        self.strangers += 1;
        if self.strangers == STRANGERS_MAX {
            self.known.series.truncate(self.at);
        }
        if self.known.series.len() >= SERIES_MAX {
            return;
        }
        let number = self.numbers.get(place).copied().flatten().unwrap_or_else(|| {
            let number = self.known.groups;
            self.known.groups += 1;
            self.places.push(None);
            self.pair(number, place);
            number
        });
        self.known.series.insert(self.at, (labels.clone(), number));
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::Key;
    use super::*;

    /// Series by number, each in a group by its remainder of 7; counts the groups by what was remembered, and checks them against
    /// counting them anew. Returns how many series were strangers.
    fn check(remembered: &Remembered, sets: &[Labels]) -> usize {
        let mut finder = remembered.take(NodeId(1));
        let (mut found, mut expected) = (Groups::new(Key::only(["g"])), Groups::new(Key::only(["g"])));
        for labels in sets {
            *finder.of(&mut found, labels, || 0) += 1;
            *expected.of(labels, || 0) += 1;
        }
        let counts = |groups: Groups<'_, usize>| groups.into_iter().map(|g| (g.labels, g.state)).collect::<Vec<_>>();
        assert_eq!(counts(found), counts(expected));
        let strangers = finder.strangers;
        remembered.put(NodeId(1), finder);
        strangers
    }

    #[test]
    fn groups_are_those_of_the_labels() {
        let made = |i: usize| Labels::from_pairs([("g", (i % 7).to_string()), ("i", i.to_string())]);
        let sets: Vec<Labels> = (0..500).map(made).collect();
        let remembered = Remembered::default();
        assert_eq!(check(&remembered, &sets), 500);
        assert_eq!(check(&remembered, &sets), 0);
        let some: Vec<Labels> = sets.iter().skip(3).step_by(5).cloned().collect();
        assert_eq!(check(&remembered, &some), 0, "series may lack");
        assert_eq!(check(&remembered, &sets), 0, "and come back");
        let mut more = sets.clone();
        (0..10).for_each(|i| more.insert(i * 31, made(1000 + i)));
        assert_eq!(check(&remembered, &more), 10);
        assert_eq!(check(&remembered, &more), 0);
        let others: Vec<Labels> = (0..500).map(made).rev().collect();
        assert_eq!(check(&remembered, &others), 500);
        assert_eq!(check(&remembered, &others), 0);
        assert!(remembered.bytes() < 100 * others.len(), "those that are gone are forgotten");
    }
}
