//! `info`: labels of info metrics joined to the series they describe.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use model::{Labels, METRIC_NAME, Matcher, Samples, Selection, Timestamp, is_stale};

use super::Evaluation;
use super::grid::Grid;
use super::series::{ABSENT, Series, is_present, merge_same_labels};
use crate::syntax::{Kind, NodeId};
use crate::{Position, QueryError};

/// Labels that an info series shares with those it describes.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The info metric that is joined where the selector names none.
const DEFAULT_METRIC: &str = "target_info";

/// An info series: for each step the time of the sample that the lookback finds, or [`ABSENT`].
struct InfoSeries {
    labels: Labels,
    times: Vec<f64>,
}

/// What the second argument asks for.
struct Wanted {
    /// Conditions on the info metric's name.
    names: Vec<Matcher>,
    /// Conditions on its other labels. A series that gets none of them has to do without info, if they allow it.
    data: Vec<Matcher>,
}

impl Evaluation<'_> {
    pub(super) fn join_info(
        &self,
        arg: NodeId,
        selector: Option<NodeId>,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let (base, _hold) = self.collect_all(arg, grid)?.into_parts();
        let matchers = match selector.map(|id| self.expr.kind(self.expr.unwrapped(id))) {
            Some(Kind::Vector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let (mut names, data): (Vec<Matcher>, Vec<Matcher>) =
            matchers.into_iter().partition(|m| m.name() == METRIC_NAME);
        if selector.is_none() {
            names.push(Matcher::equal(METRIC_NAME, DEFAULT_METRIC));
        }
        // Info series are not described themselves; which these are only a name tells.
        let is_info: Vec<bool> =
            base.iter().map(|series| names.iter().any(|m| m.matches(series.labels.metric_name()))).collect();
        let mut wanted = Wanted { names, data };
        let described = base.iter().zip(&is_info).filter(|(_, is_info)| !**is_info);
        let infos =
            self.info_series(described.map(|(series, _)| series), (&mut wanted, selector.is_some()), arg, grid)?;
        refuse_duplicates(&base, &infos, grid)?;
        let mut by_identity: HashMap<Vec<String>, Vec<&InfoSeries>> = HashMap::new();
        for info in &infos {
            by_identity.entry(identity(&info.labels)).or_default().push(info);
        }
        let mut joined = Vec::new();
        for (series, is_info) in base.into_iter().zip(is_info) {
            self.budget.check()?;
            // A removal of the name that was put off is forgotten here, as upstream does.
            if is_info {
                joined.push(Series { drop_name: false, ..series });
                continue;
            }
            let candidates = by_identity.get(&identity(&series.labels)).map(Vec::as_slice).unwrap_or_default();
            join_one(&series, candidates, &wanted.data, &mut joined)?;
        }
        merge_same_labels(joined)
    }

    /// Info series that share a value of each identifying label with some series that is to be described.
    fn info_series<'s>(
        &self,
        described: impl Iterator<Item = &'s Series>,
        (wanted, is_chosen): (&mut Wanted, bool),
        arg: NodeId,
        grid: Grid,
    ) -> Result<Vec<InfoSeries>, QueryError> {
        let mut values: [BTreeSet<String>; IDENTIFYING.len()] = Default::default();
        for series in described {
            for (values, name) in values.iter_mut().zip(IDENTIFYING) {
                values.extend(series.labels.get(name).filter(|value| !value.is_empty()).map(str::to_owned));
            }
        }
        if values.iter().all(BTreeSet::is_empty) {
            // Upstream does not get as far as to take a name that was given out of the conditions on labels.
            wanted.data.extend(wanted.names.drain(..).filter(|_| is_chosen));
            return Ok(Vec::new());
        }
        if wanted.names.is_empty() {
            wanted.names.push(Matcher::equal(METRIC_NAME, DEFAULT_METRIC));
        }
        let matchers: Vec<Matcher> = wanted.names.iter().chain(&wanted.data).cloned().collect();
        let (start, end) = self.info_span(arg, grid);
        let selection = Selection {
            matchers: &matchers,
            min_time: start.saturating_sub(self.lookback).saturating_add(1),
            max_time: end,
            hints: model::Hints { step: grid.step_hint(), function: "info", ..model::Hints::default() },
        };
        let set = self.storage.select(&selection).map_err(|e| self.budget.storage_error(e))?;
        set.warnings.into_iter().for_each(|warning| self.notes.pass_on(warning));
        self.trace_selection(&selection, set.series.len() as u64);
        let mut series = set.series;
        let shares = |labels: &Labels, (values, name): (&BTreeSet<String>, &str)| {
            values.is_empty() || labels.get(name).is_some_and(|value| values.contains(value))
        };
        series.retain(|series| values.iter().zip(IDENTIFYING).all(|wanted| shares(series.labels(), wanted)));
        series.sort_by(|a, b| a.labels().cmp(b.labels()));
        let mut infos = Vec::with_capacity(series.len());
        let mut samples = Samples::default();
        for series in series {
            self.read(series.as_ref(), &mut samples)?;
            let times = self.sample_times(&samples, grid);
            infos.push(InfoSeries { labels: series.labels().clone(), times });
        }
        Ok(infos)
    }

    /// The times for which infos are looked up: upstream takes `@` and offset of the first selector in the argument.
    fn info_span(&self, arg: NodeId, grid: Grid) -> (Timestamp, Timestamp) {
        let Some(selector) = self.first_selector(arg) else {
            return (grid.start, grid.end());
        };
        let reach = self.reach(selector);
        (reach.time(grid.start), reach.time(grid.end()))
    }

    /// The first selector in the text of a node.
    fn first_selector(&self, id: NodeId) -> Option<NodeId> {
        let whole = self.expr.position(id);
        let inside = |position: Position| position.start >= whole.start && position.end <= whole.end;
        let selectors = self.expr.nodes().filter_map(|(id, node)| match &node.kind {
            Kind::Vector(_) if inside(node.position) => Some((node.position.start, id)),
            _ => None,
        });
        selectors.min_by_key(|(start, _)| *start).map(|(_, id)| id)
    }

    fn sample_times(&self, samples: &Samples, grid: Grid) -> Vec<f64> {
        let newest = |time: i64| {
            let place = samples.timestamps.partition_point(|t| *t <= time).checked_sub(1)?;
            let found = samples.timestamps[place];
            (found > time.saturating_sub(self.lookback) && !is_stale(samples.values[place])).then_some(found as f64)
        };
        grid.times().map(|time| newest(time).unwrap_or(ABSENT)).collect()
    }
}

