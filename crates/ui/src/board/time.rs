//! Lines, bars and points over time: all columns on one axis of times.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use dashboard::{
    AxisPlacement, Column, DrawStyle, FieldOptions, Gradient, Interpolation, LineStyle, Negate, Nulls, Recipe, Scale,
    ShowPoints, StackMode, ThresholdStyle, TimeRange, TimeSeries, TooltipMode, Unit,
};

use super::canvas::{Canvas, Cell, legend, limits, numbers, word};
use super::exemplars::Exemplar;
use super::model::{Axis, Calc, Limits, Mark, Series, Stack, TimePicture, Tooltip};

/// Series of a picture; more lines nobody tells apart, and each is a thousand values on the wire.
const SERIES_MAX: usize = 250;
/// Parts of an axis that its values are rounded to: a part is less than a pixel.
const PARTS: f64 = 8192.0;
/// The colour of exemplars, a hue that dashboards seldom begin with.
const EXEMPLAR: &str = "s4";

/// Parts of an axis below which a band is not told from its line.
const BAND_PARTS: f64 = 100.0;

type Values = Vec<Option<f64>>;

/// Which of the values are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    /// Only what is not older.
    pub(super) tail: Option<i64>,
    /// Only those at this time, in full.
    pub(super) exact: Option<i64>,
    /// All of them in full.
    pub(super) full: bool,
}

/// The times of all series.
struct Times {
    start: i64,
    step: i64,
    /// Each, where they are not even.
    each: Option<Vec<i64>>,
    count: usize,
}

impl Times {
    /// The grid of the queries, where all times lie on it; else the times that there are.
    fn of(canvas: &Canvas<'_>, lines: &[Line<'_>]) -> Self {
        if let Some((step, range)) = &canvas.grid
            && let Some(times) = Self::grid(*step, range)
            && lines.iter().all(|line| line.times.iter().flatten().all(|time| times.place(*time).is_some()))
        {
            return times;
        }
        let mut each: Vec<i64> = lines.iter().flat_map(|line| line.times.iter().flatten().copied()).collect();
        each.sort_unstable();
        each.dedup();
        let start = each.first().copied().unwrap_or(canvas.range.from_ms);
        Self { start, step: 0, count: each.len(), each: Some(each) }
    }

    fn grid(step: u64, range: &TimeRange) -> Option<Self> {
        let step = i64::try_from(step).ok().filter(|step| *step > 0)?;
        let count = usize::try_from((range.to_ms - range.from_ms) / step).ok()? + 1;
        Some(Self { start: range.from_ms, step, each: None, count })
    }

    fn place(&self, time: i64) -> Option<usize> {
        match &self.each {
            Some(each) => each.binary_search(&time).ok(),
            None => {
                let from = time.checked_sub(self.start).filter(|from| from % self.step == 0)?;
                usize::try_from(from / self.step).ok().filter(|at| *at < self.count)
            }
        }
    }

    fn at(&self, place: usize) -> i64 {
        match &self.each {
            Some(each) => each.get(place).copied().unwrap_or(self.start),
            None => self.start + self.step * place as i64,
        }
    }

    /// The places that are sent.
    fn slice(&self, slice: Slice) -> std::ops::Range<usize> {
        let first = |from: i64| (0..self.count).find(|at| self.at(*at) >= from).unwrap_or(self.count);
        match slice {
            Slice { exact: Some(at), .. } => self.place(at).map_or(0..0, |place| place..place + 1),
            Slice { tail: Some(from), .. } => first(from)..self.count,
            Slice { .. } => 0..self.count,
        }
    }
}

/// A column of numbers with its times.
struct Line<'a> {
    cell: Cell<'a>,
    times: &'a [Option<i64>],
    values: &'a [Option<f64>],
}

