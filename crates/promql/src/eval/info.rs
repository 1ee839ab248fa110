//! `info`: labels of info metrics joined to the series they describe.

use std::collections::{BTreeSet, HashMap};

use model::{Labels, METRIC_NAME, Matcher, Samples, Selection, is_stale};

use super::Evaluation;
use super::grid::Grid;
use super::series::{ABSENT, Series, is_present, merge_same_labels};
use crate::QueryError;
use crate::syntax::{Kind, NodeId};

/// Labels that an info series shares with those it describes.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The info metric that is joined where the selector names none.
const DEFAULT_METRIC: &str = "target_info";

/// An info series: for each step the time of the sample that the lookback finds, or [`ABSENT`].
struct InfoSeries {
    labels: Labels,
    times: Vec<f64>,
}

impl Evaluation<'_> {
    pub(super) fn join_info(
        &self,
        arg: NodeId,
        selector: Option<NodeId>,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let base = self.collect_all(arg, grid)?;
        let matchers = match selector.map(|id| self.expr.kind(self.expr.unwrapped(id))) {
            Some(Kind::Vector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let (names, data): (Vec<Matcher>, Vec<Matcher>) = matchers.into_iter().partition(|m| m.name() == METRIC_NAME);
        let names = if names.is_empty() { vec![Matcher::equal(METRIC_NAME, DEFAULT_METRIC)] } else { names };
        let is_info = |labels: &Labels| names.iter().all(|m| m.matches_labels(labels));
        let infos = self.info_series(&base, &names, &data, grid)?;
        let mut by_identity: HashMap<Vec<String>, Vec<&InfoSeries>> = HashMap::new();
        for info in &infos {
            by_identity.entry(identity(&info.labels)).or_default().push(info);
        }
        let mut joined = Vec::new();
        for series in base {
            self.budget.check()?;
            if is_info(&series.labels) {
                joined.push(series);
                continue;
            }
            let candidates = by_identity.get(&identity(&series.labels)).map(Vec::as_slice).unwrap_or_default();
            join_one(&series, candidates, &data, &mut joined)?;
        }
        merge_same_labels(joined)
    }

    /// Info series of the identities that the base has.
    fn info_series(
        &self,
        base: &[Series],
        names: &[Matcher],
        data: &[Matcher],
        grid: Grid,
    ) -> Result<Vec<InfoSeries>, QueryError> {
        let identities: BTreeSet<Vec<String>> = base.iter().map(|series| identity(&series.labels)).collect();
        if identities.iter().all(|identity| identity.iter().all(String::is_empty)) {
            return Ok(Vec::new());
        }
        let matchers: Vec<Matcher> = names.iter().chain(data).cloned().collect();
        let start = grid.start.saturating_sub(self.lookback).saturating_add(1);
        let selection = Selection {
            matchers: &matchers,
            min_time: start,
            max_time: grid.end(),
            hints: model::Hints { step: grid.step_hint(), function: "info", ..model::Hints::default() },
        };
        let set = self.storage.select(&selection).map_err(|e| self.budget.storage_error(e))?;
        set.warnings.into_iter().for_each(|warning| self.notes.pass_on(warning));
        let mut series = set.series;
        series.retain(|series| identities.contains(&identity(series.labels())));
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
        let infos = newest_of_each_metric(candidates, i)?;
        if infos.is_empty() && !may_lack_info {
            continue;
        }
        let labels = with_info(&series.labels, &infos, data)?;
        let place = parts.iter().position(|(known, _)| *known == labels).unwrap_or_else(|| {
            parts.push((labels, vec![ABSENT; series.values.len()]));
            parts.len() - 1
        });
        parts[place].1[i] = *value;
    }
    // A removal of the name that was put off is forgotten here, as upstream does.
    joined.extend(parts.into_iter().map(|(labels, values)| Series::new(labels, values)));
    Ok(())
}

/// At one step, of each info metric the series with the newest sample; two of the same age are an error.
fn newest_of_each_metric<'i>(candidates: &[&'i InfoSeries], i: usize) -> Result<Vec<&'i InfoSeries>, QueryError> {
    let mut newest: Vec<&InfoSeries> = Vec::new();
    for info in candidates.iter().filter(|info| is_present(info.times[i])) {
        match newest.iter_mut().find(|known| known.labels.metric_name() == info.labels.metric_name()) {
            None => newest.push(info),
            Some(known) if known.times[i] == info.times[i] => {
                let [first, second] = [&known.labels, &info.labels].map(crate::syntax::format_labels);
                let message = format!("found duplicate series for info metric: existing {first}, new {second}");
                return Err(QueryError::Execution(message));
            }
            Some(known) if known.times[i] < info.times[i] => *known = info,
            Some(_) => {}
        }
    }
    Ok(newest)
}

/// The labels of a series and those of its infos: all, or those that the selector names. Its own labels stay.
fn with_info(labels: &Labels, infos: &[&InfoSeries], data: &[Matcher]) -> Result<Labels, QueryError> {
    let mut builder = labels.to_builder();
    for info in infos {
        for (name, value) in &info.labels {
            let wanted = data.is_empty() || data.iter().any(|m| m.name() == name);
            if name == METRIC_NAME || IDENTIFYING.contains(&name) || !wanted || labels.get(name).is_some() {
                continue;
            }
            if builder.get(name).is_some_and(|known| known != value) {
                return Err(QueryError::Execution(format!("conflicting label: {name}")));
            }
            builder.set(name, value);
        }
    }
    Ok(builder.build())
}
