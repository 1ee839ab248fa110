//! Vector matching: which series of the two sides belong together.

use std::collections::HashMap;

use model::{Labels, METRIC_NAME};

use super::Evaluation;
use super::binary::{apply, drops_name, truth};
use super::grid::Grid;
use super::series::{ABSENT, Series, is_present};
use crate::QueryError;
use crate::syntax::{BinaryOp, Matching, Sides, format_labels};

/// The labels by which a series is matched.
fn signature(labels: &Labels, matching: &Matching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|label| label == name);
    if matching.on {
        if matching.labels.is_empty() { Labels::empty() } else { labels.filter(listed) }
    } else {
        labels.filter(|name| name != METRIC_NAME && !listed(name))
    }
}

/// For each match group, where it has a value.
fn presence(series: &[Series], matching: &Matching) -> HashMap<Labels, Vec<bool>> {
    let mut groups: HashMap<Labels, Vec<bool>> = HashMap::new();
    for series in series {
        let group =
            groups.entry(signature(&series.labels, matching)).or_insert_with(|| vec![false; series.values.len()]);
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
        let partner = partners.get(&signature(&series.labels, matching));
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
        if let Some(partner) = partners.get(&signature(&series.labels, matching)) {
            for (value, _) in series.values.iter_mut().zip(partner).filter(|(_, present)| **present) {
                *value = ABSENT;
            }
        }
        united.push(series);
    }
    united
}

/// One side's series of every match group, in order.
fn by_signature<'s>(series: &'s [Series], matching: &Matching) -> HashMap<Labels, Vec<&'s Series>> {
    let mut groups: HashMap<Labels, Vec<&Series>> = HashMap::new();
    for series in series {
        groups.entry(signature(&series.labels, matching)).or_default().push(series);
    }
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
    /// Arithmetic and comparison between matching series.
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
        let ones = by_signature(one, matching);
        let side = if swapped { "left" } else { "right" };
        let mut found = duplicates(one, &ones, matching, &both, side);
        let mut joined = Vec::new();
        let mut targets = Targets::new(matching.sides);
        for series in many {
            self.budget.check()?;
            let signature = signature(&series.labels, matching);
            for partner in ones.get(&signature).into_iter().flatten() {
                let values = self.pair(op, returns_bool, series, partner, swapped);
                let labels = self.joined_labels(op, returns_bool, matching, &series.labels, &partner.labels);
                targets.claim(&signature, &labels, series, partner, &mut found);
                // A comparison that filters forgets that the name was to be removed, as upstream does.
                let drop_name = self.options.delayed_name_removal && returns_bool;
                joined.push(Series { labels, drop_name, values });
            }
        }
        match found {
            Some((_, error)) => Err(error),
            None => Ok(joined),
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
        let listed = |name: &str| matching.labels.iter().any(|label| label == name);
        let one_to_one = matching.sides == Sides::OneToOne;
        let kept =
            many.filter(|name| !(drop_name && name == METRIC_NAME) && (!one_to_one || listed(name) == matching.on));
        let mut labels = kept.to_builder();
        for name in &matching.include {
            labels.set(name, one.get(name).unwrap_or_default());
        }
        if returns_bool && !self.options.delayed_name_removal {
            labels.remove(METRIC_NAME);
        }
        labels.build()
    }
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
    groups: &HashMap<Labels, Vec<&Series>>,
    matching: &Matching,
    both: &[bool],
    side: &str,
) -> Found {
    if groups.values().all(|group| group.len() == 1) {
        return None;
    }
    let mut seen: HashMap<Labels, &Series> = HashMap::new();
    for (step, _) in both.iter().enumerate().filter(|(_, both)| **both) {
        seen.clear();
        for series in one.iter().filter(|series| is_present(series.values[step])) {
            let signature = signature(&series.labels, matching);
            if let Some(first) = seen.insert(signature.clone(), series) {
                return Some((step, duplicate_error(&signature, side, series, first)));
            }
        }
    }
    None
}

/// The duplicates are named in the order of their labels, whatever order they came in.
fn duplicate_error(signature: &Labels, side: &str, a: &Series, b: &Series) -> QueryError {
    let (first, second) = if a.labels <= b.labels { (a, b) } else { (b, a) };
    let [signature, first, second] = [signature, &first.labels, &second.labels].map(format_labels);
    QueryError::Execution(format!(
        "found duplicate series for the match group {signature} on the {side} hand-side of the operation: [{first}, \
         {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}

/// Remembers where results have values, to find two results for one place.
struct Targets {
    one_to_one: bool,
    /// For one-to-one the match group, else the group and the labels of the result.
    claimed: HashMap<(Labels, Option<Labels>), Vec<bool>>,
}

impl Targets {
    fn new(sides: Sides) -> Self {
        Self { one_to_one: sides == Sides::OneToOne, claimed: HashMap::new() }
    }

    /// Claims the steps at which both partners have a value, whatever a comparison then keeps.
    fn claim(&mut self, signature: &Labels, labels: &Labels, many: &Series, one: &Series, found: &mut Found) {
        let detail = (!self.one_to_one).then(|| labels.clone());
        let claimed = self.claimed.entry((signature.clone(), detail)).or_insert_with(|| vec![false; many.values.len()]);
        let one_to_one = self.one_to_one;
        let values = many.values.iter().zip(&one.values);
        for (step, (claimed, (m, o))) in claimed.iter_mut().zip(values).enumerate() {
            if !is_present(*m) || !is_present(*o) {
                continue;
            }
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