/// Draws a panel.
pub(super) fn draw(canvas: &Canvas<'_>, visual: &TimeSeries, slice: Slice) -> TimePicture {
    let mut lines = lines(canvas);
    let omitted = lines.len().saturating_sub(SERIES_MAX);
    lines.truncate(SERIES_MAX);
    let times = Times::of(canvas, &lines);
    let mut axes = Axes::default();
    let mut formats: Vec<Recipe> = Vec::new();
    let mut series: Vec<Series> =
        lines.iter().map(|line| one(canvas, line, visual, &times, &mut axes, &mut formats)).collect();
    fill_below(&lines, &mut series);
    let stacks = stacks(&lines, &series);
    percent_axes(&stacks, &series, &mut axes.axes);
    let shape = shape(&series, &times);
    let shown = times.slice(slice);
    send(&mut series, &stacks, &axes.axes, &shown, slice.full || slice.exact.is_some());
    let order = order(visual, &series);
    TimePicture {
        start: times.at(shown.start),
        step: times.step,
        count: shown.len(),
        times: times.each.as_ref().map(|each| each[shown.clone()].to_vec()),
        from: canvas.range.from_ms,
        to: canvas.range.to_ms,
        shape,
        omitted,
        thresholds: thresholds(&lines),
        legend: legend(&visual.legend, order),
        tooltip: Tooltip {
            mode: tooltip(visual.tooltip.mode),
            sort: word(dashboard::SortOrder::WORDS, &visual.tooltip.sort),
            hide_zeros: visual.tooltip.hide_zeros,
            formats,
        },
        series,
        axes: axes.axes,
        stacks,
        exemplars: if slice.exact.is_some() { Vec::new() } else { exemplars(canvas) },
    }
}

/// Exemplars, their values written as those of the first column.
fn exemplars(canvas: &Canvas<'_>) -> Vec<Mark> {
    let style = canvas.cells().find(|cell| numbers(&cell.field.values).is_some()).map(|cell| cell.style);
    let mark = |one: &Exemplar| Mark {
        at: one.at,
        to: None,
        v: Some(one.value),
        color: EXEMPLAR.to_owned(),
        title: style.map_or_else(String::new, |style| canvas.text(style, &dashboard::Value::Number(one.value)).whole()),
        text: one.text(),
        without: Vec::new(),
    };
    canvas.exemplars.iter().map(mark).collect()
}

fn tooltip(mode: TooltipMode) -> &'static str {
    word(TooltipMode::WORDS, &mode)
}

fn lines<'a>(canvas: &'a Canvas<'_>) -> Vec<Line<'a>> {
    let line = |cell: Cell<'a>| {
        let times = cell.frame.fields.iter().find_map(|field| match &field.values {
            Column::Times(times) => Some(times.as_slice()),
            _ => None,
        })?;
        let hide = cell.style.options.hide.unwrap_or_default();
        let is_shown = !(hide.legend && hide.tooltip && hide.picture);
        numbers(&cell.field.values).filter(|_| is_shown).map(|values| Line { cell, times, values })
    };
    canvas.cells().filter_map(line).collect()
}

fn one(
    canvas: &Canvas<'_>,
    line: &Line<'_>,
    visual: &TimeSeries,
    times: &Times,
    axes: &mut Axes,
    formats: &mut Vec<Recipe>,
) -> Series {
    let options = line.cell.options();
    let recipe = line.cell.style.recipe();
    let format = formats.iter().position(|known| *known == recipe).unwrap_or_else(|| {
        formats.push(recipe.clone());
        formats.len() - 1
    });
    let draw = options.draw_style.unwrap_or_default();
    let is_line = draw == DrawStyle::Line;
    let is_stacked = options.stacking.as_ref().is_some_and(|stacking| stacking.mode != StackMode::None);
    let (lo, hi) = if is_line && !is_stacked { band(canvas, line, times) } else { <_>::default() };
    let (dash, dots) = match options.line_style.clone().unwrap_or_default() {
        LineStyle::Solid => (Vec::new(), false),
        LineStyle::Dash(dash) if dash.is_empty() => (vec![10.0, 10.0], false),
        LineStyle::Dash(dash) => (dash, false),
        LineStyle::Dot(dash) if dash.is_empty() => (vec![0.0, 10.0], true),
        LineStyle::Dot(dash) => (dash, true),
    };
    let calcs = visual.legend.calcs.iter();
    Series {
        name: line.cell.style.name.clone(),
        color: line.cell.color(),
        axis: axes.place(options, recipe, line.cell.color()),
        v: placed(line, times, options),
        lo,
        hi,
        format,
        flip: options.transform == Some(Negate::NegativeY),
        draw: word(DrawStyle::WORDS, &draw),
        join: word(Interpolation::WORDS, &options.interpolation.unwrap_or_default()),
        width: options.line_width.unwrap_or(1.0),
        dash: if is_line { dash } else { Vec::new() },
        dots: is_line && dots,
        fill: options.fill_opacity.unwrap_or(0.0) / 100.0,
        fill_to: None,
        gradient: word(Gradient::WORDS, &options.gradient.unwrap_or_default()),
        scheme: if options.gradient == Some(Gradient::Scheme) { line.cell.scheme() } else { Vec::new() },
        points: word(ShowPoints::WORDS, &options.show_points.unwrap_or_default()),
        point_size: options.point_size.unwrap_or(5.0),
        span_ms: span(line, times, options),
        bar_align: options.bar_alignment.unwrap_or(0),
        bar_width: options.bar_width.unwrap_or(0.6),
        bar_width_max: options.bar_width_max.unwrap_or(200.0),
        hide: hidden(options),
        calcs: calcs.map(|reducer| canvas.calc(line.cell, *reducer)).collect(),
        links: canvas.links(line.cell, &dashboard::Value::Null, "", None),
    }
}

