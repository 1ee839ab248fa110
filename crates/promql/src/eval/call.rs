//! Calls: which functions work series by series, and which need the whole vector.

use hashbrown::HashSet;
use model::{Hints, Labels, METRIC_NAME, MatchOp, Timestamp, is_stale};

use super::batch::{Batch, Identity, Part};
use super::elementwise;
use super::grid::Grid;
use super::over_time;
use super::quantile::is_quantile;
use super::read::Read;
use super::select::pass_on;
use super::series::{ABSENT, Series, is_present, merge_same_labels, same_labelset};
use super::spans::KnownSpans;
use super::window::RangeSeries;
use super::{Evaluation, Names, Sink};
use crate::function::Function;
use crate::syntax::{Kind, NodeId, Type};
use crate::{Position, QueryError};

/// A call of a function of range vectors.
pub(super) struct WindowsCall<'e> {
    function: &'static str,
    over_time: over_time::OverTime,
    /// The argument that is a range vector.
    range: NodeId,
    args: &'e [NodeId],
}

impl Evaluation<'_> {
    /// `time`, `pi`, `scalar`.
    pub(super) fn scalar_call(&self, name: &str, args: &[NodeId], grid: Grid) -> Result<Vec<f64>, QueryError> {
        match (name, args) {
            ("pi", _) => Ok(vec![std::f64::consts::PI; grid.count]),
            ("scalar", [arg]) => self.only_element(*arg, grid),
            _ => Ok(grid.times().map(|t| t as f64 / 1e3).collect()),
        }
    }

    /// At each step the value of the only element, NaN where there are none or several.
    fn only_element(&self, arg: NodeId, grid: Grid) -> Result<Vec<f64>, QueryError> {
        let mut values = vec![ABSENT; grid.count];
        let mut several = vec![false; grid.count];
        self.stream(arg, grid, &mut |series| {
            for (i, value) in series.values.iter().enumerate().filter(|(_, v)| is_present(**v)) {
                several[i] |= is_present(values[i]);
                values[i] = *value;
            }
            Ok(())
        })?;
        let only = |(value, several): (f64, bool)| if several || !is_present(value) { f64::NAN } else { value };
        Ok(values.into_iter().zip(several).map(only).collect())
    }

    /// Passes on the series of a call that yields an instant vector.
    pub(super) fn stream_call(
        &self,
        function: &'static Function,
        args: &[NodeId],
        grid: Grid,
        sink: Sink<'_>,
    ) -> Result<(), QueryError> {
        if let Some(call) = self.windows_call(function, args) {
            return self.stream_over_time(&call, grid, sink);
        }
        let series = match (function.name, args) {
            ("absent", [arg]) => self.absent(*arg, grid)?,
            ("absent_over_time", [arg]) => self.absent_over_time(*arg, grid)?,
            ("timestamp", [arg]) => return self.timestamp(*arg, grid, sink),
            ("vector", [arg]) => vec![Series::new(Labels::empty(), self.scalar(*arg, grid)?)],
            ("label_replace", _) => self.label_replace(args, grid)?,
            ("label_join", _) => self.label_join(args, grid)?,
            ("sort", [arg]) => self.sort(*arg, false, grid)?,
            ("sort_desc", [arg]) => self.sort(*arg, true, grid)?,
            ("sort_by_label", _) => self.sort_by_label(args, false, grid)?,
            ("sort_by_label_desc", _) => self.sort_by_label(args, true, grid)?,
            ("histogram_quantile", [q, arg]) => self.histogram_quantile(*q, *arg, grid)?,
            ("histogram_fraction", [lower, upper, arg]) => self.histogram_fraction(*lower, *upper, *arg, grid)?,
            ("info", [arg, rest @ ..]) => self.join_info(*arg, rest.first().copied(), grid)?,
            _ => return self.stream_elementwise(function.name, args, grid, sink),
        };
        series.into_iter().try_for_each(sink)
    }

    fn stream_elementwise(
        &self,
        name: &'static str,
        args: &[NodeId],
        grid: Grid,
        sink: Sink<'_>,
    ) -> Result<(), QueryError> {
        let delayed = self.options.delayed_name_removal;
        if args.is_empty() {
            // Calendar functions without argument take the time of the step.
            let values = grid.times().map(|t| elementwise::calendar(name, (t / 1000) as f64));
            return sink(Series::new(Labels::empty(), values.collect()));
        }
        let params = self.params(&args[1..], grid)?;
        let apply = |mut series: Series| {
            for (i, value) in series.values.iter_mut().enumerate().filter(|(_, v)| is_present(**v)) {
                *value = elementwise::apply(name, *value, &params[i]).unwrap_or(ABSENT);
            }
            series.without_name(delayed)
        };
        if delayed || self.is_distinct_without_name(args[0]) {
            return self.stream(args[0], grid, &mut |series| {
                let series = apply(series);
                if series.has_values() { sink(series) } else { Ok(()) }
            });
        }
        let mut applied = Vec::new();
        self.stream(args[0], grid, &mut |series| {
            applied.push(apply(series));
            Ok(())
        })?;
        merge_same_labels(applied)?.into_iter().try_for_each(sink)
    }

    /// Scalar arguments, step by step.
    fn params(&self, args: &[NodeId], grid: Grid) -> Result<Vec<Vec<f64>>, QueryError> {
        let mut params = vec![Vec::with_capacity(args.len()); grid.count];
        for arg in args.iter().filter(|arg| self.expr.type_of(**arg) == Type::Scalar) {
            for (at_step, value) in params.iter_mut().zip(self.scalar(*arg, grid)?) {
                at_step.push(value);
            }
        }
        Ok(params)
    }

    /// Whether the series of a node surely differ in more than the metric name.
    fn is_distinct_without_name(&self, id: NodeId) -> bool {
        match self.expr.kind(self.expr.unwrapped(id)) {
            Kind::Vector(selector) => {
                selector.matchers.iter().any(|m| m.name() == METRIC_NAME && m.op() == MatchOp::Equal)
            }
            Kind::Matrix { selector, .. } => self.is_distinct_without_name(*selector),
            Kind::Call { function, .. } => {
                !matches!(function.name, "label_replace" | "label_join" | "last_over_time" | "info")
                    && !function.name.starts_with("sort")
            }
            _ => false,
        }
    }

    /// `timestamp` shows the samples' own times right on a selector, else the step's.
    fn timestamp(&self, arg: NodeId, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
        let inner = self.expr.unwrapped(arg);
        let delayed = self.options.delayed_name_removal;
        let mut found = Vec::new();
        let mut keep = |series| {
            found.push(series);
            Ok(())
        };
        if let Kind::Vector(selector) = self.expr.kind(inner) {
            match self.reach(inner).at {
                Some(at) if selector.modifiers.offset != 0 || self.places.contain(inner) || !self.missed.is_none() => {
                    self.missing(0, || self.stream_fixed_timestamps(inner, at, grid, &mut keep))?;
                }
                _ => self.stream_timestamps(inner, grid, &mut keep)?,
            }
        } else {
            self.stream(arg, grid, &mut |mut series| {
                for (i, value) in series.values.iter_mut().enumerate().filter(|(_, v)| is_present(**v)) {
                    *value = grid.time(i) as f64 / 1e3;
                }
                keep(series.without_name(delayed))
            })?;
        }
        merge_same_labels(found)?.into_iter().try_for_each(sink)
    }

    /// `timestamp(x @ 10 offset 1m)`: upstream reads the samples of the lookback before the shifted time, and then looks for
    /// the newest one at the time of `@` itself, inside of parameters, too.
    fn stream_fixed_timestamps(&self, id: NodeId, at: Timestamp, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
        let Kind::Vector(selector) = self.expr.kind(id) else {
            return Ok(());
        };
        let end = at.saturating_sub(selector.modifiers.offset);
        let start = end.saturating_sub(self.lookback).saturating_add(1);
        let (found, _found) = self.select(id, (start, end), Hints::default())?;
        let work = |source: &dyn model::Series, samples: &Read<'_>, (): &mut (), batch: &mut Vec<Series>| {
            let newest = samples.timestamps.partition_point(|t| *t <= at).checked_sub(1);
            let newest =
                newest.filter(|place| !is_stale(samples.values[*place])).map(|place| samples.timestamps[place]);
            let newest = newest.filter(|time| *time > at.saturating_sub(self.lookback));
            batch.extend(newest.map(|time| Series::new(source.labels().clone(), vec![time as f64 / 1e3; grid.count])));
            Ok(())
        };
        let share = (self.share(grid, (start, end)), true);
        self.read_batches(found, share, work, &mut |(_, series): (usize, Vec<Series>)| {
            series.into_iter().try_for_each(|series| sink(series.without_name(self.options.delayed_name_removal)))
        })
    }

    /// A call of a function of range vectors.
    fn windows_call<'e>(&self, function: &'static Function, args: &'e [NodeId]) -> Option<WindowsCall<'e>> {
        let over_time = over_time::find(function.name)?;
        let range = args.iter().copied().find(|arg| self.expr.type_of(*arg) == Type::Matrix)?;
        Some(WindowsCall { function: function.name, over_time, range, args })
    }

    /// A call of a function of range vectors whose series surely differ without the name that it takes from them.
    pub(super) fn distinct_windows<'e>(
        &self,
        function: &'static Function,
        args: &'e [NodeId],
    ) -> Option<WindowsCall<'e>> {
        self.windows_call(function, args).filter(|call| self.is_distinct(call))
    }

    fn is_distinct(&self, call: &WindowsCall<'_>) -> bool {
        self.options.delayed_name_removal || call.over_time.keeps_name || self.is_distinct_without_name(call.range)
    }

    /// Passes on the series of a call of a function of range vectors.
    fn stream_over_time(&self, call: &WindowsCall<'_>, grid: Grid, sink: Sink<'_>) -> Result<(), QueryError> {
        if self.is_distinct(call) {
            return self.stream_windows(call, Names::Wanted, grid, &mut |batch| pass_on(&batch, grid, sink));
        }
        let mut seen: HashSet<Labels> = HashSet::new();
        let mut unless_seen = |series: Series| {
            if seen.insert(series.labels.clone()) { sink(series) } else { Err(same_labelset()) }
        };
        self.stream_windows(call, Names::Wanted, grid, &mut |batch| pass_on(&batch, grid, &mut unless_seen))
    }

    /// Passes on the columns of a call of a function of range vectors; where names are ignored they may stay.
    pub(super) fn stream_windows(
        &self,
        call: &WindowsCall<'_>,
        names: Names,
        grid: Grid,
        sink: &mut dyn FnMut(Batch) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let &WindowsCall { function, ref over_time, range, args } = call;
        let params = self.params(args, grid)?;
        let windows = self.windows(range);
        let delayed = self.options.delayed_name_removal;
        let is_bare = !over_time.keeps_name && !delayed && names == Names::Wanted;
        let is_of_counters = matches!(function, "rate" | "increase");
        let has_factors = function == "double_exponential_smoothing";
        let work = |source: &RangeSeries<'_>, known: &mut KnownSpans, batch: &mut Batch| {
            let mut failure = None;
            let column = |into: &mut Vec<f64>| {
                if let Some(several) = over_time.several {
                    return source.slide_several(known, (&windows, grid), into, several);
                }
                source.slide(known, (&windows, grid), over_time.resets, into, |i, window| {
                    if has_factors && failure.is_none() {
                        failure = check_factors(&params[i]).err();
                    }
                    (over_time.of)(window, &params[i])
                })
            };
            batch.add(column, || Identity {
                labels: if is_bare { source.labels.without_name() } else { source.labels.clone() },
                // A name that is kept is kept for good, even one that was to be removed.
                drop_name: delayed && !over_time.keeps_name,
                note: (is_of_counters && is_possible_gauge(source.labels)).then(|| source.labels.clone()),
            });
            failure.map_or(Ok(()), Err)
        };
        let is_quantile = function == "quantile_over_time";
        self.stream_ranges(range, grid, function, work, &mut |batch: Batch| {
            if is_quantile {
                let place = self.place_in_call(args[0], args);
                let judged = batch.parts().flat_map(Part::present);
                judged.for_each(|(i, _)| self.check_quantile(params[i][0], place));
            }
            for (name, last) in possible_gauges(&batch) {
                self.note_possible_gauge(name, grid.time(last), range);
            }
            sink(batch)
        })
    }

    /// Warns of a φ outside of [0, 1].
    pub(super) fn check_quantile(&self, q: f64, place: Position) {
        if !is_quantile(q) {
            let message = format!("quantile value should be between 0 and 1, got {}", elementwise::shortest(q));
            self.warn(place, &message);
        }
    }

    /// Of series of this name, with values at this step and none at a later one.
    fn note_possible_gauge(&self, name: &str, step: Timestamp, range: NodeId) {
        // A subquery has no place of its own in upstream's notes.
        let position = match self.expr.kind(self.expr.unwrapped(range)) {
            Kind::Subquery { .. } => Position::default(),
            _ => self.place(range),
        };
        let name = crate::syntax::quote(name.as_bytes());
        let message = format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name}");
        self.notes.info_until(step, self.expr.text(), position, &message);
    }
}

