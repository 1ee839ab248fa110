//! Vector matching: which series of the two sides belong together.

use hashbrown::{HashMap, HashSet};
use model::{Labels, METRIC_NAME};

use super::Evaluation;
use super::binary::{apply, drops_name, truth};
use super::budget::Cost;
use super::grid::Grid;
use super::groups::{Groups, Key};
use super::series::{ABSENT, Series, is_present, merge_same_labels};
use crate::QueryError;
use crate::syntax::{BinaryOp, Matching, Sides, format_labels};

/// For each match group, where it has a value.
fn presence<'m>(series: &[Series], matching: &'m Matching) -> Groups<'m, Vec<bool>> {
    let mut groups: Groups<'_, Vec<bool>> = Groups::new(Key::of_matching(matching));
    for series in series {
        let group = groups.of(&series.labels, || vec![false; series.values.len()]);
        for (present, value) in group.iter_mut().zip(&series.values) {
            *present |= is_present(*value);
        }
    }
    groups
}

/// `and` keeps the left elements that have a partner on the right, `unless` those that have none.
pub(super) fn intersect(lhs: Vec<Series>, rhs: &[Series], matching: &Matching, wanted: bool) -> Vec<Series> {
    let partners = presence(rhs, matching);
    let keep = |mut series: Series| {
        let partner = partners.get(&series.labels);
        for (i, value) in series.values.iter_mut().enumerate() {
            if partner.is_some_and(|partner| partner[i]) != wanted {
                *value = ABSENT;
            }
        }
        series
    };
    lhs.into_iter().map(keep).collect()
}

/// `or`: the left elements, and those of the right that have no partner on the left.
pub(super) fn unite(lhs: Vec<Series>, rhs: Vec<Series>, matching: &Matching) -> Vec<Series> {
    let partners = presence(&lhs, matching);
    let mut united = lhs;
    for mut series in rhs {
        if let Some(partner) = partners.get(&series.labels) {
            for (value, _) in series.values.iter_mut().zip(partner).filter(|(_, present)| **present) {
                *value = ABSENT;
            }
        }
        united.push(series);
    }
    united
}

/// One side's series of every match group, in order.
fn by_match<'s, 'm>(series: &'s [Series], matching: &'m Matching) -> Groups<'m, Vec<&'s Series>> {
    let mut groups: Groups<'_, Vec<&Series>> = Groups::new(Key::of_matching(matching));
    series.iter().for_each(|series| groups.of(&series.labels, Vec::new).push(series));
    groups
}

/// An error with the step at which it is found; of several the earliest is reported.
type Found = Option<(usize, QueryError)>;

fn keep_earliest(found: &mut Found, step: usize, error: impl FnOnce() -> QueryError) {
    if found.as_ref().is_none_or(|(earliest, _)| step < *earliest) {
        *found = Some((step, error()));
    }
}

impl Evaluation<'_> {
    /// Arithmetic and comparison between matching series: results with different labels and some value.
    pub(super) fn join(
        &self,
        op: BinaryOp,
        returns_bool: bool,
        matching: &Matching,
        lhs: &[Series],
        rhs: &[Series],
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let swapped = matching.sides == Sides::OneToMany;
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        let both = both_present(many, one, grid);
        let ones = by_match(one, matching);
        let side = if swapped { "left" } else { "right" };
        let mut found = duplicates(one, &ones, matching, &both, side);
        // Nothing can be found at a step before the first.
        let first = both.iter().position(|both| *both);
        if let Some((_, error)) = found.take_if(|(step, _)| Some(*step) == first) {
            return Err(error);
        }
        let mut hold = self.budget.hold();
        let (mut joined, mut pairs) = (Vec::new(), Vec::new());
        for series in many {
            self.budget.check()?;
            for &partner in ones.get(&series.labels).into_iter().flatten() {
                let values = self.pair(op, returns_bool, series, partner, swapped);
                let labels = self.joined_labels(op, returns_bool, matching, &series.labels, &partner.labels);
                // A comparison that filters forgets that the name was to be removed, as upstream does.
                let drop_name = self.options.delayed_name_removal && returns_bool;
                let series_joined = Series { labels, drop_name, values };
                hold.add(Cost { samples: 0, ..series_joined.cost() })?;
                joined.push(series_joined);
                pairs.push((series, partner));
            }
        }
        let is_distinct = are_distinct(&joined, &pairs, matching);
        if !is_distinct {
            self.find_ambiguous(&joined, &pairs, matching, &mut found);
        }
        match found {
            Some((_, error)) => Err(error),
            None if is_distinct => Ok(joined.into_iter().filter(Series::has_values).collect()),
            None => merge_same_labels(joined),
        }
    }

    /// Looks for two results for one place.
    fn find_ambiguous(&self, joined: &[Series], pairs: &[(&Series, &Series)], matching: &Matching, found: &mut Found) {
        let mut targets = Targets::new(matching);
        for (Series { labels, values, .. }, (series, partner)) in joined.iter().zip(pairs) {
            if self.options.strict_matching {
                let are_present = |step: usize| is_present(series.values[step]) && is_present(partner.values[step]);
                targets.claim(labels, series, are_present, found);
            } else {
                targets.claim(labels, series, |step| is_present(values[step]), found);
            }
        }
    }

    fn pair(&self, op: BinaryOp, returns_bool: bool, many: &Series, one: &Series, swapped: bool) -> Vec<f64> {
        let compute = |(m, o): (&f64, &f64)| {
            if !is_present(*m) || !is_present(*o) {
                return ABSENT;
            }
            let (value, keep) = if swapped { apply(op, *o, *m) } else { apply(op, *m, *o) };
            match (returns_bool, keep) {
                (true, keep) => truth(keep),
                (false, true) => value,
                (false, false) => ABSENT,
            }
        };
        many.values.iter().zip(&one.values).map(compute).collect()
    }

    fn joined_labels(
        &self,
        op: BinaryOp,
        returns_bool: bool,
        matching: &Matching,
        many: &Labels,
        one: &Labels,
    ) -> Labels {
        // Arithmetic removes the name before labels are copied, `bool` afterwards, or at the end.
        let drop_name = drops_name(op, false);
        let drop_copied_name = returns_bool && !self.options.delayed_name_removal;
        let listed = |name: &str| matching.labels.iter().any(|label| label == name);
        let one_to_one = matching.sides == Sides::OneToOne;
        let is_kept = |name: &str| {
            let is_dropped = (drop_name || drop_copied_name) && name == METRIC_NAME;
            !is_dropped && (!one_to_one || listed(name) == matching.on)
        };
        if matching.include.is_empty() {
            return many.filter(is_kept);
        }
        let is_copied = |name: &str| matching.include.iter().any(|copied| copied == name);
        let kept = many.iter().filter(|(name, _)| is_kept(name) && !is_copied(name));
        let copied = matching.include.iter().filter(|name| !(drop_copied_name && *name == METRIC_NAME));
        Labels::from_pairs(kept.chain(copied.map(|name| (name.as_str(), one.get(name).unwrap_or_default()))))
    }
}