fn hidden(options: &FieldOptions) -> Vec<&'static str> {
    let hide = options.hide.unwrap_or_default();
    let all = [(hide.legend, "legend"), (hide.tooltip, "tooltip"), (hide.picture, "picture")];
    all.into_iter().filter(|(is_hidden, _)| *is_hidden).map(|(_, word)| word).collect()
}

/// The column's values at the times of the picture.
fn placed(line: &Line<'_>, times: &Times, options: &FieldOptions) -> Vec<Option<f64>> {
    let empty = if options.nulls == Some(Nulls::Zero) { Some(0.0) } else { None };
    let mut values = vec![empty; times.count];
    for (time, value) in line.times.iter().zip(line.values) {
        let at = time.and_then(|time| times.place(time));
        if let Some(at) = at
            && let Some(value) = value.filter(|value| value.is_finite())
        {
            values[at] = Some(value);
        }
    }
    values
}

/// What the column reached between its points.
fn band(canvas: &Canvas<'_>, line: &Line<'_>, times: &Times) -> (Values, Values) {
    let Some(band) = canvas.bands.of(&line.cell.frame.ref_id, &line.cell.field.labels) else { return <_>::default() };
    let each = (0..times.count).map(|at| band.get(&times.at(at)));
    (
        each.clone().map(|ends| ends.map(|(low, _)| *low)).collect(),
        each.map(|ends| ends.map(|(_, high)| *high)).collect(),
    )
}

/// Gaps that a line is drawn through. Times of other columns between the column's own are no gaps of it.
fn span(line: &Line<'_>, times: &Times, options: &FieldOptions) -> f64 {
    let wanted = match options.nulls.unwrap_or_default() {
        Nulls::Gap | Nulls::Zero => 0.0,
        Nulls::Connect => return -1.0,
        Nulls::ConnectBelow(ms) => ms,
    };
    if times.each.is_none() {
        return wanted;
    }
    let flat = line.times.iter().flatten();
    let own = flat.clone().zip(flat.skip(1)).map(|(from, to)| to - from).filter(|step| *step > 0).min();
    wanted.max(own.unwrap_or(0) as f64)
}

/// The axes of a picture: a column shares one with those that are measured alike.
#[derive(Default)]
struct Axes {
    axes: Vec<Axis>,
    keys: HashMap<String, usize>,
}

impl Axes {
    fn place(&mut self, options: &FieldOptions, format: Recipe, color: String) -> usize {
        let key = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            options.unit,
            options.min,
            options.max,
            options.soft_min,
            options.soft_max,
            options.scale,
            options.axis_centered,
            options.axis_placement.unwrap_or_default(),
            options.axis_label.as_deref().unwrap_or_default(),
        );
        if let Some(known) = self.keys.get(&key) {
            return *known;
        }
        let placement = options.axis_placement.unwrap_or_default();
        let right = match placement {
            AxisPlacement::Right => true,
            AxisPlacement::Auto => self.axes.iter().any(|axis| !axis.hidden),
            _ => false,
        };
        let (log, linear_to) = match options.scale.unwrap_or_default() {
            Scale::Linear => (None, None),
            Scale::Log { base } => (Some(base), None),
            Scale::Symlog { base, threshold } => (Some(base), Some(threshold)),
        };
        self.axes.push(Axis {
            right,
            hidden: placement == AxisPlacement::Hidden,
            label: options.axis_label.clone().unwrap_or_default(),
            format,
            min: options.min,
            max: options.max,
            soft_min: options.soft_min,
            soft_max: options.soft_max,
            log,
            linear_to,
            centered: options.axis_centered == Some(true),
            color: (options.axis_colored == Some(true)).then_some(color),
            grid: options.axis_grid.unwrap_or(!right),
            border: options.axis_border == Some(true),
            width: options.axis_width,
        });
        self.keys.insert(key, self.axes.len() - 1);
        self.axes.len() - 1
    }
}