fn identity(labels: &Labels) -> Vec<String> {
    IDENTIFYING.iter().map(|name| labels.get(name).unwrap_or_default().to_owned()).collect()
}

/// Two info series of one metric and identity whose newest samples are of the same time are an error wherever there is
/// something to describe.
fn refuse_duplicates(base: &[Series], infos: &[InfoSeries], grid: Grid) -> Result<(), QueryError> {
    for i in (0..grid.count).filter(|i| base.iter().any(|series| is_present(series.values[*i]))) {
        let mut newest: HashMap<(&str, Vec<String>), f64> = HashMap::new();
        for info in infos.iter().filter(|info| is_present(info.times[i])) {
            let time = info.times[i];
            let known = newest.entry((info.labels.metric_name(), identity(&info.labels))).or_insert(f64::NEG_INFINITY);
            if *known == time {
                let name = info.labels.metric_name();
                return Err(QueryError::Execution(format!("found duplicate series for info metric {name}")));
            }
            *known = known.max(time);
        }
    }
    Ok(())
}

/// Adds the series with the labels that its infos give it, one series for each set of labels over time.
fn join_one(
    series: &Series,
    candidates: &[&InfoSeries],
    data: &[Matcher],
    joined: &mut Vec<Series>,
) -> Result<(), QueryError> {
    let may_lack_info = data.iter().all(Matcher::matches_empty);
    let mut parts: Vec<(Labels, Vec<f64>)> = Vec::new();
    for (i, value) in series.values.iter().enumerate().filter(|(_, v)| is_present(**v)) {
        let infos = newest_of_each_metric(candidates, i);
        let labels = with_info(&series.labels, &infos, data)?;
        let Some(labels) = labels.or_else(|| may_lack_info.then(|| series.labels.clone())) else {
            continue;
        };
        let place = parts.iter().position(|(known, _)| *known == labels).unwrap_or_else(|| {
            parts.push((labels, vec![ABSENT; series.values.len()]));
            parts.len() - 1
        });
        parts[place].1[i] = *value;
    }
    joined.extend(parts.into_iter().map(|(labels, values)| Series::new(labels, values)));
    Ok(())
}

/// At one step, of each info metric the series with the newest sample.
fn newest_of_each_metric<'i>(candidates: &[&'i InfoSeries], i: usize) -> Vec<&'i InfoSeries> {
    let mut newest: Vec<&InfoSeries> = Vec::new();
    for info in candidates.iter().filter(|info| is_present(info.times[i])) {
        match newest.iter_mut().find(|known| known.labels.metric_name() == info.labels.metric_name()) {
            None => newest.push(info),
            Some(known) if known.times[i] < info.times[i] => *known = info,
            Some(_) => {}
        }
    }
    newest
}

/// The labels of a series and those of its infos: all, or those that the selector names. Its own labels stay. `None` where
/// the infos add nothing.
fn with_info(labels: &Labels, infos: &[&InfoSeries], data: &[Matcher]) -> Result<Option<Labels>, QueryError> {
    let mut builder = labels.to_builder();
    let mut is_described = false;
    for info in infos {
        for (name, value) in &info.labels {
            let wanted = data.is_empty() || data.iter().any(|m| m.name() == name);
            if name == METRIC_NAME || !wanted || labels.get(name).is_some() {
                continue;
            }
            if builder.get(name).is_some_and(|known| known != value) {
                return Err(QueryError::Execution(format!("conflicting label: {name}")));
            }
            builder.set(name, value);
            is_described = true;
        }
    }
    Ok(is_described.then(|| builder.build()))
}