/// Whether no two results can be for one place: their labels differ, and of one-to-one matches the partners, too.
fn are_distinct(joined: &[Series], pairs: &[(&Series, &Series)], matching: &Matching) -> bool {
    let mut labels = HashSet::with_capacity(joined.len());
    let mut partners = HashSet::with_capacity(pairs.len());
    joined.iter().all(|series| labels.insert(&series.labels))
        && (matching.sides != Sides::OneToOne
            || pairs.iter().all(|(_, partner)| partners.insert(std::ptr::from_ref::<Series>(partner))))
}

/// Steps at which both sides have some value: at others nothing is matched and nothing can be wrong.
fn both_present(a: &[Series], b: &[Series], grid: Grid) -> Vec<bool> {
    let any = |side: &[Series]| {
        let mut present = vec![false; grid.count];
        for series in side {
            for (present, value) in present.iter_mut().zip(&series.values) {
                *present |= is_present(*value);
            }
        }
        present
    };
    any(a).into_iter().zip(any(b)).map(|(a, b)| a && b).collect()
}

/// The first step at which the side of one has two series of a match group.
fn duplicates(
    one: &[Series],
    groups: &Groups<'_, Vec<&Series>>,
    matching: &Matching,
    both: &[bool],
    side: &str,
) -> Found {
    if groups.iter().all(|group| group.state.len() == 1) {
        return None;
    }
    for (step, _) in both.iter().enumerate().filter(|(_, both)| **both) {
        let mut seen: Groups<'_, Option<&Series>> = Groups::new(Key::of_matching(matching));
        for series in one.iter().filter(|series| is_present(series.values[step])) {
            if let Some(first) = seen.of(&series.labels, || None).replace(series) {
                let signature = Key::of_matching(matching).labels(&series.labels);
                return Some((step, duplicate_error(&signature, side, series, first)));
            }
        }
    }
    None
}

/// The duplicates are named in the order of their labels, as scripts of later releases want it; 3.5 names the later one first.
fn duplicate_error(signature: &Labels, side: &str, a: &Series, b: &Series) -> QueryError {
    let (first, second) = if a.labels <= b.labels { (a, b) } else { (b, a) };
    let [signature, first, second] = [signature, &first.labels, &second.labels].map(format_labels);
    QueryError::Execution(format!(
        "found duplicate series for the match group {signature} on the {side} hand-side of the operation: [{first}, \
         {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}

/// Remembers where results have values, to find two results for one place.
struct Targets<'m> {
    one_to_one: bool,
    /// The steps that are claimed in each match group: for one-to-one those of all results, else of each by its labels.
    claimed: Groups<'m, Claims>,
}

#[derive(Default)]
struct Claims {
    together: Vec<bool>,
    by_labels: HashMap<Labels, Vec<bool>>,
}

impl<'m> Targets<'m> {
    fn new(matching: &'m Matching) -> Self {
        let claimed = Groups::new(Key::of_matching(matching));
        Self { one_to_one: matching.sides == Sides::OneToOne, claimed }
    }

    /// Claims the steps at which partners match.
    fn claim(&mut self, labels: &Labels, many: &Series, matches_at: impl Fn(usize) -> bool, found: &mut Found) {
        let one_to_one = self.one_to_one;
        let claims = self.claimed.of(&many.labels, Claims::default);
        let claimed =
            if one_to_one { &mut claims.together } else { claims.by_labels.entry(labels.clone()).or_default() };
        claimed.resize(many.values.len(), false);
        for (step, claimed) in claimed.iter_mut().enumerate().filter(|(step, _)| matches_at(*step)) {
            if *claimed {
                keep_earliest(found, step, || ambiguous_error(one_to_one));
            }
            *claimed = true;
        }
    }
}

fn ambiguous_error(one_to_one: bool) -> QueryError {
    QueryError::Execution(
        if one_to_one {
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        } else {
            "multiple matches for labels: grouping labels must ensure unique matches"
        }
        .to_owned(),
    )
}