fn fill_below(lines: &[Line<'_>], series: &mut [Series]) {
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = line.cell.options().fill_below_to.as_ref() else { continue };
        let place = lines.iter().position(|other| other.cell.style.name == *name || other.cell.field.name == *name);
        series[at].fill_to = place.filter(|place| *place != at);
        // Grafana fills a band that names no opacity of its own.
        if series[at].fill_to.is_some() && series[at].fill == 0.0 {
            series[at].fill = 0.35;
        }
    }
}

/// Which series stand on each other: those of one group, axis, way of drawing and direction.
fn stacks(lines: &[Line<'_>], series: &[Series]) -> Vec<Stack> {
    let mut keys: Vec<String> = Vec::new();
    let mut stacks: Vec<Stack> = Vec::new();
    for (at, (line, one)) in lines.iter().zip(series).enumerate() {
        let options = line.cell.options();
        let Some(stacking) = options.stacking.as_ref().filter(|stacking| stacking.mode != StackMode::None) else {
            continue;
        };
        if one.hide.contains(&"picture") {
            continue;
        }
        let down = one.flip != is_negative(line.values);
        let key = format!("{:?} {} {} {down} {} {}", stacking.mode, stacking.group, one.axis, one.draw, one.join);
        match keys.iter().position(|known| *known == key) {
            Some(known) => stacks[known].series.push(at),
            None => {
                keys.push(key);
                stacks.push(Stack { series: vec![at], percent: stacking.mode == StackMode::Percent });
            }
        }
    }
    stacks
}

fn is_negative(values: &[Option<f64>]) -> bool {
    let signs = values.iter().flatten().filter(|value| **value != 0.0);
    let (down, up) =
        signs.fold((0usize, 0usize), |(down, up), value| if *value < 0.0 { (down + 1, up) } else { (down, up + 1) });
    down > up
}

/// Parts of a sum are written as parts of a hundred.
fn percent_axes(stacks: &[Stack], series: &[Series], axes: &mut [Axis]) {
    for at in stacks.iter().filter(|stack| stack.percent).flat_map(|stack| &stack.series) {
        let axis = &mut axes[series[*at].axis];
        axis.format = Unit::parse("percentunit").recipe(Some(0));
        axis.min = axis.min.or(Some(0.0));
        axis.max = axis.max.or(Some(1.0));
    }
}

fn shape(series: &[Series], times: &Times) -> String {
    let mut hasher = DefaultHasher::new();
    times.step.hash(&mut hasher);
    for one in series {
        (&one.name, &one.color, one.axis).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// Cuts and rounds the values for the wire.
fn send(series: &mut [Series], stacks: &[Stack], axes: &[Axis], shown: &std::ops::Range<usize>, in_full: bool) {
    let spans = spans(series, stacks, axes);
    for one in series.iter_mut() {
        let span = spans[one.axis];
        let is_log = axes[one.axis].log.is_some();
        let round = |value: f64| match (in_full, is_log) {
            (true, _) => value,
            // Distances of a logarithmic axis are ratios.
            (false, true) => digits(value, value.abs()),
            (false, false) => digits(value, span),
        };
        let cut = |values: &[Option<f64>]| values[shown.clone()].iter().map(|value| value.map(round)).collect();
        let is_seen = |(low, high): (&Option<f64>, &Option<f64>)| {
            (*high).zip(*low).is_some_and(|(h, l)| h - l > span / BAND_PARTS)
        };
        let has_band = !in_full && one.lo.iter().zip(&one.hi).any(is_seen);
        (one.lo, one.hi) = if has_band { (cut(&one.lo), cut(&one.hi)) } else { <_>::default() };
        one.v = cut(&one.v);
    }
}

/// Rounded to a multiple of 1, 2 or 5 of a decimal place, no further away than a part of the span: the fewest digits, and the
/// fewest different ones, that do not show.
fn digits(value: f64, span: f64) -> f64 {
    let step = 2.0 * span / PARTS;
    let place = step.log10().floor();
    if value == 0.0 || span <= 0.0 || place.is_nan() || place.abs() > 300.0 {
        return value;
    }
    let power = 10f64.powi(place.abs() as i32);
    // Dividing by a power of ten gives the double nearest to the short decimal; multiplying by 0.001 does not.
    let (scaled, unit) = if place < 0.0 { (value * power, step * power) } else { (value / power, step / power) };
    let times = [5.0, 2.0].into_iter().find(|times| unit >= *times).unwrap_or(1.0);
    let rounded = (scaled / times).round() * times;
    if place < 0.0 { rounded / power } else { rounded * power }
}

/// What each axis spans at least: from its smallest to its greatest value, sums of stacks among them.
fn spans(series: &[Series], stacks: &[Stack], axes: &[Axis]) -> Vec<f64> {
    let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); axes.len()];
    let mut see = |axis: usize, low: f64, high: f64| {
        let (min, max) = ends[axis];
        ends[axis] = (min.min(low), max.max(high));
    };
    for one in series {
        let sign = if one.flip { -1.0 } else { 1.0 };
        for value in one.v.iter().flatten() {
            see(one.axis, sign * value, sign * value);
        }
    }
    for stack in stacks.iter().filter(|stack| stack.percent) {
        // As parts of their sum, values matter as far as the smallest sum does.
        let count = stack.series.first().map_or(0, |at| series[*at].v.len());
        let sum = |at: usize| stack.series.iter().filter_map(|one| series[*one].v[at]).sum::<f64>().abs();
        let least = (0..count).map(sum).filter(|sum| *sum > 0.0).fold(f64::INFINITY, f64::min);
        if let Some(first) = stack.series.first() {
            ends[series[*first].axis] = (0.0, if least.is_finite() { least } else { 0.0 });
        }
    }
    ends.into_iter().map(|(low, high)| if low < high { high - low } else { high.abs().min(low.abs()) }).collect()
}

/// The series in the order of the legend.
fn order(visual: &TimeSeries, series: &[Series]) -> Vec<usize> {
    let is_listed = |at: &usize| !series[*at].hide.contains(&"legend");
    let mut order: Vec<usize> = (0..series.len()).filter(is_listed).collect();
    let Some(sort_by) = &visual.legend.sort_by else { return order };
    let column = visual.legend.calcs.iter().position(|calc| calc.title() == sort_by);
    let value = |at: usize| column.and_then(|column| series[at].calcs.get(column)).and_then(|calc: &Calc| calc.n);
    order.sort_by(|a, b| {
        let ordering = match column {
            Some(_) => value(*a).unwrap_or(f64::NEG_INFINITY).total_cmp(&value(*b).unwrap_or(f64::NEG_INFINITY)),
            None => series[*a].name.cmp(&series[*b].name),
        };
        if visual.legend.descending { ordering.reverse() } else { ordering }
    });
    order
}

/// The thresholds that the first column which has any draws.
fn thresholds(lines: &[Line<'_>]) -> Option<Limits> {
    let style = |line: &&Line<'_>| {
        let style = line.cell.options().threshold_style.unwrap_or_default();
        !matches!(style, ThresholdStyle::Off | ThresholdStyle::Series)
    };
    let line = lines.iter().find(style)?;
    let style = line.cell.options().threshold_style.unwrap_or_default();
    use ThresholdStyle::{Area, Dashed, DashedAndArea, Line as Lines, LineAndArea};
    Some(Limits {
        line: matches!(style, Lines | LineAndArea | Dashed | DashedAndArea),
        dashed: matches!(style, Dashed | DashedAndArea),
        area: matches!(style, Area | LineAndArea | DashedAndArea),
        steps: limits(line.cell.options(), line.cell.style.ends),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_below_a_pixel() {
        let check = |value: f64, span: f64, expected: f64| {
            let rounded = digits(value, span);
            assert_eq!(rounded, expected, "{value} of {span}");
            assert!((rounded - value).abs() <= span / PARTS || span <= 0.0);
        };
        check(53.274_61, 100.0, 53.28);
        check(123_456.789, 100_000.0, 123_460.0);
        check(0.000_123_456, 0.001, 0.000_123_4);
        check(1e9 + 7.0, 1e6, 1e9);
        check(1.5, 0.0, 1.5);
        check(0.0, 5.0, 0.0);
    }
}