/// Whether the name is not one that counters have.
fn is_possible_gauge(labels: &Labels) -> bool {
    let name = labels.metric_name();
    !name.is_empty() && !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}

/// Names of metrics of a batch to be noted, each with the last step at which its series have a value. Neighbours nearly
/// always share the name, and only those are told once.
fn possible_gauges(batch: &Batch) -> Vec<(&str, usize)> {
    let mut names: Vec<(&str, usize)> = Vec::new();
    for part in batch.parts() {
        let Some(labels) = part.note else { continue };
        let (name, step) = (labels.metric_name(), part.first + part.values.len().saturating_sub(1));
        match names.last_mut() {
            Some((known, last)) if *known == name => *last = step.max(*last),
            _ => names.push((name, step)),
        }
    }
    names
}

/// Factors of smoothing are judged only at steps where there is something to smooth; NaN passes.
fn check_factors(params: &[f64]) -> Result<(), QueryError> {
    let [smoothing, trend] = params else {
        return Ok(());
    };
    for (factor, what, symbol) in [(smoothing, "smoothing", "sf"), (trend, "trend", "tf")] {
        if *factor <= 0.0 || *factor >= 1.0 {
            let message = format!("invalid {what} factor. Expected: 0 < {symbol} < 1, got: {factor:.6}");
            return Err(QueryError::Execution(message));
        }
    }
    Ok(())
}
